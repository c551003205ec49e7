"""Runs that have been played, as tables: a row per run, per population round, per interaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mesa_llm_norms.course import Outcome
from mesa_llm_norms.game import Interaction
from mesa_llm_norms.metrics import Round, Tally


class Played(NamedTuple):
    """One run of an ensemble."""

    run: int
    outcome: Outcome
    local_agreement: float
    clusters: int
    largest_cluster: float
    tally: Tally
    held: NDArray[np.int16]
    """For each node the place in the pool of the name played last, -1 for none."""
    rows: list[Interaction]
    """Every interaction, where they were asked for."""
    discarded: int
    """How many were begun beyond the end, and are nowhere here."""
    voided: int
    """How many were void, and are nowhere here either."""

    @property
    def rounds(self) -> list[Round]:
        """The population rounds in numbers."""
        return self.tally.to_rounds()


def run_table(played: Sequence[Played]) -> pd.DataFrame:
    """Return some runs as a table, a row for each."""
    return pd.DataFrame(
        {
            "run": [one.run for one in played],
            "interactions": [one.outcome.interactions for one in played],
            "rounds": [one.outcome.rounds for one in played],
            "converged": [one.outcome.converged for one in played],
            "winner": [one.outcome.winner for one in played],
            "share": [one.outcome.share for one in played],
            "flipped": [one.outcome.flipped for one in played],
            "local_agreement": [one.local_agreement for one in played],
            "clusters": [one.clusters for one in played],
            "largest_cluster": [one.largest_cluster for one in played],
        }
    )


def tally_table(tallies: Sequence[tuple[int, Tally]]) -> pd.DataFrame:
    """Return the population rounds of some runs, each with its run's number, as a table."""
    counts = [tally.counts for _, tally in tallies]
    lengths = [len(lines) for lines in counts]
    pool = tallies[0][1].pool
    every = np.concatenate(counts)
    shares = every[:, 2:] / (2 * every[:, :1])
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.where(shares > 0, shares * np.log2(shares), 0).sum(axis=1) + 0.0
    fixed = {
        "run": np.repeat([run for run, _ in tallies], lengths),
        "round": np.concatenate([np.arange(length) for length in lengths]),
        "interactions": np.concatenate([np.cumsum(lines[:, 0]) for lines in counts]),
        "success_rate": every[:, 1] / every[:, 0],
        "distinct_names": (shares > 0).sum(axis=1),
        "entropy": entropy,
    }
    by_name = {f"share_{name}": shares[:, place] for place, name in enumerate(pool)}
    return pd.DataFrame(fixed | by_name)


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
