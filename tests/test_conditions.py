"""Whether a grant may be used under today's settings; the rules are in `tests/unit/test_grants.py`."""

from service.app import create_app
from service.grants.conditions import Conditions
from service.ground.settings import Settings
from service.ground.subdomains import Subdomain
from tests.steps import collaborator


def test_a_reason_that_another_release_wrote_is_no_crash(environment: dict[str, str]) -> None:
    conditions = collaborator(create_app(Settings.from_env(environment)), Conditions)
    assert "can no longer be used" in conditions.required(Subdomain("acme"), "of another release").detail
