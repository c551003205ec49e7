"""When a run stops: compared, row by row, with a search through everything that was played."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pytest
from chances import LoggedGame, copying, without_rounds
from hypothesis import given, settings
from hypothesis import strategies as st

from mesa_llm_norms import ScriptedMind
from mesa_llm_norms.core.stopping import MAX_ROUNDS, Goal, read_rounds
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.minds import UniformMind
from mesa_llm_norms.simulation import Interaction
from mesa_llm_norms.simulation.ensemble import start_run
from mesa_llm_norms.simulation.spec import Spec

GAME: dict[str, Any] = {"graph": "ring(n=6)", "names": "QM", "mind": copying("QM")}
LONG = 40


def rows_of(rounds: int = LONG, **arguments: Any) -> list[Interaction]:
    """Return all rows of a run that nothing stops."""
    game = LoggedGame(**{**GAME, **arguments})
    game.run(rounds=rounds, until=None)
    return game.log


def first_converged(rows: Sequence[Interaction], size: int, threshold: float) -> int | None:
    """Return after how many interactions a run converged, looking at all of them."""
    for end in range(size, len(rows) + 1):
        if sum(row.matched for row in rows[end - size : end]) >= threshold * size:
            return end
    return None


def first_flipped(rows: Sequence[Interaction], size: int, names: Sequence[str]) -> int | None:
    for end in range(size, len(rows) + 1):
        played = [name for row in rows[end - size : end] for name in (row.name_a, row.name_b)]
        if any(played.count(name) / len(played) >= 0.95 for name in names):
            return end
    return None


@settings(max_examples=60)
@given(
    rng=st.integers(0, 2**64 - 1),
    window=st.sampled_from([0.1, 0.5, 1, 1.25, 3]),
    threshold=st.sampled_from([0.5, 0.8, 0.99, 1.0]),
    pairing=st.sampled_from(["node", "edge", "matching"]),
)
def test_a_run_stops_right_after_the_interaction_that_makes_it_converge(
    rng: int, window: float, threshold: float, pairing: str
) -> None:
    arguments: dict[str, Any] = {"rng": rng, "pairing": pairing}
    rows = rows_of(**arguments)
    expected = first_converged(rows, max(1, round(window * 6)), threshold)
    game = LoggedGame(**GAME, **arguments)
    outcome = game.run(rounds=LONG, window=window, threshold=threshold)
    assert outcome.converged == game.converged == (expected is not None)
    assert outcome.interactions == game.interactions == (expected or len(rows))
    assert game.log == rows[: game.interactions]


def test_by_default_the_last_3_n_interactions_all_matched() -> None:
    for rng in range(10):
        rows = rows_of(rng=rng)
        game = LoggedGame(**GAME, rng=rng)
        assert game.run(rounds=LONG).interactions == (first_converged(rows, 18, 1.0) or len(rows))


@settings(max_examples=40)
@given(
    rng=st.integers(0, 2**64 - 1),
    names=st.lists(st.sampled_from("QM"), min_size=1, max_size=2, unique=True),
)
def test_a_run_stops_right_after_the_interaction_that_makes_it_flip(
    rng: int, names: list[str]
) -> None:
    arguments: dict[str, Any] = {
        "rng": rng,
        "committed": dict.fromkeys(names, 1),
        "incumbent": "Q",
        "mind": copying("QM", 0.7),
    }
    rows = rows_of(**arguments)
    expected = first_flipped(rows, 18, names)
    game = LoggedGame(**{**GAME, **arguments})
    outcome = game.run(rounds=LONG, until="flipped")
    assert outcome.flipped == (expected is not None)
    assert outcome.interactions == (expected or len(rows))


def one_late(situation: Any) -> str:
    """M for the first 100 interactions but one side of the 9th, and the 9th alone differs."""
    return "Q" if (situation.interaction, situation.seat) == (8, 1) else "M"


def test_a_run_stops_within_a_round_and_goes_on_from_there() -> None:
    game = LoggedGame(graph="ring(n=6)", names="QM", mind=ScriptedMind(one_late), rng=1)
    outcome = game.run()
    assert outcome.interactions == 9 + 18
    assert (outcome.rounds, outcome.winner, outcome.share) == (5, "M", 1.0)
    assert [len(game.rows), game.rows[0].round] == [3, 4]
    game.run(rounds=2, until=None)
    assert game.interactions == 27 + 12
    assert [row.interaction for row in game.log] == list(range(39))
    assert [row.round for row in game.log[24:]] == [4] * 3 + [5] * 6 + [6] * 6


def test_told_to_go_on_a_converged_run_goes_on() -> None:
    game = LoggedGame(**{**GAME, "mind": ScriptedMind("M")}, rng=1)
    assert game.run().interactions == 18
    assert game.run().interactions == 19
    assert game.run(rounds=1, until=None).interactions == 25
    assert game.converged


@settings(max_examples=30)
@given(
    rng=st.integers(0, 2**64 - 1),
    cuts=st.lists(st.sampled_from([0.2, 0.5, 0.7, 1.0]), max_size=6),
    pairing=st.sampled_from(["node", "edge"]),
)
def test_how_a_run_is_cut_into_rounds_does_not_change_what_is_played(
    rng: int, cuts: list[float], pairing: str
) -> None:
    """Stops within rounds, and goes on: interaction by interaction it is the run never stopped."""
    game = LoggedGame(**GAME, rng=rng, pairing=pairing)
    for window in cuts:
        game.run(rounds=2, window=window)
    expected = rows_of(rounds=12, rng=rng, pairing=pairing)
    assert without_rounds(game.log) == without_rounds(expected[: len(game.log)])


def test_the_outcome_before_anything_was_played() -> None:
    outcome = LoggedGame(**GAME, rng=1).run(rounds=0)
    assert outcome == (0, 0, False, False, None, 0.0, 0.0, False, 0)


def test_the_outcome_is_of_the_last_rounds() -> None:
    game = LoggedGame(**{**GAME, "mind": UniformMind()}, rng=4)
    outcome = game.run(rounds=20, until=None, window=2)
    names = [name for row in game.log[-12:] for name in (row.name_a, row.name_b)]
    assert outcome.winner is not None
    assert outcome.share == names.count(outcome.winner) / 24
    assert outcome.share >= 0.5
    assert outcome.success_rate == sum(row.matched for row in game.log[-12:]) / 12
    assert game.outcome == outcome


def test_where_nobody_is_committed_nothing_can_flip() -> None:
    game = LoggedGame(**GAME, rng=1)
    with pytest.raises(SpecError, match="nobody is committed") as caught:
        game.run(until="flipped")
    assert caught.value.argument == "until"
    assert game.interactions == 0


def test_how_many_rounds_is_a_whole_number_or_left_to_the_goal() -> None:
    assert read_rounds(7, None) == 7
    assert read_rounds(None, "converged") == MAX_ROUNDS
    for rounds in (-1, 2.0, "3", True):
        with pytest.raises(SpecError):
            read_rounds(rounds, "converged")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="nothing says when to stop"):
        read_rounds(None, None)


def test_agents_released_within_a_run_play_alike_on_every_engine() -> None:
    spec = Spec(
        graph="complete(n=12)",
        names="QM",
        mind={"uniform": 1, "claude-3.5-sonnet": 1},
        incumbent="Q",
        committed={"M": 5},
        seed=3,
    )
    initial = spec.initial_state(2)
    committed = np.flatnonzero(initial.mind_indices != initial.uncommitted_indices)
    nodes = {initial.neighbors.nodes[index] for index in committed.tolist()}
    assert len(nodes) == 5
    logs = []
    for engine in ("python", "kernel"):
        game_run = start_run(spec, spec.initial_state(2), engine)
        game_run.play_to(Goal(None), 4, keep=True)
        before = game_run.rows
        game_run.engine.release(committed.tolist())
        game_run.play_to(Goal(None), 12, keep=True)
        logs.append((before, game_run.rows, game_run.names_held))
    assert logs[0] == logs[1]
    assert {name for row in logs[0][0] for name in names_of(row, nodes)} == {"M"}
    assert {name for row in logs[0][1] for name in names_of(row, nodes)} == {"M", "Q"}


def names_of(row: Interaction, nodes: set[Hashable]) -> set[str]:
    """Return the names that some nodes played in an interaction."""
    both = ((row.node_a, row.name_a), (row.node_b, row.name_b))
    return {name for node, name in both if node in nodes}


@pytest.mark.parametrize("engine", ["python", "kernel"])
def test_round_by_round_or_in_one_go_a_run_is_the_same(engine: str) -> None:
    spec = Spec(graph="ring(n=12, k=4)", names="QM", seed=5)
    whole, cut = (start_run(spec, spec.initial_state(), engine) for _ in range(2))
    tally = whole.play_to(Goal("converged"), 200, keep=True)
    rows: list[Interaction] = []
    rounds = []
    for one in cut.each_round(Goal("converged"), 200):
        rows += cut.rows
        rounds.append(one)
    assert rows == whole.rows
    assert rounds == tally.to_rounds()
    assert cut.outcome == whole.outcome
    assert cut.reached
    assert whole.reached
    cut.play(2)
    assert len(cut.rows) == 24
