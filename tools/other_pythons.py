"""Run `make quick` under newer Pythons than this one: Debian's own, in a chroot that mmdebstrap makes and throws away.

    .venv/bin/python tools/other_pythons.py [3.13 3.14] [-- COMMAND…]

Inside, an ordinary user runs it, without an index: the wheels of the pinned requirements are fetched out here by this
machine's pip, for the other Python and with their hashes. Where that is not to be had it is skipped, with the reason;
with REQUIRE_PYTHONS=1 that is a failure.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
# Debian's release whose `python3` it is.
SUITES = {"3.13": "trixie", "3.14": "forky"}
PACKAGES = "python3,python3-venv,make,git,procps"
HOME = "/home/tester"
FAILED = "failed"
NO_CHROOT = "skipped, because no chroot can be made here"
# For the suite that is still being tested: a mirror may lag behind, and what it has is signed all the same.
APT_OPTIONS = 'Acquire::Check-Valid-Until "false"'


def main(arguments: list[str]) -> int:
    """Return the exit status: 1 if it failed under one of the Pythons, 0 also where it was skipped."""
    split = arguments.index("--") if "--" in arguments else len(arguments)
    versions, command = arguments[:split] or list(SUITES), arguments[split + 1 :] or ["make", "quick"]
    mirror = debian_mirror()
    if not shutil.which("mmdebstrap"):
        return skipped("mmdebstrap is not installed")
    if mirror is None:
        return skipped("this machine's apt names no mirror of Debian")
    results = {version: result_of(version, mirror, command) for version in versions}
    for version, result in results.items():
        print(f"Python {version}: {result}")
    is_required = os.environ.get("REQUIRE_PYTHONS") == "1"
    return 1 if FAILED in results.values() or (is_required and NO_CHROOT in results.values()) else 0


def skipped(reason: str) -> int:
    """Say why nothing was run, and return the exit status."""
    print(f"other Pythons: skipped, because {reason}")
    return 1 if os.environ.get("REQUIRE_PYTHONS") == "1" else 0


def debian_mirror() -> str | None:
    """Return the mirror that this machine's apt uses; None: it has none, or no apt."""
    if not shutil.which("apt-get"):
        return None
    form = "$(ORIGIN)|$(LABEL)|$(REPO_URI)"
    listed = subprocess.run(["apt-get", "indextargets", "--format", form], capture_output=True, text=True, check=False)
    lines = [line.split("|") for line in listed.stdout.splitlines()]
    return next((uri for origin, label, uri in lines if origin == label == "Debian"), None)


def result_of(version: str, mirror: str, command: list[str]) -> str:
    """Run `command` under a Python; return what became of it."""
    print(f"--- Python {version} ({SUITES[version]})", flush=True)
    with tempfile.TemporaryDirectory(prefix="other-python-") as folder:
        # The chroot's user is another one.
        Path(folder).chmod(0o755)
        given = Path(folder) / "given"
        (given / "project").mkdir(parents=True)
        if not fetch_wheels(version, given / "wheels"):
            return FAILED
        copy_project(given / "project")
        hook = Path(folder) / "hook"
        hook.write_text(inside(given, version, command))
        hook.chmod(0o755)
        made = subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", "--format=null", f"--aptopt={APT_OPTIONS}",
             f"--include={PACKAGES}", f'--customize-hook={hook} "$1"', SUITES[version], "/dev/null", mirror],
            check=False,
        )  # fmt: skip
        if made.returncode == 0:
            return "passed"
        # The hook leaves it once the chroot is complete: what fails before that says nothing of the project.
        return FAILED if (given / "begun").exists() else NO_CHROOT


def fetch_wheels(version: str, folder: Path, requirements: str = "requirements-dev.txt") -> bool:
    """Fetch the pinned requirements' wheels for a Python, and return whether all are to be had."""
    pinned = folder.with_suffix(".txt")
    pinned.write_text("".join(requirements_for(version, (ROOT / requirements).read_text())))
    fetched = subprocess.run(
        [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--python-version", version,
         "--only-binary=:all:", "--no-deps", "--require-hashes", "-r", str(pinned), "-d", str(folder)],
        check=False,
    )  # fmt: skip
    return fetched.returncode == 0


def requirements_for(version: str, text: str) -> list[str]:
    """Return the lines of the requirements that apply to a Python; pip would judge them by the one it runs on."""
    environment = {"python_version": version, "python_full_version": f"{version}.0"}
    chosen, applies = [], True
    for line in text.splitlines(keepends=True):
        if line[:1].isalnum():
            requirement = Requirement(line.rstrip(" \\\n"))
            applies = requirement.marker is None or requirement.marker.evaluate(environment)
            line = line.partition(" ;")[0].rstrip(" \\\n") + " \\\n"  # noqa: PLW2901 - the same line without its marker
        if applies and not line.lstrip().startswith("#"):
            chosen.append(line)
    return chosen


def copy_project(folder: Path) -> None:
    """Copy what git knows of, as it is in the working tree."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)


def inside(given: Path, version: str, command: list[str]) -> str:
    """Return the script that is run when the chroot, its first argument, is complete."""
    environment = {
        "HOME": HOME, "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8", "PYTHON": f"python{version}",
        "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": f"{HOME}/wheels",
    }  # fmt: skip
    words = " ".join(shlex.quote(f"{name}={value}") for name, value in environment.items())
    run = f'cd "{HOME}/project" && exec {shlex.join(command)}'
    return f"""#!/bin/sh
set -eu
chroot "$1" useradd --create-home --home-dir {HOME} --uid 1000 tester
cp -R {shlex.quote(str(given))}/. "$1{HOME}/"
touch {shlex.quote(str(given / "begun"))}
chroot "$1" chown -R tester:tester {HOME}
chroot --userspec=tester:tester "$1" env -i {words} sh -c {shlex.quote(run)}
"""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
