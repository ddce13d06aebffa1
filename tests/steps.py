"""What people do, as steps that journeys are made of."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import Flask
from redis import Redis
from werkzeug.test import TestResponse

from sandbox.simulator import Simulator, secret_of
from sandbox.simulator.faults import Fault
from sandbox.simulator.integrations import JobSpec
from sandbox.simulator.world import Call
from service.grants.access_tokens import AccessTokens
from service.grants.alerts import Alerts
from service.ground.executor import Executor
from service.ground.subdomains import Subdomain
from service.people.sessions import Sessions
from service.services import Services

PUBLIC_URL = "http://localhost:9001"
SECRET_KEYS = "first-key-of-the-tests-0123456789abcdef,second-key-of-the-tests-0123456789abcde"
DIRECT: dict[str, str | None] = {
    "ZENDESK_CLIENT_ID": "zis_acme_orders",
    "ZENDESK_CLIENT_SECRET": secret_of("zis_acme_orders"),
    "ZIS_INTEGRATIONS": None,
    "ZENDESK_SUBDOMAINS": "acme",
}
"""Settings of direct mode, where the grant's own token is the ZIS token of acme_orders."""
ORDERS_ONLY = {"ZIS_INTEGRATIONS": "{subdomain}_orders"}
T = TypeVar("T")
_BOOTSTRAP = re.compile(r'<script type="application/json" id="bootstrap">(.*?)</script>', re.DOTALL)


def below_origin(url: str) -> str:
    """Return path and query of a URL, for a test client."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def bootstrap_in(page: str) -> dict[str, Any]:
    """Return what the sidebar's page was given."""
    bootstrap: dict[str, Any] = json.loads(_BOOTSTRAP.findall(page)[0])
    return bootstrap


def services(app: Flask) -> Services:
    """Return the application's collaborators."""
    found: Services = app.extensions["zis_services"]
    return found


def collaborator(app: Flask, kind: type[T]) -> T:
    """Return the application's one object of a class."""
    built = services(app)
    found = (getattr(built, field.name) for field in fields(built))
    return next(one for one in found if type(one) is kind)


def wait_until(is_so: Callable[[], bool], seconds: float = 30.0) -> None:
    """Return once something is so that another thread brings about; for what cannot be waited for otherwise."""
    moment = threading.Event()
    for _ in range(int(seconds * 200)):
        if is_so():
            return
        moment.wait(0.005)
    raise AssertionError("it did not come about in time")


def settle(app: Flask) -> None:
    """Return once the application has nothing in hand any more that it can store or revoke now."""
    collaborator(app, AccessTokens).pending_pairs.finish(30)


def give_up(app: Flask) -> None:
    """Let an application end as its process would: what it cannot settle or tell now is not tried again."""
    collaborator(app, AccessTokens).pending_pairs.begin_no_more()
    settle(app)
    # Its own work alone: what another application has left is no fault of this one.
    wait_until(lambda: not is_at_work(app))
    # At once, what is just being told would be put back afterwards.
    collaborator(app, Alerts).finish(30)


def fill(redis: Redis, share: float) -> None:
    """Let this share of the memory that Redis may use be in use."""
    # So much that what a test itself needs makes no difference; made there, since it would count on its way as well.
    redis.setrange("junk", 20_000_000, "x")
    redis.config_set("maxmemory", int(redis.info("memory")["used_memory"] / share))


@contextmanager
def lockable(redis: Redis) -> Iterator[Callable[[], None]]:
    """Yield what keeps everybody else out of Redis from then on; whatever happens, they are let in after the block."""

    def lock() -> None:
        redis.config_set("requirepass", "unknown")
        redis.client_kill_filter(_type="normal", skipme=True)

    try:
        yield lock
    finally:
        redis.config_set("requirepass", "")


def waiters(event: threading.Event) -> int:
    """Return how many threads wait for an event."""
    return len(event._cond._waiters)  # type: ignore[attr-defined]  # nothing public tells


def is_at_work(app: Flask) -> bool:
    """Return whether an application is still at something for a request that has been answered."""
    return collaborator(app, Executor).at_work > 0


class Admin:
    """A person with a browser (cookies) and an opened sidebar."""

    def __init__(self, app: Flask, simulator: Simulator) -> None:
        self.app = app
        self.browser = app.test_client()
        self.simulator = simulator
        self.session_token = ""

    def settle(self) -> None:
        """Wait until the service has revoked what it revokes after its answers."""
        settle(self.app)

    def authorize(self, account: str = "acme") -> str:
        """Begin to connect; return the consent page's address."""
        reply = self.browser.get(f"/oauth/authorize?subdomain={account}")
        assert reply.status_code == 302, reply.text
        return str(reply.location)

    def come_back(self, location: str) -> TestResponse:
        """Follow Zendesk's redirect to the callback."""
        return self.browser.get(below_origin(location))

    def connect(self, account: str = "acme", user_id: int | None = None) -> TestResponse:
        """Connect an account and open its sidebar."""
        user_id = user_id or {"acme": 101, "globex": 201, "initech": 301}[account]
        reply = self.come_back(self.simulator.consent(self.authorize(account), user_id))
        self.open_sidebar(account, user_id)
        return reply

    def post_sidebar(self, token: str) -> TestResponse:
        """Open the page as Zendesk does."""
        address = f"/sidebar?origin={self.simulator.address}&app_guid=0f3c"
        return self.browser.post(address, data={"token": token})

    def open_sidebar(self, account: str = "acme", user_id: int = 101, **forms: Any) -> dict[str, Any]:
        """Open the sidebar; later calls are made with its session. Returns its bootstrap."""
        reply = self.post_sidebar(self.simulator.sign(account, user_id, **forms))
        assert reply.status_code == 200, reply.text
        bootstrap = bootstrap_in(reply.text)
        self.session_token = bootstrap["session_token"]
        return bootstrap

    def take_session(self, account: str, user_id: int) -> None:
        """Have the session that opening the sidebar gives, without the signed request and the page."""
        installation = self.simulator.world.account(account).installation_id
        session = collaborator(self.app, Sessions).issue(Subdomain(account), user_id, installation, int(time.time()))
        self.session_token = session[0]

    def call(self, method: str, path: str, **options: Any) -> TestResponse:
        """Call the API with the sidebar's session."""
        headers = {"Authorization": f"Bearer {self.session_token}", **options.pop("headers", {})}
        return self.browser.open(f"/api/v1{path}", method=method, headers=headers, **options)

    def status(self) -> dict[str, Any]:
        reply = self.call("GET", "/status")
        assert reply.status_code == 200, reply.text
        body: dict[str, Any] = reply.get_json()
        return body

    def job_specs(self, query: str = "") -> dict[str, Any]:
        reply = self.call("GET", f"/job_specs{query}")
        assert reply.status_code == 200, reply.text
        body: dict[str, Any] = reply.get_json()
        return body

    def install(self, name: str, query: str = "") -> TestResponse:
        return self.call("POST", f"/job_specs/{name}/install{query}")

    def uninstall(self, name: str, query: str = "") -> TestResponse:
        return self.call("DELETE", f"/job_specs/{name}/install{query}")

    def connect_with(self, *installed: str) -> None:
        """Connect acme, of whose orders these job specs are installed and no others."""
        self.connect("acme")
        for spec in self.specs_of():
            spec.installed = spec.armed = spec.name in installed
        self.simulator.world.clear_calls()

    def specs_of(self, account: str = "acme") -> list[JobSpec]:
        """Return the job specs of an account's orders as Zendesk itself has them."""
        return self.simulator.world.account(account).integrations[f"{account}_orders"].job_specs

    def installed(self, account: str = "acme") -> set[str]:
        """Return the names of those that are installed."""
        return {spec.name for spec in self.specs_of(account) if spec.installed}

    def has_installed(self, integration: str, name: str) -> bool:
        """Return what Zendesk itself has."""
        spec = self.simulator.world.account(integration.partition("_")[0]).integrations[integration].find(name)
        assert spec is not None
        return spec.installed

    def list_fresh(self, query: str = "") -> TestResponse:
        """Ask for a list that is not older than the request."""
        return self.call("GET", f"/job_specs{query}", headers={"Cache-Control": "no-cache"})

    def disconnect(self, query: str = "") -> TestResponse:
        return self.call("DELETE", f"/connection{query}")

    # --- Zendesk's side ---

    def meets(self, *faults: dict[str, Any], account: str = "acme") -> None:
        """Let the account's callers meet these faults from now on, and no others; what is held is let go."""
        with self.simulator.world.lock:
            of_account = self.simulator.world.account(account)
            of_account.faults[:] = [Fault.from_json(fault) for fault in faults]
            of_account.release()

    def switch(self, *, account: str = "acme", **values: Any) -> None:
        with self.simulator.world.lock:
            self.simulator.world.account(account).switches.set(values)

    def calls(self, path_contains: str = "", **criteria: Any) -> list[Call]:
        """Return what Zendesk was asked."""
        return self.simulator.world.calls(path_contains=path_contains, **criteria)

    def lists_asked(self, integration: str = "acme_orders") -> int:
        """Return how many pages of lists Zendesk was asked for."""
        return len(self.calls(f"/registry/{integration}/job_specs", method="GET"))

    def changes_sent(self) -> list[tuple[str, str | None]]:
        """Return (method, qualified name) of every change that Zendesk was sent."""
        return [(call.method, call.job_spec_name) for call in self.calls("/job_specs/install")]
