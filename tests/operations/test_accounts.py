"""`accounts`: what is stored of every account, without asking Zendesk."""

import time
from typing import Any

import pytest
from redis import Redis

from service.grants.grants import Grants
from service.ground.subdomains import Subdomain
from service.ground.timestamps import parse_timestamp
from service.store.vault import Vault
from tests.conftest import MakeAdmin, MakeApp
from tests.operations.console import run
from tests.steps import DIRECT, Admin, collaborator
from tests.stored_grants import change_grant

ACME = Subdomain("acme")
DAY_SECONDS = 86_400


def test_each_connected_account_is_a_line(admin: Admin) -> None:
    admin.connect("globex")
    answer = run(admin.app, "accounts")
    assert answer.status == 0
    key_id = collaborator(admin.app, Vault).key_ids[0]
    headings, acme, globex = (line.split() for line in answer.lines())
    assert headings == ["ACCOUNT", "STATE", "REASON", "AUTHORIZED", "BY", "ON", "DAYS", "LEFT", "KEY"]
    assert acme[:5] == ["acme", "connected", "-", "Ada", "Morgan"]
    assert acme[6:] == ["88", key_id]
    assert globex[:5] == ["globex", "connected", "-", "Finn", "Baker"]


def test_json_has_what_is_known_of_an_account_and_no_token(admin: Admin) -> None:
    grant = collaborator(admin.app, Grants).get(ACME)
    assert grant is not None
    answer = run(admin.app, "accounts", "--json")
    (acme,) = answer.json()["accounts"]
    assert (parse_timestamp(acme.pop("authorized_at")) or 0) == int(grant.authorized_at)
    assert (parse_timestamp(acme.pop("access_token_expires_at")) or 0) == int(grant.expires_at or 0)
    assert (parse_timestamp(acme.pop("refresh_token_expires_at")) or 0) == int(grant.refresh_token_expires_at or 0)
    assert acme == {
        "account": "acme",
        "state": "connected",
        "reason": None,
        "authorized_by": {"id": 101, "name": "Ada Morgan"},
        "scope": "read write",
        "refresh_token_days_left": 88,
        "key_id": collaborator(admin.app, Vault).key_ids[0],
        "allowed": True,
    }
    assert grant.access_token not in answer.out
    assert answer.err == ""


def test_zendesk_is_not_asked(admin: Admin) -> None:
    admin.simulator.world.clear_calls()
    run(admin.app, "accounts")
    assert admin.calls() == []


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({"dead": "grant_revoked"}, "grant_revoked"), ({"client_id": "another"}, "client_changed")],
    ids=["dead", "other client"],
)
def test_an_account_that_has_to_be_connected_again_says_why(fields: dict[str, Any], reason: str, admin: Admin) -> None:
    change_grant(admin, **fields)
    (acme,) = run(admin.app, "accounts", "--json").json()["accounts"]
    assert (acme["state"], acme["reason"]) == ("reauthorization_required", reason)


def test_a_grant_no_key_opens_is_named_with_its_key(admin: Admin, make_app: MakeApp) -> None:
    app = make_app(SECRET_KEYS="another-key-of-the-tests-0123456789abcdef")
    (acme,) = run(app, "accounts", "--json").json()["accounts"]
    assert (acme["state"], acme["reason"]) == ("reauthorization_required", "key_missing")
    assert (acme["authorized_by"], acme["refresh_token_days_left"]) == (None, None)
    assert acme["key_id"] == collaborator(admin.app, Vault).key_ids[0]
    assert "key_missing" in run(app, "accounts").out


@pytest.mark.parametrize(("expires_in_days", "left"), [(12.5, 12), (-3, 0), (None, None)])
def test_days_left_are_whole_and_not_negative(expires_in_days: float | None, left: int | None, admin: Admin) -> None:
    end = None if expires_in_days is None else time.time() + expires_in_days * DAY_SECONDS
    change_grant(admin, refresh_token_expires_at=end)
    (acme,) = run(admin.app, "accounts", "--json").json()["accounts"]
    assert acme["refresh_token_days_left"] == left


def test_who_authorized_is_shown_as_far_as_it_is_known(make_admin: MakeAdmin) -> None:
    admin = make_admin(**DIRECT)
    admin.switch(zis_token_on_api_v2="403", token_lifetime="never")
    admin.connect("acme")
    (acme,) = run(admin.app, "accounts", "--json").json()["accounts"]
    assert acme["authorized_by"] is None
    assert run(admin.app, "accounts").lines()[1].split()[3] == "-"


@pytest.mark.usefixtures("admin")
def test_an_account_that_was_taken_off_the_list_is_still_shown(make_app: MakeApp) -> None:
    app = make_app(ZENDESK_SUBDOMAINS="globex")
    assert run(app, "accounts", "--json").json()["accounts"][0]["allowed"] is False
    assert "acme (not in ZENDESK_SUBDOMAINS)" in run(app, "accounts").out


def test_nothing_connected_is_said(make_app: MakeApp, redis: Redis) -> None:
    redis.hset("zis:{acme}:grant", "mints", 0)
    answer = run(make_app(), "accounts")
    assert (answer.status, answer.out) == (0, "")
    assert "No account is connected" in answer.err
    assert run(make_app(), "accounts", "--json").json() == {"accounts": []}
