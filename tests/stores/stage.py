"""The service under gunicorn on a group of real servers, and what a test does to either."""

import contextlib
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import requests

from sandbox.simulator import Simulator
from sandbox.store_groups import Server
from service.grants.granted import Grant, grant_key
from service.grants.grants import Grants
from service.ground.errors import StoreUnavailable
from service.ground.subdomains import Subdomain
from service.store.store import Store
from service.store.vault import Vault
from tests.faults.live_admin import LiveAdmin
from tests.faults.store_faults import service_environment
from tests.steps import SECRET_KEYS, wait_until
from tests.test_settings import make_settings
from tests.workers import LiveService

ACME = Subdomain("acme")
SPEC = "zis:acme_orders:job_spec:escalate_vip_order"
# How often each way of failing over is gone through; `make nightly` sets more.
ROUNDS = int(os.environ.get("STORE_ROUNDS", "2"))
# A group that fails over and finds itself again, on a busy machine.
LONG_SECONDS = 90.0
# Longer than a call: one whose token is replaced twice on its way is refused twice.
EXPIRE_EVERY_SECONDS = 3.0
# What callers may be told while nobody can write, too many wait, or a lease is waited for that could not be given back.
NO_ANSWER = (0, "none within the time that a caller has")
PASSING = {
    (503, "store_unavailable"),
    (429, "rate_limited"),
    (504, "zendesk_timeout"),
    # A busy machine: a call that took longer than it takes for its token to be replaced twice, or than 25 s.
    (502, "zendesk_unavailable"),
    NO_ANSWER,
}


class Group(Protocol):
    """Servers that hold the store together."""

    url: str

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def is_whole(self) -> bool: ...

    @property
    def everybody(self) -> tuple[Server, ...]: ...

    @property
    def masters(self) -> tuple[Server, ...]: ...


@dataclass
class Stage:
    """A group, the simulated Zendesk, and a service with two workers."""

    group: Group
    simulator: Simulator
    service: LiveService
    environment: dict[str, str]
    store: Store
    """Of the tests' own, made as the service makes its."""
    admins: list[LiveAdmin] = field(default_factory=list)

    @property
    def grants(self) -> Grants:
        return Grants(self.store, Vault(tuple(SECRET_KEYS.split(","))), time.time)

    def connected(self) -> LiveAdmin:
        """Return acme's admin, connected."""
        admin = LiveAdmin(self.service, self.simulator)
        self.admins.append(admin)
        admin.connect()
        assert admin.connection() == ("connected", None)
        self.simulator.world.clear_calls()
        return admin

    def grant(self) -> Grant:
        grant = self.grants.get(ACME)
        assert grant is not None
        return grant

    def expire(self) -> bool:
        """Let the next caller refresh acme's token, and mint; False: the record was written meanwhile.

        At Zendesk it lives on: callers on their way would be refused again and again.
        """
        self.store.write(("HDEL", grant_key(ACME), "minted:acme_orders"))
        grant = self.grant()
        now = time.time()
        return self.grants.update(ACME, grant, grant.changed(obtained_at=now - 1900, expires_at=now - 100))

    def has_live_pair(self) -> bool:
        """Return whether Zendesk honours what is stored, and nothing waits for an answer."""
        with contextlib.suppress(StoreUnavailable):
            return self._has_live_pair()
        return False

    def _has_live_pair(self) -> bool:
        grant = self.grant()
        if grant.dead is not None or grant.refresh_begun_at is not None:
            return False
        with self.simulator.world.lock:
            return self.simulator.world.account("acme").bearer(grant.access_token) is not None

    def refreshes(self) -> int:
        return len(self.simulator.world.calls(account="acme", grant_type="refresh_token"))

    def has_refreshed(self, before: int) -> bool:
        """Return whether there was a refresh more than `before`."""
        return self.refreshes() > before

    @contextlib.contextmanager
    def load(self, admin: LiveAdmin) -> Iterator[Counter[tuple[int, str]]]:
        """Have lists, changes, handshakes and refreshes go on while the block runs; yields what callers were told."""
        told: Counter[tuple[int, str]] = Counter()
        stop = threading.Event()

        def go_on(*acts: str) -> None:
            while not stop.is_set():
                for act in acts:
                    try:
                        reply = self._act(admin, act)
                    except requests.Timeout:
                        told[NO_ANSWER] += 1
                    else:
                        told[reply.status_code, "" if reply.ok else code_of(reply)] += 1

        def let_expire() -> None:
            while not stop.wait(EXPIRE_EVERY_SECONDS):
                with contextlib.suppress(StoreUnavailable):
                    self.expire()

        threads = [
            threading.Thread(target=let_expire),
            *(threading.Thread(target=go_on, args=("list",)) for _ in range(3)),
            threading.Thread(target=go_on, args=("install", "uninstall")),
            threading.Thread(target=go_on, args=("authorize",)),
        ]
        for thread in threads:
            thread.start()
        try:
            yield told
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def _act(self, admin: LiveAdmin, act: str) -> requests.Response:
        match act:
            case "list":
                return admin.list_fresh()
            case "install":
                return admin.install(SPEC)
            case "uninstall":
                return admin.call("DELETE", f"/job_specs/{SPEC}/install")
            case _:
                return admin.authorize()

    def is_connected(self, admin: LiveAdmin) -> bool:
        """Return whether the status says so; False: it does not, or cannot be told now."""
        reply = admin.call("GET", "/status")
        return reply.ok and reply.json()["connection"]["state"] == "connected"

    def is_well(self, admin: LiveAdmin) -> bool:
        """Return whether a list is answered and a token refreshed, or it is to be tried again."""
        with contextlib.suppress(StoreUnavailable):
            return self.expire() and admin.list_fresh().status_code == 200
        return False


def code_of(reply: requests.Response) -> str:
    """Return the code of a problem; of a page the one that it names."""
    if reply.headers["Content-Type"].startswith("application/problem+json"):
        return str(reply.json()["code"])
    return next((code for _, code in PASSING if code in reply.text), reply.text[:200])


@contextlib.contextmanager
def set_up(group: Group, simulator: Simulator) -> Iterator[Stage]:
    """Run a group and a service on it while the block runs."""
    try:
        group.start()
        environment = {**service_environment(group.url, simulator), "RATE_LIMITS": "off"}
        store = Store.from_settings(make_settings(REDIS_URL=group.url))
        service = LiveService(environment, 2)
        try:
            service.wait_until_ready()
            yield Stage(group, simulator, service, {**environment, "PUBLIC_URL": service.url}, store)
        finally:
            service.stop()
            store.close()
    finally:
        group.stop()


def made_ready(stage: Stage, simulator: Simulator) -> Iterator[Stage]:
    """Yield the stage with nothing in the store and the simulator in its default world."""
    wait_until(stage.group.is_whole, LONG_SECONDS)
    for master in stage.group.masters:
        master.redis.flushall()
    simulator.use_service(stage.service.url)
    stage.service.wait_until_ready()
    yield stage
    simulator.release()
    while stage.admins:
        stage.admins.pop().close()


def pause_until_replaced(master: Server, is_replaced: Callable[[], bool], is_well: Callable[[], bool]) -> None:
    """Let a master answer nobody until the service has found its successor.

    In the moment of its return it takes writes that are lost: nobody has told it yet that it was replaced.
    """
    master.pause()
    try:
        wait_until(is_replaced, LONG_SECONDS)
        wait_until(is_well, LONG_SECONDS)
    finally:
        master.resume()


def fails_over(stage: Stage, fail_over: Callable[[Callable[[], bool]], None]) -> None:
    """Go through a failover again and again, under load; callers are told to come again, and no grant is lost."""
    admin = stage.connected()
    for _ in range(ROUNDS):
        wait_until(stage.group.is_whole, LONG_SECONDS)
        before = stage.refreshes()
        with stage.load(admin) as told:
            wait_until(partial(stage.has_refreshed, before), LONG_SECONDS)
            fail_over(partial(stage.is_well, admin))
            wait_until(partial(stage.is_well, admin), LONG_SECONDS)
        assert {reply for reply in told if reply[0] >= 400} <= PASSING, told
        wait_until(stage.has_live_pair, LONG_SECONDS)
        wait_until(partial(stage.is_connected, admin), LONG_SECONDS)
        wait_until(partial(stage.is_well, admin), LONG_SECONDS)
