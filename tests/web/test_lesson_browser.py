"""Many runs in a real browser: bars that grow, on a page that still answers."""

from __future__ import annotations

import pytest
from browser import OpenPage, StartApp
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

PATIENCE = 30_000
"""Milliseconds that what follows a click may take."""
COMPILING = 240_000
"""Milliseconds that code may take to be compiled, once."""


def counts(page: Page, testid: str) -> list[int]:
    cells = page.get_by_test_id(testid).locator("td:last-child").all_inner_texts()
    return [int(cell) for cell in cells]


def test_this_is_played_many_times_in_free_play_and_after_a_scene(
    app: StartApp, open_page: OpenPage
) -> None:
    served = app("--seed", "2")
    page = open_page(served.link + "&names=QM&rounds=60", width=1366, height=768)
    page.locator("[data-node='0']").first.wait_for()
    page.get_by_test_id("play-many").click()
    page.get_by_test_id("step").click()
    expect(page.get_by_test_id("figures-0")).to_contain_text("1\ninteractions", timeout=PATIENCE)
    expect(page.get_by_test_id("many-said")).to_have_text("100 of 100 played", timeout=COMPILING)
    assert sum(counts(page, "many-names-0")) == 100
    expect(page.get_by_test_id("many-names-0")).to_contain_text("no agreement in 60 rounds")
    assert sum(counts(page, "many-times-0")) == sum(counts(page, "many-names-0")[:-1])
    page.get_by_test_id("reset").click()
    expect(page.get_by_test_id("many-names-0")).to_have_count(0, timeout=PATIENCE)

    page = open_page(served.link + "&scene=hubs&speed=inf", width=1366, height=768)
    page.get_by_test_id("play").click()
    page.get_by_test_id("outcome").wait_for(timeout=60_000)
    expect(page.get_by_test_id("play-many")).to_have_count(0)  # it would say how often
    page.get_by_test_id("next").click()
    page.get_by_test_id("play-many").click()
    expect(page.get_by_test_id("many-said")).to_have_text("100 of 100 played", timeout=COMPILING)
    assert sum(counts(page, "many-answers")) == 100
    expect(page.get_by_test_id("many-names-1")).to_be_attached()


def test_a_live_mind_is_refused_on_the_page(app: StartApp, open_page: OpenPage) -> None:
    mind = "llama:http://127.0.0.1:9/v1#none"
    page = open_page(app("--mind", mind, "--names", "QM").link)
    page.get_by_test_id("play-many").click()
    expect(page.get_by_test_id("messages")).to_contain_text(
        "Record the mind first", timeout=PATIENCE
    )
