"""`flask --app service activity export`: who did what to an account, for other programs."""

import json

import click

from service.ground.subdomains import Subdomain
from service.operations.console import OperatorCommand, account_option
from service.web.request import services


@click.group("activity")
def activity() -> None:
    """Who did what to an account, and when."""


@activity.command("export", cls=OperatorCommand)
@account_option
def export(account: Subdomain) -> None:
    """Print the account's activity as JSON lines, newest first.

    The last 500 changes and 100 connections of at most 90 days, as the API shows them; a disconnect does not end them.
    Fewer are kept where they take more than 2 % of Redis's memory, or 1 MiB.
    The same change by the same person again and again is one entry with its `count`.
    """
    entries = services().activity.latest(account)
    for entry in entries:
        click.echo(json.dumps(entry))
    if not entries:
        click.echo(f"No activity of {account} is stored that a key in SECRET_KEYS opens.", err=True)
