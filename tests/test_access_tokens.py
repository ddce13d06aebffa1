"""The token hand-out: one refresh for everybody, stored before use, and no verdict from what may pass."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import pytest
import time_machine
from redis import Redis

from sandbox.simulator.faults import Fault
from service.grants.access_tokens import AccessTokens
from service.grants.grant_ends import AFTERLIFE_SECONDS
from service.grants.granted import Grant, Holdings, grant_key
from service.grants.grants import Grants
from service.grants.leases import LEASE_SECONDS
from service.grants.pending_pairs import PairInHand
from service.ground.deadlines import Deadline
from service.ground.errors import (
    AuthorizationRequired,
    ClientMisconfigured,
    ServiceError,
    StoreUnavailable,
    ZendeskTimeout,
    ZendeskUnavailable,
)
from service.ground.subdomains import Subdomain
from service.zendesk.calls import CALL_SECONDS
from tests.conftest import LONGER, MakeAdmin, MakeApp
from tests.steps import Admin, services, wait_until
from tests.steps import collaborator as of_app
from tests.stored_grants import expire, stored
from tests.workers import at_once

T = TypeVar("T")
ACME = Subdomain("acme")
LATER_SECONDS = 1801


def collaborator(admin: Admin, kind: type[T]) -> T:
    return of_app(admin.app, kind)


def access_tokens(admin: Admin) -> AccessTokens:
    return collaborator(admin, AccessTokens)


def refreshes(admin: Admin) -> int:
    return len(admin.simulator.world.calls(account="acme", grant_type="refresh_token"))


def deadline() -> Deadline:
    return Deadline.after(25)


@pytest.fixture
def later() -> Callable[[], time_machine.travel]:
    """Move our clock past the life of an access token; Zendesk's tokens are ended by the test."""
    return lambda: time_machine.travel(time.time() + LATER_SECONDS, tick=True)


@pytest.fixture
def nobody_stores_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Conclude at once, not after two seconds, that no other process has the lost answer in hand."""
    monkeypatch.setattr("service.grants.refreshing.PATIENCE_SECONDS", 0.0)


def fault(admin: Admin, **described: object) -> None:
    with admin.simulator.world.lock:
        admin.simulator.world.account("acme").faults[:] = [Fault.from_json(described)]


def make_grant(**fields: object) -> Grant:
    defaults: dict[str, object] = {
        "id": "1", "generation": "1", "client_id": "c", "scope": "read", "access_token": "a", "refresh_token": "r",
        "obtained_at": 0.0, "expires_at": 1800.0, "refresh_token_expires_at": None, "authorized_at": 0.0,
        "authorized_by": None,
    }  # fmt: skip
    return Grant(**{**defaults, **fields})  # type: ignore[arg-type]  # a factory of any fields


def test_the_lease_outlasts_a_token_call() -> None:
    assert LEASE_SECONDS > CALL_SECONDS + 2


def test_a_refresh_for_which_the_note_left_no_time_is_not_asked_for(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the note had taken all but this of what was left.
    monkeypatch.setattr("service.grants.refreshing.WRITE_SECONDS", 60.0)
    before = stored(admin)
    with pytest.raises(ZendeskTimeout):
        access_tokens(admin).refresh_now(ACME, before, deadline())
    assert refreshes(admin) == 0
    assert stored(admin).refresh_begun_at is None


def test_a_fresh_token_is_used_without_asking(admin: Admin) -> None:
    assert access_tokens(admin).get(ACME, deadline()).access_token == stored(admin).access_token
    assert refreshes(admin) == 0


def test_an_expired_token_is_refreshed_and_stored_before_it_is_handed_out(admin: Admin) -> None:
    before = stored(admin)
    expire(admin)
    handed_out = access_tokens(admin).get(ACME, deadline())
    assert handed_out.access_token != before.access_token
    assert stored(admin) == handed_out
    assert handed_out.refresh_begun_at is None
    assert handed_out.id == before.id


def test_fifty_threads_refresh_once(admin: Admin) -> None:
    expire(admin)
    fault(admin, where="token", kind="slow", seconds=0.3)
    tokens = at_once(50, lambda _: access_tokens(admin).get(ACME, deadline()).access_token)
    assert set(tokens) == {stored(admin).access_token}
    assert refreshes(admin) == 1


def test_two_processes_refresh_once(admin: Admin, make_admin: MakeAdmin) -> None:
    expire(admin)
    fault(admin, where="token", kind="slow", seconds=0.3)
    both = [admin, make_admin()]
    tokens = at_once(20, lambda number: access_tokens(both[number % 2]).get(ACME, deadline()).access_token)
    assert set(tokens) == {stored(admin).access_token}
    assert refreshes(admin) == 1


def test_while_a_stale_token_is_refreshed_the_others_go_on_with_it(admin: Admin, make_admin: MakeAdmin) -> None:
    elsewhere = make_admin()
    grants = collaborator(admin, Grants)
    grant = stored(admin)
    now = time.time()
    assert grants.update(ACME, grant, grant.changed(obtained_at=now - 1700, expires_at=now + 100))
    old = stored(admin).access_token
    fault(admin, where="token", kind="hold")

    def call(number: int) -> set[str]:
        if number:
            admin.simulator.world.wait_until_held(1)
            tokens = {access_tokens(one).get(ACME, deadline()).access_token for one in (admin, elsewhere)}
            admin.simulator.release()
            return tokens
        return {access_tokens(admin).get(ACME, deadline()).access_token}

    refreshed, meanwhile = at_once(2, call)
    assert meanwhile == {old}
    assert refreshes(admin) == 1
    assert refreshed == {stored(admin).access_token} != {old}


@pytest.mark.usefixtures("long_waits")
def test_a_stale_token_serves_on_while_the_token_endpoint_fails(admin: Admin) -> None:
    grant = stored(admin)
    now = time.time()
    collaborator(admin, Grants).update(ACME, grant, grant.changed(obtained_at=now - 1700, expires_at=now + 100))
    fault(admin, where="token", kind="http_503_html")
    assert access_tokens(admin).get(ACME, deadline()).access_token == grant.access_token
    assert access_tokens(admin).get(ACME, deadline()).access_token == grant.access_token
    # The second caller asks nobody: the failure is being waited out.
    assert refreshes(admin) == 1


def test_a_refused_token_is_refreshed_once_and_the_call_repeated(admin: Admin) -> None:
    with admin.simulator.world.lock:
        admin.simulator.world.account("acme").expire_access_tokens("job_specs_sidebar")
    grant = stored(admin)
    assert access_tokens(admin).after_refusal(ACME, grant.access_token, deadline()).access_token != grant.access_token
    assert refreshes(admin) == 1


def test_a_refused_token_that_was_replaced_meanwhile_is_not_refreshed(admin: Admin) -> None:
    assert access_tokens(admin).after_refusal(ACME, "another", deadline()) == stored(admin)
    assert refreshes(admin) == 0


def test_a_revoked_grant_is_dead_and_says_so(admin: Admin) -> None:
    admin.simulator.world.account("acme").revoke_grants()
    expire(admin)
    with pytest.raises(AuthorizationRequired) as refusal:
        access_tokens(admin).get(ACME, deadline())
    assert refusal.value.authorize_url == "http://localhost:9001/oauth/authorize?subdomain=acme"
    assert stored(admin).dead == "grant_revoked"
    with pytest.raises(AuthorizationRequired):
        access_tokens(admin).get(ACME, deadline())
    assert refreshes(admin) == 1
    assert admin.status()["connection"]["reason"] == "grant_revoked"


@pytest.mark.usefixtures("long_waits", "nobody_stores_meanwhile")
def test_a_lost_answer_is_asked_for_once_more_and_then_told_apart_from_a_revocation(admin: Admin, redis: Redis) -> None:
    expire(admin)
    fault(admin, where="token", kind="reset", after_effect=True, times=1)
    with pytest.raises(ZendeskUnavailable) as lost:
        access_tokens(admin).get(ACME, deadline())
    assert lost.value.retry_after
    with pytest.raises(ZendeskUnavailable):
        access_tokens(admin).get(ACME, deadline())
    assert refreshes(admin) == 1
    redis.delete("zis:{acme}:cool_down")
    with pytest.raises(AuthorizationRequired):
        access_tokens(admin).get(ACME, deadline())
    assert refreshes(admin) == 2
    assert stored(admin).dead == "refresh_outcome_unknown"


def test_a_lost_request_costs_nothing_but_a_wait(admin: Admin, redis: Redis) -> None:
    expire(admin)
    fault(admin, where="token", kind="reset", times=1)
    with pytest.raises(ZendeskUnavailable):
        access_tokens(admin).get(ACME, deadline())
    redis.delete("zis:{acme}:cool_down")
    assert access_tokens(admin).get(ACME, deadline()) == stored(admin)
    assert stored(admin).dead is None


@pytest.mark.usefixtures("long_waits")
@pytest.mark.parametrize(
    ("described", "code"),
    [
        ({"kind": "oauth_error", "error": "invalid_client"}, "client_misconfigured"),
        ({"kind": "oauth_error", "error": "unauthorized_client"}, "client_misconfigured"),
        ({"kind": "oauth_error", "error": "server_error"}, "zendesk_unavailable"),
        ({"kind": "no_json_error"}, "zendesk_unavailable"),
        ({"kind": "http_429", "retry_after": 3600}, "rate_limited"),
        ({"kind": "http_500_text"}, "zendesk_unavailable"),
        ({"kind": "html_200"}, "zendesk_unavailable"),
        ({"kind": "empty_200"}, "zendesk_unavailable"),
        ({"kind": "truncated_json"}, "zendesk_unavailable"),
        ({"kind": "wrong_types"}, "zendesk_unavailable"),
        ({"kind": "redirect"}, "zendesk_unavailable"),
        ({"kind": "big_body"}, "zendesk_unavailable"),
    ],
    ids=lambda value: str(value.get("error") or value["kind"]) if isinstance(value, dict) else value,
)
def test_no_failure_of_the_token_endpoint_discards_the_grant(
    admin: Admin, redis: Redis, described: dict[str, object], code: str
) -> None:
    expire(admin)
    refresh_token = stored(admin).refresh_token
    fault(admin, where="token", **described)
    with pytest.raises(ServiceError) as failure:
        access_tokens(admin).get(ACME, deadline())
    assert failure.value.code == code
    assert failure.value.retry_after
    assert stored(admin).dead is None
    assert stored(admin).refresh_token == refresh_token
    with pytest.raises(ServiceError) as again:
        access_tokens(admin).get(ACME, deadline())
    assert again.value.code == code
    assert again.value.retry_after
    assert refreshes(admin) == 1, "while it cools down nobody asks"
    assert 0 < int(redis.pttl("zis:{acme}:cool_down")) <= 60_000


@pytest.mark.usefixtures("long_waits")
def test_the_waits_grow_and_end_with_a_success(admin: Admin, redis: Redis) -> None:
    expire(admin)
    fault(admin, where="token", kind="http_500_text", times=3)
    waits = []
    for _ in range(3):
        with pytest.raises(ZendeskUnavailable):
            access_tokens(admin).get(ACME, deadline())
        waits.append(int(redis.pttl("zis:{acme}:cool_down")))
        redis.delete("zis:{acme}:cool_down")
    first_at_most = 2000 * LONGER
    assert 0 < waits[0] <= first_at_most < waits[1] <= 2 * first_at_most < waits[2] <= 4 * first_at_most
    access_tokens(admin).get(ACME, deadline())
    assert not redis.exists("zis:{acme}:cool_down_step")


def test_an_answered_failure_does_not_make_a_later_revocation_look_like_a_lost_answer(
    admin: Admin, redis: Redis
) -> None:
    expire(admin)
    fault(admin, where="token", kind="oauth_error", error="invalid_client", times=1)
    with pytest.raises(ClientMisconfigured):
        access_tokens(admin).get(ACME, deadline())
    redis.delete("zis:{acme}:cool_down")
    admin.simulator.world.account("acme").revoke_grants()
    with pytest.raises(AuthorizationRequired):
        access_tokens(admin).get(ACME, deadline())
    assert stored(admin).dead == "grant_revoked"


def test_a_gateways_refusal_says_nothing_of_whether_a_refresh_has_had_its_effect(admin: Admin) -> None:
    expire(admin)
    fault(admin, where="token", kind="http_403_html")
    with pytest.raises(ZendeskUnavailable):
        access_tokens(admin).get(ACME, deadline())
    assert stored(admin).refresh_begun_at is not None


def test_a_failure_that_was_answered_leaves_the_note_of_a_refresh_before_it(admin: Admin, redis: Redis) -> None:
    expire(admin)
    for kind in ("hang", "http_429"):
        fault(admin, where="token", kind=kind, seconds=0, times=1)
        with pytest.raises(ServiceError):
            access_tokens(admin).get(ACME, deadline())
        redis.delete("zis:{acme}:cool_down")
        assert stored(admin).refresh_begun_at is not None


def test_a_refresh_is_not_begun_with_too_little_time_left(admin: Admin) -> None:
    expire(admin)
    before = stored(admin)
    with pytest.raises(ServiceError) as failure:
        access_tokens(admin).get(ACME, Deadline.after(12))
    assert failure.value.code == "zendesk_timeout"
    assert refreshes(admin) == 0
    assert stored(admin) == before


def test_without_a_note_in_the_record_zendesk_is_not_asked(admin: Admin, redis: Redis) -> None:
    expire(admin)
    redis.config_set("maxmemory", "1")
    try:
        with pytest.raises(ServiceError) as failure:
            access_tokens(admin).get(ACME, deadline())
    finally:
        redis.config_set("maxmemory", "0")
    assert failure.value.code == "store_unavailable"
    assert refreshes(admin) == 0
    assert access_tokens(admin).get(ACME, deadline()) == stored(admin)


def refresh_into_a_full_store(admin: Admin, redis: Redis) -> ServiceError:
    """Let Redis fill up between the note and the new pair; return what the refresher met."""
    expire(admin)
    fault(admin, where="token", kind="hold")

    def call(number: int) -> ServiceError | None:
        if number:
            admin.simulator.world.wait_until_held(1)
            redis.config_set("maxmemory", "1")
            admin.simulator.release()
            return None
        with pytest.raises(ServiceError) as failure:
            access_tokens(admin).get(ACME, deadline())
        return failure.value

    met = at_once(2, call)[0]
    assert isinstance(met, ServiceError)
    return met


@pytest.mark.usefixtures("quick_retries")
def test_a_pair_that_redis_does_not_take_is_kept_and_stored_later(admin: Admin, redis: Redis) -> None:
    failure = refresh_into_a_full_store(admin, redis)
    assert failure.code == "store_unavailable"
    assert access_tokens(admin).pending_pairs.holds(ACME)
    with pytest.raises(ServiceError) as meanwhile:
        access_tokens(admin).get(ACME, deadline())
    assert meanwhile.value.code == "store_unavailable"
    redis.config_set("maxmemory", "0")
    access_tokens(admin).pending_pairs.finish(20)
    assert not access_tokens(admin).pending_pairs.holds(ACME)
    assert access_tokens(admin).get(ACME, deadline()).access_token == stored(admin).access_token
    assert refreshes(admin) == 1
    assert admin.job_specs()["job_specs"]


def held_refresh(admin: Admin, meanwhile: Callable[[], object]) -> object:
    """Let `meanwhile` happen between Zendesk's answer to a refresh and our write; return what the refresher got."""
    expire(admin)
    fault(admin, where="token", kind="hold", after_effect=True)

    def call(number: int) -> object:
        if number:
            admin.simulator.world.wait_until_held(1)
            meanwhile()
            admin.simulator.release()
            return None
        return access_tokens(admin).get(ACME, deadline())

    return at_once(2, call)[0]


def test_that_a_refresh_has_begun_stands_in_the_record_while_zendesk_is_asked(admin: Admin) -> None:
    notes: list[float | None] = []
    held_refresh(admin, lambda: notes.append(stored(admin).refresh_begun_at))
    assert notes != [None]
    assert stored(admin).refresh_begun_at is None


def test_what_was_read_during_a_refresh_forgets_nothing_after_it(admin: Admin) -> None:
    grants = collaborator(admin, Grants)
    read: list[Holdings] = []
    held_refresh(admin, lambda: read.append(grants.holdings(ACME)))
    assert not grants.forget(ACME, read[0])
    assert grants.get(ACME) is not None


def test_a_refresh_that_could_not_be_sent_leaves_no_note(admin: Admin, make_admin: MakeAdmin) -> None:
    expire(admin)
    cut_off = make_admin(ZENDESK_URL_TEMPLATE="http://127.0.0.1:9/{subdomain}")
    with pytest.raises(ZendeskUnavailable):
        access_tokens(cut_off).get(ACME, deadline())
    assert stored(admin).refresh_begun_at is None


def test_a_record_goes_90_days_after_what_it_holds_has_ended(admin: Admin, redis: Redis) -> None:
    grants, grant = collaborator(admin, Grants), stored(admin)
    assert grant.refresh_token_expires_at is not None
    left = grant.refresh_token_expires_at - time.time() + AFTERLIFE_SECONDS
    assert left - 60 < redis.ttl(grant_key(ACME)) <= left + 1
    assert grants.update(ACME, grant, grant.changed(dead="grant_revoked"))
    assert AFTERLIFE_SECONDS - 60 < redis.ttl(grant_key(ACME)) <= AFTERLIFE_SECONDS
    lasting = stored(admin).changed(dead=None, refresh_token=None, refresh_token_expires_at=None, expires_at=None)
    assert grants.update(ACME, stored(admin), lasting)
    assert redis.ttl(grant_key(ACME)) == -1


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("age_seconds", [LATER_SECONDS - 60, LATER_SECONDS])
def test_with_a_pair_in_hand_no_other_is_asked_for(age_seconds: int, admin: Admin) -> None:
    grants, grant, now = collaborator(admin, Grants), stored(admin), time.time()
    aged = grant.changed(obtained_at=now - age_seconds, expires_at=now - age_seconds + 1800)
    assert grants.update(ACME, grant, aged)
    is_back = threading.Event()

    def settle() -> None:
        if not is_back.is_set():
            raise StoreUnavailable("It does not take the pair.")

    pending_pairs = access_tokens(admin).pending_pairs
    pending_pairs.keep(ACME, settle)
    if age_seconds < LATER_SECONDS:
        assert access_tokens(admin).get(ACME, deadline()) == aged
    else:
        with pytest.raises(PairInHand):
            access_tokens(admin).get(ACME, deadline())
    assert refreshes(admin) == 0
    is_back.set()
    pending_pairs.finish(20)
    assert access_tokens(admin).get(ACME, deadline()).access_token != aged.access_token


def test_a_disconnect_during_a_refresh_stays_and_the_new_pair_is_revoked(admin: Admin) -> None:
    outcome = held_refresh(admin, lambda: collaborator(admin, Grants).delete(ACME))
    assert isinstance(outcome, AuthorizationRequired)
    assert collaborator(admin, Grants).get(ACME) is None
    # What the deleted grant had minted is not this refresh's to revoke.
    # Nobody waits for that.
    wait_until(lambda: admin.simulator.world.account("acme").live_tokens().get("job_specs_sidebar", 0) == 0)


def test_a_reconnect_during_a_refresh_wins_and_the_new_pair_is_revoked(admin: Admin) -> None:
    end = time.time() + 999
    fresh = make_grant(id="reconnected", client_id="job_specs_sidebar", scope="read write", expires_at=end)
    grants = collaborator(admin, Grants)
    outcome = held_refresh(admin, lambda: grants.replace(ACME, fresh, grants.holdings(ACME)))
    assert outcome == fresh
    assert stored(admin) == fresh
    # Nobody waits for that.
    wait_until(lambda: admin.simulator.world.account("acme").live_tokens().get("job_specs_sidebar", 0) == 0)


def test_a_new_pair_beats_a_verdict_on_its_predecessor(admin: Admin) -> None:
    def condemn() -> None:
        grant = stored(admin)
        assert collaborator(admin, Grants).update(ACME, grant, grant.changed(dead="grant_revoked"))

    outcome = held_refresh(admin, condemn)
    assert isinstance(outcome, Grant)
    assert stored(admin) == outcome
    assert stored(admin).dead is None


def test_a_record_sealed_anew_during_a_refresh_takes_the_new_pair(admin: Admin, make_app: MakeApp) -> None:
    other = make_app(SECRET_KEYS="third-key-of-the-tests-0123456789abcdef")
    grants = services(other).grants

    def seal_anew() -> None:
        grant = stored(admin)
        # Under a key this process does not have yet.
        assert grants.update_generation(ACME, grant.generation, grant.changed())

    outcome = held_refresh(admin, seal_anew)
    assert isinstance(outcome, Grant)
    assert stored(admin) == outcome


def test_another_client_asks_for_a_new_authorization_and_keeps_the_old_one(admin: Admin, make_admin: MakeAdmin) -> None:
    other = make_admin(ZENDESK_CLIENT_ID="another_client")
    other.open_sidebar("acme")
    assert other.call("GET", "/job_specs").get_json()["code"] == "authorization_required"
    connection = other.status()["connection"]
    assert (connection["state"], connection["reason"]) == ("reauthorization_required", "client_changed")
    assert admin.status()["connection"]["state"] == "connected"
    assert refreshes(admin) == 0


def test_a_key_that_is_gone_loses_nothing(admin: Admin, make_admin: MakeAdmin) -> None:
    other = make_admin(SECRET_KEYS="third-key-of-the-tests-0123456789abcdef")
    other.open_sidebar("acme")
    assert other.status()["connection"]["reason"] == "key_missing"
    assert other.call("GET", "/job_specs").status_code == 409
    assert admin.status()["connection"]["state"] == "connected"


def test_a_wider_scope_is_said_and_the_grant_still_used(admin: Admin, make_admin: MakeAdmin) -> None:
    assert admin.status()["connection"]["reason"] is None
    other = make_admin(ZENDESK_SCOPE="read write impersonate")
    other.open_sidebar("acme")
    assert other.status()["connection"]["reason"] == "scope_changed"
    assert other.job_specs()["job_specs"]


def test_a_token_that_never_expires_is_used_until_refused(make_admin: MakeAdmin) -> None:
    admin = make_admin()
    admin.simulator.world.account("acme").switches.token_lifetime = "never"
    admin.connect()
    assert stored(admin).expires_at is None
    assert stored(admin).refresh_token is None
    with time_machine.travel(time.time() + 10**6):
        assert access_tokens(admin).get(ACME, deadline()).access_token == stored(admin).access_token
        admin.simulator.world.account("acme").revoke_grants()
        with pytest.raises(AuthorizationRequired):
            access_tokens(admin).after_refusal(ACME, stored(admin).access_token, deadline())
    assert stored(admin).dead == "not_refreshable"


def test_an_expiry_that_was_not_announced_is_assumed(make_admin: MakeAdmin) -> None:
    admin = make_admin()
    admin.simulator.world.account("acme").switches.expires_in = "never"
    admin.connect()
    grant = stored(admin)
    assert grant.expires_at == grant.obtained_at + 1800


def test_a_refresh_without_a_new_refresh_token_keeps_the_old_one(admin: Admin) -> None:
    admin.simulator.world.account("acme").switches.refresh = "no_new_refresh_token"
    before = stored(admin).refresh_token
    expire(admin)
    assert access_tokens(admin).get(ACME, deadline()).refresh_token == before
    assert stored(admin).expires_at is not None


def test_what_somebody_else_stored_meanwhile_beats_an_invalid_grant(admin: Admin) -> None:
    """Another process refreshed with the same refresh token (it had been asleep with the lease) and was first."""
    expire(admin)
    fault(admin, where="token", kind="hold")

    def call(number: int) -> object:
        if number:
            admin.simulator.world.wait_until_held(1)
            grant = stored(admin)
            successor = grant.changed(access_token="another's", refresh_token="another's", expires_at=time.time() + 999)
            assert collaborator(admin, Grants).update(ACME, grant, successor)
            admin.simulator.world.account("acme").revoke_grants()
            admin.simulator.release()
            return successor
        return access_tokens(admin).get(ACME, deadline())

    adopted, successor = at_once(2, call)
    assert adopted == successor == stored(admin)
    assert stored(admin).dead is None


def test_what_somebody_else_stores_at_the_last_moment_beats_a_verdict(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    expire(admin)
    admin.simulator.world.account("acme").revoke_grants()
    grants = collaborator(admin, Grants)
    update = grants.update

    def update_after_another(account: Subdomain, read: Grant, written: Grant) -> bool:
        if written.dead is not None:
            assert update(account, read, read.changed(access_token="another", refresh_token="another"))
        return update(account, read, written)

    monkeypatch.setattr(grants, "update", update_after_another)
    assert access_tokens(admin).get(ACME, deadline()).access_token == "another"


@pytest.mark.usefixtures("nobody_stores_meanwhile")
def test_a_refresh_that_somebody_else_began_meanwhile_may_have_lost_its_answer(admin: Admin) -> None:
    """This process was asleep, and its lease ended, between its note and its question."""
    expire(admin)
    fault(admin, where="token", kind="hold")

    def call(number: int) -> object:
        if number:
            admin.simulator.world.wait_until_held(1)
            grant = stored(admin)
            begun = grant.changed(refresh_begun_at=time.time() + 1)
            assert collaborator(admin, Grants).update(ACME, grant, begun)
            admin.simulator.world.account("acme").revoke_grants()
            admin.simulator.release()
            return None
        return access_tokens(admin).get(ACME, deadline())

    assert isinstance(at_once(2, call)[0], AuthorizationRequired)
    assert stored(admin).dead == "refresh_outcome_unknown"


def test_a_grant_that_was_refreshed_meanwhile_is_not_refreshed_early_again(admin: Admin) -> None:
    judged = stored(admin)
    expire(admin)
    refreshed = access_tokens(admin).get(ACME, deadline())
    assert access_tokens(admin).refresh_now(ACME, judged, deadline()) == refreshed
    assert refreshes(admin) == 1


def test_connecting_again_over_an_expired_grant_leaves_no_token_of_it(admin: Admin) -> None:
    expire(admin)
    admin.come_back(admin.simulator.consent(admin.authorize(), 105))
    assert admin.simulator.world.account("acme").live_tokens()["job_specs_sidebar"] == 1
    assert stored(admin).authorized_by is not None
    assert refreshes(admin) == 1


@pytest.mark.parametrize("kind", ["http_500_text", "oauth_error"])
def test_an_expired_grant_that_cannot_be_revoked_does_not_stop_a_new_one(admin: Admin, kind: str) -> None:
    expire(admin)
    location = admin.simulator.consent(admin.authorize(), 105)
    # The first token request is the exchange.
    fault(admin, where="token", kind=kind, every=2, times=1)
    assert admin.come_back(location).status_code == 200
    assert stored(admin).dead is None


def test_a_stale_token_of_a_revoked_grant_is_not_used_on(admin: Admin) -> None:
    grant = stored(admin)
    now = time.time()
    collaborator(admin, Grants).update(ACME, grant, grant.changed(obtained_at=now - 1700, expires_at=now + 100))
    admin.simulator.world.account("acme").revoke_grants()
    with pytest.raises(AuthorizationRequired):
        access_tokens(admin).get(ACME, deadline())
    assert stored(admin).dead == "grant_revoked"


@pytest.mark.usefixtures("quick_retries")
def test_a_process_that_ends_with_a_pair_in_hand_says_so(
    admin: Admin, redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    refresh_into_a_full_store(admin, redis)
    access_tokens(admin).pending_pairs.finish(0.1)
    redis.config_set("maxmemory", "0")
    assert "level=critical event=pair_lost account=acme" in capsys.readouterr().out
    # It was still stored in the end, because this process did not end.
    access_tokens(admin).pending_pairs.finish(20)
    assert not access_tokens(admin).pending_pairs.holds(ACME)


@pytest.mark.usefixtures("quick_retries")
def test_a_pair_in_memory_of_an_account_that_was_disconnected_is_revoked(admin: Admin, redis: Redis) -> None:
    refresh_into_a_full_store(admin, redis)
    collaborator(admin, Grants).delete(ACME)
    redis.config_set("maxmemory", "0")
    access_tokens(admin).pending_pairs.finish(20)
    assert collaborator(admin, Grants).get(ACME) is None
    # Nobody waits for that.
    wait_until(lambda: admin.simulator.world.account("acme").live_tokens().get("job_specs_sidebar", 0) == 0)
