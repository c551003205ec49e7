"""Many runs of the classical game: compiled, without Mesa agents, in any number of processes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mesa_llm_norms.classical.engine import Tally
from mesa_llm_norms.classical.kernel import KernelEngine, pack_seating
from mesa_llm_norms.classical.outcome import ClassicalOutcome, check_until
from mesa_llm_norms.classical.spec import DEFAULT_GRAPH, ClassicalSpec
from mesa_llm_norms.course import MOST, read_rounds
from mesa_llm_norms.draws import read_seed
from mesa_llm_norms.ensemble import Progress, batch_size, load_graph
from mesa_llm_norms.game import read_whole
from mesa_llm_norms.workers import Shared, answers


class Played(NamedTuple):
    """One run; a row of ``rounds`` holds interactions so far, words, different words, matches."""

    run: int
    outcome: ClassicalOutcome
    rounds: NDArray[np.int64]


@dataclass(frozen=True)
class ClassicalEnsemble:
    """The runs of one spec.

    ``runs``: one row per run with the columns run, interactions, rounds, converged, winner, share,
    success_rate, peak_words, peak_time; see ``ClassicalOutcome``. Without consensus, ``converged``
    is False and ``interactions`` what was played.

    ``rounds``: one row per run and population round with run, round, interactions, total_words,
    distinct_words, success_rate; empty unless rounds were kept.
    """

    spec: ClassicalSpec
    runs: pd.DataFrame
    rounds: pd.DataFrame


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
    """Play ``runs`` independent runs and return them as tables.

    The first arguments are those of ``ClassicalGame``, ``rounds`` and ``until`` those of its
    ``run``. A random topology is drawn anew for every run, as are the places of committed agents.
    ``"complete(n=...)"`` may have more agents than elsewhere, for no edge of it is stored.

    ``workers`` is the number of processes (None: one per processor), or ``executor`` any
    ``concurrent.futures.Executor``, threads included; the results are the same for every choice.
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
    runs = read_whole("runs", runs, 1, MOST)
    processes = read_whole("workers", os.cpu_count() or 1 if workers is None else workers, 1, 1_000)
    shared = Shared(replace(spec, graph=load_graph(spec.graph)))
    alone = executor is None and processes == 1
    size = 1 if alone else batch_size(runs, 1, processes)
    how = most, until == "converged", keep_rounds
    calls = ((shared, range(first, min(first + size, runs)), how) for first in range(0, runs, size))
    played: list[Played] = []
    with closing(answers(_play_batch, calls, processes, executor)) as batches:
        for batch in batches:
            played += batch.result
            if progress is not None:
                progress(len(played), runs)
    played.sort(key=lambda one: one.run)
    return ClassicalEnsemble(spec, _run_table(played), _round_table(played if keep_rounds else []))


def play_classical(
    spec: ClassicalSpec, run: int, rounds: int, to_consensus: bool, keep: bool
) -> Played:
    """Play one run ``to_consensus``, or for ``rounds`` rounds, keeping all of them or the last."""
    seating = spec.seat(run)
    tally, packed = Tally(), pack_seating(seating)
    engine = KernelEngine(seating.rules, seating.contacts, packed, seating.draws, tally)
    played = engine.play(rounds, to_consensus, keep)
    size = len(seating.contacts)
    leader = int(engine.counts.argmax())
    holders = int(engine.counts[leader])
    last_size = tally.interactions - size * (tally.rounds - 1)
    outcome = ClassicalOutcome(
        tally.interactions,
        tally.rounds,
        (tally.distinct_words, tally.total_words) == (1, size),
        packed.vocabulary[leader] if holders else None,
        holders / size,
        float(played[-1, 3] / last_size) if len(played) else 0.0,
        tally.peak_words,
        tally.peak_time,
    )
    return Played(run, outcome, played if keep else played[:0])


def _play_batch(
    spec: Shared[ClassicalSpec], runs: range, how: tuple[int, bool, bool]
) -> list[Played]:
    return [play_classical(spec.value, run, *how) for run in runs]


def _run_table(played: list[Played]) -> pd.DataFrame:
    columns = ("interactions", "rounds", "converged", "winner", "share", "success_rate")
    return pd.DataFrame(
        {
            "run": [one.run for one in played],
            **{
                column: [getattr(one.outcome, column) for one in played]
                for column in (*columns, "peak_words", "peak_time")
            },
        }
    )


def _round_table(played: list[Played]) -> pd.DataFrame:
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
