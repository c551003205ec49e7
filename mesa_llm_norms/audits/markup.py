"""Preferences as HTML."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mesa_llm_norms.audits.preference import Preference
from mesa_llm_norms.markup import estimate_text, p_text, paragraph, table


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
