"""A real Valkey server, the Zendesk simulator over HTTP, and the service in this process or under gunicorn."""

import os
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any, ClassVar

import pytest
from flask import Flask
from jinja2.bccache import Bucket, BytecodeCache
from playwright.sync_api import Browser, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError
from redis import Redis
from werkzeug.routing import Rule

from sandbox.simulator import APP_ID, CLIENT_ID, CLIENT_SECRET, Simulator
from service.app import create_app
from service.grants import cool_down
from service.grants.pending_pairs import PendingPairs
from service.ground.executor import Executor
from service.ground.settings import Settings
from service.job_specs.bundles import Bundles
from service.store.store import Store
from tests.leftovers import watch
from tests.programs import CHROMIUM_FLAGS, FIREFOX_PREFERENCES, chromium_path, firefox_path, is_firefox_wanted
from tests.quiet_gunicorn import WAITS
from tests.seeding import seed
from tests.steps import PUBLIC_URL, SECRET_KEYS, Admin, collaborator, give_up, is_at_work, wait_until
from tests.workers import LiveService, free_port, running_valkey


class TemplatesInMemory(BytecodeCache):
    """Compiled templates of this process."""

    def __init__(self) -> None:
        self._code: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._code:
            bucket.bytecode_from_string(self._code[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key] = bucket.bytecode_to_string()


class RuleOfThisProcess(Rule):
    """A route that is compiled once a process: compiling is most of what making an application costs."""

    _compiled: ClassVar[dict[tuple[object, ...], Rule]] = {}

    def compile(self) -> None:
        """Take over what compiling the same route for an earlier application has left."""
        key = (self.rule, self.endpoint, frozenset(self.methods or ()), self.strict_slashes, self.merge_slashes)
        first = self._compiled.get(key)
        if first is None:
            super().compile()
            self._compiled[key] = self
        else:
            vars(self).update({**vars(first), "map": self.map})


pytest_plugins = ["tests.machine", "tests.scheduling", "tests.searched", "tests.slow"]
_COMPILED = TemplatesInMemory()
LONGER = 15
# Each starts a browser, gunicorn, or a store that a test may stop.
_PROCESS_FIXTURES = {"chromium", "live_service", "platform_service", "running_site", "theatre", "platform", "upstream"}
# No settings of the service: looked for in the process's own environment, where a machine may have them.
_READ_BY_DOCTOR = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "DYNO", "WEB_CONCURRENCY"}
# A busy machine is no fault of the page.
expect.set_options(timeout=30_000)


def pytest_configure() -> None:
    """End what this run leaves running, and remove its temporary files, however it ends."""
    watch()
    # Tests talk to this machine alone. Without a word of that requests goes through the whole environment at each call,
    # also in threads of a test, while pytest writes the name of the next one there.
    os.environ["no_proxy"] = "localhost,127.0.0.1,::1"
    for name in [name for name in os.environ if name.upper() in _READ_BY_DOCTOR]:
        value = os.environ.pop(name)
        if name.upper() == "HTTPS_PROXY":
            # Of this machine, for the wheels of tests/deploy/image.py.
            os.environ.setdefault("PIP_PROXY", value)
    Flask.url_rule_class = RuleOfThisProcess


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts processes of its own, so that `make quick` can leave it out."""
    for item in items:
        if _PROCESS_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("processes")


@pytest.fixture(scope="session")
def valkey() -> Iterator[Any]:
    """A server on a free loopback port that keeps nothing on disk."""
    with running_valkey(free_port()) as server:
        yield server


@pytest.fixture(scope="session")
def caretaker(valkey: Any) -> Iterator[Redis]:
    """A connection that empties the server before a test; opening one costs more than that."""
    with Redis(port=valkey.port) as client:
        yield client


@pytest.fixture
def redis_url(valkey: Any, caretaker: Redis) -> str:
    """The server's address, with nothing in it."""
    caretaker.flushall()
    caretaker.config_set("maxmemory", "0")
    return f"redis://127.0.0.1:{valkey.port}/0"


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture(scope="session")
def running_simulator() -> Iterator[Simulator]:
    with Simulator(service_url=PUBLIC_URL) as simulator:
        yield simulator


@pytest.fixture
def simulator(running_simulator: Simulator) -> Simulator:
    """The simulated Zendesk in its default world."""
    running_simulator.use_service(PUBLIC_URL)
    running_simulator.reset()
    return running_simulator


@pytest.fixture
def environment(redis_url: str, simulator: Simulator) -> dict[str, str]:
    """A complete environment in mint mode."""
    return {
        "PUBLIC_URL": PUBLIC_URL,
        "REDIS_URL": redis_url,
        "SECRET_KEYS": SECRET_KEYS,
        "ZENDESK_SUBDOMAINS": "acme,globex,initech",
        "ZENDESK_CLIENT_ID": CLIENT_ID,
        "ZENDESK_CLIENT_SECRET": CLIENT_SECRET,
        "ZIS_INTEGRATIONS": "{subdomain}_orders,{subdomain}_shipping,{subdomain}_archive",
        "ZENDESK_APPS": str(APP_ID),
        "ZENDESK_URL_TEMPLATE": simulator.url_template,
        "TRUSTED_PROXIES": "0",
    }


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A browser for all tests of this process: Playwright's synchronous API allows only one of its kind at a time.

    BROWSER=firefox: a Firefox in Chromium's place.
    """
    # Looked for first: Playwright may not even start where there is no browser.
    path = firefox_path() if is_firefox_wanted() else chromium_path()
    with sync_playwright() as playwright:
        if is_firefox_wanted():
            browser = playwright.firefox.launch(
                channel="moz-firefox", executable_path=path, firefox_user_prefs=FIREFOX_PREFERENCES
            )
            skip_unless_spoken_to(browser)
        else:
            browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS, timeout=120_000)
        yield browser
        browser.close()


def skip_unless_spoken_to(browser: Browser) -> None:
    """Skip the test where Playwright asks this Firefox for what it does not know, as 1.65 asks ESR 153."""
    try:
        browser.new_context().close()
    except PlaywrightError as failure:
        browser.close()
        pytest.skip(f"Playwright {version('playwright')} cannot drive Firefox {browser.version}: {failure.message}")


MakeApp = Callable[..., Flask]


@pytest.fixture
def make_app(environment: dict[str, str], simulator: Simulator) -> Iterator[MakeApp]:
    """Make the service with some variables changed, None removes one; `redis` None: as REDIS_URL says."""
    made: list[Flask] = []

    def make(redis: Redis | None = None, **changes: str | None) -> Flask:
        merged: dict[str, str | None] = {**environment, **changes}
        settings = Settings.from_env({name: value for name, value in merged.items() if value is not None})
        app = create_app(settings, redis=redis)
        # Most tests say to the call what Zendesk is asked.
        collaborator(app, Bundles).is_asking = False
        # Compiled once a process, not once an application.
        app.jinja_env.bytecode_cache = _COMPILED
        made.append(app)
        return app

    yield make
    if any(is_at_work(app) for app in made):
        # The next test's Zendesk is not for them, and this one's faults need not hold them up.
        simulator.reset()
    for app in made:
        give_up(app)
        # Left to the collector, whichever comes last may be reported as unclosed, and fails the run.
        collaborator(app, Store).redis.connection_pool.disconnect()


@pytest.fixture
def executor() -> Executor:
    """Threads of no application."""
    return Executor()


@pytest.fixture
def pending_pairs(executor: Executor) -> Iterator[PendingPairs]:
    """What nobody has in hand yet; what is left of it at the end is given up."""
    pairs = PendingPairs(executor)
    yield pairs
    pairs.begin_no_more()
    pairs.finish(0)
    wait_until(lambda: not executor.at_work)


MakeAdmin = Callable[..., Admin]


@pytest.fixture
def make_admin(make_app: MakeApp, simulator: Simulator) -> MakeAdmin:
    """Make a person with a browser and a sidebar of their own, on a service with some variables changed."""

    def make(app: Flask | None = None, **changes: str | None) -> Admin:
        return Admin(make_app(**changes) if app is None else app, simulator)

    return make


@pytest.fixture
def admin(make_admin: MakeAdmin) -> Admin:
    """Acme's admin, connected, with the session that opening the sidebar gives."""
    person = make_admin()
    seed(person.app, person.simulator, "acme", 101)
    person.take_session("acme", 101)
    return person


@pytest.fixture
def long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait LONGER times as long after a failed refresh; the usual two seconds may be over before a test has looked."""
    for name in WAITS:
        monkeypatch.setattr(cool_down, name, LONGER * getattr(cool_down, name))


@pytest.fixture
def quick_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for a change once more at once, not after a second, where nobody turns anything in between."""
    monkeypatch.setattr("service.job_specs.changes.SECOND_LOOK_SECONDS", 0.0)


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once, not after half a second, what Redis has not taken."""
    monkeypatch.setattr("service.grants.pending_pairs.RETRY_SECONDS", 0.01)


@pytest.fixture
def live_service(environment: dict[str, str], simulator: Simulator) -> Iterator[Callable[..., LiveService]]:
    """Start the service under gunicorn with real worker processes; stopped at the end of the test."""
    started: list[LiveService] = []

    def start(workers: int = 3, config: str = "python:tests.quiet_gunicorn", **changes: str) -> LiveService:
        service = LiveService({**environment, **changes}, workers, config=config)
        started.append(service)
        simulator.use_service(service.url)
        service.wait_until_ready()
        return service

    yield start
    for service in started:
        service.stop()
