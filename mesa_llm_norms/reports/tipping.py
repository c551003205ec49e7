"""The pages of tipping points and interventions: HTML that holds all it needs.

What ``tip`` and ``compare_interventions`` found as files: a page, tables, a figure, JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from mesa_llm_norms.analysis.intervals import Estimate
from mesa_llm_norms.experiments.tipping.comparison import Comparison
from mesa_llm_norms.experiments.tipping.tip import BEYOND, Tipping, TippingPoint, labels, sentences
from mesa_llm_norms.plots.experiments import plot_interventions, plot_tipping
from mesa_llm_norms.plots.style import save_figure
from mesa_llm_norms.reports import (
    bullets,
    document,
    escaped,
    estimate_text,
    figure,
    glossary,
    p_text,
    paragraph,
    table,
)
from mesa_llm_norms.simulation.results import versions

_CONDITIONS = {
    "critical mass, and its share of the agents": "The number of committed agents at which half of "
    "the runs flip. It is where a logistic curve fitted to all numbers tried crosses one half, and "
    "need not be a whole number.",
    "surely": "The critical mass without any curve: the largest number tried whose chance of a "
    "flip is surely below one half, and the smallest whose chance is surely above.",
    "stays": "Of the runs with nobody committed, those in which the convention is the name played "
    "most in the end.",
    "lasts": "Of the runs that flipped, those in which the new name is still the one played most "
    "after the committed have left.",
    "fit (p)": "Whether the numbers tried scatter about the curve as chance has them do. Where "
    "they scatter more (p below 0.05), the interval is widened and the curve is no more than a "
    "summary. None: the curve is so steep, or so few numbers were tried, that there is nothing to "
    "test.",
}


_DOSES = {
    "rounds to a flip": "The median in population rounds. Runs without a flip count as longer than "
    "they were played, not as missing.",
    "left, lasts": "The runs played on after the committed had left, and those of them in which "
    "the flip lasted.",
}


_INTERVENTIONS = {
    "more than nothing": "The difference to the runs in which nothing was done, with Newcombe's "
    "interval.",
    "p, corrected": "McNemar's exact test against doing nothing, on runs that begin alike, "
    "corrected for how many interventions there are (Holm).",
    "rounds": "The median in population rounds until the alternative has taken over. Runs in which "
    "it has not count as longer than they were played.",
    "lasts": "Of the runs in which it has taken over, those in which the alternative is still the "
    "name played most after the committed have left.",
    "agents, edges, cost": "The agents touched, the edges moved, and what they come to at the "
    "prices given.",
}


_WORKED = {
    "undo": "The runs in which the convention is undone. Everybody starts out remembering it, and "
    "it is undone once 95% of the names played in three population rounds are the alternative, "
    "those of the committed among them.",
    "prevent": "The runs in which the convention is prevented. Everybody starts out remembering "
    "nothing, and it is prevented if it is not the name played most in the end.",
}


_LIMITS = (
    "All of this holds for the rounds that were played: within more of them, fewer committed "
    "agents do.",
    "A recorded mind was fitted to complete graphs of 24 agents with nobody committed. What it "
    "does beside committed agents follows from how it reacts to what it remembers: a prediction, "
    "and on another network twice so.",
    "Intervals say what chance may have done in so many runs, and nothing of how far a recorded "
    "mind is from the model it stands for.",
)


def tipping_page(found: Tipping, svg: bytes) -> str:
    """Return the page of tipping points; ``svg`` is the figure."""
    named = labels(found)
    return document(
        "Tipping points",
        [
            paragraph(_setting(found)),
            '<div class="verdict">',
            *bullets(sentences(found)),
            "</div>",
            figure(svg, "Flip probability by share committed, and critical shares"),
            "<h2>Critical mass</h2>",
            *table(
                (
                    *("convention", "agents", "critical mass", "share of agents", "surely"),
                    *("stays", "lasts", "fit (p)", "runs"),
                ),
                [_condition(name, point) for name, point in zip(named, found.points, strict=True)],
            ),
            *glossary({"run": _run(found), **_CONDITIONS}),
            "<h2>By number committed</h2>",
            *glossary(_DOSES),
            *(
                part
                for name, point in zip(named, found.points, strict=True)
                for part in _doses(name, point)
            ),
            *_limits(found.points[0].curve.level),
        ],
    )


def comparison_page(found: Comparison, svg: bytes) -> str:
    """Return the page of interventions; ``svg`` is the figure."""
    rows = found.table.to_dict(orient="records")
    return document(
        f"What would {found.goal} {found.convention}?",
        [
            paragraph(
                f"The alternative is {found.alternative}. {rows[0]['runs']:,} runs of each "
                f"intervention, those of one number begun alike; seed {found.seed}."
            ),
            f'<div class="verdict">{paragraph(found.sentence)}</div>',
            figure(svg, "How often each intervention works"),
            "<h2>Interventions</h2>",
            *table(
                (
                    *("intervention", "works", "more than nothing", "p, corrected", "rounds"),
                    *("lasts", "agents", "edges", "cost"),
                ),
                [_intervention(row) for row in rows],
            ),
            *glossary({"works": _WORKED[found.goal], **_INTERVENTIONS}),
            *_limits(
                found.level,
                f"An intervention that is not shown to work in more than {found.enough:.0%} of "
                "runs is not shown to fail: more runs may tell.",
            ),
        ],
    )


def _setting(found: Tipping) -> str:
    base = found.points[0].question.base.describe()
    shared = [
        f"Names {' '.join(base['names'])}",
        found.points[0].question.base.mind_label,
        *_common("", [point.question.topology for point in found.points]),
        *_common("committed agents placed: ", [one.question.placement for one in found.points]),
        f"pairing by {base['pairing']}",
        f"memory of {base['memory']}",
        f"seed {found.seed}",
    ]
    return f"{'; '.join(shared)}."


def _run(found: Tipping) -> str:
    legs = found.points[0].question.legs
    after = (
        f"; after a flip {legs.after} more are played without the committed" if legs.after else ""
    )
    return (
        "Everybody starts out remembering the convention, and the committed always play the other "
        "name. The run flips once 95% of the names played in three population rounds are that "
        f"name, those of the committed among them. It has {legs.rounds} rounds to do so{after}."
    )


def _common(words: str, values: list[str]) -> list[str]:
    return [words + values[0]] if len(set(values)) == 1 else []


def _condition(name: str, point: TippingPoint) -> tuple[str, ...]:
    curve = point.curve
    widened = ", widened" if curve.heterogeneity > 1 else ""
    return (
        name,
        f"{point.question.agents:,}",
        estimate_text(curve.critical_mass, ".2f", BEYOND),
        estimate_text(point.critical_share, ".1%", BEYOND),
        _surely(*curve.bracket),
        estimate_text(point.stability.estimate, ".0%"),
        estimate_text(point.lasting.estimate, ".0%"),
        p_text(curve.misfit) + widened,
        f"{len(point.runs):,}",
    )


def _surely(below: float, above: float) -> str:
    """Return what is sure of the critical mass without a curve."""
    said = [f"more than {below:.0f}"] if below >= 0 else []
    said += [f"at most {above:.0f}"] if math.isfinite(above) else []
    return ", ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in said) or "nothing"


def _doses(name: str, point: TippingPoint) -> list[str]:
    longer = f"more than {point.question.legs.rounds}"
    return [
        f"<h3>{escaped(name)}</h3>",
        *table(
            ("committed", "share", "runs", "flipped", "rounds to a flip", "left", "lasts"),
            [
                (
                    f"{row['committed']:,}",
                    f"{row['committed_share']:.1%}",
                    f"{row['runs']:,}",
                    estimate_text(
                        Estimate(row["flip_share"], row["flip_low"], row["flip_high"]), ".0%"
                    ),
                    _between(row, "rounds", ".1f", longer),
                    f"{row['left']:,}",
                    _between(row, "lasts", ".0%"),
                )
                for row in point.table.to_dict(orient="records")
            ],
        ),
    ]


def _intervention(row: Mapping[Any, Any]) -> tuple[str, ...]:
    nothing = row["intervention"] == "nothing"
    return (
        row["intervention"],
        _between(row, "worked", ".0%"),
        "" if nothing else _between(row, "more", "+.0%"),
        "" if nothing else p_text(row["p"]),
        _between(row, "rounds", ".1f", "more than played"),
        _between(row, "lasts", ".0%"),
        f"{row['agents']:,}",
        f"{row['edges']:,}",
        f"{row['cost']:,g}",
    )


def _between(row: Mapping[Any, Any], name: str, form: str, beyond: str = "more") -> str:
    found = Estimate(row[name], row[f"{name}_low"], row[f"{name}_high"])
    return estimate_text(found, form, beyond)


def _limits(level: float, *more: str) -> list[str]:
    return [
        "<h2>Limits</h2>",
        *bullets((*_LIMITS, *more, f"Intervals hold in {level:.3g} of all cases, each by itself.")),
    ]


def tipping_object(found: Tipping) -> dict[str, Any]:
    """Return everything but the single runs as plain data, for JSON."""
    return {
        "seed": found.seed,
        "conditions": _records(found.table.to_dict(orient="records")),
        "doses": _records(found.doses.to_dict(orient="records")),
        "sentences": sentences(found),
        "usage": None if found.usage is None else found.usage._asdict(),
    }


def comparison_object(found: Comparison) -> dict[str, Any]:
    """Return everything but the single runs as plain data, for JSON."""
    return {
        "goal": found.goal,
        "convention": found.convention,
        "alternative": found.alternative,
        "cheapest": found.cheapest,
        "sentence": found.sentence,
        "seed": found.seed,
        "usage": None if found.usage is None else found.usage._asdict(),
        "interventions": _records(found.table.to_dict(orient="records")),
    }


def write_tipping(found: Tipping, folder: Path) -> None:
    """Write ``report.html``, ``tipping.json``, ``doses.csv``, ``runs.parquet`` and the figure."""
    svg = _write(folder, "tipping", tipping_object(found), plot_tipping(found))
    found.doses.to_csv(folder / "doses.csv", index=False, float_format="%.6g")
    found.runs.to_parquet(folder / "runs.parquet", index=False)
    (folder / "report.html").write_text(tipping_page(found, svg), encoding="utf-8")


def write_comparison(found: Comparison, folder: Path) -> None:
    """Write ``report.html``, ``interventions.json``, ``.csv``, ``runs.parquet`` and the figure."""
    svg = _write(folder, "interventions", comparison_object(found), plot_interventions(found))
    found.table.to_csv(folder / "interventions.csv", index=False, float_format="%.6g")
    found.runs.to_parquet(folder / "runs.parquet", index=False)
    (folder / "report.html").write_text(comparison_page(found, svg), encoding="utf-8")


def _write(folder: Path, name: str, content: Mapping[str, Any], figure: Figure) -> bytes:
    """Write the numbers and the figure; return the latter as SVG."""
    text = json.dumps({**content, "versions": versions()}, indent=2, ensure_ascii=False)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    _, svg = save_figure(figure, folder / name)
    return svg.read_bytes()


def _records(rows: Sequence[Mapping[Any, Any]]) -> list[dict[str, Any]]:
    """Return rows as JSON has them: what is infinite or no number becomes None."""
    return [
        {
            str(key): None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in row.items()
        }
        for row in rows
    ]
