"""Signing in with Zendesk: a handshake that ends in a session of whoever consented. It never becomes a grant.

The token it brings answers one question, who the person is, and is revoked at once.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import structlog

from service.connecting.handshake import require_client
from service.connecting.states import IssuedState, PendingAuthorization, SignInRequest, States
from service.grants.clients import Clients
from service.grants.conditions import covers
from service.grants.revocation import Revocation
from service.ground.deadlines import Deadline
from service.ground.errors import (
    AccountMismatch,
    AgentRequired,
    InternalError,
    InvalidState,
    ScopeInsufficient,
    ServiceError,
    StoreUnavailable,
)
from service.ground.settings import Settings
from service.ground.subdomains import Subdomain
from service.people.claims import Claims, SignedIn
from service.web.documents.account import SessionDocument
from service.web.rate_limits import Attempt
from service.zendesk.authorization_server import AuthorizationServer, InvalidGrant
from service.zendesk.client import AccountClient
from service.zendesk.users import NOT_READABLE, ZendeskUser, ask_me

# The smallest scope of Zendesk's that reads the person (oauth/oauth_tokens, 2026-11).
SMALL_SCOPE = "users:read"

_log = structlog.get_logger(__name__)


class SmallScopeRefused(Exception):
    """Zendesk does not give this client a token that reads the person and nothing else: to be begun again with more."""


class SignIn:
    """Begins and completes sign-ins. `clock` in Unix seconds."""

    def __init__(
        self,
        *,
        settings: Settings,
        states: States,
        server: AuthorizationServer,
        claims: Claims,
        revocation: Revocation,
        clients: Clients,
        session_of: Callable[[Subdomain, int, int], SessionDocument],
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._states = states
        self._server = server
        self._claims = claims
        self._revocation = revocation
        self._clients = clients
        self.session_of = session_of
        """Makes a session of an account, a user id, and when they signed in (Unix seconds)."""
        self._clock = clock

    def begin(
        self, account: Subdomain, *, challenge: str | None = None, origin: str | None = None
    ) -> tuple[IssuedState, str]:
        """Return a new state for this browser, and the consent page to send it to.

        `challenge` and `origin`: of the front end that will fetch the session; None: the browser goes on to /console.

        Raises:
            ClientMisconfigured: there is no OAuth client yet.
            StoreUnavailable: the state could not be kept.
        """
        configured = self._settings.zendesk_scope
        scope = SMALL_SCOPE if covers(configured, SMALL_SCOPE) else configured
        return self._begun(account, SignInRequest(scope, challenge, origin))

    def begin_again(self, pending: PendingAuthorization) -> tuple[IssuedState, str]:
        """Return what `begin` does, for the same person's same sign-in, with the configured scope."""
        asked = pending.sign_in or SignInRequest("")
        again = SignInRequest(self._settings.zendesk_scope, asked.challenge, asked.origin)
        return self._begun(pending.account, again)

    def _begun(self, account: Subdomain, asked: SignInRequest) -> tuple[IssuedState, str]:
        require_client(self._settings)
        issued = self._states.issue(account, asked)
        return issued, self._server.authorization_url(account, issued.state, issued.code_verifier, asked.scope)

    def is_small(self, pending: PendingAuthorization) -> bool:
        """Return whether less was asked for than the configured scope, so that it may be begun again with that."""
        return pending.sign_in is not None and pending.sign_in.scope != self._settings.zendesk_scope

    @contextmanager
    def telling(self, pending: PendingAuthorization) -> Iterator[None]:
        """Let the front end that waits know if the block fails."""
        failure: ServiceError | None = InternalError(
            "Something unforeseen happened. Its trace is in this service's log."
        )
        try:
            yield
            failure = None
        except ServiceError as known:
            failure = known
            raise
        finally:
            if failure is not None:
                # What has failed is told here in any case.
                with suppress(StoreUnavailable):
                    self._keep(pending, None, failure)

    def complete(
        self, pending: PendingAuthorization, authorization_code: str, deadline: Deadline, exchange: Attempt
    ) -> SignedIn:
        """Return who has signed in; where a front end waits, it can fetch that.

        Raises:
            SmallScopeRefused: to be begun again, with the configured scope.
            InvalidState: the code is no longer valid.
            AgentRequired: an end user, a suspended or deleted person, or nobody.
            AccountMismatch: somebody of another account.
            ScopeInsufficient: Zendesk does not let this client read who signs in.
            ServiceError: Zendesk or Redis failed.
        """
        account = pending.account
        is_small = self.is_small(pending)
        exchange.is_made = True
        try:
            pair = self._server.exchange_code(
                account, authorization_code, pending.code_verifier, deadline, is_short_lived=True
            )
        except InvalidGrant:
            raise InvalidState(
                "Zendesk no longer accepts this sign-in: it waited too long or was used already. Sign in again."
            ) from None
        except ScopeInsufficient:
            if is_small:
                raise SmallScopeRefused from None
            raise
        exchange.is_made = False
        client = self._clients.of_nobody(account, deadline).with_token(pair.access_token)
        try:
            user_id = self._person(client, is_small=is_small)
        finally:
            self._revocation.drop_signed_in(client, self._clients.outside_registry(account, deadline))
        signed_in = SignedIn(account, user_id, int(self._clock()))
        self._keep(pending, signed_in, None)
        _log.info("signed_in", account=account, by=user_id)
        return signed_in

    def _person(self, client: AccountClient, *, is_small: bool) -> int:
        """Return the id of the person a client's token acts for, if they may have a session."""
        account = client.account
        reply = ask_me(client)
        if reply.status in NOT_READABLE:
            if is_small:
                raise SmallScopeRefused
            raise ScopeInsufficient(
                f"Zendesk does not let this service's OAuth client read who signs in to {account} (answer "
                f"{reply.status}), so nobody can sign in here. The client of an integration (zis_…) may be refused for "
                "good. Open the app in Zendesk instead, or let the operator use another OAuth client.",
                upstream_status=reply.status,
                upstream_detail=reply.words(),
            )
        user = ZendeskUser.from_reply(reply)
        if user.account is not None and user.account != account:
            raise AccountMismatch(
                f"You signed in to {account}, but Zendesk says that you belong to {user.account}. Sign in to the "
                "account you mean."
            )
        if user.id is None:
            raise AgentRequired(f"Zendesk does not say who you are in {account}. Sign in to Zendesk, and then here.")
        if user.role not in {"admin", "agent"} or not user.is_active:
            raise AgentRequired(
                f"Zendesk says that you are {user.kind()} of {account}, and this is for its agents and admins. An "
                "admin can change that in Zendesk."
            )
        return user.id

    def _keep(self, pending: PendingAuthorization, signed_in: SignedIn | None, failure: ServiceError | None) -> None:
        asked = pending.sign_in
        if asked is not None and asked.challenge is not None and asked.origin is not None:
            self._claims.keep(asked.challenge, asked.origin, signed_in, failure)
