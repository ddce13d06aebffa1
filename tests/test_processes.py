"""The guarantees that only several real gunicorn processes can show."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from redis import Redis

from sandbox.simulator import Simulator
from sandbox.simulator.faults import Fault
from service.grants.granted import grant_key
from service.grants.grants import Grants
from service.ground.settings import Settings
from service.ground.subdomains import Subdomain
from service.store.store import Store
from service.store.vault import Vault
from tests.steps import DIRECT, SECRET_KEYS, bootstrap_in, wait_until
from tests.stored_grants import expire_in
from tests.workers import LiveService, at_once, patiently

pytestmark = pytest.mark.load

ACME = Subdomain("acme")
CALLERS = 300
DIRECT_ENVIRONMENT = {name: value or "" for name, value in DIRECT.items()}
StartService = Callable[..., LiveService]


class Caller:
    """A sidebar of one account, over HTTP."""

    def __init__(self, service: LiveService, simulator: Simulator, account: str, user_id: int) -> None:
        self.service = service
        address = f"{service.address}/sidebar?origin={simulator.address}&app_guid=1"
        page = requests.post(address, data={"token": simulator.sign(account, user_id)}, timeout=30)
        self.headers = {"Authorization": f"Bearer {bootstrap_in(page.text)['session_token']}"}

    def get(self, path: str, **headers: str) -> requests.Response:
        return requests.get(f"{self.service.address}/api/v1{path}", headers=self.headers | headers, timeout=60)


def connect(service: LiveService, simulator: Simulator, account: str, user_id: int) -> Caller:
    """Connect an account through the service's own pages."""
    with requests.Session() as browser:
        asked = browser.get(f"{service.url}/oauth/authorize?subdomain={account}", allow_redirects=False, timeout=30)
        done = browser.get(simulator.consent(asked.headers["Location"], user_id), timeout=30)
        assert done.status_code == 200, done.text
    return Caller(service, simulator, account, user_id)


def grants_in(redis: Redis) -> Grants:
    """Return the service's grants, read from outside."""
    return Grants(Store(redis), Vault(tuple(SECRET_KEYS.split(","))), time.time)


def expire(simulator: Simulator, redis: Redis) -> None:
    """End acme's access token at Zendesk and in the stored record."""
    expire_in(grants_in(redis), simulator)


def drop_minted(simulator: Simulator, redis: Redis) -> None:
    """Make every list need the grant's own token: forget what was minted."""
    redis.hdel(grant_key(ACME), "minted:acme_orders")
    simulator.world.account("acme").expire_access_tokens("zis_acme_orders")


@pytest.mark.parametrize("cache_seconds", ["300", "0"])
@pytest.mark.parametrize("slow_seconds", [0.0, 1.0], ids=["quick", "slow"])
def test_300_callers_with_an_expired_token_cause_one_refresh_and_no_failure(
    slow_seconds: float, cache_seconds: str, live_service: StartService, simulator: Simulator, redis: Redis
) -> None:
    service = live_service(
        3, ZIS_INTEGRATIONS="{subdomain}_orders", LIST_CACHE_SECONDS=cache_seconds, RATE_LIMITS="off"
    )
    caller = connect(service, simulator, "acme", 101)
    expire(simulator, redis)
    drop_minted(simulator, redis)
    redis.delete("zis:{acme}:role:101")
    if slow_seconds:
        slow = Fault.from_json({"where": "token", "kind": "slow", "seconds": slow_seconds})
        simulator.world.account("acme").faults[:] = [slow]
    simulator.world.clear_calls()
    paths = ["/job_specs", "/status", "/job_specs?installed=true"]
    replies = at_once(CALLERS, lambda number: patiently(lambda: caller.get(paths[number % 3])))
    assert [reply.text for reply in replies if not isinstance(reply, requests.Response)] == []
    assert {reply.status_code for reply in replies} == {200}, {r.text for r in replies if r.status_code != 200}
    assert len(simulator.world.calls(account="acme", grant_type="refresh_token")) == 1
    assert len(simulator.world.calls(account="acme", method="POST", path_contains="/api/v2/oauth/tokens")) == 1
    if cache_seconds != "0":
        assert len(simulator.world.calls(account="acme", path_contains="/registry/acme_orders/job_specs")) == 1


def test_a_direct_grant_refreshes_once_too(live_service: StartService, simulator: Simulator, redis: Redis) -> None:
    service = live_service(3, **DIRECT_ENVIRONMENT, LIST_CACHE_SECONDS="0")
    caller = connect(service, simulator, "acme", 101)
    simulator.world.account("acme").expire_access_tokens("zis_acme_orders")
    expire(simulator, redis)
    simulator.world.clear_calls()
    replies = at_once(CALLERS, lambda _: patiently(lambda: caller.get("/job_specs")))
    assert {reply.status_code for reply in replies} == {200}
    assert len(simulator.world.calls(account="acme", grant_type="refresh_token")) == 1


def test_an_account_that_hangs_does_not_slow_another(live_service: StartService, simulator: Simulator) -> None:
    service = live_service(1)
    acme = connect(service, simulator, "acme", 101)
    globex = connect(service, simulator, "globex", 201)
    simulator.world.account("acme").faults[:] = [Fault.from_json({"where": "all", "kind": "hang"})]
    hung: list[Any] = []
    with ThreadPoolExecutor(120) as pool:
        hanging = [pool.submit(acme.get, "/job_specs", **{"Cache-Control": "no-cache"}) for _ in range(120)]
        # One call hangs at first, and everybody else waits for it.
        simulator.world.wait_until_held(1)
        elsewhere = [pool.submit(globex.get, "/job_specs", **{"Cache-Control": "no-cache"}) for _ in range(3)]
        alive = [requests.get(f"{service.address}/livez", timeout=60) for _ in range(10)]
        assert all(reply.ok for reply in alive)
        assert [future.result().status_code for future in elsewhere] == [200] * 3
        # Some of acme's are still unanswered, and globex did not wait for them.
        assert sum(future.done() for future in hanging) < len(hanging)
        hung = [future.result() for future in hanging]
    # None has had a list, when globex had its own or later.
    assert {reply.status_code for reply in hung} <= {504, 429}
    told = [reply for reply in hung if reply.status_code == 504]
    assert all(reply.json()["code"] == "zendesk_timeout" for reply in told)


def test_sigterm_lets_a_call_in_progress_finish(live_service: StartService, simulator: Simulator) -> None:
    service = live_service(2)
    caller = connect(service, simulator, "acme", 101)
    simulator.world.account("acme").faults[:] = [Fault.from_json({"where": "list", "kind": "hold"})]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(caller.get, "/job_specs?integration=acme_orders", **{"Cache-Control": "no-cache"})
        simulator.world.wait_until_held(1)
        service.process.terminate()
        simulator.release()
        assert waiting.result().status_code == 200
    assert service.process.wait(40) == 0


def test_a_pair_in_hand_is_stored_through_sigterm(
    live_service: StartService, simulator: Simulator, redis: Redis
) -> None:
    service = live_service(1, **DIRECT_ENVIRONMENT, LIST_CACHE_SECONDS="0")
    caller = connect(service, simulator, "acme", 101)
    simulator.world.account("acme").expire_access_tokens("zis_acme_orders")
    expire(simulator, redis)
    simulator.world.account("acme").faults[:] = [Fault.from_json({"where": "token", "kind": "hold"})]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(caller.get, "/job_specs")
        simulator.world.wait_until_held(1)
        redis.config_set("maxmemory", "1")
        simulator.release()
        assert waiting.result().json()["code"] == "store_unavailable"
    service.process.terminate()
    wait_until(lambda: "Worker exiting" in service.log())
    redis.config_set("maxmemory", "0")
    assert service.process.wait(40) == 0
    grant = grants_in(redis).get(ACME)
    assert grant is not None
    assert grant.refresh_begun_at is None
    assert simulator.world.account("acme").bearer(grant.access_token) is not None


def test_settings_that_do_not_work_end_the_boot_with_their_names(environment: dict[str, str]) -> None:
    service = LiveService({**environment, "SECRET_KEYS": "short", "REDIS_URL": "http://nowhere"}, 1)
    try:
        assert service.process.wait(30) != 0
        assert "SECRET_KEYS entry 1 has 5 characters" in service.log()
        assert "REDIS_URL must start with" in service.log()
    finally:
        service.stop()


def test_settings_are_read_from_the_environment_alone(environment: dict[str, str]) -> None:
    assert Settings.from_env({**environment, "SOMETHING_ELSE": "x"}) == Settings.from_env(environment)


def test_two_hundred_people_who_open_a_ticket_at_once_all_get_the_list(
    live_service: StartService, simulator: Simulator
) -> None:
    service = live_service(workers=2)
    admin = connect(service, simulator, "acme", 101)
    # Without their role, for which a status waits 3 s at most, nobody is shown a list.
    wait_until(lambda: bool(admin.get("/status").json()["user"]["can_manage"]))
    listed = admin.get("/job_specs").json()
    address, token = f"{service.address}/sidebar", simulator.sign("acme", 101)
    simulator.world.clear_calls()

    def opening(_: int) -> Any:
        page = requests.post(address, data={"token": token}, timeout=60)
        # The status as the last look left it; the list as it was asked for, be it old by now.
        return page.status_code, bootstrap_in(page.text)

    for status, page in at_once(200, opening):
        assert (status, page["status"]["connection"]["state"]) == (200, "connected")
        assert page["list"]["job_specs"] == listed["job_specs"]
    # But for the app's key, which each process asks for once, at most.
    assert {call.path for call in simulator.world.calls()} <= {"/api/v2/apps/500001/public_key.pem"}
