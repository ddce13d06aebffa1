"""Floods: within the limits and beyond, by strangers, insiders and liars about their address; nobody else pays."""

from typing import Any

import pytest
from redis import Redis

from service.web.rate_limits import CHANGES, OAUTH_REQUESTS, REFUSED_REQUESTS
from tests.attacks.attackers import VIP, ask, claims_of, keys_of, segment
from tests.conftest import MakeAdmin
from tests.steps import ORDERS_ONLY, Admin

pytestmark = pytest.mark.attacks

FLOODER, OTHER = "198.51.100.7", "198.51.100.8"
FORM: dict[str, Any] = {"CONTENT_TYPE": "application/x-www-form-urlencoded"}


@pytest.fixture
def person(make_admin: MakeAdmin) -> Admin:
    """A service behind one proxy, as on a platform; acme is connected from elsewhere."""
    person = make_admin(TRUSTED_PROXIES="1", **ORDERS_ONLY)
    person.connect("acme")
    return person


def forged(person: Admin) -> bytes:
    """Return a form that names acme and is signed by nobody."""
    return f"token={segment({'alg': 'RS256'})}.{segment(claims_of(person))}.AAAA".encode()


def open_as(person: Admin, body: bytes, address: str) -> int:
    return ask(person.app, "POST", "/sidebar", headers={"X-Forwarded-For": address}, body=body, **FORM).status


def signed(person: Admin, account: str = "acme", user_id: int = 101) -> bytes:
    return f"token={person.simulator.sign(account, user_id)}".encode()


def test_no_stranger_locks_an_account_out_by_naming_it(person: Admin) -> None:
    """Every door a stranger may knock at, from one address, in acme's name, until it is shut for that address."""
    body = forged(person)
    opened = [open_as(person, body, FLOODER) for _ in range(REFUSED_REQUESTS.amount + 10)]
    assert set(opened[: REFUSED_REQUESTS.amount]) == {401}
    assert set(opened[REFUSED_REQUESTS.amount :]) == {429}
    begun = [
        ask(person.app, "GET", "/oauth/authorize", "subdomain=acme", headers={"X-Forwarded-For": FLOODER}).status
        for _ in range(OAUTH_REQUESTS.amount + 10)
    ]
    assert (set(begun[:300]), set(begun[300:])) == ({302}, {429})

    # Acme's people come in from anywhere else; from that address they look at what they have open, for a minute.
    assert open_as(person, signed(person), FLOODER) == 429
    assert open_as(person, signed(person), OTHER) == 200
    assert person.call("GET", "/job_specs", headers={"X-Forwarded-For": FLOODER}).status_code == 200
    assert person.install(VIP).status_code == 200
    link = person.simulator.consent(person.authorize("acme"), 101)
    assert person.come_back(link).status_code == 200
    # The app's key was asked for again once, not for every forgery.
    assert len(person.calls("public_key", account="acme")) <= 2


def test_nobody_is_counted_under_an_address_of_his_choice(person: Admin) -> None:
    """The router appends what it saw; all before that is the caller's own tale."""
    tales = [
        "{number}.0.2.1, " + FLOODER,
        "unknown, " + FLOODER,
        ", " + FLOODER,
        f"{OTHER},{FLOODER}",
        "x" * 500 + ", " + FLOODER,
    ]
    statuses = []
    for number in range(REFUSED_REQUESTS.amount + 10):
        tale = tales[number % len(tales)].format(number=number % 250)
        statuses.append(ask(person.app, "GET", "/api/v1/status", headers={"X-Forwarded-For": tale}).status)

    assert set(statuses[: REFUSED_REQUESTS.amount]) == {401}
    assert set(statuses[REFUSED_REQUESTS.amount :]) == {429}
    assert ask(person.app, "GET", "/api/v1/status", headers={"X-Forwarded-For": OTHER}).status == 401


@pytest.mark.parametrize(("proxies", "counted"), [("0", "192.0.2.9"), ("1", "203.0.113.3"), ("2", "203.0.113.2")])
def test_the_address_that_is_counted_is_that_of_the_hops_one_trusts(
    make_admin: MakeAdmin, redis: Redis, proxies: str, counted: str
) -> None:
    app = make_admin(TRUSTED_PROXIES=proxies).app
    told = {"X-Forwarded-For": "203.0.113.1, 203.0.113.2, 203.0.113.3", "X-Real-Ip": "203.0.113.4"}
    assert ask(app, "GET", "/api/v1/status", headers=told, REMOTE_ADDR="192.0.2.9").status == 401

    (key,) = keys_of(redis, "zis:limit*")
    assert f"/{counted}/" in key


def test_with_fewer_hops_than_trusted_the_connection_itself_counts(make_admin: MakeAdmin, redis: Redis) -> None:
    """A caller who comes past the outer proxy cannot write both entries: with one missing, neither is believed."""
    app = make_admin(TRUSTED_PROXIES="2").app
    ask(app, "GET", "/api/v1/status", headers={"X-Forwarded-For": "203.0.113.1"}, REMOTE_ADDR="192.0.2.9")

    (key,) = keys_of(redis, "zis:limit*")
    assert "/192.0.2.9/" in key


def test_a_flood_of_odd_addresses_fills_no_store(person: Admin, redis: Redis) -> None:
    """What is no address is one; an IPv6 network is one."""
    for number in range(60):
        for address in (
            f"no-address-{number}",
            f"2001:db8:1:2::{number:x}",
            f"::ffff:192.0.2.{number % 2}",
            f"fe80::{number:x}%eth0",
        ):
            ask(person.app, "GET", "/api/v1/status", headers={"X-Forwarded-For": address})

    assert len(redis.keys("zis:limit*refused*")) == 5
    assert all(0 < redis.pttl(key) <= 60_000 for key in redis.keys("zis:limit*"))


def test_an_agent_who_may_not_change_uses_up_nobodys_changes(person: Admin, make_admin: MakeAdmin) -> None:
    agent = make_admin(app=person.app)
    agent.open_sidebar("acme", 102)
    asked = [
        agent.call("POST", f"/job_specs/{VIP}/install", headers={"X-Forwarded-For": FLOODER}).status_code
        for _ in range(CHANGES.amount + 20)
    ]

    assert set(asked) == {403}
    assert person.install(VIP).status_code == 200
    assert [name for _, name in person.changes_sent()] == [VIP]


def test_a_manager_who_floods_is_stopped_and_no_other_is(person: Admin, make_admin: MakeAdmin) -> None:
    other = make_admin(app=person.app)
    other.connect("globex")
    colleague = make_admin(app=person.app)
    colleague.open_sidebar("acme", 105)
    statuses = [person.install("zis:acme_orders:job_spec:nobody").status_code for _ in range(CHANGES.amount + 5)]

    assert (set(statuses[: CHANGES.amount]), set(statuses[CHANGES.amount :])) == ({404}, {429})
    person.session_token = person.call("POST", "/session").get_json()["session_token"]
    assert person.install(VIP).status_code == 429, "a fresh session is the same person"
    assert person.job_specs()["job_specs"], "looking goes on"
    assert colleague.install(VIP).status_code == 200
    assert other.install("zis:globex_orders:job_spec:refund_record_created").status_code == 200


def test_a_flood_that_is_refused_costs_zendesk_nothing(person: Admin) -> None:
    person.simulator.world.clear_calls()
    for number in range(50):
        ask(
            person.app,
            "GET",
            "/api/v1/job_specs",
            headers={"Authorization": f"Bearer x{number}", "Cache-Control": "no-cache"},
        )
        ask(person.app, "GET", "/oauth/callback", f"state=s{number}&code=c")
        ask(person.app, "GET", "/oauth/authorize", "subdomain=acme")
        ask(person.app, "POST", "/sidebar", body=b"token=x", **FORM)
        ask(person.app, "GET", "/")

    assert person.simulator.world.calls() == []
