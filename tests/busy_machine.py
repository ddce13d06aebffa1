"""gunicorn's settings on a machine too busy to look in time, for `gunicorn --config python:tests.busy_machine`."""

from service.server import gunicorn_worker
from service.server.gunicorn_config import *  # noqa: F403 - all of them

# Over before it begins, as it is for a thread that has to wait for the processor.
gunicorn_worker.FIRST_WAIT_SECONDS = 0
