"""A webhook for alerts."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sandbox.simulator.messages import Reply
from tests.endpoint import Endpoint


class Webhook:
    """A webhook, and what it was told."""

    def __init__(self) -> None:
        self.endpoint = Endpoint(Reply(200, b"ok", "text/plain"))
        self.url = self.endpoint.template.replace("/a/{subdomain}", "/services/T0/B0/hook-secret")

    @property
    def told(self) -> list[dict[str, Any]]:
        return [json.loads(request.body) for request in self.endpoint.requests]

    @property
    def events(self) -> list[tuple[str, str | None]]:
        return [(one["event"], one["account"]) for one in self.told]


@contextmanager
def running_webhook() -> Iterator[Webhook]:
    """Run a webhook while the block runs."""
    hook = Webhook()
    try:
        yield hook
    finally:
        hook.endpoint.stop()
