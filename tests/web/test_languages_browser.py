"""The page in another language, in a real browser."""

from __future__ import annotations

import pytest
from browser import OpenPage, StartApp
from playwright.sync_api import expect

from mesa_llm_norms.web.scenes import read_scenes

pytestmark = pytest.mark.browser

PATIENCE = 30_000
"""Milliseconds that what follows a click may take."""


def test_a_scene_is_played_in_german_and_the_language_can_be_changed(
    app: StartApp, open_page: OpenPage
) -> None:
    scene = read_scenes(language="de")["the-committed-few"]
    page = open_page(app().link + "&scene=the-committed-few&lang=de&speed=inf")
    page.locator("[data-node='0']").first.wait_for()
    expect(page.get_by_role("heading", name=scene.question)).to_be_visible(timeout=PATIENCE)
    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page.get_by_role("heading", name="fünf, die immer M sagen")).to_be_visible(
        timeout=PATIENCE
    )
    page.get_by_text(scene.answers[1].text).click()
    page.get_by_role("button", name="Abspielen").click()
    page.get_by_test_id("outcome").wait_for(timeout=60_000)
    for later in ("In 400 Populationen", scene.why):
        page.get_by_role("button", name="Weiter").click()
        expect(page.get_by_test_id("outcome")).to_contain_text(later, timeout=PATIENCE)
    expect(page.get_by_test_id("figures-0")).to_contain_text("Begegnungen", timeout=PATIENCE)
    assert "lang=de" in page.url

    page.get_by_test_id("panel").click()
    page.get_by_label("Sprache", exact=True).locator("..").click()
    page.locator(".menuable__content__active").get_by_text("English", exact=True).click()
    expect(page.get_by_test_id("outcome")).to_contain_text("What happened: ", timeout=PATIENCE)
    expect(page.get_by_test_id("figures-0")).to_contain_text("interactions", timeout=PATIENCE)
    expect(page.locator("html")).to_have_attribute("lang", "en", timeout=PATIENCE)


def test_the_first_screen_is_in_german(app: StartApp, open_page: OpenPage) -> None:
    page = open_page(app().link + "&lang=de")
    page.get_by_test_id("explore").wait_for()
    for scene in read_scenes(language="de").values():
        expect(page.get_by_test_id(f"tile-{scene.key}")).to_contain_text(scene.title)
    expect(page.get_by_test_id("explore")).to_contain_text("Frei erkunden")
    page.get_by_test_id("explore").click()
    expect(page.get_by_test_id("play")).to_contain_text("Abspielen", timeout=PATIENCE)
