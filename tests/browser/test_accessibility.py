"""The page by keyboard, by ear and by axe: every state, in both colour schemes, without a violation."""

import re

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import MakeWorkspace
from tests.browser.test_activity import make_entry, open_activity, serve
from tests.browser.workspace import ARCHIVE, OPEN_ORDER, ORDERS, REFUNDS, SHIPPING, Workspace, shot, violations

pytestmark = pytest.mark.browser


# --- axe ---


class Inspection:
    """Collects what axe finds, state by state."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self.found: dict[str, list[str]] = {}

    def look(self, state: str) -> None:
        self.found[state] = self._workspace.violations()

    def faults(self) -> dict[str, list[str]]:
        """Return what was found in the states where anything was."""
        return {state: found for state, found in self.found.items() if found}


@pytest.fixture(params=["light", "dark"])
def small(make_workspace: MakeWorkspace, request: pytest.FixtureRequest) -> Workspace:
    """The workspace in either scheme, with few job specs: axe looks at each."""
    workspace = make_workspace(color_scheme=request.param)
    workspace.acme.integrations[ARCHIVE].resize(3)
    return workspace


def test_axe_finds_nothing_on_the_way_to_a_connection(small: Workspace) -> None:
    inspection = Inspection(small)
    small.open_app()
    inspection.look("not connected")
    consent = small.press_connect()
    inspection.look("connecting")
    consent.locator("#deny").click()
    expect(consent.get_by_test_id("problem")).to_be_visible()
    inspection.found["callback: denied"] = violations(consent)
    expect(small.see("connection")).to_contain_text("Access was not granted")
    inspection.look("denied")
    small.grant()
    small.open_app()
    inspection.look("connected")
    small.open_connection()
    small.see("menu").click()
    inspection.look("connection and menu open")
    small.open_app(user_id=102)
    inspection.look("agent")
    small.open_app(user_id=103)
    inspection.look("end user")
    assert inspection.faults() == {}


def test_axe_finds_nothing_in_a_days_work(small: Workspace) -> None:
    inspection = Inspection(small)
    serve(small, make_entry(), make_entry(result="zendesk_unavailable"))
    small.acme.unregister_integration(SHIPPING)
    small.grant()
    small.open_app()
    small.open_connection()
    open_activity(small)
    expect(small.see("activity-entry")).to_have_count(2)
    small.meets({"where": "change", "kind": "http_500_zis", "times": 1})
    small.switch(ORDERS, REFUNDS).click()
    small.row(ORDERS, REFUNDS).get_by_test_id("problem").locator("summary").click()
    inspection.look("activity and problem")
    small.see("filter").fill("no such thing")
    inspection.look("nothing matches")
    small.see("filter").fill("")
    small.meets({"where": "change", "kind": "hold"})
    small.switch(ORDERS, OPEN_ORDER).click()
    small.simulator.world.wait_until_held(1)
    inspection.look("switching")
    small.meets()
    small.expect_switch(ORDERS, OPEN_ORDER, on=False)
    assert inspection.faults() == {}


def test_axe_finds_nothing_in_the_dialogs(small: Workspace) -> None:
    inspection = Inspection(small)
    small.grant()
    small.open_app()
    small.ask_to_disconnect()
    inspection.look("disconnect")
    small.meets({"where": "revoke", "kind": "http_500_text"})
    small.see("disconnect-confirm").click()
    expect(small.see("disconnect-dialog").get_by_test_id("problem")).to_be_visible()
    inspection.look("disconnecting failed")
    small.see("disconnect-cancel").click()
    small.choose("several")
    inspection.look("bulk: nothing chosen")
    small.see("bulk-uninstall").check()
    inspection.look("bulk: chosen")
    small.meets({"where": "change", "kind": "hold"})
    small.see("bulk-confirm").click()
    small.simulator.world.wait_until_held(1)
    inspection.look("bulk: running")
    small.meets({"where": "change", "kind": "http_500_zis", "every": 2})
    expect(small.see("bulk-result")).to_be_visible()
    small.see("bulk-result").locator("summary").click()
    inspection.look("bulk: result")
    assert inspection.faults() == {}


def test_axe_finds_nothing_when_the_session_is_over(small: Workspace) -> None:
    small.grant()
    small.open_app()
    small.page.context.route(
        "**/api/v1/**", lambda route: route.continue_(headers={**route.request.headers, "authorization": "Bearer none"})
    )
    small.see("refresh").click()
    expect(small.see("session-over")).to_contain_text("Reload the app")
    assert small.violations() == []


def test_axe_finds_nothing_on_the_services_own_pages(small: Workspace) -> None:
    inspection = Inspection(small)
    page, service = small.page, small.simulator.service_url
    small.show_app(signature="expired")
    expect(small.see("problem")).to_be_visible()
    inspection.look("sidebar refused")
    # Not every integration is ready, so the window stays open.
    small.acme.unregister_integration(SHIPPING)
    page.goto(f"{service}/oauth/authorize?subdomain=acme")
    page.locator("#allow").click()
    expect(page.get_by_test_id("not-ready")).to_be_visible()
    scheme = "dark" if page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") else "light"
    shot(page, f"page_not_ready_{scheme}")
    inspection.found["callback: connected"] = violations(page)
    for path in ("/", "/?account=not%20an%20account", "/oauth/callback?state=unknown", "/sidebar", "/nothing"):
        page.goto(service + path)
        name = re.sub(r"\W+", "_", path)
        shot(page, f"page{name}_{scheme}")
        inspection.found[path] = violations(page)
    assert inspection.faults() == {}


# --- by keyboard ---


def expect_focus_seen(element: Locator) -> None:
    """Wait until the element has the focus, and check that an outline shows it."""
    expect(element).to_be_focused()
    outline = element.evaluate(
        """(element) => {
             const { outlineStyle, outlineWidth } = getComputedStyle(element);
             return [outlineStyle, outlineWidth];
           }"""
    )
    assert outline == ["solid", "2px"]


def tab_to(workspace: Workspace, element: Locator) -> None:
    """Press the tabulator until the element has the focus."""
    for _ in range(40):
        workspace.page.keyboard.press("Tab")
        if element.evaluate("(element) => element === document.activeElement"):
            expect_focus_seen(element)
            return
    raise AssertionError("the tabulator does not reach it")


def change_several_by_keyboard(workspace: Workspace) -> None:
    """Uninstall what the filter shows, by way of the menu, and come back to its button."""
    keyboard = workspace.page.keyboard
    menu = workspace.see("menu")
    menu.focus()
    keyboard.press("Enter")
    expect_focus_seen(workspace.see("several"))
    keyboard.press("Enter")
    expect(workspace.see("bulk-uninstall")).to_be_focused()
    keyboard.press("Space")
    tab_to(workspace, workspace.see("bulk-confirm"))
    keyboard.press("Enter")
    expect(workspace.see("bulk-result")).to_be_visible()
    expect(workspace.see("bulk-dialog").locator("h2")).to_be_focused()
    keyboard.press("Escape")
    expect(workspace.see("bulk-dialog")).to_be_hidden()
    expect_focus_seen(menu)


def test_the_keyboard_is_enough_from_connecting_to_disconnecting(workspace: Workspace) -> None:
    keyboard = workspace.page.keyboard
    workspace.open_app()
    workspace.app.locator("body").focus()
    tab_to(workspace, workspace.see("connect"))
    workspace.shot("focus_connect")
    with workspace.page.expect_popup() as popup:
        keyboard.press("Enter")
    consent = popup.value
    consent.locator("#allow").focus()
    with consent.expect_event("close"):
        consent.keyboard.press("Enter")
    workspace.expect_state("connected")
    workspace.page.bring_to_front()
    # Filter.
    tab_to(workspace, workspace.see("filter"))
    keyboard.type("refund")
    expect(workspace.shown_rows()).to_have_count(1)
    # Switch.
    toggle = workspace.switch(ORDERS, REFUNDS)
    tab_to(workspace, toggle)
    workspace.shot("focus_switch")
    keyboard.press("Space")
    workspace.expect_switch(ORDERS, REFUNDS, on=True)
    expect_focus_seen(toggle)
    change_several_by_keyboard(workspace)
    workspace.expect_switch(ORDERS, REFUNDS, on=False)
    # Disconnect.
    toggle = workspace.see("connection-toggle")
    toggle.focus()
    keyboard.press("Enter")
    expect(toggle).to_have_attribute("aria-expanded", "true")
    disconnect = workspace.see("disconnect")
    tab_to(workspace, disconnect)
    keyboard.press("Enter")
    keyboard.press("Escape")
    expect(workspace.see("disconnect-dialog")).to_be_hidden()
    expect_focus_seen(disconnect)
    keyboard.press("Enter")
    tab_to(workspace, workspace.see("disconnect-confirm"))
    keyboard.press("Enter")
    workspace.expect_state("not_connected")
    expect(workspace.app.locator("#connection-state")).to_be_focused()


def test_the_focus_stays_where_it_is_while_lists_come_and_go(connected: Workspace) -> None:
    archive = connected.acme.integrations[ARCHIVE]
    # Rows stand in tens; one more before it moves it to the next ten.
    toggle = connected.switch(ARCHIVE, "archive_form_010")
    toggle.focus()
    archive.upload_bundle(["a_new_one", *(spec.name for spec in archive.job_specs)], clear_installed=False)
    connected.see("refresh").dispatch_event("click")
    expect(connected.row(ARCHIVE, "a_new_one")).to_have_count(1)
    expect(toggle).to_be_focused()


def test_the_row_a_person_works_in_is_not_filtered_away(connected: Workspace) -> None:
    connected.see("filter-installed").select_option("not_installed")
    toggle = connected.switch(ORDERS, REFUNDS)
    toggle.click()
    connected.expect_switch(ORDERS, REFUNDS, on=True)
    # A new list is filtered anew.
    connected.acme.integrations[ORDERS].upload_bundle([REFUNDS, "a_new_one"], clear_installed=False)
    connected.see("refresh").dispatch_event("click")
    expect(connected.row(ORDERS, "a_new_one")).to_have_count(1)
    expect(toggle).to_be_visible()
    expect(toggle).to_be_focused()


# --- by ear ---


def test_what_happens_is_announced(connected: Workspace) -> None:
    live = connected.see("live")
    expect(live).to_have_attribute("role", "status")
    heard: list[str] = []
    connected.page.expose_function("heard", lambda text: heard.append(text))  # noqa: PLW0108 - no builtin will do
    connected.frame.evaluate(
        """() => {
             const live = document.querySelector('[data-testid="live"]');
             new MutationObserver(() => window.heard(live.textContent)).observe(live, { childList: true });
           }"""
    )
    connected.switch(ORDERS, REFUNDS).click()
    expect(live).to_have_text(f"{REFUNDS} is installed.")
    connected.row(ORDERS, REFUNDS).get_by_test_id("reinstall").click()
    expect(live).to_have_text(f"{REFUNDS} is installed again.")
    connected.switch(ORDERS, REFUNDS).click()
    expect(live).to_have_text(f"{REFUNDS} is not installed.")
    connected.meets({"where": "change", "kind": "http_500_zis"})
    connected.switch(ORDERS, REFUNDS).click()
    expect(live).to_have_text(f"{REFUNDS}: Zendesk cannot be reached or gave no usable answer")
    connected.see("filter").fill("refund")
    expect(live).to_have_text("1 of 30 shown.")
    connected.see("filter").fill("")
    for _ in range(2):
        connected.see("refresh").click()
        expect(live).to_have_text("Refreshed: 30 job specs.")
        expect(connected.see("refresh")).to_have_text("Refresh")
    assert heard == [
        f"Installing {REFUNDS}…",
        f"{REFUNDS} is installed.",
        f"Installing {REFUNDS} again…",
        f"{REFUNDS} is installed again.",
        f"Uninstalling {REFUNDS}…",
        f"{REFUNDS} is not installed.",
        f"Installing {REFUNDS}…",
        f"{REFUNDS}: Zendesk cannot be reached or gave no usable answer",
        "1 of 30 shown.",
        *["Refreshing…", "Refreshed: 30 job specs."] * 2,
    ]


def test_names_and_states_are_told_to_assistive_technology(connected: Workspace) -> None:
    connected.see("filter").fill("refund")
    switch = connected.app.get_by_role("switch", name=REFUNDS, exact=True)
    expect(switch).not_to_be_checked()
    expect(connected.app.get_by_role("search").get_by_role("searchbox")).to_have_accessible_name(
        "Filter by name, event or flow"
    )
    expect(connected.app.get_by_role("region", name=ORDERS)).to_be_visible()
    expect(connected.app.get_by_role("list")).to_have_count(1)
    expect(connected.app.get_by_role("listitem")).to_have_count(1)


# --- reports ---


def test_a_report_can_be_copied_and_holds_no_secret(connected: Workspace) -> None:
    connected.meets({"where": "change", "kind": "http_500_zis"})
    connected.switch(ORDERS, REFUNDS).click()
    problem = connected.row(ORDERS, REFUNDS).get_by_test_id("problem")
    problem.locator("summary").click()
    # Zendesk gives an app's frame no right to the clipboard, and it works all the same.
    problem.get_by_role("button", name="Copy").click()
    expect(problem.get_by_role("button", name="Copied")).to_be_visible()
    # Pasted, as a person would: not every browser lets itself be told that a page may read the clipboard.
    connected.page.evaluate("document.body.prepend(document.createElement('textarea'))")
    connected.page.locator("textarea").focus()
    connected.page.keyboard.press("ControlOrMeta+V")
    report = connected.page.locator("textarea").input_value()
    assert report.splitlines()[1:3] == ["account: acme", "code: zendesk_unavailable"]
    assert re.search(r"^time: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", report, re.MULTILINE)
    assert re.search(r"^request: [0-9a-f]{32}$", report, re.MULTILINE)
    bootstrap = connected.frame.evaluate("JSON.parse(document.getElementById('bootstrap').textContent)")
    assert bootstrap["session_token"] not in report
    assert "eyJ" not in report
    connected.row(ORDERS, REFUNDS).scroll_into_view_if_needed()
    connected.shot("report_copied")


# --- the menu ---


def test_the_menu_is_walked_by_arrows_and_left_by_escape(connected: Workspace) -> None:
    keyboard, menu = connected.page.keyboard, connected.see("menu")
    expect(menu).to_have_attribute("aria-haspopup", "menu")
    items = [connected.see("several"), connected.see("activity-open")]
    menu.focus()
    keyboard.press("ArrowDown")
    expect(menu).to_have_attribute("aria-expanded", "true")
    expect(connected.app.get_by_role("menu", name="More").get_by_role("menuitem").first).to_be_focused()
    for key, item in (("ArrowDown", items[1]), ("Home", items[0]), ("End", connected.app.get_by_role("menuitem").last)):
        keyboard.press(key)
        expect_focus_seen(item)
    keyboard.press("ArrowDown")
    expect(items[0]).to_be_focused()
    keyboard.press("ArrowUp")
    expect(connected.app.get_by_role("menuitem").last).to_be_focused()
    keyboard.press("Escape")
    expect_focus_seen(menu)
    expect(menu).to_have_attribute("aria-expanded", "false")
    keyboard.press("ArrowUp")
    expect(connected.app.get_by_role("menuitem").last).to_be_focused()
    # Whoever goes on has left it.
    keyboard.press("Tab")
    expect(menu).to_have_attribute("aria-expanded", "false")


def test_the_activity_is_opened_and_closed_without_losing_the_focus(connected: Workspace) -> None:
    connected.choose("activity-open")
    expect(connected.see("activity").locator("h2")).to_be_focused()
    connected.see("activity-close").click()
    expect(connected.see("activity")).to_be_hidden()
    expect(connected.see("menu")).to_be_focused()
