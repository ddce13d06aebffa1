"""Every parser of what others send, under inputs nobody has thought of: an answer of the documented set, never a fault.

The examples are the same in every run, ten times as many with FULL=1; what fuzzing once found stays as an `@example`.
"""

import base64
import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sandbox.simulator import public_key_pem
from sandbox.simulator.messages import Reply as Sent
from service.grants.granted import Grant
from service.ground.deadlines import ARRIVAL_WINDOW_SECONDS, REQUEST_BUDGET_SECONDS, Deadline
from service.ground.errors import UPSTREAM_DETAIL_CHARACTERS, InvalidRequest, ServiceError
from service.ground.settings import DEFAULT_ZENDESK_URL_TEMPLATE
from service.ground.subdomains import parse_account_address, parse_subdomain
from service.ground.timestamps import parse_timestamp, timestamp
from service.job_specs.kept_lists import KeptList
from service.people.app_keys import _key_of
from service.store.vault import KeyMissing, Vault
from service.web.rate_limits import address_group
from service.zendesk.authorization_server import LONGEST_TOKEN, InvalidGrant, _pair_of
from service.zendesk.calls import refusal_of
from service.zendesk.client import Credential
from service.zendesk.replies import LONGEST_RETRY_AFTER_SECONDS, Reply
from service.zendesk.users import ZendeskUser
from service.zendesk.zis_registry import list_job_specs, list_refusal, parse_name, registry_refusal
from tests.attacks.attackers import Answer, ask, bearer, claims_of, segment, signed_by_zendesk
from tests.attacks.scripted import scripted_zendesk
from tests.attacks.test_deputies import ROUTES
from tests.conftest import MakeAdmin
from tests.endpoint import Endpoint
from tests.raw_server import make_client
from tests.searched import FULL
from tests.steps import ORDERS_ONLY, SECRET_KEYS, Admin, bootstrap_in

pytestmark = pytest.mark.attacks

fuzz = settings(
    max_examples=600 if FULL else 60,
    derandomize=True,
    deadline=None,
    database=None,
    # The service under test is made once and serves all examples; none changes it for the next.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
STATUSES = {kind.code: kind.status for kind in ServiceError.__subclasses__()}
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
KEYS = tuple(SECRET_KEYS.split(","))
RECORD = "zis:{acme}:grant"

# Text with a liking for what has a meaning somewhere.
marks = st.text(
    st.sampled_from(
        list(".:/\\@#?%&=+;,~*-_ \t\r\n\0[]{}<>\"'acmez0\u3002\uff0e\u212a\u0130\u00df\ud800\u202e\U0001f600")
    )
)
texts = st.text() | marks
labels = st.from_regex(r"\A[A-Za-z0-9-]{1,70}\Z")
hosts = st.builds(
    "".join,
    st.lists(labels | marks | st.sampled_from([".zendesk.com", "https://", "acme", "evil.example"]), max_size=4),
)
wire = st.text(st.characters(max_codepoint=255))
"""What WSGI calls a string: bytes as latin-1."""
numbers = st.integers() | st.floats() | st.sampled_from([10**400, -(10**400), 2**63, -1, 0])
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)


def as_json(value: Any) -> bytes:
    """Return JSON as a careless sender writes it: NaN, lone surrogates and all."""
    return json.dumps(value).encode()


def objects(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return objects with any of these members, each as it should be or anything at all."""
    return st.fixed_dictionaries({}, optional={name: values | json_values for name, values in members.items()})


def assert_documented(answer: Answer) -> None:
    """Check that an answer is one the contract knows, and none of our own failures."""
    assert answer.status < 500, answer.text
    if answer.body and answer.headers.get("Content-Type") == "application/problem+json":
        problem = json.loads(answer.body)
        assert STATUSES[problem["code"]] == answer.status == problem["status"]
    assert answer.headers["X-Request-Id"]
    assert "frame-ancestors" in answer.headers["Content-Security-Policy"]
    assert not any(set(value) & set("\r\n\0") for _, value in answer.headers)


@pytest.fixture
def person(make_admin: MakeAdmin) -> Admin:
    """Acme's manager; the app's key is configured, and any account may connect."""
    person = make_admin(
        ZENDESK_APP_PUBLIC_KEY=public_key_pem(),
        ZENDESK_SUBDOMAINS="*",
        RATE_LIMITS="off",
        TRUSTED_PROXIES="1",
        **ORDERS_ONLY,
    )
    person.connect("acme")
    person.job_specs()
    return person


# --- what an account is called ---


@fuzz
@given(hosts)
@example("acme\n")
@example("acme.zendesk.com")
@example("\u212aelvin")
def test_a_subdomain_is_one_label_or_none(text: str) -> None:
    account = parse_subdomain(text)
    if account is None:
        return
    assert LABEL.fullmatch(account)
    assert account == text.lower()
    parts = urlsplit(DEFAULT_ZENDESK_URL_TEMPLATE.replace("{subdomain}", account))
    assert (parts.scheme, parts.netloc, parts.path) == ("https", f"{account}.zendesk.com", "")


@fuzz
@given(hosts | texts)
def test_what_a_person_types_is_an_account_or_none(text: str) -> None:
    account = parse_account_address(text)
    assert account is None or LABEL.fullmatch(account)


@fuzz
@given(hosts | texts)
def test_the_form_leads_to_its_own_next_step_or_explains(person: Admin, text: str) -> None:
    answer = ask(person.app, "GET", "/", "account=" + quote(text, errors="surrogatepass"))
    assert_documented(answer)
    if "Location" in answer.headers:
        assert re.fullmatch(r"/oauth/authorize\?subdomain=" + LABEL.pattern, answer.headers["Location"])
    else:
        assert answer.status == 400


@fuzz
@given(hosts | texts)
def test_the_handshake_begins_at_the_accounts_own_host_or_not_at_all(person: Admin, text: str) -> None:
    answer = ask(person.app, "GET", "/oauth/authorize", "subdomain=" + quote(text, errors="surrogatepass"))
    assert_documented(answer)
    if "Location" in answer.headers:
        path = urlsplit(answer.headers["Location"]).path
        assert re.fullmatch(rf"/a/{LABEL.pattern}/oauth/authorizations/new", path)


# --- requests ---


@fuzz
@given(
    st.sampled_from(sorted(ROUTES)), st.sampled_from(["GET", "POST", "DELETE", "HEAD", "OPTIONS"]), wire, st.booleans()
)
@example("/", "GET", "account=\xff", False)
@example("/oauth/callback", "GET", "state=\xff&code=x", False)
@example("/api/v1/status", "GET", "\xed\xa0\x80=1", True)
def test_any_query_has_an_answer(person: Admin, rule: str, method: str, query: str, has_session: bool) -> None:
    if (rule, method) == ("/api/v1/connection", "DELETE"):
        query += "&unknown=1"
    path = rule.replace("<name>", "x").replace("<path:filename>", "sidebar.css")
    assert_documented(ask(person.app, method, path, query, headers=bearer(person) if has_session else {}))


@fuzz
@given(
    st.sampled_from(["", "/api/v1/job_specs", "/api/v1", "/sidebar", "/oauth", "/static"]), st.lists(wire, max_size=3)
)
def test_any_path_has_an_answer(person: Admin, start: str, parts: list[str]) -> None:
    path = "/".join([start, *parts])
    assert_documented(ask(person.app, "GET", path, headers=bearer(person)))


@fuzz
@given(
    st.sampled_from(
        [
            "/",
            "/oauth/authorize",
            "/oauth/callback",
            "/api/v1/job_specs",
            "/api/v1/status",
            "/static/sidebar.css",
            "/sidebar",
        ]
    ),
    st.dictionaries(
        st.sampled_from(
            [
                "Host",
                "Cookie",
                "Authorization",
                "X-Request-Id",
                "X-Request-Start",
                "X-Forwarded-For",
                "X-Forwarded-Proto",
                "Cache-Control",
                "If-None-Match",
                "If-Modified-Since",
                "Range",
                "Accept",
                "Origin",
                "Content-Encoding",
            ]
        ),
        wire,
        max_size=4,
    ),
)
@example("/", {"Host": ".."})
@example("/sidebar", {"Host": "x" * 300})
def test_any_headers_have_an_answer(person: Admin, path: str, headers: dict[str, str]) -> None:
    answer = ask(person.app, "GET", path, "state=x", headers=bearer(person) | headers)
    assert_documented(answer)
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", answer.headers["X-Request-Id"])


@fuzz
@given(
    st.binary(max_size=300),
    st.sampled_from(["application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "application/json", ""])
    | wire,
)
def test_any_body_has_an_answer(person: Admin, body: bytes, content_type: str) -> None:
    answer = ask(person.app, "POST", "/sidebar", body=body, CONTENT_TYPE=content_type)
    assert_documented(answer)
    assert answer.status in {400, 401, 413}


@fuzz
@given(wire)
def test_when_a_request_began_gives_it_no_more_than_its_time(text: str) -> None:
    left = Deadline.of_request(text).left()
    assert REQUEST_BUDGET_SECONDS - ARRIVAL_WINDOW_SECONDS - 5 <= left <= REQUEST_BUDGET_SECONDS


@fuzz
@given(texts | st.ip_addresses().map(str) | st.none())
def test_an_address_is_counted_by_a_short_name(text: str | None) -> None:
    assert re.fullmatch(r"unknown|[0-9a-f:./]{2,45}", address_group(text))


@fuzz
@given(
    texts,
    st.sampled_from(
        ["", "zis:", "zis:acme_orders:job_spec:", "zis:acme_orders:flow:", "zis::job_spec:", "zis:\u212a:job_spec:"]
    ),
)
def test_a_name_is_a_job_specs_or_refused(text: str, start: str) -> None:
    try:
        spec = parse_name(start + text)
    except InvalidRequest:
        return
    assert spec.name.encode()
    assert spec.integration is None or ":" not in spec.integration
    # All of it is in the name, or in front of the third colon.
    assert (start + text).endswith(spec.name)


# --- tokens ---

times = st.integers(0, 2 * 10**9)
CLAIMS = objects(
    iss=hosts | st.just("acme.zendesk.com"),
    aud=hosts | st.just("https://acme.zendesk.com/api/v2/apps/installations/1.json"),
    sub=st.integers() | st.just("https://acme.zendesk.com/api/v2/users/101.json") | hosts,
    exp=times,
    iat=times,
    nbf=times,
)
HEADERS = objects(alg=st.just("RS256"), typ=st.just("JWT"), kid=texts, crit=st.just(["b64"]), b64=st.booleans())


@fuzz
@given(CLAIMS, HEADERS)
@example({"exp": math.nan}, {})
@example({"sub": "http://["}, {})
@example({}, {"crit": 5})
def test_signed_claims_open_the_page_of_their_account_or_none(
    person: Admin, claims: dict[str, Any], header: dict[str, Any]
) -> None:
    """Signed by Zendesk itself, so that only what the token says decides."""
    said = claims_of(person) | claims
    token = signed_by_zendesk({"alg": "RS256"} | header, as_json(said))
    answer = ask(
        person.app, "POST", "/sidebar", body=f"token={token}".encode(), CONTENT_TYPE="application/x-www-form-urlencoded"
    )
    assert_documented(answer)
    assert answer.status in {200, 401}
    if answer.status == 200:
        bootstrap = bootstrap_in(answer.text)
        assert said["iss"].removeprefix("https://").lower() == f"{bootstrap['account']}.zendesk.com"
        payload = bootstrap["session_token"].split(".")[1]
        user_id = json.loads(base64.urlsafe_b64decode(payload + "=="))["sub"]
        assert user_id is None or (type(user_id) is int and 0 < user_id < 10**19)


@fuzz
@given(st.lists(st.binary(max_size=60) | json_values.map(as_json), max_size=6), st.sampled_from([".", "..", "!", "\n"]))
def test_what_is_no_token_opens_nothing(person: Admin, parts: list[bytes], joint: str) -> None:
    token = joint.join(segment(part) for part in parts)
    answer = ask(
        person.app,
        "POST",
        "/sidebar",
        body=f"token={quote(token)}".encode(),
        CONTENT_TYPE="application/x-www-form-urlencoded",
    )
    assert_documented(answer)
    assert answer.status == 401
    assert ask(person.app, "GET", "/api/v1/status", headers={"Authorization": f"Bearer {token}"}).status == 401


@fuzz
@given(st.data())
def test_a_changed_session_is_nobodys(person: Admin, data: st.DataObject) -> None:
    token = person.session_token
    place = data.draw(st.integers(0, len(token)))
    changed = token[:place] + data.draw(wire) + token[place + data.draw(st.integers(0, 3)) :]
    for method, path in (("GET", "/api/v1/status"), ("POST", "/api/v1/session")):
        answer = ask(person.app, method, path, headers={"Authorization": f"Bearer {changed}"})
        assert_documented(answer)
        # base64 has several spellings of one signature; what is signed has one.
        assert answer.status == 401 or changed.strip().rpartition(".")[0] == token.rpartition(".")[0]


@fuzz
@given(st.data())
@example(None)
def test_a_seal_opens_to_what_was_sealed_or_not_at_all(data: st.DataObject | None) -> None:
    vault = Vault(KEYS)
    sealed = vault.seal(RECORD, b"what was sealed").encode()
    if data is None:
        value = segment(b"[" * 100_000).encode() + sealed[sealed.index(b".") :]
    elif data.draw(st.booleans()):
        value = data.draw(st.binary(max_size=200))
    else:
        place = data.draw(st.integers(0, len(sealed)))
        value = sealed[:place] + data.draw(st.binary(max_size=4)) + sealed[place + data.draw(st.integers(0, 4)) :]
    try:
        assert vault.open(RECORD, value) == b"what was sealed"
    except KeyMissing:
        assert value != sealed


@fuzz
@given(HEADERS, st.sampled_from(["enc", "crit", "zip", "record", "kid", "alg"]), json_values)
@example({}, "enc", [])
@example({}, "crit", 5)
def test_no_header_of_a_seal_is_a_fault(header: dict[str, Any], member: str, value: object) -> None:
    vault = Vault(KEYS)
    first, _, rest = vault.seal(RECORD, b"x").partition(".")
    claimed = json.loads(base64.urlsafe_b64decode(first + "==")) | header | {member: value}
    with pytest.raises(KeyMissing):
        vault.open(RECORD, f"{segment(as_json(claimed) + b' ')}.{rest}".encode())


@fuzz
@given(st.binary(max_size=200), st.integers(0, 450), st.integers(0, 20))
def test_an_apps_key_is_one_or_none(noise: bytes, place: int, cut: int) -> None:
    pem = public_key_pem().encode()
    for value in (noise, pem[:place] + noise + pem[place + cut :]):
        key = _key_of(value)
        assert key is None or key.as_dict(private=False)["kty"] == "RSA"


# --- what Zendesk answers ---

sentences = texts | st.just("Authorization failed due to integration mismatch")
ERRORS = objects(
    error=sentences | objects(title=sentences, message=sentences),
    errors=st.lists(objects(code=texts, detail=sentences)),
    message=sentences,
    error_description=sentences,
    description=sentences,
)
bodies = (ERRORS | json_values).map(as_json) | st.binary(max_size=100)


@fuzz
@given(
    st.sampled_from([200, 204, 301, 400, 401, 403, 404, 409, 422, 429, 500, 502, 503, 599]),
    bodies,
    st.dictionaries(st.just("Retry-After"), wire),
)
@example(400, b"[" * 100_000, {})
@example(429, b"", {"Retry-After": "9" * 400})
def test_every_refusal_has_a_meaning_and_words_to_show(status: int, body: bytes, headers: dict[str, str]) -> None:
    reply = Reply(status, headers, body, ("the-token-0123",))
    words = reply.words()
    assert words is None or (words.isprintable() and 0 < len(words) <= UPSTREAM_DETAIL_CHARACTERS)
    wait = reply.retry_after()
    assert wait is None or 0 <= wait <= LONGEST_RETRY_AFTER_SECONDS
    for refusal in (refusal_of(reply), registry_refusal(reply, "acme_orders"), list_refusal(reply, "acme_orders")):
        if refusal is not None:
            assert STATUSES[refusal.code] == refusal.status
            assert json.loads(json.dumps(refusal.members()))["upstream_status"] == status
            assert json.dumps(refusal.members()).encode()


@fuzz
@given(sentences, sentences, st.sampled_from(["message", "error", "error_description", "description"]))
def test_a_token_zendesk_repeats_is_not_in_its_words(before: str, after: str, member: str) -> None:
    token = "the-token-0123456789"
    for body in (as_json({member: f"{before}{token}{after}"}), f"{before}{token}{after}".encode("utf-8", "replace")):
        assert token not in (Reply(400, {}, body, (token,)).words() or "")


TOKENS = objects(
    access_token=st.just("access-token") | texts,
    refresh_token=st.just("refresh-token") | texts,
    token_type=st.just("bearer"),
    scope=st.just("read write") | st.lists(texts),
    expires_in=numbers | st.just("1800"),
    refresh_token_expires_in=numbers,
    error=st.sampled_from(["invalid_grant", "invalid_client", "invalid_scope"]),
)


@fuzz
@given(st.sampled_from([200, 201, 400, 401, 302, 429, 500]), TOKENS.map(as_json) | bodies)
@example(200, b'{"access_token": "a", "scope": "\\ud800"}')
@example(200, b'{"access_token": "a", "expires_in": 1e999}')
@example(200, b'{"access_token": "a", "expires_in": ' + b"9" * 5000 + b"}")
def test_a_token_reply_is_a_pair_that_can_be_kept_and_shown_or_a_refusal(status: int, body: bytes) -> None:
    try:
        pair = _pair_of(Reply(status, {}, body), 1_800_000_000.0)
    except (ServiceError, InvalidGrant):
        return
    assert pair.access_token.isascii()
    assert 0 < len(pair.access_token) <= LONGEST_TOKEN
    grant = Grant.of(pair, client_id="client", scope=pair.scope or "read write", authorized_by=None)
    assert Grant.from_bytes(grant.to_bytes()) == grant
    # All of these stand in pages and in JSON.
    assert grant.scope.encode()
    for instant in (grant.expires_at, grant.refresh_token_expires_at):
        assert instant is None or (timestamp(instant) or "").endswith("Z")


USER = objects(
    id=st.integers(),
    name=texts,
    role=st.sampled_from(["admin", "agent", "end-user"]),
    active=st.booleans(),
    suspended=st.booleans(),
    url=hosts,
)


@fuzz
@given(objects(user=USER).map(as_json) | bodies)
@example(b'{"user": {"id": 1, "role": "admin", "name": "\\ud800"}}')
@example(b'{"user": {"id": 1, "role": "admin", "url": "http://["}}')
def test_a_user_is_described_or_not_readable(body: bytes) -> None:
    try:
        user = ZendeskUser.from_reply(Reply(200, {}, body))
    except ServiceError:
        return
    assert user.account is None or LABEL.fullmatch(user.account)
    assert (user.name or "").encode() is not None
    assert json.dumps([user.id, user.name, user.role])


ROWS = st.lists(
    objects(
        name=texts,
        installed=st.booleans(),
        description=texts,
        uuid=texts,
        event_source=texts,
        event_type=texts,
        flow_name=texts,
    ),
    max_size=3,
)
PAGES = objects(job_specs=ROWS, meta=objects(has_more=st.booleans(), after=texts | st.integers(), before=texts))


@pytest.fixture
def pages_of() -> Iterator[Endpoint]:
    with scripted_zendesk(Sent(200)) as zendesk:
        yield zendesk


@fuzz
@given(st.lists(PAGES.map(as_json) | bodies, min_size=1, max_size=3), st.sampled_from([200, 200, 200, 204, 400, 404]))
@example([b'{"job_specs": [{"name": "\\ud800", "installed": true}]}'], 200)
@example([b'{"job_specs": [], "meta": {"has_more": true, "after": "\\ud800"}}'], 200)
def test_a_list_is_kept_as_it_is_or_refused(
    environment: dict[str, str], pages_of: Endpoint, pages: list[bytes], status: int
) -> None:
    waiting = [*pages, b'{"job_specs": []}']

    class NextPage(Credential):
        def token(self, deadline: Deadline) -> str:  # noqa: ARG002 - at hand
            pages_of.reply = Sent(status, waiting.pop(0), "application/json")
            return "a-token"

    client = make_client(environment, pages_of.template.removesuffix("/a/{subdomain}"))
    try:
        specs = list_job_specs(replace(client, credential=NextPage()), "acme_orders")
    except ServiceError:
        return
    rows = json.loads(b"[" + KeptList.of(specs, 0).rows + b"]")
    assert [row["name"] for row in rows] == [spec.name.encode("utf-8", "replace").decode() for spec in specs]
    assert {type(spec.installed) for spec in specs} <= {bool}


@fuzz
@given(texts | st.datetimes(timezones=st.timezones()).map(str) | json_values)
@example("0001-01-01T00:00:00+23:59")
@example("9999-12-31T23:59:59-23:59")
def test_an_instant_of_zendesks_is_one_that_can_be_shown(value: object) -> None:
    instant = parse_timestamp(value)
    assert instant is None or math.isfinite(instant)
