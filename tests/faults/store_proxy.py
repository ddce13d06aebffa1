"""Stands between the service and its store, and knows where commands and their replies end (RESP2 and RESP3).

So one chosen command can be held or cut off, before it takes effect or after.
"""

import contextlib
import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from queue import SimpleQueue
from typing import BinaryIO, Self

Command = list[bytes]
Matches = Callable[[Command], bool]
_AGGREGATES = {b"*": 1, b"~": 1, b">": 1, b"%": 2}


class Moment:
    """One command that is to be spoiled: the `nth` that fits."""

    def __init__(self, matches: Matches, nth: int, *, after_effect: bool, is_cut: bool) -> None:
        self.after_effect = after_effect
        self.is_cut = is_cut
        self._matches = matches
        self._left = nth
        self._come = threading.Event()
        self._go = threading.Event()
        self._is_dropped = False

    @property
    def has_come(self) -> bool:
        return self._come.is_set()

    def wait(self) -> None:
        """Return once the command has come (and, `after_effect`, has had its effect)."""
        assert self._come.wait(30), "the command did not come"

    def release(self) -> None:
        """Let the held command, or its reply, go on its way."""
        self._go.set()

    def drop(self) -> None:
        """Let the held command, or its reply, never arrive: whoever sent it is dead."""
        self._is_dropped = True
        self._go.set()

    # --- the proxy's side ---

    def strikes(self, command: Command) -> bool:
        if self._left == 0 or not self._matches(command):
            return False
        self._left -= 1
        return self._left == 0

    def passes(self) -> bool:
        """Return whether what was struck goes on, once the test says so."""
        self._come.set()
        if self.is_cut:
            return False
        self._go.wait()
        return not self._is_dropped


def named(*words: str) -> Matches:
    """Return what fits a command by its first words, a key among them."""
    wanted = [word.encode() for word in words]
    return lambda command: command[: len(wanted)] == wanted


def script(source: str, key: str | None = None) -> Matches:
    """Return what fits a run of a Lua script, on any key or one."""
    sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
    return named("EVALSHA", sha) if key is None else named("EVALSHA", sha, "1", key)


class StoreProxy:
    """Listens on a free loopback port; connections made from now on lead to `target`, a port."""

    target: int

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self._moments: list[Moment] = []
        self._lock = threading.Lock()
        self.open_connections = 0
        """Without those of a Sentinel, which are made again at once."""
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # Closing alone would not wake the thread that accepts.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    @contextmanager
    def holding(self, matches: Matches, *, nth: int = 1, after_effect: bool = False) -> Iterator[Moment]:
        """Hold a command, or with `after_effect` the reply to it, until it is released or the block ends."""
        with self._spoiling(Moment(matches, nth, after_effect=after_effect, is_cut=False)) as moment:
            yield moment

    @contextmanager
    def cutting(self, matches: Matches, *, nth: int = 1, after_effect: bool = False) -> Iterator[Moment]:
        """Break the connection in the place of a command, or with `after_effect` of the reply to it."""
        with self._spoiling(Moment(matches, nth, after_effect=after_effect, is_cut=True)) as moment:
            yield moment

    @contextmanager
    def _spoiling(self, moment: Moment) -> Iterator[Moment]:
        with self._lock:
            self._moments.append(moment)
        try:
            yield moment
        finally:
            with self._lock:
                self._moments.remove(moment)
            moment.release()

    def _struck(self, command: Command) -> Moment | None:
        with self._lock:
            return next((moment for moment in self._moments if moment.strikes(command)), None)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with (
            connection,
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.target)) as upstream,
        ):
            for end in (connection, upstream):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection.makefile("rb") as commands:
                first = _frame(commands)
                if first is not None and _is_of_sentinel(_words(first)):
                    self._watch(first, commands, upstream, connection)
                elif first is not None:
                    self._relay(first, commands, upstream, connection)

    def _watch(self, first: bytes, commands: BufferedReader, upstream: socket.socket, back: socket.socket) -> None:
        """Relay what a Sentinel says, which is no test's concern; it is also told what it has not asked."""
        listening = threading.Thread(target=_pour, args=(upstream.makefile("rb"), upstream, back), daemon=True)
        listening.start()
        with contextlib.suppress(OSError):
            upstream.sendall(first)
        _pour(commands, back, upstream)
        listening.join()

    def _relay(self, first: bytes, commands: BinaryIO, upstream: socket.socket, connection: socket.socket) -> None:
        # What is to become of the replies to the commands that are under way.
        struck: SimpleQueue[Moment | None] = SimpleQueue()
        back = threading.Thread(target=self._relay_replies, args=(upstream, connection, struck), daemon=True)
        with self._lock:
            self.open_connections += 1
        back.start()
        with _closing_both(connection, upstream):
            self._relay_commands(first, commands, upstream, struck)
        back.join()
        with self._lock:
            self.open_connections -= 1

    def _relay_commands(
        self, first: bytes, commands: BinaryIO, upstream: socket.socket, struck: "SimpleQueue[Moment | None]"
    ) -> None:
        raw: bytes | None = first
        while raw is not None:
            moment = self._struck(_words(raw))
            if moment is not None and not moment.after_effect:
                if not moment.passes():
                    return
                moment = None
            struck.put(moment)
            upstream.sendall(raw)
            raw = _frame(commands)

    def _relay_replies(
        self, upstream: socket.socket, connection: socket.socket, struck: "SimpleQueue[Moment | None]"
    ) -> None:
        with _closing_both(connection, upstream), upstream.makefile("rb") as replies:
            while (raw := _frame(replies)) is not None:
                moment = None if raw.startswith(b">") else struck.get()
                if moment is not None and not moment.passes():
                    return
                connection.sendall(raw)


def _is_of_sentinel(command: Command) -> bool:
    """Return whether what begins a connection is a Sentinel's greeting."""
    return [word.upper() for word in command[:2]] == [b"CLIENT", b"SETNAME"] and command[2].startswith(b"sentinel-")


def _pour(source: BufferedReader, *ends: socket.socket) -> None:
    """Send what comes from the source to the last end, until either is closed."""
    with _closing_both(*ends), source:
        while data := source.read1():
            ends[-1].sendall(data)


@contextmanager
def _closing_both(*ends: socket.socket) -> Iterator[None]:
    """Let neither end of a connection outlive the other."""
    try:
        with contextlib.suppress(OSError):
            yield
    finally:
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _frame(stream: BinaryIO) -> bytes | None:
    """Return the bytes of the next value; None: the other side has gone."""
    head = stream.readline()
    if not head.endswith(b"\r\n"):
        return None
    kind, length = head[:1], head[1:-2]
    if kind in {b"$", b"=", b"!"} and length != b"-1":
        return head + stream.read(int(length) + 2)
    if kind in _AGGREGATES and length != b"-1":
        parts = [_frame(stream) for _ in range(int(length) * _AGGREGATES[kind])]
        return None if None in parts else head + b"".join(part for part in parts if part is not None)
    return head


def _words(raw: bytes) -> Command:
    """Return the words of a command's frame: the lines after each length, none of which holds a line break early."""
    words, rest = [], raw.partition(b"\r\n")[2]
    while rest:
        length, _, rest = rest.partition(b"\r\n")
        size = int(length[1:])
        words.append(rest[:size])
        rest = rest[size + 2 :]
    return words
