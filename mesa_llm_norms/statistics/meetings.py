"""Interactions in the order they were played, and what each agent then played the next time."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.statistics.edges import Indices
from mesa_llm_norms.statistics.tables import read_table

COLUMNS = ("run", "interaction", "node_a", "node_b", "name_a", "name_b")
Truths = NDArray[np.bool_]


class Meetings(NamedTuple):
    """Interactions in order as codes; arrays of two columns have the two seats side by side."""

    run_ids: NDArray[Any]
    node_ids: NDArray[Any]
    names: NDArray[Any]
    runs: Indices
    numbers: NDArray[Any]
    nodes: Indices
    played: Indices
    next: Indices
    """What each played the next time, -1 for nothing more."""

    @property
    def missed(self) -> Truths:
        """Whether the names differed, per interaction."""
        return np.not_equal(self.played[:, 0], self.played[:, 1])

    @property
    def judged(self) -> Truths:
        """Whether a seat missed and its agent chose again."""
        return np.logical_and(self.missed[:, None], self.next >= 0)

    @property
    def follows(self) -> Truths:
        """Whether a seat's agent then played its partner's name."""
        follows: Truths = self.judged & (self.next == self.played[:, ::-1])
        return follows


def read_meetings(interactions: Any) -> Meetings:
    """Return the interactions of a table in order of run and number; ``SpecError`` for none."""
    table = read_table("interactions", interactions, COLUMNS)
    runs, run_ids = pd.factorize(table["run"].to_numpy())
    numbers = table["interaction"].to_numpy()
    if (runs < 0).any():
        raise SpecError("run", None, "a run is missing", "Leave such interactions out.")
    same = runs[1:] == runs[:-1]
    if (runs[1:] < runs[:-1]).any() or (same & (numbers[1:] < numbers[:-1])).any():
        order = np.lexsort((numbers, runs))
        table, runs, numbers = table.iloc[order], runs[order], numbers[order]
        same = runs[1:] == runs[:-1]
    if (same & (numbers[1:] == numbers[:-1])).any():
        raise SpecError(
            "interactions", interactions, "one is in it twice", "Give every interaction once."
        )
    nodes, node_ids = _codes(table, "node_a", "node_b")
    played, names = _codes(table, "name_a", "name_b")
    owner = (runs[:, None] * len(node_ids) + nodes).ravel()
    order = np.argsort(owner, kind="stable")
    again = owner[order[1:]] == owner[order[:-1]]
    after = np.full(owner.shape, -1, dtype=np.intp)
    after[order[:-1][again]] = played.ravel()[order[1:][again]]
    return Meetings(
        np.asarray(run_ids), node_ids, names, runs, numbers, nodes, played, after.reshape(-1, 2)
    )


def _codes(table: pd.DataFrame, *columns: str) -> tuple[Indices, NDArray[Any]]:
    """Return the columns side by side as codes, and what the codes stand for."""
    both = pd.concat([table[column] for column in columns], ignore_index=True)
    try:
        codes, found = pd.factorize(both.to_numpy())
    except TypeError:
        raise SpecError(
            columns[0],
            both.iloc[0],
            f"{columns[0]} and {columns[1]} hold values that cannot be told apart",
            "Use hashable ones: tuples, not lists.",
        ) from None
    if (codes < 0).any():
        raise SpecError(columns[0], None, "a value is missing", "Leave such interactions out.")
    ids = np.empty(len(found), dtype=object)
    ids[:] = list(found)
    return codes.reshape(len(columns), -1).T.astype(np.intp), ids
