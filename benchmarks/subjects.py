"""What is compared, side by side in one run."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.load import Request
from benchmarks.nginx import nginx
from benchmarks.processes import WORKERS, Program, free_port, gunicorn
from benchmarks.world import Service, World
from service.ground.subdomains import Subdomain

CACHED, UNCACHED, NAIVE, FLOOR, NGINX, DIRECT = "cached", "uncached", "naive", "floor", "nginx", "direct"
MANY_NAIVE = "naive+"
TITLES = {
    CACHED: "this service, cached list",
    UNCACHED: "this service, uncached",
    NAIVE: f"naive version, {WORKERS} sync workers",
    MANY_NAIVE: "naive version, 5 sync workers",
    FLOOR: "Flask answering a constant",
    NGINX: "nginx with a static token",
    DIRECT: "the upstream, called directly",
}
# gunicorn's advice (design.html, "How Many Workers?"): 2 x cores + 1.
_ADVISED_WORKERS = 5
# So many that four calls at once per account and process never bind.
UNCACHED_ACCOUNTS = 256
# Each is asked anew every 15 s: 4 questions a second.
CACHED_ACCOUNTS = 64


@dataclass(slots=True)
class Subject:
    """Something that answers lists."""

    name: str
    program: Program
    requests: Callable[[], list[Request]]
    """Made anew for each delay: sessions last 15 minutes."""
    restart: Callable[[], Program] | None = None
    """For what goes on working off callers that have left: begin anew instead."""
    delays: frozenset[int] | None = None
    """Milliseconds at which it is measured; None: at all."""
    connections: frozenset[int] | None = None
    is_warmed: bool = False
    """Whether every request is sent once before a run: for what is to be found cached."""
    has_own_cpu: bool = True
    """False: its processor time is the upstream's."""


@dataclass(slots=True)
class Subjects:
    """All of them, in the order of the tables; `missing`: why one is not there."""

    cached: Service
    """The service that caches, for what needs its settings."""
    present: list[Subject] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)

    def stop(self) -> None:
        """End them all but the upstream, so that they take no processor time from what comes next."""
        for one in self.present:
            if one.has_own_cpu:
                one.program.stop()

    def at(self, delay: int, connections: int) -> list[Subject]:
        """Return those that are measured at a delay and a number of connections."""
        return [
            one
            for one in self.present
            if (one.delays is None or delay in one.delays)
            and (one.connections is None or connections in one.connections)
        ]


def start_subjects(world: World, middle_delay: int) -> Subjects:
    """Start all of them; what does not depend on the upstream is measured at `middle_delay` alone."""
    cached = world.start_service("cached")
    uncached = world.start_service("uncached", LIST_CACHE_SECONDS="0")
    accounts = world.connect(cached.settings, [f"bench{number}" for number in range(UNCACHED_ACCOUNTS)])
    found = Subjects(cached)
    few = accounts[:CACHED_ACCOUNTS]
    found.present = [
        Subject(CACHED, cached.program, lambda: cached.requests(few), is_warmed=True),
        Subject(UNCACHED, uncached.program, lambda: uncached.requests(accounts)),
        _floor(world, middle_delay),
        _naive(world, NAIVE, WORKERS),
        _naive(world, MANY_NAIVE, _ADVISED_WORKERS),
    ]
    found.present[-1].delays = frozenset({middle_delay})
    found.present[-1].connections = frozenset({64})
    listed = [_list_path(account) for account in accounts]
    proxy = nginx(world.folder, world.upstream.port, listed[0], "static")
    if proxy is None:
        found.missing[NGINX] = "nginx is not installed"
    else:
        found.present.append(Subject(NGINX, world.keep(proxy), lambda: [Request(path) for path in listed]))
    direct = Subject(DIRECT, world.upstream, lambda: [Request(path, "Bearer static") for path in listed])
    direct.has_own_cpu = False
    found.present.append(direct)
    return found


def _list_path(account: Subdomain) -> str:
    return f"/a/{account}/api/services/zis/registry/{account}_orders/job_specs?page%5Bsize%5D=100"


def _floor(world: World, delay: int) -> Subject:
    return Subject(FLOOR, world.keep(begin_floor(world)), lambda: [Request("/")], delays=frozenset({delay}))


def begin_floor(world: World) -> Program:
    """Start the floor; it is not waited for, and nobody else ends it."""
    environment = {"PORT": str(free_port())}
    config = ("--config", "python:benchmarks.floor_gunicorn")
    log = world.folder / "floor.log"
    return gunicorn("benchmarks.floor:app", *config, path="/", log=log, environment=environment)


def _naive(world: World, name: str, workers: int) -> Subject:
    port = free_port()
    environment = {
        "ZENDESK_URL": f"{world.upstream.url}/a/naive",
        "ZIS_INTEGRATION": "naive_orders",
        "ZENDESK_TOKEN": "static",
    }
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--access-logfile", "-"]
    command += ["--workers", str(workers), "benchmarks.naive:app"]

    def start() -> Program:
        log = world.folder / f"{name}.log"
        return world.keep(Program(command, port=port, path="/job_specs", log=log, environment=environment))

    return Subject(name, start(), lambda: [Request("/job_specs")], restart=start)
