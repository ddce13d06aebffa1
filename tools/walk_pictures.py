"""Take the pictures of README's walk through the sandbox.

Start `make sandbox`, touch nothing, then run `.venv/bin/python -m tools.walk_pictures http://127.0.0.1:9000/`. Run it
again whenever the page looks different. The pictures go into docs/images/.
"""

import sys
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, expect, sync_playwright

from tests.programs import CHROMIUM_FLAGS, found_chromium

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
WINDOW: ViewportSize = {"width": 1120, "height": 640}


def walk(page: Page, address: str) -> None:
    """Connect acme, switch a job spec, revoke the grant; a picture of each."""
    page.goto(f"{address}?account=acme&user=101&scheme=light")
    app = page.frame_locator("iframe[name=app]")
    connect = app.get_by_test_id("connect")
    connect.wait_for()
    page.screenshot(path=IMAGES / "walk-1-not-connected.png")

    with page.expect_popup() as popup:
        connect.click()
    consent = popup.value
    consent.set_viewport_size({"width": 560, "height": 420})
    consent.locator("#allow").wait_for()
    consent.screenshot(path=IMAGES / "walk-2-consent.png")
    consent.locator("#allow").click()

    app.get_by_test_id("filter").fill("refund")
    row = app.get_by_test_id("job-spec").filter(has_text="refund_record_created")
    row.get_by_role("switch").click()
    expect(row.get_by_role("switch")).to_have_attribute("aria-checked", "true")
    expect(page.locator("tr[data-name=refund_record_created] .tag--installed")).to_be_visible()
    page.screenshot(path=IMAGES / "walk-3-switched.png")

    page.locator("#do-revoke").click()
    app.get_by_test_id("filter").fill("")
    app.get_by_test_id("refresh").click()
    connect.wait_for()
    page.screenshot(path=IMAGES / "walk-4-revoked.png")


def main() -> None:
    """Take them all."""
    browser_path = found_chromium()
    if browser_path.path is None:
        sys.exit(browser_path.reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path.path, args=CHROMIUM_FLAGS)
        context = browser.new_context(viewport=WINDOW, locale="en-US")
        walk(context.new_page(), sys.argv[1])
        browser.close()


if __name__ == "__main__":
    main()
