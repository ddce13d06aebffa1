"""`doctor` on Redis: reached or waited for, encrypted, new enough, writable, roomy, lasting."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from redis import Redis

from service.ground.settings import Settings
from service.operations.doctor.command import DoctorCommand
from service.operations.doctor.examination import ACCOUNTS_END_SECONDS
from service.operations.doctor.findings import Finding
from service.operations.doctor.redis_checks import check_redis
from service.operations.doctor.redis_reach import REACH_SECONDS, reach
from service.store.store import Store
from tests.conftest import MakeApp
from tests.operations.checks import examine, verdict
from tests.operations.console import LiveCommand, run
from tests.steps import Admin, collaborator
from tests.test_redis_pool import full
from tests.test_settings import make_settings
from tests.tls import Certificate, TLSFront, make_certificate
from tests.workers import free_port, running_valkey

# Three tries, without the time between them.
PATIENCE_SECONDS = 0.5


def reached(app: Flask, seconds: float = 0.0, told: list[str] | None = None) -> tuple[str, str]:
    """Return (status, all that is said) of trying to reach the application's Redis."""
    said = [] if told is None else told
    store = collaborator(app, Store)
    finding = reach(store, seconds, said.append, lambda: False, pause=lambda _: None)
    store.redis.connection_pool.disconnect()
    return finding.status, f"{finding.says} {finding.advice}"


@contextmanager
def opened(settings: Settings) -> Iterator[Store]:
    """Have a store whose connections are closed at the end."""
    store = Store.from_settings(settings)
    try:
        yield store
    finally:
        store.redis.connection_pool.disconnect()


def findings_of(settings: Settings, workers: int = 1) -> dict[str, Finding]:
    """Return what is found of the Redis in the settings, by what was checked."""
    with opened(settings) as store:
        return {one.check: one for one in check_redis(store, settings, workers)}


def judged(settings: Settings, check: str, workers: int = 1) -> tuple[str, str]:
    """Return (status, all that is said) of a check of the Redis in the settings."""
    one = findings_of(settings, workers)[check]
    return one.status, f"{one.says} {one.advice}"


@contextmanager
def configured(redis: Redis, **values: str) -> Iterator[None]:
    """Have the tests' Redis configured otherwise for a while."""
    names = {name.replace("_", "-"): value for name, value in values.items()}
    before = {name: str(redis.config_get(name)[name]) for name in names}
    for name, value in names.items():
        redis.config_set(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            redis.config_set(name, value)


@pytest.fixture
def limited(redis_url: str, redis: Redis) -> Iterator[Callable[..., str]]:
    """Make the address of a user of Redis who may do some things only."""
    names: list[str] = []

    def make(*rules: str) -> str:
        name = f"user{len(names)}"
        names.append(name)
        redis.execute_command("ACL", "SETUSER", name, "on", ">password", "~*", "&*", "+@all", *rules)  # type: ignore[no-untyped-call]
        return redis_url.replace("redis://", f"redis://{name}:password@")

    yield make
    for name in names:
        redis.acl_deluser(name)


# --- reaching it ---


def test_all_of_it_is_done_within_90_seconds() -> None:
    assert REACH_SECONDS == 60
    assert REACH_SECONDS < ACCOUNTS_END_SECONDS
    assert ACCOUNTS_END_SECONDS + DoctorCommand.unsaved_seconds < 90


def test_what_answers_is_reached_at_once(make_app: MakeApp) -> None:
    told: list[str] = []
    assert reached(make_app(), 60, told)[0] == "ok"
    assert told == []


def test_what_does_not_answer_is_waited_for_and_then_a_failure(make_app: MakeApp) -> None:
    told: list[str] = []
    status, words = reached(make_app(REDIS_URL="redis://127.0.0.1:1/0"), PATIENCE_SECONDS, told)
    assert status == "FAIL"
    assert "127.0.0.1:1" in words
    assert "Connection refused" in words
    assert words.endswith("Start it, or correct REDIS_URL.")
    # Of many attempts in half a second one is told.
    (line,) = told
    assert line.startswith("Redis does not answer: ")
    assert line.endswith(" s more.")


def test_a_redis_that_comes_up_meanwhile_is_no_failure(environment: dict[str, str]) -> None:
    port = free_port()
    command = LiveCommand({**environment, "REDIS_URL": f"redis://127.0.0.1:{port}/0"}, "doctor")
    command.wait_until_it_says("Redis does not answer")
    with running_valkey(port):
        answer = command.ended()
    assert answer.status == 0
    assert "ok   redis: It answers." in answer.lines()


def test_whoever_stops_it_does_not_have_to_wait(make_app: MakeApp) -> None:
    store = collaborator(make_app(REDIS_URL="redis://127.0.0.1:1/0"), Store)
    assert reach(store, 60, lambda _: None, lambda: True).status == "FAIL"


def test_without_redis_the_rest_is_still_checked_and_it_ends_with_1(
    admin: Admin, environment: dict[str, str], make_app: MakeApp
) -> None:
    # A wrong password is not waited for.
    url = environment["REDIS_URL"].replace("redis://", "redis://nobody:canary-0123@")
    answer = run(make_app(REDIS_URL=url), "doctor", "--json")
    assert answer.status == 1
    checks = answer.json()["checks"]
    assert [one["check"] for one in checks if one["status"] == "FAIL"] == ["redis"]
    assert verdict(checks, "redis")[1].endswith("Correct user and password in REDIS_URL.")
    assert verdict(checks, "clock")[0] == "ok"
    assert all(one["account"] is None for one in checks)
    assert "canary" not in answer.out + answer.err
    assert admin.session_token


def test_a_user_who_may_do_next_to_nothing_has_reached_it(make_app: MakeApp, limited: Callable[..., str]) -> None:
    app = make_app(REDIS_URL=limited("-@all", "+hello", "+client"))
    assert reached(app)[0] == "ok"
    answer = run(app, "doctor", "--json")
    assert answer.status == 1
    status, words = verdict(answer.json()["checks"], "redis writing")
    assert status == "FAIL"
    assert "no permissions" in words
    assert words.endswith("Give the user in REDIS_URL the rights that docs/operate.md lists.")


def test_at_a_limit_of_connections_it_waits_and_names_the_limit(
    make_app: MakeApp, redis: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.store.POOL_WAIT_SECONDS", 0.1)
    told: list[str] = []
    app = make_app()
    with full(redis):
        status, words = reached(app, 1.0, told)
    assert status == "FAIL", redis_url
    assert told[0].startswith("Redis does not answer: Redis takes no more connections")
    assert "Lower WEB_CONCURRENCY" in words
    assert reached(app)[0] == "ok"


# --- TLS ---


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def encrypted_url(redis_url: str, certificate: Certificate) -> Iterator[str]:
    """The tests' Redis, by an address that speaks TLS only."""
    with TLSFront(int(redis_url.rpartition(":")[2].removesuffix("/0")), certificate) as front:
        yield f"rediss://127.0.0.1:{front.port}/0"


def test_a_certificate_nobody_vouches_for_is_refused_at_once_with_both_ways_out(
    make_app: MakeApp, encrypted_url: str
) -> None:
    status, words = reached(make_app(REDIS_URL=encrypted_url), 60)
    assert status == "FAIL"
    assert "CERTIFICATE_VERIFY_FAILED" in words
    assert "REDIS_TLS_CA" in words
    assert "REDIS_TLS_VERIFY=false" in words


def test_a_client_certificate_that_is_asked_for_is_named_in_the_address(
    make_app: MakeApp, redis_url: str, certificate: Certificate
) -> None:
    with TLSFront(int(redis_url.rpartition(":")[2].removesuffix("/0")), certificate) as front:
        front.context.verify_mode = ssl.CERT_REQUIRED
        front.context.load_verify_locations(certificate.certificate)
        url, trusted = f"rediss://127.0.0.1:{front.port}/0", str(certificate.certificate)
        status, words = reached(make_app(REDIS_URL=url, REDIS_TLS_CA=trusted), 60)
        assert status == "FAIL"
        assert "asks for a client certificate" in words
        assert "ssl_certfile=" in words
        url += f"?ssl_certfile={certificate.certificate}&ssl_keyfile={certificate.key}"
        assert reached(make_app(REDIS_URL=url, REDIS_TLS_CA=trusted))[0] == "ok"


def test_a_port_without_tls_is_not_waited_for(make_app: MakeApp, redis_url: str) -> None:
    told: list[str] = []
    with _plain_server() as port:
        status, words = reached(make_app(REDIS_URL=f"rediss://127.0.0.1:{port}/0"), 60, told)
    assert status == "FAIL"
    assert "speaks TLS" in words
    assert told == []
    assert redis_url


@contextmanager
def _plain_server() -> Iterator[int]:
    """Answer every greeting in clear."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            try:
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(1000)
                        connection.sendall(b"-ERR unknown command\r\n")
            except OSError:
                return

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [({"REDIS_TLS_CA": "the CA"}, "ok", "certificate is verified"), ({"REDIS_TLS_VERIFY": "false"}, "warn", "Heroku")],
    ids=["CA", "not verified"],
)
def test_an_encrypted_connection_is_verified_or_warned_of(
    changes: dict[str, str], status: str, words: str, encrypted_url: str, certificate: Certificate
) -> None:
    changes = {name: str(certificate.certificate) if value == "the CA" else value for name, value in changes.items()}
    settings = make_settings(REDIS_URL=encrypted_url, **changes)
    with opened(settings) as store:
        assert reach(store, 0, lambda _: None, lambda: False).status == "ok"
    said = judged(settings, "redis tls")
    assert said[0] == status
    assert words in said[1]


@pytest.mark.parametrize(
    ("url", "status"),
    [("redis://127.0.0.1:{port}/0", "ok"), ("redis://localhost:{port}/0", "ok"), ("unix:///tmp/redis.sock", "ok"),
     ("redis://redis.example.com/0", "warn")],
    ids=["loopback", "localhost", "socket", "another machine"],
)  # fmt: skip
def test_a_connection_in_clear_is_warned_of_where_it_leaves_the_machine(url: str, status: str, redis_url: str) -> None:
    settings = make_settings(REDIS_URL=url.replace("{port}", redis_url.rpartition(":")[2].removesuffix("/0")))
    with opened(make_settings(REDIS_URL=redis_url)) as store:
        (tls,) = [one for one in check_redis(store, settings, 1) if one.check == "redis tls"]
    assert tls.status == status


# --- version ---


class Told(Redis):
    """A client whose server tells of itself what the test wants; everything else is the real server's."""

    told: dict[str, dict[str, Any]]

    def info(self, section: str | None = None, *args: Any, **kwargs: Any) -> Any:
        return {**super().info(section, *args, **kwargs), **self.told.get(section or "", {})}


def told_by(redis_url: str, check: str, workers: int = 1, **sections: dict[str, Any]) -> tuple[str, str]:
    """Return what a check says of a server that tells something else of itself in some sections of INFO."""
    with Told.from_url(redis_url) as client:
        assert isinstance(client, Told)
        client.told = sections
        findings = list(check_redis(Store(client), make_settings(REDIS_URL=redis_url), workers))
    (one,) = [one for one in findings if one.check == check]
    return one.status, f"{one.says} {one.advice}"


@pytest.mark.parametrize(
    ("server", "status"),
    [({}, "ok"), ({"redis_version": "6.2.0"}, "ok"), ({"redis_version": "8.0.1"}, "ok"),
     ({"redis_version": "6.0.16"}, "warn"), ({"redis_version": "5.0"}, "warn"), ({"redis_version": "odd"}, "warn")],
    ids=["valkey", "6.2", "8", "6.0", "5", "unreadable"],
)  # fmt: skip
def test_valkey_and_redis_since_6_2_will_do(server: dict[str, str], status: str, redis_url: str) -> None:
    name = {} if not server else {"server_name": "redis"}
    said = told_by(redis_url, "redis version", server={**name, **server})
    assert said[0] == status
    assert ("upgrade it" in said[1]) is (status == "warn")


# --- what it does with what is written ---


def test_a_full_redis_refuses_to_write(admin: Admin, redis: Redis) -> None:
    with configured(redis, maxmemory="1"):
        answer = run(admin.app, "doctor", "--json")
    assert answer.status == 1
    checks = answer.json()["checks"]
    assert [one["check"] for one in checks if one["status"] == "FAIL"] == ["redis writing"]
    assert "used memory" in verdict(checks, "redis writing")[1]
    assert "Make room" in verdict(checks, "redis writing")[1]
    assert verdict(checks, "redis memory")[0] == "warn"


def test_what_does_not_come_back_was_not_kept(redis_url: str) -> None:
    class Forgetful(Redis):
        def execute_command(self, *args: Any, **options: Any) -> Any:
            reply = super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
            return None if args[0] == "GETDEL" else reply

    settings = make_settings(REDIS_URL=redis_url)
    with Forgetful.from_url(redis_url) as client:
        (one,) = [one for one in check_redis(Store(client), settings, 1) if one.check == "redis writing"]
    assert one.status == "FAIL"
    assert "did not come back" in one.says


def test_nothing_is_left_of_the_trial(admin: Admin, redis: Redis) -> None:
    run(admin.app, "doctor")
    assert redis.keys("zis:*doctor*") == []
    assert redis.zrange("zis:grant_ends", 0, -1) == [b"acme"]


@pytest.mark.parametrize(
    ("policy", "maxmemory", "status"),
    [("noeviction", "100mb", "ok"), ("allkeys-lru", "100mb", "warn"), ("volatile-ttl", "100mb", "warn"),
     ("allkeys-lru", "0", "ok")],
    ids=["noeviction", "allkeys", "volatile", "no limit"],
)  # fmt: skip
def test_a_policy_that_may_drop_grants_is_warned_of(
    policy: str, maxmemory: str, status: str, redis_url: str, redis: Redis
) -> None:
    with configured(redis, maxmemory_policy=policy, maxmemory=maxmemory):
        said = judged(make_settings(REDIS_URL=redis_url), "redis eviction")
    assert said[0] == status
    assert ("noeviction (Heroku" in said[1]) is (status == "warn")


@pytest.mark.parametrize(("used", "status"), [(69, "ok"), (70, "warn"), (99, "warn")])
def test_little_room_is_warned_of_as_soon_as_caches_give_way(used: int, status: str, redis_url: str) -> None:
    said = told_by(redis_url, "redis memory", memory={"maxmemory": 1000, "used_memory": 10 * used})
    assert (said[0], f"{used} %" in said[1]) == (status, True)


@pytest.mark.parametrize(
    ("values", "status", "words"),
    [({}, "warn", "keeps nothing on disk"), ({"save": "3600 1"}, "ok", "snapshots"),
     ({"appendonly": "yes"}, "ok", "append-only")],
    ids=["neither", "snapshots", "append-only"],
)  # fmt: skip
def test_a_redis_that_forgets_everything_is_warned_of(
    values: dict[str, str], status: str, words: str, redis_url: str, redis: Redis
) -> None:
    with configured(redis, **values):
        said = judged(make_settings(REDIS_URL=redis_url), "redis persistence")
    assert said[0] == status
    assert words in said[1]


@pytest.mark.parametrize("told", [{"rdb_last_bgsave_status": "err"}, {"aof_last_write_status": "err"}], ids=str)
def test_a_disk_that_takes_nothing_is_warned_of(told: dict[str, str], redis_url: str) -> None:
    said = told_by(redis_url, "redis persistence", persistence=told)
    assert said[0] == "warn"
    assert "failed" in said[1]


# --- where the provider forbids to ask ---


def test_without_config_it_does_with_info(redis_url: str, limited: Callable[..., str], redis: Redis) -> None:
    settings = make_settings(REDIS_URL=limited("-config"))
    with configured(redis, maxmemory_policy="allkeys-lru", maxmemory="100mb"):
        assert judged(settings, "redis eviction")[0] == "warn"
    assert judged(settings, "redis connections")[0] == "ok"
    status, words = judged(settings, "redis persistence")
    assert status == "warn"
    assert "does not say whether it persists" in words
    assert told_by(settings.redis_url, "redis persistence", persistence={"rdb_saves": 3})[0] == "ok"
    assert redis_url


def test_without_info_it_says_that_it_could_not_ask(limited: Callable[..., str]) -> None:
    settings = make_settings(REDIS_URL=limited("-config", "-info"))
    findings = findings_of(settings)
    untold = {"redis version", "redis memory", "redis persistence", "redis connections"}
    assert {check for check, one in findings.items() if one.status == "warn"} == untold
    assert all("does not let this user ask" in findings[check].says for check in untold)
    assert findings["redis writing"].status == "ok"


# --- connections ---


@pytest.mark.parametrize(
    ("workers", "limit", "connected", "status"),
    [(1, 20, 10, "ok"), (2, 20, 10, "ok"), (3, 20, 10, "warn"), (1, 20, 18, "warn")],
)
def test_connections_left_are_compared_with_what_the_processes_take(
    workers: int, limit: int, connected: int, status: str, redis_url: str
) -> None:
    clients = {"maxclients": limit, "connected_clients": connected}
    said = told_by(redis_url, "redis connections", workers, clients=clients)
    assert said[0] == status
    assert f"{limit - connected} of {limit} are free" in said[1]
    assert f"up to {workers * 5} ({workers} x 5)" in said[1]


def test_an_older_server_is_asked_for_its_limit(redis_url: str) -> None:
    said = told_by(redis_url, "redis connections", clients={"maxclients": None})
    assert "of 10000 are free" in said[1]


def test_the_number_of_processes_is_that_of_gunicorn(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    assert "(3 x 5)" in verdict(examine(admin.app), "redis connections")[1]


# --- a Redis that goes away ---


def test_a_redis_that_cannot_be_looked_through_says_what_was_not_checked(
    make_app: MakeApp, limited: Callable[..., str]
) -> None:
    checks = examine(make_app(REDIS_URL=limited("-scan")))
    assert verdict(checks, "redis writing")[0] == "ok"
    status, words = verdict(checks, "keys")
    assert status == "warn"
    assert "'scan'" in words
    assert "SECRET_KEYS was not checked" in words
    assert verdict(checks, "clock")[0] == "ok"
