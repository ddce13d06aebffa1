"""Web addresses as Zendesk's validator reads them: by the letter of RFC 3986, unlike browsers and Python."""

import re
from urllib.parse import SplitResult, urlsplit

_LETTER = r"(?:[\w\-.~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})"
_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|(?:[\w\-.~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*)"
_ADDRESS = re.compile(
    rf"(?:[A-Za-z][\w+\-.]*:|(?![^/?#]*:))(?://(?:{_LETTER}*@)?{_HOST}(?::\d*)?(?=[/?#]|$)|(?!//))(?:{_LETTER}|/)*"
    rf"(?:\?(?:{_LETTER}|[/?])*)?(?:\#(?:{_LETTER}|[/?])*)?",
    re.ASCII,
)


def parse_address(text: str) -> SplitResult | None:
    """Return the parts of an address; None: it is none, braces of a placeholder or letters outside ASCII in it."""
    try:
        return urlsplit(text) if _ADDRESS.fullmatch(text) else None
    except ValueError:
        return None
