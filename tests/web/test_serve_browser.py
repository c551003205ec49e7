"""The server in a real browser: its link, its policy, no internet, connections that break."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from browser import OpenPage, need_browser
from kernel_client import counts, wait_until
from playwright.sync_api import Browser, Page
from served import Served, start_app, start_small_page

pytestmark = pytest.mark.browser


@contextmanager
def other_website() -> Iterator[str]:
    """Serve an empty page on another port, and give its address."""

    class Empty(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Empty) as website:
        threading.Thread(target=website.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{website.server_port}/"
        website.shutdown()


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    need_browser()
    with start_small_page("--offline") as served:
        yield served


def shown(page: Page) -> Page:
    """Return the page when what is on it is there."""
    page.get_by_text("clicked 0").wait_for()
    return page


def test_a_page_renders_and_works_without_the_internet(server: Served, open_page: OpenPage) -> None:
    """That nothing was blocked by the policy, or asked for elsewhere, the fixture checks."""
    page = shown(open_page(server.link))
    page.get_by_text("clicked 0").click()
    page.get_by_text("clicked 1").wait_for()
    page.get_by_test_id("pick").click()
    page.get_by_text("picked a node").wait_for()
    assert page.evaluate("document.fonts.check('16px Roboto')")
    assert page.title() == "Small page"


def test_the_token_leaves_the_address_bar_and_the_rest_of_the_link_stays(
    server: Served, open_page: OpenPage
) -> None:
    page = shown(open_page(server.link))
    assert page.url == f"{server.origin}/?topology=ring(n=6)"
    page.get_by_text("query topology=ring(n=6)").wait_for()
    page.reload()
    shown(page)


def test_the_link_works_on_another_website(server: Served, open_page: OpenPage) -> None:
    """Teachers send links by mail and chat, which are websites."""
    page = open_page("about:blank")
    elsewhere = "http://elsewhere.localhost:1/"
    page.route(
        elsewhere,
        lambda route: route.fulfill(
            content_type="text/html", body=f'<a href="{server.link}">the page</a>'
        ),
    )
    page.goto(elsewhere)
    page.get_by_text("the page").click()
    shown(page)


CONNECT = """address => new Promise(resolve => {
    const socket = new WebSocket(address);
    socket.onopen = () => resolve("opened");
    socket.onclose = () => resolve("refused");
})"""


def test_another_page_cannot_talk_to_it(server: Served, running_browser: Browser) -> None:
    """Even one on another port of this computer, with which browsers share its cookies."""
    address = server.origin.replace("http", "ws") + "/jupyter/api/kernels/x/channels?session_id=y"
    with other_website() as elsewhere, running_browser.new_context() as context:
        page = context.new_page()
        page.goto(server.link)
        shown(page)
        assert page.evaluate(CONNECT, address) == "opened"
        page.goto(elsewhere)
        assert page.evaluate(CONNECT, address) == "refused"


def test_a_broken_connection_goes_on_as_it_was(server: Served, open_page: OpenPage) -> None:
    page = shown(open_page(server.link))
    page.get_by_text("clicked 0").click()
    page.get_by_text("clicked 1").wait_for()
    page.evaluate("solara.debug.dropConnection()")
    page.wait_for_function("solara.debug.reconnectCount > 0")
    page.get_by_text("clicked 1").click()
    page.get_by_text("clicked 2").wait_for()


def test_a_tab_that_is_closed_or_loaded_anew_ends_its_kernel(open_page: OpenPage) -> None:
    with start_small_page("--offline") as server:
        page = shown(open_page(server.link))
        assert counts(server)["total"] == 1
        page.reload()
        shown(page)
        wait_until(lambda: counts(server)["total"] == 1)
        assert server.complaints().count("a viewer left") == 1
        page.close(run_before_unload=True)
        wait_until(lambda: counts(server)["total"] == 0)
        assert server.complaints().splitlines() == ["a viewer left"] * 2


def test_what_is_missing_without_the_internet_is_said_in_the_terminal_and_on_the_page(
    running_browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOLARA_ASSETS_PROXY_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("SOLARA_ASSETS_CDN", "http://127.0.0.1:9/")
    with start_app() as server:
        assert "files of the page" in server.complaints()
        assert 'pip install "mesa-llm-norms[offline]"' in server.complaints()
        page = running_browser.new_page()
        page.goto(server.link, wait_until="commit")
        said = page.get_by_role("alert")
        said.wait_for(timeout=60_000)
        assert 'pip install "mesa-llm-norms[offline]"' in said.inner_text()
        page.close()
