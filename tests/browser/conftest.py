"""A real browser in front of the service under gunicorn and the simulated Zendesk."""

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from service.sandbox.simulator import Simulator
from tests.browser.workspace import Workspace
from tests.workers import LiveService

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SDK = "https://static.zdassets.com/**"


def chromium_path() -> str | None:
    """Return the browser to use; None: there is none."""
    candidates = (os.environ.get("CHROMIUM"), "/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome")
    return next((found for name in candidates if name and (found := shutil.which(name))), None)


@pytest.fixture(scope="session")
def chromium() -> str:
    path = chromium_path()
    if path is not None:
        return path
    reason = "no Chromium found: install chromium, or name it with CHROMIUM=/path/to/chromium"
    if os.environ.get("REQUIRE_BROWSER") == "1":
        pytest.fail(f"REQUIRE_BROWSER=1, but {reason}")
    pytest.skip(reason)


# One module long, not one session: Playwright's synchronous API allows only one of its kind at a time.
@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh window, without Zendesk's SDK; a script's error or a breach of the page policy fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
    context.route(SDK, lambda route: route.abort())
    faults: list[str] = []
    context.on("weberror", lambda error: faults.append(str(error.error)))
    context.on(
        "console",
        lambda message: faults.append(message.text) if "Content Security Policy" in message.text else None,
    )
    yield context.new_page()
    context.close()
    assert not faults


@pytest.fixture
def workspace(simulator: Simulator, live_service: Callable[..., LiveService], page: Page) -> Workspace:
    """The agent workspace, with nothing connected yet.

    The page comes last, so that it goes first: gunicorn waits at its end for connections a browser keeps open.
    """
    live_service(workers=2)
    return Workspace(page, simulator)
