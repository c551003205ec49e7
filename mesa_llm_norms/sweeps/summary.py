"""A sweep in numbers: one row per cell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mesa_llm_norms.statistics import convergence_time, wilson_interval


def summarise(runs: pd.DataFrame, pool: Sequence[str], event: str) -> dict[str, Any]:
    """Return the runs of a cell in numbers.

    ``event`` is what runs were played until: the ``share`` of runs that got there has Wilson's
    interval, the time until then its median with the runs that did not get there censored. Names
    are won by the runs that count: those that got there, and where runs had no goal, all.
    """
    kind = event or "converged"
    there = runs[kind]
    low, high = wilson_interval(int(there.sum()), len(runs))
    row: dict[str, Any] = {
        "runs": len(runs),
        "event": kind,
        "share": float(there.mean()),
        "share_low": float(low),
        "share_high": float(high),
        **dict.fromkeys(("median", "median_low", "median_high"), math.nan),
        "censored": int((~there).sum()) if event else 0,
        "local_agreement": float(runs["local_agreement"].mean()),
    }
    if event:
        median = convergence_time(runs, event=event).median
        row |= {"median": median.value, "median_low": median.low, "median_high": median.high}
    counted = runs[there] if event else runs
    wins = counted["winner"].value_counts()
    row |= {f"wins_{name}": int(wins.get(name, 0)) for name in pool}
    row |= {
        f"won_{name}": wins.get(name, 0) / len(counted) if len(counted) else math.nan
        for name in pool
    }
    return row


def cell_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return the rows as a table; a name that is in no pool of a cell has nothing there."""
    table = pd.DataFrame(list(rows))
    wins = [column for column in table.columns if str(column).startswith("wins_")]
    won = [column for column in table.columns if str(column).startswith("won_")]
    others = [column for column in table.columns if column not in {*wins, *won}]
    return table[[*others, *wins, *won]].astype(dict.fromkeys(wins, "Int64"))
