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
    """Connect acme, switch a job spec, revoke the grant; a picture of each. Connects again at the end."""
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

    # What it says would be read with the next pictures.
    page.locator(".toast button").click()
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

    with page.expect_popup() as popup:
        connect.click()
    popup.value.locator("#allow").click()
    app.get_by_test_id("job-spec").first.wait_for()


def console(page: Page, address: str) -> None:
    """Sign in to the console, in the dark."""
    page.goto(f"{address}/console")
    page.get_by_label("Zendesk account").fill("acme")
    page.get_by_role("button", name="Continue to Zendesk").click()
    page.locator("#allow").click()
    page.get_by_test_id("connection-toggle").click()
    page.get_by_test_id("fold").first.click()
    page.screenshot(path=IMAGES / "walk-5-console.png")


def main() -> None:
    """Take them all."""
    browser_path = found_chromium()
    if browser_path.path is None:
        sys.exit(browser_path.reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path.path, args=CHROMIUM_FLAGS)
        context = browser.new_context(viewport=WINDOW, locale="en-US")
        page = context.new_page()
        walk(page, sys.argv[1])
        service = page.locator("html").get_attribute("data-service")
        dark = browser.new_context(viewport=WINDOW, locale="en-US", color_scheme="dark")
        console(dark.new_page(), str(service))
        browser.close()


if __name__ == "__main__":
    main()
