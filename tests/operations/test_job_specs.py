"""`job-specs`: the API's operations, with an operator's name under them."""

from typing import Any

import pytest

from service.ground.subdomains import Subdomain
from service.store.activity import Activity
from tests.conftest import MakeAdmin, MakeApp
from tests.operations.console import Answer, run
from tests.steps import ORDERS_ONLY, Admin, collaborator
from tests.stored_grants import change_grant

ACME = Subdomain("acme")


def job_specs(admin: Admin, action: str, *arguments: str, account: str = "acme") -> Answer:
    return run(admin.app, "job-specs", action, "--account", account, *arguments)


# --- list ---


def test_list_shows_every_integration_as_zendesk_has_it_now(admin: Admin) -> None:
    admin.job_specs()
    spec = admin.simulator.world.account("acme").integrations["acme_orders"].find("escalate_vip_order")
    assert spec is not None
    spec.installed = True
    answer = job_specs(admin, "list")
    assert answer.status == 0
    rows = [line.split() for line in answer.lines()]
    assert rows[0] == ["INTEGRATION", "JOB", "SPEC", "INSTALLED", "EVENT"]
    assert ["acme_orders", "escalate_vip_order", "yes", "ticket.TicketCreated"] in rows
    assert len(rows) == 1 + 260


def test_json_is_the_apis_answer(admin: Admin) -> None:
    document = job_specs(admin, "list", "--integration", "acme_orders", "--json").json()
    listed = admin.list_fresh("?integration=acme_orders").get_json()
    assert document["job_specs"] == listed["job_specs"]
    assert [part["name"] for part in document["integrations"]] == ["acme_orders"]
    assert document["missing"] == []


def test_list_can_be_asked_for_names_only(admin: Admin) -> None:
    qualified = "zis:acme_orders:job_spec:escalate_vip_order"
    answer = job_specs(admin, "list", "notify_warehouse", qualified, "--json")
    assert answer.status == 0
    assert [(row["integration"], row["name"]) for row in answer.json()["job_specs"]] == [
        ("acme_orders", "escalate_vip_order"),
        ("acme_orders", "notify_warehouse"),
        ("acme_shipping", "notify_warehouse"),
    ]


def test_a_name_that_is_not_listed_ends_with_1(admin: Admin) -> None:
    answer = job_specs(admin, "list", "nothing_of_the_kind", "track_parcel")
    assert answer.status == 1
    assert "nothing_of_the_kind is not listed." in answer.err
    assert len(answer.lines()) == 2
    assert job_specs(admin, "list", "nothing_of_the_kind", "--json").json()["missing"] == ["nothing_of_the_kind"]


def test_an_integration_that_cannot_be_listed_is_explained_and_the_others_are_shown(admin: Admin) -> None:
    admin.simulator.world.account("acme").unregister_integration("acme_archive")
    answer = job_specs(admin, "list")
    assert answer.status == 1
    assert len(answer.lines()) == 1 + 10
    assert "acme_archive could not be listed" in answer.err
    assert "Authorization failed due to integration mismatch [integration_mismatch]" in answer.err


def test_an_old_list_is_no_answer(admin: Admin) -> None:
    admin.job_specs()
    admin.meets({"where": "list", "kind": "http_500_zis"})
    answer = job_specs(admin, "list")
    assert (answer.status, answer.out) == (1, "")
    assert "Code: zendesk_unavailable" in answer.err


def test_an_account_without_job_specs_is_an_empty_answer(make_admin: MakeAdmin) -> None:
    admin = make_admin(**ORDERS_ONLY)
    admin.connect("acme")
    admin.simulator.world.account("acme").integrations["acme_orders"].job_specs.clear()
    answer = job_specs(admin, "list")
    assert (answer.status, answer.out) == (0, "")
    assert job_specs(admin, "list", "--json").json()["job_specs"] == []


# --- install, uninstall ---


def test_install_and_uninstall_are_verified_and_recorded_as_the_operators(admin: Admin) -> None:
    installed = job_specs(admin, "install", "escalate_vip_order")
    assert (installed.status, installed.lines()) == (0, ["zis:acme_orders:job_spec:escalate_vip_order: installed."])
    assert admin.has_installed("acme_orders", "escalate_vip_order")
    uninstalled = job_specs(admin, "uninstall", "zis:acme_orders:job_spec:escalate_vip_order")
    assert uninstalled.lines() == ["zis:acme_orders:job_spec:escalate_vip_order: uninstalled."]
    assert not admin.has_installed("acme_orders", "escalate_vip_order")
    entries = collaborator(admin.app, Activity).latest(ACME)
    assert [(one["action"], one["actor"], one["job_spec"]) for one in entries[:2]] == [
        ("uninstalled", "operator", "escalate_vip_order"),
        ("installed", "operator", "escalate_vip_order"),
    ]
    assert "by=operator" in installed.err


def test_several_names_are_changed_one_after_another(admin: Admin) -> None:
    answer = job_specs(
        admin, "install", "parcel_delayed", "notify_warehouse", "--integration", "acme_shipping", "--json"
    )
    assert answer.status == 0
    changes = answer.json()["changes"]
    assert [(one["name"], one["job_spec"]["installed"], one["verified"], one["error"]) for one in changes] == [
        ("parcel_delayed", True, True, None),
        ("notify_warehouse", True, True, None),
    ]
    assert answer.json()["not_tried"] == []


def test_what_is_wrong_with_one_name_does_not_stop_the_others(admin: Admin) -> None:
    answer = job_specs(admin, "install", "nothing", "zis:acme_orders:flow:a", "notify_warehouse", "parcel_delayed")
    assert answer.status == 1
    assert answer.lines() == ["zis:acme_shipping:job_spec:parcel_delayed: installed."]
    for code in ("job_spec_not_found", "invalid_request", "integration_required"):
        assert f"[{code}]" in answer.err
    assert "Not tried" not in answer.err


def test_what_is_wrong_with_all_of_them_stops_it(admin: Admin) -> None:
    admin.meets({"where": "change", "kind": "http_429", "retry_after": 30})
    answer = job_specs(admin, "install", "escalate_vip_order", "parcel_delayed", "send_return_label", "--json")
    assert answer.status == 1
    assert [one["error"]["code"] for one in answer.json()["changes"]] == ["rate_limited"]
    assert answer.json()["changes"][0]["error"]["retry_after"] == 30
    assert answer.json()["not_tried"] == ["parcel_delayed", "send_return_label"]
    people = job_specs(admin, "install", "escalate_vip_order", "parcel_delayed")
    assert "Not tried: parcel_delayed." in people.err
    assert "Try again in 30 s. [rate_limited]" in people.err


def test_a_change_that_cannot_be_read_back_says_so(admin: Admin) -> None:
    admin.job_specs()
    admin.meets({"where": "list", "kind": "http_500_zis"})
    answer = job_specs(admin, "install", "escalate_vip_order")
    assert answer.status == 0
    assert answer.out.strip().endswith("installed, as Zendesk says; its list could not be read to make sure.")


@pytest.mark.parametrize("action", ["list", "install", "uninstall"])
@pytest.mark.parametrize(
    ("environment_changes", "arguments", "code"),
    [({"ZENDESK_SUBDOMAINS": "globex"}, [], "account_not_allowed"), ({}, ["--integration", "other"], "not_found")],
    ids=["account", "integration"],
)
def test_what_is_not_here_is_refused(
    environment_changes: dict[str, Any], arguments: list[str], code: str, action: str, make_admin: MakeAdmin
) -> None:
    admin = make_admin(**environment_changes)
    answer = job_specs(admin, action, "escalate_vip_order", *arguments, "--json")
    assert answer.status == 1
    assert answer.json()["error"]["code"] == code
    assert f"Code: {code}" in answer.err


@pytest.mark.parametrize("action", ["list", "install", "uninstall"])
def test_a_dead_grant_says_where_to_connect(action: str, admin: Admin) -> None:
    change_grant(admin, dead="grant_revoked")
    admin.simulator.world.clear_calls()
    answer = job_specs(admin, action, "escalate_vip_order")
    assert answer.status == 1
    assert "Connect it here: http://localhost:9001/oauth/authorize?subdomain=acme" in answer.err
    assert admin.calls() == []


@pytest.mark.parametrize(
    "arguments", [["install", "--account", "acme"], ["list"], ["uninstall", "escalate"], ["repair"]]
)
def test_a_wrong_call_ends_with_2(arguments: list[str], make_app: MakeApp) -> None:
    answer = run(make_app(), "job-specs", *arguments)
    assert answer.status == 2
    assert "Usage:" in answer.err
