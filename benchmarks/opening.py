"""What opening a ticket costs, in a real browser: until the first row is seen, and what it asks of the service.

    python -m benchmarks.opening [--rounds 5]

Beside it the page one would write first: it asks for the list once it has loaded, and the list is asked of Zendesk each
time. The round trip is that of `slow_link`. `cold` is a browser that has never been here; `warm` one that has, with its
connection open.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import Browser, BrowserContext, Frame, Page, expect, sync_playwright

from benchmarks.crowd import LONGEST_WAIT_SECONDS, ask
from benchmarks.figures import Figure, percentile
from benchmarks.processes import Program, cpu_seconds, fetch, free_port, gunicorn
from benchmarks.slow_link import CONTROL
from benchmarks.upstream import CONTROL as UPSTREAM_CONTROL
from benchmarks.world import ADMIN, Service, World
from sandbox.simulator.signing import encode, public_key_pem
from service.ground.subdomains import Subdomain
from tests.programs import CHROMIUM_FLAGS, found_chromium

ACCOUNT = Subdomain("opening")
# Of Zendesk.
UPSTREAM_MILLISECONDS = 50
ROUND_TRIPS = (0, 100)
OURS, NAIVE, NOTHING_KEPT = "this service", "the page one would write first", "this service, nothing kept"
CROWD = 200
ROWS = (12, 1000)
CPU_OPENINGS = 30

# In every frame: when the first row had been painted, and when the answer was there (milliseconds from its opening).
_WATCH = """
new MutationObserver((_, observer) => {
  if (!document.querySelector("[data-testid=job-spec]")) return;
  observer.disconnect();
  requestAnimationFrame(() => setTimeout(() => { globalThis.seenAt = performance.now(); }));
}).observe(document, { childList: true, subtree: true });
"""
_OPEN = """([action, token]) => {
  const frame = Object.assign(document.createElement("iframe"), { name: "app", width: 400, height: 700 });
  document.body.replaceChildren(frame);
  const form = Object.assign(document.createElement("form"), { method: "post", action, target: "app" });
  form.append(Object.assign(document.createElement("input"), { type: "hidden", name: "token", value: token }));
  document.body.append(form);
  form.submit();
}"""


@dataclass(slots=True)
class Opened:
    """What the openings of one kind came to."""

    seconds: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)
    kilobytes: list[float] = field(default_factory=list)
    cpu_milliseconds: float | None = None


@dataclass(frozen=True, slots=True)
class Openings:
    """What was measured; None where there is no browser: only `why` is there."""

    why: str
    by_kind: dict[tuple[str, int, bool], Opened]
    """By subject, round trip in milliseconds, and whether it was warm."""
    paint: dict[int, Figure]
    """Milliseconds from the answer to the first row seen, by the number of rows."""
    crowd_seen: int = 0
    crowd_p99: float = 0.0
    list_cpu_milliseconds: float | None = None

    def round_trips(self, subject: str, *, warm: bool) -> float | None:
        """Return how many round trips were waited for until the first row was seen."""
        near, far = (self.by_kind.get((subject, rtt, warm)) for rtt in (ROUND_TRIPS[0], ROUND_TRIPS[-1]))
        if near is None or far is None:
            return None
        # Of the quickest openings, which nothing else on the machine has held up.
        return (min(far.seconds) - min(near.seconds)) * 1000 / ROUND_TRIPS[-1]


@dataclass(frozen=True, slots=True)
class _Subject:
    name: str
    program: Program
    link: Program
    path: str
    token: str
    forget: Callable[[], None]
    """Called before each opening."""

    def set_link(self, query: str) -> dict[str, int]:
        counts: dict[str, int] = json.loads(fetch(self.link.port, f"{CONTROL}?{query}")[1])
        return counts

    @property
    def address(self) -> str:
        return f"http://localhost:{self.link.port}{self.path}"


def signed(account: str, user: int) -> str:
    """Return Zendesk's signed request, good for an hour."""
    now = int(time.time())
    host = f"{account}.zendesk.com"
    audience = f"https://{host}/api/v2/apps/installations/1.json"
    claims = {"iss": host, "aud": audience, "sub": user, "iat": now, "exp": now + 3600}
    return encode(claims, header={})


def measure_openings(world: World, rounds: int, progress: Callable[[str], None]) -> Openings:
    """Open tickets, ours and the naive ones."""
    found = found_chromium()
    link_port, thousand_port = free_port(), free_port()
    key = {"ZENDESK_APP_PUBLIC_KEY": public_key_pem()}
    with (
        world.service_for_a_while("opening", PUBLIC_URL=f"http://localhost:{link_port}", **key) as service,
        world.service_for_a_while(
            "opening-thousand",
            PUBLIC_URL=f"http://localhost:{thousand_port}",
            ZIS_INTEGRATIONS="{subdomain}_thousand",
            **key,
        ) as many,
    ):
        world.connect(service.settings, [ACCOUNT, f"{ACCOUNT}2"])
        world.set_delay(UPSTREAM_MILLISECONDS)
        progress(f"{CROWD} openings within a second")
        look(service, ACCOUNT)
        seen, p99 = opened_at_once(service)
        list_cpu = _cpu_of_lists(service)
        if found.path is None:
            return Openings(found.reason, {}, {}, seen, p99, list_cpu)
        with (
            _link(world, "opening", service.program, link_port) as link,
            _link(world, "thousand", many.program, thousand_port) as far,
            _naive(world) as naive,
            sync_playwright() as playwright,
            playwright.chromium.launch(executable_path=found.path, args=CHROMIUM_FLAGS) as browser,
        ):
            token = signed(ACCOUNT, ADMIN)
            ours = _Subject(OURS, service.program, link, "/sidebar", token, lambda: look(service, ACCOUNT))
            unkept = _Subject(NOTHING_KEPT, service.program, link, "/sidebar", token, lambda: _forget(world))
            by_kind: dict[tuple[str, int, bool], Opened] = {}
            for subject in (ours, unkept, naive):
                for rtt in ROUND_TRIPS:
                    progress(f"opening a ticket: {subject.name}, {rtt} ms")
                    subject.set_link(f"rtt_ms={rtt}")
                    cold, warm = _measured(world, browser, subject, rounds)
                    by_kind[subject.name, rtt, False], by_kind[subject.name, rtt, True] = cold, warm
            progress("painting")
            look(many, Subdomain(f"{ACCOUNT}2"))
            large = _Subject(
                OURS, many.program, far, "/sidebar", signed(f"{ACCOUNT}2", ADMIN),
                lambda: look(many, Subdomain(f"{ACCOUNT}2")),
            )  # fmt: skip
            ours.set_link("rtt_ms=0")
            paint = {
                rows: _painted(world, browser, subject, rows, rounds)
                for rows, subject in zip(ROWS, (ours, large), strict=True)
            }
        return Openings("", by_kind, paint, seen, p99, list_cpu)


def look(service: Service, account: Subdomain) -> None:
    """Let the list be kept and the role known."""
    for request in service.requests([account]):
        _got(service.program.port, request.path, request.authorization or "")


def opened_at_once(service: Service) -> tuple[int, float]:
    """Return how many of 200 people who open a ticket within a second got rows, and the 99th percentile in ms."""
    body = urlencode({"token": signed(ACCOUNT, ADMIN)}).encode()
    head = (
        f"POST /sidebar HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    seen = 0
    latencies: list[float] = []
    statuses: Counter[str] = Counter()

    async def one(at: float) -> None:
        nonlocal seen
        page = await ask(service.program.port, head.encode() + body, at, statuses, latencies)
        seen += page is not None and page.count(b'"qualified_name"') == ROWS[0]

    async def everybody() -> None:
        began = time.perf_counter() + 0.1
        async with asyncio.timeout(LONGEST_WAIT_SECONDS), asyncio.TaskGroup() as group:
            for number in range(CROWD):
                group.create_task(one(began + number / CROWD))

    asyncio.run(everybody())
    return seen, percentile(latencies, 99)


def _got(port: int, path: str, authorization: str) -> bytes:
    import http.client  # noqa: PLC0415 - for this one alone

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"Authorization": authorization})
        reply = connection.getresponse()
        body = reply.read()
        assert reply.status == http.HTTPStatus.OK, body  # noqa: S101 - a benchmark of refusals would be a lie
        return body
    finally:
        connection.close()


def _cpu_of_lists(service: Service) -> float | None:
    """Return milliseconds of CPU of a cached list that is asked for by itself, as an opening is."""
    (request,) = service.requests([ACCOUNT])
    before = cpu_seconds(service.program.processes())
    for _ in range(10 * CPU_OPENINGS):
        _got(service.program.port, request.path, request.authorization or "")
    after = cpu_seconds(service.program.processes())
    return None if before is None or after is None else (after - before) * 1000 / (10 * CPU_OPENINGS)


def _forget(world: World) -> None:
    for kind in ("role", "list"):
        for key in world.redis.scan_iter(match=f"zis:{{{ACCOUNT}}}:{kind}:*"):
            world.redis.delete(key)


@contextmanager
def _link(world: World, name: str, program: Program, port: int | None = None) -> Iterator[Program]:
    port = port or free_port()
    command = [sys.executable, "-m", "benchmarks.slow_link", str(port), str(program.port)]
    link = Program(command, port=port, path=CONTROL, log=world.folder / f"link-{name}.log")
    try:
        yield link.wait_until_ready()
    finally:
        link.stop()


@contextmanager
def _naive(world: World) -> Iterator[_Subject]:
    environment = {
        "PORT": str(free_port()),
        "ZENDESK_URL": f"{world.upstream.url}/a/naive",
        "ZIS_INTEGRATION": "naive_orders",
        "ZENDESK_TOKEN": "static",
    }
    log = world.folder / "naive-page.log"
    program = gunicorn("benchmarks.naive:app", path="/job_specs", log=log, environment=environment)
    try:
        with _link(world, "naive", program.wait_until_ready()) as link:
            yield _Subject(NAIVE, program, link, "/page", "", lambda: None)
    finally:
        program.stop()


def _opening(world: World, context: BrowserContext, page: Page, subject: _Subject) -> Frame:
    """Open a ticket; return the app's frame once its first row has been painted."""
    del context
    subject.forget()
    subject.set_link("reset=1")
    # Of the origin that may frame the page.
    page.goto(f"{world.upstream.url}{UPSTREAM_CONTROL}")
    page.evaluate(_OPEN, [subject.address, subject.token])
    row = page.frame_locator("iframe[name=app]").get_by_test_id("job-spec").first
    row.wait_for()
    frame = page.frame(name="app")
    assert frame is not None  # noqa: S101 - a row stands in it
    frame.wait_for_function("() => globalThis.seenAt !== undefined", polling=20)
    return frame


def _measured(world: World, browser: Browser, subject: _Subject, rounds: int) -> tuple[Opened, Opened]:
    """Return what cold and warm openings came to."""
    cold, warm = Opened(), Opened()
    for number in range(rounds):
        with browser.new_context(locale="en-US") as context:
            context.add_init_script(_WATCH)
            page = context.new_page()
            _note(cold, subject, _opening(world, context, page, subject))
            for _ in range(2):
                _note(warm, subject, _opening(world, context, page, subject))
            if number == rounds - 1 and subject.name != NOTHING_KEPT:
                warm.cpu_milliseconds = _cpu_of(world, context, page, subject)
    return cold, warm


def _cpu_of(world: World, context: BrowserContext, page: Page, subject: _Subject) -> float | None:
    """Return milliseconds of CPU a warm opening; what keeps the list young costs some of its own, and is left out."""
    spent = 0.0
    quick = _Subject(subject.name, subject.program, subject.link, subject.path, subject.token, lambda: None)
    subject.forget()
    for _ in range(CPU_OPENINGS):
        before = cpu_seconds(subject.program.processes())
        _opening(world, context, page, quick)
        after = cpu_seconds(subject.program.processes())
        if before is None or after is None:
            return None
        spent += after - before
    return spent * 1000 / CPU_OPENINGS


def _note(opened: Opened, subject: _Subject, frame: Frame) -> None:
    opened.seconds.append(float(frame.evaluate("seenAt")) / 1000)
    carried = subject.set_link("")
    opened.answers.append(carried["answers"])
    opened.kilobytes.append(carried["bytes"] / 1000)


def _painted(world: World, browser: Browser, subject: _Subject, rows: int, rounds: int) -> Figure:
    """Return milliseconds from the page's last byte to its first row seen, in a browser that has its files."""
    taken = []
    with browser.new_context(locale="en-US") as context:
        context.add_init_script(_WATCH)
        page = context.new_page()
        for number in range(rounds + 1):
            frame = _opening(world, context, page, subject)
            # The others of a long list follow; else it is another list.
            expect(frame.get_by_test_id("job-spec")).to_have_count(rows)
            if number:
                taken.append(
                    float(frame.evaluate("seenAt - performance.getEntriesByType('navigation')[0].responseEnd"))
                )
    return Figure(tuple(taken))


def main() -> None:
    """Measure and print."""
    from benchmarks.report import opening_report  # noqa: PLC0415 - which knows the results, and so this

    parser = argparse.ArgumentParser(prog="python -m benchmarks.opening", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each kind is opened (5)")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder, World(Path(folder)) as world:
        print(opening_report(measure_openings(world, rounds, lambda doing: print(doing, file=sys.stderr))))


if __name__ == "__main__":
    main()
