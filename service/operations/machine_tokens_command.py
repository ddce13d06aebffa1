"""`flask --app service machine-tokens`: what a CI shows instead of a person's session."""

import time
from typing import Any

import click

from service.ground.subdomains import Subdomain
from service.ground.timestamps import timestamp
from service.operations.console import OperatorCommand, account_option, json_option, print_json, print_table
from service.people.machine_tokens import DAY_SECONDS, MOST_DAYS, USUAL_DAYS, Machine
from service.web.request import services

_name_option = click.option("--name", required=True, metavar="NAME", help="What the activity calls it, e.g. deploy.")


@click.group("machine-tokens")
def machine_tokens() -> None:
    """Tokens for scripts and CI, each for one account.

    They are good for the list of job specs, plan, apply, install and uninstall, and for nothing else.
    """


@machine_tokens.command(
    "create",
    cls=OperatorCommand,
    epilog="Example: flask --app service machine-tokens create --account acme --name deploy --days 30",
)
@account_option
@_name_option
@click.option(
    "--days",
    type=click.IntRange(1, MOST_DAYS),
    default=USUAL_DAYS,
    show_default=True,
    help="Days until it expires.",
)
@json_option
def create(account: Subdomain, name: str, days: int, as_json: bool) -> None:
    """Make a token and print it, once: it cannot be shown again."""
    services().settings.require_allowed(account)
    token, machine = services().machine_tokens.create(account, name, days)
    if as_json:
        print_json({"token": token, **_document(account, machine)})
    else:
        click.echo(token)
        click.echo(f"{name} of {account}, good until {timestamp(machine.expires_at)}. It is not shown again.", err=True)


@machine_tokens.command(
    "list", cls=OperatorCommand, epilog="Example: flask --app service machine-tokens list --account acme"
)
@account_option
@json_option
def list_tokens(account: Subdomain, as_json: bool) -> None:
    """List an account's tokens: names and days left, never the tokens themselves.

    A token of which the key was taken out of SECRET_KEYS before it was used under a newer one is no longer known when
    it is shown; `create` puts another one of that name in its place.
    """
    found = services().machine_tokens.all(account)
    if as_json:
        print_json({"machine_tokens": [_document(account, machine) for machine in found]})
    elif found:
        print_table(("NAME", "CREATED", "DAYS LEFT"), [_row(machine) for machine in found])
    else:
        click.echo(f"{account} has no machine token.", err=True)


@machine_tokens.command(
    "revoke",
    cls=OperatorCommand,
    epilog="Example: flask --app service machine-tokens revoke --account acme --name deploy",
)
@account_option
@_name_option
def revoke(account: Subdomain, name: str) -> None:
    """Make a token unusable, at once. Exits with 1 if there is none of this name."""
    services().machine_tokens.revoke(account, name)
    click.echo(f"{name} of {account} was revoked.")


def _document(account: Subdomain, machine: Machine) -> dict[str, Any]:
    return {
        "account": account,
        "name": machine.name,
        "created_at": timestamp(machine.created_at),
        "expires_at": timestamp(machine.expires_at),
        "key_missing": services().machine_tokens.is_key_missing(machine),
    }


def _row(machine: Machine) -> tuple[str, ...]:
    if services().machine_tokens.is_key_missing(machine):
        left = "none: its key is not in SECRET_KEYS"
    else:
        left = str(int((machine.expires_at - time.time()) // DAY_SECONDS))
    return machine.name, (timestamp(machine.created_at) or "-")[:10], left
