"""`package-app`: what is in the zip, that it is always the same, and how the command ends."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from flask.cli import cli as flask

import service
from service.ground.settings import SettingsError
from service.operations.commands import COMMANDS, commands_alone
from service.operations.zendesk_app import command
from service.operations.zendesk_app.command import MANIFEST_FOLDER, package_app
from service.operations.zendesk_app.contents import read_app
from service.operations.zendesk_app.package import pack
from service.web.request import services
from tests.test_settings import make_settings
from tests.workers import ROOT, inherited_environment
from tools import draw_app_images

URL = "https://zis.example.com"
# Takes from root what lets it read every file.
UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
CATALOGUES = ROOT / "service" / "static" / "locales"


def invoke(*arguments: object, **environ: str) -> Result:
    unset = {"PUBLIC_URL": None}
    return CliRunner().invoke(package_app, [str(one) for one in arguments], env={**unset, **environ})


def flask_here(*arguments: object, app: object = "service", environ: Mapping[str, str] | None = None) -> Result:
    """Run the flask command in this process, which spares the start of another, with no setting but those given."""
    unset = dict.fromkeys(os.environ.keys() - inherited_environment().keys())
    return CliRunner().invoke(flask, ["--app", str(app), *map(str, arguments)], env={**unset, **(environ or {})})


def test_the_zip_holds_the_app_with_the_address_filled_in(tmp_path: Path) -> None:
    assert invoke(tmp_path / "app.zip", "--public-url", URL).exit_code == 0

    with zipfile.ZipFile(tmp_path / "app.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [
            "assets/icon_nav_bar.svg", "assets/logo-small.png", "assets/logo.png", "assets/logo.svg", "manifest.json",
            "translations/de.json", "translations/en.json", "translations/es.json", "translations/fr.json",
            "translations/ja.json", "translations/pt-br.json",
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
    assert translated == {path.name.lower() for path in CATALOGUES.glob("*.json")}


def test_the_app_is_called_as_the_sidebar_calls_itself() -> None:
    for path in CATALOGUES.glob("*.json"):
        texts = json.loads((MANIFEST_FOLDER / "translations" / path.name.lower()).read_text())
        assert texts["app"]["name"] == json.loads(path.read_text())["app.title"]


def test_the_same_files_give_the_same_bytes_whatever_their_order_times_and_permissions(tmp_path: Path) -> None:
    # The order in which a folder lists its files is mostly that of their making.
    for number, path in enumerate(sorted(MANIFEST_FOLDER.rglob("*.*"), reverse=True)):
        copy = tmp_path / "other" / path.relative_to(MANIFEST_FOLDER)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
        copy.chmod(0o600 if number % 2 else 0o755)
        os.utime(copy, (1_000_000_000 + number, 1_000_000_000 - number))

    assert pack(read_app(tmp_path / "other", URL)) == pack(read_app(MANIFEST_FOLDER, URL))


@pytest.mark.processes
def test_nothing_about_the_run_is_in_the_bytes(tmp_path: Path) -> None:
    script = (
        f"from pathlib import Path; from {read_app.__module__} import read_app; from {pack.__module__} import pack\n"
        f"Path('a.zip').write_bytes(pack(read_app(Path({str(MANIFEST_FOLDER)!r}), {URL!r})))"
    )
    elsewhere = {"PYTHONPATH": str(ROOT), "TZ": "Pacific/Auckland", "PYTHONHASHSEED": "1", "LC_ALL": "C"}
    subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", script], cwd=tmp_path, env={**inherited_environment(), **elsewhere}, umask=0, check=True
    )

    assert (tmp_path / "a.zip").read_bytes() == pack(read_app(MANIFEST_FOLDER, URL))


def test_an_entry_of_the_zip_tells_nothing_but_its_name_and_content(tmp_path: Path) -> None:
    invoke(tmp_path / "app.zip", "--public-url", URL)

    with zipfile.ZipFile(tmp_path / "app.zip") as archive:
        assert archive.comment == b""
        told = {(one.date_time, one.external_attr, one.create_system, one.extra) for one in archive.infolist()}
    assert told == {((1980, 1, 1, 0, 0, 0), 0o100644 << 16, 3, b"")}


def test_it_says_what_it_wrote_and_what_comes_next(tmp_path: Path) -> None:
    result = invoke(tmp_path / "app.zip", "--public-url", URL + "/")

    assert f"Wrote {tmp_path / 'app.zip'}: 11 files" in result.output
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


@pytest.mark.parametrize(
    "others",
    [
        {"REDIS_URL": "nonsense", "SECRET_KEYS": "short", "ZENDESK_SUBDOMAINS": "%", "LOG_FORMAT": "xml"},
        {"REDIS_URL": "redis://127.0.0.1:1/0", "SECRET_KEYS": "k" * 32, "ZENDESK_SUBDOMAINS": "acme",
         "ZENDESK_CLIENT_ID": "job_specs", "ZENDESK_CLIENT_SECRET": "s", "ZIS_INTEGRATIONS": "orders"},
    ],
    ids=["faulty", "right, but the store is away"],
)  # fmt: skip
def test_the_other_settings_play_no_part(tmp_path: Path, others: dict[str, str]) -> None:
    ran = flask_here("package-app", tmp_path / "app.zip", "--json", environ={"PUBLIC_URL": URL, **others})

    assert (ran.exit_code, ran.stderr) == (0, "")
    assert json.loads(ran.stdout)["written"] == str(tmp_path / "app.zip")


def test_the_option_goes_before_the_variable(tmp_path: Path) -> None:
    result = invoke(tmp_path / "app.zip", "--public-url", URL, "--json", PUBLIC_URL="nonsense")

    assert json.loads(result.stdout)["public_url"] == URL


def test_the_command_in_the_readme_makes_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = next(line for line in (ROOT / "README.md").read_text().splitlines() if " package-app " in line)
    program, *arguments = shlex.split(command)
    ran = flask_here(*arguments[2:], app=ROOT / arguments[1])

    assert (program, arguments[0]) == (".venv/bin/flask", "--app")
    assert ran.exit_code == 0
    assert zipfile.is_zipfile(tmp_path / "zis-job-specs.zip")


def test_an_address_out_of_reach_is_warned_of_and_packed(tmp_path: Path) -> None:
    result = invoke(tmp_path / "app.zip", "--public-url", "https://YOUR-SERVICE")

    assert result.exit_code == 0
    assert "Warning: location-in-reach: manifest.json" in result.stderr
    assert "your-service, which only stands for an address" in result.stderr
    assert "Wrote" in result.stdout


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


def test_a_missing_logo_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(MANIFEST_FOLDER, tmp_path / "manifest", ignore=shutil.ignore_patterns("logo.png"))
    monkeypatch.setattr(command, "MANIFEST_FOLDER", tmp_path / "manifest")

    result = invoke(tmp_path / "app.zip", "--public-url", URL)

    assert result.exit_code == 1
    assert "logos: assets/logo.png: is missing" in result.stderr
    assert not (tmp_path / "app.zip").exists()


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
        (["a" * 300, "--public-url", URL], "cannot be looked at: File name too long"),
        ([MANIFEST_FOLDER / "assets/app.zip", "--public-url", URL], "outside manifest/"),
    ],
    ids=[
        "no-address", "http-address", "address-with-path", "no-file", "no-folder", "a-folder", "a-device",
        "a-long-name", "among-the-app's-files",
    ],
)  # fmt: skip
def test_a_wrong_call_ends_with_2_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[object], said: str
) -> None:
    monkeypatch.chdir(tmp_path)

    result = invoke(*arguments)

    assert result.exit_code == 2
    assert said in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_address_set_to_nothing_counts_as_unset() -> None:
    result = invoke("app.zip", PUBLIC_URL=" ")

    assert result.exit_code == 2
    assert "The service's address is not given" in result.stderr


def test_a_faulty_variable_is_named_as_the_variable() -> None:
    assert "Invalid value for PUBLIC_URL: must be" in invoke("app.zip", PUBLIC_URL="zis.example.com").stderr
    assert "Invalid value for --public-url: must be" in invoke("app.zip", "--public-url", "zis.example.com").stderr


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    target = tmp_path / ("a" * 250)

    result = invoke(target, "--public-url", URL)

    assert result.exit_code == 1
    assert f"{target} cannot be written: File name too long" in result.stderr


@pytest.mark.processes
@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root reads every file")
def test_a_file_that_cannot_be_read_is_named_and_no_part_is_taken_for_the_whole(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").touch(0)
    script = (
        f"from pathlib import Path; from {read_app.__module__} import read_app; read_app(Path({str(tmp_path)!r}), '')"
    )

    ran = subprocess.run(  # noqa: S603 - our own interpreter
        [*UNPRIVILEGED, sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert f"Unreadable: {tmp_path / 'manifest.json'} cannot be read: Permission denied." in ran.stderr


def test_a_checkout_without_the_apps_files_says_what_to_restore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "MANIFEST_FOLDER", tmp_path / "manifest")

    result = invoke(tmp_path / "app.zip", "--public-url", URL)

    assert result.exit_code == 1
    assert "manifest-present: manifest.json: is missing: restore the folder manifest/" in result.stderr
    assert f"The files are in {tmp_path / 'manifest'}" in result.stderr


def test_the_images_are_as_they_are_drawn() -> None:
    assert (MANIFEST_FOLDER / "assets/logo.svg").read_bytes() == draw_app_images.svg(draw_app_images.DRAWING)


@pytest.mark.parametrize(
    ("name", "shapes", "size"),
    [("logo.png", draw_app_images.LARGE, 320), ("logo-small.png", draw_app_images.SMALL, 128)],
    ids=["large", "small"],
)
def test_the_logos_are_as_they_are_drawn(name: str, shapes: tuple[draw_app_images.Shape, ...], size: int) -> None:
    pixels = draw_app_images.pixels_of((MANIFEST_FOLDER / "assets" / name).read_bytes())
    length = len(pixels) // size

    # Drawing a row takes long; --check of the tool looks at each.
    for y in range(0, size, 16):
        assert pixels[y * length : (y + 1) * length] == draw_app_images.row(shapes, size, y), f"row {y}"


def test_the_icon_takes_the_colour_of_the_navigation_bar() -> None:
    icon = (MANIFEST_FOLDER / "assets/icon_nav_bar.svg").read_text()

    assert 'viewBox="0 0 30 30"' in icon
    assert set(re.findall(r'(?:fill|stroke)="([^"]*)"', icon)) == {"currentColor"}


def test_help_lists_our_commands_without_any_setting() -> None:
    ran = flask_here("--help")

    assert ran.exit_code == 0
    assert "package-app" in ran.stdout
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command.name))
def test_every_command_has_a_help_without_any_setting(command: click.Command) -> None:
    ran = flask_here(command.name, "--help")

    assert ran.exit_code == 0
    assert "Usage:" in ran.stdout


@pytest.mark.parametrize("command", ["routes", "run"])
def test_what_needs_settings_names_every_fault_and_ends_with_1(command: str) -> None:
    ran = flask_here(command)

    assert ran.exit_code == 1
    assert "PUBLIC_URL is not set" in ran.stderr
    assert "SECRET_KEYS is not set" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_command_that_needs_settings_names_every_fault_and_ends_with_1() -> None:
    app = commands_alone(SettingsError(["REDIS_URL is not set", "SECRET_KEYS is not set"]))

    @app.cli.command("needy")
    def needy() -> None:
        click.echo(services().settings.public_url)

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


@pytest.mark.processes
def test_importing_the_package_imports_nothing_else() -> None:
    script = "import service, sys; print([one for one in sys.modules if one.startswith(('service.', 'flask'))])"
    ran = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", script],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout.strip() == "[]"
