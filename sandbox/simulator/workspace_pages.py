"""The agent workspace: one page and its files, served from the simulator's origin."""

from functools import cache
from html import escape
from pathlib import Path

from sandbox.simulator.messages import Reply, text_reply

FOLDER = Path(__file__).parent.parent / "workspace"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


def workspace_page(service_url: str) -> Reply:
    """Return the page; its script reads everything else from `/_sim`."""
    page = _read("workspace.html").decode().replace("{{service_url}}", escape(service_url))
    return Reply(200, page.encode(), "text/html; charset=utf-8", (("Cache-Control", "no-store"),))


def workspace_file(path: tuple[str, ...]) -> Reply:
    """Return a script or style of the page."""
    name = path[0] if len(path) == 1 else ""
    file = FOLDER / name
    if file.suffix not in _TYPES or "/" in name or not file.is_file():
        return text_reply(404, "Not found")
    return Reply(200, _read(name), _TYPES[file.suffix], (("Cache-Control", "no-cache"),))


@cache
def _read(name: str) -> bytes:
    return (FOLDER / name).read_bytes()
