"""The page and Zendesk around it, by way of Zendesk's SDK; nothing waits for it."""

import math

import pytest
from playwright.sync_api import Route, expect

from tests.browser.workspace import ORDERS, REFUNDS, SDK, Workspace

pytestmark = pytest.mark.browser

NEVER_ANSWERS = """window.ZAFClient = {
  init: () => ({ on() {}, get: () => new Promise(() => {}), invoke: () => new Promise(() => {}) }),
};"""
THROWS = "window.ZAFClient = { init() { throw new Error('odd origin'); } };"
REFUSES_ALL = """window.ZAFClient = {
  init(registered) {
    setTimeout(() => registered({ location: "ticket_sidebar" }));
    return { on() {}, get: () => Promise.reject(new Error()), invoke: () => Promise.reject(new Error()) };
  },
};"""


# Opens the app in its frame.
POST = """([action, token]) => {
  const form = Object.assign(document.createElement("form"), { method: "post", action, target: "app" });
  form.append(Object.assign(document.createElement("input"), { name: "token", value: token }));
  document.body.append(form);
  form.submit();
}"""


COUNT_TOASTS = """(box) => {
  window.toasts = 0;
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) window.toasts += addedNodes.length;
  }).observe(box, { childList: true });
}"""


@pytest.fixture
def hosted(workspace: Workspace) -> Workspace:
    """The workspace of the connected account, where the app finds the SDK."""
    workspace.serve_sdk()
    workspace.grant()
    return workspace


def frame_height(workspace: Workspace) -> str:
    """Return the height that the app has asked for; empty: none."""
    height: str = workspace.page.locator("iframe[name=app]").evaluate("(frame) => frame.style.height")
    return height


def test_the_page_speaks_the_language_of_the_persons_zendesk(hosted: Workspace) -> None:
    hosted.open_app(locale="de")
    expect(hosted.app.locator("#connection-state")).to_have_text("acme ist verbunden")
    expect(hosted.app.locator("html")).to_have_attribute("lang", "de")
    expect(hosted.see("list-note")).to_contain_text("30 Job-Specs.")
    hosted.shot("german")


@pytest.mark.parametrize(
    ("tag", "language", "words"),
    [
        ("de-AT", "de", "acme ist verbunden"),
        ("en-001", "en", "acme is connected"),
        ("es-419", "es", "acme está conectada"),
        ("fr-CA", "fr", "acme est connecté"),
        ("ja", "ja", "acmeは接続されています"),
        ("pt-BR", "pt-BR", "acme está conectada"),
        ("pt", "pt-BR", "acme está conectada"),
        ("nl", "en", "acme is connected"),
    ],
)
def test_zendesks_tags_find_their_catalogue_and_ask_for_none_that_is_not_there(
    tag: str, language: str, words: str, hosted: Workspace
) -> None:
    missing: list[str] = []
    hosted.page.context.on("response", lambda reply: missing.append(reply.url) if reply.status == 404 else None)
    hosted.open_app(locale=tag)
    expect(hosted.app.locator("#connection-state")).to_have_text(words)
    expect(hosted.app.locator("html")).to_have_attribute("lang", language)
    assert missing == []


def test_a_time_that_ends_in_a_point_gets_no_second_one(hosted: Workspace) -> None:
    hosted.open_app(locale="es-419")
    expect(hosted.see("list-note")).to_contain_text(".m.")
    expect(hosted.see("list-note")).not_to_contain_text("..")


def test_a_connection_that_is_asked_for_twice_is_told_once(workspace: Workspace) -> None:
    workspace.serve_sdk()
    workspace.open_app()
    # Not looked for in the page, where it stays for a few seconds only.
    workspace.page.locator("#toasts").evaluate(COUNT_TOASTS)
    held: list[Route] = []
    workspace.page.context.route("**/api/v1/status", lambda route: held.append(route))  # noqa: PLW0108 - Playwright marks its handler
    consent = workspace.press_connect()
    # The page asks now and then, and again when the other window is done.
    while len(held) < 1:
        workspace.page.wait_for_event("request")
    consent.locator("#user_id").select_option("101")
    with workspace.page.expect_request("**/api/v1/status"):
        consent.locator("#allow").click()
    workspace.page.context.unroute("**/api/v1/status")
    for route in held:
        route.continue_()
    workspace.expect_state("connected")
    expect(workspace.see("job-spec").first).to_be_visible()
    workspace.page.wait_for_function("toasts > 0")
    assert workspace.page.evaluate("toasts") == 1


def test_the_page_has_zendesks_colours_and_changes_with_them(hosted: Workspace) -> None:
    hosted.open_app(scheme="dark")
    root, body = hosted.app.locator("html"), hosted.app.locator("body")
    expect(root).to_have_attribute("data-scheme", "dark")
    expect(body).to_have_css("background-color", "rgb(21, 26, 30)")
    hosted.shot("dark")
    hosted.page.locator("#scheme").select_option("light")
    expect(root).to_have_attribute("data-scheme", "light")
    expect(body).to_have_css("background-color", "rgb(255, 255, 255)")


def test_the_frame_is_as_high_as_its_page_up_to_a_limit(hosted: Workspace) -> None:
    hosted.open_app()
    frame = hosted.page.locator("iframe[name=app]")
    expect(frame).to_have_css("height", "720px")
    hosted.see("filter").fill(REFUNDS)
    expect(hosted.shown_rows()).to_have_count(1)
    expect(frame).not_to_have_css("height", "720px")
    # All of it is to be seen.
    hosted.frame.wait_for_function(
        "({ scrollHeight, clientHeight }) => scrollHeight === clientHeight",
        arg=hosted.app.locator("html").element_handle(),
    )
    hosted.shot("resized")


def test_a_dialog_has_room_in_a_low_frame(hosted: Workspace) -> None:
    hosted.open_app()
    hosted.see("filter").fill(REFUNDS)
    expect(hosted.page.locator("iframe[name=app]")).not_to_have_css("height", "720px")
    hosted.choose("several")
    dialog = hosted.see("bulk-dialog")
    expect(dialog).to_be_in_viewport(ratio=1)
    hosted.shot("dialog_in_a_low_frame")


def test_the_menu_has_room_in_a_low_frame(workspace: Workspace) -> None:
    workspace.serve_sdk()
    # Nothing is known yet, so the page is one line.
    workspace.page.context.route("**/api/v1/**", lambda _route: None)
    workspace.show_app()
    workspace.expect_state("loading")
    before = workspace.frame.evaluate("document.body.getBoundingClientRect().height")
    expect(workspace.page.locator("iframe[name=app]")).to_have_css("height", f"{math.ceil(before)}px")
    workspace.see("menu").click()
    expect(workspace.see("log")).to_be_in_viewport(ratio=1)
    workspace.shot("menu_in_a_low_frame")
    workspace.page.keyboard.press("Escape")
    assert workspace.frame.evaluate("document.body.getBoundingClientRect().height") == before


def test_in_the_navigation_bar_the_page_keeps_the_size_it_is_given(hosted: Workspace) -> None:
    hosted.open_app(location="nav_bar", scheme="dark")
    expect(hosted.app.locator("html")).to_have_attribute("data-scheme", "dark")
    expect(hosted.app.locator("h1")).to_be_visible()
    assert frame_height(hosted) == ""
    hosted.shot("nav_bar_dark")


def test_zendesk_is_told_of_a_new_connection(workspace: Workspace) -> None:
    workspace.serve_sdk()
    workspace.open_app()
    workspace.connect()
    expect(workspace.page.locator("#toasts")).to_contain_text("The account is connected.")


@pytest.mark.parametrize(
    "script", [NEVER_ANSWERS, THROWS, REFUSES_ALL, ""], ids=["silent", "throws", "refuses", "empty"]
)
def test_an_sdk_that_does_not_work_is_not_missed(script: str, workspace: Workspace) -> None:
    workspace.page.context.route(SDK, lambda route: route.fulfill(body=script, content_type="text/javascript"))
    workspace.grant()
    with workspace.page.expect_response(lambda reply: "zaf_sdk" in reply.url):
        workspace.open_app()
    workspace.switch(ORDERS, REFUNDS).click()
    workspace.expect_switch(ORDERS, REFUNDS, on=True)


def test_nothing_waits_for_an_sdk_that_does_not_come(workspace: Workspace) -> None:
    # Neither fulfilled nor refused.
    workspace.page.context.route(SDK, lambda _route: None)
    workspace.grant()
    workspace.open_app()
    workspace.switch(ORDERS, REFUNDS).click()
    workspace.expect_switch(ORDERS, REFUNDS, on=True)


def test_the_sdk_is_not_loaded_for_a_page_it_does_not_know(workspace: Workspace) -> None:
    asked: list[str] = []
    workspace.page.context.on("request", lambda request: asked.append(request.url))
    workspace.open_app()
    assert any("zaf_sdk" in url for url in asked)
    asked.clear()
    # It would wipe the page. Without a query the page was not opened by Zendesk at all.
    for query in (
        "origin=https://elsewhere.example&app_guid=1",
        "origin=https://acme.zendesk.com.example&app_guid=1",
        "",
    ):
        address = f"{workspace.simulator.service_url}/sidebar?{query}"
        with workspace.page.expect_event("framenavigated", lambda frame: frame.name == "app"):
            workspace.page.evaluate(POST, [address, workspace.simulator.sign("acme", 101)])
        expect(workspace.app.locator("#app")).not_to_have_attribute("aria-busy", "true")
        workspace.expect_state("not_connected")
    assert [url for url in asked if "zaf_sdk" in url] == []


# What Safari, Firefox and Chrome do where a person blocks storage of third parties: asking for it is an error.
BLOCK_STORAGE = """if (window.name === "app") for (const name of ["localStorage", "sessionStorage"]) {
  Object.defineProperty(window, name, {
    get() {
      window.storageAsked = (window.storageAsked ?? 0) + 1;
      throw new DOMException("The operation is insecure.", "SecurityError");
    },
  });
}"""


def test_a_frame_whose_storage_is_blocked_works(workspace: Workspace) -> None:
    workspace.page.context.add_init_script(BLOCK_STORAGE)
    workspace.open_app()
    workspace.connect()
    fold = workspace.group(ORDERS).get_by_test_id("fold")
    fold.click()
    expect(fold).to_have_attribute("aria-expanded", "false")
    assert workspace.frame.evaluate("window.storageAsked") > 1


def test_the_sandbox_parts_a_frame_from_its_storage_or_says_that_it_cannot(workspace: Workspace) -> None:
    workspace.acme.switches.storage = "blocked"
    workspace.open_app()
    workspace.connect()
    note = workspace.page.locator("#storage-note")
    if workspace.page.evaluate("'credentialless' in HTMLIFrameElement.prototype"):
        assert workspace.frame.evaluate("window.credentialless") is True
        expect(note).to_be_hidden()
    else:
        expect(note).to_be_visible()
