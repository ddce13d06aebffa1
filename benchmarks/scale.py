"""What one more account, agent or opening costs Redis, Zendesk and the processor; docs/scale.md calculates on with it.

    python -m benchmarks.scale

An opening is Zendesk's signed POST, answered with the page and the list in it. Commands that a script runs inside Redis
count like those that it is sent.
"""

import http.client
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlencode

from benchmarks.load import Request
from benchmarks.opening import signed
from benchmarks.processes import cpu_seconds
from benchmarks.world import ADMIN, Service, World, connect_by_the_pages
from sandbox.simulator.signing import public_key_pem
from service.ground.subdomains import Subdomain

QUIET = 1000
CONNECTED = 50
AGENTS = 20
OPENINGS = 400
CALLERS = 8
_OF_HANDSHAKES = b"zis:state"
# Commands of our own that are no part of a request.
_NOT_ASKED = frozenset({"cmdstat_info", "cmdstat_config|resetstat"})


@dataclass(frozen=True, slots=True)
class Cost:
    """What something took, in all, or (of `each`) a piece."""

    commands: float
    redis_bytes: float
    """To Redis and from it."""
    redis_cpu: float
    """Seconds."""
    cpu: float
    """Seconds of all processes of the service; so with what goes on behind the answers."""
    zendesk_calls: float
    seconds: float

    def each(self, pieces: int) -> "Cost":
        """Return what a piece took."""
        return Cost(*(getattr(self, name) / pieces for name in self.__slots__))

    def row(self, name: str) -> str:
        """Return the line of a table."""
        return (
            f"| {name} | {self.commands:.1f} | {self.redis_bytes / 1000:.1f} KB | {self.redis_cpu * 1e6:.0f} µs |"
            f" {self.cpu * 1000:.1f} ms | {self.zendesk_calls:.2f} |"
        )


class Meter:
    """Says what Redis, the stand-in for Zendesk and the service's processes have been asked for."""

    def __init__(self, world: World, service: Service) -> None:
        self._world = world
        self._service = service

    def _now(self) -> Cost:
        told = self._world.redis.info("all")
        commands = sum(
            entry["calls"] for name, entry in told.items() if name.startswith("cmdstat_") and name not in _NOT_ASKED
        )
        counts = self._world.counts()
        return Cost(
            commands=commands,
            redis_bytes=told["total_net_input_bytes"] + told["total_net_output_bytes"],
            redis_cpu=told["used_cpu_user"] + told["used_cpu_sys"],
            cpu=cpu_seconds(self._service.program.processes()) or 0.0,
            zendesk_calls=counts.lists + counts.users + counts.refreshes + counts.others,
            seconds=time.monotonic(),
        )

    def cost_of(self, call: Callable[[], None]) -> Cost:
        """Return what a call took, together with what it left to be done behind its answers.

        What asking costs is taken off, as far as it is known: the second of two questions in a row.
        """
        self._now()
        first = self._now()
        before = self._now()
        call()
        # Behind the answers a stale list is asked for anew, and written.
        time.sleep(0.5)
        after = self._now()
        spent = {name: getattr(after, name) - getattr(before, name) for name in Cost.__slots__}
        asking = {name: getattr(before, name) - getattr(first, name) for name in ("redis_bytes", "redis_cpu")}
        return replace(Cost(**spent), **{name: spent[name] - asking[name] for name in asking})

    def kept(self, call: Callable[[], None]) -> int:
        """Return how many bytes more Redis keeps after a call; what goes within minutes of a handshake is left out."""
        before = self._weight()
        call()
        time.sleep(0.5)
        return self._weight() - before

    def _weight(self) -> int:
        """Return the bytes of all keys, with what Redis needs to find each."""
        keys = [key for key in self._world.redis.scan_iter(count=1000) if not key.startswith(_OF_HANDSHAKES)]
        with self._world.redis.pipeline(transaction=False) as asked:
            for key in keys:
                asked.memory_usage(key, samples=0)
            return sum(size or 0 for size in asked.execute())


@contextmanager
def connection_to(service: Service) -> Iterator[http.client.HTTPConnection]:
    """Keep a connection open, as a router does."""
    connection = http.client.HTTPConnection("127.0.0.1", service.program.port, timeout=30)
    try:
        yield connection
    finally:
        connection.close()


def open_tickets(service: Service, whose: Iterable[tuple[Subdomain, int]]) -> None:
    """Open a ticket as each of these agents (account, user id), one after another."""
    with connection_to(service) as connection:
        for account, user in whose:
            body = urlencode({"token": signed(account, user)})
            connection.request("POST", "/sidebar", body, {"Content-Type": "application/x-www-form-urlencoded"})
            reply = connection.getresponse()
            page = reply.read()
            assert reply.status == http.HTTPStatus.OK, page  # noqa: S101 - a benchmark of refusals would be a lie


def ask(service: Service, requests: Iterable[Request]) -> None:
    """Make some requests, one after another."""
    with connection_to(service) as connection:
        for request in requests:
            connection.request("GET", request.path, headers={"Authorization": request.authorization})
            reply = connection.getresponse()
            body = reply.read()
            assert reply.status == http.HTTPStatus.OK, body  # noqa: S101 - likewise


def open_at_once(service: Service, account: Subdomain) -> None:
    """Open tickets by several callers, each one after another."""
    with ThreadPoolExecutor(CALLERS) as pool:
        shares = [[(account, ADMIN)] * (OPENINGS // CALLERS)] * CALLERS
        list(pool.map(lambda share: open_tickets(service, share), shares))


def measure(world: World, service: Service) -> str:
    """Return the tables."""
    meter = Meter(world, service)
    accounts: list[Subdomain] = []

    def connect_some() -> None:
        accounts.extend(connect_by_the_pages(service, f"scale{number}") for number in range(CONNECTED))

    def look(agents: range) -> None:
        ask(service, service.requests(accounts, agents))

    def store_grants() -> None:
        world.connect(service.settings, [f"quiet{number}" for number in range(QUIET)])

    quiet = meter.kept(store_grants)
    connecting = meter.kept(connect_some)
    first = meter.kept(lambda: look(range(ADMIN, ADMIN + 1)))
    agents = meter.kept(lambda: look(range(ADMIN + 1, ADMIN + AGENTS)))
    memory = [
        "| in Redis | bytes |",
        "| --- | --- |",
        f"| a grant that nobody looks at | {quiet / QUIET:,.0f} |",
        f"| an account just connected by its admin, with its activity | {connecting / CONNECTED:,.0f} |",
        f"| its first list of 12 job specs, minted token and role, besides | {first / CONNECTED:,.0f} |",
        f"| each further agent who opens tickets | {agents / CONNECTED / (AGENTS - 1):,.0f} |",
    ]

    warm = accounts[0]
    costs = [
        "| | Redis commands | traffic | Redis's CPU | CPU | calls to Zendesk |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    kept = meter.cost_of(lambda: open_tickets(service, [(warm, ADMIN)] * OPENINGS)).each(OPENINGS)
    costs.append(kept.row("an opening, one after another"))
    crowd = meter.cost_of(lambda: open_at_once(service, warm))
    costs.append(crowd.each(OPENINGS).row(f"an opening, {CALLERS} at a time"))
    requests = service.requests([warm]) * OPENINGS
    costs.append(meter.cost_of(lambda: ask(service, requests)).each(OPENINGS).row("a cached list"))
    for key in world.redis.scan_iter(match="zis:{scale*}:list:*", count=1000):
        world.redis.delete(key)
    cold = meter.cost_of(lambda: ask(service, service.requests(accounts))).each(CONNECTED)
    costs.append(cold.row("a list that is asked of Zendesk"))
    world.connect(service.settings, [f"ended{number}" for number in range(CONNECTED)], expires_in=-100)
    ended = service.requests([Subdomain(f"ended{number}") for number in range(CONNECTED)])
    costs.append(
        meter.cost_of(lambda: ask(service, ended))
        .each(CONNECTED)
        .row("the first list after a pause: refresh, mint, role, list")
    )
    rate = f"{CALLERS} at a time: {OPENINGS / (crowd.seconds - 0.5):,.0f} openings a second."
    return "\n".join([*memory, "", *costs, "", rate])


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder, World(Path(folder)) as world:
        service = world.start_service("scale", ZENDESK_APP_PUBLIC_KEY=public_key_pem())
        world.set_delay(0)
        print(measure(world, service))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
