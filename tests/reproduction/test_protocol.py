"""What is played, and that the results do not depend on how."""

from __future__ import annotations

import numpy as np
import pytest

from mesa_llm_norms import load_mind, run_ensemble
from mesa_llm_norms.minds import CommittedMind
from mesa_llm_norms.minds.registry import STUDY_MINDS
from mesa_llm_norms.reproduction import people, protocol
from mesa_llm_norms.reproduction.observed import shipped_people
from mesa_llm_norms.reproduction.protocol import (
    CLASSICAL,
    TWO,
    Experiment,
    Task,
)
from mesa_llm_norms.reproduction.recorded import (
    ROUNDS,
    shipped,
)

MIND = "claude-3.5-sonnet"


def test_every_recorded_model_has_a_mind_that_plays_all_its_conditions() -> None:
    recorded = shipped()
    conditions = {(one.model, one.names) for one in recorded.emergence}
    conditions |= {(one.model, one.names) for one in recorded.stability}
    assert {model for model, _ in conditions} == set(STUDY_MINDS)
    todo = protocol.tasks(recorded, STUDY_MINDS)
    played = {(task.mind, one.names) for task in todo for one in task.experiments}
    assert conditions <= played


def test_experiments_of_a_mind_have_different_keys_and_so_different_seeds() -> None:
    todo = protocol.tasks(shipped(), [MIND])
    todo += people.tasks(shipped_people(), [MIND], 8)
    every = [one for task in todo if task.mind == MIND for one in task.experiments]
    assert len({one.key for one in every}) == len(every)
    assert len({one.seed(MIND, 1) for one in every}) == len(every)
    assert every[0].seed(MIND, 1) != every[0].seed("other", 1) != every[0].seed("other", 2)


def test_runs_that_ended_count_as_successes_and_shares_only_as_played() -> None:
    experiment = protocol.critical_mass(TWO, (12,), 6)[0]
    played, ensemble = protocol.play(experiment, load_mind(MIND), 1)
    assert played.runs["flipped"].all()
    assert played.success.shape == played.followed.shape == (6, ROUNDS)
    for run, rounds in enumerate(ensemble.runs["rounds"]):
        assert (played.success[run, rounds:] == 1).all()
        assert np.isnan(played.followed[run, rounds:]).all()
        assert not np.isnan(played.followed[run, :rounds]).any()


@pytest.mark.slow
def test_results_do_not_depend_on_how_many_processes_play() -> None:
    todo = [
        Task(MIND, (Experiment(part="emergence", names=TWO, runs=3, agents=8),)),
        Task(CLASSICAL, tuple(protocol.critical_mass(TWO, (5, 6), 20))),
    ]
    alone, shared = (protocol.play_tasks(todo, 3, workers) for workers in (1, 2))
    for one, other in zip(alone, shared, strict=True):
        assert one.mind == other.mind
        assert one.runs.equals(other.runs)
        assert np.array_equal(one.success, other.success)


def test_more_committed_agents_are_not_tried_where_fewer_always_do() -> None:
    todo = Task(CLASSICAL, tuple(protocol.critical_mass(TWO, (8, 10, 12, 14), 20)))
    assert [one.experiment.committed for one in protocol.play_task(todo, 1)] == [8, 10]


def test_what_agents_choose_first_is_counted_once_for_each_agent() -> None:
    experiment = Experiment(part="emergence", names=TWO, runs=5, agents=6)
    ensemble = run_ensemble(
        graph="complete(n=6)",
        names=TWO,
        mind=CommittedMind("Q"),
        runs=5,
        rng=1,
        keep_interactions=True,
    )
    played = protocol.read_played(experiment, "x", ensemble)
    assert played.firsts == {"Q": 30, "M": 0}
