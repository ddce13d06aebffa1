"""The files of the app as they would be packed, with the service's address filled in. Knows no rule."""

import json
from collections.abc import Mapping
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
    """A text is no JSON object as Zendesk's validator reads it; says why."""


@dataclass(frozen=True, slots=True)
class App:
    """What would be packed."""

    files: Mapping[str, bytes]
    """By path within the package, sorted; no hidden files, nothing of `tmp/`: Zendesk's tools leave them out too."""
    public_url: str
    """The origin that was filled in."""
    symlinks: tuple[str, ...] = ()
    manifest: Mapping[str, Any] = field(default_factory=dict)
    """Empty: manifest.json is missing or cannot be read."""


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
        manifest = parse_object(files[MANIFEST])
    except (KeyError, NotJSON):
        manifest = {}
    return App(files, public_url, symlinks, manifest)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as fault:
        raise Unreadable(f"{path} cannot be read: {fault.strerror}.") from fault


def parse_object(content: bytes) -> dict[str, Any]:
    """Return what the JSON object says.

    Raises:
        NotJSON: it is none, or a key comes twice in one object; a byte order mark, NaN and what is not UTF-8 count as
            errors, as in Zendesk's validator.
    """
    try:
        found = json.loads(content.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_constant)
    except (ValueError, RecursionError) as fault:
        raise NotJSON(str(fault)) from fault
    if not isinstance(found, dict):
        raise NotJSON("it is something else")
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise NotJSON(f"the key {key!r} comes twice")
        found[key] = value
    return found


def _no_constant(name: str) -> None:
    raise NotJSON(f"{name} is no JSON")
