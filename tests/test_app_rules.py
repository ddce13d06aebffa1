"""Each rule of the app's package with examples that break it alone; the real app breaks none."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.operations.zendesk_app.command import MANIFEST_FOLDER
from service.operations.zendesk_app.contents import read_app
from service.operations.zendesk_app.rules import RULES, Verdict, judge

PUBLIC_URL = "https://zis.example.com"
Break = Callable[[Path], object]
Edit = Callable[[dict[str, Any]], object]
PNG = (MANIFEST_FOLDER / "assets/logo.png").read_bytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the app's files."""
    return shutil.copytree(MANIFEST_FOLDER, tmp_path / "manifest")


def verdict_of(folder: Path, public_url: str = PUBLIC_URL) -> Verdict:
    return judge(read_app(folder, public_url))


def edit(name: str, change: Edit) -> Break:
    def apply(folder: Path) -> None:
        document = json.loads((folder / name).read_text())
        change(document)
        (folder / name).write_text(json.dumps(document))

    return apply


def manifest(**values: Any) -> Break:
    return edit("manifest.json", lambda document: document.update(values))


def without(*keys: str) -> Break:
    return edit("manifest.json", lambda document: [document.pop(key) for key in keys])


def location(value: Any) -> Break:
    return manifest(location=value)


def ticket_sidebar(**options: Any) -> Break:
    return edit("manifest.json", lambda document: document["location"]["support"]["ticket_sidebar"].update(options))


def parameters(*listed: Any) -> Break:
    return manifest(parameters=list(listed))


def text(name: str, content: str | bytes) -> Break:
    raw = content.encode() if isinstance(content, str) else content

    def apply(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(raw)

    return apply


def gone(name: str) -> Break:
    return lambda folder: (folder / name).unlink()


def both(*steps: Break) -> Break:
    return lambda folder: [step(folder) for step in steps]


def png(width: int, height: int) -> bytes:
    return PNG[:16] + struct.pack(">II", width, height) + PNG[24:]


def svg(inside: str, attributes: str = 'width="26" height="26" viewBox="0 0 26 26"') -> str:
    return f'<svg xmlns="http://www.w3.org/2000/svg" {attributes}>{inside}</svg>'


def nested(folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "manifest.json").rename(folder / "inner/manifest.json")


NAV_ICON = "assets/icon_nav_bar.svg"
BOX = '<rect width="26" height="26"/>'
SECURE = {"name": "code", "secure": True, "scopes": ["header"]}
OAUTH = {"client_id": "a", "client_secret": "b", "authorize_uri": "c", "access_token_uri": "d"}
OAUTH_PARAMETER = parameters({"name": "a", "type": "oauth"})
GERMAN = "translations/de.json"
ENGLISH = "translations/en.json"
BARE = both(without("location", "frameworkVersion"), manifest(requirementsOnly=True), text("requirements.json", "{}"))
PAGE = f"{PUBLIC_URL}/sidebar"

REFUSED: list[tuple[str, str, str, Break]] = [
    ("manifest-present", "missing", "manifest.json", gone("manifest.json")),
    ("manifest-present", "in-a-subfolder", "inner/manifest.json", nested),
    ("manifest-json", "broken", "manifest.json", text("manifest.json", "{")),
    ("manifest-json", "byte-order-mark", "manifest.json", text("manifest.json", "\ufeff{}")),
    ("manifest-json", "nan", "manifest.json", text("manifest.json", '{"a": NaN}')),
    ("manifest-json", "a-list", "manifest.json", text("manifest.json", "[]")),
    ("manifest-no-duplicate-keys", "deep-inside", "manifest.json", text("manifest.json", '{"a": {"b": 1, "b": 1}}')),
    ("manifest-required", "no-author", "manifest.json", without("author")),
    ("manifest-required", "no-default-locale", "manifest.json", without("defaultLocale")),
    ("framework-version", "missing", "manifest.json", without("frameworkVersion")),
    ("framework-version", "old", "manifest.json", manifest(frameworkVersion="1.0")),
    ("framework-version", "of-requirements", "manifest.json", both(BARE, manifest(frameworkVersion="2.0"))),
    ("manifest-booleans", "private-null", "manifest.json", manifest(private=None)),
    ("manifest-booleans", "single-install-text", "manifest.json", manifest(singleInstall="yes")),
    ("manifest-booleans", "marketing-only-list", "manifest.json", manifest(marketingOnly=[])),
    ("manifest-strings", "version-number", "manifest.json", manifest(version=1.0)),
    ("manifest-strings", "analytics-number", "manifest.json", manifest(gaID=7)),
    ("manifest-strings", "author-a-text", "manifest.json", manifest(author="ACME")),
    ("manifest-strings", "author-email-number", "manifest.json", manifest(author={"email": 1})),
    ("manifest-shapes", "experiments-list", "manifest.json", manifest(experiments=[])),
    ("manifest-shapes", "domains-text", "manifest.json", manifest(domainWhitelist="acme.com")),
    ("manifest-shapes", "domains-numbers", "manifest.json", manifest(domainWhitelist=[1])),
    ("manifest-shapes", "no-template", "manifest.json", manifest(noTemplate=["nav_bar"])),
    ("manifest-urls", "author-without-scheme", "manifest.json", manifest(author={"url": "zis.example.com"})),
    ("manifest-urls", "terms-without-host", "manifest.json", manifest(termsConditionsURL="https://")),
    ("manifest-urls", "terms-malformed", "manifest.json", manifest(termsConditionsURL="https://[")),
    ("experiments", "unknown", "manifest.json", manifest(experiments={"hashParams": True, "turbo": True})),
    ("default-locale", "malformed", "manifest.json", manifest(defaultLocale="english")),
    ("default-locale", "without-its-file", "translations/fr.json", manifest(defaultLocale="fr")),
    ("oauth", "keys-missing", "manifest.json", both(manifest(oauth={"client_id": "a"}), OAUTH_PARAMETER)),
    ("oauth", "parameter-missing", "manifest.json", manifest(oauth=OAUTH)),
    ("marketing-only", "private", "manifest.json", both(BARE, manifest(requirementsOnly=False, marketingOnly=True))),
    ("marketing-only", "with-parameters", "manifest.json",
     both(BARE, manifest(requirementsOnly=False, marketingOnly=True, private=False), parameters({"name": "a"}))),
    ("placeholder", "left-in-the-author", "manifest.json", manifest(author={"name": "{{author}}"})),
    ("placeholder", "left-in-a-list", "manifest.json", manifest(domainWhitelist=["{{host}}"])),
    ("signed-urls", "missing", "manifest.json", without("signedUrls")),
    ("location-present", "missing", "manifest.json", without("location")),
    ("location-present", "empty-product", "manifest.json", location({"support": {}})),
    ("location-present", "of-requirements", "manifest.json", both(BARE, location({"support": {"modal": PAGE}}))),
    ("location-form", "a-list", "manifest.json", location(["nav_bar"])),
    ("location-form", "a-text", "manifest.json", location("nav_bar")),
    ("location-form", "product-a-text", "manifest.json", location({"support": "nav_bar"})),
    ("location-form", "place-a-number", "manifest.json", location({"support": {"modal": 1}})),
    ("location-product", "unknown", "manifest.json", location({"guide": {"modal": PAGE}})),
    ("location-name", "unknown", "manifest.json", location({"support": {"basement": PAGE}})),
    ("location-name", "of-another-product", "manifest.json", location({"support": {"chat_sidebar": PAGE}})),
    ("location-name", "behind-a-flag", "manifest.json", location({"support": {"custom_object_record_sidebar": PAGE}})),
    ("location-url-present", "empty", "manifest.json", ticket_sidebar(url="")),
    ("location-url-present", "missing", "manifest.json", location({"support": {"modal": {"flexible": True}}})),
    ("location-url", "http", "manifest.json", ticket_sidebar(url="http://zis.example.com/sidebar")),
    ("location-url", "loopback-by-number", "manifest.json", ticket_sidebar(url="http://127.0.0.1:9001/sidebar")),
    ("location-url", "https-without-host", "manifest.json", ticket_sidebar(url="https:///sidebar")),
    ("location-url", "malformed", "manifest.json", ticket_sidebar(url="https://[/sidebar")),
    ("location-url", "absent-file", "manifest.json", ticket_sidebar(url="assets/iframe.html")),
    ("location-url", "file-outside-assets", "manifest.json", ticket_sidebar(url="translations/en.json")),
    ("location-flexible", "a-text", "manifest.json", ticket_sidebar(flexible="yes")),
    ("location-signed", "switched-off", "manifest.json", ticket_sidebar(signed=False)),
    ("parameter-form", "no-list", "manifest.json", manifest(parameters={})),
    ("parameter-form", "no-object", "manifest.json", parameters("a")),
    ("parameter-form", "no-name", "manifest.json", parameters({"type": "text"})),
    ("parameter-unique", "twice", "manifest.json", parameters({"name": "a"}, {"name": "a"})),
    ("parameter-not-name", "name", "manifest.json", parameters({"name": "name"})),
    ("parameter-type", "unknown", "manifest.json", parameters({"name": "a", "type": "date"})),
    ("parameter-type", "behind-a-flag", "manifest.json", parameters({"name": "a", "type": "mtls"})),
    ("parameter-booleans", "required", "manifest.json", parameters({"name": "a", "required": "yes"})),
    ("parameter-booleans", "secure", "manifest.json", parameters({**SECURE, "secure": 1})),
    ("parameter-hidden", "required", "manifest.json", parameters({"name": "a", "type": "hidden", "required": True})),
    ("parameter-oauth", "two", "manifest.json", parameters(*({"name": name, "type": "oauth"} for name in "ab"))),
    ("parameter-oauth", "secure", "manifest.json", parameters({**SECURE, "type": "oauth"})),
    ("parameter-scopes", "not-secure", "manifest.json", parameters({"name": "a", "scopes": ["header"]})),
    ("parameter-scopes", "empty", "manifest.json", parameters({**SECURE, "scopes": []})),
    ("parameter-scopes", "no-list", "manifest.json", parameters({**SECURE, "scopes": "header"})),
    ("parameter-scopes", "unknown", "manifest.json", parameters({**SECURE, "scopes": ["cookie"]})),
    ("translation-file-name", "a-word", "translations/english.json", text("translations/english.json", "{}")),
    ("translation-file-name", "in-a-folder", "translations/old/fr.json", text("translations/old/fr.json", "{}")),
    ("translation-json", "broken", GERMAN, text(GERMAN, "{")),
    ("translation-json", "latin-1", GERMAN, text(GERMAN, '{"a": "ä"}'.encode("latin-1"))),
    ("translation-json", "a-list", GERMAN, text(GERMAN, "[]")),
    ("translation-json", "key-twice", GERMAN, text(GERMAN, '{"app": {}, "app": {}}')),
    ("translation-labels", "missing", GERMAN,
     text(GERMAN, '{"app": {"parameters": {"a": {"helpText": "b"}}}}')),
    ("translation-labels", "no-object", GERMAN, text(GERMAN, '{"app": {"parameters": 1}}')),
    ("translation-name", "missing", ENGLISH, text(ENGLISH, '{"app": {}}')),
    ("translation-name", "no-app", ENGLISH, text(ENGLISH, '{"app": "ZIS"}')),
    ("translation-name", "public-app", ENGLISH,
     both(manifest(private=False), text(ENGLISH, '{"app": {"name": "ZIS"}}'))),
    ("translation-name", "of-a-product", ENGLISH, text(ENGLISH, '{"app": {"support": {}}}')),
    ("translation-name", "of-another-product", ENGLISH,
     text(ENGLISH, '{"app": {"chat": {"name": "ZIS"}}}')),
    ("logos", "logo-missing", "assets/logo.png", gone("assets/logo.png")),
    ("logos", "small-logo-missing", "assets/logo-small.png", gone("assets/logo-small.png")),
    ("logos", "drawing-missing", "assets/logo.svg", gone("assets/logo.svg")),
    ("logos", "wrong-size", "assets/logo.png", text("assets/logo.png", png(128, 128))),
    ("logos", "not-square", "assets/logo-small.png", text("assets/logo-small.png", png(128, 64))),
    ("logos", "no-png", "assets/logo.png", text("assets/logo.png", "GIF89a")),
    ("logos", "cut-off", "assets/logo.png", text("assets/logo.png", PNG[:-30])),
    ("icons", "missing", NAV_ICON, gone(NAV_ICON)),
    ("svg-readable", "no-xml", NAV_ICON, text(NAV_ICON, "<svg")),
    ("svg-readable", "empty", NAV_ICON, text(NAV_ICON, "")),
    ("svg-readable", "html", NAV_ICON, text(NAV_ICON, "<html/>")),
    ("svg-readable", "document-type", NAV_ICON, text(NAV_ICON, "<!DOCTYPE svg>" + svg(BOX))),
    ("svg-square", "wide", NAV_ICON, text(NAV_ICON, svg(BOX, 'viewBox="0 0 52 26"'))),
    ("svg-square", "drawn-wide", NAV_ICON, text(NAV_ICON, svg(BOX, 'viewBox="0 0 26 26" width="26" height="13"'))),
    ("svg-square", "without-a-box", "assets/logo.svg", text("assets/logo.svg", svg(BOX, ""))),
    ("svg-no-bitmap", "image", NAV_ICON, text(NAV_ICON, svg('<image href="a.png"/>'))),
    ("banner", "wrong-size", "assets/banner.png", text("assets/banner.png", png(830, 201))),
    ("banner", "no-png", "assets/banner.png", text("assets/banner.png", "GIF89a")),
    ("no-symlinks", "file", "assets/link.svg", lambda folder: (folder / "assets/link.svg").symlink_to("logo.svg")),
    ("no-symlinks", "hidden", ".link", lambda folder: (folder / ".link").symlink_to("assets")),
    ("file-types", "by-ending", "assets/run.SH", text("assets/run.SH", "echo")),
    ("file-types", "zip-by-content", "assets/a.dat", text("assets/a.dat", b"PK\x03\x04rest")),
    ("file-types", "pdf-by-content", "assets/a", text("assets/a", b"%PDF-1.7")),
    ("file-types", "script-by-content", "assets/a", text("assets/a", "#!/usr/bin/env bash\n")),
    ("file-types", "film-by-content", "assets/a", text("assets/a", b"RIFF\n\n\n\nAVI LIST")),
    ("no-sources", "script", "lib/a.js", both(BARE, text("lib/a.js", "1"))),
    ("no-sources", "style", "app.css", both(BARE, text("app.css", "a{}"))),
    ("requirements", "missing", "requirements.json", both(BARE, gone("requirements.json"))),
    ("requirements", "broken", "requirements.json", text("requirements.json", "{")),
    ("requirements", "a-list", "requirements.json", text("requirements.json", "[]")),
    ("requirements", "key-twice", "requirements.json", text("requirements.json", '{"a": 1, "a": 2}')),
    ("package-size", "over-2-MB", "assets/film.svg",
     text("assets/film.svg", svg('<path d="' + "M0 0" * 500_000 + '"/>'))),
]  # fmt: skip

WARNED: list[tuple[str, str, str, Break]] = [
    ("parameter-default", "secure", "manifest.json", parameters({**SECURE, "default": "a"})),
    ("parameter-secret", "api-key", "manifest.json", parameters({"name": "api_k" + "ey"})),
    ("parameter-unscoped", "no-scopes", "manifest.json", parameters({"name": "code", "secure": True})),
    ("svg-clean", "style", NAV_ICON, text(NAV_ICON, svg("<style>a{}</style>" + BOX))),
    ("svg-clean", "comment", NAV_ICON, text(NAV_ICON, svg("<!-- drawn by hand -->" + BOX))),
    ("svg-clean", "instruction", NAV_ICON, text(NAV_ICON, svg("<?a b?>" + BOX))),
    ("svg-clean", "event", NAV_ICON, text(NAV_ICON, svg('<rect onclick="a()"/>'))),
    ("no-http", "script", "assets/a.js", text("assets/a.js", 'fetch("http://acme.example")')),
    ("no-secrets", "token", GERMAN, text(GERMAN, '{"token": "abcdefgh"}')),
    ("no-secrets", "password", "assets/a.html", text("assets/a.html", "your password here")),
]

ALLOWED: dict[str, Break] = {
    "a-location-by-its-address-alone": location({"support": {"nav_bar": PAGE}}),
    "a-location-without-url-that-does-not-load": ticket_sidebar(url="", autoLoad=False),
    "a-location-that-is-a-file": both(ticket_sidebar(url="assets/a.html"), text("assets/a.html", "<p>")),
    "an-address-made-of-a-setting": ticket_sidebar(url="https://{{setting.host}}/sidebar"),
    "parameters": parameters(SECURE, {"name": "a", "type": "checkbox", "default": True}),
    "oauth": both(manifest(oauth=OAUTH), OAUTH_PARAMETER),
    "null-where-it-means-the-default": manifest(singleInstall=None, experiments=None, noTemplate=None, parameters=None),
    "requirements-alone": BARE,
    "marketing-alone": both(BARE, manifest(requirementsOnly=False, marketingOnly=True, private=False)),
    "a-banner": text("assets/banner.png", png(1660, 400)),
    "labels": text(GERMAN, '{"app": {"parameters": {"a": {"label": "b"}}}}'),
    "a-language-of-a-country": text("translations/pt-br.json", "{}"),
    "a-public-app-with-its-texts": manifest(private=False),
    "hidden-files-and-tmp": both(text(".DS_Store", b"PK\x03\x04"), text("tmp/app.zip", b"PK\x03\x04")),
    "a-default-language-that-is-not-english": both(manifest(defaultLocale="de"), gone(ENGLISH)),
}


def cases(table: list[tuple[str, str, str, Break]]) -> pytest.MarkDecorator:
    listed = [pytest.param(rule, file, break_it, id=f"{rule}-{why}") for rule, why, file, break_it in table]
    return pytest.mark.parametrize(("rule", "file", "break_it"), listed)


def test_the_real_app_passes_every_rule() -> None:
    assert verdict_of(MANIFEST_FOLDER) == Verdict((), ())


@cases(REFUSED)
def test_a_broken_app_is_refused_naming_rule_and_file(folder: Path, rule: str, file: str, break_it: Break) -> None:
    break_it(folder)

    problems = verdict_of(folder).problems

    assert (rule, file) in {(one.rule, one.file) for one in problems}
    assert all(len(one.advice) > 10 for one in problems)


@cases(WARNED)
def test_what_zendesk_only_warns_of_is_a_warning(folder: Path, rule: str, file: str, break_it: Break) -> None:
    break_it(folder)

    verdict = verdict_of(folder)

    assert verdict.problems == ()
    assert (rule, file) in {(one.rule, one.file) for one in verdict.warnings}


@pytest.mark.parametrize("change", ALLOWED.values(), ids=ALLOWED)
def test_what_zendesk_takes_is_not_refused(folder: Path, change: Break) -> None:
    change(folder)

    assert verdict_of(folder).problems == ()


def test_every_rule_has_a_failing_example() -> None:
    assert {rule.name for rule in RULES if rule.refuses} == {case[0] for case in REFUSED}
    assert {rule.name for rule in RULES if not rule.refuses} == {case[0] for case in WARNED}


def test_a_placeholder_that_is_left_in_an_address_is_refused(folder: Path) -> None:
    ticket_sidebar(url="{{service}}/sidebar")(folder)

    assert [one.rule for one in verdict_of(folder).problems] == ["placeholder", "location-url"]


@pytest.mark.parametrize("url", ["http://localhost:9001", "https://127.0.0.1", "https://zis.example.com:8443"])
def test_addresses_that_zendesk_takes(url: str) -> None:
    assert verdict_of(MANIFEST_FOLDER, url).problems == ()


def test_http_on_127_0_0_1_is_refused_and_told_to_use_localhost() -> None:
    problems = verdict_of(MANIFEST_FOLDER, "http://127.0.0.1:9001").problems

    assert {one.rule for one in problems} == {"location-url"}
    assert all("http://localhost" in one.advice for one in problems)


def test_several_products_have_a_folder_of_images_each(folder: Path) -> None:
    location({"support": {"nav_bar": PAGE}, "chat": {"chat_sidebar": PAGE}})(folder)

    missing = {one.file for one in verdict_of(folder).problems}

    assert missing == {
        "assets/chat/logo-small.png", "assets/chat/logo.png", "assets/chat/logo.svg", "assets/support/icon_nav_bar.svg",
        "assets/support/logo-small.png", "assets/support/logo.png", "assets/support/logo.svg",
    }  # fmt: skip


def test_an_unreadable_manifest_does_not_hide_a_missing_logo(folder: Path) -> None:
    both(text("manifest.json", "{"), gone("assets/logo.png"))(folder)

    assert [one.rule for one in verdict_of(folder).problems] == ["manifest-json", "logos"]
