"""The simulator as a thing to start and stop."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, Self

from sandbox.simulator.application import answer_account
from sandbox.simulator.control import Control
from sandbox.simulator.http_server import Server
from sandbox.simulator.messages import Reply, Request, text_reply
from sandbox.simulator.packaged_app import HOST, packaged_app_file
from sandbox.simulator.signing import encode, public_key_pem, signed_claims
from sandbox.simulator.workspace_pages import workspace_file, workspace_page
from sandbox.simulator.world import World

# How long stopping may take; short, because a test stops many.
POLL_SECONDS = 0.02


class Simulator:
    """A simulated Zendesk on a loopback address; runs in threads of this process.

    `redirect_uris` go into the redirect lists of the clients; None: `{service_url}/oauth/callback`.
    `service_url` is the service whose sidebar the workspace page opens.
    """

    def __init__(
        self, port: int = 0, *, redirect_uris: Sequence[str] | None = None, service_url: str = "http://localhost:9001"
    ) -> None:
        self.service_url = service_url
        self.world = World([f"{service_url}/oauth/callback"] if redirect_uris is None else list(redirect_uris))
        self.on_reset: Callable[[], None] = _nothing
        """Called when somebody starts over by the workspace: whoever keeps something of this world is to forget it."""
        self.on_people_changed: Callable[[], None] = _nothing
        """Called when the workspace may have changed who somebody is."""
        self._control = Control(self.world, self.sign, self._start_over, self._people_changed)
        # Bound here, so that the address is known, and a taken port refused, before anything starts.
        self._server = Server(("127.0.0.1", port), self._answer)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_SECONDS,), name="simulator", daemon=True
        )

    @property
    def address(self) -> str:
        """Origin of the simulator, `http://127.0.0.1:NNNN`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def packaged_app_origin(self) -> str:
        """Where the workspace's packaged app comes from; to stand in the service's ALLOWED_ORIGINS."""
        return f"http://{HOST}:{self._server.server_address[1]}"

    @property
    def url_template(self) -> str:
        """What the service's ZENDESK_URL_TEMPLATE is to be."""
        return self.address + "/a/{subdomain}"

    def use_service(self, service_url: str) -> None:
        """Say where the service is: which sidebar the workspace opens, and the one redirect URI of the clients."""
        self.service_url = service_url
        self.world.redirect_uris = [f"{service_url}/oauth/callback"]

    def start(self) -> Self:
        """Begin to answer; return the simulator itself."""
        # Made once a process, and now: a key takes longer than a request should.
        public_key_pem()
        self._thread.start()
        return self

    def stop(self) -> None:
        """Let go what is held, end every connection, and give the port back."""
        self.release()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.close_connections()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def release(self) -> None:
        """Let go every held, hanging or slowed request."""
        with self.world.lock:
            for account in self.world.accounts.values():
                account.release()

    def _start_over(self) -> None:
        self.reset()
        self.on_reset()

    def _people_changed(self) -> None:
        self.on_people_changed()

    def reset(self) -> None:
        """Go back to the default world, switches and an empty call log; `redirect_uris` stay."""
        self.world.reset()

    def sign(
        self,
        account: str,
        user_id: int,
        *,
        alg: str = "RS256",
        wrong_key: bool = False,
        header: dict[str, Any] | None = None,
        claims: dict[str, Any] | None = None,
        **forms: Any,
    ) -> str:
        """Return a signed request as Zendesk posts it to the sidebar.

        `forms` are those of `signed_claims`: sub_form, iss_form, location, expired, expires_in. `claims` and `header`
        override single members, None removes one. `alg`: RS256, RS384, RS512, PS256, HS256 (keyed with the
        public key's PEM), none.

        Raises:
            KeyError: there is no such account.
        """
        with self.world.lock:
            of_account = self.world.account(account)
            of_account.last_user_id = user_id
            signed = signed_claims(of_account, user_id, **forms) | (claims or {})
        return encode(signed, alg=alg, wrong_key=wrong_key, header=header or {})

    def consent(self, authorization_url: str, user_id: int = 101, *, decision: str = "allow") -> str:
        """Press a button of the consent page; return the address it redirects to.

        Raises:
            ValueError: the page is an error page instead.
        """
        target = authorization_url.removeprefix(self.address)
        headers = {"content-type": "application/x-www-form-urlencoded"}
        reply = self._answer(Request("POST", target, headers, f"user_id={user_id}&decision={decision}".encode()))
        location = dict(reply.headers).get("Location")
        if location is None:
            raise ValueError(f"no redirect but status {reply.status}: {reply.body.decode(errors='replace')}")
        return location

    def _answer(self, request: Request) -> Reply:  # noqa: PLR0911  # one return a place
        match request.segments[0]:
            case "a":
                return answer_account(self.world, request)
            case "_sim":
                return self._control.answer(request)
            case "":
                return workspace_page(self.service_url)
            case "favicon.ico":
                return workspace_file(("icon.svg",))
            case "_packaged":
                return packaged_app_file(request.segments[1:], self.service_url)
            case "_workspace":
                return workspace_file(request.segments[1:])
            case _:
                return text_reply(404, "Not found")


def _nothing() -> None:
    """Nobody keeps anything."""
