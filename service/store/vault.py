"""Sealing and opening records under the key ring. Knows nothing of what is in them.

A sealed record is a JWE in compact form (RFC 7516; `dir`, `A256GCM`). Its protected header names the record it belongs
to, so a value copied to another account's key does not open. The keys are derived from SECRET_KEYS (RFC 5869), one
for sealing and one for signing, and `kid` is a public fingerprint of the entry.
"""

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from joserfc.registry import HeaderParameter

from service.ground.memo import Memo
from service.ground.records import Unreadable

T = TypeVar("T")

# Records in use at a time, some 2 KB each with what was made of them: of 340 accounts with a grant, a role and a minted
# token. The records of other accounts are opened with every request, three times 60 us.
REMEMBERED_RECORDS = 1024

# What joserfc and json raise for what is no token; a TypeError for members of another type than they should be (1.8).
UNREADABLE = (JoseError, ValueError, TypeError, RecursionError)

# The longest record tells of a re-arming of 20,000 job specs: 5 MB, sealed, if no character of their names is ASCII.
# joserfc seals anything, and by itself opens nothing beyond 48 KiB.
LONGEST_SEALED = 16 * 1024 * 1024


class _Registry(jwe.JWERegistry):
    max_ciphertext_length = LONGEST_SEALED


_REGISTRY = _Registry(
    header_registry={"record": HeaderParameter("Name of the record this belongs to", "str", required=True)},
    algorithms=["dir", "A256GCM"],
)

# Records that belong to an account carry its name in braces (the hash tag of a Redis cluster).
_OWNER = re.compile(r"\{[^}]*\}")


class KeyMissing(Exception):
    """No key of the ring opens the record, or what is in it is not what its name says."""


@dataclass(frozen=True, slots=True)
class DerivedKey:
    """A key for one purpose; the secret does not show in its repr."""

    kid: str
    oct_key: OctKey

    def __repr__(self) -> str:
        return f"DerivedKey(kid={self.kid!r})"


def derive_keys(secret_keys: tuple[str, ...], purpose: str) -> list[DerivedKey]:
    """Return one 256-bit key for `purpose` from each entry, in the same order (HKDF-SHA256, RFC 5869)."""

    def derive(secret: str, info: str, length: int) -> bytes:
        return HKDF(SHA256(), length, salt=None, info=f"zis-job-specs/{info}".encode()).derive(secret.encode())

    return [
        DerivedKey(derive(secret, "kid", 6).hex(), OctKey.import_key(derive(secret, purpose, 32)))
        for secret in secret_keys
    ]


class Vault:
    """Seals under the first key of the ring, opens under any."""

    def __init__(self, secret_keys: tuple[str, ...]) -> None:
        keys = derive_keys(secret_keys, "seal")
        self._writing, self._oldest = keys[0], keys[-1]
        self._keys = {key.kid: key for key in keys}
        self._found: dict[str, DerivedKey] | None = None
        self._opened: Memo[tuple[str, bytes], Any] = Memo(REMEMBERED_RECORDS)

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of the ring's keys, newest first; not secret."""
        return tuple(self._keys)

    def leave_keys_as_found(self) -> None:
        """Seal from now on under the key that a record was opened under last, so that whoever reads it today still can.

        For a process of a release that is not live yet: the live one may not have the newest key. What was not opened
        before goes under the key of the account's record that was opened last, else under the oldest.
        """
        self._found = {}

    def seal(self, record: str, plaintext: bytes) -> str:
        """Return `plaintext` sealed for the record of that name (its key in Redis)."""
        key = self._writing
        if self._found is not None:
            key = self._found.get(record) or self._found.get(_owner(record)) or self._oldest
        header = {"alg": "dir", "enc": "A256GCM", "kid": key.kid, "record": record}
        return jwe.encrypt_compact(header, plaintext, key.oct_key, registry=_REGISTRY)

    def open(self, record: str, sealed: bytes) -> bytes:
        """Return what was sealed for the record of that name.

        Raises:
            KeyMissing: no key opens it, or it was sealed for another record, truncated or changed.
        """
        key = self._keys.get(self.key_id(sealed) or "")
        if key is None:
            raise KeyMissing(record)
        try:
            opened = jwe.decrypt_compact(sealed, key.oct_key, registry=_REGISTRY)
        except UNREADABLE as fault:
            raise KeyMissing(record) from fault
        if opened.protected.get("record") != record or opened.plaintext is None:
            raise KeyMissing(record)
        if self._found is not None:
            self._found[record] = self._found[_owner(record)] = key
        return opened.plaintext

    def parsed(self, record: str, sealed: bytes, parse: Callable[[bytes], T]) -> T:
        """Return what `parse` makes of a sealed record; what it finds unreadable counts as not opened.

        Raises:
            KeyMissing: as `open`, or `parse` raised `Unreadable`.
        """
        plaintext = self.open(record, sealed)
        try:
            return parse(plaintext)
        except Unreadable as fault:
            raise KeyMissing(record) from fault

    def opened(self, record: str, sealed: bytes, parse: Callable[[bytes], T]) -> T:
        """Return what `parsed` does: an immutable value, the same for the same `sealed`.

        It is opened once, because opening costs more than the rest of a cached list. The bytes come from Redis each
        time, so what was deleted or replaced there is not remembered as being there. One `parse` a record.

        Raises:
            KeyMissing: as `parsed`.
        """
        if self._found is not None:
            # Every opening counts.
            return self.parsed(record, sealed, parse)
        value: T = self._opened.get((record, sealed), lambda: self.parsed(record, sealed, parse))
        return value

    def key_id(self, sealed: bytes) -> str | None:
        """Return the id of the key a record was sealed under, unverified; None: unreadable."""
        try:
            encoded = sealed.split(b".", 1)[0]
            header = json.loads(base64.urlsafe_b64decode(encoded + b"=" * (-len(encoded) % 4)))
        except UNREADABLE:
            return None
        kid = header.get("kid") if isinstance(header, dict) else None
        return kid if isinstance(kid, str) else None


def _owner(record: str) -> str:
    """Return whose record it is; the whole name where it is nobody's."""
    match = _OWNER.search(record)
    return match[0] if match else record
