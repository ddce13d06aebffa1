"""Zendesk's authorize and token endpoints; the only user of Authlib.

Authlib can return a failed reply as a token (a 401 in JSON without `error`), and stumbles over members we have no use
for (`error: null`, an odd `expires_at`), so a hook reads status and every field and leaves before Authlib does.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests
from authlib.integrations.requests_client import OAuth2Session

from service.ground.deadlines import Deadline
from service.ground.errors import ClientMisconfigured, ScopeInsufficient, ServiceError, ZendeskUnavailable
from service.ground.settings import Settings
from service.ground.subdomains import Subdomain
from service.zendesk.calls import CALL_SECONDS, ZendeskCalls, refusal_of
from service.zendesk.measured import Measured
from service.zendesk.replies import Reply
from service.zendesk.transport import ZendeskAdapter, prepare_session

# Zendesk's default for access tokens (oauth/grant_type_tokens, 2026-11); asked for, because a reply to a request
# without it may hold no expires_in although the token expires (seen 2026-07).
ACCESS_TOKEN_SECONDS = 1800
# 89 days: inside Zendesk's 90 whether that bound is inclusive or strict, so that a quiet account keeps its grant.
REFRESH_TOKEN_SECONDS = 7_689_600
# The shortest that Zendesk gives: a sign-in's token is revoked as soon as it has said who the person is.
SHORTEST_ACCESS_SECONDS = 300
SHORTEST_REFRESH_SECONDS = 604_800
# Tokens may be JWTs; Zendesk's are under 4 KB (seen 2026-07).
LONGEST_TOKEN = 8192
# Some 300 years; more is no duration, and Python refuses to read very long numbers.
LONGEST_DURATION_DIGITS = 10
_LASTING: dict[str, Any] = {"expires_in": ACCESS_TOKEN_SECONDS, "refresh_token_expires_in": REFRESH_TOKEN_SECONDS}
_SHORT_LIVED: dict[str, Any] = {
    "expires_in": SHORTEST_ACCESS_SECONDS,
    "refresh_token_expires_in": SHORTEST_REFRESH_SECONDS,
}


class InvalidGrant(Exception):
    """Zendesk: the code or refresh token is wrong, used, expired or revoked (RFC 6749, section 5.2)."""


class _Answered(Exception):
    """Leaves Authlib once the reply is read: a pair that is ours must not be lost to its opinion of the rest."""


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What the token endpoint gave. Instants are Unix seconds of our clock."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    """None: the grant cannot be refreshed."""
    obtained_at: float
    expires_at: float | None
    """None: no expiry was announced and there is no refresh token; used until Zendesk refuses it."""
    refresh_token_expires_at: float | None
    scope: str | None
    """None: the reply did not say; as requested (RFC 6749, section 5.1)."""

    @classmethod
    def from_reply(cls, body: dict[str, Any], now: float) -> "TokenPair":
        """Return the pair in a 2xx body; `now` is when it was asked for.

        Zendesk has deleted the pair before, so whatever can be used is: an unreadable field counts as absent, but for
        the access token and its kind.

        Raises:
            ZendeskUnavailable: there is no usable access token.
        """
        access_token = _token(body.get("access_token"))
        kind = body.get("token_type")
        if access_token is None or not (kind is None or (isinstance(kind, str) and kind.casefold() == "bearer")):
            raise _unreadable()
        refresh_token = _token(body.get("refresh_token"))
        expires_in = _seconds(body.get("expires_in"))
        if expires_in is None and refresh_token is not None:
            expires_in = ACCESS_TOKEN_SECONDS
        refresh_expires_in = _seconds(body.get("refresh_token_expires_in"))
        return cls(
            access_token=access_token,
            refresh_token=refresh_token,
            obtained_at=now,
            expires_at=None if expires_in is None else now + expires_in,
            refresh_token_expires_at=(
                None if refresh_expires_in is None or refresh_token is None else now + refresh_expires_in
            ),
            scope=_scope(body.get("scope")),
        )


class AuthorizationServer:
    """One account's OAuth endpoints. Tokens are asked for once; a lost reply is never repeated here."""

    def __init__(
        self, settings: Settings, calls: ZendeskCalls, adapter: ZendeskAdapter, clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._calls = calls
        self._adapter = adapter
        self._clock = clock

    def authorization_url(self, account: Subdomain, state: str, code_verifier: str, scope: str | None = None) -> str:
        """Return the account's consent page for this handshake (RFC 6749, section 4.1.1; RFC 7636, section 4.3).

        `scope` None: the configured one.
        """
        url, _ = self._session().create_authorization_url(
            f"{self._calls.base_url(account)}/oauth/authorizations/new",
            state=state,
            code_verifier=code_verifier,
            redirect_uri=self._settings.redirect_uri,
            scope=self._settings.zendesk_scope if scope is None else scope,
        )
        return str(url)

    def exchange_code(
        self,
        account: Subdomain,
        authorization_code: str,
        code_verifier: str,
        deadline: Deadline,
        *,
        is_short_lived: bool = False,
    ) -> TokenPair:
        """Return the pair for an authorization code (RFC 6749, section 4.1.3); the code goes to `account`'s host only.

        `is_short_lived`: it is asked to end as soon as Zendesk allows, for somebody who needs it for one question.

        Raises:
            InvalidGrant: the code is no longer valid (Zendesk: 120 s, once).
            ClientMisconfigured: our client id or secret is wrong.
            ScopeInsufficient, RateLimited, ZendeskTimeout, ZendeskUnavailable: see there.
        """
        secrets = (authorization_code, code_verifier)
        return self._ask(
            account,
            deadline,
            secrets,
            lambda session, url, options: session.fetch_token(
                url,
                grant_type="authorization_code",
                code=authorization_code,
                code_verifier=code_verifier,
                redirect_uri=self._settings.redirect_uri,
                **options,
                **(_SHORT_LIVED if is_short_lived else _LASTING),
            ),
        )

    def refresh(self, account: Subdomain, refresh_token: str, deadline: Deadline) -> TokenPair:
        """Return the successor of a pair; Zendesk deletes the old pair at once (oauth/grant_type_tokens, 2026-11).

        Raises:
            InvalidGrant: the refresh token is no longer valid.
            ClientMisconfigured, RateLimited, ZendeskTimeout, ZendeskUnavailable: see there.
        """
        return self._ask(
            account,
            deadline,
            (refresh_token,),
            lambda session, url, options: session.refresh_token(
                url, refresh_token=refresh_token, **options, **_LASTING
            ),
        )

    def _session(self) -> OAuth2Session:
        # Given explicitly: Authlib would authenticate by HTTP Basic, which Zendesk does not document.
        session = OAuth2Session(
            self._settings.zendesk_client_id,
            self._settings.zendesk_client_secret,
            token_endpoint_auth_method="client_secret_post",  # noqa: S106 - a method's name
            code_challenge_method="S256",
            default_timeout=CALL_SECONDS,
        )
        prepare_session(session, self._adapter)
        return session

    def _ask(
        self,
        account: Subdomain,
        deadline: Deadline,
        secrets: tuple[str, ...],
        request: Callable[[OAuth2Session, str, dict[str, Any]], Any],
    ) -> TokenPair:
        now = self._clock()
        answers: list[TokenPair] = []

        call = Measured("token")

        def read(response: requests.Response) -> requests.Response:
            call.status = response.status_code
            sent = (*secrets, self._settings.zendesk_client_secret)
            answers.append(_pair_of(Reply(response.status_code, response.headers, response.content, sent), now))
            raise _Answered

        session = self._session()
        session.register_compliance_hook("access_token_response", read)
        session.register_compliance_hook("refresh_token_response", read)
        options = {
            "timeout": min(CALL_SECONDS, deadline.left()),
            # A redirect would carry our secret to another host.
            "allow_redirects": False,
        }
        with contextlib.suppress(_Answered), call, self._calls.translated():
            request(session, f"{self._calls.base_url(account)}/oauth/tokens", options)
        return answers[0]


def _pair_of(reply: Reply, now: float) -> TokenPair:
    """Return the pair in a token reply, any 2xx (the reference says 201, zcli expects 200)."""
    refusal = refusal_of(reply)
    if refusal is not None:
        raise refusal
    body = reply.json_object()
    error = body.get("error")
    if reply.is_success and error is None:
        return TokenPair.from_reply(body, now)
    raise _meaning(error, reply)


def _meaning(error: object, reply: Reply) -> ServiceError | InvalidGrant:
    """Return what an OAuth error means (RFC 6749, section 5.2); by its `error`, never by status or wording."""
    told: dict[str, Any] = {"upstream_status": reply.status, "upstream_detail": reply.words()}
    if not isinstance(error, str):
        # Zendesk's other envelopes have an object here.
        error = None
    if error == "invalid_grant":
        return InvalidGrant()
    if error in {"invalid_client", "unauthorized_client"}:
        return ClientMisconfigured(
            "Zendesk does not accept this service's OAuth client id or secret. Its operator has to correct "
            "ZENDESK_CLIENT_ID and ZENDESK_CLIENT_SECRET; nothing that was granted is lost.",
            **told,
        )
    if error == "invalid_scope":
        return ScopeInsufficient(
            "Zendesk does not let this OAuth client have the requested scope. Raise the client's allowed scopes in "
            "Zendesk, or ask for less with ZENDESK_SCOPE.",
            **told,
        )
    return ZendeskUnavailable("Zendesk refused to issue a token; its words below say why.", **told)


def _token(value: object) -> str | None:
    """Return a token that can stand in a header; None: absent, or something else."""
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_TOKEN:
        return None
    return value if value.isascii() and value.isprintable() and " " not in value else None


def _scope(value: object) -> str | None:
    """Return the scope, from a text or a list; None: absent, or of characters no scope has (RFC 6749, section 3.3)."""
    if isinstance(value, list):
        value = " ".join(item for item in value if isinstance(item, str))
    if not isinstance(value, str) or not value.strip():
        return None
    return value if value.isascii() and value.isprintable() else None


def _seconds(value: object) -> float | None:
    """Return a duration; None: absent, null as in Zendesk's older answers, or no duration."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= LONGEST_DURATION_DIGITS:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 10**LONGEST_DURATION_DIGITS:
        return None
    return float(value)


def _unreadable() -> ZendeskUnavailable:
    return ZendeskUnavailable("Zendesk's answer holds no usable token. Try again; if this persists, ask Zendesk.")
