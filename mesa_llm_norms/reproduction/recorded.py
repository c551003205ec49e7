"""What results are compared with: the study's recordings, and what is published elsewhere.

``recorded.json`` ships, computed from the recordings by ``summarise``: for each condition how long
its runs took, who won and the mean success rate of every round, what names were chosen on the
shortest memories, and how stable conventions were. Nothing in it says what any agent did.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mesa_llm_norms.classical.published import EXACT, EXACT_FLIPS
from mesa_llm_norms.core.formatting import json_text
from mesa_llm_norms.core.game import Memory, Remembered
from mesa_llm_norms.errors import FileFormatError
from mesa_llm_norms.study.recordings import (
    LICENCE,
    SOURCE,
    Condition,
    Recordings,
    count,
    decisions,
    read_recordings,
)
from mesa_llm_norms.study.validate import recorded_populations

STUDY = "Ashery, Aiello and Baronchelli (2025), Sci. Adv. 11, eadu9368"
NETWORKS = "Centola and Baronchelli (2015), PNAS 112, 1989"
TIPPING = "Centola, Becker, Brackbill and Baronchelli (2018), Science 360, 1116"

ROUNDS = 30
"""Population rounds whose success rates are kept; a run that has ended counts as all successes."""

LASTING = 20
"""Population rounds over which stability is measured; shorter runs are left out."""

DECIMALS = 5

Names = tuple[str, ...]


class Published(NamedTuple):
    """A published number, its source, and how certain it is."""

    value: float
    source: str
    approximate: bool = False
    """Rounded, or read off a text about the publication: good to about one percentage point."""


FIRST_CHOICE = Published(0.5, STUDY)
"""Share of one of two names, Q or M, with nothing remembered: no individual bias."""

SMALLEST_MASS = Published(0.02, STUDY, approximate=True)
LARGEST_MASS = Published(0.67, STUDY, approximate=True)
"""Shares of committed agents that overturn a convention, over models and conventions."""

CLASSICAL_EXACT = {count: Published(share, EXACT) for count, share in EXACT_FLIPS.items()}
"""Share of populations that flip in 30 rounds, by how many of 24 are committed."""


@dataclass(frozen=True)
class Emergence:
    """Runs of one model that started from empty memories."""

    model: str
    names: Names
    agents: int
    runs: int
    interactions: tuple[int, ...]
    """Until three rounds of successes in a row, sorted, for the runs that got there."""
    winners: Mapping[str, int]
    success: tuple[float, ...]
    """Mean success rate of each of the first ``ROUNDS`` population rounds."""


@dataclass(frozen=True)
class Stability:
    """Runs of one model in which all agents started remembering only the first of ``names``."""

    model: str
    names: Names
    agents: int
    kept: tuple[float, ...]
    """For each run the share of choices in ``LASTING`` rounds that were the incumbent, sorted."""


@dataclass(frozen=True)
class Choices:
    """Decisions of one model on one memory, asked again and again."""

    model: str
    names: Names
    memory: Memory
    counts: Mapping[str, int]
    in_populations: Mapping[str, int]
    """What agents of recorded populations chose on this same memory."""


@dataclass(frozen=True)
class Recorded:
    """All that the recordings show."""

    emergence: tuple[Emergence, ...]
    stability: tuple[Stability, ...]
    choices: tuple[Choices, ...]

    def as_object(self) -> dict[str, Any]:
        """Return it as JSON can hold it, with its source."""
        return {"source": SOURCE, "licence": LICENCE, **asdict(self)}


def shipped() -> Recorded:
    """Return the numbers that ship with the package."""
    text = resources.files(__package__).joinpath("recorded.json").read_text(encoding="utf-8")
    held = json.loads(text)
    return Recorded(
        tuple(_read(Emergence, row) for row in held["emergence"]),
        tuple(_read(Stability, row) for row in held["stability"]),
        tuple(
            _read(Choices, {**row, "memory": tuple(Remembered(*pair) for pair in row["memory"])})
            for row in held["choices"]
        ),
    )


def summarise(folder: Path) -> Recorded:
    """Compute the same from the recordings: interactions.csv.gz and individual.csv in a folder.

    Raises ``FileFormatError`` if one of them cannot be read.
    """
    recordings = read_recordings(folder)
    met = {
        (condition.model, condition.pool): count(decisions(condition, rows))
        for condition, rows in _of_kind(recordings, "baseline")
    }
    return Recorded(
        tuple(_emergence(*one) for one in _of_kind(recordings, "baseline")),
        tuple(_stability(*one) for one in _of_kind(recordings, "stability")),
        tuple(_choices(folder / "individual.csv", met)),
    )


def write_recorded(recorded: Recorded, path: Path) -> None:
    """Write the file that ships."""
    text = json_text(recorded.as_object(), separators=(",", ":"))
    path.write_text(text.replace('{"model"', '\n{"model"') + "\n", encoding="utf-8")


def _read(kind: Any, row: dict[str, Any]) -> Any:
    return kind(**{key: tuple(v) if isinstance(v, list) else v for key, v in row.items()})


def _of_kind(recordings: Recordings, kind: str) -> Iterable[tuple[Condition, pd.DataFrame]]:
    for model in recordings.models:
        yield from recordings.of(model, kind)


def _emergence(condition: Condition, rows: pd.DataFrame) -> Emergence:
    populations = recorded_populations(condition, rows)
    runs = [run for _, run in rows.groupby("run")]
    success = [_success((run["name_a"] == run["name_b"]).to_numpy(), condition) for run in runs]
    return Emergence(
        condition.model,
        condition.pool,
        condition.population,
        len(runs),
        tuple(sorted(populations.interactions.tolist())),
        {str(name): int(won) for name, won in populations.winners.items()},
        tuple(np.mean(success, axis=0).round(DECIMALS).tolist()),
    )


def _success(matched: Any, condition: Condition) -> Any:
    """Return the success rate of each round; those after the end count as all successes."""
    kept = np.ones(ROUNDS * condition.population)
    kept[: len(matched)] = matched[: len(kept)]
    return kept.reshape(ROUNDS, -1).mean(axis=1)


def _stability(condition: Condition, rows: pd.DataFrame) -> Stability:
    first = LASTING * condition.population
    kept = [
        round(
            float((run[["name_a", "name_b"]][:first] == condition.pool[0]).to_numpy().mean()),
            DECIMALS,
        )
        for _, run in rows.groupby("run")
        if len(run) >= first
    ]
    return Stability(condition.model, condition.pool, condition.population, tuple(sorted(kept)))


def _choices(
    path: Path, met: Mapping[tuple[str, Names], dict[Memory, dict[str, int]]]
) -> Iterable[Choices]:
    remedy = "It needs a row per memory and name chosen: model, pool, own, partner, name, count."
    try:
        table = pd.read_csv(path, keep_default_na=False)
        keys = table.groupby(["model", "pool", "own", "partner"], sort=True)
        found = [(key, dict(zip(rows["name"], rows["count"], strict=True))) for key, rows in keys]
    except (OSError, ValueError, KeyError) as error:
        raise FileFormatError(path, f"it cannot be read: {error}", remedy) from error
    for (model, pool, own, partner), counts in found:
        names = tuple(str(pool).split())
        pairs = zip(str(own).split(), str(partner).split(), strict=True)
        memory = tuple(Remembered(*pair) for pair in pairs)
        everywhere = met.get((str(model), names), {}).get(memory, {})
        yield Choices(
            str(model),
            names,
            memory,
            {name: int(counts.get(name, 0)) for name in names},
            {name: everywhere.get(name, 0) for name in names},
        )
