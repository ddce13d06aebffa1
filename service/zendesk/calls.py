"""One call to an account: where it goes, what is repeated, and what a failure means."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from json import dumps
from typing import Any
from urllib.parse import urlencode
from weakref import WeakValueDictionary

import requests
from urllib3.exceptions import ProxyError

from service.ground.deadlines import Deadline
from service.ground.errors import AccountGone, RateLimited, ServiceError, ZendeskTimeout, ZendeskUnavailable
from service.ground.network_faults import NetworkFault, causes, network_fault
from service.ground.settings import Settings
from service.ground.subdomains import Subdomain
from service.zendesk.clock import ClockWatch
from service.zendesk.measured import Kind, Measured
from service.zendesk.replies import Reply
from service.zendesk.transport import NotConnected, NotConnectedInTime, ProxyRefused, ReplyTooLarge, ZendeskAdapter

CALL_SECONDS = 10.0
# Whether ZIS counts for the account's limit is not known; four at once are polite and enough.
CALLS_AT_ONCE = 4
# Of these: a question for somebody's role does not wait behind the pages of lists.
LISTS_AT_ONCE = 3
# A 429 is waited out only if that is short; otherwise the caller is told.
LONGEST_WAIT_FOR_LIMIT_SECONDS = 2
# Zendesk's per-user limit answers without Retry-After (seen 2022); its live value is otherwise 1.
ASSUMED_RETRY_AFTER_SECONDS = 1

_HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip, deflate", "User-Agent": "zis-job-specs"}
# Its refusals may be plain sentences (seen 2026-07); everywhere else JSON is due.
_ZIS = "/api/services/zis/"
_PASSING_STATUSES = frozenset({502, 503, 504})
_TOO_MANY = 429
WHAT_GONE_MEANS = (
    "Zendesk says that there is no account at this address: it was renamed or closed. Zendesk redirects nothing after "
    "a rename. If it was renamed, the operator adds its new name to ZENDESK_SUBDOMAINS and an admin connects it under "
    "that name."
)
# What mends a failure that does not pass by itself.
_ADVICE = {
    NetworkFault.UNKNOWN_NAME: "Check the account's name, and this machine's name servers.",
    NetworkFault.UNTRUSTED: "Where the network inspects TLS, its CA belongs into ZENDESK_CA_FILE.",
    NetworkFault.TOO_LAX: "The CA has to issue it anew; Python 3.12 and older are not so strict.",
    NetworkFault.EXPIRED: "Check this machine's clock.",
    NetworkFault.NOT_YET_VALID: "Check this machine's clock.",
}


class ReplyLost(ZendeskUnavailable):
    """The connection broke after the request was sent: it may have taken effect."""


class ReplyLate(ZendeskTimeout):
    """No reply in time: the request may have taken effect."""


class NotReached(ZendeskTimeout):
    """No connection in time: the request had no effect."""


class NotSent(ZendeskUnavailable):
    """No connection came about: the request had no effect."""


class ForeignReply(ZendeskUnavailable):
    """A reply that is not Zendesk's own: it says nothing about tokens, roles, scopes or integrations."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent to an account, but for its token."""

    method: str
    path: str
    kind: Kind = "other"
    query: Mapping[str, str] | None = None
    document: Any = None
    """Sent as JSON; None: there is no body."""

    def prepared(self, base_url: str, token: str | None) -> requests.PreparedRequest:
        """Return the request as it goes on the wire; `token` None: without one.

        Put together by hand, and sent past requests' Session: what that does for a request of ours is to merge
        settings, cookies, proxies and redirects that there are none of, at the price of the call itself.
        """
        headers = dict(_HEADERS)
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        prepared = requests.PreparedRequest()
        if self.document is not None:
            prepared.body = dumps(self.document).encode()
            headers |= {"Content-Type": "application/json", "Content-Length": str(len(prepared.body))}
        elif self.method != "GET":
            headers["Content-Length"] = "0"
        url = f"{base_url}{self.path}" + (f"?{urlencode(self.query)}" if self.query else "")
        # A plain dict, because nobody looks for one of these in another case.
        prepared.method, prepared.url, prepared.headers = self.method, url, headers  # type: ignore[assignment]
        return prepared


class _Places:
    """The calls that one account may have open."""

    def __init__(self) -> None:
        self.all = threading.BoundedSemaphore(CALLS_AT_ONCE)
        self.lists = threading.BoundedSemaphore(LISTS_AT_ONCE)


class ZendeskCalls:
    """Sends requests to accounts. Redirects are never followed, so that a token reaches the account's host only."""

    def __init__(self, settings: Settings, adapter: ZendeskAdapter) -> None:
        self._template = settings.zendesk_url_template
        self._adapter = adapter
        self._places: WeakValueDictionary[Subdomain, _Places] = WeakValueDictionary()
        self._lock = threading.Lock()
        self._clock_watch = ClockWatch()

    def prepare(self) -> None:
        """Start the threads that every call needs, as far as the system gives them; otherwise a call tries again."""
        self._adapter.prepare()

    def base_url(self, account: Subdomain) -> str:
        """Return the account's address, without a trailing slash."""
        return self._template.replace("{subdomain}", account)

    def send(self, account: Subdomain, request: Request, *, token: str | None, deadline: Deadline) -> Reply:
        """Return the reply, a 2xx or a 4xx but 429.

        A GET is repeated once after 502, 503, 504, a refused or reset connection, and a 429 that asks for at most 2 s;
        a change only if it was not sent.

        Raises:
            ReplyLost, ReplyLate: a change may have taken effect.
            AccountGone: there is no account at this address.
            ForeignReply: the reply is not Zendesk's own.
            RateLimited: Zendesk's limit.
            ZendeskTimeout: no reply within 10 s or the deadline.
            ZendeskUnavailable: a network failure, 5xx, or a redirect.
        """
        is_question = request.method == "GET"
        repeatable: tuple[type[ServiceError], ...] = (ReplyLost, NotSent) if is_question else (NotSent,)
        wait = None
        try:
            reply = self._send_once(account, request, token=token, deadline=deadline)
            wait = _wait_before_repeating(reply) if is_question else None
        except repeatable:
            reply = self._send_once(account, request, token=token, deadline=deadline)
        if wait is not None and wait < deadline.left():
            time.sleep(wait)
            reply = self._send_once(account, request, token=token, deadline=deadline)
        if reply.is_success and reply.is_page and not is_question:
            # Zendesk may or may not have been asked; what is so afterwards has to be looked up.
            raise ReplyLost(foreign_reply(reply).detail, upstream_status=reply.status)
        refusal = refusal_of(reply)
        if refusal is not None:
            raise refusal
        return reply

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn failures of the network into ours.

        Raises:
            ReplyLate, ReplyLost, NotReached, NotSent: see there.
        """
        try:
            yield
        except NotConnectedInTime as fault:
            raise NotReached("Zendesk could not be reached in time. Try again in a moment.") from fault
        except NotConnected as fault:
            raise NotSent(_why_not_connected(fault)) from fault
        except requests.Timeout as fault:
            raise ReplyLate("Zendesk did not answer in time. Try again in a moment.") from fault
        except ReplyTooLarge as fault:
            raise ZendeskUnavailable("Zendesk's answer was larger than 5 MB and was not read.") from fault
        except requests.ConnectionError as fault:
            raise ReplyLost("The connection to Zendesk broke. Try again in a moment.") from fault
        except requests.RequestException as fault:
            raise ReplyLost("Zendesk's answer could not be read. Try again in a moment.") from fault

    def _send_once(self, account: Subdomain, request: Request, *, token: str | None, deadline: Deadline) -> Reply:
        prepared = request.prepared(self.base_url(account), token)
        with self._place(account, request.kind, deadline), Measured(request.kind) as call, self.translated():
            response = self._adapter.send(prepared, timeout=min(CALL_SECONDS, deadline.left()))
            call.status = response.status_code
        self._clock_watch.compare(response.headers.get("Date"))
        secrets = () if token is None else (token,)
        is_text_due = request.path.startswith(_ZIS)
        return Reply(response.status_code, response.headers, response.content, secrets, is_text_due, request.kind)

    @contextmanager
    def _place(self, account: Subdomain, kind: Kind, deadline: Deadline) -> Iterator[None]:
        """Hold one of the account's places; waits for one within the deadline."""
        with self._lock:
            places = self._places.get(account)
            if places is None:
                places = self._places[account] = _Places()
        with ExitStack() as stack:
            for semaphore in (places.lists, places.all) if kind == "list" else (places.all,):
                if not semaphore.acquire(timeout=max(0.0, deadline.left())):
                    raise ZendeskTimeout("Zendesk is slow to answer for this account. Try again in a moment.")
                stack.callback(semaphore.release)
            yield


def _wait_before_repeating(reply: Reply) -> float | None:
    """Return the seconds to wait before a GET is repeated; None: it is not."""
    if reply.status in _PASSING_STATUSES:
        return 0.0
    if reply.status == _TOO_MANY:
        wait = reply.retry_after()
        return float(wait) if wait is not None and wait <= LONGEST_WAIT_FOR_LIMIT_SECONDS else None
    return None


def refusal_of(reply: Reply) -> ServiceError | None:
    """Return what a 3xx, 5xx, 429, missing account or foreign reply means; None: it is none of these.

    Whatever reads a 4xx of Zendesk has passed here: only what Zendesk itself says is left.
    """
    if reply.status == _TOO_MANY:
        seconds = reply.retry_after()
        return RateLimited(
            "Zendesk's rate limit for this account is used up. Try again after the wait that Retry-After gives.",
            upstream_status=reply.status,
            upstream_detail=reply.words(),
            retry_after=ASSUMED_RETRY_AFTER_SECONDS if seconds is None else max(1, seconds),
        )
    if 300 <= reply.status < 400:
        return ZendeskUnavailable(
            "Zendesk's address answered with a redirect, and this service follows none. Try again in a moment; if this "
            "persists, something between this service and Zendesk redirects its calls.",
            upstream_status=reply.status,
        )
    if reply.status >= 500:
        return ZendeskUnavailable(
            "Zendesk answered with an error of its own. Try again in a moment.",
            upstream_status=reply.status,
            upstream_detail=reply.words(),
            # A maintenance page may say when it ends (RFC 9110, section 10.2.3).
            retry_after=reply.retry_after() or None,
        )
    if reply.says_no_account:
        return AccountGone(
            WHAT_GONE_MEANS,
            upstream_status=reply.status,
            upstream_detail=reply.words(),
        )
    return None if reply.is_zendesks_own else foreign_reply(reply)


def foreign_reply(reply: Reply) -> ForeignReply:
    """Return what a reply means that is not Zendesk's own."""
    what = "a page instead of data" if reply.is_page else "no JSON"
    return ForeignReply(
        f"Something in front of Zendesk answered in its place ({reply.status}, {what}); nothing is concluded from it. "
        "Try again in a moment. If this persists, a firewall, a proxy or the account's IP restrictions block this "
        "service.",
        upstream_status=reply.status,
    )


def _why_not_connected(fault: NotConnected) -> str:
    """Return why no connection came about, and what to do, in sentences."""
    refusal = next((cause for cause in causes(fault) if isinstance(cause, ProxyRefused)), None)
    if refusal is not None and refusal.status == 407:
        return (
            "The outbound proxy does not accept this service's user and password (407). Its operator has to correct "
            "OUTBOUND_PROXY."
        )
    if refusal is not None:
        return (
            f"The outbound proxy does not let this service reach Zendesk ({refusal.status}). Its operator has to look "
            "at the proxy's rules."
        )
    said = _said_by_the_system(fault)
    kind = None if said is None else network_fault(said)
    advice = _ADVICE.get(kind, "Try again in a moment.") if kind else "Try again in a moment."
    who = "The outbound proxy" if any(isinstance(cause, ProxyError) for cause in causes(fault)) else "Zendesk"
    return " ".join([f"{who} could not be reached.", *([kind.value] if kind else []), advice])


def _said_by_the_system(fault: NotConnected) -> OSError | None:
    """Return the system's or TLS's own exception, which requests and urllib3 may pass on as an argument alone."""
    for cause in causes(fault):
        for one in (cause, *cause.args):
            # requests' own are OSErrors, too.
            if isinstance(one, OSError) and not isinstance(one, requests.RequestException):
                return one
    return None
