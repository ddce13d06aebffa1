"""`POST /job_specs/plan` and `/apply`: the desired state by the API, within a request's time and a person's limit."""

import json
import time
from dataclasses import replace

import pytest
from redis import Redis
from werkzeug.test import TestResponse

from service.ground.subdomains import Subdomain
from service.job_specs.desired_state import LARGEST_DOCUMENT_BYTES, MOST_NAMES
from service.job_specs.plans import Change
from service.job_specs.rearmed import PATIENCE_SECONDS, Rearmed
from service.store.activity import Activity
from service.store.events import OK
from service.store.store import Store
from service.web.answers import LARGEST_BODY_BYTES
from tests.conftest import MakeAdmin
from tests.steps import ORDERS_ONLY, Admin, collaborator

ACME = Subdomain("acme")
VIP, WAREHOUSE = "escalate_vip_order", "notify_warehouse"


@pytest.fixture
def orders(make_admin: MakeAdmin) -> Admin:
    """Acme with its orders alone; one job spec of them is installed."""
    admin = make_admin(**ORDERS_ONLY)
    admin.connect_with(WAREHOUSE)
    return admin


def armed(admin: Admin) -> set[str]:
    return {spec.name for spec in admin.specs_of() if spec.armed}


def ask(admin: Admin, action: str, query: str = "", **wishes: list[str]) -> TestResponse:
    return admin.call("POST", f"/job_specs/{action}{query}", json={"integrations": {"acme_orders": wishes}})


def changes_in(reply: TestResponse) -> dict[str, tuple[str, str | None]]:
    assert reply.status_code == 200, reply.text
    return {one["name"]: (one["change"], one["result"]) for one in reply.get_json()["changes"]}


def grow(admin: Admin, count: int) -> set[str]:
    """Let acme_orders have so many job specs, all installed and silenced by an upload."""
    integration = admin.simulator.world.account("acme").integrations["acme_orders"]
    integration.resize(count)
    for spec in integration.job_specs:
        spec.installed = True
    integration.upload_bundle(clear_installed=False)
    return {spec.name for spec in integration.job_specs}


def test_a_plan_changes_nothing(orders: Admin) -> None:
    reply = ask(orders, "plan", installed=[VIP, "typo"], uninstalled=[WAREHOUSE])
    found = changes_in(reply)
    assert [found[name] for name in (VIP, "typo", WAREHOUSE)] == [
        ("install", None), ("not_listed", None), ("uninstall", None)]  # fmt: skip
    assert {change for name, (change, _) in found.items() if name not in {VIP, "typo", WAREHOUSE}} == {"not_named"}
    assert reply.get_json()["left"] == 2
    assert list(reply.get_json()["changes"][0]) == ["integration", "name", "change", "result", "detail"]
    assert orders.changes_sent() == []


def test_apply_changes_what_differs_and_reads_back(orders: Admin) -> None:
    reply = ask(orders, "apply", installed=[VIP, "typo"], uninstalled=[WAREHOUSE])
    found = changes_in(reply)
    assert [found[name] for name in (VIP, "typo", WAREHOUSE)] == [
        ("install", "ok"), ("not_listed", "job_spec_not_found"), ("uninstall", "ok")]  # fmt: skip
    assert reply.get_json()["left"] == 0
    assert "Retry-After" not in reply.headers
    assert orders.installed() == {VIP}
    entries = collaborator(orders.app, Activity).latest(ACME)
    assert {(one["action"], one["actor"]["name"], one["job_spec"]) for one in entries[:2]} == {
        ("installed", "Ada Morgan", VIP), ("uninstalled", "Ada Morgan", WAREHOUSE)}  # fmt: skip


def test_the_account_is_the_callers_and_may_be_named(orders: Admin) -> None:
    document = {"account": "acme", "integrations": {"{subdomain}_orders": {"installed": [VIP]}}}
    assert changes_in(orders.call("POST", "/job_specs/plan", json=document))[VIP] == ("install", None)
    reply = orders.call("POST", "/job_specs/apply", json={**document, "account": "globex"})
    assert reply.status_code == 400
    assert reply.get_json()["errors"] == [{"pointer": "/account", "detail": "is globex, and you are asking for acme."}]
    assert orders.changes_sent() == []


@pytest.mark.parametrize("action", ["plan", "apply"])
def test_every_fault_of_the_document_is_named_with_its_place(orders: Admin, action: str) -> None:
    reply = orders.call(
        "POST", f"/job_specs/{action}", data='{"integrations": {"acme_orders": {"installed": [1, ""]}}, "x": 1}'
    )
    assert reply.status_code == 400
    problem = reply.get_json()
    assert problem["code"] == "invalid_request"
    assert [one["pointer"] for one in problem["errors"]] == [
        "/x", "/integrations/acme_orders/installed/0", "/integrations/acme_orders/installed/1"]  # fmt: skip
    assert orders.calls("/registry/") == []


def test_documents_are_counted_before_they_are_read(orders: Admin) -> None:
    orders.open_sidebar("acme", 102)
    for action in ["plan", "apply"] * 30:
        assert orders.call("POST", f"/job_specs/{action}", data="{").status_code == 400
    reply = orders.call("POST", "/job_specs/plan", data="{")
    assert (reply.status_code, reply.get_json()["code"]) == (429, "rate_limited")


@pytest.mark.parametrize("action", ["plan", "apply"])
def test_only_managers_may(make_admin: MakeAdmin, action: str) -> None:
    admin = make_admin(**ORDERS_ONLY)
    admin.connect("acme")
    admin.open_sidebar("acme", 102)
    reply = ask(admin, action, installed=[VIP])
    assert (reply.status_code, reply.get_json()["code"]) == (403, "manager_role_required")


@pytest.mark.parametrize("action", ["plan", "apply"])
def test_a_body_may_have_a_mebibyte_and_no_more(orders: Admin, action: str) -> None:
    document = json.dumps({"integrations": {}}).encode()
    whole = document + b" " * (LARGEST_DOCUMENT_BYTES - len(document))
    assert orders.call("POST", f"/job_specs/{action}", data=whole).status_code == 200
    reply = orders.call("POST", f"/job_specs/{action}", data=whole + b" ")
    assert (reply.status_code, reply.get_json()["code"]) == (413, "payload_too_large")
    assert "1024 KiB" in reply.get_json()["detail"]


def test_a_strangers_body_is_not_read_beyond_64_kib(orders: Admin) -> None:
    headers = {"Authorization": "Bearer none"}
    reply = orders.call("POST", "/job_specs/plan", data=b" " * (LARGEST_BODY_BYTES + 1), headers=headers)
    assert reply.status_code == 401


def test_what_exceeds_the_limit_of_changes_is_left_and_the_repeated_call_goes_on(orders: Admin) -> None:
    names = grow(orders, 100)
    first = ask(orders, "apply", uninstalled=sorted(names))
    assert first.get_json()["left"] == 40
    assert 1 <= int(first.headers["Retry-After"]) <= 60
    assert len(orders.installed()) == 40
    expire_limits(orders)
    second = ask(orders, "apply", uninstalled=sorted(names))
    assert second.get_json()["left"] == 0
    assert orders.installed() == set()
    assert len(orders.changes_sent()) == 100


def expire_limits(admin: Admin) -> None:
    """Let a minute pass for the limits, whose clock is the store's."""
    redis = redis_of(admin)
    for key in redis.scan_iter("zis:limit*"):
        redis.delete(key)


def redis_of(admin: Admin) -> Redis:
    return collaborator(admin.app, Store).redis


def test_a_rearming_that_does_not_fit_goes_on_where_it_stopped(orders: Admin, redis: Redis) -> None:
    names = grow(orders, 100)
    first = ask(orders, "apply", "?rearm=true", installed=sorted(names))
    assert first.get_json()["left"] == 40
    (key,) = redis.keys("zis:{acme}:rearmed:*")
    assert 0 < redis.ttl(key) <= int(first.headers["Retry-After"]) + PATIENCE_SECONDS
    assert ask(orders, "plan", "?rearm=true", installed=sorted(names)).get_json()["left"] == 40
    expire_limits(orders)
    second = ask(orders, "apply", "?rearm=true", installed=sorted(names))
    assert second.get_json()["left"] == 0
    assert armed(orders) == names
    assert len(orders.changes_sent()) == 100
    assert redis.keys("zis:{acme}:rearmed:*") == []
    # The next upload silences all of them, and begins anew.
    expire_limits(orders)
    assert ask(orders, "plan", "?rearm=true", installed=sorted(names)).get_json()["left"] == 100


def test_as_many_are_remembered_as_a_document_may_name(orders: Admin) -> None:
    names = [f"a_job_spec_of_fifty_characters_is_the_longest_{number:04}" for number in range(MOST_NAMES)]
    wanted = {"acme_orders": dict.fromkeys(names, True)}
    changes = tuple(Change("acme_orders", name, "rearm", wanted=True) for name in names)
    rearmed = collaborator(orders.app, Rearmed)
    rearmed.note(ACME, "101", wanted, tuple(replace(one, result=OK) for one in changes), 60)
    left = rearmed.without_done(ACME, "101", wanted, changes)
    assert {one.change for one in left} == {"none"}


def test_whoever_writes_to_redis_makes_nobody_believe_that_it_was_rearmed(orders: Admin, redis: Redis) -> None:
    names = sorted(grow(orders, 70))
    ask(orders, "apply", "?rearm=true", installed=names)
    (key,) = redis.keys("zis:{acme}:rearmed:*")
    for forged in (b"forged", redis.get("zis:{acme}:role:101") or b""):
        redis.set(key, forged)
        assert ask(orders, "plan", "?rearm=true", installed=names).get_json()["left"] == 70
    other = ask(orders, "plan", "?rearm=true", installed=names[1:]).get_json()["left"]
    assert other == 69, "another document begins anew"


def test_what_does_not_fit_into_the_requests_time_is_left(orders: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    # More than the request has left, of which reading the list may take a part.
    monkeypatch.setattr("service.job_specs.reconciling.CHANGE_NEEDS_SECONDS", 20)
    document = {"integrations": {"acme_orders": {"installed": [VIP]}}}
    long_ago = {"X-Request-Start": f"t={time.time() - 10:.3f}"}
    reply = orders.call("POST", "/job_specs/apply", json=document, headers=long_ago)
    assert changes_in(reply)[VIP] == ("install", None)
    assert (reply.get_json()["left"], reply.headers["Retry-After"]) == (1, "1")
    assert orders.changes_sent() == []


def test_a_limit_of_zendesks_is_passed_on(orders: Admin) -> None:
    orders.meets({"where": "change", "kind": "http_429", "retry_after": 7})
    reply = ask(orders, "apply", installed=[VIP])
    assert (reply.get_json()["left"], reply.headers["Retry-After"]) == (1, "7")


def test_a_failure_is_told_where_it_belongs(orders: Admin) -> None:
    orders.meets({"where": "change", "kind": "http_404", "times": 1})
    reply = ask(orders, "apply", installed=[VIP, "copy_public_comment"])
    assert changes_in(reply)["copy_public_comment"] == ("install", "zis_rejected")
    assert changes_in(reply)[VIP] == ("install", "ok")
    assert reply.get_json()["left"] == 0


def test_an_integration_that_cannot_be_listed_is_the_answer(orders: Admin) -> None:
    orders.meets({"where": "list", "kind": "http_500_zis"})
    reply = ask(orders, "plan", installed=[VIP])
    assert (reply.status_code, reply.get_json()["code"]) == (502, "zendesk_unavailable")
