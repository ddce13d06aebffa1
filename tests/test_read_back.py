"""What became of a change: read back, and only Zendesk's own answer is passed on as verified."""

import pytest
from werkzeug.test import TestResponse

from tests.steps import Admin, wait_until
from tests.workers import meanwhile

VIP = "escalate_vip_order"
QUALIFIED = f"zis:acme_orders:job_spec:{VIP}"
COPY = "zis:acme_orders:job_spec:copy_public_comment"


def outcome(reply: TestResponse) -> tuple[int, str]:
    return reply.status_code, reply.get_json()["code"]


def said(reply: TestResponse) -> tuple[bool, bool]:
    """Return (installed, verified)."""
    assert reply.status_code == 200, reply.text
    body = reply.get_json()
    return body["job_spec"]["installed"], body["verified"]


@pytest.mark.parametrize("kind", ["reset", "cut", "hang"])
@pytest.mark.parametrize(("method", "name"), [("POST", QUALIFIED), ("DELETE", COPY)])
def test_a_reply_lost_after_the_effect_is_settled_by_reading_back(
    kind: str, method: str, name: str, admin: Admin
) -> None:
    admin.meets({"where": "change", "kind": kind, "after_effect": True, "seconds": 0})
    assert said(admin.call(method, f"/job_specs/{name}/install")) == (method == "POST", True)
    assert admin.changes_sent() == [(method, name)]


def test_a_lost_uninstall_of_what_an_earlier_bundle_left_behind_is_settled_too(admin: Admin) -> None:
    admin.simulator.world.account("acme").integrations["acme_orders"].upload_bundle([VIP], clear_installed=False)
    admin.meets({"where": "change", "kind": "reset", "after_effect": True})
    assert said(admin.uninstall("copy_public_comment")) == (False, True)


def test_a_lost_reply_that_cannot_be_settled_is_an_error(admin: Admin) -> None:
    admin.meets({"where": "change", "kind": "reset", "after_effect": True}, {"where": "list", "kind": "http_500_zis"})
    assert outcome(admin.install(QUALIFIED)) == (502, "zendesk_unavailable")


@pytest.mark.parametrize("kind", ["http_500_zis", "http_429", "reset", "html_200", "wrong_types", "truncated_json"])
@pytest.mark.parametrize(
    ("method", "name"), [("POST", VIP), ("DELETE", "zis:acme_orders:job_spec:copy_public_comment")]
)
def test_a_change_whose_read_back_fails_is_not_verified(kind: str, method: str, name: str, admin: Admin) -> None:
    admin.job_specs()
    admin.meets({"where": "list", "kind": kind})
    reply = admin.call(method, f"/job_specs/{name}/install")
    assert said(reply) == (method == "POST", False)
    # What was listed before is still known; a qualified name was not looked up.
    assert (reply.get_json()["job_spec"]["event_type"] is not None) == (name == VIP)
    assert reply.get_json()["job_spec"]["integration"] == "acme_orders"


def test_a_read_back_that_disagrees_once_is_asked_again(admin: Admin) -> None:
    admin.meets({"where": "list", "kind": "hold", "times": 1})
    integration = admin.simulator.world.account("acme").integrations["acme_orders"]
    with meanwhile(lambda: admin.install(QUALIFIED)) as replies:
        admin.simulator.world.wait_until_held(1)
        spec = integration.find(VIP)
        assert spec is not None
        spec.installed = False
        asked = admin.lists_asked()
        admin.simulator.release()
        wait_until(lambda: admin.calls("/registry/acme_orders/job_specs")[-1].status == 200)
        spec.installed = True
    assert said(replies[0]) == (True, True)
    assert admin.lists_asked() == asked + 1


def test_a_read_back_that_disagrees_twice_is_an_error(admin: Admin) -> None:
    # Answers that it is not installed, whatever its list says.
    admin.meets({"where": "change", "kind": "http_404"})
    reply = admin.uninstall(COPY)
    assert outcome(reply) == (502, "zendesk_unavailable")
    assert admin.lists_asked() >= 2
