"""A scripted HTTP server in the place of Zendesk, for answers no honest simulator gives."""

import threading
from urllib.parse import parse_qs

from sandbox.simulator.http_server import Server
from sandbox.simulator.messages import Reply, Request


class Endpoint:
    """Answers every request with `reply`, or what `by_path` has for the end of its path, and remembers what came."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.by_path: dict[str, Reply] = {}
        self.requests: list[Request] = []
        self._server = Server(("127.0.0.1", 0), self._answer)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def template(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/a/{{subdomain}}"

    def form(self) -> dict[str, str]:
        """Return the fields of the one request that came."""
        assert len(self.requests) == 1
        fields = parse_qs(self.requests[0].body.decode(), strict_parsing=True, keep_blank_values=True)
        assert all(len(values) == 1 for values in fields.values())
        return {name: values[0] for name, values in fields.items()}

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.close_connections()
        self._server.server_close()

    def _answer(self, request: Request) -> Reply:
        self.requests.append(request)
        fitting = [reply for path, reply in self.by_path.items() if request.target.endswith(path)]
        return fitting[0] if fitting else self.reply
