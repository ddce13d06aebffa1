"""The consent page and the token endpoint behave as Zendesk's do."""

from typing import Any

import pytest

from sandbox.simulator import CLIENT_ID, CLIENT_SECRET, Simulator
from tests.sandbox.visitor import REDIRECT_URI, VERIFIER, Visitor, query_of

ZIS_CLIENT = "zis_acme_orders"


def test_allow_redirects_with_a_code_and_the_state(acme: Visitor) -> None:
    location = acme.sim.consent(acme.authorization_url())
    assert location.startswith(REDIRECT_URI)
    assert set(query_of(location)) == {"code", "state"}
    assert query_of(location)["state"] == "a-state"


def test_deny_redirects_with_access_denied(acme: Visitor) -> None:
    answer = query_of(acme.sim.consent(acme.authorization_url(), decision="deny"))
    assert answer["error"] == "access_denied"
    assert answer["state"] == "a-state"


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "nobody"},
        {"client_id": "10010001"},
        {"redirect_uri": REDIRECT_URI + "/"},
        {"redirect_uri": None},
        {"response_type": "token"},
        {"code_challenge_method": "plain"},
    ],
    ids=str,
)
def test_a_bad_request_ends_on_a_page(acme: Visitor, changes: dict[str, Any]) -> None:
    reply = acme.http.get(acme.authorization_url(**changes), timeout=60, allow_redirects=False)
    assert reply.status_code == 400
    assert "Invalid Authorization Request" in reply.text


def test_the_consent_page_preselects_who_opened_the_workspace(acme: Visitor) -> None:
    acme.sim.sign("acme", 105)
    page = acme.http.get(acme.authorization_url(), timeout=60).text
    assert '<option value="105" selected>' in page
    assert '<option value="104" disabled>' in page


def test_a_suspended_person_cannot_consent(acme: Visitor) -> None:
    with pytest.raises(ValueError, match="403"):
        acme.sim.consent(acme.authorization_url(), 104)


def test_the_opener_is_cut_on_demand(acme: Visitor) -> None:
    acme.account.switches.opener = "lost"
    reply = acme.http.get(acme.authorization_url(), timeout=60)
    assert reply.headers["Cross-Origin-Opener-Policy"] == "same-origin"


def test_a_code_is_good_once(acme: Visitor) -> None:
    code = acme.code()
    first, second = acme.exchange(code), acme.exchange(code)
    assert first.status_code == 200
    assert first.json()["scope"] == "read write"
    assert (second.status_code, second.json()["error"]) == (400, "invalid_grant")


def test_a_code_dies_after_two_minutes(acme: Visitor) -> None:
    code = acme.code()
    acme.account.codes[code].issued_at -= 121
    assert acme.exchange(code).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "fields", [{"code_verifier": "another"}, {"code_verifier": None}, {"redirect_uri": "http://x"}]
)
def test_what_does_not_fit_the_code_is_refused(acme: Visitor, fields: dict[str, Any]) -> None:
    assert acme.exchange(acme.code(), **fields).json()["error"] == "invalid_grant"


def test_a_code_of_another_account_is_unknown(acme: Visitor, sim: Simulator) -> None:
    with Visitor(sim, "globex") as globex:
        assert globex.exchange(acme.code()).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "fields",
    [{"client_secret": "wrong"}, {"client_secret": None}, {"client_id": "10010001"}, {"client_id": None}],
    ids=str,
)
def test_bad_credentials_are_invalid_client(acme: Visitor, fields: dict[str, Any]) -> None:
    reply = acme.exchange(acme.code(), **fields)
    assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client")


def test_json_and_basic_work_too(acme: Visitor) -> None:
    body = {"grant_type": "authorization_code", "redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER}
    as_json = body | {"code": acme.code(), "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "expires_in": 600}
    assert acme.call("POST", "/oauth/tokens", json=as_json).json()["expires_in"] == 600
    basic = (CLIENT_ID, CLIENT_SECRET)
    assert acme.call("POST", "/oauth/tokens", data=body | {"code": acme.code()}, auth=basic).ok
    both = acme.call("POST", "/oauth/tokens", data=body | {"client_secret": CLIENT_SECRET}, auth=basic)
    assert both.json()["error"] == "invalid_client"


def test_a_refresh_ends_the_old_pair_and_a_reused_token_harms_nobody(acme: Visitor) -> None:
    old = acme.grant()
    new = acme.refresh(old["refresh_token"]).json()
    assert acme.call("GET", "/api/v2/users/me", old["access_token"]).json()["error"] == "invalid_token"
    assert acme.refresh(old["refresh_token"]).json()["error"] == "invalid_grant"
    assert acme.call("GET", "/api/v2/users/me", new["access_token"]).ok
    assert acme.refresh(new["refresh_token"]).ok


def test_lifetimes_are_honoured_and_expires_in_echoed_only_if_asked(acme: Visitor) -> None:
    silent, asked = acme.grant(), acme.grant(expires_in=600, refresh_token_expires_in=7_689_600)
    assert "expires_in" not in silent
    assert silent["refresh_token_expires_in"] == 2_592_000
    assert (asked["expires_in"], asked["refresh_token_expires_in"]) == (600, 7_689_600)
    token = max(acme.account.tokens.values(), key=lambda one: one.id)
    assert token.expires_at == token.created_at + 600


@pytest.mark.parametrize("fields", [{"expires_in": 299}, {"expires_in": 172_801}, {"refresh_token_expires_in": 5}])
def test_lifetimes_out_of_bounds_are_refused(acme: Visitor, fields: dict[str, Any]) -> None:
    assert acme.exchange(acme.code(), **fields).json()["error"] == "invalid_request"


@pytest.mark.parametrize(
    ("switches", "absent"),
    [
        ({"token_lifetime": "never"}, ["expires_in", "refresh_token", "refresh_token_expires_in"]),
        ({"expires_in": "never"}, ["expires_in"]),
        ({"scope_in_answers": "absent"}, ["scope"]),
    ],
    ids=str,
)
def test_what_answers_leave_out(acme: Visitor, switches: dict[str, str], absent: list[str]) -> None:
    acme.account.switches.set(switches)
    answer = acme.grant(expires_in=1800)
    assert not set(absent) & set(answer)


def test_what_is_missing_may_be_there_as_null(acme: Visitor) -> None:
    acme.account.switches.set({"expires_in": "null"})
    answer = acme.grant(expires_in=1800)
    assert answer["expires_in"] is None
    assert answer["refresh_token"]
    acme.account.switches.set({"token_lifetime": "never"})
    answer = acme.grant(expires_in=1800)
    assert (answer["refresh_token"], answer["refresh_token_expires_in"]) == (None, None)


def test_an_access_token_may_be_as_long_as_a_jwt(acme: Visitor) -> None:
    acme.account.switches.set({"token_form": "jwt"})
    token = acme.token()
    assert 3900 < len(token) <= 4096
    assert token.count(".") == 2
    assert acme.call("GET", "/api/v2/users/me", token).ok


def test_custom_lifetimes_and_status(acme: Visitor) -> None:
    acme.account.switches.set({"token_lifetime": "custom", "custom_access_seconds": 2, "expires_in": "always"})
    acme.account.switches.token_status = 201
    reply = acme.exchange(acme.code())
    assert (reply.status_code, reply.json()["expires_in"]) == (201, 2)


def test_unknown_scopes_vanish_or_are_refused(acme: Visitor) -> None:
    assert acme.exchange(acme.code(scope="read write tea")).json()["scope"] == "read write"
    acme.account.switches.unknown_scope = "invalid_scope"
    assert acme.exchange(acme.code(scope="read tea")).json()["error"] == "invalid_scope"


def test_a_smaller_scope_can_be_granted(acme: Visitor) -> None:
    acme.account.switches.granted_scope = "read"
    assert acme.grant()["scope"] == "read"


def test_client_credentials_are_for_ordinary_clients(acme: Visitor) -> None:
    reply = acme.post_token(grant_type="client_credentials", scope="read write")
    assert reply.ok
    assert "refresh_token" not in reply.json()
    assert acme.post_token(ZIS_CLIENT, grant_type="client_credentials").json()["error"] == "invalid_client"


def test_other_grant_types_are_refused(acme: Visitor) -> None:
    assert acme.post_token(grant_type="password").json()["error"] == "unsupported_grant_type"


def test_a_zis_client_authorizes_only_if_our_redirect_is_in_its_list(acme: Visitor) -> None:
    assert acme.grant(ZIS_CLIENT)["access_token"]
    acme.account.switches.zis_redirects = "missing"
    with pytest.raises(ValueError, match="Invalid redirect URI"):
        acme.code(ZIS_CLIENT)


def test_a_lost_refresh_answer_has_taken_effect(acme: Visitor) -> None:
    pair = acme.grant()
    acme.account.switches.refresh = "answer_lost"
    with pytest.raises(OSError, match=r"reset|aborted"):
        acme.refresh(pair["refresh_token"])
    acme.account.switches.refresh = "normal"
    assert acme.refresh(pair["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_refresh_may_end_the_refreshing(acme: Visitor) -> None:
    pair = acme.grant()
    acme.account.switches.refresh = "no_new_refresh_token"
    assert "refresh_token" not in acme.refresh(pair["refresh_token"]).json()


def test_a_refresh_token_may_stay_the_same(acme: Visitor) -> None:
    pair = acme.grant()
    acme.account.switches.refresh = "same_refresh_token"
    for _ in range(2):
        answer = acme.refresh(pair["refresh_token"]).json()
        assert "refresh_token" not in answer
        assert acme.call("GET", "/api/v2/users/me", answer["access_token"]).ok
    assert acme.call("GET", "/api/v2/users/me", pair["access_token"]).status_code == 401
    assert acme.account.revoke_grants() == 1
    assert acme.refresh(pair["refresh_token"]).json()["error"] == "invalid_grant"


def test_expired_and_revoked_grants(acme: Visitor) -> None:
    pair = acme.grant()
    assert acme.account.expire_access_tokens() == 1
    assert acme.call("GET", "/api/v2/users/me", pair["access_token"]).status_code == 401
    pair = acme.refresh(pair["refresh_token"]).json()
    assert acme.account.revoke_grants() == 1
    assert acme.refresh(pair["refresh_token"]).json()["error"] == "invalid_grant"
