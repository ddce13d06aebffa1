"""A small proxy that opens tunnels (CONNECT), or refuses to, or hangs."""

import selectors
import socket
import socketserver
import threading
from types import TracebackType
from typing import Self


class ConnectProxy(socketserver.ThreadingTCPServer):
    """Leads every tunnel to one port of this machine; `status` other than 200 refuses, None never answers."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, behind: int, status: int | None = 200) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.behind = behind
        self.status = status
        self.heads: list[str] = []
        self.over = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()


class _Tunnel(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        proxy, client = self.server, self.request
        assert isinstance(proxy, ConnectProxy)
        head = b""
        while b"\r\n\r\n" not in head:
            chunk = client.recv(4096)
            if not chunk:
                return
            head += chunk
        proxy.heads.append(head.decode())
        if proxy.status is None:
            proxy.over.wait(30)
        elif proxy.status != 200:
            client.sendall(f"HTTP/1.1 {proxy.status} No\r\nContent-Length: 0\r\n\r\n".encode())
        else:
            with socket.create_connection(("127.0.0.1", proxy.behind)) as account:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                _relay(client, account)


def _relay(client: socket.socket, account: socket.socket) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(client, selectors.EVENT_READ, account)
        selector.register(account, selectors.EVENT_READ, client)
        while True:
            for ready, _ in selector.select():
                source = ready.fileobj
                assert isinstance(source, socket.socket)
                try:
                    data = source.recv(65536)
                    if not data:
                        return
                    ready.data.sendall(data)
                except OSError:
                    return
