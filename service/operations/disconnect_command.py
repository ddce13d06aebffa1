"""`flask --app service disconnect`: revokes what an account granted, and forgets it."""

from dataclasses import dataclass
from typing import Any

import click

from service.ground.deadlines import Deadline
from service.ground.errors import ServiceError
from service.ground.subdomains import Subdomain
from service.operations.console import Account, OperatorCommand, described, in_one_line, json_option, print_json
from service.operations.progress import Progress
from service.store.events import OPERATOR
from service.web.request import services

# No router waits for this one, and hundreds of job specs take their time.
DISCONNECT_SECONDS = 600.0
# For trying each token by itself, of a Zendesk that has just failed.
FORGET_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of a connection; the failures are None where nothing failed, or was not asked for."""

    revoked: bool
    not_revoked: ServiceError | None = None
    not_uninstalled: ServiceError | None = None


@click.command("disconnect", cls=OperatorCommand)
@click.argument("account", metavar="SUBDOMAIN", type=Account())
@click.option("--uninstall", is_flag=True, help="Uninstall every job spec first; stops at the first failure.")
@click.option("--force", is_flag=True, help="Forget the account even if Zendesk cannot be told.")
@click.option("--purge", is_flag=True, help="Drop the account's activity and machine tokens too.")
@json_option
def disconnect(account: Subdomain, uninstall: bool, force: bool, purge: bool, as_json: bool) -> None:
    """Revoke every token of an account and forget it.

    Its job specs stay installed and go on firing unless --uninstall is given. If Zendesk cannot be told, nothing is
    forgotten and the command exits with 1; so it does where nothing is connected. With --force tokens are revoked
    although job specs could not be uninstalled, and what could not be done is told.
    """
    was_connected = services().connection.is_connected(account)
    outcome = _Outcome(revoked=False)
    if was_connected:
        with Progress(f"Telling Zendesk that {account} is disconnected"):
            if force:
                outcome = _forced(account, uninstall=uninstall)
            else:
                deadline = Deadline.after(DISCONNECT_SECONDS)
                outcome = _Outcome(services().connection.disconnect(account, OPERATOR, deadline, uninstall=uninstall))
    if purge:
        services().activity.purge(account)
        services().machine_tokens.revoke_all(account)
    if as_json:
        print_json(
            {
                "account": account,
                "was_connected": was_connected,
                "revoked": outcome.revoked,
                "uninstalled": was_connected and uninstall and outcome.not_uninstalled is None,
                "purged": purge,
                "error": _described(outcome.not_revoked or outcome.not_uninstalled),
                "uninstall_error": _described(outcome.not_uninstalled),
            }
        )
    else:
        _tell(account, outcome, was_connected=was_connected)
        if was_connected and not uninstall:
            click.echo("Job specs that were installed stay installed and go on firing.")
        if purge:
            click.echo("Its activity was dropped, and its machine tokens were revoked.")
    if not was_connected:
        # Otherwise a script that mistypes the account would take it for disconnected.
        raise click.exceptions.Exit(1)


def _forced(account: Subdomain, *, uninstall: bool) -> _Outcome:
    """Do as much as can be done: where nothing can be uninstalled, tokens can be revoked all the same."""
    connection = services().connection
    not_uninstalled = None
    if uninstall:
        try:
            connection.uninstall_all(account, OPERATOR, Deadline.after(DISCONNECT_SECONDS))
        except ServiceError as failure:
            not_uninstalled = failure
    try:
        # Within a time of its own: the uninstalling may have used up the other.
        revoked = connection.disconnect(account, OPERATOR, Deadline.after(DISCONNECT_SECONDS), uninstall=False)
    except ServiceError as failure:
        # Fails without Redis, like all of it, but works with one that is full.
        connection.forget(account, OPERATOR, Deadline.after(FORGET_SECONDS))
        return _Outcome(revoked=False, not_revoked=failure, not_uninstalled=not_uninstalled)
    return _Outcome(revoked, not_uninstalled=not_uninstalled)


def _described(failure: ServiceError | None) -> dict[str, Any] | None:
    return None if failure is None else described(failure)


def _tell(account: Subdomain, outcome: _Outcome, *, was_connected: bool) -> None:
    if outcome.not_revoked is not None:
        click.echo(f"{account} was forgotten, but Zendesk could not be told: {in_one_line(outcome.not_revoked)}")
        click.echo(
            "Its tokens may live on there: revoke them in Zendesk's Admin Center (Apps and integrations > APIs > OAuth "
            "clients)."
        )
    elif outcome.revoked:
        click.echo(f"{account} was disconnected, and its tokens were revoked.")
    elif was_connected:
        click.echo(f"{account} was forgotten; its authorization was dead already, so there was nothing to revoke.")
    else:
        click.echo(f"{account} is not connected.")
    if outcome.not_uninstalled is not None:
        why = in_one_line(outcome.not_uninstalled)
        click.echo(f"Job specs that are left go on firing, because not all could be uninstalled: {why}")
