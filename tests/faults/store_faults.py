"""Two groups of service processes on one store that may be harmed, by itself or on the way to it."""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

import pytest
import requests
from redis import Redis
from redis.lock import Lock

from sandbox.simulator import APP_ID, CLIENT_ID, CLIENT_SECRET, Simulator
from sandbox.simulator.faults import Fault
from sandbox.simulator.world import Call
from service.grants import grants as grant_scripts
from service.grants.granted import Grant, grant_key
from service.grants.grants import Grants
from service.ground.subdomains import Subdomain
from service.job_specs import kept_lists
from service.store.store import Store
from service.store.vault import Vault
from tests.faults.live_admin import BUDGET_SECONDS, LiveAdmin
from tests.faults.own_valkey import OwnValkey
from tests.faults.store_kinds import own_valkey, skip_unless_demoted_by_hand
from tests.faults.store_proxy import StoreProxy
from tests.steps import SECRET_KEYS, wait_until
from tests.stored_grants import expire_in
from tests.workers import LiveService

ACME = Subdomain("acme")
ZIS_CLIENT = "zis_acme_orders"
SCRIPTS = (
    grant_scripts._UPDATE, grant_scripts._REPLACE, grant_scripts._FORGET, grant_scripts._SAVE_MINTED,
    kept_lists._STORE, kept_lists._MARK, Lock.LUA_RELEASE_SCRIPT,
)  # fmt: skip


@contextmanager
def read_only(valkey: OwnValkey) -> Iterator[None]:
    """Be a replica while the block runs."""
    skip_unless_demoted_by_hand(valkey)
    with valkey.replica():
        yield


StoreFault = Callable[[OwnValkey], AbstractContextManager[None]]
GONE = {"stopped": OwnValkey.stopped, "crashed": OwnValkey.crashed}
# Nothing is answered; a paused one costs every caller the time-outs of a read and its repetition.
AWAY = {**GONE, "paused": OwnValkey.paused}
# Reads are answered, writes refused.
REFUSING = {"read-only": read_only, "disk-full": OwnValkey.unable_to_save, "memory-full": OwnValkey.full}


def fault_cases(faults: Mapping[str, StoreFault]) -> "pytest.MarkDecorator":
    """Return the decorator that runs a test under each of the faults."""
    return pytest.mark.parametrize("fault", faults.values(), ids=faults.keys())


def service_environment(redis_url: str, simulator: Simulator) -> dict[str, str]:
    """Return an environment in mint mode with one integration an account."""
    return {
        "REDIS_URL": redis_url,
        "SECRET_KEYS": SECRET_KEYS,
        "ZENDESK_SUBDOMAINS": "acme,globex,initech",
        "ZENDESK_CLIENT_ID": CLIENT_ID,
        "ZENDESK_CLIENT_SECRET": CLIENT_SECRET,
        "ZIS_INTEGRATIONS": "{subdomain}_orders",
        "ZENDESK_APPS": str(APP_ID),
        "ZENDESK_URL_TEMPLATE": simulator.url_template,
        "TRUSTED_PROXIES": "0",
        # No test finds Redis as full as the one before has left it.
        "MEMORY_LOOK_SECONDS": "0",
    }


def kill_worker(service: LiveService) -> None:
    """End the newest worker of a service as a lost machine would; its gunicorn starts another."""
    pids = re.findall(r"Booting worker with pid: (\d+)", service.log())
    os.kill(int(pids[-1]), signal.SIGKILL)


def has_nothing_in_hand(service: LiveService) -> bool:
    """Return whether the workers of a service have settled all that the store did not take, by their log."""
    log = service.log().rpartition("Booting worker")[2]
    begun = log.count("event=not_stored") + log.count("event=token_to_be_settled")
    return begun == log.count("event=settled") + log.count("event=dropped")


def health(service: LiveService, path: str) -> int:
    """Return the status of /livez or /readyz."""
    return requests.get(service.address + path, timeout=BUDGET_SECONDS).status_code


@contextmanager
def started(environment: dict[str, str], workers: int = 1, *, public_url: str | None = None) -> Iterator[LiveService]:
    """Run a service of the test's own while the block runs."""
    service = LiveService(environment, workers, public_url)
    try:
        service.wait_until_ready()
        yield service
    finally:
        service.stop()


@dataclass
class Site:
    """Service processes in two groups under one public address, the simulated Zendesk, and the store behind a proxy."""

    valkey: OwnValkey
    proxy: StoreProxy
    simulator: Simulator
    one: LiveService
    """With one worker, so that it is known who holds what was asked of it."""
    two: LiveService
    """With two workers."""
    admins: list[LiveAdmin] = field(default_factory=list)

    @property
    def groups(self) -> tuple[LiveService, LiveService]:
        return self.one, self.two

    def environment(self, **changes: str) -> dict[str, str]:
        """Return an environment for processes that share the store, not by way of the proxy."""
        return {**service_environment(self.valkey.url, self.simulator), **changes}

    @property
    def redis(self) -> Redis:
        """The store, not by way of the proxy."""
        return self.valkey.redis

    def admin(self, account: str = "acme", user_id: int = 101, on: LiveService | None = None) -> LiveAdmin:
        admin = LiveAdmin(on or self.one, self.simulator, account, user_id)
        self.admins.append(admin)
        return admin

    def connected(self) -> LiveAdmin:
        """Return acme's admin, connected, whose role is known."""
        admin = self.admin()
        admin.connect()
        assert admin.connection() == ("connected", None)
        self.simulator.world.clear_calls()
        return admin

    def grants(self, *secret_keys: str) -> Grants:
        """Return the service's grants, read from outside; without keys named: under those of all tests."""
        return Grants(Store(self.redis), Vault(secret_keys or tuple(SECRET_KEYS.split(","))), time.time)

    def grant(self) -> Grant | None:
        return self.grants().get(ACME)

    def expire(self, *secret_keys: str) -> Grant:
        """End acme's access tokens at Zendesk and in the record, and forget what was minted; return the grant."""
        self.redis.hdel(grant_key(ACME), "minted:acme_orders")
        return expire_in(self.grants(*secret_keys), self.simulator, client=None)

    def has_live_pair(self) -> bool:
        """Return whether Zendesk honours what is stored, and nothing waits for an answer."""
        grant = self.grant()
        if grant is None or grant.dead is not None or grant.refresh_begun_at is not None:
            return False
        with self.simulator.world.lock:
            return self.simulator.world.account("acme").bearer(grant.access_token) is not None

    def live_tokens(self, client: str = CLIENT_ID) -> int:
        """Return how many access tokens of a client work at Zendesk."""
        with self.simulator.world.lock:
            return self.simulator.world.account("acme").live_tokens().get(client, 0)

    def refreshes(self) -> int:
        """Return how often Zendesk was asked for a new pair."""
        return len(self.simulator.world.calls(account="acme", grant_type="refresh_token"))

    def token_requests(self) -> int:
        """Return how often Zendesk's token endpoint was asked for anything."""
        return len([call for call in self.simulator.world.calls(account="acme") if call.grant_type])

    def lists_asked(self) -> list[Call]:
        return self.simulator.world.calls(path_contains="/registry/acme_orders/job_specs", method="GET")

    def changes_sent(self) -> int:
        return len(self.simulator.world.calls(path_contains="/job_specs/install"))

    def record(self) -> bytes:
        """Return acme's record as Redis has it, for `put_back`."""
        dumped = self.redis.dump(grant_key(ACME))
        assert isinstance(dumped, bytes)
        return dumped

    def put_back(self, record: bytes) -> None:
        """Let acme's record be as it was, as on a replica that lacks the last writes."""
        self.redis.restore(grant_key(ACME), 0, record, replace=True)

    def meets(self, *faults: dict[str, object], account: str = "acme") -> None:
        """Let the account's callers at Zendesk meet these faults, and no others."""
        with self.simulator.world.lock:
            self.simulator.world.account(account).faults[:] = [Fault.from_json(fault) for fault in faults]

    def has_installed(self, name: str) -> bool:
        """Return what Zendesk itself has."""
        spec = self.simulator.world.account("acme").integrations["acme_orders"].find(name)
        assert spec is not None
        return spec.installed


@pytest.fixture(scope="session")
def running_site(request: pytest.FixtureRequest, running_simulator: Simulator) -> Iterator[Site]:
    """Start everything once for a kind of store; what a test ends is started again before the next."""
    proxy = StoreProxy()
    valkey = own_valkey(getattr(request, "param", "one"), proxy.port)
    proxy.target = valkey.port
    with proxy, valkey:
        environment = service_environment(valkey.url_by_proxy, running_simulator)
        one = LiveService(environment, 1)
        two = LiveService(environment, 2, public_url=one.url)
        try:
            yield Site(valkey, proxy, running_simulator, one, two)
        finally:
            for service in (one, two):
                service.process.terminate()
            for service in (one, two):
                service.stop()


@pytest.fixture
def site(running_site: Site, simulator: Simulator) -> Iterator[Site]:
    """Everything at work, with nothing in the store and the simulator in its default world."""
    running_site.redis.flushall()
    for script in SCRIPTS:
        # Once here, so that a held or cut run is the one meant and not the try that finds it unknown.
        running_site.redis.script_load(script)
    simulator.use_service(running_site.one.url)
    for service in running_site.groups:
        service.wait_until_ready()
        wait_until(lambda service=service: has_nothing_in_hand(service))  # type: ignore[misc]
    yield running_site
    simulator.release()
    while running_site.admins:
        running_site.admins.pop().close()
