"""Hosts' addresses are found within a limit, whatever the system's look-up does."""

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from service.ground.addresses import KNOWN_HOSTS, KNOWN_SECONDS, THREADS, Addresses, NameTimeout
from service.zendesk.transport import ZendeskAdapter, prepare_session
from tests.raw_server import RawServer, http_reply
from tests.steps import wait_until
from tests.workers import at_once

SHORT_SECONDS = 0.2
# How long silent name servers would keep whoever waits for them.
HANGING_SECONDS = 30


def found(*addresses: str) -> list[Any]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in addresses]


class NameServers:
    """Name servers as the system's look-up sees them: silent for some hosts until the end of the test."""

    def __init__(self) -> None:
        self.silent: set[str] = set()
        self.faults: dict[str, OSError | UnicodeError] = {}
        self.asked: list[str] = []
        self.addresses: tuple[str, ...] = ("192.0.2.1", "192.0.2.2")
        self.over = threading.Event()

    def look_up(self, host: str, *_arguments: Any) -> list[Any]:
        self.asked.append(host)
        if host in self.silent:
            self.over.wait(HANGING_SECONDS)
        if host in self.faults:
            raise self.faults[host]
        return found(*self.addresses)


@pytest.fixture
def servers() -> Iterator[NameServers]:
    servers = NameServers()
    yield servers
    servers.over.set()


def threads_that_look_up() -> int:
    return sum(thread.name == "addresses" for thread in threading.enumerate())


def test_all_addresses_are_found_in_their_order(servers: NameServers) -> None:
    assert Addresses(servers.look_up).find("acme.test", 443, 5) == ["192.0.2.1", "192.0.2.2"]


@pytest.mark.parametrize("number", ["127.0.0.1", "::1"])
def test_a_number_is_not_looked_up(number: str, servers: NameServers) -> None:
    assert Addresses(servers.look_up).find(number, 443, 5) == [number]
    assert servers.asked == []


def test_silent_name_servers_cost_no_more_than_the_limit(servers: NameServers) -> None:
    servers.silent.add("acme.test")
    began = time.monotonic()
    with pytest.raises(NameTimeout):
        Addresses(servers.look_up).find("acme.test", 443, SHORT_SECONDS)
    assert time.monotonic() - began < HANGING_SECONDS


def test_many_callers_of_a_host_wait_for_one_look_up_and_start_four_threads_at_most(servers: NameServers) -> None:
    servers.silent.add("acme.test")
    addresses, before = Addresses(servers.look_up), threads_that_look_up()
    results = at_once(20, lambda _: addresses.find("acme.test", 443, SHORT_SECONDS))

    assert {type(one) for one in results} == {NameTimeout}
    # By a thread that may come after all who wait for it have lost patience.
    wait_until(lambda: servers.asked == ["acme.test"])
    assert threads_that_look_up() - before <= THREADS
    # Each has its own: a shared exception would grow with every raise.
    assert len({id(one) for one in results}) == len(results)


def test_a_host_that_hangs_does_not_hold_up_another(servers: NameServers) -> None:
    servers.silent.add("acme.test")
    addresses = Addresses(servers.look_up)
    with pytest.raises(NameTimeout):
        addresses.find("acme.test", 443, SHORT_SECONDS)
    assert addresses.find("globex.test", 443, 5)


def test_hosts_that_hang_in_every_thread_are_followed_by_others_once_the_system_gives_up(servers: NameServers) -> None:
    addresses, hosts = Addresses(servers.look_up), [f"account{number}.test" for number in range(THREADS + 1)]
    servers.silent.update(hosts)
    at_once(len(hosts), lambda number: addresses.find(hosts[number], 443, SHORT_SECONDS))
    with pytest.raises(NameTimeout):
        addresses.find("globex.test", 443, SHORT_SECONDS)
    servers.over.set()
    assert addresses.find("globex.test", 443, 5)


def test_what_was_found_last_serves_while_the_name_servers_are_silent(servers: NameServers) -> None:
    addresses = Addresses(servers.look_up)
    before = addresses.find("acme.test", 443, 5)
    servers.silent.add("acme.test")
    assert addresses.find("acme.test", 443, 5) == before


@pytest.mark.parametrize(
    ("number", "serves"), [(socket.EAI_AGAIN, True), (socket.EAI_NONAME, False)], ids=["for the moment", "for good"]
)
def test_what_was_found_last_serves_while_a_look_up_fails_for_the_moment(
    number: int, serves: bool, servers: NameServers
) -> None:
    addresses = Addresses(servers.look_up)
    before = addresses.find("acme.test", 443, 5)
    servers.faults["acme.test"] = socket.gaierror(number, "words")
    if serves:
        assert addresses.find("acme.test", 443, 5) == before
    else:
        with pytest.raises(socket.gaierror) as raised:
            addresses.find("acme.test", 443, 5)
        assert raised.value.errno == number


def test_what_was_found_an_hour_ago_serves_no_more(servers: NameServers) -> None:
    now = [0.0]
    addresses = Addresses(servers.look_up, lambda: now[0])
    addresses.find("acme.test", 443, 5)
    servers.silent.add("acme.test")
    now[0] = KNOWN_SECONDS + 1
    with pytest.raises(NameTimeout):
        addresses.find("acme.test", 443, SHORT_SECONDS)


def test_only_so_many_hosts_are_remembered(servers: NameServers) -> None:
    addresses = Addresses(servers.look_up)
    for number in range(KNOWN_HOSTS + 1):
        addresses.find(f"account{number}.test", 443, 5)
    servers.faults = {name: socket.gaierror(socket.EAI_AGAIN, "words") for name in ("account0.test", "account1.test")}
    assert addresses.find("account1.test", 443, 5)
    with pytest.raises(socket.gaierror):
        addresses.find("account0.test", 443, 5)


@pytest.mark.parametrize("answer", ["no host name", "nothing"])
def test_a_host_without_addresses_is_unknown(answer: str, servers: NameServers) -> None:
    servers.faults["a..test"] = UnicodeError("label empty or too long")
    look_up = servers.look_up if answer == "no host name" else lambda *_: []
    with pytest.raises(socket.gaierror) as raised:
        Addresses(look_up).find("a..test", 443, 5)
    assert raised.value.errno == socket.EAI_NONAME


# --- with calls ---


def no_thread(_self: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_without_a_thread_to_be_had_a_look_up_fails_and_the_next_one_tries_again(
    servers: NameServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = Addresses(servers.look_up)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(RuntimeError):
            addresses.find("acme.test", 443, 5)
    assert addresses.find("acme.test", 443, 5)


def test_one_thread_is_enough_where_there_are_no_more(servers: NameServers, monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = Addresses(servers.look_up)
    addresses.find("acme.test", 443, 5)
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    assert addresses.find("globex.test", 443, 5)


@pytest.fixture
def hanging(servers: NameServers, monkeypatch: pytest.MonkeyPatch) -> NameServers:
    """The system's own look-up hangs for acme.test."""
    servers.silent.add("acme.test")
    real = socket.getaddrinfo

    def look_up(host: str, *arguments: Any, **options: Any) -> Any:
        return servers.look_up(host) if host == "acme.test" else real(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return servers


def test_a_call_ends_in_time_while_name_servers_are_silent(hanging: NameServers) -> None:
    session, began = prepare_session(requests.Session(), ZendeskAdapter()), time.monotonic()
    with pytest.raises(requests.Timeout):
        session.get("http://acme.test:9/", timeout=SHORT_SECONDS)
    assert time.monotonic() - began < HANGING_SECONDS
    # By a thread that may come after whoever waits for it has lost patience.
    wait_until(lambda: hanging.asked == ["acme.test"])


def test_calls_to_numbers_go_on_while_name_servers_are_silent(hanging: NameServers) -> None:
    session = prepare_session(requests.Session(), ZendeskAdapter())
    with pytest.raises(requests.Timeout):
        session.get("http://acme.test:9/", timeout=SHORT_SECONDS)
    with RawServer(lambda _: [http_reply(b"well")]) as server:
        assert session.get(server.address, timeout=5).content == b"well"
    # By a thread that may come after whoever waits for it has lost patience.
    wait_until(lambda: hanging.asked == ["acme.test"])
