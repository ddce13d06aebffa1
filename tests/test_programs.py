from pathlib import Path

import pytest

from tests.programs import chromium_path, is_snap, nginx_path

STUB = "#!/bin/sh\nif ! [ -x /snap/bin/chromium ]; then\n    echo 'snap install chromium' >&2\n    exit 1\nfi\n"


def program(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_a_named_program_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = program(tmp_path, "my-browser", "#!/bin/sh\n")
    monkeypatch.setenv("CHROMIUM", str(mine))
    assert chromium_path() == str(mine)


def test_a_named_program_that_is_not_there_is_not_replaced_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROMIUM", "/nowhere/chromium")
    monkeypatch.delenv("REQUIRE_BROWSER", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no Chromium found"):
        chromium_path()


@pytest.mark.parametrize("name", ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"])
def test_each_usual_name_is_found(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    path = program(tmp_path, name, "#!/bin/sh\nexec /usr/lib/chromium/chromium\n")
    assert chromium_path() == str(path)


def test_a_snap_stub_is_skipped_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUIRE_BROWSER", raising=False)
    stub = program(tmp_path, "chromium-browser", STUB)
    assert is_snap(stub)
    monkeypatch.setenv("CHROMIUM", str(stub))
    with pytest.raises(pytest.skip.Exception, match="is a snap"):
        chromium_path()


def test_the_absence_of_a_required_program_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NGINX", "/nowhere/nginx")
    monkeypatch.setenv("REQUIRE_NGINX", "1")
    with pytest.raises(pytest.fail.Exception, match="REQUIRE_NGINX=1, but no nginx"):
        nginx_path()
