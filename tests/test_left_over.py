"""Job specs that an older bundle left behind: told where Zendesk's bundles tell it, null where they do not."""

from typing import Any

import pytest
from redis import Redis

from sandbox.simulator import secret_of
from service.ground.subdomains import Subdomain
from service.job_specs.bundles import FIRST_LOOK_SECONDS, KEPT_SECONDS, LOOK_SECONDS, Bundles, InBundles
from tests.conftest import MakeAdmin
from tests.operations.console import run
from tests.steps import ORDERS_ONLY, Admin, collaborator, wait_until

ACME = Subdomain("acme")
OLD, NEW = "escalate_vip_order", "notify_warehouse"
KEY = "zis:{acme}:bundles:acme_orders"


@pytest.fixture
def orders(make_admin: MakeAdmin) -> Admin:
    """Acme, whose last upload dropped an installed job spec; lists ask for bundles."""
    admin = make_admin(**ORDERS_ONLY)
    admin.connect("acme")
    integration = integration_of(admin)
    for spec in integration.job_specs:
        spec.installed = spec.name in {OLD, NEW}
    integration.upload_bundle([spec.name for spec in integration.job_specs if spec.name != OLD], clear_installed=False)
    collaborator(admin.app, Bundles).is_asking = True
    return admin


def integration_of(admin: Admin) -> Any:
    return admin.simulator.world.account("acme").integrations["acme_orders"]


def left_over_in(listed: dict[str, Any]) -> dict[str, bool | None]:
    return {row["name"]: row["left_over"] for row in listed["job_specs"]}


def left_over(admin: Admin) -> dict[str, bool | None]:
    return left_over_in(admin.list_fresh().get_json())


def bundles_asked(admin: Admin) -> int:
    return len(admin.calls("/bundles"))


def wait_a_while(admin: Admin) -> None:
    """Let the time pass that a process waits before it looks, or looks again."""
    for one in collaborator(admin.app, Bundles)._remembered.values():
        one.first_seen_at -= FIRST_LOOK_SECONDS
        one.looked_at -= LOOK_SECONDS


def learn(admin: Admin) -> dict[str, bool | None]:
    """Return what a list says once the bundles have been asked beside one."""
    left_over(admin)
    wait_a_while(admin)
    left_over(admin)
    # By lists that may be young: of fresh ones a person gets 60 a minute.
    wait_until(lambda: None not in left_over_in(admin.job_specs()).values())
    return left_over(admin)


def test_what_is_installed_and_in_no_bundle_is_left_over(orders: Admin) -> None:
    found = learn(orders)
    assert found[OLD] is True
    assert {name for name, is_left in found.items() if is_left is False} == found.keys() - {OLD}


def test_a_list_does_not_wait_for_it_and_the_next_one_says_it(orders: Admin) -> None:
    assert set(left_over(orders).values()) == {None}
    assert bundles_asked(orders) == 0
    wait_a_while(orders)
    orders.meets({"where": "bundles", "kind": "hold"})
    assert set(left_over(orders).values()) == {None}
    orders.meets()
    # A list that is young by its age is asked anew, because of what is known now.
    wait_until(lambda: set(left_over_in(orders.job_specs()).values()) == {True, False})


def test_it_is_asked_once_in_ten_minutes_by_all_processes(orders: Admin, make_admin: MakeAdmin, redis: Redis) -> None:
    learn(orders)
    asked = bundles_asked(orders)
    assert asked == 2
    assert 0 < int(redis.ttl(KEY)) <= KEPT_SECONDS
    other = make_admin(**ORDERS_ONLY)
    other.session_token = orders.session_token
    collaborator(other.app, Bundles).is_asking = True
    assert learn(other)[OLD] is True
    for _ in range(3):
        wait_a_while(orders)
        left_over(orders)
    assert bundles_asked(orders) == asked


def test_a_job_spec_that_came_later_is_not_judged_by_what_was_asked_before(orders: Admin) -> None:
    learn(orders)
    integration = integration_of(orders)
    integration.upload_bundle([*(spec.name for spec in integration.job_specs if spec.name != OLD), "brand_new"])
    assert orders.install("zis:acme_orders:job_spec:brand_new").status_code == 200
    assert left_over(orders)["brand_new"] is None
    wait_a_while(orders)
    left_over(orders)
    wait_until(lambda: left_over_in(orders.job_specs())["brand_new"] is False)


def test_once_uninstalled_it_is_gone(orders: Admin) -> None:
    learn(orders)
    reply = orders.uninstall(f"zis:acme_orders:job_spec:{OLD}")
    assert reply.status_code == 200
    assert reply.get_json()["job_spec"]["left_over"] is False or reply.get_json()["job_spec"]["left_over"] is None
    assert OLD not in left_over(orders)


@pytest.mark.parametrize(
    "fault",
    [{"kind": "http_500_zis"}, {"kind": "oauth_disabled"}, {"kind": "http_401_text"}, {"kind": "http_403_admin"},
     {"kind": "http_404"}, {"kind": "html_200"}, {"kind": "empty_200"}, {"kind": "wrong_types"},
     {"kind": "truncated_json"}, {"kind": "reset"}],
    ids=lambda fault: fault["kind"],
)  # fmt: skip
def test_where_bundles_cannot_be_read_it_is_not_told_and_nothing_else_comes_of_it(
    orders: Admin, fault: dict[str, Any], redis: Redis
) -> None:
    left_over(orders)
    wait_a_while(orders)
    orders.meets({"where": "bundles", **fault})
    left_over(orders)
    wait_until(lambda: redis.exists(KEY) == 1)
    assert set(left_over(orders).values()) == {None}
    # It is no reason to refresh, to mint, to reconnect or to call the account anything.
    assert orders.calls(grant_type="refresh_token") == []
    assert len(orders.calls("/api/v2/oauth/tokens", method="POST")) == 1
    assert orders.status()["connection"]["reason"] is None
    assert orders.status()["integrations"][0]["state"] == "ready"


def test_in_direct_mode_the_grants_own_token_asks(make_admin: MakeAdmin) -> None:
    changes: dict[str, str | None] = {
        "ZENDESK_CLIENT_ID": "zis_acme_orders",
        "ZENDESK_CLIENT_SECRET": secret_of("zis_acme_orders"),
        "ZIS_INTEGRATIONS": None,
        "ZENDESK_SUBDOMAINS": "acme",
    }
    admin = make_admin(**changes)
    admin.connect("acme")
    collaborator(admin.app, Bundles).is_asking = True
    assert set(learn(admin).values()) == {False}


@pytest.mark.parametrize("planted", ["", "x", "[]", '{"held": 1}', '{"held": [], "absent": {}}'])
def test_what_somebody_planted_there_does_no_harm(orders: Admin, redis: Redis, planted: str) -> None:
    redis.set(KEY, planted)
    left_over(orders)
    wait_a_while(orders)
    assert set(left_over(orders).values()) == {None}


# --- what is concluded ---


@pytest.mark.parametrize(
    ("held", "listed", "name", "installed", "says"),
    [
        ({"a"}, {"a", "b"}, "b", True, True),
        ({"a"}, {"a", "b"}, "b", False, False),
        ({"a"}, {"a", "b"}, "a", True, False),
        ({"a"}, {"a", "b"}, "c", True, None),
        (None, {"a"}, "a", True, None),
        # Bundles that know nothing of what is listed are not these job specs'.
        ({"x"}, {"a", "b"}, "a", True, None),
        (set(), {"a"}, "a", True, None),
    ],
)
def test_only_what_was_there_when_bundles_were_read_is_called_left_over(
    held: set[str] | None, listed: set[str], name: str, installed: bool, says: bool | None
) -> None:
    known = InBundles.of(None if held is None else frozenset(held), frozenset(listed))
    assert known.left_over(name, installed=installed) is says


# --- commands ---


def test_commands_ask_at_once(orders: Admin, tmp_path: Any) -> None:
    listed = run(orders.app, "job-specs", "list", "--account", "acme", "--json").json()["job_specs"]
    assert [row["name"] for row in listed if row["left_over"]] == [OLD]
    table = run(orders.app, "job-specs", "list", "--account", "acme").out
    assert [line.split()[1] for line in table.splitlines() if "left over" in line] == [OLD]
    path = tmp_path / "acme.json"
    path.write_text('{"account": "acme", "integrations": {"acme_orders": {}}}')
    plan = run(orders.app, "job-specs", "plan", str(path))
    (line,) = [line for line in plan.lines() if OLD in line]
    assert line.startswith("? not named")
    assert "An older bundle left it behind" in line


def test_commands_go_on_where_it_cannot_be_told(orders: Admin) -> None:
    orders.meets({"where": "bundles", "kind": "http_500_zis"})
    answer = run(orders.app, "job-specs", "list", "--account", "acme", "--json")
    assert answer.status == 0
    assert {row["left_over"] for row in answer.json()["job_specs"]} == {None}
