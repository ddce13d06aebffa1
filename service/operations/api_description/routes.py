"""/openapi.json and /docs: made once a process, so that strangers' requests need no limit of their own."""

import json
from functools import lru_cache
from typing import Any

from flask import Blueprint, Response, jsonify, render_template
from flask.typing import ResponseReturnValue

from service.ground.errors import ServiceError, error_class
from service.operations.api_description.cures import CURES
from service.operations.api_description.description import describe
from service.operations.api_description.examples import PROBLEM
from service.operations.api_description.operations import OPERATIONS
from service.web.request import services

# Public: it says what the API is, and nothing of what it holds.
blueprint = Blueprint("api_description", __name__)


@blueprint.get("/openapi.json")
def show_description() -> ResponseReturnValue:
    """Describe the API for programs."""
    return Response(_description_text(*_about()), content_type="application/json")


@blueprint.get("/docs")
def show_docs() -> ResponseReturnValue:
    """Describe the API, and each error code, for people."""
    return _page(*_about())


def _about() -> tuple[str, str]:
    return services().settings.public_url, services().release.version


@lru_cache(maxsize=4)
def _described(public_url: str, version: str) -> dict[str, Any]:
    return describe(public_url, version)


@lru_cache(maxsize=4)
def _description_text(public_url: str, version: str) -> str:
    return jsonify(_described(public_url, version)).get_data(as_text=True)


@lru_cache(maxsize=4)
def _page(public_url: str, version: str) -> str:
    kinds: list[type[ServiceError]] = [error_class(code) for code in CURES]
    problems = [(kind, CURES[kind.code]) for kind in kinds]
    description = _described(public_url, version)
    return render_template(
        "docs.html",
        description=description,
        operations=OPERATIONS,
        problems=problems,
        problem_example=PROBLEM,
        example=_in_lines,
    )


def _in_lines(body: dict[str, Any]) -> str:
    return json.dumps(body, indent=2, ensure_ascii=False)
