"""From a grant to the token of one integration: direct or minted.

Direct: the grant's own access token is the ZIS token. Mint: every integration has a token of its own, kept beside the
grant, made when first needed and again when it has expired or is refused.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from service.deadlines import Deadline
from service.errors import ServiceError, StoreUnavailable
from service.oauth.access_tokens import LAST_SECONDS, AccessTokens, is_token_refused
from service.oauth.conditions import Conditions
from service.oauth.cool_down import refused_again
from service.oauth.grants import Grant, Grants, MintedToken
from service.oauth.minting import Minting
from service.oauth.revocation import Revocation
from service.oauth.turns import Turns
from service.settings import Settings
from service.subdomains import Subdomain
from service.vault import KeyMissing
from service.zendesk.measured import Kind
from service.zendesk.replies import Reply

_log = structlog.get_logger(__name__)

Operation = Callable[[str], Reply]
"""A call to Zendesk with the access token it is given."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a request has just read of an account, so that its first call need not read it again.

    Valid only if nothing blocked since the read.
    """

    grant: Grant
    """Usable."""
    minted: MintedToken | None
    """The integration's; None: there is none."""


@dataclass(frozen=True, slots=True)
class _Refused:
    """A token that Zendesk has refused with 401, and for what kind of call."""

    token: str = field(repr=False)
    kind: Kind

    def is_of(self, minted: MintedToken) -> bool:
        return minted.access_token == self.token


class ZISTokens:
    """Makes calls with a live token. A refused one is replaced once and the call repeated once."""

    def __init__(
        self,
        *,
        settings: Settings,
        grants: Grants,
        access_tokens: AccessTokens,
        minting: Minting,
        revocation: Revocation,
        conditions: Conditions,
        turns: Turns,
        clock: Callable[[], float],
    ) -> None:
        self._is_direct = settings.is_direct
        self._grants = grants
        self._access_tokens = access_tokens
        self._minting = minting
        self._revocation = revocation
        self._conditions = conditions
        self._turns = turns
        self._clock = clock

    def call(self, account: Subdomain, deadline: Deadline, operation: Operation, read: Grant | None = None) -> Reply:
        """Return Zendesk's reply to a call with the grant's own access token; `read`: the grant, if just read.

        Raises:
            AuthorizationRequired: not connected, or the grant is dead.
            ZendeskUnavailable: Zendesk refuses even a new token.
            ServiceError: no token could be had, or the call failed.
        """
        token = self._access_tokens.get(account, deadline, read).access_token
        reply = operation(token)
        if is_token_refused(reply):
            token = self._access_tokens.after_refusal(account, token, deadline, reply.kind).access_token
            reply = operation(token)
            if is_token_refused(reply):
                raise self._access_tokens.refused_again(account, token, reply.kind)
        if reply.is_success:
            self._access_tokens.cool_down.note_worked(account, token, reply.kind)
        return reply

    def call_unproven(self, account: Subdomain, deadline: Deadline, operation: Operation) -> Reply:
        """Return Zendesk's reply to a call that the grant's token may not be good for at all, then a 401 included.

        Whether a ZIS client's token works outside the registry is not known; where it could not read the admin who
        authorized, a 401 says nothing about the token. What tokens are minted with is no such call, whoever authorized:
        it is made with an ordinary client's token, and the account connected by it. Raises as `call`.
        """
        grant = self._access_tokens.get(account, deadline)
        return operation(grant.access_token) if grant.authorized_by is None else self.call(account, deadline, operation)

    def reads_users(self, account: Subdomain) -> bool:
        """Return whether the grant's token could read the admin who authorized, and so reads users.

        Raises:
            AuthorizationRequired: not connected, or the grant is dead.
            StoreUnavailable: Redis did not answer.
        """
        return self._access_tokens.usable(account).authorized_by is not None

    def call_zis(
        self,
        account: Subdomain,
        integration: str,
        deadline: Deadline,
        operation: Operation,
        seen: Seen | None = None,
    ) -> Reply:
        """Return Zendesk's reply to a call with the integration's token; raises as `call`, and where minting fails."""
        if self._is_direct:
            return self.call(account, deadline, operation, seen.grant if seen else None)
        token = self._minted(account, integration, None, deadline, seen).access_token
        reply = operation(token)
        if is_token_refused(reply):
            token = self._minted(account, integration, _Refused(token, reply.kind), deadline).access_token
            reply = operation(token)
            if is_token_refused(reply):
                raise self._refused_again(account, integration, _Refused(token, reply.kind))
        if reply.is_success:
            self._access_tokens.cool_down.note_worked(account, token, reply.kind, integration)
        return reply

    def call_zis_once(self, account: Subdomain, integration: str, deadline: Deadline, operation: Operation) -> Reply:
        """Return Zendesk's reply to a call that it may refuse to the integration's token for good, a 401 included.

        Raises:
            ServiceError: as `call_zis`, but for what a 401 means.
        """
        if self._is_direct:
            return operation(self._access_tokens.get(account, deadline).access_token)
        return operation(self._minted(account, integration, None, deadline).access_token)

    def _refused_again(self, account: Subdomain, integration: str, refused: _Refused) -> ServiceError:
        """Return what it means that a token is refused that replaced a refused one, and begin the integration's wait.

        Raises:
            AuthorizationRequired: the account was disconnected meanwhile, or the grant is dead.
            StoreUnavailable: Redis did not answer.
        """
        held = self._held(account, integration)[1]
        if held is None or not refused.is_of(held):
            # Somebody has replaced that one, too, since we took it.
            return refused_again()
        return self._access_tokens.cool_down.count_refusal(account, refused.token, refused.kind, integration)

    def _minted(
        self,
        account: Subdomain,
        integration: str,
        refused: _Refused | None,
        deadline: Deadline,
        seen: Seen | None = None,
    ) -> MintedToken:
        """Return a live minted token that is not the one Zendesk `refused`; mints it if need be, once for everybody.

        Raises:
            ZendeskUnavailable: new tokens were refused as well, and that is being waited out.
            ServiceError: no token could be had.
        """
        minted = seen.minted if seen else self._held(account, integration)[1]
        if minted is not None and self._is_alive(minted, refused):
            return minted
        return self._minted_in_turn(account, integration, refused, deadline)

    def _minted_in_turn(
        self, account: Subdomain, integration: str, refused: _Refused | None, deadline: Deadline
    ) -> MintedToken:
        """Return a live minted token, by ourselves or by whoever has the lease; raises as `_minted`."""
        name = f"mint:{integration}"
        with self._turns.wait(account, name, deadline):
            while True:
                with self._turns.lease(account, name) as our_lease:
                    # Looked at with the lease in hand: whoever had it before may have minted.
                    grant, held = self._held(account, integration)
                    if held is not None and self._is_alive(held, refused):
                        return held
                    replaces = held is not None and refused is not None and refused.is_of(held)
                    if refused is not None and replaces:
                        self._require_no_wait(account, integration, refused)
                    minted = self._mint(account, integration, grant, held, deadline) if our_lease else None
                    if minted is not None and replaces:
                        # The token is stored, whatever becomes of this.
                        with contextlib.suppress(StoreUnavailable):
                            self._access_tokens.cool_down.begin_trial(account, minted.access_token, integration)
                if minted is not None:
                    return minted
                self._turns.nap(deadline)

    def _require_no_wait(self, account: Subdomain, integration: str, refused: _Refused) -> None:
        failure = self._access_tokens.cool_down.current(account, refused.token, refused.kind, integration)
        if failure is not None:
            raise failure

    def _held(self, account: Subdomain, integration: str) -> tuple[Grant, MintedToken | None]:
        try:
            grant, minted = self._grants.with_minted(account, integration)
        except KeyMissing:
            raise self._conditions.required(account, "key_missing") from None
        # A dead grant ends its minted tokens: nothing is called with them.
        return self._conditions.require_usable(account, grant), minted

    def _is_alive(self, minted: MintedToken, refused: _Refused | None) -> bool:
        if not minted.access_token or (refused and refused.is_of(minted)):
            return False
        return minted.expires_at is None or minted.expires_at - LAST_SECONDS > self._clock()

    def _mint(
        self,
        account: Subdomain,
        integration: str,
        grant: Grant,
        held: MintedToken | None,
        deadline: Deadline,
    ) -> MintedToken | None:
        """Mint and store; None: somebody else's was stored meanwhile, or the account was connected anew.

        Raises:
            AuthorizationRequired: the account was disconnected meanwhile.
            ServiceError: no token could be had, or it could not be stored.
        """
        minted = self._minting.mint(account, integration, lambda call: self.call(account, deadline, call), deadline)
        stored = self._save(account, grant.id, integration, held, minted)
        if stored:
            _log.info("minted", account=account, integration=integration)
            if held is not None:
                self._drop(account, held)
            return minted
        # Disconnected while Zendesk answered, or connected anew; then there is another grant to mint from.
        if stored is None and self._held(account, integration)[0].id == grant.id:
            raise self._conditions.required(account, None)
        return None

    def _save(
        self, account: Subdomain, grant_id: str, integration: str, held: MintedToken | None, minted: MintedToken
    ) -> bool | None:
        """Return what `save_minted` does; a token that is not stored is revoked.

        Raises:
            StoreUnavailable: it is not stored; or that is not known, and is settled once Redis answers.
        """
        try:
            stored = self._grants.save_minted(account, grant_id, integration, held, minted)
        except StoreUnavailable:
            # Whether it was written is only known if Redis says so; revoked, a stored token would be refused to all.
            try:
                stored = self._grants.holds_minted(account, integration, minted)
            except StoreUnavailable:
                self._access_tokens.unsaved.keep(
                    account, lambda: self._settle_unknown(account, integration, minted), is_pair=False
                )
                raise
            if not stored:
                self._drop(account, minted)
                raise
        else:
            if not stored:
                self._drop(account, minted)
        return stored

    def _settle_unknown(self, account: Subdomain, integration: str, minted: MintedToken) -> None:
        """Find out, once Redis answers again, whether a token was stored after all; revoke it if not."""
        if not self._grants.holds_minted(account, integration, minted):
            self._drop(account, minted)

    def _drop(self, account: Subdomain, minted: MintedToken) -> None:
        """Revoke a minted token nobody will use, by the grant's authority or its own; nobody waits for it."""
        try:
            grant = self._grants.get(account)
        except (KeyMissing, StoreUnavailable):
            grant = None
        authorities = [grant.access_token] if grant is not None else []
        self._revocation.drop_minted(account, minted, [*authorities, minted.access_token])

    def keep(self, account: Subdomain, grant: Grant, integration: str, minted: MintedToken) -> None:
        """Keep a token minted during the handshake; revoked if another handshake has overtaken this one.

        Raises:
            StoreUnavailable: it could not be kept.
        """
        self._save(account, grant.id, integration, None, minted)
