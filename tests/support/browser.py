"""Real browsers looking at real servers: Debian's Chromium, driven by Playwright.

A module of such tests says ``pytestmark = pytest.mark.browser`` and takes what it needs from here,
through the fixtures in ``conftest.py``::

    def test_something(app: StartApp, open_page: OpenPage) -> None:
        page = open_page(app("--names", "QM").link)
        page.get_by_test_id("play").click()

``app`` starts ``mesa-llm-norms app`` with the given options (once for equal ones in a module) and
``open_page`` opens a link as a new viewer, with own cookies, in a window of the given size. Both
clean up. A page's errors, failed requests and what its policy blocked end the test that opened
it. The interface is Playwright's synchronous one; while it is in use, ``asyncio.run`` does not work
in the test's own thread. A tab is closed as a user does it with
``page.close(run_before_unload=True)``; without that the server only sees a broken connection.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import metadata
from typing import Any, Protocol
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Route, sync_playwright
from served import Served, start_app

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
PATIENCE = 15_000
"""Milliseconds that a page may take to show what a test waits for."""


class OpenPage(Protocol):
    """Opens a link as a new viewer."""

    def __call__(self, link: str, width: int = 1280, height: int = 720) -> Page:
        """Return the page, which may still be loading what is on it."""


StartApp = Callable[..., Served]
"""Starts ``mesa-llm-norms app`` with options, or returns the server that has them."""


def find_chromium() -> str | None:
    """Return where a Chromium is, if there is one."""
    return next((path for name in CHROMIUM if (path := shutil.which(name))), None)


def need_browser() -> str:
    """Return where Chromium is; skip the test where it, or what pages are made of, is missing."""
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    try:
        metadata.version("solara-assets")
    except metadata.PackageNotFoundError:
        pytest.skip('there are no scripts and fonts for pages: pip install -e ".[offline]"')
    return chromium


@contextmanager
def chromium() -> Iterator[Browser]:
    """Give a running Chromium without a window."""
    path = need_browser()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def apps() -> Iterator[StartApp]:
    """Give what starts servers of the app without a network, one for each set of options."""
    need_browser()
    with ExitStack() as stack:
        running: dict[tuple[str, ...], Served] = {}

        def start(*options: str) -> Served:
            if options not in running:
                running[options] = stack.enter_context(start_app("--offline", *options))
            return running[options]

        yield start
        wrong = [said for one in running.values() if "Traceback" in (said := one.complaints())]
        assert not wrong, "\n".join(wrong)


@contextmanager
def pages(browser: Browser) -> Iterator[OpenPage]:
    """Give what opens links, and fail in the end if anything went wrong on a page of theirs."""
    wrong: list[str] = []
    contexts = []

    def open_page(link: str, width: int = 1280, height: int = 720) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height})
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        context.route(lambda address: not _is_here(address), lambda route: _refuse(route, wrong))
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(f"error on the page: {error}"))
        page.on("requestfailed", lambda request: _note_failure(request, wrong))
        page.on("console", lambda message: _note_error(message, wrong))
        page.goto(link)
        return page

    try:
        yield open_page
    finally:
        for context in contexts:
            context.close()
    assert not wrong, "\n".join(wrong)


def _is_here(address: str) -> bool:
    parts: Any = urlsplit(address)
    return parts.scheme in ("data", "blob", "file") or parts.hostname in ("127.0.0.1", "localhost")


def _refuse(route: Route, wrong: list[str]) -> None:
    wrong.append(f"asked the internet for {route.request.url}")
    route.abort()


def _note_failure(request: Request, wrong: list[str]) -> None:
    # What was under way when a page was left or closed has not failed.
    if request.failure != "net::ERR_ABORTED":
        wrong.append(f"{request.url}: {request.failure}")


def _note_error(message: ConsoleMessage, wrong: list[str]) -> None:
    if message.type == "error" and not message.location["url"].endswith("/favicon.ico"):
        wrong.append(f"error in the console: {message.text}")
