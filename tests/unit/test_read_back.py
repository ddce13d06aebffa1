"""What lists prove: which job spec a short name means, and whether a change was made."""

from dataclasses import dataclass

import pytest

from service.ground.errors import (
    AccountGone,
    IntegrationRequired,
    JobSpecNotFound,
    RateLimited,
    ServiceError,
    ZendeskTimeout,
    ZendeskUnavailable,
    ZISRejected,
)
from service.job_specs.kept_lists import KeptList
from service.job_specs.listing import Answer
from service.job_specs.read_back import SentChange, Target, is_outcome_unknown, rows_of_one
from service.zendesk.calls import NotReached, NotSent, ReplyLate, ReplyLost
from service.zendesk.zis_registry import JobSpec, SpecName

LOST = ReplyLost("lost")
LATE = ReplyLate("late")


def row(uuid: str, installed: bool, name: str = "ship", integration: str = "acme_orders") -> JobSpec:
    return JobSpec(name, integration, "what it does", "support", "type", "flow", installed, uuid)


# Under two uuids, of which the registry may list one, both or none.
ON, OFF = row("u1", installed=True), row("u1", installed=False)
ON2, OFF2 = row("u2", installed=True), row("u2", installed=False)


@dataclass(frozen=True)
class Case:
    """What was listed before, what Zendesk said, what was listed after, and what that proves."""

    before: tuple[JobSpec, ...]
    says: bool | ServiceError | None
    """True: accepted. None: 404. An error: its reply was lost."""
    after: tuple[JobSpec, ...]
    proves: tuple[bool, str | None] | str
    """Whether it is verified and the uuid; or "the opposite", "nothing there"."""


INSTALLS = [
    Case((OFF,), True, (ON,), (True, "u1")),
    Case((ON,), True, (ON,), (True, "u1")),
    Case((), True, (ON,), (True, "u1")),
    Case((OFF,), LOST, (ON,), (True, "u1")),
    Case((), LOST, (ON,), (True, "u1")),
    Case((OFF,), True, (OFF,), "the opposite"),
    Case((OFF,), LOST, (OFF,), "the opposite"),
    Case((OFF,), True, (), "the opposite"),
    Case((), LOST, (), "the opposite"),
    # Listed twice: installed where one of the rows is, and the one that has turned is told.
    Case((OFF, OFF2), True, (OFF, ON2), (True, "u2")),
    Case((ON, OFF2), True, (ON, ON2), (True, "u2")),
    Case((ON, OFF2), True, (ON, OFF2), (True, "u1")),
    Case((OFF, OFF2), True, (OFF, OFF2), "the opposite"),
]
UNINSTALLS = [
    Case((ON,), True, (OFF,), (True, "u1")),
    Case((), True, (OFF,), (True, "u1")),
    Case((ON,), LOST, (OFF,), (True, "u1")),
    # It was not installed before, so that a 404 is no contradiction.
    Case((OFF,), None, (OFF,), (True, "u1")),
    Case((ON,), True, (ON,), "the opposite"),
    Case((ON,), None, (ON,), "the opposite"),
    Case((ON,), LOST, (ON,), "the opposite"),
    # What an older bundle left behind is listed only as long as it is installed.
    Case((ON,), True, (), (True, "u1")),
    Case((), True, (), (True, None)),
    Case((ON,), LOST, (), (True, "u1")),
    # Whether there ever was one of that name is not known.
    Case((), LOST, (), "the opposite"),
    Case((), None, (), "nothing there"),
    Case((ON,), None, (), "nothing there"),
    # Listed twice: uninstalled where none is installed. Where some are, only one that has turned proves anything.
    Case((ON, ON2), True, (OFF, OFF2), (True, "u1")),
    Case((ON, ON2), True, (ON, OFF2), (True, "u2")),
    Case((OFF, ON2), True, (OFF, OFF2), (True, "u2")),
    Case((ON, OFF2), True, (ON, OFF2), (False, "u2")),
    Case((ON, OFF2), None, (ON, OFF2), "the opposite"),
    Case((ON, OFF2), LOST, (ON, OFF2), "the opposite"),
    Case((ON, ON2), True, (ON, ON2), "the opposite"),
]


def sent(install: bool, before: tuple[JobSpec, ...], says: bool | ServiceError | None) -> SentChange:
    lost = says if isinstance(says, ServiceError) else None
    target = Target(SpecName("ship", "acme_orders"), before)
    return SentChange(target, install, None if isinstance(says, ServiceError) else says, lost)


@pytest.mark.parametrize(
    ("install", "case"), [(True, case) for case in INSTALLS] + [(False, case) for case in UNINSTALLS], ids=str
)
def test_a_list_asked_after_a_change_proves_it_or_its_opposite(install: bool, case: Case) -> None:
    change = sent(install, case.before, case.says)
    if case.proves == "nothing there":
        with pytest.raises(JobSpecNotFound):
            change.proven_by(case.after)
        return
    changed = change.proven_by(case.after)
    if changed is None:
        assert case.proves == "the opposite"
        return
    assert (changed.is_verified, changed.job_spec.uuid) == case.proves
    assert (changed.job_spec.name, changed.job_spec.installed) == ("ship", install)


@pytest.mark.parametrize(
    ("install", "before", "says", "expected"),
    [
        (True, (OFF,), True, ON),
        (False, (ON,), True, OFF),
        # Of two the one that there was something to change about.
        (True, (ON, OFF2), True, ON2),
        (False, (OFF, ON2), True, OFF2),
        (True, (), True, None),
        (True, (OFF,), LOST, "lost"),
        (False, (ON,), LATE, "late"),
        (False, (ON,), None, "the list's error"),
        (False, (), None, "the list's error"),
    ],
)
def test_where_nobody_can_look_only_what_zendesk_accepted_counts_and_unverified(
    install: bool, before: tuple[JobSpec, ...], says: bool | ServiceError | None, expected: JobSpec | str | None
) -> None:
    change = sent(install, before, says)
    if isinstance(expected, str):
        with pytest.raises(ServiceError) as raised:
            change.unlooked(RateLimited("the list's error"))
        assert raised.value.detail == expected
        return
    changed = change.unlooked(None)
    assert not changed.is_verified
    assert changed.job_spec.installed is install
    if expected is None:
        assert changed.job_spec.qualified_name == "zis:acme_orders:job_spec:ship"
        assert (changed.job_spec.event_type, changed.job_spec.uuid) == (None, None)
    else:
        assert (changed.job_spec.uuid, changed.job_spec.event_type) == (expected.uuid, "type")


def test_where_nobody_looked_for_want_of_time_that_is_the_error() -> None:
    with pytest.raises(ZendeskTimeout):
        sent(False, (), None).unlooked(None)


@pytest.mark.parametrize("install", [True, False])
def test_a_change_that_the_list_contradicts_is_told_as_how_it_was_lost_or_else_as_what_is_shown(install: bool) -> None:
    assert sent(install, (), LATE).contradicted() is LATE
    told = sent(install, (), True).contradicted()
    assert told.code == "zendesk_unavailable"
    assert ("as installed" if install else "as not installed") in told.detail


@pytest.mark.parametrize(
    ("failure", "unknown"),
    [
        (ReplyLost(""), True),
        (ReplyLate(""), True),
        (ZendeskUnavailable("", upstream_status=502), True),
        (ZendeskUnavailable("", upstream_status=504), True),
        (ZendeskUnavailable("", upstream_status=500), False),
        (ZendeskUnavailable("", upstream_status=503), False),
        (ZendeskUnavailable("", upstream_status=302), False),
        (NotSent(""), False),
        (NotReached(""), False),
        (ZISRejected("", upstream_status=422), False),
        (RateLimited("", upstream_status=429), False),
    ],
    ids=lambda value: f"{type(value).__name__} {getattr(value, 'upstream_status', value)}",
)
def test_whether_a_change_that_failed_may_have_been_made(failure: ServiceError, unknown: bool) -> None:
    assert is_outcome_unknown(failure) is unknown


# --- which one a short name means ---


def listed(integration: str, *names: str) -> Answer:
    rows = tuple(row(f"of {name}", installed=True, name=name, integration=integration) for name in names)
    return Answer(integration, KeptList.of(rows, 1), None)


GONE = Answer("acme_archive", None, AccountGone("cannot be listed"))
# An old list that stands in, with the error of the question that failed.
STALE = Answer("acme_orders", listed("acme_orders", "ship").list, RateLimited("cannot be listed"), is_stale=True)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([listed("acme_orders", "ship", "bill")], "acme_orders"),
        ([listed("acme_orders", "bill"), listed("acme_shipping", "ship")], "acme_shipping"),
        # Listed twice in one integration, it is one.
        ([listed("acme_orders", "ship", "ship")], "acme_orders"),
        ([listed("acme_orders", "Ship"), listed("acme_shipping")], None),
        ([], None),
        ([listed("acme_orders", "ship"), listed("acme_shipping", "ship")], IntegrationRequired),
        # The one that cannot be listed may have it, too; but two that have it are two.
        ([listed("acme_orders", "ship"), GONE], AccountGone),
        ([listed("acme_orders"), GONE], AccountGone),
        ([listed("acme_orders", "ship"), listed("acme_shipping", "ship"), GONE], IntegrationRequired),
        ([STALE], "acme_orders"),
        ([STALE, listed("acme_shipping", "ship")], IntegrationRequired),
    ],
)
def test_a_short_name_means_the_one_integration_that_has_it(
    answers: list[Answer], expected: type[ServiceError] | str | None
) -> None:
    if isinstance(expected, type):
        with pytest.raises(expected):
            rows_of_one(answers, "ship")
        return
    rows = rows_of_one(answers, "ship")
    assert {one.integration for one in rows} == ({expected} if expected else set())
    assert {one.name for one in rows} <= {"ship"}
