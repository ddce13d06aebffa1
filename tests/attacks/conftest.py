"""One gunicorn for all attacks on a module's server: starting and stopping one takes seconds."""

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.simulator import APP_ID, CLIENT_ID, CLIENT_SECRET, Simulator
from tests.steps import SECRET_KEYS
from tests.workers import LiveService

# What Heroku sets for every Python application, and its one router.
PLATFORM = {
    "FORWARDED_ALLOW_IPS": "*",
    "GUNICORN_CMD_ARGS": "--access-logfile -",
    "WEB_CONCURRENCY": "1",
    "TRUSTED_PROXIES": "1",
}


@pytest.fixture(scope="module")
def platform_service(valkey: Any, running_simulator: Simulator) -> Iterator[LiveService]:
    """The service as the platform runs it, one process; its store is emptied for each test that asks for `redis`."""
    service = LiveService(
        {
            "REDIS_URL": f"redis://127.0.0.1:{valkey.port}/0",
            "SECRET_KEYS": SECRET_KEYS,
            "ZENDESK_SUBDOMAINS": "acme,globex,initech",
            "ZENDESK_CLIENT_ID": CLIENT_ID,
            "ZENDESK_CLIENT_SECRET": CLIENT_SECRET,
            "ZIS_INTEGRATIONS": "{subdomain}_orders",
            "ZENDESK_APPS": str(APP_ID),
            "ZENDESK_URL_TEMPLATE": running_simulator.url_template,
            **PLATFORM,
        },
        workers=1,
    )
    service.wait_until_ready()
    yield service
    service.stop()
