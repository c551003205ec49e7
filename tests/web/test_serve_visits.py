"""What visits leave behind in the server: nothing; and that there is room for so many only."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest
from kernel_client import Viewer, counts, get, wait_until
from served import Served, start_app, start_small_page
from visits import busy, crowd, load, playing, visits
from websockets.exceptions import InvalidStatus


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with start_app("--viewers", "4") as served:
        yield served


def cookie(server: Served) -> str:
    return f"norms-{server.port}={server.token}"


def test_a_visit_leaves_no_thread_and_no_descriptor(server: Served) -> None:
    visits(server, 2, 0.2)
    wait_until(lambda: counts(server)["total"] == 0)
    time.sleep(0.5)
    before = load(server)
    visits(server, 5, 0.2)
    wait_until(lambda: counts(server)["total"] == 0)
    wait_until(lambda: load(server).threads <= before.threads + 1)
    wait_until(lambda: load(server).descriptors <= before.descriptors + 1)


def test_nothing_plays_for_viewers_who_are_gone(server: Served) -> None:
    """Neither after a beacon, nor while a broken connection may still come back."""
    with playing(server), playing(server, beacon=False):
        pass
    assert counts(server)["total"] >= 1
    wait_until(lambda: busy(server, 0.5) < 0.2)


def test_those_for_whom_there_is_no_room_are_told_so(server: Served) -> None:
    with ExitStack() as stack:
        viewers = [stack.enter_context(Viewer(server)) for _ in range(4)]
        _check_full(server)
        viewers[0].drop()
        assert get(server, cookie=cookie(server))[0] == 200


def _check_full(server: Served) -> None:
    status, headers, text = get(server, cookie=cookie(server))
    assert status == 503
    assert text.startswith("The room is full: this page is for at most 4 people")
    assert headers["retry-after"] == "10"
    with pytest.raises(InvalidStatus) as refused:
        Viewer(server)
    assert refused.value.response.status_code == 503
    assert get(server, "/readyz", cookie=cookie(server))[0] == 200


def test_one_page_has_no_more_than_four_connections(server: Served) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(Viewer(server))
        for _ in range(3):
            stack.enter_context(Viewer(server, kernel=first.kernel))
        with pytest.raises(InvalidStatus):
            Viewer(server, kernel=first.kernel)


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        *(pytest.param(it, marks=pytest.mark.slow) for it in (signal.SIGINT, signal.SIGHUP)),
    ],
)
def test_a_server_ends_at_once_while_everybody_plays(number: signal.Signals) -> None:
    with start_app() as served, ExitStack() as stack:
        for query in ("/?speed=inf", "/?speed=2&vs=names%3DQM", "/?at=2000000"):
            stack.enter_context(playing(served, query, beacon=False))
        served.send_signal(number)
        assert served.wait(timeout=30) == 128 + number
        assert served.complaints().endswith("interrupted: nothing more was written.\n")


@pytest.mark.load
def test_200_visits_leave_as_little_as_80() -> None:
    """Of four visitors one breaks off without a word, and may come back within 150 s."""
    beacons = (True, True, True, False)
    with start_app() as served:
        visits(served, 80, 0.3, beacons)
        before = load(served)
        visits(served, 120, 0.3, beacons)
        wait_until(lambda: counts(served)["total"] == 0, seconds=200)
        wait_until(lambda: load(served).threads <= before.threads)
        after = load(served)
        assert after.descriptors <= before.descriptors
        assert after.memory <= before.memory + 10


@pytest.mark.load
def test_100_viewers_come_and_go() -> None:
    with start_app("--viewers", "100") as served:
        crowd(served, 100, 2)
        time.sleep(5)
        assert busy(served, 2) < 0.2
        served.send_signal(signal.SIGINT)
        assert served.wait(timeout=30) == 130


# Slow and hostile connections


@pytest.fixture(scope="module")
def impatient() -> Iterator[Served]:
    with start_small_page("--impatient") as served:
        yield served


def connected(server: Served, sent: bytes) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    made.sendall(sent)
    return made


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx: "]
)
def test_a_connection_without_a_whole_request_is_closed(impatient: Served, sent: bytes) -> None:
    with connected(impatient, sent) as slow, suppress(ConnectionResetError):
        assert slow.recv(1) == b""


def test_a_page_that_connects_and_says_nothing_is_closed(impatient: Served) -> None:
    with Viewer(impatient):
        wait_until(lambda: counts(impatient)["total"] == 0)


def test_a_message_that_is_too_long_ends_its_connection_only(impatient: Served) -> None:
    with Viewer(impatient) as other, Viewer(impatient) as viewer:
        other.settle()
        viewer.send("comm_info_request", target_name="x" * 200_000)
        wait_until(lambda: counts(impatient)["has_connected"] <= 1)
        other.settle()


def test_what_is_logged_is_short_and_nothing_that_a_browser_sent(impatient: Served) -> None:
    with Viewer(impatient) as viewer:
        viewer.run()
        for widget in list(viewer.widgets):
            viewer.say(widget, method="update", state={"children": "secret" * 10_000})
            viewer.say(
                widget, method="custom", content={"event": "click", "data": "secret" * 9_000}
            )
            viewer.say(widget, method="request_state", buffer_paths=[["secret" * 9_000]])
        viewer.send("comm_msg", comm_id="secret" * 9_000, data={"method": "update", "state": {}})
        viewer.say(viewer.open("solara.control"), method="run", args={"secret": json.dumps("x")})
    with Viewer(impatient) as viewer:
        viewer.settle()
    lines = impatient.complaints().splitlines()
    assert "secret" not in "".join(lines)
    assert all(len(line) < 600 for line in lines)
    assert len(lines) < 60
