"""Collecting the faults of an environment instead of stopping at the first."""

import re
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from service.ground.subdomains import Subdomain, parse_subdomain

T = TypeVar("T")

_YES = {"true", "1", "yes", "on"}
_NO = {"false", "0", "no", "off"}
# Below this a signature can be forged with money (NIST SP 800-131A).
SHORTEST_MODULUS_BITS = 2048

_PAIR = re.compile(r"([^:]+):([1-9]\d{0,18})", re.ASCII)
# A name or an IPv4 address in ASCII, or an IPv6 address.
HOST = re.compile(r"[a-z0-9.-]+|[0-9a-f:.]+", re.ASCII)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


SHORTEST_SECRET_KEY = 32
# A key of random text has many more.
FEWEST_CHARACTERS_OF_A_KEY = 8
SHORTEST_METRICS_TOKEN = 16
MAKE_KEY = "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"


class SeveralFaults(ValueError):
    """A list has several bad items; each is a fault of its own."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def refuse(faults: list[str]) -> None:
    """Raise the faults of a list's items.

    Raises:
        SeveralFaults: there is at least one.
    """
    if faults:
        raise SeveralFaults(faults)


class Faults:
    """Reads variables one by one and remembers what is wrong with each."""

    def __init__(self, environ: Mapping[str, str], defaults: Mapping[str, str | None]) -> None:
        self.found: list[str] = []
        self._environ = environ
        self._defaults = defaults

    def text(self, name: str) -> str | None:
        """Return the variable, else its default; None: neither."""
        return self._environ.get(name, "").strip() or self._defaults[name]

    def add(self, name: str, fault: str) -> None:
        """Remember one fault."""
        self.found.append(f"{name} {fault}")

    def require(self, name: str) -> None:
        """Remember a fault if the variable is not set."""
        if self.text(name) is None:
            self.add(name, "is not set")

    def parse(self, name: str, parser: Callable[[str], T]) -> T | None:
        """Return what `parser` makes of the variable; None: it is not set, or the parser's ValueError was noted."""
        text = self.text(name)
        if text is None:
            return None
        try:
            return parser(text)
        except SeveralFaults as several:
            for fault in several.faults:
                self.add(name, fault)
        except ValueError as fault:
            self.add(name, str(fault))
        return None

    def flag(self, name: str) -> bool | None:
        """Return a yes-or-no variable."""

        def parser(text: str) -> bool:
            if text.lower() not in _YES | _NO:
                raise ValueError("must be true or false (on or off)")
            return text.lower() in _YES

        return self.parse(name, parser)

    def number(self, name: str, lowest: int, highest: int) -> int | None:
        """Return a whole number within bounds, both included."""

        def parser(text: str) -> int:
            if not re.fullmatch(r"\d{1,6}", text, re.ASCII) or not lowest <= int(text) <= highest:
                raise ValueError(f"must be a whole number from {lowest} to {highest}")
            return int(text)

        return self.parse(name, parser)

    def choice(self, name: str, choices: tuple[str, ...]) -> str | None:
        """Return one of `choices`."""

        def parser(text: str) -> str:
            if text not in choices:
                raise ValueError(f"must be one of: {', '.join(choices)}")
            return text

        return self.parse(name, parser)


def origin_of(url: str) -> str:
    """Return scheme, host and port of `url`, lower-case, without a default port.

    Raises:
        ValueError: the port is no number.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}.get(parts.scheme)
    port = "" if parts.port in {None, default} else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def parse_origins(text: str) -> frozenset[str]:
    """Return origins as browsers write them in `Origin`: lower-case, without a default port.

    Raises:
        SeveralFaults: items are no exact origins; each is named, with the reason.
    """
    items = [item.strip() for item in text.split(",")]
    refuse([f"{item!r} {fault}" for item in items if (fault := _fault_of_origin(item))])
    return frozenset(origin_of(item) for item in items)


def _fault_of_origin(item: str) -> str | None:
    if item == "null":
        return "is what sandboxed frames and pages without a referrer send, which anybody can make"
    if "*" in item:
        return "is no exact origin: write each out, as https://app.example.com"
    try:
        parts = urlsplit(item)
        port = parts.port
    except ValueError:
        return "cannot be read"
    host = parts.hostname or ""
    # Names below .localhost lead to this machine alone (RFC 6761, section 6.3).
    is_loopback = host in _LOOPBACK or host.endswith(".localhost")
    if parts.scheme not in ({"https", "http"} if is_loopback else {"https"}) or not HOST.fullmatch(host):
        return "is no https:// origin (http:// only for localhost, names below it, 127.0.0.1 and [::1])"
    if parts.path or "?" in item or "#" in item or "@" in parts.netloc or port == 0 or not item.isprintable():
        return "is no origin alone: scheme, host and port, no path and no slash at its end"
    return None


def parse_alert_webhook(text: str) -> str:
    """Return the address that alerts are posted to; a fault never repeats it, because it may hold a secret."""
    form = "must be an https:// address (http:// only for a loopback one), without user, password and fragment"
    try:
        parts = urlsplit(text)
        origin_of(text)
    except ValueError:
        raise ValueError(form) from None
    is_local = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    if parts.scheme not in ({"https", "http"} if is_local else {"https"}) or not parts.hostname:
        raise ValueError(form)
    if "@" in parts.netloc or parts.fragment or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(form)
    return text


def parse_app_ids(text: str) -> dict[Subdomain, int] | int:
    """Return one app id for all accounts, or one for each named account."""
    if re.fullmatch(r"[1-9]\d{0,18}", text, re.ASCII):
        return int(text)
    pairs, wrong = _pairs(text)
    accounts = [account for account, _ in pairs]
    refuse([*wrong, *(f"names two apps for {one}" for one in sorted(set(accounts)) if accounts.count(one) > 1)])
    return dict(pairs)


def parse_user_ids(text: str) -> frozenset[tuple[Subdomain, int]]:
    """Return the (account, user id) pairs."""
    pairs, wrong = _pairs(text)
    refuse(wrong)
    return frozenset(pairs)


def _pairs(text: str) -> tuple[list[tuple[Subdomain, int]], list[str]]:
    """Return the (account, number) pairs, and the faults of the items that are none."""
    pairs, wrong = [], []
    for item in text.split(","):
        match = _PAIR.fullmatch(item.strip())
        account = parse_subdomain(match[1].strip()) if match else None
        if match is None or account is None:
            wrong.append(f"{item.strip()!r} is not of the form subdomain:number")
        else:
            pairs.append((account, int(match[2])))
    return pairs, wrong


def parse_secret_keys(text: str) -> tuple[str, ...]:
    """Return the keys in their order; a fault names an entry by its place, never by what it is.

    Raises:
        SeveralFaults: entries are too short, or can be guessed: whoever has a session token could try them.
    """
    keys = tuple(key.strip() for key in text.split(","))
    faults = [f"entry {place} {fault}" for place, key in enumerate(keys, start=1) if (fault := _fault_of_key(key))]
    refuse([*faults, *(["names the same key twice"] if len(set(keys)) != len(keys) else [])])
    return keys


def _fault_of_key(key: str) -> str | None:
    if len(key) < SHORTEST_SECRET_KEY:
        return f"has {len(key)} characters, at least {SHORTEST_SECRET_KEY} are needed; make one with: {MAKE_KEY}"
    is_repeated = any(key[length:] == key[:-length] for length in range(1, len(key) // 2 + 1))
    if is_repeated or len(set(key)) < FEWEST_CHARACTERS_OF_A_KEY:
        return f"can be guessed: it repeats itself or has few different characters; make one with: {MAKE_KEY}"
    return None


def parse_metrics_token(text: str) -> str:
    """Return the token.

    Raises:
        ValueError: it cannot stand in a header, or is too short.
    """
    parse_printable(text)
    if len(text) < SHORTEST_METRICS_TOKEN:
        raise ValueError(
            f"has {len(text)} characters, at least {SHORTEST_METRICS_TOKEN} are needed; make one with: {MAKE_KEY}"
        )
    return text


def parse_printable(text: str) -> str:
    """Return a text that can stand in a header.

    Raises:
        ValueError: it cannot.
    """
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("must be printable ASCII without spaces")
    return text


def parse_public_key(text: str) -> str:
    r"""Return the PEM of an RSA public key; newlines may be written as `\n`."""
    pem = text.replace("\\n", "\n")
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is no PEM of a public key") from None
    if not isinstance(key, RSAPublicKey):
        raise ValueError("must be an RSA public key: Zendesk signs with RS256")  # noqa: TRY004 - a fault, not a bug
    if key.key_size < SHORTEST_MODULUS_BITS:
        raise ValueError(f"is an RSA key of {key.key_size} bits, at least {SHORTEST_MODULUS_BITS} are needed")
    return pem
