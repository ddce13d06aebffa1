"""After the checks: the grant is stored in one write, replaces an older one, and nothing that follows undoes it."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import BlockingConnectionPool, Connection, Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from sandbox.simulator import CLIENT_ID, Account
from sandbox.simulator.faults import Fault
from service.ground.subdomains import Subdomain
from service.store.activity import Activity
from tests.conftest import MakeAdmin, MakeApp
from tests.steps import DIRECT, Admin, collaborator, wait_until
from tests.test_handshake import GRANT_KEY, ONE_INTEGRATION, consented, stored, with_seconds_left
from tests.test_oauth_callback import assert_failed, result_of

# What a handshake writes before it stores the grant.
BEFORE = ("~zis:state:*", "~zis:ever_connected", "~zis:limit*", "~LIMITS*")


@pytest.fixture
def person(make_admin: MakeAdmin) -> Admin:
    return make_admin(**ONE_INTEGRATION)


@pytest.fixture
def acme(person: Admin) -> Account:
    return person.simulator.world.account("acme")


def test_connecting_again_replaces_the_grant_and_revokes_the_older_tokens(admin: Admin) -> None:
    account = admin.simulator.world.account("acme")
    integrations = {"zis_acme_orders": 1, "zis_acme_shipping": 1, "zis_acme_archive": 1}
    assert account.live_tokens() == {CLIENT_ID: 1, **integrations}
    older = set(account.tokens)

    assert admin.come_back(consented(admin, 105)).status_code == 200
    assert account.live_tokens() == {CLIENT_ID: 1, **integrations}
    assert not older & set(account.tokens)
    assert admin.status()["connection"]["authorized_by"] == {"id": 105, "name": "Eve Lindqvist"}


def test_in_direct_mode_connecting_again_leaves_one_token(make_admin: MakeAdmin) -> None:
    person = make_admin(**DIRECT)
    person.connect("acme")
    person.connect("acme", 105)

    assert person.simulator.world.account("acme").live_tokens() == {"zis_acme_orders": 1}


def test_an_older_grant_whose_access_token_has_expired_is_revoked_too(admin: Admin) -> None:
    account = admin.simulator.world.account("acme")
    with admin.simulator.world.lock:
        account.expire_access_tokens(CLIENT_ID)
    assert admin.come_back(consented(admin, 105)).status_code == 200

    assert account.live_tokens()[CLIENT_ID] == 1


def test_a_zendesk_that_does_not_revoke_the_older_grant_undoes_nothing(admin: Admin) -> None:
    admin.simulator.world.account("acme").faults = [Fault("revoke", "http_500_text")]

    assert admin.come_back(consented(admin, 105)).status_code == 200
    assert admin.status()["connection"]["authorized_by"]["id"] == 105


def test_the_grant_of_one_account_is_not_touched_by_another(admin: Admin, redis: Redis) -> None:
    before = stored(redis)
    assert admin.connect("globex").status_code == 200

    assert stored(redis) == before
    assert admin.status()["account"] == "globex"


def test_what_is_not_ready_is_named_and_undoes_nothing(make_admin: MakeAdmin) -> None:
    person = make_admin()
    person.simulator.world.account("acme").faults = [
        Fault("registry:acme_shipping", "mismatch"),
        Fault("registry:acme_archive", "http_500_zis"),
    ]
    page = person.connect("acme")

    assert page.status_code == 200
    assert result_of(page)["result"] == "connected"
    assert result_of(page)["stay"] is True
    assert "Not every integration is ready" in page.text
    assert "<strong>acme_shipping</strong>: Authorization failed due to integration mismatch" in page.text
    assert "<strong>acme_archive</strong>" in page.text
    assert "<strong>acme_orders</strong>" not in page.text
    states = {one["name"]: one["state"] for one in person.status()["integrations"]}
    assert states == {"acme_orders": "ready", "acme_shipping": "mismatch", "acme_archive": "unavailable"}


@pytest.mark.parametrize("kind", ["empty_200", "list_200", "wrong_types"])
def test_a_success_that_is_no_list_makes_no_integration_ready(kind: str, make_admin: MakeAdmin) -> None:
    person = make_admin()
    person.simulator.world.account("acme").faults = [Fault("registry:acme_archive", kind)]
    page = person.connect("acme")
    assert result_of(page)["result"] == "connected"
    assert "<strong>acme_archive</strong>" in page.text
    states = {one["name"]: one["state"] for one in person.status()["integrations"]}
    assert states == {"acme_orders": "ready", "acme_shipping": "ready", "acme_archive": "unavailable"}


def test_an_integration_that_was_never_registered_is_named(make_admin: MakeAdmin) -> None:
    person = make_admin(ZIS_INTEGRATIONS="acme_orders,acme_billing")
    page = person.connect("acme")

    assert "Zendesk knows no integration acme_billing" in page.text
    assert {one["name"]: one["state"] for one in person.status()["integrations"]} == {
        "acme_billing": "not_registered",
        "acme_orders": "ready",
    }


def test_without_time_left_nothing_is_tried_and_the_grant_is_stored(person: Admin, redis: Redis) -> None:
    page = with_seconds_left(person, consented(person), 6)

    assert page.status_code == 200
    assert "There was no time left to try it" in page.text
    assert stored(redis)
    assert person.simulator.world.calls(integration="acme_orders") == []
    assert person.simulator.world.calls(path_contains="/oauth/clients") == []


def test_what_there_is_no_time_to_revoke_is_revoked_after_the_answer(
    person: Admin, acme: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    person.connect("acme")
    for module in ("grants.revocation", "connecting.handshake"):
        monkeypatch.setattr(f"service.{module}.LEAST_SECONDS", 60.0)
    person.meets({"where": "revoke", "kind": "hold"})

    assert person.come_back(consented(person)).status_code == 200
    assert acme.live_tokens()[CLIENT_ID] == 2
    person.meets()
    person.settle()
    assert acme.live_tokens()[CLIENT_ID] == 1


def test_what_a_refused_consent_gave_is_revoked_after_the_answer_without_time_left(
    person: Admin, acme: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.grants.revocation.LEAST_SECONDS", 60.0)
    person.meets({"where": "revoke", "kind": "hold"})

    assert_failed(person.come_back(consented(person, 103)), 403, "admin_required")
    assert acme.live_tokens() == {CLIENT_ID: 1}
    person.meets()
    person.settle()
    assert acme.live_tokens() == {}


@pytest.mark.parametrize("kind", ["http_429", "http_502_html", "hang"])
def test_what_zendesk_does_not_revoke_now_is_revoked_once_it_does(
    person: Admin, acme: Account, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.grants.revocation.PAUSES_SECONDS", (0.01, 0.01, 600.0))
    # Hanging, each try ends with its time.
    monkeypatch.setattr("service.grants.revocation.UNATTENDED_SECONDS", 0.5 if kind == "hang" else 10.0)
    person.meets({"where": "revoke", "kind": kind, "retry_after": 1 if kind == "http_429" else None})

    assert_failed(person.come_back(consented(person, 103)), 403, "admin_required")
    assert acme.live_tokens() == {CLIENT_ID: 1}
    person.meets()
    wait_until(lambda: acme.live_tokens() == {})


def test_a_limit_of_an_hour_does_not_keep_a_revocation_in_hand_for_an_hour(
    person: Admin, acme: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.grants.revocation.PAUSES_SECONDS", (0.01,))
    monkeypatch.setattr("service.grants.revocation.LONGEST_PAUSE_SECONDS", 0.1)
    person.meets({"where": "revoke", "kind": "http_429", "retry_after": 3600, "times": 1})

    assert_failed(person.come_back(consented(person, 103)), 403, "admin_required")
    wait_until(lambda: acme.live_tokens() == {})


def test_what_zendesk_refuses_to_revoke_is_tried_once(person: Admin) -> None:
    person.meets({"where": "revoke", "kind": "http_403_scope"})
    assert_failed(person.come_back(consented(person, 103)), 403, "admin_required")
    person.settle()
    assert len(person.calls("/oauth/tokens/", method="DELETE")) == 1


# --- a store that fails in the middle; a user of Redis that may not write some keys stands for it ---


AllowWriting = Callable[..., dict[str, str]]


@pytest.fixture
def allow_writing(redis: Redis, environment: dict[str, str]) -> Iterator[AllowWriting]:
    """Return settings for a service that reads every key in Redis but writes only those that fit a pattern."""

    def allow(*patterns: str) -> dict[str, str]:
        rules = ["reset", "on", ">a-password", "+@all", "%R~*", *patterns]
        redis.execute_command("ACL", "SETUSER", "limited", *rules)  # type: ignore[no-untyped-call]  # redis-py leaves it so
        return {"REDIS_URL": environment["REDIS_URL"].replace("redis://", "redis://limited:a-password@")}

    yield allow
    redis.execute_command("ACL", "DELUSER", "limited")  # type: ignore[no-untyped-call]  # redis-py leaves it so


def test_a_grant_that_cannot_be_stored_is_revoked(
    make_admin: MakeAdmin, redis: Redis, allow_writing: AllowWriting
) -> None:
    person = make_admin(**allow_writing(*BEFORE), **ONE_INTEGRATION)

    assert_failed(person.come_back(consented(person)), 503, "store_unavailable")
    assert person.simulator.world.account("acme").live_tokens() == {}
    assert not redis.exists(GRANT_KEY)


def test_a_grant_that_cannot_be_stored_takes_what_was_minted_with_it(
    make_admin: MakeAdmin, allow_writing: AllowWriting
) -> None:
    person = make_admin(**allow_writing(*BEFORE), **ONE_INTEGRATION)
    acme = person.simulator.world.account("acme")
    acme.faults = [Fault("users", "http_404")]

    assert_failed(person.come_back(consented(person)), 503, "store_unavailable")
    assert acme.live_tokens() == {}


class LosingConnection(Connection):
    """A connection that breaks after Redis has stored a grant and before its answer arrives."""

    stores_grant = False

    def send_packed_command(self, command: Any, *args: Any, **kwargs: Any) -> None:
        sent = command if isinstance(command, bytes) else b"".join(command)
        self.stores_grant = b"EVALSHA" in sent and GRANT_KEY.encode() in sent
        super().send_packed_command(command, *args, **kwargs)  # type: ignore[no-untyped-call]  # redis-py leaves it so

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        answer = super().read_response(*args, **kwargs)
        if self.stores_grant:
            self.disconnect()  # type: ignore[no-untyped-call]  # likewise
            raise RedisConnectionError("the answer was lost")
        return answer


MakePerson = Callable[[type[Connection]], Admin]


@pytest.fixture
def make_person(make_admin: MakeAdmin, make_app: MakeApp, environment: dict[str, str]) -> Iterator[MakePerson]:
    """Make a person on a service in direct mode, with connections of this kind to a Redis that is there."""

    def make(kind: type[Connection]) -> Admin:
        retry = Retry(NoBackoff(), 0)
        pool = BlockingConnectionPool.from_url(environment["REDIS_URL"], connection_class=kind, retry=retry)
        return make_admin(make_app(Redis(connection_pool=pool), **DIRECT))

    AwayConnection.is_away = False
    AwayConnection.is_back.clear()
    yield make
    # What a failed test has left in hand is settled with it.
    AwayConnection.is_back.set()


def test_a_grant_whose_storing_was_not_confirmed_is_looked_up_and_kept(make_person: MakePerson, redis: Redis) -> None:
    person = make_person(LosingConnection)

    page = person.come_back(consented(person))
    assert page.status_code == 200, page.text
    assert stored(redis)
    assert person.simulator.world.account("acme").live_tokens() == {"zis_acme_orders": 1}


class AwayConnection(Connection):
    """A connection that is broken from when Redis `is_away` until it `is_back`; `make_person` begins anew."""

    is_back = threading.Event()
    is_away = False

    def send_packed_command(self, command: Any, *args: Any, **kwargs: Any) -> None:
        if AwayConnection.is_away and not self.is_back.is_set():
            raise RedisConnectionError("away")
        super().send_packed_command(command, *args, **kwargs)  # type: ignore[no-untyped-call]  # redis-py leaves it so


class LeavingConnection(AwayConnection):
    """A connection whose Redis is away when a grant is to be stored."""

    def send_packed_command(self, command: Any, *args: Any, **kwargs: Any) -> None:
        sent = command if isinstance(command, bytes) else b"".join(command)
        if b"EVALSHA" in sent and GRANT_KEY.encode() in sent:
            AwayConnection.is_away = True
        super().send_packed_command(command, *args, **kwargs)


def test_a_grant_of_which_nobody_knows_whether_it_was_stored_is_revoked_once_that_is_known(
    make_person: MakePerson, redis: Redis
) -> None:
    person = make_person(LeavingConnection)

    assert_failed(person.come_back(consented(person)), 503, "store_unavailable")
    # It may be stored, so it is neither revoked nor forgotten yet.
    assert person.simulator.world.account("acme").live_tokens() == {"zis_acme_orders": 1}
    AwayConnection.is_back.set()
    person.settle()
    assert person.simulator.world.account("acme").live_tokens() == {}
    assert not redis.exists(GRANT_KEY)


class VanishingConnection(LosingConnection, AwayConnection):
    """A connection whose Redis is away after it has stored a grant."""

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().read_response(*args, **kwargs)
        except RedisConnectionError:
            AwayConnection.is_away = True
            raise


def test_a_grant_that_was_stored_after_all_is_kept_once_that_is_known_and_recorded(
    make_person: MakePerson, redis: Redis
) -> None:
    person = make_person(VanishingConnection)

    assert_failed(person.come_back(consented(person)), 503, "store_unavailable")
    AwayConnection.is_back.set()
    person.settle()
    assert person.simulator.world.account("acme").live_tokens() == {"zis_acme_orders": 1}
    assert stored(redis)
    assert [entry["action"] for entry in collaborator(person.app, Activity).latest(Subdomain("acme"))] == ["connected"]


def test_once_the_grant_is_stored_no_failing_store_undoes_the_connection(
    make_admin: MakeAdmin, redis: Redis, allow_writing: AllowWriting
) -> None:
    person = make_admin(**allow_writing(*BEFORE, f"~{GRANT_KEY}"), **DIRECT)

    page = person.connect("acme")
    assert page.status_code == 200, page.text
    assert result_of(page)["result"] == "connected"
    assert stored(redis)
    assert person.status()["integrations"] == [{"name": "acme_orders", "state": "unknown", "detail": None}]
