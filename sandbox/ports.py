"""Finding out which loopback ports are free."""

import errno
import socket
from contextlib import ExitStack

LOOPBACKS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
# Between finding a port free and using it somebody may take it; so many tries find another.
TRIES = 50


class PortTaken(Exception):
    """Another program listens on the port."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} is taken")
        self.port = port


def service_addresses(port: int) -> list[str]:
    """Return the addresses to bind so that `localhost` reaches the service, by IPv4 and where there is one by IPv6.

    Port 0: any free one, the same for both.

    Raises:
        PortTaken: one of them is not free.
    """
    if port:
        return _bindable(port)
    for _ in range(TRIES):
        with socket.socket(*LOOPBACKS[0][:1]) as probe:
            probe.bind((LOOPBACKS[0][1], 0))
            candidate = int(probe.getsockname()[1])
        try:
            return _bindable(candidate)
        except PortTaken:
            continue
    raise PortTaken(0)


def free_ports(count: int) -> list[int]:
    """Return as many ports of 127.0.0.1 that nobody listens on now."""
    with ExitStack() as probes:
        found = []
        for _ in range(count):
            # All are held until the last one is found, so that no two are the same.
            probe = probes.enter_context(socket.socket(*LOOPBACKS[0][:1]))
            probe.bind((LOOPBACKS[0][1], 0))
            found.append(int(probe.getsockname()[1]))
        return found


def _bindable(port: int) -> list[str]:
    addresses = []
    with ExitStack() as probes:
        for family, host in LOOPBACKS:
            try:
                probe = probes.enter_context(socket.socket(family))
                # As the service's own listener will: a port that only waits out its last connection is free.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
            except OSError as exc:
                if exc.errno == errno.EADDRINUSE:
                    raise PortTaken(port) from exc
                if family == socket.AF_INET:
                    raise
                # No IPv6 on this machine.
                continue
            addresses.append(f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}")
    return addresses
