"""Numbers as HTML: tables, estimates and p-values, with every text escaped."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Iterable, Sequence

from mesa_llm_norms.audits.preference import Preference
from mesa_llm_norms.statistics import Estimate


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
        f"<p>{escaped(overall)}</p>",
    ]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table; every cell is text and nothing in it is read as HTML."""
    return [
        "<table>",
        "<tr>" + "".join(f"<th>{escaped(cell)}</th>" for cell in head) + "</tr>",
        *("<tr>" + "".join(f"<td>{escaped(cell)}</td>" for cell in row) + "</tr>" for row in rows),
        "</table>",
    ]


def leaders(names: Sequence[str], shares: Sequence[float]) -> str:
    """Return the three names with the largest shares."""
    ranked = sorted(zip(names, shares, strict=True), key=lambda it: -it[1])
    return ", ".join(f"{name} {share:.3f}" for name, share in ranked[:3])


def counts_text(found: Preference) -> str:
    """Return how often every name was chosen."""
    return ", ".join(f"{one.name} {one.chosen}" for one in found.names)


def estimate_text(found: Estimate, form: str = ".3f") -> str:
    """Return an estimate with its interval, alone where it is known."""
    if found.low == found.high:
        return format(found.value, form)
    return f"{found.value:{form}} ({found.low:{form}} to {found.high:{form}})"


def p_text(p_value: float | None) -> str:
    """Return a p-value to three places."""
    if p_value is None:
        return "known"
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def capital(text: str) -> str:
    """Return a text that begins with a capital."""
    return text[:1].upper() + text[1:]


def escaped(text: str) -> str:
    """Return a text in which nothing is read as HTML."""
    return html.escape(text)


def embedded(svg: bytes) -> str:
    """Return an SVG file as an address that holds it."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode("ascii")
