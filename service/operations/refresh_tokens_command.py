"""`flask --app service refresh-tokens`: the daily round, for those who would rather have a scheduler do it."""

import click

from service.ground.errors import ServiceError
from service.ground.subdomains import Subdomain
from service.operations.console import OperatorCommand, described, in_one_line, json_option, print_json
from service.operations.interruptions import is_interrupted
from service.operations.progress import Progress
from service.web.request import services


@click.command("refresh-tokens", cls=OperatorCommand)
@json_option
def refresh_tokens(as_json: bool) -> None:
    """Refresh every account with less than half of its refresh token's life left.

    One after another, beside the running service; then ALERT_WEBHOOK_URL is told of accounts that a person has to mend.
    For a daily scheduler; the web process does the same by itself.
    Exits with 1 if any failed.
    """
    refreshed: list[Subdomain] = []
    failed: dict[Subdomain, ServiceError] = {}
    with Progress("Refreshing accounts past half of their refresh token's life"):
        for outcome in services().upkeep.refresh_ageing():
            if outcome.failure is None:
                refreshed.append(outcome.account)
            else:
                failed[outcome.account] = outcome.failure
            if not as_json:
                _tell(outcome.account, outcome.failure)
            if is_interrupted():
                break
    services().upkeep.look_ahead()
    if as_json:
        problems = [{"account": account, "error": described(failure)} for account, failure in failed.items()]
        print_json({"refreshed": refreshed, "failed": problems, "interrupted": is_interrupted()})
    elif refreshed or failed:
        click.echo(f"{len(refreshed)} refreshed, {len(failed)} failed.", err=True)
    else:
        click.echo("No account has less than half of its refresh token's life left.", err=True)
    if failed or is_interrupted():
        raise click.exceptions.Exit(1)


def _tell(account: Subdomain, failure: ServiceError | None) -> None:
    if failure is None:
        click.echo(f"{account}: refreshed.")
    else:
        click.echo(f"{account}: failed: {failure.title}. {in_one_line(failure)}")
