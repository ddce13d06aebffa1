"""Opening a ticket: the page comes with the list in it, and is looked at again when it is seen again."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from redis import Redis

from tests.browser.conftest import MakeWorkspace, Services
from tests.browser.workspace import ALL, ARCHIVE, ARCHIVED, ORDERS, REFUNDS, Workspace
from tests.steps import wait_until
from tests.workers import LiveService

pytestmark = pytest.mark.browser

OUTDATED_MS = 61_000


class Answers:
    """What the service has answered since, by its own log."""

    def __init__(self, service: LiveService) -> None:
        self._service = service
        self._before = len(service.log())

    def told(self) -> list[str]:
        """Return method and path of every answer, with no digest in it."""
        lines = self._service.log()[self._before :].splitlines()
        pairs = [dict(part.split("=", 1) for part in line.split() if "=" in part) for line in lines]
        return [
            f"{one['method']} {re.sub('/[0-9a-f]{20}/', '/', one['path'])}"
            for one in pairs
            if one.get("event") == "request"
        ]


@pytest.fixture
def warm(connected: Workspace) -> Workspace:
    """The workspace with the app open, which has been opened before."""
    expect(connected.see("job-spec")).to_have_count(ALL)
    return connected


@pytest.fixture
def answers(services: Services, environment: dict[str, str]) -> Callable[[], Answers]:
    """Begin to count what the service answers."""
    return lambda: Answers(services.get(environment))


@pytest.fixture(params=["en-US", "nl-NL"], ids=["a language of ours", "another language"])
def plain(warm: Workspace, chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Workspace]:
    """A window of its own on the same workspace. It has a cache, which Playwright switches off where it has routes."""
    # In Firefox for every window, as soon as one has routes.
    warm.page.context.unroute_all()
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, locale=request.param)
    yield Workspace(context.new_page(), warm.simulator)
    context.close()


def age(redis: Redis, seconds: int = 60) -> None:
    """Let the kept lists have been asked for so much earlier."""
    for key in redis.keys("zis:{acme}:list:*"):
        redis.hset(key, "asked_at", str(int(redis.hget(key, "asked_at") or 0) - seconds * 1_000_000))


def renew(redis: Redis) -> None:
    """Let the kept lists have been asked for just now, however long a busy machine has taken since."""
    seconds, microseconds = redis.time()
    for key in redis.keys("zis:{acme}:list:*"):
        redis.hset(key, "asked_at", str(seconds * 1_000_000 + microseconds))


def test_a_first_visit_is_three_answers_and_every_further_one_is_one(
    plain: Workspace, answers: Callable[[], Answers], redis: Redis
) -> None:
    renew(redis)
    first = answers()
    plain.open_app()
    expect(plain.see("job-spec")).to_have_count(ALL)
    page_and_files = ["GET /static/sidebar.bundle.css", "GET /static/sidebar.en.bundle.js", "POST /sidebar"]
    wait_until(lambda: sorted(first.told()) == page_and_files)

    renew(redis)
    plain.simulator.world.clear_calls()
    further = answers()
    plain.open_app()
    expect(plain.see("job-spec")).to_have_count(ALL)
    expect(plain.see("connection")).to_have_attribute("data-state", "connected")
    expect(plain.see("toggle").first).to_be_visible()
    # What would be asked at once has been asked when this has been answered.
    plain.choose("activity-open")
    expect(plain.see("activity-entry").first).to_be_visible()
    wait_until(lambda: len(further.told()) > 1)
    assert further.told() == ["POST /sidebar", "GET /api/v1/activity"]
    assert plain.simulator.world.calls() == []


def test_rows_are_there_while_the_service_answers_nothing_further(warm: Workspace, redis: Redis) -> None:
    age(redis)
    warm.page.context.route("**/api/v1/**", lambda _: None)
    warm.show_app()

    expect(warm.see("job-spec")).to_have_count(ALL)
    expect(warm.app.locator("#app")).not_to_have_attribute("aria-busy", "true")
    warm.shot("opened")


def test_what_is_stale_is_refreshed_behind_without_a_jump(warm: Workspace, redis: Redis) -> None:
    age(redis)
    row = warm.acme.integrations[ORDERS].find(REFUNDS)
    assert row is not None
    row.installed = True
    warm.meets({"where": "list", "kind": "hold"})
    warm.show_app()
    expect(warm.see("job-spec")).to_have_count(ALL)
    warm.see("filter").fill("notify")
    warm.see("filter").focus()
    shown = warm.shown_rows().count()
    warm.see("filter").fill("")
    expect(warm.see("job-spec")).to_have_count(ALL)
    warm.frame.evaluate("scrollTo(0, 200)")
    # Nothing says that the list is old or being asked for, and it is what it was.
    expect(warm.see("stale-note").first).to_be_hidden()
    expect(warm.see("refresh")).to_have_text("Refresh")
    expect(warm.switch(ORDERS, REFUNDS)).to_have_attribute("aria-checked", "false")
    looks = """() => {
      const rows = document.querySelectorAll("[data-testid=job-spec]");
      return [scrollY, rows[0].getBoundingClientRect().top, document.activeElement.dataset.testid, rows.length];
    }"""
    before = warm.frame.evaluate(looks)
    warm.frame.evaluate("globalThis.firstRow = document.querySelector('[data-testid=job-spec]')")
    warm.meets()

    expect(warm.switch(ORDERS, REFUNDS)).to_have_attribute("aria-checked", "true")
    assert warm.frame.evaluate(looks) == before
    assert before[2] == "filter"
    assert warm.frame.evaluate("firstRow === document.querySelector('[data-testid=job-spec]')")
    assert shown > 0


def test_the_filter_stays_while_a_stale_list_is_refreshed(warm: Workspace, redis: Redis) -> None:
    age(redis)
    warm.meets({"where": "list", "kind": "hold"})
    warm.show_app()
    warm.see("filter").fill("archive_form_01")
    expect(warm.shown_rows()).to_have_count(10)
    warm.acme.integrations[ARCHIVE].resize(ARCHIVED + 5)
    warm.meets()

    expect(warm.see("list-note")).to_contain_text(f"10 of {ALL + 5} shown.")
    expect(warm.shown_rows()).to_have_count(10)
    expect(warm.see("filter")).to_have_value("archive_form_01")


def test_a_refresh_behind_that_fails_says_so_above_the_old_list(warm: Workspace, redis: Redis) -> None:
    age(redis)
    warm.meets({"where": "list", "kind": "http_500_text"})
    warm.open_app()

    expect(warm.see("stale-note").first).to_be_visible()
    expect(warm.see("job-spec")).to_have_count(ALL)


def test_a_list_of_which_a_part_is_not_kept_is_completed(warm: Workspace, redis: Redis) -> None:
    redis.delete("zis:{acme}:list:acme_archive")
    warm.meets({"where": "list", "kind": "hold"})
    warm.show_app()
    expect(warm.see("job-spec")).to_have_count(ALL - ARCHIVED)
    warm.meets()

    expect(warm.see("job-spec")).to_have_count(ALL)


def test_the_first_colours_come_from_the_address(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(color_scheme="light")
    workspace.grant()
    workspace.open_app(scheme="dark")

    # There is no SDK here that could have said so.
    expect(workspace.app.locator("body")).to_have_css("background-color", "rgb(21, 26, 30)")
    workspace.shot("dark_by_address")


def test_language_and_height_follow_without_painting_the_list_again(warm: Workspace) -> None:
    warm.serve_sdk()
    warm.page.add_init_script(
        """globalThis.rowsAdded = 0;
           new MutationObserver((records) => {
             for (const { addedNodes } of records) {
               for (const node of addedNodes) {
                 if (node.matches?.(".spec")) rowsAdded += 1;
                 rowsAdded += node.querySelectorAll?.(".spec").length ?? 0;
               }
             }
           }).observe(document, { childList: true, subtree: true });"""
    )
    warm.open_app(locale="de")

    expect(warm.app.locator("html")).to_have_attribute("lang", "de")
    expect(warm.app.locator("#connection-state")).to_have_text("acme ist verbunden")
    expect(warm.page.locator("iframe[name=app]")).to_have_css("height", "720px")
    expect(warm.see("job-spec")).to_have_count(ALL)
    assert warm.frame.evaluate("rowsAdded") == ALL


def test_of_a_long_list_the_first_rows_are_painted_before_the_others_are_made(warm: Workspace) -> None:
    warm.acme.integrations[ARCHIVE].resize(990)
    warm.see("refresh").click()
    expect(warm.see("job-spec")).to_have_count(1000)
    warm.page.add_init_script(
        """globalThis.painted = [];
           new MutationObserver(() => {
             const { length } = document.querySelectorAll(".spec");
             if (length !== painted.at(-1)) painted.push(length);
           }).observe(document, { childList: true, subtree: true });"""
    )
    warm.open_app()
    expect(warm.see("list-note")).to_contain_text("1,000 job specs.")
    expect(warm.see("job-spec")).to_have_count(1000)

    seen = warm.frame.evaluate("painted")
    assert next(count for count in seen if count) == 20
    assert len(seen) > 3


def test_a_filter_of_the_first_moment_looks_through_a_whole_long_list(warm: Workspace) -> None:
    warm.acme.integrations[ARCHIVE].resize(990)
    warm.see("refresh").click()
    expect(warm.see("job-spec")).to_have_count(1000)
    # Nothing is painted, so no further rows are made by themselves.
    warm.page.add_init_script("globalThis.requestAnimationFrame = () => 0;")
    warm.open_app()
    expect(warm.see("job-spec")).to_have_count(20)
    warm.see("filter").fill("ARCHIVE_form_01")

    expect(warm.shown_rows()).to_have_count(10)
    expect(warm.see("list-note")).to_contain_text("10 of 1,000 shown.")


# --- seen again ---


def hide(workspace: Workspace, style: str) -> None:
    """Let the frame be out of sight, and wait until it has been told so."""
    workspace.frame.evaluate(
        "new IntersectionObserver((all) => { globalThis.isSeen = all.at(-1).isIntersecting; }).observe(document.body)"
    )
    restyle(workspace, style)
    # By a timer: nothing is painted that is out of sight. Firefox observes nothing where nothing is displayed.
    workspace.frame.wait_for_function("() => globalThis.isSeen === false || innerWidth === 0", polling=50)


def restyle(workspace: Workspace, style: str) -> None:
    workspace.page.locator("iframe[name=app]").evaluate("(frame, style) => { frame.style.cssText += style; }", style)


@pytest.fixture
def old(make_workspace: MakeWorkspace) -> Workspace:
    """The app, opened more than a minute ago by a clock that stands still."""
    workspace = make_workspace()
    workspace.serve_sdk()
    workspace.grant()
    workspace.open_app()
    expect(workspace.see("job-spec")).to_have_count(ALL)
    workspace.frame.evaluate("(ms) => { const now = Date.now; Date.now = () => now() + ms; }", OUTDATED_MS)
    return workspace


def asked(workspace: Workspace) -> Any:
    return workspace.page.expect_request("**/api/v1/job_specs")


@pytest.mark.parametrize("event", ["app.activated", "pane.activated"])
def test_the_page_looks_again_when_zendesk_shows_it_again(old: Workspace, event: str) -> None:
    with asked(old):
        old.page.evaluate(
            """(event) => document.querySelector("iframe[name=app]").contentWindow.postMessage(
                 JSON.stringify({ key: `zaf.${event}`, message: {} }), "*")""",
            event,
        )


@pytest.mark.parametrize(
    ("away", "back"),
    [("display: none;", "display: block;"), ("position: fixed; left: -9999px;", "position: static;")],
    ids=["not displayed", "out of sight"],
)
def test_the_page_looks_again_when_its_frame_is_seen_again(old: Workspace, away: str, back: str) -> None:
    hide(old, away)
    with asked(old):
        restyle(old, back)


def test_a_page_that_is_seen_again_within_a_minute_asks_nothing(
    warm: Workspace, answers: Callable[[], Answers]
) -> None:
    told = answers()
    hide(warm, "display: none;")
    restyle(warm, "display: block;")
    warm.frame.wait_for_function("() => globalThis.isSeen === true && innerWidth > 0", polling=50)
    # What would be asked has been asked before this.
    warm.choose("activity-open")
    expect(warm.see("activity-entry").first).to_be_visible()
    wait_until(lambda: len(told.told()) > 0)
    assert told.told() == ["GET /api/v1/activity"]
