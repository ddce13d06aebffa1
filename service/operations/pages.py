"""The front page: what this is, a form to connect an account, and the set-up steps; and the package of the app."""

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlencode

from flask import Blueprint, Response, redirect, render_template, request
from flask.typing import ResponseReturnValue

from service.ground.errors import NotFound
from service.ground.settings import Settings
from service.ground.subdomains import parse_account_address
from service.operations.zendesk_app.command import MANIFEST_FOLDER
from service.operations.zendesk_app.contents import read_app
from service.operations.zendesk_app.package import pack
from service.operations.zendesk_app.rules import judge
from service.web.rate_limits import OAUTH_REQUESTS, address_group
from service.web.request import services

# Public: the first thing an operator opens; it names no account that is connected.
blueprint = Blueprint("pages", __name__)

PACKAGE_PATH = "/zendesk-app.zip"
_PACKAGE = ".venv/bin/flask --app service package-app zis-job-specs.zip"


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the set-up."""

    title: str
    detail: str
    done: bool | None
    """None: not known while the store is away."""
    command: str | None = None
    """What to type for it."""
    href: str | None = None
    """Where it is taken, elsewhere."""
    links: tuple[tuple[str, str], ...] = ()
    """What helps with it here: texts and addresses."""


@blueprint.get("/")
def front_page() -> ResponseReturnValue:
    """Show the page, or send the browser on to connect the account that was typed into the form."""
    settings = services().settings
    values = request.args.getlist("account")
    typed = values[0] if values else None
    account = parse_account_address(typed) if typed and len(values) == 1 else None
    error = None
    if typed is not None and account is None:
        error = "That is no Zendesk account: type acme for acme.zendesk.com."
    elif account is not None:
        if not settings.lacks_address and not settings.lacks_client:
            return redirect(f"/oauth/authorize?{urlencode({'subdomain': account})}", 303)
        # Zendesk would show a page of its own that never comes back.
        error = "Not yet: first take the steps below that come before it."
    allowed = settings.zendesk_subdomains
    steps = _steps(settings)
    return render_template(
        "index.html",
        steps=steps,
        next_step=next((step for step in steps if step.done is False), None),
        public_url=settings.public_url,
        host_differs=_other_host(settings),
        accounts_hint=next(iter(allowed)) if allowed is not None and len(allowed) == 1 else "acme",
        error=error,
        account_value=typed or "",
        release=services().release,
    ), (400 if error else 200)


@blueprint.get(PACKAGE_PATH)
def package() -> ResponseReturnValue:
    """Send the Zendesk app with this service's address in it: who used a deploy button has no checkout."""
    services().rate_limits.count(OAUTH_REQUESTS, address_group(request.remote_addr))
    settings = services().settings
    if settings.lacks_address:
        raise NotFound("The package is here once PUBLIC_URL is set: the app has this service's address in it.")
    headers = {"Content-Disposition": 'attachment; filename="zis-job-specs.zip"'}
    return Response(_packed(settings.public_url), headers=headers, content_type="application/zip")


# Cached: the files change with the release only.
@lru_cache(maxsize=4)
def _packed(public_url: str) -> bytes:
    app = read_app(MANIFEST_FOLDER, public_url)
    problems = judge(app).problems
    if problems:
        raise NotFound(f"Zendesk would refuse the package: {problems[0].advice}")
    return pack(app)


@blueprint.get("/robots.txt")
def robots() -> ResponseReturnValue:
    """Nothing here is for search engines."""
    return "User-agent: *\nDisallow: /\n", {"Content-Type": "text/plain; charset=utf-8"}


@blueprint.get("/favicon.ico")
def favicon() -> ResponseReturnValue:
    """There is none; say so without an error in the log."""
    return "", 204


def _other_host(settings: Settings) -> str | None:
    """Return the host the browser used if it is not PUBLIC_URL's; None: it is."""
    return None if request.host.lower() == settings.public_url.partition("://")[2] else request.host


def _is_this_machine(host: str) -> bool:
    """Return whether a host is one under which PUBLIC_URL may be http."""
    return host.partition(":")[0] in {"localhost", "127.0.0.1"}


def _steps(settings: Settings) -> list[Step]:
    has_address = _other_host(settings) is None
    has_store = services().store.answers()
    has_grant = services().grants.has_any() if has_store else None
    return [
        Step(
            "Set the public address",
            f"PUBLIC_URL is {settings.public_url}."
            + ("" if has_address else f" You opened this page under {request.host}. Set this and restart the service:"),
            has_address,
            command=f"PUBLIC_URL={'http' if _is_this_machine(request.host) else 'https'}://{request.host}",
        ),
        Step(
            "Reach the store (Redis)",
            "It keeps the grants." if has_store else "It does not answer under REDIS_URL: start it, or correct that.",
            has_store,
        ),
        Step("Create the OAuth client in Zendesk", _client_advice(settings), has_grant),
        Step(
            "Connect an account",
            "Use the form above: an admin of the account signs in to Zendesk and allows access.",
            has_grant,
            links=(("See its job specs", "/console"),) if has_grant else (),
        ),
        Step(
            "Install the app in Zendesk",
            f"Download its package{' once the address is set' if settings.lacks_address else ''}, or make it with "
            "package-app in a checkout. Then, in Admin Center under Apps and integrations > Apps > Zendesk Support "
            "apps, press Upload private app, choose the file, and install the app.",
            # An app's id can only be known once the app is there.
            settings.zendesk_apps is not None,
            command=None if settings.lacks_address else f"{_PACKAGE} --public-url {settings.public_url}",
            links=() if settings.lacks_address else (("Download the package", PACKAGE_PATH),),
        ),
        _app_id_step(settings),
    ]


def _client_advice(settings: Settings) -> str:
    place = "In Admin Center, under Apps and integrations > APIs > OAuth clients,"
    client, uri = settings.zendesk_client_id, settings.redirect_uri
    if settings.lacks_client:
        where = "that stands here once the address is set" if settings.lacks_address else uri
        return (
            f"{place} add a confidential client with the redirect URL {where}. Set ZENDESK_CLIENT_ID to its identifier "
            "and ZENDESK_CLIENT_SECRET to its secret, which is shown once, and restart the service."
        )
    if settings.is_direct:
        return (
            f"The client is {client}, which Zendesk made for the integration. Append the redirect URL {uri} to its "
            "list and leave what is there: docs/connect.md says how."
        )
    return f"{place} add a confidential client. Its identifier is {client}; its redirect URL must be {uri}."


def _app_id_step(settings: Settings) -> Step:
    title = "Tell this service the app's id"
    accounts, apps = settings.zendesk_subdomains, settings.zendesk_apps
    only = next(iter(accounts)) if accounts is not None and len(accounts) == 1 else None
    owned = f"{settings.zendesk_url_template.replace('{subdomain}', only or 'YOUR-ACCOUNT')}/api/v2/apps/owned.json"
    how = (
        f"Signed in to Zendesk as an admin, open {owned}. Find the app by its name and take its id, not the id of an "
        "installation."
    )
    pairs = "" if only else ", or, where every account has its own, to pairs such as acme:123,globex:456,"
    if apps is None:
        detail = f"{how} Set ZENDESK_APPS to it{pairs} and restart this service."
        return Step(title, detail, False, href=owned if only else None)
    without = [account for account in accounts or () if settings.app_of(account) is None]
    if without:
        detail = f"ZENDESK_APPS names no app for {len(without)} of the accounts that may connect. {how}"
        return Step(title, f"{detail} Add it as subdomain:id and restart this service.", False)
    detail = f"ZENDESK_APPS is set: open a ticket in Zendesk, and the app is beside it. For another account: {how}"
    return Step(title, detail, True, href=owned if only else None)
