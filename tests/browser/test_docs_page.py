"""The API's description for people, on a narrow screen."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Services
from tests.browser.workspace import violations

pytestmark = pytest.mark.browser


def test_the_description_fits_a_narrow_screen(
    services: Services, environment: dict[str, str], open_window: Callable[..., Page]
) -> None:
    page = open_window(viewport={"width": 320, "height": 640})
    page.goto(f"{services.get(environment).url}/docs")

    assert page.evaluate("document.documentElement.scrollWidth") == 320
    assert violations(page) == []
