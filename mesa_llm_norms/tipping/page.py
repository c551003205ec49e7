"""The pages of tipping points and interventions: HTML that holds all it needs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mesa_llm_norms.markup import (
    bullets,
    document,
    escaped,
    estimate_text,
    figure,
    p_text,
    paragraph,
    table,
)
from mesa_llm_norms.statistics import Estimate
from mesa_llm_norms.tipping.answer import Tipping, TippingPoint
from mesa_llm_norms.tipping.comparison import Comparison
from mesa_llm_norms.tipping.words import sentences

_MASS = (
    "Critical mass: the number of committed agents at which half of the runs flip, by a logistic "
    "curve fitted to all counts. Surely: without any curve, the largest number whose chance to "
    "flip is surely below one half, and the smallest that is surely above.",
    "Stays: of the runs with nobody committed, those in which the convention is the name played "
    "most in the end. Lasts: of the runs that flipped, those in which the flip was still there "
    "after the committed had left.",
    "Rounds: how many population rounds until the flip, the median over all runs; more is where "
    "fewer than half of the runs flipped.",
)
_WORKS = (
    "Works: of all runs, those in which the convention was undone, or prevented. More: the "
    "difference to doing nothing, with Newcombe's bounds. p: McNemar's exact test on runs that "
    "begin alike, corrected for how many interventions there are (Holm).",
    "Rounds: how many population rounds until the alternative had taken over, the median over all "
    "runs; more is where it took over in fewer than half of them. Lasts: of the runs in which it "
    "had, those in which it was still there after the committed had left.",
    "Cost: what the agents touched and the edges moved come to at the prices that were given.",
)
_LIMITS = (
    "Everything holds for the rounds that were given: with more of them, fewer agents do.",
    "Recorded minds were fitted to complete graphs of 24 agents with nobody committed: what they "
    "do here follows from how they react to what they remember, and is a prediction.",
    "Intervals say what chance may have done to so many runs, and nothing of how far a mind is "
    "from the model it stands for.",
)


def tipping_page(found: Tipping, svg: bytes) -> str:
    """Return the page of tipping points; ``svg`` is the figure."""
    level = found.points[0].curve.level
    parts = [
        '<div class="verdict">',
        *bullets(sentences(found)),
        "</div>",
        figure(svg, "Flip probability by share committed, and critical shares"),
        "<h2>Critical mass</h2>",
        *table(
            (
                *("convention", "network", "agents", "committed sit", "critical mass"),
                *("share of agents", "surely", "stays", "lasts", "fit"),
            ),
            [_condition(point) for point in found.points],
        ),
        *bullets(_MASS),
    ]
    for point in found.points:
        question = point.question
        parts += [
            f"<h2>{escaped(_heading(point))}</h2>",
            *table(
                ("committed", "share", "runs", "flipped", "rounds", "then left", "lasts"),
                [_dose(row) for row in point.table.to_dict(orient="records")],
            ),
            paragraph(
                f"A run has {question.legs.rounds} population rounds, and after a flip "
                f"{question.legs.after} more without the committed.",
                "note",
            ),
        ]
    parts += [*_limits(level, found.seed)]
    return document("Tipping points", parts)


def comparison_page(found: Comparison, svg: bytes) -> str:
    """Return the page of interventions; ``svg`` is the figure."""
    rows = found.table.to_dict(orient="records")
    parts = [
        f'<div class="verdict">{paragraph(found.sentence)}</div>',
        figure(svg, "How often each intervention works"),
        *table(
            (
                *("intervention", "works", "more than nothing", "p, corrected", "rounds"),
                *("lasts", "agents", "edges", "cost"),
            ),
            [_intervention(row) for row in rows],
        ),
        paragraph(f"{rows[0]['runs']:,} runs of each.", "note"),
        *bullets(_WORKS),
        *_limits(found.level, found.seed),
    ]
    return document(f"What would {found.goal} {found.convention}?", parts)


def _condition(point: TippingPoint) -> tuple[str, ...]:
    question, curve = point.question, point.curve
    below, above = curve.bracket
    fit = "not tested" if math.isnan(curve.misfit) else f"p {p_text(curve.misfit)}"
    if curve.heterogeneity > 1:
        fit += f", interval widened by {math.sqrt(curve.heterogeneity):.1f}"
    return (
        str(question.direction),
        question.topology,
        f"{question.agents:,}",
        question.placement,
        estimate_text(curve.critical_mass, ".2f"),
        estimate_text(point.critical_share, ".1%"),
        _surely(below, above),
        estimate_text(point.stability.estimate, ".0%"),
        estimate_text(point.lasting.estimate, ".0%"),
        fit,
    )


def _heading(point: TippingPoint) -> str:
    question = point.question
    return f"{question.direction}: {question.topology}, {question.placement}"


def _surely(below: float, above: float) -> str:
    least = f"more than {below:.0f}" if below >= 0 else "any number"
    return least if math.isinf(above) else f"{least}, at most {above:.0f}"


def _dose(row: Mapping[Any, Any]) -> tuple[str, ...]:
    return (
        f"{row['committed']:,}",
        f"{row['committed_share']:.1%}",
        f"{row['runs']:,}",
        estimate_text(Estimate(row["flip_share"], row["flip_low"], row["flip_high"]), ".1%"),
        _between(row, "rounds", ".1f"),
        f"{row['left']:,}",
        _between(row, "lasts", ".0%"),
    )


def _intervention(row: Mapping[Any, Any]) -> tuple[str, ...]:
    nothing = row["intervention"] == "nothing"
    return (
        row["intervention"],
        _between(row, "worked", ".1%"),
        "" if nothing else _between(row, "more", "+.1%"),
        "" if nothing else p_text(row["p"]),
        _between(row, "rounds", ".1f"),
        _between(row, "lasts", ".0%"),
        f"{row['agents']:,}",
        f"{row['edges']:,}",
        f"{row['cost']:g}",
    )


def _between(row: Mapping[Any, Any], name: str, form: str) -> str:
    return estimate_text(Estimate(row[name], row[f"{name}_low"], row[f"{name}_high"]), form)


def _limits(level: float, seed: int) -> list[str]:
    return [
        "<h2>Limits</h2>",
        *bullets(_LIMITS),
        paragraph(f"Intervals hold in {level:.3g} of all cases. Seed {seed}.", "note"),
    ]
