"""What a callback does, step by step, without a web framework: exchange, check, store, and only then the rest."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from service.connecting.states import IssuedState, States
from service.grants import probes, signs
from service.grants.access_tokens import AccessTokens
from service.grants.clients import Clients
from service.grants.conditions import Conditions, covers
from service.grants.granted import Grant, Holdings, MintedToken, Person
from service.grants.grants import Grants
from service.grants.minting import mint
from service.grants.revocation import LEAST_SECONDS, Revocation
from service.ground.deadlines import Deadline
from service.ground.errors import (
    AccountGone,
    AccountMismatch,
    AdminRequired,
    AuthorizationRequired,
    ClientMisconfigured,
    ScopeInsufficient,
    StoreUnavailable,
)
from service.ground.settings import Settings
from service.ground.subdomains import Subdomain
from service.store.activity import Activity
from service.store.events import NOBODY, Author, Event
from service.store.lookers import Lookers
from service.store.store import Store
from service.web.rate_limits import Attempt
from service.zendesk.authorization_server import AuthorizationServer, InvalidGrant, TokenPair
from service.zendesk.client import AccountClient
from service.zendesk.users import NOT_READABLE, ZendeskUser, ask_me
from service.zendesk.zis_registry import ask_page, specs_in

# Probing stops when less is left, so that the answer still reaches the browser.
ANSWER_NEEDS_SECONDS = 2.0
PROBE_SECONDS = 5.0
# All that is revoked of a replaced grant, together.
REVOKING_SECONDS = 6.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class NotReady:
    """An integration that cannot be used yet, and why."""

    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class Connected:
    """What a handshake ended in."""

    account: Subdomain
    authorized_by: Person | None
    """The admin who consented; None: the token may not read users."""
    not_ready: tuple[NotReady, ...]


def require_client(settings: Settings) -> None:
    """Return if there is an OAuth client for Zendesk's page to know.

    Raises:
        ClientMisconfigured: none is set yet.
    """
    if settings.lacks_client:
        raise ClientMisconfigured(
            "This service has no OAuth client yet. Its operator has to set ZENDESK_CLIENT_ID and "
            "ZENDESK_CLIENT_SECRET; the front page says where they come from."
        )


@contextmanager
def _nothing_undone(account: Subdomain) -> Iterator[None]:
    """Log a failure of the store and go on: the grant is stored, so the account is connected whatever comes after."""
    try:
        yield
    except StoreUnavailable as failure:
        _log.warning("connection_detail_not_kept", account=account, code=failure.code)


class Handshake:
    """Begins and completes the authorization of an account."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        states: States,
        server: AuthorizationServer,
        grants: Grants,
        access_tokens: AccessTokens,
        clients: Clients,
        revocation: Revocation,
        conditions: Conditions,
        activity: Activity,
        lookers: Lookers,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._store = store
        self._states = states
        self._server = server
        self._grants = grants
        self._access_tokens = access_tokens
        self._clients = clients
        self._revocation = revocation
        self._conditions = conditions
        self._activity = activity
        self._lookers = lookers
        self._clock = clock

    def begin(self, account: Subdomain) -> tuple[IssuedState, str]:
        """Return a new state for this browser, and the consent page to send it to.

        Raises:
            ClientMisconfigured: there is no OAuth client yet, so Zendesk's page would know nobody.
            StoreUnavailable: the state could not be kept.
        """
        require_client(self._settings)
        issued = self._states.issue(account)
        return issued, self._server.authorization_url(account, issued.state, issued.code_verifier)

    def authorize_url(self, account: Subdomain) -> str:
        """Return where the account is connected."""
        return self._conditions.authorize_url(account)

    def complete(
        self,
        account: Subdomain,
        authorization_code: str,
        code_verifier: str,
        deadline: Deadline,
        exchange: Attempt | None = None,
    ) -> Connected:
        """Exchange the code, check what was granted, store it, and make ready what the time allows.

        `exchange` is told whether the exchange was made and has failed; None: nobody counts that.

        A failed check, or one that could not be made, revokes what was granted and leaves an older grant untouched.

        Raises:
            AuthorizationRequired: the code is no longer valid.
            ScopeInsufficient, AdminRequired, AccountMismatch: a check failed.
            ServiceError: Zendesk or Redis failed.
        """
        try:
            return self._completed(account, authorization_code, code_verifier, deadline, exchange or Attempt())
        except AccountGone as failure:
            # Strangers cannot make us note anything of accounts that have never connected.
            with _nothing_undone(account):
                if self._grants.clear_fields(account)[0] is not None:
                    signs.note_gone(self._store, account, failure)
            raise

    def _completed(
        self, account: Subdomain, authorization_code: str, code_verifier: str, deadline: Deadline, exchange: Attempt
    ) -> Connected:
        exchange.is_made = True
        try:
            pair = self._server.exchange_code(account, authorization_code, code_verifier, deadline)
        except InvalidGrant:
            raise AuthorizationRequired(
                "Zendesk no longer accepts this authorization: it waited too long or was used already. Connect again.",
                authorize_url=self._conditions.authorize_url(account),
            ) from None
        exchange.is_made = False
        client = self._clients.of_nobody(account, deadline).with_token(pair.access_token)
        minted: dict[str, MintedToken] = {}
        try:
            grant = self._checked(client, pair, minted)
        except BaseException:
            self._drop_granted(client, pair.access_token, minted)
            raise
        replaced = self._store_grant(client, grant, minted)
        self._follow_up(client, grant, replaced, minted)
        return Connected(account, grant.authorized_by, self._probe(account, deadline))

    def _note(self, account: Subdomain, grant: Grant) -> None:
        """Remember that the account was connected, and by whom."""
        by = grant.authorized_by
        self._activity.note(account, Author(by.id, by.name) if by else NOBODY, Event("connected"))
        with _nothing_undone(account):
            self._grants.note_connection()
            if by is not None:
                self._lookers.remember(account, by.id)

    def _checked(self, client: AccountClient, pair: TokenPair, minted: dict[str, MintedToken]) -> Grant:
        """Return the grant if it is what was asked for; tokens minted on the way are put into `minted`."""
        scope = pair.scope or self._settings.zendesk_scope
        if not covers(scope, self._settings.zendesk_scope):
            raise ScopeInsufficient(
                f"Zendesk granted the scope '{scope}', but '{self._settings.zendesk_scope}' is needed. Allow it for "
                "the OAuth client in Zendesk's Admin Center, or correct ZENDESK_SCOPE."
            )
        authorized_by = self._admin(client, minted)
        return Grant.of(pair, client_id=self._settings.zendesk_client_id, scope=scope, authorized_by=authorized_by)

    def _admin(self, client: AccountClient, minted: dict[str, MintedToken]) -> Person | None:
        """Return the admin who consented; None: the token may not read users, and the registry vouched instead."""
        reply = ask_me(client)
        account = client.account
        if reply.status in NOT_READABLE:
            # The registry lets only admins in, and only this account's token.
            self._require_list(client, minted)
            return None
        user = ZendeskUser.from_reply(reply)
        if user.account is not None and user.account != account:
            raise AccountMismatch(
                f"You connected {account}, but Zendesk says that this authorization belongs to {user.account}. "
                f"Sign in to {account} and connect again."
            )
        if user.role != "admin" or user.id is None or not user.is_active:
            raise AdminRequired(
                "Zendesk's integration services work for admins only, and by its answer the person who consented is "
                f"{user.kind()}. An admin has to connect this account."
            )
        return Person(user.id, user.name)

    def _require_list(self, client: AccountClient, minted: dict[str, MintedToken]) -> None:
        integration = self._settings.integrations_of(client.account)[0]
        if not self._settings.is_direct:
            token = minted[integration] = mint(client, integration, self._settings.zendesk_scope.split(), self._clock)
            client = client.with_token(token.access_token)
        specs_in(ask_page(client, integration), integration)

    def _drop_granted(self, client: AccountClient, access_token: str, minted: dict[str, MintedToken]) -> None:
        """Revoke what this handshake was given."""
        for token in minted.values():
            self._revocation.drop_minted(client, token, [access_token, token.access_token])
        self._revocation.drop(client.with_token(access_token))

    def _store_grant(self, client: AccountClient, grant: Grant, minted: dict[str, MintedToken]) -> Holdings:
        """Store the grant in one write; returns what it replaced.

        Written only on top of what was read, so that what it replaced is known even if the reply to the write is lost.

        Raises:
            StoreUnavailable: it is not stored, and revoked; or nobody knows, and it is settled once Redis answers.
        """
        read: Holdings | None = None
        try:
            while True:
                read = self._grants.holdings(client.account)
                if self._grants.replace(client.account, grant, read):
                    return read
        except StoreUnavailable:
            if read is None:
                self._drop_granted(client, grant.access_token, minted)
                raise
            # Whether it was written is only known if Redis says so; a grant that may be stored is not revoked.
            replaced = read
            try:
                is_stored = self._is_stored(client, grant, replaced, minted)
            except StoreUnavailable:
                self._access_tokens.pending_pairs.keep(
                    client.account, lambda: self._settle_unknown(client, grant, replaced, minted), is_pair=False
                )
                raise
            if is_stored:
                return replaced
            raise

    def _is_stored(
        self, client: AccountClient, grant: Grant, replaced: Holdings, minted: dict[str, MintedToken]
    ) -> bool:
        """Return whether a grant was stored after all; revokes it if not.

        Raises:
            StoreUnavailable: Redis does not say.
        """
        stored_id = self._grants.clear_fields(client.account)[0]
        if stored_id == grant.id:
            return True
        self._drop_granted(client, grant.access_token, minted)
        if stored_id != replaced.id:
            # It may have been stored for a moment and have gone the same way since; then what it replaced is ours to
            # revoke, and otherwise whoever replaced that revokes it as well.
            self._revoke_replaced(client, grant, replaced)
        return False

    def _settle_unknown(
        self, client: AccountClient, grant: Grant, replaced: Holdings, minted: dict[str, MintedToken]
    ) -> None:
        """Find out, once Redis answers again, whether a grant was stored after all, and do what is then left to do."""
        client = client.until(Deadline.after(REVOKING_SECONDS))
        if self._is_stored(client, grant, replaced, minted):
            self._follow_up(client, grant, replaced, minted)

    def _follow_up(
        self, client: AccountClient, grant: Grant, replaced: Holdings, minted: dict[str, MintedToken]
    ) -> None:
        """Do what comes after storing a grant; none of it can undo the connection."""
        account = client.account
        for integration, token in minted.items():
            with _nothing_undone(account):
                self._clients.keep(account, grant, integration, token)
        self._note(account, grant)
        with _nothing_undone(account):
            # What was refused or failed was about the former grant.
            waits = self._access_tokens.cool_down.forgetting(account, self._settings.integrations_of(account))
            self._store.write(probes.forgetting(account), waits)
        # One limit for all, so that a Zendesk that hangs here does not keep the browser waiting.
        limit = client.deadline.sooner(REVOKING_SECONDS)
        if limit.left() >= LEAST_SECONDS:
            self._revoke_replaced(client.until(limit), grant, replaced)
        else:
            self._access_tokens.pending_pairs.keep(
                account,
                lambda: self._revoke_replaced(client.until(Deadline.after(REVOKING_SECONDS)), grant, replaced),
                is_pair=False,
            )

    def _revoke_replaced(self, client: AccountClient, grant: Grant, replaced: Holdings) -> None:
        """Revoke the tokens that `grant` has replaced; failures are logged."""
        if replaced.grant is not None:
            self._access_tokens.drop_replaced(client, replaced.grant)
        for token in replaced.minted:
            self._revocation.drop_minted(client, token, [grant.access_token, token.access_token])

    def _probe(self, account: Subdomain, deadline: Deadline) -> tuple[NotReady, ...]:
        """Ask one page of every integration's list while there is time; names those that are not ready."""
        not_ready = []
        for integration in self._settings.integrations_of(account):
            if deadline.left() < PROBE_SECONDS + ANSWER_NEEDS_SECONDS:
                not_ready.append(NotReady(integration, "There was no time left to try it; its first use will."))
                continue
            limit = deadline.sooner(PROBE_SECONDS)
            failure = probes.ask(self._clients.of_integration(account, integration, limit), integration)
            if failure is None or not probes.is_hurry(failure, limit, PROBE_SECONDS):
                with _nothing_undone(account):
                    self._store.write(*probes.recording(account, integration, failure))
            if failure is not None:
                not_ready.append(NotReady(integration, probes.words_of(failure)))
        return tuple(not_ready)
