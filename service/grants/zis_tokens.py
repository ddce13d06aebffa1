"""Tokens of integrations, minted from the account's grant.

Every integration has a token of its own, kept beside the grant, made when first needed and again when it has expired
or is refused. Where the grant's own access token is the ZIS token (direct mode) there is none of this.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from service.grants.access_tokens import LAST_SECONDS, AccessTokens, GrantToken
from service.grants.conditions import Conditions
from service.grants.cool_down import refused_again
from service.grants.granted import Grant, MintedToken
from service.grants.grants import Grants
from service.grants.leases import Leases
from service.grants.minting import mint
from service.grants.revocation import Revocation
from service.ground.deadlines import Deadline
from service.ground.errors import StoreUnavailable
from service.ground.subdomains import Subdomain
from service.store.vault import KeyMissing
from service.zendesk.calls import ZendeskCalls
from service.zendesk.client import AccountClient, Credential
from service.zendesk.measured import Kind
from service.zendesk.replies import Reply

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Prefetched:
    """What a request has just read of an account, so that its first call need not read it again.

    Valid only if nothing blocked since the read.
    """

    grant: Grant
    """Usable."""
    minted: MintedToken | None
    """The integration's; None: there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mint:
    """What tokens of integrations are made with; one an application."""

    calls: ZendeskCalls
    grants: Grants
    access_tokens: AccessTokens
    revocation: Revocation
    conditions: Conditions
    leases: Leases
    scopes: list[str]
    clock: Callable[[], float]


@dataclass(frozen=True, slots=True)
class _Refused:
    """A token that Zendesk has refused with 401, and for what kind of call."""

    token: str = field(repr=False)
    kind: Kind

    def is_of(self, minted: MintedToken) -> bool:
        return minted.access_token == self.token


class IntegrationToken(Credential):
    """The token of one integration of one account."""

    def __init__(self, mint: Mint, account: Subdomain, integration: str, prefetched: Prefetched | None = None) -> None:
        self._mint = mint
        self._account = account
        self._integration = integration
        self._prefetched = prefetched
        self._cool_down = mint.access_tokens.cool_down

    def token(self, deadline: Deadline) -> str:
        """Return a token that has not expired; it is minted if need be, once for everybody.

        Raises:
            ServiceError: none could be had.
        """
        # For the first call alone: by the second, what was read has grown old.
        read, self._prefetched = self._prefetched, None
        minted = read.minted if read else self._held()[1]
        if minted is not None and self._is_alive(minted, None):
            return minted.access_token
        return self._minted_in_turn(None, deadline).access_token

    def another(self, refused: str, kind: Kind, deadline: Deadline) -> str:
        """Return a token that is not the refused one; it is minted if need be, once for everybody.

        Raises:
            ZendeskUnavailable: new tokens were refused as well, and that is being waited out.
            ServiceError: none could be had.
        """
        known = _Refused(refused, kind)
        minted = self._held()[1]
        if minted is not None and self._is_alive(minted, known):
            return minted.access_token
        return self._minted_in_turn(known, deadline).access_token

    def judge(self, token: str, reply: Reply) -> None:
        """Note that the token works, or begin the integration's wait.

        Raises:
            ZendeskUnavailable: it is refused, and replaced a refused one.
            AuthorizationRequired: the account was disconnected meanwhile, or the grant is dead.
            StoreUnavailable: Redis did not answer.
        """
        if reply.refuses_token:
            held = self._held()[1]
            if held is None or not _Refused(token, reply.kind).is_of(held):
                # Somebody has replaced that one, too, since we took it.
                raise refused_again()
            raise self._cool_down.count_refusal(self._account, token, reply.kind, self._integration)
        if reply.is_success:
            self._cool_down.note_worked(self._account, token, reply.kind, self._integration)

    def keep(self, grant: Grant, minted: MintedToken) -> None:
        """Keep a token minted during the handshake; revoked if another handshake has overtaken this one.

        Raises:
            StoreUnavailable: it could not be kept.
        """
        self._save(grant, None, minted)

    def _minted_in_turn(self, refused: _Refused | None, deadline: Deadline) -> MintedToken:
        """Return a live token, minted by ourselves or by whoever has the lease."""
        leases, name = self._mint.leases, f"mint:{self._integration}"
        with leases.wait(self._account, name, deadline):
            while True:
                with leases.lease(self._account, name) as our_lease:
                    # Looked at with the lease in hand: whoever had it before may have minted.
                    grant, held = self._held()
                    if held is not None and self._is_alive(held, refused):
                        return held
                    replaces = held is not None and refused is not None and refused.is_of(held)
                    if refused is not None and replaces:
                        self._require_no_wait(refused)
                    minted = self._minted(grant, held, deadline) if our_lease else None
                    if minted is not None and replaces:
                        # The token is stored, whatever becomes of this.
                        with contextlib.suppress(StoreUnavailable):
                            self._cool_down.begin_trial(self._account, minted.access_token, self._integration)
                if minted is not None:
                    return minted
                leases.nap(deadline)

    def _require_no_wait(self, refused: _Refused) -> None:
        failure = self._cool_down.current(self._account, refused.token, refused.kind, self._integration)
        if failure is not None:
            raise failure

    def _held(self) -> tuple[Grant, MintedToken | None]:
        try:
            grant, minted = self._mint.grants.with_minted(self._account, self._integration)
        except KeyMissing:
            raise self._mint.conditions.required(self._account, "key_missing") from None
        # A dead grant ends its minted tokens: nothing is called with them.
        return self._mint.conditions.require_usable(self._account, grant), minted

    def _is_alive(self, minted: MintedToken, refused: _Refused | None) -> bool:
        if not minted.access_token or (refused and refused.is_of(minted)):
            return False
        return minted.expires_at is None or minted.expires_at - LAST_SECONDS > self._mint.clock()

    def _minted(self, grant: Grant, held: MintedToken | None, deadline: Deadline) -> MintedToken | None:
        """Mint and store; None: somebody else's was stored meanwhile, or the account was connected anew.

        Raises:
            AuthorizationRequired: the account was disconnected meanwhile.
            ServiceError: no token could be had, or it could not be stored.
        """
        credential = GrantToken(self._mint.access_tokens, self._account)
        client = AccountClient(self._mint.calls, self._account, deadline, credential)
        minted = mint(client, self._integration, self._mint.scopes, self._mint.clock)
        stored = self._save(grant, held, minted)
        if stored:
            _log.info("minted", account=self._account, integration=self._integration)
            if held is not None:
                self._drop(held)
            return minted
        # Disconnected while Zendesk answered, or connected anew; then there is another grant to mint from.
        if stored is None and self._held()[0].id == grant.id:
            raise self._mint.conditions.required(self._account, None)
        return None

    def _save(self, grant: Grant, held: MintedToken | None, minted: MintedToken) -> bool | None:
        """Return what `Grants.save_minted` does; a token that is not stored is revoked.

        Raises:
            StoreUnavailable: it is not stored; or that is not known, and is settled once Redis answers.
        """
        grants = self._mint.grants
        try:
            stored = grants.save_minted(self._account, grant.id, self._integration, held, minted)
        except StoreUnavailable:
            # Whether it was written is only known if Redis says so; revoked, a stored token would be refused to all.
            try:
                stored = grants.holds_minted(self._account, self._integration, minted)
            except StoreUnavailable:
                pending_pairs = self._mint.access_tokens.pending_pairs
                pending_pairs.keep(self._account, lambda: self._settle_unknown(minted), is_pair=False)
                raise
            if not stored:
                self._drop(minted)
                raise
        else:
            if not stored:
                self._drop(minted)
        return stored

    def _settle_unknown(self, minted: MintedToken) -> None:
        """Find out, once Redis answers again, whether a token was stored after all; revoke it if not."""
        if not self._mint.grants.holds_minted(self._account, self._integration, minted):
            self._drop(minted)

    def _drop(self, minted: MintedToken) -> None:
        """Revoke a token nobody will use, by the grant's authority or its own; nobody waits for it."""
        try:
            grant = self._mint.grants.get(self._account)
        except (KeyMissing, StoreUnavailable):
            grant = None
        authorities = [grant.access_token] if grant is not None else []
        self._mint.revocation.drop_minted_later(self._account, minted, [*authorities, minted.access_token])
