"""Our clock against Zendesk's: lifetimes and signed requests are judged by it."""

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

from service.grants.clients import Clients
from service.ground.deadlines import Deadline
from service.ground.errors import ServiceError
from service.ground.subdomains import Subdomain
from service.operations.doctor.findings import Finding, warning_of
from service.zendesk.replies import Reply

# Half of the leeway that a signed request is given.
MOST_SECONDS_APART = 30
# An account that does not answer says nothing about the clock; after so many Zendesk is away.
MOST_ACCOUNTS = 3
CLOCK_SECONDS = 10.0


def check_clock(
    clients: Clients, accounts: list[Subdomain], deadline: Deadline, clock: Callable[[], float] = time.time
) -> Finding:
    """Return how far our clock is from Zendesk's, by the `Date` of a reply to a question that needs no token."""
    check = "clock"
    if not accounts:
        return Finding("warn", check, "It was not compared with Zendesk's.", "No account is known yet: connect one.")
    finding = None
    for account in accounts[:MOST_ACCOUNTS]:
        asked_at = clock()
        try:
            reply = clients.of_nobody(account, deadline.sooner(CLOCK_SECONDS)).get("/api/v2/users/me")
        except ServiceError as failure:
            finding = warning_of(check, failure)
            continue
        theirs = _date_of(reply)
        if theirs is None:
            finding = Finding("warn", check, "Zendesk's answer has no readable Date.", "Compare the clock yourself.")
            continue
        # The answer was written at some moment in between; a Date has whole seconds.
        ours = (asked_at + clock()) / 2
        apart = round(ours - theirs)
        if abs(apart) <= MOST_SECONDS_APART:
            return Finding("ok", check, f"It is within {MOST_SECONDS_APART} s of Zendesk's.")
        direction = "ahead of" if apart > 0 else "behind"
        advice = "Signed requests and tokens may be taken for expired: set this machine's clock (NTP)."
        return Finding("warn", check, f"It is {abs(apart)} s {direction} Zendesk's.", advice)
    return finding or Finding("warn", check, "It was not compared with Zendesk's.")


def _date_of(reply: Reply) -> float | None:
    """Return the Unix seconds of a reply's `Date` (RFC 9110, section 6.6.1); None: absent or unreadable."""
    try:
        return parsedate_to_datetime(reply.headers.get("Date", "")).timestamp()
    except ValueError:
        return None
