"""The control surface does over HTTP what Python can do, and explains itself."""

from typing import Any

import pytest
import requests

from sandbox.simulator import Simulator
from tests.sandbox.visitor import Visitor


def control(sim: Simulator, method: str, path: str, body: object = None) -> requests.Response:
    return requests.request(method, f"{sim.address}/_sim{path}", json=body, timeout=60)


def test_it_lists_routes_switches_faults_and_actions(sim: Simulator) -> None:
    about: dict[str, Any] = control(sim, "GET", "/").json()
    assert any(route.startswith("POST   /_sim/sign") for route in about["routes"])
    assert about["switches"]["refresh"]["values"][0] == about["switches"]["refresh"]["default"] == "normal"
    assert "hang" in about["faults"]["kind"]
    assert "expire_access_tokens" in about["actions"]


def test_every_switch_defaults_to_its_first_value(sim: Simulator) -> None:
    for name, switch in control(sim, "GET", "/").json()["switches"].items():
        assert switch["values"] is None or switch["values"][0] == switch["default"], name


def test_an_account_is_shown_without_secrets(acme: Visitor) -> None:
    pair = acme.grant()
    shown = control(acme.sim, "GET", "/accounts/acme")
    assert shown.json()["live_tokens"] == {"job_specs_sidebar": 1}
    assert [len(one["job_specs"]) for one in shown.json()["integrations"]] == [6, 4, 250]
    assert pair["access_token"] not in shown.text
    assert "secret-of" not in shown.text
    assert [one["subdomain"] for one in control(acme.sim, "GET", "/accounts").json()["accounts"]] == [
        "acme",
        "globex",
        "initech",
    ]


def test_switches_are_set_all_or_none(acme: Visitor) -> None:
    assert control(acme.sim, "PATCH", "/accounts/acme/switches", {"mint": "missing"}).json()["switches"]["mint"]
    assert acme.account.switches.mint == "missing"
    wrongs: list[object] = [{"mint": "lasting", "nothing": 1}, {"mint": "lasting", "refresh": "sometimes"}, ["mint"]]
    for wrong in wrongs:
        refused = control(acme.sim, "PATCH", "/accounts/acme/switches", wrong)
        assert refused.status_code == 400
        assert refused.json()["error"]
    assert acme.account.switches.mint == "missing"


def test_faults_are_replaced(acme: Visitor) -> None:
    faults = [{"where": "users", "kind": "http_404", "times": 1}]
    shown = control(acme.sim, "PUT", "/accounts/acme/faults", faults).json()["faults"]
    assert shown[0]["struck"] == 0
    assert acme.call("GET", "/api/v2/users/me").status_code == 404
    # What was shown can be put back, counters included.
    again = control(acme.sim, "GET", "/accounts/acme").json()["faults"]
    assert again[0]["struck"] == 1
    assert control(acme.sim, "PUT", "/accounts/acme/faults", again).json()["faults"][0]["struck"] == 0
    wrongs: list[object] = [{}, [1], [{"where": "users"}], [{"where": "users", "kind": "slow", "more": 1}]]
    for wrong in wrongs:
        assert control(acme.sim, "PUT", "/accounts/acme/faults", wrong).status_code == 400


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("expire_access_tokens", {}),
        ("revoke_grants", {"client": "job_specs_sidebar"}),
        ("set_user", {"user_id": 101, "role": "agent"}),
        ("delete_user", {"user_id": 105}),
        ("upload_bundle", {"integration": "acme_orders"}),
        ("set_job_specs", {"integration": "acme_orders", "count": 42}),
        ("register_integration", {"integration": "acme_new"}),
        ("unregister_integration", {"integration": "acme_archive"}),
        ("rename", {"to": "acme-new"}),
        ("release", {}),
    ],
)
def test_actions(acme: Visitor, name: str, arguments: dict[str, object]) -> None:
    assert control(acme.sim, "POST", f"/accounts/acme/actions/{name}", arguments).status_code == 200


def test_actions_change_the_world(acme: Visitor) -> None:
    control(acme.sim, "POST", "/accounts/acme/actions/set_job_specs", {"integration": "acme_orders", "count": 42})
    assert len(acme.account.integrations["acme_orders"].job_specs) == 42
    control(acme.sim, "POST", "/accounts/acme/actions/set_user", {"user_id": 101, "suspended": True})
    assert acme.account.users[101].suspended


def test_what_is_missing_or_unknown_is_said(sim: Simulator) -> None:
    assert control(sim, "GET", "/accounts/nobody").json() == {
        "error": "there is no 'nobody', or it is missing from the request"
    }
    assert control(sim, "POST", "/accounts/acme/actions/set_user", {}).status_code == 404
    assert control(sim, "POST", "/accounts/acme/actions/dance", {}).status_code == 404
    assert control(sim, "GET", "/nothing").status_code == 404


def test_calls_are_logged_without_secrets(acme: Visitor) -> None:
    pair = acme.grant()
    acme.call("GET", "/api/v2/users/me", pair["access_token"])
    answer = control(acme.sim, "GET", "/calls?account=acme&method=POST&path_contains=/oauth/tokens")
    assert answer.json()["count"] == 1
    call = answer.json()["calls"][0]
    assert (call["grant_type"], call["status"], call["token_client"]) == ("authorization_code", 200, None)
    everything = control(acme.sim, "GET", "/calls").text
    assert pair["access_token"] not in everything
    assert acme.sim.world.calls(path_contains="/users/me")[0].token_client == "job_specs_sidebar"
    assert control(acme.sim, "DELETE", "/calls").json()["count"] == 0


def test_changes_are_logged_with_their_names(acme: Visitor) -> None:
    acme.change("POST", "zis:acme_orders:job_spec:x", acme.token("zis_acme_orders"))
    call = acme.sim.world.calls(integration="acme_orders")[0]
    assert (call.job_spec_name, call.query) == ("zis:acme_orders:job_spec:x", ("job_spec_name",))


def test_signing_over_http(sim: Simulator) -> None:
    asked = {"account": "acme", "user_id": 101, "sub_form": "url", "alg": "none"}
    assert control(sim, "POST", "/sign", asked).json()["token"].count(".") == 2
    assert control(sim, "POST", "/sign", {"account": "acme", "user_id": 101, "tea": 1}).status_code == 400


def test_reset_restores_everything(acme: Visitor) -> None:
    acme.account.switches.mint = "missing"
    pair = acme.grant()
    assert control(acme.sim, "POST", "/reset").ok
    assert acme.sim.world.account("acme").switches.mint == "lasting"
    assert acme.call("GET", "/api/v2/users/me", pair["access_token"]).status_code == 401
    assert acme.sim.world.redirect_uris


def test_a_connection_serves_many_requests(sim: Simulator) -> None:
    with requests.Session() as http:
        adapter = http.get_adapter(sim.address)
        for _ in range(3):
            http.get(f"{sim.address}/_sim/accounts", timeout=60)
        assert isinstance(adapter, requests.adapters.HTTPAdapter)
        pools = adapter.poolmanager.pools
        assert [pools[key].num_connections for key in pools.keys()] == [1]  # noqa: SIM118  # urllib3's own mapping


def test_nonsense_is_a_400(sim: Simulator) -> None:
    assert (
        requests.request("GET", f"{sim.address}/_sim/", headers={"Content-Length": "x"}, timeout=60).status_code == 400
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.example"},
        {"Host": "rebound.example:9000"},
        {"Host": "127.0.0.1.rebound.example"},
        {"Host": "localhost@rebound.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost:9001"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_no_other_sites_page_is_answered(sim: Simulator, headers: dict[str, str]) -> None:
    acme = sim.world.account("acme")
    for method, path, body in (
        ("POST", "/sign", {"account": "acme", "user_id": 101}),
        ("POST", "/accounts/acme/actions/set_user", {"user_id": 102, "role": "admin"}),
        ("GET", "/accounts/acme", None),
    ):
        reply = requests.request(method, f"{sim.address}/_sim{path}", json=body, headers=headers, timeout=60)
        assert reply.status_code == 403
        assert set(reply.json()) == {"error"}
    assert acme.users[102].role == "agent"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_this_machines_own_pages_and_programs_are_answered(sim: Simulator, host: str) -> None:
    name = f"{host}:{sim.address.rpartition(':')[2]}"
    for headers in ({}, {"Origin": f"http://{name.lower()}", "Sec-Fetch-Site": "same-origin"}):
        reply = requests.get(f"{sim.address}/_sim/accounts", headers={"Host": name, **headers}, timeout=60)
        assert reply.status_code == 200
