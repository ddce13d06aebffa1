"""The page's session: renewed without a word for twelve hours, and then only Zendesk can open the page again."""

import time

import pytest
from playwright.sync_api import Request, expect

from service.ground.settings import Settings
from service.ground.subdomains import Subdomain
from service.people.sessions import Sessions
from tests.browser.workspace import ALL, ARCHIVE, ORDERS, REFUNDS, Workspace
from tests.steps import wait_until

pytestmark = pytest.mark.browser

MINUTES, HOURS = 60_000, 3_600_000  # milliseconds
API = "**/api/v1/**"


@pytest.fixture
def timed(workspace: Workspace) -> Workspace:
    """The app of the connected account, in a window whose clock can be moved."""
    workspace.page.clock.install()
    workspace.grant()
    workspace.open_app()
    return workspace


def renewals(workspace: Workspace) -> list[Request]:
    """Return the list that every renewal from now on is added to."""
    asked: list[Request] = []
    workspace.page.context.on(
        "request", lambda request: asked.append(request) if request.url.endswith("/api/v1/session") else None
    )
    return asked


def age_session(workspace: Workspace, environment: dict[str, str], seconds: int) -> None:
    """Let the service see the session as it will be in so many seconds: every call brings a token as old as that."""
    settings = Settings.from_env({**environment, "PUBLIC_URL": workspace.simulator.service_url})
    then = int(time.time()) - seconds
    old, _ = Sessions(settings, lambda: then).issue(Subdomain("acme"), 101, None, then)
    workspace.page.context.route(
        API, lambda route: route.continue_(headers={**route.request.headers, "authorization": f"Bearer {old}"})
    )


@pytest.mark.parametrize("away", [16 * MINUTES, 11 * HOURS], ids=["a quarter of an hour", "a night"])
def test_an_expired_token_is_renewed_without_a_word(away: int, timed: Workspace) -> None:
    asked = renewals(timed)
    timed.page.clock.fast_forward(away)
    timed.see("refresh").click()
    expect(timed.see("live")).to_have_text("Refreshed: 30 job specs.")
    timed.switch(ORDERS, REFUNDS).click()
    timed.expect_switch(ORDERS, REFUNDS, on=True)
    # Several calls at once needed it, and one renewal served them.
    assert len(asked) == 1
    expect(timed.see("problem")).to_have_count(0)


def test_a_token_that_the_service_finds_expired_is_renewed_without_a_word(
    connected: Workspace, environment: dict[str, str]
) -> None:
    asked = renewals(connected)
    settings = Settings.from_env({**environment, "PUBLIC_URL": connected.simulator.service_url})
    then = int(time.time()) - 1000
    old, _ = Sessions(settings, lambda: then).issue(Subdomain("acme"), 101, None, then)
    # The page's clock stood still: it does not know.
    connected.page.context.route(
        "**/api/v1/job_specs/**",
        lambda route: route.continue_(headers={**route.request.headers, "authorization": f"Bearer {old}"}),
        times=1,
    )
    connected.switch(ORDERS, REFUNDS).click()
    connected.expect_switch(ORDERS, REFUNDS, on=True)
    assert len(asked) == 1
    expect(connected.see("problem")).to_have_count(0)


def test_a_renewal_that_fails_in_passing_is_tried_again(timed: Workspace) -> None:
    timed.page.clock.fast_forward(16 * MINUTES)
    timed.page.context.route("**/api/v1/session", lambda route: route.abort(), times=1)
    timed.see("refresh").click()
    problem = timed.see("connection").get_by_test_id("problem")
    expect(problem).to_have_attribute("data-code", "network")
    problem.get_by_role("button", name="Try again").click()
    expect(problem).to_have_count(0)


def test_after_twelve_hours_the_page_asks_to_be_reloaded(timed: Workspace, environment: dict[str, str]) -> None:
    age_session(timed, environment, 12 * 3600)
    timed.page.clock.fast_forward(12 * HOURS)
    timed.see("refresh").click()
    over = timed.see("session-over")
    expect(over).to_contain_text("Reload the app")
    expect(over).to_contain_text("as it does after 12 hours")
    # What is shown is old and can do nothing any more.
    assert timed.app.locator(".app__content").evaluate("(content) => content.inert")
    expect(timed.see("problem")).to_have_count(1)
    timed.shot("session_over")
    # Coming back to the front asks nothing.
    asked: list[str] = []
    timed.page.context.on("request", lambda request: asked.append(request.url))
    timed.page.clock.fast_forward(2 * MINUTES)
    timed.frame.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    timed.frame.evaluate("() => new Promise((resolve) => setTimeout(resolve))")
    assert [url for url in asked if "/api/v1/" in url] == []
    # Nothing was refreshed.
    expect(timed.see("live")).to_have_text("Refreshing…")
    timed.page.context.unroute(API)
    timed.open_app()
    timed.expect_state("connected")
    expect(over).to_be_empty()


def test_a_bulk_change_ends_with_the_session(timed: Workspace, environment: dict[str, str]) -> None:
    timed.acme.integrations[ARCHIVE].resize(60)
    timed.see("refresh").click()
    expect(timed.rows(ARCHIVE)).to_have_count(60)
    timed.meets({"where": "change", "kind": "hold"})
    timed.see("filter").fill(ARCHIVE)
    timed.choose("several")
    timed.see("bulk-install").check()
    timed.see("bulk-confirm").click()
    timed.simulator.world.wait_until_held(1)
    age_session(timed, environment, 12 * 3600)
    timed.page.clock.fast_forward(12 * HOURS)
    timed.meets()
    expect(timed.see("session-over")).to_contain_text("Reload the app")
    expect(timed.see("bulk-dialog")).to_be_hidden()
    # Four were installed, and 20 were on their way when it ended: the service goes on with those.
    wait_until(lambda: sum(spec.installed for spec in timed.acme.integrations[ARCHIVE].job_specs) == 4 + 20)


def test_a_dialog_is_not_left_open_where_the_session_is_over(timed: Workspace, environment: dict[str, str]) -> None:
    timed.ask_to_disconnect()
    age_session(timed, environment, 12 * 3600)
    timed.page.clock.fast_forward(12 * HOURS)
    timed.see("disconnect-confirm").click()
    expect(timed.see("session-over")).to_contain_text("Reload the app")
    expect(timed.see("disconnect-dialog")).to_be_hidden()
    # What can be done now is said by the alert alone.
    expect(timed.see("live")).to_be_empty()


def test_reloading_the_app_posts_the_same_signed_request_again(connected: Workspace) -> None:
    connected.see("filter").fill("gone after reloading")
    connected.page.locator("#reload").click()
    expect(connected.see("filter")).to_have_value("")
    expect(connected.see("job-spec")).to_have_count(ALL)


def test_a_signed_request_that_is_refused_shows_why_and_no_control(workspace: Workspace) -> None:
    workspace.show_app(signature="expired")
    problem = workspace.see("problem")
    expect(problem).to_contain_text("Reload the app in Zendesk")
    expect(workspace.app.get_by_role("button")).to_have_count(0)
    workspace.shot("refused")
