"""Many runs of the classical game: compiled, without Mesa, in any number of processes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mesa_llm_norms.analysis.agreement import Edges, name_clusters
from mesa_llm_norms.classical.engine import ClassicalKernel, PackedPlayers, WordTally
from mesa_llm_norms.classical.game import (
    DEFAULT_GRAPH,
    ClassicalInitialState,
    ClassicalOutcome,
    ClassicalSpec,
    check_until,
)
from mesa_llm_norms.core import limits
from mesa_llm_norms.core.limits import read_seed, read_whole, read_workers, seeded_by_rng
from mesa_llm_norms.core.stopping import read_rounds
from mesa_llm_norms.networks.adjacency import Neighbors
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


class _Played(NamedTuple):
    """One run; a row of ``rounds`` has interactions so far, words, different words, matches."""

    run: int
    outcome: ClassicalOutcome
    clusters: int
    largest_cluster: float
    rounds: NDArray[np.int64]


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
    how = most, until, keep_rounds
    calls = ((shared, part, how) for part in backend.parts(range(runs), agents=1))
    played: list[_Played] = []
    with closing(backend.play(_play_batch, calls)) as batches:
        for batch in batches:
            played += batch.result
            if progress is not None:
                progress(len(played), runs)
    played.sort(key=lambda one: one.run)
    return ClassicalEnsemble(spec, _run_table(played), _round_table(played if keep_rounds else []))


def _play_batch(
    spec: Shared[ClassicalSpec], runs: range, how: tuple[int, str | None, bool]
) -> list[_Played]:
    return [_play_run(initial, *how) for initial in spec.value.initial_states(runs)]


def _play_run(
    initial: ClassicalInitialState, rounds: int, until: str | None, keep: bool
) -> _Played:
    run, tally = initial.stream.run, WordTally()
    packed = PackedPlayers.of_initial_state(initial)
    kernel = ClassicalKernel(initial.rules, initial.neighbors, packed, initial.stream, tally)
    played = kernel.play(rounds, until, keep)
    size = len(initial.neighbors)
    names = packed.holders()
    leader = int(kernel.counts.argmax())
    holders = int(kernel.counts[leader])
    in_last_round = tally.interactions - size * (tally.rounds - 1)
    outcome = ClassicalOutcome(
        tally.interactions,
        tally.rounds,
        (tally.distinct_words, tally.total_words) == (1, size),
        packed.vocabulary[leader] if holders else None,
        holders / size,
        float(played[-1, 3] / in_last_round) if len(played) else 0.0,
        tally.peak_words,
        tally.peak_time,
        kernel.agreed,
        int(np.count_nonzero(names)),
    )
    clusters, largest = _clusters(initial.neighbors, packed, names)
    return _Played(run, outcome, clusters, largest, played if keep else played[:0])


def _clusters(
    neighbors: Neighbors, packed: PackedPlayers, sizes: NDArray[np.int64]
) -> tuple[int, float]:
    """Return how many clusters hold one name, and the largest one's share of the agents.

    ``sizes`` is how many hold each name.
    """
    if neighbors.is_complete:  # whose edges need not be listed
        players = int(sizes.sum())
        return int(np.count_nonzero(sizes)), sizes.max() / players if players else math.nan
    found = name_clusters(Edges.of_neighbors(neighbors), packed.rows[:, 1])
    return len(found), found.largest_share


def _run_table(played: list[_Played]) -> pd.DataFrame:
    table = pd.DataFrame([one.outcome for one in played], columns=ClassicalOutcome._fields)
    table.insert(0, "run", [one.run for one in played])
    return table.assign(
        one_name=table["names_left"] == 1,
        clusters=[one.clusters for one in played],
        largest_cluster=[one.largest_cluster for one in played],
    )


def _round_table(played: list[_Played]) -> pd.DataFrame:
    rows = np.concatenate([np.zeros((0, 4), np.int64), *(one.rounds for one in played)])
    lengths = [len(one.rounds) for one in played]
    number = np.concatenate([np.zeros(0, np.int64), *(np.arange(length) for length in lengths)])
    before = np.where(number == 0, 0, np.concatenate([[0], rows[:-1, 0]])[: len(rows)])
    return pd.DataFrame(
        {
            "run": np.repeat([one.run for one in played], lengths).astype(np.int64),
            "round": number,
            "interactions": rows[:, 0],
            "total_words": rows[:, 1],
            "distinct_words": rows[:, 2],
            "success_rate": rows[:, 3] / np.maximum(rows[:, 0] - before, 1),
        }
    )
