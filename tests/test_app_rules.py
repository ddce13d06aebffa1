"""Each rule of the app's package with what breaks it; the real app breaks none, and Zendesk's validator agrees."""

import json
import shutil
import struct
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from service.operations.zendesk_app.command import MANIFEST_FOLDER
from service.operations.zendesk_app.contents import read_app
from service.operations.zendesk_app.package import pack
from service.operations.zendesk_app.rules import (
    FILE_RULES,
    LARGEST_PACKAGE_BYTES,
    MANIFEST_RULES,
    READING_RULES,
    WARNING_RULES,
    Verdict,
    judge,
)

PUBLIC_URL = "https://zis.example.com"
PAGE = f"{PUBLIC_URL}/sidebar"
MANIFEST = "manifest.json"
GERMAN = "translations/de.json"
NAV_ICON = "assets/icon_nav_bar.svg"
LOGO = "assets/logo.png"
PNG = (MANIFEST_FOLDER / LOGO).read_bytes()
TEXTS = json.loads((MANIFEST_FOLDER / GERMAN).read_text())["app"]
Break = Callable[[Path], object]

# What Zendesk's validator says of a folder. The app is private: the Marketplace's rules are not for it.
VALIDATE = """
require "json"
require "zendesk_apps_support"
package = ZendeskAppsSupport::Package.new(ARGV[0])
errors = package.validate(marketplace: false)
puts JSON.generate("errors" => errors.map(&:to_s), "warnings" => package.warnings.map(&:to_s))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the app's files."""
    return shutil.copytree(MANIFEST_FOLDER, tmp_path / "manifest")


def verdict_of(folder: Path, public_url: str = PUBLIC_URL) -> Verdict:
    return judge(read_app(folder, public_url))


def edit(name: str, change: Callable[[dict[str, Any]], object]) -> Break:
    def apply(folder: Path) -> None:
        document = json.loads((folder / name).read_text())
        change(document)
        (folder / name).write_text(json.dumps(document))

    return apply


def manifest(**values: Any) -> Break:
    return edit(MANIFEST, lambda document: document.update(values))


def ticket_sidebar(**options: Any) -> Break:
    return edit(MANIFEST, lambda document: document["location"]["support"]["ticket_sidebar"].update(options))


def german(**texts: Any) -> Break:
    return edit(GERMAN, lambda document: document["app"].update(texts))


def content(name: str, text: str | bytes) -> Break:
    raw = text.encode() if isinstance(text, str) else text

    def apply(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(raw)

    return apply


def gone(name: str) -> Break:
    return lambda folder: (folder / name).unlink()


def link(name: str, to: str) -> Break:
    return lambda folder: (folder / name).symlink_to(to)


def png(width: int, height: int) -> bytes:
    return PNG[:16] + struct.pack(">II", width, height) + PNG[24:]


REFUSED: list[tuple[str, str, str, Break]] = [
    ("manifest-present", "missing", MANIFEST, gone(MANIFEST)),
    ("manifest-json", "broken", MANIFEST, content(MANIFEST, "{")),
    ("manifest-json", "byte-order-mark", MANIFEST, content(MANIFEST, "\ufeff{}")),
    ("manifest-json", "nan", MANIFEST, content(MANIFEST, '{"a": NaN}')),
    ("manifest-json", "a-list", MANIFEST, content(MANIFEST, "[]")),
    ("manifest-json", "too-deep", MANIFEST, content(MANIFEST, "[" * 200_000)),
    ("manifest-json", "key-twice", MANIFEST, content(MANIFEST, '{"a": {"b": 1, "b": 1}}')),
    *(("manifest-required", key, MANIFEST, manifest(**{key: None}))
      for key in ("author", "defaultLocale", "location", "frameworkVersion")),
    ("manifest-required", "framework-version-a-number", MANIFEST, manifest(frameworkVersion=2.0)),
    ("manifest-required", "locale-without-its-file", "translations/nl.json", manifest(defaultLocale="nl")),
    ("signed-urls", "missing", MANIFEST, manifest(signedUrls=None)),
    ("signed-urls", "off-for-a-location", MANIFEST, ticket_sidebar(signed=False)),
    ("location-url", "http", MANIFEST, ticket_sidebar(url="http://zis.example.com/sidebar")),
    ("location-url", "of-another-service", MANIFEST, ticket_sidebar(url="https://zis.example.com.evil/sidebar")),
    ("location-url", "missing", MANIFEST, ticket_sidebar(url=None)),
    ("location-url", "by-its-address-alone", MANIFEST, manifest(location={"support": {"modal": "/sidebar"}})),
    ("location-url", "a-number", MANIFEST, manifest(location={"support": {"modal": 1}})),
    ("location-url", "a-list", MANIFEST, manifest(location=["nav_bar"])),
    ("location-url", "product-a-text", MANIFEST, manifest(location={"support": PAGE})),
    ("location-url", "product-without-places", MANIFEST, manifest(location={"support": {}})),
    ("location-url", "of-another-product", MANIFEST, manifest(location={"chat": {"chat_sidebar": PAGE}})),
    ("placeholder", "in-the-manifest", MANIFEST, manifest(author={"name": "{{author}}"})),
    ("placeholder", "in-a-language", GERMAN, german(name="{{public_url}}")),
    ("placeholder", "in-an-image", NAV_ICON, content(NAV_ICON, "<svg href='{{public_url")),
    ("translations", "broken", GERMAN, content(GERMAN, "{")),
    ("translations", "latin-1", GERMAN, content(GERMAN, '{"a": "ä"}'.encode("latin-1"))),
    ("translations", "a-list", GERMAN, content(GERMAN, "[]")),
    ("translations", "key-twice", GERMAN, content(GERMAN, '{"app": {}, "app": {}}')),
    ("translations", "without-app", GERMAN, content(GERMAN, '{"app": "ZIS"}')),
    ("translations", "without-a-name", GERMAN, german(name=None)),
    ("translations", "an-empty-text", GERMAN, german(long_description=" ")),
    ("translations", "a-text-that-english-lacks", GERMAN, german(title="ZIS")),
    ("translations", "a-text-that-only-english-has", GERMAN,
     edit("translations/en.json", lambda document: document["app"].update(title="ZIS"))),
    ("logos", "missing", LOGO, gone(LOGO)),
    ("logos", "small-missing", "assets/logo-small.png", gone("assets/logo-small.png")),
    ("logos", "drawing-missing", "assets/logo.svg", gone("assets/logo.svg")),
    ("logos", "wrong-size", LOGO, content(LOGO, png(320, 128))),
    ("logos", "no-png", LOGO, content(LOGO, "GIF89a")),
    ("logos", "cut-off", LOGO, content(LOGO, PNG[:-30])),
    ("logos", "icon-missing", NAV_ICON, gone(NAV_ICON)),
    ("logos", "icon-of-another-place-missing", "assets/icon_top_bar.svg",
     manifest(location={"support": {"top_bar": {"url": PAGE}}})),
    ("logos", "icon-wide", NAV_ICON, content(NAV_ICON, '<svg viewBox="0 0 52 26"></svg>')),
    ("logos", "icon-cut-off", NAV_ICON, content(NAV_ICON, '<svg viewBox="0 0 30 30"><path d="')),
    ("no-symlinks", "file", "assets/link.svg", link("assets/link.svg", "logo.svg")),
    ("no-symlinks", "to-nothing", "gone.json", link("gone.json", "nowhere")),
    ("file-types", "a-page", "assets/a.html", content("assets/a.html", "<p>")),
    ("file-types", "an-archive", "assets/a.zip", content("assets/a.zip", b"PK\x03\x04")),
    ("file-types", "no-suffix", "README", content("README", "")),
    ("file-types", "elsewhere", "inner/manifest.json", content("inner/manifest.json", "{}")),
    ("file-types", "no-language", "translations/pt_br.json", content("translations/pt_br.json", "{}")),
    ("file-types", "not-ascii", r"'assets/\xe4.png'", content("assets/ä.png", PNG)),
    ("file-types", "a-line-break", r"'assets/icon\r.png'", content("assets/icon\r.png", PNG)),
    ("file-types", "backslash", r"assets\a.png", content(r"assets\a.png", PNG)),
    ("package-size", "over-2-MB", "assets/film.png", content("assets/film.png", bytes(LARGEST_PACKAGE_BYTES))),
]  # fmt: skip

ALLOWED: dict[str, Break] = {
    "a-location-by-its-address-alone": manifest(location={"support": {"ticket_sidebar": PAGE}}),
    "a-language-of-a-continent": lambda folder: shutil.copy(folder / GERMAN, folder / "translations/es-419.json"),
    "a-default-language-that-is-not-english": lambda folder: [
        manifest(defaultLocale="de")(folder), gone("translations/en.json")(folder),
    ],
    "one-more-image": content("assets/screenshot-1.png", PNG),
    "hidden-files-and-tmp": lambda folder: [content(name, "")(folder) for name in (".DS_Store", "tmp/app.zip")],
}  # fmt: skip


def test_the_real_app_passes_every_rule() -> None:
    assert verdict_of(MANIFEST_FOLDER) == Verdict((), ())


@pytest.mark.parametrize(
    ("rule", "file", "break_it"),
    [pytest.param(rule, file, break_it, id=f"{rule}-{why}") for rule, why, file, break_it in REFUSED],
)
def test_a_broken_app_is_refused_naming_rule_and_file(folder: Path, rule: str, file: str, break_it: Break) -> None:
    break_it(folder)

    problems = verdict_of(folder).problems

    assert (rule, file) in {(one.rule, one.file) for one in problems}
    assert all(" " in one.advice and not one.advice.endswith(".") for one in problems)


@pytest.mark.parametrize("change", ALLOWED.values(), ids=ALLOWED)
def test_what_breaks_no_rule_is_not_refused(folder: Path, change: Break) -> None:
    change(folder)

    assert verdict_of(folder).problems == ()


ODD = [None, True, 0, 1.5, "", "a", [], [None], {}, {"a": None}]


@pytest.mark.parametrize("odd", ODD, ids=json.dumps)
def test_whatever_stands_in_the_place_of_a_location_or_text_is_refused(odd: object) -> None:
    real = read_app(MANIFEST_FOLDER, PUBLIC_URL)
    for location in (odd, {"support": odd}, {"support": {"nav_bar": odd}}, {"support": {"nav_bar": {"url": odd}}}):
        assert judge(replace(real, manifest={**real.manifest, "location": location})).problems, location
    # A text may be any that says something.
    for texts in (odd, {"app": odd}, *([] if odd == "a" else [{"app": {**TEXTS, "name": odd}}])):
        files = {**real.files, GERMAN: json.dumps(texts).encode()}
        assert judge(replace(real, files=files)).problems, texts


@pytest.mark.parametrize("odd", ODD, ids=json.dumps)
def test_whatever_a_member_of_the_manifest_is_there_is_a_verdict(odd: object) -> None:
    real = read_app(MANIFEST_FOLDER, PUBLIC_URL)
    for member in real.manifest:
        assert judge(replace(real, manifest={**real.manifest, member: odd})).warnings == ()


def test_every_rule_has_a_failing_example() -> None:
    assert {*READING_RULES, *MANIFEST_RULES, *FILE_RULES} == {case[0] for case in REFUSED}
    assert list(WARNING_RULES) == ["location-in-reach"]


@pytest.mark.parametrize("url", ["http://localhost:9001", "https://127.0.0.1", "https://zis.example.com:8443"])
def test_addresses_that_zendesk_takes(url: str) -> None:
    assert verdict_of(MANIFEST_FOLDER, url).problems == ()


@pytest.mark.parametrize("url", ["http://localhost:9001", "https://127.0.0.1:9001", "https://your-service"])
def test_an_address_out_of_agents_reach_is_a_warning(url: str) -> None:
    verdict = verdict_of(MANIFEST_FOLDER, url)

    assert verdict.problems == ()
    assert [(one.rule, one.file) for one in verdict.warnings] == [("location-in-reach", MANIFEST)]


def test_http_on_127_0_0_1_is_refused_and_told_to_use_localhost() -> None:
    (problem,) = verdict_of(MANIFEST_FOLDER, "http://127.0.0.1:9001").problems

    assert problem.rule == "location-url"
    assert "http://localhost" in problem.advice


def test_an_unreadable_manifest_does_not_hide_a_missing_logo(folder: Path) -> None:
    content(MANIFEST, "{")(folder)
    gone(LOGO)(folder)

    assert [one.rule for one in verdict_of(folder).problems] == ["manifest-json", "logos"]


@pytest.mark.processes
def test_zendesks_own_validator_takes_the_package(tmp_path: Path) -> None:
    ruby = shutil.which("ruby")
    if ruby is None:
        pytest.skip("Zendesk's validator needs Ruby, which is not installed")
    if subprocess.run([ruby, "-e", 'require "zendesk_apps_support"'], capture_output=True, check=False).returncode:  # noqa: S603 - found on PATH
        pytest.skip("Zendesk's validator, the gem zendesk_apps_support, is not installed")
    with zipfile.ZipFile(BytesIO(pack(read_app(MANIFEST_FOLDER, PUBLIC_URL)))) as package:
        package.extractall(tmp_path)

    ran = subprocess.run(  # noqa: S603 - found on PATH
        [ruby, "-e", VALIDATE, str(tmp_path)], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {"errors": [], "warnings": []}
