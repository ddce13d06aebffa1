"""A person's walk through the sidebar in WebKitGTK, the engine of Safari: connect, list, switch, several, disconnect.

Playwright drives WebKit only in a build of its own, so Selenium does it here. What each step means is tested in
`tests/browser`; this walk finds what only WebKit does otherwise.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import WebKitGTK, WebKitGTKOptions, WebKitGTKService
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from sandbox.simulator import Simulator
from tests.browser.workspace import ARCHIVE, ARCHIVED, ORDERS, REFUNDS
from tests.leftovers import end_with_us
from tests.programs import WebKit, webkit
from tests.workers import LiveService

pytestmark = [
    pytest.mark.browser,
    # Selenium's driver of WebKitGTK calls its own connection in the way that it advises against.
    pytest.mark.filterwarnings("ignore:setting remote_server_addr:DeprecationWarning"),
]

WAIT_SECONDS = 60
# How much higher a dialog is than what it holds.
EXCESS = """
  const [dialog] = arguments;
  const height = dialog.offsetHeight;
  dialog.style.alignContent = "start";
  const excess = height - dialog.offsetHeight;
  dialog.style.alignContent = "";
  return excess;
"""
LIGHT, DARK = "rgb(255, 255, 255)", "rgb(21, 26, 30)"


@contextmanager
def running_display(display_server: str) -> Iterator[str]:
    """Run an X server that draws nowhere, on the first free display; yield that display's name."""
    reading, writing = os.pipe()
    command = [display_server, "-displayfd", str(writing), "-screen", "0", "1400x1000x24", "-nolisten", "tcp"]
    process = subprocess.Popen(  # noqa: S603 - found by name on this machine
        command, pass_fds=(writing,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    end_with_us(process.pid)
    os.close(writing)
    try:
        # It writes the number as soon as it takes connections; nothing comes where it has ended instead.
        with os.fdopen(reading) as pipe:
            number = pipe.readline().strip()
        assert number, "Xvfb did not start"
        yield f":{number}"
    finally:
        process.terminate()
        process.wait(WAIT_SECONDS)


def make_driver(programs: WebKit, display: str, home: Path) -> WebKitGTK:
    """Start WebKitGTK on this display, with everything it keeps in `home`."""
    # A driver of a browser needs no sandbox around its processes, no graphics card and no screen reader.
    environment = {
        **{name: os.environ[name] for name in list(os.environ) if name in {"PATH", "LANG", "TEST_RUN_MARK"}},
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home),
        "DISPLAY": display,
        "GDK_BACKEND": "x11",
        "LIBGL_ALWAYS_SOFTWARE": "1",
        "NO_AT_BRIDGE": "1",
        "WEBKIT_DISABLE_COMPOSITING_MODE": "1",
        "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1",
    }
    options = WebKitGTKOptions()
    options.binary_location = programs.browser
    options.add_argument("--automation")
    service = WebKitGTKService(programs.driver, env=environment)
    return WebKitGTK(options=options, service=service)


class Walk:
    """One window of WebKit on the agent workspace."""

    def __init__(self, driver: WebKitGTK, simulator: Simulator) -> None:
        self.driver = driver
        self.simulator = simulator

    def open(self, **choices: str) -> None:
        """Open the workspace as acme's admin, and go into the app's frame."""
        query = "&".join(f"{name}={value}" for name, value in choices.items())
        self.driver.get(f"{self.simulator.address}/?account=acme&user=101&location=ticket_sidebar&{query}")
        self.enter_app()

    def enter_app(self) -> None:
        self.driver.switch_to.default_content()
        self.wait(lambda: bool(self.driver.find_elements(By.CSS_SELECTOR, "iframe[name=app]")))
        self.driver.switch_to.frame("app")

    def wait(self, is_so: Callable[[], object], what: str = "") -> None:
        """Return once something is so."""
        waiting = WebDriverWait(self.driver, WAIT_SECONDS, ignored_exceptions=[StaleElementReferenceException])
        waiting.until(lambda _: is_so(), what)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def see(self, selector: str) -> WebElement:
        """Return the part once it is seen."""
        self.wait(lambda: any(part.is_displayed() for part in self.all(selector)), f"{selector} is not seen")
        return next(part for part in self.all(selector) if part.is_displayed())

    def part(self, test_id: str) -> WebElement:
        return self.see(f"[data-testid={test_id}]")

    def expect(self, test_id: str, name: str, value: str) -> None:
        """Wait until a part has an attribute of this value."""
        self.wait(
            lambda: self.driver.find_element(By.CSS_SELECTOR, f"[data-testid={test_id}]").get_attribute(name) == value,
            f"{test_id} does not get {name}={value}",
        )

    def background(self) -> str:
        """Return the colour behind the app."""
        return str(self.driver.execute_script("return getComputedStyle(document.body).backgroundColor"))

    def connect(self) -> None:
        """Press Connect, and allow it in the window that opens."""
        own = self.driver.current_window_handle
        self.part("connect").click()
        self.wait(lambda: len(self.driver.window_handles) > 1, "no window opens")
        self.driver.switch_to.window(next(one for one in self.driver.window_handles if one != own))
        Select(self.see("#user_id")).select_by_value("101")
        self.see("#allow").click()
        self.wait(lambda: self.driver.window_handles == [own], "the window does not close")
        self.driver.switch_to.window(own)
        self.enter_app()

    def is_installed(self, name: str) -> bool:
        """Return whether Zendesk has a job spec of acme_orders installed."""
        spec = self.simulator.world.account("acme").integrations[ORDERS].find(name)
        assert spec is not None
        return spec.installed

    def excess(self, dialog: WebElement) -> int:
        """Return by how many pixels a dialog is higher than what it holds; a modal grid is, in WebKit."""
        return int(self.driver.execute_script(EXCESS, dialog))


@pytest.fixture
def walk(live_service: Callable[..., LiveService], simulator: Simulator, tmp_path: Path) -> Iterator[Walk]:
    programs = webkit()
    live_service(workers=1)
    simulator.world.account("acme").integrations[ARCHIVE].resize(ARCHIVED)
    with running_display(programs.display_server) as display:
        driver = make_driver(programs, display, tmp_path)
        try:
            yield Walk(driver, simulator)
        finally:
            driver.quit()


def test_a_walk_through_the_sidebar_in_webkit(walk: Walk) -> None:
    walk.open(scheme="dark")
    walk.expect("connection", "data-state", "not_connected")
    walk.wait(lambda: walk.background() == DARK, "it is not dark")

    walk.connect()
    walk.expect("connection", "data-state", "connected")
    walk.wait(lambda: len(walk.all("[data-testid=job-spec]")) == ARCHIVED + 10, "not all job specs are listed")

    # Zendesk's colours change while the app is open.
    walk.driver.switch_to.default_content()
    Select(walk.see("#scheme")).select_by_value("light")
    walk.enter_app()
    walk.wait(lambda: walk.background() == LIGHT, "it is not light")

    walk.part("filter").send_keys(REFUNDS)
    toggle = walk.see(f"[data-name={REFUNDS}] [data-testid=toggle]")
    toggle.click()
    walk.wait(lambda: toggle.get_attribute("aria-checked") == "true", "the switch is not on")
    assert walk.is_installed(REFUNDS)

    walk.part("menu").click()
    walk.part("several").click()
    walk.part("bulk-uninstall").click()
    assert walk.excess(walk.part("bulk-dialog")) == 0
    walk.part("bulk-confirm").click()
    walk.part("bulk-result")
    walk.part("bulk-close").click()
    walk.wait(lambda: toggle.get_attribute("aria-checked") == "false", "the switch is not off")
    assert not walk.is_installed(REFUNDS)

    # With all rows again, the frame is higher than the dialog needs it.
    walk.part("filter").send_keys(Keys.BACKSPACE * len(REFUNDS))
    walk.wait(lambda: walk.driver.execute_script("return innerHeight") == 720, "the frame does not grow")
    walk.part("connection-toggle").click()
    walk.part("disconnect").click()
    assert walk.excess(walk.part("disconnect-dialog")) == 0
    walk.part("disconnect-confirm").click()
    walk.expect("connection", "data-state", "not_connected")
    assert walk.simulator.world.account("acme").live_tokens() == {}
