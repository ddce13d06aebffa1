"""app.json, with which a platform's button deploys: what it asks for is what the service reads."""

import json
import secrets
from typing import Any

import pytest

from service.app import create_app
from service.ground.settings import PLACEHOLDER, VARIABLES, Settings
from tests.operations.console import run
from tests.workers import ROOT

APP: dict[str, Any] = json.loads((ROOT / "app.json").read_text())
# devcenter.heroku.com/articles/app-json-schema, 2026-11
MEMBERS = {
    "name", "description", "keywords", "website", "repository", "logo", "success_url", "env", "formation", "addons",
    "buildpacks", "stack", "scripts", "environments", "image",
}  # fmt: skip
# The add-on sets the first; the others are for other places than this platform.
NOT_ASKED = {"REDIS_URL", "REDIS_TLS_CA", "ZENDESK_URL_TEMPLATE", "TRUSTED_PROXIES", "RATE_LIMITS"}


def first_environment(redis_url: str) -> dict[str, str]:
    """Return what the first start sees, when only the required questions were answered."""
    filled = {name: one["value"] for name, one in APP["env"].items() if "value" in one}
    generated = {name: secrets.token_hex(32) for name, one in APP["env"].items() if one.get("generator") == "secret"}
    answered = {"ZENDESK_SUBDOMAINS": "acme", "ZIS_INTEGRATIONS": "acme_orders"}
    assert answered.keys() == {name for name, one in APP["env"].items() if one.get("required") is True}
    return {**filled, **generated, **answered, "REDIS_URL": redis_url}


def test_the_file_has_the_schemas_members_and_lengths() -> None:
    assert APP.keys() <= MEMBERS
    assert len(APP["name"]) <= 30
    for name, one in APP["env"].items():
        assert one.keys() <= {"description", "value", "required", "generator"}, name
        assert one["description"].endswith("."), name
        # Each has a value, makes one, or says whether it has to be given.
        assert len(one.keys() & {"value", "required", "generator"}) == 1, name


def test_every_variable_of_the_service_is_described() -> None:
    assert APP["env"].keys() == {variable.name for variable in VARIABLES} - NOT_ASKED


def test_no_secret_has_a_value_and_the_key_is_made_anew() -> None:
    assert APP["env"]["SECRET_KEYS"]["generator"] == "secret"
    assert APP["env"]["ZENDESK_CLIENT_SECRET"]["value"] == PLACEHOLDER


def test_the_values_are_the_services_own_defaults() -> None:
    defaults = {variable.name: variable.default for variable in VARIABLES if variable.default is not None}
    for name, one in APP["env"].items():
        if name in defaults and name != "REDIS_TLS_VERIFY":
            assert one.get("value") == defaults[name], name


def test_the_first_start_works_and_its_page_says_what_comes_next(redis_url: str) -> None:
    app = create_app(Settings.from_env(first_environment(redis_url)))
    page = app.test_client().get("/", base_url="http://fierce-otter-1.example.com").text

    assert "PUBLIC_URL=https://fierce-otter-1.example.com" in page
    assert page.count('aria-current="step"') == 1
    assert page.index('aria-current="step"') < page.index("Set the public address")
    assert "Set ZENDESK_CLIENT_ID to its identifier" in page
    # What is copied from the page before that would be wrong.
    assert f"{PLACEHOLDER}.invalid/oauth/callback" not in page
    assert f"--public-url https://{PLACEHOLDER}" not in page


@pytest.mark.parametrize(
    "answered", [{}, {"PUBLIC_URL": "https://fierce-otter-1.example.com"}, {"ZENDESK_CLIENT_ID": "job_specs"}]
)
def test_nobody_is_sent_to_zendesk_before_address_and_client_are_set(redis_url: str, answered: dict[str, str]) -> None:
    app = create_app(Settings.from_env(first_environment(redis_url) | answered))
    reply = app.test_client().get("/?account=acme")

    assert reply.status_code == 400
    assert "first take the steps below" in reply.text


def test_doctor_says_what_the_button_left_open(redis_url: str) -> None:
    app = create_app(Settings.from_env(first_environment(redis_url)))
    warned = [one["check"] for one in run(app, "doctor", "--json").json()["checks"] if one["status"] == "warn"]

    assert {"address", "oauth client"} <= set(warned)


def test_with_its_address_set_the_client_is_the_next_step(redis_url: str) -> None:
    environment = first_environment(redis_url) | {"PUBLIC_URL": "https://fierce-otter-1.example.com"}
    page = create_app(Settings.from_env(environment)).test_client().get("/", base_url=environment["PUBLIC_URL"]).text

    before, _, after = page.partition('aria-current="step"')
    assert "Reach the store" in before
    assert after.index("Create the OAuth client in Zendesk") < after.index(
        "https://fierce-otter-1.example.com/oauth/callback"
    )
