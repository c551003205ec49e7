"""The page without the package's own server, and the views on the page of Mesa."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from browser import need_browser
from playwright.sync_api import Browser, Page
from programs import Program

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[2]


@contextmanager
def solara_run(page: str) -> Iterator[str]:
    """Serve a page by ``solara run``, as somebody in the top folder would, and give its link."""
    need_browser()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "solara", "run", page, "--no-open", "--production"]
    environment = {**os.environ, "SOLARA_TELEMETRY_MIXPANEL_ENABLE": "false"}
    environment.pop("VIRTUAL_ENV", None)
    link = f"http://127.0.0.1:{port}/"
    with Program(
        [*command, "--host", "127.0.0.1", "--port", port],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        end = time.monotonic() + 60
        while server.poll() is None:
            try:
                urllib.request.urlopen(link)
                break
            except (urllib.error.URLError, ConnectionError):
                assert time.monotonic() < end, "no server"
                time.sleep(0.1)
        yield link


def names(page: Page) -> list[str]:
    found: list[str] = page.locator("[data-node]").evaluate_all(
        "nodes => nodes.map(node => node.dataset.name || '')"
    )
    return found


def until_named(page: Page) -> None:
    end = time.monotonic() + 30
    while not any(names(page)):
        assert time.monotonic() < end, "nobody holds a name"
        page.wait_for_timeout(100)


def test_a_model_of_ones_own_is_shown_by_solara_run(running_browser: Browser) -> None:
    with solara_run("models/naming_game/app.py") as link:
        page = running_browser.new_page()
        page.goto(link + "?names=QM")
        page.locator("[data-node='0']").first.wait_for(timeout=30_000)
        page.get_by_test_id("round").click()
        until_named(page)
        assert set(names(page)) <= {"Q", "M", ""}
        page.close()


def test_the_views_change_with_every_step_on_the_page_of_mesa(running_browser: Browser) -> None:
    with solara_run("tests/support/mesa_page.py") as link:
        page = running_browser.new_page()
        page.goto(link)
        page.locator("[data-node='0']").first.wait_for(timeout=30_000)
        assert set(names(page)) == {""}
        page.get_by_text("Step", exact=True).click()
        until_named(page)
        page.locator("[data-node='0']").first.dispatch_event("click")
        page.get_by_text("Agent 0: claude-3.5-sonnet").wait_for()
        cells = page.locator(".vue-grid-item:not(.vue-grid-placeholder)")
        assert cells.count() == 2
        assert cells.evaluate_all("all => all.every(one => one.scrollHeight <= one.clientHeight)")
        page.close()
