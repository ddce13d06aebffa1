"""What becomes of a stored pair that a failover loses: who stored it does so again, and undoes nothing else."""

import threading
from collections.abc import Callable

import pytest
from redis import Redis

from service.grants.granted import Grant, grant_key
from service.grants.grants import Grants
from service.grants.stored_pairs import LOOKS, MOST, StoredPair, StoredPairs
from service.ground.errors import AuthorizationRequired, StoreUnavailable
from service.ground.subdomains import Subdomain
from service.server.logs import configure_logs
from tests.conftest import MakeAdmin
from tests.steps import Admin, wait_until
from tests.stored_grants import expire, stored
from tests.test_access_tokens import access_tokens, collaborator, deadline, make_grant, refreshes

ACME, GLOBEX = Subdomain("acme"), Subdomain("globex")


@pytest.fixture
def lose(admin: Admin, redis: Redis) -> Callable[[], Grant]:
    """Refresh, and let the record be as it was before, as on a replica that lacks the last writes."""

    def refresh_and_lose() -> Grant:
        expire(admin)
        before = redis.dump(grant_key(ACME))
        assert isinstance(before, bytes)
        refreshed = access_tokens(admin).get(ACME, deadline())
        redis.restore(grant_key(ACME), 0, before, replace=True)
        return refreshed

    return refresh_and_lose


def test_a_pair_that_is_lost_is_stored_again(admin: Admin, lose: Callable[[], Grant]) -> None:
    refreshed = lose()
    assert stored(admin).access_token != refreshed.access_token
    access_tokens(admin).stored.look()
    assert stored(admin).access_token == refreshed.access_token
    assert refreshes(admin) == 1
    assert admin.job_specs()["job_specs"]


def test_whoever_asks_before_anybody_has_looked_gets_the_pair_that_was_lost(
    admin: Admin, lose: Callable[[], Grant]
) -> None:
    refreshed = lose()
    assert access_tokens(admin).get(ACME, deadline()).access_token == refreshed.access_token
    assert stored(admin).access_token == refreshed.access_token
    assert refreshes(admin) == 1


def test_a_pair_that_is_lost_beats_what_others_conclude_meanwhile(
    admin: Admin, make_admin: MakeAdmin, lose: Callable[[], Grant]
) -> None:
    refreshed = lose()
    # Another process finds the spent pair.
    with pytest.raises(AuthorizationRequired):
        access_tokens(make_admin()).get(ACME, deadline())
    assert stored(admin).dead is not None
    access_tokens(admin).stored.look()
    assert (stored(admin).access_token, stored(admin).dead) == (refreshed.access_token, None)
    assert admin.list_fresh().status_code == 200


def test_two_pairs_that_are_lost_one_after_the_other_leave_the_last(admin: Admin, redis: Redis) -> None:
    expire(admin)
    before = redis.dump(grant_key(ACME))
    assert isinstance(before, bytes)
    first = access_tokens(admin).get(ACME, deadline())
    last = access_tokens(admin).refresh_now(ACME, first, deadline())
    redis.restore(grant_key(ACME), 0, before, replace=True)
    access_tokens(admin).stored.look()
    assert stored(admin).access_token == last.access_token
    assert admin.list_fresh().status_code == 200


def test_a_pair_that_is_lost_twice_is_stored_twice(admin: Admin, redis: Redis, lose: Callable[[], Grant]) -> None:
    before = redis.dump(grant_key(ACME))
    refreshed = lose()
    access_tokens(admin).stored.look()
    assert isinstance(before, bytes)
    redis.restore(grant_key(ACME), 0, before, replace=True)
    access_tokens(admin).stored.look()
    assert stored(admin).access_token == refreshed.access_token


@pytest.mark.parametrize("way", ["disconnected", "connected anew", "sealed anew", "refreshed by another"])
def test_what_somebody_has_done_since_stays_done(way: str, admin: Admin, make_admin: MakeAdmin) -> None:
    expire(admin)
    access_tokens(admin).get(ACME, deadline())
    grants = collaborator(admin, Grants)
    match way:
        case "disconnected":
            grants.delete(ACME)
        case "connected anew":
            fresh = make_grant(id="reconnected", access_token="granted anew")
            assert grants.replace(ACME, fresh, grants.holdings(ACME))
        case "sealed anew":
            assert grants.reseal(ACME)
        case _:
            other = make_admin()
            access_tokens(other).refresh_now(ACME, stored(other), deadline())
    before = grants.get(ACME)
    access_tokens(admin).stored.look()
    assert grants.get(ACME) == before


def test_a_record_that_no_key_opens_is_left_alone(admin: Admin, redis: Redis) -> None:
    expire(admin)
    access_tokens(admin).get(ACME, deadline())
    redis.hset(grant_key(ACME), "generation", "somebody's")
    access_tokens(admin).stored.look()
    assert redis.hget(grant_key(ACME), "generation") == b"somebody's"


# --- how long, and how many ---


class Looker:
    """Looks at nothing, and notes at whose."""

    def __init__(self) -> None:
        self.looked_at: list[Subdomain] = []
        self.failure: Exception | None = None

    def look(self, pair: StoredPair) -> None:
        self.looked_at.append(pair.account)
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def looker() -> Looker:
    return Looker()


@pytest.fixture
def pairs(looker: Looker) -> StoredPairs:
    return StoredPairs(looker.look)


SPENT, WRITTEN = make_grant(), make_grant(access_token="b", refresh_token="s")


def test_a_pair_is_looked_at_for_a_while(pairs: StoredPairs, looker: Looker) -> None:
    pairs.remember(ACME, SPENT, WRITTEN)
    for _ in range(LOOKS + 5):
        pairs.look()
    assert len(looker.looked_at) == LOOKS
    assert pairs.lost_in(ACME, SPENT) is None


def test_looks_for_which_the_store_is_away_do_not_count_and_hold_up_no_other(
    pairs: StoredPairs, looker: Looker
) -> None:
    pairs.remember(ACME, SPENT, WRITTEN)
    pairs.remember(GLOBEX, SPENT, WRITTEN)
    looker.failure = StoreUnavailable("away")
    for _ in range(2 * LOOKS):
        pairs.look()
    # One try at a time, each account in its turn.
    assert looker.looked_at == [ACME, GLOBEX] * LOOKS
    assert pairs.lost_in(ACME, SPENT) is not None


def test_a_pair_that_was_given_up_is_forgotten(pairs: StoredPairs, looker: Looker) -> None:
    pairs.remember(ACME, SPENT, WRITTEN)
    looker.failure = AuthorizationRequired("Connect it.")
    pairs.look()
    assert pairs.lost_in(ACME, SPENT) is None


def test_the_oldest_are_forgotten_where_there_are_too_many(pairs: StoredPairs) -> None:
    accounts = [Subdomain(f"account{number}") for number in range(MOST + 1)]
    for account in accounts:
        pairs.remember(account, SPENT, WRITTEN)
    assert [pairs.lost_in(account, SPENT) is None for account in accounts[:2]] == [True, False]


def test_a_thread_looks_until_the_end_and_then_once_more(
    looker: Looker, pairs: StoredPairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.grants.stored_pairs.LOOK_SECONDS", 0.01)
    pairs.start()
    looker.failure = ZeroDivisionError("unforeseen")
    configure_logs("logfmt")
    pairs.remember(ACME, SPENT, WRITTEN)
    wait_until(lambda: len(looker.looked_at) > 2)
    looker.failure = None
    pairs.stop()
    assert pairs.lost_in(ACME, SPENT) is not None
    wait_until(lambda: not any(one.name == "stored-pairs" for one in threading.enumerate()))


def test_where_there_is_no_thread_it_is_said(capsys: pytest.CaptureFixture[str], looker: Looker) -> None:
    configure_logs("logfmt")

    with pytest.MonkeyPatch.context() as patch:

        def refuse(_: object) -> None:
            raise RuntimeError("can't start new thread")

        patch.setattr("threading.Thread.start", refuse)
        StoredPairs(looker.look).start()
    assert "event=no_thread name=stored-pairs" in capsys.readouterr().out
