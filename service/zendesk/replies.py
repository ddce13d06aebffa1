"""What Zendesk answered, and its own words in it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.ground.errors import UPSTREAM_DETAIL_CHARACTERS, ZendeskUnavailable
from service.zendesk.measured import Kind

# Our budget is 25 s, and a day is the longest Zendesk can mean.
LONGEST_RETRY_AFTER_SECONDS = 86_400
# The title of what Zendesk answers on every path of an address without an account (seen by public clients, 2026).
NO_ACCOUNT_TITLE = "no help desk at"
# In what is not JSON any tag makes a page; in a sentence of Zendesk's envelope only a whole page counts as one.
_TAG = re.compile(r"<[a-z!/?]", re.IGNORECASE)
_WHOLE_PAGE = re.compile(r"<(?:!doctype|html)\b", re.IGNORECASE)
_BLANK = b" \t\r\n\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply with its body read. The body may hold a token, so it does not show in the repr."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """What was sent and must not come back in words: the token of the call."""
    is_text_due: bool = field(default=False, repr=False)
    """Whether a refusal may be a plain sentence, as ZIS's are; everything else of Zendesk's refuses in JSON."""
    kind: Kind = "other"
    """What the call was for."""

    @property
    def is_success(self) -> bool:
        """Any 2xx: Zendesk's pages and its practice differ on 200, 201 and 204."""
        return 200 <= self.status < 300

    @property
    def is_page(self) -> bool:
        """Whether the body is HTML or other markup, as a gateway sends it; no API of Zendesk's does."""
        if self.body[:64].lstrip(_BLANK)[:1] == b"<":
            return True
        return not self.is_success and _json(self.body) is None and _TAG.search(self._text()) is not None

    @property
    def is_zendesks_own(self) -> bool:
        """Whether the reply is Zendesk's word: no page, and a refusal (4xx) is JSON or, at ZIS, a plain sentence."""
        if self.is_page:
            return False
        return self.is_text_due or not 400 <= self.status < 500 or self.is_json_object

    @property
    def says_no_account(self) -> bool:
        """Whether Zendesk says that there is no account at this address: renamed or closed."""
        if self.status != 404:
            return False
        error = _member(self.body, "error")
        title = error.get("title") if isinstance(error, dict) else None
        return isinstance(title, str) and title.casefold().startswith(NO_ACCOUNT_TITLE)

    @property
    def says_no_record(self) -> bool:
        """Whether Zendesk says that what is named in the path does not exist (`/api/v2` only)."""
        return self.status == 404 and _member(self.body, "error") == "RecordNotFound"

    @property
    def refuses_token(self) -> bool:
        """Whether Zendesk says that the access token is dead; an integration mismatch is something else."""
        refused = self.status == 401
        return refused and not self.says("integration mismatch") and not self.says("OAuth being disabled")

    @property
    def is_json_object(self) -> bool:
        """Whether the body is a JSON object, as in all of Zendesk's envelopes."""
        return isinstance(_json(self.body), dict)

    def json_object(self) -> dict[str, Any]:
        """Return the body as a JSON object.

        Raises:
            ZendeskUnavailable: it is not one.
        """
        parsed = _json(self.body)
        if not isinstance(parsed, dict):
            raise ZendeskUnavailable(
                "Zendesk's answer could not be read. Try again; if this persists, Zendesk may be down.",
                upstream_status=self.status,
            )
        return parsed

    def words(self) -> str | None:
        """Return what Zendesk says in this reply, at most 500 characters and without secrets; None: nothing, or a page.

        Content types are not to be trusted: ZIS answers JSON and plain text alike (both seen, 2026-07).
        """
        parsed = _json(self.body)
        text = _words_of(parsed) if isinstance(parsed, dict) else None
        markup = _WHOLE_PAGE
        if text is None:
            text, markup = "" if self.is_success else self._text(), _TAG
        if markup.search(text):
            return None
        for secret in self.secrets:
            text = text.replace(secret, "…")
        text = "".join(character if character.isprintable() else " " for character in text)
        return " ".join(text.split())[:UPSTREAM_DETAIL_CHARACTERS] or None

    def says(self, sentence: str) -> bool:
        """Return whether the body holds `sentence`, whatever its case."""
        return sentence.casefold() in self._text().casefold()

    def retry_after(self) -> int | None:
        """Return the seconds of `Retry-After`; None: absent, or an HTTP date, which Zendesk does not send."""
        text = self.headers.get("Retry-After", "").strip()
        if not (text.isascii() and text.isdigit()) or len(text) > len(str(LONGEST_RETRY_AFTER_SECONDS)):
            return None
        return min(int(text), LONGEST_RETRY_AFTER_SECONDS)

    def _text(self) -> str:
        return self.body.decode("utf-8", "replace")


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _member(body: bytes, name: str) -> Any:
    """Return a member of the JSON object in `body`; None: absent, or not an object."""
    parsed = _json(body)
    return parsed.get(name) if isinstance(parsed, dict) else None


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
