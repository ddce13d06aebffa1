"""The page in a window of its own: signing in with Zendesk, job specs without a Zendesk app, signing out."""

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import MakeWorkspace
from tests.browser.workspace import ORDERS, REFUNDS, Workspace, shot, violations

pytestmark = pytest.mark.browser

HOURS = 3_600_000  # milliseconds


@pytest.fixture
def service(workspace: Workspace) -> str:
    """The service's address; acme is connected."""
    workspace.grant()
    return workspace.simulator.service_url


@pytest.fixture
def window(service: str, open_window: Callable[..., Page]) -> Page:
    """A window on the console, in which nobody is signed in."""
    page = open_window()
    page.goto(f"{service}/console")
    return page


def sign_in(page: Page, user_id: int = 101, account: str = "acme") -> None:
    page.get_by_label("Zendesk account").fill(account)
    page.get_by_role("button", name="Continue to Zendesk").click()
    page.locator("#user_id").select_option(str(user_id))
    page.locator("#allow").click()


def switch_of(name: str) -> str:
    return f'[data-testid="job-spec"][data-integration="{ORDERS}"][data-name="{name}"] [data-testid="toggle"]'


def test_whoever_signs_in_sees_and_switches_job_specs_without_a_zendesk_app(
    window: Page, workspace: Workspace, service: str
) -> None:
    shot(window, "console_signed_out")
    assert violations(window) == []
    sign_in(window, account="https://acme.zendesk.com/agent")

    expect(window).to_have_url(f"{service}/console")
    expect(window.get_by_text("Account acme")).to_be_visible()
    expect(window.get_by_test_id("connection")).to_have_attribute("data-state", "connected")
    toggle = window.locator(switch_of(REFUNDS))
    expect(toggle).to_have_attribute("aria-checked", "false")
    toggle.click()
    expect(toggle).to_have_attribute("aria-checked", "true")
    expect(toggle).not_to_have_attribute("aria-busy", "true")
    assert workspace.spec(ORDERS, REFUNDS).installed
    assert violations(window) == []
    shot(window, "console")


def test_the_session_is_kept_for_the_tab_and_in_no_address(window: Page, service: str) -> None:
    addresses: list[str] = []
    window.on("framenavigated", lambda frame: addresses.append(frame.url))
    sign_in(window)
    expect(window.get_by_test_id("job-spec").first).to_be_visible()
    kept = json.loads(window.evaluate("sessionStorage.getItem('zis-session')"))
    assert not any(kept["session_token"] in address for address in addresses)
    assert window.evaluate("[localStorage.length, document.cookie]") == [0, ""]

    window.reload()
    expect(window.get_by_test_id("job-spec").first).to_be_visible()
    other = window.context.new_page()
    other.goto(f"{service}/console")
    expect(other.get_by_test_id("sign-in")).to_be_visible()


def test_signing_out_forgets_the_session(window: Page) -> None:
    sign_in(window)
    window.get_by_test_id("sign-out").click()

    expect(window.get_by_test_id("sign-in")).to_be_visible()
    expect(window.get_by_test_id("job-spec")).to_have_count(0)
    assert window.evaluate("sessionStorage.length") == 0


def test_an_agent_sees_and_does_not_switch(window: Page) -> None:
    sign_in(window, 102)
    expect(window.get_by_test_id("role-note")).to_be_visible()
    expect(window.get_by_test_id("job-spec").first).to_be_visible()
    expect(window.locator(switch_of(REFUNDS))).to_be_hidden()


def test_an_end_user_is_told_why_not(window: Page, service: str) -> None:
    sign_in(window, 103)
    expect(window.get_by_test_id("problem")).to_contain_text("end user of acme")
    expect(window).to_have_url(f"{service}/oauth/callback")
    assert window.evaluate("sessionStorage.length") == 0


def test_after_twelve_hours_it_asks_to_sign_in_again(window: Page, workspace: Workspace) -> None:
    sign_in(window)
    expect(window.get_by_test_id("job-spec").first).to_be_visible()
    window.route("**/api/v1/**", lambda route: route.fulfill(
        status=401, json={"code": "unauthenticated", "status": 401}, content_type="application/problem+json"
    ))  # fmt: skip
    window.get_by_role("button", name="Refresh").click()

    expect(window.get_by_text("Sign in again to go on.")).to_be_visible()
    expect(window.get_by_label("Zendesk account")).to_have_value("acme")
    assert window.evaluate("sessionStorage.length") == 0
    assert workspace.acme.live_tokens()


def test_who_connects_from_the_front_page_is_signed_in_by_that(
    workspace: Workspace, open_window: Callable[..., Page]
) -> None:
    page = open_window()
    page.goto(workspace.simulator.service_url)
    page.get_by_label("Zendesk account").fill("acme")
    page.get_by_role("button", name="Continue to Zendesk").click()
    page.locator("#user_id").select_option("101")
    page.locator("#allow").click()
    page.get_by_role("link", name="Go to the job specs").click()

    expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "connected")
    expect(page.get_by_test_id("job-spec").first).to_be_visible()


def test_it_speaks_german(make_workspace: MakeWorkspace, open_window: Callable[..., Page]) -> None:
    workspace = make_workspace()
    page = open_window(locale="de-DE")
    page.goto(f"{workspace.simulator.service_url}/console")
    expect(page.get_by_role("heading", name="Mit Zendesk anmelden")).to_be_visible()
