"""The service's settings of gunicorn for tests that say to the call what is asked: `python:tests.quiet_gunicorn`.

Lists ask for nothing beside themselves: what bundles hold is otherwise asked some seconds after a first one, and makes
kept lists old. `make_app` does the same for applications of this process.

In the environment: MEMORY_LOOK_SECONDS, how long a process believes what it saw of the memory of Redis; LONGER_WAITS,
how often as long as usual nobody asks the token endpoint after a failure.
"""

import os
from typing import Any

from service.grants import cool_down
from service.server import gunicorn_config
from service.server.gunicorn_config import *  # noqa: F403 - all of them but one
from service.store import store

WAITS = ("FIRST_WAIT_SECONDS", "LONGEST_WAIT_SECONDS", "STEP_TTL_SECONDS")


def post_worker_init(worker: Any) -> None:  # type: ignore[no-redef]  # instead of what was imported
    """Begin as the service does, and keep its lists from asking bundles."""
    gunicorn_config.post_worker_init(worker)
    worker.wsgi.extensions["zis_services"].bundles.is_asking = False
    for name in WAITS:
        setattr(cool_down, name, int(os.environ.get("LONGER_WAITS", "1")) * getattr(cool_down, name))
    store.MEMORY_LOOK_SECONDS = float(os.environ.get("MEMORY_LOOK_SECONDS", store.MEMORY_LOOK_SECONDS))
