"""A day of somebody who ships an integration, as docs/ship.md walks through it."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.environment import shell_script
from sandbox.simulator import Simulator
from sandbox.simulator.messages import Reply
from tests.endpoint import Endpoint
from tests.workers import ROOT, LiveService, inherited_environment

PAGE = (ROOT / "docs" / "ship.md").read_text()
SHIPPED = {"escalate_vip_order", "notify_warehouse", "thank_for_order"}
LEFT_OVER = {"open_order_for_ticket", "order_number_changed", "refund_record_created"}


@pytest.fixture
def webhook() -> Iterator[Endpoint]:
    endpoint = Endpoint(Reply(200, b"ok", "text/plain"))
    yield endpoint
    endpoint.stop()


def day() -> str:
    """Return the page's script."""
    found = re.search(r"<!-- day -->\n```bash\n(.*?)```\n<!-- /day -->", PAGE, re.DOTALL)
    assert found
    return found[1]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_day_goes_as_the_page_says(
    live_service: Callable[..., LiveService],
    simulator: Simulator,
    environment: dict[str, str],
    webhook: Endpoint,
    tmp_path: Path,
) -> None:
    alerts = webhook.template.replace("/a/{subdomain}", "/hook")
    service = live_service(1, ALERT_WEBHOOK_URL=alerts)
    script = day().replace("http://127.0.0.1:9000", simulator.address).replace("http://localhost:9001", service.url)
    script = script.replace(".venv/bin/flask", f"{sys.executable} -m flask")
    settings = {**environment, "PUBLIC_URL": service.url, "ALERT_WEBHOOK_URL": alerts}
    ran = subprocess.run(  # noqa: S603 - the page's own words
        ["/bin/bash", "-euo", "pipefail", "-c", shell_script(settings) + script],
        cwd=tmp_path,
        env={**inherited_environment(), "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-4000:]
    lines = ran.stdout.splitlines()

    def has(pattern: str) -> bool:
        return any(re.match(pattern, line) for line in lines)

    # Connected, all installed, and nothing to do.
    assert [line.split()[:2] for line in lines[1:3]] == [["acme", "connected"], ["globex", "connected"]]
    assert has(r"acme: 260 as they should be\.$")

    # The plan after the upload, and what came of it.
    assert has(r"\+ install +acme_orders +thank_for_order$")
    assert has(r"- uninstall +acme_orders +copy_public_comment +An older bundle left it behind")
    planned, applied = [json.loads(line) for line in lines if line.startswith('{"changes"')]
    assert {one["result"] for one in planned["changes"]} == {None}
    results = {one["name"]: one["result"] for one in applied["changes"] if one["integration"] == "acme_orders"}
    assert {name for name, result in results.items() if result == "ok"} == {*SHIPPED, "copy_public_comment"}
    assert applied["left"] == 0
    assert armed(simulator, "acme") == SHIPPED
    table = [line.split() for line in lines if re.match(r"acme_orders .* left over ", line)]
    assert {row[1] for row in table} == LEFT_OVER
    assert has(r"! not listed +acme_orders +copy_public_comment")
    assert has(r"acme: 257 not named, 3 as they should be\.$")

    # In the other account what it lacked was named first, and then everything was done.
    assert has(r"! not listed +globex_orders +thank_for_order")
    assert armed(simulator, "globex") == SHIPPED

    # The dying grant was noticed and told, once, and is healed by connecting again.
    assert has(r"acme +reauthorization_required +grant_revoked ")
    told = [json.loads(request.body) for request in webhook.requests]
    assert [(one["event"], one["account"]) for one in told] == [("reauthorization_required", "acme")]

    # Who did what: by the machine's name and the operator's, each bulk in one entry.
    entries = [json.loads(line) for line in lines if line.startswith('{"at"')]
    machine = {"id": None, "name": "deploy"}
    assert [(one["action"], one["actor"], one["count"]) for one in entries[2:5]] == [
        ("uninstalled", machine, 1), ("installed", machine, 3), ("installed", "operator", 3)]  # fmt: skip
    assert lines[-1] == "deploy of acme was revoked."


def armed(simulator: Simulator, account: str) -> set[str]:
    """Return the job specs of the newest bundle that really fire."""
    specs = simulator.world.account(account).integrations[f"{account}_orders"].job_specs
    return {spec.name for spec in specs if spec.armed and spec.in_bundle}


def test_the_workflow_names_routes_that_are_there() -> None:
    workflow = PAGE.partition("```yaml")[2].partition("```")[0]
    assert set(re.findall(r"/api/v1(/[a-z_/]+)", workflow)) == {"/job_specs/plan", "/job_specs/apply"}
