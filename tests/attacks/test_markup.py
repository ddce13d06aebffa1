"""XSS: what Zendesk, a link or a Host says stands in every page as text, whatever it would rather be."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from werkzeug.test import TestResponse

from sandbox.simulator.messages import Reply, json_reply
from tests.attacks.attackers import MARKUP, Outline, ask, directives
from tests.attacks.scripted import (
    LIST,
    finish_connecting,
    list_reply,
    scripted_zendesk,
    token_reply,
    user_reply,
    visitor,
)
from tests.conftest import MakeAdmin, MakeApp
from tests.endpoint import Endpoint
from tests.steps import Admin, bootstrap_in

pytestmark = pytest.mark.attacks

SERVICE = Path(__file__).resolve().parent.parent.parent / "service"


def refusal(status: int, text: str) -> Reply:
    """Return a refusal in JSON: what is no JSON and holds a tag counts as a page, and is not shown at all."""
    return json_reply(status, {"message": text})


def a_users_name(zendesk: Endpoint, text: str, _: Admin) -> None:
    zendesk.by_path["/users/me"] = user_reply(name=text)


def an_integrations_refusal(zendesk: Endpoint, text: str, _: Admin) -> None:
    zendesk.by_path[LIST] = refusal(403, text)


def an_integrations_envelope(zendesk: Endpoint, text: str, _: Admin) -> None:
    zendesk.by_path[LIST] = json_reply(400, {"errors": [{"code": "1010", "detail": text}]})


def a_granted_scope(zendesk: Endpoint, text: str, _: Admin) -> None:
    zendesk.by_path["acme/oauth/tokens"] = token_reply(scope=text)


def a_token_refusal(zendesk: Endpoint, text: str, _: Admin) -> None:
    body = {"error": "invalid_scope", "error_description": text}
    zendesk.by_path["acme/oauth/tokens"] = json_reply(400, body)


def a_token_failure(zendesk: Endpoint, text: str, _: Admin) -> None:
    zendesk.by_path["acme/oauth/tokens"] = refusal(500, text)


def a_users_address(zendesk: Endpoint, text: str, _: Admin) -> None:
    zendesk.by_path["/users/me"] = user_reply(url=f"https://{text}.zendesk.com/{text}")


PLACES = (
    a_users_name,
    an_integrations_refusal,
    an_integrations_envelope,
    a_granted_scope,
    a_token_refusal,
    a_token_failure,
    a_users_address,
)


def shown(text: str) -> str:
    """Return a text as a page may show it: what cannot be printed may be a space."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def assert_same_page(plain: str, hostile: str, text: str, *, is_shown: bool = True) -> None:
    """Check that two pages differ in their text alone."""
    page = Outline(hostile)
    assert page.elements == Outline(plain).elements
    assert page.links == Outline(plain).links
    if is_shown:
        assert shown(text) in shown(page.text)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_what_zendesk_says_is_text_on_the_callbacks_page(make_admin: MakeAdmin, place: Any) -> None:
    with scripted_zendesk() as zendesk:
        person = visitor(make_admin, zendesk)

        def page_of(text: str) -> TestResponse:
            zendesk.by_path |= {"acme/oauth/tokens": token_reply(), "/users/me": user_reply(), LIST: list_reply()}
            place(zendesk, text, person)
            reply: TestResponse = finish_connecting(person)
            return reply

        plain = page_of("Ada Morgan")
        assert plain.content_type == "text/html; charset=utf-8"
        for text in MARKUP.values():
            hostile = page_of(text)
            # Not every place takes every text: a scope has no such characters, an account's name has none.
            is_shown = place not in {a_granted_scope, a_users_address} and hostile.status_code == plain.status_code
            if hostile.status_code == plain.status_code:
                assert_same_page(plain.text, hostile.text, text, is_shown=is_shown)
            assert re.findall(r"<script(?! type=)", hostile.text) == []


def test_what_zendesk_says_is_text_on_the_sidebars_refusal(make_admin: MakeAdmin) -> None:
    """The app's key cannot be fetched, and Zendesk says why; the page may be framed by every account."""
    with scripted_zendesk() as zendesk:

        def page_of(text: str) -> TestResponse:
            zendesk.by_path["/public_key.pem"] = refusal(500, text)
            person = visitor(make_admin, zendesk)
            return person.post_sidebar(person.simulator.sign("acme", 101))

        plain = page_of("Ada Morgan")
        assert "Ada Morgan" in plain.text
        for text in MARKUP.values():
            assert_same_page(plain.text, page_of(text).text, text)


def test_what_a_link_says_is_text_on_the_front_page(make_app: MakeApp) -> None:
    app = make_app()
    plain = ask(app, "GET", "/", "account=" + quote("Ada Morgan"))
    assert plain.status == 400
    for text in MARKUP.values():
        hostile = ask(app, "GET", "/", f"account={quote(text)}")
        assert hostile.status == 400
        assert_same_page(plain.text, hostile.text, text, is_shown=False)
        assert shown(text) in [shown(value) for value in Outline(hostile.text).values]


def test_what_a_host_says_is_text_on_the_front_page(make_app: MakeApp) -> None:
    app = make_app()
    plain = ask(app, "GET", "/", headers={"Host": "other.example"})
    assert "other.example" in plain.text
    for text in MARKUP.values():
        hostile = ask(app, "GET", "/", headers={"Host": text.encode().decode("latin-1")})
        # What no host can be is not shown at all.
        assert set(Outline(hostile.text).elements) <= set(Outline(plain.text).elements)


@pytest.mark.parametrize("name", ["error", "code", "state", "iss", "unknown"])
def test_what_a_link_says_is_text_on_the_callbacks_page(make_admin: MakeAdmin, name: str) -> None:
    with scripted_zendesk(json_reply(400, {"error": "invalid_grant"})) as zendesk:
        person = visitor(make_admin, zendesk)
        plain = finish_connecting(person, **{name: "plain"})
        for text in MARKUP.values():
            hostile = finish_connecting(person, **{name: text})
            # Zendesk's own words are left out where they are none.
            expected = Outline(plain.text).elements
            assert [one for one in Outline(hostile.text).elements if one not in expected] == []
            assert "<script>alert" not in hostile.text


def test_what_is_named_in_an_address_is_text_where_it_is_refused(make_app: MakeApp) -> None:
    app = make_app()
    for path, name in (("/oauth/authorize", "subdomain"), ("/oauth/callback", "state"), ("/nowhere", "x")):
        plain = ask(app, "GET", path, f"{name}=.")
        for text in MARKUP.values():
            hostile = ask(app, "GET", path, f"{name}={quote(text)}")
            assert_same_page(plain.text, hostile.text, text, is_shown=False)
    plain = ask(app, "GET", "/nowhere/x")
    for text in MARKUP.values():
        assert_same_page(
            plain.text, ask(app, "GET", f"/nowhere/{text.encode().decode('latin-1')}").text, text, is_shown=False
        )


def test_the_sidebars_bootstrap_is_one_script_of_data(make_admin: MakeAdmin) -> None:
    """Nothing in it can end the element it stands in, or open a comment; and the page runs nothing inline."""
    person = make_admin()
    claims = {"context": {"location": "</script><!--"}, "sub": "</script><script>alert(1)</script>", "name": "<!--"}
    reply = person.post_sidebar(person.simulator.sign("acme", 101, claims=claims))
    assert reply.status_code == 200
    (data,) = re.findall(r'<script type="application/json" id="bootstrap">(.*?)</script>', reply.text, re.DOTALL)

    assert not set(data) & set("<>&'\u2028\u2029")
    assert set(bootstrap_in(reply.text)) == {
        "session_token", "expires_at", "expires_in", "account", "api_base", "authorize_url", "status", "list",
    }  # fmt: skip
    assert [element for element in Outline(reply.text).elements if element[0] == "script"] == [
        ("script", ("type", "src")),
        ("script", ("type", "id")),
    ]
    assert "alert(1)" not in reply.text
    assert "unsafe" not in reply.headers["Content-Security-Policy"]


def test_job_specs_in_the_sidebars_page_end_no_script(make_admin: MakeAdmin) -> None:
    """Rows go from Redis into the page as they are kept; so do the words that Zendesk refuses an integration with."""
    with scripted_zendesk() as zendesk:
        texts = {**MARKUP, "script": "</script><script>alert(1)</script>", "comment": "<!--<script>&\u2028\u2029"}
        members = ("name", "description", "event_source", "event_type", "flow_name")
        rows = [dict.fromkeys(members, text) | {"uuid": f"u-{place}"} for place, text in enumerate(texts.values())]
        zendesk.by_path[LIST] = list_reply(*rows)
        zendesk.by_path["/users/101"] = user_reply()
        person = visitor(make_admin, zendesk)
        finish_connecting(person)
        plain = person.post_sidebar(person.simulator.sign("acme", 101)).text
        person.open_sidebar("acme", 101)
        listed = person.job_specs()
        page = person.post_sidebar(person.simulator.sign("acme", 101)).text

    (data,) = re.findall(r'<script type="application/json" id="bootstrap">(.*?)</script>', page, re.DOTALL)
    assert not set(data) & set("<>&'\u2028\u2029")
    assert bootstrap_in(page)["list"] == listed
    assert {row["name"] for row in listed["job_specs"]} == set(texts.values())
    assert Outline(page).elements == Outline(plain).elements


def test_the_data_of_the_callbacks_page_ends_no_script(make_admin: MakeAdmin) -> None:
    with scripted_zendesk() as zendesk:
        zendesk.by_path["/users/me"] = user_reply(name="</script><!--")
        zendesk.by_path[LIST] = refusal(403, "</script><!--")
        page = finish_connecting(visitor(make_admin, zendesk)).text

    (data,) = re.findall(r'<script type="application/json" id="oauth-result">(.*?)</script>', page, re.DOTALL)
    assert json.loads(data) == {"result": "connected", "code": None, "origin": "http://localhost:9001", "stay": True}
    assert not set(data) & set("<>&'")


def test_what_zendesk_lists_is_data(make_admin: MakeAdmin) -> None:
    """The API answers JSON that no browser takes for a page, with every text as it was."""
    with scripted_zendesk() as zendesk:
        members = ("name", "description", "event_source", "event_type", "flow_name")
        rows = [dict.fromkeys(members, text) | {"uuid": f"u-{place}"} for place, text in enumerate(MARKUP.values())]
        zendesk.by_path[LIST] = list_reply(*rows)
        person = visitor(make_admin, zendesk)
        finish_connecting(person)
        person.open_sidebar("acme", 101)
        reply = person.call("GET", "/job_specs")

    assert (reply.content_type, reply.headers["X-Content-Type-Options"]) == ("application/json", "nosniff")
    assert directives(reply.headers)["default-src"] == "'none'"
    listed = reply.get_json()["job_specs"]
    for member in members:
        assert {row[member] for row in listed} == set(MARKUP.values())


def test_a_refusal_for_programs_is_data(make_admin: MakeAdmin) -> None:
    with scripted_zendesk() as zendesk:
        person = visitor(make_admin, zendesk)
        finish_connecting(person)
        person.open_sidebar("acme", 101)
        for text in MARKUP.values():
            zendesk.by_path[LIST] = refusal(422, text)
            reply = person.list_fresh()
            assert (reply.status_code, reply.content_type) == (422, "application/problem+json")
            assert reply.get_json()["upstream_detail"] == shown(text)


# --- what would undo all of that ---


def test_no_template_marks_a_text_as_safe() -> None:
    pages = {path.name: path.read_text() for path in (SERVICE / "templates").iterdir()}
    assert len(pages) > 4
    for name, page in pages.items():
        assert name.endswith(".html"), "Jinja escapes these by their name"
        assert re.findall(r"\|\s*safe|autoescape|Markup|\son\w+=|style=|<script(?! type=)", page) == [], name
    assert [
        path for path in SERVICE.rglob("*.py") if re.search(r"Markup\(|render_template_string", path.read_text())
    ] == []


def test_no_script_of_the_page_makes_markup_of_a_text() -> None:
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc|DOMParser"
        r"|createContextualFragment|javascript:"
    )
    scripts = {path.name: path.read_text() for path in (SERVICE / "static").rglob("*.js")}
    assert len(scripts) > 10
    assert {name for name, script in scripts.items() if re.search(forbidden, script)} == set()
    assert [name for name, script in scripts.items() if re.search(r"postMessage\([^;]*['\"]\*['\"]", script)] == []


def test_messages_between_windows_have_one_sender_and_one_receiver() -> None:
    """RFC 9700, section 4.17; and the code has left the address bar before anybody hears (section 4.3)."""
    callback = (SERVICE / "static/oauth-result.js").read_text()
    assert 0 < callback.index('history.replaceState(null, "", location.pathname)') < callback.index("postMessage(")
    assert re.search(r"postMessage\(\{ type: \"zis-oauth\", result, code \}, origin\)", callback)
    sidebar = (SERVICE / "static/connect.js").read_text()
    assert re.search(r"event\.origin [!=]== location\.origin", sidebar)
