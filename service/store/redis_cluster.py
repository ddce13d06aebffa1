"""A client of a Redis Cluster: every command goes to the master of its key's slot, and follows it when that moves.

Not redis-py's own: that connects when it is made, looks names up without a limit, repeats what failed by itself, and
raises what is no `RedisError`. Here each node has a pool of our connections, and a failure is one at once.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from redis import Redis
from redis.commands.core import Script
from redis.crc import key_slot
from redis.exceptions import AskError, MovedError, RedisError, TryAgainError
from redis.exceptions import ConnectionError as RedisConnectionError

from service.store.redis_pool import Connections
from service.store.shared_reads import SharedReads

Command = tuple[object, ...]
Address = tuple[str, int]

# For each step of asking one node where the slots are; another is tried then.
ASK_SECONDS = 0.5
# A slot that is being moved is between two nodes for a moment (TRYAGAIN, ASK), and may be found elsewhere (MOVED).
REDIRECTIONS = 20
PAUSE_SECONDS = 0.05
_KEYLESS = frozenset({"TIME", "PING", "DBSIZE", "INFO", "SCAN", "SCRIPT", "CONFIG", "CLUSTER"})
_SCRIPTS = frozenset({"EVALSHA", "EVAL"})


class SlotUnknown(RedisConnectionError):
    """No node says who has a slot."""


class SlotDisputed(RedisConnectionError):
    """The nodes do not agree about who has a slot: each that is asked names another."""


class Node:
    """One node: its own pool, and what threads read from it together."""

    def __init__(self, address: Address, make_pool: Callable[[Address], Connections]) -> None:
        self.address = address
        self.pool = make_pool(address)
        self.redis = Redis(connection_pool=self.pool)
        self._reads = SharedReads(self.redis)

    def read(self, commands: tuple[Command, ...]) -> list[Any]:
        """Return the replies to reading commands, shared with other threads; the first refusal is raised."""
        return self._reads.replies(commands)

    def send(self, commands: Sequence[Command]) -> list[Any]:
        """Return the replies; a refusal is one of them."""
        pipeline = self.redis.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py leaves it so
        return pipeline.execute(raise_on_error=False)

    def ask(self, command: Command) -> Any:
        """Return the reply to a command for a slot that is on its way to this node; a refusal is one, too."""
        pipeline = self.redis.pipeline(transaction=False)
        pipeline.execute_command("ASKING")  # type: ignore[no-untyped-call]  # likewise
        pipeline.execute_command(*command)  # type: ignore[no-untyped-call]  # likewise
        return pipeline.execute(raise_on_error=False)[1]


class Nodes:
    """Who has which slot. Asked at the first command, and again after a failure."""

    def __init__(
        self,
        seeds: tuple[Address, ...],
        make_pool: Callable[[Address], Connections],
        ask_slots: Callable[[Address], list[Any]],
    ) -> None:
        self._seeds = seeds
        self._make_pool = make_pool
        self._ask_slots = ask_slots
        self._lock = threading.Lock()
        self._asking = threading.Lock()
        self._nodes: dict[Address, Node] = {}
        self._masters: tuple[Address, ...] = ()
        self._replicas: tuple[Address, ...] = ()
        self._slots: list[Address | None] = [None] * 16384
        self._is_stale = True

    def of_slot(self, slot: int) -> Node:
        """Return the master of a slot.

        Raises:
            RedisError: no node says who that is.
        """
        if self._is_stale:
            self._refresh()
        address = self._slots[slot]
        if address is None:
            self._await_answer()
            address = self._slots[slot]
        if address is None:
            self.forget()
            raise SlotUnknown(f"CLUSTERDOWN no node has slot {slot}")
        return self.at(address)

    def masters(self) -> list[Node]:
        """Return every master.

        Raises:
            RedisError: no node says who they are.
        """
        if self._is_stale:
            self._refresh()
        if not self._masters:
            self._await_answer()
        if not self._masters:
            raise SlotUnknown("CLUSTERDOWN no node is known")
        return [self.at(address) for address in self._masters]

    def at(self, address: Address) -> Node:
        """Return the node at an address."""
        with self._lock:
            node = self._nodes.get(address)
            if node is None:
                node = self._nodes[address] = Node(address, self._make_pool)
            return node

    def moved(self, slot: int, address: Address) -> None:
        """Note where a slot is now; the rest is asked for with the next command, for it seldom moves alone."""
        self._slots[slot] = address
        self._is_stale = True

    def forget(self) -> None:
        """Ask again before the next command."""
        self._is_stale = True

    def renew(self) -> None:
        """Let every connection be made anew before it is used, and the slots be asked for again."""
        self.forget()
        for node in self._all():
            node.pool.renew()

    def close(self) -> None:
        """Close every connection; those in use, too."""
        for node in self._all():
            node.pool.disconnect()

    def _all(self) -> list[Node]:
        with self._lock:
            return list(self._nodes.values())

    def _refresh(self) -> None:
        """Ask where the slots are unless that is known; one thread asks for all.

        Raises:
            RedisError: no node answers.
        """
        with self._asking:
            if not self._is_stale:
                return
            # Before the question: what is noted meanwhile is asked for again.
            self._is_stale = False
            try:
                self._take(self._asked())
            except BaseException:
                self._is_stale = True
                raise

    def _await_answer(self) -> None:
        """Return once nobody is asking: at the first command of a process others may come meanwhile."""
        with self._asking:
            return

    def _asked(self) -> list[Any]:
        fault: RedisError | None = None
        for address in dict.fromkeys((*self._masters, *self._replicas, *self._seeds)):
            try:
                found = self._ask_slots(address)
            except RedisError as refusal:
                fault = fault or refusal
                continue
            if found:
                return [(address, entry) for entry in found]
            fault = fault or SlotUnknown("CLUSTERDOWN no slot has a node")
        raise fault or SlotUnknown("CLUSTERDOWN no node is known")

    def _take(self, found: list[Any]) -> None:
        slots: list[Address | None] = [None] * 16384
        masters: dict[Address, None] = {}
        replicas: dict[Address, None] = {}
        for asked, (first, last, master, *others) in found:
            address = _address(master, asked)
            masters[address] = None
            replicas.update(dict.fromkeys(_address(other, asked) for other in others))
            slots[first : last + 1] = [address] * (last + 1 - first)
        self._slots, self._masters, self._replicas = slots, tuple(masters), tuple(replicas)
        with self._lock:
            gone = [self._nodes.pop(address) for address in self._nodes.keys() - masters.keys()]
        for node in gone:
            node.pool.disconnect(inuse_connections=False)


class ClusterPool(Connections):
    """Stands for the pools of all nodes, where a client's one pool is renewed or closed."""

    # Names of our own begin with two underscores: Python then makes them ours whatever redis-py comes to call its own.

    def __init__(self, nodes: Nodes, **options: Any) -> None:
        self.__nodes = nodes
        super().__init__(**options)

    def renew(self) -> None:
        self.__nodes.renew()

    def disconnect(self, inuse_connections: bool = True) -> None:
        """Close the connections to all nodes."""
        super().disconnect(inuse_connections)
        self.__nodes.close()


class Cluster(Redis):
    """A client with the interface of one Redis. Commands without a key go to any master, or to all (`SCRIPT LOAD`)."""

    def __init__(self, nodes: Nodes, pool: ClusterPool) -> None:
        self.nodes = nodes
        super().__init__(connection_pool=pool)

    def execute_command(self, *command: Any, **_: Any) -> Any:
        """Return the reply to one command.

        Raises:
            RedisError: it was refused, or its node does not answer.
        """
        if str(command[0]).upper() == "SCRIPT LOAD":
            loaded = [node.redis.script_load(command[1]) for node in self.nodes.masters()]
            return loaded[0]
        return self.together((command,))[0]

    def together(self, commands: tuple[Command, ...], *, near: str | None = None, shares: bool = False) -> list[Any]:
        """Return the replies to commands, a round trip for each node that has some of their keys.

        Those without a key (TIME) go where the first key is, or `near`. `shares`: they only read, and go together with
        what other threads read.

        Raises:
            RedisError: one was refused, or its node does not answer; others may have taken effect.
            SlotDisputed: a key is always said to be on another node.
        """
        replies: list[Any] = [None] * len(commands)
        slots = _slots_of(commands, near)
        left = list(range(len(commands)))
        moved: dict[int, Address] = {}
        for attempt in range(REDIRECTIONS):
            left = self.__sent(commands, slots, left, replies, moved, shares=shares and attempt == 0)
            if not left:
                break
            if attempt:
                time.sleep(PAUSE_SECONDS)
        refused = next((reply for reply in replies if isinstance(reply, RedisError)), None)
        if isinstance(refused, MovedError):
            raise SlotDisputed(
                f"slot {refused.slot_id} is always said to be on another node, as {refused}"
            ) from refused
        if refused is not None:
            raise refused
        return replies

    def __sent(
        self,
        commands: tuple[Command, ...],
        slots: list[int | None],
        which: list[int],
        replies: list[Any],
        moved: dict[int, Address],
        *,
        shares: bool,
    ) -> list[int]:
        """Send some of the commands, note their replies, and return those that are to be sent once more.

        `moved`: where a command was sent on to, by its place. It goes there, whatever the node says that is asked for
        all slots: that one may hear of the move later.
        """
        of_nodes: dict[Address, list[int]] = {}
        for place in which:
            address = moved.pop(place) if place in moved else self.__owner(slots[place])
            of_nodes.setdefault(address, []).append(place)
        again: list[int] = []
        for address, places in of_nodes.items():
            node = self.nodes.at(address)
            sent = tuple(commands[place] for place in places)
            found: list[Any]
            if shares:
                try:
                    found = node.read(sent)
                except (MovedError, AskError, TryAgainError):
                    # Which one is told when each has its own reply.
                    found = node.send(sent)
            else:
                found = node.send(sent)
            for place, reply in zip(places, found, strict=True):
                replies[place] = reply
                if isinstance(reply, MovedError):
                    moved[place] = (str(reply.host) or address[0], int(reply.port))
                    self.nodes.moved(int(reply.slot_id), moved[place])
                    again.append(place)
                elif isinstance(reply, AskError):
                    replies[place] = self.nodes.at((str(reply.host) or address[0], int(reply.port))).ask(
                        commands[place]
                    )
                    if isinstance(replies[place], (AskError, TryAgainError)):
                        again.append(place)
                elif isinstance(reply, TryAgainError):
                    again.append(place)
        return again

    def __owner(self, slot: int | None) -> Address:
        return (self.nodes.masters()[0] if slot is None else self.nodes.of_slot(slot)).address

    def register_script(self, script: Any) -> Script:
        """Return a script that is run where its first key is."""
        return Script(self, script)

    def info(self, section: str | None = None, *_: Any, **__: Any) -> Any:
        """Return what the masters tell of themselves: each number as the master has it that is fullest."""
        told = [node.redis.info(section) for node in self.nodes.masters()]
        return max(told, key=_fullness)


def _fullness(told: Any) -> float:
    limit = told.get("maxmemory") or 0
    return float(told.get("used_memory", 0)) / float(limit) if limit else 0.0


def _slots_of(commands: Iterable[Command], near: str | None) -> list[int | None]:
    """Return each command's slot; of one without a key that of the others, or of `near`; None: any node will do."""
    found = [None if (key := _key_of(command)) is None else key_slot(_bytes(key)) for command in commands]
    usual = next((slot for slot in found if slot is not None), None if near is None else key_slot(near.encode()))
    return [usual if slot is None else slot for slot in found]


def _key_of(command: Command) -> object | None:
    name = str(command[0]).partition(" ")[0].upper()
    if name in _KEYLESS or len(command) < 2:
        return None
    if name in _SCRIPTS:
        return command[3] if int(str(command[2])) else None
    return command[1]


def _bytes(key: object) -> bytes:
    return key if isinstance(key, bytes) else str(key).encode()


def _address(told: Sequence[Any], asked: Address) -> Address:
    """Return host and port of a node in the reply to CLUSTER SLOTS; one without a host is where was asked."""
    host = told[0].decode() if isinstance(told[0], bytes) else told[0]
    return (host if host and host != "?" else asked[0]), int(told[1])


def asking(kind: Callable[..., Any], options: dict[str, Any]) -> Callable[[Address], list[Any]]:
    """Return what asks a node for CLUSTER SLOTS, over a connection of its own with a shorter limit."""

    def ask(address: Address) -> list[Any]:
        limits = {"socket_connect_timeout": ASK_SECONDS, "socket_timeout": ASK_SECONDS}
        connection = kind(host=address[0], port=address[1], **{**options, **limits})
        try:
            connection.connect()
            connection.send_command("CLUSTER", "SLOTS")
            found: list[Any] = connection.read_response()
        finally:
            connection.disconnect()
        return found

    return ask
