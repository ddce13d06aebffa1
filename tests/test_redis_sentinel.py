"""The master of a Sentinel group is found, with credentials and TLS, and asked for again when it may have moved."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from sandbox.store_groups import Server
from service.ground.errors import StoreUnavailable
from service.store.redis_faults import Cause, cause_of
from service.store.store import Store
from tests.steps import wait_until
from tests.test_settings import make_settings
from tests.tls import TLSFront, make_certificate
from tests.workers import free_port

MakeStore = Callable[..., Store]


@pytest.fixture(scope="module")
def running_sentinel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("sentinel"), free_port(), is_sentinel=True)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def sentinel(running_sentinel: Server, valkey: Any, redis: Redis) -> Iterator[Server]:
    """A Sentinel without a password, which watches the tests' server under the name `zis`."""
    del redis
    watch(running_sentinel, valkey.port)
    yield running_sentinel
    running_sentinel.redis.execute_command("SENTINEL", "REMOVE", "zis")  # type: ignore[no-untyped-call]  # redis-py leaves it so


def watch(sentinel: Server, port: int) -> None:
    sentinel.redis.execute_command("SENTINEL", "MONITOR", "zis", "127.0.0.1", port, 1)  # type: ignore[no-untyped-call]  # likewise


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Server]:
    """Another server, which no Sentinel knows yet."""
    server = Server(tmp_path, free_port())
    server.start()
    yield server
    server.kill()


@pytest.fixture
def make_store() -> Iterator[MakeStore]:
    """Make stores that ask these Sentinels, by their ports."""
    made: list[Store] = []

    def make(*ports: int, name: str = "zis", credentials: str = "", scheme: str = "redis", **changes: str) -> Store:
        nodes = ",".join(f"127.0.0.1:{port}" for port in ports)
        url = f"{scheme}+sentinel://{credentials}{nodes}/{name}"
        made.append(Store.from_settings(make_settings(REDIS_URL=url, **changes)))
        return made[-1]

    yield make
    for store in made:
        store.redis.connection_pool.disconnect()


def failure(store: Store) -> Cause:
    """Return why the store cannot be written to."""
    with pytest.raises(StoreUnavailable) as failed:
        store.write(("SET", "a", "1"))
    assert isinstance(failed.value.__cause__, RedisError)
    return cause_of(failed.value.__cause__)


def test_the_first_sentinel_that_answers_says_where_the_master_is(
    sentinel: Server, make_store: MakeStore, redis: Redis
) -> None:
    store = make_store(free_port(), sentinel.port)
    store.write(("SET", "a", "1"))
    assert store.read(("GET", "a")) == [b"1"]
    assert redis.get("a") == b"1"


def test_a_new_connection_leads_to_the_master_of_then(
    sentinel: Server, other: Server, make_store: MakeStore, redis: Redis
) -> None:
    store = make_store(sentinel.port)
    store.write(("SET", "a", "1"))
    sentinel.redis.execute_command("SENTINEL", "REMOVE", "zis")  # type: ignore[no-untyped-call]  # redis-py leaves it so
    watch(sentinel, other.port)
    # One that goes on answering is kept.
    assert store.read(("GET", "a")) == [b"1"]
    # After a silence it may be the master no longer, and not know that yet.
    store.note_failure(RedisTimeoutError("silent"))
    store.write(("SET", "a", "2"))
    assert (other.redis.get("a"), redis.get("a")) == (b"2", b"1")


def test_sentinels_that_are_away_cost_no_connection_that_works(
    sentinel: Server, make_store: MakeStore, redis: Redis, valkey: Any
) -> None:
    store = make_store(sentinel.port)
    store.write(("SET", "a", "1"))
    sentinel.redis.execute_command("SENTINEL", "REMOVE", "zis")  # type: ignore[no-untyped-call]  # redis-py leaves it so
    pool = store.redis.connection_pool
    working = pool.get_connection()
    # Somebody else needs a second one, which nobody can make.
    assert "no master" in failure(store).says
    pool.release(working)
    store.write(("SET", "a", "2"))
    assert redis.get("a") == b"2"
    watch(sentinel, valkey.port)


def test_a_replica_that_sentinels_still_call_the_master_is_not_used(
    sentinel: Server, other: Server, make_store: MakeStore
) -> None:
    other.redis.replicaof("127.0.0.1", str(free_port()))
    sentinel.redis.execute_command("SENTINEL", "REMOVE", "zis")  # type: ignore[no-untyped-call]  # redis-py leaves it so
    watch(sentinel, other.port)
    store = make_store(sentinel.port)
    assert failure(store).kind == "read_only"
    # What it holds may be old: it is not read either.
    with pytest.raises(StoreUnavailable):
        store.read(("GET", "a"))
    other.redis.replicaof("NO", "ONE")
    wait_until(store.answers)
    store.write(("SET", "a", "1"))


def test_a_master_that_too_few_replicas_follow_is_told_and_asked_for_anew(
    sentinel: Server, other: Server, make_store: MakeStore, redis: Redis
) -> None:
    sentinel.redis.execute_command("SENTINEL", "REMOVE", "zis")  # type: ignore[no-untyped-call]  # redis-py leaves it so
    former = int(redis.connection_pool.connection_kwargs["port"])
    watch(sentinel, other.port)
    store = make_store(sentinel.port)
    store.write(("SET", "a", "1"))
    # It was cut off, and its replicas follow another one.
    other.redis.config_set("min-replicas-to-write", "1")
    sentinel.redis.execute_command("SENTINEL", "REMOVE", "zis")  # type: ignore[no-untyped-call]  # likewise
    watch(sentinel, former)
    assert "min-replicas-to-write" in failure(store).says
    store.write(("SET", "a", "2"))
    assert redis.get("a") == b"2"


def test_without_the_right_to_ask_for_the_role_the_sentinel_is_believed(
    sentinel: Server, other: Server, make_store: MakeStore
) -> None:
    sentinel.redis.execute_command("SENTINEL", "REMOVE", "zis")  # type: ignore[no-untyped-call]  # redis-py leaves it so
    watch(sentinel, other.port)
    other.redis.acl_setuser("zis", enabled=True, reset=True, passwords=["+secret"], categories=["+@all"],
                            commands=["-role"], keys=["*"])  # fmt: skip
    store = make_store(sentinel.port, credentials="zis:secret@")
    store.write(("SET", "a", "1"))
    assert other.redis.get("a") == b"1"


@pytest.mark.parametrize("knows_the_user", [True, False], ids=["the same", "none"])
def test_user_and_password_are_for_the_data_and_for_sentinels_that_know_them(
    *, knows_the_user: bool, sentinel: Server, other: Server, make_store: MakeStore
) -> None:
    sentinel.redis.execute_command("SENTINEL", "REMOVE", "zis")  # type: ignore[no-untyped-call]  # redis-py leaves it so
    watch(sentinel, other.port)
    everything: dict[str, Any] = {"enabled": True, "passwords": ["+s/crt"], "categories": ["+@all"], "keys": ["*"]}
    other.redis.acl_setuser("zis", reset=True, **everything)
    other.redis.acl_setuser("default", enabled=False)
    store = make_store(sentinel.port, credentials="zis:s%2Fcrt@")
    if knows_the_user:
        sentinel.redis.acl_setuser("zis", enabled=True, reset=True, passwords=["+s/crt"], categories=["+@all"])
        with Redis(port=sentinel.port, username="zis", password="s/crt", protocol=2) as operator:
            sentinel.redis.acl_setuser("default", enabled=False)
            try:
                store.write(("SET", "a", "1"))
            finally:
                operator.acl_setuser("default", enabled=True, nopass=True)
                sentinel.redis.acl_deluser("zis")
    else:
        store.write(("SET", "a", "1"))
    assert store.read(("GET", "a")) == [b"1"]
    refused = failure(make_store(sentinel.port, credentials="zis:wrong@"))
    assert (refused.kind, refused.may_pass) == ("authentication", False)


def test_a_sentinel_that_wants_a_password_is_refused_none(sentinel: Server, make_store: MakeStore) -> None:
    sentinel.redis.acl_setuser("zis", enabled=True, reset=True, passwords=["+secret"], categories=["+@all"])
    with Redis(port=sentinel.port, username="zis", password="secret", protocol=2) as operator:
        operator.acl_setuser("default", enabled=False)
        try:
            assert failure(make_store(sentinel.port)).kind == "authentication"
        finally:
            operator.acl_setuser("default", enabled=True, nopass=True)
    sentinel.redis.acl_deluser("zis")


def test_a_name_that_no_sentinel_knows_is_told_from_sentinels_that_are_away(
    sentinel: Server, make_store: MakeStore
) -> None:
    unknown = failure(make_store(sentinel.port, name="other"))
    assert ("behind the hosts" in unknown.advice, unknown.may_pass) == (True, False)
    away = failure(make_store(free_port(), free_port()))
    assert ("connection was refused" in away.says, away.may_pass) == (True, True)


def test_under_tls_sentinels_and_the_master_are_verified(
    running_sentinel: Server, valkey: Any, redis_url: str, make_store: MakeStore, tmp_path: Path
) -> None:
    del redis_url
    certificate = make_certificate(tmp_path)
    with (
        TLSFront(valkey.port, certificate) as data,
        TLSFront(running_sentinel.port, certificate) as asked,
    ):
        watch(running_sentinel, data.port)
        try:
            store = make_store(asked.port, scheme="rediss", REDIS_TLS_CA=str(certificate.certificate))
            store.write(("SET", "a", "1"))
            assert store.read(("GET", "a")) == [b"1"]
            lax = make_store(asked.port, scheme="rediss", REDIS_TLS_VERIFY="false")
            assert lax.read(("GET", "a")) == [b"1"]
            assert "nobody this machine trusts" in failure(make_store(asked.port, scheme="rediss")).says
            for one in (store, lax):
                one.redis.connection_pool.disconnect()
        finally:
            running_sentinel.redis.execute_command("SENTINEL", "REMOVE", "zis")  # type: ignore[no-untyped-call]  # redis-py leaves it so
