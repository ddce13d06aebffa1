"""The files of the app as they would be packed, with the service's address filled in. Knows no rule."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

MANIFEST = "manifest.json"
# What stands for the service's address in manifest.json. Zendesk refuses it where it is left in.
PLACEHOLDER = "{{public_url}}"


class Unreadable(click.ClickException):
    """A file of the app cannot be read. A command prints it and exits with status 1."""


class NotJSON(ValueError):
    """A text is no JSON as Zendesk's validator reads it; says why."""


class DuplicateKey(ValueError):
    """An object of a JSON text holds a key twice."""


@dataclass(frozen=True, slots=True)
class App:
    """What would be packed."""

    files: Mapping[str, bytes]
    """By path within the package, sorted; no hidden files, nothing of `tmp/`: Zendesk's tools leave them out too."""
    symlinks: tuple[str, ...] = ()
    manifest: Mapping[str, Any] = field(default_factory=dict)
    """Empty: manifest.json is missing or cannot be read."""

    @property
    def has_pages(self) -> bool:
        """Whether the manifest describes an app with pages, and not only requirements or a listing."""
        return not (is_true(self.manifest.get("requirementsOnly")) or is_true(self.manifest.get("marketingOnly")))

    @property
    def products(self) -> list[str]:
        """The products the app is for: those in which the manifest names a place, or all it lists if without pages."""
        if is_true(self.manifest.get("requirementsOnly")):
            return ["support"]
        location = self.manifest.get("location")
        listed = location if isinstance(location, dict) else {}
        return [product for product, places in listed.items() if places or not self.has_pages]

    def asset_folder(self, product: str) -> str:
        """Return where a product's logos and icons are: with several products each has a folder of its own."""
        return f"assets/{product}/" if len(self.products) > 1 else "assets/"

    def named(self, *endings: str) -> Iterator[tuple[str, str]]:
        """Yield path and text of each file whose name ends so."""
        for path, content in self.files.items():
            if path.lower().endswith(endings):
                yield path, content.decode("utf-8", errors="replace")


def is_true(value: object) -> bool:
    """Whether Zendesk's validator takes a value for a yes: it is written in Ruby, where 0 and "" are yes as well."""
    return value is not None and value is not False


def read_app(folder: Path, public_url: str) -> App:
    """Return the app in `folder` for the service at `public_url`, an origin.

    Raises:
        Unreadable: a file cannot be read.
    """
    paths = sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix())
    symlinks = tuple(path.relative_to(folder).as_posix() for path in paths if path.is_symlink())
    files = {}
    for path in paths:
        parts = path.relative_to(folder).parts
        if path.is_file() and not path.is_symlink() and parts[0] != "tmp" and not any(p.startswith(".") for p in parts):
            files["/".join(parts)] = _content(path)
    if MANIFEST in files:
        files[MANIFEST] = files[MANIFEST].replace(PLACEHOLDER.encode(), public_url.encode())
    try:
        manifest = parse_json(files[MANIFEST])
    except (KeyError, ValueError):
        manifest = None
    return App(files, symlinks, manifest if isinstance(manifest, dict) else {})


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as fault:
        raise Unreadable(f"{path} cannot be read: {fault.strerror}.") from fault


def parse_json(content: bytes) -> Any:
    """Return what a JSON text says.

    Raises:
        NotJSON: it is none; a byte order mark, NaN and what is not UTF-8 count as errors, as in Zendesk's validator.
        DuplicateKey: a key comes twice in one object.
    """
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_constant)
    except DuplicateKey:
        raise
    except (ValueError, RecursionError) as fault:
        raise NotJSON(str(fault)) from fault


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise DuplicateKey(key)
        found[key] = value
    return found


def _no_constant(name: str) -> None:
    raise NotJSON(f"{name} is no JSON")
