"""What the API answers to a list: rows that are sent as they are kept, and each integration's part."""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache

from service.ground.errors import ServiceError
from service.ground.timestamps import timestamp
from service.job_specs.kept_lists import SECOND
from service.job_specs.listing import Answer
from service.web.documents.job_specs import ListedIntegration, ListErrorDocument

# Where every integration fails, the first of these that occurred is the answer.
PRECEDENCE = (
    "account_gone",
    "authorization_required",
    "rate_limited",
    "integration_mismatch",
    "scope_insufficient",
    "zendesk_timeout",
    "zendesk_unavailable",
    "zis_rejected",
)


@dataclass(frozen=True, slots=True)
class ListReply:
    """A list as it is sent."""

    body: bytes
    etag: str
    """Weak: over everything but `fetched_at`."""
    age: int
    """Seconds since the oldest part was asked."""


def list_reply(answers: list[Answer], installed: bool | None, now: int) -> ListReply:
    """Return the merged list; `installed` None: all of them. `now` in microseconds of Redis's clock.

    Raises:
        ServiceError: every integration failed.
    """
    held = [answer.list for answer in answers if answer.list is not None]
    if not held:
        raise _worst([answer.error for answer in answers if answer.error is not None])
    rows = b",".join(part for part in (_rows(one.rows, installed) for one in held) if part)
    if any(answer.error is not None or answer.is_stale for answer in answers):
        about = _about(installed, [_part(answer) for answer in answers], [one.etag for one in held])
    else:
        lists = tuple((answer.integration, one.asked_at, one.etag) for answer, one in zip(answers, held, strict=True))
        about = _about_lists(installed, lists)
    body = b"".join((b'{"job_specs":[', rows, b'],"integrations":', about.integrations, b"}"))
    age = max(0, now - min(one.asked_at for one in held)) // SECOND
    return ListReply(body, about.etag, age)


@dataclass(frozen=True, slots=True)
class _About:
    """What a list says beside its rows."""

    integrations: bytes
    """A JSON array."""
    etag: str


def _about(installed: bool | None, parts: list[ListedIntegration], etags: list[str]) -> _About:
    integrations = [part.model_dump() for part in parts]
    tagged = [{**part, "fetched_at": None} for part in integrations]
    seed = json.dumps([installed, tagged, etags], sort_keys=True)
    written = json.dumps(integrations, separators=(",", ":")).encode()
    return _About(written, hashlib.sha256(seed.encode()).hexdigest()[:24])


# While a list is young everybody is told the same of it.
@lru_cache(maxsize=512)
def _about_lists(installed: bool | None, lists: tuple[tuple[str, int, str], ...]) -> _About:
    """Return what is said of lists, each given as (integration, asked_at, etag), without errors."""
    parts = [
        ListedIntegration(name=name, fetched_at=timestamp(asked_at / SECOND), stale=False, error=None)
        for name, asked_at, _ in lists
    ]
    return _about(installed, parts, [etag for _, _, etag in lists])


def _rows(rows: bytes, installed: bool | None) -> bytes:
    if installed is None or not rows:
        return rows
    chosen = [row for row in json.loads(b"[" + rows + b"]") if row["installed"] is installed]
    return b",".join(json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode() for row in chosen)


def _part(answer: Answer) -> ListedIntegration:
    return ListedIntegration(
        name=answer.integration,
        fetched_at=timestamp(answer.list.asked_at / SECOND) if answer.list else None,
        stale=answer.is_stale,
        error=None if answer.error is None else _described(answer.error),
    )


def _described(error: ServiceError) -> ListErrorDocument:
    return ListErrorDocument(
        code=error.code,
        title=error.title,
        detail=error.detail,
        upstream_status=error.upstream_status,
        upstream_detail=error.members().get("upstream_detail"),
        retry_after=error.retry_after,
    )


def _worst(errors: list[ServiceError]) -> ServiceError:
    order = {code: position for position, code in enumerate(PRECEDENCE)}
    return min(errors, key=lambda error: order.get(error.code, len(order)))
