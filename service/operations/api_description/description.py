"""The OpenAPI 3.1 document, made of the routes' own models (spec.openapis.org/oas/v3.1.1)."""

from collections import defaultdict
from typing import Any

from pydantic.json_schema import models_json_schema

from service.ground.errors import error_class
from service.operations.api_description import examples
from service.operations.api_description.operations import OPERATIONS, Operation
from service.web.documents.base import Document
from service.web.documents.problems import Problem

_REF = "#/components/schemas/{model}"
_TEXT = (
    "Lists, installs and uninstalls the job specs of a Zendesk account's ZIS integrations. Account and caller come "
    "from the session token alone, which the page at `/sidebar` is given when Zendesk opens it. No cookies; pages of "
    "other origins may call it where the operator has named theirs in ALLOWED_ORIGINS (CORS, without credentials). "
    "Members are always present, null where unknown; times are RFC 3339 in UTC. Errors are problem documents "
    "(RFC 9457); branch on `code`."
)
_TAGS = {
    "account": "The account's status, session, connection and activity.",
    "job specs": "What is installed, and changing it.",
    "health": "For monitors.",
}
_HEADERS = {
    "Cache-Control": "`no-cache`: not older than this request, and never stale.",
    "If-None-Match": "The `ETag` of a list that is held already; unchanged, the answer is 304.",
}


def describe(public_url: str, version: str) -> dict[str, Any]:
    """Return the description of the service at `public_url`."""
    answers: list[type[Document]] = [*(operation.answer for operation in OPERATIONS), Problem]
    bodies = {operation.body for operation in OPERATIONS if operation.body is not None}
    _, definitions = models_json_schema(
        [
            *((model, "serialization") for model in answers),
            *((model, "validation") for model in sorted(bodies, key=lambda model: model.__name__)),
        ],
        ref_template=_REF,
    )
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for operation in OPERATIONS:
        paths[operation.path][operation.method.lower()] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "ZIS job specs", "version": version, "description": _TEXT},
        "servers": [{"url": public_url}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": dict(paths),
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {
                "session": {"type": "http", "scheme": "bearer", "description": "A session token."},
                "machine": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A machine token (`zism_…`), which the operator makes for one account.",
                },
            },
        },
    }


def _described(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": [*_path_parameters(operation), *_query_parameters(operation), *_header_parameters(operation)],
        "responses": {"200": _success(operation), **_failures(operation)},
    }
    if operation.body is not None:
        schema = {"$ref": _REF.format(model=operation.body.__name__)}
        content = {"schema": schema, "example": examples.BODIES[operation.name]}
        described["requestBody"] = {"required": True, "content": {"application/json": content}}
    if operation.text:
        described["description"] = operation.text
    if operation.has_etag:
        described["responses"]["304"] = {"description": "The list that is held already has not changed."}
    if operation.may_wait:
        wait = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
        described["responses"]["202"] = {"description": "There is nothing to fetch yet.", "headers": wait}
    # An empty list says that none is needed; without one, linters take it for forgotten.
    described["security"] = [
        *([{"session": []}] if operation.is_guarded else []),
        *([{"machine": []}] if operation.takes_machines else []),
    ]
    return described


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    if "{name}" not in operation.path:
        return []
    text = "Short (`escalate_vip_order`) or qualified (`zis:acme_orders:job_spec:escalate_vip_order`)."
    schema = {"type": "string", "minLength": 1, "pattern": "^[^/]+$", "examples": ["escalate_vip_order"]}
    return [{"name": "name", "in": "path", "required": True, "description": text, "schema": schema}]


def _query_parameters(operation: Operation) -> list[dict[str, Any]]:
    parameters = []
    schema = operation.query.model_json_schema(mode="validation")
    for name, described in schema.get("properties", {}).items():
        one = {key: value for key, value in described.items() if key not in {"title", "description", "anyOf"}}
        # An absent parameter is not a null one.
        for choice in described.get("anyOf", ()):
            if choice.get("type") != "null":
                one |= choice
        if one.get("default", False) is None:
            del one["default"]
        parameter = {"name": name, "in": "query", "description": described["description"], "schema": one}
        parameters.append(parameter | ({"required": True} if name in schema.get("required", ()) else {}))
    return parameters


def _header_parameters(operation: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "description": _HEADERS[name], "schema": {"type": "string"}}
        for name in operation.headers
    ]


def _success(operation: Operation) -> dict[str, Any]:
    headers: dict[str, Any] = {"X-Request-Id": {"schema": {"type": "string"}}}
    if operation.has_etag:
        headers["ETag"] = {"description": "Weak; over everything but `fetched_at`.", "schema": {"type": "string"}}
        headers["Age"] = {"description": "Seconds since Zendesk was asked.", "schema": {"type": "integer"}}
    summary = (operation.answer.__doc__ or "").strip()
    schema = {"$ref": _REF.format(model=operation.answer.__name__)}
    content = {"schema": schema, "example": examples.ANSWERS[operation.name]}
    return {"description": summary, "headers": headers, "content": {"application/json": content}}


def _failures(operation: Operation) -> dict[str, Any]:
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in dict.fromkeys(operation.codes):
        by_status[error_class(code).status].append(code)
    return {str(status): _failure(status, codes) for status, codes in sorted(by_status.items())}


def _failure(status: int, codes: list[str]) -> dict[str, Any]:
    schema = {
        "allOf": [{"$ref": _REF.format(model="Problem")}],
        "properties": {"code": {"enum": codes}, "status": {"const": status}},
    }
    described: dict[str, Any] = {
        "description": " ".join(f"`{code}`: {error_class(code).title}." for code in codes),
        "content": {"application/problem+json": {"schema": schema}},
    }
    if "rate_limited" in codes:
        described["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return described
