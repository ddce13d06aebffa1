"""The list of job specs: what is shown of it when Zendesk is well, slow or broken, and how it is searched."""

import re

import pytest
from playwright.sync_api import Route, expect
from redis import Redis

from tests.browser.workspace import ALL, ARCHIVE, ARCHIVED, OPEN_ORDER, ORDERS, REFUNDS, SHIPPING, Workspace, fulfil

pytestmark = pytest.mark.browser

MINUTE = 60  # seconds
EVERYWHERE = (ORDERS, SHIPPING, ARCHIVE)
STANDS_STILL = """(line) => !matchMedia("(prefers-reduced-motion: reduce)").matches
  || getComputedStyle(line, "::before").animationName === "none"
"""


def age_lists(redis: Redis, seconds: int) -> None:
    """Make the lists that the service keeps older."""
    for integration in EVERYWHERE:
        redis.hincrby(f"zis:{{acme}}:list:{integration}", "asked_at", -seconds * 1_000_000)


# --- what is shown ---


def test_each_row_says_what_it_listens_to_and_what_it_starts(connected: Workspace) -> None:
    row = connected.row(ORDERS, OPEN_ORDER)
    row.scroll_into_view_if_needed()
    expect(row).to_contain_text("Opens an order for every new ticket")
    expect(row).to_contain_text("support · ticket.TicketCreated")
    expect(row).to_contain_text("open_order_for_ticket_flow")
    expect(connected.group(ORDERS)).to_contain_text("3 of 6 installed")
    connected.shot("list")


def test_what_an_older_bundle_left_behind_says_so(connected: Workspace) -> None:
    """The list is changed on its way: that the service finds it out is shown elsewhere."""

    def leave_over(route: Route) -> None:
        asked = {name: value for name, value in route.request.headers.items() if name != "if-none-match"}
        answer = route.fetch(headers=asked)
        document = answer.json()
        for row in document["job_specs"]:
            row["left_over"] = row["name"] in {OPEN_ORDER, REFUNDS}
        route.fulfill(response=answer, json=document)

    connected.page.context.route("**/api/v1/job_specs*", leave_over)
    connected.see("refresh").click()
    expect(connected.row(ORDERS, OPEN_ORDER)).to_contain_text("Left over: no bundle holds it any more")
    # Not installed, it takes no events.
    expect(connected.row(ORDERS, REFUNDS)).not_to_contain_text("Left over")


def test_what_zendesk_names_is_shown_as_text(connected: Workspace) -> None:
    spec = connected.spec(ORDERS, OPEN_ORDER)
    spec.description = "<img src=x onerror=alert(1)> <b>bold</b> &amp;"
    connected.see("refresh").click()
    expect(connected.row(ORDERS, OPEN_ORDER)).to_contain_text("<img src=x onerror=alert(1)> <b>bold</b> &amp;")
    expect(connected.row(ORDERS, OPEN_ORDER).locator("img")).to_have_count(0)


def test_integrations_without_job_specs_say_where_they_come_from(workspace: Workspace) -> None:
    for integration in workspace.acme.integrations.values():
        integration.job_specs = []
    workspace.grant()
    workspace.open_app()
    expect(workspace.app.get_by_text("have no job specs yet")).to_be_visible()
    workspace.see("menu").click()
    expect(workspace.see("activity-open")).to_be_visible()
    expect(workspace.see("several")).to_be_hidden()
    workspace.shot("no_job_specs")


def test_the_first_list_is_waited_for_visibly(workspace: Workspace) -> None:
    workspace.grant()
    workspace.meets({"where": "list", "kind": "hold"})
    workspace.show_app()
    workspace.expect_state("connected")
    loading = workspace.app.get_by_text("Loading job specs…")
    expect(loading).to_be_visible()
    # These windows ask for less that moves, where the browser's driver can.
    assert loading.evaluate(STANDS_STILL)
    workspace.shot("loading")
    workspace.meets()
    expect(workspace.see("job-spec")).to_have_count(ALL)
    expect(workspace.app.get_by_text("Loading job specs…")).to_be_hidden()


# --- asking anew ---


def test_refresh_asks_zendesk_again(connected: Workspace) -> None:
    expect(connected.switch(ORDERS, OPEN_ORDER)).to_have_attribute("aria-checked", "true")
    connected.acme.integrations[ORDERS].upload_bundle(None, clear_installed=True)
    connected.simulator.world.clear_calls()
    connected.see("refresh").click()
    connected.expect_switch(ORDERS, OPEN_ORDER, on=False)
    expect(connected.see("live")).to_have_text("Refreshed: 30 job specs.")
    assert connected.simulator.world.calls(path_contains=f"/registry/{ORDERS}/job_specs")


def test_while_zendesk_does_not_answer_the_list_stays_and_then_says_why(connected: Workspace) -> None:
    connected.meets({"where": "list", "kind": "hang"})
    connected.see("refresh").click()
    expect(connected.see("refresh")).to_have_text("Refreshing…")
    expect(connected.see("refresh")).to_have_attribute("aria-disabled", "true")
    # Pressed again, it does not ask again.
    connected.see("refresh").click(force=True)
    connected.simulator.world.wait_until_held(3)
    connected.see("filter").fill("refund")
    expect(connected.shown_rows()).to_have_count(1)
    connected.see("filter").fill("")
    connected.shot("refreshing")
    connected.meets({"where": "list", "kind": "reset"})
    expect(connected.list_problem()).to_have_attribute("data-code", "zendesk_unavailable")
    expect(connected.see("refresh")).to_have_text("Refresh")
    expect(connected.shown_rows()).to_have_count(ALL)


def test_a_stale_list_says_how_old_it_is_and_why(connected: Workspace, redis: Redis) -> None:
    age_lists(redis, 5 * MINUTE)
    connected.meets({"where": f"registry:{ORDERS}", "kind": "http_502_html"})
    connected.open_app()
    group = connected.group(ORDERS)
    expect(group.get_by_test_id("stale-note")).to_have_text(
        # Five minutes ago may have been yesterday.
        re.compile(
            r"Not up to date: Zendesk could not be asked\. "
            r"This is the list of (\d+:\d\d:\d\d|\w+ \d+, \d{4}, \d+:\d\d).[AP]M\."
        )
    )
    expect(group.get_by_test_id("problem")).to_have_attribute("data-code", "zendesk_unavailable")
    expect(connected.rows(ORDERS)).to_have_count(6)
    expect(group).to_contain_text("3 of 6 installed")
    expect(connected.group(SHIPPING).get_by_test_id("stale-note")).to_be_hidden()
    group.scroll_into_view_if_needed()
    connected.shot("stale")


def test_what_two_integrations_have_met_alike_is_said_once(connected: Workspace, redis: Redis) -> None:
    age_lists(redis, 5 * MINUTE)
    faults = [{"where": f"registry:{one}", "kind": "http_502_html"} for one in (ORDERS, SHIPPING)]
    connected.meets(*faults)
    connected.open_app()
    expect(connected.list_problem()).to_have_attribute("data-code", "zendesk_unavailable")
    for integration in (ORDERS, SHIPPING):
        expect(connected.group(integration).get_by_test_id("stale-note")).to_be_visible()
    expect(connected.see("problem")).to_have_count(1)
    connected.shot("stale_twice")


# --- failures ---


def test_a_limit_of_zendesk_says_how_long_to_wait(workspace: Workspace) -> None:
    workspace.grant()
    workspace.meets({"where": "list", "kind": "http_429", "retry_after": 27})
    workspace.open_app()
    problem = workspace.list_problem()
    expect(problem).to_have_attribute("data-code", "rate_limited")
    expect(problem).to_contain_text("Possible again in 27 seconds.")
    # Once is enough.
    expect(problem.get_by_text("27 seconds")).to_have_count(1)
    problem.locator("summary").click()
    expect(problem.locator("pre")).to_contain_text("status: 429 (Zendesk: 429)")
    workspace.shot("rate_limited")


def test_a_limit_counts_down_and_is_tried_again_by_a_button(workspace: Workspace) -> None:
    workspace.grant()
    workspace.meets({"where": "list", "kind": "http_429", "retry_after": 27})
    workspace.page.clock.install()
    workspace.open_app()
    problem, retry = workspace.list_problem(), workspace.list_problem().get_by_test_id("retry")
    expect(problem).to_contain_text("Possible again in")
    expect(retry).to_have_attribute("aria-disabled", "true")
    workspace.page.clock.run_for(20_000)
    expect(problem).to_contain_text(re.compile(r"Possible again in [1-7] seconds?\."))
    workspace.page.clock.run_for(10_000)
    expect(problem).not_to_contain_text("Possible again")
    expect(retry).not_to_have_attribute("aria-disabled", "true")
    workspace.meets()
    # A list that is asked anew does not wait for what was remembered of the last one.
    retry.click()
    expect(workspace.see("job-spec")).to_have_count(ALL)
    expect(problem).to_have_count(0)
    expect(workspace.see("refresh")).to_be_focused()


@pytest.mark.parametrize("kind", ["http_500_zis", "http_500_text", "http_502_html", "truncated_json", "reset"])
def test_a_failure_of_zendesk_is_one_sentence_with_a_way_on(kind: str, workspace: Workspace) -> None:
    workspace.grant()
    workspace.meets({"where": "list", "kind": kind})
    workspace.open_app()
    problem = workspace.list_problem()
    expect(problem).to_have_attribute("data-code", "zendesk_unavailable")
    expect(problem).to_contain_text("Zendesk cannot be reached or gave no usable answer")
    expect(workspace.see("integrations-ready").locator("p")).to_have_text("0 of 3 integrations ready")
    workspace.shot(f"list_{kind}")
    workspace.meets()
    workspace.see("refresh").click()
    expect(workspace.see("job-spec")).to_have_count(ALL)
    expect(problem).to_have_count(0)
    expect(workspace.see("integrations-ready").locator("p")).to_have_text("3 of 3 integrations ready")


def test_one_integration_failing_hides_no_other(connected: Workspace) -> None:
    problem = connected.group(SHIPPING).get_by_test_id("problem")
    connected.meets({"where": f"registry:{SHIPPING}", "kind": "http_500_zis"})
    connected.see("refresh").click()
    expect(problem).to_have_attribute("data-code", "zendesk_unavailable")
    connected.meets()
    problem.get_by_test_id("retry").click()
    expect(problem).to_have_count(0)
    expect(connected.group(SHIPPING).get_by_test_id("fold")).to_be_focused()
    connected.meets({"where": f"registry:{SHIPPING}", "kind": "http_403_admin"})
    connected.see("refresh").click()
    expect(problem).to_have_attribute("data-code", "admin_required")
    expect(problem).to_contain_text("Only admin user is allowed")
    expect(connected.rows(ORDERS)).to_have_count(6)
    connected.group(SHIPPING).scroll_into_view_if_needed()
    connected.shot("one_integration_fails")


@pytest.mark.parametrize(
    ("client_too", "short", "words"),
    [(False, "token not accepted", "acme_shipping is not registered, or the token belongs to another one"),
     (True, "not registered", "knows no integration acme_shipping in this account")],
    ids=["unregistered", "never registered"],
)  # fmt: skip
def test_an_integration_that_is_not_ready_is_named_and_counted(
    client_too: bool, short: str, words: str, workspace: Workspace
) -> None:
    workspace.acme.unregister_integration(SHIPPING)
    if client_too:
        del workspace.acme.clients[f"zis_{SHIPPING}"]
    workspace.grant()
    workspace.open_app()
    ready = workspace.see("integrations-ready")
    expect(ready.locator("p")).to_have_text("2 of 3 integrations ready")
    workspace.open_connection()
    expect(ready.get_by_role("listitem").filter(has_text=SHIPPING)).to_contain_text(short)
    workspace.shot(f"integration_{short.replace(' ', '_')}")
    group = workspace.group(SHIPPING)
    expect(group).to_contain_text(words)
    # Nobody knows how many there are.
    expect(group.get_by_text("0 of 0 installed")).to_be_hidden()
    group.scroll_into_view_if_needed()
    workspace.shot(f"integration_{short.replace(' ', '_')}_group")


@pytest.mark.parametrize(
    ("status", "code", "title"),
    [(500, "internal_error", "Something went wrong here"), (403, "unreadable_answer", "The answer cannot be read"),
     (503, "network", "The service cannot be reached")],
)  # fmt: skip
def test_an_answer_that_is_not_the_services_own_is_said_to_be_what_it_is(
    status: int, code: str, title: str, connected: Workspace
) -> None:
    page = "<h1>Somebody else's page</h1>"
    connected.page.context.route(
        "**/api/v1/**", lambda route: route.fulfill(status=status, body=page, content_type="text/html")
    )
    connected.see("refresh").click()
    problem = connected.see("connection").get_by_test_id("problem")
    expect(problem).to_have_attribute("data-code", code)
    expect(problem).to_contain_text(title)
    expect(connected.list_problem()).to_have_count(0)


def test_words_are_the_catalogues_and_zendesks_are_an_addition(connected: Workspace) -> None:
    """What the service says besides is for those who run it."""
    operators, zendesks = "Set ZIS_INTEGRATIONS to another name.", "no rows found"
    answer = {"code": "integration_mismatch", "title": "?", "status": 409, "request_id": "9f"}
    answer |= {"detail": operators, "upstream_detail": zendesks}
    connected.page.context.route("**/api/v1/job_specs/install*", lambda route: fulfil(route, answer, 409))
    connected.switch(ORDERS, REFUNDS).click()
    problem = connected.row(ORDERS, REFUNDS).get_by_test_id("problem")
    expect(problem).to_contain_text("acme_orders is not registered, or the token belongs to another one")
    expect(problem.locator("q")).to_have_text(zendesks)
    expect(problem.get_by_text("ZIS_INTEGRATIONS").filter(visible=True)).to_have_count(0)
    problem.locator("summary").click()
    expect(problem.locator("pre")).to_contain_text(operators)


# --- the header and what stands below it ---


def test_an_admin_who_is_lost_and_found_again_is_told_at_once(connected: Workspace) -> None:
    connected.meets({"where": "list", "kind": "http_403_admin"})
    connected.see("refresh").click()
    connected.expect_state("reauthorization_required")
    expect(connected.see("connection")).to_contain_text("is no longer an admin")
    expect(connected.see("connect")).to_have_text("Reconnect")
    # What the header says is not said again below it.
    expect(connected.app.locator('[data-testid="problem"]:visible')).to_have_count(0)
    connected.shot("admin_lost")
    connected.meets()
    connected.see("connection-again").click()
    connected.expect_state("connected")
    expect(connected.see("connect")).to_be_hidden()
    expect(connected.see("connection-again")).to_be_hidden()
    expect(connected.app.locator("#connection-state")).to_be_focused()
    expect(connected.see("job-spec")).to_have_count(ALL)


def test_a_change_that_finds_the_admin_lost_says_so_above(connected: Workspace) -> None:
    connected.meets({"where": "registry", "kind": "http_403_admin"})
    connected.switch(ORDERS, REFUNDS).click()
    connected.expect_state("reauthorization_required")
    expect(connected.see("connect")).to_be_visible()


def test_a_change_that_finds_its_integration_gone_says_so_above_until_it_is_back(connected: Workspace) -> None:
    shipping = connected.acme.integrations[SHIPPING]
    count = connected.see("integrations-ready").locator("p")
    connected.acme.unregister_integration(SHIPPING)
    connected.rows(SHIPPING).first.get_by_role("switch").click()
    expect(count).to_be_visible()
    expect(count).to_have_text("2 of 3 integrations ready")
    expect(connected.see("connection")).to_have_attribute("data-ready", "false")
    expect(connected.group(SHIPPING).get_by_test_id("problem").last).to_contain_text("acme_shipping")
    # Its rows are not shown, since it could not be listed; that says nothing of whether they are there.
    expect(connected.group(SHIPPING).get_by_test_id("gone")).to_be_hidden()
    connected.open_connection()
    # Which of the two it is, status alone tells.
    expect(connected.see("integrations-ready")).to_contain_text(re.compile("token not accepted|not registered"))
    connected.shot("mismatch")
    connected.see("connection-toggle").click()
    connected.acme.integrations[SHIPPING] = shipping
    connected.see("refresh").click()
    expect(count).to_be_hidden()
    expect(connected.see("connection")).to_have_attribute("data-ready", "true")
    expect(connected.group(SHIPPING).get_by_test_id("problem")).to_have_count(0)


def test_an_unreachable_service_is_said_and_tried_again(connected: Workspace) -> None:
    service = f"{connected.simulator.service_url}/api/**"
    connected.page.context.route(service, lambda route: route.abort())
    connected.see("refresh").click()
    problem = connected.see("connection").get_by_test_id("problem")
    expect(problem).to_have_attribute("data-code", "network")
    # Once is enough.
    expect(connected.list_problem()).to_have_count(0)
    expect(connected.see("job-spec")).to_have_count(ALL)
    connected.shot("service_unreachable")
    connected.page.context.unroute(service)
    problem.get_by_role("button", name="Try again").click()
    expect(problem).to_have_count(0)
    expect(connected.app.locator("#connection-state")).to_be_focused()
    expect(connected.see("live")).to_have_text("Refreshed: 30 job specs.")


# --- searching ---


def test_a_thousand_job_specs_are_shown_and_searched_with_right_counts(workspace: Workspace) -> None:
    workspace.acme.integrations[ARCHIVE].resize(990)
    workspace.grant()
    workspace.open_app()
    note = workspace.see("list-note")
    expect(workspace.see("job-spec")).to_have_count(1000)
    expect(note).to_contain_text("1,000 job specs.")
    workspace.shot("thousand")
    # 1 to 20 were there, and every fifth of them is installed.
    workspace.see("filter").fill("ARCHIVE_form_01")
    expect(workspace.shown_rows()).to_have_count(10)
    expect(note).to_contain_text("10 of 1,000 shown.")
    workspace.see("filter-installed").select_option("installed")
    expect(workspace.shown_rows()).to_have_count(2)
    workspace.see("filter-installed").select_option("not_installed")
    expect(workspace.shown_rows()).to_have_count(8)
    workspace.shot("filtered")
    workspace.see("filter").fill("")
    # All but 4 of the archive and 4 of the others.
    expect(note).to_contain_text("992 of 1,000 shown.")
    workspace.see("filter-installed").select_option("installed")
    expect(note).to_contain_text("8 of 1,000 shown.")


def test_a_filter_that_is_cleared_shows_the_first_rows_at_once_and_then_all(workspace: Workspace) -> None:
    workspace.acme.integrations[ARCHIVE].resize(990)
    workspace.grant()
    workspace.open_app()
    expect(workspace.see("job-spec")).to_have_count(1000)
    workspace.see("filter").fill("refund_record_created")
    expect(workspace.shown_rows()).to_have_count(1)
    painted = workspace.frame.evaluate(
        """() => {
             const filter = document.querySelector("[data-testid=filter]");
             filter.value = "";
             filter.dispatchEvent(new Event("input", { bubbles: true }));
             // After whatever else comes before the next painting.
             return new Promise((done) =>
               requestAnimationFrame(() => done(document.querySelectorAll("[data-testid=job-spec]").length)));
           }"""
    )
    # The one that was there, and twenty.
    assert painted == 21
    expect(workspace.see("list-note")).to_contain_text("1,000 job specs.")
    expect(workspace.shown_rows()).to_have_count(1000)


@pytest.mark.parametrize(("look_ms", "size"), [(60, 10), (0, 200)], ids=["a slow browser", "a fast one"])
def test_the_other_rows_come_in_steps_that_the_browser_can_take(workspace: Workspace, look_ms: int, size: int) -> None:
    workspace.acme.integrations[ARCHIVE].resize(990)
    workspace.grant()
    workspace.open_app()
    expect(workspace.see("job-spec")).to_have_count(1000)
    workspace.see("filter").fill("no such thing")
    expect(workspace.see("job-spec")).to_have_count(0)
    workspace.frame.evaluate(
        """(ms) => {
             let now = 0, before = 0;
             // Every step looks at the clock before and after.
             performance.now = () => (now += ms);
             globalThis.steps = [];
             new MutationObserver(() => {
               const { length } = document.querySelectorAll("[data-testid=job-spec]");
               steps.push(length - before);
               before = length;
             }).observe(document.querySelector(".list__groups"), { childList: true, subtree: true });
           }""",
        look_ms,
    )
    workspace.see("filter").fill("")
    expect(workspace.see("job-spec")).to_have_count(1000)

    first, *steps = [step for step in workspace.frame.evaluate("steps") if step]
    assert first == 20
    assert max(steps) <= 200
    # After some that lead there.
    assert steps.count(size) * size > 500


def test_every_word_typed_has_to_occur_somewhere_in_the_row(connected: Workspace) -> None:
    connected.see("filter").fill("warehouse shipping")
    expect(connected.shown_rows()).to_have_count(1)
    connected.see("filter").fill("commentadded notify")
    expect(connected.shown_rows()).to_have_count(1)
    connected.see("filter").fill("refund_record_created_flow")
    expect(connected.shown_rows()).to_have_count(1)


def test_a_filter_that_nothing_passes_says_so_and_can_be_cleared(connected: Workspace) -> None:
    connected.see("filter").fill("no such thing")
    expect(connected.app.get_by_text("No job spec matches the filter.")).to_be_visible()
    connected.shot("nothing_matches")
    connected.button("Clear the filter").click()
    expect(connected.shown_rows()).to_have_count(ALL)
    expect(connected.see("filter")).to_be_focused()


def test_typing_that_leaves_the_result_as_it_is_touches_no_row(connected: Workspace) -> None:
    connected.see("filter").fill("archive")
    expect(connected.shown_rows()).to_have_count(ARCHIVED)
    touched = connected.frame.evaluate_handle(
        """() => {
             const records = [];
             const observer = new MutationObserver((some) => records.push(...some));
             const everything = { subtree: true, childList: true, attributes: true, characterData: true };
             observer.observe(document.querySelector(".list__groups"), everything);
             return { count: () => records.push(...observer.takeRecords()) };
           }"""
    )
    connected.see("filter").press_sequentially("_form")
    assert touched.evaluate("({ count }) => count()") == 0
    connected.see("filter").press_sequentially("_01")
    expect(connected.shown_rows()).to_have_count(10)
    assert touched.evaluate("({ count }) => count()") > 0
