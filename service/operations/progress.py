"""What a command is about, on standard error, once it takes longer than a second."""

import threading
import time
from types import TracebackType
from typing import Self

import click

# Nobody wonders about a step that is shorter.
QUIET_SECONDS = 1.0
# The same step is named again after this, so that a person sees that it has not died.
AGAIN_SECONDS = 10.0


class Progress:
    """Writes a plain line when the step has changed, at most one a second; to be used as a context."""

    def __init__(
        self, text: str, *, quiet_seconds: float = QUIET_SECONDS, again_seconds: float = AGAIN_SECONDS
    ) -> None:
        self._text = text
        self._quiet_seconds = quiet_seconds
        self._again_seconds = again_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)

    def tell(self, text: str) -> None:
        """Say what is being done from now on."""
        self._text = text

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        said, said_at = "", 0.0
        while not self._over.wait(self._quiet_seconds):
            text, now = self._text, time.monotonic()
            if text != said or now - said_at >= self._again_seconds:
                click.echo(f"{text} …", err=True)
                said, said_at = text, now
