"""Whether the process serves, and whether it can do its work."""

import os
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from flask import Blueprint
from flask.typing import ResponseReturnValue

from service.web.documents.problems import Live, Ready
from service.web.request import reply, services

# Public: routers and monitors ask without credentials, and learn nothing of accounts.
blueprint = Blueprint("health", __name__)

_ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True, slots=True)
class Release:
    """What is running; `commit` None: not known."""

    version: str
    commit: str | None

    @classmethod
    def current(cls, root: Path = _ROOT) -> "Release":
        """Return the release this process runs: Heroku's word for the commit, else that of the checkout at `root`."""
        return cls(_version(), os.environ.get("HEROKU_SLUG_COMMIT") or _checked_out(root))


@blueprint.get("/livez")
def live() -> ResponseReturnValue:
    """Answer while the process serves."""
    release = services().release
    return reply(Live(version=release.version, commit=release.commit))


@blueprint.get("/readyz")
def ready() -> ResponseReturnValue:
    """Answer 200 if Redis answers, or has until a few seconds ago; 503 otherwise."""
    services().store.require_answers()
    return reply(Ready())


def _version() -> str:
    try:
        return version("zis-job-specs")
    except PackageNotFoundError:
        # Run from the source tree, as the Procfile does.
        lines = (_ROOT / "pyproject.toml").read_text().splitlines()
        return next(line.split('"')[1] for line in lines if line.startswith("version = "))


def _checked_out(root: Path) -> str | None:
    git = root / ".git"
    try:
        head = (git / "HEAD").read_text().strip()
        return (git / head.removeprefix("ref: ")).read_text().strip() if head.startswith("ref: ") else head
    except OSError:
        return None
