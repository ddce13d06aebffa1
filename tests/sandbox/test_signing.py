"""Signed requests: right as Zendesk makes them, and wrong in every way asked for."""

import json
import time
from base64 import urlsafe_b64decode
from typing import Any

import pytest
from joserfc import jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import RSAKey

from sandbox.simulator import Simulator, public_key_pem


def decoded(token: str, part: int = 1) -> dict[str, Any]:
    text = token.split(".")[part]
    value: dict[str, Any] = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return value


def test_a_signed_request_verifies_and_says_what_zendesk_says(sim: Simulator) -> None:
    token = jwt.decode(sim.sign("acme", 101), RSAKey.import_key(public_key_pem()), algorithms=["RS256"])
    claims = token.claims
    assert claims["iss"] == "acme.zendesk.com"
    assert claims["aud"] == "https://acme.zendesk.com/api/v2/apps/installations/600001.json"
    assert claims["sub"] == 101
    assert claims["exp"] - claims["iat"] == 300
    assert claims["iat"] <= time.time() < claims["exp"]
    assert {"nbf", "qsh", "cnf", "context"} <= set(claims)


@pytest.mark.parametrize(
    ("form", "sub"),
    [("number", 101), ("string", "101"), ("url", "https://acme.zendesk.com/api/v2/users/101.json")],
)
def test_forms_by_argument_and_by_switch(sim: Simulator, form: str, sub: object) -> None:
    assert decoded(sim.sign("acme", 101, sub_form=form))["sub"] == sub
    sim.world.account("acme").switches.set({"sub_form": form, "iss_form": "https"})
    claims = decoded(sim.sign("acme", 101))
    assert (claims["sub"], claims["iss"]) == (sub, "https://acme.zendesk.com")


def test_claims_can_be_replaced_and_removed(sim: Simulator) -> None:
    claims = decoded(sim.sign("acme", 101, claims={"aud": "elsewhere", "exp": None}))
    assert claims["aud"] == "elsewhere"
    assert "exp" not in claims


def test_an_expired_request(sim: Simulator) -> None:
    assert decoded(sim.sign("acme", 101, expired=True))["exp"] < time.time()


@pytest.mark.parametrize("alg", ["RS384", "PS256", "HS256", "none"])
def test_other_algorithms(sim: Simulator, alg: str) -> None:
    token = sim.sign("acme", 101, alg=alg, header={"kid": "k"})
    assert decoded(token, 0) == {"alg": alg, "typ": "JWT", "kid": "k"}
    assert token.endswith(".") is (alg == "none")


def test_another_key(sim: Simulator) -> None:
    with pytest.raises(BadSignatureError):
        jwt.decode(sim.sign("acme", 101, wrong_key=True), RSAKey.import_key(public_key_pem()), algorithms=["RS256"])
