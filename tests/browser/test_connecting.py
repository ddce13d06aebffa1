"""Connecting an account: the window at Zendesk, what may become of it, and a connection that has ended."""

import pytest
from playwright.sync_api import expect
from redis import Redis

from sandbox.simulator import CLIENT_ID
from tests.browser.conftest import MakeWorkspace
from tests.browser.workspace import ORDERS, Workspace, shot
from tests.steps import wait_until

pytestmark = pytest.mark.browser

MINUTE = 60_000  # milliseconds
HINT = "it does not come back here"


def test_an_admin_connects_in_a_window_of_its_own(workspace: Workspace) -> None:
    workspace.open_app()
    workspace.expect_state("not_connected")
    workspace.shot("not_connected")
    consent = workspace.press_connect()
    shot(consent, "consent_window")
    waiting = workspace.app.get_by_text("Waiting for the other window")
    expect(waiting).to_be_visible()
    assert waiting.evaluate("(element) => getComputedStyle(element, '::before').content") == '""'
    workspace.shot("connecting")
    with consent.expect_event("close"):
        consent.locator("#allow").click()
    workspace.expect_state("connected")
    expect(workspace.rows(ORDERS)).to_have_count(6)
    # Whoever pressed the button, which is gone, goes on at what it brought.
    expect(workspace.app.locator("#connection-state")).to_be_focused()
    workspace.open_connection()
    expect(workspace.see("connection")).to_contain_text("Ada Morgan")
    workspace.shot("connected")


def test_a_cut_opener_does_not_matter(workspace: Workspace) -> None:
    workspace.acme.switches.opener = "lost"
    workspace.open_app()
    workspace.connect()


def test_a_browser_that_opens_no_window_leaves_the_plain_link(workspace: Workspace) -> None:
    workspace.page.add_init_script("window.open = () => null")
    workspace.open_app()
    workspace.see("connect").click()
    with workspace.page.context.expect_page() as tab:
        workspace.see("connect-link").click()
    tab.value.locator("#allow").click()
    workspace.expect_state("connected")


def test_a_connection_made_elsewhere_ends_the_wait(workspace: Workspace) -> None:
    workspace.open_app()
    workspace.press_connect()
    workspace.grant()
    workspace.expect_state("connected")


def test_a_tab_that_comes_to_the_front_after_a_minute_looks_again(workspace: Workspace) -> None:
    workspace.page.clock.install()
    workspace.open_app()
    workspace.grant()
    workspace.page.clock.fast_forward(2 * MINUTE)
    workspace.frame.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    workspace.expect_state("connected")


# --- it does not come about ---


def test_a_refusal_at_zendesk_is_told_in_both_windows(workspace: Workspace) -> None:
    workspace.open_app()
    consent = workspace.press_connect()
    consent.locator("#deny").click()
    expect(consent.get_by_test_id("problem")).to_be_visible()
    expect(consent.locator("#report")).to_contain_text("access_denied")
    # The spent state is in no address any more.
    expect(consent).to_have_url(f"{workspace.simulator.service_url}/oauth/callback")
    shot(consent, "window_denied")
    expect(workspace.see("connection")).to_contain_text("Access was not granted")
    workspace.expect_state("not_connected")
    workspace.shot("connecting_denied")
    # Another click starts anew in the same window, and the old report is gone.
    workspace.see("connect").click()
    consent.locator("#allow").click()
    expect(workspace.see("connection")).not_to_contain_text("Access was not granted")
    workspace.expect_state("connected")


def test_a_browser_that_keeps_no_cookies_is_told_of_them_in_both_windows(workspace: Workspace) -> None:
    workspace.open_app()
    consent = workspace.press_connect()
    workspace.page.context.clear_cookies()
    consent.locator("#allow").click()
    expect(consent.locator("#report")).to_contain_text("invalid_state")
    expect(consent.get_by_test_id("cookies")).to_contain_text("Allow cookies for this address")
    shot(consent, "window_no_cookies")
    expect(workspace.see("connection")).to_contain_text("This connection attempt cannot be continued")


def test_consent_of_somebody_who_is_no_admin_is_told_in_both_windows(workspace: Workspace) -> None:
    workspace.open_app()
    consent = workspace.press_connect()
    consent.locator("#user_id").select_option("102")
    consent.locator("#allow").click()
    expect(consent.locator("#report")).to_contain_text("admin_required")
    shot(consent, "window_no_admin")
    expect(workspace.see("connection")).to_contain_text("An admin has to connect this account")
    workspace.expect_state("not_connected")


def test_a_window_that_stays_at_zendesk_is_explained_and_then_given_up(workspace: Workspace) -> None:
    # Zendesk shows a page of its own for a client it does not know, and never comes back.
    del workspace.acme.clients[CLIENT_ID]
    page = workspace.page
    page.clock.install()
    workspace.open_app()
    with page.expect_popup() as popup:
        workspace.see("connect").click()
    expect(popup.value.locator("body")).to_contain_text("No such client")
    connection = workspace.see("connection")
    expect(connection).to_contain_text("Waiting for the other window")
    expect(connection).not_to_contain_text(HINT)
    page.clock.fast_forward(2 * MINUTE)
    expect(connection).to_contain_text(HINT)
    expect(connection).to_contain_text("Waiting for the other window")
    workspace.shot("connecting_hint")
    page.clock.fast_forward(8 * MINUTE)
    expect(connection).to_contain_text("The account was not connected within ten minutes")
    expect(connection).to_contain_text(HINT)
    workspace.shot("connecting_given_up")
    # Given up: nothing is asked any more.
    asked = []
    page.context.on("request", lambda request: asked.append(request.url))
    page.clock.fast_forward(MINUTE)
    workspace.frame.evaluate("() => new Promise((resolve) => setTimeout(resolve))")
    assert [url for url in asked if url.endswith("/status")] == []
    workspace.see("connect").click()
    expect(connection).to_contain_text("Waiting for the other window")
    expect(connection).not_to_contain_text(HINT)


def test_a_message_from_a_foreign_origin_is_no_report(workspace: Workspace) -> None:
    workspace.open_app()
    workspace.press_connect()
    heard = workspace.frame.evaluate_handle(
        "() => ({ message: new Promise((resolve) => addEventListener('message', ({ origin }) => resolve(origin))) })"
    )
    workspace.page.evaluate(
        """() => document.querySelector("iframe").contentWindow.postMessage(
             { type: "zis-oauth", result: "failed", code: "access_denied" }, "*")"""
    )
    assert heard.evaluate("({ message }) => message") == workspace.simulator.address
    expect(workspace.see("connection")).to_contain_text("Waiting for the other window")
    expect(workspace.see("connection")).not_to_contain_text("Access was not granted")


# --- it ends ---


def grant_expired(workspace: Workspace) -> None:
    """Connect, and outlive the tokens: the refusal of a young token condemns no grant, that of a refresh does."""
    # Long enough for the handshake.
    workspace.acme.switches.set({"token_lifetime": "custom", "custom_access_seconds": 2})
    workspace.acme.switches.set({"mint": "expiring", "mint_seconds": 2})
    workspace.grant()
    wait_until(lambda: not workspace.acme.live_tokens())


def test_a_revoked_grant_is_said_in_words_and_can_be_replaced(connected: Workspace) -> None:
    connected.expect_state("connected")
    grant_expired(connected)
    connected.acme.revoke_grants()
    connected.see("refresh").click()
    connected.expect_state("reauthorization_required")
    expect(connected.see("connection")).to_contain_text("was revoked in Zendesk")
    # A list that nobody can vouch for any more is not shown.
    expect(connected.see("job-spec").first).to_be_hidden()
    connected.shot("reauthorization_required")
    connected.acme.switches.set({"token_lifetime": "expiring", "mint": "lasting"})
    connected.connect()


def test_a_renewal_whose_answer_was_lost_is_said_in_words(workspace: Workspace, redis: Redis) -> None:
    grant_expired(workspace)
    workspace.acme.switches.refresh = "answer_lost"
    workspace.open_app()
    expect(workspace.see("problem").first).to_be_visible()
    workspace.shot("renewal_lost")
    # The service does not ask again before it has cooled down; then Zendesk knows the token no more.
    workspace.acme.switches.refresh = "normal"
    redis.delete("zis:{acme}:cool_down")
    workspace.see("refresh").click()
    workspace.expect_state("reauthorization_required")
    expect(workspace.see("connection")).to_contain_text("was lost while the access was being renewed")


def test_a_switch_that_finds_the_grant_dead_shows_how_to_reconnect(connected: Workspace) -> None:
    grant_expired(connected)
    connected.acme.revoke_grants()
    connected.switch(ORDERS, "refund_record_created").click()
    connected.expect_state("reauthorization_required")
    expect(connected.see("connect")).to_have_text("Reconnect")


def test_an_account_granted_to_another_client_is_said_in_words(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace()
    workspace.grant()
    workspace.acme.add_client("newer_client", "Newer client")
    newer = make_workspace({"ZENDESK_CLIENT_ID": "newer_client"})
    newer.open_app()
    newer.expect_state("reauthorization_required")
    expect(newer.see("connection")).to_contain_text("now uses another OAuth client")


def test_another_account_sees_nothing_of_the_first(connected: Workspace) -> None:
    connected.open_app("globex")
    connected.expect_state("not_connected")
    expect(connected.see("job-spec")).to_have_count(0)
    connected.grant("globex")
    connected.open_app("globex")
    expect(connected.rows("globex_orders")).to_have_count(5)
    expect(connected.rows(ORDERS)).to_have_count(0)
