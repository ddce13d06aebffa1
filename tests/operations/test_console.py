"""What all commands have in common: how they end, what they say meanwhile, and that they can be stopped."""

import contextlib
import errno
import os
import signal
from pathlib import Path

import click
import pytest
from flask import Flask
from redis import Redis

from service.grants.access_tokens import AccessTokens
from service.grants.grants import Grants
from service.ground.errors import ZendeskUnavailable
from service.ground.settings import SettingsError
from service.ground.subdomains import Subdomain
from service.operations.commands import COMMANDS
from service.operations.console import OperatorCommand, json_option, print_table
from service.operations.interruptions import Interruption, is_interrupted
from service.operations.progress import Progress
from service.web.request import services
from tests.conftest import MakeApp
from tests.operations.console import STARTING_SECONDS, LiveCommand, run, run_process
from tests.steps import Admin, collaborator, wait_until
from tests.test_upkeep import age
from tests.workers import ROOT, meanwhile

pytestmark = pytest.mark.processes

ACME, GLOBEX = Subdomain("acme"), Subdomain("globex")
needs_full_device = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")


def leaves(group: click.Command, *path: str) -> list[tuple[str, ...]]:
    """Return the words by which every command is called."""
    if isinstance(group, click.Group):
        return [leaf for one in group.commands.values() for leaf in leaves(one, *path, str(group.name))]
    return [(*path, str(group.name))]


LEAVES = [leaf for command in COMMANDS for leaf in leaves(command) if leaf != ("package-app",)]
NEEDED = {
    "disconnect": ["acme"],
    "list": ["--account", "acme"],
    "install": ["--account", "acme", "name"],
    "uninstall": ["--account", "acme", "name"],
    "export": ["--account", "acme"],
    "reinstall": ["--account", "acme", "name"],
    "plan": ["DOCUMENT"],
    "apply": ["DOCUMENT"],
    "create": ["--account", "acme", "--name", "deploy"],
    "revoke": ["--account", "acme", "--name", "deploy"],
}
DOCUMENT = '{"account": "acme", "integrations": {"acme_orders": {"installed": ["name"]}}}'


def test_these_are_the_commands() -> None:
    assert {" ".join(leaf) for leaf in LEAVES} == {
        "doctor", "accounts", "refresh-tokens", "rotate-keys", "disconnect", "job-specs list", "job-specs install",
        "job-specs uninstall", "job-specs reinstall", "job-specs export", "job-specs plan", "job-specs apply",
        "activity export", "machine-tokens create", "machine-tokens list", "machine-tokens revoke",
    }  # fmt: skip


@pytest.mark.parametrize("leaf", [("job-specs",), ("activity",), ("machine-tokens",), *LEAVES], ids=" ".join)
def test_every_command_explains_itself(leaf: tuple[str, ...], make_app: MakeApp) -> None:
    answer = run(make_app(), *leaf, "--help")
    assert answer.status == 0
    assert "Usage:" in answer.out


def test_a_help_deep_in_a_group_needs_no_setting() -> None:
    answer = run_process({}, "job-specs", "install", "--help")
    assert answer.status == 0
    assert "again, if they are installed already" in answer.out


# The doctor waits for Redis: see test_doctor_redis.
@pytest.mark.parametrize("leaf", [leaf for leaf in LEAVES if leaf != ("doctor",)], ids=" ".join)
def test_without_redis_every_command_ends_with_1_and_without_a_traceback(
    leaf: tuple[str, ...], make_app: MakeApp, tmp_path: Path
) -> None:
    document = tmp_path / "acme.json"
    document.write_text(DOCUMENT)
    needed = [str(document) if one == "DOCUMENT" else one for one in NEEDED.get(leaf[-1], [])]
    answer = run(make_app(REDIS_URL="redis://127.0.0.1:1/0"), *leaf, *needed)
    assert answer.status == 1
    assert answer.err.splitlines()[-4:] == [
        "Error: This service's store cannot be reached.",
        "The store (Redis) did not answer. Try again in a moment.",
        "Try again in 2 s.",
        "Code: store_unavailable",
    ]


def test_faulty_settings_are_named_and_end_it_with_1() -> None:
    answer = run_process({"PUBLIC_URL": "nonsense"}, "accounts", "--json")
    assert (answer.status, answer.out) == (1, "")
    assert "REDIS_URL is not set" in answer.err
    assert "PUBLIC_URL must be" in answer.err
    assert "Traceback" not in answer.err


def test_the_deployment_asks_the_doctor_before_each_release() -> None:
    assert "release: flask --app service doctor" in (ROOT / "Procfile").read_text().splitlines()


# --- errors ---


@pytest.fixture
def troubled(make_app: MakeApp) -> Flask:
    """An application with a command that fails."""
    app = make_app()

    @click.command("fail", cls=OperatorCommand)
    @json_option
    def fail(as_json: bool) -> None:  # noqa: ARG001 - told to the class
        raise ZendeskUnavailable(
            "Zendesk is away. Wait.",
            upstream_status=503,
            upstream_detail="Down",
            retry_after=7,
            authorize_url="https://a",
        )

    @click.command("settings", cls=OperatorCommand)
    def settings() -> None:
        raise SettingsError(["REDIS_URL is not set"])

    app.cli.add_command(fail)
    app.cli.add_command(settings)
    return app


def test_an_error_is_title_detail_next_step_and_code(troubled: Flask) -> None:
    answer = run(troubled, "fail")
    assert (answer.status, answer.out) == (1, "")
    assert answer.err.splitlines() == [
        "Error: Zendesk cannot be reached or gave no usable answer.",
        "Zendesk is away. Wait.",
        "Zendesk's words (503): Down",
        "Connect it here: https://a",
        "Try again in 7 s.",
        "Code: zendesk_unavailable",
    ]


def test_with_json_standard_output_is_json_even_then(troubled: Flask) -> None:
    answer = run(troubled, "fail", "--json")
    assert answer.status == 1
    assert answer.json() == {
        "error": {
            "code": "zendesk_unavailable",
            "title": "Zendesk cannot be reached or gave no usable answer",
            "detail": "Zendesk is away. Wait.",
            "upstream_status": 503,
            "upstream_detail": "Down",
            "retry_after": 7,
            "authorize_url": "https://a",
        }
    }
    assert "Code: zendesk_unavailable" in answer.err


def test_faults_of_settings_pass_as_they_are(troubled: Flask) -> None:
    answer = run(troubled, "settings")
    assert answer.status == 1
    assert "- REDIS_URL is not set" in answer.err


def test_a_name_cannot_give_orders_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("NAME", "LAST"), [("\x1b[2Jacme\n", "Ä")])
    assert capsys.readouterr().out == "NAME       LAST\n?[2Jacme?  Ä\n"


# --- a pair that Redis does not take ---


def test_a_command_stores_a_pair_before_it_ends(admin: Admin, redis: Redis) -> None:
    age(admin, ACME, 0.9)
    admin.meets({"where": "token", "kind": "hold", "after_effect": True})
    grants = collaborator(admin.app, Grants)
    before = grants.get(ACME)
    with meanwhile(lambda: run(admin.app, "refresh-tokens")) as answers:
        admin.simulator.world.wait_until_held(1)
        redis.config_set("maxmemory", "1")
        admin.simulator.release()
        wait_until(lambda: collaborator(admin.app, AccessTokens).pending_pairs.holds(ACME))
        redis.config_set("maxmemory", "0")
    assert answers[0].status == 1
    assert "[store_unavailable]" in answers[0].out
    after = grants.get(ACME)
    assert before is not None
    assert after is not None
    assert after.refresh_token != before.refresh_token
    assert not collaborator(admin.app, AccessTokens).pending_pairs.holds(ACME)


# --- progress ---


def test_what_is_soon_over_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("working") as progress:
        progress.tell("still working")
    assert capsys.readouterr().err == ""


def test_what_takes_long_is_named_once_a_step_and_again_after_a_while(capfd: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []

    def has_said(text: str, times: int) -> bool:
        said.extend(capfd.readouterr().err.splitlines())
        return said.count(text) >= times

    with Progress("first", quiet_seconds=0.01, again_seconds=0.05) as progress:
        wait_until(lambda: has_said("first …", 2))
        progress.tell("second")
        wait_until(lambda: has_said("second …", 1))
    assert set(said) == {"first …", "second …"}


# --- signals ---


def test_a_signal_lets_the_refresh_under_way_be_stored_and_begins_no_other(
    admin: Admin, environment: dict[str, str]
) -> None:
    admin.connect("globex")
    grants = collaborator(admin.app, Grants)
    age(admin, ACME, 0.9)
    age(admin, GLOBEX, 0.9)
    acme, globex = grants.get(ACME), grants.get(GLOBEX)
    admin.simulator.world.clear_calls()
    admin.meets({"where": "token", "kind": "hold", "after_effect": True})
    command = LiveCommand(environment, "refresh-tokens")
    admin.simulator.world.wait_until_held(1, timeout_seconds=STARTING_SECONDS)
    command.signal(signal.SIGTERM)
    command.wait_until_it_says("Stopping after the current step")
    admin.simulator.release()
    answer = command.ended()
    assert (answer.status, answer.lines()) == (1, ["acme: refreshed."])
    after = grants.get(ACME)
    assert after is not None
    assert (after.dead, after == acme) == (None, False)
    assert grants.get(GLOBEX) == globex
    assert [call.account for call in admin.calls(grant_type="refresh_token")] == ["acme"]


def test_a_signal_lets_the_change_under_way_be_read_back_and_begins_no_other(
    admin: Admin, environment: dict[str, str]
) -> None:
    admin.meets({"where": "change", "kind": "hold", "after_effect": True})
    command = LiveCommand(environment, "job-specs", "install", "--account", "acme", "--integration", "acme_shipping",
                          "--all", "--yes", "--json")  # fmt: skip
    admin.simulator.world.wait_until_held(1, timeout_seconds=STARTING_SECONDS)
    command.signal(signal.SIGINT)
    command.wait_until_it_says("Stopping after the current step")
    admin.simulator.release()
    answer = command.ended()
    assert answer.status == 1
    assert [one["result"] for one in answer.json()["changes"]] == ["ok", None, None]
    assert answer.json()["left"] == 2
    assert len(admin.changes_sent()) == 1


def test_a_second_signal_ends_it_at_once(admin: Admin, environment: dict[str, str]) -> None:
    age(admin, ACME, 0.9)
    admin.meets({"where": "token", "kind": "hold"})
    command = LiveCommand(environment, "refresh-tokens")
    admin.simulator.world.wait_until_held(1, timeout_seconds=STARTING_SECONDS)
    command.signal(signal.SIGTERM)
    command.wait_until_it_says("Stopping")
    command.signal(signal.SIGTERM)
    assert command.ended().status == -signal.SIGTERM
    admin.simulator.release()


def test_signals_are_as_before_afterwards(admin: Admin) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    run(admin.app, "accounts")
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


@pytest.fixture
def stopping(make_app: MakeApp) -> Flask:
    """An application with a command that is stopped by itself before it looks."""
    app = make_app()

    @click.command("stop", cls=OperatorCommand)
    def stop() -> None:
        before = is_interrupted()
        signal.raise_signal(signal.SIGINT)
        click.echo(f"{before} {is_interrupted()} {services().grants.has_any()}")

    app.cli.add_command(stop)
    return app


def test_a_command_knows_that_it_should_stop(stopping: Flask) -> None:
    answer = run(stopping, "stop")
    assert (answer.status, answer.out) == (0, "False True False\n")
    assert "Interrupt again to stop at once" in answer.err


def test_changes_stop_between_two_names(admin: Admin, environment: dict[str, str]) -> None:
    admin.meets({"where": "change", "kind": "hold", "times": 1})
    names = ["escalate_vip_order", "parcel_delayed"]
    command = LiveCommand(environment, "job-specs", "install", "--account", "acme", *names, "--json")
    admin.simulator.world.wait_until_held(1, timeout_seconds=STARTING_SECONDS)
    command.signal(signal.SIGINT)
    command.wait_until_it_says("Stopping")
    admin.simulator.release()
    answer = command.ended()
    assert answer.status == 1
    assert answer.json()["not_tried"] == ["parcel_delayed"]
    assert admin.has_installed("acme_orders", "escalate_vip_order")


# --- an answer that nobody takes ---


def test_a_command_whose_reader_is_gone_ends_quietly(environment: dict[str, str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    answer = run_process(environment, "accounts", "--json", stdout=writing)
    os.close(writing)
    assert (answer.status, answer.err) == (1, "")


@needs_full_device
def test_a_command_whose_answer_finds_no_room_says_so_in_a_sentence(environment: dict[str, str]) -> None:
    with Path("/dev/full").open("w") as full:
        answer = run_process(environment, "accounts", "--json", stdout=full.fileno())
    assert answer.status == 1
    assert answer.err == "Error: The output could not be written: No space left on device.\n"


def test_another_failure_of_the_system_is_not_taken_for_a_full_disk(make_app: MakeApp) -> None:
    app = make_app()

    @click.command("breaks", cls=OperatorCommand)
    def breaks() -> None:
        raise OSError(errno.ENOENT, "No such file or directory")

    app.cli.add_command(breaks)
    with pytest.raises(OSError, match="No such file"):
        run(app, "breaks")


@needs_full_device
def test_a_signal_does_not_end_the_step_under_way_where_nobody_can_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Path("/dev/full").open("w", buffering=1) as full:
        monkeypatch.setattr("sys.stderr", full)
        interruption = Interruption()
        interruption.ask(signal.SIGTERM, None)
        # What it could not write must not be written at its end either.
        with contextlib.suppress(OSError):
            full.close()
    signal.signal(signal.SIGTERM, before)
    assert interruption.is_asked
