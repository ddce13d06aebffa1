"""What has to be in manifest.json.

Source of this and the other rules: github.com/zendesk/zendesk_apps_support at f3de3c7 (4.52.0, 2026-08),
lib/zendesk_apps_support/validations/. Rules of our own say so.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from service.operations.zendesk_app.addresses import parse_address
from service.operations.zendesk_app.contents import (
    MANIFEST,
    PLACEHOLDER,
    App,
    DuplicateKey,
    NotJSON,
    is_true,
    parse_json,
)
from service.operations.zendesk_app.rule import Fault, Rule

FRAMEWORK_VERSION = "2.0"
LOCALE = re.compile(r"[a-z]{2,3}(-\w{2,3})?", re.ASCII)
_BOOLEANS = ("requirementsOnly", "marketingOnly", "singleInstall", "signedUrls", "private")
_STRINGS = ("defaultLocale", "version", "frameworkVersion", "remoteInstallationURL", "termsConditionsURL", "gaID")
_OAUTH_KEYS = ("client_id", "client_secret", "authorize_uri", "access_token_uri")
_EXPERIMENTS = ("hashParams", "newCssCompiler")
_WITHOUT_EFFECT = ("hideInstallerFields", "flexible_height")


def _present(app: App) -> Iterator[Fault]:
    if MANIFEST in app.files:
        return
    nested = [path for path in app.files if re.fullmatch(rf"[^/]+/{re.escape(MANIFEST)}", path)]
    if nested:
        yield Fault(nested[0], f"{MANIFEST} is in a subfolder: move it to the top")
    else:
        yield Fault(MANIFEST, "is missing: restore the folder manifest/ of this repository")


def _json(app: App) -> Iterator[Fault]:
    try:
        manifest = parse_json(app.files.get(MANIFEST, b"{}"))
    except NotJSON as fault:
        yield Fault(MANIFEST, f"is no JSON ({fault}): mend it there")
    except DuplicateKey:
        return
    else:
        if not isinstance(manifest, dict):
            yield Fault(MANIFEST, "must be one JSON object")


def _no_duplicates(app: App) -> Iterator[Fault]:
    try:
        parse_json(app.files.get(MANIFEST, b"{}"))
    except DuplicateKey as key:
        yield Fault(MANIFEST, f"holds the key {str(key)!r} twice in one object: remove one")
    except NotJSON:
        return


def _required(app: App) -> Iterator[Fault]:
    for key in ("author", "defaultLocale"):
        if app.manifest.get(key) is None:
            yield Fault(MANIFEST, f"lacks {key!r}: add it")


def _framework_version(app: App) -> Iterator[Fault]:
    version = app.manifest.get("frameworkVersion")
    if not app.has_pages:
        if version is not None:
            yield Fault(MANIFEST, "an app without pages must not have a frameworkVersion: remove it")
    elif version != FRAMEWORK_VERSION:
        yield Fault(MANIFEST, f'frameworkVersion must be the string "{FRAMEWORK_VERSION}", not {_said(version)}')


def _booleans(app: App) -> Iterator[Fault]:
    for key in _BOOLEANS:
        value = app.manifest.get(key, False)
        # Null counts as left out, but not for `private`.
        if not isinstance(value, bool) and (value is not None or key == "private"):
            yield Fault(MANIFEST, f"{key} must be true or false, not {_said(value)}")


def _strings(app: App) -> Iterator[Fault]:
    for key in _STRINGS:
        if not isinstance(app.manifest.get(key), str | None):
            yield Fault(MANIFEST, f"{key} must be a string")
    author = app.manifest.get("author")
    if author is not None and not isinstance(author, dict):
        yield Fault(MANIFEST, "author must be an object with name, email, url")
    for key in ("name", "email", "url"):
        if not isinstance(_author(app).get(key), str | None):
            yield Fault(MANIFEST, f"author.{key} must be a string")


def _shapes(app: App) -> Iterator[Fault]:
    if not isinstance(app.manifest.get("experiments"), dict | None):
        yield Fault(MANIFEST, "experiments must be an object")
    domains = app.manifest.get("domainWhitelist")
    if domains is not None and not (isinstance(domains, list) and all(isinstance(one, str) for one in domains)):
        yield Fault(MANIFEST, "domainWhitelist must be a list of strings")
    if is_true(app.manifest.get("noTemplate")):
        yield Fault(MANIFEST, "noTemplate is of framework 1: remove it")


def _urls(app: App) -> Iterator[Fault]:
    for key, value in (
        ("termsConditionsURL", app.manifest.get("termsConditionsURL")),
        ("author.url", _author(app).get("url")),
    ):
        address = parse_address(value) if isinstance(value, str) else None
        if isinstance(value, str) and not (address and address.scheme in {"http", "https"} and address.hostname):
            yield Fault(MANIFEST, f"{key} must be an http(s) address with a host, not {_said(value)}")


def _experiments(app: App) -> Iterator[Fault]:
    experiments = app.manifest.get("experiments")
    for name, on in experiments.items() if isinstance(experiments, dict) else ():
        if is_true(on) and name not in _EXPERIMENTS:
            yield Fault(MANIFEST, f"the experiment {name!r} is not allowed: remove it")


def _default_locale(app: App) -> Iterator[Fault]:
    locale = app.manifest.get("defaultLocale")
    if not isinstance(locale, str):
        return
    if not LOCALE.fullmatch(locale):
        yield Fault(MANIFEST, f"defaultLocale {locale!r} is none: write it like en or pt-br")
    elif f"translations/{locale}.json" not in app.files:
        yield Fault(f"translations/{locale}.json", "is missing, but it is the manifest's defaultLocale: add it")


def _oauth(app: App) -> Iterator[Fault]:
    oauth = app.manifest.get("oauth")
    if not is_true(oauth):
        return
    given = oauth if isinstance(oauth, dict) else {}
    missing = [key for key in _OAUTH_KEYS if not (isinstance(given.get(key), str) and given[key])]
    if missing:
        yield Fault(MANIFEST, f"oauth lacks {', '.join(missing)}: add it, or remove oauth, which this app does not use")
    parameters = app.manifest.get("parameters")
    listed = parameters if isinstance(parameters, list) else []
    if not any(isinstance(one, dict) and one.get("type") == "oauth" for one in listed):
        yield Fault(MANIFEST, "oauth needs a parameter of type oauth: add one, or remove oauth")


def _marketing_only(app: App) -> Iterator[Fault]:
    if app.manifest.get("marketingOnly") is not True:
        return
    if app.manifest.get("parameters"):
        yield Fault(MANIFEST, "a marketingOnly app must not have parameters: remove them")
    if app.manifest.get("private", True) is not False:
        yield Fault(MANIFEST, 'a marketingOnly app cannot be private: write "private": false')


def _no_placeholder(app: App) -> Iterator[Fault]:
    for text in _texts(app.manifest):
        for found in re.findall(r"\{\{(?!setting\.)[^}]*\}*", text):
            yield Fault(MANIFEST, f"{found!r} is left in it: {PLACEHOLDER} is the only placeholder that is filled in")


def _signed(app: App) -> Iterator[Fault]:
    """Yield a fault unless requests are signed; a rule of our own: unsigned ones get a refusal for a sidebar."""
    if app.has_pages and app.manifest.get("signedUrls") is not True:
        yield Fault(MANIFEST, 'this service takes signed requests only: write "signedUrls": true')


def _effective(app: App) -> Iterator[Fault]:
    """Yield what Zendesk passes over in silence; a rule of our own."""
    for key in _WITHOUT_EFFECT:
        if key in app.manifest:
            yield Fault(MANIFEST, f"{key} has no effect: remove it")


def _said(value: object) -> str:
    """Return a value as it stands in the file, cut where it is long."""
    return json.dumps(value)[:60]


def _author(app: App) -> dict[str, Any]:
    author = app.manifest.get("author")
    return author if isinstance(author, dict) else {}


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for key, one in value.items():
                yield key
                yield from _texts(one)
        case list():
            for one in value:
                yield from _texts(one)


READING_RULES = (
    Rule("manifest-present", _present),
    Rule("manifest-json", _json),
    Rule("manifest-no-duplicate-keys", _no_duplicates),
)
MANIFEST_RULES = (
    Rule("manifest-required", _required),
    Rule("framework-version", _framework_version),
    Rule("manifest-booleans", _booleans),
    Rule("manifest-strings", _strings),
    Rule("manifest-shapes", _shapes),
    Rule("manifest-urls", _urls),
    Rule("experiments", _experiments),
    Rule("default-locale", _default_locale),
    Rule("oauth", _oauth),
    Rule("marketing-only", _marketing_only),
    Rule("placeholder", _no_placeholder),
    Rule("signed-urls", _signed),
    Rule("manifest-no-effect", _effective, refuses=False),
)
