"""gunicorn's settings, for `gunicorn --config python:service.gunicorn_config`.

Heroku sets WEB_CONCURRENCY (workers) and FORWARDED_ALLOW_IPS=*; what must not depend on them is said here.
"""

import os
import sys
from collections.abc import MutableMapping
from datetime import timedelta
from typing import Any

import structlog
from gunicorn.glogging import Logger

from service.oauth.access_tokens import AccessTokens
from service.oauth.upkeep import Upkeep
from service.settings import Settings, SettingsError
from service.zendesk.bulkhead import Bulkhead

_log = structlog.get_logger("service.access")

worker_class = "gthread"
# Far above the cores: the work is waiting for Zendesk and Redis. In the first three seconds in which an account hangs
# its callers may hold as many as come, so there are more than one account is likely to fill.
threads = 128
# gthread: a heartbeat, not a limit of a request; requests end by their own deadline of 25 s.
timeout = 60
# Below the 30 s after which the platform kills.
graceful_timeout = 27
# Above the 90 s for which the router keeps idle connections.
keepalive = 95
# Only a proxy on this machine may say what a client's request was; the addresses come from TRUSTED_PROXIES alone.
forwarded_allow_ips = "127.0.0.1"
forwarder_headers = ""
control_socket_disable = True
accesslog = "-"
# Time for a pair that Redis does not take, of the graceful time-out.
UNSAVED_SECONDS = 20.0


class AccessLog(Logger):
    """Writes one line a request in the form of all other lines.

    The path is as it was sent, still percent-encoded, so that it cannot break out of its line; and without its query,
    which holds codes and states.
    """

    def access(self, resp: Any, req: Any, environ: MutableMapping[str, Any], request_time: timedelta) -> None:  # noqa: ARG002 - gunicorn's signature
        headers = {name.lower(): value for name, value in resp.headers}
        _log.info(
            "request",
            method=environ["REQUEST_METHOD"],
            path=environ["RAW_URI"].partition("?")[0],
            status=resp.status_code,
            bytes=resp.sent,
            milliseconds=round(request_time / timedelta(milliseconds=1), 1),
            request_id=headers.get("x-request-id"),
        )


logger_class = AccessLog


def _collaborator(worker: Any, kind: type) -> Any:
    return worker.wsgi.extensions["zis_collaborators"][kind]


def on_starting(_server: Any) -> None:
    """Refuse to start under settings that do not work; names every fault and exits with status 1."""
    try:
        Settings.from_env(os.environ)
    except SettingsError as faults:
        faults.show()
        sys.exit(faults.exit_code)


def post_worker_init(worker: Any) -> None:
    """Tell the application how many threads serve it, and begin looking after quiet accounts."""
    _collaborator(worker, Bulkhead).set_threads(worker.cfg.threads)
    _collaborator(worker, Upkeep).start()


def worker_exit(_server: Any, worker: Any) -> None:
    """Go on trying to store what Zendesk has given or is just giving, until the graceful time-out."""
    if getattr(worker, "wsgi", None) is not None:
        _collaborator(worker, Upkeep).stop()
        _collaborator(worker, AccessTokens).unsaved.finish(UNSAVED_SECONDS)
