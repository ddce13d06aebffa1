"""Every environment variable: its default, what it takes, and that every fault is named at once without its secret."""

import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sandbox.simulator import public_key_pem
from service.ground.errors import AccountNotAllowed
from service.ground.settings import VARIABLES, Settings, SettingsError
from service.ground.subdomains import NO_ACCOUNTS, Subdomain
from tests.workers import ROOT

KEY = "a-secret-key-of-the-settings-tests-0123456789"
MINIMAL = {
    "PUBLIC_URL": "https://zis.example.com",
    "REDIS_URL": "redis://127.0.0.1:6379/0",
    "SECRET_KEYS": KEY,
    "ZENDESK_SUBDOMAINS": "acme,globex",
    "ZENDESK_CLIENT_ID": "sidebar",
    "ZENDESK_CLIENT_SECRET": "the-client-secret",
    "ZIS_INTEGRATIONS": "acme_orders",
}
DIRECT = {"ZENDESK_CLIENT_ID": "zis_acme_orders", "ZIS_INTEGRATIONS": ""}
LOCAL = "http://localhost:9001"


def make_settings(**changes: str) -> Settings:
    return Settings.from_env({**MINIMAL, **changes})


def faults_of(**changes: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        make_settings(**changes)
    return caught.value.faults


def pem_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_the_required_variables_suffice_and_the_rest_has_its_documented_default() -> None:
    settings = make_settings()

    assert settings.redis_tls_verify is True
    assert settings.redis_tls_ca is None
    assert settings.zendesk_scope == "read write"
    assert settings.zendesk_apps is None
    assert settings.zendesk_app_public_key is None
    assert settings.manager_roles == {"admin"}
    assert settings.manager_user_ids == frozenset()
    assert settings.zendesk_url_template == "https://{subdomain}.zendesk.com"
    assert (settings.list_cache_seconds, settings.trusted_proxies, settings.rate_limits) == (15, 1, True)
    assert settings.metrics_token is None
    assert settings.log_format == "logfmt"


def test_a_variable_set_to_nothing_counts_as_unset() -> None:
    empty = dict.fromkeys((one.name for one in VARIABLES if one.name not in MINIMAL), " ")

    assert make_settings(**empty) == make_settings()


def test_unknown_variables_are_ignored() -> None:
    assert make_settings(ZENDESK_SUBDOMAIN="typo", HOME="/root") == make_settings()


def test_everything_missing_is_reported_at_once_by_name() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({})

    missing = {one.name for one in VARIABLES if one.required == "yes"} | {"ZIS_INTEGRATIONS"}
    assert {fault.split()[0] for fault in caught.value.faults} == missing
    assert all(name in caught.value.message for name in missing)
    assert caught.value.exit_code == 1


WRONG = [
    ("PUBLIC_URL", "http://zis.example.com"),
    ("PUBLIC_URL", "https://zis.example.com/path"),
    ("PUBLIC_URL", "https://zis.example.com?query"),
    ("PUBLIC_URL", "https://zis.example.com?"),
    ("PUBLIC_URL", "https://zis.example.com#"),
    ("PUBLIC_URL", "https://user@zis.example.com"),
    ("PUBLIC_URL", "https://zis example.com"),
    ("PUBLIC_URL", 'https://zis.example.com"'),
    ("PUBLIC_URL", "https://zis.example.com;script-src"),
    ("PUBLIC_URL", "https://zïs.example.com"),
    ("PUBLIC_URL", "https://zis.example.com:port"),
    ("PUBLIC_URL", "https://[::1"),
    ("PUBLIC_URL", "zis.example.com"),
    ("PUBLIC_URL", "https://"),
    ("REDIS_URL", "127.0.0.1:6379"),
    ("REDIS_URL", "http://127.0.0.1"),
    ("REDIS_URL", "redis://127.0.0.1:port"),
    ("REDIS_URL", "redis://127.0.0.1?socket_timeout=soon"),
    ("REDIS_URL", "redis+sentinel://127.0.0.1:26379"),
    ("REDIS_URL", "redis+sentinel://127.0.0.1:26379/"),
    ("REDIS_URL", "redis+sentinel://127.0.0.1:26379/a/b"),
    ("REDIS_URL", "redis+sentinel://127.0.0.1:66666/zis"),
    ("REDIS_URL", "redis+sentinel://127.0.0.1:port/zis"),
    ("REDIS_URL", "redis+sentinel://127.0.0.1:1,,127.0.0.1:2/zis"),
    ("REDIS_URL", "redis+sentinel:///zis"),
    ("REDIS_URL", "redis+sentinel://127.0.0.1:26379/zis?db=first"),
    ("REDIS_URL", "redis+other://127.0.0.1:6379"),
    ("REDIS_URL", "redis+cluster://"),
    ("REDIS_URL", "redis+cluster://127.0.0.1:6379/1"),
    ("REDIS_URL", "redis+cluster://127.0.0.1:6379?db=1"),
    ("REDIS_TLS_VERIFY", "perhaps"),
    ("REDIS_TLS_CA", "/nowhere/ca.pem"),
    ("SECRET_KEYS", "too-short"),
    ("SECRET_KEYS", f"{KEY},"),
    ("SECRET_KEYS", f"{KEY},{KEY}"),
    ("ZENDESK_SUBDOMAINS", "acme.zendesk.com"),
    ("ZENDESK_SUBDOMAINS", "acme,*"),
    ("ZENDESK_SUBDOMAINS", "acme,,globex"),
    ("ZENDESK_CLIENT_ID", "with space"),
    ("ZENDESK_CLIENT_SECRET", "sécret"),
    ("ZENDESK_SCOPE", 'read "write"'),
    ("ZENDESK_SCOPE", "réad"),
    ("ZIS_INTEGRATIONS", "Acme_orders"),
    ("ZIS_INTEGRATIONS", "acme_orders,"),
    ("ZIS_INTEGRATIONS", "{account}_orders"),
    ("ZIS_INTEGRATIONS", "a" * 65),
    ("ZENDESK_APPS", "acme"),
    ("ZENDESK_APPS", "0"),
    ("ZENDESK_APPS", "acme:one"),
    ("ZENDESK_APPS", "ac.me:1"),
    ("ZENDESK_APPS", "acme:1,acme:2"),
    ("ZENDESK_APPS", "acme:\u0661"),
    ("ZENDESK_APP_PUBLIC_KEY", "no pem"),
    ("MANAGER_ROLES", "owner"),
    ("MANAGER_USER_IDS", "101"),
    ("MANAGER_USER_IDS", "acme:-1"),
    ("LIST_CACHE_SECONDS", "-1"),
    ("LIST_CACHE_SECONDS", "601"),
    ("LIST_CACHE_SECONDS", "1.5"),
    ("TRUSTED_PROXIES", "11"),
    ("TRUSTED_PROXIES", "one"),
    ("RATE_LIMITS", "sometimes"),
    ("METRICS_TOKEN", "two words"),
    ("LOG_FORMAT", "xml"),
    ("ZENDESK_URL_TEMPLATE", "https://{subdomain}.example.com"),
]


@pytest.mark.parametrize(("name", "value"), WRONG, ids=[f"{name}-{value[-30:]}" for name, value in WRONG])
def test_a_wrong_value_is_one_fault_with_its_name(name: str, value: str) -> None:
    faults = faults_of(**{name: value})

    assert [fault.split()[0] for fault in faults] == [name]


def test_all_wrong_values_are_reported_together() -> None:
    wrong = dict(WRONG)

    assert {fault.split()[0] for fault in faults_of(**wrong)} == set(wrong)


@pytest.mark.parametrize(
    ("name", "value", "count"),
    [
        ("SECRET_KEYS", f"short,{KEY},{'0' * 32}", 2),
        ("ZENDESK_SUBDOMAINS", "acme,a.b,globex,c d", 2),
        ("ZENDESK_SCOPE", 'read "write" \\zis', 2),
        ("ZIS_INTEGRATIONS", "Orders,acme_orders,acme orders", 2),
        ("ZENDESK_APPS", "acme:1,globex,initech:x", 2),
        ("ZENDESK_APPS", "acme:1,globex:1,acme:2,globex:2", 2),
        ("ZENDESK_APPS", "acme:1,acme:2,globex", 2),
        ("SECRET_KEYS", f"{KEY},short,{KEY}", 2),
        ("MANAGER_ROLES", "owner,admin,light agent", 2),
        ("MANAGER_USER_IDS", "acme:1,globex:x,acme", 2),
    ],
)
def test_every_bad_item_of_a_list_is_a_fault(name: str, value: str, count: int) -> None:
    faults = faults_of(**{name: value})

    assert [fault.split()[0] for fault in faults] == [name] * count
    assert len(set(faults)) == count


@pytest.mark.parametrize("client_id", ["", "with space"])
def test_a_client_id_that_is_missing_or_faulty_hides_no_fault_of_the_integrations(client_id: str) -> None:
    faults = faults_of(ZENDESK_CLIENT_ID=client_id, ZIS_INTEGRATIONS="")
    assert {fault.split()[0] for fault in faults} == {"ZENDESK_CLIENT_ID", "ZIS_INTEGRATIONS"}


def test_no_fault_is_made_up_for_what_depends_on_a_faulty_variable() -> None:
    faults = faults_of(**{**DIRECT, "ZIS_INTEGRATIONS": "{subdomain}_orders", "ZENDESK_SUBDOMAINS": "a.b"})
    assert [fault.split()[0] for fault in faults] == ["ZENDESK_SUBDOMAINS"]
    faults = faults_of(PUBLIC_URL="localhost", ZENDESK_URL_TEMPLATE="http://127.0.0.1:9000/a/{subdomain}")
    assert [fault.split()[0] for fault in faults] == ["PUBLIC_URL"]


def test_in_direct_mode_every_other_integration_is_named() -> None:
    faults = faults_of(**{**DIRECT, "ZIS_INTEGRATIONS": "acme_shipping,acme_archive"})
    assert [fault.split()[0] for fault in faults] == ["ZIS_INTEGRATIONS"] * 2


@pytest.mark.parametrize(
    "key",
    ["0" * 32, "changeme" * 4, "changeme-" * 8, "abcdefg" * 5, "correcthorsebattery" * 2, "0123456" + "6" * 40,
     "changeme" * 4 + "chan"],
)  # fmt: skip
@pytest.mark.parametrize("place", [1, 2])
def test_a_key_that_can_be_guessed_is_refused_with_the_command_that_makes_a_good_one(key: str, place: int) -> None:
    (fault,) = faults_of(SECRET_KEYS=f"{key},{KEY}" if place == 1 else f"{KEY},{key}")
    assert fault.startswith(f"SECRET_KEYS entry {place} can be guessed")
    assert "secrets.token_urlsafe(48)" in fault
    assert key not in fault


@pytest.mark.parametrize("make", [secrets.token_urlsafe, secrets.token_hex])
def test_a_key_as_it_is_made_is_taken(make: Callable[[int], str]) -> None:
    assert all(make_settings(SECRET_KEYS=make(24)).secret_keys for _ in range(50))


@pytest.mark.parametrize(("token", "is_taken"), [("t" * 15, False), ("t" * 16, True)])
def test_a_metrics_token_has_at_least_16_characters(token: str, is_taken: bool) -> None:
    if is_taken:
        assert make_settings(METRICS_TOKEN=token).metrics_token == token
    else:
        (fault,) = faults_of(METRICS_TOKEN=token)
        assert fault.startswith("METRICS_TOKEN has 15 characters, at least 16")
        assert token not in fault


@pytest.mark.parametrize("name", sorted(NO_ACCOUNTS))
def test_a_star_allows_no_address_of_zendesks_own(name: str) -> None:
    settings = make_settings(ZENDESK_SUBDOMAINS="*")
    assert not settings.allows(Subdomain(name))
    with pytest.raises(AccountNotAllowed, match=f"{name}.zendesk.com is one of Zendesk's own"):
        settings.require_allowed(Subdomain(name))
    # An operator who names it knows better than the list.
    assert make_settings(ZENDESK_SUBDOMAINS=name).allows(Subdomain(name))


@pytest.mark.parametrize("name", ["support", "wwww", "go-acme", "acme"])
def test_what_may_be_an_account_is_none_of_them(name: str) -> None:
    assert make_settings(ZENDESK_SUBDOMAINS="*").allows(Subdomain(name))


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("SECRET_KEYS", "canary-short", "canary"),
        ("ZENDESK_CLIENT_SECRET", "canary\tsecret", "canary"),
        ("REDIS_URL", "redis://:canary/password@host", "canary"),
        ("REDIS_URL", "canary://:canary@host", "canary"),
        ("REDIS_URL", "redis+sentinel://:canary/password@host/zis", "canary"),
        ("REDIS_URL", "redis+sentinel://user:canary@host:port/zis", "canary"),
        ("METRICS_TOKEN", "canary token", "canary"),
        ("ZENDESK_APP_PUBLIC_KEY", "canary", "canary"),
    ],
)
def test_a_fault_never_repeats_a_secret(name: str, value: str, secret: str) -> None:
    assert secret not in str(faults_of(**{name: value}))


def test_the_repr_shows_no_secret() -> None:
    settings = make_settings(
        METRICS_TOKEN="canary-metrics-token",
        SECRET_KEYS=f"canary-{KEY}",
        ZENDESK_CLIENT_SECRET="canary-secret",
        REDIS_URL="redis://:canary-password@127.0.0.1",
    )

    assert "canary" not in repr(settings)
    assert "acme" in repr(settings)


@pytest.mark.parametrize(
    ("value", "origin"),
    [
        ("https://ZIS.example.com/", "https://zis.example.com"),
        ("https://zis.example.com:443", "https://zis.example.com"),
        ("https://zis.example.com:8443", "https://zis.example.com:8443"),
        ("http://localhost:9001", "http://localhost:9001"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("https://[::1]:9001", "https://[::1]:9001"),
    ],
)
def test_the_public_url_becomes_an_origin_and_the_one_redirect_uri(value: str, origin: str) -> None:
    settings = make_settings(PUBLIC_URL=value)

    assert settings.public_url == origin
    assert settings.redirect_uri == f"{origin}/oauth/callback"
    assert settings.is_secure == origin.startswith("https")


@pytest.mark.parametrize("scheme", ["redis", "rediss", "unix"])
def test_redis_may_be_reached_in_three_ways(scheme: str) -> None:
    assert make_settings(REDIS_URL=f"{scheme}://:p%2Fw@/x").redis_url == f"{scheme}://:p%2Fw@/x"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis+sentinel://one,two:1/zis", ((("one", 26379), ("two", 1)), "zis", {}, False)),
        (
            "rediss+sentinel://user:p%2Fw@one:1/my%20master?db=2",
            ((("one", 1),), "my master", {"db": 2, "username": "user", "password": "p/w"}, True),
        ),
        (
            "redis+sentinel://:secret@[::1]:1,[::2]/zis",
            ((("::1", 1), ("::2", 26379)), "zis", {"password": "secret"}, False),
        ),
    ],
    ids=["usual port", "everything", "numbers"],
)
def test_sentinels_are_named_with_their_master(
    url: str, expected: tuple[tuple[tuple[str, int], ...], str, dict[str, object], bool]
) -> None:
    address = make_settings(REDIS_URL=url).redis_address
    assert (address.nodes, address.service, address.options, address.is_tls) == expected
    assert "secret" not in repr(address)


@pytest.mark.parametrize(
    ("url", "nodes", "is_tls", "is_local"),
    [
        ("redis+cluster://localhost,[::1]:7001", (("localhost", 6379), ("::1", 7001)), False, True),
        ("rediss+cluster://:p@one:7000,127.0.0.1:7001/0", (("one", 7000), ("127.0.0.1", 7001)), True, False),
    ],
    ids=["usual port", "everything"],
)
def test_a_cluster_is_named_by_some_of_its_nodes(
    url: str, nodes: tuple[tuple[str, int], ...], *, is_tls: bool, is_local: bool
) -> None:
    address = make_settings(REDIS_URL=url).redis_address
    assert (address.kind, address.nodes, address.service) == ("cluster", nodes, None)
    assert (address.is_tls, address.is_local) == (is_tls, is_local)


def test_a_certificate_authority_may_be_named_and_verification_switched_off(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("")

    assert make_settings(REDIS_TLS_CA=str(ca)).redis_tls_ca == ca
    assert make_settings(REDIS_TLS_VERIFY="false").redis_tls_verify is False


def test_keys_are_kept_newest_first() -> None:
    assert make_settings(SECRET_KEYS=f" {KEY}-new , {KEY}-old").secret_keys == (f"{KEY}-new", f"{KEY}-old")


def test_a_star_allows_every_account() -> None:
    settings = make_settings(ZENDESK_SUBDOMAINS="*")

    assert settings.zendesk_subdomains is None
    assert settings.allows(Subdomain("anybody"))


def test_the_allow_list_is_matched_in_lower_case() -> None:
    settings = make_settings(ZENDESK_SUBDOMAINS="ACME, globex")

    assert [settings.allows(Subdomain(name)) for name in ("acme", "globex", "initech")] == [True, True, False]


def test_the_account_is_filled_into_integration_names() -> None:
    settings = make_settings(ZIS_INTEGRATIONS="{subdomain}_b,shared,{subdomain}_a")

    assert settings.integrations_of(Subdomain("acme")) == ("acme_a", "acme_b", "shared")
    assert settings.is_direct is False


def test_the_ordinary_client_needs_integrations_to_be_named() -> None:
    assert faults_of(ZIS_INTEGRATIONS="") == ["ZIS_INTEGRATIONS is not set"]


@pytest.mark.parametrize("named", ["", "acme_orders", "{subdomain}_orders"])
def test_an_integrations_own_client_names_its_one_integration(named: str) -> None:
    settings = make_settings(**{**DIRECT, "ZIS_INTEGRATIONS": named})

    assert settings.is_direct is True
    assert settings.integrations_of(Subdomain("acme")) == ("acme_orders",)


@pytest.mark.parametrize("named", ["acme_shipping", "acme_orders,acme_shipping", "{subdomain}_shipping"])
@pytest.mark.parametrize("subdomains", ["acme", "*"])
def test_in_direct_mode_any_other_integration_is_a_fault(named: str, subdomains: str) -> None:
    faults = faults_of(**{**DIRECT, "ZIS_INTEGRATIONS": named, "ZENDESK_SUBDOMAINS": subdomains})

    assert [fault.split()[0] for fault in faults] == ["ZIS_INTEGRATIONS"]


@pytest.mark.parametrize(
    ("value", "of_acme", "of_globex"),
    [("", None, None), ("77", 77, 77), ("acme:77", 77, None), (" ACME:77 , globex:78 ", 77, 78)],
)
def test_apps_are_for_all_accounts_or_by_account(value: str, of_acme: int | None, of_globex: int | None) -> None:
    settings = make_settings(ZENDESK_APPS=value)

    assert (settings.app_of(Subdomain("acme")), settings.app_of(Subdomain("globex"))) == (of_acme, of_globex)


def test_the_apps_key_may_be_written_on_one_line() -> None:
    pem = public_key_pem().strip()

    assert make_settings(ZENDESK_APP_PUBLIC_KEY=pem.replace("\n", "\\n")).zendesk_app_public_key == pem


def test_a_key_of_another_kind_or_too_short_is_a_fault() -> None:
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - that is the point

    assert "1024 bits" in faults_of(ZENDESK_APP_PUBLIC_KEY=pem_of(short))[0]
    assert "RSA" in faults_of(ZENDESK_APP_PUBLIC_KEY=pem_of(ec.generate_private_key(ec.SECP256R1())))[0]


@pytest.mark.parametrize("client_id", ["zis_", "zis_Acme", "zis_acme/orders", "zis_" + "a" * 65])
def test_the_client_of_an_integration_is_named_like_one(client_id: str) -> None:
    faults = faults_of(ZENDESK_CLIENT_ID=client_id, ZIS_INTEGRATIONS="")

    assert [fault.split()[0] for fault in faults] == ["ZENDESK_CLIENT_ID"]


def test_admins_always_manage() -> None:
    assert make_settings(MANAGER_ROLES="agent").manager_roles == {"admin", "agent"}


def test_managers_may_be_named_by_user_id() -> None:
    assert make_settings(MANAGER_USER_IDS="acme:101,acme:102").manager_user_ids == {("acme", 101), ("acme", 102)}


@pytest.mark.parametrize(
    ("template", "public_url", "is_taken"),
    [
        ("https://{subdomain}.zendesk.com", "https://zis.example.com", True),
        ("http://127.0.0.1:9000/a/{subdomain}/", LOCAL, True),
        ("http://127.0.0.1:9000/a/{subdomain}", "https://zis.example.com", False),
        ("https://{subdomain}.example.com", LOCAL, False),
        ("http://127.0.0.1:9000/a/{subdomain}?q", LOCAL, False),
        ("http://127.0.0.1:9000/a/{subdomain}#f", LOCAL, False),
        ("http://127.0.0.1:9000/a", LOCAL, False),
        ("http://127.0.0.1:9000/{subdomain}/{subdomain}", LOCAL, False),
        ("http://127.0.0.1:port/{subdomain}", LOCAL, False),
        ("ftp://127.0.0.1/{subdomain}", LOCAL, False),
    ],
)
def test_another_address_of_zendesk_is_for_loopback_only(template: str, public_url: str, is_taken: bool) -> None:
    if is_taken:
        settings = make_settings(ZENDESK_URL_TEMPLATE=template, PUBLIC_URL=public_url)
        assert settings.zendesk_url_template == template.rstrip("/")
    else:
        faults = faults_of(ZENDESK_URL_TEMPLATE=template, PUBLIC_URL=public_url)
        assert [fault.split()[0] for fault in faults] == ["ZENDESK_URL_TEMPLATE"]


def test_an_accounts_origin_has_no_path() -> None:
    local = make_settings(ZENDESK_URL_TEMPLATE="http://127.0.0.1:9000/a/{subdomain}", PUBLIC_URL=LOCAL)

    assert local.account_origin("acme") == "http://127.0.0.1:9000"
    assert make_settings().account_origin("acme") == "https://acme.zendesk.com"


def test_gunicorn_names_every_fault_and_ends_with_status_1() -> None:
    environment = {"PATH": os.environ["PATH"], "SECRET_KEYS": "canary"}
    command = [sys.executable, "-m", "gunicorn", "--config", "python:service.server.gunicorn_config",
               "--bind", "127.0.0.1:0", "service.wsgi:app"]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90, check=False)  # noqa: S603 - our own interpreter

    assert done.returncode == 1, done.stderr
    assert all(name in done.stderr for name in ("PUBLIC_URL", "REDIS_URL", "SECRET_KEYS", "ZENDESK_CLIENT_SECRET"))
    assert "canary" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


# --- other front ends ---


def test_no_front_end_but_ours_is_let_in_by_default() -> None:
    assert make_settings().allowed_origins == frozenset()


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("https://app.example.com", {"https://app.example.com"}),
        ("https://App.Example.com:443 ,http://localhost:8080", {"https://app.example.com", "http://localhost:8080"}),
        ("http://app.localhost:9000", {"http://app.localhost:9000"}),
        ("http://127.0.0.1,http://[::1]:8000", {"http://127.0.0.1", "http://[::1]:8000"}),
        ("https://123456.apps.zdusercontent.com", {"https://123456.apps.zdusercontent.com"}),
    ],
)
def test_allowed_origins_are_kept_as_browsers_write_them(text: str, origins: set[str]) -> None:
    assert make_settings(ALLOWED_ORIGINS=text).allowed_origins == origins


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("null", "sandboxed frames"),
        ("*", "no exact origin"),
        ("https://*.example.com", "no exact origin"),
        ("https://app.example.com/", "no path"),
        ("https://app.example.com/front", "no path"),
        ("https://app.example.com?x", "no path"),
        ("https://app.example.com#x", "no path"),
        ("https://user@app.example.com", "no path"),
        ("http://app.example.com", "no https:// origin"),
        ("app.example.com", "no https:// origin"),
        ("http://localhost.example.com", "no https:// origin"),
        ("http://evillocalhost", "no https:// origin"),
        ("https://", "no https:// origin"),
        ("https://b\u00fccher.example", "no https:// origin"),
        ("file:///index.html", "no https:// origin"),
        ("https://app.example.com:x", "cannot be read"),
        ("https://app.example.com:99999", "cannot be read"),
        ("https://[::1", "cannot be read"),
    ],
)
def test_what_is_no_exact_origin_is_named_with_the_reason(text: str, reason: str) -> None:
    (fault,) = faults_of(ALLOWED_ORIGINS=f"https://one.example, {text}")
    assert fault.startswith("ALLOWED_ORIGINS ")
    assert repr(text) in fault
    assert reason in fault


def test_every_faulty_origin_is_named() -> None:
    assert len(faults_of(ALLOWED_ORIGINS="null,https://fine.example,https://x/y,")) == 3
