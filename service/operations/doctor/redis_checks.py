"""A Redis that answers: is it the right kind, does it take and keep what is written."""

import re
from collections.abc import Iterator
from typing import Any

from service.ground.settings import Settings
from service.operations.doctor.findings import Finding
from service.operations.doctor.redis_rehearsal import rehearsal
from service.store.redis_faults import CLUSTER
from service.store.store import CONNECTIONS_PER_PROCESS, LISTS_GIVE_WAY_AT, Store, StoreRefused

# GETDEL, by which a state is consumed once, came with it.
OLDEST_REDIS = (6, 2)


def check_redis(store: Store, settings: Settings, workers: int) -> Iterator[Finding]:
    """Judge a Redis that answers; `workers` is the number of our processes on this machine.

    Raises:
        StoreUnavailable: it stopped answering.
    """
    yield _encryption(settings)
    server = _info(store, "server")
    yield _version(server)
    # As Redis calls it, and as Valkey does.
    modes = {(server or {}).get(name) for name in ("redis_mode", "server_mode")}
    if settings.redis_address.kind == "one" and "cluster" in modes:
        # A single shard would work, until there is a second.
        yield Finding("FAIL", "redis writing", CLUSTER.says, CLUSTER.advice)
    else:
        yield rehearsal(store, settings)
    memory = _info(store, "memory")
    if memory is None:
        yield _untold("redis memory")
    else:
        yield _eviction(memory)
        yield _room(memory)
    yield _persistence(store)
    yield _connections(store, workers)


def _encryption(settings: Settings) -> Finding:
    check, address = "redis tls", settings.redis_address
    if not address.is_tls and address.is_local:
        return Finding("ok", check, "The connection does not leave this machine.")
    if not address.is_tls:
        advice = "Use rediss:// unless the network between is your own: the password crosses it in clear."
        return Finding("warn", check, "The connection is not encrypted.", advice)
    if not settings.redis_tls_verify:
        advice = (
            "Set REDIS_TLS_CA if your provider has a CA, and drop REDIS_TLS_VERIFY=false. Heroku Key-Value Store has "
            "none: there it has to stay, and grants are sealed before they are sent."
        )
        return Finding(
            "warn", check, "The connection is encrypted, but the server's certificate is not verified.", advice
        )
    return Finding("ok", check, "The connection is encrypted, and the server's certificate is verified.")


def _version(server: dict[str, Any] | None) -> Finding:
    check = "redis version"
    if server is None:
        return _untold(check)
    if server.get("server_name") == "valkey":
        return Finding("ok", check, f"Valkey {server.get('valkey_version')}.")
    version = str(server.get("redis_version", "unknown"))
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < OLDEST_REDIS:
        advice = "Redis 6.2 or newer, or any Valkey, is needed: upgrade it."
        return Finding("warn", check, f"The server's version is {version}.", advice)
    return Finding("ok", check, f"Redis {version}.")


def _eviction(memory: dict[str, Any]) -> Finding:
    check, policy = "redis eviction", str(memory.get("maxmemory_policy", "unknown"))
    if policy == "noeviction":
        return Finding("ok", check, "It evicts nothing.")
    if memory.get("maxmemory") == 0:
        return Finding("ok", check, f"The policy is {policy}, but its memory has no limit, so it evicts nothing.")
    advice = (
        "When it is full it may drop grants, and those accounts have to be connected again: set maxmemory-policy to "
        "noeviction (Heroku: heroku redis:maxmemory --policy noeviction)."
    )
    return Finding("warn", check, f"The policy is {policy}.", advice)


def _room(memory: dict[str, Any]) -> Finding:
    limit, used = int(memory.get("maxmemory", 0)), int(memory.get("used_memory", 0))
    if limit == 0:
        return Finding("ok", "redis memory", "It has no limit of its own.")
    says = f"{100 * used // limit} % of it is used."
    if used < LISTS_GIVE_WAY_AT * limit:
        return Finding("ok", "redis memory", says)
    advice = (
        "Lists are not kept any more; above 80 % nobody can connect, and above 95 % no activity is kept: choose a "
        "larger plan."
    )
    return Finding("warn", "redis memory", says, advice)


def _persistence(store: Store) -> Finding:
    check, info = "redis persistence", _info(store, "persistence")
    if info is None:
        return _untold(check)
    if info.get("aof_last_write_status", "ok") != "ok" or info.get("rdb_last_bgsave_status", "ok") != "ok":
        return Finding("warn", check, "The last attempt to write to disk failed.", "Look at its log and its disk.")
    if info.get("aof_enabled"):
        return Finding("ok", check, "Every write goes to disk (append-only file).")
    try:
        save = store.translated(lambda: store.redis.config_get("save")).get("save")
    except StoreRefused:
        # Hosted plans forbid CONFIG.
        save = None
    if save or info.get("rdb_saves"):
        return Finding("ok", check, "It writes snapshots to disk; what came after the last one would be lost.")
    advice = "A restart would disconnect every account: turn on appendonly, or choose a plan that persists."
    if save is None:
        return Finding(
            "warn", check, "Redis does not say whether it persists.", f"See what your plan promises. {advice}"
        )
    return Finding("warn", check, "It keeps nothing on disk.", advice)


def _connections(store: Store, workers: int) -> Finding:
    check, clients = "redis connections", _info(store, "clients")
    limit = None if clients is None else clients.get("maxclients")
    if limit is None:
        try:
            limit = store.translated(lambda: store.redis.config_get("maxclients")).get("maxclients")
        except StoreRefused:
            limit = None
    if clients is None or limit is None:
        return _untold(check)
    left = int(limit) - int(clients["connected_clients"])
    needed = workers * CONNECTIONS_PER_PROCESS
    own = f"{workers} x {CONNECTIONS_PER_PROCESS}"
    says = f"{left} of {limit} are free; this machine's processes take up to {needed} ({own})."
    if left >= needed:
        return Finding("ok", check, says)
    return Finding("warn", check, says, "Lower WEB_CONCURRENCY, or choose a plan with more connections.")


def _info(store: Store, section: str) -> dict[str, Any] | None:
    """Return what Redis tells of itself; None: this user may not ask."""
    try:
        return dict(store.translated(lambda: store.redis.info(section)))
    except StoreRefused:
        return None


# What cannot be checked where this user may not run INFO.
_UNTOLD = {
    "redis version": "Whether it is new enough was not checked.",
    "redis memory": (
        "Whether it is nearly full or evicts was not checked, and the service takes it that there is room: lists and "
        "activity do not give way before it is full."
    ),
    "redis persistence": "Whether it keeps anything through a restart was not checked.",
    "redis connections": "How many connections are left was not checked.",
}


def _untold(check: str) -> Finding:
    says = f"Redis does not let this user ask. {_UNTOLD[check]}"
    return Finding("warn", check, says, "Allow INFO and CONFIG GET, or look at your provider's page.")
