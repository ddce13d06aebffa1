"""Every text the page shows is in every catalogue, and nothing else is; a browser says which plural forms there are."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from service.ground.errors import ServiceError

STATIC = Path(__file__).parents[2] / "service" / "static"
CATALOGUES = {path.stem: json.loads(path.read_text()) for path in (STATIC / "locales").glob("*.json")}
ENGLISH = CATALOGUES["en"]

# Beginnings of keys whose end the service sends; the contract names the values.
OPEN_KEYS = {
    "connection.": {"connected", "not_connected", "reauthorization_required", "unknown", "loading"},
    "filter.which.": {"all", "installed", "not_installed"},
    "readiness.": {"mismatch", "not_registered", "forbidden", "unavailable"},
    "reason.": {
        "grant_revoked",
        "refresh_outcome_unknown",
        "refresh_token_expired",
        "not_refreshable",
        "client_changed",
        "scope_changed",
        "key_missing",
        "admin_lost",
        "account_gone",
    },
    "role.": {"not_connected", "user_unknown", "users_not_readable", "zendesk_unavailable"},
}
# Those that only the page itself knows.
PAGE_CODES = {"network", "unreadable_answer", "session_over"}
# Nothing on this page can cause them.
OTHER_CODES = {"not_found", "method_not_allowed", "payload_too_large", "origin_not_allowed"}


def used_keys() -> set[str]:
    """Return the keys that the scripts name, with the open ones filled."""
    script = "\n".join(path.read_text() for path in STATIC.glob("*.js"))
    keys = set(re.findall(r'"([a-z_]+(?:\.[a-z_]+)+)"', script))
    for beginning, endings in OPEN_KEYS.items():
        assert f"`{beginning}${{" in script, f"no script uses keys that begin with {beginning}"
        keys |= {beginning + ending for ending in endings}
    codes = {kind.code for kind in ServiceError.__subclasses__()} | {"internal_error"}
    for code in (codes | PAGE_CODES) - OTHER_CODES:
        keys |= {f"problem.{code}.title", f"problem.{code}.text"}
    return keys


def forms(text: str | dict[str, str]) -> set[str]:
    return set(text) if isinstance(text, dict) else set()


def placeholders(text: str | dict[str, str]) -> set[str]:
    """Return the names of a text's placeholders, over all plural forms."""
    texts = [text] if isinstance(text, str) else text.values()
    return {name for one in texts for name in re.findall(r"\{(\w+)\}", one)}


def test_no_key_is_missing() -> None:
    assert used_keys() - ENGLISH.keys() == set()


def test_no_key_is_unused() -> None:
    assert ENGLISH.keys() - used_keys() == set()


@pytest.mark.parametrize("language", sorted(CATALOGUES))
def test_every_language_has_the_same_keys_and_placeholders(language: str) -> None:
    catalogue: dict[str, Any] = CATALOGUES[language]
    assert catalogue.keys() == ENGLISH.keys()
    for key, text in catalogue.items():
        assert placeholders(text) == placeholders(ENGLISH[key]), key


@pytest.mark.browser
def test_every_plural_has_the_forms_of_its_language(chromium: Browser) -> None:
    page = chromium.new_page()
    for language, catalogue in CATALOGUES.items():
        asked = "(tag) => new Intl.PluralRules(tag).resolvedOptions().pluralCategories"
        categories = set(page.evaluate(asked, language))
        found = {key: forms(text) for key, text in catalogue.items() if forms(ENGLISH[key])}
        assert {key: those for key, those in found.items() if those != categories} == {}, language
    page.close()


@pytest.mark.parametrize("language", sorted(CATALOGUES))
def test_nothing_is_a_plural_in_one_language_alone(language: str) -> None:
    plurals = {key for key, text in CATALOGUES[language].items() if forms(text)}
    assert plurals == {key for key, text in ENGLISH.items() if forms(text)}


def test_the_page_knows_which_catalogues_there_are() -> None:
    words = (STATIC / "words.js").read_text()
    named = re.search(r"languages = (\[.*\]);", words)
    assert named is not None
    assert json.loads(named[1]) == sorted(CATALOGUES)


@pytest.mark.parametrize("language", sorted(CATALOGUES))
def test_nobody_is_told_of_environment_variables(language: str) -> None:
    assert [key for key, text in CATALOGUES[language].items() if re.search(r"[A-Z]{2,}_[A-Z]", str(text))] == []


@pytest.mark.parametrize("language", sorted(CATALOGUES))
def test_what_an_errors_heading_says_is_not_said_again_below_it(language: str) -> None:
    texts = CATALOGUES[language]
    codes = {key.split(".")[1] for key in texts if re.fullmatch(r"problem\.\w+\.title", key)}
    below = {key: texts[key] for key in texts if re.fullmatch(r"problem\.\w+\.(text|named)", key)}
    assert codes
    assert [
        key for key in below if texts[f"problem.{key.split('.')[1]}.title"].casefold() in below[key].casefold()
    ] == []
