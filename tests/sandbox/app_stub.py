"""An app that shows what the workspace tells it, and says what a test wants said."""

import threading
from typing import Self
from urllib.parse import parse_qsl

from sandbox.simulator.http_server import Server
from sandbox.simulator.messages import Reply, Request, html_reply

PAGE = """<!doctype html><title>stub</title><pre id="events"></pre><pre id="registered" hidden></pre><script>
const query = new URLSearchParams(location.search);
const waiting = new Map();
const say = (message) => parent.postMessage(
  JSON.stringify({ ...message, appGuid: query.get("app_guid") }), query.get("origin"));
window.ask = (text) => new Promise((resolve) => {
  const message = JSON.parse(text);
  waiting.set(message.id, resolve);
  say(message);
});
addEventListener("message", ({ data }) => {
  const message = JSON.parse(data);
  document.getElementById("events").textContent += data;
  if (message.id) waiting.get(message.id)?.(data);
  if (message.key === "zaf.app.registered") {
    const box = document.getElementById("registered");
    box.textContent = JSON.stringify(message.message);
    box.hidden = false;
  }
});
say({ key: "iframe.handshake", message: { version: "2" } });
</script>"""


class AppStub:
    """Serves the app at `http://localhost`, another site than the workspace's; remembers what was posted."""

    def __init__(self) -> None:
        self.posted: list[tuple[dict[str, str], dict[str, str]]] = []
        """Query and form fields of every post."""
        self._server = Server(("127.0.0.1", 0), self._answer)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self.url = f"http://localhost:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.close_connections()
        self._server.server_close()

    def _answer(self, request: Request) -> Reply:
        if request.method == "POST":
            self.posted.append((dict(parse_qsl(request.target.partition("?")[2])), request.form()))
        return html_reply(200, PAGE)
