"""What an account is called: the one parser of subdomains."""

import re
from typing import NewType

Subdomain = NewType("Subdomain", str)
"""A Zendesk account's name: lower-case, no dots, no host. Only `parse_subdomain` makes one."""

# One DNS label (RFC 1035, section 2.3.1). Zendesk documents no grammar; brand and mapped hosts are not accounts.
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?", re.ASCII)

# Addresses under zendesk.com that are taken for no accounts. Where every account may connect, a handshake begun for one
# of these would show our client secret there. Zendesk publishes no list, and none of them was tried. Of the first line,
# most are hosts in Zendesk's own documents and packages or in public code (looked up 2026-11), some (`go`, `theme`,
# `mail`) only likely; the second are names that mail and the domain system use everywhere. An account that has one of
# these names all the same connects where ZENDESK_SUBDOMAINS names it. `support` is an account of Zendesk's own.
_ZENDESKS = "www developer developers status go zis garden apps assets web-assets static theme mail"
_EVERYWHERE = "smtp pop imap mx ns1 ns2 ns3 ns4 ftp autodiscover localhost"
NO_ACCOUNTS = frozenset(f"{_ZENDESKS} {_EVERYWHERE}".split())


def parse_subdomain(text: str) -> Subdomain | None:
    """Return the account's name in lower case; None: `text` is not one.

    The whole text must match, so that nothing behind a newline, `@`, `/` or `.` can choose another host.
    """
    # fullmatch, because `$` would let a trailing newline through.
    return Subdomain(text.lower()) if _LABEL.fullmatch(text) else None


def parse_account_address(text: str) -> Subdomain | None:
    """Return the account's name from what a person types: `acme`, `acme.zendesk.com` or a URL of it; None: neither."""
    host = re.sub(r"^https?://", "", text.strip(), count=1, flags=re.IGNORECASE)
    host = re.split(r"[/?#]", host, maxsplit=1)[0]
    return parse_subdomain(re.sub(r"\.zendesk\.com$", "", host, count=1, flags=re.IGNORECASE))
