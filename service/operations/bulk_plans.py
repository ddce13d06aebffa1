"""Plans without a document: everything that an account's lists show, or the names somebody gives."""

from collections.abc import Iterable
from typing import Literal

from service.grants.clients import AccountContext
from service.ground.deadlines import REQUEST_BUDGET_SECONDS, Deadline
from service.ground.errors import JobSpecNotFound
from service.ground.subdomains import Subdomain
from service.job_specs.plans import SENT, Change, Listed, make_plan
from service.operations.progress import Progress
from service.web.request import services
from service.zendesk.zis_registry import qualified_name

Wish = Literal["install", "uninstall", "reinstall"]


def plan_all(
    account: Subdomain, integrations: list[str], wish: Wish, names: tuple[str, ...] = ()
) -> tuple[Change, ...]:
    """Return what has to change so that every job spec is as wished; `reinstall`: what is installed, once more.

    `names`: only these, short or qualified.

    Raises:
        JobSpecNotFound: a name is not listed, or not installed where that is to be repeated.
        ServiceError: an integration could not be listed.
    """
    grant_id = services().access_tokens.usable(account).id
    with Progress(f"Listing job specs of {account}"):
        context = AccountContext(account, grant_id, Deadline.after(REQUEST_BUDGET_SECONDS))
        lists = services().reconciler.look(context, integrations)
    for failure in lists.failures.values():
        raise failure
    wanted = {name: _wanted(rows, wish, name, names) for name, rows in lists.rows.items()}
    _require(names, wanted)
    changes = make_plan(wanted, lists.rows, rearm=wish == "reinstall")
    return tuple(one for one in changes if one.change in SENT)


def _wanted(rows: Iterable[Listed], wish: Wish, integration: str, names: tuple[str, ...]) -> dict[str, bool]:
    chosen = [row for row in rows if not names or {row.name, qualified_name(integration, row.name)} & {*names}]
    if wish == "reinstall":
        return {row.name: True for row in chosen if row.installed}
    return {row.name: wish == "install" for row in chosen}


def _require(names: tuple[str, ...], wanted: dict[str, dict[str, bool]]) -> None:
    found = {
        form
        for integration, wishes in wanted.items()
        for name in wishes
        for form in (name, qualified_name(integration, name))
    }
    missing = [name for name in names if name not in found]
    if missing:
        raise JobSpecNotFound(f"Not installed, so it cannot be installed again: {', '.join(missing)}.")
