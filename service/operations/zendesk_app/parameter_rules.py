"""The settings an admin is asked for when installing the app. Ours has none; who adds some is held to the rules."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from service.operations.zendesk_app.contents import MANIFEST, App, is_true
from service.operations.zendesk_app.rule import Fault, Rule

TYPES = ("text", "checkbox", "url", "number", "multiline", "hidden", "oauth")
SCOPES = ("header", "body", "url", "jwt_secret_key", "jwt_claim", "basic_auth_username", "basic_auth_password")
_LIKE_A_SECRET = re.compile("token|key|pwd|password", re.IGNORECASE)


def parameters(app: App) -> list[dict[str, Any]]:
    """Return the parameters, as far as they have the right form."""
    listed = app.manifest.get("parameters")
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def _type(parameter: dict[str, Any]) -> object:
    kind = parameter.get("type")
    return kind if is_true(kind) else "text"


def _label(parameter: dict[str, Any]) -> str:
    return f"the parameter {parameter.get('name')!r}"


def _form(app: App) -> Iterator[Fault]:
    listed = app.manifest.get("parameters")
    if listed is None:
        return
    if not isinstance(listed, list):
        yield Fault(MANIFEST, "parameters must be a list")
    elif not all(isinstance(one, dict) and isinstance(one.get("name"), str) for one in listed):
        yield Fault(MANIFEST, "each of the parameters must be an object with a name")


def _unique(app: App) -> Iterator[Fault]:
    for name, count in Counter(str(one.get("name")) for one in parameters(app)).items():
        if count > 1:
            yield Fault(MANIFEST, f"{count} parameters are called {name!r}: rename all but one")


def _not_name(app: App) -> Iterator[Fault]:
    if any(one.get("name") == "name" for one in parameters(app)):
        yield Fault(MANIFEST, "no parameter may be called 'name': rename it")


def _known_type(app: App) -> Iterator[Fault]:
    for one in parameters(app):
        if _type(one) not in TYPES:
            yield Fault(MANIFEST, f"{_label(one)} has the type {_type(one)!r}: use one of {', '.join(TYPES)}")


def _booleans(app: App) -> Iterator[Fault]:
    for one in parameters(app):
        for key in ("required", "secure"):
            if not isinstance(one.get(key), bool | None):
                yield Fault(MANIFEST, f"{_label(one)}: {key} must be true or false")


def _hidden(app: App) -> Iterator[Fault]:
    for one in parameters(app):
        if _type(one) == "hidden" and one.get("required"):
            yield Fault(MANIFEST, f"{_label(one)} is hidden and required: nobody could fill it in")


def _oauth(app: App) -> Iterator[Fault]:
    found = [one for one in parameters(app) if _type(one) == "oauth"]
    if len(found) > 1:
        yield Fault(MANIFEST, "only one parameter may be of type oauth: remove the others")
    for one in found:
        if one.get("secure"):
            yield Fault(MANIFEST, f"{_label(one)} is of type oauth and cannot be secure")


def _scopes(app: App) -> Iterator[Fault]:
    for one in parameters(app):
        scopes = one.get("scopes")
        if scopes is None:
            continue
        if not one.get("secure"):
            yield Fault(MANIFEST, f'{_label(one)} has scopes without being secure: add "secure": true')
        if not isinstance(scopes, list) or not scopes:
            yield Fault(MANIFEST, f"{_label(one)}: scopes must be a list that is not empty")
        elif wrong := [str(scope) for scope in scopes if scope not in SCOPES]:
            yield Fault(MANIFEST, f"{_label(one)} has the scopes {', '.join(wrong)}: use {', '.join(SCOPES)}")


def _default(app: App) -> Iterator[Fault]:
    for one in parameters(app):
        if "default" in one and (one.get("secure") or _type(one) == "hidden"):
            yield Fault(MANIFEST, f"{_label(one)} is secure or hidden and has a default that anybody can read")


def _secret(app: App) -> Iterator[Fault]:
    for one in parameters(app):
        if _type(one) == "text" and not one.get("secure") and _LIKE_A_SECRET.search(str(one.get("name"))):
            yield Fault(MANIFEST, f'{_label(one)} sounds like a secret: add "secure": true')


def _unscoped(app: App) -> Iterator[Fault]:
    for one in parameters(app):
        if one.get("secure") and not one.get("scopes"):
            yield Fault(MANIFEST, f"{_label(one)} is secure and has no scopes: say where it may be used")


PARAMETER_RULES = (
    Rule("parameter-form", _form),
    Rule("parameter-unique", _unique),
    Rule("parameter-not-name", _not_name),
    Rule("parameter-type", _known_type),
    Rule("parameter-booleans", _booleans),
    Rule("parameter-hidden", _hidden),
    Rule("parameter-oauth", _oauth),
    Rule("parameter-scopes", _scopes),
    Rule("parameter-default", _default, refuses=False),
    Rule("parameter-secret", _secret, refuses=False),
    Rule("parameter-unscoped", _unscoped, refuses=False),
)
