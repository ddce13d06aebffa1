"""Disconnecting: no token is left that works, and nothing is forgotten that could not be revoked."""

import time
from dataclasses import replace
from typing import Any

import pytest
import time_machine
from redis import Redis
from werkzeug.test import TestResponse

from service.grants.granted import Grant, Holdings, MintedToken
from service.grants.grants import Grants
from service.ground.subdomains import Subdomain
from service.store.activity import Activity
from tests.conftest import MakeAdmin
from tests.steps import DIRECT, ORDERS_ONLY, Admin, collaborator
from tests.stored_grants import change_grant
from tests.workers import meanwhile

ACME = Subdomain("acme")
GRANT = "zis:{acme}:grant"
LATER_SECONDS = 1801


def live(admin: Admin) -> dict[str, int]:
    return admin.simulator.world.account("acme").live_tokens()


def outcome(reply: TestResponse) -> tuple[int, str]:
    return reply.status_code, reply.get_json()["code"]


@pytest.fixture(params=["mint", "direct"])
def anybody(request: pytest.FixtureRequest, make_admin: MakeAdmin) -> Admin:
    """Acme's admin, connected, in either token mode."""
    person = make_admin(**(DIRECT if request.param == "direct" else {}))
    person.connect("acme")
    person.status()
    person.simulator.world.clear_calls()
    return person


# --- what is revoked ---


def test_no_token_is_left_that_works(anybody: Admin, redis: Redis) -> None:
    assert live(anybody)
    assert anybody.disconnect().get_json() == {"revoked": True}
    assert live(anybody) == {}
    assert not redis.exists(GRANT)
    deleted = [call.path for call in anybody.calls(method="DELETE")]
    assert all(path.rpartition("/")[2].isdecimal() for path in deleted)


def test_an_expired_access_token_is_refreshed_first(anybody: Admin) -> None:
    with time_machine.travel(time.time() + LATER_SECONDS, tick=True):
        anybody.open_sidebar()
        anybody.simulator.world.account("acme").expire_access_tokens(
            "zis_acme_orders" if len(live(anybody)) < 2 else "job_specs_sidebar"
        )
        assert anybody.disconnect().get_json() == {"revoked": True}
        assert live(anybody) == {}
    assert len(anybody.calls(grant_type="refresh_token")) == 1
    assert anybody.simulator.world.account("acme").tokens == {}


@pytest.mark.parametrize("age_seconds", [0, 120], ids=["young", "old"])
def test_an_access_token_that_zendesk_ended_early_is_refreshed_first(age_seconds: int, admin: Admin) -> None:
    admin.status()
    admin.simulator.world.account("acme").expire_access_tokens("job_specs_sidebar")
    with time_machine.travel(time.time() + age_seconds, tick=True):
        assert admin.disconnect().get_json() == {"revoked": True}
    assert live(admin) == {}
    assert len(admin.calls(grant_type="refresh_token")) == 1


@pytest.mark.parametrize("lifetime", ["expiring", "never"])
@pytest.mark.parametrize("age_seconds", [0, 120], ids=["young", "old"])
def test_a_grant_that_was_revoked_at_zendesk_leaves_no_minted_token(
    age_seconds: int, lifetime: str, make_admin: MakeAdmin, redis: Redis
) -> None:
    admin = make_admin()
    admin.switch(token_lifetime=lifetime)
    admin.connect("acme")
    admin.status()
    admin.simulator.world.account("acme").revoke_grants("job_specs_sidebar")
    assert set(live(admin)) == {"zis_acme_archive", "zis_acme_orders", "zis_acme_shipping"}
    with time_machine.travel(time.time() + age_seconds, tick=True):
        assert admin.disconnect().status_code == 200
    assert live(admin) == {}
    assert not redis.exists(GRANT)


def test_zendesks_word_that_there_is_no_record_of_a_token_counts_as_revoked(anybody: Admin, redis: Redis) -> None:
    anybody.meets({"where": "revoke", "kind": "http_404"})
    assert anybody.disconnect().get_json() == {"revoked": True}
    assert not redis.exists(GRANT)


def test_a_401_for_the_token_itself_counts_as_revoked(make_admin: MakeAdmin, redis: Redis) -> None:
    admin = make_admin(**DIRECT)
    admin.connect("acme")
    admin.status()
    admin.meets({"where": "revoke", "kind": "http_401_invalid_token"})
    assert admin.disconnect().get_json() == {"revoked": True}
    assert not redis.exists(GRANT)


def test_a_401_for_a_minted_token_that_the_registry_takes_proves_nothing(admin: Admin, redis: Redis) -> None:
    admin.status()
    admin.meets({"where": "revoke", "kind": "http_401_invalid_token"})
    assert outcome(admin.disconnect()) == (403, "scope_insufficient")
    assert redis.exists(GRANT)
    admin.simulator.world.account("acme").revoke_grants("zis_acme_orders")
    admin.simulator.world.account("acme").revoke_grants("zis_acme_archive")
    admin.simulator.world.account("acme").revoke_grants("zis_acme_shipping")
    assert admin.disconnect().get_json() == {"revoked": True}
    assert not redis.exists(GRANT)


@pytest.mark.parametrize("answer", ["401", "403", "404"])
def test_a_client_that_the_api_refuses_for_good_is_to_be_ended_in_admin_center(
    answer: str, make_admin: MakeAdmin, redis: Redis
) -> None:
    admin = make_admin(**DIRECT, MANAGER_USER_IDS="acme:101")
    admin.switch(zis_token_on_api_v2=answer)
    admin.connect("acme")
    admin.simulator.world.clear_calls()
    reply = admin.disconnect()
    assert outcome(reply) == (403, "scope_insufficient")
    assert "Admin Center" in reply.get_json()["detail"]
    assert redis.exists(GRANT)
    assert live(admin)
    # A 401 outside the registry starts no refresh here.
    assert admin.calls(grant_type="refresh_token") == []
    # Once it was ended there, the registry says so.
    admin.simulator.world.account("acme").revoke_grants()
    assert admin.disconnect().status_code == 200
    assert not redis.exists(GRANT)


def test_a_token_that_only_the_registry_takes_and_that_ended_early_is_refreshed_first(make_admin: MakeAdmin) -> None:
    admin = make_admin(**DIRECT, MANAGER_USER_IDS="acme:101")
    admin.switch(zis_token_on_api_v2="401")
    admin.connect("acme")
    admin.simulator.world.account("acme").expire_access_tokens()
    admin.switch(zis_token_on_api_v2="ok")
    assert admin.disconnect().get_json() == {"revoked": True}
    assert len(admin.calls(grant_type="refresh_token")) == 1
    assert live(admin) == {}
    assert admin.simulator.world.account("acme").tokens == {}


@pytest.mark.parametrize("answer", ["401", "403", "404"])
def test_a_minted_token_without_a_number_that_the_api_refuses_is_not_taken_for_revoked(
    answer: str, admin: Admin, redis: Redis
) -> None:
    grants = collaborator(admin.app, Grants)
    grant, minted = grants.with_minted(ACME, "acme_orders")
    assert grant is not None
    assert minted is not None
    grants.save_minted(ACME, grant.id, "acme_orders", minted, replace(minted, token_id=None))
    admin.switch(zis_token_on_api_v2=answer)
    assert outcome(admin.disconnect()) == (403, "scope_insufficient")
    assert redis.exists(GRANT)
    admin.simulator.world.account("acme").revoke_grants("zis_acme_orders")
    assert admin.disconnect().get_json() == {"revoked": True}
    assert live(admin) == {}


def test_a_revocation_without_effect_cannot_be_seen(anybody: Admin) -> None:
    # Zendesk answers 204, so there is nothing to tell it by.
    anybody.switch(revoke="no_effect")
    assert anybody.disconnect().get_json() == {"revoked": True}


def test_a_minted_token_whose_number_is_not_known_revokes_itself(admin: Admin, redis: Redis) -> None:
    grants = collaborator(admin.app, Grants)
    grant, minted = grants.with_minted(ACME, "acme_orders")
    assert grant is not None
    assert minted is not None
    grants.save_minted(ACME, grant.id, "acme_orders", minted, replace(minted, token_id=None))
    redis.hset(GRANT, "minted:acme_shipping", "sealed by nobody")
    assert admin.disconnect().get_json() == {"revoked": True}
    # Nobody can name the one that no key opens.
    assert set(live(admin)) == {"zis_acme_shipping"}


# --- what is not forgotten ---


@pytest.mark.parametrize(
    ("where", "fault", "expected"),
    [("all", {"kind": "reset"}, (502, "zendesk_unavailable")),
     ("all", {"kind": "http_503_html"}, (502, "zendesk_unavailable")),
     ("revoke", {"kind": "http_500_text"}, (502, "zendesk_unavailable")),
     ("revoke", {"kind": "reset"}, (502, "zendesk_unavailable")),
     ("revoke", {"kind": "http_403_scope"}, (403, "scope_insufficient")),
     ("revoke", {"kind": "oauth_error"}, (422, "zis_rejected")),
     ("revoke", {"kind": "oauth_error", "error": "InvalidEndpoint", "status": 404}, (422, "zis_rejected")),
     ("tokens", {"kind": "http_401_html"}, (502, "zendesk_unavailable")),
     ("tokens", {"kind": "http_404_html"}, (502, "zendesk_unavailable")),
     ("revoke", {"kind": "http_401_html"}, (502, "zendesk_unavailable")),
     ("revoke", {"kind": "http_403_html"}, (502, "zendesk_unavailable")),
     ("revoke", {"kind": "http_404_html"}, (502, "zendesk_unavailable")),
     ("revoke", {"kind": "html_200"}, (502, "zendesk_unavailable")),
     ("tokens", {"kind": "account_gone"}, (409, "account_gone")),
     ("revoke", {"kind": "account_gone"}, (409, "account_gone")),
     # Of several tokens the first alone, which is a minted one where there are such.
     ("revoke", {"kind": "oauth_error", "error": "InvalidEndpoint", "status": 404, "times": 1}, (422, "zis_rejected")),
     ("revoke", {"kind": "account_gone", "times": 1}, (409, "account_gone")),
     ("tokens", {"kind": "http_429", "retry_after": 9}, (429, "rate_limited"))],
    ids=["reset", "503", "revoke-500", "revoke-reset", "revoke-403", "revoke-400", "revoke-404", "401-html", "404-html",
         "revoke-401-html", "revoke-403-html", "revoke-404-html", "revoke-200-html", "gone", "revoke-gone", "one-404",
         "one-gone", "429"],
)  # fmt: skip
def test_where_zendesk_cannot_be_told_nothing_is_forgotten(
    where: str, fault: dict[str, Any], expected: tuple[int, str], anybody: Admin, redis: Redis
) -> None:
    anybody.meets({"where": where, **fault})
    assert outcome(anybody.disconnect()) == expected
    assert redis.exists(GRANT)
    anybody.meets()
    assert anybody.disconnect().get_json() == {"revoked": True}
    assert live(anybody) == {}


# --- what is just forgotten ---


def test_a_dead_grant_is_just_forgotten(anybody: Admin, redis: Redis) -> None:
    change_grant(anybody, dead="grant_revoked")
    assert anybody.disconnect().get_json() == {"revoked": False}
    assert not redis.exists(GRANT)
    assert anybody.calls(grant_type="refresh_token") == []
    assert anybody.status()["connection"]["state"] == "not_connected"


@pytest.mark.parametrize("kind", ["http_403_html", "account_gone"])
def test_another_clients_grant_is_not_forgotten_while_its_token_may_live(
    kind: str, make_admin: MakeAdmin, admin: Admin, redis: Redis
) -> None:
    other = make_admin(ZENDESK_CLIENT_ID="another", MANAGER_USER_IDS="acme:101")
    other.open_sidebar()
    other.meets({"where": "revoke", "kind": kind})
    assert other.disconnect().status_code in {409, 502}
    assert redis.exists(GRANT)
    other.meets()
    assert other.disconnect().get_json() == {"revoked": False}
    assert live(admin) == {}
    assert not redis.exists(GRANT)


def test_a_grant_that_is_found_dead_while_the_manager_is_looked_up_is_forgotten_too(admin: Admin, redis: Redis) -> None:
    admin.status()
    change_grant(admin, obtained_at=time.time() - 1900, expires_at=time.time() - 100)
    admin.simulator.world.account("acme").revoke_grants("job_specs_sidebar")
    with time_machine.travel(time.time() + 400, tick=True):
        # Zendesk's word on the manager is older than five minutes, and can no longer be had.
        assert admin.disconnect().get_json() == {"revoked": False}
    assert live(admin) == {}
    assert not redis.exists(GRANT)


def test_a_grant_no_key_opens_is_just_forgotten(make_admin: MakeAdmin, admin: Admin, redis: Redis) -> None:
    other = make_admin(SECRET_KEYS="another-key-of-the-tests-0123456789abcdef", MANAGER_USER_IDS="acme:101")
    other.open_sidebar()
    admin.simulator.world.clear_calls()
    assert other.disconnect().get_json() == {"revoked": False}
    assert not redis.exists(GRANT)
    assert admin.calls() == []


def test_not_connected_has_nothing_to_revoke(make_admin: MakeAdmin) -> None:
    admin = make_admin()
    admin.open_sidebar("acme", 102)
    admin.simulator.world.clear_calls()
    assert admin.disconnect().get_json() == {"revoked": False}
    assert admin.calls() == []


@pytest.mark.parametrize("query", ["?uninstall=yes", "?force=true", "?uninstall=true&uninstall=true"])
def test_an_unknown_or_unreadable_parameter_is_refused(query: str, anybody: Admin) -> None:
    assert outcome(anybody.disconnect(query)) == (400, "invalid_request")
    assert live(anybody)


# --- job specs ---


def installed(admin: Admin) -> int:
    integrations = admin.simulator.world.account("acme").integrations.values()
    return sum(spec.installed for integration in integrations for spec in integration.job_specs)


@pytest.mark.parametrize("query", ["", "?uninstall=false"])
def test_job_specs_stay_installed(query: str, admin: Admin) -> None:
    admin.disconnect(query)
    assert installed(admin) == 54
    assert admin.changes_sent() == []


def test_uninstall_uninstalls_everything_first(admin: Admin) -> None:
    assert admin.disconnect("?uninstall=true").get_json() == {"revoked": True}
    assert installed(admin) == 0
    assert live(admin) == {}
    assert len(admin.changes_sent()) == 54
    assert {method for method, _ in admin.changes_sent()} == {"DELETE"}
    admin.connect("acme")
    assert admin.job_specs("?installed=true")["job_specs"] == []


def test_uninstall_stops_at_the_first_failure_and_goes_on_when_repeated(admin: Admin, redis: Redis) -> None:
    admin.meets({"where": "change", "kind": "http_500_zis", "every": 20})
    assert outcome(admin.disconnect("?uninstall=true")) == (502, "zendesk_unavailable")
    assert len(admin.changes_sent()) < 30
    assert redis.exists(GRANT)
    assert live(admin)
    left = installed(admin)
    assert 0 < left < 54
    assert len(admin.job_specs("?installed=true")["job_specs"]) == left
    admin.meets()
    assert admin.disconnect("?uninstall=true").get_json() == {"revoked": True}
    assert installed(admin) == 0


@pytest.mark.parametrize("kind", ["http_404", "http_404_text"])
def test_a_404_to_an_uninstall_counts_only_where_the_list_says_the_same(kind: str, make_admin: MakeAdmin) -> None:
    admin = make_admin(**ORDERS_ONLY)
    admin.connect("acme")
    before = installed(admin)
    admin.meets({"where": "change", "kind": kind})
    assert outcome(admin.disconnect("?uninstall=true")) == (502, "zendesk_unavailable")
    assert installed(admin) == before
    assert live(admin)
    results = [entry["result"] for entry in collaborator(admin.app, Activity).latest(ACME)]
    assert results.count("ok") == 1, "only that it was connected"
    admin.meets({"where": "change", "kind": kind, "after_effect": True})
    assert admin.disconnect("?uninstall=true").get_json() == {"revoked": True}
    assert installed(admin) < before


@pytest.mark.parametrize(
    ("integration", "kind"),
    # The second's list goes on after its first page, and does not say where.
    [("acme_orders", "http_500_zis"), ("acme_archive", "repeat_cursor")],
    ids=["a list fails", "a part of a list"],
)
def test_uninstall_begins_only_if_every_list_can_be_had_as_a_whole(integration: str, kind: str, admin: Admin) -> None:
    admin.job_specs()
    admin.meets({"where": f"registry:{integration}", "kind": kind})
    assert outcome(admin.disconnect("?uninstall=true")) == (502, "zendesk_unavailable")
    assert admin.changes_sent() == []
    assert live(admin)


def test_uninstall_that_has_no_time_left_says_so(admin: Admin) -> None:
    admin.status()
    late = {"X-Request-Start": f"{time.time() - 22.7:.3f}"}
    reply = admin.call("DELETE", "/connection?uninstall=true", headers=late)
    assert outcome(reply) == (504, "zendesk_timeout")
    assert live(admin)


def test_uninstall_passes_over_integrations_with_nothing_installed(make_admin: MakeAdmin) -> None:
    admin = make_admin(ZIS_INTEGRATIONS="{subdomain}_orders,{subdomain}_shipping")
    admin.connect("acme")
    admin.uninstall("track_parcel")
    admin.simulator.world.clear_calls()
    assert admin.disconnect("?uninstall=true").get_json() == {"revoked": True}
    assert len(admin.changes_sent()) == 3


def test_uninstall_of_a_dead_grant_asks_to_connect(admin: Admin, redis: Redis) -> None:
    admin.status()
    change_grant(admin, dead="grant_revoked")
    assert outcome(admin.disconnect("?uninstall=true")) == (409, "authorization_required")
    assert redis.exists(GRANT)


# --- beside other work ---


@pytest.mark.parametrize("after_effect", [False, True], ids=["before its effect", "after its effect"])
def test_a_disconnect_during_a_refresh_leaves_no_live_token(after_effect: bool, admin: Admin, redis: Redis) -> None:
    admin.status()
    with time_machine.travel(time.time() + 1700, tick=True):
        admin.open_sidebar()
        # Stale: one caller refreshes, the others still use it.
        admin.meets({"where": "token", "kind": "hold", "after_effect": after_effect})
        with meanwhile(admin.status):
            admin.simulator.world.wait_until_held(1)
            with meanwhile(admin.disconnect) as gone:
                admin.simulator.world.wait_until_held(1)
                admin.simulator.release()
        assert gone[0].status_code == 200, gone[0].text
        assert live(admin) == {}
        assert not redis.exists(GRANT)
        assert admin.status()["connection"]["state"] == "not_connected"


@pytest.mark.parametrize("after_effect", [False, True], ids=["before its effect", "after its effect"])
def test_a_disconnect_during_a_mint_leaves_no_live_token(after_effect: bool, admin: Admin, redis: Redis) -> None:
    admin.status()
    redis.hdel(GRANT, "minted:acme_orders")
    admin.simulator.world.account("acme").revoke_grants("zis_acme_orders")
    admin.meets({"where": "mint", "kind": "hold", "after_effect": after_effect})
    with meanwhile(lambda: admin.list_fresh("?integration=acme_orders")) as listed:
        admin.simulator.world.wait_until_held(1)
        assert admin.disconnect().get_json() == {"revoked": True}
        admin.simulator.release()
    assert listed[0].status_code in {409, 502}
    admin.settle()
    assert live(admin) == {}
    assert not redis.exists(GRANT)


def test_two_disconnects_at_once_are_both_well(admin: Admin, redis: Redis) -> None:
    admin.status()
    admin.meets({"where": "tokens", "kind": "hold", "times": 1})
    with meanwhile(admin.disconnect) as first:
        admin.simulator.world.wait_until_held(1)
        assert admin.disconnect().get_json() == {"revoked": True}
        admin.simulator.release()
    assert first[0].get_json() == {"revoked": False}
    assert live(admin) == {}
    assert not redis.exists(GRANT)


def test_tokens_that_change_all_the_time_are_an_error_in_the_end(admin: Admin, redis: Redis) -> None:
    admin.status()
    # No honest writer does this: the count differs from what is read back as a number.
    redis.hset(GRANT, "mints", "+3")
    assert outcome(admin.disconnect()) == (502, "zendesk_unavailable")
    assert redis.exists(GRANT)


def test_what_was_minted_between_revoking_and_forgetting_is_revoked_and_does_not_unsay_it(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    grants = collaborator(admin.app, Grants)
    forget, seen = grants.forget, list[Grant]()

    def forget_after_a_mint(account: Subdomain, held: Holdings) -> bool:
        if not seen:
            grant = grants.get(account)
            assert grant is not None
            seen.append(grant)
            late = MintedToken("late", 4711, time.time(), None)
            assert grants.save_minted(account, grant.id, "acme_late", None, late)
        return forget(account, held)

    monkeypatch.setattr(grants, "forget", forget_after_a_mint)
    reply = admin.disconnect()
    assert (reply.status_code, reply.get_json()) == (200, {"revoked": True})
    assert grants.get(ACME) is None
    assert live(admin) == {}
    assert admin.calls("/tokens/4711", method="DELETE") != []
    # It was ended by us, and nobody is told that Zendesk did.
    assert [call.path for call in admin.simulator.world.calls(grant_type="refresh_token")] == []
