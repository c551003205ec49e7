"""The pages and files of audits, tipping points and interventions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mesa_llm_norms.core.files import write_csv
from mesa_llm_norms.experiments.audits import Audit
from mesa_llm_norms.experiments.audits.individual import Lean
from mesa_llm_norms.experiments.audits.populations import EFFECTS
from mesa_llm_norms.experiments.audits.probes import Probe
from mesa_llm_norms.experiments.audits.verdict import KINDS
from mesa_llm_norms.experiments.tipping import Comparison, Tipping
from mesa_llm_norms.experiments.tipping.interventions import NOTHING
from mesa_llm_norms.experiments.tipping.search import BEYOND, from_columns
from mesa_llm_norms.minds.policies import write_memory
from mesa_llm_norms.plots.experiments import plot_audit, plot_interventions, plot_tipping
from mesa_llm_norms.plots.style import save_figure
from mesa_llm_norms.reports import (
    environment,
    estimate,
    picture,
    render,
    unbroken,
    write_json,
)
from mesa_llm_norms.simulation.pairing import read_pairing

MOST_CHOICES = 40
"""How many memories the page of an audit shows, those with the largest bias; the JSON has all."""

_AUDIT_LIMITS = (
    "A recorded mind knows what it was fitted to: 24 agents on a complete graph who remember five "
    "interactions, with a few pools. Other sizes, networks and memories are played by the same "
    "reactions to a memory. A name that was never recorded is played without bias, which says "
    "nothing about the real model.",
    "First choices of a policy are known, so an individual bias is a matter of size and not of a "
    "test: less than one choice in fifty counts as none.",
    "What is not shown is not shown to be absent. The intervals say how large it may be.",
)

_TIPPING_LIMITS = (
    "All of this holds for the rounds that were played: with more rounds, fewer committed agents "
    "are enough.",
    "A recorded mind was fitted to complete graphs of 24 agents with nobody committed. What it "
    "does next to committed agents follows from how it reacts to what it remembers: a prediction, "
    "and on another network doubly so.",
    "Intervals say what chance may have done in this many runs, not how far a recorded mind is "
    "from the model it stands for.",
)


def write_audit(found: Audit, folder: Path) -> None:
    """Write ``audit.json`` into a folder."""
    write_json(folder / "audit.json", found.as_object())


def draw_audit(found: Audit, folder: Path) -> None:
    """Write ``audit.html``, ``audit.png`` and ``audit.svg`` into a folder."""
    _, svg = save_figure(plot_audit(found), folder / "audit")
    pool = found.individual.pool
    remembering = (one for one in found.individual.choices if one.memory)

    def gains(lean: Lean) -> str:
        pairs = sorted(zip(pool, lean.towards, strict=False), key=lambda it: -abs(it[1]))
        return _listed([(name, f"{gain:+.3f}") for name, gain in pairs[:5]])

    page = render(
        "audit.html",
        title=f"Audit of {found.mind}",
        found=found,
        picture=picture(svg),
        kinds=KINDS,
        effects=EFFECTS,
        choices=sorted(remembering, key=lambda one: -one.bias)[:MOST_CHOICES],
        gains=gains,
        leaders=_leaders,
        largest=lambda one: max(one.differences, key=lambda it: abs(it.wins.value)),
        answers=_answers,
        written=write_memory,
        limits=_AUDIT_LIMITS,
    )
    (folder / "audit.html").write_text(page, encoding="utf-8")


def write_tipping(found: Tipping, folder: Path) -> None:
    """Write ``runs.parquet``, ``doses.csv`` and ``tipping.json`` into a folder."""
    found.runs.to_parquet(folder / "runs.parquet", index=False)
    write_csv(found.doses, folder / "doses.csv")
    write_json(folder / "tipping.json", tipping_object(found))


def draw_tipping(found: Tipping, folder: Path) -> None:
    """Write ``report.html`` and the figure into a folder."""
    _, svg = save_figure(plot_tipping(found), folder / "tipping")
    page = render(
        "tipping.html",
        title="Tipping points",
        found=found,
        picture=picture(svg),
        setting="; ".join(_shared_setting(found)),
        beyond=BEYOND,
        surely=_surely,
        records=_records,
        limits=_limits(found.points[0].curve.level),
    )
    (folder / "report.html").write_text(page, encoding="utf-8")


def write_comparison(found: Comparison, folder: Path) -> None:
    """Write ``runs.parquet``, ``interventions.csv`` and ``.json`` into a folder."""
    found.runs.to_parquet(folder / "runs.parquet", index=False)
    write_csv(found.table, folder / "interventions.csv")
    write_json(folder / "interventions.json", comparison_object(found))


def draw_comparison(found: Comparison, folder: Path) -> None:
    """Write ``report.html`` and the figure into a folder."""
    _, svg = save_figure(plot_interventions(found), folder / "interventions")
    more = (
        f"An intervention that is not shown to work in more than {found.enough:.0%} of runs is not "
        "shown to fail: more runs may tell."
    )
    page = render(
        "interventions.html",
        title=f"What would {found.goal} {found.convention}?",
        found=found,
        picture=picture(svg),
        rows=_records(found.table),
        nothing=NOTHING,
        limits=_limits(found.level, more),
    )
    (folder / "report.html").write_text(page, encoding="utf-8")


def tipping_object(found: Tipping) -> dict[str, Any]:
    """Return everything but the single runs as plain data, for JSON."""
    return {
        "seed": found.seed,
        "conditions": _records(found.table),
        "doses": _records(found.doses),
        "sentences": found.sentences,
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
        "interventions": _records(found.table),
    }


def _interval(row: Mapping[str, Any], name: str, form: str, beyond: str = "more") -> str:
    return estimate(from_columns(row, name), form, beyond)


environment().filters["interval"] = _interval


def _leaders(names: Sequence[str], shares: Sequence[float]) -> str:
    """Return the three names with the largest shares."""
    ranked = sorted(zip(names, shares, strict=True), key=lambda it: -it[1])
    return _listed([(name, f"{share:.3f}") for name, share in ranked[:3]])


def _answers(one: Probe) -> str:
    """Return how often every name was chosen in each condition of a probe."""
    return "; ".join(
        f"{it.label}: {_listed([(name.name, str(name.chosen)) for name in it.preference.names])}"
        for it in one.conditions
    )


def _listed(pairs: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{name}\N{NO-BREAK SPACE}{number}" for name, number in pairs)


def _shared_setting(found: Tipping) -> list[str]:
    """Return what all conditions share."""
    questions = [point.question for point in found.points]
    base = questions[0].base
    topologies = {question.topology for question in questions}
    placements, noise = {question.placement for question in questions}, questions[0].noise
    return [
        f"Names {' '.join(base.game.pool)}",
        base.mind_label,
        *(topologies if len(topologies) == 1 else ()),
        *(f"committed agents placed: {it}" for it in placements if len(placements) == 1),
        *([f"committed agents play another name in {noise:.3g} of all cases"] if noise else []),
        f"pairing by {read_pairing(base.pairing).label}",
        f"memory of {base.memory}",
        f"seed {found.seed}",
    ]


def _surely(bracket: tuple[float, float]) -> str:
    """Return what is sure of the critical mass without a curve."""
    below, above = bracket
    parts = [f"more than {below:.0f}"] if below >= 0 else []
    parts += [f"at most {above:.0f}"] if math.isfinite(above) else []
    return ", ".join(map(unbroken, parts)) or "nothing"


def _limits(level: float, *more: str) -> list[str]:
    each = f"Intervals hold in {level:.3g} of all cases, each by itself."
    return [*_TIPPING_LIMITS, *more, each]


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
