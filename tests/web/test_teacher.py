"""The teacher's page: what it does to the class, and that nobody else gets there."""

from __future__ import annotations

import io
import json
import signal
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from class_server import TEACHER, ClassServer, Phone, follow, served_class, wait_until
from served import start_app

from mesa_llm_norms.classroom import classroom
from mesa_llm_norms.classroom.classroom import Classroom
from mesa_llm_norms.web import teacher
from mesa_llm_norms.web.replay import read_recorded_run
from mesa_llm_norms.web.scenes.scene import read_scenes
from mesa_llm_norms.web.teacher import _standing

PATHS = ("", "/", "/state", "/network", "/qr.svg", "/export", "/teacher.js", "/choices")
ACTIONS = ("open", "lock", "start", "pause", "resume", "end", "kick", "ask", "close")


@pytest.fixture(scope="module")
def server() -> Iterator[ClassServer]:
    with served_class() as served:
        yield served


def played(classroom: Classroom, rounds: int) -> bool:
    return len(classroom.success) == rounds


def test_only_the_teacher_gets_to_the_class(server: ClassServer) -> None:
    server.classroom.open()
    student = server.join()
    for cookie in ({}, student.cookie, {"Cookie": f"norms-test={student.token}"}):
        for path in PATHS:
            assert server.ask(f"/class{path}", headers=cookie).status == 403
        for action in ACTIONS:
            assert server.ask(f"/class/{action}", b"{}", headers=cookie).status == 403
    assert {server.ask(f"/class{path}", headers=TEACHER).status for path in PATHS} == {200}


def test_another_page_and_another_name_get_nowhere_with_the_teachers_cookie(
    server: ClassServer,
) -> None:
    foreign = {"Origin": "http://evil.example", **TEACHER}
    assert server.ask("/class/open", b"{}", headers=foreign).status == 403
    assert server.ask("/class/state", headers={"Host": "evil.example", **TEACHER}).status == 421


@pytest.mark.parametrize(
    ("site", "status"), [("same-origin", 200), ("same-site", 403), ("cross-site", 403)]
)
def test_what_a_browser_says_of_a_request_counts(
    server: ClassServer, site: str, status: int
) -> None:
    sent = {"Origin": "null", "Sec-Fetch-Site": site, **TEACHER}
    assert server.ask("/class/open", b"{}", headers=sent).status == status


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"1", b"true", b"\xff", b"[" * 900])
@pytest.mark.parametrize("action", ["open", "kick", "start", "ask", "dance"])
def test_what_is_no_object_is_refused(server: ClassServer, action: str, body: bytes) -> None:
    answer = server.ask(f"/class/{action}", body, headers=TEACHER)
    assert answer.status == 400
    assert json.loads(answer.text)["problem"]


def test_only_a_whole_number_is_a_student() -> None:
    with served_class() as server:
        server.classroom.open()
        for _ in range(2):
            server.join()
        for number in ("true", "1e999", "2.9", '"2"', "null", "[2]", "1" * 5000):
            body = f'{{"student": {number}}}'.encode()
            assert server.ask("/class/kick", body, headers=TEACHER).status == 400
        assert not [it for it in server.classroom.students.values() if it.kicked]


@pytest.mark.parametrize("value", ["true", "1e999", "NaN", "null", "[]", '"\\ud800"', "-1"])
@pytest.mark.parametrize("what", ["graph", "names", "mind", "rounds", "seconds", "seed"])
def test_what_no_game_has_is_refused_in_words(server: ClassServer, what: str, value: str) -> None:
    answer = server.ask("/class/start", f'{{"{what}": {value}}}'.encode(), headers=TEACHER)
    assert answer.status == 400
    assert json.loads(answer.text)["problem"]


def test_a_vote_is_of_the_scene_that_was_asked_about_in_any_language() -> None:
    english, german = (read_scenes(language=it)["the-committed-few"] for it in ("en", "de"))
    classroom = Classroom()
    classroom.open()
    classroom.join(classroom.code)
    teacher._ask(classroom, english)
    assert english.question != german.question
    assert _standing(classroom, german) == (0, True, ())
    classroom.cast(1, 1, 0)
    classroom.close_vote()
    assert _standing(classroom, german) == (1, False, (1,) + (0,) * (len(german.answers) - 1))
    other = replace(english, key="another", answers=english.answers * 2)
    for scene in (other, replace(other, key=english.key), replace(english, key="another")):
        assert _standing(classroom, scene) == (0, False, ())


def test_the_other_pages_are_as_they_were(server: ClassServer) -> None:
    assert server.ask("/", headers=TEACHER).text == "the page"
    assert server.ask("/classes", headers=TEACHER).text == "the page"


def test_a_lesson_from_the_lobby_to_the_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classroom, "SHOWING", 0.0)
    with served_class() as server:
        assert json.loads(server.teach("open").text)["open"]
        phones = [server.join() for _ in range(3)]
        asked = json.loads(server.teach("ask", scene="a-convention-is-born").text)["vote"]
        phones[0].ask("/seat/vote", vote=1, answer=1)
        before = json.loads(server.ask("/class/state", headers=TEACHER).text)["vote"]
        assert (before["given"], before["counts"]) == (1, None)
        after = json.loads(server.teach("close").text)["vote"]
        assert sum(after["counts"]) == 1
        assert asked["question"] == after["question"]
        given = {"graph": "complete(n=8)", "names": "QM", "rounds": 2, "seconds": 200, "seed": 4}
        state = json.loads(server.teach("start", **given).text)
        assert len(state["game"]["people"]) == 3
        network = json.loads(server.ask("/class/network", headers=TEACHER).text)
        assert (len(network["places"]), len(network["edges"])) == (8, 28)
        assert all(0 <= it <= 1 for place in network["places"] for it in place)
        for round_ in range(2):
            wait_until(lambda: server.classroom.phase == "asking")
            for phone in phones:
                view = json.loads(phone.ask("/seat/state").text)
                phone.ask("/seat/choice", interaction=view["i"], name=0)
            wait_until(partial(played, server.classroom, round_ + 1))
        server.teach("kick", student=2)
        exported = server.ask("/class/export", headers=TEACHER).text.encode("latin-1")
        archive = zipfile.ZipFile(io.BytesIO(exported))
        everything = "".join(archive.read(name).decode("latin-1") for name in archive.namelist())
        assert "127.0.0.1" not in everything
        archive.extractall(tmp_path)
        game = server.classroom.game
        assert game is not None
        assert list(read_recorded_run(tmp_path / "replay").rows) == game.rows
        chosen = [it for it in server.classroom.played if it.by == "person"]
        assert len(chosen) == 6


@pytest.mark.parametrize(
    ("action", "given", "complaint"),
    [
        ("start", {"graph": "complete(n=5000)"}, "200"),
        ("start", {"graph": "/etc/passwd.graphml"}, "file"),
        ("start", {"mind": "claude:claude-haiku-5-5"}, "recorded"),
        ("start", {"graph": 5}, "nothing like that"),
        ("start", {"whatever": 5}, "nothing like that"),
        ("kick", {}, "nothing like that"),
        ("kick", {"student": 99}, "no student 99"),
        ("ask", {"scene": "none"}, "nothing like that"),
        ("dance", {}, "nothing like that"),
    ],
    ids=str,
)
def test_what_the_page_does_not_offer_is_refused_in_words(
    server: ClassServer, action: str, given: dict[str, object], complaint: str
) -> None:
    answer = server.teach(action, **given)
    assert answer.status == 400
    assert complaint in json.loads(answer.text)["problem"]


def test_more_than_the_page_sends_is_refused(server: ClassServer) -> None:
    assert server.ask("/class/ask", b"x" * 20_000, headers=TEACHER).status == 413


@pytest.mark.slow
def test_the_server_ends_while_phones_are_connected() -> None:
    with start_app("--class", "--host", "127.0.0.1") as served:
        token = {"Cookie": f"norms-{served.port}={served.token}"}
        server = ClassServer(Classroom(), served.port)
        opened = server.ask("/class/open", b"{}", headers=token)
        answer = server.ask("/seat", f"code={json.loads(opened.text)['code']}".encode())
        assert answer.status == 303
        with Phone(server, answer.headers["set-cookie"]).connect() as socket:
            assert follow(socket, bool)["phase"] == "lobby"
            served.send_signal(signal.SIGINT)
            assert served.wait(timeout=60) == 130


@pytest.mark.slow
def test_without_the_option_there_is_no_class() -> None:
    with start_app() as served:
        server = ClassServer(Classroom(), served.port)
        token = {"Cookie": f"norms-{served.port}={served.token}"}
        for path in ("/j", "/j/ABC234", "/seat", "/class"):
            assert server.ask(path).status == 403
        assert server.ask("/class/state", headers=token).status == 404
        assert server.ask("/seat", b"code=ABC234").status == 403
