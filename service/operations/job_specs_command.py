"""`flask --app service job-specs`: the API's operations, for operators and scripts."""

import json
from collections.abc import Callable
from itertools import groupby
from typing import Any

import click

from service.grants.clients import AccountContext
from service.ground.deadlines import REQUEST_BUDGET_SECONDS, Deadline
from service.ground.errors import (
    IntegrationMismatch,
    IntegrationRequired,
    InvalidRequest,
    JobSpecNotFound,
    NotFound,
    ServiceError,
    ZISRejected,
)
from service.ground.subdomains import Subdomain
from service.job_specs.listing import ListRequest
from service.job_specs.read_back import Changed
from service.job_specs.reconciling import BUNDLES_SECONDS, Plan
from service.job_specs.replies import list_reply
from service.operations.bulk_plans import Wish, plan_all
from service.operations.console import (
    OperatorCommand,
    account_option,
    described,
    in_one_line,
    json_option,
    print_json,
    print_table,
)
from service.operations.desired_state_commands import apply, carry_out, export, plan, yes_option
from service.operations.interruptions import is_interrupted
from service.operations.progress import Progress
from service.store.events import OPERATOR
from service.web.request import services
from service.zendesk.zis_registry import is_qualified, qualified_name

# These concern one name; after any other error the next name would only meet it again.
ABOUT_ONE_NAME = (
    IntegrationMismatch,
    IntegrationRequired,
    InvalidRequest,
    JobSpecNotFound,
    NotFound,
    ZISRejected,
)

_integration_option = click.option("--integration", metavar="NAME", help="Only this integration of the account.")
_names = click.argument("names", metavar="[NAME]...", nargs=-1)
_all_option = click.option("--all", "all_of_them", is_flag=True, help="All of them, instead of names.")


@click.group("job-specs")
def job_specs() -> None:
    """List, install and uninstall job specs, and bring an account to a desired state.

    A name is short, or of the form zis:INTEGRATION:job_spec:NAME; it may hold any characters.
    """


for _command in (export, plan, apply):
    job_specs.add_command(_command)


@job_specs.command(
    "list",
    cls=OperatorCommand,
    epilog="Examples: flask --app service job-specs list --account acme --installed; … list --account acme --json",
)
@account_option
@_integration_option
@click.option("--installed/--not-installed", "installed", default=None, help="Only those that are, or are not.")
@_names
@json_option
def list_job_specs(
    account: Subdomain, integration: str | None, installed: bool | None, names: tuple[str, ...], as_json: bool
) -> None:
    """List job specs as Zendesk has them now, or only the ones named.

    A job spec is left over if it is installed and in no bundle any more; it still takes events.
    Exits with 1 if a name is not there, or an integration could not be listed.
    """
    integrations = _integrations(account, integration)
    grant_id = services().access_tokens.usable(account).id
    listing = services().listing
    deadline = Deadline.after(REQUEST_BUDGET_SECONDS)
    with Progress(f"Listing job specs of {account}"):
        now, kept = listing.look(account, integrations, grant_id)
        context = AccountContext(account, grant_id, deadline)
        wanted = [ListRequest.of(context, name, now) for name in integrations]
        document = json.loads(list_reply(listing.answers(wanted, kept, now), None, now).body)
        _mark_left_over(account, document, deadline)
    missing = []
    if names:
        document["job_specs"] = [
            row for row in document["job_specs"] if {row["name"], row["qualified_name"]} & {*names}
        ]
        found = {row[member] for row in document["job_specs"] for member in ("name", "qualified_name")}
        missing = [name for name in names if name not in found]
    if installed is not None:
        document["job_specs"] = [row for row in document["job_specs"] if row["installed"] is installed]
    if as_json:
        print_json({**document, "missing": missing})
    elif document["job_specs"]:
        print_table(("INTEGRATION", "JOB SPEC", "INSTALLED", "EVENT"), [_row(row) for row in document["job_specs"]])
    failures = [part for part in document["integrations"] if part["error"]]
    for part in failures:
        error = part["error"]
        words = f" Zendesk's words: {error['upstream_detail']}" if error["upstream_detail"] else ""
        click.echo(f"{part['name']} could not be listed: {error['detail']}{words} [{error['code']}]", err=True)
    for name in missing:
        click.echo(f"{name} is not listed.", err=True)
    if failures or missing:
        raise click.exceptions.Exit(1)


@job_specs.command(
    "install",
    cls=OperatorCommand,
    epilog="Examples: flask --app service job-specs install --account acme escalate_vip_order; "
    "… install --account acme --integration acme_orders --all --yes",
)
@account_option
@_integration_option
@_names
@_all_option
@yes_option
@json_option
def install(
    account: Subdomain, integration: str | None, names: tuple[str, ...], all_of_them: bool, yes: bool, as_json: bool
) -> None:
    """Install job specs, one after another; again, if they are installed already.

    With --all those that are not installed; it asks first, unless --yes is given. Exits with 1 if any failed. A failure
    that every other name would meet, too, stops it.
    """
    _require_one_of(names, all_of_them)
    if all_of_them:
        _change_all(account, integration, "install", yes=yes, as_json=as_json)
    else:
        _change(account, integration, names, as_json=as_json, is_install=True)


@job_specs.command(
    "uninstall",
    cls=OperatorCommand,
    epilog="Examples: flask --app service job-specs uninstall --account acme escalate_vip_order; "
    "… uninstall --account acme --all --yes",
)
@account_option
@_integration_option
@_names
@_all_option
@yes_option
@json_option
def uninstall(
    account: Subdomain, integration: str | None, names: tuple[str, ...], all_of_them: bool, yes: bool, as_json: bool
) -> None:
    """Uninstall job specs, one after another.

    With --all those that are installed; it asks first, unless --yes is given. Exits with 1 if any failed. A failure
    that every other name would meet, too, stops it.
    """
    _require_one_of(names, all_of_them)
    if all_of_them:
        _change_all(account, integration, "uninstall", yes=yes, as_json=as_json)
    else:
        _change(account, integration, names, as_json=as_json, is_install=False)


@job_specs.command(
    "reinstall",
    cls=OperatorCommand,
    epilog="Example: flask --app service job-specs reinstall --account acme --integration acme_orders --yes",
)
@account_option
@_integration_option
@_names
@_all_option
@yes_option
@json_option
def reinstall(
    account: Subdomain, integration: str | None, names: tuple[str, ...], all_of_them: bool, yes: bool, as_json: bool
) -> None:
    """Install again what is installed, because a bundle upload has silenced it; all of it unless names are given.

    Without names it asks first, unless --yes is given. Exits with 1 if any failed or was not done.
    """
    if names and all_of_them:
        raise click.UsageError("Give names, or --all, and not both.")
    _change_all(account, integration, "reinstall", names, yes=yes or bool(names), as_json=as_json)


def _require_one_of(names: tuple[str, ...], all_of_them: bool) -> None:
    if bool(names) is all_of_them:
        raise click.UsageError("Give names, or --all, and not both." if names else "Give names, or --all.")


def _change_all(
    account: Subdomain,
    integration: str | None,
    wish: Wish,
    names: tuple[str, ...] = (),
    *,
    yes: bool,
    as_json: bool,
) -> None:
    changes = plan_all(account, _integrations(account, integration), wish, names)
    carry_out(account, Plan(changes, {}), yes=yes, as_json=as_json)


def _change(
    account: Subdomain, integration: str | None, names: tuple[str, ...], *, as_json: bool, is_install: bool
) -> None:
    _integrations(account, integration)
    grant_id = services().access_tokens.usable(account).id
    changes = services().changes

    def change(name: str) -> Changed:
        return changes.change(
            AccountContext(account, grant_id, Deadline.after(REQUEST_BUDGET_SECONDS)),
            changes.check_names(account, name, integration),
            qualified=is_qualified(name),
            install=is_install,
            author=OPERATOR,
        )

    done, not_tried = _one_after_another(names, change, "" if as_json else "installed" if is_install else "uninstalled")
    if as_json:
        print_json({"changes": done, "not_tried": not_tried})
    elif not_tried:
        click.echo(f"Not tried: {', '.join(not_tried)}.", err=True)
    if not_tried or any(one["error"] for one in done):
        raise click.exceptions.Exit(1)


def _one_after_another(
    names: tuple[str, ...], change: Callable[[str], Changed], told: str
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return what became of the names, and those that were not tried; `told` is said of each, "": nothing is."""
    done: list[dict[str, Any]] = []
    for position, name in enumerate(names):
        if is_interrupted():
            return done, list(names[position:])
        try:
            with Progress(f"Changing {name}"):
                changed = change(name)
        except ServiceError as failure:
            done.append({"name": name, "job_spec": None, "verified": None, "error": described(failure)})
            if told:
                click.echo(f"{name}: failed: {failure.title}. {in_one_line(failure)}", err=True)
            if not isinstance(failure, ABOUT_ONE_NAME):
                return done, list(names[position + 1 :])
            continue
        spec = changed.job_spec
        done.append(
            {"name": name, "job_spec": spec.to_document().model_dump(), "verified": changed.is_verified, "error": None}
        )
        if told:
            doubt = "" if changed.is_verified else ", as Zendesk says; its list could not be read to make sure"
            click.echo(f"{qualified_name(spec.integration, spec.name)}: {told}{doubt}.")
    return done, []


def _integrations(account: Subdomain, named: str | None) -> list[str]:
    """Return the integrations asked for.

    Raises:
        AccountNotAllowed: the account is not on the allow-list.
        NotFound: it has no such integration.
    """
    settings = services().settings
    settings.require_allowed(account)
    ours = settings.integrations_of(account)
    if named is not None and named not in ours:
        raise NotFound(f"{account} has no integration {named} here. It has {', '.join(ours)}.")
    return list(ours) if named is None else [named]


def _mark_left_over(account: Subdomain, document: dict[str, Any], deadline: Deadline) -> None:
    """Put into the rows of a list what Zendesk's bundles say of them now."""
    for integration, group in groupby(document["job_specs"], key=lambda row: row["integration"]):
        rows = list(group)
        until = Deadline.after(min(BUNDLES_SECONDS, deadline.left()))
        known = services().bundles.ask(account, integration, (row["name"] for row in rows), until)
        for row in rows:
            row["left_over"] = known.left_over(row["name"], installed=row["installed"])


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    installed = "left over" if row["left_over"] else "yes" if row["installed"] else "no"
    return row["integration"], row["name"], installed, row["event_type"] or "-"
