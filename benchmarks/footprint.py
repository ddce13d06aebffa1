"""Start-up, memory, what is kept in Redis and what is asked of it."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.figures import Figure
from benchmarks.load import Caller, Load, Request
from benchmarks.processes import Program, megabytes_of
from benchmarks.subjects import begin_floor
from benchmarks.world import Service, World, connect_by_the_pages
from service.ground.subdomains import Subdomain

MANY_ACCOUNTS = 10_000
MEASURED_ACCOUNTS = 20
# A slow machine serves fewer accounts; the report says how many it were.
LONGEST_SERVING_SECONDS = 90.0
# What is kept of an account, in the order of `Kept`.
_KINDS = ("connection", "activity", "list")
# Commands of our own that are no part of a request.
_NOT_ASKED = frozenset({"cmdstat_info", "cmdstat_config|resetstat", "cmdstat_config"})


@dataclass(frozen=True, slots=True)
class StartUp:
    """Seconds from the command to the first answer."""

    service: Figure
    floor: Figure


@dataclass(frozen=True, slots=True)
class Memory:
    """Megabytes that a worker takes: its own, and its part of what it shares with the others."""

    fresh: Figure
    """Started, and asked once."""
    busy: Figure
    """After serving every one of many accounts."""
    accounts: int


@dataclass(frozen=True, slots=True)
class Kept:
    """Bytes in Redis for one account with one integration."""

    connection: Figure
    """Grant, minted token, the admin's role, what is known of the integration."""
    activity: Figure
    """One entry: that it was connected."""
    list: Figure


def measure_start_up(world: World, rounds: int, progress: Callable[[str], None]) -> StartUp:
    """Start the service and the floor in turn."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(1, rounds + 1):
        progress(f"start-up, round {number} of {rounds}")
        for program_number, into in enumerate(times):
            program = begin_floor(world) if program_number else world.begin_service("start").program
            try:
                into.append(program.wait_until_ready().ready_after)
            finally:
                program.stop()
    return StartUp(Figure(tuple(times[0])), Figure(tuple(times[1])))


def measure_memory(world: World, caller: Caller, accounts: int, progress: Callable[[str], None]) -> Memory | None:
    """Ask for a list of each of many connected accounts; None: this system does not say (no /proc)."""
    world.set_delay(0)
    with world.service_for_a_while("many") as service:
        first = world.connect(service.settings, ["many0"])
        caller.load(service.program, service.requests(first), connections=4, seconds=1)
        try:
            fresh = _taken(service.program)
        except OSError:
            return None
        progress(f"connecting {accounts:,} accounts")
        names = world.connect(service.settings, [f"many{number}" for number in range(1, accounts)])
        asked = 0
        until = time.monotonic() + LONGEST_SERVING_SECONDS
        while asked < accounts and time.monotonic() < until:
            progress(f"memory: {asked:,} of {accounts:,} accounts asked")
            # A load begins with the first of its requests each time.
            load = caller.load(service.program, service.requests(names[asked:] or first), connections=64, seconds=5)
            asked += max(1, load.requests)
        return Memory(fresh, _taken(service.program), min(asked, accounts))


def _taken(program: Program) -> Figure:
    return Figure(tuple(megabytes_of(worker) for worker in program.children()))


def measure_kept(world: World, service: Service, caller: Caller) -> Kept:
    """Connect some accounts by the service's own pages, look at each as its admin, and weigh what Redis keeps."""
    accounts = [connect_by_the_pages(service, f"weighed{number}") for number in range(MEASURED_ACCOUNTS)]
    caller.load(service.program, service.requests(accounts), connections=4, seconds=1)
    weights = [_weights(world, account) for account in accounts]
    return Kept(*(Figure(tuple(weight[kind] for weight in weights)) for kind in _KINDS))


def _weights(world: World, account: Subdomain) -> Counter[str]:
    """Return the bytes of an account's keys by kind."""
    weights: Counter[str] = Counter()
    for key in world.redis.scan_iter(match=f"zis:{{{account}}}:*", count=1000):
        kind = key.decode().split(":")[2]
        weights[kind if kind in _KINDS else "connection"] += world.redis.memory_usage(key, samples=0) or 0
    return weights


def commands_per_request(world: World, program: Program, requests: list[Request], caller: Caller) -> Figure:
    """Return how many commands Redis is asked for one request."""
    shares = []
    # Roles are asked for and lists are kept before anything is counted.
    caller.load(program, requests, connections=16, seconds=1)
    for _ in range(3):
        world.redis.config_resetstat()
        load: Load = caller.load(program, requests, connections=16, seconds=1)
        told = world.redis.info("commandstats")
        asked = sum(entry["calls"] for name, entry in told.items() if name not in _NOT_ASKED)
        shares.append(asked / load.requests)
    return Figure(tuple(shares))
