"""The Dockerfile, compose.yaml and what docs/deploy.md shows, read by whatever reads such files, and compared."""

import configparser
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its types are not installed; it comes with schemathesis

from service.ground.settings import VARIABLES
from service.operations.commands import COMMANDS
from service.server.gunicorn_config import graceful_timeout
from tests.deploy.procfile import lines
from tests.deploy.samples import PAGE, sample
from tests.workers import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
VARIABLE_NAMES = {one.name for one in VARIABLES}
# What gunicorn, its settings and Python read.
OTHER_NAMES = {"PORT", "WEB_CONCURRENCY", "PYTHONDONTWRITEBYTECODE"}
COMMAND_NAMES = {command.name for command in COMMANDS}
UNITS = re.findall(r"<!-- sample: (\S+\.(?:service|timer)) -->", PAGE)


def documents() -> dict[tuple[str, str], Any]:
    """Return Kubernetes's documents by kind and name."""
    return {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(sample("kubernetes"))}


def unit(name: str) -> configparser.ConfigParser:
    """Return a unit file's sections."""
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]  # as its documentation says
    parsed.read_string(sample(name))
    return parsed


# --- the image ---


def test_the_images_command_is_the_procfiles_without_a_shell() -> None:
    (command,) = re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert json.loads(command) == lines()["web"].split()
    assert "ENTRYPOINT" not in DOCKERFILE
    assert re.search(r"^HEALTHCHECK .*CMD \[", DOCKERFILE, re.MULTILINE)


def test_the_base_is_an_argument_and_nothing_names_a_registry() -> None:
    assert "ARG BASE=python:" in DOCKERFILE
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == ["${BASE}", "python", "python"]
    images = [one["image"] for one in COMPOSE["services"].values()]
    # A host before the first slash has a dot or a port.
    assert not [image for image in images if "/" in image and re.search(r"[.:]", image.partition("/")[0])]


def test_only_what_is_named_gets_into_the_image() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == {
        "requirements.txt",
        "pyproject.toml",
        "manifest",
        "service",
    }
    assert "sandbox" in rules
    for name in re.findall(r"^COPY (?!--from)(\S+) ", DOCKERFILE, re.MULTILINE):
        assert f"!{name}" in rules


def test_make_image_says_what_is_missing() -> None:
    ran = subprocess.run(
        ["make", "image", "BUILDER=/nowhere/docker"],  # noqa: S607 - whichever is installed
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode != 0
    assert "docker, podman or buildah is needed" in ran.stderr


def test_compose_runs_the_image_as_it_is_meant_with_a_store_that_keeps_everything() -> None:
    web, store = COMPOSE["services"]["web"], COMPOSE["services"]["store"]
    assert web["environment"].keys() <= VARIABLE_NAMES | OTHER_NAMES
    assert web["read_only"] is True
    assert web["cap_drop"] == ["ALL"]
    assert int(web["stop_grace_period"].removesuffix("s")) > graceful_timeout
    assert web["environment"]["REDIS_URL"] == "redis://store:6379/0"
    assert "build" in web
    assert "--appendonly yes" in store["command"]
    assert "--maxmemory-policy noeviction" in store["command"]
    assert store["volumes"][0].partition(":")[0] in COMPOSE["volumes"]


# --- the page ---


def test_the_variables_are_the_required_ones() -> None:
    named = {line.partition("=")[0] for line in sample("env").splitlines()}
    required = {one.name for one in VARIABLES if one.required in {"yes", "mint"}}
    assert named == required
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert ".env" in ignored


def test_kubernetes_documents_name_what_there_is_and_leave_time_to_end() -> None:
    found = documents()
    assert [kind for kind, _ in found] == ["Deployment", "Service", "Ingress", "CronJob"]
    deployment = found["Deployment", "zis-job-specs"]
    pod = deployment["spec"]["template"]
    (web,) = pod["spec"]["containers"]
    assert {one["name"] for one in web["env"]} <= VARIABLE_NAMES | OTHER_NAMES
    pause = int(web["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["spec"]["terminationGracePeriodSeconds"] > graceful_timeout + pause
    # What the image exposes, and where the service sends requests.
    (port,) = web["ports"]
    assert re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE) == [str(port["containerPort"])]
    service = found["Service", "zis-job-specs"]["spec"]
    assert service["ports"][0]["targetPort"] == port["name"]
    assert service["selector"].items() <= pod["metadata"]["labels"].items()
    assert deployment["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert web["livenessProbe"]["httpGet"]["path"] == web["startupProbe"]["httpGet"]["path"] == "/livez"
    assert web["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert web["readinessProbe"]["timeoutSeconds"] > 4
    assert {one["name"] for one in web["volumeMounts"]} == {one["name"] for one in pod["spec"]["volumes"]}
    backend = found["Ingress", "zis-job-specs"]["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert (backend["name"], backend["port"]["name"]) == ("zis-job-specs", service["ports"][0]["name"])

    job = found["CronJob", "zis-job-specs-refresh"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (refresh,) = job["containers"]
    assert refresh["image"] == web["image"]
    assert refresh["envFrom"] == web["envFrom"]
    assert refresh["command"][:3] == ["flask", "--app", "service"]
    for container in (web, refresh):
        assert container["securityContext"] == {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }


def test_every_command_that_the_page_runs_is_one() -> None:
    named = re.findall(r"flask(?:, | )--app(?:, | )service(?:, |\s+)([a-z-]+)", PAGE)
    assert {"doctor", "refresh-tokens"} <= set(named) <= COMMAND_NAMES


def test_units_run_what_the_procfile_runs_and_leave_time_to_end() -> None:
    service = unit("zis-job-specs.service")["Service"]
    words = shlex.split(service["ExecStart"])
    expected = lines()["web"].split()
    folder = service["WorkingDirectory"]
    assert words[0] == f"{folder}/.venv/bin/{expected[0]}"
    # Behind a proxy of the same machine it listens on no other address.
    assert [word for word in words[1:] if word not in {"--bind", "127.0.0.1:8000"}] == expected[1:]
    assert int(service["TimeoutStopSec"]) > graceful_timeout
    assert {one.partition("=")[0] for one in service["Environment"].split()} <= OTHER_NAMES

    refresh = unit("zis-job-specs-refresh.service")["Service"]
    assert shlex.split(refresh["ExecStart"])[-1] in COMMAND_NAMES
    for name in ("User", "Group", "WorkingDirectory", "EnvironmentFile"):
        assert refresh[name] == service[name]
    # A timer without `Unit=` starts the service of its name.
    assert {"zis-job-specs-refresh.service", "zis-job-specs-refresh.timer"} <= set(UNITS)


@pytest.mark.processes
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_no_fault_in_the_units(tmp_path: Path) -> None:
    program = shutil.which("true")
    assert program
    for name in UNITS:
        # The programs and the user of the page are not on this machine.
        (tmp_path / name).write_text(re.sub(r"(?m)^(ExecStart=)\S+", rf"\g<1>{program}", sample(name)))
    said = subprocess.run(  # noqa: S603 - files of ours
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in UNITS)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in (said.stdout + said.stderr).splitlines() if "zis-job-specs" in line]
    assert ours == []
    assert len(UNITS) == 3
