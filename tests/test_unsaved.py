"""What Redis did not take is kept in hand until it is settled, each thing for itself."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.errors import StoreUnavailable
from service.executor import Executor
from service.oauth.unsaved import NotYet, UnsavedPairs
from service.operations.logs import configure_logs
from service.subdomains import Subdomain
from tests.steps import background_threads, wait_until

ACME = Subdomain("acme")


class Thing:
    """Something that is settled as soon as its store is there."""

    def __init__(self) -> None:
        self.is_store_there = False
        self.is_settled = False

    def settle(self) -> None:
        if not self.is_store_there:
            raise StoreUnavailable("away")
        self.is_settled = True


def test_two_things_of_one_account_are_both_settled() -> None:
    unsaved = UnsavedPairs(Executor())
    pair, minted = Thing(), Thing()
    unsaved.keep(ACME, pair.settle)
    unsaved.keep(ACME, minted.settle, is_pair=False)
    minted.is_store_there = True
    wait_until(lambda: minted.is_settled)
    assert unsaved.holds(ACME)
    pair.is_store_there = True
    unsaved.finish(10)
    assert pair.is_settled
    assert not unsaved.holds(ACME)


def test_the_end_does_not_wait_for_what_is_put_off(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("logfmt")
    unsaved = UnsavedPairs(Executor())
    tries: list[int] = []

    def settle() -> None:
        tries.append(1)
        if len(tries) < 4:
            raise NotYet

    unsaved.keep(ACME, settle, is_pair=False)
    wait_until(lambda: bool(tries))
    began = len(tries)
    unsaved.finish(60)
    assert len(tries) <= began + 1
    assert "level=warning event=token_left account=acme" in capsys.readouterr().out
    wait_until(lambda: len(tries) == 4)


def test_the_end_waits_for_what_is_only_expected() -> None:
    unsaved = UnsavedPairs(Executor())
    pair = Thing()
    with ThreadPoolExecutor(1) as pool:
        with unsaved.expecting(ACME):
            ending = pool.submit(unsaved.finish, 60)
            assert not ending.done()
            unsaved.keep(ACME, pair.settle)
        assert not ending.done()
        pair.is_store_there = True
        ending.result()
    assert pair.is_settled


def test_the_end_says_what_is_lost_with_what_is_still_in_hand(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("logfmt")
    unsaved = UnsavedPairs(Executor())
    pair, minted = Thing(), Thing()
    unsaved.keep(ACME, pair.settle)
    unsaved.keep(Subdomain("globex"), minted.settle, is_pair=False)
    assert unsaved.holds(ACME)
    assert not unsaved.holds(Subdomain("globex"))
    unsaved.finish(0)
    said = capsys.readouterr().out
    assert "level=critical event=pair_lost account=acme" in said
    assert "level=warning event=token_left account=globex" in said
    pair.is_store_there = minted.is_store_there = True
    unsaved.finish(10)
    assert pair.is_settled
    assert minted.is_settled


def test_what_there_was_no_thread_for_is_settled_once_there_is_one() -> None:
    unsaved = UnsavedPairs(Executor())
    pair = Thing()
    pair.is_store_there = True
    with pytest.MonkeyPatch.context() as patch:

        def refuse(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        patch.setattr(threading.Thread, "start", refuse)
        unsaved.keep(ACME, pair.settle)
        assert unsaved.holds(ACME)
    # Whoever wants the account's token looks, and so does the end of the process.
    unsaved.holds(ACME)
    wait_until(lambda: not unsaved.holds(ACME))
    assert pair.is_settled


def test_what_there_was_no_free_thread_for_is_settled_without_anybody_coming_by() -> None:
    executor = Executor(1)
    unsaved = UnsavedPairs(executor)
    pairs = [Thing(), Thing()]
    busy = threading.Event()
    assert executor.begin(Subdomain("globex"), "list", busy.wait) is not None
    for account, pair in zip(("acme", "initech"), pairs, strict=True):
        pair.is_store_there = True
        unsaved.keep(Subdomain(account), pair.settle)
    assert not any(pair.is_settled for pair in pairs)
    busy.set()
    # Nobody asks for a token: of a quiet account nobody would, and another process may spend the old pair meanwhile.
    wait_until(lambda: all(pair.is_settled for pair in pairs))


def test_what_an_ending_process_has_called_lost_is_not_tried_again() -> None:
    unsaved = UnsavedPairs(Executor())
    tries = []

    def put_off() -> None:
        tries.append(threading.current_thread().name)
        raise NotYet

    unsaved.keep(ACME, put_off, is_pair=False)
    unsaved.begin_no_more()
    unsaved.finish(10)
    wait_until(lambda: not background_threads())
    assert tries == ["loose-tokens"]


def test_an_ending_process_expects_nothing_new() -> None:
    unsaved = UnsavedPairs(Executor())
    with unsaved.expecting(ACME) as may_begin:
        assert may_begin
    unsaved.begin_no_more()
    with unsaved.expecting(ACME) as may_begin:
        assert not may_begin
        unsaved.finish(0)
