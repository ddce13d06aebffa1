"""What a person does in the simulated agent workspace, as words."""

from playwright.sync_api import FrameLocator, Locator, Page, expect

from tests.browser.sandbox_process import ADMINS, Sandbox


def open_app(page: Page, sandbox: Sandbox, *, account: str = "acme", user_id: int | None = None) -> FrameLocator:
    """Open the app in a ticket's sidebar; return its frame once it knows how the account is connected."""
    page.goto(f"{sandbox.workspace}/?account={account}&user={user_id or ADMINS[account]}&location=ticket_sidebar")
    app = page.frame_locator("iframe[name=app]")
    expect(app.locator("#app")).not_to_have_attribute("aria-busy", "true")
    return app


def press_connect(page: Page, app: FrameLocator) -> Page:
    """Press Connect; return the window that opens, on Zendesk's consent page."""
    with page.expect_popup() as popup:
        app.get_by_test_id("connect").click()
    popup.value.locator("#allow").wait_for()
    return popup.value


def connect(page: Page, app: FrameLocator, *, account: str = "acme") -> None:
    """Connect the account as its admin, and wait for the end of the window and for the list."""
    consent = press_connect(page, app)
    consent.locator("#user_id").select_option(str(ADMINS[account]))
    # While it is open, another click would use it again instead of opening one.
    with consent.expect_event("close"):
        consent.locator("#allow").click()
    expect_state(app, "connected")
    expect(app.get_by_test_id("job-spec").first).to_be_visible()


def expect_state(app: FrameLocator, state: str) -> None:
    """Wait until the page shows this state of the connection."""
    expect(app.get_by_test_id("connection")).to_have_attribute("data-state", state)


def row(app: FrameLocator, integration: str, name: str) -> Locator:
    """The row of one job spec."""
    return app.locator(f'[data-testid="job-spec"][data-integration="{integration}"][data-name="{name}"]')


def switch(app: FrameLocator, integration: str, name: str) -> Locator:
    """The switch of one job spec."""
    return row(app, integration, name).get_by_test_id("toggle")
