"""Slow motion on the page: the panel tells of the interaction whose agents have numbers."""

from __future__ import annotations

import pytest
from browser import OpenPage, StartApp
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def test_an_interaction_is_explained_and_its_agents_have_numbers(
    app: StartApp, open_page: OpenPage
) -> None:
    page = open_page(app().link + "&names=QM&topology=ring(n%3D8)&committed=M%3D8")
    page.locator("[data-node='0']").first.wait_for()
    explained = page.get_by_test_id("explained")
    expect(explained).to_have_count(0)
    page.get_by_test_id("explain").click()
    expect(explained).to_contain_text("Press Play")
    page.get_by_test_id("step").click()
    expect(explained).to_contain_text("Interaction 1, round 1")
    expect(page.get_by_test_id("summary")).to_contain_text("both said M. A match: +100 points each")
    for seat in (1, 2):
        part = page.get_by_test_id(f"part-{seat}")
        expect(part).to_contain_text("nothing yet")
        expect(part).to_contain_text("always says M")
        expect(part).to_contain_text("New: said M, heard M")
        expect(page.locator(f"[data-number='{seat}']")).to_have_count(1)
    expect(page.locator("[data-recent]")).to_have_count(1)
    page.locator("[data-node='5']").first.dispatch_event("click")
    for _ in range(2):
        before = explained.inner_text()
        page.get_by_test_id("follow").click()
        expect(explained).not_to_have_text(before)
        expect(page.get_by_test_id("summary")).to_contain_text("gent 5 ")
    page.get_by_test_id("play").click()
    expect(page.locator(".norms-speed")).to_contain_text("1 interaction in 4 s")
    page.get_by_test_id("pause").click()
    page.get_by_test_id("explain").click()
    expect(explained).to_have_count(0)
    expect(page.locator("[data-number]")).to_have_count(0)
    assert "interval" not in page.url
