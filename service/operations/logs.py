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
from typing import Any

import structlog

# Authlib logs the PKCE verifier at debug; nothing below this level leaves the process.
LEVEL = logging.INFO


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
            # The request and its account, as `service.web` binds them; threads of a request take them along.
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            _with_frames,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVEL),
        logger_factory=structlog.PrintLoggerFactory(),
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
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        yield
    finally:
        structlog.configure(**before)


def log_thread_crash(crash: threading.ExceptHookArgs) -> None:
    """Log what ended a thread, as everything unforeseen: where it came from, and not its words."""
    name = crash.thread.name if crash.thread else None
    structlog.get_logger(__name__).error("unforeseen", thread=name, exc_info=crash.exc_value)


def _with_frames(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Say where an exception came from; not its text, which may hold what it stumbled over."""
    fault = event.pop("exc_info", None)
    if isinstance(fault, BaseException):
        frames = traceback.extract_tb(fault.__traceback__)
        event["exception"] = type(fault).__qualname__
        event["trace"] = " < ".join(f"{frame.filename}:{frame.lineno}:{frame.name}" for frame in reversed(frames))
    return event
