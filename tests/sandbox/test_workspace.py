"""The agent workspace, driven by a real browser: it opens an app by a signed POST and speaks Zendesk's part."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Frame, Page, expect

from sandbox.simulator import Simulator
from tests.sandbox.app_stub import AppStub

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def app() -> Iterator[AppStub]:
    with AppStub() as stub:
        yield stub


@pytest.fixture(scope="module")
def workspace(app: AppStub) -> Iterator[Simulator]:
    with Simulator(service_url=app.url) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context()
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, workspace: Simulator, app: AppStub) -> Iterator[Page]:
    workspace.reset()
    app.posted.clear()
    page = context.new_page()
    page.goto(f"{workspace.address}/?account=acme&user=101&location=ticket_sidebar&locale=de&scheme=dark")
    yield page
    # What it may still be sending would be counted in the next test.
    page.close()


def frame_of(page: Page) -> Frame:
    """Return the app's frame once it has been registered."""
    # By its element: Firefox's driver learns a new frame's name a moment later.
    frame = page.locator("iframe[name=app]").element_handle().content_frame()
    assert frame is not None
    frame.locator("#registered").wait_for()
    return frame


def ask_host(page: Page, message: dict[str, Any]) -> Any:
    """Send one message as the SDK would, and return the answer to its id."""
    return json.loads(frame_of(page).evaluate("(message) => window.ask(message)", json.dumps(message)))


def test_the_app_is_opened_by_a_signed_post(page: Page, workspace: Simulator, app: AppStub) -> None:
    frame_of(page)
    query, form = app.posted[0]
    assert query["origin"] == workspace.address
    assert len(query["app_guid"]) == 36
    assert form["token"].count(".") == 2


def test_the_app_learns_where_it_is(page: Page) -> None:
    registered = json.loads(frame_of(page).locator("#registered").inner_text())
    assert registered["context"]["location"] == "ticket_sidebar"
    assert registered["context"]["account"] == {"subdomain": "acme"}
    assert registered["metadata"]["installationId"] == 600001


def test_values_are_answered_and_unknown_ones_named(page: Page) -> None:
    asked = ["currentUser.locale", "currentUser", "colorScheme", "moon"]
    result = ask_host(page, {"id": 1, "request": "get", "params": asked})["result"]
    assert result["currentUser.locale"] == "de"
    assert result["currentUser"]["name"] == "Ada Morgan"
    assert result["colorScheme"] == "dark"
    assert result["errors"]["moon"]["name"] == "APIUnavailable"


def test_a_notification_is_shown_as_text(page: Page) -> None:
    ask_host(page, {"id": 2, "request": "invoke", "params": {"notify": ["<b>Saved</b>", "notice"]}})
    expect(page.locator(".toast")).to_contain_text("<b>Saved</b>")


def test_the_app_sets_its_height(page: Page) -> None:
    ask_host(page, {"id": 3, "request": "invoke", "params": {"resize": [{"width": "100%", "height": "321px"}]}})
    assert page.locator("iframe[name=app]").bounding_box()["height"] == 321  # type: ignore[index]  # it is visible


def test_colours_change_without_opening_the_app_again(page: Page, app: AppStub) -> None:
    frame = frame_of(page)
    opened = len(app.posted)
    page.select_option("#scheme", "light")
    expect(frame.locator("#events")).to_contain_text('"zaf.colorScheme.changed","message":"light"')
    assert len(app.posted) == opened


def test_the_workspace_itself_has_the_chosen_colours(page: Page) -> None:
    body, button = page.locator("body"), page.locator("#do-limit")
    expect(body).to_have_css("background-color", "rgb(28, 34, 39)")
    expect(body).to_have_css("color", "rgb(216, 220, 222)")
    expect(button).to_have_css("border-top-color", "rgb(94, 166, 221)")
    page.select_option("#scheme", "light")
    expect(body).to_have_css("background-color", "rgb(248, 249, 249)")
    expect(body).to_have_css("color", "rgb(41, 50, 57)")
    expect(button).to_have_css("border-top-color", "rgb(31, 115, 183)")


def test_a_reload_posts_the_same_token_again(page: Page, app: AppStub) -> None:
    frame_of(page)
    with page.expect_request(lambda request: request.method == "POST" and "/sidebar" in request.url):
        page.click("#reload")
    frame_of(page)
    assert [form["token"] for _, form in app.posted] == [app.posted[0][1]["token"]] * 2


def test_a_bad_signature_can_be_chosen(page: Page, app: AppStub) -> None:
    frame_of(page)
    with page.expect_request(lambda request: request.method == "POST" and "/sidebar" in request.url):
        page.select_option("#signature", "hs256")
    frame_of(page)
    assert app.posted[-1][1]["token"].startswith("eyJhbGciOiJIUzI1NiI")


def test_the_stand_in_for_the_sdk_speaks_with_the_workspace(page: Page, workspace: Simulator) -> None:
    frame = frame_of(page)
    frame.add_script_tag(url=f"{workspace.address}/_workspace/zaf_sdk.js")
    location = frame.evaluate("() => new Promise((tell) => ZAFClient.init(({ context }) => tell(context.location)))")
    assert location == "ticket_sidebar"
    frame.evaluate("() => { window.client = ZAFClient.init(); }")
    assert frame.evaluate("() => client.get('currentUser.locale')") == {"errors": {}, "currentUser.locale": "de"}
    assert frame.evaluate("() => client.get('moon').catch((error) => error.name)") == "APIUnavailable"
    frame.evaluate("() => client.invoke('notify', 'From the SDK', 'error')")
    expect(page.locator(".toast--error")).to_contain_text("From the SDK")


def test_choices_are_kept_in_the_address(page: Page) -> None:
    page.select_option("#account", "globex")
    expect(page.locator("#user")).to_have_value("201")
    page.wait_for_url("**/?account=globex&user=201&location=ticket_sidebar&locale=de&scheme=dark")


def test_what_zendesk_has_is_shown_as_it_changes(page: Page, workspace: Simulator) -> None:
    row = page.locator("details[data-name=acme_orders] tr[data-name=order_number_changed]")
    expect(row).to_contain_text("not installed")
    spec = workspace.world.account("acme").integrations["acme_orders"].find("order_number_changed")
    assert spec is not None
    spec.installed = spec.armed = True
    expect(row.locator(".tag--installed")).to_be_visible()
    expect(page.locator("#news")).to_contain_text("acme_orders, order_number_changed: installed.")


def test_buttons_make_things_happen(page: Page, workspace: Simulator) -> None:
    page.click("#do-limit")
    expect(page.locator("#do-limit")).to_have_attribute("aria-pressed", "true")
    acme = workspace.world.account("acme")
    assert [(fault.where, fault.kind) for fault in acme.faults] == [("registry", "http_429")]
    page.click("#do-limit")
    expect(page.locator("#do-limit")).to_have_attribute("aria-pressed", "false")
    page.click("#do-lost-refresh")
    expect(page.locator("#do-lost-refresh")).to_have_attribute("aria-pressed", "true")
    assert acme.switches.refresh == "answer_lost"
    page.click("#do-demote")
    expect(page.locator("#user option:checked")).to_have_text("Ada Morgan (agent)")


def test_every_switch_can_be_turned_here(page: Page, workspace: Simulator) -> None:
    page.click("summary:has-text('All switches')")
    page.select_option("#switch-mint", "missing")
    page.wait_for_function(
        "async () => (await (await fetch('/_sim/accounts/acme')).json()).switches.mint === 'missing'"
    )
    assert workspace.world.account("acme").switches.mint == "missing"
