"""The benchmarks' own tools tell the truth. No load: what they measure is not measured here."""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from benchmarks import closed_loop, crowd, floor_gunicorn, slow_link
from benchmarks.check import regressions, unmeasured
from benchmarks.figures import Figure, figure, percentile
from benchmarks.grid import Extent, Grid, Place, Run
from benchmarks.load import Caller, Load, Request
from benchmarks.opening import OURS, ROUND_TRIPS, Opened, Openings
from benchmarks.processes import NotStarted, Program, fetch, program_path
from benchmarks.report import opening_tables
from benchmarks.results import Measure, opening_measures
from benchmarks.subjects import TITLES
from benchmarks.upstream import CONTROL, INTEGRATIONS, Upstream
from benchmarks.world import World, connect_by_the_pages
from sandbox.simulator import Simulator
from service.ground.settings import Settings
from service.server import gunicorn_config
from service.zendesk.authorization_server import TokenPair
from service.zendesk.zis_registry import JobSpec, list_job_specs
from tests.raw_server import make_client
from tests.workers import free_port

pytestmark = pytest.mark.processes

LIST = "/a/acme/api/services/zis/registry/acme_orders/job_specs?page%5Bsize%5D=100"
NOWHERE = "/a/acme/nothing"


def load(requests: int = 100, failed: int = 0) -> Load:
    return Load(requests, failed, 2.0, 1.0, 2.0, 3.0)


def measure(value: float | None, held: float | None, *, at_least: bool, aim: float | None = None) -> Measure:
    return Measure("a ratio", value, aim, held, at_least)


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Program]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.upstream", str(port)]
    program = Program(command, port=port, path=CONTROL, log=tmp_path / "upstream.log")
    try:
        yield program.wait_until_ready()
    finally:
        program.stop()


def asked(kind: str, upstream: Program) -> int:
    return int(json.loads(fetch(upstream.port, CONTROL)[1])[kind])


# --- figures ---


def test_a_figure_is_a_median_with_the_farthest_values_distance() -> None:
    assert (Figure((90.0, 100.0, 130.0)).median, Figure((90.0, 100.0, 130.0)).spread) == (100.0, 0.3)
    assert Figure((1812.4, 1812.4)).shown() == "1,812 ±0 %"
    assert Figure((1.5,)).shown(1, " MB") == "1.5 MB ±0 %"


def test_what_was_not_measured_is_no_figure() -> None:
    assert figure([None, None]) is None
    assert figure([None, 2.0]) == Figure((2.0,))


@pytest.mark.parametrize(("share", "value"), [(50, 50), (95, 95), (99, 99), (100, 100)])
def test_so_many_in_a_hundred_lie_below_a_percentile(share: int, value: int) -> None:
    assert percentile([float(number) for number in range(100, 0, -1)], share) == value
    assert percentile([], share) == 0


# --- the check ---


@pytest.mark.parametrize(
    ("value", "at_least", "is_worse"),
    [(0.6, True, False), (0.59, True, True), (0.6, False, False), (0.61, False, True), (None, True, False)],
)
def test_a_ratio_on_the_wrong_side_of_what_is_held_is_a_regression(
    value: float | None, at_least: bool, is_worse: bool
) -> None:
    assert bool(regressions([measure(value, 0.6, at_least=at_least)])) is is_worse


def test_a_regression_says_what_and_by_how_much() -> None:
    assert regressions([measure(0.4, 0.6, at_least=True)]) == ["a ratio: 0.40, less than 0.60"]


def test_what_is_only_shown_is_not_checked_and_what_cannot_be_checked_is_named() -> None:
    shown, lost = measure(0.1, None, at_least=True, aim=0.6), measure(None, 0.6, at_least=True)
    assert regressions([shown, lost]) == []
    assert unmeasured([shown, lost]) == ["a ratio"]
    assert (shown.is_reached, lost.is_reached) == (False, None)


def test_where_ratios_are_taken_there_are_more_rounds() -> None:
    extent = Extent((0, 50), (1, 64), 3, 1, compared=frozenset({(50, 64)}), compared_rounds=9)
    assert [extent.rounds_at(*place) for place in ((0, 64), (50, 1), (50, 64))] == [3, 3, 9]
    assert Extent((0, 50), (64,), 3, 1).rounds_at(50, 64) == 3


def test_failed_requests_are_counted_for_each_subject() -> None:
    runs = [Run(load(), None, 1.0), Run(load(failed=2), None, 1.0)]
    grid = Grid({Place("cached", 0, 1): runs, Place("cached", 50, 1): runs, Place("floor", 0, 1): runs[:1]})
    assert grid.failed == {"cached": 4}
    assert grid.per_second(Place("cached", 0, 1)) == Figure((50.0, 50.0))
    assert grid.cpu(Place("cached", 0, 1)) is None


# --- load ---


def test_the_last_line_of_a_loads_output_is_read() -> None:
    line = '{"requests": 10, "failed": 1, "seconds": 2.0, "p50": 1.5, "p95": 2, "p99": 3}'
    read = Load.from_output(f"Running 2s test @ http://127.0.0.1:1\n  1 threads\n{line}\n")
    assert (read.requests, read.failed, read.per_second, read.p50) == (10, 1, 5.0, 1.5)


@pytest.mark.parametrize("output", ["", "unable to connect to 127.0.0.1:1 Connection refused", '{"requests": 1}'])
def test_an_output_without_figures_is_no_load(output: str) -> None:
    with pytest.raises(ValueError, match="no figures"):
        Load.from_output(output)


@pytest.mark.parametrize("wrk", [program_path("wrk"), None], ids=["wrk", "closed_loop"])
def test_every_answered_request_was_sent_with_its_authorization(
    wrk: str | None, upstream: Program, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if wrk is None and request.node.callspec.id == "wrk":
        pytest.skip("wrk is not installed")
    brought = Caller(tmp_path, wrk).load(upstream, [Request(LIST, "Bearer t")], connections=1, seconds=1)
    assert brought.failed == 0
    # The last one may have been under way at the end.
    assert 0 <= asked("lists", upstream) - brought.requests <= 1
    assert brought.p50 <= brought.p95 <= brought.p99


@pytest.mark.parametrize("wrk", [program_path("wrk"), None], ids=["wrk", "closed_loop"])
def test_a_refusal_is_counted_as_failed(
    wrk: str | None, upstream: Program, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if wrk is None and request.node.callspec.id == "wrk":
        pytest.skip("wrk is not installed")
    brought = Caller(tmp_path, wrk).load(upstream, [Request(NOWHERE)], connections=1, seconds=1)
    assert brought.failed == brought.requests > 0


def test_requests_are_sent_in_turn_as_they_are_listed(tmp_path: Path) -> None:
    listed = tmp_path / "requests.tsv"
    listed.write_text("/a\tBearer x\n/b\t\n")
    first, second = closed_loop.requests_in(listed)
    assert first.startswith(b"GET /a HTTP/1.1\r\n")
    assert b"Authorization: Bearer x\r\n" in first
    assert b"Authorization" not in second


def test_a_crowd_tells_everybodys_fate(upstream: Program, tmp_path: Path) -> None:
    requests = [Request(LIST)] * 8 + [Request(NOWHERE)] * 2
    seen = crowd.crowd(upstream, requests, window_seconds=0.1, folder=tmp_path)
    assert (seen.statuses, seen.refused) == ({"200": 8, "404": 2}, 2)
    assert asked("lists", upstream) == 8


def test_a_crowd_that_nobody_answers_is_told_so() -> None:
    # In a thread of its own: where Playwright runs, this one has an event loop already.
    with ThreadPoolExecutor(1) as executor:
        seen = executor.submit(asyncio.run, crowd.run(free_port(), 0.0, [b"GET / HTTP/1.1\r\n\r\n"] * 2)).result()
    assert seen["statuses"] == {"none": 2}


# --- what is compared ---


def body(upstream: Upstream, method: str, path: str, sent: bytes = b"") -> Any:
    return json.loads(upstream.answer(method, f"/a/acme{path}", sent).reply.partition(b"\r\n\r\n")[2])


def test_the_upstream_answers_in_the_simulators_form(simulator: Simulator) -> None:
    account, quick = simulator.world.account("acme"), Upstream()
    listed = body(quick, "GET", "/api/services/zis/registry/acme_orders/job_specs?page%5Bsize%5D=100")
    simulated = account.integrations["acme_orders"].job_specs[0].to_json()
    assert set(listed["job_specs"][0]) == set(simulated)
    assert JobSpec.from_row(listed["job_specs"][0], "acme_orders").integration == "acme_orders"
    assert listed["meta"]["has_more"] is False
    assert body(quick, "GET", "/api/v2/users/7")["user"].keys() == account.users[101].to_json("acme").keys()
    pair = TokenPair.from_reply(body(quick, "POST", "/oauth/tokens", b"grant_type=refresh_token"), 0.0)
    assert (pair.expires_at, pair.scope) == (1800.0, "read write")


def test_the_upstream_counts_by_kind_and_waits_as_told() -> None:
    quick = Upstream()
    paths = [LIST.removeprefix("/a/acme"), "/api/v2/users/me", "/api/v2/oauth/clients", "/nothing"]
    kinds = [quick.answer("GET", f"/a/acme{path}", b"").kind for path in paths]
    assert kinds == ["lists", "users", "others", "others"]
    assert quick.answer("POST", "/a/acme/oauth/tokens", b"grant_type=refresh_token").kind == "refreshes"
    quick.control(f"{CONTROL}?delay_ms=50")
    assert quick.delay_seconds == 0.05


def test_the_upstream_gives_a_new_pair_each_time() -> None:
    quick = Upstream()
    first, second = (body(quick, "POST", "/oauth/tokens")["refresh_token"] for _ in range(2))
    assert first != second


def test_the_registry_reads_the_upstreams_list(upstream: Program, environment: dict[str, str]) -> None:
    specs = list_job_specs(make_client(environment, upstream.url), "acme_orders")
    assert [spec.name for spec in specs] == sorted(spec.name for spec in specs)
    assert asked("lists", upstream) == 1


def test_an_account_connects_and_is_listed_in_the_world_of_the_benchmarks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The benchmarks' own are of those that the system gives the connections of tests beside this one.
    monkeypatch.setattr("benchmarks.world.free_port", free_port)
    integrations = ",".join(f"{{subdomain}}_{name}" for name in INTEGRATIONS)
    with World(tmp_path) as world, world.service_for_a_while("service", ZIS_INTEGRATIONS=integrations) as service:
        by_pages = connect_by_the_pages(service, "pages")
        by_seed = world.connect(service.settings, ["seeded"])
        world.forget_counts()
        seen = crowd.crowd(service.program, service.requests([by_pages, *by_seed]), window_seconds=0, folder=tmp_path)
        assert seen.statuses == {"200": 2}
        # The handshake has minted and asked already; its lists are not kept.
        assert world.counts().lists == 2 * len(INTEGRATIONS)
        assert Settings.from_env(world.environment(1)).integration_names == ("{subdomain}_orders",)


def test_the_floor_runs_under_the_services_own_settings() -> None:
    for name in ("worker_class", "threads", "keepalive", "logger_class", "accesslog"):
        assert getattr(floor_gunicorn, name) is getattr(gunicorn_config, name)
    assert not hasattr(floor_gunicorn, "post_worker_init")


def test_a_program_that_ends_says_why(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such thing')"]
    program = Program(command, port=free_port(), path="/", log=tmp_path / "program.log")
    with pytest.raises(NotStarted, match="no such thing"):
        program.wait_until_ready()
    program.stop()


def test_every_subject_has_a_title() -> None:
    assert len(set(TITLES.values())) == len(TITLES)


# --- opening a ticket ---


def test_a_slow_link_delays_a_connection_and_each_way_and_counts_what_it_carries(
    upstream: Program, tmp_path: Path
) -> None:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.slow_link", str(port), str(upstream.port)]
    link = Program(command, port=port, path=slow_link.CONTROL, log=tmp_path / "link.log")
    try:
        link.wait_until_ready()
        fetch(port, f"{slow_link.CONTROL}?rtt_ms=100&reset=1")
        began = time.monotonic()
        status, body = fetch(port, LIST)
        taken = time.monotonic() - began
        carried = json.loads(fetch(port, slow_link.CONTROL)[1])
    finally:
        link.stop()

    assert (status, body) == fetch(upstream.port, LIST)
    # One round trip for the connection, one for the request.
    assert taken >= 0.2
    assert (carried["answers"], carried["connections"]) == (1, 1)
    assert carried["bytes"] > len(body)


def test_openings_that_could_not_be_measured_are_said_and_not_checked() -> None:
    openings = Openings("no Chromium found", {}, {}, crowd_seen=200, crowd_p99=10.0)
    measured = opening_measures(openings)

    assert opening_tables(openings) == "Not measured: opening a ticket in a browser (no Chromium found)."
    assert regressions(measured) == []
    assert "opening, warm: answers" in unmeasured(measured)
    assert "200 openings within a second: seen" not in unmeasured(measured)


def test_openings_are_judged_by_what_they_waited_for() -> None:
    def opened(seconds: float, answers: float) -> Opened:
        return Opened([seconds] * 3, [answers] * 3, [6.0] * 3, 4.0)

    by_kind = {
        (OURS, rtt, warm): opened((0.1 if warm else 0.2) + trips * rtt / 1000, answers)
        for warm, trips, answers in ((True, 1, 1.0), (False, 5, 3.0))
        for rtt in ROUND_TRIPS
    }
    openings = Openings(
        "", by_kind, {12: Figure((50.0,)), 1000: Figure((200.0,))}, 200, 10.0, list_cpu_milliseconds=2.0
    )
    by_name = {one.name: one for one in opening_measures(openings)}

    assert by_name["opening, warm: round trips"].shown(by_name["opening, warm: round trips"].value) == "1.0"
    assert by_name["opening, cold: round trips"].is_reached is False
    assert by_name["CPU of a warm opening / of a cached list"].value == pytest.approx(2.0)
    assert "| this service | cold | 100 ms | 0.70 s ±0 % | 3 ±0 % | 6.0 KB ±0 % | 4.0 ms |" in opening_tables(openings)
