"""The files of the pages: read once, compressed once, and named by a digest of all of them."""

import gzip
import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import brotli

from service.sidebar.files.bundle import bundled, imported

FOLDER = Path(__file__).resolve().parents[2] / "static"
PREFIX = "/static/"
FALLBACK_LANGUAGE = "en"
# Modules and style sheets that are put together into one file: `{page}.{language}.bundle.js`, `{page}.bundle.css`.
SCRIPTS = {"sidebar": "sidebar.js", "console": "console.js"}
SHEETS = {
    "sidebar": ("garden.css", "sidebar.css"),
    "console": ("garden.css", "sidebar.css", "console.css"),
    "pages": ("garden.css", "pages.css"),
}

_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".ts": "text/plain; charset=utf-8",
}
# Of 11: a tenth more bytes than the best, in a thirtieth of the time. Done at every start.
_BROTLI_QUALITY = 5


@dataclass(frozen=True, slots=True)
class File:
    """A file as it is sent."""

    content_type: str
    body: bytes
    encoded: dict[str, bytes]
    """The body by content coding, where that is shorter; the best first."""

    @classmethod
    def of(cls, name: str, body: bytes) -> "File":
        """Return the file of a name."""
        coded = {"br": brotli.compress(body, quality=_BROTLI_QUALITY), "gzip": gzip.compress(body, mtime=0)}
        shorter = {coding: short for coding, short in coded.items() if len(short) < len(body)}
        return cls(_TYPES.get(Path(name).suffix, "application/octet-stream"), body, shorter)


@dataclass(frozen=True, slots=True)
class Files:
    """All files at one time. Names are those in the folder, and of what is put together from them."""

    digest: str
    by_name: dict[str, File]
    languages: frozenset[str]
    """Those in which the pages' texts are there."""
    modules: dict[str, tuple[str, ...]]
    """By page: the modules it is made of."""

    def address(self, name: str) -> str:
        """Return where a file is served, never to be asked about again.

        Raises:
            KeyError: there is none of this name.
        """
        self.by_name[name]
        return f"{PREFIX}{self.digest}/{name}"


@dataclass(frozen=True, slots=True)
class Parts:
    """Names of the files that a page is made of."""

    sheets: tuple[str, ...]
    script: str
    preloaded: tuple[str, ...] = ()
    """Modules that the script imports, so that they are asked for at once."""


class Collection:
    """The files of a folder as they are; `watches`: as they are now, for a development server."""

    def __init__(self, folder: Path = FOLDER, *, watches: bool = False) -> None:
        self._folder = folder
        self.watches = watches

    def now(self) -> Files:
        """Return the files."""
        return _read(self._folder, _stamp(self._folder) if self.watches else None)

    def parts(self, page: str, language: str) -> Parts:
        """Return what a page is made of: put together, or for a development server as the files were written.

        Raises:
            KeyError: a development server has no page of this name.
        """
        if self.watches:
            *preloaded, script = self.now().modules[page]
            return Parts(SHEETS[page], script, tuple(preloaded))
        return Parts((f"{page}.bundle.css",), f"{page}.{language}.bundle.js")


def _paths(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _stamp(folder: Path) -> tuple[tuple[str, int, int], ...]:
    return tuple((path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in _paths(folder))


# Several applications of a process share what was read; a watched folder is kept as it was and as it is.
@lru_cache(maxsize=4)
def _read(folder: Path, _stamped: tuple[tuple[str, int, int], ...] | None) -> Files:
    bodies = {path.relative_to(folder).as_posix(): path.read_bytes() for path in _paths(folder)}
    catalogues = {
        name.removeprefix("locales/").removesuffix(".json"): json.loads(body)
        for name, body in bodies.items()
        if name.startswith("locales/")
    }
    sources = {name: body.decode() for name, body in bodies.items() if name.endswith(".js")}
    for page, entry in SCRIPTS.items():
        for language in catalogues:
            words = {name: catalogues[name] for name in dict.fromkeys((FALLBACK_LANGUAGE, language))}
            bodies[f"{page}.{language}.bundle.js"] = bundled(sources, entry, words, catalogues).encode()
    for page, sheets in SHEETS.items():
        bodies[f"{page}.bundle.css"] = b"".join(bodies[name] for name in sheets)
    digest = hashlib.sha256()
    for name, body in bodies.items():
        digest.update(f"{name}\n{len(body)}\n".encode() + body)
    modules = {page: tuple(imported(sources, entry)) for page, entry in SCRIPTS.items()}
    by_name = {name: File.of(name, body) for name, body in bodies.items()}
    return Files(digest.hexdigest()[:20], by_name, frozenset(catalogues), modules)
