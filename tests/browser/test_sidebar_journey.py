"""The sidebar from the first click to the last, in Chromium, through the simulated agent workspace."""

import re

import pytest
from playwright.sync_api import expect

from service.sandbox.simulator.faults import Fault
from tests.browser.workspace import Workspace

pytestmark = pytest.mark.browser

ORDERS, SHIPPING = "acme_orders", "acme_shipping"
# Installed, and not, in the default world; and a name that both integrations hold.
OPEN_ORDER, REFUNDS, SHARED = "open_order_for_ticket", "refund_record_created", "notify_warehouse"


def test_an_admin_connects_and_switches_a_job_spec_on_and_off(workspace: Workspace) -> None:
    workspace.open_app()
    workspace.expect_state("not_connected")
    workspace.connect()
    expect(workspace.see("connection")).to_contain_text("Ada Morgan")
    expect(workspace.rows(ORDERS)).to_have_count(6)
    workspace.expect_switch(ORDERS, REFUNDS, on=False)
    workspace.switch(ORDERS, REFUNDS).click()
    workspace.expect_switch(ORDERS, REFUNDS, on=True)
    workspace.switch(ORDERS, REFUNDS).click()
    workspace.expect_switch(ORDERS, REFUNDS, on=False)


def test_a_short_name_of_two_integrations_is_switched_where_it_was_clicked(workspace: Workspace) -> None:
    workspace.open_app()
    workspace.connect()
    workspace.switch(SHIPPING, SHARED).click()
    workspace.expect_switch(SHIPPING, SHARED, on=True)
    workspace.switch(ORDERS, SHARED).click()
    workspace.expect_switch(ORDERS, SHARED, on=False)
    workspace.expect_switch(SHIPPING, SHARED, on=True)


def test_the_keyboard_is_enough_and_keeps_its_place(workspace: Workspace) -> None:
    workspace.open_app()
    workspace.connect()
    toggle = workspace.switch(ORDERS, REFUNDS)
    toggle.focus()
    workspace.page.keyboard.press("Space")
    workspace.expect_switch(ORDERS, REFUNDS, on=True)
    expect(toggle).to_be_focused()
    expect(workspace.see("live")).to_have_text(f"{REFUNDS} is installed.")


def test_another_account_sees_nothing_of_the_first(workspace: Workspace) -> None:
    workspace.open_app()
    workspace.connect()
    workspace.open_app("globex")
    workspace.expect_state("not_connected")
    expect(workspace.see("job-spec")).to_have_count(0)
    workspace.connect("globex")
    expect(workspace.rows("globex_orders")).to_have_count(5)
    expect(workspace.rows(ORDERS)).to_have_count(0)


def test_an_agent_sees_the_list_without_switches_and_why(workspace: Workspace) -> None:
    workspace.open_app()
    workspace.connect()
    workspace.open_app(user_id=102)
    expect(workspace.row(ORDERS, OPEN_ORDER)).to_contain_text("Installed")
    expect(workspace.row(ORDERS, REFUNDS)).to_contain_text("Not installed")
    expect(workspace.see("role-note")).to_contain_text("your role does not allow it")
    expect(workspace.see("toggle").filter(visible=True)).to_have_count(0)
    expect(workspace.see("disconnect")).to_be_hidden()


def test_a_refusal_at_zendesk_is_told_in_both_windows(workspace: Workspace) -> None:
    workspace.open_app()
    consent = workspace.press_connect()
    consent.locator("#deny").click()
    expect(consent.get_by_test_id("problem")).to_be_visible()
    expect(consent.locator("#report")).to_contain_text("access_denied")
    # The spent state is in no address any more.
    expect(consent).to_have_url(f"{workspace.simulator.service_url}/oauth/callback")
    expect(workspace.see("connection")).to_contain_text("Access was not granted")
    workspace.expect_state("not_connected")
    expect(workspace.see("connect")).to_be_visible()


def test_a_cut_opener_does_not_matter(workspace: Workspace) -> None:
    workspace.simulator.world.account("acme").switches.opener = "lost"
    workspace.open_app()
    workspace.connect()


def test_the_plain_link_connects_too(workspace: Workspace) -> None:
    workspace.open_app()
    with workspace.page.context.expect_page() as tab:
        workspace.see("connect-link").click()
    tab.value.locator("#allow").click()
    workspace.expect_state("connected")


def test_refresh_shows_what_has_changed_at_zendesk(workspace: Workspace) -> None:
    workspace.open_app()
    workspace.connect()
    workspace.expect_switch(ORDERS, OPEN_ORDER, on=True)
    workspace.simulator.world.account("acme").integrations[ORDERS].upload_bundle(None, clear_installed=True)
    workspace.see("refresh").click()
    workspace.expect_switch(ORDERS, OPEN_ORDER, on=False)


def test_a_dead_grant_is_said_in_words_and_can_be_replaced(workspace: Workspace) -> None:
    acme = workspace.simulator.world.account("acme")
    # The refusal of a token not a minute old condemns no grant, that of a refresh does: so tokens are short-lived here.
    acme.switches.set({"token_lifetime": "custom", "custom_access_seconds": 1, "custom_refresh_seconds": 86_400})
    acme.switches.set({"mint": "expiring", "mint_seconds": 1})
    workspace.open_app()
    workspace.connect()
    acme.revoke_grants()
    workspace.see("refresh").click()
    workspace.expect_state("reauthorization_required")
    expect(workspace.see("connection")).to_contain_text("was revoked in Zendesk")
    workspace.connect()


def test_a_failed_change_shows_its_report_and_the_truth(workspace: Workspace) -> None:
    workspace.open_app()
    workspace.connect()
    workspace.simulator.world.account("acme").faults = [Fault("change", "http_500_zis")]
    workspace.switch(ORDERS, REFUNDS).click()
    problem = workspace.row(ORDERS, REFUNDS).get_by_test_id("problem")
    expect(problem).to_have_attribute("data-code", "zendesk_unavailable")
    problem.locator("summary").click()
    expect(problem.locator("pre")).to_contain_text(re.compile(r"request: \S{8,}"))
    workspace.expect_switch(ORDERS, REFUNDS, on=False)


def test_disconnecting_asks_first_and_leaves_job_specs_installed(workspace: Workspace) -> None:
    workspace.open_app()
    workspace.connect()
    workspace.see("disconnect").click()
    expect(workspace.see("disconnect-dialog")).to_contain_text("stay installed")
    workspace.see("disconnect-cancel").click()
    expect(workspace.see("disconnect")).to_be_focused()
    workspace.see("disconnect").click()
    workspace.see("disconnect-confirm").click()
    workspace.expect_state("not_connected")
    expect(workspace.see("job-spec")).to_have_count(0)
    spec = workspace.simulator.world.account("acme").integrations[ORDERS].find(OPEN_ORDER)
    assert spec is not None
    assert spec.installed


def test_the_filter_narrows_the_list_and_can_be_cleared(workspace: Workspace) -> None:
    workspace.open_app()
    workspace.connect()
    shown = workspace.see("job-spec").filter(visible=True)
    workspace.see("filter").fill("warehouse shipping")
    expect(shown).to_have_count(1)
    workspace.see("filter-installed").select_option("installed")
    expect(shown).to_have_count(0)
    workspace.app.get_by_role("button", name="Clear the filter").click()
    expect(shown).to_have_count(260)
