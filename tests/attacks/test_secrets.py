"""Secrets in what is written when something breaks: replies, logs, crash reports, and the store."""

import json
import re
import threading
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
import requests
from redis import Redis

from sandbox.simulator import CLIENT_SECRET
from service.grants.granted import minted_record
from service.grants.grants import Grants
from service.ground import records
from service.server.logs import configure_logs, log_thread_crash
from service.store.vault import Vault
from tests.attacks.attackers import ACME, ask, bearer, cookies_of, grant_key, query_of
from tests.conftest import MakeAdmin
from tests.steps import ORDERS_ONLY, SECRET_KEYS, Admin, collaborator, services
from tests.stored_grants import expire
from tests.workers import LiveService

pytestmark = pytest.mark.attacks

CANARY = "canary-0123456789-of-the-tests"
# The error's own words hold what it stumbled over: a member of another type than any release wrote.
PLANTED = json.dumps({"code": "rate_limited", "detail": {CANARY: CANARY}})
COOL_DOWN = "zis:{acme}:cool_down"


def stored(redis: Redis) -> str:
    """Return every key and value in Redis."""
    raw: Any = redis
    readers: dict[bytes, Callable[[bytes], object]] = {
        b"hash": raw.hgetall,
        b"list": lambda key: raw.lrange(key, 0, -1),
        b"zset": lambda key: raw.zrange(key, 0, -1, withscores=True),
        b"string": raw.get,
    }
    return repr({key: readers[raw.type(key)](key) for key in raw.scan_iter()})


def break_refreshes(person: Admin, redis: Redis) -> None:
    """Plant a record that no reader of ours expects, where every call to Zendesk comes by."""
    expire(person)
    redis.hdel(grant_key(), "minted:acme_orders")
    redis.set(COOL_DOWN, PLANTED, ex=600)


def secrets_of(person: Admin) -> set[str]:
    """Return what must not be seen anywhere."""
    account = person.simulator.world.account("acme")
    tokens = {text for token in account.tokens.values() for text in (token.access_token, token.refresh_token) if text}
    grant = collaborator(person.app, Grants).get(ACME)
    assert grant is not None
    assert tokens
    return {*tokens, grant.access_token, person.session_token, CLIENT_SECRET, *SECRET_KEYS.split(","), CANARY}


@pytest.mark.parametrize("log_format", ["logfmt", "json"])
def test_something_unforeseen_in_a_view_is_told_nobody(
    make_admin: MakeAdmin, redis: Redis, capfd: pytest.CaptureFixture[str], log_format: str
) -> None:
    person = make_admin(**ORDERS_ONLY, LOG_FORMAT=log_format, LIST_CACHE_SECONDS="0")
    person.connect("acme")
    person.status()
    break_refreshes(person, redis)
    replies = [person.call("GET", "/job_specs"), person.install("notify_warehouse"), person.disconnect()]
    out, err = capfd.readouterr()

    assert [(reply.status_code, reply.get_json()["code"]) for reply in replies] == [(500, "internal_error")] * 3
    assert "ValidationError" in out
    assert "problems.py" in out
    for reply in replies:
        assert reply.headers["X-Request-Id"] in out
        assert not any(word in reply.text for word in ("ValidationError", "Traceback", "cool_down", ".py"))
    seen = "".join([out, err, *(reply.text + str(reply.headers) for reply in replies)])
    assert [secret for secret in secrets_of(person) if secret in seen] == []
    assert "Traceback" not in out + err


def test_what_ends_a_thread_is_logged_without_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("logfmt")

    def crash() -> None:
        raise ValueError(CANARY)

    def caught(report: threading.ExceptHookArgs) -> None:
        log_thread_crash(report)

    before, threading.excepthook = threading.excepthook, caught
    try:
        thread = threading.Thread(target=crash, name="a-thread")
        thread.start()
        thread.join()
    finally:
        threading.excepthook = before
    out, err = capsys.readouterr()

    assert "event=unforeseen" in out
    assert "thread=a-thread" in out
    assert "exception=ValueError" in out
    assert "test_secrets.py" in out
    assert CANARY not in out + err


def test_crashes_under_gunicorn_show_no_secret(
    live_service: Callable[..., LiveService], make_admin: MakeAdmin, redis: Redis
) -> None:
    """In a view, and in threads beside it; with canaries in the environment, in the address and in the store."""
    # Several integrations, so that the lists are asked for in threads of their own.
    service = live_service(1, LIST_CACHE_SECONDS="0", METRICS_TOKEN=f"{CANARY}-metrics")
    person = make_admin(PUBLIC_URL=service.url, LIST_CACHE_SECONDS="0")
    person.connect("acme")
    person.status()
    vault = collaborator(person.app, Vault)
    for name in ("minted:acme_orders", "minted:acme_shipping", "minted:acme_archive"):
        # Of a type that no release wrote.
        record = records.write({"access_token": CANARY, "token_id": 1, "obtained_at": 0.0, "expires_at": CANARY})
        redis.hset(grant_key(), name, vault.seal(minted_record(ACME, name), record))
    replies = [requests.get(f"{service.address}/api/v1/job_specs", headers=bearer(person), timeout=30)]
    replies += [requests.get(f"{service.address}/oauth/callback?state={CANARY}&code={CANARY}", timeout=30)]
    replies += [
        requests.get(f"{service.address}/metrics", headers={"Authorization": f"Bearer {CANARY}-metrics"}, timeout=30)
    ]
    service.stop()
    log = service.final_log

    assert [reply.status_code for reply in replies] == [500, 400, 200]
    assert re.findall(r"event=unforeseen.*thread=list ", log), log
    assert "exception=TypeError" in log
    assert "Traceback" not in log
    seen = log + "".join(reply.text + str(reply.headers) for reply in replies)
    assert [secret for secret in secrets_of(person) if secret in seen] == []


def test_a_password_of_the_store_is_never_shown(make_admin: MakeAdmin, capfd: pytest.CaptureFixture[str]) -> None:
    person = make_admin(REDIS_URL=f"redis://user:{CANARY}@127.0.0.1:1/0")
    person.open_sidebar("acme", 101)
    replies = [
        ask(person.app, "GET", path, query, headers=bearer(person))
        for path, query in (("/readyz", ""), ("/", ""), ("/api/v1/status", ""), ("/oauth/authorize", "subdomain=acme"))
    ]
    out, err = capfd.readouterr()

    assert {reply.status for reply in replies} == {200, 503}
    assert not any(CANARY in text for text in (out, err, *(reply.text for reply in replies)))
    built = services(person.app)
    # Whoever prints the collaborators to find a fault prints no password.
    shown = [
        repr(one) + str(one) + repr(vars(one))
        for one in (getattr(built, field.name) for field in fields(built))
        if hasattr(one, "__dict__")
    ]
    assert shown
    assert [text[:60] for text in shown if CANARY in text] == []


def test_neither_store_nor_address_nor_log_holds_a_secret_of_a_handshake(
    make_admin: MakeAdmin, redis: Redis, capfd: pytest.CaptureFixture[str]
) -> None:
    """At every step: begun, refused, failed, finished, renewed, ended."""
    person = make_admin(**ORDERS_ONLY)
    secrets: set[str] = set()
    seen: list[str] = []
    for decision in ("deny", "allow"):
        url = person.authorize("acme")
        secrets |= {query_of(url)["state"], *cookies_of(person).values()}
        seen.append(stored(redis))
        link = person.simulator.consent(url, 101, decision=decision)
        secrets |= {query_of(link).get("code", CANARY)}
        seen.append(person.come_back(link).text)
        seen.append(stored(redis))
    person.open_sidebar("acme", 101)
    secrets |= secrets_of(person)
    person.job_specs()
    seen += [stored(redis), str(person.status()), person.disconnect().text, stored(redis), *capfd.readouterr()]

    assert len(secrets) > 8
    assert all(len(secret) > 15 for secret in secrets)
    assert [secret for secret in secrets if any(secret in text for text in seen)] == []
