"""Who did what: an author, an event, and the entry that tells of several events. Knows no store."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from service.ground import records
from service.ground.errors import InternalError, ServiceError

# Beyond either a bulk goes on in an entry of its own, because each further name writes the whole entry anew.
MOST_ITEMS = 1000
# As they are stored, where a character beyond ASCII takes up to twelve. The whole entry has less than 48 KiB, because
# older releases open no more.
MOST_ITEMS_BYTES = 44 * 1024
# ZIS gives names of 50 at most, but any name can be asked for.
MOST_NAME_CHARACTERS = 200
OK = "ok"

Action = Literal["connected", "disconnected", "installed", "uninstalled", "rearmed", "reauthorization_required"]

# What two changes by the same person have to share to be counted in one entry.
SAME = ("action", "integration", "result")


@dataclass(frozen=True, slots=True)
class Author:
    """Who did something, as Zendesk knows them; None: not known."""

    id: int | None = None
    name: str | None = None
    installation_id: int | None = None
    """The installation of the Zendesk app it was done from."""
    is_operator: bool = False
    """Done by a command, so by nobody Zendesk knows."""

    @property
    def is_known(self) -> bool:
        """Whether two events of this author are certain to be by the same one."""
        return self.is_operator or self.id is not None or self.name is not None

    def to_json(self) -> dict[str, Any] | str:
        """Return the `actor` as our API shows it."""
        if self.is_operator:
            return "operator"
        return {"id": self.id, "name": None if self.name is None else _shortened(self.name)}


NOBODY = Author()
OPERATOR = Author(is_operator=True)


@dataclass(frozen=True, slots=True)
class Event:
    """What was done, or attempted."""

    action: Action
    integration: str | None = None
    job_spec: str | None = None
    """Short name."""
    result: str = OK
    """`ok`, or the code of the error it ended in."""

    def shortened(self) -> "Event":
        """Return it with what is kept of the job spec's name: at most 200 characters, the last `…` if it has more."""
        return self if self.job_spec is None else replace(self, job_spec=_shortened(self.job_spec))


@dataclass(frozen=True, slots=True)
class Entry:
    """What one entry says of events of one kind."""

    event: Event
    """The last of them."""
    count: int
    items: tuple[str, ...] | None = None
    """The names of the job specs, where there are several."""

    def to_members(self) -> dict[str, Any]:
        return {
            "action": self.event.action,
            "integration": self.event.integration,
            "job_spec": self.event.job_spec if self.items is None else None,
            "result": self.event.result,
            "count": self.count,
            "items": self.items,
        }

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its job specs, each once."""
        if self.items is not None:
            return self.items
        return () if self.event.job_spec is None else (self.event.job_spec,)

    def with_more(self, count: int, names: tuple[str, ...]) -> "Entry | None":
        """Return this entry with `count` earlier events of its kind and their `names`; None: it would be too long."""
        both = tuple(dict.fromkeys((*names, *self.names)))
        if len(both) > MOST_ITEMS or len(records.write({"items": both})) > MOST_ITEMS_BYTES:
            return None
        return Entry(self.event, self.count + count, both if len(both) > 1 else None)


@contextmanager
def outcome(tell: Callable[[str], None]) -> Iterator[None]:
    """Call `tell` with the outcome of the block: `ok`, or the code of the error it raises."""
    result = InternalError.code
    try:
        yield
        result = OK
    except ServiceError as failure:
        result = failure.code
        raise
    finally:
        tell(result)


def folded(events: tuple[Event, ...]) -> list[Entry]:
    """Return the events in their order, those of one kind that follow each other as one entry."""
    entries: list[Entry] = []
    for event in events:
        entry = Entry(event, 1)
        last = entries[-1] if entries else None
        is_same = last is not None and all(getattr(last.event, name) == getattr(event, name) for name in SAME)
        merged = entry.with_more(last.count, last.names) if last is not None and is_same else None
        if merged is None:
            entries.append(entry)
        else:
            entries[-1] = merged
    return entries


def identity(actor: dict[str, Any] | str) -> object:
    """Return what tells an actor from others: the id, whatever name somebody had then; a machine has only a name."""
    if isinstance(actor, str):
        return actor
    return (actor["id"], None if actor["id"] is not None else actor["name"])


def entry_in(plaintext: bytes) -> dict[str, Any]:
    """Return the entry in a record as our API shows it.

    Raises:
        Unreadable: it does not say what was done, when, or what became of it.
    """
    members = records.read(plaintext)
    if members.get("action") not in get_args(Action) or not {"at", "result"} <= members.keys():
        raise records.Unreadable
    actor = members.get("actor")
    known: dict[str, Any] = {"at": members["at"], "action": members["action"], "actor": "operator"}
    if actor != "operator":
        actor = actor if isinstance(actor, dict) else {}
        known["actor"] = {"id": actor.get("id"), "name": actor.get("name")}
    for name in ("integration", "job_spec", "result", "installation_id", "request_id"):
        known[name] = members.get(name)
    # An older release counted nothing, or kept no names.
    count, items = members.get("count"), members.get("items")
    known["count"] = count if type(count) is int and count > 0 else 1
    is_names = isinstance(items, list) and items and all(isinstance(name, str) for name in items)
    known["items"] = items if is_names else None
    return known


def _shortened(name: str) -> str:
    return name if len(name) <= MOST_NAME_CHARACTERS else f"{name[: MOST_NAME_CHARACTERS - 1]}…"
