"""Giving the grant back: asked first, with or without uninstalling, and what happens when Zendesk does not take it."""

import pytest
from playwright.sync_api import expect

from tests.browser.workspace import ORDERS, Workspace

pytestmark = pytest.mark.browser


def installed_orders(workspace: Workspace) -> int:
    """Return how many job specs of acme_orders Zendesk has installed."""
    return sum(spec.installed for spec in workspace.acme.integrations[ORDERS].job_specs)


def test_it_asks_first_and_can_be_cancelled(connected: Workspace) -> None:
    connected.ask_to_disconnect()
    dialog = connected.see("disconnect-dialog")
    expect(dialog).to_contain_text("Disconnect acme?")
    expect(dialog).to_contain_text("stay installed and go on firing")
    connected.shot("disconnect")
    connected.see("disconnect-uninstall").check()
    expect(dialog.get_by_text("stay installed and go on firing")).to_be_hidden()
    connected.see("disconnect-cancel").click()
    expect(dialog).to_be_hidden()
    expect(connected.see("disconnect")).to_be_focused()
    connected.expect_state("connected")
    # Nothing stays ticked for the next time.
    connected.ask_to_disconnect()
    expect(connected.see("disconnect-uninstall")).not_to_be_checked()


def test_job_specs_stay_installed_unless_asked_otherwise(connected: Workspace) -> None:
    connected.ask_to_disconnect()
    connected.see("disconnect-confirm").click()
    connected.expect_state("not_connected")
    expect(connected.see("job-spec")).to_have_count(0)
    expect(connected.app.locator("#connection-state")).to_be_focused()
    expect(connected.see("live")).to_have_text("The account is disconnected.")
    connected.shot("disconnected")
    assert installed_orders(connected) == 3
    assert connected.acme.live_tokens() == {}


def test_job_specs_are_uninstalled_first_where_asked(connected: Workspace) -> None:
    connected.ask_to_disconnect()
    connected.see("disconnect-uninstall").check()
    connected.see("disconnect-confirm").click()
    connected.expect_state("not_connected")
    assert not any(spec.installed for one in connected.acme.integrations.values() for spec in one.job_specs)


def test_while_it_runs_it_says_so_and_cannot_be_closed(connected: Workspace) -> None:
    connected.meets({"where": "revoke", "kind": "hold"})
    connected.ask_to_disconnect()
    connected.see("disconnect-confirm").click()
    connected.simulator.world.wait_until_held(1)
    expect(connected.see("disconnect-confirm")).to_have_text("Disconnecting…")
    expect(connected.see("disconnect-dialog").get_by_role("status")).to_have_text("Disconnecting…")
    expect(connected.see("disconnect-cancel")).to_be_disabled()
    connected.page.keyboard.press("Escape")
    connected.page.keyboard.press("Escape")
    expect(connected.see("disconnect-dialog")).to_be_visible()
    connected.meets()
    connected.expect_state("not_connected")
    expect(connected.see("disconnect-dialog")).to_be_hidden()


def test_a_failure_keeps_the_connection_and_is_said_in_the_dialog(connected: Workspace) -> None:
    connected.meets({"where": "revoke", "kind": "http_500_text"})
    connected.ask_to_disconnect()
    connected.see("disconnect-confirm").click()
    problem = connected.see("disconnect-dialog").get_by_test_id("problem")
    expect(problem).to_have_attribute("data-code", "zendesk_unavailable")
    expect(connected.see("disconnect-confirm")).to_have_text("Disconnect")
    said = connected.see("disconnect-dialog").get_by_role("status")
    expect(said).to_have_text("Zendesk cannot be reached or gave no usable answer")
    connected.shot("disconnect_failed")
    connected.expect_state("connected")
    connected.meets()
    connected.see("disconnect-cancel").click()
    # What was said is not found there the next time.
    connected.ask_to_disconnect()
    expect(said).to_be_empty()
    connected.see("disconnect-confirm").click()
    connected.expect_state("not_connected")


def test_a_failure_halfway_through_uninstalling_shows_what_is_still_installed(connected: Workspace) -> None:
    connected.acme.integrations["acme_archive"].resize(0)
    # The second of the four that are installed.
    connected.meets({"where": "change", "kind": "http_500_zis", "every": 2})
    connected.ask_to_disconnect()
    connected.see("disconnect-uninstall").check()
    connected.see("disconnect-confirm").click()
    expect(connected.see("disconnect-dialog").get_by_test_id("problem")).to_be_visible()
    connected.see("disconnect-cancel").click()
    connected.expect_state("connected")
    expect(connected.group(ORDERS)).to_contain_text(f"{installed_orders(connected)} of 6 installed")
    left = sum(spec.installed for one in connected.acme.integrations.values() for spec in one.job_specs)
    assert 0 < left < 4
