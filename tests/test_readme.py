"""README and docs/reference.md say what the code says."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.simulator import Simulator
from service.ground import errors
from service.ground.errors import ServiceError
from service.ground.settings import VARIABLES
from tests.workers import LiveService

StartService = Callable[..., LiveService]

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = (ROOT / "docs" / "reference.md").read_text()
PAGES = (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")))


def between(mark: str) -> str:
    found = re.search(rf"<!-- {mark} -->\n(.*?)<!-- /{mark} -->", REFERENCE, re.DOTALL)
    assert found
    return found[1]


def settings_table() -> str:
    """Return the table as it has to stand in the reference."""
    rows = [
        f"| `{one.name}` | {one.required} | {f'`{one.default}`' if one.default else ''} | {one.meaning} |"
        for one in VARIABLES
    ]
    return "\n".join(["| variable | required | default | meaning |", "| --- | --- | --- | --- |", *rows])


def errors_table() -> str:
    """Return the table as it has to stand in the reference."""
    rows = [
        f"| `{kind.code}` | {kind.status} | {(kind.__doc__ or '').strip()} |" for kind in ServiceError.__subclasses__()
    ]
    return "\n".join(["| code | status | what it means |", "| --- | --- | --- |", *rows])


def test_the_settings_table_is_that_of_the_settings() -> None:
    assert between("settings").strip() == settings_table()


def test_the_error_table_is_that_of_the_errors() -> None:
    assert between("errors").strip() == errors_table()


def named_files() -> list[tuple[str, str]]:
    """Return (page, path) of what README and the pages in docs/ point to in this repository."""
    named = set()
    for page in PAGES:
        for code, link in re.findall(r"`((?:service|tests|docs|tools)/[a-z_/.]+)`|\]\(([^)]+)\)", page.read_text()):
            path = code or link.partition("#")[0]
            if path and "://" not in path:
                folder = ROOT if code else page.parent
                named.add((page.name, str((folder / path).resolve().relative_to(ROOT))))
        for image in re.findall(r'<img src="([^"]+)"', page.read_text()):
            named.add((page.name, image))
    return sorted(named)


@pytest.mark.parametrize(("page", "path"), named_files())
def test_every_file_that_a_page_names_exists(page: str, path: str) -> None:
    assert (ROOT / path).exists(), f"{page} names {path}"


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as a forge makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def named_headings() -> list[tuple[Path, Path, str]]:
    """Return (page, page it points to, anchor)."""
    return [
        (page, (page.parent / path).resolve() if path else page, anchor)
        for page in PAGES
        for path, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text())
    ]


@pytest.mark.parametrize(("page", "target", "anchor"), named_headings())
def test_every_heading_that_a_page_names_is_there(page: Path, target: Path, anchor: str) -> None:
    assert anchor in headings(target), f"{page.name} names #{anchor} of {target.name}"


def test_readme_is_short_enough_to_be_read() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_examples_do_what_they_say(live_service: StartService, simulator: Simulator, tmp_path: Path) -> None:
    service = live_service(1)
    script = between("examples").strip().removeprefix("```bash").removesuffix("```")
    script = script.replace("http://127.0.0.1:9000", simulator.address).replace("http://localhost:9001", service.url)
    ran = subprocess.run(  # noqa: S603 - the page's own words
        ["/bin/bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    connected, *lines = [line for line in ran.stdout.splitlines() if line]
    status, listed, installed, uninstalled, ambiguous, session, gone, activity = [json.loads(line) for line in lines]
    assert connected == "200"
    assert status["connection"]["state"] == "connected"
    assert len(listed["job_specs"]) == 3
    assert installed["job_spec"]["installed"] is True
    assert uninstalled["job_spec"]["installed"] is False
    assert ambiguous["code"] == "integration_required"
    assert session["expires_in"] == 900
    assert gone == {"revoked": True}
    assert [one["action"] for one in activity["activity"]] == ["disconnected", "uninstalled", "installed", "connected"]


def test_every_error_is_told_apart_by_its_code() -> None:
    codes = [kind.code for kind in ServiceError.__subclasses__()]
    assert len(codes) == len(set(codes)) == 26
    assert errors.error_class("nonsense") is errors.InternalError
