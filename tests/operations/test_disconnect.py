"""`disconnect`: as the API does, and past a Zendesk that cannot be told where the operator insists."""

from typing import Any

import pytest
from redis import Redis

from service.ground.subdomains import Subdomain
from service.store.activity import Activity
from tests.conftest import MakeAdmin, MakeApp
from tests.operations.console import run
from tests.steps import Admin, collaborator
from tests.stored_grants import change_grant
from tests.test_disconnect import GRANT, installed, live

ACME = Subdomain("acme")


def events(admin: Admin) -> list[tuple[str, Any, str]]:
    """Return (action, actor, result) of the account's activity, newest first."""
    entries = collaborator(admin.app, Activity).latest(ACME)
    return [(entry["action"], entry["actor"], entry["result"]) for entry in entries]


def test_every_token_is_revoked_and_the_account_forgotten(admin: Admin, redis: Redis) -> None:
    answer = run(admin.app, "disconnect", "acme")
    assert answer.status == 0
    assert answer.lines() == [
        "acme was disconnected, and its tokens were revoked.",
        "Job specs that were installed stay installed and go on firing.",
    ]
    assert live(admin) == {}
    assert not redis.exists(GRANT)
    assert events(admin)[0] == ("disconnected", "operator", "ok")
    assert "by=operator" in answer.err
    assert installed(admin) == 54


def test_json_says_the_same_for_programs(admin: Admin) -> None:
    document = {"account": "acme", "was_connected": True, "revoked": True, "uninstalled": False, "purged": False}
    answer = run(admin.app, "disconnect", "ACME", "--json")
    assert answer.json() == {**document, "error": None, "uninstall_error": None}


@pytest.mark.parametrize("options", [(), ("--force",), ("--uninstall",)])
def test_where_nothing_is_connected_it_ends_with_1(options: tuple[str, ...], make_app: MakeApp) -> None:
    answer = run(make_app(), "disconnect", "acme", *options)
    assert (answer.status, answer.lines()) == (1, ["acme is not connected."])
    answer = run(make_app(), "disconnect", "acme", *options, "--json")
    assert answer.status == 1
    document = answer.json()
    assert document["was_connected"] is document["revoked"] is document["uninstalled"] is False


def test_an_account_that_was_taken_off_the_list_can_be_disconnected(admin: Admin, make_app: MakeApp) -> None:
    assert run(make_app(ZENDESK_SUBDOMAINS="globex"), "disconnect", "acme").status == 0
    assert live(admin) == {}


def test_uninstall_uninstalls_everything_first(admin: Admin) -> None:
    answer = run(admin.app, "disconnect", "acme", "--uninstall")
    assert (answer.status, answer.lines()) == (0, ["acme was disconnected, and its tokens were revoked."])
    assert installed(admin) == 0
    assert len(admin.changes_sent()) == 54
    assert events(admin)[1] == ("uninstalled", "operator", "ok")


def test_a_dead_grant_is_just_forgotten(admin: Admin, redis: Redis) -> None:
    change_grant(admin, dead="grant_revoked")
    answer = run(admin.app, "disconnect", "acme")
    assert answer.status == 0
    assert "dead already" in answer.out
    assert not redis.exists(GRANT)


# --- where Zendesk cannot be told ---


def test_nothing_is_forgotten_and_it_ends_with_1_in_words(admin: Admin, redis: Redis) -> None:
    admin.meets({"where": "revoke", "kind": "http_500_text"})
    answer = run(admin.app, "disconnect", "acme")
    assert (answer.status, answer.out) == (1, "")
    said = [line for line in answer.err.splitlines() if not line.startswith("at=")]
    assert said == [
        "Error: Zendesk cannot be reached or gave no usable answer.",
        "Zendesk answered with an error of its own. Try again in a moment.",
        "Zendesk's words (500): Internal Server Error",
        "Code: zendesk_unavailable",
    ]
    assert redis.exists(GRANT)
    assert events(admin)[0] == ("disconnected", "operator", "zendesk_unavailable")


@pytest.mark.parametrize(
    ("kind", "code"),
    [("http_404_html", "zendesk_unavailable"), ("http_403_html", "zendesk_unavailable"),
     ("account_gone", "account_gone")],
)  # fmt: skip
def test_what_was_not_revoked_is_forgotten_by_force_alone(kind: str, code: str, admin: Admin, redis: Redis) -> None:
    admin.meets({"where": "all", "kind": kind})
    refused = run(admin.app, "disconnect", "acme", "--json")
    assert (refused.status, refused.json()["error"]["code"]) == (1, code)
    assert redis.exists(GRANT)
    assert live(admin)
    answer = run(admin.app, "disconnect", "acme", "--force", "--json")
    assert (answer.status, answer.json()["revoked"], answer.json()["error"]["code"]) == (0, False, code)
    assert not redis.exists(GRANT)


def test_force_forgets_nevertheless_and_says_what_is_left(admin: Admin, redis: Redis) -> None:
    admin.meets({"where": "all", "kind": "http_503_html"})
    answer = run(admin.app, "disconnect", "acme", "--force")
    assert answer.status == 0
    assert "acme was forgotten, but Zendesk could not be told" in answer.out
    assert "Admin Center" in answer.out
    assert not redis.exists(GRANT)
    assert events(admin)[:2] == [
        ("disconnected", "operator", "ok"),
        ("disconnected", "operator", "zendesk_unavailable"),
    ]
    admin.meets()
    assert admin.status()["connection"]["state"] == "not_connected"
    assert admin.status()["integrations"][0]["state"] == "unknown"


def test_force_is_not_needed_where_zendesk_can_be_told(admin: Admin) -> None:
    document = run(admin.app, "disconnect", "acme", "--force", "--json").json()
    assert (document["revoked"], document["error"]) == (True, None)
    assert live(admin) == {}


REFUSED_CHANGE = {"where": "change", "kind": "error_object", "status": 422}


@pytest.mark.parametrize(
    ("fault", "code"),
    [({"where": "change", "kind": "http_500_zis"}, "zendesk_unavailable"), (REFUSED_CHANGE, "zis_rejected")],
)
def test_force_revokes_every_token_although_an_uninstall_fails(
    fault: dict[str, Any], code: str, admin: Admin, redis: Redis
) -> None:
    admin.status()
    admin.meets(fault)
    answer = run(admin.app, "disconnect", "acme", "--uninstall", "--force", "--json")
    document = answer.json()
    assert (answer.status, document["revoked"], document["uninstalled"]) == (0, True, False)
    assert document["error"]["code"] == document["uninstall_error"]["code"] == code
    assert live(admin) == {}
    assert not redis.exists(GRANT)
    assert events(admin)[0] == ("disconnected", "operator", "ok")


@pytest.mark.parametrize("refused", [1, 2, 3])
def test_force_tries_each_token_although_another_could_not_be_revoked(refused: int, admin: Admin) -> None:
    admin.status()
    assert len(live(admin)) > 1
    admin.meets({"where": "revoke", "kind": "http_500_text", "times": 1, "every": refused})
    document = run(admin.app, "disconnect", "acme", "--force", "--json").json()
    assert (document["revoked"], document["error"]["code"]) == (False, "zendesk_unavailable")
    assert live(admin) == {}


def test_people_are_told_what_was_revoked_and_what_was_not_uninstalled(admin: Admin) -> None:
    admin.meets({"where": "change", "kind": "http_500_zis"})
    told, left = run(admin.app, "disconnect", "acme", "--uninstall", "--force").lines()
    assert told == "acme was disconnected, and its tokens were revoked."
    assert left.startswith(
        "Job specs that are left go on firing, because not all could be uninstalled: Zendesk answered"
    )


def test_an_uninstall_that_is_done_is_told_although_the_tokens_live(admin: Admin, redis: Redis) -> None:
    admin.meets({"where": "revoke", "kind": "http_500_text"})
    document = run(admin.app, "disconnect", "acme", "--uninstall", "--force", "--json").json()
    assert (document["uninstalled"], document["uninstall_error"]) == (True, None)
    assert (document["revoked"], document["error"]["code"]) == (False, "zendesk_unavailable")
    assert installed(admin) == 0
    assert not redis.exists(GRANT)


def test_where_neither_works_both_failures_are_told(admin: Admin, redis: Redis) -> None:
    admin.meets(REFUSED_CHANGE, {"where": "revoke", "kind": "http_500_text"})
    document = run(admin.app, "disconnect", "acme", "--uninstall", "--force", "--json").json()
    assert document["uninstalled"] is document["revoked"] is False
    assert document["uninstall_error"]["code"] == "zis_rejected"
    assert document["error"]["code"] == "zendesk_unavailable"
    assert not redis.exists(GRANT)


def test_without_force_a_failed_uninstall_leaves_everything(admin: Admin, redis: Redis) -> None:
    admin.status()
    before = live(admin)
    admin.meets(REFUSED_CHANGE)
    assert run(admin.app, "disconnect", "acme", "--uninstall").status == 1
    assert live(admin) == before
    assert redis.exists(GRANT)
    assert events(admin)[0] == ("disconnected", "operator", "zis_rejected")


def test_force_forgets_a_dead_grant_that_can_uninstall_nothing(admin: Admin, redis: Redis) -> None:
    admin.status()
    assert len(live(admin)) > 1
    admin.simulator.world.account("acme").revoke_grants("job_specs_sidebar")
    change_grant(admin, dead="grant_revoked")
    assert run(admin.app, "disconnect", "acme", "--uninstall").status == 1
    assert redis.exists(GRANT)
    answer = run(admin.app, "disconnect", "acme", "--uninstall", "--force")
    told, left = answer.lines()
    assert (answer.status, told) == (
        0, "acme was forgotten; its authorization was dead already, so there was nothing to revoke."
    )  # fmt: skip
    assert left.startswith("Job specs that are left go on firing")
    assert live(admin) == {}
    assert not redis.exists(GRANT)


def test_force_cannot_forget_without_redis(make_app: MakeApp) -> None:
    answer = run(make_app(REDIS_URL="redis://127.0.0.1:1/0"), "disconnect", "acme", "--force", "--json")
    assert answer.status == 1
    assert answer.json()["error"]["code"] == "store_unavailable"
    assert "Code: store_unavailable" in answer.err


def test_force_forgets_where_redis_is_full(admin: Admin, redis: Redis) -> None:
    change_grant(admin, expires_at=1.0)
    redis.config_set("maxmemory", "1")
    refused = run(admin.app, "disconnect", "acme", "--json")
    answer = run(admin.app, "disconnect", "acme", "--force", "--json")
    redis.config_set("maxmemory", "0")
    assert (refused.status, refused.json()["error"]["code"]) == (1, "store_unavailable")
    assert (answer.status, answer.json()["error"]["code"]) == (0, "store_unavailable")
    assert not redis.exists(GRANT)


# --- purge ---


def test_the_activity_survives_unless_it_is_purged(admin: Admin) -> None:
    run(admin.app, "disconnect", "acme")
    assert len(events(admin)) == 2
    answer = run(admin.app, "disconnect", "acme", "--purge")
    assert answer.status == 1
    assert answer.lines() == [
        "acme is not connected.",
        "Its activity was dropped, and its machine tokens were revoked.",
    ]
    assert events(admin) == []


def test_purge_drops_what_disconnecting_notes_too(admin: Admin, make_admin: MakeAdmin) -> None:
    globex = make_admin()
    globex.connect("globex")
    assert run(admin.app, "disconnect", "acme", "--purge", "--json").json()["purged"] is True
    assert events(admin) == []
    assert len(collaborator(admin.app, Activity).latest(Subdomain("globex"))) == 1


def test_purge_drops_nothing_where_the_account_stays_connected(admin: Admin) -> None:
    admin.meets({"where": "revoke", "kind": "reset"})
    assert run(admin.app, "disconnect", "acme", "--purge").status == 1
    assert events(admin)[-1][0] == "connected"


# --- wrong usage ---


@pytest.mark.parametrize(
    "arguments",
    [[], ["acme.zendesk.com"], ["acme", "globex"], ["acme", "--yes"]],
    ids=["none", "host", "two", "option"],
)
def test_a_wrong_call_ends_with_2_and_does_nothing(arguments: list[str], admin: Admin) -> None:
    answer = run(admin.app, "disconnect", *arguments)
    assert answer.status == 2
    assert "Usage:" in answer.err
    assert live(admin)
