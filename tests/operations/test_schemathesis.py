"""The live service, asked everything its own description allows and much that it forbids."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from sandbox.simulator import Simulator
from service.operations.api_description.operations import OPERATIONS
from tests.searched import FULL
from tests.steps import bootstrap_in
from tests.workers import LiveService

# Of each operation.
EXAMPLES = 50 if FULL else 5
# No schema says which names an account and its integrations have: a document with others is refused.
CONFIG = """
[[operations]]
include-path-regex = "/job_specs/(plan|apply)$"
checks.positive_data_acceptance.expected-statuses = [200, 400, 401, 403, 404, 409, 429, "5xx"]
"""


def connected_session(service: LiveService, simulator: Simulator) -> str:
    """Connect acme as its admin, and return a session token of theirs."""
    with requests.Session() as browser:
        consent = browser.get(f"{service.url}/oauth/authorize?subdomain=acme", allow_redirects=False)
        back = browser.get(simulator.consent(consent.headers["Location"], 101))
        assert back.ok, back.text
        page = browser.post(f"{service.url}/sidebar", data={"token": simulator.sign("acme", 101)})
    return str(bootstrap_in(page.text)["session_token"])


@pytest.mark.parametrize("is_connected", [True, False], ids=["connected", "a stranger"])
def test_no_answer_is_outside_the_description(
    live_service: Callable[..., LiveService], simulator: Simulator, tmp_path: Path, *, is_connected: bool
) -> None:
    service = live_service(workers=2, RATE_LIMITS="off")
    token = connected_session(service, simulator) if is_connected else "none"
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", f"{service.url}/openapi.json",
        "--header", f"Authorization: Bearer {token}", "--checks", "all", "--max-examples", str(EXAMPLES),
        "--seed", "1", "--generation-database", "none", "--phases", "examples,coverage,fuzzing",
    ]  # fmt: skip
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter

    said = run.stdout[-8000:] + run.stderr[-2000:]
    assert run.returncode == 0, said
    assert f"Tested: {len(OPERATIONS)}" in run.stdout, said
    assert ("Authentication failed" in run.stdout) is not is_connected, said
