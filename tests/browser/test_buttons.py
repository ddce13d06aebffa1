"""What each button of the agent workspace does is seen, as its line says."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, expect
from redis import Redis

from sandbox.forgetting import ROLES, Forgetting
from service.people.roles import KEY_PATTERN
from tests.browser.workspace import ARCHIVE, ORDERS, REFUNDS, Workspace
from tests.steps import wait_until

pytestmark = pytest.mark.browser

INSTALLED = "open_order_for_ticket"
# Pressed in the tests that are named so; the last test compares them with the page.
REFUSING = {"limit": "rate_limited", "break": "zendesk_unavailable", "gateway": "zendesk_unavailable",
            "mismatch": "integration_mismatch"}  # fmt: skip
WAITING = ("slow", "hang")
DISCONNECTING = ("revoke", "gone")
WATCHING = ("roles", "blocked", "demote")
OTHERS = ("reset", "promote", "expire", "upload", "silent", "unregister", "lost", "lost-refresh", "refuse-sign-in",
          "close-sign-in", "cut-opener", "hide-users", "small-scope", "end-first")  # fmt: skip


@pytest.fixture(autouse=True)
def _forgetful(workspace: Workspace, redis: Redis) -> Iterator[None]:
    """Let the service forget as it does in a sandbox."""
    forgetting = Forgetting(lambda: [redis])
    simulator = workspace.simulator
    before = (simulator.on_reset, simulator.on_people_changed)
    simulator.on_reset, simulator.on_people_changed = forgetting.everything, forgetting.roles
    yield
    simulator.on_reset, simulator.on_people_changed = before


def press(workspace: Workspace, name: str) -> None:
    """Press a button, and wait until the workspace shows that it is pressed."""
    button = workspace.page.locator(f"#do-{name}")
    is_toggle = button.locator("xpath=ancestor::ul").get_attribute("id") == "toggles"
    button.click()
    if is_toggle:
        expect(button).to_have_attribute("aria-pressed", "true")


def problem(workspace: Workspace, code: str) -> Locator:
    return workspace.app.locator(f"[data-testid=problem][data-code={code}]").first


@pytest.mark.parametrize("name", REFUSING)
def test_a_refusal_of_zis_is_told_and_the_list_stays(connected: Workspace, name: str) -> None:
    press(connected, name)
    connected.see("refresh").click()
    expect(problem(connected, REFUSING[name])).to_be_visible()
    expect(connected.see("job-spec").first).to_be_visible()


# Whether the button was ever disabled: a slow answer may come before a busy machine looks.
WATCH = """button => new MutationObserver(() => {
  if (button.getAttribute("aria-disabled") === "true") window.wasBusy = true;
}).observe(button, { attributes: true })"""


@pytest.mark.parametrize("name", WAITING)
def test_while_zis_does_not_answer_the_page_says_that_it_is_at_work(connected: Workspace, name: str) -> None:
    press(connected, name)
    connected.see("refresh").evaluate(WATCH)
    connected.see("refresh").click()
    connected.frame.wait_for_function("window.wasBusy")
    expect(connected.see("job-spec").first).to_be_visible()


@pytest.mark.parametrize("name", DISCONNECTING)
def test_an_end_of_the_connection_is_told(connected: Workspace, name: str) -> None:
    press(connected, name)
    connected.see("refresh").click()
    connected.expect_state("reauthorization_required")


@pytest.mark.parametrize("name", WATCHING)
def test_who_may_only_look_is_told_at_once(connected: Workspace, name: str) -> None:
    expect(connected.see("role-note")).not_to_be_visible()
    press(connected, name)
    expect(connected.see("role-note")).to_contain_text("You can look, but not switch")


def test_who_becomes_an_admin_can_switch_at_once(workspace: Workspace) -> None:
    workspace.grant()
    workspace.open_app(user_id=105)
    press(workspace, "demote")
    expect(workspace.see("role-note")).to_contain_text("You can look, but not switch")
    press(workspace, "promote")
    expect(workspace.see("role-note")).not_to_be_visible()
    workspace.switch(ORDERS, REFUNDS).click()
    workspace.expect_switch(ORDERS, REFUNDS, on=True)


def test_starting_over_disconnects_the_app_too(connected: Workspace) -> None:
    press(connected, "reset")
    connected.expect_state("not_connected")
    expect(connected.page.locator("#tokens")).to_have_text("Live access tokens: none.")


def test_an_expired_token_is_replaced(connected: Workspace) -> None:
    tokens = connected.page.locator("#tokens")
    press(connected, "expire")
    expect(tokens).not_to_contain_text("job_specs_sidebar")
    connected.see("refresh").click()
    expect(tokens).to_contain_text("job_specs_sidebar 1")
    expect(connected.see("problem")).to_have_count(0)


def test_an_upload_is_seen_beside_the_app_and_in_it(connected: Workspace) -> None:
    connected.expect_switch(ORDERS, INSTALLED, on=True)
    press(connected, "upload")
    row = connected.page.locator(f"tr[data-name={INSTALLED}]")
    expect(row).to_contain_text("not installed")
    connected.see("refresh").click()
    connected.expect_switch(ORDERS, INSTALLED, on=False)


def test_a_quiet_upload_is_seen_beside_the_app(connected: Workspace) -> None:
    press(connected, "silent")
    press(connected, "upload")
    expect(connected.page.locator(f"tr[data-name={INSTALLED}]")).to_contain_text("silent, looks installed")


def test_an_integration_that_is_gone_is_named(connected: Workspace) -> None:
    press(connected, "unregister")
    expect(connected.page.locator(f"#job-specs details[data-name={ARCHIVE}]")).to_have_count(0)
    connected.see("refresh").click()
    expect(problem(connected, "integration_mismatch")).to_be_visible()


def test_a_change_whose_answer_is_lost_is_shown_as_zendesk_has_it(connected: Workspace) -> None:
    press(connected, "lost")
    connected.switch(ORDERS, REFUNDS).click()
    connected.expect_switch(ORDERS, REFUNDS, on=True)
    expect(connected.page.locator(f"tr[data-name={REFUNDS}] .tag--installed")).to_be_visible()


def test_a_lost_refresh_ends_the_grant(connected: Workspace) -> None:
    press(connected, "lost-refresh")
    press(connected, "expire")

    def is_over() -> bool:
        # Nothing is asked again within two seconds of the failure. Once the page learns of the end, the button is
        # hidden, and a real click would wait for it.
        connected.see("refresh").dispatch_event("click")
        return connected.see("connection").get_attribute("data-state") == "reauthorization_required"

    wait_until(is_over)


def test_a_consent_page_that_refuses_is_seen(workspace: Workspace) -> None:
    workspace.open_app()
    press(workspace, "refuse-sign-in")
    with workspace.page.expect_popup() as popup:
        workspace.see("connect").click()
    expect(popup.value.locator("body")).to_contain_text("Invalid Authorization Request")


def test_connect_can_be_pressed_again_after_a_window_was_closed(workspace: Workspace) -> None:
    workspace.open_app()
    press(workspace, "close-sign-in")
    with workspace.page.expect_popup():
        workspace.see("connect").click()
    expect(workspace.see("connection")).to_contain_text("Waiting for the other window")
    workspace.page.locator("#do-close-sign-in").click()
    expect(workspace.page.locator("#do-close-sign-in")).to_have_attribute("aria-pressed", "false")
    workspace.connect()


def test_a_connection_is_noticed_without_the_opener(workspace: Workspace) -> None:
    workspace.open_app()
    press(workspace, "cut-opener")
    workspace.connect()


@pytest.fixture
def sign_in(connected: Workspace) -> Callable[[], None]:
    """Sign in at /console in another tab, as acme's admin; each consent page is allowed."""

    def sign_in() -> None:
        tab = connected.page.context.new_page()
        tab.goto(f"{connected.simulator.service_url}/signin?subdomain=acme")
        for scope in ("users:read", "write"):
            if tab.locator("#allow").count():
                expect(tab.locator("body")).to_contain_text(scope)
                tab.locator("#user_id").select_option("101")
                with tab.expect_navigation():
                    tab.locator("#allow").click()
        connected.page.context.pages[-1].wait_for_load_state()

    return sign_in


def test_a_sign_in_that_cannot_be_read_is_refused(connected: Workspace, sign_in: Callable[[], None]) -> None:
    press(connected, "hide-users")
    sign_in()
    expect(connected.page.context.pages[-1].locator("h1")).to_contain_text("scope", ignore_case=True)


def test_a_refused_small_scope_asks_a_second_time(connected: Workspace, sign_in: Callable[[], None]) -> None:
    press(connected, "small-scope")
    sign_in()
    expect(connected.page.context.pages[-1]).to_have_url(re.compile("/console$"))


def test_a_sign_in_that_ends_the_token_is_not_noticed(connected: Workspace, sign_in: Callable[[], None]) -> None:
    press(connected, "end-first")
    sign_in()
    connected.see("refresh").click()
    expect(connected.page.locator("#tokens")).to_contain_text("job_specs_sidebar")
    expect(connected.see("problem")).to_have_count(0)


def test_every_button_has_its_test_and_a_line(workspace: Workspace) -> None:
    workspace.open_app()
    tested = {*REFUSING, *WAITING, *DISCONNECTING, *WATCHING, *OTHERS}
    buttons = workspace.page.locator(".faults button").evaluate_all("all => all.map((one) => one.id.slice(3))")
    assert sorted(buttons) == sorted(tested)
    for name in buttons:
        assert len(workspace.page.locator(f"#about-{name}").inner_text()) > 40


def test_the_sandbox_forgets_roles_under_the_service_s_name() -> None:
    assert ROLES == KEY_PATTERN
