"""The server itself: where it listens, what Solara is set to, and how it ends."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_client import Viewer, counts, get, wait_until
from served import Served, start_small_page
from starlette.types import Receive, Scope, Send

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.web.serve import (
    ASSETS_PATH,
    LOOPBACK,
    PORT,
    OnDiskOnly,
    SaysWhatIsMissing,
    check_assets,
    listen,
    new_token,
)

ASSETS = "SOLARA_ASSETS_PROXY_CACHE_DIR"


# Where it listens


def test_without_a_wish_it_takes_the_usual_port_or_the_next_free_one() -> None:
    first = listen()
    with first.socket:
        second = listen()
        with second.socket:
            assert PORT <= first.port < second.port
            assert first.private
            assert first.origin == first.origin_elsewhere == f"http://127.0.0.1:{first.port}"


def test_a_port_that_was_asked_for_and_is_taken_is_an_error_that_says_so() -> None:
    with listen(port=0).socket as taken, pytest.raises(SpecError, match=r"in use.*--port"):
        listen(port=taken.getsockname()[1])


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "", "é", "a b"])
def test_a_host_that_is_not_this_computer_is_an_error_that_says_so(host: str) -> None:
    with pytest.raises(SpecError, match="--host") as error:
        listen(host, 0)
    assert error.value.argument == "host"


def test_all_addresses_are_not_private_and_have_a_link_for_either_side(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mesa_llm_norms.web.serve._own_address", lambda: "192.0.2.7")
    listening = listen("0.0.0.0", 0)
    with listening.socket:
        assert not listening.private
        assert listening.origin == f"http://{LOOPBACK}:{listening.port}"
        assert listening.origin_elsewhere == f"http://192.0.2.7:{listening.port}"
        for origin in (listening.origin, listening.origin_elsewhere):
            assert listening.goes_by(urlsplit(origin).netloc)
        assert listening.goes_by(socket.gethostname())


@given(st.text(max_size=30))
def test_no_host_header_makes_the_check_of_names_fail(host: str) -> None:
    listening = listen(port=0)
    with listening.socket:
        assert not listening.goes_by(host) or "localhost" in host.lower()


def test_tokens_are_long_differ_and_need_no_quoting() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    for token in tokens:
        assert len(token) >= 32
        assert parse_qs(f"token={token}") == {"token": [token]}


# What is served, and how it ends


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with start_small_page("--impatient") as served:
        yield served


def test_the_real_server_wants_the_token_and_a_page_of_its_own(server: Served) -> None:
    assert get(server)[0] == 403
    assert get(server, host="evil.example")[0] == 421
    status, headers, page = get(server, cookie=f"norms-{server.port}={server.token}")
    assert status == 200
    assert "'unsafe-eval'" in headers["content-security-policy"]
    assert "server" not in headers
    assert server.token not in page
    assert "font-awesome" not in page


def test_a_page_fetches_from_its_own_server_only(server: Served) -> None:
    page = get(server, cookie=f"norms-{server.port}={server.token}")[2]
    fetched = re.findall(r'<(?:script|link|img)[^>]*? (?:src|href)="([^"]+)"', page)
    assert fetched
    assert [address for address in fetched if re.match(r"//|\w+:", address)] == []


def test_a_viewer_whose_connection_breaks_is_taken_to_have_left_after_a_while(
    server: Served,
) -> None:
    with Viewer(server) as viewer:
        viewer.run()
        assert counts(server)["has_connected"] == 1
    wait_until(lambda: counts(server)["total"] == 0)
    assert server.complaints() == "a viewer left\n"


def test_an_interrupt_ends_it_and_the_work_of_its_viewers_cleanly() -> None:
    with start_small_page() as server, Viewer(server) as first, Viewer(server) as second:
        first.run()
        second.run()
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=30) == 0
        assert server.complaints().splitlines() == ["a viewer left"] * 2


SETTINGS_SHOWN = """
import os, signal
from mesa_llm_norms.web.serve import listen, serve

def started():
    from solara.server import settings
    print(settings.telemetry.mixpanel_enable, settings.kernel.cull_timeout, settings.main.mode)
    print(settings.assets.fontawesome_enabled, repr(settings.state.backend), settings.oauth.private)
    os.kill(os.getpid(), signal.SIGINT)

serve(listen(port=0), "token", started, page="small_page")
"""


@pytest.mark.slow
def test_the_environment_does_not_change_what_the_page_relies_on(tmp_path: Path) -> None:
    """Telemetry is off, the work of those who left ends soon, nothing of a viewer is kept."""
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "SOLARA_TELEMETRY_MIXPANEL_ENABLE": "true",
        "SOLARA_KERNEL_CULL_TIMEOUT": "24h",
        "SOLARA_MODE": "development",
        "SOLARA_STATE_BACKEND": "memory",
        "SOLARA_STATE_SECRET_KEYS": "x",
        "SOLARA_APP": "no_such_module",
        "SOLARA_HOME": str(tmp_path / "solara"),
    }
    environment.pop("VIRTUAL_ENV", None)
    ran = subprocess.run(
        [sys.executable, "-c", SETTINGS_SHOWN],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.stdout == "False 150s production\nFalse '' False\n"
    assert ran.stderr.splitlines()[-1] == "KeyboardInterrupt"
    assert not (tmp_path / "solara" / "server_user_id.txt").exists()


# Without the internet


def test_offline_is_refused_in_one_sentence_where_the_assets_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ASSETS, str(tmp_path))
    with pytest.raises(AssertionError, match=r'pip install "mesa-llm-norms\[offline\]"'):
        start_small_page("--offline")


def test_missing_assets_are_counted_and_one_is_named(tmp_path: Path) -> None:
    at = ASSETS_PATH
    page = f'<script src="{at}a@1/x.js"></script> <link href="{at}b.css"><a href="/c">'
    (tmp_path / "b.css").touch()
    with pytest.raises(SpecError, match=r"1 of the 2 files.*a@1/x\.js"):
        check_assets(page, tmp_path)
    (tmp_path / "a@1").mkdir()
    (tmp_path / "a@1" / "x.js").touch()
    check_assets(page, tmp_path)


async def _asked(path: str, folder: Path) -> int:
    """Return the status with which an asset is answered."""
    seen: list[int] = []

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def note(message: object) -> None:
        if isinstance(message, dict) and "status" in message:
            seen.append(message["status"])

    async def receive() -> dict[str, str]:
        return {"type": "http.request"}

    await OnDiskOnly(app, folder)({"type": "http", "path": path}, receive, note)
    return seen[0]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{ASSETS_PATH}here.js", 200),
        (f"{ASSETS_PATH}missing.js", 404),
        (f"{ASSETS_PATH}folder", 404),
        (f"{ASSETS_PATH}", 404),
        ("/missing.js", 200),
        ("/", 200),
    ],
)
def test_offline_nothing_is_passed_on_that_would_be_fetched(
    path: str, status: int, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "here.js").touch()
    assert asyncio.run(_asked(path, tmp_path)) == status


def test_a_page_whose_scripts_may_not_come_says_so_before_them() -> None:
    whole = b'<!doctype html><html><head><script src="/_solara/cdn/x.js"></script></head></html>'
    sent: list[Any] = []

    async def page(scope: Scope, _: Receive, send: Send) -> None:
        assert scope["headers"] == [(b"accept", b"text/html")]
        length = [(b"content-length", str(len(whole)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": whole[:40], "more_body": True})
        await send({"type": "http.response.body", "body": whole[40:]})

    async def receive() -> dict[str, str]:
        return {"type": "http.request"}

    async def note(message: Any) -> None:
        sent.append(message)

    asked = [(b"accept-encoding", b"gzip"), (b"accept", b"text/html")]
    scope = {"type": "http", "path": "/", "headers": asked}
    asyncio.run(SaysWhatIsMissing(page)(scope, receive, note))
    start, body = sent
    assert dict(start["headers"])[b"content-length"] == str(len(body["body"])).encode()
    assert b'pip install "mesa-llm-norms[offline]"' in body["body"].split(b'src="')[0]
