"""GET /metrics, for a Prometheus server: what was counted, and what is found out only now."""

import hmac
from collections.abc import Iterator

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service.grants.grants import Grants
from service.ground import metrics
from service.ground.errors import StoreUnavailable, Unauthenticated
from service.ground.shared_counts import COUNTS
from service.people.guard import bearer
from service.server import processes
from service.server.health import Release
from service.web.rate_limits import REFUSED_REQUESTS, address_group
from service.web.request import services

# Registered only where METRICS_TOKEN is set; elsewhere there is nothing under this address.
blueprint = Blueprint("scrape", __name__)


@blueprint.before_request
def require_metrics_token() -> None:
    """Let in whoever shows METRICS_TOKEN.

    Raises:
        Unauthenticated: none is shown, or another.
        RateLimited: too many refused requests came from this address; a right token is not looked at then.
    """
    services().rate_limits.look_if_over(REFUSED_REQUESTS, address_group(request.remote_addr))
    token = services().settings.metrics_token
    # As bytes, because the comparison takes texts of ASCII alone.
    shown = (bearer() or "").encode("utf-8", "surrogateescape")
    if not token or not hmac.compare_digest(shown, token.encode()):
        fault = "another token was sent" if shown else "no token was sent"
        raise Unauthenticated(
            f"/metrics takes `Authorization: Bearer`, followed by what METRICS_TOKEN is set to; {fault}. "
            "Correct the credentials of the Prometheus server."
        )


@blueprint.get("/metrics")
def show_metrics() -> ResponseReturnValue:
    """Answer in Prometheus's text format; without Redis, all but what only Redis knows."""
    registry = CollectorRegistry()
    registry.register(_Now())
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)


class _Now(Collector):
    """All metrics, collected at the moment they are asked for."""

    def collect(self) -> Iterator[Metric]:
        yield from metrics.collected()
        yield from processes.used(COUNTS.processes())
        yield _build(services().release)
        yield from _accounts(services().grants)


def _build(release: Release) -> Metric:
    build = GaugeMetricFamily("zis_build_info", "What runs; always 1.", labels=("version", "commit"))
    build.add_metric((release.version, release.commit or "unknown"), 1)
    return build


def _accounts(grants: Grants) -> Iterator[Metric]:
    """Tell of the accounts, by one round trip to Redis; nothing while that is away."""
    try:
        census = grants.census()
    except StoreUnavailable:
        return
    accounts = GaugeMetricFamily("zis_accounts", "Accounts with a grant, by its state.", labels=("state",))
    accounts.add_metric(("connected",), census.connected)
    accounts.add_metric(("reauthorization_required",), census.reauthorization_required)
    yield accounts
    if census.shortest_seconds is not None:
        help_text = "Until the first connected account's grant ends, unless it is refreshed."
        yield GaugeMetricFamily("zis_shortest_grant_seconds", help_text, value=census.shortest_seconds)
