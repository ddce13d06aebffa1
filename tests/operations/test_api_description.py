"""The description says what the routes do: neither can change without the other."""

import json
import re
from typing import Any

import pytest
from flask import Flask
from pydantic import TypeAdapter

from service.ground.errors import ServiceError
from service.operations.api_description import examples
from service.operations.api_description.cures import CURES
from service.operations.api_description.description import describe
from service.operations.api_description.operations import OPERATIONS
from service.web.documents.account import ActivityDocument, DisconnectDocument, SessionDocument, StatusDocument
from service.web.documents.job_specs import ChangeDocument, ListDocument
from service.web.documents.problems import Live, Problem, Ready
from tests.conftest import MakeApp
from tests.steps import PUBLIC_URL, Admin

DESCRIBED = re.compile(r"/api/.*|/livez|/readyz")
GUARDED = [operation for operation in OPERATIONS if operation.is_guarded]
CODES = {kind.code for kind in ServiceError.__subclasses__()} | {"internal_error"}


def routes(app: Flask) -> set[tuple[str, str]]:
    """Return (method, path) of every route that the description has to have."""
    return {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        if DESCRIBED.fullmatch(rule.rule)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def test_every_route_is_described_and_no_other(make_app: MakeApp) -> None:
    described = {(operation.method, operation.path) for operation in OPERATIONS}

    assert described == routes(make_app())


def test_the_description_is_served_with_the_public_address(make_app: MakeApp) -> None:
    reply = make_app().test_client().get("/openapi.json")

    assert reply.status_code == 200
    assert reply.content_type == "application/json"
    assert reply.get_json()["openapi"] == "3.1.0"
    assert reply.get_json()["servers"] == [{"url": PUBLIC_URL}]


def test_every_reference_in_the_description_leads_somewhere() -> None:
    description = describe(PUBLIC_URL, "1")
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(description)))

    assert references <= description["components"]["schemas"].keys()
    assert {operation.answer.__name__ for operation in OPERATIONS} <= references


def test_guarded_routes_and_only_those_ask_for_a_session(make_app: MakeApp) -> None:
    browser = make_app(RATE_LIMITS="off").test_client()
    for operation in OPERATIONS:
        reply = browser.open(operation.path.replace("{name}", "track_parcel"), method=operation.method)
        assert (reply.status_code == 401) is operation.is_guarded, operation.path
        described = describe(PUBLIC_URL, "1")["paths"][operation.path][operation.method.lower()]
        assert bool(described["security"]) is operation.is_guarded


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_each_route_has_an_example_of_what_it_takes_and_answers(operation: Any) -> None:
    described = describe(PUBLIC_URL, "1")["paths"][operation.path][operation.method.lower()]
    answer = described["responses"]["200"]["content"]["application/json"]["example"]
    read = operation.answer.model_validate_json(json.dumps(answer), strict=True)

    # Whole, as every answer is.
    assert read.model_dump(mode="json") == answer
    if operation.body is not None:
        operation.body.model_validate(described["requestBody"]["content"]["application/json"]["example"])


def test_no_example_is_left_over() -> None:
    names = {operation.name for operation in OPERATIONS}
    assert examples.ANSWERS.keys() == names
    assert examples.BODIES.keys() == {operation.name for operation in OPERATIONS if operation.body is not None}
    assert Problem.model_validate(examples.PROBLEM).model_dump(exclude_unset=True) == examples.PROBLEM


def test_each_tag_is_explained() -> None:
    described = {one["name"] for one in describe(PUBLIC_URL, "1")["tags"]}
    assert described == {operation.tag for operation in OPERATIONS}


def test_schemas_use_words_of_json_schema_alone() -> None:
    text = json.dumps(describe(PUBLIC_URL, "1"))
    assert not re.search(r'"(ge|gt|le|lt|min_length|max_length)":', text)
    assert '"minimum": 0' in text


@pytest.mark.parametrize("operation", GUARDED, ids=lambda operation: operation.name)
def test_each_parameter_is_taken_and_an_unknown_one_refused(admin: Admin, operation: Any) -> None:
    described = describe(PUBLIC_URL, "1")["paths"][operation.path][operation.method.lower()]
    names = {one["name"] for one in described["parameters"] if one["in"] == "query"}
    path = operation.path.removeprefix("/api/v1").replace("{name}", "no_such_spec")

    assert names == set(operation.query.model_fields)
    refusal = admin.call(operation.method, f"{path}?no_such_parameter=1")
    assert refusal.get_json()["code"] == "invalid_request"
    for name in names:
        assert name in refusal.get_json()["detail"]
        twice = admin.call(operation.method, f"{path}?{name}=1&{name}=1")
        assert "more than once" in twice.get_json()["detail"]


def test_answers_are_what_the_models_say(admin: Admin) -> None:
    def read(model: type[Any], method: str, path: str) -> None:
        reply = admin.call(method, path)
        assert reply.status_code == 200, reply.text
        document = TypeAdapter(model).validate_json(reply.data, strict=True)
        # Always present, null where unknown.
        assert document.model_dump(mode="json") == reply.get_json()

    read(StatusDocument, "GET", "/status")
    read(ListDocument, "GET", "/job_specs")
    read(ChangeDocument, "POST", "/job_specs/escalate_vip_order/install")
    read(ChangeDocument, "DELETE", "/job_specs/escalate_vip_order/install")
    read(SessionDocument, "POST", "/session")
    admin.meets({"where": "registry:acme_orders", "kind": "http_500_zis"})
    read(ListDocument, "GET", "/job_specs")
    admin.meets()
    read(DisconnectDocument, "DELETE", "/connection")
    read(StatusDocument, "GET", "/status")
    read(ActivityDocument, "GET", "/activity")
    Live.model_validate_json(admin.browser.get("/livez").data, strict=True)
    Ready.model_validate_json(admin.browser.get("/readyz").data, strict=True)
    problem = admin.call("GET", "/job_specs")
    assert Problem.model_validate_json(problem.data).model_dump(exclude_unset=True) == problem.get_json()
    assert None not in problem.get_json().values()


def test_every_code_is_explained_where_its_type_points(make_app: MakeApp) -> None:
    page = make_app().test_client().get("/docs")

    assert page.status_code == 200
    assert CURES.keys() == CODES
    for code in CODES:
        assert f'id="{code}"' in page.text
    anchors = re.findall(r' id="([^"]+)"', page.text)
    assert len(anchors) == len(set(anchors))
    assert set(re.findall(r'href="#([^"]+)"', page.text)) <= set(anchors)


def test_the_page_keeps_the_policy(make_app: MakeApp) -> None:
    page = make_app().test_client().get("/docs")

    assert "<script" not in page.text
    assert " style=" not in page.text
    assert "script-src 'self';" in page.headers["Content-Security-Policy"]
