"""The document of desired state, checked: every fault at once, with its place. Knows nothing of what is installed.

{"account": "acme", "integrations": {"acme_orders": {"installed": ["a", "b"], "uninstalled": ["c"]}}}
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.ground.errors import InvalidRequest
from service.ground.subdomains import Subdomain, parse_subdomain
from service.zendesk.zis_registry import is_qualified

# A document is the work of people or of `export`: 1 MiB is some 20,000 names.
LARGEST_DOCUMENT_BYTES = 1024 * 1024
# Short names make more of a megabyte. The answer has a row for each, which takes a processor 20 µs and half a kilobyte
# that all other accounts lack.
MOST_NAMES = 20_000
# More would only repeat the same mistake, and the answer would be longer than the document.
MOST_FAULTS_TOLD = 1000
# Longer than any integration's name. What is wrong within one is told with the name, each time.
LONGEST_NAME = 200
_MEMBERS = ("account", "integrations")
_LISTS = ("installed", "uninstalled")
_SUBDOMAIN = "{subdomain}"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong in a document, and where."""

    pointer: str
    """RFC 6901; "" is the whole document. A member that is missing is pointed to as if it were there."""
    detail: str


class Faults:
    """What is wrong in a document so far: what is told of it, and the number of all."""

    def __init__(self) -> None:
        self.told: list[Fault] = []
        self.count = 0

    def add(self, pointer: str, detail: str) -> None:
        """Note a fault; `pointer` and `detail` as in `Fault`."""
        self.count += 1
        if len(self.told) < MOST_FAULTS_TOLD:
            self.told.append(Fault(pointer, detail))


class FaultyDocument(InvalidRequest):
    """The document cannot be used; `errors` names the faults, and the last of them how many there are besides."""

    def __init__(self, faults: Faults) -> None:
        told = [*faults.told]
        if faults.count > len(told):
            told.append(Fault("", f"has {faults.count - len(told)} faults more."))
        what = "a fault" if faults.count == 1 else f"{faults.count} faults"
        super().__init__(
            f"The document of desired state has {what}; each is named with its place. Nothing was changed.",
            errors=[{"pointer": one.pointer, "detail": one.detail} for one in told],
        )


@dataclass(frozen=True, slots=True)
class DesiredState:
    """What should be installed in an account, and what should not."""

    account: Subdomain
    integrations: Mapping[str, Mapping[str, bool]]
    """By integration, of this account: by short name, whether it should be installed."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a document is to be used."""

    account: Subdomain | None
    """None: in the account that the document names."""
    templates: tuple[str, ...]
    """ZIS_INTEGRATIONS, with `{subdomain}` still in it."""
    is_promotion: bool = False
    """The document may be another account's, whose integrations are matched through `templates`."""


def read_document(text: bytes, place: Place) -> DesiredState:
    """Return the desired state in a document.

    Raises:
        FaultyDocument: it is none; every fault is named.
    """
    faults = Faults()
    try:
        tree = json.loads(text, object_pairs_hook=_Object.of)
    except (ValueError, RecursionError) as fault:
        faults.add("", f"is no JSON: {_said(fault)}")
        raise FaultyDocument(faults) from None
    if not isinstance(tree, _Object):
        faults.add("", f"must be an object, and is {_kind(tree)}.")
        raise FaultyDocument(faults)
    _find_odd_members(tree, "", _MEMBERS, faults)
    named = _account(tree, place, faults)
    account = place.account or named
    sections = _sections(tree, faults)
    count = _names_in(sections)
    if count > MOST_NAMES:
        faults.add("/integrations", f"names {count} job specs, and may name {MOST_NAMES}: send it in parts.")
        raise FaultyDocument(faults)
    integrations: dict[str, Mapping[str, bool]] = {}
    owners: dict[str, str] = {}
    matching = None if account is None else _Matching(named, account, place)
    for name, section in sections.items():
        if len(name) > LONGEST_NAME:
            faults.add(
                "/integrations", f"has a name that no integration has, of {len(name)} characters: {_shown(name)}."
            )
            continue
        pointer = f"/integrations/{_escaped(name)}"
        ours = None if matching is None else matching.find(name, pointer, faults)
        wishes = _wishes(section, pointer, faults)
        if ours is None:
            continue
        if ours in owners:
            faults.add(pointer, f"means {ours}, and so does {owners[ours]!r}.")
        owners[ours] = name
        integrations[ours] = wishes
    if faults.count or account is None:
        raise FaultyDocument(faults)
    return DesiredState(account, integrations)


def document_of(account: Subdomain, rows: Mapping[str, Mapping[str, bool]]) -> dict[str, Any]:
    """Return the document that describes what is there; `rows`: by integration and name, whether it is installed."""
    return {
        "account": account,
        "integrations": {
            integration: {
                "installed": sorted(name for name, installed in names.items() if installed),
                "uninstalled": sorted(name for name, installed in names.items() if not installed),
            }
            for integration, names in sorted(rows.items())
        },
    }


class _Object(dict[str, Any]):
    """A JSON object that knows which of its members came more than once."""

    repeated: tuple[str, ...] = ()

    @classmethod
    def of(cls, pairs: list[tuple[str, Any]]) -> "_Object":
        made = cls(pairs)
        if len(made) < len(pairs):
            # Counted in one pass: a megabyte holds 100,000 members.
            made.repeated = tuple(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        return made


def _find_odd_members(found: _Object, pointer: str, known: tuple[str, ...], faults: Faults) -> None:
    for name in found.repeated:
        faults.add(f"{pointer}/{_escaped(name)}", "is there more than once.")
    for name in found:
        if name not in known:
            faults.add(f"{pointer}/{_escaped(name)}", f"is not known here: only {' and '.join(known)} are.")


def _account(tree: _Object, place: Place, faults: Faults) -> Subdomain | None:
    """Return the account that the document names; None: none, or no account's name."""
    if "account" not in tree:
        if place.account is None:
            faults.add("/account", "is missing: name the account here or with --account.")
        return None
    value = tree["account"]
    account = parse_subdomain(value) if isinstance(value, str) else None
    if account is None:
        said = f"{_shown(value)} is no account" if isinstance(value, str) else f"must be a text, and is {_kind(value)}"
        faults.add("/account", f"{said}: write acme for acme.zendesk.com.")
    elif place.account is not None and account != place.account and not place.is_promotion:
        faults.add("/account", f"is {account}, and you are asking for {place.account}.")
    return account


def _sections(tree: _Object, faults: Faults) -> _Object:
    """Return what the document says of integrations; empty where that cannot be read."""
    if "integrations" not in tree:
        faults.add("/integrations", "is missing.")
        return _Object()
    value = tree["integrations"]
    if not isinstance(value, _Object):
        faults.add("/integrations", f"must be an object, and is {_kind(value)}.")
        return _Object()
    for name in value.repeated:
        faults.add(f"/integrations/{_escaped(name)}", "is there more than once.")
    return value


def _names_in(sections: _Object) -> int:
    lists = (section.get(member) for section in sections.values() if isinstance(section, dict) for member in _LISTS)
    return sum(len(names) for names in lists if isinstance(names, list))


class _Matching:
    """Finds the account's own names of the integrations in a document."""

    def __init__(self, named: Subdomain | None, account: Subdomain, place: Place) -> None:
        self._named = named
        self._account = account
        self._templates = place.templates
        self._ours = sorted({template.replace(_SUBDOMAIN, account) for template in place.templates})

    def find(self, name: str, pointer: str, faults: Faults) -> str | None:
        """Return the account's own name of an integration; None: a fault."""
        found = self._meant_by(name)
        if len(found) == 1:
            return found.pop()
        if found:
            either = " or ".join(sorted(found))
            faults.add(pointer, f"may be {either} of {self._account}: write one of them, or {{subdomain}}.")
        else:
            has = f"It has {', '.join(self._ours)}." if self._ours else "It has none."
            faults.add(pointer, f"is no integration of {self._account} in ZIS_INTEGRATIONS. {has}")
        return None

    def _meant_by(self, name: str) -> set[str]:
        if _SUBDOMAIN in name:
            return {name.replace(_SUBDOMAIN, self._account)}.intersection(self._ours)
        if self._named is None or self._named == self._account:
            return {name}.intersection(self._ours)
        # The names of two accounts meet in ZIS_INTEGRATIONS.
        return {
            template.replace(_SUBDOMAIN, self._account)
            for template in self._templates
            if template.replace(_SUBDOMAIN, self._named) == name
        }


def _wishes(section: Any, pointer: str, faults: Faults) -> dict[str, bool]:
    """Return by name whether it should be installed."""
    if not isinstance(section, _Object):
        faults.add(pointer, f"must be an object, and is {_kind(section)}.")
        return {}
    _find_odd_members(section, pointer, _LISTS, faults)
    wishes: dict[str, bool] = {}
    places: dict[str, str] = {}
    for member in _LISTS:
        names = section.get(member, [])
        if not isinstance(names, list):
            faults.add(f"{pointer}/{member}", f"must be an array of names, and is {_kind(names)}.")
            continue
        for position, name in enumerate(names):
            place = f"{pointer}/{member}/{position}"
            fault = _fault_of(name)
            if fault is None and name in places:
                fault = f"{_shown(name)} is named already at {places[name]}."
            if fault is not None:
                faults.add(place, fault)
                continue
            places[name] = place
            wishes[name] = member == "installed"
    return wishes


def _fault_of(name: Any) -> str | None:
    """Return what is wrong with the short name of a job spec; None: nothing."""
    if not isinstance(name, str):
        return f"must be a job spec's short name, and is {_kind(name)}."
    if not name:
        return "is empty, and must be a job spec's short name."
    if is_qualified(name):
        return f"must be the short name, what comes after the third colon, and is {_shown(name)}."
    try:
        name.encode()
    except UnicodeEncodeError:
        return "has half a character (a lone surrogate) in it, which cannot be sent."
    return None


def _escaped(token: str) -> str:
    """Return a member's name as it stands in a pointer (RFC 6901, section 3)."""
    return token.replace("~", "~0").replace("/", "~1")


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "an array"
        case _:
            return "an object"


def _shown(text: str) -> str:
    """Return a text of the document as a fault quotes it."""
    return repr(text if len(text) <= 100 else f"{text[:100]}…")


def _said(fault: Exception) -> str:
    match fault:
        case json.JSONDecodeError():
            return f"{fault.msg} (line {fault.lineno}, column {fault.colno})."
        case RecursionError():
            return "it is nested too deeply."
        case UnicodeDecodeError():
            return "it is no text in UTF-8."
        case _:
            # What else json raises: Python reads no integer of more than 4,300 digits.
            return "a number in it has too many digits."
