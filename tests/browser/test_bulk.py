"""Changing many job specs at once: asked first, done under the person's eyes, and told what became of it."""

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect
from redis import Redis

from tests.browser.workspace import ARCHIVE, OPEN_ORDER, ORDERS, REFUNDS, SHIPPING, Workspace

pytestmark = pytest.mark.browser

# Of six orders.
INSTALLED = {"copy_public_comment", "notify_warehouse", OPEN_ORDER}
OTHERS = {"escalate_vip_order", "order_number_changed", REFUNDS}


def choose(workspace: Workspace, action: str, filter_text: str = ORDERS) -> None:
    """Filter the list, and choose what to do to what is shown."""
    workspace.see("filter").fill(filter_text)
    workspace.choose("several")
    workspace.see(f"bulk-{action}").check()


def do(workspace: Workspace, action: str, filter_text: str = ORDERS) -> None:
    """Choose, and press the button that does it."""
    choose(workspace, action, filter_text)
    workspace.see("bulk-confirm").click()


def expect_result(workspace: Workspace, title: str, *sentences: str) -> None:
    """Wait for the end, and compare what is said."""
    result = workspace.see("bulk-result")
    expect(result).to_be_visible()
    expect(workspace.see("bulk-dialog").locator("h2")).to_have_text(title)
    expect(result.locator(":scope > p")).to_have_text(list(sentences))


def installed(workspace: Workspace, integration: str = ORDERS) -> set[str]:
    """Return the names that Zendesk has installed."""
    return {spec.name for spec in workspace.acme.integrations[integration].job_specs if spec.installed}


def grow_archive(workspace: Workspace) -> None:
    """Let the archive list 60 job specs, 56 of them not installed: more than one request takes."""
    workspace.acme.integrations[ARCHIVE].resize(60)
    workspace.see("refresh").click()
    expect(workspace.rows(ARCHIVE)).to_have_count(60)


# --- asked first ---


def test_the_dialog_says_how_many_and_asks_before_it_does_anything(connected: Workspace) -> None:
    connected.see("filter").fill(ORDERS)
    connected.choose("several")
    dialog = connected.see("bulk-dialog")
    expect(dialog).to_contain_text("For the 6 job specs that the filter shows:")
    expect(dialog.get_by_label("Install the 3 that are not installed")).to_be_focused()
    expect(connected.see("bulk-confirm")).to_be_disabled()
    connected.shot("bulk_choice")
    connected.see("bulk-uninstall").check()
    expect(connected.see("bulk-confirm")).to_have_text("Uninstall 3 job specs")
    connected.shot("bulk_uninstall_chosen")
    # Somebody else has done one of them meanwhile.
    connected.spec(ORDERS, OPEN_ORDER).installed = False
    connected.see("refresh").dispatch_event("click")
    expect(connected.see("bulk-confirm")).to_have_text("Uninstall 2 job specs")
    connected.see("bulk-cancel").click()
    expect(dialog).to_be_hidden()
    expect(connected.see("menu")).to_be_focused()
    assert connected.simulator.world.calls(path_contains="/job_specs/install") == []


def test_what_cannot_be_done_cannot_be_chosen(connected: Workspace) -> None:
    connected.see("filter-installed").select_option("installed")
    connected.choose("several")
    expect(connected.see("bulk-install")).to_be_disabled()
    expect(connected.see("bulk-uninstall")).to_be_focused()
    connected.page.keyboard.press("Escape")
    connected.see("filter").fill("nothing at all")
    connected.see("menu").click()
    expect(connected.see("activity-open")).to_be_focused()
    expect(connected.see("several")).to_be_hidden()


def test_a_row_that_stayed_only_because_it_was_worked_in_is_not_meant(connected: Workspace) -> None:
    connected.see("filter").fill(ORDERS)
    connected.see("filter-installed").select_option("not_installed")
    connected.switch(ORDERS, REFUNDS).click()
    connected.expect_switch(ORDERS, REFUNDS, on=True)
    expect(connected.shown_rows()).to_have_count(3)
    connected.choose("several")
    expect(connected.see("bulk-dialog")).to_contain_text("For the 2 job specs that the filter shows:")
    expect(connected.shown_rows()).to_have_count(2)


def test_more_than_a_minutes_worth_is_said_to_take_long(connected: Workspace) -> None:
    connected.acme.integrations[ARCHIVE].resize(190)
    connected.see("refresh").click()
    expect(connected.see("job-spec")).to_have_count(200)
    connected.choose("several")
    expect(connected.see("bulk-dialog")).to_contain_text("For all 200 job specs of the account:")
    connected.see("bulk-install").check()
    expect(connected.see("bulk-dialog")).to_contain_text("so this may take up to 4 minutes")
    connected.shot("bulk_takes_long")
    connected.see("bulk-reinstall").check()
    expect(connected.see("bulk-dialog").get_by_text("so this may take up to")).to_be_hidden()


# --- done ---


def test_all_that_the_filter_shows_are_installed(connected: Workspace) -> None:
    do(connected, "install")
    expect_result(connected, "Done", "3 job specs are now installed.")
    connected.shot("bulk_done")
    assert installed(connected) == INSTALLED | OTHERS
    # All around it is inert, and some screen readers do not hear it.
    expect(connected.see("bulk-dialog").get_by_role("status")).to_have_text("3 job specs are now installed.")
    connected.see("bulk-close").click()
    expect(connected.see("menu")).to_be_focused()
    expect(connected.group(ORDERS)).to_contain_text("6 of 6 installed")
    assert installed(connected, SHIPPING) == {"track_parcel"}


def test_all_that_the_filter_shows_are_uninstalled(connected: Workspace) -> None:
    do(connected, "uninstall")
    expect_result(connected, "Done", "3 job specs are no longer installed.")
    assert installed(connected) == set()


def test_all_are_reinstalled_after_a_bundle_upload(connected: Workspace) -> None:
    orders = connected.acme.integrations[ORDERS]
    orders.upload_bundle(None, clear_installed=False)
    do(connected, "reinstall")
    expect_result(connected, "Done", "3 job specs were installed again.")
    assert {spec.name for spec in orders.job_specs if spec.armed} == INSTALLED


def test_progress_is_shown_while_it_runs_and_it_cannot_be_closed(connected: Workspace) -> None:
    connected.meets({"where": "change", "kind": "hold"})
    do(connected, "install", "archive_form_00")
    connected.simulator.world.wait_until_held(1)
    expect(connected.see("bulk-dialog").locator("h2")).to_have_text("Installing 8 job specs…")
    expect(connected.see("bulk-sentence")).to_have_text("0 of 8.")
    progress = connected.see("bulk-progress")
    expect(progress).to_have_attribute("max", "8")
    expect(connected.see("bulk-stop")).to_be_focused()
    connected.shot("bulk_running")
    connected.page.keyboard.press("Escape")
    connected.page.keyboard.press("Escape")
    expect(connected.see("bulk-dialog")).to_be_visible()
    connected.meets()
    expect_result(connected, "Done", "8 job specs are now installed.")


def test_many_cost_few_requests_and_are_one_entry_of_the_activity(connected: Workspace) -> None:
    grow_archive(connected)
    paths: list[str] = []
    connected.page.context.on("request", lambda request: paths.append(urlsplit(request.url).path))
    do(connected, "install", ARCHIVE)
    expect_result(connected, "Done", "56 job specs are now installed.")
    assert [path for path in paths if "/job_specs" in path] == ["/api/v1/job_specs/apply"] * 3
    assert len(installed(connected, ARCHIVE)) == 60
    connected.see("bulk-close").click()
    connected.choose("activity-open")
    entries = connected.see("activity-entry")
    expect(entries).to_have_count(2)
    expect(entries.first).to_contain_text("56")


def test_a_name_that_no_document_can_hold_is_changed_by_itself(connected: Workspace) -> None:
    odd = "zis:globex_orders:job_spec:x"
    spec = connected.acme.integrations[ORDERS].find(REFUNDS)
    assert spec is not None
    spec.name = odd
    connected.see("refresh").click()
    expect(connected.row(ORDERS, odd)).to_be_visible()
    do(connected, "install")
    expect_result(connected, "Done", "3 job specs are now installed.")
    assert installed(connected) == {*INSTALLED, *OTHERS, odd} - {REFUNDS}


# --- not all of it ---


def test_what_zendesk_no_longer_has_is_named_and_not_sent(connected: Workspace) -> None:
    connected.acme.integrations[ORDERS].upload_bundle([*INSTALLED, REFUNDS], clear_installed=False)
    do(connected, "install")
    expect_result(connected, "Done, but not all of it worked", "1 job spec is now installed.", "2 failed.")
    failure = connected.see("bulk-failure")
    expect(failure).to_have_attribute("data-code", "job_spec_not_found")
    for name in ("escalate_vip_order", "order_number_changed"):
        expect(failure.get_by_role("listitem").filter(has_text=f"{name} ({ORDERS})")).to_have_count(1)
    expect(failure).to_contain_text("Zendesk lists no job spec of this name any more")
    assert len(connected.simulator.world.calls(path_contains="/job_specs/install")) == 1
    connected.shot("bulk_partly_gone")
    # The bundle comes back with them.
    connected.acme.integrations[ORDERS].upload_bundle([*INSTALLED, *OTHERS], clear_installed=False)
    expect(connected.see("bulk-again")).to_have_text("Try the other 2 again")
    connected.see("bulk-again").click()
    expect_result(connected, "Done", "2 job specs are now installed.")
    assert installed(connected) == INSTALLED | OTHERS


def test_what_failed_is_named_with_its_reason_and_can_be_tried_again(connected: Workspace) -> None:
    connected.meets({"where": "change", "kind": "http_500_zis", "every": 4})
    do(connected, "install", "archive_form_00")
    expect_result(connected, "Done, but not all of it worked", "6 job specs are now installed.", "2 failed.")
    failure = connected.see("bulk-failure")
    expect(failure).to_have_attribute("data-code", "zendesk_unavailable")
    expect(failure.get_by_role("listitem")).to_have_count(2)
    report = connected.see("bulk-result").locator("details")
    report.locator("summary").click()
    expect(report.locator("pre")).to_contain_text("changed: 6 of 8")
    report.scroll_into_view_if_needed()
    connected.shot("bulk_partly_failed")
    connected.meets()
    connected.see("bulk-again").click()
    expect_result(connected, "Done", "2 job specs are now installed.")


def test_a_person_can_stop_it_and_go_on_later(connected: Workspace) -> None:
    grow_archive(connected)
    connected.meets({"where": "change", "kind": "hold"})
    do(connected, "install", ARCHIVE)
    connected.simulator.world.wait_until_held(1)
    connected.see("bulk-stop").click()
    expect(connected.see("bulk-stop")).to_have_text("Stopping…")
    connected.shot("bulk_stopping")
    connected.meets()
    # The names that were on their way together are finished, and nothing else is begun.
    expect_result(connected, "Stopped early", "20 job specs are now installed.", "36 were not tried.")
    connected.shot("bulk_stopped")
    assert len(connected.simulator.world.calls(path_contains="/job_specs/install")) == 20
    connected.see("bulk-again").click()
    expect_result(connected, "Done", "36 job specs are now installed.")


def test_a_limit_is_waited_for_and_then_it_goes_on(connected: Workspace) -> None:
    connected.page.clock.install()
    connected.open_app()
    connected.meets({"where": "change", "kind": "http_429", "retry_after": 50, "times": 1})
    do(connected, "install")
    expect(connected.see("bulk-sentence")).to_contain_text("The limit of changes a minute is reached: continuing in")
    connected.shot("bulk_waiting")
    assert installed(connected) == INSTALLED
    connected.page.clock.run_for(51_000)
    expect_result(connected, "Done", "3 job specs are now installed.")
    assert installed(connected) == INSTALLED | OTHERS


def test_our_own_limit_is_waited_for_and_can_be_stopped(connected: Workspace, redis: Redis) -> None:
    connected.switch(ORDERS, REFUNDS).click()
    connected.expect_switch(ORDERS, REFUNDS, on=True)
    # 57 more of this minute's 60 changes have been made elsewhere, and the minute is long.
    [counter] = redis.keys("zis:limit:changes/*")
    redis.incrby(counter, 57)
    redis.expire(counter, 600)
    do(connected, "install", "archive_form_00")
    expect(connected.see("bulk-sentence")).to_contain_text(
        "2 of 8. The limit of changes a minute is reached: continuing in"
    )
    connected.see("bulk-stop").click()
    expect_result(connected, "Stopped early", "2 job specs are now installed.", "6 were not tried.")


# --- hopeless ---


def test_it_ends_at_once_when_the_grant_is_gone(connected: Workspace, redis: Redis) -> None:
    redis.delete("zis:{acme}:grant")
    do(connected, "install", "archive_form_00")
    expect_result(connected, "Stopped early", "8 were not tried.")
    expect(connected.see("bulk-failure")).to_contain_text("The account has to be connected")
    expect(connected.see("bulk-failure")).to_have_attribute("data-code", "authorization_required")
    expect(connected.see("bulk-result")).not_to_contain_text("now installed")
    expect(connected.see("bulk-again")).to_be_hidden()
    connected.shot("bulk_grant_gone")
    connected.see("bulk-close").click()
    connected.expect_state("not_connected")
    expect(connected.see("bulk-dialog")).to_be_hidden()


def test_it_ends_at_once_when_the_person_is_no_admin_any_more(connected: Workspace, redis: Redis) -> None:
    connected.acme.set_user(101, role="agent")
    redis.delete("zis:{acme}:role:101")
    do(connected, "install", "archive_form_00")
    expect(connected.see("bulk-failure")).to_contain_text("Only a manager may change this")
    connected.shot("bulk_demoted")
    assert "archive_form_001" not in installed(connected, ARCHIVE)


def test_it_ends_when_nothing_is_reached(connected: Workspace) -> None:
    grow_archive(connected)
    connected.meets({"where": "registry", "kind": "http_502_html"})
    do(connected, "install", ARCHIVE)
    result = connected.see("bulk-result")
    expect(result).to_contain_text("36 were not tried.")
    # Once: it is the one reason.
    expect(result.get_by_text("Zendesk cannot be reached")).to_have_count(1)
    connected.shot("bulk_unreached")
    assert connected.simulator.world.calls(path_contains="/job_specs/install") == []


def test_of_several_reasons_the_one_that_ended_it_is_named(connected: Workspace) -> None:
    connected.meets({"where": "change", "kind": "http_404", "times": 1}, {"where": "change", "kind": "http_502_html"})
    do(connected, "install", "archive_form_00")
    expect_result(
        connected,
        "Stopped early",
        "4 failed.",
        "4 were not tried.",
        "Reason: Zendesk cannot be reached or gave no usable answer.",
    )
    expect(connected.see("bulk-failure")).to_have_count(2)


def test_it_ends_when_three_changes_in_a_row_reach_nothing(connected: Workspace) -> None:
    connected.meets({"where": "change", "kind": "http_502_html"})
    do(connected, "install", "archive_form_00")
    result = connected.see("bulk-result")
    expect(result).to_contain_text("3 failed.")
    expect(result).to_contain_text("5 were not tried.")
    expect(connected.see("bulk-failure")).to_contain_text("Zendesk cannot be reached or gave no usable answer")
    assert len(connected.simulator.world.calls(path_contains="/job_specs/install")) == 3
