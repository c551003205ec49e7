"""Runs played in one compiled call end as they do one by one, in batches of any size."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import networkx as nx
import numpy as np
import pytest
from chances import FixedPolicy
from kernel_specs import random_specs
from pandas.testing import assert_frame_equal

from mesa_llm_norms import Policy, load_mind, run_ensemble
from mesa_llm_norms.core.game import GameRules, Memory
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.errors import MindError
from mesa_llm_norms.minds import Mind, UniformMind
from mesa_llm_norms.simulation import batch as module
from mesa_llm_norms.simulation.batch import play_together
from mesa_llm_norms.simulation.ensemble import play_part, play_run
from mesa_llm_norms.simulation.run import Batch
from mesa_llm_norms.simulation.spec import Spec

DRIFTING = "llama-3.1-70b-instruct"


def check_that_batches_are_equal(found: Batch, plain: Batch) -> None:
    for field, one, other in zip(Batch._fields, found, plain, strict=True):
        if field == "held":
            assert [held.tolist() for held in found.held] == [held.tolist() for held in plain.held]
        elif field != "rows":
            np.testing.assert_array_equal(one, other, err_msg=field)


def check_specs(number: int, seed: str) -> None:
    together = 0
    for spec, goal, rounds in random_specs(number, seed):
        plain = Batch.of([play_run(spec, run, goal, rounds) for run in range(3)])
        found = play_together(spec, range(3), goal, rounds)
        together += found is not None
        if found is not None:
            check_that_batches_are_equal(found, plain)
    assert together > number / 2


def test_a_batch_is_the_runs_that_plain_python_plays() -> None:
    check_specs(40, "batches")


@pytest.mark.slow
def test_a_batch_is_the_runs_that_plain_python_plays_on_a_thousand_specs() -> None:
    check_specs(1_000, "many batches")


TOPOLOGIES = ["ring(n=12, k=4)", "watts_strogatz(n=12, k=4, p=0.3)", "barabasi_albert(n=12, m=2)"]


@pytest.mark.parametrize("graph", TOPOLOGIES)
@pytest.mark.parametrize("mind", [DRIFTING, {DRIFTING: 0.5, "claude-3.5-sonnet": 0.5}])
def test_networks_minds_and_committed_agents_are_drawn_for_each_run(graph: str, mind: Any) -> None:
    arguments: dict[str, Any] = {"graph": graph, "names": "QM", "mind": mind, "rng": 5}
    arguments |= {"runs": 12, "rounds": 25, "committed": {"M": 0.2}}
    tables = [run_ensemble(**arguments, engine=engine) for engine in ("python", "kernel")]
    assert_frame_equal(tables[0].runs, tables[1].runs)
    assert_frame_equal(tables[0].rounds, tables[1].rounds)
    np.testing.assert_array_equal(tables[0].held, tables[1].held)


def test_results_do_not_depend_on_the_size_of_batches_and_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = Spec(graph="complete(n=12)", names="QMXY", mind=DRIFTING, seed=3)
    whole = play_together(spec, range(9), Goal("converged"), 200)
    assert whole is not None
    monkeypatch.setattr(module, "INTERACTIONS_PER_CALL", 30)
    monkeypatch.setattr(module, "ROUNDS_AT_ONCE", 3)
    for part in (range(9), range(4, 5), range(6, 9)):
        found = play_together(spec, part, Goal("converged"), 200)
        assert found is not None
        every = {run: np.flatnonzero(whole.run == run)[0] for run in part}
        assert found.interactions.tolist() == [whole.interactions[at] for at in every.values()]
        ends = np.cumsum(whole.rounds)
        lines = [whole.counts[ends[at] - whole.rounds[at] : ends[at]] for at in every.values()]
        np.testing.assert_array_equal(found.counts, np.concatenate(lines))


def test_threads_play_batches_at_the_same_time() -> None:
    def play(seed: int) -> list[int]:
        spec = Spec(graph="complete(n=12)", names="QMXY", mind=DRIFTING, seed=seed)
        return list(
            play_part(spec, range(40), (Goal("converged"), 50, False, "kernel")).interactions
        )

    alone = [play(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(play, range(4))) == alone


class Moody(Policy):
    """A policy of one's own that is another in every run."""

    label = "moody"

    def __init__(self, share: float = 0.5) -> None:
        self.share = share

    def for_run(self, game: GameRules, stream: RandomStream) -> Mind:  # noqa: ARG002
        return Moody((stream.of("mood") % 10) / 10)

    def distribution(self, memory: Memory, pool: Any) -> list[float]:  # noqa: ARG002
        if memory and memory[-1].own != memory[-1].partner:
            return [1 - self.share, self.share]
        return [self.share, 1 - self.share]


def test_a_mind_of_ones_own_that_changes_from_run_to_run_is_asked_in_each() -> None:
    spec = Spec(graph="complete(n=8)", names="QM", mind=Moody(), seed=3)
    found = play_together(spec, range(12), Goal("converged"), 20)
    assert found is not None
    plain = Batch.of([play_run(spec, run, Goal("converged"), 20) for run in range(12)])
    check_that_batches_are_equal(found, plain)


class Failing(FixedPolicy):
    """A policy that breaks where it remembers three interactions."""

    def distribution(self, memory: Memory, pool: Any) -> Any:
        return [2.0, 2.0] if len(memory) == 3 else super().distribution(memory, pool)


def test_a_mind_that_fails_raises_and_the_next_ensemble_is_not_affected() -> None:
    mind, failing = load_mind(DRIFTING), Failing(0.5, 0.5)
    arguments: dict[str, Any] = {"graph": "complete(n=8)", "names": "QM", "rng": 3, "runs": 9}
    expected = run_ensemble(**arguments, mind={mind: 0.5, FixedPolicy(0.5, 0.5): 0.5}).runs
    with pytest.raises(MindError, match="its distribution on"):
        run_ensemble(**arguments, mind={mind: 0.5, failing: 0.5}, engine="kernel")
    again = run_ensemble(**arguments, mind={mind: 0.5, FixedPolicy(0.5, 0.5): 0.5}, engine="kernel")
    assert_frame_equal(again.runs, expected)


class Wandering(UniformMind):
    """A mind of which nobody knows that it looks at nothing."""


def test_what_cannot_be_played_together_is_played_run_by_run() -> None:
    long = Spec(graph="ring(n=8)", names="QMXYFJPRCD", mind=Wandering(), memory=12, seed=1)
    assert play_together(long, range(2), Goal("converged"), 9) is None
    found = play_part(long, range(2), (Goal("converged"), 9, False, "kernel"))
    plain = Batch.of([play_run(long, run, Goal("converged"), 9) for run in range(2)])
    check_that_batches_are_equal(found, plain)


def test_no_rounds_are_no_rounds() -> None:
    spec = Spec(graph=nx.path_graph(3), names="QM", seed=1)
    found = play_together(spec, range(2), Goal(None), 0)
    assert found is not None
    check_that_batches_are_equal(
        found, Batch.of([play_run(spec, run, Goal(), 0) for run in (0, 1)])
    )
