"""The registry over HTTP, end to end; the rules of its pages, names and refusals are in `tests/unit`."""

import pytest

from tests.conftest import MakeAdmin
from tests.steps import Admin

ARCHIVE = "?integration=acme_archive"


@pytest.fixture
def admin(make_admin: MakeAdmin) -> Admin:
    """Acme's admin, connected, on a service that keeps no lists."""
    person = make_admin(LIST_CACHE_SECONDS="0")
    person.connect("acme")
    person.simulator.world.clear_calls()
    return person


def test_every_page_is_read_with_the_largest_size(admin: Admin) -> None:
    listed = [spec["name"] for spec in admin.job_specs(ARCHIVE)["job_specs"]]
    assert listed == [f"archive_form_{number:03}" for number in range(1, 251)]
    calls = admin.calls("/registry/acme_archive/job_specs")
    assert [call.query for call in calls] == [("page[size]",), *[("page[size]", "page[after]")] * 2]
    assert {call.token_client for call in calls} == {"zis_acme_archive"}


def test_a_cursor_that_repeats_is_an_error(admin: Admin) -> None:
    admin.switch(paging="repeat_cursor")
    reply = admin.call("GET", "/job_specs?integration=acme_orders")
    assert (reply.status_code, reply.get_json()["code"]) == (502, "zendesk_unavailable")
    assert admin.lists_asked() == 2
