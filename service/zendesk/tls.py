"""TLS to accounts: which certification authorities are trusted."""

import ssl
from functools import cache
from pathlib import Path


@cache
def trusting(authorities: str, more: Path | None = None) -> ssl.SSLContext:
    """Return the context that trusts the certification authorities in a PEM file, and those in another one.

    Made once: parsing the usual authorities takes 20 ms of CPU.

    Raises:
        OSError: a file cannot be read, or holds none (`ssl.SSLError`).
    """
    context = ssl.create_default_context(cafile=authorities)
    if more is not None:
        context.load_verify_locations(more)
    return context
