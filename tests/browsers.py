"""A real browser for the pages that Grevy writes."""

import shutil
from contextlib import contextmanager

import pytest
from playwright.sync_api import sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--use-gl=angle", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
DRAWN = "html[data-drawn=yes]"


@contextmanager
def launched():
    """Chromium, for many pages."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.fail("Pages are tested in Chromium, which is not here: .ci/run installs it.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(ARGUMENTS))
        yield browser
        browser.close()


@contextmanager
def opened(browser, path, script=None, **context):
    """Open a page; at the end, nothing may have gone wrong or been asked of anyone."""
    problems = []
    place = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})
    page = place.new_page()
    if script:
        page.add_init_script(script)
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: [problems.append(dialog.message), dialog.dismiss()])
    page.on(
        "request",
        lambda request: None if request.url == path.as_uri() else problems.append(request.url),
    )
    page.goto(path.as_uri())
    if context.get("java_script_enabled", True):
        page.wait_for_selector(DRAWN, state="attached")
    yield page
    assert problems == []
    place.close()
