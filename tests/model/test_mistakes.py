"""The model finds classic mistakes in the real code, and tells how they happen.

The schedule that showed each is noted in `mistakes.json` and tried first, which takes a moment. Where it shows the
mistake no more, because the code takes other steps now, and with FULL=1 for every mistake, all are searched, which
takes minutes; TOKEN_MODEL_NOTE=1 then notes where they are found (one process: -n 0).
"""

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.model import mistakes
from tests.model.bench import Beginning
from tests.model.explorer import Bounds, Explored
from tests.model.search import Cast, Search, searching
from tests.searched import FULL

NOTES = Path(__file__).with_name("mistakes.json")
NOTING = os.environ.get("TOKEN_MODEL_NOTE") == "1"

pytestmark = [pytest.mark.faults, pytest.mark.model]

EXPIRED, STALE, MINT = Beginning("expired"), Beginning("stale"), Beginning("fresh", mode="mint")
ONE_FAULT, TWO_INTERRUPTIONS = Bounds(faults=1, preemptions=1), Bounds(faults=1, preemptions=2)
IN_A_ROW = Bounds(preemptions=0)
TWO_CALLERS = (("caller", "P1"), ("caller", "P2"))
CALLERS_OF_A_PROCESS = (("caller", "P1"), ("caller", "P1"))
TWO_PATIENT_CALLERS = (("patient caller", "P1"), ("patient caller", "P2"))
CALLER_AND_DISCONNECT = (("caller", "P1"), ("disconnect", "P2"))
CALLER_AND_RECONNECT = (("caller", "P1"), ("reconnect", "P2"))


@dataclass(frozen=True)
class Case:
    """A mistake, where it shows, and as what."""

    mistake: Callable[[], AbstractContextManager[None]]
    cast: Cast
    says: str
    beginning: Beginning = EXPIRED
    bounds: Bounds = ONE_FAULT

    def __str__(self) -> str:
        return "-".join(
            (self.mistake.__name__, self.beginning.mode, self.beginning.age, *(role for role, _ in self.cast))
        )


CASES = [
    Case(mistakes.no_lease, TWO_CALLERS, "without the lease"),
    Case(mistakes.lease_of_somebody_else_given_back, TWO_CALLERS, "without the lease", bounds=TWO_INTERRUPTIONS),
    Case(mistakes.no_look_inside_the_lock, TWO_CALLERS, "overwritten"),
    Case(mistakes.plain_set, TWO_CALLERS, "overwritten"),
    Case(
        mistakes.forgotten_whatever_was_written, CALLER_AND_DISCONNECT, "nobody holds it", STALE, Bounds(preemptions=2)
    ),
    Case(mistakes.used_before_it_is_stored, TWO_CALLERS, "which was never stored"),
    Case(mistakes.invalid_grant_believed_at_once, TWO_CALLERS, "Zendesk honours"),
    Case(mistakes.no_note_before_asking, TWO_CALLERS, "is called revoked"),
    Case(mistakes.reconnection_overwritten, CALLER_AND_RECONNECT, "the pair of another consent"),
    Case(mistakes.reconnection_overwritten, CALLER_AND_DISCONNECT, "stored again"),
    Case(mistakes.asked_again_after_a_lost_reply, TWO_CALLERS, "a second time by itself"),
    Case(mistakes.no_wait_after_a_failure, TWO_CALLERS, "who had no answer"),
    Case(mistakes.pair_given_up_when_the_store_fails, TWO_CALLERS, "the grant is lost"),
    Case(mistakes.replaced_without_looking, CALLER_AND_RECONNECT, "nobody holds it"),
    Case(mistakes.replaced_grant_left_alive, CALLER_AND_RECONNECT, "nobody holds it"),
    Case(mistakes.late_pair_left_alive, CALLER_AND_DISCONNECT, "nobody holds it", STALE, Bounds(preemptions=3)),
    *(
        Case(mistake, TWO_PATIENT_CALLERS, says, beginning, IN_A_ROW)
        for mistake, says in (
            (mistakes.second_refusal_begins_no_wait, "s after the last one"),
            (mistakes.refresh_by_refusal_resets_its_steps, "s after the last one"),
        )
        for beginning in (Beginning("fresh", refuses=True), Beginning("fresh", "mint", minted=True, refuses=True))
    ),
    Case(
        mistakes.refused_token_replaced_twice,
        TWO_PATIENT_CALLERS,
        "a second time in one request",
        Beginning("fresh", refuses=True),
        IN_A_ROW,
    ),
    Case(mistakes.note_not_written, TWO_CALLERS, "revoked before anybody asked", Beginning(is_revoked=True)),
    Case(
        mistakes.refreshed_with_a_pair_in_hand,
        CALLERS_OF_A_PROCESS,
        "whose successor its process holds",
        bounds=Bounds(faults=2, preemptions=0),
    ),
    Case(mistakes.minted_tokens_not_counted, CALLER_AND_RECONNECT, "nobody holds it", MINT, Bounds(preemptions=1)),
    Case(mistakes.late_minted_token_left_alive, CALLER_AND_DISCONNECT, "nobody holds it", MINT),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_mistake_is_found_and_told(case: Case, redis_url: str) -> None:
    with case.mistake(), searching(redis_url) as search:
        explored = _found(case, search)
    assert case.says in str(explored.violation), str(explored)
    assert explored.trace, "the schedule is told step by step"


def _found(case: Case, search: Search) -> Explored:
    notes: dict[str, list[int]] = json.loads(NOTES.read_text())
    if str(case) in notes and not FULL and not NOTING:
        explored = search(case.beginning, case.cast, replace(case.bounds, schedules=1), notes[str(case)])
        if case.says in str(explored.violation):
            return explored
    explored = search(case.beginning, case.cast, case.bounds)
    if NOTING:
        lines = [
            f"  {json.dumps(name)}: {json.dumps(choices)}"
            for name, choices in sorted({**notes, str(case): explored.choices}.items())
        ]
        NOTES.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    return explored
