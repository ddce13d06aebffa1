"""Who is looking: what an agent, an end user, somebody of unknown role and a former admin see."""

import pytest
from playwright.sync_api import expect
from redis import Redis

from tests.browser.conftest import MakeWorkspace
from tests.browser.workspace import OPEN_ORDER, ORDERS, REFUNDS, Workspace

pytestmark = pytest.mark.browser

ADMIN, AGENT, END_USER, SUSPENDED = 101, 102, 103, 104


def expect_no_changes(workspace: Workspace) -> None:
    """The list is there, and nothing that would change anything."""
    expect(workspace.row(ORDERS, OPEN_ORDER)).to_contain_text("Installed")
    expect(workspace.row(ORDERS, REFUNDS)).to_contain_text("Not installed")
    workspace.open_connection()
    workspace.see("menu").click()
    expect(workspace.see("activity-open")).to_be_visible()
    for control in ("toggle", "reinstall", "several", "disconnect"):
        expect(workspace.see(control).filter(visible=True)).to_have_count(0)


def test_an_agent_sees_the_list_and_why_nothing_can_be_switched(workspace: Workspace) -> None:
    workspace.grant()
    workspace.open_app(user_id=AGENT)
    expect_no_changes(workspace)
    expect(workspace.see("role-note")).to_contain_text("your role does not allow it")
    workspace.shot("agent")


def test_an_agent_may_start_to_connect(workspace: Workspace) -> None:
    workspace.open_app(user_id=AGENT)
    workspace.expect_state("not_connected")
    workspace.connect()
    expect_no_changes(workspace)


@pytest.mark.parametrize("user_id", [END_USER, SUSPENDED], ids=["end user", "suspended"])
def test_somebody_from_outside_sees_nothing_and_why(user_id: int, workspace: Workspace) -> None:
    workspace.grant()
    workspace.open_app(user_id=user_id)
    problem = workspace.app.locator('[data-testid="problem"][data-code="agent_required"]')
    expect(problem).to_contain_text("Only agents may look at this")
    expect(workspace.see("job-spec")).to_have_count(0)
    expect(workspace.see("disconnect")).to_be_hidden()
    # It says that one may look.
    expect(workspace.see("role-note")).to_be_hidden()
    workspace.shot(f"outsider_{user_id}")


def test_where_roles_cannot_be_read_the_page_says_what_helps(workspace: Workspace) -> None:
    workspace.grant()
    workspace.meets({"where": "users", "kind": "http_403_scope"})
    workspace.open_app(user_id=105)
    expect_no_changes(workspace)
    expect(workspace.see("role-note")).to_contain_text("can allow you by your user id")
    workspace.shot("role_not_readable")


def test_while_the_role_cannot_be_asked_the_page_says_so(workspace: Workspace) -> None:
    workspace.grant()
    workspace.meets({"where": "users", "kind": "http_500_text"})
    workspace.open_app(user_id=105)
    expect_no_changes(workspace)
    expect(workspace.see("role-note")).to_contain_text("could not be asked for your role")
    workspace.meets()
    workspace.see("refresh").click()
    expect(workspace.see("role-note")).to_be_hidden()
    workspace.switch(ORDERS, REFUNDS).click()
    workspace.expect_switch(ORDERS, REFUNDS, on=True)


@pytest.mark.parametrize("locale", ["en-US", "de-DE"])
def test_where_the_account_is_gone_the_page_says_so_and_offers_no_way_to_connect(
    locale: str, make_workspace: MakeWorkspace
) -> None:
    workspace = make_workspace(locale=locale)
    workspace.grant()
    workspace.open_app(locale=locale)
    workspace.meets({"where": "all", "kind": "account_gone"})
    workspace.see("refresh").click()
    # As it turns out, and as the page shows it from the beginning; then it is the list's failure as well.
    for _ in range(2):
        words = {
            "en-US": "There is no Zendesk account acme any more",
            "de-DE": "Ein Zendesk-Konto acme gibt es nicht mehr",
        }
        expect(workspace.see("connection")).to_contain_text(words[locale])
        workspace.expect_state("reauthorization_required")
        expect(workspace.see("connect").filter(visible=True)).to_have_count(0)
        expect(workspace.app.locator('a[href*="/oauth/authorize"]:visible')).to_have_count(0)
        workspace.open_app(locale=locale)
    workspace.shot(f"account_gone_{locale}")


def test_an_admin_who_is_none_any_more_is_refused_and_loses_the_switches(connected: Workspace, redis: Redis) -> None:
    connected.acme.set_user(ADMIN, role="agent")
    # As after the five minutes for which an answer about a role counts.
    redis.delete(f"zis:{{acme}}:role:{ADMIN}")
    connected.acme.set_user(105, role="admin")
    connected.switch(ORDERS, REFUNDS).click()
    problem = connected.row(ORDERS, REFUNDS).get_by_test_id("problem")
    expect(problem).to_have_attribute("data-code", "manager_role_required")
    connected.shot("demoted")
    expect_no_changes(connected)
    assert not connected.spec(ORDERS, REFUNDS).installed
