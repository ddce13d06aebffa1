"""What has to change so that an account is as it should be. Asks nobody: a function of two states."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from service.web.documents.desired_state import PlannedChange

Kind = Literal["install", "uninstall", "rearm", "none", "not_listed", "not_named"]

# What is sent to Zendesk.
SENT: frozenset[Kind] = frozenset({"install", "uninstall", "rearm"})
# After these there is something to do, for the plan's exit status.
OPEN: frozenset[Kind] = SENT | {"not_listed"}


@dataclass(frozen=True, slots=True)
class Listed:
    """A job spec as Zendesk lists it."""

    name: str
    """Short."""
    installed: bool
    left_over: bool | None = None
    """In no bundle any more; None: not known."""


@dataclass(frozen=True, slots=True)
class Change:
    """One job spec: what is to be done about it, and what became of that."""

    integration: str
    name: str
    change: Kind
    wanted: bool | None = None
    """Whether it should be installed; None: nobody has said."""
    result: str | None = None
    """None: not tried, or nothing to try. `ok`, or the code of the error it ended in."""
    detail: str | None = None
    """A sentence for people; None: there is nothing to add."""

    @property
    def is_missed(self) -> bool:
        """Whether it should be installed, and cannot be."""
        return self.change == "not_listed" and bool(self.wanted)

    def to_document(self) -> PlannedChange:
        """Return it as the API and the commands show it."""
        return PlannedChange(
            integration=self.integration, name=self.name, change=self.change, result=self.result, detail=self.detail
        )

    @property
    def is_failed(self) -> bool:
        """Whether it was tried and did not come about."""
        return self.result not in {None, "ok"}


def make_plan(
    wanted: Mapping[str, Mapping[str, bool]], listed: Mapping[str, Iterable[Listed]], *, rearm: bool
) -> tuple[Change, ...]:
    """Return one change a job spec that is wanted or listed, sorted by integration and name (code points).

    `wanted`: by integration and name, whether it should be installed. `listed`: by integration, at least the wanted
    ones. `rearm`: install again what is installed and should be.
    """
    changes = []
    for integration in sorted(wanted.keys() | listed.keys()):
        wishes = wanted.get(integration, {})
        rows: dict[str, Listed] = {}
        for row in listed.get(integration, ()):
            before = rows.get(row.name)
            # A name that is listed several times is installed where one of its rows is.
            rows[row.name] = before if before is not None and before.installed else row
        changes += [
            _change(integration, name, wishes.get(name), rows.get(name), rearm=rearm)
            for name in sorted(wishes.keys() | rows.keys())
        ]
    return tuple(changes)


def counts(changes: Iterable[Change]) -> Counter[Kind]:
    """Return how many job specs there are of each kind of change."""
    return Counter(one.change for one in changes)


def _change(integration: str, name: str, wish: bool | None, row: Listed | None, *, rearm: bool) -> Change:
    if row is None:
        return Change(integration, name, "not_listed", wish, detail=_why_not_listed(wish))
    kind: Kind = "none"
    if wish is None:
        kind = "not_named"
    elif wish is not row.installed:
        kind = "install" if wish else "uninstall"
    elif wish and rearm:
        kind = "rearm"
    return Change(integration, name, kind, wish, detail=_about_left_over(row))


def _why_not_listed(wish: bool | None) -> str:
    if wish:
        return "Zendesk lists no such job spec: upload the bundle that holds it, or correct the name."
    return "Zendesk lists no such job spec, so it is not installed: take it out of the document, or correct the name."


def _about_left_over(row: Listed) -> str | None:
    if not row.left_over or not row.installed:
        return None
    return "An older bundle left it behind; it takes events until it is uninstalled."
