"""`activity export`: the activity as JSON lines."""

import json

from redis import Redis

from service.ground.subdomains import Subdomain
from service.store.activity import Activity
from service.store.events import OPERATOR, Event
from tests.conftest import MakeApp
from tests.operations.console import run
from tests.steps import Admin, collaborator

ACME = Subdomain("acme")


def test_each_entry_is_a_line_as_the_api_shows_it_newest_first(admin: Admin) -> None:
    admin.install("escalate_vip_order")
    answer = run(admin.app, "activity", "export", "--account", "acme")
    assert (answer.status, answer.err) == (0, "")
    entries = [json.loads(line) for line in answer.lines()]
    assert entries == admin.call("GET", "/activity").get_json()["activity"]
    assert [entry["action"] for entry in entries] == ["installed", "connected"]


def test_it_is_all_that_is_kept_not_a_page(admin: Admin) -> None:
    collaborator(admin.app, Activity).note(
        ACME, OPERATOR, *[Event("installed", f"integration_{number}", "spec") for number in range(300)]
    )
    assert len(run(admin.app, "activity", "export", "--account", "acme").lines()) == 301


def test_a_name_in_any_script_stays_one_line(admin: Admin, redis: Redis) -> None:
    redis.delete("zis:{acme}:activity")
    collaborator(admin.app, Activity).note(ACME, OPERATOR, Event("installed", "acme_orders", "zwei\nZeilen\u2028Ä"))
    (line,) = run(admin.app, "activity", "export", "--account", "acme").out.split("\n")[:-1]
    assert json.loads(line)["job_spec"] == "zwei\nZeilen\u2028Ä"


def test_it_is_there_after_a_disconnect_and_for_an_account_off_the_list(admin: Admin, make_app: MakeApp) -> None:
    admin.disconnect()
    app = make_app(ZENDESK_SUBDOMAINS="globex")
    assert len(run(app, "activity", "export", "--account", "acme").lines()) == 2


def test_nothing_is_no_failure(make_app: MakeApp) -> None:
    answer = run(make_app(), "activity", "export", "--account", "acme")
    assert (answer.status, answer.out) == (0, "")
    assert "No activity of acme is stored that a key in SECRET_KEYS opens." in answer.err
