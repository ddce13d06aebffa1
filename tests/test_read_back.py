"""What became of a change: read back, and only Zendesk's own answer is passed on as verified."""

import time

import pytest
from redis import Redis
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


# --- little time, little room ---


def late(seconds_left: float) -> dict[str, str]:
    """Return the header of a request that has waited at the router."""
    return {"X-Request-Start": f"{time.time() - 25 + seconds_left:.3f}"}


def test_a_change_with_no_time_left_to_read_back_is_not_verified(admin: Admin) -> None:
    admin.status()
    reply = admin.call("POST", f"/job_specs/{QUALIFIED}/install", headers=late(2.2))
    assert said(reply) == (True, False)
    assert admin.changes_sent() == [("POST", QUALIFIED)]


def test_a_lost_reply_with_no_time_left_to_read_back_is_an_error(admin: Admin) -> None:
    admin.status()
    admin.meets({"where": "change", "kind": "reset", "after_effect": True})
    reply = admin.call("POST", f"/job_specs/{QUALIFIED}/install", headers=late(2.2))
    assert outcome(reply) == (502, "zendesk_unavailable")


def test_an_unsettled_404_with_no_time_left_is_an_error(admin: Admin) -> None:
    admin.status()
    reply = admin.call("DELETE", f"/job_specs/{QUALIFIED}/install", headers=late(2.2))
    assert outcome(reply) == (504, "zendesk_timeout")


def test_without_time_for_a_second_look_it_follows_at_once(admin: Admin) -> None:
    admin.status()
    admin.meets({"where": "change", "kind": "http_404"})
    reply = admin.call("DELETE", f"/job_specs/{COPY}/install", headers=late(3.2))
    assert outcome(reply) == (502, "zendesk_unavailable")


def test_a_store_that_fills_up_during_a_change_does_not_keep_it_from_being_verified(admin: Admin, redis: Redis) -> None:
    admin.status()
    admin.meets({"where": "change", "kind": "hold", "after_effect": True})
    with meanwhile(lambda: admin.install(QUALIFIED)) as replies:
        admin.simulator.world.wait_until_held(1)
        redis.config_set("maxmemory", 1)
        admin.simulator.release()
    redis.config_set("maxmemory", 0)
    assert said(replies[0]) == (True, True)


def test_a_store_that_is_lost_during_a_change_leaves_it_unverified(admin: Admin, redis: Redis) -> None:
    admin.status()
    admin.meets({"where": "change", "kind": "hold", "after_effect": True})
    with meanwhile(lambda: admin.install(QUALIFIED)) as replies:
        admin.simulator.world.wait_until_held(1)
        # From now on the store lets in nobody but this test.
        redis.config_set("requirepass", "unknown")
        redis.client_kill_filter(_type="normal", skipme=True)
        admin.simulator.release()
    redis.config_set("requirepass", "")
    assert said(replies[0]) == (True, False)


def test_a_store_that_is_full_takes_no_change(admin: Admin, redis: Redis) -> None:
    admin.status()
    redis.config_set("maxmemory", 1)
    reply = admin.install(QUALIFIED)
    redis.config_set("maxmemory", 0)
    assert outcome(reply) == (503, "store_unavailable")
    assert admin.changes_sent() == []
