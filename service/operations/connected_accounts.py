"""The accounts that have a record, and how each stands."""

from dataclasses import dataclass

from service.grants import signs
from service.grants.conditions import Conditions, ConnectionState
from service.grants.granted import Grant
from service.grants.grants import Grants
from service.ground.settings import Settings
from service.ground.subdomains import Subdomain
from service.store.store import Store
from service.store.vault import KeyMissing, Vault

DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class ConnectedAccount:
    """One account as it is stored; Zendesk was not asked."""

    account: Subdomain
    state: ConnectionState
    grant: Grant | None
    """None: no key opens it."""
    key_id: str | None
    """Under which it is sealed; None: unreadable."""
    is_allowed: bool
    """Whether the account is on the allow-list."""

    def days_left(self, now: float) -> int | None:
        """Return the whole days left on the refresh token, not negative; None: it has no announced end."""
        end = self.grant.refresh_token_expires_at if self.grant else None
        return None if end is None else max(0, int((end - now) // DAY_SECONDS))


class ConnectedAccounts:
    """Looks at what is stored of accounts."""

    def __init__(self, settings: Settings, store: Store, vault: Vault, grants: Grants, conditions: Conditions) -> None:
        self._settings = settings
        self._store = store
        self._vault = vault
        self._grants = grants
        self._conditions = conditions

    def all(self) -> list[ConnectedAccount]:
        """Return every account that has a record, sorted by name.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        found = [self.look(account) for account in self._grants.accounts()]
        # An account may have been disconnected since it was found.
        return [one for one in found if one is not None]

    def look(self, account: Subdomain) -> ConnectedAccount | None:
        """Return one account; None: it has no record."""
        reply, sign = self._store.read(self._grants.reading(account), signs.reading(account))
        grant, reason = None, None
        try:
            grant = self._grants.opened(account, reply)
        except KeyMissing:
            reason = "key_missing"
        if grant is not None:
            reason = self._conditions.reason(grant)
        state = self._conditions.state(grant, reason, signs.sign_in(sign))
        if state.name == "not_connected":
            return None
        return ConnectedAccount(
            account, state, grant, self._vault.key_id(reply[1] or b""), self._settings.allows(account)
        )
