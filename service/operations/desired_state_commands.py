"""`flask --app service job-specs export | plan | apply`: an account's desired state as a document."""

from typing import IO, Any

import click

from service.grants.clients import AccountContext
from service.ground.deadlines import REQUEST_BUDGET_SECONDS, Deadline
from service.ground.errors import PayloadTooLarge, ServiceError
from service.ground.subdomains import Subdomain
from service.job_specs.desired_state import LARGEST_DOCUMENT_BYTES, DesiredState, Place, document_of, read_document
from service.job_specs.plans import OPEN
from service.job_specs.reconciling import Applied, Lists, Plan
from service.operations.applying import OperatorsPace, confirmed, end_with, print_applied, print_plan
from service.operations.console import Account, OperatorCommand, account_option, in_one_line, json_option, print_json
from service.operations.progress import Progress
from service.store.events import OPERATOR
from service.web.request import services

# Exit status of `plan` where there is something to do.
DIFFERENT = 2

_file = click.argument("document", metavar="FILE", type=click.File("rb"))
_account = click.option(
    "--account",
    type=Account(),
    metavar="SUBDOMAIN",
    help="The account it is brought to; by default the one that the document names. Names of integrations are then "
    "matched through ZIS_INTEGRATIONS: {subdomain}_orders makes acme_orders globex_orders.",
)
_rearm = click.option(
    "--rearm", is_flag=True, help="Install again what is installed already: a bundle upload has silenced it."
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


class WrongPlanCall(click.UsageError):
    """Ends with 1, because 2 says that there is something to do."""

    exit_code = 1


class PlanCommand(OperatorCommand):
    """A command whose wrong calls end with 1."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        try:
            return super().make_context(*args, **kwargs)
        except click.UsageError as fault:
            raise WrongPlanCall(fault.format_message(), fault.ctx) from fault


@click.command(
    "export",
    cls=OperatorCommand,
    epilog="Example: flask --app service job-specs export --account acme > acme.json",
)
@account_option
def export(account: Subdomain) -> None:
    """Print what is installed and what is not, as a JSON document of desired state.

    Exits with 1 if an integration could not be listed; the document then says nothing of it.
    """
    settings = services().settings
    settings.require_allowed(account)
    grant_id = services().access_tokens.usable(account).id
    with Progress(f"Listing job specs of {account}"):
        context = AccountContext(account, grant_id, Deadline.after(REQUEST_BUDGET_SECONDS))
        lists = services().reconciler.look(context, settings.integrations_of(account))
    if lists.failures and not lists.rows:
        raise next(iter(lists.failures.values()))
    print_json(document_of(account, _installed(lists)))
    for integration, failure in lists.failures.items():
        _tell_unseen(integration, failure)
    if lists.failures:
        raise click.exceptions.Exit(1)


@click.command(
    "plan",
    cls=PlanCommand,
    epilog="Examples: flask --app service job-specs plan acme.json; … plan acme.json --account globex --json",
)
@_file
@_account
@_rearm
@json_option
def plan(document: IO[bytes], account: Subdomain | None, rearm: bool, as_json: bool) -> None:
    """Say what apply would do with a document of desired state; FILE may be - for standard input.

    A line a job spec: + install, - uninstall, ~ re-arm, ! not listed by Zendesk, ? not named by the document and left
    as it is. Nothing is changed.

    Exits with 0: nothing to do; 2: there is something, ! alone included; 1: it could not be found out, or the document
    or the call is faulty.
    """
    desired, planned = _planned(document, account, rearm=rearm)
    if as_json:
        print_applied(desired.account, Applied.untried(planned.changes), as_json=True, unseen=planned.unseen)
    else:
        print_plan(desired.account, planned.changes)
    if any(one.change in OPEN for one in planned.changes):
        raise click.exceptions.Exit(DIFFERENT)


@click.command(
    "apply",
    cls=OperatorCommand,
    epilog="Examples: flask --app service job-specs apply acme.json; … apply acme.json --rearm --yes",
)
@_file
@_account
@_rearm
@yes_option
@json_option
def apply(document: IO[bytes], account: Subdomain | None, rearm: bool, yes: bool, as_json: bool) -> None:
    """Bring an account to the desired state in a document; FILE may be - for standard input.

    Shows the plan and asks first, unless --yes is given; where nobody can be asked it changes nothing. What fails is
    named and does not stop the rest. Reads back afterwards; repeated, it does what is left.

    Exits with 0, or with 1 if anything failed or was not done.
    """
    desired, planned = _planned(document, account, rearm=rearm)
    carry_out(desired.account, planned, yes=yes, as_json=as_json)


def carry_out(account: Subdomain, planned: Plan, *, yes: bool, as_json: bool) -> None:
    """Apply a plan once somebody has agreed, and end with the command's status."""
    changes = planned.changes
    if not yes and not confirmed(account, changes):
        if as_json:
            print_applied(account, Applied.untried(changes), as_json=True, unseen=planned.unseen)
        raise click.exceptions.Exit(1)
    grant_id = services().access_tokens.usable(account).id
    with Progress(f"Changing job specs of {account}") as progress:
        applied = services().reconciler.apply(
            account, grant_id, changes, OPERATOR, OperatorsPace(progress, changes).pace()
        )
    print_applied(account, applied, as_json=as_json, unseen=planned.unseen)
    end_with(applied)


def _planned(document: IO[bytes], account: Subdomain | None, *, rearm: bool) -> tuple[DesiredState, Plan]:
    settings = services().settings
    text = document.read(LARGEST_DOCUMENT_BYTES + 1)
    if len(text) > LARGEST_DOCUMENT_BYTES:
        raise PayloadTooLarge("The document is larger than 1 MiB.")
    desired = read_document(text, Place(account, settings.integration_names, is_promotion=True))
    settings.require_allowed(desired.account)
    grant_id = services().access_tokens.usable(desired.account).id
    with Progress(f"Listing job specs of {desired.account}"):
        context = AccountContext(desired.account, grant_id, Deadline.after(REQUEST_BUDGET_SECONDS))
        planned = services().reconciler.plan(context, desired.integrations, rearm=rearm, closely=True)
    for integration, failure in planned.unseen.items():
        _tell_unseen(integration, failure)
    return desired, planned


def _tell_unseen(integration: str, failure: ServiceError) -> None:
    click.echo(f"{integration} could not be listed: {in_one_line(failure)}", err=True)


def _installed(lists: Lists) -> dict[str, dict[str, bool]]:
    found: dict[str, dict[str, bool]] = {}
    for integration, rows in lists.rows.items():
        names = found[integration] = {}
        for row in rows:
            names[row.name] = row.installed or names.get(row.name, False)
    return found
