"""`flask --app service rotate-keys`: every sealed record under the newest key."""

from collections import Counter
from typing import Any

import click

from service.operations.console import OperatorCommand, described, json_option, print_json, print_table
from service.operations.interruptions import is_interrupted
from service.operations.key_rotation import Tally, rotate, tally
from service.operations.progress import Progress
from service.store.store import KeysHidden
from service.web.request import services

_HIDDEN = (
    "So nothing was sealed anew, and it is not known what is under which key. Allow it +scan and run this again; until "
    "then take no key out of SECRET_KEYS."
)


@click.command("rotate-keys", cls=OperatorCommand)
@json_option
def rotate_keys(as_json: bool) -> None:
    """Seal every record anew under the newest key in SECRET_KEYS.

    Safe while the service works: what others write meanwhile is not overwritten. Says how many records each key still
    holds, and names the machine tokens that end with an older key because they were not used since. Run it when every
    process has the new key, as often as you like. What no key opens is kept, and the command then exits with 1.
    """
    records = services().sealed_records
    key_ids = services().vault.key_ids
    try:
        with Progress("Looking for sealed records") as progress:
            resealed = rotate(records, key_ids[0], progress.tell, is_interrupted)
            counted = tally(records, key_ids[0], progress.tell)
    except KeysHidden as refusal:
        told = described(refusal) | {"detail": f"{refusal.detail} {_HIDDEN}"}
        if as_json:
            print_json({"error": told, "done": False})
        click.echo(f"Error: {told['detail']}", err=True)
        raise click.exceptions.Exit(1) from refusal
    is_done = not counted.closed and not counted.behind
    if as_json:
        print_json({"resealed": resealed, **_document(counted, key_ids), "done": is_done})
    else:
        click.echo(f"Sealed anew: {resealed}.")
        keys = _document(counted, key_ids)["keys"]
        print_table(("KEY", "IN SECRET_KEYS", "RECORDS"), [_row(key) for key in keys])
        _advise(counted, len(key_ids))
    if not is_done:
        raise click.exceptions.Exit(1)


def _document(counted: Tally, key_ids: tuple[str, ...]) -> dict[str, Any]:
    strangers = sorted((kid for kid in counted.by_key if kid not in key_ids), key=str)
    return {
        "keys": [
            {
                "id": kid,
                "position": key_ids.index(kid) + 1 if kid in key_ids else None,
                "records": counted.by_key.get(kid, 0),
            }
            for kid in (*key_ids, *strangers)
        ],
        "behind": counted.behind,
        "unused_machine_tokens": [
            {"account": account, "name": token.name, "key_id": token.hash_key_id} for account, token in counted.waiting
        ],
        "closed": [{"kind": one.kind, "record": one.name, "key_id": one.key_id} for one in counted.closed],
    }


def _row(key: dict[str, Any]) -> tuple[str, ...]:
    match key["position"]:
        case None:
            place = "no"
        case 1:
            place = "first: newest"
        case position:
            place = str(position)
    return key["id"] or "unreadable", place, str(key["records"])


def _advise(counted: Tally, keys: int) -> None:
    """Say on standard error what is left to do."""
    # Each entry of an account's activity is a record, and all have the same name: they are counted.
    for (kind, name), count in Counter((record.kind, record.name) for record in counted.closed).items():
        what = f"{kind} {name}" + (f" ({count} entries)" if count > 1 else "")
        click.echo(f"No key opens it, so it was kept: {what}.", err=True)
    if counted.closed:
        click.echo(
            "Put back the key that sealed these (see KEY) and run this again; or leave them: their accounts have to "
            "be connected again, and roles, app keys and states expire within a week.",
            err=True,
        )
    if counted.behind:
        click.echo(
            f"{counted.behind} are still under an older key: a process without the newest one writes them, or this "
            "was stopped. Run it again when every process has the new key.",
            err=True,
        )
    for account, token in counted.waiting:
        click.echo(
            f"The machine token {token.name} of {account} was not used since the newest key came: it ends with the key "
            f"{token.hash_key_id}.",
            err=True,
        )
    if counted.waiting:
        click.echo(
            "Before that key goes from SECRET_KEYS let each of these be used once, or revoke it and make it anew.",
            err=True,
        )
    tokens = ", and when no machine token ends with them" if counted.waiting else ""
    if not counted.closed and not counted.behind and keys == 1:
        click.echo("Everything is under the one key of SECRET_KEYS.", err=True)
    elif not counted.closed and not counted.behind:
        click.echo(
            "Everything is under the newest key. The older ones can go from SECRET_KEYS after 12 hours, when no open "
            f"sidebar holds a session that they signed{tokens}.",
            err=True,
        )
