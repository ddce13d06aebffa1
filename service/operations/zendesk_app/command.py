"""`flask --app service package-app`: the Zendesk app, ready for an upload. Needs no setting but the address."""

import contextlib
import hashlib
import json
import stat
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from service.ground.settings import parse_public_url
from service.operations.zendesk_app.contents import App, read_app
from service.operations.zendesk_app.package import pack, write_whole
from service.operations.zendesk_app.rules import Verdict, judge

MANIFEST_FOLDER = Path(__file__).resolve().parents[3] / "manifest"


def _origin(context: click.Context, _parameter: click.Parameter, value: str | None) -> str:
    """Return the address, read as at the service's start."""
    if value is None or not value.strip():
        raise click.UsageError(
            "The service's address is not given: add --public-url https://YOUR-SERVICE, or set PUBLIC_URL."
        )
    try:
        return parse_public_url(value.strip())
    except ValueError as fault:
        is_set = context.get_parameter_source("public_url") is ParameterSource.ENVIRONMENT
        raise click.BadParameter(f"{fault}.", param_hint="PUBLIC_URL" if is_set else "--public-url") from fault


def _target(_context: click.Context, _parameter: click.Parameter, value: Path) -> Path:
    target = value.resolve()
    try:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            # Asked for by `stat`, which says why it fails: from 3.14 on `exists` answers no to a name that is too long.
            if not stat.S_ISREG(value.stat().st_mode):
                raise click.BadParameter(f"{value} is there and is no file.")
        if not target.parent.is_dir():
            raise click.BadParameter(f"the folder {target.parent} does not exist.")
    except OSError as fault:
        raise click.BadParameter(f"{value} cannot be looked at: {fault.strerror}.") from fault
    if target.is_relative_to(MANIFEST_FOLDER):
        raise click.BadParameter(f"{value} would be part of the next package: choose a place outside manifest/.")
    return value


@click.command("package-app")
@click.argument("out", metavar="OUT.zip", type=click.Path(path_type=Path), callback=_target)
@click.option(
    "--public-url",
    metavar="URL",
    envvar="PUBLIC_URL",
    callback=_origin,
    help="Origin under which browsers reach this service, e.g. https://zis.example.com. Else PUBLIC_URL is taken.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was written, or why not, as JSON.")
def package_app(out: Path, public_url: str, as_json: bool) -> None:
    """Write the Zendesk app to OUT.zip for an upload.

    The app is what stands in manifest/, with this service's address filled in. What an edit there can
    break is named with its file, and nothing is written; the rest is Zendesk's to say at the upload. The same files and
    address give the same bytes.

    Needs no other setting. Exits with 1 if the app is refused or a file cannot be read or written, with 2 if the
    call is wrong.
    """
    app = read_app(MANIFEST_FOLDER, public_url)
    verdict = judge(app)
    packed = b"" if verdict.problems else pack(app)
    if not verdict.problems:
        try:
            write_whole(out, packed)
        except OSError as fault:
            raise click.ClickException(f"{out} cannot be written: {fault.strerror}.") from fault
    report = _report(app, verdict, public_url, out, packed)
    if as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        _tell(report)
    if verdict.problems:
        raise click.exceptions.Exit(1)


def next_steps(out: Path) -> list[str]:
    """Return what the operator does with the zip."""
    upload = (
        "In Zendesk's Admin Center open Apps and integrations > Apps > Zendesk Support apps and press Upload private "
        f"app. Give the app a name, choose {out}, press Upload, confirm, and press Install on the page that follows. "
        "(Where the app is there already, choose Update in its menu instead: its id stays.)"
    )
    read_id = (
        "Signed in to Zendesk as an admin, open https://YOUR-ACCOUNT.zendesk.com/api/v2/apps/owned.json. Find the app "
        'by its name and take its "id": a number, the id of the app, not of its installation.'
    )
    configure = (
        "Set ZENDESK_APPS to that id (for several accounts: acme:123,globex:456) and restart the service. The app is "
        "then beside every ticket, and in the navigation bar."
    )
    return [upload, read_id, configure]


def _report(app: App, verdict: Verdict, public_url: str, out: Path, packed: bytes) -> dict[str, Any]:
    refused = bool(verdict.problems)
    return {
        "written": None if refused else str(out),
        "public_url": public_url,
        "files": sorted(app.files),
        "bytes": None if refused else len(packed),
        "sha256": None if refused else hashlib.sha256(packed).hexdigest(),
        "problems": [finding.to_json() for finding in verdict.problems],
        "warnings": [finding.to_json() for finding in verdict.warnings],
        "next_steps": [] if refused else next_steps(out),
    }


def _tell(report: dict[str, Any]) -> None:
    for kind, said in (("problems", "Refused"), ("warnings", "Warning")):
        for one in report[kind]:
            click.echo(f"{said}: {one['rule']}: {one['file']}: {one['advice']}", err=True)
    if report["problems"]:
        click.echo(f"Nothing was written. The files are in {MANIFEST_FOLDER}.", err=True)
        return
    click.echo(f"Wrote {report['written']}: {len(report['files'])} files, {report['bytes']} bytes.")
    click.echo(f"The app opens {report['public_url']}/sidebar. sha256 {report['sha256']}")
    click.echo("\nNext:")
    for number, step in enumerate(report["next_steps"], start=1):
        click.echo(f"{number}. {step}")
