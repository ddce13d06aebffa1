"""Install and uninstall: what is sent, and what is said of it."""

import time
from typing import Any

import pytest
import time_machine
from werkzeug.test import TestResponse

from tests.conftest import MakeAdmin
from tests.steps import DIRECT, Admin

VIP = "escalate_vip_order"
QUALIFIED = f"zis:acme_orders:job_spec:{VIP}"
COPY = "zis:acme_orders:job_spec:copy_public_comment"


LIMIT = "Number of allowed API requests per minute exceeded"


def outcome(reply: TestResponse) -> tuple[int, str]:
    return reply.status_code, reply.get_json()["code"]


def said(reply: TestResponse) -> tuple[bool, bool]:
    """Return (installed, verified)."""
    assert reply.status_code == 200, reply.text
    body = reply.get_json()
    return body["job_spec"]["installed"], body["verified"]


# --- names ---


@pytest.mark.parametrize("name", [VIP, QUALIFIED], ids=["short", "qualified"])
def test_a_job_spec_is_installed_and_uninstalled_by_either_name(name: str, admin: Admin) -> None:
    reply = admin.install(name)
    assert said(reply) == (True, True)
    assert reply.get_json()["job_spec"]["qualified_name"] == QUALIFIED
    assert reply.get_json()["job_spec"]["event_type"] == "ticket.TicketCreated"
    assert admin.has_installed("acme_orders", VIP)
    assert said(admin.uninstall(name)) == (False, True)
    assert not admin.has_installed("acme_orders", VIP)
    assert admin.changes_sent() == [("POST", QUALIFIED), ("DELETE", QUALIFIED)]
    assert {call.token_client for call in admin.calls("/job_specs/install")} == {"zis_acme_orders"}


def test_letter_case_matters(admin: Admin) -> None:
    assert outcome(admin.install(VIP.upper())) == (404, "job_spec_not_found")
    assert admin.changes_sent() == []


def test_a_short_name_that_no_list_holds_is_looked_for_anew(admin: Admin) -> None:
    admin.job_specs()
    assert outcome(admin.install("brand_new")) == (404, "job_spec_not_found")
    admin.simulator.world.account("acme").integrations["acme_shipping"].upload_bundle(["brand_new"])
    assert said(admin.install("brand_new")) == (True, True)
    assert admin.changes_sent() == [("POST", "zis:acme_shipping:job_spec:brand_new")]


def test_a_short_name_of_several_integrations_needs_one_named(admin: Admin) -> None:
    refused = admin.uninstall("notify_warehouse")
    assert outcome(refused) == (400, "integration_required")
    assert "acme_orders, acme_shipping" in refused.get_json()["detail"]
    assert admin.changes_sent() == []
    assert said(admin.uninstall("notify_warehouse", "?integration=acme_orders")) == (False, True)
    assert admin.changes_sent() == [("DELETE", "zis:acme_orders:job_spec:notify_warehouse")]


def test_a_short_name_is_not_guessed_where_an_integration_cannot_be_listed(admin: Admin) -> None:
    admin.meets({"where": "registry:acme_shipping", "kind": "http_500_zis"})
    assert outcome(admin.install(VIP)) == (502, "zendesk_unavailable")
    assert admin.changes_sent() == []


def test_a_qualified_name_is_sent_as_it_is_listed_or_not(admin: Admin) -> None:
    admin.simulator.world.clear_calls()
    reply = admin.install("zis:acme_orders:job_spec:Nobody knows")
    assert outcome(reply) == (404, "job_spec_not_found")
    assert "job specs is invalid" in reply.get_json()["upstream_detail"]
    assert admin.changes_sent() == [("POST", "zis:acme_orders:job_spec:Nobody knows")]
    assert admin.lists_asked() == 0


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [("zis:globex_orders:job_spec:track_parcel", 404, "job_spec_not_found"),
     ("zis:acme_nothing:job_spec:x", 404, "job_spec_not_found"),
     ("zis:acme_orders:flow:x", 400, "invalid_request"),
     ("x%2Fy", 404, "not_found")],
    ids=["foreign", "unknown", "flow", "slash"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_what_cannot_be_one_of_the_accounts_is_refused_and_nothing_is_sent(
    path: str, status: int, code: str, method: str, admin: Admin
) -> None:
    admin.simulator.world.clear_calls()
    assert outcome(admin.call(method, f"/job_specs/{path}/install")) == (status, code)
    assert admin.calls() == []


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [("?integration=acme_shipping", 400, "invalid_request"), ("?integration=globex_orders", 404, "not_found"),
     ("?force=1", 400, "invalid_request"),
     ("?integration=acme_orders&integration=acme_orders", 400, "invalid_request")],
)  # fmt: skip
def test_a_parameter_that_contradicts_or_is_unknown_is_refused(
    query: str, status: int, code: str, admin: Admin
) -> None:
    assert outcome(admin.install(QUALIFIED, query)) == (status, code)
    assert admin.changes_sent() == []


# --- what Zendesk answers ---


def test_installing_again_is_sent_and_arms_again(admin: Admin) -> None:
    admin.switch(upload="silent")
    integration = admin.simulator.world.account("acme").integrations["acme_orders"]
    integration.upload_bundle(clear_installed=False)
    spec = integration.find("copy_public_comment")
    assert spec is not None
    assert (spec.installed, spec.armed) == (True, False)
    assert said(admin.install("copy_public_comment")) == (True, True)
    assert spec.armed


@pytest.mark.parametrize("body", ["empty", "null", "object"])
def test_the_body_of_an_install_does_not_matter(body: str, admin: Admin) -> None:
    admin.switch(install_body=body)
    assert said(admin.install(QUALIFIED)) == (True, True)


def test_a_409_to_an_install_means_installed(admin: Admin) -> None:
    admin.switch(repeat_install=409, zis_errors="envelope")
    assert said(admin.install(COPY)) == (True, True)
    assert admin.calls("/job_specs/install")[0].status == 409


def test_what_zendesk_says_where_nothing_changes_is_in_the_log(
    admin: Admin, capsys: pytest.CaptureFixture[str]
) -> None:
    admin.switch(repeat_install=409)
    admin.install(COPY)
    admin.uninstall(COPY)
    admin.uninstall(COPY)
    logged = capsys.readouterr().out
    about = "account=acme integration=acme_orders job_spec=copy_public_comment upstream_status="
    assert f"event=already_installed {about}409" in logged
    assert logged.count(f"event=not_installed {about}404") == 1


def test_a_409_to_an_uninstall_is_a_refusal(admin: Admin) -> None:
    admin.meets({"where": "change", "kind": "oauth_error", "status": 409})
    assert outcome(admin.uninstall(COPY)) == (422, "zis_rejected")


def test_a_404_to_an_uninstall_is_settled_by_the_list(admin: Admin) -> None:
    assert said(admin.uninstall(QUALIFIED)) == (False, True)
    assert admin.calls("/job_specs/install")[0].status == 404
    missing = admin.uninstall("zis:acme_orders:job_spec:nobody")
    assert outcome(missing) == (404, "job_spec_not_found")


def test_a_404_to_an_uninstall_without_a_list_is_an_error(admin: Admin) -> None:
    admin.meets({"where": "list", "kind": "http_500_zis"})
    assert outcome(admin.uninstall(QUALIFIED)) == (502, "zendesk_unavailable")


def test_a_204_to_an_uninstall_of_what_is_not_installed_is_fine(admin: Admin) -> None:
    admin.switch(uninstall_absent=204)
    assert said(admin.uninstall(QUALIFIED)) == (False, True)


def test_what_an_earlier_bundle_left_behind_goes_from_the_list(admin: Admin) -> None:
    admin.simulator.world.account("acme").integrations["acme_orders"].upload_bundle([VIP], clear_installed=False)
    reply = admin.uninstall("copy_public_comment")
    assert said(reply) == (False, True)
    assert reply.get_json()["job_spec"]["description"] == "Copies public comments to the order's history."
    assert "copy_public_comment" not in {row["name"] for row in admin.list_fresh().get_json()["job_specs"]}


def test_an_unknown_job_spec_is_not_found_with_zendesks_words(admin: Admin) -> None:
    admin.switch(zis_errors="envelope")
    reply = admin.install("zis:acme_orders:job_spec:nobody")
    assert outcome(reply) == (404, "job_spec_not_found")
    assert reply.get_json()["upstream_detail"] == "one or more requested job specs is invalid: nobody"
    assert reply.get_json()["upstream_status"] == 400


@pytest.mark.parametrize(
    ("method", "fault", "status", "code", "words"),
    [("DELETE", {"kind": "http_403_admin"}, 403, "admin_required", "Only admin user is allowed"),
     ("POST", {"kind": "http_429", "retry_after": 7}, 429, "rate_limited", LIMIT),
     ("DELETE", {"kind": "http_500_zis"}, 502, "zendesk_unavailable", "Something went wrong"),
     ("POST", {"kind": "http_403_html"}, 502, "zendesk_unavailable", None)],
    ids=["admin", "429", "500", "403-html"],
)  # fmt: skip
def test_a_refusal_is_passed_on_with_zendesks_words_and_not_repeated(
    method: str, fault: dict[str, Any], status: int, code: str, words: str | None, admin: Admin
) -> None:
    admin.meets({"where": "change", **fault})
    reply = admin.call(method, f"/job_specs/{COPY}/install")
    assert outcome(reply) == (status, code)
    assert reply.get_json().get("upstream_detail") == words
    assert reply.get_json().get("retry_after") == fault.get("retry_after")
    assert len(admin.changes_sent()) == 1
    assert admin.has_installed("acme_orders", "copy_public_comment")


def test_direct_mode_changes_with_the_grants_own_token(make_admin: MakeAdmin) -> None:
    admin = make_admin(**DIRECT)
    admin.connect("acme")
    assert said(admin.install(VIP)) == (True, True)
    assert admin.changes_sent() == [("POST", QUALIFIED)]


# --- what is repeated ---


@pytest.mark.parametrize("mode", ["mint", "direct"])
@pytest.mark.parametrize("kind", ["http_401_text", "http_401_envelope"])
def test_a_change_is_repeated_after_a_401_with_a_new_token(kind: str, mode: str, make_admin: MakeAdmin) -> None:
    admin = make_admin(**(DIRECT if mode == "direct" else {}))
    admin.connect("acme")
    admin.simulator.world.clear_calls()
    with time_machine.travel(time.time() + 120, tick=True):
        admin.meets({"where": "change", "kind": kind, "times": 1})
        assert said(admin.install(QUALIFIED)) == (True, True)
    assert admin.changes_sent() == [("POST", QUALIFIED)] * 2
    assert len(admin.calls(grant_type="refresh_token")) == (mode == "direct")
    assert len(admin.calls("/api/v2/oauth/tokens", method="POST")) == (mode == "mint")


def test_a_401_that_stays_with_a_new_token_is_an_error(admin: Admin) -> None:
    admin.meets({"where": "change", "kind": "http_401_text"})
    reply = admin.install(QUALIFIED)
    assert outcome(reply) == (502, "zendesk_unavailable")
    assert reply.get_json()["upstream_status"] == 401
    assert admin.changes_sent() == [("POST", QUALIFIED)] * 2
    assert admin.status()["connection"]["state"] == "connected"


@pytest.mark.usefixtures("quick_second_look")
def test_a_change_is_not_repeated_after_a_lost_reply(admin: Admin) -> None:
    admin.meets({"where": "change", "kind": "reset"})
    assert outcome(admin.install(QUALIFIED)) == (502, "zendesk_unavailable")
    assert admin.changes_sent() == [("POST", QUALIFIED)]
    assert not admin.has_installed("acme_orders", VIP)
