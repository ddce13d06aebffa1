"""A log that cannot be written costs its lines, and nothing else."""

import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TextIO

import pytest
import structlog

from service.grants.pending_pairs import PendingPairs
from service.ground.subdomains import Subdomain
from service.server.logs import configure_logs
from tests.conftest import MakeAdmin
from tests.steps import ORDERS_ONLY, Admin, wait_until

ACME = Subdomain("acme")
VIP = "escalate_vip_order"


def disk_full() -> TextIO:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    # Write-through, so that nothing is left in a buffer whose closing would fail, too.
    return io.TextIOWrapper(io.FileIO("/dev/full", "w"), write_through=True)


def reader_gone() -> TextIO:
    reading, writing = os.pipe()
    os.close(reading)
    return io.TextIOWrapper(io.FileIO(writing, "w"), write_through=True)


class Closed(io.StringIO):
    """Open as a context, and closed to whoever writes."""

    def write(self, _text: str) -> int:
        raise ValueError("I/O operation on closed file.")


UNWRITABLE: dict[str, Callable[[], TextIO]] = {"disk full": disk_full, "reader gone": reader_gone, "closed": Closed}


@pytest.fixture
def admin(make_admin: MakeAdmin) -> Admin:
    person = make_admin(**ORDERS_ONLY)
    person.connect("acme")
    return person


@pytest.fixture(params=UNWRITABLE)
def unwritable(request: pytest.FixtureRequest) -> Callable[[], AbstractContextManager[None]]:
    """Let the log go, while a block runs, where it cannot be written."""

    @contextmanager
    def without_log() -> Iterator[None]:
        # In the test itself: pytest puts a stream of its own in place between the fixtures and the test.
        with UNWRITABLE[request.param]() as stream, pytest.MonkeyPatch.context() as patched:
            patched.setattr(sys, "stdout", stream)
            yield

    return without_log


WithoutLog = Callable[[], AbstractContextManager[None]]


def test_a_change_that_was_made_is_told_as_made(admin: Admin, unwritable: WithoutLog) -> None:
    with unwritable():
        reply = admin.install(VIP)
    assert (reply.status_code, reply.json["job_spec"]["installed"]) == (200, True)  # type: ignore[index]


def test_an_account_that_was_connected_is_told_so(admin: Admin, unwritable: WithoutLog) -> None:
    with unwritable():
        assert admin.connect("globex", 201).status_code == 200


def test_a_failure_is_told_as_the_failure_it_is(admin: Admin, unwritable: WithoutLog) -> None:
    admin.meets({"where": "list", "kind": "http_500_zis"})
    with unwritable():
        reply = admin.list_fresh()
    assert (reply.status_code, reply.json["code"]) == (502, "zendesk_unavailable")  # type: ignore[index]


def test_a_pair_that_is_stored_is_not_in_hand_any_more(
    pending_pairs: PendingPairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure_logs("logfmt")
    settled = threading.Event()
    with disk_full() as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        pending_pairs.keep(ACME, settled.set)
        wait_until(lambda: not pending_pairs.holds(ACME))
    assert settled.is_set()


def test_the_log_says_how_many_lines_are_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("logfmt")
    log = structlog.get_logger("tests")
    log.info("written")
    capsys.readouterr()
    with disk_full() as stream, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", stream)
        log.info("lost")
        log.info("lost")
    log.info("written")
    log.info("written")

    told = [line.split(" ", 2)[-1] for line in capsys.readouterr().out.splitlines()]
    assert told == ["event=written", "event=log_lines_lost lines=2", "event=written"]


def test_a_line_the_stream_has_no_characters_for_is_written_in_ascii(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    configure_logs("logfmt")
    with (tmp_path / "log").open("w", encoding="ascii") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        structlog.get_logger("tests").info("müde")
    assert "event=m\\xfcde" in (tmp_path / "log").read_text()


def test_an_exception_that_is_being_handled_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("logfmt")
    try:
        raise KeyError("canary")
    except KeyError:
        structlog.get_logger("tests").exception("crashed")
    assert "exception=KeyError" in capsys.readouterr().out


def raise_os_error(_response: object) -> None:
    raise OSError("canary")


def test_what_nobody_foresaw_is_never_the_callers_fault(admin: Admin, capsys: pytest.CaptureFixture[str]) -> None:
    # Where no handler of ours stands around: Flask makes an answer of its own kind of it.
    admin.app.after_request_funcs.setdefault(None, []).insert(0, raise_os_error)
    capsys.readouterr()
    reply = admin.browser.get("/livez")
    assert (reply.status_code, reply.json["code"]) == (500, "internal_error")  # type: ignore[index]
    told = capsys.readouterr()
    assert "exception=OSError" in told.out
    assert "canary" not in reply.text
