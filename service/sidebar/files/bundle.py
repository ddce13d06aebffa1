"""Puts JavaScript modules together into one.

Browsers ask for six files at a time over HTTP/1.1: two dozen modules would cost five round trips. Knows the forms of
import and export that our modules are written in, and refuses others. Each module keeps a scope of its own.
"""

import json
import re
from collections.abc import Collection, Mapping
from functools import lru_cache

# Names without `as`, from a file of the same folder.
_IMPORT = re.compile(r'^import \{ (\w+(?:, \w+)*) \} from "\./([\w-]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async function|function|class|const) (\w+))", re.MULTILINE)
_EXPORT_NAMES = re.compile(r"^export \{ (\w+(?:, \w+)*) \};\n", re.MULTILINE)
_OTHER = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)

# The module whose texts are put in here, so that no further file is waited for.
WORDS = "words.js"


class NotBundled(ValueError):
    """A module has an import or export that this does not know, or modules import each other in a circle."""


def bundled(
    sources: Mapping[str, str], entry: str, catalogues: Mapping[str, object], languages: Collection[str] = ()
) -> str:
    """Return `entry` and all that it imports as one module.

    `catalogues`: the page's texts by language, of those it needs first; `languages`: all that there are.

    Raises:
        NotBundled: it cannot be done.
    """
    parts: dict[str, str] = {}
    words = (
        f"export const words = {json.dumps(catalogues, ensure_ascii=False)};\n"
        f"export const languages = {json.dumps(sorted(languages))};\n"
    )
    _add({**sources, WORDS: words}, entry, parts, ())
    return "".join(parts.values())


def imported(sources: Mapping[str, str], entry: str) -> list[str]:
    """Return the names of all modules that `entry` needs, itself the last."""
    parts: dict[str, str] = {}
    _add(sources, entry, parts, ())
    return list(parts)


def _add(sources: Mapping[str, str], name: str, parts: dict[str, str], importers: tuple[str, ...]) -> None:
    """Add a module to `parts`, after those it imports."""
    if name in parts:
        return
    if name in importers:
        raise NotBundled(f"{' imports '.join([*importers, name])}")
    imports, text = _taken_apart(name, sources[name])
    for other in imports:
        _add(sources, other, parts, (*importers, name))
    parts[name] = text


# The same modules are put together once for each page and language.
@lru_cache(maxsize=256)
def _taken_apart(name: str, source: str) -> tuple[tuple[str, ...], str]:
    """Return the names of the modules that a module imports, and its text as one of a bundle."""
    imports = _IMPORT.findall(source)
    bindings = [f"const {{ {names} }} = {_variable(other)};\n" for names, other in imports]
    exports = _EXPORT.findall(source)
    for names in _EXPORT_NAMES.findall(source):
        exports += names.split(", ")
    body = source
    for pattern in (_IMPORT, _EXPORT_NAMES, _EXPORT):
        body = pattern.sub("", body)
    unknown = _OTHER.search(body)
    if unknown is not None:
        raise NotBundled(f"{name}: {unknown[0]}")
    returned = f"return {{ {', '.join(exports)} }};\n" if exports else ""
    text = f"const {_variable(name)} = (() => {{\n{''.join(bindings)}{body}{returned}}})();\n"
    return tuple(other for _, other in imports), text


def _variable(name: str) -> str:
    return "_" + re.sub(r"\W", "_", name.removesuffix(".js"))
