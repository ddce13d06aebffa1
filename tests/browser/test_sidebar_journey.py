"""The sidebar from the first click to the last, in Chromium, through the simulated agent workspace."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.sandbox_process import Sandbox
from tests.browser.workspace import connect, expect_state, open_app, press_connect, row, switch

pytestmark = pytest.mark.browser

ORDERS = "acme_orders"
# Not installed in the default world.
REFUNDS = "refund_record_created"


def test_an_admin_connects_and_switches_a_job_spec_on_and_off(page: Page, sandbox: Sandbox) -> None:
    app = open_app(page, sandbox)
    expect_state(app, "not_connected")
    connect(page, app)
    expect(app.get_by_test_id("connection")).to_contain_text("Ada Morgan")
    expect(app.locator(f'[data-testid="job-spec"][data-integration="{ORDERS}"]')).to_have_count(6)

    toggle = switch(app, ORDERS, REFUNDS)
    expect(toggle).to_have_attribute("aria-checked", "false")
    toggle.click()
    expect(toggle).to_have_attribute("aria-checked", "true")
    expect(row(app, ORDERS, REFUNDS)).to_have_attribute("data-installed", "true")
    assert sandbox.is_installed("acme", ORDERS, REFUNDS)

    toggle.click()
    expect(toggle).to_have_attribute("aria-checked", "false")
    assert not sandbox.is_installed("acme", ORDERS, REFUNDS)


def test_a_short_name_of_two_integrations_is_switched_where_it_was_clicked(page: Page, sandbox: Sandbox) -> None:
    app = open_app(page, sandbox)
    connect(page, app)
    switch(app, "acme_shipping", "notify_warehouse").click()
    expect(switch(app, "acme_shipping", "notify_warehouse")).to_have_attribute("aria-checked", "true")
    switch(app, ORDERS, "notify_warehouse").click()
    expect(switch(app, ORDERS, "notify_warehouse")).to_have_attribute("aria-checked", "false")
    assert sandbox.is_installed("acme", "acme_shipping", "notify_warehouse")
    assert not sandbox.is_installed("acme", ORDERS, "notify_warehouse")


def test_the_keyboard_is_enough_and_keeps_its_place(page: Page, sandbox: Sandbox) -> None:
    app = open_app(page, sandbox)
    connect(page, app)
    toggle = switch(app, ORDERS, REFUNDS)
    toggle.focus()
    page.keyboard.press("Space")
    expect(toggle).to_have_attribute("aria-checked", "true")
    expect(toggle).to_be_focused()
    expect(app.get_by_test_id("live")).to_have_text(f"{REFUNDS} is installed.")


def test_another_account_sees_nothing_of_the_first(page: Page, sandbox: Sandbox) -> None:
    connect(page, open_app(page, sandbox))
    app = open_app(page, sandbox, account="globex")
    expect_state(app, "not_connected")
    expect(app.get_by_test_id("job-spec")).to_have_count(0)
    connect(page, app, account="globex")
    expect(app.locator('[data-testid="job-spec"][data-integration="globex_orders"]')).to_have_count(5)
    expect(app.locator('[data-testid="job-spec"][data-integration^="acme"]')).to_have_count(0)


def test_an_agent_sees_the_list_without_switches_and_why(page: Page, sandbox: Sandbox) -> None:
    connect(page, open_app(page, sandbox))
    app = open_app(page, sandbox, user_id=102)
    expect(row(app, ORDERS, "open_order_for_ticket")).to_contain_text("Installed")
    expect(row(app, ORDERS, REFUNDS)).to_contain_text("Not installed")
    expect(app.get_by_test_id("role-note")).to_contain_text("your role does not allow it")
    expect(app.get_by_test_id("toggle").filter(visible=True)).to_have_count(0)
    expect(app.get_by_test_id("disconnect")).to_be_hidden()


def test_a_refusal_at_zendesk_is_told_in_both_windows(page: Page, sandbox: Sandbox) -> None:
    app = open_app(page, sandbox)
    consent = press_connect(page, app)
    consent.locator("#deny").click()
    expect(consent.get_by_test_id("problem")).to_be_visible()
    expect(consent.locator("#report")).to_contain_text("access_denied")
    # The spent state is in no address any more.
    expect(consent).to_have_url(f"{sandbox.service}/oauth/callback")
    expect(app.get_by_test_id("connection")).to_contain_text("Access was not granted")
    expect_state(app, "not_connected")
    expect(app.get_by_test_id("connect")).to_be_visible()


def test_a_cut_opener_does_not_matter(page: Page, sandbox: Sandbox) -> None:
    sandbox.zendesk("PATCH", "/accounts/acme/switches", {"opener": "lost"})
    connect(page, open_app(page, sandbox))


def test_the_plain_link_connects_too(page: Page, sandbox: Sandbox) -> None:
    app = open_app(page, sandbox)
    with page.context.expect_page() as tab:
        app.get_by_test_id("connect-link").click()
    tab.value.locator("#allow").click()
    expect(tab.value.get_by_test_id("oauth-connected")).to_be_visible()
    expect_state(app, "connected")


def test_refresh_shows_what_has_changed_at_zendesk(page: Page, sandbox: Sandbox) -> None:
    app = open_app(page, sandbox)
    connect(page, app)
    expect(switch(app, ORDERS, "open_order_for_ticket")).to_have_attribute("aria-checked", "true")
    sandbox.act("acme", "upload_bundle", integration=ORDERS)
    app.get_by_test_id("refresh").click()
    expect(switch(app, ORDERS, "open_order_for_ticket")).to_have_attribute("aria-checked", "false")


def test_a_dead_grant_is_said_in_words_and_can_be_replaced(page: Page, sandbox: Sandbox) -> None:
    app = open_app(page, sandbox)
    connect(page, app)
    sandbox.act("acme", "revoke_grants")
    switch(app, ORDERS, REFUNDS).click()
    expect_state(app, "reauthorization_required")
    expect(app.get_by_test_id("connection")).to_contain_text("was revoked in Zendesk")
    connect(page, app)


def test_a_failed_change_shows_its_report_and_the_truth(page: Page, sandbox: Sandbox) -> None:
    app = open_app(page, sandbox)
    connect(page, app)
    fault = {"where": "change", "kind": "http_500_zis"}
    sandbox.zendesk("PUT", "/accounts/acme/faults", [fault])
    switch(app, ORDERS, REFUNDS).click()
    problem = row(app, ORDERS, REFUNDS).get_by_test_id("problem")
    expect(problem).to_have_attribute("data-code", "zendesk_unavailable")
    problem.locator("summary").click()
    expect(problem.locator("pre")).to_contain_text(re.compile(r"request: \S{8,}"))
    expect(switch(app, ORDERS, REFUNDS)).to_have_attribute("aria-checked", "false")


def test_disconnecting_asks_first_and_leaves_job_specs_installed(page: Page, sandbox: Sandbox) -> None:
    app = open_app(page, sandbox)
    connect(page, app)
    app.get_by_test_id("disconnect").click()
    expect(app.get_by_test_id("disconnect-dialog")).to_contain_text("stay installed")
    app.get_by_test_id("disconnect-cancel").click()
    expect(app.get_by_test_id("disconnect")).to_be_focused()
    app.get_by_test_id("disconnect").click()
    app.get_by_test_id("disconnect-confirm").click()
    expect_state(app, "not_connected")
    expect(app.get_by_test_id("job-spec")).to_have_count(0)
    assert sandbox.is_installed("acme", ORDERS, "open_order_for_ticket")


def test_the_filter_narrows_the_list_and_can_be_cleared(page: Page, sandbox: Sandbox) -> None:
    app = open_app(page, sandbox)
    connect(page, app)
    shown = app.get_by_test_id("job-spec").filter(visible=True)
    app.get_by_test_id("filter").fill("warehouse shipping")
    expect(shown).to_have_count(1)
    app.get_by_test_id("filter-installed").select_option("installed")
    expect(shown).to_have_count(0)
    app.get_by_role("button", name="Clear the filter").click()
    expect(shown).to_have_count(260)
