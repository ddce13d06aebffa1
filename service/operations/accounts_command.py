"""`flask --app service accounts`: the connected accounts, as they are stored."""

import time
from typing import Any

import click

from service.account.status import described
from service.operations.connected_accounts import ConnectedAccount
from service.operations.console import OperatorCommand, json_option, print_json, print_table
from service.web.request import services

_HEADINGS = ("ACCOUNT", "STATE", "REASON", "AUTHORIZED BY", "ON", "DAYS LEFT", "KEY")


@click.command("accounts", cls=OperatorCommand)
@json_option
def accounts(as_json: bool) -> None:
    """List the connected accounts.

    Shown are the state, who authorized and when, the days left on the refresh token, and the id of the key in
    SECRET_KEYS that the record is sealed under. Zendesk is not asked: `doctor` does that.
    """
    now = time.time()
    found = services().connected_accounts.all()
    if as_json:
        print_json({"accounts": [_document(one, now) for one in found]})
    elif found:
        print_table(_HEADINGS, [_row(one, now) for one in found])
    else:
        click.echo("No account is connected.", err=True)


def _document(one: ConnectedAccount, now: float) -> dict[str, Any]:
    return {
        "account": one.account,
        "state": one.state.name,
        "reason": one.state.reason,
        **described(one.grant),
        "refresh_token_days_left": one.days_left(now),
        "key_id": one.key_id,
        "allowed": one.is_allowed,
    }


def _row(one: ConnectedAccount, now: float) -> tuple[str, ...]:
    shown = described(one.grant)
    by = one.grant.authorized_by if one.grant else None
    days = one.days_left(now)
    return (
        one.account + ("" if one.is_allowed else " (not in ZENDESK_SUBDOMAINS)"),
        one.state.name,
        one.state.reason or "-",
        "-" if by is None else by.name or str(by.id),
        (shown["authorized_at"] or "-")[:10],
        "-" if days is None else str(days),
        one.key_id or "-",
    )
