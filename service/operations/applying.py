"""How an operator sees a plan, agrees to it, and is told what became of it."""

import time
from collections.abc import Mapping
from itertools import groupby

import click

from service.ground.deadlines import REQUEST_BUDGET_SECONDS, Deadline
from service.ground.errors import ServiceError
from service.ground.subdomains import Subdomain
from service.job_specs.plans import SENT, Change, Kind, counts
from service.job_specs.reconciling import Applied, Pace
from service.operations.console import described, in_one_line, number_of, print_json, printable
from service.operations.interruptions import is_interrupted
from service.operations.progress import Progress
from service.zendesk.zis_registry import qualified_name

# Zendesk's limits count by the minute; one that asks for more is left for a later run.
LONGEST_WAIT_SECONDS = 120
MOST_WAITS = 10
# From so many job specs on, an integration that the document does not name is shown in one line.
MANY_NOT_NAMED = 5
_NAP_SECONDS = 0.2

_MARKS: dict[Kind, str] = {
    "install": "+ install",
    "uninstall": "- uninstall",
    "rearm": "~ re-arm",
    "not_listed": "! not listed",
    "not_named": "? not named",
}
_COUNTED: dict[Kind, str] = {
    "install": "to install",
    "uninstall": "to uninstall",
    "rearm": "to re-arm",
    "not_listed": "not listed",
    "not_named": "not named",
    "none": "as they should be",
}
_DOING: dict[Kind, str] = {"install": "Installing", "uninstall": "Uninstalling", "rearm": "Re-arming"}
_DONE: dict[Kind, str] = {"install": "installed", "uninstall": "uninstalled", "rearm": "re-armed"}


class OperatorsPace:
    """Lets changes be made one after another until somebody interrupts, and waits where Zendesk asks for it."""

    def __init__(self, progress: Progress, changes: tuple[Change, ...]) -> None:
        self._progress = progress
        self._total = sum(one.change in SENT for one in changes)
        self._begun = 0
        self._waits = 0

    def pace(self) -> Pace:
        """Return it as the engine takes it."""
        return Pace(deadline=lambda: Deadline.after(REQUEST_BUDGET_SECONDS), admit=self._admits, wait=self._has_waited)

    def _admits(self, change: Change) -> bool:
        self._begun += 1
        doing = _DOING[change.change]
        self._progress.tell(
            f"{doing} {printable(change.name)} of {change.integration} ({self._begun} of {self._total})"
        )
        return not is_interrupted()

    def _has_waited(self, seconds: int) -> bool:
        self._waits += 1
        if seconds > LONGEST_WAIT_SECONDS or self._waits > MOST_WAITS:
            return False
        self._progress.tell(f"Waiting {seconds} s, as Zendesk asks ({self._begun} of {self._total})")
        end = time.monotonic() + seconds
        while time.monotonic() < end and not is_interrupted():
            time.sleep(_NAP_SECONDS)
        return not is_interrupted()


def print_plan(account: Subdomain, changes: tuple[Change, ...], *, err: bool = False) -> None:
    """Print a line a job spec that is not as it should be, and how many there are of each kind."""
    for line in _plan_lines(changes):
        click.echo(line, err=err)
    numbers = counts(changes)
    told = ", ".join(f"{numbers[kind]} {words}" for kind, words in _COUNTED.items() if numbers[kind])
    click.echo(f"{account}: {told or 'no job spec at all'}.", err=err)


def confirmed(account: Subdomain, changes: tuple[Change, ...]) -> bool:
    """Return whether a person agrees to the plan, which is shown to them; True without asking if nothing changes."""
    numbers = counts(changes)
    number = sum(numbers[kind] for kind in SENT)
    if not number:
        return True
    print_plan(account, changes, err=True)
    try:
        agrees = click.confirm(f"Make {number_of('changes', number)} in {account}?", err=True)
    except click.Abort:
        click.echo("\nThere is nobody to ask here, so nothing was changed. Give --yes to be asked nothing.", err=True)
        return False
    if not agrees:
        click.echo("Nothing was changed.", err=True)
    return agrees


def print_applied(
    account: Subdomain, applied: Applied, *, as_json: bool, unseen: Mapping[str, ServiceError] | None = None
) -> None:
    """Print what became of a plan; `unseen`: by integration, why it could not be listed, told to programs alone."""
    if as_json:
        changes = [one.to_document().model_dump() for one in applied.changes]
        told = {name: described(failure) for name, failure in (unseen or {}).items()}
        print_json({"account": account, "changes": changes, "left": applied.left, "unseen": told})
        return
    done = 0
    for one in applied.changes:
        name = qualified_name(one.integration, printable(one.name))
        if one.is_failed:
            click.echo(f"{name}: failed: {one.detail} [{one.result}]", err=True)
        elif one.result is not None:
            done += 1
            click.echo(f"{name}: {_DONE[one.change]}.{f' {one.detail}' if one.detail else ''}")
    failed = sum(one.is_failed for one in applied.changes)
    if done or failed or applied.left:
        click.echo(f"{account}: {done} done, {failed} failed, {applied.left} not tried.", err=True)
    else:
        click.echo(f"{account}: nothing to do.", err=True)
    if applied.failure is not None and applied.left:
        click.echo(f"It ended early: {in_one_line(applied.failure)}", err=True)


def end_with(applied: Applied) -> None:
    """End the command with 1 if anything failed or was not done."""
    if applied.left or any(one.is_failed for one in applied.changes):
        raise click.exceptions.Exit(1)


def _plan_lines(changes: tuple[Change, ...]) -> list[str]:
    rows: list[tuple[str, str, str]] = []
    for integration, group in groupby(changes, key=lambda one: one.integration):
        part = list(group)
        is_named = any(one.wanted is not None for one in part)
        if not is_named and len(part) > MANY_NOT_NAMED:
            # Except those that something is said about.
            silent = [one for one in part if one.detail is None]
            rows.append((_MARKS["not_named"], integration, number_of("job specs", len(silent))))
            part = [one for one in part if one.detail is not None]
        for one in part:
            if one.change != "none":
                detail = f"  {one.detail}" if one.detail else ""
                rows.append((_MARKS[one.change], integration, f"{printable(one.name)}{detail}"))
    order = {mark: position for position, mark in enumerate(_MARKS.values())}
    rows.sort(key=lambda row: (order[row[0]], row[1]))
    width = max((len(integration) for _, integration, _ in rows), default=0)
    return [f"{mark:<12}  {integration:<{width}}  {rest}" for mark, integration, rest in rows]
