"""What a refresh concludes from what it finds. Asks nobody."""

from enum import Enum

from service.grants.granted import Grant
from service.ground.errors import ServiceError
from service.zendesk.calls import ForeignReply, NotReached, NotSent


class Meanwhile(Enum):
    """What somebody else wrote while a new pair was on its way into the record."""

    KEPT = "the record has the new pair: our own write took effect, and somebody has written since"
    REPLACED = "disconnected, connected anew, or refreshed by somebody else: nobody will use the new pair"
    REWRITTEN = "sealed anew or declared dead: what Zendesk gave us beats any verdict on its predecessor"


def meanwhile(noted: Grant, written: Grant, record_id: str | None, current: Grant | None) -> Meanwhile:
    """Return what became of a record into which `written` was to go in the place of `noted`.

    `record_id`: of the grant that is there now; None: there is none. `current` None: there is none, or no key opens it.
    """
    if current is not None and current.access_token == written.access_token:
        return Meanwhile.KEPT
    if record_id is None or record_id != written.id:
        return Meanwhile.REPLACED
    if current is not None and current.refresh_token != noted.refresh_token:
        return Meanwhile.REPLACED
    return Meanwhile.REWRITTEN


def may_have_lost_an_answer(current: Grant, noted: Grant, *, unanswered: bool) -> bool:
    """Return whether a refresh token that Zendesk calls invalid may have been spent by a refresh of ours.

    `noted`: as written before asking. `unanswered`: an earlier refresh was without its answer then.
    """
    # Our lease may have ended before we asked, and somebody else have begun with the same token since.
    return unanswered or current.refresh_begun_at != noted.refresh_begun_at


def had_no_effect(failure: ServiceError) -> bool:
    """Return whether a refresh that failed like this has spent no refresh token for certain."""
    status = failure.upstream_status
    is_refusal = status is not None and 300 <= status < 500 and not isinstance(failure, ForeignReply)
    return isinstance(failure, NotSent | NotReached) or is_refusal
