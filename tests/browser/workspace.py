"""What a person does in the simulated agent workspace, as words."""

import os
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import requests
from playwright.sync_api import Frame, FrameLocator, Locator, Page, Route, expect

from sandbox.simulator import Simulator
from sandbox.simulator.accounts import Account
from sandbox.simulator.faults import Fault
from sandbox.simulator.integrations import JobSpec

ADMINS = {"acme": 101, "globex": 201}
# Where the app asks the simulated Zendesk for its SDK.
SDK = "**/_workspace/zaf_sdk.js"
ORDERS, SHIPPING, ARCHIVE = "acme_orders", "acme_shipping", "acme_archive"
# As many job specs as these tests leave acme_archive, every fifth of them installed; and those of the account.
ARCHIVED, ALL = 20, 30
# Installed, and not, in the default world; and a name that both integrations hold.
OPEN_ORDER, REFUNDS, SHARED = "open_order_for_ticket", "refund_record_created", "notify_warehouse"

_HERE = Path(__file__).parent
_STAND_IN = _HERE.parents[1] / "sandbox" / "workspace" / "zaf_sdk.js"
_SHOTS = _HERE / "shots"
_AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()


class Workspace:
    """One browser window on the agent workspace; `app` is the sidebar's frame."""

    def __init__(self, page: Page, simulator: Simulator) -> None:
        self.page = page
        self.simulator = simulator
        self.app: FrameLocator = page.frame_locator("iframe[name=app]")

    # --- before anything is opened ---

    def grant(self, account: str = "acme") -> None:
        """Connect the account as its admin, in another browser."""
        browser = requests.Session()
        start = f"{self.simulator.service_url}/oauth/authorize"
        leaving = browser.get(start, params={"subdomain": account}, allow_redirects=False, timeout=30)
        back = self.simulator.consent(leaving.headers["Location"], ADMINS[account])
        assert browser.get(back, timeout=30).status_code == 200

    def serve_sdk(self) -> None:
        """Let the app find Zendesk's SDK, or what stands in for it."""
        self.page.context.route(SDK, lambda route: route.fulfill(path=_STAND_IN, content_type="text/javascript"))

    # --- the app ---

    def open_app(self, account: str = "acme", user_id: int | None = None, **choices: str) -> None:
        """Open the app, in a ticket's sidebar unless told otherwise; wait until it knows how the account is connected.

        `choices` are those of the workspace's page: location, locale, scheme.
        """
        self.show_app(account, user_id, **choices)
        expect(self.app.locator("#app")).not_to_have_attribute("aria-busy", "true")

    def show_app(self, account: str = "acme", user_id: int | None = None, **choices: str) -> None:
        """Open the app and wait for nothing."""
        chosen = {"account": account, "user": str(user_id or ADMINS[account]), "location": "ticket_sidebar", **choices}
        self.page.goto(f"{self.simulator.address}/?{urlencode(chosen)}")

    @property
    def frame(self) -> Frame:
        """The document in the app's frame, as it is now."""
        frame = self.page.frame(name="app")
        assert frame is not None
        return frame

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

    def choose(self, test_id: str) -> None:
        """Choose from the menu at the top."""
        self.see("menu").click()
        self.see(test_id).click()

    def open_connection(self) -> None:
        """Open the line of the connection, if it is not open."""
        if self.see("connection-toggle").get_attribute("aria-expanded") == "false":
            self.see("connection-toggle").click()

    def ask_to_disconnect(self) -> None:
        """Open the dialog that asks before the grant is given back."""
        self.open_connection()
        self.see("disconnect").click()

    # --- its parts ---

    def see(self, test_id: str) -> Locator:
        """Return a part of the sidebar."""
        return self.app.get_by_test_id(test_id)

    def button(self, name: str) -> Locator:
        """Return the button of exactly this name."""
        return self.app.get_by_role("button", name=name, exact=True)

    def rows(self, integration: str) -> Locator:
        """Return the rows of one integration."""
        return self.app.locator(f'[data-testid="job-spec"][data-integration="{integration}"]')

    def shown_rows(self) -> Locator:
        """Return the rows that the filter lets through."""
        return self.see("job-spec")

    def row(self, integration: str, name: str) -> Locator:
        """Return the row of one job spec."""
        return self.app.locator(f'[data-testid="job-spec"][data-integration="{integration}"][data-name="{name}"]')

    def group(self, integration: str) -> Locator:
        """Return the part of the list that belongs to one integration."""
        return self.app.locator(f'[data-testid="integration"][data-integration="{integration}"]')

    def list_problem(self) -> Locator:
        """Return what is wrong with the whole list."""
        return self.app.locator(".list > .problem-slot").get_by_test_id("problem")

    def switch(self, integration: str, name: str) -> Locator:
        """Return the switch of one job spec."""
        return self.row(integration, name).get_by_test_id("toggle")

    def expect_switch(self, integration: str, name: str, *, on: bool) -> None:
        """Wait until the page shows this switch on or off, and check that Zendesk has it so."""
        expect(self.switch(integration, name)).to_have_attribute("aria-checked", str(on).lower())
        # Between click and answer it shows what was.
        expect(self.switch(integration, name)).not_to_have_attribute("aria-busy", "true")
        assert self.spec(integration, name).installed is on

    # --- Zendesk ---

    @property
    def acme(self) -> Account:
        """The account as Zendesk has it."""
        return self.simulator.world.account("acme")

    def spec(self, integration: str, name: str) -> JobSpec:
        """Return a job spec as Zendesk has it."""
        account = self.simulator.world.account(integration.partition("_")[0])
        spec = account.integrations[integration].find(name)
        assert spec is not None
        return spec

    def meets(self, *faults: dict[str, Any]) -> None:
        """Let callers of acme meet these faults from now on, and no others; what is held is let go."""
        with self.simulator.world.lock:
            self.acme.faults[:] = [Fault.from_json(fault) for fault in faults]
            self.acme.release()

    # --- looking closely ---

    def violations(self) -> list[str]:
        """Return what axe finds wrong with the app as it is shown now; every rule it has, the best practices too."""
        return violations(self.frame)

    def shot(self, name: str) -> None:
        """With SHOTS=1 in the environment: keep a picture of the app's frame."""
        shot(self.page, name, "iframe[name=app]")


def violations(place: Page | Frame) -> list[str]:
    """Return what axe finds wrong with a document, as rule and element; see `Workspace.violations`."""
    # In the document already: it is half a megabyte to read.
    if not place.evaluate("'axe' in window"):
        place.evaluate(_AXE)
    found = place.evaluate("async () => (await axe.run({ resultTypes: ['violations'] })).violations")
    return [f"{rule['id']}: {node['html']} {node['failureSummary']}" for rule in found for node in rule["nodes"]]


def shot(page: Page, name: str, selector: str | None = None) -> None:
    """With SHOTS=1 in the environment: keep a picture of a window, or of one element of it."""
    if os.environ.get("SHOTS") != "1":
        return
    path = _SHOTS / f"{name}.png"
    if selector is None:
        page.screenshot(path=path, full_page=True)
    else:
        page.locator(selector).screenshot(path=path)


def fulfil(route: Route, body: dict[str, Any], status: int = 200) -> None:
    """Answer a call of the app in the service's place."""
    kind = "application/json" if status < 400 else "application/problem+json"
    route.fulfill(status=status, json=body, content_type=kind)
