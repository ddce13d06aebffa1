"""Alerts: once a day and account, no secret in them, and nobody waits for the webhook."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import time_machine
from flask import Flask
from redis import Redis

from sandbox.simulator.messages import Reply, json_reply
from service.grants.alerts import DAY_SECONDS, SEND_SECONDS, Alerts
from service.grants.grants import Grants
from service.grants.upkeep import Upkeep
from service.ground.errors import StoreUnavailable
from service.ground.settings import Settings
from service.ground.subdomains import Subdomain
from service.store.store import Command, Store
from tests.conftest import MakeAdmin, MakeApp
from tests.connect_proxy import ConnectProxy
from tests.operations.console import run
from tests.steps import ORDERS_ONLY, Admin, collaborator, wait_until
from tests.stored_grants import change_grant
from tests.test_activity import end_grant
from tests.test_upkeep import age
from tests.webhook import Webhook, running_webhook

ACME, GLOBEX = Subdomain("acme"), Subdomain("globex")
MEMBERS = ["text", "event", "account", "detail", "at"]


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with running_webhook() as hook:
        yield hook


def finish(*apps: Flask) -> None:
    """Wait until what was noticed has been told."""
    for app in apps:
        collaborator(app, Alerts).finish(20)


@pytest.fixture
def admin(make_admin: MakeAdmin, webhook: Webhook) -> Admin:
    """Acme's admin, on a service with a webhook."""
    person = make_admin(**ORDERS_ONLY, ALERT_WEBHOOK_URL=webhook.url, LIST_CACHE_SECONDS="0")
    person.connect("acme")
    return person


# --- what is told ---


def test_a_grant_that_died_is_told_with_what_to_do(admin: Admin, webhook: Webhook) -> None:
    end_grant(admin)
    assert admin.call("GET", "/job_specs").status_code == 409
    finish(admin.app)
    (told,) = webhook.told
    assert list(told) == MEMBERS
    assert (told["event"], told["account"]) == ("reauthorization_required", "acme")
    assert "connect the account again: http://localhost:9001/oauth/authorize?subdomain=acme" in told["detail"]
    assert told["text"].startswith("ZIS job specs: acme: Zendesk says that the authorization was revoked")
    assert told["at"].endswith("Z")


@pytest.mark.parametrize(("kind", "event"), [("http_403_admin", "admin_lost"), ("account_gone", "account_gone")])
def test_what_a_list_says_against_the_account_is_told(admin: Admin, webhook: Webhook, kind: str, event: str) -> None:
    admin.meets({"where": "list", "kind": kind})
    admin.call("GET", "/job_specs")
    finish(admin.app)
    assert webhook.events == [(event, "acme")]


def test_a_client_that_zendesk_refuses_is_told_once_for_all_accounts(
    make_admin: MakeAdmin, admin: Admin, webhook: Webhook, redis: Redis
) -> None:
    admin.connect("globex")
    wrong = make_admin(**ORDERS_ONLY, ALERT_WEBHOOK_URL=webhook.url, ZENDESK_CLIENT_SECRET="of-yesterday")
    for account in (ACME, GLOBEX):
        change_expiry(wrong, account)
        redis.delete(f"zis:{{{account}}}:cool_down")
    for name, user_id in (("acme", 101), ("globex", 201)):
        wrong.open_sidebar(name, user_id)
        wrong.list_fresh()
        wrong.install("escalate_vip_order")
    finish(wrong.app)
    assert [event for event, _ in webhook.events] == ["client_misconfigured"]
    assert "of-yesterday" not in json.dumps(webhook.told)


def change_expiry(person: Admin, account: Subdomain) -> None:
    """Let the access token be over, and minted ones be needed anew."""
    grants = collaborator(person.app, Grants)
    grant = grants.get(account)
    assert grant is not None
    assert grants.update(account, grant, grant.changed(expires_at=time.time() - 100))
    collaborator(person.app, Store).redis.hdel(f"zis:{{{account}}}:grant", f"minted:{account}_orders")


def test_a_record_that_no_key_opens_is_told(make_admin: MakeAdmin, admin: Admin, webhook: Webhook) -> None:
    other = make_admin(
        **ORDERS_ONLY, ALERT_WEBHOOK_URL=webhook.url, SECRET_KEYS="another-key-of-the-alert-tests-0123456789abcdef"
    )
    other.open_sidebar("acme", 101)
    assert admin.session_token
    assert other.call("GET", "/job_specs").status_code == 409
    finish(other.app)
    assert webhook.events == [("key_missing", "acme")]
    assert "SECRET_KEYS" in webhook.told[0]["detail"]


def test_the_days_round_tells_of_what_ends_within_14_days(admin: Admin, webhook: Webhook) -> None:
    admin.connect("globex")
    age(admin, ACME, 1 - 13.5 / 89)
    age(admin, GLOBEX, 1 - 13.5 / 89)
    # Globex is refreshed, and acme cannot be.
    admin.meets({"where": "token", "kind": "http_500_text"})
    assert {one.account for one in collaborator(admin.app, Upkeep).go_round()} == {"acme", "globex"}
    finish(admin.app)
    assert webhook.events == [("refresh_token_ending", "acme")]
    assert "ends in 13 days" in webhook.told[0]["detail"]


def test_the_days_round_tells_of_what_nobody_has_asked_for(admin: Admin, webhook: Webhook) -> None:
    change_grant(admin, dead="refresh_outcome_unknown")
    collaborator(admin.app, Upkeep).go_round()
    finish(admin.app)
    assert webhook.events == [("reauthorization_required", "acme")]
    admin.connect("acme")
    admin.connect("globex")
    collaborator(admin.app, Store).redis.delete("zis:upkeep")
    collaborator(admin.app, Upkeep).go_round()
    finish(admin.app)
    assert len(webhook.told) == 1


def test_the_command_for_schedulers_tells_it_too(admin: Admin, webhook: Webhook) -> None:
    change_grant(admin, dead="grant_revoked")
    assert run(admin.app, "refresh-tokens").status == 0
    assert webhook.events == [("reauthorization_required", "acme")]


def test_another_client_is_nobodys_news(make_admin: MakeAdmin, admin: Admin, webhook: Webhook) -> None:
    other = make_admin(**ORDERS_ONLY, ALERT_WEBHOOK_URL=webhook.url, ZENDESK_CLIENT_ID="another_client")
    other.open_sidebar("acme", 101)
    assert admin.session_token
    assert other.call("GET", "/job_specs").status_code == 409
    collaborator(other.app, Upkeep).look_ahead()
    finish(other.app)
    assert webhook.told == []


# --- how often, and about whom ---


def test_it_is_told_once_a_day_and_account_by_all_processes(
    make_app: MakeApp, make_admin: MakeAdmin, webhook: Webhook, redis: Redis
) -> None:
    apps = [make_app(ALERT_WEBHOOK_URL=webhook.url) for _ in range(3)]
    person = make_admin(app=apps[0])
    person.connect("acme")
    person.connect("globex")
    for _ in range(3):
        for app in apps:
            for account in (ACME, GLOBEX):
                collaborator(app, Alerts).tell("admin_lost", account, "Mend it.")
    finish(*apps)
    assert sorted(webhook.events) == [("admin_lost", "acme"), ("admin_lost", "globex")]
    assert DAY_SECONDS - 60 < int(redis.ttl("zis:{acme}:alert:admin_lost")) <= DAY_SECONDS
    collaborator(apps[0], Alerts).tell("account_gone", ACME, "Something else.")
    finish(apps[0])
    assert len(webhook.told) == 3


def test_of_accounts_without_a_grant_nothing_is_told(make_app: MakeApp, webhook: Webhook, redis: Redis) -> None:
    app = make_app(ALERT_WEBHOOK_URL=webhook.url)
    for event in ("admin_lost", "client_misconfigured"):
        collaborator(app, Alerts).tell(event, GLOBEX, "Whatever a stranger brings about.")
    finish(app)
    assert webhook.told == []
    assert redis.keys("zis:*alert*") == []


def test_without_a_webhook_nothing_is_kept_or_begun(make_app: MakeApp, redis: Redis) -> None:
    app = make_app()
    collaborator(app, Alerts).tell("admin_lost", ACME, "Mend it.")
    finish(app)
    assert redis.keys("zis:*alert*") == []
    assert collaborator(app, Alerts)._thread is None


# --- what it looks like ---


def test_the_text_means_itself_in_slacks_markup(admin: Admin, webhook: Webhook) -> None:
    collaborator(admin.app, Alerts).tell("admin_lost", ACME, "<!channel> & <https://evil.example|here>")
    finish(admin.app)
    (told,) = webhook.told
    assert told["text"] == "ZIS job specs: acme: &lt;!channel&gt; &amp; &lt;https://evil.example|here&gt;"
    assert told["detail"] == "<!channel> & <https://evil.example|here>"


def test_neither_the_address_nor_zendesks_words_are_in_log_or_alert(
    admin: Admin, webhook: Webhook, capsys: pytest.CaptureFixture[str]
) -> None:
    webhook.endpoint.reply = Reply(500, b"hook-secret", "text/plain")
    admin.meets({"where": "list", "kind": "http_403_admin"})
    admin.call("GET", "/job_specs")
    finish(admin.app)
    said = capsys.readouterr()
    assert "alert_failed" in said.out + said.err
    assert "status 500" in said.out + said.err
    assert "hook-secret" not in said.out + said.err
    assert "Only admin user is allowed" not in json.dumps(webhook.told)
    assert "hook-secret" not in repr(collaborator(admin.app, Settings))


# --- a webhook that fails ---


MakeAlerts = Callable[..., Alerts]


@pytest.fixture
def make_alerts(admin: Admin) -> Iterator[MakeAlerts]:
    """Make alerts that are tried again at once, and not after the test."""
    made: list[Alerts] = []

    def make(**options: Any) -> Alerts:
        grants, store = collaborator(admin.app, Grants), collaborator(admin.app, Store)
        settings = collaborator(admin.app, Settings)
        made.append(Alerts(settings, store, grants.is_stored, first_retry_seconds=0.01, **options))
        return made[-1]

    yield make
    for alerts in made:
        alerts.finish(20)


def test_it_is_tried_again_until_the_webhook_takes_it(make_alerts: MakeAlerts, webhook: Webhook) -> None:
    webhook.endpoint.reply = json_reply(503, {})
    alerts = make_alerts()
    alerts.tell("admin_lost", ACME, "Mend it.")
    wait_until(lambda: len(webhook.told) >= 3)
    webhook.endpoint.reply = json_reply(200, {})
    wait_until(lambda: not alerts._waiting and not alerts._is_sending)
    count = len(webhook.told)
    assert webhook.told[-1] == webhook.told[0]
    alerts.tell("admin_lost", ACME, "Mend it.")
    alerts.finish(5)
    assert len(webhook.told) == count


def test_after_an_hour_it_is_given_up_and_the_next_one_is_told(
    make_alerts: MakeAlerts, webhook: Webhook, redis: Redis
) -> None:
    webhook.endpoint.reply = json_reply(404, {})
    alerts = make_alerts(give_up_seconds=0.05)
    alerts.tell("admin_lost", ACME, "Mend it.")
    wait_until(lambda: bool(webhook.told) and not alerts._waiting and not alerts._is_sending)
    assert not redis.exists("zis:{acme}:alert:admin_lost")


def test_a_process_that_ends_leaves_it_to_others(admin: Admin, webhook: Webhook, redis: Redis) -> None:
    webhook.endpoint.reply = json_reply(503, {})
    alerts = collaborator(admin.app, Alerts)
    alerts.tell("admin_lost", ACME, "Mend it.")
    wait_until(lambda: redis.exists("zis:{acme}:alert:admin_lost") == 1 and not alerts._is_sending)
    alerts.finish(0)
    assert not redis.exists("zis:{acme}:alert:admin_lost")


def test_a_redirect_is_not_followed(admin: Admin, webhook: Webhook) -> None:
    with running_webhook() as other:
        webhook.endpoint.reply = Reply(307, b"", headers=(("Location", other.url),))
        collaborator(admin.app, Alerts).tell("admin_lost", ACME, "Mend it.")
        finish(admin.app)
        assert (len(webhook.told), other.told) == (1, [])


def test_a_webhook_that_hangs_delays_nobody(make_admin: MakeAdmin) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/hook"
        person = make_admin(**ORDERS_ONLY, ALERT_WEBHOOK_URL=url, LIST_CACHE_SECONDS="0")
        person.connect("acme")
        person.meets({"where": "list", "kind": "http_403_admin"})
        before = time.monotonic()
        for _ in range(5):
            person.call("GET", "/job_specs")
        assert time.monotonic() - before < SEND_SECONDS
        threads = [thread for thread in threading.enumerate() if thread.name == "alerts" and thread.is_alive()]
        assert len(threads) >= 1
        person.meets()
        assert person.job_specs()["job_specs"]


def test_more_than_500_at_once_are_dropped_and_the_log_says_so(
    admin: Admin, webhook: Webhook, capsys: pytest.CaptureFixture[str]
) -> None:
    webhook.endpoint.reply = json_reply(503, {})
    alerts = collaborator(admin.app, Alerts)
    with alerts._changed:
        # The thread waits for the lock, and nothing leaves the queue.
        for number in range(510):
            alerts.tell("admin_lost", Subdomain(f"a{number}"), "Mend it.")
    assert capsys.readouterr().out.count("alert_dropped") >= 9
    finish(admin.app)


def test_a_store_that_is_away_is_waited_for(
    admin: Admin, make_alerts: MakeAlerts, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    alerts, store = make_alerts(), collaborator(admin.app, Store)
    write, faults = store.write, [StoreUnavailable("It is away.")]

    def write_once_it_is_back(*commands: Command) -> list[Any]:
        if faults:
            raise faults.pop()
        return write(*commands)

    monkeypatch.setattr(store, "write", write_once_it_is_back)
    alerts.tell("admin_lost", ACME, "Mend it.")
    wait_until(lambda: webhook.events == [("admin_lost", "acme")])
    assert faults == []


# --- the way ---


def test_loopback_is_called_directly_and_others_through_the_proxy(make_app: MakeApp, webhook: Webhook) -> None:
    with ConnectProxy(0, status=403) as proxy:
        address = proxy.address
        here = make_app(ALERT_WEBHOOK_URL=webhook.url, OUTBOUND_PROXY=address)
        assert collaborator(here, Alerts).send_test() is None
        assert proxy.heads == []
        elsewhere = make_app(ALERT_WEBHOOK_URL="https://hooks.example/T0/secret", OUTBOUND_PROXY=address)
        assert collaborator(elsewhere, Alerts).send_test() is not None
        assert proxy.heads[0].startswith("CONNECT hooks.example:443 ")


# --- doctor ---


def test_doctor_sends_a_test_line(admin: Admin, webhook: Webhook) -> None:
    answer = run(admin.app, "doctor", "--alert")
    assert answer.lines()[-1] == "ok   alerts: ALERT_WEBHOOK_URL took a test line."
    assert webhook.events == [("test", None)]
    webhook.endpoint.reply = json_reply(410, {})
    refused = run(admin.app, "doctor", "--alert", "--json").json()["checks"][-1]
    assert (refused["status"], refused["check"]) == ("warn", "alerts")
    assert "status 410" in refused["says"]


def test_doctor_itself_tells_nothing_because_its_release_may_not_be_live(
    make_admin: MakeAdmin, admin: Admin, webhook: Webhook, redis: Redis
) -> None:
    other = make_admin(**ORDERS_ONLY, ALERT_WEBHOOK_URL=webhook.url, ZENDESK_CLIENT_SECRET="of-yesterday")
    change_expiry(admin, ACME)
    assert "client_misconfigured" in run(other.app, "doctor").out
    assert webhook.told == []
    assert redis.keys("zis:*alert*") == []


def test_doctor_without_a_webhook_says_so(make_app: MakeApp) -> None:
    answer = run(make_app(), "doctor", "--alert")
    assert "warn alerts: ALERT_WEBHOOK_URL is not set." in answer.out
    assert "alerts" not in run(make_app(), "doctor").out


# --- the setting ---


@pytest.mark.parametrize(
    "text",
    ["http://hooks.example/secret", "https://", "ftp://hooks.example/secret", "https://a:secret@hooks.example/",
     "https://hooks.example/#secret", "https://hooks.example/se cret", "https://hooks.exämple/secret", "secret",
     "https://[::1/secret", "https://hooks.example:port/secret"],
)  # fmt: skip
def test_a_faulty_address_is_refused_and_not_repeated(environment: dict[str, str], text: str) -> None:
    from service.ground.settings import SettingsError  # noqa: PLC0415 - only here

    with pytest.raises(SettingsError) as refused:
        Settings.from_env({**environment, "ALERT_WEBHOOK_URL": text})
    assert [fault.split()[0] for fault in refused.value.faults] == ["ALERT_WEBHOOK_URL"]
    assert "secret" not in str(refused.value).replace("ALERT_WEBHOOK_URL", "")


@pytest.mark.parametrize("text", ["https://hooks.example/T0?a=b", "http://localhost:1/x", "http://[::1]:1/x"])
def test_https_and_loopback_are_taken(environment: dict[str, str], text: str) -> None:
    assert Settings.from_env({**environment, "ALERT_WEBHOOK_URL": text}).alert_webhook_url == text


def test_time_is_not_travelled_by_the_clock_of_the_quiet(
    make_alerts: MakeAlerts, webhook: Webhook, redis: Redis
) -> None:
    """The day is Redis's: whoever notices it after the claim has ended tells it again."""
    alerts = make_alerts()
    alerts.tell("admin_lost", ACME, "Mend it.")
    alerts.finish(5)
    redis.delete("zis:{acme}:alert:admin_lost")
    with time_machine.travel(time.time() + DAY_SECONDS, tick=True):
        again = make_alerts()
        again.tell("admin_lost", ACME, "Mend it.")
        again.finish(5)
    assert len(webhook.told) == 2
