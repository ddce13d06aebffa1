"""Clients of an account, each with the token it needs: the grant's, an integration's, one that somebody holds, none."""

from dataclasses import dataclass

from service.grants.access_tokens import AccessTokens, GrantToken
from service.grants.granted import Grant, MintedToken
from service.grants.zis_tokens import IntegrationToken, Mint, Prefetched
from service.ground.deadlines import Deadline
from service.ground.subdomains import Subdomain
from service.zendesk.calls import ZendeskCalls
from service.zendesk.client import AccountClient, Credential, Unrenewed


@dataclass(frozen=True, slots=True)
class AccountContext:
    """What a piece of work is done for: one account by one grant, until one deadline."""

    account: Subdomain
    grant_id: str
    deadline: Deadline


class Clients:
    """Hands out clients."""

    def __init__(self, calls: ZendeskCalls, access_tokens: AccessTokens, mint: Mint, *, is_direct: bool) -> None:
        self._calls = calls
        self._access_tokens = access_tokens
        self._mint = mint
        self._is_direct = is_direct

    def of_nobody(self, account: Subdomain, deadline: Deadline) -> AccountClient:
        """Return a client that shows no token; `with_token` makes one of it that does."""
        return AccountClient(self._calls, account, deadline)

    def of_grant(self, account: Subdomain, deadline: Deadline) -> AccountClient:
        """Return a client with the grant's own access token."""
        return AccountClient(self._calls, account, deadline, GrantToken(self._access_tokens, account))

    def outside_registry(self, account: Subdomain, deadline: Deadline) -> AccountClient:
        """Return a client with the grant's own access token, for what that may not be good for at all.

        Whether a ZIS client's token works outside the registry is not known; where it could not read the admin who
        authorized, a 401 says nothing about the token, and is the answer. What tokens are minted with is no such call,
        whoever authorized: it is made with an ordinary client's token, and the account connected by it.
        """
        credential = GrantToken(self._access_tokens, account, is_unproven=True)
        return AccountClient(self._calls, account, deadline, credential)

    def of_integration(
        self, account: Subdomain, integration: str, deadline: Deadline, prefetched: Prefetched | None = None
    ) -> AccountClient:
        """Return a client with the integration's token."""
        return AccountClient(self._calls, account, deadline, self._credential(account, integration, prefetched))

    def of_integration_unrenewed(self, account: Subdomain, integration: str, deadline: Deadline) -> AccountClient:
        """Return a client with the integration's token, for what Zendesk may refuse to it for good."""
        credential = Unrenewed(self._credential(account, integration, None))
        return AccountClient(self._calls, account, deadline, credential)

    def keep(self, account: Subdomain, grant: Grant, integration: str, minted: MintedToken) -> None:
        """Keep a token minted during the handshake; as `IntegrationToken.keep`."""
        IntegrationToken(self._mint, account, integration).keep(grant, minted)

    def _credential(self, account: Subdomain, integration: str, prefetched: Prefetched | None) -> Credential:
        if self._is_direct:
            return GrantToken(self._access_tokens, account, read=prefetched.grant if prefetched else None)
        return IntegrationToken(self._mint, account, integration, prefetched)
