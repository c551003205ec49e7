"""Numbers and verdicts in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mesa_llm_norms.reproduction.published import Published
from mesa_llm_norms.reproduction.rows import LEVEL, Judged
from mesa_llm_norms.statistics import Estimate


def pool_text(names: Sequence[str]) -> str:
    """Return how a pool is called in a row."""
    if len(names) <= 2:
        return " ".join(names)
    return f"{len(names)} names"


def number(value: float) -> str:
    """Return a share with three digits, or a time without any."""
    if not math.isfinite(value):
        return "none"
    return f"{value:.3f}" if abs(value) <= 1 else f"{value:,.0f}"


def estimate(known: Estimate | None) -> str:
    """Return a number with its interval, if it has one."""
    if known is None:
        return ""
    if known.low == known.high:
        return number(known.value)
    return f"{number(known.value)} ({number(known.low)} to {number(known.high)})"


def p_text(value: float) -> str:
    """Return a p-value with two digits."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def published_text(known: Published | None) -> str:
    """Return a published number, if there is one, and how sure it is."""
    if known is None:
        return ""
    off = f" ± {number(known.within)}" if known.within else ""
    return f"{'~' if known.approximate else ''}{number(known.value)}{off}"


def safe(text: str) -> str:
    """Keep a name from breaking the table."""
    return str(text).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def mismatches(judged: Sequence[Judged]) -> list[str]:
    """Return a line for every row that differs, and for those that only look as if they did.

    What is published comes before what is only recorded.
    """
    ordered = sorted(judged, key=lambda one: one.row.recorded is not None)
    wrong = [one for one in ordered if not one.within]
    near = [one for one in ordered if one.within and one.row.p_value < LEVEL]
    lines = [f"- {_sentence(one)}" for one in wrong] or ["Every row is within sampling error."]
    lines += ["", f"{len(wrong)} of {len(judged)} rows."]
    if near:
        lines[-1] += (
            f" {len(near)} more have a p below {LEVEL:g} before it is corrected, where about "
            f"{LEVEL * len(judged):.0f} would by chance alone:"
        )
        lines += ["", *(f"- {_sentence(one)}" for one in near)]
    return lines


def _sentence(one: Judged) -> str:
    row = one.row
    if row.recorded is not None:
        before = f"{number(row.recorded.value)} recorded"
    else:
        before = f"{published_text(row.published)} published"
    return (
        f"**{safe(row.mind)}**, {safe(row.what)}: {number(row.here.value)} here, {before} "
        f"(p {p_text(row.p_value)}, corrected {p_text(one.corrected)}; {row.test})"
        f"{'. ' + row.note if row.note else ''}"
    )
