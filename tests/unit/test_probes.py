"""What a list, or its failure, says of an integration."""

import pytest

from service.grants.minting import IntegrationNotRegistered, MintingRefused
from service.grants.probes import is_hurry, probe_of, words_of
from service.ground.deadlines import Deadline
from service.ground.errors import (
    AdminRequired,
    IntegrationMismatch,
    RateLimited,
    ScopeInsufficient,
    ServiceError,
    ZendeskTimeout,
    ZendeskUnavailable,
    ZISRejected,
)
from service.zendesk.calls import NotReached, ReplyLate


@pytest.mark.parametrize(
    ("failure", "state"),
    [
        (None, "ready"),
        (IntegrationNotRegistered(""), "not_registered"),
        (IntegrationMismatch("", upstream_status=404), "not_registered"),
        (IntegrationMismatch("", upstream_status=401), "mismatch"),
        (AdminRequired("", upstream_status=403), "forbidden"),
        (ScopeInsufficient("", upstream_status=403), "forbidden"),
        (ZISRejected("", upstream_status=403), "forbidden"),
        (ZISRejected("", upstream_status=422), "unavailable"),
        (MintingRefused("", upstream_status=404), "unavailable"),
        (ZendeskUnavailable("", upstream_status=500), "unavailable"),
        (ZendeskTimeout(""), "unavailable"),
        (RateLimited(""), "unavailable"),
    ],
    ids=lambda value: f"{type(value).__name__} {getattr(value, 'upstream_status', value)}",
)
def test_a_list_or_its_failure_says_how_an_integration_is(failure: ServiceError | None, state: str) -> None:
    assert probe_of(failure).state == state


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (ZISRejected("ours"), "ours"),
        (ZISRejected("ours", upstream_detail="theirs"), "theirs"),
        # "Not found" alone does not say what.
        (MintingRefused("ours", upstream_detail="Not found"), 'ours Zendesk said: "Not found"'),
    ],
)
def test_zendesks_words_stand_beside_an_integration(failure: ServiceError, words: str) -> None:
    assert words_of(failure) == words


@pytest.mark.parametrize(
    ("failure", "left", "had", "expected"),
    [
        (ZendeskTimeout(""), 0, 3, True),
        (ZendeskTimeout(""), 0, 20, False),
        (NotReached(""), 0, 3, True),
        (ReplyLate(""), 0, 19, True),
        # It was late by a call's own limit, which is Zendesk's doing.
        (ReplyLate(""), 60, 19, False),
        (ZendeskUnavailable(""), 0, 3, False),
    ],
)
def test_a_time_out_of_somebody_in_a_hurry_tells_nothing_of_zendesk(
    failure: ServiceError, left: float, had: float, expected: bool
) -> None:
    assert is_hurry(failure, Deadline.after(left), had) is expected
