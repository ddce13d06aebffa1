"""A real browser in front of the service under gunicorn and the simulated Zendesk.

Browser and service live as long as the tests of this folder; every test has the world, the store and the window anew.
With SHOTS=1 in the environment the tests leave a picture of every situation in `shots/`.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from sandbox.simulator import Simulator
from tests.browser.workspace import ARCHIVE, ARCHIVED, SDK, Workspace
from tests.workers import LiveService

IS_DARK = "matchMedia('(prefers-color-scheme: dark)').matches"


class Services:
    """The service under gunicorn, once for each set of settings that a test asks for."""

    def __init__(self) -> None:
        self._running: dict[frozenset[tuple[str, str]], LiveService] = {}

    def get(self, environment: dict[str, str]) -> LiveService:
        """Return the service that runs with this environment, started if it is the first to ask."""
        key = frozenset(environment.items())
        if key not in self._running:
            self._running[key] = LiveService(environment, workers=1)
            self._running[key].wait_until_ready()
        return self._running[key]

    def stop(self) -> None:
        for service in self._running.values():
            service.stop()


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    services = Services()
    yield services
    services.stop()


@pytest.fixture
def open_window(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Open a fresh window, without Zendesk's SDK; a script's error or a breach of the page policy fails the test."""
    contexts = []
    faults: list[str] = []

    def open_window(**options: Any) -> Page:
        # What moves is painted again and again, which is a fifth of what the browser takes.
        usual = {"viewport": {"width": 1280, "height": 900}, "locale": "en-US", "reduced_motion": "reduce"}
        context = chromium.new_context(**{**usual, **options})
        context.set_default_timeout(60_000)
        contexts.append(context)
        context.route(SDK, lambda route: route.abort())
        context.on("weberror", lambda error: faults.append(str(error.error)))
        context.on(
            "console",
            lambda message: faults.append(message.text) if "Content Security Policy" in message.text else None,
        )
        page = context.new_page()
        if options.get("color_scheme") == "dark" and not page.evaluate(IS_DARK):
            pytest.skip("this browser's driver does not emulate the system's colours")
        return page

    yield open_window
    for context in contexts:
        context.close()
    assert not faults


MakeWorkspace = Callable[..., Workspace]


@pytest.fixture
def make_workspace(
    services: Services, environment: dict[str, str], simulator: Simulator, open_window: Callable[..., Page]
) -> Iterator[MakeWorkspace]:
    """Open the agent workspace, nothing connected yet: with some settings changed, in a window with some options."""

    def make(settings: dict[str, str] | None = None, **window: Any) -> Workspace:
        service = services.get({**environment, **(settings or {})})
        simulator.use_service(service.url)
        # A browser is slow enough as it is; who needs more asks for more.
        simulator.world.account("acme").integrations[ARCHIVE].resize(ARCHIVED)
        return Workspace(open_window(**window), simulator)

    yield make
    # What is held would hold the next test's service, too.
    simulator.release()


@pytest.fixture
def workspace(make_workspace: MakeWorkspace) -> Workspace:
    """The agent workspace, with nothing connected yet."""
    return make_workspace()


@pytest.fixture
def connected(workspace: Workspace) -> Workspace:
    """The agent workspace with the app open, as acme's admin who has connected it."""
    workspace.grant()
    workspace.open_app()
    return workspace
