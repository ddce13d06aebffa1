"""What is known of each integration of an account: whether Zendesk lets us work on it.

Learnt from every list that is asked for anyway; kept in one Redis hash an account, beside the account's signs.
"""

from dataclasses import dataclass

from service.grants import signs
from service.grants.grant_ends import AFTERLIFE_SECONDS
from service.grants.minting import IntegrationNotRegistered, MintingRefused
from service.ground.deadlines import Deadline
from service.ground.errors import (
    AdminRequired,
    IntegrationMismatch,
    ScopeInsufficient,
    ServiceError,
    ZendeskTimeout,
    ZISRejected,
)
from service.ground.subdomains import Subdomain
from service.store.store import Command
from service.zendesk.calls import ReplyLate
from service.zendesk.client import AccountClient
from service.zendesk.zis_registry import ask_page, specs_in

# A request has 25 s. One that waited at the router, or says so, has less.
UNHURRIED_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Probe:
    """One integration's state: `ready`, `mismatch`, `not_registered`, `forbidden`, `unavailable` or `unknown`."""

    state: str
    detail: str | None


STATES = frozenset({"ready", "mismatch", "not_registered", "forbidden", "unavailable", "unknown"})
UNKNOWN = Probe("unknown", None)
READY = Probe("ready", None)


def probe_of(failure: ServiceError | None) -> Probe:
    """Return what a list of the integration, or its failure, says of it."""
    if failure is None:
        return READY
    match failure:
        case IntegrationNotRegistered():
            state = "not_registered"
        case IntegrationMismatch():
            state = "not_registered" if failure.upstream_status == 404 else "mismatch"
        case AdminRequired() | ScopeInsufficient():
            state = "forbidden"
        case ZISRejected():
            state = "forbidden" if failure.upstream_status == 403 else "unavailable"
        case _:
            state = "unavailable"
    return Probe(state, words_of(failure))


def is_hurry(failure: ServiceError, deadline: Deadline, had_seconds: float) -> bool:
    """Return whether a time-out tells of the caller's own hurry and nothing of Zendesk, so that nobody else is told.

    `had_seconds`: what was left until the deadline when the question began.
    """
    if not isinstance(failure, ZendeskTimeout) or had_seconds >= UNHURRIED_SECONDS:
        return False
    # A reply that was late by a call's own limit is Zendesk's.
    return not isinstance(failure, ReplyLate) or deadline.left() < 1


def words_of(failure: ServiceError) -> str:
    """Return what stands beside an integration: Zendesk's words, with ours where those alone would puzzle."""
    if failure.upstream_detail is None:
        return failure.detail
    if isinstance(failure, MintingRefused):
        return f'{failure.detail} Zendesk said: "{failure.upstream_detail}"'
    return failure.upstream_detail


def ask(client: AccountClient, integration: str) -> ServiceError | None:
    """Return what stands against working on an integration, by one page of its list; None: nothing.

    `client` has the integration's token.
    """
    try:
        specs_in(ask_page(client, integration), integration)
    except ServiceError as failure:
        return failure
    return None


def _key(account: Subdomain) -> str:
    return f"zis:{{{account}}}:probes"


def reading(account: Subdomain) -> tuple[Command, Command]:
    """Return the commands whose replies `probes_in` and `signs.sign_in` take."""
    return ("HGETALL", _key(account)), signs.reading(account)


def reading_one(account: Subdomain, integration: str) -> tuple[Command, Command]:
    """Return the commands whose replies `is_ready` takes."""
    return ("HGET", _key(account), integration), signs.reading(account)


def is_ready(recorded: bytes | None, sign: list[bytes | None]) -> bool:
    """Return whether a list that succeeds says nothing new of the integration."""
    return recorded == _written(READY) and signs.sign_in(sign) is None


def probes_in(reply: dict[bytes, bytes]) -> dict[str, Probe]:
    """Return the known states by integration."""
    found = {}
    for integration, value in reply.items():
        state, _, detail = value.decode().partition("\n")
        # Another release may know more states.
        found[integration.decode()] = Probe(state, detail or None) if state in STATES else UNKNOWN
    return found


def recording(account: Subdomain, integration: str, failure: ServiceError | None) -> list[Command]:
    """Return the commands that remember what a list, or its failure, says of the integration."""
    probe = probe_of(failure)
    key = _key(account)
    commands: list[Command] = [
        ("HSET", key, integration, _written(probe)),
        ("EXPIRE", key, AFTERLIFE_SECONDS),
    ]
    return commands + signs.noting(account, failure)


def _written(probe: Probe) -> bytes:
    return f"{probe.state}\n{probe.detail or ''}".encode()


def forgetting(account: Subdomain) -> Command:
    """Return the command that forgets all of it."""
    return ("DEL", _key(account), *signs.keys(account))
