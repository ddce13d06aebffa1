"""Faults strike where, when and how they say, and never take the simulator with them."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import requests

from sandbox.simulator import Fault, Simulator
from tests.sandbox.visitor import Visitor

ORDERS = "acme_orders"
NAME = f"zis:{ORDERS}:job_spec:order_number_changed"


@pytest.fixture
def orders(acme: Visitor) -> str:
    return acme.token(f"zis_{ORDERS}")


def in_thread(work: Callable[[], Any]) -> Callable[[], Any]:
    """Begin `work` in a thread; the returned function waits for its result, an exception included."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(work())
        except requests.RequestException as exc:
            results.append(exc)

    thread = threading.Thread(target=run)
    thread.start()

    def result() -> Any:
        thread.join(60)
        return results[0]

    return result


@pytest.mark.parametrize(
    ("kind", "status", "beginning"),
    [
        ("http_429", 429, "Number of allowed API requests per minute exceeded"),
        ("http_500_zis", 500, '{"errors":[{"code":"1050"'),
        ("http_500_text", 500, "Internal Server Error"),
        ("http_502_html", 502, "<!DOCTYPE html>"),
        ("http_503_html", 503, "<!DOCTYPE html>"),
        ("html_200", 200, "<!DOCTYPE html>"),
        ("redirect", 302, ""),
        ("http_401_text", 401, "Authentication failed"),
        ("http_401_envelope", 401, '{"errors":[{"code":"1001"'),
        ("http_401_invalid_token", 401, '{"error":"invalid_token"'),
        ("mismatch", 401, "Authorization failed due to integration mismatch"),
        ("oauth_disabled", 401, "Authorization failed due to OAuth being disabled"),
        ("http_403_admin", 403, "Only admin user is allowed"),
        ("http_401_html", 401, "<!DOCTYPE html>"),
        ("http_403_html", 403, "<!DOCTYPE html>"),
        ("http_404_html", 404, "<!DOCTYPE html>"),
        ("http_404_text", 404, "404 page not found"),
        ("account_gone", 404, '{"error":{"title":"No help desk at'),
        ("http_403_scope", 403, '{"error":"insufficient_scope"'),
        ("http_404", 404, '{"error":"RecordNotFound"'),
        ("no_json_error", 401, '{"message":"Unauthorized"}'),
        ("error_object", 400, '{"error":{"title":"Bad request"'),
        ("empty_200", 200, ""),
        ("list_200", 200, "[]"),
        ("oauth_error", 400, '{"error":"invalid_grant"'),
        ("big_body", 200, '{"job_specs":[]'),
    ],
)
def test_canned_answers(acme: Visitor, orders: str, kind: str, status: int, beginning: str) -> None:
    acme.account.faults = [Fault("registry", kind)]
    reply = acme.list(ORDERS, orders)
    assert reply.status_code == status
    assert reply.text.startswith(beginning)


def test_the_wait_is_told_only_on_demand(acme: Visitor, orders: str) -> None:
    acme.account.faults = [Fault("registry", "http_429", retry_after=7, times=1), Fault("registry", "http_429")]
    assert acme.list(ORDERS, orders).headers["Retry-After"] == "7"
    assert "Retry-After" not in acme.list(ORDERS, orders).headers


def test_a_fault_counts(acme: Visitor, orders: str) -> None:
    fault = Fault("list", "http_502_html", times=2, every=2)
    acme.account.faults = [fault]
    assert [acme.list(ORDERS, orders).status_code for _ in range(6)] == [200, 502, 200, 502, 200, 200]
    assert (fault.struck, len(acme.sim.world.calls(path_contains="job_specs", status=502))) == (2, 2)


@pytest.mark.parametrize(
    ("where", "struck"),
    [("registry:acme_orders", True), ("registry:acme_shipping", False), ("change", False), ("all", True)],
)
def test_a_fault_has_a_place(acme: Visitor, orders: str, where: str, struck: bool) -> None:
    acme.account.faults = [Fault(where, "http_500_text")]
    assert acme.list(ORDERS, orders).ok is not struck
    changed = acme.change("POST", NAME, orders)
    assert changed.ok is not (struck or where == "change")


@pytest.mark.parametrize(
    ("where", "method", "path"),
    [
        ("token", "POST", "/oauth/tokens"),
        ("authorize", "GET", "/oauth/authorizations/new"),
        ("clients", "GET", "/api/v2/oauth/clients.json"),
        ("mint", "POST", "/api/v2/oauth/tokens.json"),
        ("tokens", "GET", "/api/v2/oauth/tokens/current.json"),
        ("revoke", "DELETE", "/api/v2/oauth/tokens/5"),
        ("users", "GET", "/api/v2/users/me"),
        ("public_key", "GET", "/api/v2/apps/500001/public_key.pem"),
        ("bundles", "GET", "/api/services/zis/registry/acme_orders/bundles"),
    ],
)
def test_every_place_is_found(acme: Visitor, where: str, method: str, path: str) -> None:
    acme.account.faults = [Fault(where, "http_503_html")]
    assert acme.call(method, path).status_code == 503


def test_a_reset_before_or_after_the_effect(acme: Visitor, orders: str) -> None:
    spec = acme.account.integrations[ORDERS].find("order_number_changed")
    assert spec is not None
    for after_effect in (False, True):
        acme.account.faults = [Fault("change", "reset", after_effect=after_effect)]
        with pytest.raises(requests.ConnectionError, match="reset"):
            acme.change("POST", NAME, orders)
        assert spec.installed is after_effect
    assert [call.status for call in acme.sim.world.calls(method="POST", path_contains="install")] == [0, 0]


def test_a_canned_answer_after_the_effect(acme: Visitor) -> None:
    pair = acme.grant()
    acme.account.faults = [Fault("token", "http_502_html", times=1, after_effect=True)]
    assert acme.refresh(pair["refresh_token"]).status_code == 502
    assert acme.refresh(pair["refresh_token"]).json()["error"] == "invalid_grant"


def test_spoiled_json(acme: Visitor, orders: str) -> None:
    acme.account.faults = [Fault("list", "truncated_json", times=1), Fault("list", "wrong_types")]
    with pytest.raises(requests.JSONDecodeError):
        acme.list(ORDERS, orders).json()
    wrong = acme.list(ORDERS, orders).json()
    assert wrong["job_specs"][0]["name"] == 7
    assert wrong["job_specs"][0]["installed"] == "yes"


def test_a_cut_answer_is_no_answer(acme: Visitor, orders: str) -> None:
    acme.account.faults = [Fault("list", "cut")]
    with pytest.raises(requests.RequestException):
        acme.list(ORDERS, orders)


def test_a_dribbled_answer_arrives_whole(acme: Visitor, orders: str) -> None:
    acme.account.integrations[ORDERS].resize(0)
    acme.account.faults = [Fault("list", "dribble", seconds=0)]
    assert acme.list(ORDERS, orders).json()["job_specs"] == []


@pytest.mark.parametrize("kind", ["repeat_cursor", "endless_pages"])
def test_paging_faults_strike_single_answers(acme: Visitor, orders: str, kind: str) -> None:
    acme.account.faults = [Fault("list", kind, times=1), Fault("clients", kind, times=1)]
    assert acme.list(ORDERS, orders).json()["meta"]["has_more"]
    assert not acme.list(ORDERS, orders).json()["meta"]["has_more"]
    clients = acme.call("GET", "/api/v2/oauth/clients?page[size]=100&page[after]=000010010100", acme.token())
    assert clients.json()["meta"]["has_more"]


@pytest.mark.parametrize("kind", ["hold", "slow"])
def test_what_waits_goes_on_when_released(acme: Visitor, orders: str, kind: str) -> None:
    acme.account.faults = [Fault("list", kind, seconds=600)]
    result = in_thread(lambda: acme.list(ORDERS, orders))
    acme.sim.world.wait_until_held(1)
    # Nobody else waits: neither other accounts nor the control surface.
    assert requests.get(f"{acme.sim.address}/_sim/accounts/acme", timeout=60).ok
    acme.account.release()
    assert result().ok


def test_what_waits_is_checked_when_its_time_comes(acme: Visitor, orders: str) -> None:
    acme.account.faults = [Fault("list", "hold")]
    result = in_thread(lambda: acme.list(ORDERS, orders))
    acme.sim.world.wait_until_held(1)
    acme.account.expire_access_tokens()
    acme.account.release()
    assert result().text == "Authentication failed"


def test_what_waits_after_its_effect_has_taken_effect(acme: Visitor, orders: str) -> None:
    spec = acme.account.integrations[ORDERS].find("order_number_changed")
    assert spec is not None
    acme.account.faults = [Fault("change", "hold", after_effect=True)]
    result = in_thread(lambda: acme.change("POST", NAME, orders))
    acme.sim.world.wait_until_held(1)
    assert spec.installed
    acme.account.release()
    assert result().ok


def test_a_hanging_call_ends_without_an_answer_at_reset(acme: Visitor, orders: str) -> None:
    acme.account.switches.transport = "hang"
    result = in_thread(lambda: acme.list(ORDERS, orders))
    acme.sim.world.wait_until_held(1)
    acme.sim.reset()
    assert isinstance(result(), requests.ConnectionError)


def test_a_stopped_simulator_lets_go(orders: str) -> None:
    assert orders
    with Simulator() as other, Visitor(other, "acme") as visitor:
        visitor.account.faults = [Fault("all", "hang")]
        result = in_thread(lambda: visitor.call("GET", "/api/v2/users/me"))
        other.world.wait_until_held(1)
        other.stop()
        assert isinstance(result(), requests.ConnectionError)


def test_a_slow_refresh_is_committed_before_it_is_answered(acme: Visitor) -> None:
    pair = acme.grant()
    acme.account.switches.set({"refresh": "slow", "slow_seconds": 600})
    result = in_thread(lambda: acme.refresh(pair["refresh_token"]))
    acme.sim.world.wait_until_held(1)
    assert acme.account.refreshable(pair["refresh_token"]) is None
    acme.account.release()
    assert result().ok


def test_the_rate_limit_switch_counts(acme: Visitor, orders: str) -> None:
    acme.account.switches.set({"rate_limit": "retry_after", "rate_limit_every": 2})
    replies = [acme.list(ORDERS, orders) for _ in range(4)]
    assert [reply.status_code for reply in replies] == [200, 429, 200, 429]
    assert replies[1].headers["Retry-After"] == "1"


@pytest.mark.parametrize(("where", "kind"), [("nowhere", "slow"), ("all", "unkind")])
def test_unknown_faults_are_refused(where: str, kind: str) -> None:
    with pytest.raises(ValueError, match="is one of"):
        Fault(where, kind)
