"""The container image, built and run without a daemon or an image registry: buildah, and a base made of packages.

Linux and root only, and only where REQUIRE_IMAGE=1 asks for it: it takes three minutes.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.leftovers import MARK, end_with_us
from tests.workers import ROOT, inherited_environment
from tools.other_pythons import debian_mirror, fetch_wheels

# Debian's release whose image the base is, and its Python.
SUITE, PYTHON = "bookworm", "3.11"
PROGRAMS = ("buildah", "mmdebstrap", "make", "unshare", "setpriv")
BASE = "localhost/debian-python"
IMAGE = "localhost/zis-job-specs"
_MEMORY = "/dev/shm"  # noqa: S108 - a folder of our own is made in it
# Four times what is kept at most, since others may use it, too.
ROOM_BYTES = 6 << 30
# For a command that has to import the whole service on a busy machine, or for gunicorn's graceful time-out.
ENDED_SECONDS = 120
# A container runtime's part: devices, memory that can be written, the rest read-only, no way to more rights. The shell
# becomes the image's command, which is then process 1 of its own process namespace.
_ENTER = """
set -eu
root=$1 user=$2 folder=$3
shift 3
mount --bind "$root" "$root"
mount -t tmpfs -o mode=755 none "$root/dev"
mkdir -m 1777 "$root/dev/shm"
for device in null zero random urandom; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mount -t proc none "$root/proc"
mount -o remount,bind,ro "$root"
exec setpriv --no-new-privs chroot --userspec="$user" --groups= "$root" env -i --chdir="$folder" "$@"
"""


def require_builder() -> str:
    """Return the mirror of Debian to make the base from; skips the test where no image is asked for."""
    if os.environ.get("REQUIRE_IMAGE") != "1":
        pytest.skip("takes three minutes: REQUIRE_IMAGE=1 builds the image, as .ci/run does")
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    mirror = debian_mirror()
    if missing:
        reason = f"not installed: {', '.join(missing)}"
    elif os.geteuid() != 0:
        reason = "only root can make a base image and enter it"
    elif not _may_mount():
        reason = "root may not make namespaces and mount here"
    elif mirror is None:
        reason = "this machine's apt names no mirror of Debian"
    else:
        return mirror
    pytest.fail(f"REQUIRE_IMAGE=1, but no image can be built here: {reason}")


def _may_mount() -> bool:
    command = ["unshare", "--mount", "--pid", "--fork", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603 - our words


class Workshop:
    """Images and containers of its own, below a folder that is thrown away."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        storage = folder / "storage.conf"
        # vfs copies files instead of mounting layers, so it works on every file system.
        storage.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/images"\nrunroot = "{folder}/run"\n')
        temporary = folder / "tmp"
        temporary.mkdir()
        self._environment = {
            **inherited_environment(),
            # By which they are found and ended if this run is killed.
            **({MARK: os.environ[MARK]} if MARK in os.environ else {}),
            "BUILDAH_ISOLATION": "chroot",
            "STORAGE_DRIVER": "vfs",
            "CONTAINERS_STORAGE_CONF": str(storage),
            "TMPDIR": str(temporary),
        }

    def make_base(self, mirror: str) -> None:
        """Make the base image: Debian with its own Python, from packages alone."""
        archive = self._folder / "base.tar"
        self._run(
            "mmdebstrap", "--quiet", "--variant=minbase", "--include=python3,python3-venv",
            # A machine may have no true clock; what the mirror has is signed all the same.
            '--aptopt=Acquire::Check-Valid-Until "false"', '--aptopt=Acquire::Check-Date "false"',
            '--aptopt=Acquire::Retries "5"',
            # Thrown away at once: nothing has to be on the disk for good.
            "--dpkgopt=force-unsafe-io", "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=path-exclude=/usr/share/man/*",
            SUITE, str(archive), mirror,
        )  # fmt: skip
        container = self._run("buildah", "from", "scratch").strip()
        self._run("buildah", "add", "--quiet", container, str(archive), "/")
        archive.unlink()
        self._run("buildah", "commit", "--quiet", "--rm", container, BASE)

    def build(self) -> None:
        """Run `make image`, as an operator does; the wheels are fetched out here, by this machine's pip."""
        wheels = self._folder / "wheels"
        assert fetch_wheels(PYTHON, wheels, "requirements.txt"), "the pinned requirements' wheels are not to be had"
        extra = f"--volume {wheels}:/wheels:ro --build-arg PIP_NO_INDEX=1 --build-arg PIP_FIND_LINKS=/wheels"
        self._run("make", "image", "BUILDER=buildah", f"BASE={BASE}", f"IMAGE={IMAGE}", f"ARGS={extra}")

    def configuration(self) -> dict[str, Any]:
        """Return what the image says of how it is to be run."""
        told: dict[str, Any] = json.loads(self._run("buildah", "inspect", "--type", "image", IMAGE))
        configuration: dict[str, Any] = told["Docker"]["config"]
        return configuration

    def container(self) -> str:
        """Make a container of the image, and return its name."""
        return self._run("buildah", "from", IMAGE).strip()

    def files_of(self, container: str) -> Path:
        """Return the folder with a container's files."""
        return Path(self._run("buildah", "mount", container).strip())

    def run(
        self, container: str, command: Sequence[str], environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a container as `buildah run` does, and return what it said."""
        variables = [f"--env={name}={value}" for name, value in environment.items()]
        return subprocess.run(  # noqa: S603 - our own words
            ["buildah", "run", *variables, container, "--", *command],  # noqa: S607 - Debian's
            env=self._environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def _run(self, *command: str) -> str:
        ran = subprocess.run(  # noqa: S603 - our own words
            command, cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert ran.returncode == 0, f"{' '.join(command)}:\n{ran.stdout[-2000:]}\n{ran.stderr[-4000:]}"
        return ran.stdout


@dataclass(frozen=True)
class Image:
    """A built image, its files and what it says of how it is to be run."""

    workshop: Workshop
    container: str
    root: Path
    configuration: dict[str, Any]

    def run(self, command: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run a command in it as `buildah run` does, and return what it said."""
        return self.workshop.run(self.container, command, environment)

    def variables(self) -> dict[str, str]:
        """Return the environment that the image itself sets."""
        return dict(one.split("=", 1) for one in self.configuration["Env"])


def _roomy_folder() -> str | None:
    """Return memory to work in, where there is enough; None: the usual folder. Half of the work is copying files."""
    try:
        told = os.statvfs(_MEMORY)
    except OSError:
        return None
    is_usable = not told.f_flag & (os.ST_NOEXEC | os.ST_NODEV)
    return _MEMORY if is_usable and told.f_bavail * told.f_frsize >= ROOM_BYTES else None


@contextmanager
def built_image() -> Iterator[Image]:
    """Build the image, and throw everything away when the block ends."""
    mirror = require_builder()
    with tempfile.TemporaryDirectory(prefix="image-", dir=_roomy_folder()) as folder:
        # The image's user has to reach its files.
        Path(folder).chmod(0o755)
        workshop = Workshop(Path(folder))
        workshop.make_base(mirror)
        workshop.build()
        container = workshop.container()
        yield Image(workshop, container, workshop.files_of(container), workshop.configuration())


class Container:
    """A running container: the image's user, folder and variables, and its command unless another is named.

    Its root file system is read-only, as with `docker run --read-only`; it shares this machine's network.
    """

    def __init__(self, image: Image, environment: Mapping[str, str], command: Sequence[str] = ()) -> None:
        configuration = image.configuration
        variables = {**image.variables(), **environment}
        self._log = tempfile.NamedTemporaryFile(prefix="container-", suffix=".log")  # noqa: SIM115 - lives as long as this
        self._runtime = subprocess.Popen(  # noqa: S603 - our own words
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _ENTER, "enter",  # noqa: S607 - Debian's
             str(image.root), configuration["User"], configuration["WorkingDir"],
             *(f"{name}={value}" for name, value in variables.items()), *(command or configuration["Cmd"])],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        end_with_us(self._runtime.pid)

    @property
    def pid(self) -> int:
        """Process 1 of the container, by its number out here."""
        return self._children()[0]

    def _children(self) -> list[int]:
        told = Path(f"/proc/{self._runtime.pid}/task/{self._runtime.pid}/children").read_text()
        return [int(child) for child in told.split()]

    def log(self) -> str:
        return Path(self._log.name).read_text()

    def is_running(self) -> bool:
        return self._runtime.poll() is None

    def ended(self, seconds: float = ENDED_SECONDS) -> int:
        """Return the exit status once process 1 has ended."""
        return self._runtime.wait(seconds)

    def remove(self) -> None:
        """End what is left of it, at once."""
        # By its process 1, with which all others of it end: unshare's own way is lost where the user changes.
        if self.is_running():
            for child in self._children():
                os.kill(child, signal.SIGKILL)
        self._runtime.kill()
        self._runtime.wait()
        self._log.close()
