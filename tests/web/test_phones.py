"""The phones of a class over a real server: how they join, what they are told, what is refused."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from class_server import TEACHER, ClassServer, follow, served_class, wait_until
from websockets.exceptions import ConnectionClosed, InvalidStatus

from mesa_llm_norms.classroom import classroom
from mesa_llm_norms.core import limits
from mesa_llm_norms.web import phones as module
from mesa_llm_norms.web.phones import EVENT, Attempts, Phones

PAGES = Path(module.__file__).parent / "class_pages"


async def never() -> Any:
    """Stand for a client that says nothing."""
    await asyncio.Event().wait()


@pytest.fixture(scope="module")
def one_server() -> Iterator[ClassServer]:
    with served_class() as served:
        yield served


@pytest.fixture
def server(one_server: ClassServer) -> ClassServer:
    """The server with an open class, no game, and nobody left of the test before."""
    classroom = one_server.classroom
    for student in list(classroom.students.values()):
        if not student.kicked:
            classroom.kick(student.number)
    classroom.end()
    classroom.game = None
    classroom.open()
    return one_server


# Joining


def test_a_phone_joins_by_the_code_and_gets_a_cookie_for_the_seat_alone(
    server: ClassServer,
) -> None:
    assert server.classroom.code in server.ask(f"/j/{server.classroom.code}").text
    answer = server.ask("/seat", f"code={server.classroom.code.lower()}".encode())
    assert (answer.status, answer.headers["location"]) == (303, "/seat")
    attributes = set(answer.headers["set-cookie"].lower().split("; "))
    assert {"httponly", "samesite=strict", "path=/seat"} <= attributes


def test_who_has_joined_gets_the_same_place_again_even_when_the_class_is_locked(
    server: ClassServer,
) -> None:
    phone = server.join()
    who = json.loads(phone.ask("/seat/state").text)["who"]
    server.classroom.lock()
    assert server.ask("/seat", b"code=", headers=phone.cookie).status == 303
    assert json.loads(phone.ask("/seat/state").text)["who"] == who
    assert server.ask("/seat", f"code={server.classroom.code}".encode()).status == 403


def test_codes_cannot_be_tried_out(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    # Only the module's own view of the time: the server needs the real one.
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with served_class() as server:
        server.classroom.open()
        right = f"code={server.classroom.code}".encode()
        statuses = [server.ask("/seat", b"code=WRONG2").status for _ in range(7)]
        assert statuses == [403] * 5 + [429] * 2
        answer = server.ask("/seat", right)
        assert (answer.status, answer.headers["retry-after"]) == (429, "60")
        now[0] += 61
        assert server.ask("/seat", right).status == 303


def test_wrong_codes_are_remembered_of_so_many_addresses_only() -> None:
    wrong = Attempts(5)
    for number in range(3_000):
        wrong.too_many(f"{number}")
        wrong.add(f"{number}")
    assert len(wrong._times) <= 1_000


def test_a_whole_class_joins_from_one_address_and_not_one_phone_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with served_class() as server:
        server.classroom.open()
        for number in range(1, 71):
            server.join()
            server.classroom.kick(number)
        code = f"code={server.classroom.code}".encode()
        answer = server.ask("/seat", code)
        assert (answer.status, answer.headers["retry-after"]) == (429, "60")
        now[0] += 61
        assert server.ask("/seat", code).status == 303


@pytest.mark.parametrize(
    ("address", "reached"),
    [
        *((address, False) for address in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1")),
        *((address, True) for address in ("192.168.1.5", "fe80::1%eth0", "::ffff:10.0.0.2", "")),
    ],
)
def test_another_device_is_one_with_an_address_of_its_own(address: str, reached: bool) -> None:
    phones = Phones(classroom.Classroom(), "seat", lambda _: True)
    scope = {"type": "http", "method": "GET", "path": "/j", "headers": [], "query_string": b""}

    async def send(_: object) -> None:
        pass

    asyncio.run(phones({**scope, "client": (address, 1)}, never, send))
    assert phones.reached == reached


@pytest.mark.parametrize("path", ["/j", "/j/x", "/j/<script>", "/j/ABC234?x=<b>"])
def test_nothing_in_an_address_becomes_markup(server: ClassServer, path: str) -> None:
    answer = server.ask(path.replace("<", "%3C").replace(">", "%3E"))
    assert answer.status == 200
    assert "<script" not in answer.text
    assert "<b>" not in answer.text


# Who is let in


@pytest.mark.parametrize("path", ["/seat", "/seat/state", "/seat/anything"])
def test_without_a_cookie_there_is_no_seat(server: ClassServer, path: str) -> None:
    assert server.ask(path).status == 403
    assert server.ask(path, headers=TEACHER).status == 403


@pytest.mark.parametrize("path", ["/seat/choice", "/seat/vote", "/seat/wake"])
def test_without_a_cookie_nothing_is_taken(server: ClassServer, path: str) -> None:
    assert server.ask(path, b"{}").status == 403


@pytest.mark.parametrize("path", ["/seat", "/seat/state", "/j", "/j/phone.js"])
def test_a_foreign_name_is_refused(server: ClassServer, path: str) -> None:
    phone = server.join()
    assert server.ask(path, headers={"Host": "evil.example", **phone.cookie}).status == 421


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "http://127.0.0.1:1"])
def test_a_foreign_page_is_refused(server: ClassServer, origin: str) -> None:
    phone = server.join()
    assert server.ask("/seat/wake", b"{}", headers={"Origin": origin, **phone.cookie}).status == 403
    code = f"code={server.classroom.code}".encode()
    assert server.ask("/seat", code, {"Origin": origin}).status == 403
    with pytest.raises(InvalidStatus) as refused:
        phone.connect(Origin=origin)
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("headers", [{"Cookie": ""}, {"Host": "evil.example"}, TEACHER], ids=str)
def test_a_connection_needs_the_students_cookie_and_the_servers_name(
    server: ClassServer, headers: dict[str, str]
) -> None:
    phone = server.join()
    with pytest.raises((InvalidStatus, ConnectionClosed)):
        phone.connect(**headers).recv(timeout=60)


def test_a_student_sent_away_is_told_so_and_let_in_no_more(server: ClassServer) -> None:
    phone = server.join()
    with phone.connect() as socket:
        follow(socket, bool)
        server.classroom.kick(max(server.classroom.students))
        with pytest.raises(ConnectionClosed) as closed:
            follow(socket, lambda _: False)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4003
    assert phone.ask("/seat/state").status == 403


def test_a_student_sent_away_while_connecting_leaves_no_connection_behind() -> None:
    room, sent = classroom.Classroom(), []
    room.open()
    student = room.join(room.code)
    assert student is not None
    phones = Phones(room, "seat", lambda _: True)

    async def receive() -> Any:
        if student.kicked:
            await never()
        room.kick(student.number)
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append((message["type"], message.get("code")))

    given = {"host": "here", "origin": "http://here", "cookie": f"seat={student.token}"}
    headers = [(name.encode(), value.encode()) for name, value in given.items()]
    asyncio.run(phones({"type": "websocket", "path": "/seat", "headers": headers}, receive, send))
    assert sent == [("websocket.accept", None), ("websocket.close", 4003)]
    assert not phones._links


def test_what_fails_while_a_phone_is_told_is_logged(
    server: ClassServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    phone = server.join()

    def fail(number: int) -> None:
        raise IndexError(number)

    monkeypatch.setattr(server.classroom, "view", fail)
    with caplog.at_level(logging.ERROR), phone.connect() as socket, pytest.raises(ConnectionClosed):
        socket.recv(timeout=60)
    assert "connection of a phone failed" in caplog.text


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/seat/choice", b"x" * 2_000, 413),
        ("/seat", b"code=" + b"x" * 2_000, 413),
        ("/seat/choice", b"{}", 400),
        ("/seat/choice", b'{"interaction": "0", "name": "<b>"}', 400),
        ("/seat/choice", b'{"interaction": 0, "name": true}', 400),
        ("/seat/choice", b"[" * 900, 400),
        ("/seat/vote", b"[1]", 400),
        ("/seat/wake", b"[]", 400),
        ("/seat/wake", b'"x"', 400),
        ("/seat/vote", b"\xff\xfe", 400),
        ("/seat/nothing", b"{}", 400),
    ],
)
def test_what_no_phone_sends_is_refused(
    server: ClassServer, path: str, body: bytes, status: int
) -> None:
    phone = server.join()
    cookie = {} if path == "/seat" else phone.cookie
    assert server.ask(path, body, headers=cookie).status == status


@pytest.mark.parametrize(
    ("text", "code"),
    [("x" * 1_500, 1009), *((text, 1008) for text in ("x", '{"do": "choice"}', "[1]", "null"))],
)
def test_a_connection_that_says_what_no_phone_says_ends(
    server: ClassServer, text: str, code: int
) -> None:
    with server.join().connect() as socket:
        socket.send(text)
        with pytest.raises(ConnectionClosed) as closed:
            follow(socket, lambda _: False)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code


def test_who_says_too_much_at_once_is_cut_off(server: ClassServer) -> None:
    phone = server.join()
    statuses = [phone.ask("/seat/state").status for _ in range(40)]
    assert statuses[:5] == [200] * 5
    assert 429 in statuses
    with phone.connect() as socket:
        with suppress(ConnectionClosed):
            for _ in range(30):
                socket.send("{}")
        with pytest.raises(ConnectionClosed):
            follow(socket, lambda _: False)


def test_there_are_so_many_connections_and_no_more(
    server: ClassServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = limits.Limit("phones", 0, 1, "connections", "A test.")
    monkeypatch.setattr(limits, "CLASS_SOCKETS", few)
    first, second = server.join(), server.join()
    with first.connect() as socket:
        follow(socket, bool)
        with pytest.raises(InvalidStatus):
            second.connect()
        with first.connect() as newer:
            follow(newer, bool)


def test_every_answer_keeps_the_page_to_itself(server: ClassServer) -> None:
    phone = server.join()
    for path in ("/j", "/seat", "/seat/state", "/j/phone.js", "/seat/nothing"):
        headers = phone.ask(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"


def test_the_page_is_small_and_names_no_other_server() -> None:
    files = [PAGES / name for name in ("join.html", "phone.html", "phone.css", "phone.js")]
    assert sum(file.stat().st_size for file in files) < 30_000
    assert not [
        file
        for file in files
        if "//" in file.read_text().replace("// ", "").replace('"}://${location.host}', "")
    ]


def test_only_the_paths_of_phones_are_theirs() -> None:
    served = ("/j", "/j/ABC234", "/seat", "/seat/state")
    others = ("/", "/jupyter/api/kernels/x/channels", "/seats", "/class", "/class/state")
    assert all(map(Phones.serves, served))
    assert not any(map(Phones.serves, others))


# Playing


def test_a_phone_is_told_of_its_turn_answers_and_sees_how_it_ended(server: ClassServer) -> None:
    phone = server.join()
    with phone.connect() as socket:
        assert follow(socket, bool)["phase"] == "lobby"
        server.classroom.start("complete(n=6)", "QM")
        state = follow(socket, lambda it: it.get("phase") == "asking")
        assert 0 < state["ms"] <= 10_000
        socket.send(json.dumps({"do": "choice", "interaction": state["i"], "name": 1}))
        state = follow(socket, lambda it: it.get("phase") == "showing")
        assert state["last"][0][0] == 1
        assert state["last"][0][3] is True


def test_a_phone_without_a_connection_asks_and_posts_instead(server: ClassServer) -> None:
    phone = server.join()
    server.classroom.start("complete(n=6)", "QM")
    state = json.loads(phone.ask("/seat/state").text)
    sent = {"interaction": state["i"], "name": 0}
    assert json.loads(phone.ask("/seat/choice", **sent).text) == {"taken": True}
    assert json.loads(phone.ask("/seat/choice", **{**sent, "name": 1}).text) == {"taken": True}
    wait_until(lambda: server.classroom.phase == "showing")
    state = json.loads(phone.ask("/seat/state").text)
    assert state["last"][0][0] == 0


def test_events_are_short_and_what_is_long_is_fetched(
    server: ClassServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classroom, "SHOWING", 0.0)
    phone = server.join()
    sizes: list[int] = []
    with phone.connect() as socket:
        first: dict[str, Any] = json.loads(socket.recv(timeout=60))
        assert first["phase"] == "lobby"
        server.classroom.ask("Which name will win?" * 20, ["Q" * 40, "M" * 40])
        assert json.loads(socket.recv(timeout=60)) == {"get": 1}
        vote = json.loads(phone.ask("/seat/state").text)["vote"]
        assert phone.ask("/seat/vote", vote=vote["n"], answer=1).status == 200
        server.classroom.start("complete(n=2)", "QMXYFJPRCD", rounds=7, seconds=200)
        state: dict[str, Any] = {}
        while state.get("phase") != "over":
            text = socket.recv(timeout=60)
            sizes.append(len(text))
            state = json.loads(text)
            if "get" in state:
                state = json.loads(phone.ask("/seat/state").text)
            if state.get("i") is not None:
                choice = {"do": "choice", "interaction": state["i"], "name": 3}
                socket.send(json.dumps(choice))
    assert max(sizes) <= EVENT


def test_the_newest_tab_wins(server: ClassServer) -> None:
    phone = server.join()
    with phone.connect() as first:
        follow(first, bool)
        with phone.connect() as second:
            follow(second, bool)
            with pytest.raises(ConnectionClosed) as closed:
                follow(first, lambda _: False)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4001
            server.classroom.start("complete(n=6)", "QM")
            follow(second, lambda it: it.get("phase") == "asking")


def test_a_round_that_cannot_be_played_ends_the_game_and_not_the_class(
    server: ClassServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = server.join()
    server.classroom.start("complete(n=2)", "QM")
    game = server.classroom.game
    assert game is not None

    def fail(chosen: object) -> None:
        raise ValueError(chosen)

    monkeypatch.setattr(game, "play_round", fail)
    state = json.loads(phone.ask("/seat/state").text)
    phone.ask("/seat/choice", interaction=state["i"], name=0)
    wait_until(lambda: server.classroom.phase == "over")
    server.classroom.start("complete(n=2)", "QM")
    assert json.loads(phone.ask("/seat/state").text)["phase"] == "asking"
