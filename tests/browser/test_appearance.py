"""What the page looks like: narrow and wide, in German, with long names, in the dark."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Frame, expect

from sandbox.simulator.integrations import JobSpec
from tests.browser.conftest import MakeWorkspace
from tests.browser.test_activity import make_entry, open_activity, serve
from tests.browser.workspace import ARCHIVE, ORDERS, SHIPPING, Workspace

pytestmark = pytest.mark.browser

# The workspace's page leaves a frame of 320 px in it.
NARROW = {"viewport": {"width": 354, "height": 900}}
# ZIS takes names of up to 50 characters; an event's name has no limit that is documented.
LONGEST = "n" * 50
LOCALES = Path(__file__).parents[2] / "service" / "static" / "locales"

# Parts that reach out of the page on either side, apart from those that are there for screen readers only.
STICKING_OUT = """() => {
  const { documentElement: root } = document;
  const isOut = (element) => {
    const { left, right, width } = element.getBoundingClientRect();
    return width > 1 && (left < -0.5 || right > root.clientWidth + 0.5) && !element.closest("option");
  };
  const shown = [...document.querySelectorAll("body *")].filter((element) => element.checkVisibility());
  const wide = [root, ...document.querySelectorAll("dialog[open]")].filter((box) => box.scrollWidth > box.clientWidth);
  return [...shown.filter(isOut), ...wide].map((element) => `${element.tagName} ${element.className}`);
}"""


def sticking_out(frame: Frame) -> list[str]:
    found: list[str] = frame.evaluate(STICKING_OUT)
    return found


@pytest.fixture
def long_names(make_workspace: MakeWorkspace, request: pytest.FixtureRequest) -> Workspace:
    """The app in a frame of 320 px, with the longest names there are; in the language of the parameter."""
    workspace = make_workspace(**NARROW, locale=request.param)
    orders = workspace.acme.integrations[ORDERS]
    orders.job_specs = [
        JobSpec(ORDERS, LONGEST, f"What it does: {'d' * 80}", f"ticket.{'E' * 60}", LONGEST, installed=True),
        JobSpec(ORDERS, f"{LONGEST[:-1]}_", "", "ticket.TicketCreated", "f" * 64),
    ]
    workspace.acme.users[101].name = f"Ada {'Morgan' * 10}"
    workspace.acme.integrations[ARCHIVE].resize(3)
    workspace.grant()
    return workspace


@pytest.mark.parametrize("long_names", ["en-US", "de-DE"], indirect=True)
def test_nothing_sticks_out_of_a_frame_of_320_px(long_names: Workspace, request: pytest.FixtureRequest) -> None:
    workspace, language = long_names, request.node.callspec.params["long_names"][:2]
    serve(workspace, make_entry(job_spec=LONGEST), make_entry(job_spec=LONGEST, result="zendesk_unavailable"))
    workspace.meets({"where": f"registry:{SHIPPING}", "kind": "http_429", "retry_after": 27})
    workspace.open_app()
    assert workspace.frame.evaluate("innerWidth") == 320
    found: dict[str, list[str]] = {}

    def look(name: str) -> None:
        workspace.shot(f"narrow_{name}_{language}")
        found[name] = sticking_out(workspace.frame)

    open_activity(workspace)
    expect(workspace.see("activity-entry")).to_have_count(2)
    look("activity")
    workspace.see("activity-close").click()
    workspace.see("menu").click()
    look("menu")
    workspace.page.keyboard.press("Escape")
    workspace.open_connection()
    workspace.meets({"where": "change", "kind": "http_500_zis"})
    workspace.switch(ORDERS, LONGEST).click()
    problem = workspace.row(ORDERS, LONGEST).get_by_test_id("problem")
    problem.locator("summary").click()
    workspace.row(ORDERS, LONGEST).scroll_into_view_if_needed()
    look("problem")
    workspace.see("filter").fill(LONGEST[:-1])
    workspace.choose("several")
    look("bulk_choice")
    workspace.see("bulk-uninstall").check()
    look("bulk_chosen")
    workspace.see("bulk-confirm").click()
    expect(workspace.see("bulk-result")).to_be_visible()
    workspace.see("bulk-result").locator("summary").click()
    look("bulk_result")
    workspace.see("bulk-close").click()
    workspace.ask_to_disconnect()
    look("disconnect")
    workspace.see("disconnect-confirm").click()
    workspace.expect_state("not_connected")
    look("not_connected")
    assert {state: parts for state, parts in found.items() if parts} == {}


def test_without_the_sdk_the_systems_colours_count(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(color_scheme="dark")
    workspace.grant()
    workspace.open_app()
    expect(workspace.app.locator("body")).to_have_css("background-color", "rgb(21, 26, 30)")
    workspace.group(ORDERS).scroll_into_view_if_needed()
    workspace.shot("system_dark")


# Whether what stands before or after an element's words is painted as they are.
IS_SEEN = "(button, part) => getComputedStyle(button, part).backgroundColor === getComputedStyle(button).color"


def test_signs_are_seen_where_the_system_forces_its_colours(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(forced_colors="active")
    if not workspace.page.evaluate("matchMedia('(forced-colors: active)').matches"):
        pytest.skip("this browser's driver does not emulate forced colours")
    workspace.grant()
    workspace.open_app()
    serve(workspace, make_entry())
    open_activity(workspace)
    workspace.shot("forced_colours")
    menu, close = workspace.see("menu"), workspace.see("activity-close")
    assert menu.evaluate(IS_SEEN, "::before")
    assert menu.evaluate("(button) => getComputedStyle(button, '::before').boxShadow") != "none"
    assert all(close.evaluate(IS_SEEN, part) for part in ("::before", "::after"))
    workspace.meets({"where": "change", "kind": "hold"})
    workspace.choose("several")
    workspace.see("bulk-install").check()
    workspace.see("bulk-confirm").click()
    expect(workspace.see("bulk-progress")).to_have_css("border-top-style", "solid")
    workspace.see("bulk-progress").evaluate("(bar) => { bar.value = 10; }")
    workspace.shot("forced_colours_progress")


def test_in_the_navigation_bar_it_is_a_whole_page(connected: Workspace) -> None:
    connected.open_app(location="nav_bar")
    expect(connected.app.locator("h1")).to_be_visible()
    assert connected.frame.evaluate("innerWidth") > 1000
    assert sticking_out(connected.frame) == []
    connected.shot("nav_bar")


# --- languages ---

# Everything that is read or heard, but for what is English on purpose: reports, and the words of Zendesk.
TEXTS = """() => {
  const texts = [];
  const isEnglish = (element) => element.closest("pre, q, select:not([aria-label])");
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_ELEMENT);
  while (walk.nextNode()) {
    const element = walk.currentNode;
    if (isEnglish(element) || !(element.checkVisibility() || element.matches("option"))) continue;
    for (const name of ["aria-label", "placeholder", "title"]) texts.push(element.getAttribute(name) ?? "");
    for (const node of element.childNodes) if (node.nodeType === Node.TEXT_NODE) texts.push(node.data);
  }
  return texts.map((text) => text.trim()).filter(Boolean);
}"""


def english_sentences(language: str) -> list[re.Pattern[str]]:
    """Return patterns of all English texts that are different in this language."""
    english, other = (json.loads((LOCALES / f"{name}.json").read_text()) for name in ("en", language))
    texts: list[str] = []
    for key, entry in english.items():
        there = other[key]
        same = set(there.values()) if isinstance(there, dict) else {there}
        texts += [text for text in (entry.values() if isinstance(entry, dict) else [entry]) if text not in same]
    # A text of nothing but placeholders would fit everything.
    spoken = [text for text in texts if re.search(r"\w", re.sub(r"\{\w+\}", "", text))]
    return [re.compile(re.sub(r"\\\{(\w+)\\\}", _value, re.escape(text))) for text in spoken]


def _value(placeholder: re.Match[str]) -> str:
    """Return a pattern of what may stand in a placeholder."""
    return r"[\d.,]+" if placeholder[1] in {"count", "all", "tried", "total", "ready"} else ".+"


@pytest.mark.parametrize("language", sorted({path.stem for path in LOCALES.glob("*.json")} - {"en"}))
def test_in_other_languages_no_english_is_left(make_workspace: MakeWorkspace, language: str) -> None:
    workspace = make_workspace(locale=language)
    workspace.acme.integrations[ARCHIVE].resize(3)
    serve(workspace, make_entry(), make_entry("connected", actor="operator", result="admin_required"))
    english = english_sentences(language)
    left: dict[str, list[str]] = {}

    def look(name: str) -> None:
        workspace.shot(f"{language}_{name}")
        texts: list[str] = workspace.frame.evaluate(TEXTS)
        assert texts
        left[name] = [text for text in texts if any(pattern.fullmatch(text) for pattern in english)]

    workspace.open_app()
    look("not_connected")
    workspace.press_connect()
    look("connecting")
    workspace.grant()
    workspace.expect_state("connected")
    expect(workspace.see("job-spec")).to_have_count(13)
    open_activity(workspace)
    workspace.open_connection()
    expect(workspace.see("activity-entry")).to_have_count(2)
    workspace.meets({"where": "change", "kind": "http_429", "retry_after": 27, "times": 1})
    workspace.switch(ORDERS, "refund_record_created").click()
    expect(workspace.row(ORDERS, "refund_record_created").get_by_test_id("problem")).to_be_visible()
    look("connected")
    workspace.see("menu").click()
    look("menu")
    workspace.see("several").click()
    look("bulk_choice")
    workspace.see("bulk-install").check()
    workspace.meets({"where": "change", "kind": "http_500_zis", "every": 3})
    workspace.see("bulk-confirm").click()
    expect(workspace.see("bulk-result")).to_be_visible()
    look("bulk_result")
    workspace.see("bulk-close").click()
    workspace.ask_to_disconnect()
    look("disconnect")
    workspace.see("disconnect-cancel").click()
    workspace.open_app(user_id=102)
    look("agent")
    assert {state: texts for state, texts in left.items() if texts} == {}


# --- what is seen at a glance ---

LOW = {"viewport": {"width": 354, "height": 900}}

# Rows of which name, switch and event are in sight (where words are long, a line more may stand below), and where the
# first begins.
SEEN_ROWS = """() => {
  const boxes = [...document.querySelectorAll(".spec__fact:first-child")].map((fact) => fact.getBoundingClientRect());
  const seen = boxes.filter(({ height, bottom }) => height && bottom <= innerHeight);
  return [seen.length, document.querySelector(".spec").getBoundingClientRect().top];
}"""


@pytest.mark.parametrize("locale", [path.stem for path in sorted(LOCALES.glob("*.json"))])
def test_three_rows_are_seen_in_a_frame_of_320_by_400_px(make_workspace: MakeWorkspace, locale: str) -> None:
    workspace = make_workspace(**LOW, locale=locale)
    workspace.grant()
    workspace.open_app()
    expect(workspace.see("job-spec").first).to_be_visible()
    workspace.page.locator("iframe[name=app]").evaluate("(frame) => { frame.style.height = '400px'; }")
    workspace.frame.wait_for_function("() => innerHeight === 400")
    assert workspace.frame.evaluate("innerWidth") == 320
    rows, top = workspace.frame.evaluate(SEEN_ROWS)
    workspace.shot(f"low_{locale}")
    assert rows >= 3
    assert top < 160


def test_the_line_of_the_connection_opens_and_says_more(connected: Workspace) -> None:
    toggle = connected.see("connection-toggle")
    expect(connected.see("disconnect")).to_be_hidden()
    expect(connected.app.get_by_text("By Ada Morgan")).to_be_hidden()
    toggle.click()
    expect(toggle).to_have_attribute("aria-expanded", "true")
    expect(connected.app.get_by_text("By Ada Morgan")).to_be_visible()
    expect(connected.see("integrations-ready")).to_contain_text("3 of 3 integrations ready")
    expect(connected.see("disconnect")).to_be_visible()
    toggle.click()
    expect(connected.see("disconnect")).to_be_hidden()


# --- groups ---


def shown_groups(workspace: Workspace) -> list[str | None]:
    return [group.get_attribute("data-integration") for group in workspace.see("integration").all()]


def test_what_is_folded_stays_folded_in_this_browser_until_somebody_filters(connected: Workspace) -> None:
    fold = connected.group(ORDERS).get_by_test_id("fold")
    expect(fold).to_have_attribute("aria-expanded", "true")
    fold.click()
    expect(fold).to_have_attribute("aria-expanded", "false")
    expect(connected.rows(ORDERS).first).to_be_hidden()
    expect(connected.rows(SHIPPING).first).to_be_visible()
    connected.shot("folded")
    # What the menu is about is still all of them.
    connected.choose("several")
    expect(connected.see("bulk-dialog")).to_contain_text("For all 30 job specs of the account:")
    connected.see("bulk-cancel").click()

    connected.open_app()
    expect(fold).to_have_attribute("aria-expanded", "false")
    connected.see("filter").fill("refund")
    expect(connected.rows(ORDERS).filter(visible=True)).to_have_count(1)
    connected.see("filter").fill("")
    expect(connected.rows(ORDERS).first).to_be_hidden()
    fold.click()
    connected.open_app()
    expect(connected.rows(ORDERS).first).to_be_visible()


def test_groups_fold_where_nothing_can_be_kept(connected: Workspace) -> None:
    refused = "() => { throw new DOMException('blocked', 'SecurityError'); }"
    connected.page.add_init_script(f"Object.defineProperty(window, 'localStorage', {{ get: {refused} }})")
    connected.open_app()
    fold = connected.group(ORDERS).get_by_test_id("fold")
    fold.click()
    expect(connected.rows(ORDERS).first).to_be_hidden()
    fold.click()
    expect(connected.rows(ORDERS).first).to_be_visible()


def test_groups_with_something_installed_come_first_and_move_only_with_a_new_list(connected: Workspace) -> None:
    archive = connected.acme.integrations[ARCHIVE]
    assert shown_groups(connected) == [ARCHIVE, ORDERS, SHIPPING]
    for spec in archive.job_specs:
        spec.installed = False
    connected.see("refresh").click()
    expect(connected.see("integration").last).to_have_attribute("data-integration", ARCHIVE)
    assert shown_groups(connected) == [ORDERS, SHIPPING, ARCHIVE]
    toggle = connected.rows(ARCHIVE).first.get_by_role("switch")
    toggle.click()
    expect(toggle).to_have_attribute("aria-checked", "true")
    assert shown_groups(connected) == [ORDERS, SHIPPING, ARCHIVE]
    connected.see("refresh").dispatch_event("click")
    expect(connected.see("integration").first).to_have_attribute("data-integration", ARCHIVE)
    expect(toggle).to_be_focused()
