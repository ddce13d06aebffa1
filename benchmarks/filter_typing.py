"""How long the browser's main thread is busy for one key in the filter, with a thousand job specs in the list.

    python -m benchmarks.filter_typing [--rounds 5]

Starts a store, the simulated Zendesk, the service and Chromium; types words into the filter and takes them out again.
For each key: what the thread of the app's frame spent on tasks (Chromium's `Performance.getMetrics`), less what it
spends in the same time without a key; and of that the parts for scripts, styles and layout. A task that has to wait for
the processor counts as long as it waits, so a busy machine shows more. A frame at 60 Hz has 16.7 ms.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from playwright.sync_api import Browser, CDPSession, Page, expect, sync_playwright

from sandbox.environment import service_environment
from sandbox.simulator import Simulator
from tests.browser.workspace import ARCHIVE, SDK, Workspace
from tests.programs import CHROMIUM_FLAGS, Found, found_chromium
from tests.workers import LiveService, free_port, running_valkey

# With the ten of the other integrations.
ARCHIVED = 990
SPECS = ARCHIVED + 10
# Few rows, all rows of one integration, none.
WORDS = ("archive_form_12", "refund", "generated rule 0", "no such thing")
PARTS = {"task": "TaskDuration", "script": "ScriptDuration", "style": "RecalcStyleDuration", "layout": "LayoutDuration"}
# After the next frame has been drawn.
DRAWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))"


@dataclass(frozen=True, slots=True)
class Key:
    """What one key cost, in milliseconds by part, and how many rows came or went."""

    cost: dict[str, float]
    rows: int


class Meter:
    """Reads the busy time of the thread that runs the app's frame."""

    def __init__(self, workspace: Workspace) -> None:
        self._page = workspace.page
        self._frame = workspace.frame
        self._rows = workspace.shown_rows()
        # The frame is of another site than the page around it, so it has a process and a thread of its own.
        self._session: CDPSession = self._page.context.new_cdp_session(self._frame)
        self._session.send("Performance.enable")

    def key(self, key: str) -> Key:
        """Press a key, and return what it cost."""
        before = self._rows.count()
        quiet, seconds = self._spent(None)
        busy, busy_seconds = self._spent(key)
        # The idle time is that of as long a wait.
        share = busy_seconds / seconds
        cost = {part: max(0.0, busy[part] - quiet[part] * share) for part in PARTS}
        return Key(cost, abs(self._rows.count() - before))

    def _spent(self, key: str | None) -> tuple[dict[str, float], float]:
        """Return milliseconds by part from before a key until it is drawn, and the seconds that took."""
        began, before = time.monotonic(), self._read()
        if key is not None:
            self._page.keyboard.press(key)
        self._frame.evaluate(DRAWN)
        after = self._read()
        return {part: after[part] - before[part] for part in PARTS}, time.monotonic() - began

    def _read(self) -> dict[str, float]:
        metrics = {
            metric["name"]: metric["value"] for metric in self._session.send("Performance.getMetrics")["metrics"]
        }
        return {part: metrics[name] * 1000 for part, name in PARTS.items()}


@contextmanager
def thousand_specs() -> Iterator[Simulator]:
    """Start the service and a simulated Zendesk with a thousand job specs."""
    with ExitStack() as parts:
        store = parts.enter_context(running_valkey(free_port()))
        simulator = parts.enter_context(Simulator())
        simulator.world.account("acme").integrations[ARCHIVE].resize(ARCHIVED)
        environment = service_environment(
            service_url="http://localhost",  # the service's own comes in its place
            store_url=f"redis://127.0.0.1:{store.port}/0",
            url_template=simulator.url_template,
            is_direct=False,
            changes={},
        )
        service = LiveService(environment, workers=1)
        parts.callback(service.stop)
        simulator.use_service(service.url)
        service.wait_until_ready()
        yield simulator


@contextmanager
def in_chromium(simulator: Simulator) -> Iterator[Workspace]:
    """Open the app in a window of Chromium, connected.

    Raises:
        SystemExit: there is no Chromium.
    """
    path = required(found_chromium())
    # Else a Chromium that has no window runs the frame in the page's process, and its thread is not measured.
    flags = [*CHROMIUM_FLAGS, "--site-per-process"]
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=path, args=flags) as browser,
    ):
        yield opened(simulator, browser)


def opened(simulator: Simulator, browser: Browser) -> Workspace:
    """Open the app in a window of this browser, connected, and wait for all its rows."""
    page: Page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.context.route(SDK, lambda route: route.abort())
    workspace = Workspace(page, simulator)
    workspace.grant()
    workspace.open_app()
    expect(workspace.see("job-spec")).to_have_count(SPECS)
    return workspace


def required(found: Found) -> str:
    """Return the path of a program.

    Raises:
        SystemExit: there is none; says why.
    """
    if found.path is None:
        raise SystemExit(found.reason)
    return found.path


def typed(workspace: Workspace, rounds: int) -> list[Key]:
    """Type the words and take them out again, so many times; return what every key cost."""
    workspace.see("filter").focus()
    meter = Meter(workspace)
    keys = []
    for _ in range(rounds):
        for word in WORDS:
            keys += [meter.key("Space" if letter == " " else letter) for letter in word]
            keys += [meter.key("Backspace") for _ in word]
    return keys


def show(title: str, keys: list[Key]) -> None:
    """Print one line: median and maximum of each part."""
    columns = []
    for part in PARTS:
        costs = [key.cost[part] for key in keys]
        columns.append(f"{part} {statistics.median(costs):5.1f} / {max(costs):5.1f}")
    print(f"{title:34} {len(keys):4} keys   " + "   ".join(columns))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.filter_typing", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often every word is typed (5)")
    rounds = parser.parse_args().rounds
    with thousand_specs() as simulator, in_chromium(simulator) as workspace:
        # The first keys meet cold code.
        typed(workspace, 1)
        keys = typed(workspace, rounds)
    print("milliseconds of the main thread a key, median / maximum")
    show("all", keys)
    show("no row comes or goes", [key for key in keys if key.rows == 0])
    show("more than 100 rows come or go", [key for key in keys if key.rows > 100])


if __name__ == "__main__":
    main()
