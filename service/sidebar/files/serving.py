"""Answers for the files before Flask is asked: they need no session, no store and no limit."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NoReturn

from flask import Blueprint
from werkzeug.http import parse_accept_header

from service.ground import metrics
from service.ground.errors import NotFound
from service.ground.settings import Settings
from service.sidebar.files.collection import PREFIX, Collection, File
from service.web import cross_origin
from service.web.plain_http import came_plainly
from service.web.request import request_id_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

IMMUTABLE = "public, max-age=31536000, immutable"
# What other front ends import: it leads to the file of this release.
STABLE_NAME = "zis-client.js"
STABLE_SECONDS = 300
RULE = f"{PREFIX}<path:filename>"

# Public: the files are everybody's.
blueprint = Blueprint("files", __name__)


@blueprint.get(RULE)
def no_such_file(filename: str) -> NoReturn:
    """Refuse what `FileServer` did not answer.

    Raises:
        NotFound: always.
    """
    del filename
    raise NotFound("There is nothing under this address.")


@dataclass(frozen=True, slots=True)
class _Found:
    file: File | None
    """None: it is elsewhere."""
    cache_control: str
    location: str | None = None


class FileServer:
    """A WSGI application in front of another one; `headers` go with every file."""

    def __init__(
        self,
        application: "WSGIApplication",
        collection: Collection,
        settings: Settings,
        headers: Iterable[tuple[str, str]],
    ) -> None:
        self._application = application
        self._collection = collection
        self._settings = settings
        self._headers = list(headers)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if path.startswith(PREFIX) and method in {"GET", "HEAD"} and not came_plainly(self._settings, environ):
            began = time.perf_counter()
            found = self._found(path.removeprefix(PREFIX))
            if found is not None:
                status, headers, body = self._answer(found, environ)
                start_response(status, headers)
                metrics.count_request(method, RULE, int(status[:3]), time.perf_counter() - began)
                return [] if method == "HEAD" else [body]
        return self._application(environ, start_response)

    def _found(self, path: str) -> _Found | None:
        """Return what is under a path below /static/; None: nothing."""
        files = self._collection.now()
        first, _, rest = path.partition("/")
        if first == files.digest and rest in files.by_name:
            return _Found(files.by_name[rest], IMMUTABLE)
        if path == STABLE_NAME:
            return _Found(None, f"public, max-age={STABLE_SECONDS}", files.address(STABLE_NAME))
        # A page of another release, before or after this one, still works; it may be of one that named no digest.
        file = files.by_name.get(path) or files.by_name.get(rest)
        return None if file is None else _Found(file, "no-store")

    def _answer(self, found: _Found, environ: "WSGIEnvironment") -> tuple[str, list[tuple[str, str]], bytes]:
        headers = [*self._headers, ("X-Request-Id", request_id_of(environ)), ("Cache-Control", found.cache_control)]
        allowed = self._settings.allowed_origins
        headers += cross_origin.permission(environ.get("HTTP_ORIGIN"), allowed)
        varying = ["Origin"] if allowed else []
        if found.file is None:
            headers += [("Vary", name) for name in varying]
            return "302 FOUND", [*headers, ("Location", found.location or ""), ("Content-Length", "0")], b""
        coding = _coding(environ.get("HTTP_ACCEPT_ENCODING", ""), tuple(found.file.encoded))
        body = found.file.body if coding is None else found.file.encoded[coding]
        headers += [("Content-Type", found.file.content_type), ("Content-Length", str(len(body)))]
        headers.append(("Vary", ", ".join(["Accept-Encoding", *varying])))
        if coding is not None:
            headers.append(("Content-Encoding", coding))
        return "200 OK", headers, body


@lru_cache(maxsize=256)
def _coding(accepted: str, offered: tuple[str, ...]) -> str | None:
    """Return the first of the offered content codings that the caller takes; None: the file as it is."""
    qualities = {value.lower(): quality for value, quality in parse_accept_header(accepted)}
    return next((coding for coding in offered if qualities.get(coding, qualities.get("*", 0)) > 0), None)
