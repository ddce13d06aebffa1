"""Stands between the service and its store, as a firewall or a balancer does that forgets connections."""

import contextlib
import select
import socket
import struct
import threading
from typing import Self


class Middlebox:
    """Relays connections to `target`, a loopback port, until it is told to forget or to reset those that are open."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self._ways: list[tuple[socket.socket, socket.socket]] = []
        self._forgotten: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._relay)
        self.made = 0
        """Connections that have come in."""
        self.takes_no_more = False
        """Whether new connections are closed at once."""
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._listener.close()
        for way in (*self._ways, *self._forgotten):
            for end in way:
                end.close()

    def forget(self) -> None:
        """Pass nothing on over the connections that are open, without a word to either side."""
        with self._lock:
            self._forgotten += self._ways
            self._ways.clear()

    def reset(self) -> None:
        """Break the connections that are open with an RST."""
        with self._lock:
            for near, far in self._ways:
                near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                near.close()
                far.close()
            self._ways.clear()

    def _relay(self) -> None:
        while not self._ended.is_set():
            with self._lock:
                to = {end: other for way in self._ways for end, other in (way, way[::-1])}
            with contextlib.suppress(OSError, ValueError):
                for readable in select.select([self._listener, *to], [], [], 0.01)[0]:
                    with self._lock:
                        self._pass(readable, to)

    def _pass(self, readable: socket.socket, to: dict[socket.socket, socket.socket]) -> None:
        if readable is self._listener:
            near, _ = self._listener.accept()
            self.made += 1
            if self.takes_no_more:
                near.close()
                return
            self._ways.append((near, socket.create_connection(("127.0.0.1", self._target))))
        elif any(readable in way for way in self._ways):
            to[readable].sendall(readable.recv(65_536))
