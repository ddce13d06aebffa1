"""What Redis did not take is kept in hand until it is settled, each thing for itself."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.grants.pending_pairs import NotYet, PendingPairs
from service.ground.errors import StoreUnavailable
from service.ground.executor import Executor
from service.ground.subdomains import Subdomain
from service.server.logs import configure_logs
from tests.steps import wait_until

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


@pytest.mark.usefixtures("quick_retries")
def test_two_things_of_one_account_are_both_settled(pending_pairs: PendingPairs) -> None:
    pair, minted = Thing(), Thing()
    pending_pairs.keep(ACME, pair.settle)
    pending_pairs.keep(ACME, minted.settle, is_pair=False)
    minted.is_store_there = True
    wait_until(lambda: minted.is_settled)
    assert pending_pairs.holds(ACME)
    pair.is_store_there = True
    pending_pairs.finish(10)
    assert pair.is_settled
    assert not pending_pairs.holds(ACME)


def test_the_end_does_not_wait_for_what_is_put_off(
    pending_pairs: PendingPairs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure_logs("logfmt")
    tries: list[int] = []

    def settle() -> None:
        tries.append(1)
        if len(tries) < 4:
            raise NotYet

    pending_pairs.keep(ACME, settle, is_pair=False)
    wait_until(lambda: bool(tries))
    began = len(tries)
    pending_pairs.finish(60)
    assert len(tries) <= began + 1
    assert "level=warning event=token_left account=acme" in capsys.readouterr().out
    monkeypatch.setattr("service.grants.pending_pairs.RETRY_SECONDS", 0.01)
    wait_until(lambda: len(tries) == 4)


@pytest.mark.usefixtures("quick_retries")
def test_the_end_waits_for_what_is_only_expected(pending_pairs: PendingPairs) -> None:
    pair = Thing()
    with ThreadPoolExecutor(1) as pool:
        with pending_pairs.expecting(ACME):
            ending = pool.submit(pending_pairs.finish, 60)
            assert not ending.done()
            pending_pairs.keep(ACME, pair.settle)
        assert not ending.done()
        pair.is_store_there = True
        ending.result()
    assert pair.is_settled


@pytest.mark.usefixtures("quick_retries")
def test_the_end_says_what_is_lost_with_what_is_still_in_hand(
    pending_pairs: PendingPairs, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("logfmt")
    pair, minted = Thing(), Thing()
    pending_pairs.keep(ACME, pair.settle)
    pending_pairs.keep(Subdomain("globex"), minted.settle, is_pair=False)
    assert pending_pairs.holds(ACME)
    assert not pending_pairs.holds(Subdomain("globex"))
    pending_pairs.finish(0)
    said = capsys.readouterr().out
    assert "level=critical event=pair_lost account=acme" in said
    assert "level=warning event=token_left account=globex" in said
    pair.is_store_there = minted.is_store_there = True
    pending_pairs.finish(10)
    assert pair.is_settled
    assert minted.is_settled


def test_what_there_was_no_thread_for_is_settled_once_there_is_one(pending_pairs: PendingPairs) -> None:
    pair = Thing()
    pair.is_store_there = True
    with pytest.MonkeyPatch.context() as patch:

        def refuse(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        patch.setattr(threading.Thread, "start", refuse)
        pending_pairs.keep(ACME, pair.settle)
        assert pending_pairs.holds(ACME)
    # Whoever wants the account's token looks, and so does the end of the process.
    pending_pairs.holds(ACME)
    wait_until(lambda: not pending_pairs.holds(ACME))
    assert pair.is_settled


def test_what_there_was_no_free_thread_for_is_settled_without_anybody_coming_by(
    pending_pairs: PendingPairs, executor: Executor
) -> None:
    executor.set_threads(1)
    pairs = [Thing(), Thing()]
    busy = threading.Event()
    assert executor.begin(Subdomain("globex"), "list", busy.wait) is not None
    for account, pair in zip(("acme", "initech"), pairs, strict=True):
        pair.is_store_there = True
        pending_pairs.keep(Subdomain(account), pair.settle)
    settled_too_soon = [pair for pair in pairs if pair.is_settled]
    busy.set()
    assert not settled_too_soon
    # Nobody asks for a token: of a quiet account nobody would, and another process may spend the old pair meanwhile.
    wait_until(lambda: all(pair.is_settled for pair in pairs))


def test_what_an_ending_process_has_called_lost_is_not_tried_again(
    pending_pairs: PendingPairs, executor: Executor
) -> None:
    tries = []

    def put_off() -> None:
        tries.append(threading.current_thread().name)
        raise NotYet

    pending_pairs.keep(ACME, put_off, is_pair=False)
    pending_pairs.begin_no_more()
    pending_pairs.finish(10)
    wait_until(lambda: not executor.at_work)
    assert tries == ["loose-tokens"]


def test_an_ending_process_expects_nothing_new(pending_pairs: PendingPairs) -> None:
    with pending_pairs.expecting(ACME) as may_begin:
        assert may_begin
    pending_pairs.begin_no_more()
    with pending_pairs.expecting(ACME) as may_begin:
        assert not may_begin
        pending_pairs.finish(0)
