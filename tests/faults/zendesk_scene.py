"""A case's own account: what its people do, what Zendesk does to it, and what both were asked."""

import itertools
import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import requests
from redis import Redis
from requests.cookies import RequestsCookieJar

from sandbox.simulator import CLIENT_ID, Account, Simulator
from sandbox.simulator.faults import Fault
from sandbox.simulator.integrations import make_job_spec
from sandbox.simulator.people import Token
from sandbox.simulator.world import Call
from service.grants.granted import Grant, MintedToken
from service.grants.grants import Grants
from service.ground.subdomains import Subdomain
from service.store.store import Store
from service.store.vault import Vault
from tests.steps import bootstrap_in, wait_until
from tests.workers import LiveService, at_once

INTEGRATION = "orders"
INSTALLED, ABSENT = "open_order", "escalate_order"
ZIS_CLIENT = f"zis_{INTEGRATION}"
OTHER_CLIENT = "another_sidebar"
ADMIN, OTHER_ADMIN, AGENT = 1, 2, 3
HERD = 6
DEAD = "reauthorization_required"
# The first wait after a failure of the token endpoint is 2 s, jittered down to this.
SHORTEST_WAIT_SECONDS = 1.5
# What the contract gives a request, and what a busy machine may add.
BUDGET_SECONDS = 25.0
NOISE_SECONDS = 10.0
_RESULT = re.compile(r'"code": *(null|"[a-z_]+")')


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller got."""

    status: int
    body: dict[str, Any]
    """Empty: not JSON."""
    headers: Mapping[str, str]
    seconds: float
    code: str | None

    @property
    def seen(self) -> str:
        """Status and code in one, as tables write it."""
        return f"{self.status} {self.code}" if self.code else str(self.status)

    @property
    def retry_after(self) -> int | None:
        """The header, in seconds; the body must say the same."""
        header = self.headers.get("Retry-After")
        seconds = None if header is None else int(header)
        assert self.body.get("retry_after") == seconds
        return seconds

    @property
    def is_in_budget(self) -> bool:
        return self.seconds < BUDGET_SECONDS + NOISE_SECONDS


def refreshes_allowed(*herds: list[Answer]) -> int:
    """Return how often the token endpoint may be asked while it fails and these herds are answered, one by one."""
    seconds = sum(max(answer.seconds for answer in herd) for herd in herds)
    return 1 + int(seconds // SHORTEST_WAIT_SECONDS)


def _answer(send: Callable[[], requests.Response]) -> Answer:
    began = time.monotonic()
    reply = send()
    seconds = time.monotonic() - began
    body = reply.json() if "json" in reply.headers.get("Content-Type", "") else {}
    code = body.get("code")
    if not body and (found := _RESULT.search(reply.text)):
        # The callback's page tells its opener.
        code = json.loads(found[1])
    return Answer(reply.status_code, body, reply.headers, seconds, code)


class Stage:
    """One service, the simulated Zendesk, and the store."""

    _numbers = itertools.count(1)

    def __init__(self, service: LiveService, simulator: Simulator, redis: Redis, client: str, keys: str) -> None:
        self.service = service
        self.simulator = simulator
        self.redis = redis
        self.client = client
        self.grants = Grants(Store(redis), Vault(tuple(keys.split(","))), time.time)

    def scene(self, **switches: Any) -> "Scene":
        """Return a new account with these switches, that nobody has connected."""
        number = next(self._numbers)
        account = Account(f"case{number}", 5000 + number, 700_000 + number)
        for user_id, role in ((ADMIN, "admin"), (OTHER_ADMIN, "admin"), (AGENT, "agent")):
            account.add_user(user_id, f"Person {user_id}", role)
        for client in (CLIENT_ID, OTHER_CLIENT):
            account.add_client(client, "Sidebar")
        integration = account.add_integration(INTEGRATION)
        integration.job_specs = [make_job_spec(INTEGRATION, name) for name in (INSTALLED, ABSENT)]
        integration.job_specs[0].installed = integration.job_specs[0].armed = True
        account.switches.set(switches)
        with self.simulator.world.lock:
            self.simulator.world.accounts[account.subdomain] = account
        return Scene(self, account)

    def connected(self, **switches: Any) -> "Scene":
        """Return a new account, connected by its admin, whose sidebar is open and has asked for the status."""
        scene = self.scene(**switches)
        assert scene.connect().seen == "200"
        scene.open_sidebar()
        # As the page does; Zendesk has named the admin then, and the next call is about what the test asks. A status
        # does not wait longer than 3 s for the role.
        wait_until(lambda: bool(scene.status()["user"]["can_manage"]))
        return scene


class Scene:
    """One account: what its admin does, what Zendesk does to it, and what both were asked."""

    def __init__(self, stage: Stage, account: Account) -> None:
        self.stage = stage
        self.account = account
        self.name = Subdomain(account.subdomain)
        self._headers: dict[str, str] = {}

    # --- people ---

    def connect(self, user_id: int = ADMIN) -> Answer:
        """Connect the account; returns the callback's page."""
        return self.come_back(self.consent(user_id))

    def consent(self, user_id: int = ADMIN) -> tuple[RequestsCookieJar, str]:
        """Go as far as the consent page; returns the browser's cookies and the address Zendesk sends it to."""
        url = f"{self.stage.service.url}/oauth/authorize?subdomain={self.name}"
        asked = requests.get(url, allow_redirects=False, timeout=40)
        return asked.cookies, self.stage.simulator.consent(asked.headers["Location"], user_id)

    def come_back(self, consented: tuple[RequestsCookieJar, str]) -> Answer:
        """Follow Zendesk's redirect to the callback."""
        cookies, location = consented
        return _answer(lambda: requests.get(location, cookies=cookies, timeout=40))

    def on(self, stage: Stage) -> "Scene":
        """Return the same account as another service sees it, with a sidebar opened there."""
        elsewhere = Scene(stage, self.account)
        elsewhere.open_sidebar()
        return elsewhere

    def open_sidebar(self, user_id: int = ADMIN) -> None:
        """Open the sidebar; later calls are made with its session."""
        url = f"{self.stage.service.address}/sidebar?origin={self.stage.simulator.address}&app_guid=1"
        page = requests.post(url, data={"token": self.stage.simulator.sign(self.name, user_id)}, timeout=40)
        assert page.status_code == 200, page.text
        self._headers = {"Authorization": f"Bearer {bootstrap_in(page.text)['session_token']}"}

    def call(self, method: str, path: str, **headers: str) -> Answer:
        """Call the API with the sidebar's session."""
        url = f"{self.stage.service.address}/api/v1{path}"
        return _answer(lambda: requests.request(method, url, headers=self._headers | headers, timeout=40))

    def job_specs(self) -> Answer:
        return self.call("GET", "/job_specs")

    def fresh_job_specs(self) -> Answer:
        """Ask for a list that is not older than the request."""
        return self.call("GET", "/job_specs", **{"Cache-Control": "no-cache"})

    def status(self) -> dict[str, Any]:
        answer = self.call("GET", "/status")
        assert answer.seen == "200", answer
        assert answer.is_in_budget
        return answer.body

    def standing(self) -> tuple[str, str | None]:
        """Return (state, reason) of the connection as the status tells it."""
        connection = self.status()["connection"]
        return connection["state"], connection["reason"]

    def install(self, name: str = ABSENT) -> Answer:
        """Install by the qualified name, which needs no list."""
        return self.call("POST", f"/job_specs/zis:{INTEGRATION}:job_spec:{name}/install")

    def disconnect(self) -> Answer:
        return self.call("DELETE", "/connection")

    def herd(self, count: int = HERD, *, fresh: bool = False) -> list[Answer]:
        """Let so many callers ask for the list at the same moment."""
        answers = at_once(count, lambda _: self.fresh_job_specs() if fresh else self.job_specs())
        assert all(isinstance(answer, Answer) for answer in answers), answers
        return answers

    def impatient_job_specs(self, seconds: float = 40.0) -> Answer:
        """Ask for the list five times a second, whatever the answers say, until it comes or an admin has to connect."""
        end = time.monotonic() + seconds
        last = {"200", "409 authorization_required"}
        while (answer := self.fresh_job_specs()).seen not in last and time.monotonic() < end:
            threading.Event().wait(0.2)
        return answer

    # --- Zendesk ---

    def meets(self, *faults: dict[str, Any]) -> None:
        """Let the account's callers meet these faults from now on, and no others; what is held is let go."""
        with self.stage.simulator.world.lock:
            self.account.faults[:] = [Fault.from_json(fault) for fault in faults]
            self.account.release()

    def calls(self, path_contains: str = "", **criteria: Any) -> list[Call]:
        """Return what Zendesk was asked about the account."""
        return self.stage.simulator.world.calls(account=self.name, path_contains=path_contains, **criteria)

    def refreshes(self) -> int:
        """Return how often the token endpoint was asked for a new pair."""
        return len(self.calls(grant_type="refresh_token"))

    def lists_asked(self) -> int:
        """Return how many pages of lists Zendesk was asked for."""
        return len(self.calls(f"/registry/{INTEGRATION}/job_specs"))

    def mints(self) -> int:
        return len(self.calls("/api/v2/oauth/tokens", method="POST"))

    def changes_sent(self) -> int:
        return len(self.calls("/job_specs/install"))

    def has_installed(self, name: str = ABSENT) -> bool:
        """Return what Zendesk itself has."""
        spec = self.account.integrations[INTEGRATION].find(name)
        assert spec is not None
        return spec.installed

    def tokens_left(self) -> list[Token]:
        """Return every token at Zendesk that was not revoked, with its refresh token."""
        with self.stage.simulator.world.lock:
            return list(self.account.tokens.values())

    # --- time, and what is stored ---

    def grant(self) -> Grant:
        grant = self.stage.grants.get(self.name)
        assert grant is not None
        return grant

    def is_stored(self) -> bool:
        return self.stage.grants.get(self.name) is not None

    def rewrite(self, **fields: Any) -> None:
        """Change fields of the stored grant."""
        grant = self.grant()
        assert self.stage.grants.update(self.name, grant, grant.changed(**fields))

    def expire(self) -> None:
        """Let the grant's access token end, here and at Zendesk."""
        with self.stage.simulator.world.lock:
            self.account.expire_access_tokens(self.stage.client)
        self.rewrite(obtained_at=time.time() - 1900, expires_at=time.time() - 100)

    def make_stale(self) -> None:
        """Let the grant's access token come into its last tenth."""
        self.rewrite(obtained_at=time.time() - 1700, expires_at=time.time() + 100)

    def age_list(self) -> None:
        """Let the kept list be older than lists are served unasked."""
        key = f"zis:{{{self.name}}}:list:{INTEGRATION}"
        asked_at = int(self.stage.redis.hget(key, "asked_at") or 0)
        self.stage.redis.hset(key, "asked_at", asked_at - 60_000_000)

    def minted(self) -> MintedToken | None:
        return self.stage.grants.with_minted(self.name, INTEGRATION)[1]

    def drop_minted(self) -> None:
        """Make the next list need a token that is yet to be minted."""
        self.stage.redis.hdel(f"zis:{{{self.name}}}:grant", f"minted:{INTEGRATION}")
        with self.stage.simulator.world.lock:
            self.account.revoke_grants(ZIS_CLIENT)

    def cool_down_seconds(self) -> float:
        """Return how long the token endpoint is not asked again; 0: it may be asked."""
        return max(0, int(self.stage.redis.pttl(f"zis:{{{self.name}}}:cool_down"))) / 1000

    def end_cool_down(self) -> None:
        """Let a wait be over that is too long for a test."""
        self.stage.redis.delete(f"zis:{{{self.name}}}:cool_down")
