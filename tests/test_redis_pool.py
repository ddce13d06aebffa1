"""The connections to Redis: looked at before use, waited for where there are too many, closed by their holder alone."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from service.ground.errors import StoreUnavailable
from service.ground.network_faults import NetworkFault, network_fault
from service.store.redis_faults import cause_of
from service.store.redis_pool import Connections, is_too_many
from service.store.store import STATES_GIVE_WAY_AT, Store
from tests.faults.middlebox import Middlebox
from tests.faults.own_valkey import OwnValkey
from tests.steps import wait_until
from tests.test_addresses import HANGING_SECONDS, NameServers, no_thread
from tests.test_settings import make_settings
from tests.tls import TLSFront, make_certificate
from tests.workers import at_once, free_port

# Where another limit is meant: longer than a busy machine may take.
LONG_SECONDS = 60
COUNT = "return redis.call('INCR', KEYS[1])"


@pytest.fixture
def make_store() -> Iterator[Callable[[str], Store]]:
    """Make stores at an address, as the service does; their connections are closed at the end."""
    made: list[Store] = []

    def make(url: str) -> Store:
        made.append(Store.from_settings(make_settings(REDIS_URL=url)))
        return made[-1]

    yield make
    for store in made:
        store.redis.connection_pool.disconnect()


@pytest.fixture
def middlebox(valkey: Any) -> Iterator[Middlebox]:
    with Middlebox(valkey.port) as box:
        yield box


def pool_of(store: Store) -> Connections:
    pool = store.redis.connection_pool
    assert isinstance(pool, Connections)
    return pool


def give_back(store: Store, connection: Any) -> None:
    pool_of(store).release(connection)  # type: ignore[no-untyped-call]  # redis-py leaves it so


def in_thread(call: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Begin a call beside this one; its result, or what it raised, is put into the list."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.extend(at_once(1, lambda _: call())))
    thread.start()
    return thread, results


@contextmanager
def full(redis: Redis) -> Iterator[None]:
    """Let the server take no connection beyond those it has."""
    before = str(redis.config_get("maxclients")["maxclients"])
    redis.config_set("maxclients", redis.info("clients")["connected_clients"])
    try:
        yield
    finally:
        redis.config_set("maxclients", before)


# --- idle connections ---


@pytest.mark.parametrize("way", [Middlebox.forget, Middlebox.reset], ids=["forgotten", "reset"])
@pytest.mark.parametrize(
    "write",
    [lambda store: int(store.write(("INCR", "count"))[0]), lambda store: int(store.run(COUNT, ["count"], [])),
     lambda store: int(store.write(("INCR", "count"), ("EXPIRE", "count", 60))[0])],
    ids=["command", "script", "commands"],
)  # fmt: skip
def test_the_first_write_over_a_connection_that_was_lost_while_idle_succeeds_at_once(
    way: Callable[[Middlebox], None],
    write: Callable[[Store], int],
    middlebox: Middlebox,
    redis_url: str,
    make_store: Callable[[str], Store],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Every connection counts as idle for long.
    monkeypatch.setattr("service.store.redis_pool.HEALTH_CHECK_SECONDS", 0)
    monkeypatch.setattr("service.store.store.READ_SECONDS", LONG_SECONDS)
    store = make_store(middlebox.url)
    assert write(store) == 1, redis_url
    way(middlebox)
    began = time.monotonic()
    assert write(store) == 2, "made once, not twice"
    assert time.monotonic() - began < LONG_SECONDS
    assert middlebox.made == 2


def test_a_read_over_a_connection_that_was_forgotten_succeeds_too(
    middlebox: Middlebox, redis_url: str, make_store: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.redis_pool.HEALTH_CHECK_SECONDS", 0)
    monkeypatch.setattr("service.store.store.READ_SECONDS", LONG_SECONDS)
    store = make_store(middlebox.url)
    store.read(("GET", "x"))
    middlebox.forget()
    began = time.monotonic()
    assert store.read(("GET", "x")) == [None], redis_url
    assert time.monotonic() - began < LONG_SECONDS


def test_a_connection_in_use_lately_is_not_asked(
    redis_url: str, redis: Redis, make_store: Callable[[str], Store]
) -> None:
    store = make_store(redis_url)
    store.write(("SET", "x", "1"))
    before = redis.info("commandstats").get("cmdstat_ping", {"calls": 0})["calls"]
    for _ in range(10):
        store.write(("SET", "x", "1"))
    assert redis.info("commandstats").get("cmdstat_ping", {"calls": 0})["calls"] == before


# --- a limit of connections ---


def test_where_redis_takes_no_more_connections_one_of_the_process_is_waited_for(
    redis_url: str, redis: Redis, make_store: Callable[[str], Store]
) -> None:
    store = make_store(redis_url)
    pool = pool_of(store)
    held = pool.get_connection()
    refused = redis.info("stats")["rejected_connections"]
    with full(redis):
        thread, results = in_thread(lambda: store.write(("SET", "x", "1"))[0])
        wait_until(lambda: redis.info("stats")["rejected_connections"] > refused)
        assert not results
        give_back(store, held)
        thread.join()
        assert results == [True]
        # And so with many callers: what could not be connected is not given out before what is.
        assert at_once(20, lambda _: store.write(("SET", "x", "1"))[0]) == [True] * 20


def test_one_that_never_comes_is_waited_for_as_long_as_for_a_place_in_the_pool(
    redis_url: str, redis: Redis, make_store: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.store.POOL_WAIT_SECONDS", 0.3)
    monkeypatch.setattr("service.store.store.READ_SECONDS", LONG_SECONDS)
    store = make_store(redis_url)
    held = pool_of(store).get_connection()
    began = time.monotonic()
    with full(redis), pytest.raises(StoreUnavailable) as caught:
        store.write(("SET", "x", "1"))
    assert 0.3 <= time.monotonic() - began < LONG_SECONDS
    assert caught.value.retry_after == 2
    assert caught.value.__cause__ is not None
    assert is_too_many(caught.value.__cause__)
    give_back(store, held)


def test_a_new_connection_that_is_closed_without_a_word_is_one_too_many_while_another_works(
    redis_url: str, middlebox: Middlebox, make_store: Callable[[str], Store]
) -> None:
    # As Redis does under TLS, where it cannot say anything before the handshake.
    store = make_store(middlebox.url)
    held = pool_of(store).get_connection()
    middlebox.takes_no_more = True
    thread, results = in_thread(lambda: store.write(("SET", "x", "1"))[0])
    wait_until(lambda: middlebox.made >= 3)
    give_back(store, held)
    thread.join()
    assert results == [True], redis_url


def test_a_redis_that_only_closes_is_away_at_once(middlebox: Middlebox, make_store: Callable[[str], Store]) -> None:
    middlebox.takes_no_more = True
    with pytest.raises(StoreUnavailable):
        make_store(middlebox.url).write(("SET", "x", "1"))
    assert middlebox.made == 1


# --- a demoted master ---


def test_a_redis_that_cannot_save_is_read_over_a_new_connection_at_once() -> None:
    with OwnValkey() as valkey, valkey.unable_to_save():
        store = Store.from_settings(make_settings(REDIS_URL=valkey.url))
        # Without repetition, by several threads that each need a connection.
        assert at_once(3, lambda _: store.read_once(("DBSIZE",))) == [[0]] * 3
        with pytest.raises(StoreUnavailable):
            store.write(("SET", "zis:a", "1"))
        store.close()


def test_connections_made_anew_are_left_to_those_who_use_them(
    redis_url: str, make_store: Callable[[str], Store]
) -> None:
    store = make_store(redis_url)
    pool = pool_of(store)
    client = Redis(connection_pool=pool)
    before = client.client_id()
    held = pool.get_connection()
    pool.renew()
    held.send_command("CLIENT", "ID")
    assert held.read_response() == before
    give_back(store, held)
    # Another thread may take it at any moment: nobody closes it but whoever has taken it.
    pool.renew()
    assert held.is_connected
    assert client.client_id() != before
    assert client.client_id() == client.client_id()


def test_of_a_demoted_master_callers_hear_nothing_but_that_the_store_is_not_available(
    redis_url: str, redis: Redis, make_store: Callable[[str], Store]
) -> None:
    store = make_store(redis_url)

    def write(_: int) -> set[str]:
        told = set()
        for _ in range(150):
            try:
                store.write(("SET", "x", "1"))
            except StoreUnavailable as failure:
                told.add(failure.code)
        return told

    redis.replicaof("127.0.0.1", str(free_port()))
    try:
        # What a thread raises besides is in the list.
        assert at_once(8, write) == [{"store_unavailable"}] * 8
    finally:
        redis.replicaof("NO", "ONE")


# --- what is no Redis ---


@contextmanager
def answering(reply: bytes) -> Iterator[str]:
    """Have a server that says the same to everything; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1000)
                    connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize(
    "reply", [b"+OK\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b":1\r\n", b"*-1\r\n", b"%1\r\n+a\r\n"]
)
def test_whatever_else_answers_is_a_store_that_is_not_available(
    reply: bytes, make_store: Callable[[str], Store]
) -> None:
    with answering(reply) as url:
        store = make_store(url)
        for call in (
            lambda: store.write(("SET", "x", "1")),
            lambda: store.read(("GET", "x")),
            lambda: store.run(COUNT, ["x"], []),
            lambda: store.has_room(STATES_GIVE_WAY_AT),
        ):
            with pytest.raises(StoreUnavailable):
                call()


def test_a_host_that_is_no_name_is_a_store_that_is_not_available(make_store: Callable[[str], Store]) -> None:
    with pytest.raises(StoreUnavailable):
        make_store(f"redis://{'a' * 70}.example.com/0").write(("SET", "x", "1"))


# --- its host's name ---


@pytest.fixture
def name_servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServers]:
    """Name servers that know two addresses of redis.test, the first of which leads nowhere; the system's, elsewhere."""
    servers, real = NameServers(), socket.getaddrinfo
    servers.addresses = ("::1", "127.0.0.1")

    def look_up(host: str, *arguments: Any, **options: Any) -> Any:
        return servers.look_up(host) if host == "redis.test" else real(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield servers
    servers.over.set()


def test_silent_name_servers_cost_no_more_than_the_limit_of_a_look_up(
    name_servers: NameServers, make_store: Callable[[str], Store]
) -> None:
    name_servers.silent.add("redis.test")
    store, began = make_store("redis://redis.test:6379/0"), time.monotonic()
    with pytest.raises(StoreUnavailable) as raised:
        store.write(("PING",))
    assert time.monotonic() - began < HANGING_SECONDS
    assert raised.value.__cause__ is not None
    assert "name servers" in (cause := cause_of(raised.value.__cause__)).advice
    assert (cause.kind, cause.may_pass) == ("timeout", True)


def test_every_address_of_a_host_is_tried(
    name_servers: NameServers, make_store: Callable[[str], Store], valkey: Any
) -> None:
    assert make_store(f"redis://redis.test:{valkey.port}/0").write(("PING",)) == [True]
    assert name_servers.asked == ["redis.test"]


def test_without_a_thread_that_looks_up_redis_is_away(
    name_servers: NameServers, make_store: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store("redis://redis.test:6379/0")
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    with pytest.raises(StoreUnavailable):
        store.write(("PING",))
    assert name_servers.asked == []


@pytest.mark.parametrize(("host", "expected"), [("redis.test", None), ("other.test", NetworkFault.OTHER_NAME)])
@pytest.mark.usefixtures("name_servers")
def test_under_tls_the_certificate_has_to_be_for_the_name_and_not_for_the_address(
    host: str, expected: NetworkFault | None, tmp_path: Path, valkey: Any
) -> None:
    # It is for 127.0.0.1 as well, where both names lead.
    certificate = make_certificate(tmp_path, host)
    with TLSFront(valkey.port, certificate) as front:
        url = f"rediss://redis.test:{front.port}/0"
        store = Store.from_settings(make_settings(REDIS_URL=url, REDIS_TLS_CA=str(certificate.certificate)))
        answers = at_once(1, lambda _: store.write(("PING",)))[0]
        store.redis.connection_pool.disconnect()
    if expected is None:
        assert answers == [True]
    else:
        assert network_fault(answers) is expected
