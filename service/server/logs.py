"""One line an event, as logfmt or JSON, with the request's id and account and without secrets.

Levels say who has to do something. info: it is done. warning: something failed that heals, or is somebody else's to
mend. error: the operator has to look. critical: something is about to be lost.
"""

import logging
import sys
import threading
import traceback
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, TextIO

import structlog

# Authlib logs the PKCE verifier at debug; nothing below this level leaves the process.
LEVEL = logging.INFO

# One for all streams: lines of several threads must not mix, and a process has one log.
_write_lock = threading.Lock()


class LineLogger:
    """Writes lines to a stream; a line that cannot be written is lost, and nothing is raised.

    The reader of standard output may be gone or the disk full. What the line tells of has happened all the same, so
    whoever logs must get on. Once lines can be written again, one says how many are missing.
    """

    _lost = 0
    """Lines that this process could not write since the last one that it could."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        """Write one line."""
        # Looked up for each line, because tests and commands put another stream in its place.
        stream = sys.stdout if self._stream is None else self._stream
        with _write_lock:
            lost = LineLogger._lost
            if not _is_written(stream, f"{line}\n"):
                LineLogger._lost = lost + 1
                return
            LineLogger._lost = 0
        if lost:
            structlog.get_logger(__name__).error("log_lines_lost", lines=lost)

    log = debug = info = warning = error = critical = exception = msg


def _is_written(stream: TextIO, text: str) -> bool:
    try:
        try:
            stream.write(text)
        except UnicodeEncodeError:
            # Half a character of another encoding, in what a caller sent.
            stream.write(text.encode("ascii", "backslashreplace").decode())
        stream.flush()
    except (OSError, ValueError):
        # ValueError: the stream is closed.
        return False
    return True


class LineLoggerFactory:
    """Makes loggers that write to a stream; None: to whatever standard output is when a line is written."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def __call__(self, *_names: Any) -> LineLogger:
        return LineLogger(self._stream)


def configure_logs(log_format: str) -> None:
    """Write events to standard output; for the whole process."""
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.processors.LogfmtRenderer(
            key_order=["at", "level", "event"], drop_missing=True, bool_as_flag=False
        )
    )
    structlog.configure(
        processors=[
            # The request and its account, as `service.web.request` binds them; threads of a request take them along.
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            _with_frames,
            _without_nothing,
            _in_one_line,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVEL),
        logger_factory=LineLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    logging.getLogger("authlib").setLevel(LEVEL)
    logging.getLogger("urllib3").setLevel(LEVEL)


@contextmanager
def logs_on_standard_error() -> Iterator[None]:
    """Write events to standard error meanwhile, because standard output is a command's answer.

    At a terminal only from warnings on: whoever sits there reads the answer.
    """
    before = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING if sys.stderr.isatty() else LEVEL),
        logger_factory=LineLoggerFactory(sys.stderr),
    )
    try:
        yield
    finally:
        structlog.configure(**before)


def log_thread_crash(crash: threading.ExceptHookArgs) -> None:
    """Log what ended a thread, as everything unforeseen: where it came from, and not its words."""
    name = crash.thread.name if crash.thread else None
    structlog.get_logger(__name__).error("unforeseen", thread=name, exc_info=crash.exc_value)


def _in_one_line(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Write control characters as escapes: a name of a job spec may hold any, and logfmt escapes a line break alone."""
    for key, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[key] = "".join(one if one.isprintable() else repr(one)[1:-1] for one in value)
    return event


def _without_nothing(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Leave out fields that have no value: `cause=` would make a reader look for what is missing."""
    for key in [key for key, value in event.items() if value is None]:
        del event[key]
    return event


def _with_frames(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Say where an exception came from; not its text, which may hold what it stumbled over."""
    fault = event.pop("exc_info", None)
    if fault is True:
        # `Logger.exception` means the one that is being handled.
        fault = sys.exc_info()[1]
    if isinstance(fault, BaseException):
        frames = traceback.extract_tb(fault.__traceback__)
        event["exception"] = type(fault).__qualname__
        event["trace"] = " < ".join(f"{frame.filename}:{frame.lineno}:{frame.name}" for frame in reversed(frames))
    return event
