"""What Zendesk has said against an account although its grant may be good; kept so that status need not ask.

Two keys in Redis beside the grant, which a list that succeeds removes.
"""

from service.errors import AccountGone, AdminRequired, ServiceError
from service.oauth.grants import AFTERLIFE_SECONDS
from service.store import Command
from service.subdomains import Subdomain

# An admin who lost the role may get it back, so the sign fades unless a call confirms it.
ADMIN_LOST_SECONDS = 3600
ACCOUNT_GONE = "account_gone"
ADMIN_LOST = "admin_lost"
SIGNS = (ACCOUNT_GONE, ADMIN_LOST)


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


def keys(account: Subdomain) -> tuple[str, str]:
    """Return the names of both keys, for whoever forgets the account."""
    return _keys(account)
