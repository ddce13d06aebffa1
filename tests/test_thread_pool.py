"""The threads of a worker: the one that was busy last gets the next work, and none is lost."""

import queue
import threading

import pytest

from service.thread_pool import LastServedFirst, ThreadPool
from tests.steps import wait_until


def test_whoever_began_to_wait_last_gets_the_next_work() -> None:
    work, served = LastServedFirst(), list[tuple[str, int]]()

    def take(name: str) -> None:
        served.append((name, work.get()))

    threads = [threading.Thread(target=take, args=(name,)) for name in "abc"]
    for count, thread in enumerate(threads, start=1):
        thread.start()
        wait_until(lambda count=count: len(work._waiting) == count)  # type: ignore[misc]  # a lambda's default
    for number, thread in enumerate(reversed(threads)):
        work.put(number)
        thread.join(10)
    assert served == [("c", 0), ("b", 1), ("a", 2)]


def test_work_that_nobody_waits_for_is_done_in_turn() -> None:
    work = LastServedFirst()
    for number in range(3):
        work.put(number)
    assert [work.get(), work.get_nowait(), work.get(block=False)] == [0, 1, 2]
    with pytest.raises(queue.Empty):
        work.get_nowait()


def test_after_a_burst_few_threads_do_what_comes_one_by_one() -> None:
    gate = threading.Event()
    with ThreadPool(16) as pool:
        burst = [pool.submit(gate.wait, 10) for _ in range(16)]
        gate.set()
        assert all(one.result(10) for one in burst)
        # A thread that has given its result is not always back by the next submission: then the one below it serves.
        served = {pool.submit(threading.get_ident).result(10) for _ in range(300)}
        assert len(served) < 8


def test_no_work_is_lost_or_done_twice_whatever_the_crowd() -> None:
    done, lock = list[int](), threading.Lock()

    def work(number: int) -> None:
        with lock:
            done.append(number)

    with ThreadPool(8) as pool:
        submitters = [
            threading.Thread(target=lambda first: [pool.submit(work, first + one) for one in range(500)], args=(first,))
            for first in (0, 500, 1000, 1500)
        ]
        for one in submitters:
            one.start()
        for one in submitters:
            one.join()
    assert sorted(done) == list(range(2000))


def test_a_pool_that_is_shut_down_lets_its_threads_go() -> None:
    pool = ThreadPool(4)
    for _ in range(4):
        pool.submit(threading.Event().wait, 0.01)
    pool.shutdown(wait=True)
    assert not any(thread.is_alive() for thread in pool._threads)
    with pytest.raises(RuntimeError):
        pool.submit(print)


def test_a_queue_that_is_let_go_of_wakes_its_pools_threads() -> None:
    pool = ThreadPool(2)
    pool.submit(len, "").result(10)
    threads = list(pool._threads)
    del pool
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
