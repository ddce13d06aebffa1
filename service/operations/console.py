"""What all commands for operators share: how they are run, how they speak, and how they end.

The answer goes to standard output, as text or as one JSON document; events, progress and problems go to standard error.
"""

import errno
import io
import json
import sys
from collections.abc import Iterable
from typing import Any

import click
from flask import has_app_context
from flask.cli import ScriptInfo

from service.ground.errors import ServiceError
from service.ground.settings import SettingsError
from service.ground.subdomains import Subdomain, parse_subdomain
from service.operations.interruptions import interruptible
from service.server.logs import logs_on_standard_error
from service.web.request import services

# Time after the command for storing pairs that Redis has not taken.
UNSAVED_SECONDS = 20.0
# Time after the command for alerts to the operator's webhook.
ALERT_SECONDS = 5.0
# Standard output is a file, and there is no room for it.
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

json_option = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")


class OperatorCommand(click.Command):
    """A command with the application's collaborators; an error of the service ends it in words, with status 1."""

    unsaved_seconds = UNSAVED_SECONDS

    def invoke(self, ctx: click.Context) -> Any:
        if not has_app_context():
            # Flask's own group has entered it already.
            ctx.with_resource(ctx.ensure_object(ScriptInfo).load_app().app_context())
        with logs_on_standard_error(), interruptible(ctx):
            try:
                return super().invoke(ctx)
            except ServiceError as error:
                if ctx.params.get("as_json"):
                    print_json({"error": described(error)})
                click.echo("\n".join([f"Error: {error.title}.", *explained(error)]), err=True)
                raise click.exceptions.Exit(1) from error
            except OSError as fault:
                # A closed pipe (EPIPE) is click's to end quietly, with status 1 as well.
                if fault.errno not in _DISK_FULL:
                    raise
                # Python writes what is left once more at its end, and would end with 120 and a complaint.
                sys.stdout = io.StringIO()
                raise click.ClickException(f"The output could not be written: {fault.strerror}.") from fault
            finally:
                self.__finish()

    def __finish(self) -> None:
        """Go on trying to store what Zendesk has given, and let the webhook be told."""
        try:
            access_tokens = services().access_tokens
        except SettingsError:
            # Without settings the command asked Zendesk nothing, so there is nothing to store.
            return
        access_tokens.pending_pairs.finish(self.unsaved_seconds)
        services().alerts.finish(ALERT_SECONDS)


class Account(click.ParamType[Subdomain]):
    """A Zendesk account by its subdomain."""

    name = "subdomain"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Subdomain:
        account = parse_subdomain(str(value))
        if account is None:
            self.fail(f"{value!r} is no account: write acme for acme.zendesk.com.", param, ctx)
        return account


account_option = click.option(
    "--account", type=Account(), required=True, metavar="SUBDOMAIN", help="The Zendesk account, e.g. acme."
)


def print_json(document: Any) -> None:
    """Print the answer for machines."""
    click.echo(json.dumps(document, indent=2))


def print_table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    """Print the answer as columns; the last one may be of any length."""
    table = [headings, *(tuple(printable(cell) for cell in row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(headings))]
    for row in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def number_of(things: str, count: int) -> str:
    """Return "1 record" or "2 records"; `things` is the plural, which ends in s."""
    return f"{count} {things.removesuffix('s') if count == 1 else things}"


def printable(text: str) -> str:
    """Return what a terminal shows and does not obey: names come from Zendesk, and whoever is there chose them."""
    return "".join(character if character.isprintable() else "?" for character in text)


def described(error: ServiceError) -> dict[str, Any]:
    """Return an error for machines."""
    return {"code": error.code, "title": error.title, "detail": error.detail, **error.members()}


def explained(error: ServiceError) -> list[str]:
    """Return the lines that follow an error's title: what happened, what to do next, and the code."""
    told = error.members()
    lines = [error.detail]
    lines += [
        f"  {printable(one['pointer']) or '(all of it)'}: {printable(one['detail'])}" for one in error.errors or ()
    ]
    if "upstream_detail" in told:
        lines.append(f"Zendesk's words ({error.upstream_status}): {told['upstream_detail']}")
    if error.authorize_url is not None:
        lines.append(f"Connect it here: {error.authorize_url}")
    if error.retry_after is not None:
        lines.append(f"Try again in {error.retry_after} s.")
    return [*lines, f"Code: {error.code}"]


def in_one_line(error: ServiceError) -> str:
    """Return what happened, with Zendesk's words and the code, where one line is all there is."""
    *lines, code = explained(error)
    return " ".join([*lines, f"[{code.removeprefix('Code: ')}]"])
