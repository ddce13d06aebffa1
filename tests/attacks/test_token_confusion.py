"""Every way in which one token has been taken for another: algorithms, keys, encodings, claims, kinds."""

import base64
import json
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from joserfc import jwe, jws
from joserfc.jwk import OctKey, RSAKey
from redis import Redis

from sandbox.simulator import public_key_pem
from sandbox.simulator.messages import Reply
from service.store.vault import derive_keys
from tests.attacks.attackers import (
    claims_of,
    field_of,
    grant_key,
    keys_of,
    segment,
    signed_by_hmac,
    signed_by_zendesk,
    value_of,
)
from tests.conftest import MakeAdmin
from tests.endpoint import Endpoint
from tests.steps import PUBLIC_URL, SECRET_KEYS, Admin, bootstrap_in

pytestmark = pytest.mark.attacks

RS256 = {"alg": "RS256", "typ": "JWT"}
PEM = public_key_pem()
PUBLIC = load_pem_public_key(PEM.encode())
assert isinstance(PUBLIC, rsa.RSAPublicKey)
NUMBERS = PUBLIC.public_numbers()
# Every form in which a library could hand the public key on as the secret of an HMAC.
PUBLIC_KEY_AS_SECRET = {
    "pem": PEM.encode(),
    "pem without last newline": PEM.strip().encode(),
    "pem in one line": PEM.replace("\n", "").encode(),
    "pem with written newlines": PEM.replace("\n", "\\n").encode(),
    "pem with CRLF": PEM.replace("\n", "\r\n").encode(),
    "der": PUBLIC.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    "pkcs1 pem": PUBLIC.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
    "pkcs1 der": PUBLIC.public_bytes(Encoding.DER, PublicFormat.PKCS1),
    "modulus": NUMBERS.n.to_bytes(256, "big"),
    "jwk": json.dumps(RSAKey.import_key(PEM).as_dict(private=False)).encode(),
    "nothing": b"",
}


@pytest.fixture
def person(make_admin: MakeAdmin) -> Admin:
    """Any account may connect, so that only the token's own reading stands between a look-alike and the page."""
    return make_admin(ZENDESK_APP_PUBLIC_KEY=PEM, ZENDESK_SUBDOMAINS="*", RATE_LIMITS="off")


def assert_opens(person: Admin, token: str, account: str = "acme") -> dict[str, Any]:
    reply = person.post_sidebar(token)
    assert reply.status_code == 200, reply.text
    bootstrap = bootstrap_in(reply.text)
    assert bootstrap["account"] == account
    return bootstrap


def is_refused(person: Admin, token: str) -> bool:
    reply = person.post_sidebar(token)
    return reply.status_code == 401 and "bootstrap" not in reply.text


def assert_refused(person: Admin, token: str) -> None:
    reply = person.post_sidebar(token)
    assert reply.status_code == 401, reply.text
    assert "bootstrap" not in reply.text


def assert_no_session(person: Admin, token: str) -> None:
    for method, path in (("GET", "/status"), ("POST", "/session"), ("GET", "/job_specs")):
        headers = {"Authorization": f"Bearer {token}"}
        assert person.browser.open(f"/api/v1{path}", method=method, headers=headers).status_code == 401, path


def test_the_forgery_of_these_tests_passes_where_it_should(person: Admin) -> None:
    assert_opens(person, signed_by_zendesk(RS256, claims_of(person)))


# --- algorithms and keys ---


@pytest.mark.parametrize("alg", ["HS256", "RS256"])
def test_the_public_key_is_no_secret(person: Admin, alg: str) -> None:
    header, claims = {"alg": alg, "typ": "JWT"}, claims_of(person)
    tokens = {name: signed_by_hmac(key, header, claims) for name, key in PUBLIC_KEY_AS_SECRET.items()}

    assert [name for name, token in tokens.items() if not is_refused(person, token)] == []


@pytest.mark.parametrize("signature", ["", "AA", "eyJhbGciOiJub25lIn0"])
def test_no_token_goes_unsigned(person: Admin, signature: str) -> None:
    algorithms = ["none", "None", "nOnE", "NONE", "", None, "RS256 ", "RS256\0", "rs256", "RS256,none", "RS256"]
    payload = segment(claims_of(person))

    assert [alg for alg in algorithms if not is_refused(person, f"{segment({'alg': alg})}.{payload}.{signature}")] == []


@pytest.mark.parametrize("member", ["jwk", "jku", "x5u", "x5c", "kid", "cnf in the claims"])
def test_a_key_that_comes_with_the_token_is_neither_used_nor_asked_for(person: Admin, member: str) -> None:
    """Signed with the attacker's own key, which the token names in each way the RFCs know (RFC 7515, section 4.1)."""
    own = RSAKey.generate_key(2048)
    endpoint = Endpoint(Reply(200, own.as_pem(private=False), "text/plain"))
    try:
        address = endpoint.template.replace("/a/{subdomain}", "/key")
        certificate = base64.b64encode(own.as_der(private=False)).decode()
        names: dict[str, dict[str, Any]] = {
            "jwk": {"jwk": own.as_dict(private=False)},
            "jku": {"jku": address},
            "x5u": {"x5u": address},
            "x5c": {"x5c": [certificate]},
            "kid": {"kid": address},
        }
        named = names.get(member, {})
        claims = claims_of(person) | ({"cnf": {"jku": address, "jwk": own.as_dict(private=False)}} if not named else {})
        registry = jws.JWSRegistry(algorithms=["RS256"], strict_check_header=False)
        assert_refused(person, jws.serialize_compact(RS256 | named, json.dumps(claims), own, registry=registry))
        assert endpoint.requests == []
    finally:
        endpoint.stop()


def test_a_critical_extension_is_not_overlooked_although_the_signature_holds(person: Admin) -> None:
    """RFC 7515, section 4.1.11; `b64` turns the payload into something else (RFC 7797)."""
    headers: list[dict[str, Any]] = [
        {"b64": False, "crit": ["b64"]},
        {"crit": ["exp", "exp"]},
        {"crit": [None]},
        {"crit": ["b64"]},
        {"crit": {"b64": 1}},
        {"crit": ["\0"]},
    ]
    claims = claims_of(person)

    assert [one for one in headers if not is_refused(person, signed_by_zendesk(RS256 | one, claims))] == []


@pytest.mark.parametrize("is_last_good", [True, False])
def test_of_an_algorithm_given_twice_the_last_counts_everywhere(person: Admin, is_last_good: bool) -> None:
    """Two readers that differ would verify one and use the other (RFC 7515, section 4)."""
    algorithms = ("none", "RS256") if is_last_good else ("RS256", "none")
    token = signed_by_zendesk(b'{"alg":"%s","alg":"%s"}' % tuple(one.encode() for one in algorithms), claims_of(person))

    assert person.post_sidebar(token).status_code == (200 if is_last_good else 401)


# --- forms ---


def test_no_other_form_of_a_signature_is_taken(person: Admin) -> None:
    header, payload, signature = signed_by_zendesk(RS256, claims_of(person)).split(".")
    flattened = {"protected": header, "payload": payload, "signature": signature}

    assert_refused(person, json.dumps(flattened))
    assert_refused(person, json.dumps({"payload": payload, "signatures": [flattened]}))
    assert_refused(person, f"{header}..{signature}")
    assert_refused(person, f"{header}.{payload}.{signature}.{signature}.{signature}")
    assert_refused(person, f"Bearer {header}.{payload}.{signature}")
    assert_refused(person, f"{header}.{payload}.{signature}\n{header}")


@pytest.mark.parametrize("alg", ["RSA-OAEP-256", "dir"])
def test_an_encrypted_token_is_none_although_a_signed_one_is_in_it(person: Admin, alg: str) -> None:
    """Nested JWT (RFC 7519, section 5.2): anybody can encrypt to a public key."""
    inner = signed_by_zendesk(RS256, claims_of(person))
    key = RSAKey.import_key(PEM) if alg == "RSA-OAEP-256" else OctKey.import_key(b"k" * 32)
    registry = jwe.JWERegistry(algorithms=[alg, "A256GCM"])
    token = jwe.encrypt_compact({"alg": alg, "enc": "A256GCM", "cty": "JWT"}, inner, key, registry=registry)

    assert_refused(person, token)
    assert_no_session(person, token)


def test_a_payload_that_is_hard_to_read_is_refused_although_the_signature_holds(person: Admin) -> None:
    payloads = [b"[" * 2000, b'{"a":' * 900, b"\xff\xfe", b"{}" + b" " * 4000, b"\xef\xbb\xbf{}", b"1" * 5000, b""]

    assert [one[:9] for one in payloads if not is_refused(person, signed_by_zendesk(RS256, one))] == []


def test_a_huge_token_is_not_read(person: Admin) -> None:
    assert_refused(person, signed_by_zendesk(RS256, claims_of(person) | {"padding": "x" * 20_000}))
    assert_no_session(person, "x" * 8_000)


# --- whose it is ---

LOOK_ALIKES = [
    "acme.zendesk.com.evil.com",
    "acme.zendesk.com@evil.com",
    "acme.zendesk.com@evil.zendesk.com",
    "evil.com#acme.zendesk.com",
    "evil.com?acme.zendesk.com",
    "evil.com\\acme.zendesk.com",
    "evil.com/.zendesk.com",
    "acme.zendesk.com.",
    "acme..zendesk.com",
    ".acme.zendesk.com",
    "acme.zendesk.com%00",
    "acme%2ezendesk.com.zendesk.com",
    "acme\0.zendesk.com",
    "acme .zendesk.com",
    " acme.zendesk.com",
    "acme.zendesk.com ",
    "acme.ZENDESK.com",
    "acme.zendesk.co",
    "acme-zendesk.com",
    "acme.zendesk.com\u200b",
    "acme\u00ad.zendesk.com",
    "\u0430cme.zendesk.com",
    "\uff41cme.zendesk.com",
    "acme\uff0ezendesk.com",
    "acme.zendes\u212a.com",
    "acm\u0435.zendesk.com",
    "HTTPS://acme.zendesk.com",
    "https:acme.zendesk.com",
    "https:///acme.zendesk.com",
    "https://acme.zendesk.com/",
    "https://x@acme.zendesk.com",
    "//acme.zendesk.com",
    "*.zendesk.com",
    "{subdomain}.zendesk.com",
    "-acme.zendesk.com",
    "acme-.zendesk.com",
    "ac_me.zendesk.com",
    "a" * 64 + ".zendesk.com",
]


@pytest.mark.parametrize("where", ["iss", "aud", "both"])
def test_a_look_alike_of_the_account_opens_nothing(person: Admin, where: str) -> None:
    claims = claims_of(person)

    def token(host: str) -> str:
        audience = f"https://{host.removeprefix('https://')}/api/v2/apps/installations/600001.json"
        named = {"iss": {"iss": host}, "aud": {"aud": audience}, "both": {"iss": host, "aud": audience}}[where]
        return signed_by_zendesk(RS256, claims | named)

    assert is_refused(person, token("globex.zendesk.com")) == (where != "both")
    assert [host for host in LOOK_ALIKES if not is_refused(person, token(host))] == []


def test_the_audience_has_one_form(person: Admin) -> None:
    paths = [
        "/api/v2/apps/installations/1.json/",
        "/api/v2/apps/installations/1.json#",
        "/api/v2/apps/installations/1.JSON",
        "/api/v2/apps/installations/-1.json",
        "/api/v2/apps/installations/1e3.json",
        "/api/v2/apps/installations/12345678901234567890.json",
        "/api/v2/apps/installations/../installations/1.json",
        "/api/v2/apps/%69nstallations/1.json",
        "//api/v2/apps/installations/1.json",
        "/api/v2/apps/1.json",
        ":443/api/v2/apps/installations/1.json",
        "",
    ]
    claims = claims_of(person)

    def token(path: str) -> str:
        return signed_by_zendesk(RS256, claims | {"aud": f"https://acme.zendesk.com{path}"})

    assert [path for path in paths if not is_refused(person, token(path))] == []


def test_an_issuer_of_another_type_is_none(person: Admin) -> None:
    issuers = [["acme.zendesk.com"], {"acme.zendesk.com": 1}, 1, 1.5, True, None]
    claims = claims_of(person)

    assert [one for one in issuers if not is_refused(person, signed_by_zendesk(RS256, claims | {"iss": one}))] == []


@pytest.mark.parametrize("name", ["iss", "aud", "sub", "exp", "iat"])
def test_of_a_claim_given_twice_the_last_counts_for_checking_and_for_use(person: Admin, name: str) -> None:
    """RFC 7519, section 4: reject, or the last one; never one for the check and the other for the use."""
    own, other = claims_of(person), claims_of(person, "globex", 201)
    other |= {"sub": 105, "exp": 1, "iat": 1}
    members = json.dumps(own)[1:]

    first = f'{{"{name}":{json.dumps(other[name])},{members}'.encode()
    person.session_token = assert_opens(person, signed_by_zendesk(RS256, first))["session_token"]
    assert person.status()["user"]["id"] == 101
    last = f'{json.dumps(own)[:-1]},"{name}":{json.dumps(other[name])}}}'.encode()
    if name == "sub":
        person.session_token = assert_opens(person, signed_by_zendesk(RS256, last))["session_token"]
        assert person.status()["user"]["id"] == 105
    else:
        assert_refused(person, signed_by_zendesk(RS256, last))


def test_a_signed_request_of_one_account_opens_no_other(person: Admin) -> None:
    acme, globex = claims_of(person), claims_of(person, "globex", 201)

    for claims in (acme | {"iss": globex["iss"]}, acme | {"aud": globex["aud"]}, globex | {"iss": acme["iss"]}):
        assert_refused(person, signed_by_zendesk(RS256, claims))
    assert_refused(person, signed_by_zendesk(RS256, acme | {"sub": "https://globex.zendesk.com/api/v2/users/201.json"}))
    assert_opens(person, signed_by_zendesk(RS256, globex), "globex")


# --- time ---

# As JSON text, because some are no JSON by the RFC.
NO_INSTANTS = ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "-1", "-0.0", "0", "true", "null", '"9999999999"',
               '"never"', "[]", "[9999999999]", "{}", "1e11", "9" * 400, "-" + "9" * 400, '""',
               '"2099-01-01T00:00:00Z"']  # fmt: skip


@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
def test_what_is_no_instant_is_refused(person: Admin, name: str) -> None:
    claims = claims_of(person)
    del claims[name]

    def token(text: str) -> str:
        return signed_by_zendesk(RS256, f'{json.dumps(claims)[:-1]},"{name}":{text}}}'.encode())

    assert [text for text in NO_INSTANTS if not is_refused(person, token(text))] == []


def test_a_far_expiry_gives_no_longer_session(person: Admin) -> None:
    """A token that claims to live for centuries opens the page for twelve hours after it was signed."""
    now = int(time.time())
    person.open_sidebar("acme", 101, claims={"exp": 99_999_999_999, "iat": now - 12 * 3600 + 60, "nbf": None})
    assert person.call("POST", "/session").get_json()["expires_in"] <= 60
    assert_refused(
        person, signed_by_zendesk(RS256, claims_of(person) | {"exp": 99_999_999_999, "iat": now - 12 * 3600 - 5})
    )


# --- one kind for another ---


@pytest.mark.parametrize("typ", ["zis-session+jwt", "application/zis-session+jwt", "ZIS-SESSION+JWT"])
def test_a_signed_request_that_calls_itself_a_session_is_none(person: Admin, typ: str) -> None:
    kid = derive_keys((SECRET_KEYS.split(",")[0],), "session")[0].kid
    ours = {"iss": PUBLIC_URL, "acc": "acme", "auth_time": int(time.time()), "sub": 101}
    header = RS256 | {"typ": typ, "kid": kid}

    assert_no_session(person, signed_by_zendesk(header, claims_of(person) | ours))
    assert_no_session(person, signed_by_hmac(PEM.encode(), header | {"alg": "HS256"}, claims_of(person) | ours))


def test_a_session_of_another_type_is_none_although_our_key_signed_it(person: Admin) -> None:
    key = derive_keys((SECRET_KEYS.split(",")[0],), "session")[0]
    now = int(time.time())
    claims = {"iss": PUBLIC_URL, "acc": "acme", "sub": 101, "auth_time": now, "exp": now + 900}
    secret = key.oct_key.get_op_key("sign")
    assert isinstance(secret, bytes)

    good = {"alg": "HS256", "typ": "zis-session+jwt", "kid": key.kid}
    person.session_token = signed_by_hmac(secret, good, claims)
    assert person.status()["user"]["id"] == 101
    for typ in ("application/zis-session+jwt", "ZIS-SESSION+JWT", "JWT", "at+jwt", "", None, ["zis-session+jwt"]):
        assert_no_session(person, signed_by_hmac(secret, good | {"typ": typ}, claims))


def test_a_session_opens_no_page_whatever_it_claims(person: Admin) -> None:
    key = derive_keys((SECRET_KEYS.split(",")[0],), "session")[0].oct_key.get_op_key("sign")
    assert isinstance(key, bytes)

    assert_refused(person, signed_by_hmac(key, RS256, claims_of(person)))
    assert_refused(person, signed_by_hmac(key, {"alg": "HS256", "typ": "zis-session+jwt"}, claims_of(person)))


def test_what_lies_sealed_in_the_store_is_no_credential(admin: Admin, redis: Redis) -> None:
    admin.authorize("acme")
    (state,) = keys_of(redis, "zis:state:*")
    minted = "minted:acme_orders"
    sealed = [value_of(redis, state), *(field_of(redis, grant_key(), field) for field in ("sealed", minted))]

    for value in sealed:
        assert_refused(admin, value.decode())
        assert_no_session(admin, value.decode())


def test_zendesks_own_tokens_are_no_session(admin: Admin) -> None:
    """Whoever holds an access token of the account, the grant's or a minted one, is nobody here."""
    tokens = [token.access_token for token in admin.simulator.world.account("acme").tokens.values()]

    assert len(tokens) >= 4
    for token in tokens:
        assert_no_session(admin, token)
        assert_refused(admin, token)
