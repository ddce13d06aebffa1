"""The sandbox as a person starts it, and its simulated Zendesk by its control API."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from typing import Any

import requests

ADMINS = {"acme": 101, "globex": 201}
TIMEOUT_SECONDS = 30
_ADDRESS = re.compile(r"Open (http://[^/\s]+)/")
_SERVICE = re.compile(r"Service\s+(http://[^/\s]+)/")
_BOOTSTRAP = re.compile(r'id="bootstrap">(.*?)</script>', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A running sandbox. `workspace` and `service` are origins."""

    workspace: str
    service: str

    def zendesk(self, method: str, path: str, body: object = None) -> Any:
        """Ask the simulator's control API."""
        address = f"{self.workspace}/_sim{path}"
        response = requests.request(method, address, json=body, timeout=TIMEOUT_SECONDS)
        response.raise_for_status()
        return response.json()

    def act(self, account: str, action: str, **arguments: Any) -> None:
        """Let something happen to an account."""
        self.zendesk("POST", f"/accounts/{account}/actions/{action}", arguments)

    def is_installed(self, account: str, integration: str, name: str) -> bool:
        """Return what Zendesk itself has."""
        integrations = {one["name"]: one for one in self.zendesk("GET", f"/accounts/{account}")["integrations"]}
        specs = {spec["name"]: spec for spec in integrations[integration]["job_specs"]}
        return bool(specs[name]["installed"])

    def start_over(self) -> None:
        """Bring service and simulator back to how they were at the start: nothing connected, the default world."""
        for account, user_id in ADMINS.items():
            # Before the world is reset: the service gives its grants back while they still live.
            self._disconnect(account, user_id)
        self.zendesk("POST", "/reset")

    def _disconnect(self, account: str, user_id: int) -> None:
        for switches in ({"transport": "ok", "rate_limit": "off"},):
            self.zendesk("PATCH", f"/accounts/{account}/switches", switches)
        self.zendesk("PUT", f"/accounts/{account}/faults", [])
        token = self.zendesk("POST", "/sign", {"account": account, "user_id": user_id})["token"]
        page = requests.post(f"{self.service}/sidebar", data={"token": token}, timeout=TIMEOUT_SECONDS).text
        found = _BOOTSTRAP.search(page)
        assert found, page
        bearer = json.loads(unescape(found[1]))["session_token"]
        headers = {"Authorization": f"Bearer {bearer}"}
        requests.delete(f"{self.service}/api/v1/connection", headers=headers, timeout=TIMEOUT_SECONDS)


@contextmanager
def running_sandbox() -> Iterator[Sandbox]:
    """Run `python -m service.sandbox` on free ports."""
    command = [sys.executable, "-m", "service.sandbox", "--port", "0", "--service-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:  # noqa: S603
        try:
            yield _addresses(process)
        finally:
            process.terminate()
            process.communicate(timeout=TIMEOUT_SECONDS)


def _addresses(process: subprocess.Popen[str]) -> Sandbox:
    """Read what the sandbox says until it has said where it is."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        workspace, service = _ADDRESS.search(said), _SERVICE.search(said)
        if workspace and service:
            return Sandbox(workspace[1], service[1])
    raise AssertionError(f"the sandbox did not start:\n{said}")
