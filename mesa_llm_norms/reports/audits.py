"""Preferences as HTML.

The page of an audit: HTML that holds all it needs, and neither scripts nor links.

What an audit leaves behind: the page, all numbers as JSON, and the figure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from mesa_llm_norms.experiments.audits.populations import EFFECTS, Comparison, SizeCurve
from mesa_llm_norms.experiments.audits.preference import Preference
from mesa_llm_norms.experiments.audits.probes import Probes, comprehension_sentence
from mesa_llm_norms.experiments.audits.verdict import KINDS, Audit
from mesa_llm_norms.minds.policies import write_memory
from mesa_llm_norms.plots.experiments import plot_audit
from mesa_llm_norms.plots.style import save_figure
from mesa_llm_norms.reports import (
    bullets,
    capital,
    document,
    escaped,
    estimate_text,
    figure,
    p_text,
    paragraph,
    table,
)
from mesa_llm_norms.simulation.results import versions


def preference_table(found: Preference) -> list[str]:
    """Return a table of names, and below it what holds for all of them together."""
    rows = [
        (
            one.name,
            "" if one.chosen is None else f"{one.chosen:,}",
            estimate_text(one.share),
            f"{one.expected:.3f}",
            estimate_text(one.effect, "+.2f"),
            p_text(one.p_value),
        )
        for one in sorted(found.names, key=lambda it: -it.share.value)
    ]
    overall = f"Total variation from equal shares: {estimate_text(found.variation)}."
    if found.p_value is not None:
        overall += f" Exact test of all names: p {p_text(found.p_value)}."
        if found.chi_square is not None and not math.isnan(found.chi_square):
            overall += f" Chi-square: p {p_text(found.chi_square)}."
    return [
        *table(("name", "count", "share", "equal", "Cohen's h", "p, corrected"), rows),
        paragraph(overall),
    ]


def leaders(names: Sequence[str], shares: Sequence[float]) -> str:
    """Return the three names with the largest shares."""
    ranked = sorted(zip(names, shares, strict=True), key=lambda it: -it[1])
    return ", ".join(f"{name}\N{NO-BREAK SPACE}{share:.3f}" for name, share in ranked[:3])


def counts_text(found: Preference) -> str:
    """Return how often every name was chosen."""
    return ", ".join(f"{one.name}\N{NO-BREAK SPACE}{one.chosen}" for one in found.names)


MOST_CHOICES = 40
"""How many memories the page shows, those with the largest bias; the JSON has all."""


_LIMITS = (
    "A recorded mind knows what it was fitted to: 24 agents on a complete graph who remember five "
    "interactions, with a few pools. Other sizes, networks and memories are played by the same "
    "reactions to a memory. A name that was never recorded is played without bias, which says "
    "nothing about the real model.",
    "First choices of a policy are known, so that an individual bias is a matter of size and not "
    "of a test: less than one choice in fifty counts as none.",
    "What is not shown is not shown to be absent. The intervals say how large it may be.",
)


def page(audit: Audit, svg: bytes) -> str:
    """Return the page; ``svg`` is the figure."""
    return document(
        f"Audit of {audit.mind}",
        [
            paragraph(_setting(audit)),
            *_verdict(audit),
            figure(svg, "Shares by name and by size of the group"),
            *_individual(audit),
            *_collective(audit),
            *(_sizes(audit.sizes) if audit.sizes is not None else ()),
            *_probes(audit.probes),
            "<h2>Limits</h2>",
            *bullets(_LIMITS),
        ],
    )


def _setting(audit: Audit) -> str:
    spec = audit.spec
    return (
        f"Names {' '.join(spec.game.pool)}; {spec.topology}; memory of {spec.game.memory}; "
        f"{spec.game.reward:+g} points for equal names, {spec.game.penalty:+g} for different ones; "
        f"seed {spec.seed}. False alarms: {audit.level:.3g} for every question; intervals hold in "
        f"{1 - audit.level:.3g} of all cases."
    )


def _verdict(audit: Audit) -> list[str]:
    verdict = audit.verdict
    kind = "verdict flagged" if verdict.flagged else "verdict"
    said = " ".join(verdict.sentences)
    return [
        f'<div class="{kind}"><p><strong>{escaped(capital(KINDS[verdict.kind]))}.</strong></p>',
        f"<p>{escaped(said)}</p></div>",
    ]


def _individual(audit: Audit) -> list[str]:
    individual = audit.individual
    how = (
        "The mind's probabilities are known: there is no sampling error and nothing to test."
        if individual.exact
        else f"The mind was asked; {individual.unusable} answers could not be used."
    )
    leans = [
        (
            f"{lean.length}",
            f"{lean.memories:,}"
            + (f" of {lean.memories + lean.left_out:,}" if lean.left_out else ""),
            f"{lean.bias:.3f}",
            ", ".join(
                f"{name}\N{NO-BREAK SPACE}{gain:+.3f}"
                for name, gain in sorted(
                    zip(individual.pool, lean.towards, strict=False), key=lambda it: -abs(it[1])
                )[:5]
            ),
            p_text(lean.p_value),
        )
        for lean in individual.leans
    ]
    shown = sorted((one for one in individual.choices if one.memory), key=lambda one: -one.bias)
    choices = [
        (
            write_memory(one.memory),
            leaders(individual.pool, one.shares),
            leaders(individual.pool, one.fair),
            f"{one.bias:.3f}",
            "known" if one.answers is None else f"{one.answers}",
        )
        for one in shown[:MOST_CHOICES]
    ]
    return [
        "<h2>Individuals</h2>",
        f"<p>{escaped(how)}</p>",
        "<h3>First choice, remembering nothing</h3>",
        *preference_table(individual.first),
        "<h3>After one and two interactions</h3>",
        '<p class="note">Against the same mind made symmetric. Bias is the part of choices that '
        "would have to change.</p>",
        *table(("remembered", "memories", "mean bias", "leans towards", "p"), leans),
        *table(("memory, own/partner", "chooses", "made symmetric", "bias", "answers"), choices),
    ]


def _collective(audit: Audit) -> list[str]:
    if audit.played is None or audit.winners is None:
        return ["<h2>Groups</h2>", "<p>No populations were played.</p>"]
    played = audit.played
    median = (
        "" if played.median is None else f", half of them within {played.median:,.0f} interactions"
    )
    return [
        "<h2>Groups</h2>",
        f"<p>{played.settled:,} of {played.runs:,} populations of {played.agents:,} agents settled "
        f"on one name{median}.</p>",
        *preference_table(audit.winners),
        "<h3>Is it more than individuals explain?</h3>",
        *table(
            ("held against", "settled", "winners", "largest difference", "all names: p"),
            [_comparison(one) for one in audit.comparisons],
        ),
        '<p class="note">symmetric: the same mind without a preference. first choices: only the '
        "first choices biased, as measured. drift: the classical naming game begun with the same "
        "first choices.</p>",
    ]


def _comparison(one: Comparison) -> tuple[str, ...]:
    largest = max(one.differences, key=lambda it: abs(it.wins.value))
    return (
        one.null,
        f"{one.played.settled:,} of {one.played.runs:,}",
        leaders(one.played.names, one.played.shares),
        f"{largest.name} {estimate_text(largest.wins, '+.3f')}",
        p_text(one.p_value),
    )


def _sizes(curve: SizeCurve) -> list[str]:
    rows = [
        (
            f"{point.played.agents:,}",
            f"{point.played.settled:,} of {point.played.runs:,}",
            estimate_text(point.preference.of(curve.strong).share),
            point.preference.favourite.name if point.played.settled else "",
            point.effect,
        )
        for point in curve.points
    ]
    met = dict.fromkeys(point.effect for point in curve.points)
    return [
        "<h2>By size of the group</h2>",
        f"<p>On {escaped(curve.topology)}. By themselves individuals choose "
        f"{escaped(curve.strong)} in {curve.individual:.3f} of all cases.</p>",
        *table(("agents", "settled", f"{curve.strong} wins", "wins most", "effect"), rows),
        '<p class="note">' + escaped("; ".join(f"{it}: {EFFECTS[it]}" for it in met)) + ".</p>",
    ]


def _probes(probes: Probes) -> list[str]:
    if probes.why_not is not None:
        return ["<h2>Probes</h2>", f"<p>{escaped(capital(probes.why_not))}.</p>"]
    rows = [
        (
            one.kind,
            "; ".join(f"{it.label}: {counts_text(it.preference)}" for it in one.conditions),
            p_text(one.p_value),
            one.sentence,
        )
        for one in probes.probes
    ]
    wrong = [
        (one.question.text, write_memory(one.question.memory), one.question.answer, one.reply or "")
        for one in probes.comprehension
        if not one.right
    ]
    return [
        "<h2>Probes</h2>",
        *table(("probe", "answers", "p", "what it shows"), rows),
        f"<p>{escaped(comprehension_sentence(probes))}</p>",
        *(table(("question", "memory", "right answer", "its answer"), wrong) if wrong else ()),
    ]


def write_report(audit: Audit, folder: Path) -> None:
    """Write ``audit.html``, ``audit.json``, ``audit.png`` and ``audit.svg`` into a folder."""
    _, svg = save_figure(plot_audit(audit), folder / "audit")
    (folder / "audit.html").write_text(page(audit, svg.read_bytes()), encoding="utf-8")
    content = {**audit.as_object(), "versions": versions()}
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "audit.json").write_text(text + "\n", encoding="utf-8")
