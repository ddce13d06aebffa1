"""What is counted and timed, for /metrics. Knows nothing of who counts.

A label has few values: a route is its rule and never a path, and no account, person or token is in one. The values live
in this process, and under gunicorn in files that its workers share as well (`shared_counts`).
"""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, disable_created_metrics, values

from service.ground.shared_counts import COUNTS, SharedValue

# PROMETHEUS_MULTIPROC_DIR is ignored: our workers share their counts through `shared_counts` alone.
values.ValueClass = SharedValue
# The `_created` series double the lines, and Prometheus does not use them.
disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client leaves it so

_registry = CollectorRegistry()
# A caller may send any word as the method; others than these are counted together.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_requests = Counter("zis_requests", "Requests answered.", ("method", "route", "status"), registry=_registry)
_request_duration = Histogram(
    "zis_request_duration_seconds",
    "From a request's arrival in the application to its answer.",
    ("route",),
    # A cached list takes a millisecond; the deadline of a request is 25 s.
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25),
    registry=_registry,
)
REQUESTS_IN_PROGRESS = Gauge(
    "zis_requests_in_progress",
    "Requests that have not been answered yet: threads in use.",
    # Live workers only: a killed one never took its requests off again.
    multiprocess_mode="livesum",
    registry=_registry,
)
ZENDESK_CALLS = Counter(
    "zis_zendesk_calls", "Calls to Zendesk, repetitions too.", ("kind", "result"), registry=_registry
)
ZENDESK_CALL_DURATION = Histogram(
    "zis_zendesk_call_duration_seconds",
    "From a call's beginning to the last byte of its reply, or its failure.",
    ("kind",),
    # Zendesk answers in 0.1 to 0.3 s; a call is given up after 10 s.
    buckets=(0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5, 5, 10),
    registry=_registry,
)
REFRESHES = Counter("zis_refreshes", "Refreshes that were asked of Zendesk.", ("cause", "result"), registry=_registry)
LOCK_WAIT = Histogram(
    "zis_lock_wait_seconds",
    "How long a thread waited for another of its process that refreshes or mints.",
    ("lock",),
    buckets=(0.01, 0.05, 0.25, 1, 2.5, 5, 10, 25),
    registry=_registry,
)
LEASE_WAIT = Counter(
    "zis_lease_wait_seconds", "What threads waited for another process that holds a lease.", registry=_registry
)
_lists = Counter("zis_lists", "Lists of an integration, by where each came from.", ("source",), registry=_registry)
_redis_errors = Counter("zis_redis_errors", "Failures of Redis, the repeated ones too.", ("kind",), registry=_registry)
CHANGES = Counter("zis_changes", "What was done to accounts, or attempted.", ("action", "result"), registry=_registry)

# Each series exists from the beginning, at 0, so that Prometheus sees its first count as an increase.
LISTS = {source: _lists.labels(source) for source in ("hit", "asked", "coalesced", "stale", "none")}
REDIS_ERRORS = {
    kind: _redis_errors.labels(kind)
    for kind in ("timeout", "connection", "authentication", "full", "read_only", "lease_lost", "other")
}
for _cause in ("stale", "expired", "refused", "upkeep"):
    for _result in (
        "ok",
        "invalid_grant",
        "client_misconfigured",
        "rate_limited",
        "zendesk_timeout",
        "zendesk_unavailable",
    ):
        REFRESHES.labels(_cause, _result)
for _action in ("connected", "disconnected", "installed", "uninstalled", "rearmed", "reauthorization_required"):
    CHANGES.labels(_action, "ok")
for _lock in ("refresh", "mint"):
    LOCK_WAIT.labels(_lock)
_answered: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}


def count_request(method: str, route: str, status: int, seconds: float) -> None:
    """Count an answered request; `route` is the rule, "none" where nothing is under the address."""
    key = (method if method in _METHODS else "other", route, status)
    bound = _answered.get(key)
    if bound is None:
        bound = _answered[key] = (_requests.labels(*key), _request_duration.labels(route))
    requests, duration = bound
    requests.inc()
    duration.observe(seconds)


def collected() -> Iterable[Metric]:
    """Return what was counted and timed, by all workers together where they share it."""
    return COUNTS.collected(_registry)
