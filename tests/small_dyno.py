"""gunicorn's settings on a machine that gives a process few threads, for `gunicorn --config python:tests.small_dyno`.

Not by the system's own limit: that counts all processes of a user, and does not hold for root.
"""

import os
import threading
from typing import Any

from service.server import gunicorn_config
from service.server.gunicorn_config import *  # noqa: F403 - all of them but one

# What a small dyno allows all processes together; two of them serve.
LIMIT = 256
WORKERS = 2
threads = gunicorn_config.threads_within(LIMIT, str(WORKERS))
# Of a process, with its first one; by default what two of them would have.
given = int(os.environ.get("THREADS_GIVEN", LIMIT // WORKERS))


def post_fork(_server: Any, _worker: Any) -> None:
    """Let this process start threads as long as the machine gives them."""
    start = threading.Thread.start

    def start_if_given(thread: threading.Thread) -> None:
        if threading.active_count() >= given:
            raise RuntimeError("can't start new thread")
        start(thread)

    threading.Thread.start = start_if_given  # type: ignore[assignment,method-assign]  # the machine's part is played
