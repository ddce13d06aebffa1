"""May this person look, may they change? Asked of Zendesk, never taken from the browser.

This service acts with an admin's grant for whoever looks at the sidebar (the confused deputy), so to change anything a
recent answer of Zendesk is needed; to look, anyone will do who is not known to be outside.
"""

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import TypeGuard

import structlog

from service.grants import signs
from service.grants.access_tokens import AccessTokens
from service.grants.clients import Clients
from service.ground import records
from service.ground.deadlines import Deadline
from service.ground.errors import AccountGone, AgentRequired, AuthorizationRequired, ManagerRoleRequired, ServiceError
from service.ground.executor import Executor
from service.ground.settings import Settings
from service.ground.single_flight import SingleFlight
from service.ground.subdomains import Subdomain
from service.people.role import REMEMBERED_SECONDS, Role, Rules, Standing, deciding, showing
from service.people.sessions import Session
from service.store.lookers import Lookers
from service.store.store import Command, Store, StoreRefused
from service.store.vault import KeyMissing, Vault
from service.zendesk.bulkhead import Bulkhead, Busy
from service.zendesk.client import AccountClient
from service.zendesk.replies import Reply
from service.zendesk.users import NOT_READABLE, ZendeskUser, ask_user

# Looking does not wait longer for the role.
LOOK_SECONDS = 3.0
# What `_key` returns, as a pattern; for whoever goes through everything that is sealed.
KEY_PATTERN = "zis:{*}:role:*"


_log = structlog.get_logger(__name__)


class Roles:
    """Judges people by their role at Zendesk."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        vault: Vault,
        bulkhead: Bulkhead,
        access_tokens: AccessTokens,
        clients: Clients,
        lookers: Lookers,
        executor: Executor,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._store = store
        self._vault = vault
        self._access_tokens = access_tokens
        self._clients = clients
        self._lookers = lookers
        self._bulkhead = bulkhead
        self._executor = executor
        self._clock = clock
        self._single_flight: SingleFlight[Role] = SingleFlight()

    def require_manager(self, session: Session, deadline: Deadline) -> Standing:
        """Return the standing of a person who may change job specs.

        Raises:
            ManagerRoleRequired: the role does not allow it, or is not to be had.
            ServiceError: Zendesk could not be asked.
        """
        if session.machine is not None:
            # Its token was made by the operator, for this.
            return Standing(None, session.machine, can_manage=True, reason=None)
        if session.user_id is None:
            raise ManagerRoleRequired(
                "Zendesk did not say who you are, so nothing can be changed from here. The operator can name managers "
                "in MANAGER_USER_IDS."
            )
        last = self._remembered(session)
        rules = self._rules(session)
        if last is not None and rules.may_decide(last, self._clock()):
            role = last
        else:
            role = deciding(self._ask(self._client(session, deadline), session.user_id), last)
        standing = rules.standing(role)
        if not standing.can_manage:
            raise ManagerRoleRequired(self._why_not(standing))
        return standing

    def require_manager_to_disconnect(self, session: Session, deadline: Deadline) -> Standing:
        """Return the standing of a person who may disconnect: by Zendesk, or as last known where the grant is dead.

        Raises:
            ManagerRoleRequired, ServiceError: as `require_manager`.
        """
        try:
            return self.require_manager(session, deadline)
        except AuthorizationRequired:
            # It may have been found out only now, by asking.
            return self.require_remembered_manager(session)

    def require_remembered_manager(self, session: Session) -> Standing:
        """Return the standing of a manager as last known, where the dead grant can ask nobody.

        Raises:
            ManagerRoleRequired: Zendesk did not call the person one within the last 12 hours.
        """
        standing = self.unasked(session, self._store.read(self.reading(session))[0])
        if not standing.can_manage:
            raise ManagerRoleRequired(
                standing.why_no_manager
                or "The account's authorization is dead, so Zendesk cannot be asked who you are, and you were not "
                "known as a manager in the last 12 hours. Connect the account again first."
            )
        return standing

    def require_looker(self, session: Session, remembered: bytes | None, deadline: Deadline) -> Standing:
        """Return the standing of a person who may look; `remembered` is the reply to `reading`.

        Raises:
            AgentRequired: a known end user, suspended or inactive person.
        """
        return _admitted(self.standing(session, remembered, deadline))

    def require_remembered_looker(self, session: Session, remembered: bytes | None, looked: bytes | None) -> Standing:
        """Return the standing of a person who may look as last known, where nobody can be asked.

        `remembered` is the reply to `reading`, `looked` the one to `Lookers.reading`.

        Raises:
            AgentRequired: within the last 12 hours Zendesk called the person an end user, suspended or deleted; or they
                are not remembered as having looked or managed within 90 days.
        """
        standing = _admitted(self.unasked(session, remembered))
        if standing.role is None and not self._lookers.knows(session.account, session.user_id, looked):
            raise AgentRequired(
                "This account is not connected, or there is none at its address any more, so Zendesk cannot be asked "
                "who you are, and you were not seen here within 90 days. An admin can connect the account."
            )
        return standing

    def require_activity_reader(
        self, session: Session, remembered: bytes | None, looked: bytes | None, deadline: Deadline
    ) -> Standing:
        """Return the standing of a person who may read the activity of a connected account.

        The arguments are those of `require_looker` and `require_remembered_looker`.

        Raises:
            AgentRequired: as these; as the latter, if only asking shows that the grant is dead or the account gone.
        """
        try:
            return _admitted(self._asked_standing(session, remembered, deadline))
        except (AuthorizationRequired, AccountGone):
            return self.require_remembered_looker(session, remembered, looked)

    def standing(self, session: Session, remembered: bytes | None, deadline: Deadline) -> Standing:
        """Return what is known of the person; waits at most 3 s for Zendesk, then does with what is remembered."""
        try:
            return self._asked_standing(session, remembered, deadline)
        except (AuthorizationRequired, AccountGone):
            # Looking is allowed to whoever is not known to be outside.
            return self._rules(session).unknown("zendesk_unavailable")

    def _asked_standing(self, session: Session, remembered: bytes | None, deadline: Deadline) -> Standing:
        """Return what `standing` does.

        Raises:
            AuthorizationRequired: nothing is known of the person, and the grant that could ask is dead or gone.
            AccountGone: nothing is known of the person, and the account that could be asked is gone.
            Busy: nothing is known of the person, and enough requests wait already.
        """
        if session.user_id is None:
            return self._rules(session).unknown("user_unknown")
        role = self._opened(session, remembered)
        if not self._is_recent(role):
            try:
                answer = self._ask_for_looking(self._client(session, deadline), session.user_id)
            except ServiceError as failure:
                if role is None and isinstance(failure, AuthorizationRequired | AccountGone | Busy):
                    raise
                if role is None:
                    return self._rules(session).unknown("zendesk_unavailable")
            else:
                role = showing(answer, role)
        return self._rules(session).standing(role)

    def knows(self, session: Session, remembered: bytes | None) -> bool:
        """Return whether `standing` asks nobody, and so takes no time; `remembered` is the reply to `reading`."""
        if session.user_id is None:
            return True
        return self._is_recent(self._opened(session, remembered))

    def recent(self, session: Session, remembered: bytes | None) -> Standing | None:
        """Return what Zendesk said of the person within the last 5 minutes; None: nothing. Asks nobody."""
        role = self._opened(session, remembered)
        return self._rules(session).standing(role) if self._is_recent(role) else None

    def unasked(self, session: Session, remembered: bytes | None) -> Standing:
        """Return what is remembered of the person, where Zendesk cannot be asked because nobody is connected."""
        role = self._opened(session, remembered)
        rules = self._rules(session)
        return rules.standing(role) if role else rules.unknown("not_connected")

    def reading(self, session: Session) -> Command:
        """Return the command whose reply the others take; for callers that read more in the same round trip."""
        return ("GET", _key(session.account, session.user_id))

    def _is_recent(self, role: Role | None) -> TypeGuard[Role]:
        """Return whether an answer is there and not older than five minutes."""
        return role is not None and role.is_recent(self._clock())

    def _remembered(self, session: Session) -> Role | None:
        return self._opened(session, self._store.read(self.reading(session))[0])

    def _opened(self, session: Session, sealed: bytes | None) -> Role | None:
        if sealed is None or session.user_id is None:
            return None
        try:
            role = self._vault.opened(_key(session.account, session.user_id), sealed, Role.from_bytes)
        except KeyMissing:
            return None
        # Not left to Redis's expiry alone: whoever can write there could put an older role back.
        return role if role.is_remembered(self._clock()) else None

    def _client(self, session: Session, deadline: Deadline) -> AccountClient:
        return self._clients.outside_registry(session.account, deadline)

    def _ask_for_looking(self, client: AccountClient, user_id: int) -> Role:
        """Return Zendesk's answer about a person if it comes within 3 s.

        Raises:
            ServiceError: Zendesk could not be asked, or not in time.
        """
        # The access token may have to be refreshed first. That needs more than 3 s in hand, must not be cut off, and
        # serves whoever asks next: so it goes on without us, and the process waits for the refresh at its end.
        return self._ask(client, user_id, beside=self._executor, patience=LOOK_SECONDS)

    def _ask(
        self, client: AccountClient, user_id: int, *, beside: Executor | None = None, patience: float = math.inf
    ) -> Role:
        """Return Zendesk's answer about a person; a sidebar asks several things at once, and one question serves all.

        `beside` and `patience`: see `SingleFlight.join`.

        Raises:
            ServiceError: Zendesk could not be asked.
        """

        def ask() -> Role:
            return self._ask_zendesk(client, user_id)

        account = client.account
        with self._bulkhead.holding(account):
            role, _ = self._single_flight.join(account, user_id, client.deadline, ask, beside=beside, patience=patience)
        return role

    def _ask_zendesk(self, client: AccountClient, user_id: int) -> Role:
        """Return Zendesk's answer about a person, and remember it.

        Raises:
            ServiceError: Zendesk could not be asked.
        """
        now, account = self._clock(), client.account
        try:
            reply = ask_user(client, user_id)
        except AccountGone as failure:
            signs.note_gone(self._store, account, failure)
            raise
        # Sealed although no secret: whoever could write it could make anybody an admin.
        key = _key(account, user_id)
        unless_known: Command = ()
        if self._is_nobody(account, reply):
            role = Role(None, None, is_active=False, asked_at=now, is_missing=True)
        elif reply.status in NOT_READABLE:
            role = Role(None, None, is_active=True, asked_at=now)
            unless_known = ("NX",)
        else:
            role = Role.of(ZendeskUser.from_reply(reply), now)
        sealed = self._vault.seal(key, records.write(asdict(role)))
        try:
            self._store.write(("SET", key, sealed, "EX", REMEMBERED_SECONDS, *unless_known))
            if role.is_outsider:
                self._lookers.forget(account, user_id)
            else:
                self._lookers.remember(account, user_id)
        except StoreRefused as failure:
            # The answer is as good without being remembered.
            _log.warning("role_not_kept", account=account, code=failure.code)
        return role

    def _is_nobody(self, account: Subdomain, reply: Reply) -> bool:
        """Return whether Zendesk says that there is no such person; a grant that may not read users meets 404, too."""
        return reply.says_no_record and self._access_tokens.reads_users(account)

    def _rules(self, session: Session) -> Rules:
        is_named = session.user_id is not None and (session.account, session.user_id) in self._settings.manager_user_ids
        return Rules(self._settings.manager_roles, is_named)

    def _why_not(self, standing: Standing) -> str:
        return standing.why_no_manager or (
            "Zendesk does not let this service ask for your role, so nothing can be changed from here. The operator "
            "can name managers in MANAGER_USER_IDS."
        )


def _admitted(standing: Standing) -> Standing:
    if standing.why_outside is not None:
        raise AgentRequired(standing.why_outside)
    return standing


def _key(account: Subdomain, user_id: int | None) -> str:
    return f"zis:{{{account}}}:role:{user_id}"
