"""Zendesk's signed request: the RS256 token that opens the sidebar (apps, "Secure the app", 2026-11).

It proves "opened in that installation by `sub`" and no right. The key is never taken from the token.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from joserfc import jws
from joserfc.jwk import RSAKey

from service.ground.deadlines import Deadline
from service.ground.errors import AccountNotAllowed, ServiceError, Unauthenticated
from service.ground.settings import Settings
from service.ground.subdomains import Subdomain, parse_subdomain
from service.people.app_keys import AppKeys
from service.people.sessions import RENEWABLE_SECONDS
from service.store.vault import UNREADABLE

# Zendesk's clock and ours may differ a little.
LEEWAY_SECONDS = 60
LONGEST_TOKEN = 8192

_REGISTRY = jws.JWSRegistry(algorithms=["RS256"], strict_check_header=False)
_AUDIENCE = re.compile(r"https://([A-Za-z0-9-]+)\.zendesk\.com/api/v2/apps/installations/(\d{1,19})\.json", re.ASCII)
_USER_URL = re.compile(r"https://([A-Za-z0-9-]+)\.zendesk\.com/api/v2/users/([1-9]\d{0,18})(?:\.json)?", re.ASCII)
_USER_ID = re.compile(r"[1-9]\d{0,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What a verified token says."""

    account: Subdomain
    user_id: int | None
    """None: `sub` is not of a form we know."""
    installation_id: int
    """Of the app, in this account."""
    issued_at: int
    """Unix seconds."""


class ZAFTokens:
    """Verifies signed requests of the allowed accounts' apps."""

    def __init__(self, settings: Settings, app_keys: AppKeys, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._app_keys = app_keys
        self._clock = clock

    def verify(self, token: str | None, deadline: Deadline, asker: str | None = None) -> SignedRequest:
        """Return what the token says, once its signature and claims hold.

        The same token may be shown again until it expires: a reloaded frame posts it again. `asker` is the address it
        came from, as it is counted; None: not known.

        Raises:
            Unauthenticated: missing, malformed, wrongly signed, expired, or for somebody else.
            AccountNotAllowed: its account may not use this service, or has no app configured.
            ServiceError: the app's public key could not be had.
        """
        header, claims, signed = _parsed(token)
        # Only to know whose key to use; believed after the signature holds.
        account = _account_of(claims.get("iss"))
        if account is None or header.get("alg") != "RS256":
            raise _refused()
        app_id = self._settings.app_of(account)
        self._settings.require_allowed(account)
        if app_id is None:
            raise AccountNotAllowed(
                f"For {account} no Zendesk app is configured yet. The operator of this service has to set "
                "ZENDESK_APPS to the app's id."
            )
        self._require_signature(account, app_id, signed, deadline, asker)
        return self._judged(account, claims)

    def _require_signature(
        self, account: Subdomain, app_id: int, signed: jws.CompactSignature, deadline: Deadline, asker: str | None
    ) -> None:
        key = self._app_keys.get(account, app_id, deadline, asker)
        if _is_signed_by(signed, key):
            return
        # The app's key may have changed since it was fetched.
        fetched = self._app_keys.fetch_again(account, app_id, key, deadline, asker)
        if fetched is None or not _is_signed_by(signed, fetched):
            raise _refused()

    def _judged(self, account: Subdomain, claims: dict[str, Any]) -> SignedRequest:
        now = self._clock()
        expires_at, issued_at, not_before = (_instant(claims.get(name)) for name in ("exp", "iat", "nbf"))
        if expires_at is None or issued_at is None or ("nbf" in claims and not_before is None):
            raise _refused()
        if expires_at + LEEWAY_SECONDS <= now or issued_at + RENEWABLE_SECONDS <= now:
            raise Unauthenticated("Zendesk's signed request has expired. Reload the app in Zendesk.")
        if issued_at - LEEWAY_SECONDS > now or (not_before or 0) - LEEWAY_SECONDS > now:
            raise _refused()
        audience = claims.get("aud")
        if isinstance(audience, list) and len(audience) == 1:
            audience = audience[0]
        match = _AUDIENCE.fullmatch(audience) if isinstance(audience, str) else None
        if match is None or parse_subdomain(match[1]) != account:
            raise _refused()
        return SignedRequest(account, _user_id(claims.get("sub"), account), int(match[2]), issued_at)


def _parsed(token: str | None) -> tuple[dict[str, Any], dict[str, Any], jws.CompactSignature]:
    if not token or len(token) > LONGEST_TOKEN:
        raise Unauthenticated("Zendesk's signed request is missing. Open this app in Zendesk.")
    try:
        signed = jws.extract_compact(token.encode(), registry=_REGISTRY)
        claims = json.loads(signed.payload)
    except UNREADABLE:
        raise _refused() from None
    if not isinstance(claims, dict):
        raise _refused()
    return signed.headers(), claims, signed


def _is_signed_by(signed: jws.CompactSignature, key: RSAKey) -> bool:
    try:
        return jws.validate_compact(signed, key, registry=_REGISTRY)
    except UNREADABLE:
        return False


def _account_of(issuer: object) -> Subdomain | None:
    """Return the account in `iss`: a bare host, or with `https://` before it (one integrator, 2026)."""
    if not isinstance(issuer, str):
        return None
    host = issuer.removeprefix("https://")
    return parse_subdomain(host.removesuffix(".zendesk.com")) if host.endswith(".zendesk.com") else None


def _user_id(sub: object, account: Subdomain) -> int | None:
    """Return the user in `sub`; None: of a form we do not know.

    Raises:
        Unauthenticated: it is the URL of another account's user, or of another host.
    """
    if isinstance(sub, int) and not isinstance(sub, bool):
        return sub if 0 < sub < 10**19 else None
    if not isinstance(sub, str):
        return None
    if _USER_ID.fullmatch(sub):
        return int(sub)
    match = _USER_URL.fullmatch(sub)
    if match and parse_subdomain(match[1]) == account:
        return int(match[2])
    if "://" in sub and _host_of(sub) != f"{account}.zendesk.com":
        raise _refused()
    return None


def _host_of(url: str) -> str | None:
    """Return the host of a URL, lower-case; None: it has none that can be read."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _instant(value: object) -> int | None:
    """Return a NumericDate (RFC 7519, section 2) in whole seconds; None: not one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 10**11:
        return None
    return int(value)


def _refused() -> ServiceError:
    return Unauthenticated("Zendesk's signed request could not be verified. Open this app in Zendesk again.")
