"""What Zendesk has said against an account although its grant may be good; kept so that status need not ask.

Two keys in Redis beside the grant, which a list that succeeds removes; a refresh that does, removes the account's.
"""

import structlog

from service.grants.grant_ends import AFTERLIFE_SECONDS
from service.ground.errors import AccountGone, AdminRequired, ServiceError, StoreUnavailable
from service.ground.subdomains import Subdomain
from service.store.store import Command, Store

# An admin who lost the role may get it back, so the sign fades unless a call confirms it.
ADMIN_LOST_SECONDS = 3600
ACCOUNT_GONE = "account_gone"
ADMIN_LOST = "admin_lost"
SIGNS = (ACCOUNT_GONE, ADMIN_LOST)

_log = structlog.get_logger(__name__)


def _keys(account: Subdomain) -> tuple[str, str]:
    return f"zis:{{{account}}}:{ACCOUNT_GONE}", f"zis:{{{account}}}:{ADMIN_LOST}"


def reading(account: Subdomain) -> Command:
    """Return the command whose reply `sign_in` takes."""
    return ("MGET", *_keys(account))


def sign_in(reply: list[bytes | None]) -> str | None:
    """Return `account_gone`, `admin_lost`, or None: Zendesk has said neither."""
    is_gone, is_lost = (value is not None for value in reply)
    if is_gone:
        return ACCOUNT_GONE
    return ADMIN_LOST if is_lost else None


def noting(account: Subdomain, failure: ServiceError | None) -> list[Command]:
    """Return the commands that remember what a failure says of the account, or what a success (None) heals."""
    gone, lost = _keys(account)
    match failure:
        case None:
            return [("DEL", gone, lost)]
        case AccountGone():
            return [("SET", gone, "1", "EX", AFTERLIFE_SECONDS)]
        case AdminRequired():
            return [("SET", lost, "1", "EX", ADMIN_LOST_SECONDS)]
    return []


def note_gone(store: Store, account: Subdomain, failure: AccountGone) -> None:
    """Remember that there is no account any more; if Redis does not take it, that is logged and nothing is raised."""
    try:
        store.write(*noting(account, failure))
    except StoreUnavailable as fault:
        _log.warning("account_gone_not_noted", account=account, code=fault.code)


def healing_gone(account: Subdomain) -> Command:
    """Return the command that takes back that the account is gone, and leaves what was said of its admin."""
    return ("DEL", _keys(account)[0])


def keys(account: Subdomain) -> tuple[str, str]:
    """Return the names of both keys, for whoever forgets the account."""
    return _keys(account)
