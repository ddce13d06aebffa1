"""The front page: what this is, a form to connect an account, and the set-up steps that remain."""

from dataclasses import dataclass
from urllib.parse import urlencode

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from service.oauth.grants import Grants
from service.settings import Settings
from service.store import Store
from service.subdomains import parse_account_address
from service.web import collaborator

# Public: the first thing an operator opens; it names no account that is connected.
blueprint = Blueprint("pages", __name__)


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the set-up."""

    title: str
    detail: str
    done: bool
    href: str | None = None


@blueprint.get("/")
def front_page() -> ResponseReturnValue:
    """Show the page, or send the browser on to connect the account that was typed into the form."""
    settings = collaborator(Settings)
    values = request.args.getlist("account")
    typed = values[0] if values else None
    account = parse_account_address(typed) if typed and len(values) == 1 else None
    if account is not None:
        return redirect(f"/oauth/authorize?{urlencode({'subdomain': account})}", 303)
    error = "That is no Zendesk account: type acme for acme.zendesk.com." if typed is not None else None
    allowed = settings.zendesk_subdomains
    return render_template(
        "index.html",
        steps=_steps(settings),
        public_url=settings.public_url,
        host_differs=_other_host(settings),
        accounts_hint=next(iter(allowed)) if allowed is not None and len(allowed) == 1 else "acme",
        error=error,
        account_value=typed or "",
    ), (400 if error else 200)


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


def _steps(settings: Settings) -> list[Step]:
    has_address = _other_host(settings) is None
    has_store = collaborator(Store).answers()
    has_grant = has_store and collaborator(Grants).has_any()
    return [
        Step(
            "Set the public address",
            f"PUBLIC_URL is {settings.public_url}."
            + ("" if has_address else f" You opened this page under {request.host}; set PUBLIC_URL to that address."),
            has_address,
        ),
        Step(
            "Reach the store (Redis)",
            "It keeps the grants." if has_store else "It does not answer under REDIS_URL: start it, or correct that.",
            has_store,
        ),
        Step(
            "Create the OAuth client in Zendesk",
            f"Its identifier is {settings.zendesk_client_id}; its redirect URL must be {settings.redirect_uri}.",
            has_grant,
        ),
        Step("Connect an account", "An admin of the account signs in to Zendesk and allows access.", has_grant),
        Step(
            "Install the Zendesk app",
            "Upload the app's package in Zendesk's Admin Center, then set ZENDESK_APPS to the app's id.",
            settings.zendesk_apps is not None,
        ),
    ]
