"""Tells ALERT_WEBHOOK_URL what a person has to mend, once a day and account. Delays nobody.

Whoever notices leaves a line in memory and goes on. One thread a process claims it in Redis, so that of all processes
one tells it, and posts it; while the webhook fails it is tried again for an hour. It holds our own sentences alone:
nothing of Zendesk's words, and no secret.
"""

import heapq
import itertools
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import requests
import structlog

from service.ground.errors import StoreUnavailable
from service.ground.settings import Settings
from service.ground.subdomains import Subdomain
from service.ground.timestamps import timestamp
from service.store.store import Store
from service.zendesk.transport import ZendeskAdapter

Event = Literal[
    "reauthorization_required", "admin_lost", "refresh_token_ending", "client_misconfigured", "key_missing",
    "account_gone", "test",
]  # fmt: skip

DAY_SECONDS = 86_400
SEND_SECONDS = 10.0
FIRST_RETRY_SECONDS = 15.0
LONGEST_RETRY_SECONDS = 300.0
GIVE_UP_SECONDS = 3600.0
# Every request notices the same fault; this process asks Redis about it again after this time.
QUIET_SECONDS = 600.0
# A thread that has nothing to do ends.
IDLE_SECONDS = 10.0
# Nobody reads more than this at once.
MOST_WAITING = 500
MOST_REMEMBERED = 4096
# These are about this service, not about one account.
_OF_THE_SERVICE = frozenset({"client_misconfigured"})

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing to mend."""

    event: Event
    account: Subdomain | None
    detail: str
    """A sentence of ours, with the next step."""
    at: float
    """Unix seconds."""

    def body(self) -> bytes:
        """Return what is posted; `text` is all that Slack and its like show, in their markup."""
        who = "" if self.account is None else f" {self.account}:"
        document = {
            "text": _escaped(f"ZIS job specs:{who} {self.detail}"),
            "event": self.event,
            "account": self.account,
            "detail": self.detail,
            "at": timestamp(self.at),
        }
        return json.dumps(document).encode()


@dataclass(order=True, slots=True)
class _Waiting:
    due: float
    number: int
    alert: Alert = field(compare=False)
    give_up_at: float = field(compare=False)
    retry_seconds: float = field(compare=False)
    is_claimed: bool = field(default=False, compare=False)


class Alerts:
    """Posts alerts from a thread of its own; without ALERT_WEBHOOK_URL it does nothing.

    `has_grant`: whether a grant of the account is stored; of others nothing is told, so that no stranger makes us tell.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        has_grant: Callable[[Subdomain], bool],
        clock: Callable[[], float] = time.time,
        *,
        first_retry_seconds: float = FIRST_RETRY_SECONDS,
        give_up_seconds: float = GIVE_UP_SECONDS,
    ) -> None:
        self._settings = settings
        self._url = settings.alert_webhook_url
        self._store = store
        self._has_grant = has_grant
        self._clock = clock
        self._first_retry_seconds = first_retry_seconds
        self._give_up_seconds = give_up_seconds
        self._changed = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._quiet: dict[tuple[str, Subdomain | None], float] = {}
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None
        self._is_sending = False
        self._is_silent = False

    @property
    def is_on(self) -> bool:
        """Whether there is anybody to tell."""
        return self._url is not None

    def tell(self, event: Event, account: Subdomain, detail: str) -> None:
        """Have it told, unless it was within the day; returns at once and never raises."""
        if self._url is None or self._is_silent:
            return
        now = time.monotonic()
        about = (event, None if event in _OF_THE_SERVICE else account)
        with self._changed:
            if self._quiet.get(about, 0.0) > now:
                return
            if len(self._waiting) >= MOST_WAITING:
                _log.error("alert_dropped", account=account, alert=event, reason="too many wait")
                return
            self._remember_quiet(about, now + QUIET_SECONDS)
            alert = Alert(event, account, detail, self._clock())
            heapq.heappush(
                self._waiting,
                _Waiting(now, next(self._numbers), alert, now + self._give_up_seconds, self._first_retry_seconds),
            )
            self._start_thread()
            self._changed.notify_all()

    def be_silent(self) -> None:
        """Send nothing but test lines from now on: a release that is not live may have faults of its own."""
        self._is_silent = True

    def send_test(self) -> str | None:
        """Post a test line now; returns why that failed, None: the webhook took it."""
        return self._posted(Alert("test", None, "A test line: alerts arrive here.", self._clock()))

    def finish(self, seconds: float) -> None:
        """Wait until everything that is due has been tried, and let other processes have what could not be told."""
        end = time.monotonic() + seconds
        with self._changed:
            while (self._is_sending or self._has_due()) and time.monotonic() < end:
                self._changed.wait(max(0.0, min(end - time.monotonic(), 0.1)))
            left, self._waiting = self._waiting, []
        for one in left:
            if one.is_claimed:
                self._release(one.alert)

    def _has_due(self) -> bool:
        return bool(self._waiting) and self._waiting[0].due <= time.monotonic()

    def _remember_quiet(self, about: tuple[str, Subdomain | None], until: float) -> None:
        self._quiet.pop(about, None)
        self._quiet[about] = until
        while len(self._quiet) > MOST_REMEMBERED:
            del self._quiet[next(iter(self._quiet))]

    def _start_thread(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            return
        thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # It is tried again with the next alert, which takes this one along.
            _log.warning("alerts_without_thread")
            return
        self._thread = thread

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._has_due():
                    if not self._waiting and not self._changed.wait(IDLE_SECONDS) and not self._waiting:
                        # The next alert starts another.
                        self._thread = None
                        return
                    if self._waiting:
                        self._changed.wait(max(0.0, self._waiting[0].due - time.monotonic()))
                one = heapq.heappop(self._waiting)
                self._is_sending = True
            try:
                is_done = self._is_done(one)
            except Exception:  # noqa: BLE001 - without this thread nobody is told anything any more
                _log.exception("alert_crashed", alert=one.alert.event)
                is_done = True
            with self._changed:
                self._is_sending = False
                if not is_done:
                    heapq.heappush(self._waiting, one)
                self._changed.notify_all()

    def _is_done(self, one: _Waiting) -> bool:
        """Try to tell it; False: it is due again."""
        alert = one.alert
        try:
            if not one.is_claimed:
                if not self._may_be_told(alert):
                    return True
                one.is_claimed = True
            failure = self._posted(alert)
        except StoreUnavailable as fault:
            failure = fault.code
        if failure is None:
            _log.info("alert_sent", account=alert.account, alert=alert.event)
            return True
        now = time.monotonic()
        if now + one.retry_seconds > one.give_up_at:
            _log.error("alert_given_up", account=alert.account, alert=alert.event, reason=failure)
            if one.is_claimed:
                self._release(alert)
            return True
        _log.warning("alert_failed", account=alert.account, alert=alert.event, reason=failure)
        one.due = now + one.retry_seconds
        one.retry_seconds = min(2 * one.retry_seconds, LONGEST_RETRY_SECONDS)
        return False

    def _may_be_told(self, alert: Alert) -> bool:
        """Claim the alert for a day; True: this process sends it, and no other does.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        if alert.account is not None and not self._has_grant(alert.account):
            return False
        return bool(self._store.write(("SET", _claim_key(alert), "1", "NX", "EX", DAY_SECONDS))[0])

    def _release(self, alert: Alert) -> None:
        with suppress(StoreUnavailable):
            self._store.write(("DEL", _claim_key(alert)))

    def _posted(self, alert: Alert) -> str | None:
        """Post an alert; returns why that failed, without the address, which may hold a secret."""
        headers = {"Content-Type": "application/json", "User-Agent": "zis-job-specs"}
        request = requests.Request("POST", self._url, headers=headers, data=alert.body()).prepare()
        try:
            status = self._adapter.send(request, timeout=SEND_SECONDS).status_code
        except requests.RequestException as fault:
            return type(fault).__name__
        return None if 200 <= status < 300 else f"status {status}"

    @cached_property
    def _adapter(self) -> ZendeskAdapter:
        # An adapter of its own: a webhook that hangs holds none of Zendesk's connections, threads and look-ups.
        return ZendeskAdapter(self._settings.outbound_proxy, self._settings.zendesk_ca_file)


def _claim_key(alert: Alert) -> str:
    if alert.event in _OF_THE_SERVICE:
        return f"zis:alert:{alert.event}"
    return f"zis:{{{alert.account}}}:alert:{alert.event}"


def _escaped(text: str) -> str:
    """Return a text that means itself in Slack's markup (docs.slack.dev, formatting message text, 2026-11)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
