"""The services on which cases are played, each of two gunicorn processes, and the tables that are played on them.

Cases share nothing but a service, so those of a table are played side by side and take as long as the longest.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import pytest
from redis import Redis

from sandbox.simulator import APP_ID, CLIENT_ID, Simulator, public_key_pem, secret_of
from tests.faults.zendesk_scene import INTEGRATION, ZIS_CLIENT, Stage
from tests.steps import SECRET_KEYS
from tests.workers import LiveService, free_port, running_valkey

MINT = {"ZENDESK_CLIENT_ID": CLIENT_ID, "ZIS_INTEGRATIONS": INTEGRATION}
# Nothing is kept, so every list needs the grant's access token.
DIRECT = {"ZENDESK_CLIENT_ID": ZIS_CLIENT, "LIST_CACHE_SECONDS": "0"}
# The usual two seconds may be over before a herd has come.
LONGER = 15
PATIENT = {**DIRECT, "LONGER_WAITS": str(LONGER)}
PROCESSES = 2

C = TypeVar("C")
S = TypeVar("S")


class Theatre:
    """One store and one simulated Zendesk for all stages; nobody else flushes or resets them."""

    def __init__(self, redis_url: str, simulator: Simulator) -> None:
        self.redis_url = redis_url
        self.simulator = simulator

    @contextmanager
    def stage(self, settings: Mapping[str, str], *, processes: int = PROCESSES) -> Iterator[Stage]:
        """Run a service with these settings."""
        with self.service(settings, processes=processes) as service, Redis.from_url(self.redis_url) as redis:
            keys = settings.get("SECRET_KEYS", SECRET_KEYS)
            yield Stage(service, self.simulator, redis, settings["ZENDESK_CLIENT_ID"], keys)

    @contextmanager
    def service(self, settings: Mapping[str, str], *, processes: int = PROCESSES) -> Iterator[LiveService]:
        """Run a service with these settings, and let Zendesk know its redirect URI."""
        environment = {
            "REDIS_URL": self.redis_url,
            "SECRET_KEYS": SECRET_KEYS,
            "ZENDESK_SUBDOMAINS": "*",
            "ZENDESK_CLIENT_SECRET": secret_of(settings["ZENDESK_CLIENT_ID"]),
            "ZENDESK_APPS": str(APP_ID),
            # A process fetches two keys at once, and here dozens of accounts open their sidebars together.
            "ZENDESK_APP_PUBLIC_KEY": public_key_pem(),
            "ZENDESK_URL_TEMPLATE": self.simulator.url_template,
            "TRUSTED_PROXIES": "0",
            # Our own limits are tested elsewhere.
            "RATE_LIMITS": "off",
        }
        service = LiveService({**environment, **settings}, processes)
        try:
            self.simulator.world.redirect_uris.append(f"{service.url}/oauth/callback")
            service.wait_until_ready()
            yield service
        finally:
            service.stop()


@pytest.fixture(scope="session")
def theatre() -> Iterator[Theatre]:
    with running_valkey(free_port()) as server, Simulator(redirect_uris=[]) as simulator:
        yield Theatre(f"redis://127.0.0.1:{server.port}/0", simulator)


@pytest.fixture(scope="session")
def mint(theatre: Theatre) -> Iterator[Stage]:
    """A service that mints a token for the integration."""
    with theatre.stage(MINT) as stage:
        yield stage


@pytest.fixture(scope="session")
def direct(theatre: Theatre) -> Iterator[Stage]:
    """A service whose grant's own access token is the ZIS token."""
    with theatre.stage(DIRECT) as stage:
        yield stage


@contextmanager
def side_by_side(play: Callable[[C], S], cases: Mapping[str, C], together: int) -> Iterator[Callable[[str], S]]:
    """Play all cases of a table, so many at once; yields what returns a case's story, or raises what ended it.

    A test that asks again is red and tried once more (`--reruns`): for it the case is played again.
    """
    asked: set[tuple[str, str]] = set()
    with ThreadPoolExecutor(together) as pool:
        stories: dict[str, Future[S]] = {name: pool.submit(play, case) for name, case in cases.items()}

        def story_of(name: str) -> S:
            test = os.environ["PYTEST_CURRENT_TEST"]
            if (test, name) in asked:
                stories[name] = pool.submit(play, cases[name])
            asked.add((test, name))
            return stories[name].result()

        yield story_of
