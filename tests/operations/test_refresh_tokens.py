"""`refresh-tokens`: the day's round, for a scheduler."""

import pytest

from service.grants.upkeep import Upkeep
from service.ground.errors import ServiceError
from tests.conftest import MakeAdmin
from tests.operations.console import run
from tests.steps import Admin, collaborator
from tests.test_upkeep import ACME, GLOBEX, age, stored


@pytest.fixture
def both(make_admin: MakeAdmin) -> Admin:
    """Acme and globex, connected, both past half of their life."""
    admin = make_admin()
    for account in ("globex", "acme"):
        admin.connect(account)
    age(admin, ACME, 0.6)
    age(admin, GLOBEX, 0.6)
    return admin


def test_every_ageing_account_is_refreshed_and_named(both: Admin) -> None:
    before = stored(both, ACME).refresh_token
    answer = run(both.app, "refresh-tokens")
    assert (answer.status, answer.lines()) == (0, ["acme: refreshed.", "globex: refreshed."])
    assert "2 refreshed, 0 failed." in answer.err
    assert stored(both, ACME).refresh_token != before


def test_it_does_so_whatever_the_running_service_has_done_today(both: Admin) -> None:
    collaborator(both.app, Upkeep).go_round()
    age(both, ACME, 0.6)
    assert run(both.app, "refresh-tokens").lines() == ["acme: refreshed."]


def test_where_none_is_due_it_says_so(admin: Admin) -> None:
    admin.simulator.world.clear_calls()
    answer = run(admin.app, "refresh-tokens")
    assert (answer.status, answer.out) == (0, "")
    assert "No account has less than half" in answer.err
    assert admin.calls() == []
    assert run(admin.app, "refresh-tokens", "--json").json() == {"refreshed": [], "failed": [], "interrupted": False}


def test_one_that_fails_is_explained_and_ends_it_with_1_after_the_others(both: Admin) -> None:
    both.meets({"where": "token", "kind": "http_500_text"})
    answer = run(both.app, "refresh-tokens")
    assert answer.status == 1
    failed, refreshed = answer.lines()
    assert failed.startswith("acme: failed: Zendesk cannot be reached or gave no usable answer.")
    assert failed.endswith("[zendesk_unavailable]")
    assert refreshed == "globex: refreshed."


def test_json_names_both_kinds(both: Admin) -> None:
    both.meets({"where": "token", "kind": "oauth_error", "error": "invalid_grant"})
    answer = run(both.app, "refresh-tokens", "--json")
    assert answer.status == 1
    assert answer.json()["refreshed"] == ["globex"]
    (failed,) = answer.json()["failed"]
    assert (failed["account"], failed["error"]["code"]) == ("acme", "authorization_required")
    assert failed["error"]["authorize_url"].endswith("/oauth/authorize?subdomain=acme")


def test_the_codes_are_the_services_own(both: Admin) -> None:
    both.meets({"where": "token", "kind": "oauth_error", "error": "invalid_client"})
    (failed,) = run(both.app, "refresh-tokens", "--json").json()["failed"]
    assert failed["error"]["code"] in {kind.code for kind in ServiceError.__subclasses__()}
    assert failed["error"]["upstream_detail"] == "A simulated refusal."
