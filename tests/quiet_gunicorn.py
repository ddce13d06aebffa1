"""The service's settings of gunicorn with lists that ask for nothing beside themselves: `python:tests.quiet_gunicorn`.

What bundles hold is otherwise asked some seconds after a first list, and makes kept lists old; tests say to the call
what Zendesk is asked. `make_app` does the same for applications of this process.
"""

from typing import Any

from service import gunicorn_config
from service.gunicorn_config import *  # noqa: F403 - all of them but one
from service.job_specs.bundles import Bundles


def post_worker_init(worker: Any) -> None:  # type: ignore[no-redef]  # instead of what was imported
    """Begin as the service does, and keep its lists from asking bundles."""
    gunicorn_config.post_worker_init(worker)
    worker.wsgi.extensions["zis_collaborators"][Bundles].is_asking = False
