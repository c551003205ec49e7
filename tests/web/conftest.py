"""What tests in a browser share; ``browser.py`` says how to use it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser import OpenPage, StartApp, apps, chromium, pages
from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def running_browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def app() -> Iterator[StartApp]:
    with apps() as start:
        yield start


@pytest.fixture
def open_page(running_browser: Browser) -> Iterator[OpenPage]:
    with pages(running_browser) as open_:
        yield open_
