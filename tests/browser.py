"""A real headless Chromium for tests of pages.

    def test_a_page(browser_page, tmp_path):
        browser_page.goto((tmp_path / "index.html").as_uri())
        browser_page.get_by_label("Search").fill("dog")

A test fails by itself if the page throws, logs an error or asks another origin than its own for anything.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_WITHOUT_ORIGIN = ("data", "blob", "about")


def chromium_program() -> str | None:
    """Path of an installed Chromium or Chrome; None if there is none."""
    return next(filter(None, map(shutil.which, _PROGRAMS)), None)


@contextmanager
def open_chromium() -> Iterator["Browser"]:
    """A headless Chromium.

    While it is open, this thread counts as one with a running asyncio loop: `asyncio.run` refuses to work.

    Raises:
        ImportError: playwright is not installed.
        RuntimeError: no Chromium is.
    """
    from playwright.sync_api import sync_playwright

    program = chromium_program()
    if program is None:
        raise RuntimeError(f"none of {', '.join(_PROGRAMS)} is installed (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--disable-dev-shm-usage"])
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    """One Chromium for the tests of a module; they skip where there is none."""
    pytest.importorskip("playwright", reason="playwright is not installed")
    if chromium_program() is None:
        pytest.skip("no Chromium is installed")
    with open_chromium() as browser:
        yield browser


@pytest.fixture
def page_problems() -> Iterator[list[str]]:
    """What went wrong in `browser_page`: thrown and logged errors, requests to other origins, requests that failed.

    A test that provokes an error asserts it and clears the list; whatever is left fails the test.
    """
    problems: list[str] = []
    yield problems
    assert not problems, "\n".join(problems)


@pytest.fixture
def browser_page(chromium: "Browser", page_problems: list[str]) -> Iterator["Page"]:
    """An empty page (1280×800, light) with a profile of its own."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light")
    page = context.new_page()
    origins: list[tuple[str, str]] = []

    def on_request(request: "Request") -> None:
        parts = urlsplit(request.url)
        if parts.scheme in _WITHOUT_ORIGIN:
            return
        if not origins:  # of the first page that the test opens
            origins.append((parts.scheme, parts.netloc))
        if (parts.scheme, parts.netloc) != origins[0]:
            page_problems.append(f"asked another origin: {request.url}")

    context.on("request", on_request)
    context.on("requestfailed", lambda request: page_problems.append(f"failed: {request.url}: {request.failure}"))
    page.on("pageerror", lambda error: page_problems.append(f"thrown: {error}"))
    page.on("console", lambda message: message.type == "error" and page_problems.append(f"logged: {message.text}"))
    page.set_default_timeout(60_000)  # ms; for machines with other work
    yield page
    context.close()
