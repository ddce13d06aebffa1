"""`job-specs export | plan | apply`, and the changes of everything at once."""

import json
from pathlib import Path
from typing import Any

import pytest

from service.ground.subdomains import Subdomain
from service.store.activity import Activity
from tests.conftest import MakeAdmin, MakeApp
from tests.operations.console import Answer, run
from tests.steps import ORDERS_ONLY, Admin, collaborator
from tests.stored_grants import change_grant

ACME = Subdomain("acme")
VIP, WAREHOUSE = "escalate_vip_order", "notify_warehouse"


@pytest.fixture
def orders(make_admin: MakeAdmin) -> Admin:
    """Acme with its orders alone; one job spec of them is installed."""
    admin = make_admin(**ORDERS_ONLY)
    admin.connect_with(WAREHOUSE)
    return admin


def job_specs(admin: Admin, *arguments: str, text: str | None = None) -> Answer:
    result = admin.app.test_cli_runner().invoke(args=["job-specs", *arguments], input=text, catch_exceptions=False)
    return Answer(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Write a document of desired state; returns its path."""

    def write(**orders: list[str]) -> str:
        path = tmp_path / "acme.json"
        path.write_text(json.dumps({"account": "acme", "integrations": {"acme_orders": orders}}))
        return str(path)

    return write


def changes_in(answer: Answer) -> dict[str, tuple[str, str | None]]:
    return {one["name"]: (one["change"], one["result"]) for one in answer.json()["changes"]}


# --- export ---


def test_export_is_a_document_with_which_there_is_nothing_to_do(admin: Admin, tmp_path: Path) -> None:
    exported = job_specs(admin, "export", "--account", "acme")
    assert exported.status == 0
    document = exported.json()
    assert document["account"] == "acme"
    assert list(document["integrations"]) == ["acme_archive", "acme_orders", "acme_shipping"]
    (tmp_path / "acme.json").write_text(exported.out)
    plan = job_specs(admin, "plan", str(tmp_path / "acme.json"))
    assert (plan.status, plan.out) == (0, "acme: 260 as they should be.\n")


def test_export_leaves_out_what_cannot_be_listed_and_says_so(admin: Admin) -> None:
    admin.simulator.world.account("acme").unregister_integration("acme_archive")
    answer = job_specs(admin, "export", "--account", "acme")
    assert answer.status == 1
    assert list(answer.json()["integrations"]) == ["acme_orders", "acme_shipping"]
    assert "acme_archive could not be listed" in answer.err
    admin.meets({"where": "list", "kind": "http_500_zis"})
    assert (job_specs(admin, "export", "--account", "acme").out) == ""


# --- plan ---


def test_a_plan_has_a_line_a_job_spec_and_changes_nothing(orders: Admin, write: Any) -> None:
    answer = job_specs(orders, "plan", write(installed=[VIP, "typo"], uninstalled=[WAREHOUSE]))
    assert answer.status == 2
    lines = answer.lines()
    assert lines[0].split() == ["+", "install", "acme_orders", VIP]
    assert lines[1].split() == ["-", "uninstall", "acme_orders", WAREHOUSE]
    assert lines[2].startswith("! not listed  acme_orders  typo")
    assert {line.split()[0] for line in lines[3:-1]} == {"?"}
    assert lines[-1].startswith("acme: 1 to install, 1 to uninstall, 1 not listed, ")
    assert orders.changes_sent() == []


def test_rearming_is_planned_on_request_only(orders: Admin, write: Any) -> None:
    path = write(installed=[WAREHOUSE])
    assert job_specs(orders, "plan", path).status == 0
    answer = job_specs(orders, "plan", path, "--rearm")
    assert answer.status == 2
    assert answer.lines()[0].split() == ["~", "re-arm", "acme_orders", WAREHOUSE]


@pytest.mark.parametrize("member", ["installed", "uninstalled"])
def test_not_listed_alone_is_something_to_do(orders: Admin, write: Any, member: str) -> None:
    assert job_specs(orders, "plan", write(**{member: ["typo"]})).status == 2


def test_what_is_not_named_is_nothing_to_do(orders: Admin, write: Any) -> None:
    answer = job_specs(orders, "plan", write(), "--json")
    assert answer.status == 0
    assert set(changes_in(answer).values()) == {("not_named", None)}
    assert answer.json()["left"] == 0


def test_a_plan_can_be_read_by_programs(orders: Admin, write: Any) -> None:
    answer = job_specs(orders, "plan", write(installed=[VIP, WAREHOUSE]), "--json", "--rearm")
    assert answer.status == 2
    assert changes_in(answer)[VIP] == ("install", None)
    assert changes_in(answer)[WAREHOUSE] == ("rearm", None)
    assert answer.json()["left"] == 2


def test_faults_of_a_document_are_all_named(orders: Admin, tmp_path: Path) -> None:
    path = tmp_path / "faulty.json"
    path.write_text('{"account": "acme", "integrations": {"acme_orders": {"installed": [1, ""]}, "x": {}}}')
    for command in ("plan", "apply"):
        answer = job_specs(orders, command, str(path))
        assert (answer.status, answer.out) == (1, "")
        for pointer in ("/integrations/acme_orders/installed/0", "/integrations/acme_orders/installed/1"):
            assert f"  {pointer}: " in answer.err
        assert "  /integrations/x: is no integration of acme" in answer.err
    told = job_specs(orders, "plan", str(path), "--json").json()["error"]
    assert [one["pointer"] for one in told["errors"]][-1] == "/integrations/x"
    assert orders.calls("/registry/") == []


@pytest.mark.parametrize("arguments", [[], ["no_such_file.json"], ["--bogus"], ["a", "b"]])
def test_a_wrong_call_of_plan_ends_with_1_because_2_means_something(make_app: MakeApp, arguments: list[str]) -> None:
    answer = run(make_app(), "job-specs", "plan", *arguments)
    assert answer.status == 1
    assert "Usage:" in answer.err


def test_a_plan_that_cannot_be_made_ends_with_1(orders: Admin, write: Any) -> None:
    path = write(installed=[VIP])
    orders.meets({"where": "list", "kind": "http_500_zis"})
    assert job_specs(orders, "plan", path).status == 1
    orders.meets()
    change_grant(orders, dead="grant_revoked")
    assert job_specs(orders, "plan", path).status == 1


def test_an_integration_that_is_not_named_may_be_out_of_reach(admin: Admin, write: Any) -> None:
    admin.simulator.world.account("acme").unregister_integration("acme_archive")
    answer = job_specs(admin, "plan", write(installed=[VIP]), "--json")
    assert answer.status == 2
    assert {one["integration"] for one in answer.json()["changes"]} == {"acme_orders", "acme_shipping"}
    assert "acme_archive could not be listed: " in answer.err
    assert answer.json()["unseen"]["acme_archive"]["code"] == "integration_mismatch"


def test_an_account_that_is_not_enabled_is_refused(make_admin: MakeAdmin, write: Any) -> None:
    answer = job_specs(make_admin(ZENDESK_SUBDOMAINS="globex"), "plan", write())
    assert answer.status == 1
    assert "Code: account_not_allowed" in answer.err


def test_a_document_larger_than_1_mib_is_not_read(orders: Admin, tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    path.write_bytes(b" " * (1024 * 1024 + 1))
    assert "Code: payload_too_large" in job_specs(orders, "plan", str(path)).err


# --- apply ---


def test_apply_brings_the_account_to_the_desired_state_and_reads_back(orders: Admin, write: Any) -> None:
    path = write(installed=[VIP], uninstalled=[WAREHOUSE])
    answer = job_specs(orders, "apply", path, "--yes")
    assert answer.status == 0
    assert answer.lines() == [
        f"zis:acme_orders:job_spec:{VIP}: installed.",
        f"zis:acme_orders:job_spec:{WAREHOUSE}: uninstalled.",
    ]
    assert "2 done, 0 failed, 0 not tried" in answer.err
    assert orders.installed() == {VIP}
    # One list for the plan, one to read back.
    assert orders.lists_asked() == 2
    assert job_specs(orders, "plan", path).status == 0
    again = job_specs(orders, "apply", path, "--yes")
    assert (again.status, again.out) == (0, "")
    assert len(orders.changes_sent()) == 2


def test_rearming_sends_what_is_installed_once_more(orders: Admin, write: Any) -> None:
    integration = orders.simulator.world.account("acme").integrations["acme_orders"]
    integration.upload_bundle(clear_installed=False)
    answer = job_specs(orders, "apply", write(installed=[WAREHOUSE]), "--rearm", "--yes")
    assert answer.lines() == [f"zis:acme_orders:job_spec:{WAREHOUSE}: re-armed."]
    spec = integration.find(WAREHOUSE)
    assert spec is not None
    assert spec.armed
    entry = collaborator(orders.app, Activity).latest(ACME)[0]
    assert (entry["action"], entry["actor"], entry["job_spec"]) == ("rearmed", "operator", WAREHOUSE)


def test_without_yes_the_plan_is_shown_and_asked_about(orders: Admin, write: Any) -> None:
    path = write(installed=[VIP])
    refused = job_specs(orders, "apply", path, text="n\n")
    assert (refused.status, refused.out) == (1, "")
    assert f"+ install     acme_orders  {VIP}" in refused.err
    assert "Nothing was changed." in refused.err
    assert orders.changes_sent() == []
    agreed = job_specs(orders, "apply", path, text="y\n")
    assert agreed.status == 0
    assert orders.installed() == {VIP, WAREHOUSE}


def test_where_nobody_can_be_asked_nothing_is_done(orders: Admin, write: Any) -> None:
    answer = job_specs(orders, "apply", write(installed=[VIP]))
    assert (answer.status, answer.out) == (1, "")
    assert "There is nobody to ask here" in answer.err
    shown = job_specs(orders, "apply", write(installed=[VIP]), "--json")
    assert shown.status == 1
    assert changes_in(shown)[VIP] == ("install", None)
    assert orders.changes_sent() == []


def test_a_document_from_standard_input_leaves_nobody_to_ask(orders: Admin) -> None:
    document = '{"account": "acme", "integrations": {"acme_orders": {"installed": ["escalate_vip_order"]}}}'
    asked = job_specs(orders, "apply", "-", text=document)
    assert asked.status == 1
    assert "There is nobody to ask here" in asked.err
    assert job_specs(orders, "apply", "-", "--yes", text=document).status == 0
    assert VIP in orders.installed()


def test_a_name_that_fails_does_not_stop_the_others(orders: Admin, write: Any) -> None:
    orders.meets({"where": "change", "kind": "http_404", "times": 1})
    names = sorted(spec.name for spec in orders.specs_of() if not spec.installed)[:3]
    path = write(installed=[*names, "typo"])
    answer = job_specs(orders, "apply", path, "--yes", "--json")
    assert answer.status == 1
    results = changes_in(answer)
    assert [results[name][1] for name in names] == ["zis_rejected", "ok", "ok"]
    assert results["typo"] == ("not_listed", "job_spec_not_found")
    assert answer.json()["left"] == 0
    # Repeated, it does what is left.
    again = job_specs(orders, "apply", write(installed=names), "--yes", "--json")
    assert again.status == 0
    assert changes_in(again)[names[0]] == ("install", "ok")
    assert changes_in(again)[names[1]] == ("none", None)


def test_what_is_wrong_with_all_of_them_ends_it(orders: Admin, write: Any) -> None:
    orders.meets({"where": "change", "kind": "http_403_admin"})
    names = sorted(spec.name for spec in orders.specs_of() if not spec.installed)[:3]
    answer = job_specs(orders, "apply", write(installed=names), "--yes", "--json")
    assert answer.status == 1
    assert [changes_in(answer)[name][1] for name in names] == ["admin_required", None, None]
    assert answer.json()["left"] == 2
    assert len(orders.changes_sent()) == 1


def test_a_zendesk_that_fails_three_times_in_a_row_is_left_alone(orders: Admin, write: Any) -> None:
    orders.meets({"where": "change", "kind": "http_500_zis"})
    names = sorted(spec.name for spec in orders.specs_of() if not spec.installed)[:5]
    answer = job_specs(orders, "apply", write(installed=names), "--yes")
    assert answer.status == 1
    assert len(orders.changes_sent()) == 3
    assert "0 done, 3 failed, 2 not tried" in answer.err
    assert "It ended early: Zendesk answered with an error" in answer.err


def test_a_limit_of_zendesks_is_waited_for(orders: Admin, write: Any) -> None:
    orders.meets({"where": "change", "kind": "http_429", "retry_after": 1, "times": 1})
    answer = job_specs(orders, "apply", write(installed=[VIP]), "--yes")
    assert answer.status == 0
    assert len(orders.changes_sent()) == 2
    orders.meets({"where": "change", "kind": "http_429", "retry_after": 600})
    later = job_specs(orders, "apply", write(uninstalled=[VIP]), "--yes", "--json")
    assert later.status == 1
    assert (changes_in(later)[VIP], later.json()["left"]) == (("uninstall", None), 1)


def test_a_lost_reply_is_settled_by_looking(orders: Admin, write: Any) -> None:
    orders.meets({"where": "change", "kind": "reset", "after_effect": True, "times": 1})
    answer = job_specs(orders, "apply", write(installed=[VIP]), "--yes", "--json")
    assert answer.status == 0
    assert changes_in(answer)[VIP] == ("install", "ok")


def test_a_lost_reply_to_a_rearming_shows_in_no_list(orders: Admin, write: Any) -> None:
    orders.meets({"where": "change", "kind": "reset", "after_effect": True, "times": 1})
    answer = job_specs(orders, "apply", write(installed=[WAREHOUSE]), "--rearm", "--yes", "--json")
    assert answer.status == 1
    assert changes_in(answer)[WAREHOUSE] == ("rearm", "zendesk_unavailable")


def test_a_change_that_cannot_be_read_back_says_so(orders: Admin, write: Any) -> None:
    orders.meets({"where": "list", "kind": "http_500_zis", "every": 2})
    answer = job_specs(orders, "apply", write(installed=[VIP]), "--yes")
    assert answer.status == 0
    assert "installed. Zendesk accepted it; its list could not be read to make sure." in answer.out


def test_a_read_back_that_disagreed_is_not_forgotten_where_the_next_fails(orders: Admin, write: Any) -> None:
    orders.meets(
        {"where": "change", "kind": "empty_200"},
        # The plan's list, the first look, and the second.
        {"where": "list", "kind": "http_500_zis", "every": 3},
    )
    answer = job_specs(orders, "apply", write(installed=[VIP]), "--yes", "--json")
    assert answer.status == 1
    assert changes_in(answer)[VIP] == ("install", "zendesk_unavailable")


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_404_to_an_uninstall_is_settled_by_the_list(orders: Admin, write: Any, is_gone: bool) -> None:
    orders.meets({"where": "change", "kind": "http_404", "after_effect": is_gone})
    answer = job_specs(orders, "apply", write(uninstalled=[WAREHOUSE]), "--yes", "--json")
    assert answer.status == (0 if is_gone else 1)
    assert changes_in(answer)[WAREHOUSE] == ("uninstall", "ok" if is_gone else "zendesk_unavailable")


def test_a_404_to_an_uninstall_without_a_list_is_no_success(orders: Admin, write: Any) -> None:
    orders.meets({"where": "change", "kind": "http_404"}, {"where": "list", "kind": "http_500_zis", "every": 2})
    answer = job_specs(orders, "apply", write(uninstalled=[WAREHOUSE]), "--yes", "--json")
    assert answer.status == 1
    assert changes_in(answer)[WAREHOUSE] == ("uninstall", "zendesk_unavailable")


def test_a_sandboxs_state_is_brought_to_production(make_admin: MakeAdmin, write: Any) -> None:
    admin = make_admin(**ORDERS_ONLY)
    admin.connect("acme")
    admin.connect("globex")
    path = write(installed=[VIP])
    plan = job_specs(admin, "plan", path, "--account", "globex")
    assert plan.status in {0, 2}
    answer = job_specs(admin, "apply", path, "--account", "globex", "--yes", "--json")
    assert answer.json()["account"] == "globex"
    assert {one["integration"] for one in answer.json()["changes"]} == {"globex_orders"}
    assert job_specs(admin, "plan", path, "--account", "globex").status in {0, 2}


# --- everything at once ---


def test_install_all_installs_the_others_and_uninstall_all_everything(orders: Admin) -> None:
    everything = {spec.name for spec in orders.specs_of()}
    answer = job_specs(orders, "install", "--account", "acme", "--all", "--yes")
    assert answer.status == 0
    assert orders.installed() == everything
    assert len(orders.changes_sent()) == len(everything) - 1
    again = job_specs(orders, "install", "--account", "acme", "--all")
    assert (again.status, again.out) == (0, "")
    asked = job_specs(orders, "uninstall", "--account", "acme", "--all")
    assert asked.status == 1
    assert orders.installed() == everything
    assert job_specs(orders, "uninstall", "--account", "acme", "--all", "--yes").status == 0
    assert orders.installed() == set()


def test_reinstall_sends_what_is_installed(orders: Admin) -> None:
    assert job_specs(orders, "reinstall", "--account", "acme").status == 1
    answer = job_specs(orders, "reinstall", "--account", "acme", "--yes")
    assert answer.lines() == [f"zis:acme_orders:job_spec:{WAREHOUSE}: re-armed."]
    named = job_specs(orders, "reinstall", "--account", "acme", WAREHOUSE)
    assert named.lines() == answer.lines()
    absent = job_specs(orders, "reinstall", "--account", "acme", VIP)
    assert absent.status == 1
    assert f"Not installed, so it cannot be installed again: {VIP}." in absent.err
    assert len(orders.changes_sent()) == 2


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_either_names_or_all(make_app: MakeApp, command: str) -> None:
    app = make_app()
    assert run(app, "job-specs", command, "--account", "acme").status == 2
    assert run(app, "job-specs", command, "--account", "acme", "--all", "a").status == 2
    assert run(app, "job-specs", "reinstall", "--account", "acme", "--all", "a").status == 2


def test_list_can_be_asked_for_those_that_are_installed(orders: Admin) -> None:
    answer = job_specs(orders, "list", "--account", "acme", "--installed", "--json")
    assert [row["name"] for row in answer.json()["job_specs"]] == [WAREHOUSE]
    others = job_specs(orders, "list", "--account", "acme", "--not-installed", "--json").json()["job_specs"]
    assert WAREHOUSE not in {row["name"] for row in others}


# --- help ---


@pytest.mark.parametrize("command", ["list", "install", "uninstall", "reinstall", "export", "plan", "apply"])
def test_help_has_an_example(make_app: MakeApp, command: str) -> None:
    answer = run(make_app(), "job-specs", command, "--help")
    assert answer.status == 0
    assert "Example" in answer.out
    assert f"job-specs {command}" in answer.out
