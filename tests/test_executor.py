"""What goes on beside a request: within a bound, for every account, and without a thread where there is none."""

import queue
import re
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from service.ground.errors import ZendeskUnavailable
from service.ground.executor import Executor
from service.ground.subdomains import Subdomain
from service.server.logs import configure_logs

ACME, GLOBEX = Subdomain("acme"), Subdomain("globex")
THREADS = 4
# Where threads are started: this, and those of which a process has a fixed number. The others are no server's.
STARTED_IN = {
    "ground/executor.py": 1,
    "grants/upkeep.py": 1,
    "grants/stored_pairs.py": 1,
    "zendesk/watchdog.py": 1,
    "ground/addresses.py": 1,
    # Tells the webhook: one for the process, begun with its first alert.
    "grants/alerts.py": 1,
    "operations/progress.py": 1,
    "operations/doctor/examination.py": 1,
}
SERVICE = Path(__file__).resolve().parent.parent / "service"


@pytest.fixture
def executor() -> Executor:
    return Executor(THREADS)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What hanging work waits for."""
    gate = threading.Event()
    yield gate
    gate.set()


def refuse(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_an_account_that_hangs_leaves_threads_for_the_others(executor: Executor, gate: threading.Event) -> None:
    begun = [executor.begin(ACME, "hangs", gate.wait) for _ in range(THREADS)]
    assert [future is not None for future in begun] == [True, True, False, False]
    done = executor.begin(GLOBEX, "quick", lambda: 7)
    assert done is not None
    assert done.result(10) == 7


def test_what_is_not_begun_is_never_done(gate: threading.Event) -> None:
    executor = Executor(1)
    done: list[int] = []
    hanging = executor.begin(ACME, "hangs", gate.wait)
    assert hanging is not None
    assert executor.begin(GLOBEX, "late", lambda: done.append(1)) is None
    gate.set()
    assert hanging.result(10)
    following = executor.begin(GLOBEX, "next", lambda: done.append(2))
    assert following is not None
    following.result(10)
    assert done == [2]


def test_a_thread_serves_one_work_after_another(executor: Executor) -> None:
    idents = []
    for name in ("one", "two"):
        future = executor.begin(ACME, name, threading.get_ident)
        assert future is not None
        idents.append(future.result(10))
    assert idents[0] == idents[1]


def test_idle_threads_end(executor: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.ground.executor.IDLE_SECONDS", 0.01)
    for name in ("one", "two"):
        future = executor.begin(ACME, name, threading.current_thread)
        assert future is not None
        thread = future.result(10)
        thread.join(10)
        assert not thread.is_alive()


class Late(queue.SimpleQueue[Any]):
    """A queue in which the first look finds nothing."""

    has_looked = False

    def get(self, *arguments: Any, **named: Any) -> Any:
        if not self.has_looked:
            self.has_looked = True
            raise queue.Empty
        return super().get(*arguments, **named)


def test_a_thread_that_is_counted_on_does_not_end(executor: Executor) -> None:
    executor._work = Late()
    future = executor.begin(ACME, "late", lambda: 7)
    assert future is not None
    assert future.result(10) == 7


def test_works_are_done_side_by_side_and_their_results_keep_their_order(executor: Executor) -> None:
    together = threading.Barrier(3)

    def work(number: int) -> int:
        together.wait(10)
        return number

    assert executor.side_by_side(ACME, "work", [partial(work, number) for number in range(3)]) == [0, 1, 2]


def test_the_calling_thread_does_what_no_thread_is_there_for(
    executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading.Thread, "start", refuse)
    idents = executor.side_by_side(ACME, "work", [threading.get_ident] * 3)
    assert idents == [threading.get_ident()] * 3
    monkeypatch.undo()
    # Nothing is held for what could not begin.
    together = threading.Barrier(3)
    assert sorted(executor.side_by_side(ACME, "work", [lambda: together.wait(10)] * 3)) == [0, 1, 2]


def test_all_have_ended_when_the_first_failure_is_raised(executor: Executor, gate: threading.Event) -> None:
    ended: list[str] = []

    def fail() -> None:
        gate.set()
        raise ZendeskUnavailable("No.")

    def take_longer() -> None:
        gate.wait(10)
        ended.append("the other")

    with pytest.raises(ZendeskUnavailable):
        executor.side_by_side(ACME, "work", [take_longer, fail])
    assert ended == ["the other"]


def test_what_is_unforeseen_is_logged_although_nobody_waits_for_it(
    executor: Executor, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("logfmt")
    future = executor.begin(ACME, "broken", lambda: 1 // 0)
    assert future is not None
    assert isinstance(future.exception(10), ZeroDivisionError)
    assert "event=unforeseen thread=broken" in capsys.readouterr().out


def test_no_request_starts_a_thread_of_its_own() -> None:
    started = {
        str(path.relative_to(SERVICE)): count
        for path in SERVICE.rglob("*.py")
        if (count := len(re.findall(r"\b(?:Thread|Timer)\(", path.read_text())))
    }
    assert started == STARTED_IN
