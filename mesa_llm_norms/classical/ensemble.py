"""Many runs of the classical game: compiled, without Mesa, in any number of processes."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mesa_llm_norms.classical.batch import Played, play_together
from mesa_llm_norms.classical.game import DEFAULT_GRAPH, ClassicalSpec, check_until
from mesa_llm_norms.core import limits
from mesa_llm_norms.core.compiled import load
from mesa_llm_norms.core.limits import read_seed, read_whole, read_workers, seeded_by_rng
from mesa_llm_norms.core.stopping import Goal, read_rounds
from mesa_llm_norms.simulation.backends import choose_backend
from mesa_llm_norms.simulation.ensemble import Progress, load_graph
from mesa_llm_norms.simulation.workers import Shared


@dataclass(frozen=True)
class ClassicalEnsemble:
    """The runs of one spec.

    Attributes
    ----------
    spec
        What was played.
    runs
        One row per run with the columns run, interactions, rounds, converged, winner, share,
        success_rate, peak_words, peak_time, agreed and names_left; see ``ClassicalOutcome``. Then
        one_name, clusters and largest_cluster, as in ``Ensemble.runs``. Without consensus
        ``converged`` is False and ``interactions`` is what was played.
    rounds
        One row per run and population round with the columns run, round, interactions,
        total_words, distinct_words and success_rate; empty unless rounds were kept.
    """

    spec: ClassicalSpec
    runs: pd.DataFrame
    rounds: pd.DataFrame


class _Part(NamedTuple):
    """Some runs with so many agents, played."""

    runs: range
    agents: int
    played: Played


@seeded_by_rng
def run_classical(
    graph: Any = DEFAULT_GRAPH,
    names: Any = None,
    pairing: str = "direct",
    incumbent: str | None = None,
    committed: Mapping[str, Any] | None = None,
    rng: Any = None,
    runs: int = 100,
    rounds: int | None = None,
    until: str | None = "converged",
    workers: int | None = 1,
    executor: Executor | None = None,
    keep_rounds: bool = True,
    progress: Progress | None = None,
) -> ClassicalEnsemble:
    """Play independent runs of the classical game and return them as tables.

    A random topology, and the places of committed agents, are drawn anew for every run.

    Parameters
    ----------
    graph, names, pairing, incumbent, committed, rng : optional
        As for ``ClassicalGame``, with the same defaults. ``"complete(n=...)"`` may have up to
        100,000 agents, because its edges are never listed.
    runs : int
        How many runs to play. Default 100.
    rounds : int, optional
        The most population rounds in a run. Default 1,000; required with ``until=None``.
    until : str or None
        ``"converged"`` (the default), ``"agreed"``, or None to play all rounds; see
        ``ClassicalGame.run``.
    workers : int or None
        The number of processes. Default 1; None means one per processor.
    executor : concurrent.futures.Executor, optional
        Any ``concurrent.futures.Executor`` to play on instead, threads included.
    keep_rounds : bool
        Whether to keep the numbers of every round. Default True.
    progress : callable, optional
        Called with the runs done and the runs in total.

    Returns
    -------
    ClassicalEnsemble
        The same tables for any ``workers`` and ``executor``.

    Raises
    ------
    SpecError
        For arguments that cannot be played, or if nothing would end a run.

    References
    ----------
    A. Baronchelli, M. Felici, V. Loreto, E. Caglioti and L. Steels, J. Stat. Mech. (2006) P06014.
    """
    spec = ClassicalSpec(
        graph=graph,
        names=names,
        pairing=pairing,
        incumbent=incumbent,
        committed=committed,
        seed=read_seed(rng),
    )
    check_until(until)
    most = read_rounds(rounds, until)
    runs = read_whole("runs", runs, limits.RUNS)
    processes = read_workers(workers)
    shared = Shared(replace(spec, graph=load_graph(spec.graph)))
    backend = choose_backend(workers=processes, executor=executor)
    how = Goal(until), most, keep_rounds
    calls = ((shared, part, how) for part in backend.parts(range(runs), agents=1))
    played: list[_Part] = []
    done = 0
    with closing(backend.play(_play_batch, calls)) as batches:
        for batch in batches:
            played.append(batch.result)
            done += len(batch.result.runs)
            if progress is not None:
                progress(done, runs)
    played.sort(key=lambda one: one.runs.start)
    kept = played if keep_rounds else []
    return ClassicalEnsemble(
        spec, pd.concat([_run_table(one) for one in played], ignore_index=True), _round_table(kept)
    )


def _play_batch(spec: Shared[ClassicalSpec], runs: range, how: tuple[Goal, int, bool]) -> _Part:
    goal, rounds, keep = how
    found = play_together(spec.value.initial_states(runs), goal, rounds)
    lines = found.lines if keep else found.lines[:0]
    return _Part(runs, found.held.shape[1], found._replace(held=found.held[:0], lines=lines))


def _run_table(part: _Part) -> pd.DataFrame:
    runs, agents, played = part
    ends, numbers = load("inventory_batches"), played.numbers
    leading, leader = numbers[:, ends.LEADING], numbers[:, ends.LEADER].tolist()
    with np.errstate(invalid="ignore"):
        largest = numbers[:, ends.LARGEST] / numbers[:, ends.PLAYERS]
    left = numbers[:, ends.NAMES_LEFT]
    words = [
        played.vocabulary[word] if held else None
        for word, held in zip(leader, leading.tolist(), strict=True)
    ]
    found = {
        "run": np.array(runs),
        "interactions": numbers[:, ends.INTERACTIONS],
        "rounds": numbers[:, ends.ROUNDS],
        "converged": numbers[:, ends.CONSENSUS] > 0,
        "winner": pd.Series(words, dtype=object),
        "share": leading / agents,
        "success_rate": numbers[:, ends.MATCHES] / np.maximum(numbers[:, ends.IN_LAST], 1),
        "peak_words": numbers[:, ends.PEAK_WORDS],
        "peak_time": numbers[:, ends.PEAKED],
        "agreed": numbers[:, ends.HAS_AGREED] > 0,
        "names_left": left,
        "one_name": left == 1,
        "clusters": numbers[:, ends.CLUSTERS],
        "largest_cluster": largest,
    }
    return pd.DataFrame(found)


def _round_table(played: list[_Part]) -> pd.DataFrame:
    column = load("inventory_batches").ROUNDS
    rows = np.concatenate([np.zeros((0, 4), np.int64), *(one.lines for *_, one in played)])
    lengths = [length for *_, one in played for length in one.numbers[:, column].tolist()]
    number = np.concatenate([np.zeros(0, np.int64), *(np.arange(length) for length in lengths)])
    before = np.where(number == 0, 0, np.concatenate([[0], rows[:-1, 0]])[: len(rows)])
    every = [run for part in played for run in part.runs]
    return pd.DataFrame(
        {
            "run": np.repeat(every, lengths).astype(np.int64),
            "round": number,
            "interactions": rows[:, 0],
            "total_words": rows[:, 1],
            "distinct_words": rows[:, 2],
            "success_rate": rows[:, 3] / np.maximum(rows[:, 0] - before, 1),
        }
    )
