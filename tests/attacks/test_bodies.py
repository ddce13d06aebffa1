"""Bodies that are too large, too deep, wrapped, or of another kind than they say; the page takes one form field."""

import gzip
import io
import json
import zlib
from typing import Any

import pytest

from sandbox.simulator import public_key_pem
from service.web.answers import LARGEST_BODY_BYTES
from tests.attacks.attackers import Answer, ask, bearer, claims_of, signed_by_zendesk
from tests.conftest import MakeAdmin
from tests.front_end import FRONT_END
from tests.steps import Admin

pytestmark = pytest.mark.attacks

FORM = "application/x-www-form-urlencoded"
PART = b'--b\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
END = b"--b--\r\n"


@pytest.fixture
def person(make_admin: MakeAdmin) -> Admin:
    return make_admin(ZENDESK_APP_PUBLIC_KEY=public_key_pem(), ALLOWED_ORIGINS=FRONT_END, RATE_LIMITS="off")


@pytest.fixture
def token(person: Admin) -> bytes:
    """A signed request that opens the page, where it is sent as it should be."""
    return signed_by_zendesk({"alg": "RS256"}, claims_of(person)).encode()


def post(person: Admin, body: bytes, content_type: str = FORM, **options: Any) -> Answer:
    return ask(person.app, "POST", "/sidebar", body=body, CONTENT_TYPE=content_type, **options)


def part(name: bytes, value: bytes, more: bytes = b"") -> bytes:
    return PART % (name, more, value)


def test_the_page_opens_for_a_form_field(person: Admin, token: bytes) -> None:
    assert post(person, b"token=" + token).status == 200
    assert post(person, part(b"token", token) + END, "multipart/form-data; boundary=b").status == 200


def test_the_page_opens_for_nothing_else(person: Admin, token: bytes) -> None:
    """What a form of another site, or a script, could send in its place."""
    name = "token"
    elsewhere = {
        "json": post(person, json.dumps({name: token.decode()}).encode(), "application/json"),
        "text": post(person, b"token=" + token, "text/plain"),
        "no type": post(person, b"token=" + token, ""),
        "xml": post(person, b"<token>" + token + b"</token>", "application/xml"),
        "raw": post(person, token, "application/jwt"),
        "a file": post(person, part(b"token", token, b'; filename="t"') + END, "multipart/form-data; boundary=b"),
        "another case": post(person, b"Token=" + token),
        "a list": post(person, b"token[]=" + token),
        "query": ask(person.app, "POST", "/sidebar", f"token={token.decode()}", CONTENT_TYPE=FORM),
        "cookie": post(person, b"", headers={"Cookie": f"token={token.decode()}"}),
        "header": post(person, b"", headers={"Authorization": f"Bearer {token.decode()}"}),
        "another boundary": post(person, part(b"token", token) + END, "multipart/form-data; boundary=c"),
        "no boundary": post(person, part(b"token", token) + END, "multipart/form-data"),
        "utf-16": post(person, ("token=" + token.decode()).encode("utf-16"), f"{FORM}; charset=utf-16"),
    }

    assert {kind: answer.status for kind, answer in elsewhere.items() if answer.status != 401} == {}
    assert not any("bootstrap" in answer.text for answer in elsewhere.values())


def test_of_two_tokens_the_first_is_judged_and_used(person: Admin, token: bytes) -> None:
    other = signed_by_zendesk({"alg": "RS256"}, claims_of(person, "globex", 201)).encode()

    assert '"account": "acme"' in post(person, b"token=" + token + b"&token=" + other).text
    assert post(person, b"token=x&token=" + token).status == 401
    assert post(person, b"token=&token=" + token).status == 401


def test_a_packed_body_is_not_unpacked(person: Admin, token: bytes) -> None:
    """So no small body becomes a large one."""
    bomb = gzip.compress(b"token=" + b"x" * 20_000_000)
    assert len(bomb) < LARGEST_BODY_BYTES
    for encoding in ("gzip", "deflate", "br", "zstd", "identity, gzip", "x-gzip", "chunked"):
        packed = {"deflate": zlib.compress}.get(encoding, gzip.compress)(b"token=" + token)
        for body in (packed, bomb):
            assert post(person, body, headers={"Content-Encoding": encoding}).status == 401, encoding


MALFORMED = {
    "many fields": (b"a=1&" * 16_000, FORM),
    "many empty fields": (b"&" * 60_000, FORM),
    "percent": (b"token=%&%=%zz&%00=%ff", FORM),
    "bytes": (bytes(range(256)) * 200, FORM),
    "nul": (b"token=\0", FORM),
    "lone surrogate": (b"token=%ed%a0%80", FORM),
    "deep json": (b"[" * 60_000, "application/json"),
    "deep json objects": (b'{"a":' * 10_000, "application/json"),
    "huge number": (b"9" * 60_000, "application/json"),
    "many parts": (part(b"a", b"") * 900 + END, "multipart/form-data; boundary=b"),
    "parts without end": (part(b"a", b"") * 500, "multipart/form-data; boundary=b"),
    "part of many headers": (b"--b\r\n" + b"X: y\r\n" * 9_000 + b"\r\n\r\n" + END, "multipart/form-data; boundary=b"),
    "part of a long header": (part(b"x" * 50_000, b"") + END, "multipart/form-data; boundary=b"),
    "part of bytes": (part(b"\xff\xfe", b"\xff") + END, "multipart/form-data; boundary=b"),
    "nested multipart": (
        b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + part(b"token", b"x") + END + END,
        "multipart/form-data; boundary=b",
    ),
    "only boundaries": (b"--b\r\n" * 10_000, "multipart/form-data; boundary=b"),
    "empty boundary": (b"----\r\n\r\n", "multipart/form-data; boundary="),
    "boundary of bytes": (b"--\xff", "multipart/form-data; boundary=\xff"),
    "long boundary": (b"--", f"multipart/form-data; boundary={'b' * 5_000}"),
    "two boundaries": (part(b"a", b"") + END, "multipart/form-data; boundary=b; boundary=c"),
    "encoded part": (
        part(b"token", b"x", b"\r\nContent-Transfer-Encoding: base64") + END,
        "multipart/form-data; boundary=b",
    ),
    "charset": (b"token=x", f"{FORM}; charset=utf-7"),
    "charset that is none": (b"token=x", f"{FORM}; charset=\0"),
    "type of many parameters": (b"token=x", f"{FORM}{'; a=b' * 1_000}"),
    "type that is none": (b"token=x", ";;;===,,,"),
    "type of bytes": (b"token=x", "\xff\xfe/\xff"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/sidebar"),
        ("POST", "/signin"),
        ("POST", "/api/v1/session"),
        ("POST", "/api/v1/session/claim"),
        ("POST", "/api/v1/job_specs/plan"),
        ("POST", "/api/v1/job_specs/apply"),
        ("DELETE", "/api/v1/connection"),
        ("GET", "/livez"),
        ("GET", "/oauth/callback"),
    ],
)
def test_a_malformed_body_is_no_fault_of_ours(person: Admin, method: str, path: str) -> None:
    person.open_sidebar("acme", 101)
    for kind, (body, content_type) in MALFORMED.items():
        for headers in ({}, bearer(person)):
            given = headers | {"Origin": FRONT_END}
            answer = ask(person.app, method, path, headers=given, body=body, CONTENT_TYPE=content_type)
            assert answer.status in {200, 400, 401, 413}, (kind, answer.text)
            if path == "/sidebar":
                assert "bootstrap" not in answer.text


def test_a_length_that_is_none_reads_nothing_too_much(person: Admin, token: bytes) -> None:
    lengths = ["abc", "-1", "1e3", "+5", "0x5", "5,5", "\xff", "\u0665".encode().decode("latin-1"), ""]

    assert {post(person, b"token=" + token, CONTENT_LENGTH=length).status for length in lengths} == {401}
    assert post(person, b"token=" + token, CONTENT_LENGTH="9" * 30).status == 413


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/sidebar"),
        ("POST", "/api/v1/session"),
        ("DELETE", "/api/v1/connection"),
        ("GET", "/"),
        ("GET", "/oauth/authorize"),
        ("GET", "/nowhere"),
    ],
)
def test_no_route_takes_more_than_64_kib(person: Admin, method: str, path: str) -> None:
    """Announced or chunked, before anything else is looked at; and no more than that is ever read."""
    announced = ask(person.app, method, path, CONTENT_LENGTH=str(LARGEST_BODY_BYTES + 1))
    assert announced.status == 413
    stream = io.BytesIO(b"x" * (LARGEST_BODY_BYTES * 4))
    chunked: dict[str, Any] = {"wsgi.input": stream, "wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    assert ask(person.app, method, path, CONTENT_LENGTH="", **chunked).status == 413
    assert stream.tell() <= 2 * LARGEST_BODY_BYTES
