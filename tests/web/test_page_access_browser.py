"""Every state of the page, light and dark, passes the rules of axe-core for accessibility."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from browser import OpenPage, StartApp
from playwright.sync_api import Page

pytestmark = pytest.mark.browser

RUN = {
    "light": "axe.run(document, {resultTypes: ['violations']})",
    "dark": "axe.run(document, {runOnly: ['color-contrast']})",
}
QUIET = "() => !document.querySelector('.v-select .v-input__slot[role=button]')"
"""Whether what Vuetify has drawn was mended."""


@pytest.fixture(scope="module")
def axe() -> str:
    pytest.importorskip("axe_playwright_python", reason="axe is in the dev extra")
    return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


def violations(page: Page, axe: str) -> list[str]:
    """Return what is wrong on a page, in light and in dark."""
    found: list[str] = []
    for dark, scheme in enumerate(RUN):
        page.emulate_media(color_scheme="dark" if dark else "light")
        page.locator(f".v-application.theme--{scheme}").wait_for(state="attached")
        page.wait_for_timeout(400)  # colors fade to those of the other theme
        page.wait_for_function(QUIET)
        page.evaluate(axe)
        result: Any = page.evaluate(RUN[scheme])
        for rule in result["violations"]:
            places = [node["html"][:160] for node in rule["nodes"]]
            found.append(f"{scheme}: {rule['id']}: {rule['help']}: {places}")
    return found


def ready(page: Page) -> Page:
    page.locator("[data-node='0']").first.wait_for()
    return page


def test_the_first_screen(app: StartApp, open_page: OpenPage, axe: str) -> None:
    page = open_page(app().link)
    page.get_by_test_id("start").wait_for()
    assert violations(page, axe) == []


def test_an_agent_and_an_interaction_explained(
    app: StartApp, open_page: OpenPage, axe: str
) -> None:
    page = ready(open_page(app().link + "&names=QM&interval=4"))
    assert violations(page, axe) == []
    page.get_by_test_id("round").click()
    page.get_by_test_id("summary").wait_for()
    page.locator("[data-node='3']").first.dispatch_event("click")
    page.get_by_test_id("agent").wait_for()
    assert violations(page, axe) == []


def test_a_scene_at_its_reveal(app: StartApp, open_page: OpenPage, axe: str) -> None:
    page = ready(open_page(app().link + "&scene=the-committed-few&speed=inf"))
    page.get_by_test_id("answer-1").click()
    page.get_by_test_id("play").click()
    page.get_by_test_id("outcome").wait_for(timeout=60_000)
    assert violations(page, axe) == []


@pytest.mark.slow
def test_a_recorded_run(app: StartApp, open_page: OpenPage, axe: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "mesa_llm_norms", "run", "--names", "QM", "--seed", "3"]
    subprocess.run([*command, "--rounds", "2", "-q", "--out", str(folder)], check=True)
    page = ready(open_page(app("--replay", str(folder)).link))
    page.get_by_test_id("step").click()
    assert violations(page, axe) == []


@pytest.mark.slow
def test_a_projector_and_a_phone(app: StartApp, open_page: OpenPage, axe: str) -> None:
    page = ready(open_page(app().link + "&names=QM&present=1"))
    assert violations(page, axe) == []
    page = ready(open_page(app().link + "&names=QM", width=390, height=844))
    page.get_by_test_id("panel").click()
    page.get_by_test_id("settings").wait_for()
    assert violations(page, axe) == []
