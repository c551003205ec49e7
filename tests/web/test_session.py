"""A visit shows what its link says, and its link says what it shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mesa_llm_norms import SpecError
from mesa_llm_norms.cli import main
from mesa_llm_norms.web.model_source import Hosting, host, hosting
from mesa_llm_norms.web.player import FULL_SPEED, Order
from mesa_llm_norms.web.session import Visit
from mesa_llm_norms.web.setting import Setting

PATIENCE = 30


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


@pytest.fixture
def visit() -> Iterator[Callable[..., Visit]]:
    visits: list[Visit] = []
    before = hosting()

    def begin(query: str = "") -> Visit:
        visits.append(Visit(query))
        return visits[-1]

    yield begin
    host(before)
    for one in visits:
        one.close()


def ready(visit: Visit) -> Visit:
    until(lambda: all(runner.frame.state == "paused" for runner in visit.runners))
    return visit


def codes(visit: Visit) -> list[tuple[str, str]]:
    return [(runner.frame.codes, runner.frame.marks) for runner in ready(visit).runners]


def play(visit: Visit, rounds: int = 2) -> Visit:
    ready(visit)
    for _ in range(rounds):
        visit.give(Order.ROUND)
        until(lambda: not visit.playing)
        ready(visit)
    until(lambda: all(runner.frame.rounds >= rounds for runner in visit.runners))
    return visit


@pytest.mark.parametrize(
    "query",
    [
        "",
        "names=QM&seed=9&topology=ring%28n%3D10%29",
        "names=QM&vs=topology%3Dcomplete%2528n%253D10%2529",
        "scene=hubs&seed=3",
        "scene=two-communities-and-a-bridge",
    ],
)
def test_a_link_shows_what_was_on_screen(visit: Callable[..., Visit], query: str) -> None:
    first = play(visit(query))
    assert first.problem == ""
    first.runners[0].commit(1, first.runners[0].frame.pool[0])
    until(lambda: first.runners[0].frame.marks[1:2] == "c")
    play(first, 3)
    second = visit(first.query)
    until(lambda: second.settings == first.settings)
    assert codes(second) == codes(first)
    assert second.query == first.query
    assert (second.scene and second.scene.key) == (first.scene and first.scene.key)


def test_two_populations_differ_in_one_thing_and_go_together(visit: Callable[..., Visit]) -> None:
    one = visit("names=QM&topology=ring(n=12)")
    one.compare(topology="complete(n=12)")
    one.change(seed=5, names="FJ")
    first, second = one.settings
    assert (first.topology, second.topology) == ("ring(n=12)", "complete(n=12)")
    assert (second.seed, second.names) == (5, "FJ")
    play(one)
    assert [runner.frame.interactions for runner in one.runners] == [24, 24]
    one.restart(seed=7)
    until(lambda: all(runner.frame.interactions == 0 for runner in one.runners))
    assert {setting.seed for setting in one.settings} == {7}
    one.compare()
    assert len(one.runners) == 1


def test_what_cannot_be_shown_changes_nothing(visit: Callable[..., Visit]) -> None:
    one = play(visit("names=QM"))
    before, query = codes(one), one.query
    for values in (
        {"topology": "rong(n=3)"},
        {"topology": "ring(n=5000)"},
        {"topology": "random_regular(n=5, d=3)"},
        {"mind": ("nobody",)},
        {"names": "Q"},
        {"committed": ("Z=2",)},
    ):
        with pytest.raises(SpecError):
            one.change(**values)
    with pytest.raises(SpecError):
        one.open_scene("nowhere")
    assert codes(one) == before
    assert one.query == query


@pytest.mark.parametrize(
    "query", ["topology=rong", "mind=claude:x", "scene=nowhere", "replay=", "seed=-4", "edit=x"]
)
def test_a_bad_link_is_told_and_something_is_shown(visit: Callable[..., Visit], query: str) -> None:
    one = visit(query)
    assert one.problem
    assert "\n" not in one.problem
    assert one.settings == (Setting(),)
    assert len(ready(one).runners[0].frame.codes) == 24


def test_a_scene_tells_which_answer_came_true_once_it_is_over(
    visit: Callable[..., Visit],
) -> None:
    one = ready(visit("scene=a-convention-is-born"))
    assert one.scene is not None
    assert one.came_true is None
    one.speed = FULL_SPEED
    one.give(Order.PLAY)
    until(lambda: not one.playing and one.came_true is not None)
    assert one.came_true in range(len(one.scene.answers))
    one.restart()
    until(lambda: one.runners[0].frame.interactions == 0)
    assert one.came_true is None


def test_changing_the_setting_of_a_scene_leaves_the_scene(visit: Callable[..., Visit]) -> None:
    one = visit("scene=hubs")
    one.change(memory=3)
    assert one.scene is None
    assert "scene" not in one.query


def test_a_recorded_run_is_gone_through(
    visit: Callable[..., Visit], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    host(Hosting(replay=folder))
    one = ready(visit("replay=&at=50"))
    until(lambda: one.runners[0].frame.interactions == 50)
    assert one.replaying
    assert one.runners[0].frame.length == 96
    live = visit("names=QM&seed=3&at=50")
    until(lambda: live.runners[0].frame.interactions == 50)
    assert codes(live) == codes(one)
    assert visit(one.query).replaying
    one.speed = FULL_SPEED
    one.give(Order.PLAY)
    until(lambda: not one.playing)
    until(lambda: one.runners[0].frame.interactions == 96)
