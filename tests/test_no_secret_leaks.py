"""Canaries: no secret reaches a log, a repr, an error, a page, a URL, or Redis in clear."""

import json
from dataclasses import fields

import pytest
from redis import Redis

from sandbox.simulator.faults import KINDS, Fault
from service.grants.granted import MintedToken
from service.ground.settings import Settings, SettingsError
from service.ground.subdomains import Subdomain
from service.store.vault import derive_keys
from service.zendesk.authorization_server import TokenPair
from service.zendesk.replies import Reply
from tests.conftest import MakeAdmin
from tests.scraping import AUTHORIZED, TOKEN
from tests.steps import PUBLIC_URL, SECRET_KEYS, Admin, services

ACME = Subdomain("acme")


class Witness:
    """Remembers every secret that comes into being, and everything that comes out."""

    def __init__(self, admin: Admin, redis: Redis) -> None:
        self.admin = admin
        self.redis = redis
        self.settings = services(admin.app).settings
        self.secrets: set[str] = {*SECRET_KEYS.split(","), self.settings.zendesk_client_secret, TOKEN}
        self.seen: list[str] = []

    def note(self) -> None:
        """Note Zendesk's tokens and codes as they are now."""
        account = self.admin.simulator.world.account("acme")
        with self.admin.simulator.world.lock:
            for token in account.tokens.values():
                self.secrets |= {text for text in (token.access_token, token.refresh_token) if text}
            self.secrets |= set(account.codes)

    def connect(self) -> None:
        """Connect, and keep what browser and pages showed on the way."""
        url = self.admin.authorize()
        location = self.admin.simulator.consent(url, 101)
        self.note()
        self.secrets.add(location.partition("code=")[2].partition("&")[0])
        self.keep(self.admin.come_back(location))
        self.note()
        self.admin.open_sidebar()
        self.secrets.add(self.admin.session_token)

    def keep(self, reply: object) -> None:
        text = getattr(reply, "text", None)
        headers = getattr(reply, "headers", None)
        self.seen += [str(reply), text or "", str(headers or "")]

    def stored(self) -> list[str]:
        """Return every key and value in Redis."""
        found = []
        for key in self.redis.scan_iter():
            match self.redis.type(key):
                case b"hash":
                    value: object = self.redis.hgetall(key)
                case b"list":
                    value = self.redis.lrange(key, 0, -1)
                case b"zset":
                    value = self.redis.zrange(key, 0, -1, withscores=True)
                case _:
                    value = self.redis.get(key)
            found.append(f"{key!r} {value!r}")
        return found


@pytest.fixture
def witness(make_admin: MakeAdmin, redis: Redis) -> Witness:
    return Witness(make_admin(LIST_CACHE_SECONDS="0", METRICS_TOKEN=TOKEN), redis)


# Many changes are looked at twice here: a second each was most of what this took.
@pytest.mark.usefixtures("quick_second_look")
def test_a_journey_with_every_fault_leaks_nothing(witness: Witness, capsys: pytest.CaptureFixture[str]) -> None:
    admin = witness.admin
    witness.connect()
    account = admin.simulator.world.account("acme")
    kinds = [kind for kind in KINDS if kind not in {"slow", "hold", "hang", "dribble"}]
    for where in ("token", "list", "change", "users", "mint", "clients", "tokens"):
        for kind in kinds:
            with admin.simulator.world.lock:
                account.faults[:] = [Fault.from_json({"where": where, "kind": kind, "retry_after": 9})]
            if where == "token":
                account.expire_access_tokens("job_specs_sidebar")
                witness.redis.delete("zis:{acme}:cool_down", "zis:{acme}:role:101")
            witness.keep(admin.call("GET", "/job_specs"))
            witness.keep(admin.install("escalate_vip_order"))
            if where == "tokens":
                witness.keep(admin.call("DELETE", "/connection"))
            witness.note()
            account.faults.clear()
            witness.redis.delete("zis:{acme}:role:101")
            if admin.status()["connection"]["state"] != "connected":
                witness.connect()
    witness.keep(admin.call("GET", "/status"))
    witness.keep(admin.call("POST", "/session").status)
    metrics = admin.browser.get("/metrics", headers=AUTHORIZED)
    assert metrics.text.count("\nzis_") > 100
    witness.keep(metrics)
    witness.keep(admin.browser.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}x"}))
    out = capsys.readouterr()
    for where, texts in {"reply": witness.seen, "log": [out.out, out.err], "redis": witness.stored()}.items():
        for secret in witness.secrets:
            assert len(secret) > 15
            assert not any(secret in text for text in texts), f"a secret in {where}"
    assert len(witness.secrets) > 5
    assert out.out.count("event=") > 50


def test_nothing_that_holds_a_secret_shows_it(witness: Witness) -> None:
    witness.connect()
    built = services(witness.admin.app)
    grant = built.grants.get(ACME)
    assert grant is not None
    shown = [repr(one) + str(one) for one in (built, *(getattr(built, field.name) for field in fields(built)))]
    issued = built.states.issue(ACME)
    keys = derive_keys((SECRET_KEYS,), "seal")
    pair = TokenPair.from_reply({"access_token": grant.access_token, "refresh_token": grant.refresh_token}, 0.0)
    minted = MintedToken(grant.access_token, 1, 0.0, None)
    reply = Reply(200, {}, grant.access_token.encode(), (grant.access_token,))
    shown += [repr(one) for one in (grant, issued, keys, pair, minted, reply, built.access_tokens.pending_pairs)]
    witness.secrets |= {issued.state, issued.browser_secret, issued.code_verifier}
    for secret in witness.secrets:
        assert not any(secret in text for text in shown)
    assert len(shown) > len(fields(built))


def test_zendesk_echoing_a_token_is_not_passed_on() -> None:
    reply = Reply(403, {}, b'{"message":"the token canary-token-0123 may not"}', ("canary-token-0123",))
    assert reply.words() == "the token … may not"


def test_faulty_settings_do_not_repeat_their_values() -> None:
    environment = dict.fromkeys(("SECRET_KEYS", "ZENDESK_APP_PUBLIC_KEY"), "canary-0123456789")
    environment |= {"REDIS_URL": "http://:canary-0123456789@host", "ZENDESK_CLIENT_SECRET": "canary-0123456789 x"}
    with pytest.raises(SettingsError) as refusal:
        Settings.from_env(environment)
    assert "canary-0123456789" not in refusal.value.message
    assert len(refusal.value.faults) >= 4


def test_the_grant_as_stored_holds_no_word_of_the_grant(witness: Witness) -> None:
    witness.connect()
    grant = services(witness.admin.app).grants.get(ACME)
    assert grant is not None
    held = witness.redis.hgetall("zis:{acme}:grant")
    clear = {name: value for name, value in held.items() if not str(value).startswith("b'ey")}
    assert set(clear) == {b"id", b"generation", b"mints"}
    assert grant.scope not in str(held)


def test_addresses_we_build_hold_no_secret_but_the_state(witness: Witness) -> None:
    url = witness.admin.authorize()
    assert "client_secret" not in url
    assert "code_verifier" not in url
    assert json.dumps(PUBLIC_URL) not in url
