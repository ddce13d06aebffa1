"""What Zendesk knows of one account's tokens: small, and the truth the guarantees are judged by.

A refresh deletes the old pair at once and a refresh token works once; revoking an access token ends its pair
(developer.zendesk.com …/oauth/grant_type_tokens and …/oauth/oauth_tokens, 2026-11). Tokens have short names, so that a
schedule can be read: A1 and R1 are a pair, M2 is a minted token.
"""

import json
from dataclasses import dataclass, field
from typing import Any

CLIENT_NUMBER = 7
INTEGRATION = "acme_orders"


@dataclass(slots=True)
class Pair:
    """An access token and its refresh token."""

    number: int
    consent: int
    """Which consent it descends from."""
    access_lives: bool = True
    refresh_lives: bool = True
    ended_by: str = ""
    """`refresh` or `revocation`; empty: it has not ended."""

    @property
    def access(self) -> str:
        return f"A{self.number}"

    @property
    def refresh(self) -> str:
        return f"R{self.number}"

    @property
    def lives(self) -> bool:
        return self.access_lives or self.refresh_lives

    def end(self, how: str) -> None:
        if self.lives:
            self.access_lives = self.refresh_lives = False
            self.ended_by = how


@dataclass(slots=True)
class Minted:
    """An integration's token."""

    number: int
    lives: bool = True

    @property
    def access(self) -> str:
        return f"M{self.number}"


@dataclass
class Account:
    """One account's tokens, and what its API answers."""

    reads_users: bool = True
    refuses: bool = False
    """Whether the registry answers every token with 401."""
    pairs: list[Pair] = field(default_factory=list)
    minted: list[Minted] = field(default_factory=list)
    codes: set[str] = field(default_factory=set)
    """Authorization codes that were not used yet; each is a consent."""

    @property
    def tokens(self) -> list[Pair | Minted]:
        return [*self.pairs, *self.minted]

    def consent(self) -> Pair:
        """Return the first pair of a new consent."""
        return self._give(1 + max((pair.consent for pair in self.pairs), default=0))

    def mint(self) -> Minted:
        """Return a new token of the integration."""
        token = Minted(self._next_number())
        self.minted.append(token)
        return token

    def pair_of(self, token: str | None) -> Pair | None:
        """Return the pair an access or refresh token belongs to; None: to none."""
        return next((pair for pair in self.pairs if token in {pair.access, pair.refresh}), None)

    def successor_of(self, pair: Pair) -> Pair | None:
        """Return the pair that a refresh with this one's refresh token gave; None: there is none."""
        if pair.ended_by != "refresh":
            return None
        return next(one for one in self.pairs if one.consent == pair.consent and one.number > pair.number)

    def honours(self, refresh_token: str | None) -> bool:
        """Return whether a refresh token would be taken."""
        pair = self.pair_of(refresh_token)
        return pair is not None and pair.refresh_lives

    def accepts(self, access_token: str | None) -> bool:
        """Return whether a call with this token would be let in."""
        return any(pair.access == access_token and pair.access_lives for pair in self.pairs) or any(
            token.access == access_token and token.lives for token in self.minted
        )

    def state(self) -> tuple[Any, ...]:
        return (
            tuple((pair.number, pair.consent, pair.access_lives, pair.refresh_lives) for pair in self.pairs),
            tuple((token.number, token.lives) for token in self.minted),
            tuple(sorted(self.codes)),
        )

    # --- its API ---

    def answer(self, method: str, path: str, bearer: str | None, sent: dict[str, Any]) -> tuple[int, Any]:
        """Return status and JSON (None: no body) of the answer to a request, having done what it asks for."""
        if path == "/oauth/tokens":
            return self._token_endpoint(sent)
        if not self.accepts(bearer):
            return 401, {"error": "invalid_token", "error_description": "The access token provided is expired."}
        if path.startswith("/api/v2/oauth/tokens"):
            return self._tokens(method, path.rpartition("/")[2], str(bearer))
        if path == "/api/v2/users/me":
            return (200, {"user": {"id": 1, "role": "admin"}}) if self.reads_users else (403, {})
        if path == "/api/v2/oauth/clients":
            return 200, {"clients": [{"id": CLIENT_NUMBER, "identifier": f"zis_{INTEGRATION}"}]}
        assert path.endswith("/job_specs"), f"nobody answers {method} {path}"
        return (401, {"message": "Authentication failed"}) if self.refuses else (200, {"job_specs": []})

    def _tokens(self, method: str, which: str, bearer: str) -> tuple[int, Any]:
        if method == "DELETE":
            return self._revoke(int(which))
        if method == "GET":
            return 200, {"token": {"id": int(bearer[1:])}}
        token = self.mint()
        return 201, {"token": {"id": token.number, "full_token": token.access, "expires_at": None}}

    def _token_endpoint(self, form: dict[str, Any]) -> tuple[int, Any]:
        if form["grant_type"] == "authorization_code" and form["code"] in self.codes:
            self.codes.remove(form["code"])
            return 200, _described(self.consent())
        former = self.pair_of(form.get("refresh_token"))
        if former is None or not former.refresh_lives:
            return 400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
        former.end("refresh")
        return 200, _described(self._give(former.consent))

    def _revoke(self, number: int) -> tuple[int, Any]:
        for pair in self.pairs:
            if pair.number == number and pair.lives:
                pair.end("revocation")
                return 204, None
        for token in self.minted:
            if token.number == number and token.lives:
                token.lives = False
                return 204, None
        return 404, {"error": "RecordNotFound"}

    def _give(self, consent: int) -> Pair:
        pair = Pair(self._next_number(), consent)
        self.pairs.append(pair)
        return pair

    def _next_number(self) -> int:
        return len(self.pairs) + len(self.minted)


def _described(pair: Pair) -> dict[str, Any]:
    return {
        "access_token": pair.access,
        "refresh_token": pair.refresh,
        "token_type": "bearer",
        "scope": "read write",
        "expires_in": 1800,
        "refresh_token_expires_in": 7_689_600,
    }


def tokens_in(body: Any) -> list[str]:
    """Return the tokens an answer hands out."""
    token = body.get("token") if isinstance(body, dict) else None
    given = [body.get("access_token")] if isinstance(body, dict) else []
    given.append(token.get("full_token") if isinstance(token, dict) else None)
    return [name for name in given if name]


def to_bytes(body: Any) -> bytes:
    return b"" if body is None else json.dumps(body).encode()
