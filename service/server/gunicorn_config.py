"""gunicorn's settings, for `gunicorn --config python:service.server.gunicorn_config`.

Heroku sets WEB_CONCURRENCY (workers) and FORWARDED_ALLOW_IPS=*; what must not depend on them is said here.
"""

import atexit
import gc
import importlib
import os
import re
import resource
import socket
import sys
import threading
from collections.abc import MutableMapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import structlog
from gunicorn.glogging import Logger

from service.ground import metrics
from service.ground.settings import Settings, SettingsError
from service.ground.shared_counts import COUNTS
from service.server.gunicorn_worker import Worker
from service.server.logs import log_thread_crash
from service.web.answers import answer_outside_flask

if TYPE_CHECKING:
    from service.services import Services

_log = structlog.get_logger("service.access")

# A new folder for each gunicorn, also for the one that SIGUSR2 starts, so that no old counts are in it. Without
# METRICS_TOKEN nobody can ask for the counts, so there is none.
if os.environ.get("METRICS_TOKEN", "").strip():
    COUNTS.share()


def threads_within(limit: int, concurrency: str) -> int:
    """Return how many threads may serve a worker; `limit`: how many all processes together may have, -1: no limit.

    Heroku's small dynos have a limit of 256 (`ulimit -u`) and start two workers.
    """
    if limit == resource.RLIM_INFINITY:
        return MOST_THREADS
    workers = int(concurrency) if concurrency.isdecimal() and int(concurrency) else 1
    room = (limit - OTHER_PROCESSES) // workers - OTHER_THREADS
    return max(FEWEST_THREADS, min(MOST_THREADS, room * 4 // 5))


def executor_threads(threads: int) -> int:
    """Return how many threads there may be for what goes on beside requests, where so many serve requests."""
    return threads // 4


def connections_within(files: int) -> int:
    """Return how many connections a worker may hold open; `files`: how many files a process may open, -1: no limit."""
    if files == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return min(MOST_CONNECTIONS, max(files - OTHER_FILES, files // 2))


def addresses_of(port: str) -> list[str]:
    """Return where to listen on a port: on all addresses of the machine, of IPv4 alone where it has no IPv6."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::", 0))
            takes_ipv4 = not probe.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    except OSError:
        return [f"0.0.0.0:{port}"]
    # Linux takes IPv4 at the same socket, unless net.ipv6.bindv6only is set.
    return [f"[::]:{port}"] if takes_ipv4 else [f"[::]:{port}", f"0.0.0.0:{port}"]


if os.environ.get("PORT"):
    bind = addresses_of(os.environ["PORT"])
worker_class = Worker
# Far above the cores: the work is waiting for Zendesk and Redis. An account that hangs may hold half of them
# (`zendesk.bulkhead`), so there are enough for the others beside it.
MOST_THREADS = 128
FEWEST_THREADS = 16
# Other threads of a worker: gunicorn's own, look-ups of addresses (of accounts and of Redis), the watchdog, upkeep.
OTHER_THREADS = 12
# gunicorn's master, and whatever else the platform runs for the same user.
OTHER_PROCESSES = 8
# The most that gunicorn allows. A job spec's name is in the address, where a character takes up to 12 bytes.
limit_request_line = 8190
threads = threads_within(resource.getrlimit(resource.RLIMIT_NPROC)[0], os.environ.get("WEB_CONCURRENCY", "1"))
# Connections that say nothing, or wait for their next request, hold no thread, only some 5 KB of memory each.
MOST_CONNECTIONS = 8192
# Connections to accounts (five to each of the 256 asked last) and to Redis, and what Python itself has open.
OTHER_FILES = 1536
worker_connections = connections_within(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
# gthread: a heartbeat, not a limit of a request; requests end by their own deadline of 25 s.
timeout = 60
# Below the 30 s after which the platform kills.
graceful_timeout = 27
# Above the 90 s for which the router keeps idle connections.
keepalive = 95
# Only a proxy on this machine may say what a client's request was; the addresses come from TRUSTED_PROXIES alone.
# The last entry is 127.0.0.1 as an IPv6 socket sees it.
forwarded_allow_ips = "127.0.0.1,::1,::ffff:127.0.0.1"
forwarder_headers = ""
control_socket_disable = True
# The workers' heartbeat files go where a full or cleaned /tmp does not matter.
if os.access("/dev/shm", os.W_OK | os.X_OK):  # noqa: S108 - gunicorn makes files of its own in it
    worker_tmp_dir = "/dev/shm"  # noqa: S108 - likewise
accesslog = "-"
# How much of the graceful time-out is spent on storing pairs that Redis has not taken yet.
UNSAVED_SECONDS = 20.0


class ServerLog(Logger):
    """Writes one line a request in the form of all other lines, and what went wrong without what callers sent.

    The path is as it was sent, still percent-encoded, so that it cannot break out of its line; and without its query,
    which holds codes and states.
    """

    def access(self, resp: Any, req: Any, environ: MutableMapping[str, Any], request_time: timedelta) -> None:  # noqa: ARG002 - gunicorn's signature
        headers = {name.lower(): value for name, value in resp.headers}
        _log.info(
            "request",
            method=environ["REQUEST_METHOD"],
            path=environ["RAW_URI"].partition("?")[0],
            # Parsed, because a request that gunicorn refuses by itself has a text alone.
            status=int(str(resp.status).partition(" ")[0]),
            bytes=resp.sent,
            milliseconds=round(request_time / timedelta(milliseconds=1), 1),
            request_id=headers.get("x-request-id"),
        )

    def warning(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        """Say what gunicorn warns of, but not the piece of a request that it quotes."""
        if str(msg).startswith("Invalid request"):
            msg = re.split("[\"']", str(msg), maxsplit=1)[0].rstrip()
        super().warning(msg, *args, **kwargs)

    def exception(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        """Say where a request broke; gunicorn would add its whole address and the exception's own words."""
        if "request" not in str(msg):
            super().exception(msg, *args, **kwargs)
            return
        fault = sys.exc_info()[1]
        if isinstance(fault, OSError):
            _log.info("connection_given_up", exception=type(fault).__qualname__)
        else:
            _log.error("unforeseen", route="none", exc_info=fault)


logger_class = ServerLog


def _services(worker: Any) -> "Services":
    return cast("Services", worker.wsgi.extensions["zis_services"])


def _remove_counts(master: int) -> None:
    # Workers inherit this exit handler, but only the master may remove the folder.
    if os.getpid() == master:
        COUNTS.remove()


# Also where gunicorn fails before it starts, or this module is only imported.
atexit.register(_remove_counts, os.getpid())


def on_starting(_server: Any) -> None:
    """Refuse to start under settings that do not work; names every fault and exits with status 1."""
    # A daemon has another process id than it had at first.
    atexit.register(_remove_counts, os.getpid())
    _raise_open_files()
    try:
        Settings.from_env(os.environ)
    except SettingsError as faults:
        faults.show()
        sys.exit(faults.exit_code)
    _load_ahead()


def _load_ahead() -> None:
    """Load once what every worker needs. They share that memory, and start in a fifth of a second instead of one."""
    # By its name, as gunicorn itself does: this room is below the application.
    importlib.import_module("service.app").load_ahead()
    # Looking through it later would write to every object, and give each worker a copy of its own.
    gc.collect()
    gc.freeze()


def _raise_open_files() -> None:
    """Let workers open as many files as they need, as far as the system allows; its usual limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = worker_connections + OTHER_FILES
    if resource.RLIM_INFINITY != soft < needed:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (needed if hard == resource.RLIM_INFINITY else min(needed, hard), hard)
        )


def pre_fork(_server: Any, _worker: Any) -> None:
    """See to it that the worker finds the folder of the counts."""
    COUNTS.make_again()


def post_worker_init(worker: Any) -> None:
    """Tell the application how many threads serve it, and begin looking after quiet accounts."""
    # What is loaded stays: looking through it again takes the collector 50 ms, in which no thread gets on.
    gc.collect()
    gc.freeze()
    COUNTS.open()
    # So that the worker counts as alive before its first request.
    metrics.REQUESTS_IN_PROGRESS.set(0)
    threading.excepthook = log_thread_crash
    built = _services(worker)
    worker.refusal = partial(answer_outside_flask, built.settings)
    worker.tell_threads = built.bulkhead.set_threads
    worker.tell_threads(worker.cfg.threads)
    built.executor.set_threads(executor_threads(worker.cfg.threads))
    # Before the threads of requests use up the machine's limit.
    built.calls.prepare()
    built.upkeep.start()
    built.access_tokens.stored.start()


def worker_exit(_server: Any, worker: Any) -> None:
    """Go on trying to store what Zendesk has given or is just giving, until the graceful time-out."""
    if getattr(worker, "wsgi", None) is not None:
        built = _services(worker)
        built.upkeep.stop()
        pending_pairs = built.access_tokens.pending_pairs
        # A background thread (a role's question, upkeep) may be about to begin a refresh that nobody would wait for.
        pending_pairs.begin_no_more()
        pending_pairs.finish(UNSAVED_SECONDS)
        built.access_tokens.stored.stop()
        # Another process sends what could not be sent.
        built.alerts.finish(0)


def child_exit(_server: Any, worker: Any) -> None:
    """Take a worker's present off the metrics; what it has counted stays."""
    COUNTS.forget(worker.pid)
