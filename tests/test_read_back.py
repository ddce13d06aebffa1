"""What became of a change: read back, and only Zendesk's own answer is passed on as verified."""

import time
from dataclasses import replace

import pytest
from redis import Redis
from werkzeug.test import TestResponse

from tests.steps import Admin, lockable, wait_until
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


@pytest.mark.parametrize(
    ("kind", "method", "name"), [("reset", "POST", QUALIFIED), ("cut", "DELETE", COPY), ("hang", "POST", QUALIFIED)]
)
def test_a_reply_lost_after_the_effect_is_settled_by_reading_back(
    kind: str, method: str, name: str, admin: Admin
) -> None:
    admin.meets({"where": "change", "kind": kind, "after_effect": True, "seconds": 0})
    assert said(admin.call(method, f"/job_specs/{name}/install")) == (method == "POST", True)
    assert admin.changes_sent() == [(method, name)]


def test_a_lost_reply_that_cannot_be_settled_is_an_error(admin: Admin) -> None:
    admin.meets({"where": "change", "kind": "reset", "after_effect": True}, {"where": "list", "kind": "http_500_zis"})
    assert outcome(admin.install(QUALIFIED)) == (502, "zendesk_unavailable")


@pytest.mark.parametrize(("kind", "method", "name"), [("http_500_zis", "POST", VIP), ("wrong_types", "DELETE", COPY)])
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


@pytest.mark.usefixtures("quick_second_look")
def test_a_read_back_that_disagrees_twice_is_an_error(admin: Admin) -> None:
    # Answers that it is not installed, whatever its list says.
    admin.meets({"where": "change", "kind": "http_404"})
    reply = admin.uninstall(COPY)
    assert outcome(reply) == (502, "zendesk_unavailable")
    assert admin.lists_asked() >= 2


# --- little time, little room ---


def late() -> dict[str, str]:
    """Return the header of a request that has waited at the router for 10 of its 25 s."""
    return {"X-Request-Start": f"{time.time() - 10:.3f}"}


@pytest.fixture
def no_time_to_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than `late` leaves, so that the change itself has time on a busy machine."""
    monkeypatch.setattr("service.job_specs.changes.READ_BACK_NEEDS_SECONDS", 20)


@pytest.mark.usefixtures("no_time_to_read_back")
def test_a_change_with_no_time_left_to_read_back_is_not_verified(admin: Admin) -> None:
    admin.status()
    reply = admin.call("POST", f"/job_specs/{QUALIFIED}/install", headers=late())
    assert said(reply) == (True, False)
    assert admin.changes_sent() == [("POST", QUALIFIED)]


def test_without_time_for_a_second_look_it_follows_at_once(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    # More than is left, and more than the test may take.
    monkeypatch.setattr("service.job_specs.changes.SECOND_LOOK_SECONDS", 200)
    admin.status()
    admin.meets({"where": "change", "kind": "http_404"})
    reply = admin.call("DELETE", f"/job_specs/{COPY}/install", headers=late())
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
    with lockable(redis) as lock, meanwhile(lambda: admin.install(QUALIFIED)) as replies:
        admin.simulator.world.wait_until_held(1)
        lock()
        admin.simulator.release()
    assert said(replies[0]) == (True, False)


def test_a_store_that_is_full_takes_no_change(admin: Admin, redis: Redis) -> None:
    admin.status()
    redis.config_set("maxmemory", 1)
    reply = admin.install(QUALIFIED)
    redis.config_set("maxmemory", 0)
    assert outcome(reply) == (503, "store_unavailable")
    assert admin.changes_sent() == []


# --- a name that is listed twice ---


class Twice:
    """A registry that lists a name twice, under two uuids, and takes it for one."""

    def __init__(self, admin: Admin, *installed: bool) -> None:
        integration = admin.simulator.world.account("acme").integrations["acme_orders"]
        spec = integration.find(VIP)
        assert spec is not None
        self.specs = [replace(spec, uuid=f"u{number}", installed=is_so) for number, is_so in enumerate(installed)]
        integration.job_specs[:] = [one for one in integration.job_specs if one.name != VIP] + self.specs
        self._admin = admin

    def change(self, method: str, *, turns: int | None) -> TestResponse:
        """Change the name while one of the two turns; None: Zendesk accepts, and none does."""
        self._admin.meets({"where": "change", "kind": "hold", "after_effect": True})
        before = [one.installed for one in self.specs]
        with meanwhile(lambda: self._admin.call(method, f"/job_specs/{VIP}/install")) as replies:
            self._admin.simulator.world.wait_until_held(1)
            for number, (spec, was) in enumerate(zip(self.specs, before, strict=True)):
                spec.installed = method == "POST" if number == turns else was
            self._admin.simulator.release()
        return replies[0]


def test_both_rows_of_a_name_are_listed(admin: Admin) -> None:
    Twice(admin, True, False)
    rows = [row for row in admin.list_fresh().get_json()["job_specs"] if row["name"] == VIP]
    assert [(row["uuid"], row["installed"]) for row in rows] == [("u0", True), ("u1", False)]


@pytest.mark.usefixtures("quick_second_look")
@pytest.mark.parametrize(
    ("method", "before", "turns", "expected"),
    [
        ("POST", (False, False), 1, (True, True)),
        # Accepted, and what is shown neither confirms nor contradicts it.
        ("DELETE", (True, False), None, (False, False)),
    ],
)
def test_a_change_to_a_name_that_is_listed_twice_is_told_as_it_is(
    method: str, before: tuple[bool, bool], turns: int | None, expected: tuple[bool, bool], admin: Admin
) -> None:
    reply = Twice(admin, *before).change(method, turns=turns)
    assert said(reply) == expected
    if turns is not None:
        assert reply.get_json()["job_spec"]["uuid"] == f"u{turns}"
