"""What a person does in the simulated agent workspace, as words."""

from playwright.sync_api import FrameLocator, Locator, Page, expect

from service.sandbox.simulator import Simulator

ADMINS = {"acme": 101, "globex": 201}


class Workspace:
    """One browser window on the agent workspace; `app` is the sidebar's frame."""

    def __init__(self, page: Page, simulator: Simulator) -> None:
        self.page = page
        self.simulator = simulator
        self.app: FrameLocator = page.frame_locator("iframe[name=app]")

    def open_app(self, account: str = "acme", user_id: int | None = None) -> None:
        """Open the app in a ticket's sidebar, and wait until it knows how the account is connected."""
        person = user_id or ADMINS[account]
        self.page.goto(f"{self.simulator.address}/?account={account}&user={person}&location=ticket_sidebar")
        expect(self.app.locator("#app")).not_to_have_attribute("aria-busy", "true")

    def press_connect(self) -> Page:
        """Press Connect; return the window that opens, on Zendesk's consent page."""
        with self.page.expect_popup() as popup:
            self.see("connect").click()
        popup.value.locator("#allow").wait_for()
        return popup.value

    def connect(self, account: str = "acme") -> None:
        """Connect the account as its admin, and wait for the end of the window and for the list."""
        consent = self.press_connect()
        consent.locator("#user_id").select_option(str(ADMINS[account]))
        # While it is open, another click would use it again instead of opening one.
        with consent.expect_event("close"):
            consent.locator("#allow").click()
        self.expect_state("connected")
        expect(self.see("job-spec").first).to_be_visible()

    def expect_state(self, state: str) -> None:
        """Wait until the page shows this state of the connection."""
        expect(self.see("connection")).to_have_attribute("data-state", state)

    def see(self, test_id: str) -> Locator:
        """Return a part of the sidebar."""
        return self.app.get_by_test_id(test_id)

    def rows(self, integration: str) -> Locator:
        """Return the rows of one integration."""
        return self.app.locator(f'[data-testid="job-spec"][data-integration="{integration}"]')

    def row(self, integration: str, name: str) -> Locator:
        """Return the row of one job spec."""
        return self.app.locator(f'[data-testid="job-spec"][data-integration="{integration}"][data-name="{name}"]')

    def switch(self, integration: str, name: str) -> Locator:
        """Return the switch of one job spec."""
        return self.row(integration, name).get_by_test_id("toggle")

    def expect_switch(self, integration: str, name: str, *, on: bool) -> None:
        """Wait until the page shows this switch on or off, and check that Zendesk has it so."""
        expect(self.switch(integration, name)).to_have_attribute("aria-checked", str(on).lower())
        account = self.simulator.world.account(integration.partition("_")[0])
        spec = account.integrations[integration].find(name)
        assert spec is not None
        assert spec.installed is on
