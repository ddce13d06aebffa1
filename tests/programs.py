"""Programs of the system that only some tests drive: a browser, and a router.

Where one is missing, its tests are skipped with the reason; REQUIRE_BROWSER=1 (Chromium), REQUIRE_FIREFOX=1,
REQUIRE_WEBKIT=1 and REQUIRE_NGINX=1 make that a failure.
"""

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    # Nothing here asks Zendesk's CDN: where Zendesk is simulated, the app takes a stand-in.
    "--host-resolver-rules=MAP static.zdassets.com ~NOTFOUND",
)
_CHROMIUM = (
    # Without the browser's own windows and toolbars it takes two fifths less CPU.
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
_FIREFOX = ("firefox-esr", "firefox")
# Playwright drives an ordinary Firefox by WebDriver BiDi, and finds a frame of another site in the same process alone.
FIREFOX_PREFERENCES: dict[str, str | float | bool] = {
    "fission.autostart": False,
    "fission.webContentIsolationStrategy": 0,
    # As in Chromium without a window: a scrollbar takes no room, so that a frame of 320 px has 320 px.
    "ui.useOverlayScrollbars": 1,
}
# WebKitGTK's own window around a page, in a folder that is on nobody's PATH.
_MINI_BROWSER = ("lib/*/webkit2gtk-4.1/MiniBrowser", "libexec/webkit2gtk-4.1/MiniBrowser")
# Debian's is in a folder that only root has on PATH.
_NGINX = ("nginx", "/usr/sbin/nginx")
# A shell script that starts a browser is a few lines; the browser itself is not read.
_SCRIPT_BYTES = 4096


@dataclass(frozen=True)
class Found:
    """What the search for a program came to."""

    path: str | None
    """None: there is none that tests can drive."""
    reason: str
    """Why, in words; empty if there is one."""


def found_chromium() -> Found:
    """Look for the Chromium to drive: `CHROMIUM`, or the first that the system has."""
    return _found("CHROMIUM", _CHROMIUM, "Chromium")


def chromium_path() -> str:
    """Return the Chromium to drive; skips the test without one."""
    return _required(found_chromium(), "REQUIRE_BROWSER")


def is_firefox_wanted() -> bool:
    """Return whether BROWSER=firefox asks for Firefox in Chromium's place."""
    return os.environ.get("BROWSER") == "firefox"


def found_firefox() -> Found:
    """Look for the Firefox to drive: `FIREFOX`, or the first that the system has."""
    return _found("FIREFOX", _FIREFOX, "Firefox")


def firefox_path() -> str:
    """Return the Firefox to drive; skips the test without one."""
    return _required(found_firefox(), "REQUIRE_FIREFOX")


@dataclass(frozen=True)
class WebKit:
    """WebKitGTK, and the display that it needs even where nobody looks."""

    driver: str
    browser: str
    display_server: str


def found_webkit() -> tuple[Found, Found, Found]:
    """Look for WebKitGTK's driver, its browser and Xvfb."""
    browsers = [path for pattern in _MINI_BROWSER for path in sorted(Path("/usr").glob(pattern))]
    return (
        _found("WEBKIT_DRIVER", ("WebKitWebDriver",), "WebKitWebDriver"),
        _found("MINI_BROWSER", map(str, browsers), "MiniBrowser of WebKitGTK"),
        _found("XVFB", ("Xvfb",), "Xvfb"),
    )


def webkit() -> WebKit:
    """Return WebKitGTK and Xvfb; skips the test where one is missing."""
    return WebKit(*(_required(found, "REQUIRE_WEBKIT") for found in found_webkit()))


def nginx_path() -> str:
    """Return the nginx to put in front of the service: `NGINX`, or the system's; skips the test without one."""
    return _required(_found("NGINX", _NGINX, "nginx"), "REQUIRE_NGINX")


def _found(variable: str, candidates: Iterable[str], name: str) -> Found:
    reason = f"no {name} found: install it, or name it with {variable}=/path/to/it"
    named = os.environ.get(variable)
    for candidate in (named,) if named else candidates:
        path = shutil.which(candidate)
        if path is None:
            continue
        if not is_snap(Path(path)):
            return Found(path, "")
        reason = f"{path} is a snap, which cannot reach the tests' files: install another {name}"
    return Found(None, reason)


def _required(found: Found, variable: str) -> str:
    if found.path is not None:
        return found.path
    if os.environ.get(variable) == "1":
        pytest.fail(f"{variable}=1, but {found.reason}")
    pytest.skip(found.reason)


def is_snap(path: Path) -> bool:
    """Return whether `path` starts a snap, or is Ubuntu's script that tells to install one."""
    if path.resolve().name == "snap" or path.is_relative_to("/snap"):
        return True
    with path.open("rb") as program:
        beginning = program.read(_SCRIPT_BYTES)
    return beginning.startswith(b"#!") and b"/snap/" in beginning
