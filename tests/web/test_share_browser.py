"""The button that shares what is on the page."""

from __future__ import annotations

import pytest
from browser import OpenPage, StartApp
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def test_a_shared_link_shows_the_same_to_somebody_else(app: StartApp, open_page: OpenPage) -> None:
    served = app("--names", "QM", "--seed", "5", "--host", "0.0.0.0")
    page = open_page(served.link.replace(served.origin, f"http://127.0.0.1:{served.port}"))
    page.get_by_test_id("round").click()
    expect(page.get_by_test_id("figures-0")).to_contain_text("24")
    page.get_by_test_id("share").click()
    link = page.get_by_test_id("share-link").inner_text()
    assert served.token not in link
    expect(page.get_by_alt_text("QR code of the link")).to_be_visible()
    expect(page.get_by_test_id("share-hint")).to_contain_text("a population of their own")
    other = open_page(f"http://127.0.0.1:{served.port}/?{link.partition('/?')[2]}", 390, 844)
    expect(other.get_by_test_id("figures-0")).to_contain_text("24")
    other.get_by_test_id("reset").click()
    page.get_by_test_id("share-close").click()
    expect(page.get_by_test_id("figures-0")).to_contain_text("24")


def test_a_page_of_this_computer_alone_says_so(app: StartApp, open_page: OpenPage) -> None:
    page = open_page(app("--names", "QM").link)
    page.get_by_test_id("share").click()
    expect(page.get_by_test_id("share-hint")).to_contain_text("Only this computer")
    assert page.get_by_alt_text("QR code of the link").count() == 0
