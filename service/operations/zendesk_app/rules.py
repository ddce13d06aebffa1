"""What is looked at before the app is packed: what an edit of `manifest/` can break.

Compared with github.com/zendesk/zendesk_apps_support at f3de3c7 (4.52.0, 2026-08-05); what it refuses besides, Zendesk
says at the upload. `docs/reference.md` lists both.
"""

import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from service.operations.zendesk_app.contents import MANIFEST, PLACEHOLDER, App, NotJSON, parse_object

ENGLISH = "translations/en.json"
# What README writes for the service's host.
STAND_IN = "your-service"
# developer.zendesk.com/documentation/apps/getting-started/uploading-and-installing-a-private-app, 2026-11.
LARGEST_PACKAGE_BYTES = 2_000_000
_TEXTS = ("name", "short_description", "long_description", "installation_instructions")
_LOGOS = {"assets/logo.png": 320, "assets/logo-small.png": 128}
# Locations that show an icon of the app (zendesk_apps_support, package.rb).
_WITH_ICON = ("top_bar", "nav_bar", "system_top_bar", "ticket_editor")
_FILES = re.compile(r"manifest\.json|translations/[a-z]{2,3}(-\w{2,3})?\.json|assets/[\w-]+\.(png|svg)", re.ASCII)
_SQUARE_SVG = re.compile(rb'<svg\s[^>]*\bviewBox="0 0 ([\d.]+) \1"[^>]*>.*</svg>\s*', re.DOTALL)
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, and the rule it breaks."""

    rule: str
    file: str
    advice: str
    """What is wrong, and what to do; a sentence without its full stop."""

    def to_json(self) -> dict[str, str]:
        """Return it for programs."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules found."""

    problems: tuple[Finding, ...]
    """For these the app is not packed."""
    warnings: tuple[Finding, ...]
    """The app is packed all the same."""


# File and advice.
Faults = Iterator[tuple[str, str]]
Rules = Mapping[str, Callable[[App], Faults]]


def judge(app: App) -> Verdict:
    """Return everything the rules find in the app; with an unreadable manifest, what can be said without it."""
    unreadable = _findings(app, READING_RULES)
    of_manifest = unreadable or _findings(app, MANIFEST_RULES)
    return Verdict(of_manifest + _findings(app, FILE_RULES), _findings(app, WARNING_RULES))


def _findings(app: App, rules: Rules) -> tuple[Finding, ...]:
    return tuple(Finding(name, *fault) for name, check in rules.items() for fault in check(app))


def _present(app: App) -> Faults:
    if MANIFEST not in app.files:
        yield MANIFEST, "is missing: restore the folder manifest/ of this repository"


def _readable(app: App) -> Faults:
    try:
        parse_object(app.files.get(MANIFEST, b"{}"))
    except NotJSON as fault:
        yield MANIFEST, f"is no JSON object ({fault}): mend it there"


def _required(app: App) -> Faults:
    for key in ("author", "defaultLocale", "location"):
        if not app.manifest.get(key):
            yield MANIFEST, f"lacks {key!r}: add it"
    if app.manifest.get("frameworkVersion") != "2.0":
        yield MANIFEST, 'frameworkVersion must be the string "2.0"'
    locale = app.manifest.get("defaultLocale")
    if locale and f"translations/{locale}.json" not in app.files:
        yield f"translations/{locale}.json", "is missing, but it is the manifest's defaultLocale: add it"


def _locations(app: App) -> Iterator[tuple[str, Any]]:
    """Yield each location that the manifest names, and what it says of it."""
    location = app.manifest.get("location")
    for places in location.values() if isinstance(location, dict) else ():
        yield from places.items() if isinstance(places, dict) else ()


def _signed(app: App) -> Faults:
    """Yield what Zendesk takes and the sidebar refuses: requests without a signature."""
    if app.manifest.get("signedUrls") is not True:
        yield MANIFEST, 'this service takes signed requests only: write "signedUrls": true'
    for name, options in _locations(app):
        if isinstance(options, dict) and options.get("signed", True) is not True:
            yield MANIFEST, f"location {name} switches signing off, and this service needs it: remove it"


def _location_url(app: App) -> Faults:
    location, origin = app.manifest.get("location"), urlsplit(app.public_url)
    # With several products Zendesk looks for each one's images in a folder of its own.
    if location and not (isinstance(location, dict) and location.keys() == {"support"} and any(_locations(app))):
        yield MANIFEST, f'location must be {{"support": {{name: {{"url": "{PLACEHOLDER}/sidebar"}}}}}}'
    for name, options in _locations(app):
        if (options.get("url") if isinstance(options, dict) else options) != f"{app.public_url}/sidebar":
            yield MANIFEST, f"location {name} must open this service's page: write {PLACEHOLDER}/sidebar as its url"
    if origin.scheme != "https" and origin.hostname != "localhost":
        host = origin.hostname
        yield MANIFEST, f"Zendesk takes http for localhost, but not for {host}: use http://localhost and the port"


def _in_reach(app: App) -> Faults:
    """Yield an address that Zendesk takes and agents' browsers cannot reach."""
    host = urlsplit(app.public_url).hostname
    if host in {"localhost", "127.0.0.1"}:
        yield MANIFEST, f"the app opens {host}: only a browser on the machine of the service gets there"
    elif host == STAND_IN:
        yield MANIFEST, f"the app opens {host}, which only stands for an address: give your service's own"


def _placeholders(app: App) -> Faults:
    for path, content in app.files.items():
        if path.endswith((".json", ".svg")) and (found := re.search(rb"\{\{[^}]*\}*", content)):
            left = found[0].decode(errors="replace")
            yield path, f"{left!r} is left in it: only {PLACEHOLDER} is filled in, and only in {MANIFEST}"


def _translations(app: App) -> Faults:
    """Yield files that cannot be read, and texts that one language has and another lacks."""
    catalogues = {}
    for path in [one for one in app.files if one.startswith("translations/")]:
        try:
            texts = parse_object(app.files[path]).get("app")
            catalogues[path] = texts if isinstance(texts, dict) else {}
        except NotJSON as fault:
            yield path, f"is no JSON object ({fault}): mend it there"
    english = catalogues.get(ENGLISH) or {}
    for path, texts in catalogues.items():
        for key in dict.fromkeys((*_TEXTS, *english)):
            if not (isinstance(texts.get(key), str) and texts[key].strip()):
                yield path, f"lacks app.{key}: add it"
        for key in texts:
            if english and key not in english:
                yield path, f"has app.{key}, which {ENGLISH} lacks: remove it, or add it there"


def _images(app: App) -> Faults:
    """Yield images that are missing or of another size: Zendesk's validator does not notice."""
    for path, size in _LOGOS.items():
        if path not in app.files:
            yield path, f"is missing: add a PNG of {size}x{size}"
        elif not _is_png(app.files[path], size):
            yield path, f"is no PNG of {size}x{size}: make it one"
    for path in ("assets/logo.svg", *(f"assets/icon_{name}.svg" for name, _ in _locations(app) if name in _WITH_ICON)):
        if path not in app.files:
            yield path, "is missing: add a square SVG"
        elif not _SQUARE_SVG.search(app.files[path]):
            yield path, 'is no square SVG: give it a viewBox like "0 0 30 30"'


def _is_png(content: bytes, side: int) -> bool:
    whole = content.startswith(_PNG) and content[12:16] == b"IHDR" and content.endswith(_PNG_END)
    return whole and struct.unpack(">II", content[16:24]) == (side, side)


def _no_symlinks(app: App) -> Faults:
    for path in app.symlinks:
        yield path, "is a symbolic link: put the file itself there"


def _known_files(app: App) -> Faults:
    """Yield what the package has no use for, and names that not every unpacking program takes as they are."""
    likes = f"{MANIFEST}, translations/pt-br.json, assets/logo-small.png or assets/icon_nav_bar.svg"
    for path in app.files:
        if not _FILES.fullmatch(path):
            shown = path if path.isascii() and path.isprintable() else ascii(path)
            yield shown, f"is nothing the package has a use for: remove it, or name it like {likes}"


def _size(app: App) -> Faults:
    total = sum(len(content) for content in app.files.values())
    if total > LARGEST_PACKAGE_BYTES:
        largest = max(app.files, key=lambda path: len(app.files[path]))
        yield largest, f"is the largest of {total} bytes, and Zendesk takes 2 MB: make it smaller or remove it"


READING_RULES: Rules = {"manifest-present": _present, "manifest-json": _readable}
MANIFEST_RULES: Rules = {"manifest-required": _required, "signed-urls": _signed, "location-url": _location_url}
FILE_RULES: Rules = {
    "placeholder": _placeholders,
    "translations": _translations,
    "logos": _images,
    "no-symlinks": _no_symlinks,
    "file-types": _known_files,
    "package-size": _size,
}
WARNING_RULES: Rules = {"location-in-reach": _in_reach}
