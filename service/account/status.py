"""What the sidebar is told of the account's connection and activity, and ending the connection."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import structlog

from service.grants import probes, signs
from service.grants.access_tokens import AccessTokens
from service.grants.clients import AccountContext, Clients
from service.grants.conditions import Conditions, ConnectionState
from service.grants.granted import Grant, MintedToken
from service.grants.grants import Grants
from service.grants.revocation import Revocation, ask_about_itself
from service.ground.deadlines import Deadline
from service.ground.errors import AccountGone, AuthorizationRequired, ServiceError, ZendeskUnavailable
from service.ground.settings import Settings
from service.ground.subdomains import Subdomain
from service.ground.timestamps import timestamp
from service.people.role import Standing
from service.people.roles import Roles
from service.people.sessions import Session
from service.store.activity import Activity
from service.store.events import Author
from service.store.lookers import Lookers
from service.store.store import Command, Store
from service.store.vault import KeyMissing
from service.zendesk.client import AccountClient

# Each round after the first is somebody else's refresh or mint in between.
MOST_ROUNDS = 5

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Read:
    """What Redis has of an account's connection and of the person who asks."""

    grant: Grant | None
    reason: str | None
    """Why the grant cannot be used; None: it can, or there is none."""
    role: bytes | None
    """As `Roles` takes it."""
    probes: dict[str, probes.Probe]
    sign: str | None


class Connection:
    """Describes and ends the connection of an account."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        grants: Grants,
        conditions: Conditions,
        roles: Roles,
        lookers: Lookers,
        access_tokens: AccessTokens,
        revocation: Revocation,
        clients: Clients,
        activity: Activity,
        uninstall_all: Callable[[AccountContext, Author], None],
    ) -> None:
        self._settings = settings
        self._store = store
        self._grants = grants
        self._conditions = conditions
        self._roles = roles
        self._lookers = lookers
        self._access_tokens = access_tokens
        self._revocation = revocation
        self._clients = clients
        self._activity = activity
        self._uninstall_all = uninstall_all

    def reading(self, session: Session) -> tuple[Command, ...]:
        """Return the commands whose replies `read_in` takes; for callers that read more in the same round trip."""
        account = session.account
        return self._grants.reading(account), self._roles.reading(session), *probes.reading(account)

    def read_in(self, session: Session, replies: list[Any]) -> Read:
        """Return what the replies to `reading` say."""
        grant_reply, role_reply, probe_reply, sign_reply = replies
        grant, reason = self._judged(session.account, grant_reply)
        return Read(grant, reason, role_reply, probes.probes_in(probe_reply), signs.sign_in(sign_reply))

    def status(self, session: Session, deadline: Deadline) -> dict[str, Any]:
        """Return the status as our API shows it; Zendesk is asked for the role only, for at most 3 s.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        read = self.read_in(session, self._store.read(*self.reading(session)))
        if read.grant is not None and read.reason is None:
            standing = self._roles.standing(session, read.role, deadline)
            if not self._roles.knows(session, read.role):
                # Asking may have refreshed the grant, or shown that it is dead or its account gone.
                read = self.read_in(session, self._store.read(*self.reading(session)))
        else:
            standing = self._roles.unasked(session, read.role)
        return self.described(session, read, standing)

    def described(self, session: Session, read: Read, standing: Standing) -> dict[str, Any]:
        """Return the status of what was read as our API shows it to a person of this standing."""
        account = session.account
        state = self._state(read)
        return {
            "account": account,
            "user": {
                "id": session.user_id,
                "role": standing.role,
                "can_manage": standing.can_manage,
                "reason": standing.reason,
            },
            "connection": {"state": state.name, "reason": state.reason, **described(read.grant)},
            "integrations": [
                {"name": name, "state": probe.state, "detail": probe.detail}
                for name in self._settings.integrations_of(account)
                for probe in [read.probes.get(name, probes.UNKNOWN)]
            ],
            "authorize_url": self.address_to_connect(account, read),
        }

    def address_to_connect(self, account: Subdomain, read: Read | None) -> str | None:
        """Return where an admin connects the account; None: Zendesk has said that nobody is there any more.

        `read` None: Redis was not asked or did not answer; nothing is known of that then, and the address is told.
        """
        is_gone = read is not None and self._state(read).reason == signs.ACCOUNT_GONE
        return None if is_gone else self._conditions.authorize_url(account)

    def activity(self, session: Session, limit: int, deadline: Deadline) -> list[dict[str, Any]]:
        """Return the latest entries as our API shows them, newest first; connected or not.

        Zendesk is asked for the role where the grant allows it, for at most 3 s.

        Raises:
            AgentRequired: the person may not look; where nobody can be asked, is not remembered as having looked.
            StoreUnavailable: Redis did not answer.
        """
        account = session.account
        grant_reply, role_reply, looked, items = self._store.read(
            self._grants.reading(account),
            self._roles.reading(session),
            self._lookers.reading(account, session.user_id),
            self._activity.reading(account, limit),
        )
        grant, reason = self._judged(account, grant_reply)
        if grant is not None and reason is None:
            self._roles.require_activity_reader(session, role_reply, looked, deadline)
        else:
            self._roles.require_remembered_looker(session, role_reply, looked)
        return self._activity.opened(account, items)

    def is_connected(self, account: Subdomain) -> bool:
        """Return whether anything is stored for the account, alive or not."""
        return self._grants.clear_fields(account)[0] is not None

    def disconnect(self, account: Subdomain, author: Author, deadline: Deadline, *, uninstall: bool) -> bool:
        """Revoke every token of the account and forget it; returns whether anything was revoked.

        A dead grant is just forgotten. If Zendesk cannot be asked nothing is forgotten.

        Raises:
            ServiceError: a job spec could not be uninstalled, or Zendesk or Redis failed.
        """
        # A refusal that comes before anything was done is nothing to record.
        grant_id = self._access_tokens.usable(account).id if uninstall else None
        with self._activity.recorded(account, author, "disconnected") as told:
            if grant_id is not None:
                self._uninstall_all(AccountContext(account, grant_id, deadline), author)
            try:
                told["revoked"] = revoked = self._end(self._clients.of_nobody(account, deadline))
            except AccountGone as failure:
                signs.note_gone(self._store, account, failure)
                raise
        return revoked

    def uninstall_all(self, account: Subdomain, author: Author, deadline: Deadline) -> None:
        """Uninstall every job spec of the account, and leave it connected; stops at the first failure.

        Raises:
            AuthorizationRequired: the grant is dead, so that nothing was tried.
            ServiceError: a job spec could not be uninstalled, or Zendesk or Redis failed.
        """
        self._uninstall_all(AccountContext(account, self._access_tokens.usable(account).id, deadline), author)

    def forget(self, account: Subdomain, author: Author, deadline: Deadline) -> None:
        """Forget an account although Zendesk could not be told; each token is tried once, whatever becomes of others.

        What could not be revoked lives on until it expires.

        Raises:
            StoreUnavailable: Redis did not answer; it may have been forgotten.
        """
        with self._activity.recorded(account, author, "disconnected") as told:
            held = self._grants.holdings(account)
            if held.grant is not None:
                own = self._clients.of_nobody(account, deadline).with_token(held.grant.access_token)
                for minted in held.minted:
                    with _failure_logged(account):
                        self._revocation.revoke_minted(own, minted)
                with _failure_logged(account):
                    self._revocation.revoke_own(own, is_client_taken=held.grant.authorized_by is not None)
            self._grants.delete(account)
            told["revoked"] = self._forgotten(account, revoked=False)

    def _state(self, read: Read) -> ConnectionState:
        return self._conditions.state(read.grant, read.reason, read.sign)

    def _judged(self, account: Subdomain, reply: list[bytes | None]) -> tuple[Grant | None, str | None]:
        """Return the grant in the reply to `Grants.reading`, and why it cannot be used; (None, None): not connected."""
        try:
            grant = self._grants.opened(account, reply)
        except KeyMissing:
            return None, "key_missing"
        return grant, self._conditions.reason(grant) if grant else None

    def _end(self, client: AccountClient) -> bool:
        """Revoke and forget; returns whether anything was revoked."""
        account = client.account
        revoked = False
        for _ in range(MOST_ROUNDS):
            if not revoked:
                # Dead, or of another client: there is nothing that could be made live.
                with contextlib.suppress(AuthorizationRequired):
                    self._make_live(client)
            held = self._grants.holdings(account)
            if held.id is None:
                return self._forgotten(account, revoked=revoked)
            # What no key opens cannot be revoked.
            if held.grant is not None and self._revoke(client, held.grant, held.minted):
                revoked = True
            if self._grants.forget(account, held):
                return self._forgotten(account, revoked=revoked)
        raise ZendeskUnavailable("The account's tokens changed while they were revoked. Disconnect again.")

    def _make_live(self, client: AccountClient) -> None:
        """Refresh if the access token has expired or is refused: an expired one can revoke nothing."""
        account, deadline = client.account, client.deadline
        grant = self._access_tokens.get(account, deadline)
        own = client.with_token(grant.access_token)
        # Where this token may not be good for anything but the registry, its 401 elsewhere says nothing.
        is_dead = ask_about_itself(own).refuses_token and (
            grant.authorized_by is not None or self._revocation.is_dead(own)
        )
        if not is_dead:
            return
        token = self._access_tokens.refresh_now(account, grant, deadline, refused="revoke").access_token
        if grant.authorized_by is not None and ask_about_itself(client.with_token(token)).refuses_token:
            # It may live all the same, and could not be revoked.
            raise self._access_tokens.refused_again(account, token, "revoke")

    def _revoke(self, client: AccountClient, grant: Grant, minted: tuple[MintedToken, ...]) -> bool:
        reason = self._conditions.reason(grant)
        is_client_taken = grant.authorized_by is not None
        own = client.with_token(grant.access_token)
        if reason == "client_changed":
            # Another client's token: what still lives revokes itself.
            self._revocation.revoke_own(own, is_client_taken=is_client_taken)
        if reason is not None:
            for token in minted:
                self._revocation.drop_minted(client, token, [token.access_token])
            return False
        for token in minted:
            self._revocation.revoke_minted(own, token)
        self._revocation.revoke_own(own, is_client_taken=is_client_taken)
        return True

    def _forgotten(self, account: Subdomain, *, revoked: bool) -> bool:
        self._store.write(probes.forgetting(account))
        return revoked


def described(grant: Grant | None) -> dict[str, Any]:
    """Return what is known of a grant as our API shows it; all None without one."""
    by = grant.authorized_by if grant else None
    return {
        "authorized_at": timestamp(grant.authorized_at) if grant else None,
        "authorized_by": {"id": by.id, "name": by.name} if by else None,
        "scope": grant.scope if grant else None,
        "access_token_expires_at": timestamp(grant.expires_at) if grant else None,
        "refresh_token_expires_at": timestamp(grant.refresh_token_expires_at) if grant else None,
    }


@contextlib.contextmanager
def _failure_logged(account: Subdomain) -> Iterator[None]:
    """Log that a token could not be revoked, and go on."""
    try:
        yield
    except ServiceError as failure:
        _log.warning("revocation_failed", account=account, code=failure.code)
