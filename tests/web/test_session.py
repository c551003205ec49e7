"""A session shows what its link says, and its link says what it shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mesa_llm_norms.cli import main
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.web.model_source import ServerSettings, configure_server, server_settings
from mesa_llm_norms.web.player import FULL_SPEED, Order
from mesa_llm_norms.web.session import ViewerSession
from mesa_llm_norms.web.setting import Setting

PATIENCE = 30


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


@pytest.fixture
def session() -> Iterator[Callable[..., ViewerSession]]:
    sessions: list[ViewerSession] = []
    before = server_settings()

    def begin(query: str = "") -> ViewerSession:
        sessions.append(ViewerSession(query))
        return sessions[-1]

    yield begin
    configure_server(before)
    for one in sessions:
        one.close()


def ready(session: ViewerSession) -> ViewerSession:
    until(lambda: all(player.frame.state == "paused" for player in session.players))
    return session


def codes(session: ViewerSession) -> list[tuple[str, str]]:
    return [(player.frame.codes, player.frame.marks) for player in ready(session).players]


def play(session: ViewerSession, rounds: int = 2) -> ViewerSession:
    ready(session)
    for _ in range(rounds):
        session.give(Order.ROUND)
        until(lambda: not session.playing)
        ready(session)
    until(lambda: all(player.frame.rounds >= rounds for player in session.players))
    return session


@pytest.mark.parametrize(
    "query",
    [
        "explore=1",
        "names=QM&seed=9&topology=ring%28n%3D10%29",
        "names=QM&vs=topology%3Dcomplete%2528n%253D10%2529",
        "scene=hubs&seed=3",
        "scene=two-communities-and-a-bridge",
    ],
)
def test_a_link_shows_what_was_on_screen(session: Callable[..., ViewerSession], query: str) -> None:
    first = play(session(query))
    assert first.problem == ""
    first.commit(0, 1, first.players[0].frame.pool[0])
    until(lambda: first.players[0].frame.marks[1:2] == "c")
    play(first, 3)
    second = session(first.query)
    until(lambda: second.settings == first.settings)
    assert codes(second) == codes(first)
    assert second.query == first.query
    assert (second.scene and second.scene.key) == (first.scene and first.scene.key)


def test_two_populations_differ_in_one_thing_and_go_together(
    session: Callable[..., ViewerSession],
) -> None:
    one = session("names=QM&topology=ring(n=12)")
    one.compare(topology="complete(n=12)")
    one.change(seed=5, names="FJ")
    first, second = one.settings
    assert (first.topology, second.topology) == ("ring(n=12)", "complete(n=12)")
    assert (second.seed, second.names) == (5, "FJ")
    play(one)
    assert [player.frame.interactions for player in one.players] == [24, 24]
    one.restart(seed=7)
    until(lambda: all(player.frame.interactions == 0 for player in one.players))
    assert {setting.seed for setting in one.settings} == {7}
    one.compare()
    assert len(one.players) == 1


def test_what_cannot_be_shown_changes_nothing(session: Callable[..., ViewerSession]) -> None:
    one = play(session("names=QM"))
    before, query = codes(one), one.query
    for values in (
        {"topology": "rong(n=3)"},
        {"topology": "ring(n=5000)"},
        {"topology": "random_regular(n=5, d=3)"},
        {"mind": ("nobody",)},
        {"names": "Q"},
        {"committed": ("Z=2",)},
        {"topology": "connected_caveman(cliques=1000, size=100)"},
        {"topology": "complete(n=1000)"},
        {"topology": f"stochastic_block(sizes={[999] * 60}, p_in=1e-9, p_out=0.0001)"},
        {"names": ",".join(f"name{i}" for i in range(101))},
        {"rounds": 10**9},
        {"committed": ("M=1",) * 2_000},
    ):
        with pytest.raises(SpecError):
            one.change(**values)
    with pytest.raises(SpecError):
        one.open_scene("nowhere")
    assert codes(one) == before
    assert one.query == query


@pytest.mark.parametrize(
    "query",
    [
        "topology=rong",
        "mind=claude:x",
        "scene=nowhere",
        "replay=",
        "seed=-4",
        "edit=x",
        "topology=connected_caveman(cliques=1000,size=100)",
        "rounds=1000000000",
        "a&" * 6_000,
        "edit=" + "1" * 59_000,
        *(
            f"{key}={digits}"
            for key in ("replay", "topology", "seed", "at", "memory", "rounds", "edit", "mind")
            for digits in ("9" * 5_000, "9" * 70_000)
        ),
        *(f"{key}={'x' * 6_000}" for key in ("scene", "speed", "incumbent", "committed")),
    ],
    ids=lambda query: query[:12],
)
def test_a_bad_link_is_a_message_and_something_is_shown(
    session: Callable[..., ViewerSession], query: str
) -> None:
    one = session(query)
    assert one.problem
    assert "\n" not in one.problem
    assert len(one.problem) < 1_000
    assert one.settings == (Setting(),)
    assert len(ready(one).players[0].frame.codes) == 24


def test_a_scene_says_which_answer_came_true_once_it_is_over(
    session: Callable[..., ViewerSession],
) -> None:
    one = ready(session("scene=a-convention-is-born"))
    assert one.scene is not None
    assert one.came_true is None
    one.speed = FULL_SPEED
    one.give(Order.PLAY)
    until(lambda: not one.playing and one.came_true is not None)
    assert one.came_true in range(len(one.scene.answers))
    one.restart()
    until(lambda: one.players[0].frame.interactions == 0)
    assert one.came_true is None


def test_a_prediction_is_made_before_play_and_cleared_by_a_reset(
    session: Callable[..., ViewerSession],
) -> None:
    one = ready(session("scene=hubs"))
    for answer in (2, 0):
        one.predict(answer)
        assert one.prediction == answer
    one.give(Order.STEP)
    until(lambda: one.players[0].frame.interactions == 1)
    one.predict(1)
    assert one.prediction == 0
    one.revealed = 1
    one.restart()
    assert [one.prediction, one.revealed] == [None, 0]
    until(lambda: not one.begun)
    one.predict(1)
    assert one.prediction == 1
    assert ready(session("scene=hubs&at=5")).begun


def test_changing_the_setting_of_a_scene_leaves_the_scene(
    session: Callable[..., ViewerSession],
) -> None:
    one = session("scene=hubs")
    one.change(memory=3)
    assert one.scene is None
    assert "scene" not in one.query


def test_a_recorded_run_is_gone_through(
    session: Callable[..., ViewerSession], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    options: list[Any] = [
        "--names",
        "QM",
        "--seed",
        "3",
        "--rounds",
        "4",
        "--out",
        str(folder),
        "-q",
    ]
    monkeypatch.setattr("sys.argv", ["mesa-llm-norms", "run", *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    configure_server(ServerSettings(replay=folder))
    one = ready(session("replay=&at=50"))
    until(lambda: one.players[0].frame.interactions == 50)
    assert one.replaying
    assert one.players[0].frame.length == 96
    live = session("names=QM&seed=3&at=50")
    until(lambda: live.players[0].frame.interactions == 50)
    assert codes(live) == codes(one)
    assert session(one.query).replaying
    one.speed = FULL_SPEED
    one.give(Order.PLAY)
    until(lambda: not one.playing)
    until(lambda: one.players[0].frame.interactions == 96)


def test_a_slow_pace_is_in_the_link_and_a_strange_one_is_refused() -> None:
    session = ViewerSession("names=QM&interval=4")
    assert session.players[0].interval == 4
    assert "interval=4" in session.query
    session.interval = 0
    assert "interval" not in session.query
    session.close()
    for text in ("-1", "nan", "61", "soon"):
        refused = ViewerSession(f"interval={text}")
        assert "interval" in refused.problem
        assert refused.interval == 0
        refused.close()


def test_undo_takes_changes_back_one_after_the_other(session: Callable[..., ViewerSession]) -> None:
    one = play(session("names=QM&topology=ring(n=10)&seed=4"))
    moments = [one.query]
    assert not one.undoable
    one.commit(0, 3, "M")
    until(lambda: len(one.settings[0].edits) == 1)
    play(one, 3)
    moments.append(one.query)
    one.restart()
    assert "Undo" in one.notice
    moments.append(one.query)
    one.change(names="QMX")
    moments.append(one.query)
    with pytest.raises(SpecError):
        one.change(topology="rong(n=3)")
    one.open_scene("hubs")
    for link in reversed(moments):
        one.undo()
        assert codes(one) == codes(session(link))
        assert one.query == link
    assert not one.undoable
    one.undo()
    assert one.query == moments[0]


def test_a_change_that_fails_leaves_the_scene(session: Callable[..., ViewerSession]) -> None:
    one = session("scene=hubs")
    entries = one.entries
    with pytest.raises(SpecError):
        one.change(topology="rong(n=3)")
    assert one.scene is not None
    assert one.entries == entries
    assert not one.undoable
