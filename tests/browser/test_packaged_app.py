"""A packaged app of another team, from an origin of its own: signing in by a popup, and what may go wrong with that."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import FrameLocator, Page, expect

from sandbox.simulator import Simulator
from tests.browser.conftest import MakeWorkspace
from tests.browser.workspace import ORDERS, REFUNDS, Workspace

pytestmark = pytest.mark.browser


@pytest.fixture
def workspace(make_workspace: MakeWorkspace, simulator: Simulator) -> Workspace:
    """The agent workspace of a connected account, whose service lets the packaged app in."""
    workspace = make_workspace({"ALLOWED_ORIGINS": simulator.packaged_app_origin})
    workspace.grant()
    return workspace


def opened(workspace: Workspace) -> FrameLocator:
    """Open the packaged app; its button stands in the markup, and does something once the script has run."""
    workspace.page.locator("#packaged > summary").click()
    frame = workspace.page.locator("iframe[name=packaged]").element_handle().content_frame()
    assert frame is not None
    frame.wait_for_url(re.compile(r"iframe\.html"))
    return workspace.page.frame_locator("iframe[name=packaged]")


@pytest.fixture
def app(workspace: Workspace) -> FrameLocator:
    """The packaged app, open beside ours."""
    workspace.open_app()
    return opened(workspace)


def press_sign_in(workspace: Workspace, app: FrameLocator) -> Page:
    """Press the app's button; return the window that opens, on Zendesk's consent page."""
    with workspace.page.expect_popup() as popup:
        app.get_by_role("button", name="Sign in with Zendesk").click()
    popup.value.locator("#allow").wait_for()
    return popup.value


def allow(popup: Page, user_id: int = 101) -> None:
    popup.locator("#user_id").select_option(str(user_id))
    popup.locator("#allow").click()


def test_from_the_manifest_to_the_first_installed_job_spec(workspace: Workspace, app: FrameLocator) -> None:
    popup = press_sign_in(workspace, app)
    with popup.expect_event("close"):
        allow(popup)
    install = app.get_by_role("button", name=f"Install zis:{ORDERS}:job_spec:{REFUNDS}")
    install.click()

    expect(app.get_by_role("button", name=f"Uninstall zis:{ORDERS}:job_spec:{REFUNDS}")).to_be_visible()
    assert workspace.spec(ORDERS, REFUNDS).installed


def test_a_page_that_cuts_the_opener_does_not_matter(workspace: Workspace, app: FrameLocator) -> None:
    workspace.acme.switches.opener = "lost"
    allow(press_sign_in(workspace, app))
    expect(app.get_by_role("button", name="Uninstall").first).to_be_visible()


@pytest.mark.parametrize("consent", ["refused", "closes"])
def test_a_window_that_does_not_come_back_leaves_the_button(
    workspace: Workspace, app: FrameLocator, consent: str
) -> None:
    workspace.acme.switches.consent = consent
    with workspace.page.expect_popup() as popup:
        app.get_by_role("button", name="Sign in with Zendesk").click()
    if consent == "refused":
        expect(popup.value.get_by_text("No such client")).to_be_visible()
        popup.value.close()
    workspace.acme.switches.consent = "shown"
    allow(press_sign_in(workspace, app))
    expect(app.get_by_role("button", name="Uninstall").first).to_be_visible()


def test_a_popup_that_is_closed_too_soon_can_be_opened_again(workspace: Workspace, app: FrameLocator) -> None:
    claims: list[str | None] = []
    page = workspace.page
    page.context.on("request", lambda it: claims.append(it.post_data) if it.url.endswith("/session/claim") else None)
    page.clock.install()
    page.clock.pause_at(datetime.now(UTC) + timedelta(hours=1))
    press_sign_in(workspace, app).close()
    popup = press_sign_in(workspace, app)
    # Of the first one nothing is told, and it is not waited for any more.
    expect(app.locator("#says")).to_have_text("…")
    allow(popup)
    expect(popup.get_by_test_id("signed-in")).to_be_visible()
    page.clock.run_for(2000)
    expect(app.get_by_role("button", name="Uninstall").first).to_be_visible()
    assert len(claims) == 1


def test_an_end_user_is_told_why_not_in_both_windows(workspace: Workspace, app: FrameLocator) -> None:
    popup = press_sign_in(workspace, app)
    allow(popup, 103)
    expect(popup.get_by_test_id("problem")).to_contain_text("end user of acme")
    expect(app.locator("#says")).to_contain_text("end user of acme")


def test_somebody_who_presses_deny_is_told_in_the_app(workspace: Workspace, app: FrameLocator) -> None:
    press_sign_in(workspace, app).locator("#deny").click()
    expect(app.locator("#says")).to_contain_text("nobody is signed in")


def test_an_agent_may_not_install(workspace: Workspace, app: FrameLocator) -> None:
    allow(press_sign_in(workspace, app), 102)
    app.get_by_role("button", name=f"Install zis:{ORDERS}:job_spec:{REFUNDS}").click()
    expect(app.locator("#says")).to_contain_text("Only admins may change job specs")
    assert not workspace.spec(ORDERS, REFUNDS).installed


def test_a_browser_that_opens_no_window_says_so(workspace: Workspace) -> None:
    workspace.page.add_init_script("window.open = () => null")
    workspace.open_app()
    app = opened(workspace)
    app.get_by_role("button", name="Sign in with Zendesk").click()
    expect(app.locator("#says")).to_contain_text("Allow windows of this page")


def test_a_service_that_does_not_know_the_origin_says_so_in_the_popup(make_workspace: MakeWorkspace) -> None:
    """Its files are refused as well, so the page has a copy of its own."""
    workspace = make_workspace()
    page, service = workspace.page, workspace.simulator.service_url
    page.goto(f"{workspace.simulator.packaged_app_origin}/_packaged/assets/none")
    page.set_content(f'<form method="post" action="{service}/signin"><input name="subdomain" value="acme"></form>')
    page.evaluate("document.forms[0].submit()")

    expect(page.get_by_test_id("problem")).to_contain_text("packaged-app.localhost")
    expect(page.locator("#report")).to_contain_text("origin_not_allowed")


def test_a_page_without_a_referrer_is_told_why(workspace: Workspace) -> None:
    page, service = workspace.page, workspace.simulator.service_url
    page.goto(f"{workspace.simulator.packaged_app_origin}/_packaged/assets/none")
    page.set_content(
        '<meta name="referrer" content="no-referrer">'
        f'<form method="post" action="{service}/signin"><input name="subdomain" value="acme"></form>'
    )
    page.evaluate("document.forms[0].submit()")
    expect(page.get_by_test_id("problem")).to_contain_text("Referrer-Policy")
