"""A front end of another origin, and the person who signs in through it."""

import json
import secrets
from typing import Any

from werkzeug.test import TestResponse

from service.people.claims import challenge_of
from tests.steps import Admin

FRONT_END = "https://app.example.com"
"""An origin to put into ALLOWED_ORIGINS."""


class FrontEnd:
    """A page with a claim of its own; the browser is the person's."""

    def __init__(self, person: Admin, origin: str = FRONT_END) -> None:
        self.person = person
        self.origin = origin
        self.claim = secrets.token_urlsafe(32)

    def begin(self, account: str = "acme", **form: Any) -> TestResponse:
        """Post the form of a sign-in."""
        fields = {"subdomain": account, "challenge": challenge_of(self.claim), **form}
        return self.person.browser.post("/signin", data=fields, headers={"Origin": self.origin})

    def post(self, account: str = "acme") -> str:
        """Begin a sign-in; return the consent page's address."""
        reply = self.begin(account)
        assert reply.status_code == 303, reply.text
        return str(reply.location)

    def come_back(self, location: str) -> TestResponse:
        return self.person.come_back(location)

    def fetch(self, claim: str | None = None, origin: str | None = None) -> TestResponse:
        """Ask for the session with the claim."""
        return self.person.browser.post(
            "/api/v1/session/claim",
            data=json.dumps({"claim": self.claim if claim is None else claim}),
            headers={"Origin": self.origin if origin is None else origin, "Content-Type": "application/json"},
        )

    def sign_in(self, account: str = "acme", user_id: int = 101) -> TestResponse:
        """Sign in, and fetch the session."""
        page = self.come_back(self.person.simulator.consent(self.post(account), user_id))
        assert page.status_code == 200, page.text
        return self.fetch()
