"""Many runs of one spec: no Mesa agents, any number of worker processes, the same results."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, replace
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import pandas as pd

from mesa_llm_norms.course import MOST, WINDOW, Course, Goal, Outcome, read_rounds
from mesa_llm_norms.draws import read_seed
from mesa_llm_norms.execution import Engine
from mesa_llm_norms.game import Interaction, read_whole
from mesa_llm_norms.memory import Memory, remember
from mesa_llm_norms.metrics import Round
from mesa_llm_norms.minds.catalogue import DEFAULT_MIND
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.spec import DEFAULT_GRAPH, DEFAULT_NAMES, Seating, Spec
from mesa_llm_norms.topologies import names_file, read_file

Progress = Callable[[int, int], None]
"""Called with the runs done and the runs in all."""


class Seat:
    """A player without Mesa: what an ensemble puts in the place of an agent."""

    __slots__ = ("length", "memory", "mind")

    def __init__(self, mind: Mind, memory: Memory, length: int) -> None:
        self.mind = mind
        self.memory = memory
        self.length = length

    def remember(self, own: str, partner: str) -> None:
        """Take in one interaction."""
        self.memory = remember(self.memory, own, partner, self.length)


class Played(NamedTuple):
    """One run of an ensemble."""

    run: int
    outcome: Outcome
    rounds: list[Round]
    rows: list[Interaction]
    """Every interaction, where they were asked for."""


@dataclass(frozen=True)
class Ensemble:
    """The runs of one spec.

    ``runs``: one row per run with the columns run, interactions, rounds, converged, winner, share,
    flipped. The winner is the name played most in the last ``window`` rounds and ``share`` its
    share there, whether or not the run converged.

    ``rounds``: one row per run and population round with run, round, interactions, success_rate,
    distinct_names, entropy, and ``share_NAME`` for each name of the pool.

    ``interactions``: one row per interaction, if ``keep_interactions`` was asked for, else None.
    """

    spec: Spec
    runs: pd.DataFrame
    rounds: pd.DataFrame
    interactions: pd.DataFrame | None


def run_ensemble(
    graph: Any = DEFAULT_GRAPH,
    names: Any = DEFAULT_NAMES,
    mind: Any = DEFAULT_MIND,
    pairing: Any = "node",
    memory: int = 5,
    reward: float = 100,
    penalty: float = -50,
    incumbent: str | None = None,
    committed: Mapping[str, Any] | None = None,
    rng: Any = None,
    runs: int = 100,
    rounds: int | None = None,
    until: str | None = "converged",
    window: float = WINDOW,
    threshold: float = 1.0,
    workers: int | None = 1,
    executor: Executor | None = None,
    keep_interactions: bool = False,
    progress: Progress | None = None,
) -> Ensemble:
    """Play ``runs`` independent runs and return them as tables.

    The first arguments are those of ``NamingGame``; ``rounds``, ``until``, ``window`` and
    ``threshold`` those of its ``run``. A random topology is drawn anew for every run, as are the
    places of committed agents and of minds given by share.

    ``workers`` is the number of processes (None: one per processor), or ``executor`` any
    ``concurrent.futures.Executor``; the results are the same for every choice.
    """
    spec = Spec(
        graph=graph,
        names=names,
        mind=mind,
        pairing=pairing,
        memory=memory,
        reward=reward,
        penalty=penalty,
        incumbent=incumbent,
        committed=committed,
        seed=read_seed(rng),
    )
    return play_ensemble(
        spec,
        runs=runs,
        goal=Goal(until, window, threshold),
        rounds=rounds,
        workers=workers,
        executor=executor,
        keep_interactions=keep_interactions,
        progress=progress,
    )


def play_ensemble(
    spec: Spec,
    *,
    runs: int,
    goal: Goal,
    rounds: int | None = None,
    workers: int | None = 1,
    executor: Executor | None = None,
    keep_interactions: bool = False,
    progress: Progress | None = None,
) -> Ensemble:
    """Play runs of a spec that is already read; see ``run_ensemble``."""
    most = read_rounds(rounds, goal.until)
    runs = read_whole("runs", runs, 1, MOST)
    processes = read_whole("workers", os.cpu_count() or 1 if workers is None else workers, 1, 1_000)
    played: list[Played] = []
    loaded = replace(spec, graph=_load(spec.graph))
    for some in _batches(loaded, runs, goal, most, keep_interactions, processes, executor):
        played += some
        if progress is not None:
            progress(len(played), runs)
    played.sort()
    return _tables(spec, played, keep_interactions)


def play_run(spec: Spec, run: int, goal: Goal, rounds: int, keep: bool = False) -> Played:
    """Play one run to its goal, or for ``rounds`` rounds."""
    course = start_course(spec, spec.seat(run))
    course.aim(*goal)
    summaries: list[Round] = []
    rows: list[Interaction] = []
    while len(summaries) < rounds and not (summaries and course.reached):
        played = course.play_round()
        assert course.last_round is not None
        summaries.append(course.last_round)
        if keep:
            rows += played
    return Played(run, course.outcome, summaries, rows)


def start_course(spec: Spec, seating: Seating) -> Course:
    """Return a course with a plain seat for every node."""
    seats = [
        Seat(seating.minds[node], seating.start, seating.game.memory)
        for node in seating.contacts.nodes
    ]
    engine = Engine(seating.game, seating.contacts, seats, seating.pairing, seating.draws)
    return Course(engine, spec.committed_names)


def _batches(
    spec: Spec,
    runs: int,
    goal: Goal,
    most: int,
    keep: bool,
    processes: int,
    executor: Executor | None,
) -> Iterator[list[Played]]:
    if executor is None and processes == 1:
        for run in range(runs):
            yield [play_run(spec, run, goal, most, keep)]
        return
    size = max(1, min(50, math.ceil(runs / (4 * processes))))
    with ExitStack() as stack:
        pool = executor or stack.enter_context(
            ProcessPoolExecutor(
                processes, mp_context=get_context("spawn"), initializer=end_with_parent
            )
        )
        futures = [
            pool.submit(_play_batch, spec, range(first, min(first + size, runs)), goal, most, keep)
            for first in range(0, runs, size)
        ]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


def end_with_parent() -> None:
    """In a worker process: end it when the process that started it is gone, however it went."""

    def watch() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=watch, daemon=True).start()


def _play_batch(spec: Spec, runs: range, goal: Goal, rounds: int, keep: bool) -> list[Played]:
    return [play_run(spec, run, goal, rounds, keep) for run in runs]


def _load(graph: Any) -> Any:
    """Read a graph file once, not in every run."""
    return read_file(Path(graph)) if names_file(graph) else graph


def _tables(spec: Spec, played: list[Played], keep: bool) -> Ensemble:
    runs = pd.DataFrame(
        {
            "run": [one.run for one in played],
            "interactions": [one.outcome.interactions for one in played],
            "rounds": [one.outcome.rounds for one in played],
            "converged": [one.outcome.converged for one in played],
            "winner": [one.outcome.winner for one in played],
            "share": [one.outcome.share for one in played],
            "flipped": [one.outcome.flipped for one in played],
        }
    )
    rounds = round_table(
        spec.game.pool, ((one.run, round_) for one in played for round_ in one.rounds)
    )
    rows = interaction_table(row for one in played for row in one.rows) if keep else None
    return Ensemble(spec, runs, rounds, rows)


def round_table(pool: Sequence[str], rounds: Iterable[tuple[int, Round]]) -> pd.DataFrame:
    """Return population rounds, each with its run, as a table."""
    fixed = ["run", "round", "interactions", "success_rate", "distinct_names", "entropy"]
    return pd.DataFrame(
        [
            (
                run,
                r.number,
                r.interactions,
                r.success_rate,
                r.distinct_names,
                r.entropy,
                *r.shares.values(),
            )
            for run, r in rounds
        ],
        columns=[*fixed, *(f"share_{name}" for name in pool)],
    )


def interaction_table(rows: Iterable[Interaction]) -> pd.DataFrame:
    """Return interactions as a table; node ids keep their type."""
    return pd.DataFrame.from_records(list(rows), columns=list(Interaction._fields))
