"""People, clients, tokens and the public key below /api/v2."""

from typing import Any

import pytest

from sandbox.simulator import APP_ID, public_key_pem
from tests.sandbox.visitor import Visitor

ZIS_CLIENT = "zis_acme_orders"


def client_id(acme: Visitor, identifier: str = ZIS_CLIENT) -> int:
    return acme.account.clients[identifier].id


def mint(acme: Visitor, bearer: str, identifier: str = ZIS_CLIENT) -> dict[str, Any]:
    body = {"token": {"client_id": client_id(acme, identifier), "scopes": ["read", "write"]}}
    reply = acme.call("POST", "/api/v2/oauth/tokens", bearer, json=body)
    assert reply.status_code == 201, reply.text
    token: dict[str, Any] = reply.json()["token"]
    return token


@pytest.mark.parametrize("path", ["me", "me.json", "101", "101.json"])
def test_a_person_is_shown_with_role_and_real_url(acme: Visitor, path: str) -> None:
    user = acme.call("GET", f"/api/v2/users/{path}", acme.token()).json()["user"]
    assert (user["id"], user["role"], user["suspended"]) == (101, "admin", False)
    assert user["url"] == "https://acme.zendesk.com/api/v2/users/101.json"


def test_people_of_other_accounts_are_unknown(acme: Visitor) -> None:
    assert acme.call("GET", "/api/v2/users/201", acme.token()).status_code == 404


def test_without_a_live_token_there_is_nothing(acme: Visitor) -> None:
    for token in (None, "nonsense"):
        reply = acme.call("GET", "/api/v2/users/me", token)
        assert (reply.status_code, reply.json()["error"]) == (401, "invalid_token")


def test_role_changes_show_at_once(acme: Visitor) -> None:
    token = acme.token()
    acme.account.set_user(101, role="agent")
    assert acme.call("GET", "/api/v2/users/me", token).json()["user"]["role"] == "agent"
    assert acme.call("GET", "/api/v2/oauth/clients", token).status_code == 403
    acme.account.delete_user(101)
    assert acme.call("GET", "/api/v2/users/me", token).status_code == 401


def test_clients_come_in_pages_and_the_zis_clients_on_the_last(acme: Visitor) -> None:
    token, after, pages = acme.token(), "", []
    while True:
        query = {"page[size]": "100"} | ({"page[after]": after} if after else {})
        answer = acme.call("GET", "/api/v2/oauth/clients", token, params=query).json()
        pages.append([client["identifier"] for client in answer["clients"]])
        if not answer["meta"]["has_more"]:
            break
        after = answer["meta"]["after_cursor"]
        assert answer["links"]["next"].startswith("https://acme.zendesk.com/")
    assert [len(page) for page in pages] == [100, 24]
    assert ZIS_CLIENT in pages[-1]


def test_clients_page_by_offset_too(acme: Visitor) -> None:
    answer = acme.call("GET", "/api/v2/oauth/clients.json?page=2", acme.token()).json()
    assert (answer["count"], len(answer["clients"]), answer["next_page"]) == (124, 24, None)


def test_secrets_of_clients_are_cut(acme: Visitor) -> None:
    client = acme.call("GET", f"/api/v2/oauth/clients/{client_id(acme)}", acme.token()).json()["client"]
    assert len(client["secret"]) == 9
    assert isinstance(client["redirect_uri"], list)


def test_the_redirect_list_of_a_zis_client_can_be_put(acme: Visitor) -> None:
    acme.account.switches.zis_redirects = "missing"
    token, path = acme.token(), f"/api/v2/oauth/clients/{client_id(acme)}"
    before = acme.call("GET", path, token).json()["client"]["redirect_uri"]
    wanted = [*before, "http://localhost:9001/oauth/callback"]
    assert (
        acme.call("PUT", path, token, json={"client": {"redirect_uri": wanted}}).json()["client"]["redirect_uri"]
        == wanted
    )
    assert acme.code(ZIS_CLIENT)
    acme.account.switches.zis_redirects = "put_refused"
    assert acme.call("PUT", path, token, json={"client": {"redirect_uri": []}}).status_code == 403


def test_a_minted_token_lasts_and_is_shown_whole_once(acme: Visitor) -> None:
    bearer = acme.token()
    minted = mint(acme, bearer)
    assert minted["expires_at"] is None
    assert minted["token"] == minted["full_token"][:10]
    current = acme.call("GET", "/api/v2/oauth/tokens/current", minted["full_token"]).json()["token"]
    assert current["id"] == minted["id"]
    assert "full_token" not in current


@pytest.mark.parametrize("client", [ZIS_CLIENT, 1, None, True])
def test_only_the_number_of_a_client_mints(acme: Visitor, client: object) -> None:
    reply = acme.call("POST", "/api/v2/oauth/tokens", acme.token(), json={"token": {"client_id": client}})
    assert reply.status_code == 422


def test_minted_tokens_expire_on_demand(acme: Visitor) -> None:
    bearer = acme.token()
    acme.account.switches.mint = "expiring"
    assert mint(acme, bearer)["expires_at"].endswith("Z")
    acme.account.switches.mint = "expiring_unsaid"
    minted = mint(acme, bearer)
    assert "expires_at" not in minted
    current = acme.call("GET", "/api/v2/oauth/tokens/current", minted["full_token"]).json()["token"]
    assert current["expires_at"].endswith("Z")
    acme.account.switches.mint = "missing"
    assert acme.call("POST", "/api/v2/oauth/tokens", bearer, json={}).status_code == 404


def test_only_admins_mint(acme: Visitor) -> None:
    body = {"token": {"client_id": client_id(acme), "scopes": ["read"]}}
    assert acme.call("POST", "/api/v2/oauth/tokens", acme.token(user_id=102), json=body).status_code == 403


def test_tokens_are_revoked_by_id_and_by_themselves(acme: Visitor) -> None:
    pair = acme.grant()
    minted = mint(acme, pair["access_token"])
    assert acme.call("DELETE", f"/api/v2/oauth/tokens/{minted['id']}", pair["access_token"]).status_code == 204
    assert acme.call("GET", "/api/v2/oauth/tokens/current", minted["full_token"]).status_code == 401
    assert acme.call("DELETE", f"/api/v2/oauth/tokens/{minted['id']}", pair["access_token"]).status_code == 404
    assert acme.call("DELETE", "/api/v2/oauth/tokens/current", pair["access_token"]).status_code == 204
    assert acme.refresh(pair["refresh_token"]).json()["error"] == "invalid_grant"


def test_revoking_may_spare_the_refresh_token_or_do_nothing(acme: Visitor) -> None:
    acme.account.switches.revoke = "no_effect"
    pair = acme.grant()
    assert acme.call("DELETE", "/api/v2/oauth/tokens/current", pair["access_token"]).status_code == 204
    assert acme.call("GET", "/api/v2/users/me", pair["access_token"]).ok
    acme.account.switches.revoke = "access_only"
    assert acme.call("DELETE", "/api/v2/oauth/tokens/current", pair["access_token"]).status_code == 204
    assert acme.call("GET", "/api/v2/users/me", pair["access_token"]).status_code == 401
    assert acme.refresh(pair["refresh_token"]).ok


def test_a_foreign_token_is_shown_to_its_owner_and_admins_only(acme: Visitor) -> None:
    admin, agent = acme.token(), acme.token(user_id=102)
    number = next(token.id for token in acme.account.tokens.values() if token.user_id == 101)
    assert acme.call("GET", f"/api/v2/oauth/tokens/{number}", agent).status_code == 403
    assert len(acme.call("GET", "/api/v2/oauth/tokens?all=true", admin).json()["tokens"]) == 2
    assert len(acme.call("GET", "/api/v2/oauth/tokens?all=true", agent).json()["tokens"]) == 1


@pytest.mark.parametrize(("value", "status"), [("ok", 200), ("401", 401), ("403", 403), ("404", 404)])
def test_whether_a_zis_token_works_here_is_a_switch(acme: Visitor, value: str, status: int) -> None:
    acme.account.switches.zis_token_on_api_v2 = value
    assert acme.call("GET", "/api/v2/users/me", acme.token(ZIS_CLIENT)).status_code == status
    assert acme.call("GET", "/api/v2/users/me", acme.token()).status_code == 200


def test_too_small_a_scope_is_a_403(acme: Visitor) -> None:
    acme.account.switches.granted_scope = "write"
    reply = acme.call("GET", "/api/v2/users/me", acme.token())
    assert (reply.status_code, reply.json()["error"]) == (403, "insufficient_scope")


@pytest.mark.parametrize("name", ["public_key", "public_key.pem"])
def test_the_public_key_is_open_to_all(acme: Visitor, name: str) -> None:
    assert acme.call("GET", f"/api/v2/apps/{APP_ID}/{name}").text == public_key_pem()
    assert acme.call("GET", f"/api/v2/apps/1/{name}").status_code == 404
