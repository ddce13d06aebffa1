"""Clocks that differ among gunicorn's processes; Python imports this at its start where PYTHONPATH names its folder.

The first worker process has the machine's clock, the second one that is `CLOCK_AHEAD_SECONDS` ahead, and so on in turn.
"""
# ruff: noqa: INP001 - a folder for PYTHONPATH, no package

import os
import time

import time_machine


class _Workers:
    """Counts the processes that were forked."""

    forked = 0

    def count(self) -> None:
        self.forked += 1

    def set_clock(self) -> None:
        if self.forked % 2:
            ahead = float(os.environ["CLOCK_AHEAD_SECONDS"])
            time_machine.travel(time.time() + ahead, tick=True).start()


_workers = _Workers()
os.register_at_fork(after_in_parent=_workers.count, after_in_child=_workers.set_clock)
