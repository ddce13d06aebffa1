"""`GET /api/v1/job_specs`: what is answered, to whom, and what is refused."""

import itertools
import time
from typing import Any

import pytest
import time_machine
from redis import Redis

from service.ground.errors import error_class
from service.job_specs.listing import Answer
from service.job_specs.replies import list_reply
from tests.conftest import MakeAdmin
from tests.steps import DIRECT, ORDERS_ONLY, PUBLIC_URL, Admin

ORDERS, SHIPPING, ARCHIVE = "registry:acme_orders", "registry:acme_shipping", "registry:acme_archive"
LIST_MISMATCH = {"where": "list", "kind": "mismatch"}


@pytest.fixture
def orders_admin(make_admin: MakeAdmin) -> Admin:
    """Acme's admin, connected, on a service with one integration."""
    person = make_admin(**ORDERS_ONLY)
    person.connect("acme")
    person.simulator.world.clear_calls()
    return person


def code_of(admin: Admin, query: str = "") -> tuple[int, str]:
    reply = admin.call("GET", f"/job_specs{query}")
    return reply.status_code, reply.get_json()["code"]


def errors(admin: Admin, query: str = "") -> dict[str, str | None]:
    """Return the error code of each integration's part."""
    parts = admin.job_specs(query)["integrations"]
    return {part["name"]: part["error"] and part["error"]["code"] for part in parts}


# --- what is answered ---


def test_a_row_says_everything_that_is_known(orders_admin: Admin) -> None:
    rows = orders_admin.job_specs()["job_specs"]
    spec = orders_admin.simulator.world.account("acme").integrations["acme_orders"].find("escalate_vip_order")
    assert spec is not None
    assert next(row for row in rows if row["name"] == "escalate_vip_order") == {
        "name": "escalate_vip_order",
        "qualified_name": "zis:acme_orders:job_spec:escalate_vip_order",
        "integration": "acme_orders",
        "description": "Raises the priority of tickets from customers with a service contract.",
        "event_source": "support",
        "event_type": "ticket.TicketCreated",
        "flow_name": "escalate_vip_order_flow",
        "installed": False,
        "uuid": spec.uuid,
        "left_over": None,
    }


def test_rows_are_sorted_by_integration_and_code_points(admin: Admin) -> None:
    spec = admin.simulator.world.account("acme").integrations["acme_orders"].find("copy_public_comment")
    assert spec is not None
    spec.name = "Zebra"
    rows = [(row["integration"], row["name"]) for row in admin.job_specs()["job_specs"]]
    assert rows == sorted(rows)
    assert rows[250] == ("acme_orders", "Zebra")


def test_each_integration_says_when_it_was_asked(orders_admin: Admin) -> None:
    part = orders_admin.job_specs()["integrations"][0]
    assert part["fetched_at"].endswith("Z")
    assert {**part, "fetched_at": None} == {"name": "acme_orders", "fetched_at": None, "stale": False, "error": None}


@pytest.mark.parametrize(("query", "count"), [("", 260), ("?integration=acme_shipping", 4), ("?installed=true", 54),
                                              ("?installed=false", 206),
                                              ("?installed=true&integration=acme_orders", 3)])  # fmt: skip
def test_filters_narrow_the_list(query: str, count: int, admin: Admin) -> None:
    assert len(admin.job_specs(query)["job_specs"]) == count


def test_a_filter_for_one_integration_asks_for_no_other(admin: Admin) -> None:
    admin.simulator.world.clear_calls()
    body = admin.job_specs("?integration=acme_shipping")
    assert [part["name"] for part in body["integrations"]] == ["acme_shipping"]
    assert {call.integration for call in admin.calls("/registry/")} == {"acme_shipping"}


@pytest.mark.parametrize(
    "query",
    ["?limit=5", "?installed=yes", "?installed=", "?installed=true&installed=true", "?integration=a&integration=b",
     "?Installed=true"],
)  # fmt: skip
def test_a_parameter_that_is_unknown_repeated_or_unreadable_is_refused(query: str, admin: Admin) -> None:
    admin.simulator.world.clear_calls()
    assert code_of(admin, query) == (400, "invalid_request")
    assert admin.calls() == []


@pytest.mark.parametrize("name", ["globex_orders", "acme_nothing", ""])
def test_an_integration_that_is_not_the_accounts_is_not_found(name: str, admin: Admin) -> None:
    admin.simulator.world.clear_calls()
    assert code_of(admin, f"?integration={name}") == (404, "not_found")
    assert admin.calls() == []


def test_direct_mode_lists_with_the_grants_own_token(make_admin: MakeAdmin) -> None:
    admin = make_admin(**DIRECT)
    admin.connect("acme")
    admin.simulator.world.clear_calls()
    assert len(admin.job_specs()["job_specs"]) == 6
    assert {call.token_client for call in admin.calls("/registry/")} == {"zis_acme_orders"}
    assert admin.calls(method="POST") == []


# --- failures beside lists ---


def test_one_integration_failing_hides_no_other(admin: Admin) -> None:
    admin.meets({"where": ARCHIVE, "kind": "http_403_admin"})
    body = admin.job_specs()
    assert len(body["job_specs"]) == 10
    parts = {part["name"]: part for part in body["integrations"]}
    assert parts["acme_orders"]["error"] is None
    assert (parts["acme_archive"]["fetched_at"], parts["acme_archive"]["stale"]) == (None, False)
    assert parts["acme_archive"]["error"] == {
        "code": "admin_required",
        "title": "An admin has to connect this account",
        "detail": parts["acme_archive"]["error"]["detail"],
        "upstream_status": 403,
        "upstream_detail": "Only admin user is allowed",
        "retry_after": None,
    }


LIMITED = {"kind": "http_429", "retry_after": 20}
FAILING: dict[str, dict[str, Any]] = {
    "rate_limited": LIMITED,
    "integration_mismatch": {"kind": "mismatch"},
    "scope_insufficient": {"kind": "http_403_scope"},
    "zendesk_unavailable": {"kind": "http_500_zis"},
    "zis_rejected": {"kind": "oauth_error", "error": "odd"},
}


@pytest.mark.parametrize(("first", "second"), list(zip(list(FAILING), list(FAILING)[1:], strict=False)))
@pytest.mark.parametrize("turned", [False, True])
def test_where_all_fail_the_first_of_an_order_is_the_answer(
    first: str, second: str, turned: bool, make_admin: MakeAdmin
) -> None:
    admin = make_admin(ZIS_INTEGRATIONS="{subdomain}_orders,{subdomain}_shipping")
    admin.connect("acme")
    places = (ORDERS, SHIPPING) if not turned else (SHIPPING, ORDERS)
    admin.meets({"where": places[0], **FAILING[first]}, {"where": places[1], **FAILING[second]})
    reply = admin.call("GET", "/job_specs")
    assert reply.get_json()["code"] == first
    assert reply.content_type == "application/problem+json"
    if first == "rate_limited":
        assert (reply.headers["Retry-After"], reply.get_json()["upstream_status"]) == ("20", 429)


def test_the_order_does_not_depend_on_the_integrations_order() -> None:
    order = ["authorization_required", "rate_limited", "integration_mismatch", "scope_insufficient", "zendesk_timeout",
             "zendesk_unavailable", "zis_rejected", "admin_required"]  # fmt: skip
    for first, second in itertools.combinations(order, 2):
        for codes in ((first, second), (second, first)):
            answers = [Answer(code, None, error_class(code)("Why.")) for code in codes]
            with pytest.raises(error_class(first)):
                list_reply(answers, None, 0)


def test_a_grant_that_died_meanwhile_asks_to_connect(orders_admin: Admin) -> None:
    with time_machine.travel(time.time() + 1801, tick=True):
        orders_admin.open_sidebar()
        orders_admin.simulator.world.account("acme").revoke_grants()
        reply = orders_admin.call("GET", "/job_specs")
        assert (reply.status_code, reply.get_json()["code"]) == (409, "authorization_required")
        assert reply.get_json()["authorize_url"] == f"{PUBLIC_URL}/oauth/authorize?subdomain=acme"


# --- caching headers ---


def test_a_list_may_be_kept_by_its_reader_but_is_asked_for_again(orders_admin: Admin) -> None:
    reply = orders_admin.call("GET", "/job_specs")
    assert reply.headers["Cache-Control"] == "private, no-cache"
    assert reply.headers["Vary"] == "Authorization"
    assert reply.headers["ETag"].startswith('W/"')
    assert 0 <= int(reply.headers["Age"]) < 60


def test_a_list_that_is_known_is_not_sent_again(orders_admin: Admin) -> None:
    first = orders_admin.call("GET", "/job_specs")
    again = orders_admin.call("GET", "/job_specs", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert again.headers["Cache-Control"] == "private, no-cache"


def test_conditions_that_a_list_has_no_tag_or_date_for_are_ignored(orders_admin: Admin) -> None:
    tag = orders_admin.call("GET", "/job_specs").headers["ETag"]
    for headers in (
        {"If-Match": '"other"'},
        {"If-Match": tag},
        {"If-Unmodified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"},
    ):
        reply = orders_admin.call("GET", "/job_specs", headers=headers)
        assert (reply.status_code, reply.headers["ETag"]) == (200, tag)
        known = orders_admin.call("GET", "/job_specs", headers={**headers, "If-None-Match": f'"other", {tag}'})
        assert (known.status_code, known.data) == (304, b"")


def test_the_tag_is_over_everything_but_the_time(orders_admin: Admin) -> None:
    def tag(query: str = "") -> str:
        return str(orders_admin.list_fresh(query).headers["ETag"])

    before = tag()
    assert tag() == before
    assert tag("?installed=true") != before
    orders_admin.simulator.world.account("acme").integrations["acme_orders"].upload_bundle()
    assert tag() != before


def test_the_tag_tells_a_stale_list_from_a_young_one(orders_admin: Admin, redis: Redis) -> None:
    young = orders_admin.call("GET", "/job_specs")
    redis.hincrby("zis:{acme}:list:acme_orders", "asked_at", -20_000_000)
    orders_admin.meets({"where": "list", "kind": "http_500_zis"})
    stale = orders_admin.call("GET", "/job_specs", headers={"If-None-Match": young.headers["ETag"]})
    assert stale.status_code == 200
    assert int(stale.headers["Age"]) >= 20


# --- who may look ---


@pytest.mark.parametrize(("user_id", "reason"), [(103, "end user"), (104, "suspended")])
def test_an_outsider_may_not_look(user_id: int, reason: str, orders_admin: Admin) -> None:
    orders_admin.open_sidebar("acme", user_id)
    assert code_of(orders_admin) == (403, "agent_required"), reason
    assert len(orders_admin.calls("/api/v2/users/", method="GET")) == 1
    assert orders_admin.lists_asked() == 0


def test_an_inactive_agent_may_not_look(orders_admin: Admin) -> None:
    orders_admin.simulator.world.account("acme").set_user(102, active=False)
    orders_admin.open_sidebar("acme", 102)
    assert code_of(orders_admin) == (403, "agent_required")


def test_an_agent_may_look_and_is_asked_about_once(orders_admin: Admin) -> None:
    orders_admin.open_sidebar("acme", 102)
    orders_admin.job_specs()
    orders_admin.job_specs()
    assert [call.path for call in orders_admin.calls("/api/v2/users")] == ["/api/v2/users/102"]


def test_somebody_zendesk_does_not_name_may_look(orders_admin: Admin) -> None:
    orders_admin.open_sidebar("acme", 101, claims={"sub": "somebody"})
    assert len(orders_admin.job_specs()["job_specs"]) == 6
    assert orders_admin.calls("/api/v2/users") == []


@pytest.mark.parametrize("kind", ["http_500_text", "reset", "html_200", "wrong_types"])
def test_where_the_role_cannot_be_had_the_person_may_look(kind: str, orders_admin: Admin) -> None:
    orders_admin.meets({"where": "users", "kind": kind})
    orders_admin.open_sidebar("acme", 103)
    assert len(orders_admin.job_specs()["job_specs"]) == 6


@pytest.mark.parametrize(("hours", "expected"), [(11, (403, "agent_required")), (13, None)])
def test_where_the_role_cannot_be_asked_the_last_answer_within_12_hours_counts(
    hours: int, expected: tuple[int, str] | None, orders_admin: Admin, redis: Redis
) -> None:
    orders_admin.open_sidebar("acme", 103)
    assert code_of(orders_admin) == (403, "agent_required")
    assert 0 < redis.ttl("zis:{acme}:role:103") <= 12 * 3600
    with time_machine.travel(time.time() + hours * 3600, tick=True):
        if hours > 12:
            redis.expireat("zis:{acme}:role:103", 1)
        orders_admin.meets({"where": "users", "kind": "http_500_text"})
        orders_admin.open_sidebar("acme", 103)
        reply = orders_admin.call("GET", "/job_specs")
        assert (reply.status_code, reply.get_json().get("code")) == (expected or (200, None))


def test_a_role_older_than_five_minutes_is_asked_again(orders_admin: Admin) -> None:
    orders_admin.open_sidebar("acme", 102)
    orders_admin.job_specs()
    orders_admin.simulator.world.account("acme").set_user(102, role="end-user")
    orders_admin.job_specs()
    with time_machine.travel(time.time() + 301, tick=True):
        assert code_of(orders_admin) == (403, "agent_required")


# --- the order of the checks ---


def test_not_connected_asks_to_connect(make_admin: MakeAdmin) -> None:
    admin = make_admin()
    admin.open_sidebar("acme", 101)
    reply = admin.call("GET", "/job_specs")
    assert (reply.status_code, reply.get_json()["code"]) == (409, "authorization_required")
    assert reply.get_json()["authorize_url"] == f"{PUBLIC_URL}/oauth/authorize?subdomain=acme"
    assert admin.calls("/registry") == admin.calls("/api/v2/users") == []


@pytest.mark.usefixtures("orders_admin")
def test_a_key_that_is_gone_asks_to_connect(make_admin: MakeAdmin) -> None:
    other = make_admin(**ORDERS_ONLY, SECRET_KEYS="another-key-of-the-tests-0123456789abcdef")
    other.open_sidebar("acme", 101)
    assert code_of(other) == (409, "authorization_required")


def test_checks_come_in_the_order_of_the_contract(make_admin: MakeAdmin, orders_admin: Admin) -> None:
    unlisted = make_admin(ZENDESK_SUBDOMAINS="globex", ZIS_INTEGRATIONS="globex_orders")
    unlisted.session_token = "none"
    assert code_of(unlisted, "?bad=1") == (401, "unauthenticated")
    unlisted.session_token = orders_admin.session_token
    assert code_of(unlisted, "?bad=1") == (403, "account_not_allowed")
    stranger = make_admin()
    stranger.open_sidebar("globex", 202)
    assert code_of(stranger, "?bad=1") == (400, "invalid_request")
    assert code_of(stranger) == (409, "authorization_required")
    orders_admin.open_sidebar("acme", 103)
    assert code_of(orders_admin) == (403, "agent_required")


def test_an_account_sees_nothing_of_another(admin: Admin, make_admin: MakeAdmin) -> None:
    admin.job_specs()
    other = make_admin(app=admin.app)
    other.connect("globex")
    body = other.job_specs()
    assert {row["integration"] for row in body["job_specs"]} == {"globex_archive", "globex_orders", "globex_shipping"}
    assert {part["name"] for part in body["integrations"]} == {"globex_archive", "globex_orders", "globex_shipping"}
    assert "acme" not in other.call("GET", "/job_specs").text
