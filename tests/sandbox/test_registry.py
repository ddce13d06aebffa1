"""The ZIS registry: who may, pages and cursors, install and uninstall, bundles."""

import pytest

from sandbox.simulator import API_TOKEN, CLIENT_ID
from tests.sandbox.visitor import ZIS, Visitor

ORDERS, SHIPPING, ARCHIVE = "acme_orders", "acme_shipping", "acme_archive"
MISMATCH = "Authorization failed due to integration mismatch"


@pytest.fixture
def orders(acme: Visitor) -> str:
    """Return a ZIS token of acme_orders."""
    return acme.token(f"zis_{ORDERS}")


def fqn(name: str, integration: str = ORDERS) -> str:
    return f"zis:{integration}:job_spec:{name}"


def names_of_all_pages(acme: Visitor, size: int = 100) -> list[str]:
    """Follow `after` while there is more."""
    token, after, names = acme.token(f"zis_{ARCHIVE}"), "", list[str]()
    for _ in range(20):
        query = {"page[size]": str(size)} | ({"page[after]": after} if after else {})
        answer = acme.list(ARCHIVE, token, **query).json()
        names += [spec["name"] for spec in answer["job_specs"]]
        if not answer["meta"]["has_more"]:
            break
        after = answer["meta"]["after"]
    return names


def test_the_list_shows_installed_and_not_installed_by_short_name(acme: Visitor, orders: str) -> None:
    specs = acme.list(ORDERS, orders).json()["job_specs"]
    assert len(specs) == 6
    assert {spec["installed"] for spec in specs} == {True, False}
    assert set(specs[0]) == {
        "name", "description", "event_source", "event_type", "flow_name", "installed", "integration", "uuid",
    }  # fmt: skip
    assert specs[0]["name"] == "open_order_for_ticket"


def test_names_in_lists_may_be_qualified(acme: Visitor, orders: str) -> None:
    acme.account.switches.list_names = "fqn"
    spec = acme.list(ORDERS, orders).json()["job_specs"][0]
    assert spec["name"] == fqn("open_order_for_ticket")
    assert spec["flow_name"].startswith(f"zis:{ORDERS}:flow:")


@pytest.mark.parametrize(
    ("client", "integration", "text"),
    [
        (f"zis_{ORDERS}", SHIPPING, MISMATCH),
        (f"zis_{ORDERS}", "Acme_Orders", MISMATCH),
        (f"zis_{ORDERS}", "globex_orders", MISMATCH),
        (CLIENT_ID, ORDERS, MISMATCH),
        (None, ORDERS, "Authentication failed"),
    ],
)
def test_who_may_list(acme: Visitor, client: str | None, integration: str, text: str) -> None:
    reply = acme.list(integration, acme.token(client) if client else "")
    assert (reply.status_code, reply.text) == (401, text)


def test_documented_errors_on_demand(acme: Visitor, orders: str) -> None:
    acme.account.switches.zis_errors = "envelope"
    assert acme.list(SHIPPING, orders).json()["errors"][0]["code"] == "1001"
    assert acme.change("POST", fqn("nothing"), orders).json()["errors"][0]["code"] == "1010"


def test_an_unregistered_integration_is_a_mismatch(acme: Visitor, orders: str) -> None:
    acme.account.unregister_integration(ORDERS)
    assert acme.list(ORDERS, orders).text == MISMATCH
    assert acme.change("POST", fqn("copy_public_comment"), orders).text == MISMATCH


def test_a_mismatch_comes_before_the_admin_check(acme: Visitor) -> None:
    agent = acme.token(f"zis_{ORDERS}", user_id=102)
    assert acme.list(SHIPPING, agent).text == MISMATCH
    refusal = acme.list(ORDERS, agent)
    assert (refusal.status_code, refusal.text) == (403, "Only admin user is allowed")


def test_scope_is_wanted(acme: Visitor) -> None:
    acme.account.switches.granted_scope = "read"
    token = acme.token(f"zis_{ORDERS}")
    assert acme.list(ORDERS, token).ok
    assert acme.change("POST", fqn("copy_public_comment"), token).status_code == 403


@pytest.mark.parametrize(
    "switches",
    [{}, {"cursor_order": "swapped"}, {"cursor_form": "name"}, {"cursor_order": "swapped", "cursor_form": "name"}],
    ids=str,
)
@pytest.mark.parametrize("size", [100, 20, 250])
def test_every_row_comes_once_whatever_cursors_look_like(acme: Visitor, switches: dict[str, str], size: int) -> None:
    acme.account.switches.set(switches)
    names = names_of_all_pages(acme, size)
    assert (len(names), len(set(names))) == (250, 250)


def test_a_page_holds_twenty_unless_asked(acme: Visitor) -> None:
    assert len(acme.list(ARCHIVE, acme.token(f"zis_{ARCHIVE}")).json()["job_specs"]) == 20


def test_paging_faults(acme: Visitor) -> None:
    acme.account.switches.paging = "repeat_row"
    names = names_of_all_pages(acme)
    assert len(names) > len(set(names)) == 250
    acme.account.switches.paging = "repeat_cursor"
    assert len(set(names_of_all_pages(acme))) == 200
    first = acme.list(ORDERS, acme.token(f"zis_{ORDERS}")).json()["meta"]
    second = acme.list(ORDERS, acme.token(f"zis_{ORDERS}"), **{"page[after]": first["after"]}).json()
    assert second == {"job_specs": [], "meta": {"after": first["after"], "before": first["after"], "has_more": True}}
    acme.account.switches.paging = "endless_pages"
    assert len(set(names_of_all_pages(acme))) == 2000


def test_stale_cursors_and_bad_sizes(acme: Visitor, orders: str) -> None:
    assert len(acme.list(ORDERS, orders, **{"page[after]": "gone", "page[size]": "0"}).json()["job_specs"]) == 6
    acme.account.switches.set({"stale_cursor": "400", "bad_page_size": "400"})
    assert acme.list(ORDERS, orders, **{"page[after]": "gone"}).status_code == 400
    assert acme.list(ORDERS, orders, **{"page[size]": "101"}).status_code == 400


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ("empty_strings", {"job_specs": [], "meta": {"after": "", "before": "", "has_more": False}}),
        ("nulls", {"job_specs": [], "meta": {"after": None, "before": None, "has_more": False}}),
        ("no_meta", {"job_specs": []}),
        ("null_list", {"job_specs": None, "meta": {"after": "", "before": "", "has_more": False}}),
    ],
)
def test_empty_lists(acme: Visitor, orders: str, value: str, answer: object) -> None:
    acme.account.integrations[ORDERS].resize(0)
    acme.account.switches.empty_list = value
    assert acme.list(ORDERS, orders).json() == answer


def test_install_and_uninstall(acme: Visitor, orders: str) -> None:
    spec = acme.account.integrations[ORDERS].find("order_number_changed")
    assert spec is not None
    reply = acme.change("POST", fqn(spec.name), orders)
    assert (reply.status_code, reply.content, spec.installed) == (200, b"", True)
    gone = acme.change("DELETE", fqn(spec.name), orders)
    assert (gone.status_code, spec.installed) == (204, False)
    assert acme.change("DELETE", fqn(spec.name), orders).status_code == 404


def test_raw_colons_are_fine(acme: Visitor, orders: str) -> None:
    path = f"{ZIS}/registry/job_specs/install?job_spec_name={fqn('copy_public_comment')}"
    assert acme.call("POST", path, orders).ok


@pytest.mark.parametrize(
    ("name", "said"),
    [(fqn("nothing"), "nothing"), (f"zis:{ORDERS}:flow:copy_public_comment", "copy_public_comment")],
)
def test_what_is_no_job_spec_is_invalid(acme: Visitor, orders: str, name: str, said: str) -> None:
    reply = acme.change("POST", name, orders)
    assert reply.status_code == 400
    assert reply.json() == {"message": f"one or more requested job specs is invalid: {said}"}


@pytest.mark.parametrize("name", [None, "copy_public_comment", ""])
def test_missing_and_bare_names_are_refused(acme: Visitor, orders: str, name: str | None) -> None:
    reply = acme.change("POST", name, orders)
    assert (reply.status_code, set(reply.json())) == (400, {"message"})


def test_install_paths_of_the_guides_that_do_not_exist(acme: Visitor, orders: str) -> None:
    assert acme.call("POST", f"{ZIS}/registry/job_specs/uninstall", orders).status_code in {401, 404}


def test_switches_of_changes(acme: Visitor, orders: str) -> None:
    acme.account.switches.set({"install_body": "null", "repeat_install": 409, "uninstall_absent": 204})
    assert acme.change("POST", fqn("order_number_changed"), orders).content == b"null"
    assert acme.change("POST", fqn("order_number_changed"), orders).status_code == 409
    assert acme.change("DELETE", fqn("order_number_changed"), orders).status_code == 204
    assert acme.change("DELETE", fqn("order_number_changed"), orders).status_code == 204


def test_an_upload_silences_and_leaves_orphans(acme: Visitor, orders: str) -> None:
    integration = acme.account.integrations[ORDERS]
    integration.upload_bundle(["copy_public_comment", "brand_new"])
    kept = {spec.name: (spec.installed, spec.armed, spec.in_bundle) for spec in integration.job_specs}
    assert kept == {
        "open_order_for_ticket": (True, True, False),
        "copy_public_comment": (False, False, True),
        "notify_warehouse": (True, True, False),
        "brand_new": (False, False, True),
    }
    assert acme.change("DELETE", fqn("notify_warehouse"), orders).status_code == 204
    assert integration.find("notify_warehouse") is None


def test_an_upload_may_silence_without_a_sign(acme: Visitor, orders: str) -> None:
    integration = acme.account.integrations[ORDERS]
    integration.upload_bundle(clear_installed=False)
    spec = integration.find("copy_public_comment")
    assert spec is not None
    assert (spec.installed, spec.armed) == (True, False)
    acme.account.switches.repeat_install = 409
    # Installing again is what re-arms it, so it is no repetition.
    assert acme.change("POST", fqn(spec.name), orders).status_code == 200
    assert spec.armed


def test_bundles_are_uploaded_by_session_or_api_token_and_never_by_bearer(acme: Visitor, orders: str) -> None:
    path = f"{ZIS}/registry/{ORDERS}/bundles"
    spec = {"type": "ZIS::JobSpec", "properties": {"name": "from_the_bundle"}}
    body = {"name": "b", "resources": {"key": spec, "flow": {"type": "ZIS::Flow", "properties": {"name": "f"}}}}
    refused = acme.call("POST", path, orders, json=body)
    assert (refused.status_code, "OAuth being disabled" in refused.text) == (401, True)
    assert acme.call("POST", path, json=body, cookies={"_zendesk_session": "101"}).status_code == 200
    assert acme.account.integrations[ORDERS].find("from_the_bundle")
    assert acme.call("POST", path, json=body, auth=("101/token", API_TOKEN)).status_code == 200
    assert acme.call("POST", path, json=body, auth=("102/token", API_TOKEN)).status_code == 403


def test_bundles_and_integrations_are_listed(acme: Visitor, orders: str) -> None:
    bundle = acme.call("GET", f"{ZIS}/registry/{ORDERS}/bundles", orders).json()["bundles"][0]
    assert (bundle["integration"], bundle["zendesk_account_id"]) == (ORDERS, 1001)
    whole = acme.call("GET", f"{ZIS}/registry/{ORDERS}/bundles/{bundle['uuid']}", orders).json()
    resources = whole.pop("resources")
    assert whole == bundle
    held = [one["properties"]["name"] for one in resources.values() if one["type"] == "ZIS::JobSpec"]
    assert "escalate_vip_order" in held
    listed = acme.call("GET", f"{ZIS}/registry/integrations", cookies={"_zendesk_session": "101"}).json()
    assert [one["name"] for one in listed["integrations"]] == [ORDERS, SHIPPING, ARCHIVE]


def test_integrations_are_registered_once_and_globally(acme: Visitor) -> None:
    token = acme.token()
    made = acme.call("POST", f"{ZIS}/registry/acme_new", token, json={"description": "d"}).json()
    assert made["zendesk_oauth_client"]["identifier"] == "zis_acme_new"
    assert acme.call("POST", f"{ZIS}/registry/acme_new", token, json={}).status_code == 409
    assert "not available for upsert" in acme.call("POST", f"{ZIS}/registry/globex_orders", token, json={}).text
    assert acme.list("acme_new", acme.token("zis_acme_new")).json()["job_specs"] == []


def test_an_api_token_is_not_supported_on_connections(acme: Visitor, orders: str) -> None:
    path = f"{ZIS}/integrations/{ORDERS}/connections/all"
    assert acme.call("GET", path, orders).json()["oauth"] == []
    assert acme.call("GET", path, auth=("101/token", API_TOKEN)).text == "API token is not supported"


@pytest.mark.parametrize("how", ["renamed", "switch"])
def test_an_account_that_is_gone_answers_404_on_every_path(how: str, acme: Visitor, orders: str) -> None:
    if how == "renamed":
        acme.account.renamed_to = "acme-new"
    else:
        acme.account.switches.set({"account_gone": "yes"})
    replies = [
        acme.list(ORDERS, orders),
        acme.call("GET", "/api/v2/users/me", orders),
        acme.call("POST", "/oauth/tokens"),
        acme.call("GET", "/oauth/authorizations/new"),
        acme.call("GET", "/api/v2/apps/500001/public_key.pem"),
    ]
    assert [reply.status_code for reply in replies] == [404] * 5
    assert {reply.json()["error"]["title"] for reply in replies} == {"No help desk at acme.zendesk.com"}
