"""How long a filter holds the page, in each browser: a thousand rows taken away at once, and brought back.

    python -m benchmarks.filter_clearing [--browser firefox] [--rounds 5]

Starts what `benchmarks.filter_typing` starts, and each browser after the other: Chromium, Firefox, WebKitGTK. Measured
in the app's frame by a timer that runs all the time: what lies between two of its runs is what a key would have waited
for, the timer's own 4 ms included. A busy machine shows more.
"""

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from benchmarks.filter_typing import SPECS, in_chromium, opened, required, thousand_specs
from sandbox.simulator import Simulator
from tests.programs import FIREFOX_PREFERENCES, WebKit, found_firefox, found_webkit
from tests.test_webkit import Walk, make_driver, running_display

# Takes every row away and brings it back; returns both as JSON, in milliseconds from the filter's change: `first` until
# the next frame has been painted, `all` until every row is as it is meant, `longest` that it was held at a time.
ROUND = """
  const rows = () => document.querySelectorAll("[data-testid=job-spec]").length;
  const painted = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const quiet = () => new Promise((done) => setTimeout(done, 300));
  const measured = async (text, wanted) => {
    const filter = document.querySelector("[data-testid=filter]");
    await quiet();
    const began = performance.now();
    let last = began, longest = 0, isOver = false;
    const look = () => {
      const now = performance.now();
      longest = Math.max(longest, now - last);
      last = now;
      if (!isOver) setTimeout(look);
    };
    setTimeout(look);
    filter.value = text;
    filter.dispatchEvent(new Event("input", { bubbles: true }));
    await painted();
    const first = performance.now() - began;
    while (rows() !== wanted) await painted();
    const all = performance.now() - began;
    await quiet();
    isOver = true;
    return { first, all, longest };
  };
  const all = rows();
  const away = await measured("no such thing", 0);
  return JSON.stringify({ away, back: await measured("", all) });
"""
PARTS = ("first", "all", "longest")

MakeRound = Callable[[], dict[str, Any]]


@contextmanager
def chromium(simulator: Simulator) -> Iterator[MakeRound]:
    """Open the app in Chromium."""
    with in_chromium(simulator) as workspace:
        yield lambda: json.loads(workspace.frame.evaluate(f"async () => {{ {ROUND} }}"))


@contextmanager
def firefox(simulator: Simulator) -> Iterator[MakeRound]:
    """Open the app in Firefox."""
    path = required(found_firefox())
    with (
        sync_playwright() as playwright,
        playwright.firefox.launch(
            channel="moz-firefox", executable_path=path, firefox_user_prefs=FIREFOX_PREFERENCES
        ) as browser,
    ):
        workspace = opened(simulator, browser)
        yield lambda: json.loads(workspace.frame.evaluate(f"async () => {{ {ROUND} }}"))


@contextmanager
def webkit(simulator: Simulator) -> Iterator[MakeRound]:
    """Open the app in WebKitGTK."""
    programs = WebKit(*map(required, found_webkit()))
    with running_display(programs.display_server) as display, tempfile.TemporaryDirectory() as home:
        driver = make_driver(programs, display, Path(home))
        try:
            walk = Walk(driver, simulator)
            walk.open()
            walk.connect()
            walk.wait(lambda: len(walk.all("[data-testid=job-spec]")) == SPECS, "not all job specs are listed")
            script = f"const done = arguments[0]; (async () => {{ {ROUND} }})().then(done);"
            yield lambda: json.loads(driver.execute_async_script(script))
        finally:
            driver.quit()


BROWSERS = {"chromium": chromium, "firefox": firefox, "webkit": webkit}


def show(name: str, rounds: list[dict[str, Any]]) -> None:
    """Print a line each for away and back: median and maximum of each part."""
    for way in ("away", "back"):
        columns = []
        for part in PARTS:
            times = [one[way][part] for one in rounds]
            columns.append(f"{part} {statistics.median(times):5.0f} / {max(times):5.0f}")
        print(f"{name:10} {way:5} " + "   ".join(columns), flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.filter_clearing", description=__doc__.splitlines()[0])
    parser.add_argument("--browser", choices=[*BROWSERS], action="append", help="one of them alone (all)")
    parser.add_argument("--rounds", type=int, default=5, help="how often the rows go and come back (5)")
    arguments = parser.parse_args()
    print(f"milliseconds, median / maximum; load of the machine {os.getloadavg()[0]:.1f}")
    for name in arguments.browser or BROWSERS:
        with thousand_specs() as simulator, BROWSERS[name](simulator) as make_round:
            # The first meets cold code.
            make_round()
            show(name, [make_round() for _ in range(arguments.rounds)])


if __name__ == "__main__":
    main()
