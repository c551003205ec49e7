"""The study's recorded populations: reading them, and reading what every agent saw off them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from mesa_llm_norms.errors import FileFormatError
from mesa_llm_norms.memory import Memory, filled, remember

COLUMNS = ("model", "kind", "pool", "memory", "population", "run", "t", "player_a", "player_b")
NAMES = ("name_a", "name_b")
SOURCE = (
    "Ashery, Aiello and Baronchelli, Emergent social conventions and collective bias in LLM "
    "populations, Science Advances 11, eadu9368 (2025); data published by the authors with their "
    "code (AI-norms, DOI 10.5281/zenodo.14937173)"
)
LICENCE = "MIT"


class Condition(NamedTuple):
    """One recorded condition: the runs in it differ only by chance."""

    model: str
    kind: str
    """``baseline`` (empty memories) or ``stability`` (all start on the pool's first name)."""
    pool: tuple[str, ...]
    memory: int
    population: int

    def __str__(self) -> str:
        return f"{self.model} {self.kind} {' '.join(self.pool)}"


class Observed(NamedTuple):
    """One recorded decision: what the agent remembered, and the name it chose."""

    run: int
    interaction: int
    memory: Memory
    name: str


class Recordings:
    """Recorded interactions by condition; rows are in the order they happened."""

    def __init__(self, conditions: dict[Condition, pd.DataFrame]) -> None:
        self.conditions = conditions

    @property
    def models(self) -> tuple[str, ...]:
        """The recorded models, sorted."""
        return tuple(sorted({condition.model for condition in self.conditions}))

    def of(self, model: str, kind: str | None = None) -> Iterator[tuple[Condition, pd.DataFrame]]:
        """Yield the conditions of one model, sorted, with their rows."""
        for condition, rows in self.conditions.items():
            if condition.model == model and kind in (None, condition.kind):
                yield condition, rows


def read_recordings(path: str | Path) -> Recordings:
    """Return the recordings in a CSV file of one row per interaction, gzipped or not.

    Columns: model, kind, pool (names with spaces between), memory, population, run, t, player_a,
    player_b, name_a, name_b. Raises ``FileFormatError``.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "interactions.csv.gz"
    remedy = "Give the study's interactions.csv.gz, or the folder that holds it."
    try:
        rows = pd.read_csv(path, keep_default_na=False, dtype=dict.fromkeys(("pool", *NAMES), str))
    except OSError as error:
        raise FileFormatError(path, error.strerror or "it cannot be read", remedy) from error
    except Exception as error:  # pandas has no common base for what a damaged file raises
        raise FileFormatError(path, f"it is not such a CSV file: {error}", remedy) from error
    missing = [column for column in (*COLUMNS, *NAMES) if column not in rows.columns]
    if missing:
        raise FileFormatError(path, f"it has no column {missing[0]!r}", remedy)
    if rows.empty:
        raise FileFormatError(path, "it holds no interaction", remedy)
    for column in ("memory", "population", "run", "t"):
        if not pd.api.types.is_integer_dtype(rows[column]):
            raise FileFormatError(path, f"its column {column!r} is not of whole numbers", remedy)
    keys = ["model", "kind", "pool", "memory", "population"]
    conditions = {
        Condition(
            str(model), str(kind), tuple(str(pool).split()), int(str(memory)), int(str(population))
        ): group
        for (model, kind, pool, memory, population), group in rows.groupby(keys, sort=True)
    }
    return Recordings(conditions)


def decisions(condition: Condition, rows: pd.DataFrame) -> Iterator[Observed]:
    """Yield every decision of a condition with the memory it was made on, two per interaction."""
    start = filled(condition.pool[0], condition.memory) if condition.kind == "stability" else ()
    length = condition.memory
    columns = ("t", "player_a", "player_b", *NAMES)
    for run, group in rows.groupby("run", sort=True):
        memories: dict[int, Memory] = defaultdict(lambda: start)
        number = int(str(run))
        for t, a, b, name_a, name_b in zip(*(group[column] for column in columns), strict=True):
            yield Observed(number, t, memories[a], name_a)
            yield Observed(number, t, memories[b], name_b)
            memories[a] = remember(memories[a], name_a, name_b, length)
            memories[b] = remember(memories[b], name_b, name_a, length)


def count(observed: Iterable[Observed]) -> dict[Memory, dict[str, int]]:
    """Return how often each name was chosen on each memory, in order of first appearance."""
    counts: dict[Memory, dict[str, int]] = {}
    for _, _, memory, name in observed:
        chosen = counts.setdefault(memory, {})
        chosen[name] = chosen.get(name, 0) + 1
    return counts
