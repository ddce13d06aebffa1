"""Switching one job spec: what is shown until the truth is known, and what becomes of a change that goes wrong."""

import re

import pytest
from playwright.sync_api import APIResponse, Route, expect

from tests.browser.workspace import OPEN_ORDER, ORDERS, REFUNDS, SHARED, SHIPPING, Workspace, fulfil

pytestmark = pytest.mark.browser


def test_an_admin_switches_a_job_spec_on_and_off(connected: Workspace) -> None:
    connected.expect_switch(ORDERS, REFUNDS, on=False)
    connected.switch(ORDERS, REFUNDS).click()
    connected.expect_switch(ORDERS, REFUNDS, on=True)
    expect(connected.group(ORDERS)).to_contain_text("4 of 6 installed")
    connected.switch(ORDERS, REFUNDS).click()
    connected.expect_switch(ORDERS, REFUNDS, on=False)
    expect(connected.group(ORDERS)).to_contain_text("3 of 6 installed")


ODD_NAMES = ["orders/vip", "../connection", "a\\b", "a:b?c#d", "50% & more", "a\tb", "a\nb",
             "zis:globex_orders:job_spec:x", "x" * 300]  # fmt: skip


def test_a_job_spec_of_any_name_is_switched_on_and_off(connected: Workspace) -> None:
    integration = connected.simulator.world.account("acme").integrations[ORDERS]
    spec = integration.find(REFUNDS)
    assert spec is not None
    integration.job_specs[:] = [spec]
    for name in ODD_NAMES:
        spec.name = name
        connected.see("refresh").click()
        expect(connected.rows(ORDERS)).to_have_count(1)
        expect(connected.rows(ORDERS)).to_have_attribute("data-name", name)
        toggle = connected.rows(ORDERS).get_by_role("switch")
        for on in (True, False):
            toggle.click()
            expect(toggle).to_have_attribute("aria-checked", "true" if on else "false")
            assert spec.installed is on, name
    sent = connected.simulator.world.calls(path_contains="/job_specs/install")
    assert {call.job_spec_name for call in sent} == {f"zis:{ORDERS}:job_spec:{name}" for name in ODD_NAMES}


def test_a_short_name_of_two_integrations_is_switched_where_it_was_clicked(connected: Workspace) -> None:
    connected.switch(SHIPPING, SHARED).click()
    connected.expect_switch(SHIPPING, SHARED, on=True)
    connected.switch(ORDERS, SHARED).click()
    connected.expect_switch(ORDERS, SHARED, on=False)
    connected.expect_switch(SHIPPING, SHARED, on=True)


def test_a_slow_change_shows_that_it_is_under_way_and_then_the_truth(connected: Workspace) -> None:
    connected.meets({"where": "change", "kind": "hold"})
    toggle, row = connected.switch(ORDERS, REFUNDS), connected.row(ORDERS, REFUNDS)
    toggle.click()
    connected.simulator.world.wait_until_held(1)
    expect(toggle).to_have_attribute("aria-busy", "true")
    expect(toggle).to_have_attribute("aria-disabled", "true")
    # Nothing is claimed before it is true.
    expect(toggle).to_have_attribute("aria-checked", "false")
    expect(row).to_contain_text("Installing…")
    connected.shot("switching")
    # A second click is no second change, and the rest of the page goes on.
    toggle.click(force=True)
    connected.meets()
    connected.expect_switch(ORDERS, REFUNDS, on=True)
    expect(row).not_to_contain_text("Installing…")
    assert len(connected.simulator.world.calls(path_contains="/job_specs/install")) == 1


def test_two_changes_run_side_by_side(connected: Workspace) -> None:
    connected.meets({"where": "change", "kind": "hold"})
    connected.switch(ORDERS, REFUNDS).click()
    connected.switch(ORDERS, OPEN_ORDER).click()
    connected.simulator.world.wait_until_held(2)
    connected.meets()
    connected.expect_switch(ORDERS, REFUNDS, on=True)
    connected.expect_switch(ORDERS, OPEN_ORDER, on=False)


def test_a_list_asked_for_before_a_change_does_not_undo_it(connected: Workspace) -> None:
    on_their_way: list[tuple[Route, APIResponse]] = []
    connected.page.context.route("**/api/v1/job_specs", lambda route: on_their_way.append((route, route.fetch())))
    connected.see("refresh").click()
    expect(connected.see("refresh")).to_have_text("Refreshing…")
    connected.switch(ORDERS, REFUNDS).click()
    connected.expect_switch(ORDERS, REFUNDS, on=True)
    [(route, old_list)] = on_their_way
    route.fulfill(response=old_list)
    expect(connected.see("refresh")).to_have_text("Refresh")
    connected.expect_switch(ORDERS, REFUNDS, on=True)


def test_a_list_that_a_lost_answer_made_the_page_ask_for_does_not_undo_what_came_later(connected: Workspace) -> None:
    def switch_another(route: Route) -> None:
        old_list = route.fetch()
        connected.switch(ORDERS, OPEN_ORDER).click()
        connected.expect_switch(ORDERS, OPEN_ORDER, on=False)
        route.fulfill(response=old_list)

    def refresh(route: Route) -> None:
        old_list = route.fetch()
        connected.spec(ORDERS, OPEN_ORDER).installed = True
        connected.see("refresh").click()
        connected.expect_switch(ORDERS, OPEN_ORDER, on=True)
        route.fulfill(response=old_list)

    for on, meanwhile in ((True, switch_another), (False, refresh)):
        connected.page.context.route("**/*install?*", lambda route: (route.fetch(), route.abort()), times=1)
        connected.page.context.route(f"**/api/v1/job_specs?integration={ORDERS}", meanwhile, times=1)
        connected.switch(ORDERS, REFUNDS).click()
        connected.expect_switch(ORDERS, REFUNDS, on=on)
        connected.expect_switch(ORDERS, OPEN_ORDER, on=not on)


def test_a_change_that_ends_when_its_row_is_gone_is_told_as_what_it_was(connected: Workspace) -> None:
    on_their_way: list[Route] = []
    connected.page.context.route(
        "**/install?*",
        lambda route: on_their_way.append(route),  # noqa: PLW0108 - no builtin will do
    )
    connected.switch(ORDERS, REFUNDS).click()
    connected.meets({"where": f"registry:{ORDERS}", "kind": "http_403_admin"})
    connected.see("refresh").click()
    expect(connected.rows(ORDERS)).to_have_count(0)
    [route] = on_their_way
    fulfil(route, {"job_spec": {"integration": ORDERS, "name": REFUNDS, "installed": True}, "verified": True})
    expect(connected.see("live")).to_have_text(f"{REFUNDS} is installed.")


# --- it goes wrong ---


@pytest.mark.parametrize("kind", ["http_500_zis", "http_500_text", "http_502_html"])
def test_a_failed_change_shows_its_report_and_the_truth(kind: str, connected: Workspace) -> None:
    connected.meets({"where": "change", "kind": kind})
    connected.switch(ORDERS, REFUNDS).click()
    problem = connected.row(ORDERS, REFUNDS).get_by_test_id("problem")
    expect(problem).to_have_attribute("data-code", "zendesk_unavailable")
    problem.locator("summary").click()
    expect(problem.locator("pre")).to_contain_text(re.compile(r"request: \S{8,}"))
    connected.expect_switch(ORDERS, REFUNDS, on=False)
    problem.scroll_into_view_if_needed()
    connected.shot(f"change_{kind}")
    # The next attempt puts it away.
    connected.meets()
    connected.switch(ORDERS, REFUNDS).click()
    connected.expect_switch(ORDERS, REFUNDS, on=True)
    expect(problem).to_have_count(0)


def test_a_change_whose_answer_is_lost_shows_the_truth(connected: Workspace) -> None:
    connected.meets({"where": "change", "kind": "reset", "after_effect": True})
    connected.switch(ORDERS, REFUNDS).click()
    connected.expect_switch(ORDERS, REFUNDS, on=True)
    expect(connected.row(ORDERS, REFUNDS).get_by_test_id("problem")).to_have_count(0)


def test_a_change_whose_answer_is_lost_on_the_way_to_the_page_shows_the_truth(connected: Workspace) -> None:
    page = connected.page
    # It is carried out; only the page does not hear of it.
    page.context.route("**/install?*", lambda route: (route.fetch(), route.abort()))
    connected.switch(ORDERS, REFUNDS).click()
    connected.expect_switch(ORDERS, REFUNDS, on=True)
    problem = connected.row(ORDERS, REFUNDS).get_by_test_id("problem")
    expect(problem).to_have_attribute("data-code", "network")


def test_a_change_at_a_zendesk_that_hangs_ends_with_the_truth(connected: Workspace) -> None:
    connected.meets({"where": "change", "kind": "hang"})
    connected.switch(ORDERS, OPEN_ORDER).click()
    connected.simulator.world.wait_until_held(1)
    expect(connected.row(ORDERS, OPEN_ORDER)).to_contain_text("Uninstalling…")
    # It closes the connection without an answer.
    connected.meets()
    problem = connected.row(ORDERS, OPEN_ORDER).get_by_test_id("problem")
    expect(problem).to_have_attribute("data-code", "zendesk_unavailable")
    connected.expect_switch(ORDERS, OPEN_ORDER, on=True)
    problem.get_by_test_id("retry").click()
    connected.expect_switch(ORDERS, OPEN_ORDER, on=False)
    expect(problem).to_have_count(0)
    expect(connected.switch(ORDERS, OPEN_ORDER)).to_be_focused()


def test_a_change_that_cannot_be_read_back_says_so(connected: Workspace) -> None:
    connected.meets({"where": "list", "kind": "http_500_zis"})
    connected.switch(ORDERS, REFUNDS).click()
    row = connected.row(ORDERS, REFUNDS)
    expect(row).to_contain_text("it could not be checked afterwards")
    connected.expect_switch(ORDERS, REFUNDS, on=True)
    row.scroll_into_view_if_needed()
    connected.shot("unverified")
    connected.meets()
    connected.see("refresh").click()
    expect(row.get_by_text("it could not be checked afterwards")).to_be_hidden()


def test_a_limit_of_zendesk_on_a_change_says_how_long_to_wait(connected: Workspace) -> None:
    connected.meets({"where": "change", "kind": "http_429", "retry_after": 27})
    connected.switch(ORDERS, REFUNDS).click()
    problem = connected.row(ORDERS, REFUNDS).get_by_test_id("problem")
    expect(problem).to_have_attribute("data-code", "rate_limited")
    expect(problem).to_contain_text("Possible again in 27 seconds.")
    problem.scroll_into_view_if_needed()
    connected.shot("change_rate_limited")
    connected.expect_switch(ORDERS, REFUNDS, on=False)


def test_a_wait_is_counted_down_in_a_row_that_a_filter_has_taken_away(connected: Workspace) -> None:
    connected.page.clock.install()
    connected.meets({"where": "change", "kind": "http_429", "retry_after": 27})
    connected.switch(ORDERS, REFUNDS).click()
    problem = connected.row(ORDERS, REFUNDS).get_by_test_id("problem")
    expect(problem).to_contain_text("Possible again in 27 seconds.")
    connected.see("filter").fill("no such thing")
    expect(problem).to_have_count(0)
    connected.page.clock.run_for(10_000)
    connected.see("filter").fill("")
    connected.page.clock.run_for(1_000)
    expect(problem).to_contain_text(re.compile(r"Possible again in 1\d seconds\."))
    connected.page.clock.run_for(30_000)
    expect(problem).not_to_contain_text("Possible again")
    expect(problem.get_by_test_id("retry")).not_to_have_attribute("aria-disabled", "true")


def test_a_job_spec_that_is_gone_is_said_to_be_gone(connected: Workspace) -> None:
    connected.acme.integrations[ORDERS].upload_bundle([OPEN_ORDER], clear_installed=False)
    connected.switch(ORDERS, REFUNDS).click()
    expect(connected.row(ORDERS, REFUNDS)).to_have_count(0)
    expect(connected.see("live")).to_have_text(f"{REFUNDS}: There is no such job spec")
    # Its row, where other failures are told, has gone with it.
    gone = connected.group(ORDERS).get_by_test_id("gone")
    expect(gone).to_have_text(f"Not in Zendesk any more: {REFUNDS}.")
    connected.group(ORDERS).scroll_into_view_if_needed()
    connected.shot("job_spec_gone")
    connected.see("refresh").click()
    expect(gone).to_be_hidden()


# --- installing again ---


def test_a_job_spec_silenced_by_an_upload_is_armed_by_reinstalling(connected: Workspace) -> None:
    connected.acme.integrations[ORDERS].upload_bundle(None, clear_installed=False)
    assert not connected.spec(ORDERS, OPEN_ORDER).armed
    row = connected.row(ORDERS, OPEN_ORDER)
    row.get_by_test_id("reinstall").click()
    expect(row).to_contain_text("Installed again.")
    assert connected.spec(ORDERS, OPEN_ORDER).armed
    row.scroll_into_view_if_needed()
    connected.shot("reinstalled")


def test_only_what_is_installed_can_be_reinstalled(connected: Workspace) -> None:
    expect(connected.row(ORDERS, OPEN_ORDER).get_by_test_id("reinstall")).to_be_visible()
    again = connected.row(ORDERS, REFUNDS).get_by_test_id("reinstall")
    expect(again).to_be_hidden()
    connected.switch(ORDERS, REFUNDS).click()
    expect(again).to_be_visible()
