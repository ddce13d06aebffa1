"""`package-app`: what is in the zip, that it is always the same, and how the command ends."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import service
from service.operations.commands import COMMANDS, commands_alone
from service.operations.zendesk_app.command import MANIFEST_FOLDER, package_app
from service.operations.zendesk_app.contents import read_app
from service.operations.zendesk_app.package import pack
from service.settings import Settings, SettingsError
from service.web import collaborator
from tests.test_settings import make_settings
from tests.workers import ROOT

URL = "https://zis.example.com"
CATALOGUES = ROOT / "service" / "static" / "locales"


def invoke(*arguments: object, **environ: str) -> Result:
    unset = {"PUBLIC_URL": None}
    return CliRunner().invoke(package_app, [str(one) for one in arguments], env={**unset, **environ})


def flask(*arguments: object, cwd: Path = ROOT, umask: int = 0o022, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the flask command in an environment without any setting."""
    keep = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME"} or "COV" in name}
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "flask", "--app", "service", *map(str, arguments)],
        cwd=cwd, env={**keep, **environ}, umask=umask, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of what a deployment has, to break."""
    skip = shutil.ignore_patterns("__pycache__", "sandbox")
    shutil.copytree(ROOT / "service", tmp_path / "checkout/service", ignore=skip)
    shutil.copytree(ROOT / "manifest", tmp_path / "checkout/manifest")
    return tmp_path / "checkout"


def test_the_zip_holds_the_app_with_the_address_filled_in(tmp_path: Path) -> None:
    assert invoke(tmp_path / "app.zip", "--public-url", URL).exit_code == 0

    with zipfile.ZipFile(tmp_path / "app.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [
            "assets/icon_nav_bar.svg", "assets/logo-small.png", "assets/logo.png", "assets/logo.svg", "manifest.json",
            "translations/de.json", "translations/en.json",
        ]  # fmt: skip
        assert archive.read("assets/logo.png") == (MANIFEST_FOLDER / "assets/logo.png").read_bytes()
        manifest = json.loads(archive.read("manifest.json"))
    assert manifest["location"]["support"]["ticket_sidebar"]["url"] == f"{URL}/sidebar"
    assert manifest["location"]["support"]["nav_bar"]["url"] == f"{URL}/sidebar"
    assert manifest["signedUrls"] is True
    assert manifest["private"] is True
    assert manifest["frameworkVersion"] == "2.0"
    assert "{{" not in json.dumps(manifest)


def test_the_app_speaks_the_languages_of_the_sidebar() -> None:
    translated = {path.name for path in (MANIFEST_FOLDER / "translations").iterdir()}
    assert translated == {path.name for path in CATALOGUES.glob("*.json")}


def test_the_app_is_called_as_the_sidebar_calls_itself() -> None:
    for path in CATALOGUES.glob("*.json"):
        texts = json.loads((MANIFEST_FOLDER / "translations" / path.name).read_text())
        assert texts["app"]["name"] == json.loads(path.read_text())["app.title"]


def test_every_language_has_the_same_texts() -> None:
    english, *others = [json.loads(path.read_text()) for path in sorted(MANIFEST_FOLDER.glob("translations/*.json"))]
    assert all(one["app"].keys() == english["app"].keys() for one in others)


def test_the_same_files_give_the_same_bytes_whatever_their_times_and_permissions(tmp_path: Path) -> None:
    other = shutil.copytree(MANIFEST_FOLDER, tmp_path / "other")
    for path in other.rglob("*.*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
        path.chmod(0o600)

    assert pack(read_app(other, URL)) == pack(read_app(MANIFEST_FOLDER, URL))


def test_two_runs_give_the_same_bytes_under_another_umask_and_time_zone(tmp_path: Path) -> None:
    first = flask("package-app", tmp_path / "a.zip", PUBLIC_URL=URL, TZ="Pacific/Auckland", umask=0o077)
    second = flask("package-app", tmp_path / "b.zip", PUBLIC_URL=URL, TZ="America/New_York", umask=0)

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_it_says_what_it_wrote_and_what_comes_next(tmp_path: Path) -> None:
    result = invoke(tmp_path / "app.zip", "--public-url", URL + "/")

    assert f"Wrote {tmp_path / 'app.zip'}: 7 files" in result.output
    assert f"{URL}/sidebar" in result.output
    assert "Upload private app" in result.output
    assert "/api/v2/apps/owned.json" in result.output
    assert "ZENDESK_APPS" in result.output


def test_json_says_the_same_for_programs(tmp_path: Path) -> None:
    result = invoke(tmp_path / "app.zip", "--json", PUBLIC_URL=URL)

    report = json.loads(result.stdout)
    assert report["written"] == str(tmp_path / "app.zip")
    assert report["bytes"] == (tmp_path / "app.zip").stat().st_size
    assert (report["problems"], report["warnings"], len(report["next_steps"])) == ([], [], 3)


def test_a_refused_app_is_not_written_and_an_older_one_stays(tmp_path: Path) -> None:
    (tmp_path / "app.zip").write_text("older")

    result = invoke(tmp_path / "app.zip", "--public-url", "http://127.0.0.1:9001")

    assert result.exit_code == 1
    assert "location-url: manifest.json" in result.stderr
    assert "http://localhost" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["app.zip"]
    assert (tmp_path / "app.zip").read_text() == "older"


def test_a_refusal_as_json_names_rule_and_file(tmp_path: Path) -> None:
    result = invoke(tmp_path / "app.zip", "--json", "--public-url", "http://127.0.0.1:9001")

    report = json.loads(result.stdout)
    assert result.exit_code == 1
    assert report["written"] is None
    assert {(one["rule"], one["file"]) for one in report["problems"]} == {("location-url", "manifest.json")}


def test_a_missing_logo_in_the_checkout_is_refused(checkout: Path) -> None:
    (checkout / "manifest/assets/logo.png").unlink()

    ran = flask("package-app", "app.zip", "--public-url", URL, cwd=checkout)

    assert ran.returncode == 1
    assert "logos: assets/logo.png: is missing" in ran.stderr
    assert not (checkout / "app.zip").exists()


def test_an_older_zip_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    (tmp_path / "app.zip").write_text("older")

    assert invoke(tmp_path / "app.zip", "--public-url", URL).exit_code == 0

    assert zipfile.is_zipfile(tmp_path / "app.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["app.zip"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["app.zip"], "--public-url https://YOUR-SERVICE"),
        (["app.zip", "--public-url", "http://zis.example.com"], "must be an https:// origin"),
        (["app.zip", "--public-url", "https://zis.example.com/path"], "no path"),
        ([], "Missing argument 'OUT.zip'"),
        (["nowhere/app.zip", "--public-url", URL], "does not exist"),
        ([".", "--public-url", URL], "is no file"),
        ([os.devnull, "--public-url", URL], "is no file"),
    ],
    ids=["no-address", "http-address", "address-with-path", "no-file", "no-folder", "a-folder", "a-device"],
)
def test_a_wrong_call_ends_with_2_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)

    result = invoke(*arguments)

    assert result.exit_code == 2
    assert said in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_address_set_to_nothing_counts_as_unset() -> None:
    assert invoke("app.zip", PUBLIC_URL=" ").exit_code == 2


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    target = tmp_path / ("a" * 250)

    result = invoke(target, "--public-url", URL)

    assert result.exit_code == 1
    assert f"{target} cannot be written: File name too long" in result.stderr


def test_help_lists_our_commands_without_any_setting() -> None:
    ran = flask("--help")

    assert ran.returncode == 0
    assert "package-app" in ran.stdout
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command.name))
def test_every_command_has_a_help_without_any_setting(command: click.Command) -> None:
    ran = flask(command.name, "--help")

    assert ran.returncode == 0
    assert "Usage:" in ran.stdout


@pytest.mark.parametrize("command", ["routes", "run"])
def test_what_needs_settings_names_every_fault_and_ends_with_1(command: str) -> None:
    ran = flask(command)

    assert ran.returncode == 1
    assert "PUBLIC_URL is not set" in ran.stderr
    assert "SECRET_KEYS is not set" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_command_that_needs_settings_names_every_fault_and_ends_with_1() -> None:
    app = commands_alone(SettingsError(["REDIS_URL is not set", "SECRET_KEYS is not set"]))

    @app.cli.command("needy")
    def needy() -> None:
        collaborator(Settings)

    result = app.test_cli_runner().invoke(args=["needy"])

    assert result.exit_code == 1
    assert "REDIS_URL is not set" in result.stderr
    assert "SECRET_KEYS is not set" in result.stderr


def test_the_package_hands_on_an_application_that_refuses_faulty_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PUBLIC_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(SettingsError):
        service.create_app()


def test_the_package_hands_on_an_application_with_the_commands() -> None:
    app = service.create_app(make_settings())

    assert {str(command.name) for command in COMMANDS} <= app.cli.commands.keys()


def test_importing_the_package_imports_nothing_else() -> None:
    script = "import service, sys; print([one for one in sys.modules if one.startswith(('service.', 'flask'))])"
    ran = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", script],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout.strip() == "[]"
