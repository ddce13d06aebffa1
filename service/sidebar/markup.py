"""The page's text, with data in a script element that the data cannot end."""

import json
from typing import Any

# In JSON these stand in strings alone, so each may be written as its escape. `<`, `>` and `&` could end the script
# element or begin a comment in it; the two separators end a line for older JavaScript.
_ESCAPES = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    (b"'", b"\\u0027"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)


def for_script(document: bytes) -> bytes:
    """Return JSON as it may stand in a script element."""
    for character, escape in _ESCAPES:
        if character in document:
            document = document.replace(character, escape)
    return document


def bootstrap(members: dict[str, Any], kept_list: bytes | None) -> bytes:
    """Return the bootstrap document, for a script element; `kept_list` None: null.

    The list is the only part that is not written here. It comes first, so that whoever changes it in Redis can add
    members but not replace one: of two members of a name the last one counts.
    """
    own = json.dumps(members).encode()
    return for_script(b'{"list":' + (kept_list or b"null") + b"," + own[1:])
