"""The pages' files: found under their digest, compressed, and the same for everybody."""

import gzip
import importlib
import re
import sys
from pathlib import Path

import brotli
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from service.ground.settings import Settings
from service.sidebar import routes
from service.sidebar.files import collection
from service.sidebar.files.bundle import NotBundled, bundled, imported
from service.sidebar.files.collection import Collection
from service.sidebar.files.serving import FileServer
from service.store.store import Store
from tests.conftest import MakeApp
from tests.steps import Admin, collaborator

IMMUTABLE = "public, max-age=31536000, immutable"


@pytest.fixture
def browser(make_app: MakeApp) -> FlaskClient:
    return make_app().test_client()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the service's files, to be changed."""
    for path in collection.FOLDER.rglob("*"):
        copy = tmp_path / path.relative_to(collection.FOLDER)
        copy.mkdir(exist_ok=True) if path.is_dir() else copy.write_bytes(path.read_bytes())
    return tmp_path


def address(name: str) -> str:
    return Collection().now().address(name)


def get(browser: FlaskClient, path: str, accepts: str | None = None) -> TestResponse:
    return browser.get(path, headers={} if accepts is None else {"Accept-Encoding": accepts})


# --- addresses ---


def test_a_file_under_its_digest_is_never_asked_about_again(browser: FlaskClient) -> None:
    reply = get(browser, address("sidebar.css"))

    assert reply.status_code == 200
    assert reply.headers["Cache-Control"] == IMMUTABLE
    assert reply.headers["Content-Type"] == "text/css; charset=utf-8"
    assert reply.data == (collection.FOLDER / "sidebar.css").read_bytes()


@pytest.mark.parametrize("first", ["0" * 20, "an-older-release"])
def test_a_page_of_another_release_gets_the_file_of_now(browser: FlaskClient, first: str) -> None:
    for name in ("sidebar.en.bundle.js", "locales/de.json", "zis-client.js"):
        reply = get(browser, f"/static/{first}/{name}")
        assert (reply.status_code, reply.headers["Cache-Control"]) == (200, "no-store")
        assert reply.data == get(browser, address(name)).data


def test_a_page_of_a_release_that_knew_no_digest_gets_the_file_of_now(browser: FlaskClient) -> None:
    reply = get(browser, "/static/sidebar.js")

    assert (reply.status_code, reply.headers["Cache-Control"]) == (200, "no-store")


def test_the_client_for_other_pages_is_where_it_always_was(browser: FlaskClient) -> None:
    reply = get(browser, "/static/zis-client.js")

    assert (reply.status_code, reply.location) == (302, address("zis-client.js"))
    assert reply.headers["Cache-Control"] == "public, max-age=300"
    assert get(browser, reply.location).content_type == "text/javascript; charset=utf-8"


@pytest.mark.parametrize(
    "path", ["nowhere.js", "{digest}/nowhere.js", "{digest}/", "{digest}", "", "x/y/sidebar.js", "locales/"]
)
def test_there_is_nothing_else(browser: FlaskClient, path: str) -> None:
    reply = get(browser, "/static/" + path.replace("{digest}", Collection().now().digest))

    assert (reply.status_code, reply.headers["Cache-Control"]) == (404, "no-store")


@pytest.mark.parametrize(
    "path",
    ["../app.py", "{digest}/../../app.py", "{digest}/..%2fapp.py", "x/../sidebar.js/../../app.py", "/etc/passwd"],
)
def test_no_path_leads_out_of_the_folder(browser: FlaskClient, path: str) -> None:
    assert get(browser, "/static/" + path.replace("{digest}", Collection().now().digest)).status_code == 404


# --- what they carry ---


def test_files_carry_what_every_answer_carries_and_open_to_no_other_origin(browser: FlaskClient) -> None:
    page = browser.get("/", headers={"Origin": "https://other.example"})
    for path in (address("zis-client.js"), "/static/zis-client.js", "/static/0/zis-client.js"):
        reply = browser.get(path, headers={"Origin": "https://other.example", "X-Request-Id": "given"})
        assert reply.headers["X-Request-Id"] == "given"
        assert not [name for name in reply.headers.keys() if name.startswith("Access-Control")]  # noqa: SIM118 - no mapping
        for name in ("X-Content-Type-Options", "Referrer-Policy", "Content-Security-Policy", "X-Frame-Options"):
            assert reply.headers[name] == page.headers[name]
    assert re.fullmatch("[0-9a-f]{32}", get(browser, address("zis-client.js")).headers["X-Request-Id"])


def test_a_request_id_that_would_do_harm_is_not_taken_over(browser: FlaskClient) -> None:
    reply = browser.get(address("zis-client.js"), headers={"X-Request-Id": "a b"})

    assert re.fullmatch("[0-9a-f]{32}", reply.headers["X-Request-Id"])


def test_a_head_request_gets_the_headers_alone(browser: FlaskClient) -> None:
    whole, head = get(browser, address("sidebar.css")), browser.head(address("sidebar.css"))

    assert (head.data, head.headers["Content-Length"]) == (b"", whole.headers["Content-Length"])


def test_a_file_takes_no_post(browser: FlaskClient) -> None:
    reply = browser.post(address("sidebar.css"))

    assert reply.status_code == 405
    assert "GET" in reply.headers["Allow"]


def test_files_need_neither_store_nor_flask(make_app: MakeApp) -> None:
    app = make_app(REDIS_URL="redis://127.0.0.1:1/0")

    def fails(*_: object) -> None:
        raise AssertionError("asked")

    server = FileServer(fails, Collection(), collaborator(app, Settings), [])  # type: ignore[arg-type]  # is never called
    status: list[str] = []
    environ = {"PATH_INFO": address("sidebar.css"), "REQUEST_METHOD": "GET"}
    body = b"".join(server(environ, lambda line, *_: status.append(line)))  # type: ignore[arg-type]  # as a server's
    assert (status, body) == (["200 OK"], (collection.FOLDER / "sidebar.css").read_bytes())


# --- compression ---


@pytest.mark.parametrize(
    ("accepts", "coding"),
    [("br", "br"), ("gzip", "gzip"), ("gzip, deflate, br, zstd", "br"), ("gzip;q=1, br;q=0.1", "br"), ("BR", "br"),
     ("br;q=0, gzip", "gzip"), ("br;q=0, *", "gzip"), ("*", "br"), ("identity", None), ("deflate", None), ("", None),
     (None, None), ("br;q=x", None)],
)  # fmt: skip
def test_a_file_comes_as_the_caller_takes_it(browser: FlaskClient, accepts: str | None, coding: str | None) -> None:
    reply = get(browser, address("sidebar.en.bundle.js"), accepts)
    plain = {"br": brotli.decompress, "gzip": gzip.decompress, None: bytes}[coding](reply.data)

    assert reply.headers.get("Content-Encoding") == coding
    assert reply.headers["Vary"] == "Accept-Encoding"
    assert plain == Collection().now().by_name["sidebar.en.bundle.js"].body
    assert int(reply.headers["Content-Length"]) == len(reply.data)


def test_a_first_visit_loads_less_than_60_kilobytes(browser: FlaskClient) -> None:
    names = ("sidebar.en.bundle.js", "sidebar.bundle.css")

    # The page and its answers have the rest.
    assert sum(len(get(browser, address(name), "br").data) for name in names) < 49_000


# --- pages ---


def addresses_in(page: str) -> list[str]:
    return re.findall(r'(?:href|src)="(/static/[^"]*)"', page)


def test_every_page_names_files_of_this_release(admin: Admin) -> None:
    browser = admin.browser
    sidebar = admin.post_sidebar(admin.simulator.sign("acme", 101)).text
    pages = [sidebar, *(browser.get(path).text for path in ("/", "/docs", "/nowhere", "/oauth/callback", "/sidebar"))]
    for page in pages:
        named = addresses_in(page)
        assert named
        for one in named:
            reply = browser.get(one)
            assert (reply.status_code, reply.headers["Cache-Control"]) == (200, IMMUTABLE), one
    # One stylesheet and one module, in which the modules of the page and its texts are.
    assert [one.rpartition("/")[2] for one in addresses_in(sidebar)] == ["sidebar.bundle.css", "sidebar.en.bundle.js"]


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("de", "de"),
        ("de-AT,en;q=0.5", "de"),
        ("DE", "de"),
        ("nl,de;q=0.5", "en"),
        ("fr-CA", "fr"),
        ("pt-br", "pt-BR"),
        ("pt-PT,pt;q=0.9", "pt-BR"),
        ("en-GB,de", "en"),
        ("*", "en"),
        (None, "en"),
    ],
)
def test_the_page_comes_with_the_browsers_language(admin: Admin, header: str | None, language: str) -> None:
    headers = {} if header is None else {"Accept-Language": header}
    page = admin.browser.post("/sidebar", data={"token": admin.simulator.sign("acme", 101)}, headers=headers).text

    assert f'<html lang="{language}">' in page
    assert f"sidebar.{language}.bundle.js" in page
    assert ('"app.title"' in Collection().now().by_name[f"sidebar.{language}.bundle.js"].body.decode()) is True


@pytest.mark.parametrize(
    ("query", "attribute"),
    [("colorScheme=dark", ' data-scheme="dark"'), ("colorScheme=light", ' data-scheme="light"'), ("", ""),
     ("colorScheme=auto", ""), ('colorScheme=dark"><script>', ""),
     ("colorScheme=dark&colorScheme=x", ' data-scheme="dark"')],
)  # fmt: skip
def test_the_first_colours_are_those_of_the_address(admin: Admin, query: str, attribute: str) -> None:
    token = admin.simulator.sign("acme", 101)
    page = admin.browser.post("/sidebar", query_string=query, data={"token": token}).text

    assert page.startswith(f'<!doctype html>\n<html lang="en"{attribute}>\n')


def test_what_gunicorn_serves_is_rendered_before_the_first_request(
    admin: Admin, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A burst of first openings took seconds of CPU, when each compressed the files and compiled the page."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    routes._rendered_once.cache_clear()
    collection._read.cache_clear()
    app = importlib.import_module("service.wsgi").app
    read, rendered = collection._read.cache_info(), routes._rendered_once.cache_info()
    token = admin.simulator.sign("acme", 101)
    for scheme in ("", "?colorScheme=dark"):
        assert app.test_client().post(f"/sidebar{scheme}", data={"token": token}).status_code == 200

    # In no colours, in light and in dark ones.
    pages = 3 * len(Collection().now().languages)
    assert (read.misses, rendered.misses) == (1, pages)
    assert (collection._read.cache_info().misses, routes._rendered_once.cache_info().misses) == (1, pages)
    collaborator(app, Store).redis.connection_pool.disconnect()
    del sys.modules["service.wsgi"]


# --- a development server ---


def test_a_development_server_shows_modules_and_sees_changed_files(
    make_app: MakeApp, folder: Path, monkeypatch: pytest.MonkeyPatch, admin: Admin
) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "1")
    app = make_app()
    token = admin.simulator.sign("acme", 101)
    named = addresses_in(app.test_client().post("/sidebar", data={"token": token}).text)
    names = [one.split("/", 3)[3] for one in named]
    assert {"garden.css", "sidebar.css", "page.js", "i18n.js"} < set(names)
    assert (names[-1], len(names)) == ("sidebar.js", len(set(names)))

    watched = Collection(folder, watches=True)
    before = watched.now()
    with (folder / "sidebar.css").open("a") as file:
        file.write("/* changed */\n")
    after = watched.now()
    assert after.by_name["sidebar.css"].body.endswith(b"/* changed */\n")
    assert after.by_name["sidebar.bundle.css"].body.endswith(b"/* changed */\n")
    assert after.digest != before.digest
    assert watched.now() is after


def test_elsewhere_files_are_read_once(folder: Path) -> None:
    files = Collection(folder).now()
    (folder / "sidebar.css").write_text("/* changed */\n")

    assert Collection(folder).now() is files


def test_the_digest_is_of_every_file(folder: Path) -> None:
    watched = Collection(folder, watches=True)
    digests = {watched.now().digest}
    for number, path in enumerate(sorted(one for one in folder.rglob("*") if one.suffix in {".css", ".js"})[:5]):
        path.write_text(path.read_text() + f"/* {number} */\n")
        digests.add(watched.now().digest)
    (folder / "new.css").write_text("")
    digests.add(watched.now().digest)

    assert len(digests) == 7


# --- the bundle ---


MODULES = {
    "a.js": 'import { b, B } from "./b.js";\nimport { words } from "./words.js";\n\nb(B, words, import.meta.url);\n',
    "b.js": 'import { own } from "./c.js";\n\nexport function b() {}\nexport class B {}\nconst own2 = own;\n',
    "c.js": "const own = 1;\n\nexport { own };\nexport const more = 2;\n",
    "words.js": "export const words = {};\n",
}


def test_a_bundle_holds_each_module_once_before_those_that_need_it() -> None:
    assert imported(MODULES, "a.js") == ["c.js", "b.js", "words.js", "a.js"]
    assert bundled(MODULES, "a.js", {"en": {"x": "</é>"}}, {"fr", "en"}) == (
        "const _c = (() => {\nconst own = 1;\n\nconst more = 2;\nreturn { more, own };\n})();\n"
        "const _b = (() => {\nconst { own } = _c;\n\nfunction b() {}\nclass B {}\nconst own2 = own;\n"
        "return { b, B };\n})();\n"
        'const _words = (() => {\nconst words = {"en": {"x": "</é>"}};\nconst languages = ["en", "fr"];\n'
        "return { words, languages };\n})();\n"
        "const _a = (() => {\nconst { b, B } = _b;\nconst { words } = _words;\n\nb(B, words, import.meta.url);\n})();\n"
    )


@pytest.mark.parametrize(
    "source",
    ['import b from "./b.js";\n', 'import * as b from "./b.js";\n', 'import { b as c } from "./b.js";\n',
     'import "./b.js";\n',
     'import {\n  b,\n} from "./b.js";\n', "export default 1;\n", "export let a = 1;\n", 'export * from "./b.js";\n',
     'import { a } from "./a.js";\n'],
)  # fmt: skip
def test_what_a_bundle_does_not_know_is_refused(source: str) -> None:
    with pytest.raises(NotBundled):
        bundled({**MODULES, "a.js": source}, "a.js", {})


def test_the_default_application_serves_no_folder(make_app: MakeApp) -> None:
    app: Flask = make_app()

    assert not app.has_static_folder
