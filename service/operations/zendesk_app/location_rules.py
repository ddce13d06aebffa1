"""Where in Zendesk the app shows, and under which address."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from service.operations.zendesk_app.contents import MANIFEST, App
from service.operations.zendesk_app.manifest_rules import has_sources
from service.operations.zendesk_app.rule import Fault, Rule

PRODUCTS = {
    "support": {
        "top_bar", "nav_bar", "ticket_sidebar", "new_ticket_sidebar", "user_sidebar", "organization_sidebar",
        "background", "modal", "ticket_editor", "system_top_bar",
    },
    "chat": {"chat_sidebar", "background"},
    "standalone_chat": {"nav_bar", "system_top_bar"},
    "sell": {
        "deal_card", "person_card", "company_card", "lead_card", "background", "modal", "dashboard", "note_editor",
        "call_log_editor", "email_editor", "top_bar", "visit_editor",
    },
}  # fmt: skip
# RFC 3986; anything else is no address for the validator, braces of placeholders included.
_ADDRESS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+", re.ASCII)


class Location(NamedTuple):
    """One place the app shows in."""

    product: str
    name: str
    options: dict[str, Any]
    """A bare address counts as `{"url": address}`."""

    def __str__(self) -> str:
        return f"location {self.product}.{self.name}"


def locations(app: App) -> Iterator[Location]:
    """Yield the places the manifest names, as far as they have the right form."""
    for product, places in _places(app):
        for name, options in places.items():
            if isinstance(options, str | dict):
                yield Location(product, name, {"url": options} if isinstance(options, str) else options)


def _places(app: App) -> Iterator[tuple[str, dict[str, Any]]]:
    location = app.manifest.get("location")
    for product, places in location.items() if isinstance(location, dict) else ():
        if isinstance(places, dict):
            yield product, places


def _present(app: App) -> Iterator[Fault]:
    location = app.manifest.get("location")
    if not has_sources(app):
        if location:
            yield Fault(MANIFEST, "an app without pages must not have a location: remove it")
    elif not location or (isinstance(location, dict) and not any(location.values())):
        yield Fault(MANIFEST, "lacks 'location': say where the app shows")


def _form(app: App) -> Iterator[Fault]:
    location = app.manifest.get("location")
    if location and not isinstance(location, dict):
        yield Fault(MANIFEST, "location as a list or a string is of framework 1: write {product: {location: address}}")
    for product, places in location.items() if isinstance(location, dict) else ():
        if places and not isinstance(places, dict):
            yield Fault(MANIFEST, f"location {product} must be an object: write {{location: address}}")
        for name, options in places.items() if isinstance(places, dict) else ():
            if not isinstance(options, str | dict):
                yield Fault(MANIFEST, f"location {product}.{name} must be an address or an object with a url")


def _known_product(app: App) -> Iterator[Fault]:
    for product in app.products:
        if product not in PRODUCTS:
            yield Fault(MANIFEST, f"{product!r} is no product: use one of {', '.join(PRODUCTS)}")


def _known_location(app: App) -> Iterator[Fault]:
    for product, places in _places(app):
        for name in places:
            if product in PRODUCTS and name not in PRODUCTS[product]:
                yield Fault(
                    MANIFEST, f"{product} has no location {name!r}: use one of {', '.join(sorted(PRODUCTS[product]))}"
                )


def _has_address(app: App) -> Iterator[Fault]:
    for place in locations(app):
        url = place.options.get("url")
        if not (isinstance(url, str) and url) and place.options.get("autoLoad", True) not in (None, False):
            yield Fault(MANIFEST, f'{place} has no url: add one, or write "autoLoad": false')


def _address(app: App) -> Iterator[Fault]:
    for place in locations(app):
        url = place.options.get("url")
        if isinstance(url, str) and url and (advice := _wrong_address(app, url)):
            yield Fault(MANIFEST, f"{place} has the url {url!r}: {advice}")


def _wrong_address(app: App, url: str) -> str | None:
    """Return what is wrong with a location's address; None: nothing."""
    if "{{setting." in url:
        return None
    if not _ADDRESS.fullmatch(url):
        return "it has characters that no address has, or a placeholder that is left in"
    try:
        parts = urlsplit(url)
    except ValueError:
        return "it is no address"
    if not parts.scheme:
        is_there = parts.path.startswith("assets/") and parts.path in app.files
        return None if is_there else "a file must be in assets/ and be there"
    return None if parts.scheme == "https" and parts.hostname else _wrong_host(parts.hostname)


def _wrong_host(host: str | None) -> str | None:
    """Return why the host may not be reached without https; None: it may."""
    if host == "localhost":
        return None
    if host == "127.0.0.1":
        return "Zendesk takes http for localhost, but not for 127.0.0.1: use http://localhost and the port"
    return "it must begin with https:// (http:// only for localhost)"


def _flexible(app: App) -> Iterator[Fault]:
    for place in locations(app):
        if not isinstance(place.options.get("flexible"), bool | None):
            yield Fault(MANIFEST, f"{place}: flexible must be true or false")


def _signed(app: App) -> Iterator[Fault]:
    """Yield what switches signing off again; a rule of our own, as `signed-urls`."""
    for place in locations(app):
        if place.options.get("signed", True) is not True:
            yield Fault(
                MANIFEST, f"{place} switches signing off, and this service takes signed requests only: remove it"
            )


LOCATION_RULES = (
    Rule("location-present", _present),
    Rule("location-form", _form),
    Rule("location-product", _known_product),
    Rule("location-name", _known_location),
    Rule("location-url-present", _has_address),
    Rule("location-url", _address),
    Rule("location-flexible", _flexible),
    Rule("location-signed", _signed),
)
