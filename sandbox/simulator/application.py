"""From a request to its reply: which account, which faults, which handler, and the call log."""

import base64
import binascii
import time
from collections.abc import Callable

from sandbox.simulator.accounts import Account
from sandbox.simulator.api_v2 import api_v2
from sandbox.simulator.authorize import authorize
from sandbox.simulator.exchange import ADMIN_SESSION_COOKIE, API_TOKEN, API_TOKEN_USER_SUFFIX, Exchange
from sandbox.simulator.faults import PAGING_KINDS, Fault
from sandbox.simulator.messages import Delivery, Reply, Request
from sandbox.simulator.people import User
from sandbox.simulator.refusals import no_account, not_found
from sandbox.simulator.registry import named_integration, registry
from sandbox.simulator.token_endpoint import token_endpoint
from sandbox.simulator.world import Call, World

Handler = Callable[[Exchange], Reply]


def answer_account(world: World, request: Request) -> Reply:
    """Answer a request below `/a/{subdomain}`; blocks where a fault says so, never while holding the lock."""
    with world.lock:
        name = request.segments[1] if len(request.segments) > 1 else ""
        account = world.accounts.get(name)
        if account is None:
            return no_account(f"{name}.zendesk.com")
        exchange = Exchange(world, account, request, request.segments[2:])
        places, handler = _place(exchange)
        call = _call(exchange)
        world.log(call)
        if account.is_gone:
            gone = no_account(account.host)
            call.status = gone.status
            return gone
        faults = _striking(account, places)
    reply = _perform(exchange, handler, faults)
    call.status = reply.status if reply.delivery not in {Delivery.RESET, Delivery.DROP} else 0
    return reply


def _perform(exchange: Exchange, handler: Handler, faults: list[Fault]) -> Reply:
    """Wait, act and spoil the answer, in the order the faults ask for."""
    waits = [fault for fault in faults if fault.waits]
    spoils = [fault for fault in faults if not fault.waits]
    for fault in waits:
        if not fault.after_effect:
            _wait(exchange, fault)
            if fault.kind == "hang":
                return fault.reply(None, exchange.request.target)
    honest = None
    if all(fault.needs_answer for fault in spoils):
        kinds = [fault.kind for fault in spoils if fault.kind in PAGING_KINDS]
        exchange.paging_fault = kinds[0] if kinds else None
        with exchange.world.lock:
            # Only now: what waited may have outlived its token.
            _authenticate(exchange)
            honest = handler(exchange)
    for fault in waits:
        if fault.after_effect:
            _wait(exchange, fault)
            if fault.kind == "hang":
                return fault.reply(None, exchange.request.target)
    if spoils:
        return spoils[0].reply(honest, exchange.request.target)
    if honest is None:
        raise AssertionError("without faults there is an answer")
    return _late(exchange, honest)


def _wait(exchange: Exchange, fault: Fault) -> None:
    exchange.world.count_held(1)
    try:
        fault.wait(exchange.gate)
    finally:
        exchange.world.count_held(-1)


def _late(exchange: Exchange, honest: Reply) -> Reply:
    """Hold back a refreshed pair where the switch says so; it is committed already."""
    switches = exchange.account.switches
    is_refresh = (
        exchange.segments == ("oauth", "tokens") and exchange.request.form().get("grant_type") == "refresh_token"
    )
    if switches.refresh == "slow" and is_refresh:
        _wait(exchange, Fault("token", "slow", seconds=switches.slow_seconds))
    return honest


def _striking(account: Account, places: frozenset[str]) -> list[Fault]:
    """Return the faults that strike this request: every one that only waits, and the first that spoils."""
    chosen: list[Fault] = []
    if account.switches.transport != "ok" and "registry" in places:
        chosen.append(Fault("registry", account.switches.transport))
    for fault in account.faults:
        if (fault.waits or all(one.waits for one in chosen)) and fault.strikes(places):
            chosen.append(fault)
    return chosen


# --- which handler, and where faults see it ---


def _place(exchange: Exchange) -> tuple[frozenset[str], Handler]:
    """Return the places of the request, as faults name them, and who answers it."""
    match exchange.segments:
        case ("oauth", "authorizations", "new"):
            return frozenset({"all", "authorize"}), authorize
        case ("oauth", "tokens") if exchange.method == "POST":
            return frozenset({"all", "token"}), token_endpoint
        case ("api", "v2", *rest):
            return _place_in_api(exchange.method, rest), api_v2
        case ("api", "services", "zis", *rest):
            places = {"all", "registry", f"registry:{named_integration(exchange)}"}
            match rest:
                case ("registry", "job_specs", "install"):
                    places.add("change")
                case ("registry", _, "job_specs"):
                    places.add("list")
                case ("registry", _, "bundles", *_):
                    places.add("bundles")
            return frozenset(places), registry
        case _:
            return frozenset({"all"}), lambda _: not_found()


def _place_in_api(method: str, path: list[str]) -> frozenset[str]:
    match path:
        case ("users", *_):
            place = "users"
        case ("oauth", clients, *_) if clients.startswith("clients"):
            place = "clients"
        case ("oauth", tokens, *_) if tokens.startswith("tokens"):
            place = {"POST": "mint", "DELETE": "revoke"}.get(method, "tokens")
        case ("apps", _, key) if key.startswith("public_key"):
            place = "public_key"
        case _:
            place = "all"
    return frozenset({"all", place})


def _call(exchange: Exchange) -> Call:
    request = exchange.request
    path = "/" + "/".join(exchange.segments)
    is_token = exchange.segments == ("oauth", "tokens")
    bearer = _bearer(request)
    return Call(
        at=time.time(),
        account=exchange.account.subdomain,
        method=request.method,
        path=path,
        query=tuple(request.query),
        job_spec_name=request.query.get("job_spec_name"),
        integration=named_integration(exchange) if exchange.segments[:3] == ("api", "services", "zis") else None,
        token_client=exchange.account.client_of(bearer) if bearer else None,
        grant_type=request.form().get("grant_type") if is_token else None,
    )


# --- who asks ---


def _bearer(request: Request) -> str | None:
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    return value.strip() if kind.lower() == "bearer" else None


def _authenticate(exchange: Exchange) -> None:
    """Fill in the token and the person: by bearer, API token or browser session."""
    account, request = exchange.account, exchange.request
    bearer = _bearer(request)
    if bearer is not None:
        exchange.token = account.bearer(bearer)
        if exchange.token is not None:
            exchange.user = account.users.get(exchange.token.user_id)
        return
    exchange.user = _by_api_token(account, request)
    exchange.by_api_token = exchange.user is not None
    if exchange.user is None:
        for cookie in request.headers.get("cookie", "").split(";"):
            name, _, value = cookie.strip().partition("=")
            if name == ADMIN_SESSION_COOKIE and value.isdecimal():
                exchange.user = account.users.get(int(value))


def _by_api_token(account: Account, request: Request) -> User | None:
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    number = name.removesuffix(API_TOKEN_USER_SUFFIX)
    if secret != API_TOKEN or number == name or not number.isdecimal():
        return None
    return account.users.get(int(number))
