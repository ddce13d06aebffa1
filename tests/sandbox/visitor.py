"""A plain HTTP caller of one simulated account, as a test needs it."""

import base64
import hashlib
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

import requests

from sandbox.simulator import CLIENT_ID, Simulator, secret_of

REDIRECT_URI = "http://localhost:9001/oauth/callback"
VERIFIER = "a-verifier-of-at-least-forty-three-characters-long"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
ZIS = "/api/services/zis"


class Visitor:
    """Calls one account; every call has a time limit."""

    def __init__(self, sim: Simulator, account: str) -> None:
        self.sim = sim
        self.account = sim.world.account(account)
        self.address = sim.url_template.replace("{subdomain}", account)
        self.http = requests.Session()
        self.http.trust_env = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def call(self, method: str, path: str, token: str | None = None, **options: Any) -> requests.Response:
        if token is not None:
            options["headers"] = {"Authorization": f"Bearer {token}"}
        return self.http.request(method, self.address + path, timeout=60, allow_redirects=False, **options)

    def authorization_url(self, client: str = CLIENT_ID, **changes: str | None) -> str:
        asked: dict[str, str | None] = {
            "response_type": "code",
            "client_id": client,
            "redirect_uri": REDIRECT_URI,
            "scope": "read write",
            "state": "a-state",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        kept = {name: value for name, value in (asked | changes).items() if value is not None}
        return f"{self.address}/oauth/authorizations/new?{urlencode(kept)}"

    def code(self, client: str = CLIENT_ID, user_id: int = 101, **changes: str | None) -> str:
        """Consent, and return the code."""
        return query_of(self.sim.consent(self.authorization_url(client, **changes), user_id))["code"]

    def post_token(self, client: str = CLIENT_ID, **fields: Any) -> requests.Response:
        form = {"client_id": client, "client_secret": secret_of(client), **fields}
        return self.call("POST", "/oauth/tokens", data={name: text for name, text in form.items() if text is not None})

    def exchange(self, code: str, client: str = CLIENT_ID, **fields: Any) -> requests.Response:
        usual = {"grant_type": "authorization_code", "redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER}
        return self.post_token(client, **(usual | {"code": code} | fields))

    def refresh(self, refresh_token: str, client: str = CLIENT_ID, **fields: Any) -> requests.Response:
        return self.post_token(client, grant_type="refresh_token", refresh_token=refresh_token, **fields)

    def grant(self, client: str = CLIENT_ID, user_id: int = 101, **fields: Any) -> dict[str, Any]:
        """Go through consent and exchange; return the answer."""
        reply = self.exchange(self.code(client, user_id), client, **fields)
        assert reply.ok, reply.text
        answer: dict[str, Any] = reply.json()
        return answer

    def token(self, client: str = CLIENT_ID, user_id: int = 101) -> str:
        return str(self.grant(client, user_id)["access_token"])

    def list(self, integration: str, token: str, **query: str) -> requests.Response:
        return self.call("GET", f"{ZIS}/registry/{integration}/job_specs", token, params=query)

    def change(self, method: str, job_spec_name: str | None, token: str) -> requests.Response:
        query = {} if job_spec_name is None else {"job_spec_name": job_spec_name}
        return self.call(method, f"{ZIS}/registry/job_specs/install", token, params=query)


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
