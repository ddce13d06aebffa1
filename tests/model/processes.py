"""A process of the service, as the application puts it together, and what its threads do."""

import time
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from unittest.mock import patch

from service.ground.deadlines import REQUEST_BUDGET_SECONDS, Deadline
from service.ground.errors import ZendeskUnavailable
from service.ground.settings import Settings
from service.operations.key_rotation import rotate
from service.services import build_services
from service.sidebar.files.collection import Collection
from service.store.events import OPERATOR
from service.store.store import Store
from service.zendesk.zis_registry import ask_page
from tests.model.edges import World
from tests.model.thread_edges import SteppedExecutor, SteppedLeases
from tests.model.words import ACME
from tests.model.zendesk import INTEGRATION
from tests.model.zendesk_edge import SteppedZendesk

# Enough to exchange, check, store and revoke; too little to probe afterwards, which only looks.
CALLBACK_SECONDS = 6.9
# Of one patient caller: two waits, and what comes after each.
REQUESTS = 3


class Process:
    """The collaborators of one process, real but for their edges."""

    def __init__(self, world: World, name: str, store: Store, settings: Settings) -> None:
        self.name = name
        self.world = world
        with (
            patch("service.services.ZendeskAdapter", partial(SteppedZendesk, world)),
            patch("service.services.Executor", SteppedExecutor),
            patch("service.services.Leases", partial(SteppedLeases, world=world, process=name)),
            # None of them has anything to do here, and all cost more than the rest.
            patch("service.services.RateLimits", lambda *_: None),
            patch("service.services.Release", SimpleNamespace(current=lambda: None)),
        ):
            self.services = build_services(settings, store, Collection())

    @property
    def has_unsaved(self) -> bool:
        return self.services.access_tokens.pending_pairs.holds(ACME)


def call_zis(process: Process) -> object:
    """Ask for a list, as every opened sidebar does."""
    deadline = Deadline.after(REQUEST_BUDGET_SECONDS)
    return ask_page(process.services.clients.of_integration(ACME, INTEGRATION, deadline), INTEGRATION)


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
    for outcome in process.services.upkeep.refresh_ageing():
        if outcome.failure is not None:
            raise outcome.failure
    return None


def disconnect(process: Process) -> object:
    """Disconnect the account."""
    deadline = Deadline.after(REQUEST_BUDGET_SECONDS)
    return process.services.connection.disconnect(ACME, OPERATOR, deadline, uninstall=False)


def reconnect(process: Process) -> object:
    """Come back from the consent page."""
    code = f"code {len(process.world.account.codes)}"
    process.world.account.codes.add(code)
    return process.services.handshake.complete(ACME, code, "verifier", Deadline.after(CALLBACK_SECONDS))


def rotate_keys(process: Process) -> object:
    """Seal everything anew under the newest key."""
    newest = process.services.vault.key_ids[0]
    return rotate(process.services.sealed_records, newest, lambda _: None, lambda: False)


WORK: dict[str, Callable[[Process], object]] = {
    "caller": call_zis,
    "patient caller": keep_calling,
    "upkeep": keep_up,
    "disconnect": disconnect,
    "reconnect": reconnect,
    "rotation": rotate_keys,
}
