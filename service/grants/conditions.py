"""Whether a stored grant may be used under today's settings, and why not, in words."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from service.grants import signs
from service.grants.alerts import Alerts, Event
from service.grants.granted import Grant
from service.grants.grants import Grants
from service.ground.errors import AccountGone, AuthorizationRequired
from service.ground.settings import Settings
from service.ground.subdomains import Subdomain
from service.store.store import Store
from service.store.vault import KeyMissing
from service.zendesk.calls import WHAT_GONE_MEANS

# The texts speak to an admin; the keys are `connection.reason` on the wire.
REASONS = {
    "grant_revoked": "Zendesk says that the authorization was revoked or has expired.",
    "refresh_outcome_unknown": "Zendesk's answer to a renewal was lost on the way, and the old authorization is spent.",
    "refresh_token_expired": "The authorization was not used for too long and has expired.",
    "not_refreshable": "The authorization has expired and cannot be renewed.",
    "client_changed": "This service now uses another OAuth client.",
    "scope_changed": "This service now needs more permissions than were granted.",
    "key_missing": "The stored authorization cannot be decrypted: its key is no longer configured.",
    "account_gone": "Zendesk says that there is no account at this address: it was renamed or closed.",
    "admin_lost": "Zendesk says that the person who authorized is no longer an admin.",
}


# Of these nobody has to be told: whoever configured it knows.
_NOT_ALERTED = frozenset({"client_changed", "scope_changed"})
_EVENTS: dict[str, Event] = {"key_missing": "key_missing", "account_gone": "account_gone", "admin_lost": "admin_lost"}


class GrantOfNobody(AuthorizationRequired):
    """The grant is dead, and Zendesk has said that there is no account at this address: nobody can connect there."""

    status, code, title = AccountGone.status, AccountGone.code, AccountGone.title


def covers(granted: str, requested: str) -> bool:
    """Return whether the granted scope allows all of the requested one; `read` includes `…:read` but ZIS's own."""
    held = set(granted.split())

    def is_held(scope: str) -> bool:
        resource, _, access = scope.rpartition(":")
        return scope in held or (resource not in {"", "zis"} and access in {"read", "write"} and access in held)

    return all(is_held(scope) for scope in requested.split())


def why_unusable(grant: Grant, client_id: str, now: float) -> str | None:
    """Return why the client `client_id` cannot use a grant at `now` (Unix seconds); None: it can."""
    if grant.dead is not None:
        # Another release may have written a reason that this one does not know.
        return grant.dead if grant.dead in REASONS else "grant_revoked"
    if grant.client_id != client_id:
        return "client_changed"
    if grant.expires_at is not None and grant.expires_at <= now:
        if grant.refresh_token is None:
            return "not_refreshable"
        if grant.refresh_token_expires_at is not None and grant.refresh_token_expires_at <= now:
            return "refresh_token_expired"
    return None


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """How an account stands, in the words of `connection` on the wire."""

    name: str
    """`connected`, `not_connected` or `reauthorization_required`."""
    reason: str | None
    """A key of REASONS; None: there is nothing to say."""


class Conditions:
    """Judges grants; asks Zendesk nothing and deletes nothing."""

    def __init__(
        self, settings: Settings, store: Store, grants: Grants, alerts: Alerts, clock: Callable[[], float]
    ) -> None:
        self._grants = grants
        self._alerts = alerts
        self._settings = settings
        self._store = store
        self._clock = clock

    def authorize_url(self, account: Subdomain) -> str:
        """Return where an admin connects the account."""
        return f"{self._settings.public_url}/oauth/authorize?{urlencode({'subdomain': account})}"

    def reason(self, grant: Grant) -> str | None:
        """Return why the grant cannot be used; None: it can."""
        return why_unusable(grant, self._settings.zendesk_client_id, self._clock())

    def lacks_scope(self, grant: Grant) -> bool:
        """Return whether more scope is configured than was granted; such a grant is still used."""
        return not covers(grant.scope, self._settings.zendesk_scope)

    def state(self, grant: Grant | None, reason: str | None, sign: str | None) -> ConnectionState:
        """Return how an account stands.

        `reason`: why its grant cannot be used, or no key opens it. `sign`: what Zendesk has said against the account.
        """
        is_stored = grant is not None or reason is not None
        if is_stored and sign == signs.ACCOUNT_GONE:
            # Whatever else is the matter, nobody can connect at this address.
            reason = sign
        elif reason is None and grant is not None and sign is not None:
            reason = sign
        if reason is not None:
            return ConnectionState("reauthorization_required", reason)
        if grant is None:
            return ConnectionState("not_connected", None)
        # Still used: what was granted works as far as it goes.
        return ConnectionState("connected", "scope_changed" if self.lacks_scope(grant) else None)

    def usable(self, account: Subdomain) -> Grant:
        """Return the account's grant as stored, whatever its age.

        Raises:
            AuthorizationRequired: not connected, dead, of another client, or no key opens it.
            StoreUnavailable: Redis did not answer.
        """
        try:
            grant = self._grants.get(account)
        except KeyMissing:
            raise self.required(account, "key_missing") from None
        return self.require_usable(account, grant)

    def require_usable(self, account: Subdomain, grant: Grant | None) -> Grant:
        """Return the grant.

        Raises:
            AuthorizationRequired: not connected, or not usable.
            StoreUnavailable: it is not usable, and Redis did not say whether the account is gone.
        """
        if grant is None:
            raise self.required(account, None)
        reason = self.reason(grant)
        if reason is not None:
            raise self.required(account, reason)
        return grant

    def alert(self, account: Subdomain, reason: str) -> None:
        """Have the operator told of what keeps an account from working; `reason`: a key of REASONS."""
        if reason in _NOT_ALERTED:
            return
        if reason == "account_gone":
            cure = "If it was renamed, add its new name to ZENDESK_SUBDOMAINS and connect that."
        elif reason == "key_missing":
            cure = "Put the key back at the end of SECRET_KEYS, or connect the account again."
        else:
            cure = f"An admin has to connect the account again: {self.authorize_url(account)}"
        why = REASONS.get(reason, "The authorization can no longer be used.")
        self._alerts.tell(_EVENTS.get(reason, "reauthorization_required"), account, f"{why} {cure}")

    def alert_ending(self, account: Subdomain, days: int) -> None:
        """Have the operator told that a refresh token ends, and that it was not to be refreshed."""
        left = "less than a day" if days < 1 else f"{days} day{'' if days == 1 else 's'}"
        self._alerts.tell(
            "refresh_token_ending",
            account,
            f"The authorization ends in {left} and could not be renewed. See `flask --app service doctor`, or let an "
            f"admin connect the account again: {self.authorize_url(account)}",
        )

    def alert_client(self, account: Subdomain) -> None:
        """Have the operator told that Zendesk refuses our client."""
        self._alerts.tell(
            "client_misconfigured",
            account,
            "Zendesk refuses this service's client id or secret, so no account can be refreshed. Correct "
            "ZENDESK_CLIENT_ID and ZENDESK_CLIENT_SECRET; stored grants are kept.",
        )

    def required(self, account: Subdomain, reason: str | None) -> AuthorizationRequired:
        """Return the error that asks to connect; `reason` None: the account is not connected.

        Where the account is known to be gone it names no address to connect at.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        if reason is not None:
            self.alert(account, reason)
        if reason is not None and signs.sign_in(*self._store.read(signs.reading(account))) == signs.ACCOUNT_GONE:
            return GrantOfNobody(WHAT_GONE_MEANS)
        known = REASONS.get(reason, "The authorization can no longer be used.") if reason else None
        why = known or "This Zendesk account is not connected."
        return AuthorizationRequired(
            f"{why} An admin of {account} has to connect the account.", authorize_url=self.authorize_url(account)
        )
