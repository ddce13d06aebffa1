"""Compile the pinned, hashed requirements from pyproject.toml; with --check only say whether they are fresh."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# requirements-dev.txt holds everything; the first file is what production installs (Heroku's pip build reads it).
FILES = {"requirements.txt": [], "requirements-dev.txt": ["--group", "dev", "-c", "requirements.txt"]}


def compile_into(folder: Path) -> None:
    """Write both files into `folder`, keeping the versions already pinned there where they still fit."""
    for name, arguments in FILES.items():
        subprocess.run(
            ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes",
             "--no-emit-index-url", "--custom-compile-command", "make lock", *arguments, "pyproject.toml",
             "--output-file", name],
            cwd=folder, check=True, env=_environment(),
        )  # fmt: skip


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "UV_NO_PROGRESS": "1"}


def main() -> int:
    """Exit 1 when --check finds a stale file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    if not parser.parse_args().check:
        compile_into(ROOT)
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in ("pyproject.toml", *FILES):
            (folder / name).write_bytes((ROOT / name).read_bytes())
        compile_into(folder)
        stale = [name for name in FILES if (folder / name).read_bytes() != (ROOT / name).read_bytes()]
    for name in stale:
        print(f"{name} does not match pyproject.toml: run `make lock` and commit the result")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
