"""Where in Zendesk the app shows, and under which address."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import SplitResult

from service.operations.zendesk_app.addresses import parse_address
from service.operations.zendesk_app.contents import MANIFEST, App, is_true
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
# What README writes for the service's host.
_STAND_IN = "your-service"
_THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]")


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


def _by_address(app: App) -> dict[str, str]:
    """Return each address, and the places that open it in words."""
    found: dict[str, list[str]] = {}
    for place in locations(app):
        url = place.options.get("url")
        if isinstance(url, str) and url:
            found.setdefault(url, []).append(f"{place.product}.{place.name}")
    return {url: f"location {' and '.join(places)}" for url, places in found.items()}


def _present(app: App) -> Iterator[Fault]:
    location = app.manifest.get("location")
    named = any(location.values()) if isinstance(location, dict) else location
    if not app.has_pages:
        if named:
            yield Fault(MANIFEST, "an app without pages must not have a location: remove it")
    elif not named:
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
    location = app.manifest.get("location")
    for product in location if isinstance(location, dict) else ():
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
        if not (isinstance(url, str) and url) and is_true(place.options.get("autoLoad", True)):
            yield Fault(MANIFEST, f'{place} has no url: add one, or write "autoLoad": false')


def _address(app: App) -> Iterator[Fault]:
    for url, places in _by_address(app).items():
        if advice := _wrong_address(app, url):
            yield Fault(MANIFEST, f"{places} has the url {url!r}: {advice}")


def _wrong_address(app: App, url: str) -> str | None:
    """Return what is wrong with a location's address; None: nothing."""
    if "{{setting." in url:
        return None
    address = parse_address(url)
    if address is None:
        return "it has something that no address has, such as a placeholder that is left in"
    if not address.scheme:
        is_there = address.path.startswith("assets/") and address.path in app.files
        return None if is_there else "a file must be in assets/ and be there"
    host = _host(address)
    if (address.scheme == "https" and host) or host == "localhost":
        return None
    if host == "127.0.0.1":
        return "Zendesk takes http for localhost, but not for 127.0.0.1: use http://localhost and the port"
    return "it must begin with https:// (http:// only for localhost)"


def _host(address: SplitResult) -> str:
    """Return the host with its case, as Zendesk compares it; empty: there is none."""
    found = re.match(r"\[[^\]]*\]|[^:]*", address.netloc.rpartition("@")[2])
    return found[0] if found else ""


def _in_reach(app: App) -> Iterator[Fault]:
    """Yield addresses that agents' browsers cannot reach; a rule of our own, for what Zendesk takes."""
    for url, places in _by_address(app).items():
        address = parse_address(url)
        host = _host(address).lower() if address else ""
        if host in _THIS_MACHINE:
            yield Fault(MANIFEST, f"{places} opens {host}: only a browser on the machine of the service gets there")
        elif host == _STAND_IN:
            yield Fault(MANIFEST, f"{places} opens {host}, which only stands for an address: give your service's own")


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
    Rule("location-in-reach", _in_reach, refuses=False),
)
