"""Commands find the master of their key's slot, follow it when it moves, and fail as those of one Redis do."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from redis.crc import key_slot
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from sandbox.ports import free_ports
from sandbox.store_groups import SLOTS, Server
from service.ground.errors import StoreUnavailable
from service.store.redis_cluster import Cluster, ClusterPool, Nodes, SlotUnknown
from service.store.redis_faults import cause_of
from service.store.redis_pool import Connections
from service.store.store import Store, StoreRefused
from service.web.rate_limits import RateLimits
from tests.conftest import MakeAdmin
from tests.operations.console import run
from tests.operations.test_redis_user import rights
from tests.steps import collaborator, wait_until
from tests.test_settings import make_settings
from tests.tls import Certificate, TLSFront, make_certificate

GET = "return redis.call('GET', KEYS[1])"
TAGS = ("acme", "globex", "initech", "a", "b", "c", "d", "e")
KEYS = [f"zis:{{{tag}}}:k" for tag in TAGS]

Pair = tuple[Server, Server]


@pytest.fixture(scope="module")
def running_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two masters that share the slots, without replicas."""
    folder = tmp_path_factory.mktemp("cluster")
    ports = free_ports(4)
    one, other = (
        Server(folder, port, "cluster-enabled yes", f"cluster-port {bus}", "cluster-require-full-coverage no")
        for port, bus in zip(ports[:2], ports[2:], strict=True)
    )
    for server in (one, other):
        server.start()
    one.say("CLUSTER", "ADDSLOTSRANGE", 0, SLOTS // 2 - 1)
    other.say("CLUSTER", "ADDSLOTSRANGE", SLOTS // 2, SLOTS - 1)
    other.say("CLUSTER", "SET-CONFIG-EPOCH", 2)
    other.say("CLUSTER", "MEET", "127.0.0.1", one.port, ports[2])
    wait_until(lambda: all(len(server.slots()) == 2 for server in (one, other)), 60)
    wait_until(lambda: all(b"cluster_state:ok" in server.say_raw("CLUSTER", "INFO") for server in (one, other)), 60)
    yield one, other
    for server in (one, other):
        server.kill()


@pytest.fixture
def pair(running_pair: Pair) -> Pair:
    for server in running_pair:
        server.redis.flushall()
    return running_pair


@pytest.fixture
def store(pair: Pair) -> Iterator[Store]:
    made = Store.from_settings(make_settings(REDIS_URL=url_of(*pair)))
    yield made
    made.close()


def url_of(*servers: Server) -> str:
    return f"redis+cluster://{','.join(f'127.0.0.1:{server.port}' for server in servers)}"


def owners(pair: Pair, tag: str = "acme") -> Pair:
    """Return the server that has a tag's slot, and the other one."""
    slot = key_slot(tag.encode())
    port = next(master[1] for first, last, master, *_ in pair[0].slots() if first <= slot <= last)
    return pair if pair[0].port == port else (pair[1], pair[0])


class Move:
    """A tag's slot on its way from one server to the other, and back at the end."""

    def __init__(self, pair: Pair, tag: str = "acme") -> None:
        self.slot = key_slot(tag.encode())
        self.source, self.target = owners(pair, tag)

    def begin(self) -> None:
        for server, word, peer in (
            (self.target, "IMPORTING", self.source),
            (self.source, "MIGRATING", self.target),
        ):
            server.say("CLUSTER", "SETSLOT", self.slot, word, peer.say("CLUSTER", "MYID"))

    def take(self, *keys: str) -> None:
        self.source.say("MIGRATE", "127.0.0.1", self.target.port, "", 0, 5000, "KEYS", *keys)

    def end(self) -> None:
        for server in (self.target, self.source):
            server.say("CLUSTER", "SETSLOT", self.slot, "NODE", self.target.say("CLUSTER", "MYID"))
        # Whoever takes it back must know the epoch of who has it now: with a lesser one its claim is refused, and they
        # name each other for good.
        wait_until(lambda: self.source.claims() == self.target.claims())


def test_each_key_is_kept_by_the_server_of_its_slot(store: Store, pair: Pair) -> None:
    store.write(*(("SET", key, number) for number, key in enumerate(KEYS)))
    assert store.read(*(("GET", key) for key in KEYS)) == [str(number).encode() for number in range(len(KEYS))]
    assert [store.run(GET, [key], []) for key in KEYS] == [str(number).encode() for number in range(len(KEYS))]
    kept = [set(server.redis.keys()) for server in pair]
    assert (kept[0] | kept[1], kept[0] & kept[1], all(kept)) == ({key.encode() for key in KEYS}, set(), True)
    assert {key for handful in store.keys("zis:*") for key in handful} == {key.encode() for key in KEYS}
    assert store.nodes() == 2
    assert len({store.node_of(key) for key in KEYS}) == 2
    assert store.answers()


def test_the_time_is_that_of_the_server_that_has_the_key(store: Store, pair: Pair) -> None:
    for tag in TAGS:
        asked = owners(pair, tag)[0]
        before = asked.redis.info("commandstats").get("cmdstat_time", {"calls": 0})["calls"]
        store.read(("TIME",), near=f"zis:{{{tag}}}:k")
        store.read(("TIME",), ("GET", f"zis:{{{tag}}}:k"))
        assert asked.redis.info("commandstats")["cmdstat_time"]["calls"] == before + 2


def test_a_slot_that_has_moved_is_followed(store: Store, pair: Pair) -> None:
    store.write(("SET", KEYS[0], "1"))
    for reads_first in (True, False):
        move = Move(pair)
        move.begin()
        move.take(KEYS[0])
        move.end()
        if reads_first:
            assert store.read(("GET", KEYS[0]), *(("EXISTS", key) for key in KEYS[1:])) == [b"1", *[0] * 7]
        store.write(("SET", KEYS[0], "1"))
        assert move.target.redis.get(KEYS[0]) == b"1"
        assert store.run(GET, [KEYS[0]], []) == b"1"


def test_a_slot_on_its_way_is_asked_for_at_both_ends(store: Store, pair: Pair) -> None:
    store.write(("SET", KEYS[0], "1"))
    move = Move(pair)
    move.begin()
    # It has gone already, and another one never was there.
    move.take(KEYS[0])
    store.write(("SET", "zis:{acme}:new", "2"))
    assert store.read(("GET", KEYS[0]), ("GET", "zis:{acme}:new")) == [b"1", b"2"]
    assert store.run(GET, [KEYS[0]], []) == b"1"
    move.end()
    assert store.read(("GET", KEYS[0]), ("GET", "zis:{acme}:new")) == [b"1", b"2"]
    back = Move(pair)
    back.begin()
    back.take(KEYS[0], "zis:{acme}:new")
    back.end()


def test_keys_of_which_one_has_gone_are_waited_for(store: Store, pair: Pair) -> None:
    names = [KEYS[0], "zis:{acme}:other"]
    store.write(*(("SET", name, "1") for name in names))
    move = Move(pair)
    move.begin()
    move.take(names[0])
    deleted: list[Any] = []
    thread = threading.Thread(target=lambda: deleted.extend(store.write(("DEL", *names))))
    thread.start()
    move.take(names[1])
    move.end()
    thread.join()
    assert deleted == [2]
    back = Move(pair)
    back.begin()
    back.end()


def test_one_that_stays_between_two_servers_is_a_failure(store: Store, pair: Pair) -> None:
    names = [KEYS[0], "zis:{acme}:other"]
    store.write(*(("SET", name, "1") for name in names))
    move = Move(pair)
    move.begin()
    move.take(names[0])
    with pytest.raises(StoreUnavailable):
        store.write(("DEL", *names))
    move.take(names[1])
    move.end()
    assert store.write(("DEL", *names)) == [2]
    back = Move(pair)
    back.begin()
    back.end()


def readers(server: Server) -> set[str]:
    """Return the ids of the connections whose last command was GET."""
    return {str(one["id"]) for one in server.redis.client_list() if one["cmd"] == "get"}


def test_servers_that_name_each_other_are_a_failure_that_may_pass(store: Store, pair: Pair) -> None:
    slot = key_slot(b"acme")
    own, other = owners(pair)
    elsewhere = next(key for key, tag in zip(KEYS, TAGS, strict=True) if owners(pair, tag)[0] is other)
    store.read(("GET", elsewhere))
    kept = readers(other)
    own.say("CLUSTER", "SETSLOT", slot, "NODE", other.say("CLUSTER", "MYID"))
    try:
        with pytest.raises(StoreUnavailable) as failed:
            store.write(("SET", KEYS[0], "1"))
        assert failed.value.retry_after == 2
        cause = cause_of(failed.value.__cause__ or failed.value)
        assert ("do not agree" in cause.says, cause.may_pass) == (True, True)
        # Whoever's slot is not disputed has its connection still.
        store.read(("GET", elsewhere))
        assert len(kept & readers(other)) == 1
    finally:
        own.say("CLUSTER", "SETSLOT", slot, "NODE", own.say("CLUSTER", "MYID"))
    assert store.write(("SET", KEYS[0], "1")) == [True]


def test_a_refusal_is_raised_though_others_took_effect(store: Store) -> None:
    store.write(("SET", KEYS[0], "1"))
    for act in (store.write, store.read):
        with pytest.raises(StoreRefused):
            act(("HGET", KEYS[0], "f"), *(("GET", key) for key in KEYS[1:]))
    store.write(("SET", KEYS[1], "2"))
    assert store.read(("GET", KEYS[1])) == [b"2"]


def test_scripts_that_a_server_has_forgotten_are_loaded_again(store: Store, pair: Pair) -> None:
    for _ in range(2):
        assert [store.run(GET, [key], []) for key in KEYS] == [None] * len(KEYS)
        for server in pair:
            server.redis.script_flush()


def test_limits_are_kept_and_the_fullest_server_decides_whether_there_is_room(store: Store, pair: Pair) -> None:
    assert RateLimits(make_settings(REDIS_URL=url_of(*pair)), store).rehearse("acme")
    pair[1].redis.config_set("maxmemory", "1000mb")
    pair[0].redis.config_set("maxmemory", str(pair[0].redis.info("memory")["used_memory"]))
    assert not store.has_room(0.9)
    for server in pair:
        server.redis.config_set("maxmemory", "0")


def test_a_server_that_does_not_say_its_host_is_where_it_was_asked(store: Store, pair: Pair) -> None:
    for server in pair:
        server.redis.config_set("cluster-preferred-endpoint-type", "unknown-endpoint")
    own = owners(pair)[0]
    # All others are unknown to it by host as well; here they share one.
    assert store.write(("SET", KEYS[0], "1")) == [True]
    assert own.redis.get(KEYS[0]) == b"1"
    for server in pair:
        server.redis.config_set("cluster-preferred-endpoint-type", "ip")


def test_after_a_silence_every_connection_is_made_anew(store: Store, pair: Pair) -> None:
    store.write(*(("SET", key, "1") for key in KEYS))
    before = [server.redis.info("stats")["total_connections_received"] for server in pair]
    store.note_failure(RedisTimeoutError("silent"))
    assert store.read(*(("GET", key) for key in KEYS)) == [b"1"] * len(KEYS)
    after = [server.redis.info("stats")["total_connections_received"] for server in pair]
    assert all(now > then for now, then in zip(after, before, strict=True))


def test_a_cluster_of_which_nobody_answers_is_away_and_one_without_a_slot_is_down() -> None:
    away = Store.from_settings(make_settings(REDIS_URL=f"redis+cluster://127.0.0.1:{free_ports(1)[0]}"))
    with pytest.raises(StoreUnavailable) as failed:
        away.write(("SET", "a", "1"))
    assert "refused" in cause_of(failed.value.__cause__ or failed.value).says
    assert not away.answers()
    away.close()


@pytest.fixture
def guarded(pair: Pair, undone: None, tmp_path: Path) -> Iterator[tuple[str, Certificate]]:
    """The address of a Cluster that speaks TLS and lets in a user with the documented rights alone; its certificate."""
    del undone
    certificate = make_certificate(tmp_path)
    with TLSFront(pair[0].port, certificate) as one, TLSFront(pair[1].port, certificate) as other:
        fronts = one.port, other.port
        for server, port in zip(pair, fronts, strict=True):
            server.redis.config_set("cluster-announce-port", str(port))
            server.say("ACL", "SETUSER", "zis", "reset", "on", ">password", "~zis:*", *rights())
        wait_until(lambda: all({entry[2][1] for entry in server.slots()} == {*fronts} for server in pair))
        yield f"rediss+cluster://zis:password@127.0.0.1:{one.port}", certificate


@pytest.fixture
def undone(pair: Pair) -> Iterator[None]:
    """Let the servers be at the end as they were."""
    yield
    for server in pair:
        server.redis.config_set("cluster-announce-port", "0")
        server.say("ACL", "DELUSER", "zis")
    wait_until(lambda: all({entry[2][1] for entry in server.slots()} == {one.port for one in pair} for server in pair))


def test_under_tls_every_server_is_verified_and_asked_by_user_and_password(
    guarded: tuple[str, Certificate], make_admin: MakeAdmin
) -> None:
    url, certificate = guarded
    admin = make_admin(REDIS_URL=url, REDIS_TLS_CA=str(certificate.certificate))
    assert admin.connect("acme").status_code == 200
    assert admin.install("escalate_vip_order").get_json()["verified"] is True
    for command in ("accounts", "refresh-tokens", "rotate-keys"):
        assert run(admin.app, command).status == 0
    checks = run(admin.app, "doctor", "--json").json()["checks"]
    assert [one for one in checks if one["status"] == "FAIL"] == []
    store = collaborator(admin.app, Store)
    store.write(*(("SET", key, number) for number, key in enumerate(KEYS)))
    assert store.read(*(("GET", key) for key in KEYS)) == [str(number).encode() for number in range(len(KEYS))]
    assert len({store.node_of(key) for key in KEYS}) == 2


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({}, "nobody this machine trusts"),
        ({"REDIS_TLS_VERIFY": "false", "REDIS_URL": "zis:other@"}, "refuses user and password"),
        ({"REDIS_TLS_VERIFY": "false"}, None),
    ],
    ids=["unknown CA", "wrong password", "unverified"],
)
def test_what_keeps_a_cluster_under_tls_from_answering_is_said(
    changed: dict[str, str], says: str | None, guarded: tuple[str, Certificate]
) -> None:
    url = guarded[0].replace("zis:password@", changed.get("REDIS_URL", "zis:password@"))
    store = Store.from_settings(make_settings(**{**changed, "REDIS_URL": url}))
    if says is None:
        assert store.write(*(("SET", key, "1") for key in KEYS)) == [True] * len(KEYS)
    else:
        with pytest.raises(StoreUnavailable) as failed:
            store.write(("SET", KEYS[0], "1"))
        assert says in cause_of(failed.value.__cause__ or failed.value).says
    store.close()


def made(asked: Any) -> Nodes:
    """Return nodes that learn from `asked` where the slots are; no connection is made to them."""
    return Nodes((("seed", 1),), lambda at: Connections(host=at[0], port=at[1], max_connections=1, timeout=1), asked)


def test_a_slot_that_nobody_has_is_asked_for_again() -> None:
    found: list[list[Any]] = [[[0, 10, [b"one", 1]]], [[0, 20, [b"one", 1]]]]
    nodes = made(lambda _: found.pop(0))
    with pytest.raises(SlotUnknown) as unknown:
        nodes.of_slot(15)
    assert cause_of(unknown.value).says == "The Redis Cluster is down."
    assert nodes.of_slot(15).address == ("one", 1)


def test_whoever_comes_while_the_slots_are_asked_for_the_first_time_waits_for_them() -> None:
    is_asked, may_answer = threading.Event(), threading.Event()

    def ask(_: tuple[str, int]) -> list[Any]:
        is_asked.set()
        may_answer.wait(30)
        return [[0, 16383, [b"one", 1]]]

    nodes = made(ask)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(nodes.of_slot, 5)
        is_asked.wait(30)
        others = [pool.submit(nodes.of_slot, slot) for slot in range(4)]
        masters = [pool.submit(nodes.masters) for _ in range(4)]
        wait_until(lambda: all(one.running() or one.done() for one in others))
        wait_until(lambda: all(one.running() or one.done() for one in masters))
        may_answer.set()
        assert {one.result().address for one in (first, *others)} == {("one", 1)}
        assert [[node.address for node in one.result()] for one in masters] == [[("one", 1)]] * 4


def test_a_server_that_has_no_slot_any_more_is_forgotten_and_replicas_are_asked_too() -> None:
    asked: list[tuple[str, int]] = []
    found: list[Any] = [[[0, 16383, [b"one", 1], [b"two", 2]]], RedisError("away"), [[0, 16383, [b"two", 2]]]]

    def ask(address: tuple[str, int]) -> list[Any]:
        asked.append(address)
        reply = found.pop(0)
        if isinstance(reply, RedisError):
            raise reply
        return list(reply)

    nodes = made(ask)
    first = nodes.of_slot(5)
    nodes.forget()
    assert nodes.of_slot(5).address == ("two", 2)
    assert asked == [("seed", 1), ("one", 1), ("two", 2)]
    assert nodes.at(("one", 1)) is not first


@pytest.mark.parametrize("reply", [[], RedisError("away")], ids=["no slots", "away"])
def test_where_no_server_says_anything_that_is_raised(reply: list[Any] | RedisError) -> None:
    def ask(_: tuple[str, int]) -> list[Any]:
        if isinstance(reply, RedisError):
            raise reply
        return reply

    nodes = made(ask)
    for _ in range(2):
        with pytest.raises(RedisError):
            nodes.masters()


def test_a_command_follows_where_it_is_sent_whatever_the_first_node_says(pair: Pair) -> None:
    owner, other = owners(pair)
    # What a node says of all slots that has not heard yet who has them.
    late = [[0, SLOTS - 1, [b"127.0.0.1", other.port]]]
    nodes = Nodes(
        (("127.0.0.1", other.port),),
        lambda at: Connections(host=at[0], port=at[1], max_connections=2, timeout=1),
        lambda _: late,
    )
    cluster = Cluster(nodes, ClusterPool(nodes, max_connections=1, timeout=1))
    assert cluster.together((("SET", KEYS[0], "1"),)) == [True]
    assert owner.redis.get(KEYS[0]) == b"1"
    nodes.close()
