"""Counts that cannot be shared are lost, and nothing else is."""

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, values

from service.ground import shared_counts
from service.ground.shared_counts import FILE_BYTES, SharedCounts
from service.server.logs import configure_logs

needs_fallocate = pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system has no posix_fallocate")


@pytest.fixture
def counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SharedCounts]:
    """Counts in a folder of the test's."""
    counts = SharedCounts()
    monkeypatch.setattr(shared_counts, "COUNTS", counts)
    monkeypatch.setattr(tempfile, "tempdir", os.fspath(tmp_path))
    configure_logs("logfmt")
    yield counts
    counts.remove()


def make_counter(registry: CollectorRegistry) -> Counter:
    assert values.ValueClass is shared_counts.SharedValue
    return Counter("things", "Things.", ("kind",), registry=registry)


def no_space(*_arguments: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def shown(counts: SharedCounts, registry: CollectorRegistry) -> float:
    return sum(
        sample.value
        for metric in counts.collected(registry)
        for sample in metric.samples
        if sample.name == "things_total"
    )


def folder_of(counts: SharedCounts) -> Path:
    assert counts.folder is not None
    return counts.folder


def test_what_was_counted_before_it_was_shared_is_the_masters_own(counts: SharedCounts) -> None:
    registry = CollectorRegistry()
    counter = make_counter(registry)
    counts.share()
    counter.labels("a").inc()
    counts.open()
    counter.labels("a").inc(2)
    counter.labels("b").inc(3)
    assert shown(counts, registry) == 5


def test_space_is_allocated_before_it_is_used(counts: SharedCounts) -> None:
    registry = CollectorRegistry()
    counts.share()
    counts.open()
    counter = make_counter(registry)
    for number in range(1000):
        counter.labels(f"kind number {number}").inc()
    (file,) = folder_of(counts).glob("counter_*.db")
    assert file.stat().st_size > FILE_BYTES
    assert file.stat().st_blocks * 512 >= file.stat().st_size
    assert shown(counts, registry) == 1000


@needs_fallocate
def test_without_space_at_the_start_nothing_is_counted_and_the_log_says_so(
    counts: SharedCounts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = CollectorRegistry()
    counter = make_counter(registry).labels("a")
    counts.share()
    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", no_space)
        counts.open()
    counter.inc()
    assert shown(counts, registry) == 0
    assert 'event=metrics_not_counted reason="No space left on device"' in capsys.readouterr().out
    # `zis_processes` shows that one is missing.
    assert counts.processes() == [os.getppid()]


@needs_fallocate
def test_without_space_for_more_nothing_more_is_counted(
    counts: SharedCounts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = CollectorRegistry()
    counts.share()
    counts.open()
    counter = make_counter(registry)
    counter.labels("first").inc()
    monkeypatch.setattr(os, "posix_fallocate", no_space)
    for number in range(1000):
        counter.labels(f"kind number {number}").inc()
    counter.labels("first").inc()
    assert 1 <= shown(counts, registry) < 1000
    assert capsys.readouterr().out.count("metrics_not_counted") == 1


def test_without_room_for_a_folder_nothing_is_shared(
    counts: SharedCounts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = CollectorRegistry()
    monkeypatch.setattr(os, "mkdir", no_space)
    counts.share()
    counts.make_again()
    counts.open()
    counts.forget(1)
    make_counter(registry).labels("a").inc()
    assert (counts.folder, shown(counts, registry)) == (None, 1)
    assert counts.processes() == [os.getpid()]
    assert "metrics_not_shared" in capsys.readouterr().out


@pytest.mark.parametrize("what", ["open to others", "a file", "nothing"])
def test_somebody_elses_folder_in_its_place_is_not_used(
    what: str, counts: SharedCounts, capsys: pytest.CaptureFixture[str]
) -> None:
    counts.share()
    folder = folder_of(counts)
    folder.rmdir()
    if what == "open to others":
        folder.mkdir()
        folder.chmod(0o777)
        counts.make_again()
    elif what == "a file":
        folder.write_text("")
        counts.make_again()
    counts.open()
    registry = CollectorRegistry()
    make_counter(registry).labels("a").inc()
    assert shown(counts, registry) == 0
    assert "metrics_not_counted" in capsys.readouterr().out
    if what == "a file":
        folder.unlink()


def test_a_folder_that_was_removed_is_made_again_and_locked(counts: SharedCounts) -> None:
    counts.share()
    folder_of(counts).rmdir()
    counts.make_again()
    assert folder_of(counts).is_dir()
    counts.make_again()
    counts.open()
    registry = CollectorRegistry()
    make_counter(registry).labels("a").inc()
    assert shown(counts, registry) == 1


def test_files_that_are_no_counts_cost_the_scrape_its_counts(
    counts: SharedCounts, capsys: pytest.CaptureFixture[str]
) -> None:
    counts.share()
    (folder_of(counts) / "counter_1.db").write_bytes(b"x")
    assert shown(counts, CollectorRegistry()) == 0
    assert "metrics_not_read" in capsys.readouterr().out
