"""Any name that a list shows can be switched, whatever its characters: by the API and by the commands."""

import json
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote, urlencode

import pytest

from tests.conftest import MakeAdmin
from tests.operations.console import run
from tests.steps import ORDERS_ONLY, Admin

NAMES = {
    "slash": "orders/vip",
    "dots": "../../connection",
    "backslash": "a\\b",
    "colon": "a:b",
    "question mark": "a?b=c",
    "hash": "a#b",
    "percent": "50% off",
    "encoded": "a%2Fb%00",
    "ampersand": "a&integration=acme_shipping",
    "plus": "a+b c",
    "tab": "a\tb",
    "line break": "a\r\nlevel=critical event=forged",
    "nul": "a\0b",
    "replacement": "a\ufffdb",
    "separator": "a\u2028b\x85c",
    "blank": " ",
    "dot": ".",
    "install": "install",
    "long": "Name " * 200,
    "wide": "\U0001f600" * 201,
    "placeholder": "{{name}}.Copy-1",
    "markup": "<img src=x onerror=alert(1)>",
    "looks qualified": "zis:globex_orders:job_spec:x",
    "looks like a flow": "zis:acme_orders:flow:x",
}


@pytest.fixture
def admin(make_admin: MakeAdmin) -> Admin:
    """Acme's admin, connected; one job spec of every odd name is listed."""
    person = make_admin(RATE_LIMITS="off", **ORDERS_ONLY)
    person.connect("acme")
    listed = person.simulator.world.account("acme").integrations["acme_orders"].job_specs
    listed[:] = [
        replace(listed[0], name=name, uuid=f"u{number}", installed=False) for number, name in enumerate(NAMES.values())
    ]
    person.simulator.world.clear_calls()
    return person


def address(**parameters: str) -> str:
    return f"/job_specs/install?{urlencode(parameters)}"


def qualified(name: str) -> str:
    return f"zis:acme_orders:job_spec:{name}"


def listed_names(admin: Admin) -> Iterator[str]:
    """Return every listed name as the sidebar asks for it: qualified where the short one looks so."""
    for row in admin.list_fresh().get_json()["job_specs"]:
        yield row["qualified_name"] if row["name"].startswith("zis:") else row["name"]


def test_every_listed_name_can_be_switched_on_and_off(admin: Admin) -> None:
    names = list(listed_names(admin))
    assert len(names) == len(NAMES)
    for name in names:
        for method, is_installed in (("POST", True), ("DELETE", False)):
            reply = admin.call(method, address(job_spec_name=name, integration="acme_orders"))
            assert reply.status_code == 200, (name, reply.text)
            body = reply.get_json()
            assert (body["job_spec"]["installed"], body["verified"]) == (is_installed, True)
            assert name in {body["job_spec"]["name"], body["job_spec"]["qualified_name"]}
    sent = {name for _, name in admin.changes_sent()}
    assert sent == {qualified(name) for name in NAMES.values()}


def test_a_qualified_name_is_sent_as_it_is(admin: Admin) -> None:
    for name in NAMES.values():
        reply = admin.call("POST", address(job_spec_name=qualified(name)))
        assert (reply.status_code, reply.get_json()["job_spec"]["name"]) == (200, name)
    assert admin.changes_sent() == [("POST", qualified(name)) for name in NAMES.values()]


def test_the_path_takes_every_name_without_a_slash(admin: Admin) -> None:
    for name in NAMES.values():
        reply = admin.call("POST", f"/job_specs/{quote(qualified(name), safe='')}/install")
        assert reply.status_code == (404 if "/" in name else 200), name


def test_what_was_done_is_told_with_the_name_and_no_line_is_forged(
    admin: Admin, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    for name in NAMES.values():
        admin.call("POST", address(job_spec_name=qualified(name)))
    entries = admin.call("GET", "/activity?limit=200").get_json()["activity"]
    expected = {name if len(name) <= 200 else f"{name[:199]}…" for name in NAMES.values()}
    assert expected <= {name for entry in entries for name in entry["items"] or [entry["job_spec"]]}
    lines = [line for line in capfd.readouterr().out.split("\n") if line]
    assert len([line for line in lines if "event=installed" in line]) == len(NAMES)
    assert all(line.startswith("at=") for line in lines)
    assert not any(character < " " for line in lines for character in line)


@pytest.mark.parametrize(
    "query",
    ["", "job_spec_name=", "integration=acme_orders", "job_spec_name=%ff", "job_spec_name=a&job_spec_name=b",
     "name=a", "job_spec_name=zis:acme_orders:flow:x", "job_spec_name=a%ed%a0%80"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_anything_else_is_refused_and_nothing_is_sent(method: str, query: str, admin: Admin) -> None:
    reply = admin.call(method, f"/job_specs/install?{query}")
    assert (reply.status_code, reply.get_json()["code"]) == (400, "invalid_request")
    assert admin.changes_sent() == []


def test_an_empty_name_is_refused_in_a_sentence(admin: Admin) -> None:
    reply = admin.call("POST", "/job_specs/install?job_spec_name=")
    assert reply.get_json()["detail"] == "The parameter job_spec_name is empty."


def test_the_parameter_is_checked_as_the_path_was(make_admin: MakeAdmin) -> None:
    person = make_admin(RATE_LIMITS="on")
    person.connect("acme")

    def code(**parameters: str) -> tuple[int, str | None]:
        reply = person.call("POST", address(**parameters))
        return reply.status_code, reply.get_json().get("code")

    assert code(job_spec_name="zis:globex_orders:job_spec:x") == (404, "job_spec_not_found")
    assert code(job_spec_name="not_there") == (404, "job_spec_not_found")
    assert code(job_spec_name="notify_warehouse") == (400, "integration_required")
    assert code(job_spec_name="x", integration="globex_orders") == (404, "not_found")
    person.open_sidebar("acme", 103)
    assert code(job_spec_name="escalate_vip_order") == (403, "manager_role_required")
    person.session_token = "none"
    assert code(job_spec_name="escalate_vip_order") == (401, "unauthenticated")


def test_the_commands_take_every_listed_name(admin: Admin) -> None:
    # A command's argument cannot hold a NUL.
    names = [name for name in listed_names(admin) if "\0" not in name]
    arguments = ["--account", "acme", "--integration", "acme_orders", "--json", "--", *names]
    answer = run(admin.app, "job-specs", "install", *arguments)
    assert answer.status == 0, answer.out
    assert {one["error"] for one in json.loads(answer.out)["changes"]} == {None}
    assert {name for _, name in admin.changes_sent()} == {
        qualified(name) for name in NAMES.values() if "\0" not in name
    }
