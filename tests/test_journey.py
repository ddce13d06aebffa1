"""Authorize to disconnect in one story, in both token modes."""

import pytest

from tests.conftest import MakeAdmin
from tests.steps import DIRECT


@pytest.mark.parametrize("mode", ["mint", "direct"])
def test_connect_list_switch_and_disconnect(mode: str, make_admin: MakeAdmin) -> None:
    admin = make_admin(**(DIRECT if mode == "direct" else {}))
    world = admin.simulator.world
    integrations = ["acme_orders"] if mode == "direct" else ["acme_archive", "acme_orders", "acme_shipping"]

    page = admin.connect("acme")
    assert page.status_code == 200, page.text
    assert "Ada Morgan" in page.text

    status = admin.status()
    assert status["connection"]["state"] == "connected"
    assert status["connection"]["authorized_by"] == {"id": 101, "name": "Ada Morgan"}
    assert status["user"] == {"id": 101, "role": "admin", "can_manage": True, "reason": None}
    assert [(one["name"], one["state"]) for one in status["integrations"]] == [(name, "ready") for name in integrations]

    listed = admin.job_specs()
    assert [one["name"] for one in listed["integrations"]] == integrations
    names = [(spec["integration"], spec["name"]) for spec in listed["job_specs"]]
    assert names == sorted(names)
    assert len(names) == (6 if mode == "direct" else 260)

    installed = admin.install("escalate_vip_order")
    assert installed.status_code == 200, installed.text
    assert installed.get_json()["verified"] is True
    assert installed.get_json()["job_spec"]["installed"] is True
    assert admin.has_installed("acme_orders", "escalate_vip_order")

    uninstalled = admin.uninstall("zis:acme_orders:job_spec:escalate_vip_order")
    assert uninstalled.status_code == 200, uninstalled.text
    assert not admin.has_installed("acme_orders", "escalate_vip_order")
    assert not next(one for one in admin.job_specs()["job_specs"] if one["name"] == "escalate_vip_order")["installed"]

    gone = admin.call("DELETE", "/connection")
    assert gone.get_json() == {"revoked": True}, gone.text
    assert admin.status()["connection"]["state"] == "not_connected"
    assert admin.call("GET", "/job_specs").get_json()["code"] == "authorization_required"
    assert world.account("acme").live_tokens() == {}

    activity = admin.call("GET", "/activity").get_json()["activity"]
    assert [one["action"] for one in activity] == ["disconnected", "uninstalled", "installed", "connected"]
    assert {(one["actor"]["name"], one["result"]) for one in activity} == {("Ada Morgan", "ok")}
    assert {one["installation_id"] for one in activity} == {None, world.account("acme").installation_id}
    assert activity[0]["request_id"] == gone.headers["X-Request-Id"]
