"""`flask --app service disconnect`: revokes what an account granted, and forgets it."""

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


@click.command("disconnect", cls=OperatorCommand)
@click.argument("account", metavar="SUBDOMAIN", type=Account())
@click.option("--uninstall", is_flag=True, help="Uninstall every job spec first; stops at the first failure.")
@click.option("--force", is_flag=True, help="Forget the account even if Zendesk cannot be told.")
@click.option("--purge", is_flag=True, help="Drop the account's activity and machine tokens too.")
@json_option
def disconnect(account: Subdomain, uninstall: bool, force: bool, purge: bool, as_json: bool) -> None:
    """Revoke every token of an account and forget it.

    Its job specs stay installed and go on firing unless --uninstall is given. If Zendesk cannot be told, nothing is
    forgotten and the command exits with 1; so it does where nothing is connected.
    """
    connection = services().connection
    was_connected = connection.is_connected(account)
    revoked, failure = False, None
    if was_connected:
        with Progress(f"Telling Zendesk that {account} is disconnected"):
            try:
                deadline = Deadline.after(DISCONNECT_SECONDS)
                revoked = connection.disconnect(account, OPERATOR, deadline, uninstall=uninstall)
            except ServiceError as caught:
                if not force:
                    raise
                failure = caught
                # Fails without Redis, like all of it, but works with one that is full.
                connection.forget(account, OPERATOR)
    if purge:
        services().activity.purge(account)
        services().machine_tokens.revoke_all(account)
    if as_json:
        print_json(
            {
                "account": account,
                "was_connected": was_connected,
                "revoked": revoked,
                "uninstalled": was_connected and uninstall and failure is None,
                "purged": purge,
                "error": None if failure is None else described(failure),
            }
        )
    else:
        _tell(account, was_connected=was_connected, revoked=revoked, failure=failure)
        if was_connected and not uninstall:
            click.echo("Job specs that were installed stay installed and go on firing.")
        if purge:
            click.echo("Its activity was dropped, and its machine tokens were revoked.")
    if not was_connected:
        # Otherwise a script that mistypes the account would take it for disconnected.
        raise click.exceptions.Exit(1)


def _tell(account: Subdomain, *, was_connected: bool, revoked: bool, failure: ServiceError | None) -> None:
    if failure is not None:
        click.echo(f"{account} was forgotten, but Zendesk could not be told: {in_one_line(failure)}")
        click.echo(
            "Its tokens may live on there, and its job specs too: revoke them in Zendesk's Admin Center (Apps and "
            "integrations > APIs > OAuth clients)."
        )
    elif revoked:
        click.echo(f"{account} was disconnected, and its tokens were revoked.")
    elif was_connected:
        click.echo(f"{account} was forgotten; its authorization was dead already, so there was nothing to revoke.")
    else:
        click.echo(f"{account} is not connected.")
