"""Names, paths and parameters that mean one thing to one reader and another to the next."""

from urllib.parse import quote, unquote_to_bytes

import pytest

from tests.attacks.attackers import VIP, Answer, ask, bearer, directives
from tests.conftest import MakeAdmin
from tests.steps import Admin

pytestmark = pytest.mark.attacks

NAME = "escalate_vip_order"
# As they stand in the request's line; the status and code of both install and uninstall. Nothing of these is sent on.
NAMES: dict[str, tuple[int, str]] = {
    # encoded once: what the server decodes
    f"acme%2F{NAME}": (404, "not_found"),
    f"..%2Fjob_specs%2F{NAME}": (404, "not_found"),
    f"x%5C{NAME}": (404, "job_spec_not_found"),
    "%2e%2e": (404, "job_spec_not_found"),
    "%2e": (404, "job_spec_not_found"),
    "..": (404, "job_spec_not_found"),
    "%00": (404, "job_spec_not_found"),
    f"{NAME}%00": (404, "job_spec_not_found"),
    f"{NAME}%0d%0aX-Evil:%201": (404, "job_spec_not_found"),
    f"{NAME}%0a": (404, "job_spec_not_found"),
    f"{NAME}%09": (404, "job_spec_not_found"),
    f"{NAME}%7f": (404, "job_spec_not_found"),
    f"{NAME}%c2%85": (404, "job_spec_not_found"),
    f"{NAME}%e2%80%a8": (404, "job_spec_not_found"),
    "%20": (404, "job_spec_not_found"),
    f"%20{NAME}": (404, "job_spec_not_found"),
    f"{NAME}%20": (404, "job_spec_not_found"),
    f"{NAME}%3Finstalled=true": (404, "job_spec_not_found"),
    f"{NAME}%23": (404, "job_spec_not_found"),
    f"{NAME}%26job_spec_name=x": (404, "job_spec_not_found"),
    f"{NAME};integration=acme_shipping": (404, "job_spec_not_found"),
    # encoded twice: what somebody further on might decode
    "%252e%252e": (404, "job_spec_not_found"),
    f"x%252F{NAME}": (404, "job_spec_not_found"),
    f"zis%253Aacme_orders%253Ajob_spec%253A{NAME}": (404, "job_spec_not_found"),
    "%2500": (404, "job_spec_not_found"),
    # no UTF-8, overlong UTF-8, a lone surrogate
    f"{NAME}%ff": (404, "job_spec_not_found"),
    f"%c0%ae%c0%ae%c0%af{NAME}": (404, "job_spec_not_found"),
    f"{NAME}%ed%a0%80": (404, "job_spec_not_found"),
    # other spellings of the same letters are other names
    quote("\uff45scalate_vip_order"): (404, "job_spec_not_found"),
    quote("e\u0301scalate_vip_order"): (404, "job_spec_not_found"),
    quote(f"{NAME}\u200b"): (404, "job_spec_not_found"),
    quote(f"\ufeff{NAME}"): (404, "job_spec_not_found"),
    quote(f"{NAME}\u202e"): (404, "job_spec_not_found"),
    NAME.upper(): (404, "job_spec_not_found"),
    # long
    "x" * 201: (404, "job_spec_not_found"),
    quote("\U0001f600") * 201: (404, "job_spec_not_found"),
    # qualified with what is not this account's, in every spelling
    f"zis:globex_orders:job_spec:{NAME}": (404, "job_spec_not_found"),
    f"zis%3Aglobex_orders%3Ajob_spec%3A{NAME}": (404, "job_spec_not_found"),
    f"zis:common:job_spec:{NAME}": (404, "job_spec_not_found"),
    f"zis:ACME_ORDERS:job_spec:{NAME}": (404, "job_spec_not_found"),
    f"zis:acme_orders%20:job_spec:{NAME}": (404, "job_spec_not_found"),
    f"zis:*:job_spec:{NAME}": (404, "job_spec_not_found"),
    f"zis:%7Bsubdomain%7D_orders:job_spec:{NAME}": (404, "job_spec_not_found"),
    f"zis:acme_orders%00:job_spec:{NAME}": (404, "job_spec_not_found"),
    f"zis:{'x' * 65}:job_spec:{NAME}": (404, "job_spec_not_found"),
    f"zis::job_spec:{NAME}": (404, "job_spec_not_found"),
    f"ZIS:acme_orders:job_spec:{NAME}": (404, "job_spec_not_found"),
    # with a kind that is none
    f"zis:acme_orders:JOB_SPEC:{NAME}": (404, "job_spec_not_found"),
    f"zis:acme_orders:flow:{NAME}": (400, "invalid_request"),
    f"zis:acme_orders:action:{NAME}": (400, "invalid_request"),
    "zis:acme_orders:job_spec:": (404, "job_spec_not_found"),
    f"zis:acme_orders:job_spec:..%2f{NAME}": (404, "not_found"),
}  # fmt: skip
# Every one another reader could take for `integration=acme_orders`.
PARAMETERS = ["integration=acme_orders&integration=acme_shipping", "integration=acme_orders&integration=acme_orders",
              "integration[]=acme_orders", "integration%5B0%5D=acme_orders", "INTEGRATION=acme_orders",
              "integration%00=acme_orders", "%20integration=acme_orders", "integration%20=acme_orders",
              "integration.=acme_orders", "+integration=acme_orders", "integration;=acme_orders",
              "account=acme&integration=acme_orders", "_method=DELETE", "integration=acme_orders&x",
              "integration%ff=acme_orders", "integration=%00", "%e2%80%8bintegration=acme_orders"]  # fmt: skip


# What another reader could take for the address of the status.
ADDRESSES = ["/api//v1/status", "/api/v1//status", "/api/v1/./status", "/api/v1/x/../status", "/API/v1/status",
             "/api/v1/status%2f", "/api/v1/status;x", "/api/v1/status.json", "/api/v1/status\0", "/api/v1/status ",
             "\\api\\v1\\status", "*", "/api/v1/status\xff", "/static/../api/v1/status", "/livez/../api/v1/status",
             "/sidebar/../api/v1/status"]  # fmt: skip
FILES = ["../settings.py", "..%2fsettings.py", "%2e%2e/settings.py", "../templates/base.html", "/etc/passwd",
         "..\\settings.py", "x\0.css", ".", "sidebar.css/..", "....//settings.py", "sidebar.css\0.html", "x" * 5000,
         "..", "", "locales/../../settings.py"]  # fmt: skip
# Health checks that others believed by their name (CVE-2026-41059, GHSA-5hvv-m4w4-gf6v).
AGENTS = ["ELB-HealthChecker/2.0", "kube-probe/1.30", "GoogleHC/1.0", "Prometheus/3.0", "curl/8"]
INTEGRATIONS = [
    "globex_orders",
    "ACME_ORDERS",
    "acme_orders,globex_orders",
    "acme_orders%20",
    "*",
    "acme_orders;x",
    "..%2fglobex_orders",
    "%ff",
    "",
]
ODD_NAMES = ["..", "a b", "caf\u00e9", "cafe\u0301", "\U0001f600", "x;y=z", "<script>", "x" * 200, "'\"", "a+b", "{}"]


@pytest.fixture
def quiet(make_admin: MakeAdmin) -> Admin:
    """Acme's admin, connected, whose role is known; nothing has been asked since."""
    person = make_admin(RATE_LIMITS="off", ZIS_INTEGRATIONS="{subdomain}_orders,{subdomain}_shipping")
    person.connect("acme")
    person.job_specs()
    person.simulator.world.clear_calls()
    return person


def change(person: Admin, method: str, encoded: str, query: str = "") -> Answer:
    """Call a change under a name just as it stands in the request's line; decoded as gunicorn does."""
    path = unquote_to_bytes(f"/api/v1/job_specs/{encoded}/install").decode("latin-1")
    return ask(person.app, method, path, query, headers=bearer(person))


def has_code(reply: Answer, status: int, code: str) -> bool:
    return reply.status == status and f'"code": "{code}"' in reply.text


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_name_means_what_it_says_or_nothing(quiet: Admin, method: str) -> None:
    replies = {encoded: change(quiet, method, encoded) for encoded in NAMES}

    wrong = {encoded: reply.text for encoded, reply in replies.items() if not has_code(reply, *NAMES[encoded])}
    assert wrong == {}
    assert not any("X-Evil" in reply.headers for reply in replies.values())
    assert quiet.changes_sent() == []


def test_an_odd_name_of_our_own_is_sent_byte_for_byte(quiet: Admin) -> None:
    """Neither normalised, nor cut, nor encoded twice: Zendesk is asked about exactly what the caller named."""
    names = [f"zis:acme_orders:job_spec:{name}" for name in ODD_NAMES]
    replies = [change(quiet, "POST", quote(name, safe="")) for name in names]

    assert {reply.status for reply in replies} == {404}
    assert quiet.changes_sent() == [("POST", name) for name in names]
    assert {call.path for call in quiet.calls("/registry/")} == {"/api/services/zis/registry/job_specs/install"}


def test_an_odd_name_in_the_parameter_names_what_it_says(quiet: Admin) -> None:
    """What another reader could take for a path, a second parameter or a header is part of the name."""
    odd = [*ODD_NAMES, "../../connection", "..%2f", "a/b", "a\\b", "a:b", "x&integration=acme_shipping", "x#y", "x?y",
           "%00", "\0", "\r\nX-Evil: 1", "\t", " ", "zis:globex_orders:job_spec:x"]  # fmt: skip
    names = [f"zis:acme_orders:job_spec:{name}" for name in odd]
    path = "/api/v1/job_specs/install"
    replies = [
        ask(quiet.app, "POST", path, f"job_spec_name={quote(name, safe='')}", headers=bearer(quiet)) for name in names
    ]

    assert {reply.status for reply in replies} == {404}
    assert not any("X-Evil" in reply.headers for reply in replies)
    assert quiet.changes_sent() == [("POST", name) for name in names]
    assert {call.path for call in quiet.calls("/registry/")} == {"/api/services/zis/registry/job_specs/install"}


def test_an_encoded_name_of_our_own_is_the_same_name(quiet: Admin) -> None:
    encoded = "".join(f"%{byte:02x}" for byte in VIP.encode())

    assert change(quiet, "POST", encoded).status == 200
    assert quiet.changes_sent() == [("POST", VIP)]


def test_a_parameter_has_one_spelling_and_one_value(quiet: Admin) -> None:
    for method, path in (("GET", ""), ("POST", f"/{VIP}/install"), ("DELETE", f"/{VIP}/install")):
        replies = {
            query: ask(quiet.app, method, f"/api/v1/job_specs{path}", query, headers=bearer(quiet))
            for query in PARAMETERS
        }
        assert [query for query, reply in replies.items() if not has_code(reply, 400, "invalid_request")] == []
    assert quiet.changes_sent() == []


def test_an_integration_is_the_accounts_own_or_none(quiet: Admin) -> None:
    for method, path in (("GET", ""), ("POST", f"/{NAME}/install"), ("DELETE", f"/{NAME}/install")):
        replies = {
            value: ask(quiet.app, method, f"/api/v1/job_specs{path}", f"integration={value}", headers=bearer(quiet))
            for value in INTEGRATIONS
        }
        assert [value for value, reply in replies.items() if not has_code(reply, 404, "not_found")] == []
    assert quiet.simulator.world.calls() == []


def test_a_body_names_nothing(quiet: Admin) -> None:
    path = "/api/v1/job_specs/notify_warehouse/install"
    bodies = {
        "application/x-www-form-urlencoded": b"integration=acme_shipping",
        "application/json": b'{"integration": "acme_shipping"}',
    }
    for content_type, body in bodies.items():
        reply = ask(quiet.app, "POST", path, headers=bearer(quiet), body=body, CONTENT_TYPE=content_type)
        assert has_code(reply, 400, "integration_required"), content_type
    assert quiet.changes_sent() == []


def test_an_address_has_one_spelling(quiet: Admin) -> None:
    """No exemption and no guard hangs on how an address looks (GHSA-7rh7-c77v-6434)."""
    replies = {path: ask(quiet.app, "GET", path, headers=bearer(quiet)) for path in ADDRESSES}

    assert {path: reply.status for path, reply in replies.items() if reply.status != 404} == {}
    assert quiet.simulator.world.calls() == []


def test_slashes_in_front_pass_no_guard(quiet: Admin) -> None:
    """Werkzeug takes them away before it routes; the address they hide is guarded and framed as ever."""
    for slashes in ("//", "///", "////////"):
        assert ask(quiet.app, "GET", f"{slashes}api/v1/status").status == 401
        assert ask(quiet.app, "DELETE", f"{slashes}api/v1/connection").status == 401
        assert (
            directives(ask(quiet.app, "POST", f"{slashes}sidebar").headers)["frame-ancestors"]
            == quiet.simulator.address
        )
        assert directives(ask(quiet.app, "GET", f"{slashes}oauth/callback").headers)["frame-ancestors"] == "'none'"


def test_no_user_agent_is_let_through(quiet: Admin) -> None:
    for agent in AGENTS:
        for method, path in (("GET", "status"), ("GET", "job_specs"), ("DELETE", "connection"), ("POST", "session")):
            assert ask(quiet.app, method, f"/api/v1/{path}", headers={"User-Agent": agent}).status == 401, agent


def test_static_files_are_those_of_their_folder(quiet: Admin) -> None:
    spelled = {name for one in FILES for name in (one, one.replace("%2f", "/").replace("%2e", "."))}
    replies = {name: ask(quiet.app, "GET", f"/static/{name}") for name in spelled}

    assert {name: reply.status for name, reply in replies.items() if reply.status != 404} == {}
