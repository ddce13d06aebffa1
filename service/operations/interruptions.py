"""Ctrl-C and SIGTERM while a command works.

A command that stops dead between Zendesk's answer and its storing loses a grant, so the first signal only asks: the
step under way is finished, and none begins after it. The second one ends the process as usual.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import click

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_META = "zis.interruption"


class Interruption:
    """Whether somebody has asked the command to stop."""

    is_asked = False

    def ask(self, number: int, _frame: FrameType | None) -> None:
        """Note the first signal, and let the next one through."""
        self.is_asked = True
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        # Raised here, it would end the step under way, wherever that is.
        with suppress(OSError):
            click.echo("Stopping after the current step. Interrupt again to stop at once.", err=True)


@contextmanager
def interruptible(context: click.Context) -> Iterator[None]:
    """Let signals only ask while the block runs."""
    interruption = context.meta[_META] = Interruption()
    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, interruption.ask) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def is_interrupted() -> bool:
    """Return whether the command at hand should begin nothing more; False where there is none."""
    context = click.get_current_context(silent=True)
    interruption: Interruption | None = context.meta.get(_META) if context else None
    return interruption is not None and interruption.is_asked
