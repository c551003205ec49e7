"""The pictures of the page in the documentation: ``python docs/make_page_pictures.py``.

Needs Chromium and what the tests need (``make test-browser`` installs it).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

PICTURES = Path(__file__).parent / "pictures"
SMALL_WORLD = "&topology=watts_strogatz(n=24,k=4,p=0.1)&seed=6"


def main() -> None:
    """Take the pictures."""
    with sync_playwright() as playwright, server() as link:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 650})
        page.goto(link)
        page.get_by_test_id("start").wait_for()
        page.wait_for_timeout(500)
        taken(page, "start")
        page = opened(browser, link + SMALL_WORLD)
        rounds(page, 4)
        page.locator("[data-node='3']").first.dispatch_event("click")
        taken(page, "page")
        page = opened(browser, link + "&names=QM&topology=ring(n=12)&seed=4&interval=4")
        page.get_by_test_id("panel").click()
        rounds(page, 3)
        page.get_by_test_id("follow-1").click()
        page.wait_for_timeout(500)
        taken(page, "explained", height=650)
        page = opened(browser, link + "&scene=the-committed-few&seed=2&speed=inf")
        page.get_by_test_id("answer-0").click()
        page.get_by_test_id("play").click()
        page.get_by_test_id("outcome").wait_for()
        taken(page, "scene")
        page = opened(
            browser, link + "&names=QM&topology=ring(n=24)&seed=2&vs=topology%3Dcomplete(n%253D24)"
        )
        page.get_by_test_id("panel").click()
        rounds(page, 6)
        taken(page, "side-by-side", height=800)
        page = opened(browser, link + SMALL_WORLD, width=390, height=844)
        rounds(page, 4)
        taken(page, "phone")
        browser.close()
    with sync_playwright() as playwright, server("--class", "--host", "127.0.0.1") as link:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        a_class(browser, link)
        browser.close()


def a_class(browser: Any, link: str) -> None:
    """Take the pictures of a class of three that plays four rounds."""
    teacher = browser.new_page(viewport={"width": 1280, "height": 720})
    teacher.goto(link)
    teacher.get_by_test_id("class").click()
    teacher.locator("#open:enabled").click()
    teacher.locator("#lock:enabled").wait_for()
    code = teacher.locator("#code").inner_text()
    phones = []
    for _ in range(3):
        context = browser.new_context(viewport={"width": 390, "height": 700})
        phones.append(context.new_page())
        phones[-1].goto(f"{link.partition('/?')[0]}/j/{code}")
        phones[-1].get_by_role("button", name="Join").click()
    teacher.locator("#students li").nth(2).wait_for()
    teacher.locator("[name=seconds]").fill("200")
    teacher.get_by_role("button", name="Start").click()
    for _ in range(4):
        for place, phone in enumerate(phones):
            phone.locator("#names button:enabled", has_text="QMM"[place]).click(timeout=60_000)
    phones[0].locator("#names button:enabled").first.wait_for()
    teacher.locator("#rings").check()
    teacher.locator('#chart polygon[points*=" "]').wait_for(timeout=300_000, state="attached")
    taken(phones[0], "class-phone", height=700)
    taken(teacher, "class")


@contextmanager
def server(*options: str) -> Iterator[str]:
    """Serve the page, and give its link."""
    command = [sys.executable, "-m", "mesa_llm_norms", "app", "--no-browser", "--port", "0"]
    process = subprocess.Popen([*command, "--offline", *options], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield next(line.strip() for line in process.stdout if line.startswith("http"))
    finally:
        process.terminate()
        process.wait()


def opened(browser: Any, link: str, width: int = 1280, height: int = 720) -> Any:
    """Return a page with agents on it."""
    page = browser.new_page(viewport={"width": width, "height": height})
    page.goto(link)
    page.locator("[data-node='0']").first.wait_for()
    return page


def rounds(page: Any, many: int) -> None:
    """Play so many rounds."""
    for number in range(1, many + 1):
        page.get_by_test_id("round").click()
        page.locator(".norms-value").first.get_by_text(str(number), exact=True).wait_for()


def taken(page: Any, name: str, height: int = 0) -> None:
    """Take the picture of a page, and close it."""
    if height:
        page.set_viewport_size({"width": page.viewport_size["width"], "height": height})
    page.wait_for_timeout(1_200)
    page.screenshot(path=PICTURES / f"{name}.png")
    page.close()


if __name__ == "__main__":
    main()
