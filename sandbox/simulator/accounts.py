"""One simulated account: its people, clients, tokens, integrations, switches and faults."""

import base64
import hashlib
import secrets
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from sandbox.simulator.faults import Fault
from sandbox.simulator.integrations import Integration
from sandbox.simulator.people import AuthorizationCode, Client, Token, User
from sandbox.simulator.switches import Switches

# developer.zendesk.com …/oauth/grant_type_tokens, 2026-11.
CODE_LIFE_SECONDS = 120
# With header and signature about 4 KB of text.
LONG_TOKEN_BYTES = 2700
ZIS_CALLBACK = "https://zis.zendesk.com/api/services/zis/connections/oauth/callback"


def secret_of(identifier: str) -> str:
    """Return the secret of the client with this identifier: constant, for show only."""
    return f"secret-of-{identifier}-0123456789abcdef"


def _new_token(form: str) -> str:
    """Return a new access token; seen as short opaque texts, and as JWTs of type `at+jwt` (2026-07)."""
    if form == "opaque":
        return secrets.token_hex(32)
    header = base64.urlsafe_b64encode(b'{"alg":"RS256","typ":"at+jwt"}').rstrip(b"=").decode()
    return f"{header}.{secrets.token_urlsafe(LONG_TOKEN_BYTES)}.{secrets.token_urlsafe(256)}"


@dataclass(slots=True)
class Account:
    """One Zendesk customer. Guarded by the world's lock, but for `gate`."""

    subdomain: str
    zendesk_account_id: int
    installation_id: int
    users: dict[int, User] = field(default_factory=dict)
    clients: dict[str, Client] = field(default_factory=dict)
    """By identifier."""
    integrations: dict[str, Integration] = field(default_factory=dict)
    codes: dict[str, AuthorizationCode] = field(default_factory=dict, repr=False)
    tokens: dict[int, Token] = field(default_factory=dict)
    switches: Switches = field(default_factory=Switches)
    faults: list[Fault] = field(default_factory=list)
    renamed_to: str | None = None
    """Not None: this address has no account any more; Zendesk redirects nothing after a rename."""
    last_user_id: int | None = None
    """Who opened the workspace last; the consent page preselects them."""
    gate: threading.Event = field(default_factory=threading.Event, repr=False)
    """Set when held, hanging and slowed requests are to be let go; a new one is made for later requests."""
    zis_requests: int = 0
    """Counted for `rate_limit_every`."""
    _by_access: dict[str, Token] = field(default_factory=dict, repr=False)
    _by_refresh: dict[str, Token] = field(default_factory=dict, repr=False)
    _last_token_id: int = 0

    @property
    def is_gone(self) -> bool:
        """Whether there is no account at this address any more."""
        return self.renamed_to is not None or self.switches.account_gone == "yes"

    @property
    def host(self) -> str:
        """The account's real host, which Zendesk writes into its claims and `url` members."""
        return f"{self.subdomain}.zendesk.com"

    # --- people and clients ---

    def add_user(self, user_id: int, name: str, role: str, *, suspended: bool = False) -> User:
        """Add a person."""
        user = self.users[user_id] = User(user_id, name, role, suspended=suspended)
        return user

    def set_user(
        self,
        user_id: int,
        *,
        role: str | None = None,
        suspended: bool | None = None,
        active: bool | None = None,
        role_type: int | None = None,
        restricted_agent: bool | None = None,
        custom_role_id: int | None = None,
    ) -> None:
        """Change a person; None leaves as it is.

        Raises:
            KeyError: nobody has this id.
        """
        user = self.users[user_id]
        user.role = user.role if role is None else role
        user.suspended = user.suspended if suspended is None else suspended
        user.active = user.active if active is None else active
        user.role_type = user.role_type if role_type is None else role_type
        user.restricted_agent = user.restricted_agent if restricted_agent is None else restricted_agent
        user.custom_role_id = user.custom_role_id if custom_role_id is None else custom_role_id

    def delete_user(self, user_id: int) -> None:
        """Remove a person, and every token that acts as them."""
        self.users.pop(user_id, None)
        for token in [token for token in self.tokens.values() if token.user_id == user_id]:
            self.revoke(token)

    def add_client(self, identifier: str, name: str, *, kind: str = "confidential") -> Client:
        """Add an OAuth client owned by the account's first user."""
        number = self.zendesk_account_id * 10_000 + len(self.clients) + 1
        owner = next(iter(self.users), 0)
        client = self.clients[identifier] = Client(number, identifier, name, owner, secret_of(identifier), kind)
        if client.integration is not None:
            client.redirect_uris = [ZIS_CALLBACK]
        return client

    def redirect_uris(self, client: Client, of_service: Iterable[str]) -> list[str]:
        """Return the client's whole redirect list; the service's own are in it as the switches say."""
        if client.integration is not None and self.switches.zis_redirects != "ours":
            return list(client.redirect_uris)
        return list(dict.fromkeys([*client.redirect_uris, *of_service]))

    # --- integrations ---

    def add_integration(self, name: str, description: str = "") -> Integration:
        """Register an integration, and with it the client `zis_<name>`."""
        integration = self.integrations[name] = Integration(name, description)
        if f"zis_{name}" not in self.clients:
            self.add_client(f"zis_{name}", f"ZIS {name}")
        return integration

    def unregister_integration(self, name: str) -> None:
        """Forget the integration; its client and tokens stay and meet a mismatch."""
        self.integrations.pop(name, None)

    # --- codes and tokens ---

    def issue_code(self, code: AuthorizationCode) -> str:
        """Keep a consent, and return the code that stands for it."""
        value = secrets.token_hex(32)
        self.codes[value] = code
        return value

    def consume_code(self, value: str, *, client: str, redirect_uri: str, verifier: str) -> AuthorizationCode | None:
        """Return the consent if everything fits it; None otherwise. It can be had once."""
        code = self.codes.get(value)
        if code is None or code.client != client or code.redirect_uri != redirect_uri:
            return None
        if time.time() - code.issued_at > CODE_LIFE_SECONDS:
            return None
        # RFC 7636, section 4.6.
        digest = hashlib.sha256(verifier.encode()).digest()
        if code.challenge and base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != code.challenge:
            return None
        return self.codes.pop(value)

    def grant(
        self,
        client: Client,
        user_id: int,
        scopes: Iterable[str],
        *,
        expires_in: float | None,
        refresh_expires_in: float | None,
    ) -> Token:
        """Issue a token; lives in seconds, None: without end, and without a refresh token."""
        now = time.time()
        self._last_token_id += 1
        token = Token(
            id=self.zendesk_account_id * 1_000_000 + self._last_token_id,
            client=client.identifier,
            client_id=client.id,
            user_id=user_id,
            scopes=tuple(scopes),
            created_at=now,
            expires_at=None if expires_in is None else now + expires_in,
            refresh_expires_at=None if refresh_expires_in is None else now + refresh_expires_in,
            access_token=_new_token(self.switches.token_form),
            refresh_token=None if refresh_expires_in is None else secrets.token_hex(32),
        )
        self.tokens[token.id] = self._by_access[token.access_token] = token
        if token.refresh_token is not None:
            self._by_refresh[token.refresh_token] = token
        return token

    def hand_over(self, former: Token, token: Token) -> None:
        """End a token, and let its refresh token go over to another."""
        self.revoke(former)
        token.refresh_token, token.refresh_expires_at = former.refresh_token, former.refresh_expires_at
        if token.refresh_token is not None:
            self._by_refresh[token.refresh_token] = token

    def bearer(self, access_token: str) -> Token | None:
        """Return the live token of this value, noting its use; None: unknown, revoked or expired."""
        token = self._by_access.get(access_token)
        now = time.time()
        if token is None or token.is_expired(now):
            return None
        token.used_at = now
        return token

    def refreshable(self, refresh_token: str) -> Token | None:
        """Return the token this refresh token came with; None: unknown, used, revoked or expired."""
        token = self._by_refresh.get(refresh_token)
        if token is None or (token.refresh_expires_at is not None and token.refresh_expires_at <= time.time()):
            return None
        return token

    def client_of(self, access_token: str) -> str | None:
        """Return the identifier of the client the token was issued to, dead or alive; None: never seen or revoked."""
        token = self._by_access.get(access_token)
        return token.client if token else None

    def revoke(self, token: Token, *, access_only: bool = False) -> None:
        """End the token; its refresh token too unless `access_only`."""
        self._by_access.pop(token.access_token, None)
        if not access_only or token.refresh_token is None:
            self._by_refresh.pop(token.refresh_token or "", None)
            self.tokens.pop(token.id, None)
        else:
            token.expires_at = 0.0

    def _tokens_of(self, client: str | None) -> list[Token]:
        return [token for token in self.tokens.values() if client in {None, token.client}]

    def expire_access_tokens(self, client: str | None = None) -> int:
        """End the life of every access token (of one client) now; refresh tokens stay. Return how many."""
        tokens = self._tokens_of(client)
        for token in tokens:
            token.expires_at = time.time() - 1
        return len(tokens)

    def revoke_grants(self, client: str | None = None) -> int:
        """Revoke every access and refresh token (of one client), as an admin would. Return how many."""
        tokens = self._tokens_of(client)
        for token in tokens:
            self.revoke(token)
        return len(tokens)

    def live_tokens(self) -> dict[str, int]:
        """Return how many access tokens work now, by client."""
        now = time.time()
        counts: dict[str, int] = {}
        for token in self.tokens.values():
            if token.access_token in self._by_access and not token.is_expired(now):
                counts[token.client] = counts.get(token.client, 0) + 1
        return counts

    def release(self) -> None:
        """Let go every request that is held, hanging or slowed."""
        gate, self.gate = self.gate, threading.Event()
        gate.set()
