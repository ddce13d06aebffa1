"""What a refusal of the registry means: known by its words, whatever their style, and never by a code."""

import json
from typing import Any

import pytest

from service.ground.errors import ServiceError
from service.zendesk.replies import Reply
from service.zendesk.zis_registry import list_refusal, registry_refusal


def make_reply(status: int, body: Any) -> Reply:
    return Reply(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode())


ENVELOPE = {"errors": [{"code": "1001", "detail": "The detail", "status": "403"}], "message": "The message"}


@pytest.mark.parametrize(
    ("body", "words"),
    [(ENVELOPE, "The detail"),
     ({"errors": [], "message": "The message"}, "The message"),
     ({"errors": [{"detail": ""}], "message": "The message"}, "The message"),
     ({"errors": ["text"], "error": "The error"}, "The error"),
     ({"error": {"title": "Forbidden", "message": "The message"}}, "The message"),
     ({"error": {"title": "Forbidden"}}, "Forbidden"),
     ({"error": "invalid", "description": "The description"}, "The description"),
     ({"error": "invalid_token", "error_description": "Expired"}, "Expired"),
     ({"error": {"title": 7}}, '{"error": {"title": 7}}'),
     ({"message": 7}, '{"message": 7}'),
     (b"Plain text\r\nof two\x00 lines", "Plain text of two lines"),
     (b"", None),
     (b"null", "null"),
     (b"x" * 600, "x" * 500)],
    ids=["envelope", "message", "empty-detail", "error-text", "error-object", "error-title", "description",
         "oauth", "odd-title", "odd-message", "plain", "empty", "null", "long"],
)  # fmt: skip
def test_zendesks_words_are_found_wherever_it_puts_them(body: Any, words: str | None) -> None:
    refusal = registry_refusal(make_reply(403, body), "acme_orders")
    assert refusal.upstream_detail == words
    assert refusal.upstream_status == 403


@pytest.mark.parametrize(
    ("status", "text", "code"),
    [(401, "Authorization failed due to integration mismatch", "integration_mismatch"),
     (403, "Only admin user is allowed", "admin_required"),
     (403, "Missing the following required scopes: read", "scope_insufficient"),
     (403, "Something else", "zis_rejected"),
     (400, "one or more requested job specs is invalid: x", "job_spec_not_found"),
     (400, "Something else", "zis_rejected"),
     (401, "Authorization failed due to OAuth being disabled for this API request", "zis_rejected"),
     (422, "no", "zis_rejected")],
)  # fmt: skip
@pytest.mark.parametrize("style", ["text", "message", "envelope"])
def test_a_refusal_is_known_by_its_words_in_every_style(status: int, text: str, code: str, style: str) -> None:
    bodies = {"text": text.encode(), "message": {"message": text}, "envelope": {"errors": [{"detail": text}]}}
    assert registry_refusal(make_reply(status, bodies[style]), "acme_orders").code == code


def test_a_list_of_an_integration_nobody_knows_is_a_mismatch() -> None:
    refusal: ServiceError = list_refusal(make_reply(404, b"no rows found"), "acme_orders")
    assert refusal.code == "integration_mismatch"
    assert refusal.members()["upstream_detail"] == "no rows found"


@pytest.mark.parametrize("body", [b"404 page not found", b"Not Found", b"", b"[]", b'"no route"'])
def test_a_404_in_words_that_are_not_zendesks_says_nothing_of_an_integration(body: bytes) -> None:
    refusal = list_refusal(make_reply(404, body), "acme_orders")
    assert refusal.code == "zendesk_unavailable"
    assert "upstream_detail" not in refusal.members()
