"""What Zendesk answered, and its own words in it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.errors import UPSTREAM_DETAIL_CHARACTERS, ZendeskUnavailable

# Our budget is 25 s, and a day is the longest Zendesk can mean.
LONGEST_RETRY_AFTER_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply with its body read. The body may hold a token, so it does not show in the repr."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """What was sent and must not come back in words: the token of the call."""

    @property
    def is_success(self) -> bool:
        """Any 2xx: Zendesk's pages and its practice differ on 200, 201 and 204."""
        return 200 <= self.status < 300

    def json_object(self) -> dict[str, Any]:
        """Return the body as a JSON object.

        Raises:
            ZendeskUnavailable: it is not one.
        """
        parsed = _json(self.body)
        if not isinstance(parsed, dict):
            raise ZendeskUnavailable(
                "Zendesk's answer could not be read. Try again; if it stays so, Zendesk may be down.",
                upstream_status=self.status,
            )
        return parsed

    def words(self) -> str | None:
        """Return what Zendesk says in this reply, at most 500 characters and without secrets; None: nothing.

        Content types are not to be trusted: ZIS answers JSON and plain text alike (both seen, 2026-07).
        """
        parsed = _json(self.body)
        text = _words_of(parsed) if isinstance(parsed, dict) else None
        if text is None:
            text = "" if self.is_success else self.body.decode("utf-8", "replace")
        for secret in self.secrets:
            text = text.replace(secret, "…")
        text = "".join(character if character.isprintable() else " " for character in text)
        return " ".join(text.split())[:UPSTREAM_DETAIL_CHARACTERS] or None

    def says(self, sentence: str) -> bool:
        """Return whether the body holds `sentence`, whatever its case."""
        return sentence.casefold() in self.body.decode("utf-8", "replace").casefold()

    def retry_after(self) -> int | None:
        """Return the seconds of `Retry-After`; None: absent, or an HTTP date, which Zendesk does not send."""
        text = self.headers.get("Retry-After", "").strip()
        if not (text.isascii() and text.isdigit()) or len(text) > len(str(LONGEST_RETRY_AFTER_SECONDS)):
            return None
        return min(int(text), LONGEST_RETRY_AFTER_SECONDS)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _words_of(body: dict[str, Any]) -> str | None:
    """Look where Zendesk's envelopes keep their sentence; `error` may be a string or an object."""
    errors = body.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        detail = errors[0].get("detail")
        if isinstance(detail, str) and detail:
            return detail
    for member in ("message", "error_description", "description", "error"):
        value = body.get(member)
        if isinstance(value, dict):
            value = _words_of(value) or value.get("title")
        if isinstance(value, str) and value:
            return value
    return None
