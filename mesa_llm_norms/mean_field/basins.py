"""From which beginnings a population goes where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.game import read_whole
from mesa_llm_norms.mean_field.population import check_name, read_population
from mesa_llm_norms.mean_field.rest import LEVEL, come_to_rest
from mesa_llm_norms.mean_field.search import know_rests
from mesa_llm_norms.mean_field.states import Floats
from mesa_llm_norms.minds.catalogue import DEFAULT_MIND

TOLERANCE = 1e-4
"""How exactly an edge between two basins is found, in shares of the uncommitted."""


@dataclass(frozen=True)
class Basins:
    """Where populations go that begin with some remembering one name and the others another.

    ``table`` has a row per beginning: remembering (the share of the uncommitted that remembers the
    second of the two names, nan for a population that remembers nothing), winner (the name played
    most at rest, empty where several are level) and ``share_NAME``, what is played at rest.
    ``edges`` are the shares at which the winner changes, each within 0.0001.
    """

    between: tuple[str, str]
    table: pd.DataFrame
    edges: tuple[float, ...]

    @property
    def from_nothing(self) -> str:
        """The winner where nobody remembers anything at the start, empty where none is."""
        return str(self.table["winner"].iloc[-1])


def basins(
    mind: Any = DEFAULT_MIND,
    names: Any = "QM",
    memory: int = 5,
    committed: Mapping[str, float] | None = None,
    between: Sequence[str] | None = None,
    points: int = 11,
) -> Basins:
    """Return which beginnings lead to which winner, at ``points`` shares and between them.

    ``between`` are the two names remembered at the start, the first two of the pool if not given.
    Two edges between neighbouring points go unseen. Raises ``SpecError`` for a population that does
    not come to rest.
    """
    population = read_population(mind, names, memory, committed)
    pool = population.pool
    first, second = between = _read_between(between, pool)
    shares = np.linspace(0, 1, read_whole("points", points, 2, 1_000)).tolist()
    known = know_rests(population)

    def outcome(start: Mapping[str, float]) -> Floats:
        own = come_to_rest(population, population.remembering(start), known)
        return population.heard(own)

    def mixed(share: float) -> Floats:
        return outcome({first: 1 - share, second: share})

    def winner(played: Floats) -> str:
        second_most, most = np.sort(played)[-2:]
        return pool[int(played.argmax())] if most - second_most > LEVEL else ""

    ends = [mixed(share) for share in shares]
    edges = []
    for place in range(len(shares) - 1):
        low, high = shares[place : place + 2]
        before = winner(ends[place])
        if before != winner(ends[place + 1]):
            while high - low > TOLERANCE:
                middle = (low + high) / 2
                here = winner(mixed(middle)) == before
                low, high = (middle, high) if here else (low, middle)
            edges.append((low + high) / 2)
    played = np.array([*ends, outcome({})])
    table = pd.DataFrame(
        {
            "remembering": [*shares, np.nan],
            "winner": [winner(shares) for shares in played],
            **{f"share_{name}": played[:, place] for place, name in enumerate(pool)},
        }
    )
    return Basins(between, table, tuple(edges))


def _read_between(between: Sequence[str] | None, pool: tuple[str, ...]) -> tuple[str, str]:
    names = pool[:2] if between is None else tuple(between)
    for name in names:
        check_name("between", name, pool)
    if len(names) != 2 or names[0] == names[1]:
        raise SpecError("between", between, "these are not two names", "Give two of the pool.")
    return names[0], names[1]
