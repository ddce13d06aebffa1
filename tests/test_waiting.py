"""Many who wait, on a worker with few threads: all get what they ask for, and nobody pays for others."""

import http.client
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import requests

from sandbox.simulator import Simulator
from sandbox.simulator.faults import Fault
from tests import small_dyno
from tests.steps import wait_until
from tests.test_processes import Caller, StartService, connect
from tests.workers import LiveService, at_once, patiently

pytestmark = pytest.mark.load

CALLERS = 320
PEOPLE = 150
FRESH = {"Cache-Control": "no-cache"}


def answered(caller: Caller, path: str, refusals: list[str] | None = None) -> requests.Response:
    """Return the answer; who has waited as long as one may, on a busy machine, asks again."""
    while (reply := patiently(lambda: caller.get(path), refusals)).status_code == 504:
        pass
    return reply


def test_callers_of_a_long_list_all_get_it_and_keep_nobody_else_waiting(
    live_service: StartService, simulator: Simulator
) -> None:
    """Each of its ten pages comes quickly, so nothing is slow; the eighth waits until the others are served."""
    service = live_service(1, ZIS_INTEGRATIONS="{subdomain}_orders", RATE_LIMITS="off")
    acme, globex = connect(service, simulator, "acme", 101), connect(service, simulator, "globex", 201)
    long, orders = simulator.world.account("acme"), "acme_orders"
    long.integrations[orders].resize(1_000)
    slow = Fault.from_json({"where": "list", "kind": "slow", "seconds": 0.1})
    long.faults[:] = [Fault.from_json({"where": "list", "kind": "hold", "every": 8}), slow]
    simulator.world.clear_calls()
    refusals: list[str] = []
    with ThreadPoolExecutor(CALLERS) as pool:
        asking = [pool.submit(answered, acme, "/job_specs", refusals) for _ in range(CALLERS)]
        wait_until(lambda: bool(refusals))
        for _ in range(3):
            assert globex.get("/job_specs", **FRESH).status_code == 200
        assert requests.get(f"{service.address}/livez", timeout=60).ok
        assert not any(one.done() for one in asking), "another account's list waited for this one"
        with simulator.world.lock:
            long.faults[:] = [slow]
            long.release()
        replies = [one.result() for one in asking]
    assert set(refusals) == {"rate_limited"}
    assert {reply.status_code for reply in replies} == {200}
    assert {reply.content.count(b'"qualified_name"') for reply in replies} == {1_000}


class Person:
    """Somebody who opens the sidebar, as the page does: session, status and list."""

    def __init__(self, service: LiveService, simulator: Simulator, number: int) -> None:
        self.service = service
        self.simulator = simulator
        self.user_id = 10_000 + number
        simulator.world.account("acme").add_user(self.user_id, f"Agent {number}", "agent")

    def open(self) -> list[int]:
        caller = Caller(self.service, self.simulator, "acme", self.user_id)
        replies = [answered(caller, path) for path in ("/status", "/job_specs", "/activity")]
        # Among so many it may come too late: a status waits 3 s for it.
        assert replies[0].json()["user"]["role"] in {"agent", None}
        return [reply.status_code for reply in replies]


def test_many_people_at_once_on_a_small_dyno_are_all_served(live_service: StartService, simulator: Simulator) -> None:
    """Each one's role has to be asked, and the lists of three integrations."""
    service = live_service(
        small_dyno.WORKERS, RATE_LIMITS="off", LIST_CACHE_SECONDS="0", config="python:tests.small_dyno"
    )
    connect(service, simulator, "acme", 101)
    people = [Person(service, simulator, number) for number in range(PEOPLE)]
    simulator.world.account("acme").faults[:] = [
        Fault.from_json({"where": where, "kind": "slow", "seconds": 0.1}) for where in ("users", "list")
    ]
    served = at_once(PEOPLE, lambda number: people[number].open())
    assert [answers for answers in served if answers != [200] * 3] == []
    assert "no_thread" not in service.log()
    assert "status=500" not in service.log()


def test_a_worker_whose_machine_gives_no_more_threads_serves_with_those_it_has(
    live_service: StartService, simulator: Simulator
) -> None:
    """Its own first one, one for requests, and two for time-outs and addresses."""
    service = live_service(
        1, RATE_LIMITS="off", LIST_CACHE_SECONDS="0", config="python:tests.small_dyno", THREADS_GIVEN="4"
    )
    acme = connect(service, simulator, "acme", 101)
    people = [Person(service, simulator, number) for number in range(3)]
    assert at_once(3, lambda number: people[number].open()) == [[200] * 3] * 3
    headers = acme.headers
    address = f"{service.address}/api/v1"
    name = "zis:acme_orders:job_spec:escalate_vip_order"
    changed = requests.post(f"{address}/job_specs/install?job_spec_name={name}", headers=headers, timeout=60)
    assert changed.json()["verified"] is True
    assert acme.get("/job_specs").json()["job_specs"]
    ended = requests.delete(f"{address}/connection?uninstall=true", headers=headers, timeout=60)
    assert ended.json() == {"revoked": True}
    assert "event=no_thread threads=" in service.log()
    assert "status=500" not in service.log()
    assert "Traceback" not in service.log()


def test_a_busy_machine_closes_no_connection_that_it_has_promised_to_keep(
    live_service: StartService, simulator: Simulator
) -> None:
    service = live_service(1, config="python:tests.busy_machine")
    acme = connect(service, simulator, "acme", 101)
    port = int(service.address.rpartition(":")[2])
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.connect()
        kept = connection.sock
        for method, path, body in (("GET", "/livez", None), ("POST", "/api/v1/session", b"")) * 5:
            connection.request(method, path, body, {**acme.headers, "Host": "localhost"})
            reply = connection.getresponse()
            reply.read()
            assert reply.status == 200
            assert connection.sock is kept
