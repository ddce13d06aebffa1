"""What a refresh concludes from what it finds, when one is due, and how long a failed one is waited for."""

from dataclasses import replace
from typing import Any

import pytest

from service.grants.access_tokens import Freshness, freshness
from service.grants.granted import Grant
from service.grants.refresh_rules import Meanwhile, had_no_effect, may_have_lost_an_answer, meanwhile
from service.grants.stored_pairs import StoredPair
from service.ground.errors import (
    AccountGone,
    ClientMisconfigured,
    RateLimited,
    ServiceError,
    ZendeskTimeout,
    ZendeskUnavailable,
)
from service.zendesk.authorization_server import TokenPair
from service.zendesk.calls import ForeignReply, NotReached, NotSent, ReplyLate, ReplyLost
from tests.unit.grants import NOW, grant
from tests.unit.zendesk import ACME

PAIR = TokenPair(
    access_token="a2",
    refresh_token="r2",
    obtained_at=NOW,
    expires_at=NOW + 1800,
    refresh_token_expires_at=NOW + 9000,
    scope="read",
)
READ = grant()
NOTED = READ.changed(refresh_begun_at=NOW)
WRITTEN = NOTED.with_pair(PAIR)
CONNECTED_ANEW = grant(id="other", access_token="b1", refresh_token="s1")


@pytest.mark.parametrize(
    ("lifetime", "left", "expected"),
    [
        (1800, 1800, Freshness.FRESH),
        (1800, 181, Freshness.FRESH),
        (1800, 180, Freshness.STALE),
        (1800, 6, Freshness.STALE),
        (1800, 5, Freshness.EXPIRED),
        (1800, 0, Freshness.EXPIRED),
        (1800, -1, Freshness.EXPIRED),
        (86_400, 8641, Freshness.FRESH),
        (86_400, 8639, Freshness.STALE),
        # Of a tiny lifetime the last seconds are all there is.
        (20, 3, Freshness.FRESH),
        (20, 2, Freshness.STALE),
        (20, 0, Freshness.EXPIRED),
        (20.5, 5, Freshness.EXPIRED),
        (None, None, Freshness.FRESH),
    ],
)
def test_a_token_is_stale_in_the_last_tenth_of_its_life_and_expired_in_the_last_seconds(
    lifetime: float | None, left: float | None, expected: Freshness
) -> None:
    if lifetime is None or left is None:
        assert freshness(grant(expires_at=None), NOW) is expected
    else:
        ends = NOW + left
        assert freshness(grant(obtained_at=ends - lifetime, expires_at=ends), NOW) is expected


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (WRITTEN, Meanwhile.KEPT),
        (WRITTEN.changed(refresh_begun_at=NOW + 1), Meanwhile.KEPT),
        (WRITTEN.changed(dead="grant_revoked"), Meanwhile.KEPT),
        (None, Meanwhile.REPLACED),
        (CONNECTED_ANEW, Meanwhile.REPLACED),
        # Somebody else's refresh of the same grant.
        (replace(NOTED, access_token="a3", refresh_token="r3"), Meanwhile.REPLACED),
        (NOTED.changed(), Meanwhile.REWRITTEN),
        (NOTED.changed(dead="grant_revoked"), Meanwhile.REWRITTEN),
        (NOTED.changed(refresh_begun_at=None), Meanwhile.REWRITTEN),
    ],
)
def test_a_new_pair_goes_on_top_of_its_predecessor_alone(record: Grant | None, expected: Meanwhile) -> None:
    assert meanwhile(NOTED, WRITTEN, None if record is None else record.id, record) is expected


@pytest.mark.parametrize(
    ("record_id", "expected"),
    [(READ.id, Meanwhile.REWRITTEN), ("other", Meanwhile.REPLACED), (None, Meanwhile.REPLACED)],
)
def test_of_a_record_that_no_key_opens_its_id_alone_decides(record_id: str | None, expected: Meanwhile) -> None:
    assert meanwhile(NOTED, WRITTEN, record_id, None) is expected


@pytest.mark.parametrize(
    ("current", "unanswered", "may_be_lost"),
    [
        (NOTED, False, False),
        (NOTED.changed(), False, False),
        (NOTED, True, True),
        # Our lease ended before we asked, and somebody else has begun with the same token.
        (NOTED.changed(refresh_begun_at=NOW + 1), False, True),
        (NOTED.changed(refresh_begun_at=None), False, True),
    ],
)
def test_a_refused_refresh_token_may_have_been_spent_by_a_refresh_of_ours(
    current: Grant, unanswered: bool, may_be_lost: bool
) -> None:
    assert may_have_lost_an_answer(current, NOTED, unanswered=unanswered) is may_be_lost


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (NotSent(""), True),
        (NotReached(""), True),
        (ReplyLost(""), False),
        (ReplyLate(""), False),
        (ZendeskTimeout(""), False),
        (ZendeskUnavailable(""), False),
        (ZendeskUnavailable("", upstream_status=200), False),
        (ZendeskUnavailable("", upstream_status=302), True),
        (ZendeskUnavailable("", upstream_status=500), False),
        (ZendeskUnavailable("", upstream_status=503), False),
        (RateLimited("", upstream_status=429), True),
        (ClientMisconfigured("", upstream_status=401), True),
        (AccountGone("", upstream_status=404), True),
        # Something in front of Zendesk, which may have been asked all the same.
        (ForeignReply("", upstream_status=403), False),
        (ForeignReply("", upstream_status=404), False),
    ],
    ids=lambda value: f"{type(value).__name__} {getattr(value, 'upstream_status', value)}",
)
def test_only_a_refresh_that_was_answered_or_not_sent_has_had_no_effect(failure: ServiceError, expected: bool) -> None:
    assert had_no_effect(failure) is expected


@pytest.mark.parametrize(
    ("pair", "before", "expected"),
    [
        ({}, {}, {"access_token": "a2", "refresh_token": "r2", "scope": "read", "expires_at": NOW + 1800}),
        # "No new refresh token": the old one is still the one to use, and ends when it did.
        ({"refresh_token": None, "refresh_token_expires_at": None}, {"refresh_token_expires_at": 7.0},
         {"refresh_token": "r1", "refresh_token_expires_at": 7.0}),
        ({"refresh_token_expires_at": None}, {"refresh_token_expires_at": 7.0}, {"refresh_token_expires_at": None}),
        ({"scope": ""}, {"scope": "read write"}, {"scope": "read write"}),
        # What can be refreshed ends at some time, whether that is said or not.
        ({"expires_at": None}, {}, {"expires_at": NOW + 1800}),
        ({"expires_at": None, "refresh_token": None}, {"refresh_token": None}, {"expires_at": None}),
        ({}, {"dead": "grant_revoked", "refresh_begun_at": NOW}, {"dead": None, "refresh_begun_at": None}),
    ],
)  # fmt: skip
def test_a_grant_takes_over_what_a_refresh_brought(
    pair: dict[str, Any], before: dict[str, Any], expected: dict[str, Any]
) -> None:
    old = grant(**before)
    new = old.with_pair(replace(PAIR, **pair))
    assert {name: getattr(new, name) for name in expected} == expected
    assert (new.id, new.authorized_at, new.client_id) == (old.id, old.authorized_at, old.client_id)
    assert new.generation != old.generation


@pytest.mark.parametrize(
    ("current", "is_lost"),
    [
        (READ, True),
        (READ.changed(refresh_begun_at=NOW), True),
        (READ.changed(dead="grant_revoked"), True),
        (WRITTEN, False),
        (replace(READ, access_token="a3"), False),
        # Disconnected, or connected anew: nothing is undone.
        (None, False),
        (CONNECTED_ANEW, False),
        (replace(CONNECTED_ANEW, access_token=READ.access_token), False),
    ],
)
def test_a_stored_pair_is_lost_where_the_record_holds_the_one_it_replaced(current: Grant | None, is_lost: bool) -> None:
    assert StoredPair(ACME, NOTED, WRITTEN).is_lost_in(current) is is_lost
