"""Two groups of processes on one store, as two machines behind one address."""

import pytest

from tests.faults.live_admin import refusal
from tests.faults.store_faults import Site
from tests.workers import at_once

pytestmark = pytest.mark.faults

SPEC = "zis:acme_orders:job_spec:escalate_vip_order"


def test_two_groups_refresh_and_list_once(site: Site) -> None:
    admin = site.connected()
    site.expire()
    replies = at_once(40, lambda number: admin.call("GET", "/job_specs", on=site.groups[number % 2]))
    assert {reply.status_code for reply in replies} == {200}
    assert site.refreshes() == len(site.lists_asked()) == 1


def test_what_one_group_does_the_other_knows_at_once(site: Site) -> None:
    admin = site.admin()
    page = admin.come_back(admin.consented(), on=site.two)
    assert page.status_code == 200, page.text
    admin.open_sidebar()
    for service in site.groups:
        assert admin.connection(service) == ("connected", None)
        assert admin.call("GET", "/job_specs", on=service).status_code == 200
    assert admin.install(SPEC, site.two).status_code == 200
    rows = admin.call("GET", "/job_specs", on=site.one).json()["job_specs"]
    assert [row["installed"] for row in rows if row["qualified_name"] == SPEC] == [True]
    assert admin.disconnect(site.two).json() == {"revoked": True}
    assert admin.connection(site.one) == ("not_connected", None)
    assert refusal(admin.list_fresh(site.one)) == (409, "authorization_required")
