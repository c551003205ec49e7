"""A model of one's own on the page: its step, its reporters and its network are what is shown."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, cast

import mesa
import pytest
from mesa.discrete_space import Cell
from mesa_steps import steps_of

from mesa_llm_norms import NamingAgent, NamingGame
from mesa_llm_norms.core.game import Interaction
from mesa_llm_norms.web.frames import Measure
from mesa_llm_norms.web.model_source import ModelSource
from mesa_llm_norms.web.player import FULL_SPEED, Order, Player
from mesa_llm_norms.web.session import ViewerSession
from mesa_llm_norms.web.setting import Commitment, Setting, program
from models.tipping_point.model import TippingPointModel

RING = Setting(topology="ring(n=8)", names="QM", mind=("uniform",), seed=3)


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def at_rest(player: Player) -> Player:
    until(lambda: player.frame.state == "paused" and not player.playing)
    return player


class Growing(NamingGame):
    """Somebody joins, and the first one still there leaves, at every step; edges come and go."""

    def step(self) -> None:
        super().step()
        newcomer = Cell(cast(Any, f"new {steps_of(self)}"), capacity=1, random=self.random)
        self.network.add_cell(newcomer)
        for other in list(self.network)[-4:-1]:
            self.network.add_connection(newcomer, other)
        first = self.players[0]
        NamingAgent(self, newcomer, first.mind)
        if steps_of(self) % 2 == 0:
            first.remove()


class Twice(NamingGame):
    """Plays nothing in its first step, and two rounds in each of the others."""

    def step(self) -> None:
        if steps_of(self) > 1:
            super().step()
            super().step()


class Reporting(NamingGame):
    """Has reporters of its own, and no step."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        given = self.datacollector
        self.datacollector = mesa.DataCollector(
            model_reporters={
                **given.model_reporters,
                "double": lambda model: 2 * model.interactions,
                "fits": lambda model: 0.5,  # noqa: ARG005
                "said": lambda model: "so",  # noqa: ARG005
            }
        )


@pytest.fixture
def start() -> Iterator[Callable[..., Player]]:
    players: list[Player] = []

    def begin(kind: type[NamingGame], setting: Setting = RING) -> Player:
        player = Player(partial(ModelSource, model_type=kind), setting, speed=FULL_SPEED)
        players.append(player)
        player.start()
        return at_rest(player)

    yield begin
    for player in players:
        player.close()


def stepped(kind: type[NamingGame], steps: int) -> tuple[NamingGame, list[Interaction]]:
    """Return a model after so many of its own steps, and all it played."""
    model = kind(graph="ring(n=8)", names="QM", mind="uniform", rng=3)
    rows: list[Interaction] = []
    for _ in range(steps):
        model.step_into(rows)
    return model, rows


def drawn(player: Player) -> dict[str, tuple[str, str]]:
    """Return for each node on screen what it holds and how it is marked."""
    frame = player.frame
    ids = json.loads(frame.drawing)["ids"]
    assert len(ids) == len(frame.codes)
    marks = frame.marks or " " * len(ids)
    return dict(zip(ids, zip(frame.codes, marks, strict=True), strict=True))


@pytest.mark.parametrize("kind", [Growing, Twice])
def test_the_page_plays_the_models_own_step(
    start: Callable[..., Player], kind: type[NamingGame]
) -> None:
    player = start(kind)
    for _ in range(5):
        player.give(Order.STEP)
        at_rest(player)
    expected, rows = stepped(kind, 5)
    source = player.source
    assert isinstance(source, ModelSource)
    assert source.whole_steps
    assert steps_of(source.model) == 5
    until(lambda: player.frame.interactions == len(rows))
    assert source.model.names_held == expected.names_held
    shown = drawn(player)
    codes = {None: " ", "Q": "0", "M": "1"}
    for node, name in expected.names_held.items():
        assert shown[str(node)] == (codes[name], " ")
    empty = {node for node, (_, mark) in shown.items() if mark == "x"}
    assert empty == shown.keys() - {str(node) for node in expected.names_held}


def test_a_step_is_never_shown_in_part(start: Callable[..., Player]) -> None:
    player = start(Twice)
    player.speed = 200.0
    player.give(Order.PLAY)
    seen: set[int] = set()

    def look() -> bool:
        seen.add(player.frame.interactions)
        return len(seen) > 4

    until(look)
    player.give(Order.PAUSE)
    at_rest(player)
    assert all(interactions % 16 == 0 for interactions in seen)


def test_a_change_by_hand_and_a_link_take_effect_between_steps(
    start: Callable[..., Player],
) -> None:
    player = start(Twice, Setting(**{**vars(RING), "edits": (Commitment(20, 1, "M"),), "at": 48}))
    until(lambda: player.frame.interactions == 48)
    source = player.source
    assert isinstance(source, ModelSource)
    code = program(player.setting, source.nodes, (__name__, "Twice"), None, whole_steps=True)
    made: dict[str, Any] = {}
    exec(compile(code, "program", "exec"), made)
    assert made["model"].interactions == 48
    assert source.model.agent_on(1).committed == "M"


def test_reporters_of_ones_own_are_charts(start: Callable[..., Player]) -> None:
    player = start(Reporting)
    assert not player.frame.measures
    for rounds in range(1, 4):
        player.give(Order.ROUND)
        at_rest(player)
        until(partial(lambda rounds: player.frame.interactions == 8 * rounds, rounds))
    measures: Sequence[Measure] = player.frame.measures
    double, fits, said = measures
    assert (double.name, double.last, double.scale) == ("double", 48, (16, 48))
    assert (fits.name, fits.last, fits.scale) == ("fits", 0.5, (0, 1))
    assert math.isnan(said.last)
    assert json.loads(double.points)["rounds"] == 3
    assert player.source is not None
    assert not player.source.whole_steps


def test_a_model_with_arguments_of_its_own_begins_with_its_own_defaults() -> None:
    session = ViewerSession("", TippingPointModel)
    try:
        assert session.problem == ""
        player = at_rest(session.players[0])
        source = player.source
        assert isinstance(source, ModelSource)
        assert isinstance(source.model, TippingPointModel)
        assert source.model.spec.graph == "complete(n=24)"
        assert source.model.spec.incumbent == "Q"
        assert len(source.committed()) == 4
        session.change(topology="watts_strogatz(n=24, k=4, p=0.1)")
        query = session.query
        assert "watts" in query
        at_rest(session.players[0])
        session.change(committed=("M=2",))
        player = session.players[0]
        until(lambda: player.frame.error)
        assert "does not take these settings" in player.frame.error
    finally:
        session.close()
    again = ViewerSession(query, TippingPointModel)
    try:
        assert again.settings[0].topology == "watts_strogatz(n=24, k=4, p=0.1)"
    finally:
        again.close()


class Lost(NamingGame):
    def step(self) -> None:
        self.agents.shuffle_do("step")


class Failing(NamingGame):
    def step(self) -> None:
        super().step()
        if steps_of(self) == 2:
            raise RuntimeError("on purpose")


def test_a_step_that_never_plays_is_an_error_and_not_an_endless_wait(
    start: Callable[..., Player],
) -> None:
    def wait_for_it() -> Player:
        player = start(Lost)
        player.give(Order.CONVERGE)
        until(lambda: player.frame.error)
        return player

    with pytest.warns(UserWarning, match="played nothing"):
        player = wait_for_it()
    assert "super().step()" in player.frame.error


def test_what_was_played_before_a_step_failed_is_shown(
    start: Callable[..., Player], caplog: pytest.LogCaptureFixture
) -> None:
    player = start(Failing)
    player.give(Order.PLAY)
    until(lambda: player.frame.error and player.frame.interactions == 16)
    assert "on purpose" in player.frame.error
    assert "unexpected error in a population" in caplog.text


@pytest.mark.parametrize("model_type", [Growing, Twice, TippingPointModel])
def test_each_interaction_of_a_step_is_explained_with_the_memory_it_was_played_on(
    model_type: type[NamingGame],
) -> None:
    source = ModelSource(RING, model_type)
    memories: dict[Any, Any] = {}
    for row in islice(source.play(), 40):
        encounter = source.encounter()
        if row is None:
            continue
        assert encounter is not None
        assert encounter.row is row
        for part, name in zip(encounter.parts, row.names, strict=True):
            assert part.before == memories.get(part.node, ())
            assert part.after[-1][0] == name
            memories[part.node] = part.after
        if source.between_rounds:
            left = {agent.node: agent.memory for agent in source.model.players}
            assert left == {node: memories.get(node, ()) for node in left}
