"""Each rule of the app's package with examples that break it; the real app breaks none."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.operations.zendesk_app.command import MANIFEST_FOLDER
from service.operations.zendesk_app.contents import App, read_app
from service.operations.zendesk_app.rules import RULES, Verdict, judge

PUBLIC_URL = "https://zis.example.com"
Break = Callable[[Path], object]
Edit = Callable[[dict[str, Any]], object]
REAL = read_app(MANIFEST_FOLDER, PUBLIC_URL)
WORDS = [
    "requirementsOnly", "marketingOnly", "location", "support", "chat", "nav_bar", "url", "autoLoad", "parameters",
    "name", "type", "secure", "scopes", "oauth", "client_id", "experiments", "author", "defaultLocale",
    "domainWhitelist", "private", "app", "package", "title", "value", "frameworkVersion", "noTemplate",
]  # fmt: skip
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


def svg(inside: str, attributes: str = 'width="30" height="30" viewBox="0 0 30 30"') -> str:
    return f'<svg xmlns="http://www.w3.org/2000/svg" {attributes}>{inside}</svg>'


def nested(folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "manifest.json").rename(folder / "inner/manifest.json")


NAV_ICON = "assets/icon_nav_bar.svg"
BOX = '<rect width="30" height="30"/>'
SECURE = {"name": "code", "secure": True, "scopes": ["header"]}
OAUTH = {"client_id": "a", "client_secret": "b", "authorize_uri": "c", "access_token_uri": "d"}
OAUTH_PARAMETER = parameters({"name": "a", "type": "oauth"})
GERMAN = "translations/de.json"
ENGLISH = "translations/en.json"
ICON_PLACES = {"support": ["top_bar", "nav_bar", "system_top_bar", "ticket_editor"], "sell": ["top_bar"]}
BEGINNINGS = {
    "rar": b"Rar!\x1a\x07", "zip": b"PK\x03\x04", "empty-zip": b"PK\x05\x06", "gzip": b"\x1f\x8b", "pdf": b"%PDF-1.7",
    "office": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "avi": b"RIFF\n\n\n\nAVI LIST", "bz": b"BZ0", "bz2": b"BZh9",
    "7z": b"7z\xbc\xaf\x27\x1c", "mp3": b"ID3", "mp3-bare": b"\xff\xfb", "mpeg": b"\x00\x00\x01\xba",
    "sh": b"#!/bin/sh\n", "csh": b"#! /bin/csh -f\n", "bash": b"#!/usr/bin/env -S bash\n",
}  # fmt: skip
BARE = both(without("location", "frameworkVersion"), manifest(requirementsOnly=True), text("requirements.json", "{}"))
PAGE = f"{PUBLIC_URL}/sidebar"
MARKETING = both(BARE, manifest(requirementsOnly=False, marketingOnly=True, private=False), gone("requirements.json"))

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
    ("framework-version", "of-marketing", "manifest.json", both(MARKETING, manifest(frameworkVersion="2.0"))),
    ("framework-version", "a-number", "manifest.json", manifest(frameworkVersion=2.0)),
    ("manifest-booleans", "private-null", "manifest.json", manifest(private=None)),
    *(("manifest-booleans", f"{key}-{value}", "manifest.json", manifest(**{key: value}))
      for key in ("requirementsOnly", "marketingOnly", "singleInstall", "signedUrls", "private")
      for value in ("yes", 0)),
    *(("manifest-strings", f"{key}-number", "manifest.json", manifest(**{key: 1}))
      for key in (
          "defaultLocale", "version", "frameworkVersion", "remoteInstallationURL", "termsConditionsURL", "gaID",
      )),
    ("manifest-strings", "author-a-text", "manifest.json", manifest(author="ACME")),
    *(("manifest-strings", f"author-{key}-number", "manifest.json", manifest(author={key: 1}))
      for key in ("name", "email", "url")),
    ("manifest-shapes", "experiments-list", "manifest.json", manifest(experiments=[])),
    ("manifest-shapes", "domains-text", "manifest.json", manifest(domainWhitelist="acme.com")),
    ("manifest-shapes", "domains-numbers", "manifest.json", manifest(domainWhitelist=[1])),
    ("manifest-shapes", "no-template", "manifest.json", manifest(noTemplate=["nav_bar"])),
    *(("manifest-shapes", f"no-template-{value}", "manifest.json", manifest(noTemplate=value))
      for value in (True, 0, "")),
    ("manifest-urls", "author-without-scheme", "manifest.json", manifest(author={"url": "zis.example.com"})),
    ("manifest-urls", "terms-without-host", "manifest.json", manifest(termsConditionsURL="https://")),
    ("manifest-urls", "terms-malformed", "manifest.json", manifest(termsConditionsURL="https://[")),
    ("manifest-urls", "terms-by-ftp", "manifest.json", manifest(termsConditionsURL="ftp://acme.example")),
    ("manifest-urls", "author-not-ascii", "manifest.json", manifest(author={"url": "https://zürich.example"})),
    ("manifest-urls", "author-stray-percent", "manifest.json", manifest(author={"url": "https://acme.example/5%"})),
    ("experiments", "unknown", "manifest.json", manifest(experiments={"hashParams": True, "turbo": True})),
    ("experiments", "switched-on-by-zero", "manifest.json", manifest(experiments={"turbo": 0})),
    ("default-locale", "malformed", "manifest.json", manifest(defaultLocale="english")),
    ("default-locale", "without-its-file", "translations/nl.json", manifest(defaultLocale="nl")),
    ("oauth", "keys-missing", "manifest.json", both(manifest(oauth={"client_id": "a"}), OAUTH_PARAMETER)),
    *(("oauth", f"no-{key}", "manifest.json", both(manifest(oauth={**OAUTH, key: ""}), OAUTH_PARAMETER))
      for key in OAUTH),
    ("oauth", "a-number", "manifest.json", both(manifest(oauth={**OAUTH, "client_id": 7}), OAUTH_PARAMETER)),
    ("oauth", "parameter-missing", "manifest.json", manifest(oauth=OAUTH)),
    ("marketing-only", "private", "manifest.json", both(MARKETING, manifest(private=True))),
    ("marketing-only", "with-parameters", "manifest.json",
     both(MARKETING, parameters({"name": "a"}))),
    ("placeholder", "left-in-the-author", "manifest.json", manifest(author={"name": "{{author}}"})),
    ("placeholder", "left-in-a-list", "manifest.json", manifest(domainWhitelist=["{{host}}"])),
    ("signed-urls", "missing", "manifest.json", without("signedUrls")),
    ("location-present", "missing", "manifest.json", without("location")),
    ("location-present", "empty-product", "manifest.json", location({"support": {}})),
    ("location-present", "of-requirements", "manifest.json", both(BARE, location({"support": {"modal": PAGE}}))),
    ("location-present", "of-marketing", "manifest.json", both(MARKETING, location({"support": {"modal": PAGE}}))),
    ("location-form", "a-list", "manifest.json", location(["nav_bar"])),
    ("location-form", "a-text", "manifest.json", location("nav_bar")),
    ("location-form", "product-a-text", "manifest.json", location({"support": "nav_bar"})),
    ("location-form", "place-a-number", "manifest.json", location({"support": {"modal": 1}})),
    ("location-product", "unknown", "manifest.json", location({"guide": {"modal": PAGE}})),
    ("location-product", "without-places", "manifest.json", location({"support": {"modal": PAGE}, "guide": {}})),
    ("location-name", "unknown", "manifest.json", location({"support": {"basement": PAGE}})),
    ("location-name", "of-another-product", "manifest.json", location({"support": {"chat_sidebar": PAGE}})),
    ("location-name", "behind-a-flag", "manifest.json", location({"support": {"custom_object_record_sidebar": PAGE}})),
    ("location-url-present", "empty", "manifest.json", ticket_sidebar(url="")),
    ("location-url-present", "missing", "manifest.json", location({"support": {"modal": {"flexible": True}}})),
    ("location-url-present", "loading-by-zero", "manifest.json", ticket_sidebar(url="", autoLoad=0)),
    ("location-url-present", "a-number", "manifest.json", ticket_sidebar(url=7)),
    ("location-url", "http", "manifest.json", ticket_sidebar(url="http://zis.example.com/sidebar")),
    ("location-url", "loopback-by-number", "manifest.json", ticket_sidebar(url="http://127.0.0.1:9001/sidebar")),
    ("location-url", "https-without-host", "manifest.json", ticket_sidebar(url="https:///sidebar")),
    ("location-url", "malformed", "manifest.json", ticket_sidebar(url="https://[/sidebar")),
    ("location-url", "localhost-in-capitals", "manifest.json", ticket_sidebar(url="http://LOCALHOST:9001/sidebar")),
    ("location-url", "host-like-localhost", "manifest.json", ticket_sidebar(url="http://localhost.acme.example/")),
    ("location-url", "localhost-as-user", "manifest.json", ticket_sidebar(url="http://localhost@acme.example/")),
    ("location-url", "not-ascii", "manifest.json", ticket_sidebar(url="https://zürich.example/sidebar")),
    ("location-url", "port-no-number", "manifest.json", ticket_sidebar(url="https://zis.example.com:80x/sidebar")),
    ("location-url", "host-no-address", "manifest.json", ticket_sidebar(url="https://[1:2]/sidebar")),
    ("location-url", "script", "manifest.json", ticket_sidebar(url="javascript:alert(1)")),
    ("location-url", "without-scheme", "manifest.json", ticket_sidebar(url="//zis.example.com/sidebar")),
    ("location-url", "of-framework-1", "manifest.json", ticket_sidebar(url="_legacy")),
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
    ("parameter-type", "empty", "manifest.json", parameters({"name": "a", "type": ""})),
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
    ("translation-file-name", "underscore", "translations/pt_br.json", text("translations/pt_br.json", "{}")),
    ("translation-file-name", "capitals", "translations/EN.json", text("translations/EN.json", "{}")),
    ("translation-file-name", "in-a-folder", "translations/old/fr.json", text("translations/old/fr.json", "{}")),
    ("translation-json", "broken", GERMAN, text(GERMAN, "{")),
    ("translation-json", "latin-1", GERMAN, text(GERMAN, '{"a": "ä"}'.encode("latin-1"))),
    ("translation-json", "a-list", GERMAN, text(GERMAN, "[]")),
    ("translation-json", "key-twice", GERMAN, text(GERMAN, '{"app": {}, "app": {}}')),
    ("translation-labels", "missing", GERMAN,
     text(GERMAN, '{"app": {"parameters": {"a": {"helpText": "b"}}}}')),
    ("translation-labels", "no-object", GERMAN, text(GERMAN, '{"app": {"parameters": 1}}')),
    ("translation-labels", "zero", GERMAN, text(GERMAN, '{"app": {"parameters": 0}}')),
    ("translation-titles", "a-bare-text", GERMAN, text(GERMAN, '{"app": {"package": "zis", "name": "ZIS"}}')),
    ("translation-titles", "beside-app", GERMAN, text(GERMAN, '{"app": {"package": "zis"}, "b": {"title": "c"}}')),
    ("translation-default-name", "missing", GERMAN,
     both(manifest(defaultLocale="de"), text(GERMAN, '{"app": {}}'))),
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
    *(("icons", f"{product}-{name}", f"assets/icon_{name}.svg",
       both(location({product: {name: PAGE}}), gone(NAV_ICON)))
      for product, names in ICON_PLACES.items() for name in names),
    ("svg-readable", "no-xml", NAV_ICON, text(NAV_ICON, "<svg")),
    ("svg-readable", "empty", NAV_ICON, text(NAV_ICON, "")),
    ("svg-readable", "html", NAV_ICON, text(NAV_ICON, "<html/>")),
    ("svg-readable", "document-type", NAV_ICON, text(NAV_ICON, "<!DOCTYPE svg>" + svg(BOX))),
    ("svg-readable", "unknown-encoding", NAV_ICON,
     text(NAV_ICON, '<?xml version="1.0" encoding="x-none"?>' + svg(BOX))),
    ("svg-square", "wide", NAV_ICON, text(NAV_ICON, svg(BOX, 'viewBox="0 0 52 26"'))),
    ("svg-square", "drawn-wide", NAV_ICON, text(NAV_ICON, svg(BOX, 'viewBox="0 0 26 26" width="26" height="13"'))),
    ("svg-square", "without-a-box", "assets/logo.svg", text("assets/logo.svg", svg(BOX, ""))),
    ("svg-square", "wide-symbol", NAV_ICON,
     text(NAV_ICON, svg('<symbol id="default" viewBox="0 0 18 9"><path d="M0 0"/></symbol>', ""))),
    ("svg-no-bitmap", "image", NAV_ICON, text(NAV_ICON, svg('<image href="a.png"/>'))),
    ("banner", "wrong-size", "assets/banner.png", text("assets/banner.png", png(830, 201))),
    ("banner", "no-png", "assets/banner.png", text("assets/banner.png", "GIF89a")),
    ("no-symlinks", "file", "assets/link.svg", lambda folder: (folder / "assets/link.svg").symlink_to("logo.svg")),
    ("no-symlinks", "hidden", ".link", lambda folder: (folder / ".link").symlink_to("assets")),
    ("no-symlinks", "to-nothing", "gone.json", lambda folder: (folder / "gone.json").symlink_to("nowhere")),
    ("file-names", "not-ascii", "'assets/\\xe4.png'", text("assets/ä.png", PNG)),
    ("file-names", "a-line-break", "'assets/Icon\\r'", text("assets/Icon\r", "")),
    ("file-names", "backslash", "'assets\\\\a.png'", text("assets\\a.png", PNG)),
    *(("file-types", f"ending-{kind}", f"assets/a.{kind}", text(f"assets/a.{kind}", "plain"))
      for kind in (
          "rar", "zip", "gzip", "pdf", "doc", "docx", "avi", "bin", "bz", "bz2", "csh", "sh", "jar", "mp3", "mpeg",
          "odt", "pptx", "ppt", "xls", "xlsx", "7z", "SH",
      )),
    *(("file-types", f"content-{kind}", "assets/a.dat", text("assets/a.dat", start + b" rest"))
      for kind, start in BEGINNINGS.items()),
    ("file-placeholder", "in-a-page", "assets/a.html", text("assets/a.html", "<a href='{{public_url}}'>")),
    ("file-placeholder", "in-a-language", GERMAN, text(GERMAN, '{"app": {"name": "{{public_url}}"}}')),
    ("no-sources", "script", "lib/a.js", both(BARE, text("lib/a.js", "1"))),
    ("no-sources", "style", "app.css", both(BARE, text("app.css", "a{}"))),
    ("no-sources", "of-marketing", "assets/a.js", both(MARKETING, text("assets/a.js", "1"))),
    ("no-sources", "template", "templates/a.hdbs", both(BARE, text("templates/a.hdbs", "a"))),
    ("requirements", "missing", "requirements.json", both(BARE, gone("requirements.json"))),
    ("requirements", "broken", "requirements.json", text("requirements.json", "{")),
    ("requirements", "a-list", "requirements.json", text("requirements.json", "[]")),
    ("requirements", "key-twice", "requirements.json", text("requirements.json", '{"a": 1, "a": 2}')),
    ("package-size", "over-2-MB", "assets/film.svg",
     text("assets/film.svg", svg('<path d="' + "M0 0" * 500_000 + '"/>'))),
]  # fmt: skip

WARNED: list[tuple[str, str, str, Break]] = [
    *(("manifest-no-effect", key, "manifest.json", manifest(**{key: "a"}))
      for key in ("hideInstallerFields", "flexible_height")),
    ("location-in-reach", "localhost", "manifest.json", ticket_sidebar(url="http://localhost:9001/sidebar")),
    ("location-in-reach", "loopback-by-https", "manifest.json", ticket_sidebar(url="https://[::1]:9001/sidebar")),
    ("location-in-reach", "stand-in", "manifest.json", ticket_sidebar(url="https://YOUR-SERVICE/sidebar")),
    ("parameter-default", "secure", "manifest.json", parameters({**SECURE, "default": "a"})),
    ("parameter-default", "hidden", "manifest.json", parameters({"name": "a", "type": "hidden", "default": None})),
    *(("parameter-secret", word, "manifest.json", parameters({"name": f"my_{word}"}))
      for word in ("token", "api_KEY", "pwd", "Password")),
    ("parameter-unscoped", "no-scopes", "manifest.json", parameters({"name": "code", "secure": True})),
    ("svg-clean", "style", NAV_ICON, text(NAV_ICON, svg("<style>a{}</style>" + BOX))),
    ("svg-clean", "style-attribute", NAV_ICON, text(NAV_ICON, svg('<rect style="fill:red"/>'))),
    ("svg-clean", "comment", NAV_ICON, text(NAV_ICON, svg("<!-- drawn by hand -->" + BOX))),
    ("svg-clean", "instruction", NAV_ICON, text(NAV_ICON, svg("<?a b?>" + BOX))),
    ("svg-clean", "event", NAV_ICON, text(NAV_ICON, svg('<rect onclick="a()"/>'))),
    ("svg-clean", "empty-attribute", NAV_ICON, text(NAV_ICON, svg('<rect fill=""/>'))),
    ("svg-clean", "of-a-drawing-program", NAV_ICON,
     text(NAV_ICON, svg('<sodipodi:namedview xmlns:sodipodi="http://sodipodi.sourceforge.net"/>' + BOX))),
    ("no-http", "script", "assets/a.js", text("assets/a.js", 'fetch("http://acme.example")')),
    ("no-http", "page", "assets/a.html", text("assets/a.html", "<img src=http://acme.example/a.png>")),
    ("no-secrets", "token", GERMAN, text(GERMAN, '{"token": "abcdefgh"}')),
    ("no-secrets", "password", "assets/a.html", text("assets/a.html", "your password here")),
    ("no-secrets", "keyword", "assets/a.js", text("assets/a.js", "const authKey = 1")),
    ("no-secrets", "key-in-xml", "assets/a.xml", text("assets/a.xml", "<a>consumer_" + "key: abcdefgh</a>")),
    ("no-secrets", "private-key", "assets/a.js", text("assets/a.js", "-----BEGIN " + "RSA PRIVATE KEY-----")),
    ("no-secrets", "cloud-key", "assets/a.js", text("assets/a.js", "AKIA" + "0123456789ABCDEF")),
]  # fmt: skip

ALLOWED: dict[str, Break] = {
    "a-location-by-its-address-alone": location({"support": {"nav_bar": PAGE}}),
    "a-location-without-url-that-does-not-load": ticket_sidebar(url="", autoLoad=False),
    "a-location-that-is-a-file": both(ticket_sidebar(url="assets/a.html"), text("assets/a.html", "<p>")),
    "an-address-made-of-a-setting": ticket_sidebar(url="https://{{setting.host}}/sidebar"),
    "parameters": parameters(SECURE, {"name": "a", "type": "checkbox", "default": True}),
    "oauth": both(manifest(oauth=OAUTH), OAUTH_PARAMETER),
    "null-where-it-means-the-default": manifest(singleInstall=None, experiments=None, noTemplate=None, parameters=None),
    "requirements-alone": BARE,
    "marketing-alone": MARKETING,
    "marketing-for-chat": both(MARKETING, location({"chat": {}})),
    "a-banner": text("assets/banner.png", png(1660, 400)),
    "labels": text(GERMAN, '{"app": {"parameters": {"a": {"label": "b"}}}}'),
    "a-language-of-a-country": text("translations/pt-br.json", "{}"),
    "a-language-of-a-continent": text("translations/es-419.json", "{}"),
    "a-file-for-translators": text(
        GERMAN, '{"app": {"package": "zis", "parameters": {"a": {"label": {"title": "b", "value": "c"}}}}}'
    ),
    "a-product-without-places": location({"support": {"ticket_sidebar": PAGE}, "chat": {}}),
    "any-scheme-on-localhost": ticket_sidebar(url="ftp://localhost/sidebar"),
    "an-icon-of-symbols": text(NAV_ICON, svg('<symbol id="default" viewBox="0 0 18 18"><path d="M0 0"/></symbol>', "")),
    "an-xml-declaration": text(NAV_ICON, '<?xml version="1.0" encoding="utf-8"?>' + svg(BOX)),
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
    assert all(" " in one.advice and not one.advice.endswith(".") for one in problems)


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


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 2) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | st.text(), inner, max_size=4),
    max_leaves=20,
)


# Without a limit of time: the machine may be busy.
# Nobody's change is refused for what chance has found elsewhere.
unhurried = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def assert_telling(verdict: Verdict) -> None:
    """Check that each finding is of a rule of its kind, and says where and what to do."""
    for findings, refuses in ((verdict.problems, True), (verdict.warnings, False)):
        assert {one.rule for one in findings} <= {rule.name for rule in RULES if rule.refuses is refuses}
        assert all(one.file and one.advice for one in findings)


@unhurried
@given(st.dictionaries(st.sampled_from(WORDS), ANYTHING), ANYTHING, ANYTHING)
def test_whatever_the_files_say_there_is_a_verdict(says: dict[str, Any], english: object, needs: object) -> None:
    written = {"manifest.json": says, ENGLISH: english, "requirements.json": needs}
    files = {name: json.dumps(content).encode() for name, content in written.items()}

    assert_telling(judge(App({**REAL.files, **files}, (), says)))


@unhurried
@given(st.sampled_from([*REAL.files, "requirements.json", "assets/a.html"]), st.binary())
def test_whatever_a_file_holds_there_is_a_verdict(name: str, content: bytes) -> None:
    assert_telling(judge(App({**REAL.files, name: content}, (), REAL.manifest)))


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
