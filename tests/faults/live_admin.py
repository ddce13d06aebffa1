"""An admin with a browser and an opened sidebar, on services that run under gunicorn."""

import time

import requests

from sandbox.simulator import Simulator
from tests.steps import below_origin, bootstrap_in
from tests.workers import LiveService

# The contract's limit for every request (25 s), and what a busy machine may add.
BUDGET_SECONDS = 40


class LiveAdmin:
    """Calls `service` unless told to call another one that shares its store and keys."""

    def __init__(self, service: LiveService, simulator: Simulator, account: str = "acme", user_id: int = 101) -> None:
        self.service = service
        self._simulator = simulator
        self._account = account
        self._user_id = user_id
        self._session_token = ""
        self._browser = requests.Session()
        # A connection kept open would be waited for when the service ends.
        self._browser.headers["Connection"] = "close"

    def close(self) -> None:
        self._browser.close()

    # --- the browser ---

    def authorize(self, on: LiveService | None = None) -> requests.Response:
        """Begin to connect; the answer redirects to the consent page."""
        address = f"{(on or self.service).url}/oauth/authorize?subdomain={self._account}"
        return self._browser.get(address, allow_redirects=False, timeout=BUDGET_SECONDS)

    def consented(self) -> str:
        """Begin to connect and press Allow; return where Zendesk sends the browser."""
        asked = self.authorize()
        assert asked.status_code == 302, asked.text
        return self._simulator.consent(asked.headers["Location"], self._user_id)

    def come_back(self, location: str, on: LiveService | None = None) -> requests.Response:
        """Follow Zendesk's redirect to the callback; the router may take it to any group."""
        return self._browser.get((on or self.service).url + below_origin(location), timeout=BUDGET_SECONDS)

    def connect(self) -> None:
        """Connect the account and open its sidebar."""
        page = self.come_back(self.consented())
        assert page.status_code == 200, page.text
        self.open_sidebar()

    def open_sidebar(self) -> requests.Response:
        """Open the sidebar as Zendesk does; later calls are made with its session."""
        address = f"{self.service.address}/sidebar?origin={self._simulator.address}&app_guid=1"
        signed = self._simulator.sign(self._account, self._user_id)
        page = requests.post(address, data={"token": signed}, timeout=BUDGET_SECONDS)
        assert page.status_code == 200, page.text
        self._session_token = bootstrap_in(page.text)["session_token"]
        return page

    # --- the sidebar ---

    def call(
        self, method: str, path: str, *, on: LiveService | None = None, fresh: bool = False, waited: float = 0.0
    ) -> requests.Response:
        """Call the API; `fresh`: with `no-cache`; `waited`: seconds the router already has held the request."""
        headers = {
            "Authorization": f"Bearer {self._session_token}",
            "X-Request-Start": str(int((time.time() - waited) * 1000)),
        }
        if fresh:
            headers["Cache-Control"] = "no-cache"
        address = f"{(on or self.service).address}/api/v1{path}"
        return requests.request(method, address, headers=headers, timeout=BUDGET_SECONDS)

    def list_fresh(self, on: LiveService | None = None, *, waited: float = 0.0) -> requests.Response:
        """Ask for a list that is not older than the request."""
        return self.call("GET", "/job_specs", on=on, fresh=True, waited=waited)

    def install(self, name: str, on: LiveService | None = None) -> requests.Response:
        return self.call("POST", f"/job_specs/{name}/install", on=on)

    def disconnect(self, on: LiveService | None = None) -> requests.Response:
        return self.call("DELETE", "/connection", on=on)

    def connection(self, on: LiveService | None = None) -> tuple[str, str | None]:
        """Return the connection's state and its reason, as the status says them."""
        reply = self.call("GET", "/status", on=on)
        assert reply.status_code == 200, reply.text
        told = reply.json()["connection"]
        return told["state"], told["reason"]


def refusal(reply: requests.Response) -> tuple[int, str]:
    """Return status and code of a problem document."""
    return reply.status_code, reply.json()["code"]
