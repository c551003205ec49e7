"""The scorecard as a page: what no mind gets right first, then every experiment as a table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from mesa_llm_norms.core import formatting
from mesa_llm_norms.reproduction.results import IN_POPULATIONS, INDIVIDUAL
from mesa_llm_norms.reproduction.rows import escape_cell
from mesa_llm_norms.reproduction.scorecard import OFF, OPEN, RIGHT, Line, Scorecard

COUNTED = (INDIVIDUAL, IN_POPULATIONS)
"""Experiments with dozens of lines for a mind, of which the page has the count."""


def draw_scorecard(found: Scorecard, folder: Path) -> None:
    """Write ``scorecard.md`` into a folder."""
    (folder / "scorecard.md").write_text(scorecard_text(found), encoding="utf-8")


def scorecard_text(found: Scorecard) -> str:
    """Return the page."""
    return "\n".join(_page(found)) + "\n"


def _page(found: Scorecard) -> Iterator[str]:
    yield "# Scorecard"
    yield ""
    yield f"Made by `{found.command}`. {found.sentence}"
    yield ""
    if missed := found.by_none():
        yield "## What no mind gets right"
        yield ""
        for lines in missed:
            yield f"- {escape_cell(missed_text(lines))}"
        yield ""
    yield "## Right, by mind and experiment"
    yield ""
    yield _row(("experiment", *found.minds))
    yield _row(["---"] * (1 + len(found.minds)))
    for experiment in found.experiments:
        lines = found.of(experiment)
        counts = (_count([it for it in lines if it.mind == mind]) for mind in found.minds)
        yield _row((experiment, *counts))
    yield ""
    yield HOW
    for experiment in found.experiments:
        lines = found.of(experiment)
        if experiment in COUNTED:
            lines = [line for line in lines if line.verdict == OFF]
        yield f"\n## {escape_cell(experiment)}\n"
        if experiment in COUNTED:
            yield "Only what is off; the others are in `scorecard.csv`.\n"
        if not lines:
            yield "Nothing is off."
            continue
        yield _row(("result", *found.minds))
        yield _row(["---"] * (1 + len(found.minds)))
        for what in dict.fromkeys(line.what for line in lines):
            by_mind = {line.mind: line for line in lines if line.what == what}
            yield _row((what, *(_cell(by_mind.get(mind)) for mind in found.minds)))


def missed_text(lines: Sequence[Line]) -> str:
    """Return a result that no mind gets right, with how far each is from it."""
    each = ", ".join(f"{line.mind} {_cell(line)}" for line in lines)
    return f"{lines[0].experiment}, {lines[0].what}: {each}"


HOW = """\
So many comparisons are right, of so many; those that the data leave open are not among them. The
tables below have how far each mind is from what was observed, with a 95% interval: after "times"
the ratio of two times (1 is no distance), and otherwise a difference of shares or of the numbers of
a paper, 0 where a number is within what a sentence allows. **Bold** is off by the test of its row,
corrected for the rows of its part; (in brackets) is undecided, also where people are farther off
than nearly all populations, and these are too few to say so; empty was not observed. Intervals are
of each number by itself, so that one that leaves out no distance need not be off. What people did,
what papers state and the fits of minds are taken as exact."""


def _count(lines: Sequence[Line]) -> str:
    right = sum(line.verdict == RIGHT for line in lines)
    return f"{right} of {len(lines)}" if lines else ""


def _cell(line: Line | None) -> str:
    if line is None:
        return ""
    text = distance_text(line)
    return {OFF: f"**{text}**", OPEN: f"({text})"}.get(line.verdict, text)


def distance_text(line: Line) -> str:
    """Return a distance with its interval."""
    if math.isnan(line.distance.value):
        return "unknown"
    if line.ratio:
        return "times " + formatting.estimate(line.distance, ".2f")
    value, low, high = map(_signed, line.distance)
    return value if low == value == high else f"{value} ({low} to {high})"


def _signed(value: float) -> str:
    """Return a number with its sign, but for none: ``0``, or ``0.00`` if it rounds to that."""
    if not value:
        return "0"
    text = formatting.number(value, "+.2f")
    return text[1:] if text in ("+0.00", "-0.00") else text


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(escape_cell(cell) for cell in cells) + " |"
