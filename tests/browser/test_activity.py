"""Who did what lately: what the service keeps, and what the page makes of answers that are made up here."""

from typing import Any

import pytest
from playwright.sync_api import Route, expect

from tests.browser.workspace import ORDERS, REFUNDS, Workspace, fulfil

pytestmark = pytest.mark.browser

ACTIVITY = "**/api/v1/activity*"


def make_entry(action: str = "installed", **members: Any) -> dict[str, Any]:
    """Return an entry as the contract has it; by default Ada installed something."""
    entry = {
        "at": "2026-11-20T09:30:00Z",
        "action": action,
        "actor": {"id": 101, "name": "Ada Morgan"},
        "integration": None,
        "job_spec": None,
        "result": "ok",
        "installation_id": "600001",
        "request_id": "0123456789abcdef",
        "count": 1,
        "items": None,
    }
    if action in {"installed", "uninstalled", "rearmed"}:
        entry |= {"integration": ORDERS, "job_spec": REFUNDS}
    return entry | members


def serve(workspace: Workspace, *entries: dict[str, Any]) -> list[str]:
    """Let the service have this activity; return the list that every address asked from now on is added to."""
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        limit = int(route.request.url.partition("limit=")[2])
        fulfil(route, {"activity": list(entries[:limit])})

    workspace.page.context.route(ACTIVITY, answer)
    return asked


def open_activity(workspace: Workspace) -> None:
    workspace.choose("activity-open")


def test_what_was_really_done_is_shown(connected: Workspace) -> None:
    connected.switch(ORDERS, REFUNDS).click()
    connected.expect_switch(ORDERS, REFUNDS, on=True)
    connected.choose("activity-open")
    entries = connected.see("activity-entry")
    expect(entries.first).to_contain_text(f"Ada Morgan installed {REFUNDS}")
    expect(entries.last).to_contain_text("Ada Morgan connected the account")


def test_a_repeated_change_says_how_often(connected: Workspace) -> None:
    serve(connected, make_entry(count=500), make_entry("connected"))
    open_activity(connected)
    entries = connected.see("activity-entry")
    expect(entries.first).to_contain_text("500 times")
    expect(entries.last).not_to_contain_text("time")


def test_a_bulk_is_one_entry_whose_names_can_be_opened(connected: Workspace) -> None:
    names = [f"spec_{number:03}" for number in range(200)]
    serve(connected, make_entry("rearmed", job_spec=None, count=200, items=names))
    open_activity(connected)
    entry = connected.see("activity-entry")
    expect(entry).to_contain_text("Ada Morgan installed 200 job specs again")
    expect(entry).not_to_contain_text("times")
    expect(entry.locator("li").first).to_be_hidden()
    entry.locator("summary").click()
    expect(entry.locator("li")).to_have_text(names)


def test_nothing_is_asked_until_somebody_wants_to_know(connected: Workspace) -> None:
    asked = serve(connected, make_entry())
    connected.see("refresh").click()
    expect(connected.see("live")).to_contain_text("Refreshed")
    assert asked == []
    open_activity(connected)
    expect(connected.see("activity-entry")).to_have_count(1)


def test_every_kind_of_entry_is_a_sentence(connected: Workspace) -> None:
    serve(
        connected,
        make_entry(),
        make_entry("uninstalled", actor="operator"),
        make_entry("uninstalled", actor={"id": 105, "name": None}),
        make_entry("installed", actor={"id": None, "name": None}, result="zendesk_unavailable"),
        make_entry("connected", actor={"id": 102, "name": "Ben Okafor"}, result="admin_required"),
        make_entry("disconnected"),
        make_entry("reauthorization_required", actor="operator"),
    )
    open_activity(connected)
    entries = connected.see("activity-entry")
    expect(entries.locator("p:first-child")).to_have_text(
        [
            f"Ada Morgan installed {REFUNDS}",
            f"The service\N{RIGHT SINGLE QUOTATION MARK}s operator uninstalled {REFUNDS}",
            f"User 105 uninstalled {REFUNDS}",
            f"Somebody could not install {REFUNDS}",
            "Ben Okafor could not connect the account",
            "Ada Morgan disconnected the account",
            "The access ended; an admin has to connect the account again",
        ]
    )
    expect(entries.nth(3)).to_contain_text("Zendesk cannot be reached or gave no usable answer")
    expect(entries.nth(4)).to_contain_text("An admin has to connect this account")
    expect(entries.first).to_contain_text(f"· {ORDERS}")
    expect(entries.first.locator("time")).to_have_attribute("datetime", "2026-11-20T09:30:00Z")
    connected.shot("activity")


def test_a_change_brings_it_up_to_date_while_it_is_open(connected: Workspace) -> None:
    asked = serve(connected)
    open_activity(connected)
    expect(connected.see("activity")).to_contain_text("Nothing has been done here in the last 90 days.")
    connected.shot("activity_none")
    connected.page.context.unroute(ACTIVITY)
    asked = serve(connected, make_entry())
    connected.switch(ORDERS, REFUNDS).click()
    expect(connected.see("activity-entry")).to_have_count(1)
    assert len(asked) == 1


def test_twenty_are_shown_first_and_more_on_request(connected: Workspace) -> None:
    asked = serve(connected, *(make_entry(request_id=str(number)) for number in range(50)))
    open_activity(connected)
    expect(connected.see("activity-entry")).to_have_count(20)
    connected.see("activity-more").click()
    expect(connected.see("activity-entry")).to_have_count(50)
    expect(connected.see("activity-more")).to_be_hidden()
    expect(connected.see("activity").locator("ol")).to_be_focused()
    assert [url.partition("?")[2] for url in asked] == ["limit=20", "limit=200"]


def test_a_failure_is_said_and_can_be_tried_again(connected: Workspace) -> None:
    problem = {
        "code": "store_unavailable",
        "title": "No store",
        "status": 503,
        "detail": "Try again.",
        "request_id": "9f",
    }
    connected.page.context.route(ACTIVITY, lambda route: fulfil(route, problem, 503), times=1)
    open_activity(connected)
    shown = connected.see("activity").get_by_test_id("problem")
    expect(shown).to_have_attribute("data-code", "store_unavailable")
    connected.shot("activity_failed")
    serve(connected, make_entry())
    shown.get_by_role("button", name="Try again").click()
    expect(connected.see("activity-entry")).to_have_count(1)
    expect(shown).to_have_count(0)
    expect(connected.see("activity").locator("h2")).to_be_focused()


def test_whether_a_flow_ran_is_said_to_stand_in_zendesks_own_log(connected: Workspace) -> None:
    admin_center = "https://acme.zendesk.com/admin/"
    connected.see("menu").click()
    log = connected.see("log")
    expect(log).to_have_attribute("href", admin_center)
    expect(log).to_contain_text("Apps and integrations > Integrations > Logs")
    connected.see("activity-open").click()
    expect(connected.see("activity")).to_contain_text("says for seven days whether a flow has run")
    expect(connected.see("activity-log")).to_have_attribute("href", admin_center)
