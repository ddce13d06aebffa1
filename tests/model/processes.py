"""A process of the service, as the application puts it together, and what its threads do."""

import time
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, TypeVar, cast
from unittest.mock import patch

from flask import Flask

from service.activity import OPERATOR
from service.app import _assemble
from service.deadlines import REQUEST_BUDGET_SECONDS, Deadline
from service.errors import ZendeskUnavailable
from service.files.collection import Collection
from service.oauth.access_tokens import AccessTokens
from service.oauth.handshake import Handshake
from service.oauth.upkeep import Upkeep
from service.oauth.zis_tokens import ZISTokens
from service.operations.key_rotation import rotate
from service.operations.sealed_records import SealedRecords
from service.settings import Settings
from service.sidebar.connection import Connection
from service.store import Store
from service.vault import Vault
from service.zis_registry import Registry
from tests.model.edges import World
from tests.model.thread_edges import SteppedExecutor, SteppedTurns
from tests.model.words import ACME
from tests.model.zendesk import INTEGRATION
from tests.model.zendesk_edge import SteppedZendesk

# Enough to exchange, check, store and revoke; too little to probe afterwards, which only looks.
CALLBACK_SECONDS = 6.9
# Of one patient caller: two waits, and what comes after each.
REQUESTS = 3
T = TypeVar("T")


class Process:
    """The collaborators of one process, real but for their edges."""

    def __init__(self, world: World, name: str, store: Store, settings: Settings) -> None:
        self.name = name
        self.world = world
        assembled = SimpleNamespace(extensions={})
        with (
            patch("service.app.ZendeskAdapter", partial(SteppedZendesk, world)),
            patch("service.app.Executor", SteppedExecutor),
            patch("service.app.Turns", partial(SteppedTurns, world=world, process=name)),
            # None of them has anything to do here, and all cost more than the rest.
            patch("service.app.RateLimits", lambda *_: None),
            patch("service.app.Release", SimpleNamespace(current=lambda: None)),
        ):
            _assemble(cast("Flask", assembled), settings, store, Collection())
        self._collaborators: dict[type, Any] = assembled.extensions["zis_collaborators"]

    def one(self, kind: type[T]) -> T:
        """Return the process's one object of a class."""
        found: T = self._collaborators[kind]
        return found

    @property
    def has_unsaved(self) -> bool:
        return self.one(AccessTokens).unsaved.holds(ACME)


def call_zis(process: Process) -> object:
    """Ask for a list, as every opened sidebar does."""
    deadline = Deadline.after(REQUEST_BUDGET_SECONDS)
    operation = process.one(Registry).page_call(ACME, INTEGRATION, None, deadline)
    return process.one(ZISTokens).call_zis(ACME, INTEGRATION, deadline, operation)


def keep_calling(process: Process) -> object:
    """Ask for a list again as soon as the last answer allowed it, until there is one or the patience ends."""
    for _ in range(REQUESTS):
        process.world.guarantees.begins_request(process.world.schedule.current)
        try:
            return call_zis(process)
        except ZendeskUnavailable as refusal:
            end = time.time() + (refusal.retry_after or 0)
            while time.time() < end:
                time.sleep(1)
    return None


def keep_up(process: Process) -> object:
    """Do what the daily round does."""
    for outcome in process.one(Upkeep).refresh_ageing():
        if outcome.failure is not None:
            raise outcome.failure
    return None


def disconnect(process: Process) -> object:
    """Disconnect the account."""
    deadline = Deadline.after(REQUEST_BUDGET_SECONDS)
    return process.one(Connection).disconnect(ACME, OPERATOR, deadline, uninstall=False)


def reconnect(process: Process) -> object:
    """Come back from the consent page."""
    code = f"code {len(process.world.account.codes)}"
    process.world.account.codes.add(code)
    return process.one(Handshake).complete(ACME, code, "verifier", Deadline.after(CALLBACK_SECONDS))


def rotate_keys(process: Process) -> object:
    """Seal everything anew under the newest key."""
    newest = process.one(Vault).key_ids[0]
    return rotate(process.one(SealedRecords), newest, lambda _: None, lambda: False)


WORK: dict[str, Callable[[Process], object]] = {
    "caller": call_zis,
    "patient caller": keep_calling,
    "upkeep": keep_up,
    "disconnect": disconnect,
    "reconnect": reconnect,
    "rotation": rotate_keys,
}
