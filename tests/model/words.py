"""How the commands of the store and its replies read, with sealed records opened."""

import base64
import hashlib
import json
from collections.abc import Hashable
from typing import Any

from redis.lock import Lock

from service.grants import cool_down, grants
from service.grants.granted import grant_key
from service.ground.subdomains import Subdomain
from service.store import activity
from service.store.vault import Vault

ACME = Subdomain("acme")
GRANT = grant_key(ACME)
LEASE = f"zis:{{{ACME}}}:lease:"
_PLAIN = {
    ("HGETALL", GRANT): "reads all that is kept",
    ("HGET", GRANT): "looks whether its minted token is kept",
    ("DEL", GRANT): "deletes whatever is kept",
    ("SCAN", "0"): "looks for accounts",
    ("INFO", "memory"): "looks whether there is room",
    ("SET", "zis:ever_connected"): "notes that there was a connection",
    ("GET", "zis:{acme}:cool_down"): "looks whether to wait",
    ("INCR", "zis:{acme}:cool_down_step"): "counts failures, for the next wait",
    ("SET", "zis:{acme}:cool_down"): "makes everybody wait",
    ("DEL", "zis:{acme}:cool_down"): "ends every wait",
    ("DEL", "zis:{acme}:probes"): "forgets what was known of the integrations",
    ("SET", "zis:{acme}:refused:grant"): "makes everybody wait with a new token",
    ("SET", "zis:{acme}:refused:mint:acme_orders"): "makes everybody wait with a new minted token",
    ("GET", "zis:{acme}:refused:grant"): "looks how long to wait",
    ("GET", "zis:{acme}:refused:mint:acme_orders"): "looks how long to wait for a minted token",
    ("HSET", "zis:{acme}:worked:grant"): "notes that the token works",
    ("HSET", "zis:{acme}:worked:mint:acme_orders"): "notes that the minted token works",
}
_SCRIPTS = {
    "update": "writes {2} over generation '{0}'",
    "replace": "puts {4} in the place of generation '{0}'",
    "forget": "forgets the account if it is still generation '{0}' with {1} mints",
    "keep": "keeps {3}",
    "seal": "seals {2} anew",
    "give back": "gives the lease {lease} back",
    "note": "notes it in the activity",
    "seal entry": "seals an entry of the activity anew",
    "begin trial": "notes that a new token is tried, so that others wait",
    "count refusal": "counts a new token that is refused, for the next wait",
}
_ANSWERS = {
    ("update", 0): "no, somebody wrote since",
    ("replace", 0): "no, somebody wrote since",
    ("forget", 0): "no, somebody wrote since",
    ("keep", 0): "no, another is kept",
    ("keep", -1): "no, the grant is gone",
    ("give back", 0): "no, it is somebody else's",
}


class Words:
    """Tells commands and replies; opens what is sealed under the keys of any process."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._opened: dict[bytes, str] = {}
        texts = {
            "update": grants._UPDATE,
            "replace": grants._REPLACE,
            "forget": grants._FORGET,
            "keep": grants._SAVE_MINTED,
            "seal": grants._RESEAL_MINTED,
            "give back": Lock.LUA_RELEASE_SCRIPT,
            "note": activity._PUSH,
            "seal entry": activity._RESEAL,
            "begin trial": cool_down._BEGIN_TRIAL,
            "count refusal": cool_down._COUNT_REFUSAL,
        }
        # By what redis-py sends in their place.
        self._scripts = {hashlib.sha1(text.encode()).hexdigest(): name for name, text in texts.items()}  # noqa: S324 - Redis's own

    def describe(self, command: tuple[Any, ...]) -> str:
        """Return a command in words, the same in every run."""
        name, key = str(command[0]), str(command[1])
        script = self._scripts.get(key) if name == "EVALSHA" else None
        if script is not None:
            arguments = command[3 + int(command[2]) :]
            words = [self.told(argument)[0] for argument in arguments]
            return _SCRIPTS[script].format(*words, lease=str(command[3]).removeprefix(LEASE))
        if key.startswith(LEASE):
            return f"takes the lease {key.removeprefix(LEASE)}"
        if name == "HMGET" and key == GRANT:
            minted = " and its minted token" if any("minted" in str(field) for field in command) else ""
            return f"reads the grant{minted}" if "sealed" in command else "reads the id and the generation"
        return _PLAIN.get((name, key), f"{name} {key}")

    def answer(self, command: tuple[Any, ...], reply: Any) -> tuple[str, Hashable]:
        """Return the reply to a command in words, and all that is in it."""
        if command[0] == "INFO":
            return "there is room", None
        if "PTTL" in command and isinstance(reply, list):
            # Halves of seconds, so that the machine's own time does not show.
            reply = [-(-part // 500) if isinstance(part, int) and part > 0 else part for part in reply]
        words, whole = self.told(reply)
        script = self._scripts.get(str(command[1])) if command[0] == "EVALSHA" else None
        if script is not None and isinstance(reply, int):
            words = _ANSWERS.get((script, reply), "done")
        elif str(command[1]).startswith(LEASE):
            words = "ours" if reply else "taken"
        return words, whole

    def told(self, value: Any) -> tuple[str, Hashable]:
        """Return a value in words, and all that is in it."""
        if isinstance(value, dict):
            value = [part for pair in sorted(value.items()) for part in pair]
        if isinstance(value, list | tuple | set):
            parts = [self.told(part) for part in value]
            return ", ".join(words for words, _ in parts) or "nothing", tuple(whole for _, whole in parts)
        if isinstance(value, str):
            value = value.encode()
        if not isinstance(value, bytes):
            return "nothing" if value is None else str(value), value
        # An entry of the activity stands behind its instant.
        before, _, sealed = value.rpartition(b":")
        if not (sealed.startswith(b"eyJ") and sealed.count(b".") == 4):
            return value.decode(), value
        plain = before.decode() + self.open(sealed)
        fields = json.loads(self.open(sealed))
        words = [fields.get(name) for name in ("action", "access_token", "refresh_token", "dead")]
        words += ["a refresh has begun"] if fields.get("refresh_begun_at") else []
        return f"<{' '.join(word for word in words if word)}>", plain

    def open(self, sealed: bytes) -> str:
        """Return what is in a sealed record of whatever name."""
        if sealed not in self._opened:
            encoded = sealed.split(b".", 1)[0]
            header = json.loads(base64.urlsafe_b64decode(encoded + b"=="))
            self._opened[sealed] = self._vault.open(header["record"], sealed).decode()
        return self._opened[sealed]

    def forget(self) -> None:
        """Forget what was opened: the next schedule has other records."""
        self._opened.clear()
