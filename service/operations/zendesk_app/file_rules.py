"""What files may be in the package, and what may stand in them."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from service.operations.zendesk_app.contents import MANIFEST, PLACEHOLDER, App, DuplicateKey, NotJSON, parse_json
from service.operations.zendesk_app.rule import Fault, Rule

REQUIREMENTS = "requirements.json"
# developer.zendesk.com/documentation/apps/getting-started/uploading-and-installing-a-private-app, 2026-11.
LARGEST_PACKAGE_BYTES = 2_000_000
_UNWANTED = (
    "rar", "zip", "gzip", "pdf", "doc", "docx", "avi", "bin", "bz", "bz2", "csh", "sh", "jar", "mp3", "mpeg", "odt",
    "pptx", "ppt", "xls", "xlsx", "7z",
)  # fmt: skip
# How such files begin (github.com/rails/marcel, lib/marcel/tables.rb), whatever they are called.
_BEGINNINGS = (
    (rb"Rar!", "rar"),
    (rb"PK(\x03\x04|\x05\x06|\x07\x08)", "zip"),
    (rb"\x1f\x8b", "gzip"),
    (rb"(\xef\xbb\xbf)?%PDF-", "pdf"),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "doc, xls or ppt"),
    (rb"RIFF....AVI ", "avi"),
    (rb"BZ0|BZh[1-9]", "bz or bz2"),
    (rb"7z\xbc\xaf\x27\x1c", "7z"),
    (rb"ID3|\xff[\xe3\xf2-\xf7\xfa-\xfd]", "mp3"),
    (rb"\x00\x00\x01[\xb3\xba]", "mpeg"),
    (rb"#![ \t]*/\S*/(env[ \t]+(-\S+[ \t]+)*)?[a-z]*sh\b", "sh"),
)
# A little looser than the validator's, whose warnings we do not want to be the first to miss.
_SECRETS = (
    r"-----BEGIN [A-Z ]*PRIVATE KEY",
    r"AKIA[0-9A-Z]{8,24}",
    r"xox[pboa]-",
    r"(?i)(facebook|twitter|github) ?[:|\"=-].{24,}",
    r"(?i)heroku.*[0-9A-F]{8}-[0-9A-F]{4}-",
    r"(?i)aws[_-]secret[_-]access[_-]key",
    r"(?i)password.{5,}",
    r"(?i)token ?[:\"=-].{5,}",
    r"(?i)(app|consumer|master|token|private)[-_](key|secret) ?[:\"=-].{5,}",
    r"(?i)(client|doorman)[-_]secret",
    r"(?i)x-outbound-key|scarlett[_-]aws[_-]secret",
    r"(braintree|ticket_validation|attachment_token|sso)_key.{16,}",
    r"password|secret|auth_key|auth_pass|auth_user|authKey|authPass|AuthUser|api_key",
)


def _no_symlinks(app: App) -> Iterator[Fault]:
    for path in app.symlinks:
        yield Fault(path, "is a symbolic link: put the file itself there")


def _plain_names(app: App) -> Iterator[Fault]:
    """Yield names that not every unpacking program takes as they are; a rule of our own."""
    for path in app.files:
        if not (path.isascii() and path.isprintable()) or "\\" in path:
            yield Fault(ascii(path), "has a name with unusual characters: use letters, digits, - and _")


def _allowed_types(app: App) -> Iterator[Fault]:
    for path, content in app.files.items():
        kind = PurePosixPath(path).suffix.removeprefix(".").lower()
        kind = kind if kind in _UNWANTED else next((name for start, name in _BEGINNINGS if _begins(start, content)), "")
        if kind:
            yield Fault(path, f"is a file of a kind that Zendesk refuses ({kind}): remove it")


def _begins(start: bytes, content: bytes) -> bool:
    return re.match(start, content, re.DOTALL) is not None


def _no_sources(app: App) -> Iterator[Fault]:
    if app.has_pages:
        return
    for path, content in app.files.items():
        if re.search(r"\.jsx?$|^templates/.*\.hdbs$", path) or (path in {"app.css", "app.scss"} and content):
            yield Fault(path, "an app without pages must have no sources: remove it")


def _requirements(app: App) -> Iterator[Fault]:
    if REQUIREMENTS not in app.files:
        if app.manifest.get("requirementsOnly") is True:
            yield Fault(REQUIREMENTS, "is missing, and the manifest says requirementsOnly: add it")
        return
    try:
        if not isinstance(parse_json(app.files[REQUIREMENTS]), dict):
            yield Fault(REQUIREMENTS, "must be one JSON object")
    except NotJSON as fault:
        yield Fault(REQUIREMENTS, f"is no JSON ({fault}): mend it there")
    except DuplicateKey as key:
        yield Fault(REQUIREMENTS, f"holds the key {str(key)!r} twice in one object: remove one")


def _no_placeholder(app: App) -> Iterator[Fault]:
    """Yield our placeholder where nothing fills it in; a rule of our own."""
    for path, content in app.files.items():
        if path != MANIFEST and PLACEHOLDER.encode() in content:
            yield Fault(path, f"has {PLACEHOLDER} in it, which is filled in {MANIFEST} alone: remove it")


def _size(app: App) -> Iterator[Fault]:
    total = sum(len(content) for content in app.files.values())
    if total > LARGEST_PACKAGE_BYTES:
        largest = max(app.files, key=lambda path: len(app.files[path]))
        yield Fault(largest, f"is the largest of {total} bytes, and Zendesk takes 2 MB: make it smaller or remove it")


def _no_http(app: App) -> Iterator[Fault]:
    for path, text in app.named(".js", ".jsx", ".html", ".htm"):
        if found := re.search(r"http://[^\s\"'<>]+", text):
            yield Fault(path, f"calls {found[0]} without encryption: use https://")


def _no_secrets(app: App) -> Iterator[Fault]:
    for path, text in app.named(".html", ".htm", ".xml", ".js", ".json"):
        if found := next((match for one in _SECRETS if (match := re.search(one, text))), None):
            yield Fault(path, f"holds something like a secret at {found[0][:12]!r}: make sure that it is none")


FILE_RULES = (
    Rule("no-symlinks", _no_symlinks),
    Rule("file-names", _plain_names),
    Rule("file-types", _allowed_types),
    Rule("no-sources", _no_sources),
    Rule("requirements", _requirements),
    Rule("file-placeholder", _no_placeholder),
    Rule("package-size", _size),
    Rule("no-http", _no_http, refuses=False),
    Rule("no-secrets", _no_secrets, refuses=False),
)
