"""`flask --app service doctor`: also the release phase, so what it does must be harmless to the running release."""

import os
from typing import Any

import click

from service.ground.settings import SettingsError
from service.operations.console import OperatorCommand, json_option, print_json
from service.operations.doctor.account_checks import AccountChecks
from service.operations.doctor.examination import ACCOUNTS_END_SECONDS, Examination
from service.operations.doctor.findings import Finding
from service.operations.doctor.settings_checks import faults_of
from service.operations.interruptions import is_interrupted
from service.web.request import services


class DoctorCommand(OperatorCommand):
    """Done within 90 s in all."""

    unsaved_seconds = 10.0


@click.command("doctor", cls=DoctorCommand)
@json_option
@click.option("--alert", "alerts_too", is_flag=True, help="Send a test line to ALERT_WEBHOOK_URL.")
@click.option("--strict", is_flag=True, help="Count warnings as failures.")
def doctor(as_json: bool, alerts_too: bool, strict: bool) -> None:
    """Check everything separately, and say what to do about it.

    One line a check: ok, warn or FAIL. FAIL is only what this release would break and you can mend: faulty settings,
    keys that open nothing, a Redis that cannot be reached within 60 s or refuses to write. Exits with 1 on a FAIL, with
    --strict on a warning too. Done within 90 s.
    """
    findings: list[Finding] = []

    def add(finding: Finding) -> None:
        findings.append(finding)
        if not as_json:
            click.echo(finding.line())

    try:
        examination = make_examination()
    except SettingsError as error:
        for finding in faults_of(error):
            add(finding)
    else:
        for finding in examination.findings():
            add(finding)
        if alerts_too:
            add(check_alerts())
    counts = {status: sum(one.status == status for one in findings) for status in ("ok", "warn", "FAIL")}
    if as_json:
        print_json(_document(findings, counts))
    else:
        click.echo(f"Failures: {counts['FAIL']}, warnings: {counts['warn']}.", err=True)
    if counts["FAIL"] or (strict and counts["warn"]) or is_interrupted():
        raise click.exceptions.Exit(1)


def check_alerts() -> Finding:
    """Send a test line, and return what became of it."""
    alerts = services().alerts
    if not alerts.is_on:
        return Finding("warn", "alerts", "ALERT_WEBHOOK_URL is not set.", "Set it, or watch the log and /metrics.")
    failure = alerts.send_test()
    if failure is None:
        return Finding("ok", "alerts", "ALERT_WEBHOOK_URL took a test line.")
    advice = "Look at the address with whoever gave it, and at OUTBOUND_PROXY if that is set."
    return Finding("warn", "alerts", f"ALERT_WEBHOOK_URL did not take a test line: {failure}.", advice)


def _document(findings: list[Finding], counts: dict[str, int]) -> dict[str, Any]:
    return {"counts": counts, "checks": [finding.to_json() for finding in findings]}


def make_examination(accounts_end_seconds: float = ACCOUNTS_END_SECONDS) -> Examination:
    """Return the examination of this application; it begins no account later than shortly before the given time.

    Raises:
        SettingsError: the environment does not describe a working service.
    """
    built = services()
    # The release that runs now may not have our newest key, and goes on running if this one fails.
    built.vault.leave_keys_as_found()
    built.app_keys.leave_store_as_found()
    built.alerts.be_silent()
    account_checks = AccountChecks(
        settings=built.settings,
        store=built.store,
        conditions=built.conditions,
        clients=built.clients,
        app_keys=built.app_keys,
    )
    return Examination(
        built.settings,
        built.store,
        built.vault,
        built.clients,
        built.sealed_records,
        built.connected_accounts,
        account_checks,
        environ=os.environ,
        tell=lambda text: click.echo(text, err=True),
        is_interrupted=is_interrupted,
        accounts_end_seconds=accounts_end_seconds,
    )
