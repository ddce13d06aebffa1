"""A quiet account keeps its grant: once a day what is past half of its life is refreshed."""

import threading
import time

import pytest
from redis import Redis

from service.grants.access_tokens import AccessTokens
from service.grants.cool_down import CoolDown
from service.grants.grant_ends import ENDS_KEY
from service.grants.granted import Grant
from service.grants.grants import Grants
from service.grants.upkeep import ROUND_SECONDS, Upkeep
from service.ground.subdomains import Subdomain
from tests.conftest import MakeAdmin
from tests.steps import Admin, collaborator, wait_until

ACME, GLOBEX = Subdomain("acme"), Subdomain("globex")
LIFE_SECONDS = 7_689_600


def stored(admin: Admin, account: Subdomain) -> Grant:
    grant = collaborator(admin.app, Grants).get(account)
    assert grant is not None
    return grant


def age(admin: Admin, account: Subdomain, share: float) -> None:
    """Let a share of the refresh token's life be over."""
    grant = stored(admin, account)
    now = time.time()
    changed = grant.changed(
        obtained_at=now - share * LIFE_SECONDS, refresh_token_expires_at=now + (1 - share) * LIFE_SECONDS
    )
    assert collaborator(admin.app, Grants).update(account, grant, changed)


@pytest.fixture
def both(make_admin: MakeAdmin) -> Admin:
    """Acme and globex, connected."""
    admin = make_admin()
    admin.connect("globex")
    admin.connect("acme")
    return admin


def go_round(admin: Admin) -> dict[str, str]:
    outcomes = collaborator(admin.app, Upkeep).go_round()
    return {one.account: one.failure.code if one.failure else "ok" for one in outcomes}


def test_only_what_is_past_half_of_its_life_is_refreshed(both: Admin) -> None:
    age(both, ACME, 0.51)
    age(both, GLOBEX, 0.49)
    before = stored(both, ACME), stored(both, GLOBEX)
    assert go_round(both) == {"acme": "ok"}
    assert stored(both, ACME).refresh_token != before[0].refresh_token
    assert stored(both, ACME).refresh_token_expires_at is not None
    assert stored(both, GLOBEX) == before[1]
    assert [call.account for call in both.simulator.world.calls(grant_type="refresh_token")] == ["acme"]


def test_a_process_that_ends_begins_no_further_refresh(both: Admin) -> None:
    age(both, ACME, 0.6)
    collaborator(both.app, Upkeep).stop()
    assert go_round(both) == {}
    assert both.simulator.world.calls(grant_type="refresh_token") == []


def test_a_round_that_crashes_is_not_the_last(
    both: Admin, redis: Redis, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("service.grants.upkeep.LOOK_SECONDS", 0.01)
    age(both, ACME, 0.6)
    before = stored(both, ACME)
    grants = collaborator(both.app, Grants)
    accounts = grants.accounts

    def crash_until_told() -> list[Subdomain]:
        # The round counts as done once it has begun.
        redis.delete("zis:upkeep")
        if "upkeep_round_crashed" not in capsys.readouterr().out:
            raise ArithmeticError("not foreseen")
        return accounts()

    monkeypatch.setattr(grants, "accounts", crash_until_told)
    upkeep = collaborator(both.app, Upkeep)
    upkeep.start()
    try:
        wait_until(lambda: stored(both, ACME).access_token != before.access_token)
    finally:
        upkeep.stop()
        wait_until(lambda: not any(one.name == "upkeep" for one in threading.enumerate()))


def test_what_is_the_matter_with_one_account_keeps_no_other_from_its_refresh(
    both: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    age(both, ACME, 0.6)
    age(both, GLOBEX, 0.6)
    grants = collaborator(both.app, Grants)
    get = grants.get

    def get_but_acmes(account: Subdomain) -> Grant | None:
        if account == ACME:
            raise TypeError("a record that this release cannot read")
        return get(account)

    monkeypatch.setattr(grants, "get", get_but_acmes)
    assert go_round(both) == {"acme": "internal_error", "globex": "ok"}


def test_a_process_that_has_ended_begins_no_refresh_for_which_nobody_would_wait(
    both: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    age(both, ACME, 0.6)
    upkeep, pending_pairs = collaborator(both.app, Upkeep), collaborator(both.app, AccessTokens).pending_pairs

    def end_meanwhile(*_: object) -> None:
        # As gunicorn's worker does, between the round's look at the account and its refresh.
        upkeep.stop()
        pending_pairs.begin_no_more()
        pending_pairs.finish(10)

    monkeypatch.setattr(CoolDown, "current", end_meanwhile)
    assert go_round(both) == {"acme": "zendesk_timeout"}
    assert both.simulator.world.calls(grant_type="refresh_token") == []
    assert stored(both, ACME).refresh_begun_at is None


def test_the_round_is_made_once_a_day_by_whoever_comes_first(both: Admin, make_admin: MakeAdmin, redis: Redis) -> None:
    age(both, ACME, 0.6)
    assert go_round(both) == {"acme": "ok"}
    age(both, ACME, 0.6)
    assert go_round(make_admin()) == {}
    assert 0 < int(redis.ttl("zis:upkeep")) <= ROUND_SECONDS
    redis.delete("zis:upkeep")
    assert go_round(make_admin()) == {"acme": "ok"}


def test_one_account_that_fails_does_not_keep_the_others_waiting(both: Admin) -> None:
    age(both, ACME, 0.9)
    age(both, GLOBEX, 0.9)
    both.meets({"where": "token", "kind": "http_500_text"})
    assert go_round(both) == {"acme": "zendesk_unavailable", "globex": "ok"}
    assert stored(both, ACME).dead is None


@pytest.mark.parametrize(
    "fields",
    [
        {"dead": "grant_revoked"},
        {"refresh_token_expires_at": None},
        {"client_id": "another"},
        {"expires_at": 1.0, "refresh_token_expires_at": 2.0},
    ],
    ids=str,
)
def test_what_cannot_or_need_not_be_refreshed_is_left_alone(both: Admin, fields: dict[str, object]) -> None:
    age(both, ACME, 0.9)
    grant = stored(both, ACME)
    assert collaborator(both.app, Grants).update(ACME, grant, grant.changed(**fields))
    assert go_round(both) == {}


def test_the_round_mends_the_index_by_which_accounts_are_counted(both: Admin, redis: Redis) -> None:
    ends = redis.zrange(ENDS_KEY, 0, -1, withscores=True)
    # Writes of the index that were lost: of a new grant, of a refresh, of a disconnect.
    redis.zrem(ENDS_KEY, "acme")
    redis.zadd(ENDS_KEY, {"globex": 1.0, "initech": 2.0})
    go_round(both)
    assert redis.zrange(ENDS_KEY, 0, -1, withscores=True) == ends


def test_the_round_leaves_in_the_index_when_a_dead_grant_ended(both: Admin, redis: Redis) -> None:
    grant = stored(both, ACME)
    assert collaborator(both.app, Grants).update(ACME, grant, grant.changed(dead="grant_revoked"))
    redis.zadd(ENDS_KEY, {"acme": 1_700_000_000})
    go_round(both)
    assert redis.zscore(ENDS_KEY, "acme") == 1_700_000_000
    # The write that said so was lost: it ended by now at the latest.
    redis.zadd(ENDS_KEY, {"acme": time.time() + 1000})
    redis.delete("zis:upkeep")
    go_round(both)
    assert collaborator(both.app, Grants).census().reauthorization_required == 1


def test_a_record_no_key_opens_is_left_alone(both: Admin, make_admin: MakeAdmin) -> None:
    age(both, ACME, 0.9)
    other = make_admin(SECRET_KEYS="third-key-of-the-tests-0123456789abcdef")
    assert go_round(other) == {}
    assert stored(both, ACME).dead is None
