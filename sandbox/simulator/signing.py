"""Zendesk's signature on the requests that open an app (RS256), and everything that can be wrong with one."""

import base64
import hashlib
import hmac
import json
import time
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from sandbox.simulator.accounts import Account
from sandbox.simulator.default_world import APP_ID

# Observed in client code; no page says so.
LIFE_SECONDS = 300
_HASHES: dict[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}


@cache
def _private_key(name: str) -> rsa.RSAPrivateKey:
    """Return the key of this name; one a process."""
    del name
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def public_key_pem() -> str:
    """Return the app's public key as PEM."""
    key = _private_key("app").public_key()
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def signed_claims(
    account: Account,
    user_id: int,
    *,
    sub_form: str | None = None,
    iss_form: str | None = None,
    location: str = "ticket_sidebar",
    expired: bool = False,
    expires_in: int = LIFE_SECONDS,
) -> dict[str, Any]:
    """Return the claims Zendesk sends; None for a form: as the account's switches say.

    `expires_in` is in seconds from now. `expired`: issued and over an hour ago.
    """
    now = int(time.time()) - (3600 + expires_in if expired else 0)
    forms: dict[str, Any] = {
        "number": user_id,
        "string": str(user_id),
        "url": f"https://{account.host}/api/v2/users/{user_id}.json",
    }
    scheme = "https://" if (iss_form or account.switches.iss_form) == "https" else ""
    return {
        "iss": scheme + account.host,
        "aud": f"https://{account.host}/api/v2/apps/installations/{account.installation_id}.json",
        "sub": forms[sub_form or account.switches.sub_form],
        "iat": now,
        "nbf": now,
        "exp": now + expires_in,
        "qsh": hashlib.sha256(f"{account.subdomain}{user_id}".encode()).hexdigest(),
        "cnf": {"jku": f"https://{account.host}/api/v2/apps/{APP_ID}/public_key"},
        "context": {"product": "support", "location": location},
    }


def encode(claims: dict[str, Any], *, alg: str = "RS256", wrong_key: bool = False, header: dict[str, Any]) -> str:
    """Return the compact token; `alg` none, HS… (keyed with the public PEM: algorithm confusion), RS… or PS….

    Members of `header` are added, None removes one.
    """
    head = {"alg": alg, "typ": "JWT"} | header
    signed = ".".join(
        _part({name: value for name, value in part.items() if value is not None}) for part in (head, claims)
    )
    return f"{signed}.{_b64(_signature(alg, signed.encode(), wrong_key=wrong_key))}"


def _part(value: dict[str, Any]) -> str:
    return _b64(json.dumps(value, separators=(",", ":")).encode())


def _b64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _signature(alg: str, signed: bytes, *, wrong_key: bool) -> bytes:
    key = _private_key("somebody else's" if wrong_key else "app")
    family, size = alg[:2], alg[2:]
    match family:
        case "RS":
            return key.sign(signed, padding.PKCS1v15(), _HASHES[size])
        case "PS":
            pss = padding.PSS(padding.MGF1(_HASHES[size]), _HASHES[size].digest_size)
            return key.sign(signed, pss, _HASHES[size])
        case "HS":
            return hmac.digest(public_key_pem().encode(), signed, f"sha{size}")
        case _:
            return b""
