"""The study's recorded populations: reading them, and what every agent saw in them.

``read_recordings`` reads the table of interactions, ``read_original`` a file as the authors publish
it: a pickle of the runs of one condition, of which only plain data is read (``core.pickles``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.files import read_bytes
from mesa_llm_norms.core.game import Memory, filled, remember
from mesa_llm_norms.core.pickles import read_pickle
from mesa_llm_norms.errors import FileFormatError

COLUMNS = ("model", "kind", "pool", "memory", "population", "run", "t", "player_a", "player_b")
NAMES = ("name_a", "name_b")

SOURCE = (
    "Ashery, Aiello and Baronchelli, Emergent social conventions and collective bias in LLM "
    "populations, Science Advances 11, eadu9368 (2025); data published by the authors with their "
    "code (AI-norms, DOI 10.5281/zenodo.14937173)"
)
LICENCE = "MIT"


_REMEDY = "Give a file as the authors of the study publish it."


class Condition(NamedTuple):
    """One recorded condition: the runs in it differ only by chance."""

    model: str
    kind: str
    """``baseline`` (empty memories) or ``stability`` (all start on the pool's first name)."""
    pool: tuple[str, ...]
    memory: int
    population: int

    @property
    def names(self) -> str:
        """The pool as tables and figures show it, cut short if it has more than ten names."""
        pool = self.pool
        return " ".join(pool) if len(pool) <= 10 else f"{pool[0]} ... {pool[-1]} ({len(pool)})"

    def __str__(self) -> str:
        return f"{self.model} {self.kind} {' '.join(self.pool)}"


class Observed(NamedTuple):
    """One recorded decision: what the agent remembered, and the name it chose."""

    run: int
    interaction: int
    memory: Memory
    name: str


class Recordings:
    """Recorded interactions by condition; rows are in the order in which they happened.

    Parameters
    ----------
    conditions : mapping of Condition to pandas.DataFrame
        The interactions of each condition, a row for each.
    """

    def __init__(self, conditions: Mapping[Condition, pd.DataFrame]) -> None:
        self.conditions = conditions

    @property
    def models(self) -> tuple[str, ...]:
        """The recorded models, sorted."""
        return tuple(sorted({condition.model for condition in self.conditions}))

    def of(self, model: str, kind: str | None = None) -> Iterator[tuple[Condition, pd.DataFrame]]:
        """Yield the conditions of one model, sorted, with their rows.

        Parameters
        ----------
        model : str
            The recorded model.
        kind : str, optional
            Only conditions of this kind. Default: of every kind.

        Yields
        ------
        tuple of Condition and pandas.DataFrame
        """
        for condition, rows in self.conditions.items():
            if condition.model == model and kind in (None, condition.kind):
                yield condition, rows


def read_recordings(path: str | Path) -> Recordings:
    """Read a CSV file of recorded interactions, gzipped or not.

    Parameters
    ----------
    path : str or pathlib.Path
        The file, or the folder that holds ``interactions.csv.gz``. The file has one row per
        interaction with the columns model, kind, pool (names separated by spaces), memory,
        population, run, t, player_a, player_b, name_a and name_b.

    Returns
    -------
    Recordings
        Its interactions by condition.

    Raises
    ------
    FileFormatError
        If it is not such a file.
    """
    path = Path(path)
    remedy = "Give the study's interactions.csv.gz, or the folder that holds it."
    try:
        if path.is_dir():
            path = path / "interactions.csv.gz"
        if path.exists() and not path.is_file():
            raise FileFormatError(path, "it is not a regular file", remedy)
        if path.stat().st_size not in limits.RECORDINGS:
            raise FileFormatError(path, f"it is over {limits.RECORDINGS.high:,} bytes", remedy)
        rows = pd.read_csv(path, keep_default_na=False, dtype=dict.fromkeys(("pool", *NAMES), str))
    except FileFormatError:
        raise
    except OSError as error:
        raise FileFormatError(path, error.strerror or "it cannot be read", remedy) from error
    except Exception as error:  # pandas has no common base for what a damaged file raises
        raise FileFormatError(path, f"it is not such a CSV file: {error}", remedy) from error
    missing = [column for column in (*COLUMNS, *NAMES) if column not in rows.columns]
    if missing:
        raise FileFormatError(path, f"it has no column {missing[0]!r}", remedy)
    if rows.empty:
        raise FileFormatError(path, "it holds no interactions", remedy)
    for column in ("memory", "population", "run", "t"):
        if not pd.api.types.is_integer_dtype(rows[column]):
            raise FileFormatError(path, f"its column {column!r} must hold whole numbers", remedy)
    keys = ["model", "kind", "pool", "memory", "population"]
    return Recordings(
        {
            Condition(
                str(model),
                str(kind),
                tuple(str(pool).split()),
                int(str(memory)),
                int(str(population)),
            ): group
            for (model, kind, pool, memory, population), group in rows.groupby(keys, sort=True)
        }
    )


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


def read_original(
    path: str | Path, model: str, kind: str = "baseline", pool: Sequence[str] | None = None
) -> pd.DataFrame:
    """Read a file of the study's authors; nothing in it is ever run.

    Parameters
    ----------
    path : str or pathlib.Path
        A pickle of plain data.
    model, kind : str
        What the file holds, which it does not say. ``kind`` is ``"baseline"`` by default.
    pool : sequence of str, optional
        The names in their order. Default: the names played, sorted.

    Returns
    -------
    pandas.DataFrame
        One row per interaction with the columns of ``interactions.csv``; players keep their
        numbers.

    Raises
    ------
    FileFormatError
        For anything but such a file.
    """
    path = Path(path)
    content = _load_plain(path)
    rows: list[tuple[int, int, int, int, str, str]] = []
    length = 0
    try:
        runs = {key: run for key, run in content.items() if isinstance(key, int)}
        for number, run in sorted(runs.items()):
            tracker = run["tracker"]
            length = max(length, len(run["simulation"]))
            pairs = zip(tracker["players"], tracker["answers"], strict=True)
            for t, ((a, b), (name_a, name_b)) in enumerate(pairs):
                rows.append((number, t, int(a), int(b), str(name_a), str(name_b)))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FileFormatError(
            path, f"it does not hold runs of the study ({error!r})", _REMEDY
        ) from error
    if not rows:
        raise FileFormatError(path, "it holds no interactions", _REMEDY)
    table = pd.DataFrame(rows, columns=["run", "t", "player_a", "player_b", *NAMES])
    played = sorted({*table["name_a"], *table["name_b"]})
    table = table.assign(
        model=model, kind=kind, pool=" ".join(pool or played), memory=5, population=length
    )
    return table[[*COLUMNS, *NAMES]]


def _load_plain(path: Path) -> dict[Any, Any]:
    content = read_pickle(path, read_bytes(path, limits.RECORDINGS.high, _REMEDY), _REMEDY)
    if not isinstance(content, dict):
        raise FileFormatError(path, "it does not hold a dictionary of runs", _REMEDY)
    return content
