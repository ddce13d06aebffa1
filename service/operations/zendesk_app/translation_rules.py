"""The app's name and description in the languages it has."""

import re
from collections.abc import Iterator
from typing import Any

from service.operations.zendesk_app.contents import App, DuplicateKey, NotJSON, is_true, parse_json
from service.operations.zendesk_app.location_rules import PRODUCTS
from service.operations.zendesk_app.manifest_rules import LOCALE
from service.operations.zendesk_app.rule import Fault, Rule

ENGLISH = "translations/en.json"
# What an app for the Marketplace has to say as well.
_PUBLIC_KEYS = ("short_description", "long_description", "installation_instructions")


def _files(app: App) -> Iterator[tuple[str, bytes]]:
    for path, content in app.files.items():
        if path.startswith("translations/") and path.endswith(".json"):
            yield path, content


def _catalogues(app: App) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what each file that can be read says."""
    for path, content in _files(app):
        try:
            catalogue = parse_json(content)
        except ValueError:
            continue
        if isinstance(catalogue, dict):
            yield path, catalogue


def _texts(app: App) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the `app` of each file that can be read."""
    for path, catalogue in _catalogues(app):
        texts = catalogue.get("app")
        yield path, texts if isinstance(texts, dict) else {}


def _file_names(app: App) -> Iterator[Fault]:
    for path, _ in _files(app):
        locale = path.removeprefix("translations/").removesuffix(".json")
        if not LOCALE.fullmatch(locale):
            yield Fault(path, "is not named after a language: call it like en.json or pt-br.json")


def _json(app: App) -> Iterator[Fault]:
    for path, content in _files(app):
        try:
            if not isinstance(parse_json(content), dict):
                yield Fault(path, "must be one JSON object")
        except NotJSON as fault:
            yield Fault(path, f"is no JSON ({fault}): mend it there")
        except DuplicateKey as key:
            # Zendesk takes the last one; nobody who writes a text twice means that.
            yield Fault(path, f"holds the key {str(key)!r} twice in one object: remove one")


def _labels(app: App) -> Iterator[Fault]:
    for path, texts in _texts(app):
        named = texts.get("parameters")
        if is_true(named) and not isinstance(named, dict):
            yield Fault(path, "app.parameters must be an object")
        for name, text in named.items() if isinstance(named, dict) else ():
            if not (isinstance(text, dict) and "label" in text):
                yield Fault(path, f"app.parameters.{name} lacks a label: add it")


def _titled(app: App) -> Iterator[Fault]:
    """Yield texts without a title in a file that announces the translators' form by `app.package`."""
    for path, catalogue in _catalogues(app):
        texts = catalogue.get("app")
        if isinstance(texts, dict) and is_true(texts.get("package")):
            others = {key: text for key, text in texts.items() if key != "package"}
            for place in _loose({**catalogue, "app": others}):
                yield Fault(path, f'{place} must be {{"title": …, "value": …}}, or app.package be left out')


def _loose(texts: dict[str, Any], above: str = "") -> Iterator[str]:
    for key, text in texts.items():
        if not isinstance(text, dict):
            yield f"{above}{key}"
        elif not (text.keys() == {"title", "value"} and all(isinstance(one, str) for one in text.values())):
            yield from _loose(text, f"{above}{key}.")


def _english_name(app: App) -> Iterator[Fault]:
    texts = dict(_texts(app)).get(ENGLISH)
    if texts is None:
        return
    wanted = ("name",) if app.manifest.get("private", True) else ("name", *_PUBLIC_KEYS)
    own = [product for product in PRODUCTS if product in texts]
    for product in own:
        if product not in app.products:
            yield Fault(ENGLISH, f"app.{product} is about a product that the manifest does not name: remove it")
    for place, said in [(f"app.{one}", texts[one]) for one in own] or [("app", texts)]:
        keys = {re.sub(r"^description$", "short_description", key) for key in said} if isinstance(said, dict) else set()
        for key in wanted:
            if key not in keys:
                yield Fault(ENGLISH, f"lacks {place}.{key}: add it")


def _default_name(app: App) -> Iterator[Fault]:
    """Yield a fault where the app would have no name; a rule of our own: Zendesk looks into English alone."""
    path = f"translations/{app.manifest.get('defaultLocale')}.json"
    texts = dict(_texts(app)).get(path)
    if texts is not None and path != ENGLISH and "name" not in texts and not texts.keys() & PRODUCTS.keys():
        yield Fault(path, "lacks app.name, and it is the manifest's defaultLocale: add it")


TRANSLATION_RULES = (
    Rule("translation-file-name", _file_names),
    Rule("translation-json", _json),
    Rule("translation-labels", _labels),
    Rule("translation-titles", _titled),
    Rule("translation-name", _english_name),
    Rule("translation-default-name", _default_name),
)
