"""Faults: what an account's callers meet instead of, or on top of, the honest answer.

A fault is a JSON object:

where         token | authorize | registry | registry:<integration> | list | change | bundles | clients | mint |
              tokens | revoke | users | public_key | all
kind          one of KINDS
times         how often it strikes; null: until removed
every         it strikes every n-th matching request (default 1)
seconds       how long `slow` waits and `hang` hangs (null: until released); the gap between two bytes of `dribble`
retry_after   seconds in the Retry-After of `http_429`, `http_503_html`; null: no such header
after_effect  the operation takes effect first, then the fault strikes (the answer is lost after the commit)
error         the `error` of `oauth_error`
status        another status than the kind's own
"""

import json
import threading
from dataclasses import asdict, dataclass, replace
from typing import Any

from sandbox.simulator.messages import Delivery, Reply, html_reply, json_reply, text_reply
from sandbox.simulator.refusals import dead_token, forbidden, no_account, not_found, scope_missing, zis_envelope

PLACES = (
    "token", "authorize", "registry", "list", "change", "bundles", "clients", "mint", "tokens", "revoke", "users",
    "public_key", "all",
)  # fmt: skip

KINDS = {
    "slow": "waits, then answers",
    "hold": "waits until released, then answers",
    "hang": "waits until released or `seconds` are over, then closes without an answer",
    "dribble": "sends the answer byte by byte, `seconds` apart",
    "reset": "resets the connection",
    "cut": "announces the whole body, sends half of it and closes",
    "http_429": "the account's rate limit, as text",
    "http_500_zis": "500 in ZIS's documented envelope, code 1050",
    "http_500_text": "500 as text",
    "http_502_html": "a gateway's page",
    "http_503_html": "a maintenance page",
    "truncated_json": "the answer's first half, as if whole",
    "wrong_types": "the answer with every value of another type",
    "html_200": "a page with status 200",
    "redirect": "302 to another host",
    "http_401_text": "ZIS: Authentication failed",
    "http_401_envelope": "ZIS's documented 401, code 1001",
    "http_401_invalid_token": "the API's 401 for a dead token",
    "mismatch": "ZIS: Authorization failed due to integration mismatch",
    "oauth_disabled": "ZIS: Authorization failed due to OAuth being disabled",
    "http_401_html": "a gateway's page with status 401",
    "http_403_html": "a gateway's page with status 403: it names admins and scopes, and knows of neither",
    "http_404_html": "a gateway's page with status 404",
    "http_404_text": "a proxy's plain sentence with status 404",
    "account_gone": "404: No help desk at this address",
    "http_403_admin": "ZIS: Only admin user is allowed; elsewhere the API's 403 for somebody of too small a role",
    "http_403_scope": "403 for want of scope",
    "http_404": "404 as the API says it",
    "no_json_error": "401 as JSON without a member `error`",
    "error_object": "400 as JSON whose member `error` is an object",
    "empty_200": "200 without a body",
    "list_200": "200 with an empty JSON list",
    "oauth_error": "an OAuth error, named by `error`",
    "endless_pages": "a list that never ends",
    "repeat_cursor": "a list whose cursor does not move",
    "repeat_row": "a list that brings a row twice",
    "big_body": "six megabytes of JSON",
}
# These change the honest answer, so the operation always takes place.
PAGING_KINDS = frozenset({"endless_pages", "repeat_cursor", "repeat_row"})
_REWRITING = frozenset({"truncated_json", "wrong_types", "dribble", "cut"})
_WAITING = frozenset({"slow", "hold", "hang"})
BIG_BODY_BYTES = 6_000_000
DEFAULT_GAP_SECONDS = 0.05
DEFAULT_SLOW_SECONDS = 3.0


@dataclass(slots=True)
class Fault:
    """One fault and its counters; `seen` counts matching requests, `struck` those it struck."""

    where: str
    kind: str
    times: int | None = None
    every: int = 1
    seconds: float | None = None
    retry_after: int | None = None
    after_effect: bool = False
    error: str = "invalid_grant"
    status: int | None = None
    seen: int = 0
    struck: int = 0

    def __post_init__(self) -> None:
        if self.where not in PLACES and not self.where.startswith("registry:"):
            raise ValueError(f"`where` is one of {', '.join(PLACES)} or registry:<integration>, not {self.where!r}")
        if self.kind not in KINDS:
            raise ValueError(f"`kind` is one of {', '.join(KINDS)}, not {self.kind!r}")

    @classmethod
    def from_json(cls, value: Any) -> "Fault":
        """Return the fault described by a JSON object; counters in it are ignored.

        Raises:
            ValueError: not an object, an unknown member, or an unknown place or kind.
        """
        if not isinstance(value, dict):
            raise ValueError("a fault is an object")  # noqa: TRY004  # one kind of refusal for the caller
        members = {key: member for key, member in value.items() if key not in {"seen", "struck"}}
        try:
            return cls(**members)
        except TypeError as exc:
            raise ValueError(f"a fault has no such members: {exc}") from exc

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def strikes(self, places: frozenset[str]) -> bool:
        """Return whether it strikes a request at these places, and count it."""
        if self.where not in places or (self.times is not None and self.struck >= self.times):
            return False
        self.seen += 1
        if self.seen % max(self.every, 1):
            return False
        self.struck += 1
        return True

    @property
    def waits(self) -> bool:
        return self.kind in _WAITING

    @property
    def needs_answer(self) -> bool:
        """Whether the operation takes place although the fault strikes."""
        return self.after_effect or self.kind in _REWRITING or self.kind in PAGING_KINDS

    def wait(self, gate: threading.Event) -> None:
        """Wait as the fault says, at most until the gate opens; the caller must hold no lock."""
        if self.kind == "slow":
            gate.wait(DEFAULT_SLOW_SECONDS if self.seconds is None else self.seconds)
        else:
            gate.wait(self.seconds)

    def reply(self, honest: Reply | None, target: str) -> Reply:
        """Return what the caller gets; `honest` is the real answer where the operation took place."""
        if self.kind in PAGING_KINDS and honest is not None:
            return honest
        if self.kind in _REWRITING and honest is not None:
            return self._rewritten(honest)
        return _canned(self, target)

    def _rewritten(self, honest: Reply) -> Reply:
        match self.kind:
            case "dribble":
                gap = DEFAULT_GAP_SECONDS if self.seconds is None else self.seconds
                return replace(honest, delivery=Delivery.DRIBBLE, gap_seconds=gap)
            case "cut":
                return replace(honest, delivery=Delivery.CUT)
            case "truncated_json":
                return replace(honest, body=honest.body[: len(honest.body) // 2] or b"{")
            case _:
                return replace(honest, body=_with_wrong_types(honest.body))


def _with_wrong_types(body: bytes) -> bytes:
    try:
        value = json.loads(body)
    except ValueError:
        value = {}
    return json.dumps(_wrong(value)).encode()


def _wrong(value: Any) -> Any:
    """Return the same shape with every leaf of another type."""
    match value:
        case dict():
            return {key: _wrong(member) for key, member in value.items()}
        case list():
            return [_wrong(member) for member in value]
        case bool():
            return "yes"
        case str():
            return 7
        case None:
            return [1]
        case _:
            return "seven"


_PAGE = "<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"

# Words of block pages that were once taken for Zendesk's.
_BLOCKED = _PAGE.format(title="Access denied").replace(
    "</body>",
    "<p>You are out of scope of this site's admin rules. Not found, integration mismatch, RecordNotFound. Contact the "
    'site\'s <a href="/admin">admin</a> (only admin users are allowed).</p></body>',
)


def _canned(fault: Fault, target: str) -> Reply:  # noqa: C901, PLR0911, PLR0912  # a table that happens to be code
    status = fault.status
    retry = () if fault.retry_after is None else (("Retry-After", str(fault.retry_after)),)
    match fault.kind:
        case "reset":
            return Reply(0, delivery=Delivery.RESET)
        case "hang":
            return Reply(0, delivery=Delivery.DROP)
        case "http_429":
            # Fifty bytes of text (community post 4600766234138, observed 2022-05).
            limit = (("X-Rate-Limit", "700"), ("X-Rate-Limit-Remaining", "0"))
            return text_reply(status or 429, "Number of allowed API requests per minute exceeded", *limit, *retry)
        case "http_500_zis":
            return zis_envelope(500, "1050", "Server Error", "Something went wrong")
        case "http_500_text":
            return text_reply(status or 500, "Internal Server Error")
        case "http_502_html":
            return html_reply(status or 502, _PAGE.format(title="502 Bad Gateway"))
        case "http_503_html":
            return html_reply(status or 503, _PAGE.format(title="503 Service Unavailable"), *retry)
        case "http_401_html":
            return html_reply(status or 401, _PAGE.format(title="401 Authorization Required"))
        case "http_403_html":
            return html_reply(status or 403, _BLOCKED)
        case "http_404_html":
            return html_reply(status or 404, _PAGE.format(title="404 Not Found"))
        case "http_404_text":
            return text_reply(404, "404 page not found")
        case "account_gone":
            return no_account("this-address.zendesk.com")
        case "html_200":
            return html_reply(200, _PAGE.format(title="Welcome"))
        case "redirect":
            location = f"https://renamed.zendesk.com{target}"
            return Reply(status or 302, b"", "text/html; charset=utf-8", (("Location", location),))
        case "http_401_text":
            return text_reply(401, "Authentication failed")
        case "http_401_envelope":
            return zis_envelope(401, "1001", "Unauthorized", "The request is not authorized")
        case "http_401_invalid_token":
            return dead_token()
        case "mismatch":
            return text_reply(401, "Authorization failed due to integration mismatch")
        case "oauth_disabled":
            return text_reply(401, "Authorization failed due to OAuth being disabled for this API request")
        case "http_403_admin":
            # Each of the two in its own form.
            return text_reply(403, "Only admin user is allowed") if "/services/zis/" in target else forbidden()
        case "http_403_scope":
            return scope_missing("read")
        case "http_404":
            return not_found()
        case "no_json_error":
            return json_reply(status or 401, {"message": "Unauthorized"})
        case "error_object":
            # The form of the API's other refusals; at the token endpoint inferred.
            words = {"title": "Bad request", "message": "A simulated refusal."}
            return json_reply(status or 400, {"error": words})
        case "empty_200":
            return Reply(200)
        case "list_200":
            return json_reply(200, [])
        case "oauth_error":
            usual = 401 if fault.error == "invalid_client" else 400
            return json_reply(status or usual, {"error": fault.error, "error_description": "A simulated refusal."})
        case _:
            padding = "x" * BIG_BODY_BYTES
            return json_reply(200, {"job_specs": [], "meta": {"has_more": False}, "padding": padding})
