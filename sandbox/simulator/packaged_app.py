"""A packaged Zendesk app of another team, as Zendesk serves its assets: from an origin of its own, a third site.

Its files are those of `docs/your-own-front-end.md`, with the service's address filled in.
"""

from pathlib import Path

from sandbox.simulator.messages import Reply, text_reply

FOLDER = Path(__file__).parent.parent / "packaged_app" / "assets"
# What stands in the files for the service's address.
EXAMPLE = "https://zis.example.com"
# Browsers find names below .localhost on this machine (RFC 6761, section 6.3), and take each for a site.
HOST = "packaged-app.localhost"
_TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


def packaged_app_file(path: tuple[str, ...], service_url: str) -> Reply:
    """Return a file of the app."""
    name = path[1] if path[:1] == ("assets",) and len(path) == 2 else ""
    file = FOLDER / name
    if file.suffix not in _TYPES or "/" in name or not file.is_file():
        return text_reply(404, "Not found")
    text = file.read_text().replace(EXAMPLE, service_url)
    return Reply(200, text.encode(), _TYPES[file.suffix], (("Cache-Control", "no-store"),))
