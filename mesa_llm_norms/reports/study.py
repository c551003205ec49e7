"""What ``validate`` found, as a page, tables and a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, ScalarFormatter

from mesa_llm_norms.plots.style import save_figure
from mesa_llm_norms.study.validate import Validated, summary

SURE = 0.01


RECORDED, SIMULATED = "#000000", "#D55E00"


_COLUMNS = 4


_OPENING = """# Validation

Made by `mesa-llm-norms validate STUDY --runs {runs} --seed {seed}`: recorded minds against the
recordings they were fitted to, {runs_written} simulated populations per condition. Decisions were
fitted; how long populations take and which names win in them were not.

## What does not match
"""


_POPULATIONS = """
## Populations

The median number of interactions until three population rounds of successes in a row (72 for 24
agents), recorded and simulated, with the two-sample Kolmogorov-Smirnov test. Then the name that
won most recorded runs and its share of them, recorded and simulated, with a Monte Carlo
likelihood-ratio test of all winners together.
"""


_DECISIONS = """
![Interactions needed, recorded and simulated, and calibration](validation.png)

## Decisions

The mean negative log-probability of the recorded choices (nats), and the mean distance between the
chance given to a name and how often it was chosen. Both are on the decisions that were fitted;
`mesa-llm-norms minds NAME` gives the log-loss on runs held out.
"""


_DRIFT = """
## Did the model stay the same from run to run?

Each run is allowed a sharpness of its own: the policy's probabilities to that power, renormalised.
Spread is the standard deviation of its logarithm, p how often one policy for all runs would look
as uneven.
"""


def write_report(found: Sequence[Validated], folder: Path, *, runs: int, seed: int) -> None:
    """Write ``validation.md``, the tables behind it as CSV, and ``validation.png`` and ``.svg``."""
    (folder / "validation.md").write_text(page(found, runs=runs, seed=seed), encoding="utf-8")
    summary(found).to_csv(folder / "conditions.csv", index=False, float_format="%.6g")
    pd.concat({str(one.condition): one.calibration for one in found}, names=["condition"]).to_csv(
        folder / "calibration.csv", float_format="%.6g"
    )
    pd.concat([one.drift.sharpness for one in found]).to_csv(
        folder / "sharpness.csv", float_format="%.4g"
    )
    save_figure(figure(found), folder / "validation")


def page(found: Sequence[Validated], *, runs: int, seed: int) -> str:
    """Return the page in Markdown: what does not match first, then the tables."""
    return "\n".join(
        [
            _OPENING.format(runs=runs, runs_written=f"{runs:,}", seed=seed),
            *(_mismatches(found) or ["No test below rejects at the 0.01 level."]),
            _POPULATIONS,
            *_table(
                [
                    "model",
                    "names",
                    "runs",
                    "median recorded",
                    "simulated",
                    "p",
                    "winner",
                    "recorded",
                    "simulated",
                    "p",
                ],
                [_population_row(one) for one in found],
            ),
            _DECISIONS,
            *_table(
                ("model", "names", "decisions", "log-loss", "calibration error"),
                [
                    (
                        one.condition.model,
                        _names(one),
                        f"{one.decisions:,}",
                        f"{one.log_loss:.4f}",
                        f"{one.calibration_error:.4f}",
                    )
                    for one in found
                ],
            ),
            _DRIFT,
            *_table(
                ("model", "names", "mean", "spread", "p", "least sharp run", "sharpest run"),
                [
                    (
                        one.condition.model,
                        _names(one),
                        f"{one.drift.mean:.2f}",
                        f"{one.drift.spread:.2f}",
                        _p(one.drift.p_value),
                        f"{one.drift.sharpness.min():.2f}",
                        f"{one.drift.sharpness.max():.2f}",
                    )
                    for one in found
                ],
            ),
            "",
        ]
    )


def _population_row(one: Validated) -> tuple[str, ...]:
    return (
        one.condition.model,
        _names(one),
        f"{int(one.recorded.winners.sum())}",
        f"{one.recorded.interactions.median():.0f}",
        f"{one.simulated.interactions.median():.0f}",
        _p(one.time_p_value),
        one.leader,
        f"{_share(one.recorded.winners, one.leader):.2f}",
        f"{_share(one.simulated.winners, one.leader):.2f}",
        _p(one.winners_p_value),
    )


def figure(found: Sequence[Validated]) -> Figure:
    """Return one panel per condition with the share of runs converged, and one with calibration."""
    rows = -(-(len(found) + 1) // _COLUMNS)
    drawn = Figure(figsize=(3.2 * _COLUMNS, 2.5 * rows), layout="constrained")
    panels = drawn.subplots(rows, _COLUMNS, squeeze=False).flatten()
    for axes, one in zip(panels, found, strict=False):
        _draw_times(axes, one)
    _draw_calibration(panels[len(found)], found)
    for axes in panels[len(found) + 1 :]:
        axes.set_axis_off()
    panels[0].legend(frameon=False, fontsize=8, loc="lower right")
    return drawn


def _draw_times(axes: Axes, one: Validated) -> None:
    for label, populations, colour in (
        ("recorded", one.recorded, RECORDED),
        ("simulated", one.simulated, SIMULATED),
    ):
        axes.ecdf(populations.interactions.to_numpy(), color=colour, lw=1.6, label=label)
    axes.set_title(f"{one.condition.model}\n{_names(one)}   p {_p(one.time_p_value)}", fontsize=8)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=6))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("interactions needed", fontsize=8)
    axes.set_ylabel("share of runs", fontsize=8)
    axes.tick_params(labelsize=7, which="both")
    axes.spines[["top", "right"]].set_visible(False)


def _draw_calibration(axes: Axes, found: Sequence[Validated]) -> None:
    axes.plot([0, 1], [0, 1], color="#B8B8B8", lw=1)
    for one in found:
        bins = one.calibration[one.calibration["cases"] >= 100]
        axes.plot(bins["given"], bins["chosen"], ".", color=SIMULATED, alpha=0.6, ms=5)
    axes.set_title("calibration, all conditions", fontsize=8)
    axes.set_xlabel("chance given", fontsize=8)
    axes.set_ylabel("share chosen", fontsize=8)
    axes.set_xticks(np.linspace(0, 1, 5))
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def _mismatches(found: Sequence[Validated]) -> list[str]:
    said = []
    for one in found:
        name = f"**{one.condition.model}, {_names(one)}**"
        if one.time_p_value < SURE:
            said.append(
                f"- {name}: the median is {one.simulated.interactions.median():.0f} interactions"
                f" where {one.recorded.interactions.median():.0f} were recorded"
                f" (p {_p(one.time_p_value)}, {len(one.recorded.interactions)} recorded runs)."
            )
        if one.winners_p_value < SURE:
            said.append(f"- {name}: other names win (p {_p(one.winners_p_value)}).")
        if one.drift.p_value < SURE:
            said.append(
                f"- {name}: the recorded runs are not of one policy (spread"
                f" {one.drift.spread:.2f}, p {_p(one.drift.p_value)})."
            )
    return said


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *rows)]


def _names(one: Validated) -> str:
    pool = one.condition.pool
    return " ".join(pool) if len(pool) <= 10 else f"{pool[0]} ... {pool[-1]} ({len(pool)})"


def _share(winners: pd.Series[int], name: str) -> float:
    return float(winners[name] / max(1, winners.sum()))


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"
