"""`machine-tokens`: made once, listed without the token, revoked."""

import pytest
from redis import Redis

from service.ground.errors import Unauthenticated
from service.ground.subdomains import Subdomain
from service.people.machine_tokens import MOST_TOKENS, MachineTokens, tokens_key
from tests.conftest import MakeApp
from tests.operations.console import run
from tests.steps import SECRET_KEYS, collaborator

ACME = Subdomain("acme")
HERE = ("--account", "acme")


def test_a_token_is_shown_once(make_app: MakeApp, redis: Redis) -> None:
    app = make_app()
    made = run(app, "machine-tokens", "create", *HERE, "--name", "deploy", "--days", "30")
    assert made.status == 0
    (token,) = made.lines()
    assert token.startswith("zism_acme_")
    assert "It is not shown again." in made.err
    listed = run(app, "machine-tokens", "list", *HERE)
    assert [line.split() for line in listed.lines()][1][::2] == ["deploy", "29"]
    assert token not in listed.out + listed.err + made.err
    assert redis.hlen(tokens_key(ACME)) == 1


def test_programs_can_make_and_list_them(make_app: MakeApp) -> None:
    app = make_app()
    made = run(app, "machine-tokens", "create", *HERE, "--name", "deploy", "--json").json()
    assert set(made) == {"token", "account", "name", "created_at", "expires_at", "key_missing"}
    assert made["key_missing"] is False
    (listed,) = run(app, "machine-tokens", "list", *HERE, "--json").json()["machine_tokens"]
    assert listed == {name: value for name, value in made.items() if name != "token"}


def test_a_revoked_one_is_gone_and_its_name_free(make_app: MakeApp) -> None:
    app = make_app()
    run(app, "machine-tokens", "create", *HERE, "--name", "deploy")
    again = run(app, "machine-tokens", "create", *HERE, "--name", "deploy")
    assert (again.status, again.out) == (1, "")
    assert "has a token of this name already" in again.err
    assert run(app, "machine-tokens", "revoke", *HERE, "--name", "deploy").status == 0
    gone = run(app, "machine-tokens", "revoke", *HERE, "--name", "deploy")
    assert gone.status == 1
    assert "Code: not_found" in gone.err
    nothing = run(app, "machine-tokens", "list", *HERE)
    assert (nothing.out, nothing.err) == ("", "acme has no machine token.\n")
    assert run(app, "machine-tokens", "create", *HERE, "--name", "deploy").status == 0


def test_one_whose_key_was_taken_out_is_told_and_makes_room_for_another(make_app: MakeApp, redis: Redis) -> None:
    new = "a-newer-key-of-the-token-tests-0123456789abcdef"
    lost = run(make_app(), "machine-tokens", "create", *HERE, "--name", "deploy").lines()[0]
    both, alone = make_app(SECRET_KEYS=f"{new},{SECRET_KEYS}"), make_app(SECRET_KEYS=new)
    assert run(both, "rotate-keys").status == 0
    assert "key is not in" not in run(both, "machine-tokens", "list", *HERE).out
    refused = run(both, "machine-tokens", "create", *HERE, "--name", "deploy")
    assert "has a token of this name already" in refused.err

    assert run(alone, "machine-tokens", "list", *HERE).lines()[1].endswith("none: its key is not in SECRET_KEYS")
    (told,) = run(alone, "machine-tokens", "list", *HERE, "--json").json()["machine_tokens"]
    assert (told["name"], told["key_missing"]) == ("deploy", True)
    made = run(alone, "machine-tokens", "create", *HERE, "--name", "deploy", "--json").json()
    assert redis.hlen(tokens_key(ACME)) == 1
    assert collaborator(alone, MachineTokens).read(made["token"])[1].name == "deploy"
    with pytest.raises(Unauthenticated):
        collaborator(both, MachineTokens).read(lost)


def test_one_whose_key_was_taken_out_can_be_revoked(make_app: MakeApp, redis: Redis) -> None:
    new = "a-newer-key-of-the-token-tests-0123456789abcdef"
    run(make_app(), "machine-tokens", "create", *HERE, "--name", "deploy")
    assert run(make_app(SECRET_KEYS=f"{new},{SECRET_KEYS}"), "rotate-keys").status == 0
    assert run(make_app(SECRET_KEYS=new), "machine-tokens", "revoke", *HERE, "--name", "deploy").status == 0
    assert not redis.exists(tokens_key(ACME))


def test_purging_an_account_takes_them_back(make_app: MakeApp, redis: Redis) -> None:
    app = make_app()
    run(app, "machine-tokens", "create", *HERE, "--name", "deploy")
    run(app, "disconnect", "acme", "--purge")
    assert not redis.exists(tokens_key(ACME))


@pytest.mark.parametrize("name", ["", " a", "a\n", "ä", "a" * 65, "-a", "a/b"])
def test_a_name_is_plain(make_app: MakeApp, name: str) -> None:
    answer = run(make_app(), "machine-tokens", "create", *HERE, f"--name={name}")
    assert answer.status == 1
    assert "Code: invalid_request" in answer.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["create", "--account", "acme"],
        ["create", *HERE, "--name", "a", "--days", "366"],
        ["create", *HERE, "--name", "a", "--days", "0"],
        ["list"],
        ["revoke", *HERE],
    ],
)
def test_a_wrong_call_ends_with_2(make_app: MakeApp, arguments: list[str]) -> None:
    assert run(make_app(), "machine-tokens", *arguments).status == 2


def test_an_account_that_is_not_enabled_gets_none(make_app: MakeApp) -> None:
    answer = run(make_app(ZENDESK_SUBDOMAINS="globex"), "machine-tokens", "create", *HERE, "--name", "deploy")
    assert "Code: account_not_allowed" in answer.err


def test_an_account_has_at_most_a_hundred(make_app: MakeApp) -> None:
    tokens = collaborator(make_app(), MachineTokens)
    for number in range(MOST_TOKENS):
        tokens.create(ACME, f"n{number}", 1)
    answer = run(make_app(), "machine-tokens", "create", *HERE, "--name", "one-more")
    assert "acme has 100 tokens already" in answer.err
