"""Recordings for the tests: made up from a known policy, or the study's own where at hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from mesa_llm_norms import TableMind
from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.simulation import Remembered
from mesa_llm_norms.simulation.ensemble import play_run
from mesa_llm_norms.simulation.spec import Spec
from mesa_llm_norms.study.recordings import Condition, Recordings, read_recordings

STUDY = Path(__file__).parents[3] / "shared" / "study"

needs_study = pytest.mark.skipif(
    not (STUDY / "interactions.csv.gz").is_file(),
    reason="the study's recordings are not part of the project, and not beside it",
)


def study() -> Recordings:
    """Return the study's recordings."""
    return read_recordings(STUDY)


def record(
    mind: Mind | Callable[[int], Mind],
    folder: Path,
    *,
    model: str = "made-up",
    names: str = "QM",
    runs: int = 12,
    agents: int = 10,
    rounds: int = 40,
) -> Path:
    """Play runs of a mind (or of one mind per run) and write them as the study's table."""
    tables = []
    for run in range(runs):
        spec = Spec(
            graph=f"complete(n={agents})",
            names=names,
            mind=mind if isinstance(mind, Mind) else mind(run),
            seed=1,
        )
        rows = play_run(spec, run, Goal("converged"), rounds, keep=True).rows
        table = pd.DataFrame(rows)
        tables.append(
            pd.DataFrame(
                {
                    "model": model,
                    "kind": "baseline",
                    "pool": " ".join(names),
                    "memory": 5,
                    "population": agents,
                    "run": run,
                    "t": table["interaction"],
                    "player_a": table["node_a"],
                    "player_b": table["node_b"],
                    "name_a": table["name_a"],
                    "name_b": table["name_b"],
                }
            )
        )
    path = folder / "interactions.csv.gz"
    pd.concat(tables).to_csv(path, index=False)
    return path


def known() -> TableMind:
    """Return a mind that stays with success, wavers after failure, and begins with M more often."""
    rows: dict[tuple[Remembered, ...], list[float]] = {
        (): [0.35, 0.65],
        (Remembered("Q", "Q"),): [0.998, 0.002],
        (Remembered("M", "M"),): [0.002, 0.998],
        (Remembered("Q", "M"),): [0.3, 0.7],
        (Remembered("M", "Q"),): [0.7, 0.3],
    }
    return TableMind("known", "QM", rows)


def only(recordings: Recordings) -> tuple[Condition, pd.DataFrame]:
    """Return the one condition of made-up recordings, and its rows."""
    return next(recordings.of("made-up"))
