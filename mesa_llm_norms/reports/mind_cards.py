"""Mind cards as files: a page, a picture, or JSON."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from mesa_llm_norms.errors import SpecError, shortened, shown
from mesa_llm_norms.experiments.cards import Entry, MindCard
from mesa_llm_norms.plots.cards import plot_cards
from mesa_llm_norms.plots.style import figure_bytes
from mesa_llm_norms.reports import render, unbroken, write_json

ENDINGS = (".html", ".json", ".png", ".svg")

_LIMITS = (
    "A recorded mind knows what it was measured on. What it does on other memories, with other "
    "names, or beside committed agents follows from how it reacted there: a prediction.",
    "The infinite population is the complete graph without chance, given all the time it needs. "
    "A mind whose choices drift from run to run plays there as it was fitted to all runs.",
    "Shares of wins are of populations on complete graphs; the picture has their 95% intervals.",
)


def check_ending(path: Path) -> None:
    """Raise ``SpecError`` unless a card can be written into such a file."""
    if path.suffix.lower() not in ENDINGS:
        problem = f"{shown(path.name)} ends in none of {', '.join(ENDINGS)}"
        raise SpecError("out", str(path), problem, "Write card.html, for example.")


def write_cards(cards: Sequence[MindCard], path: Path, form: str) -> None:
    """Write one card, or several side by side.

    Parameters
    ----------
    cards : sequence of MindCard
        At most eight cards of minds that play the same names.
    path : pathlib.Path
        The file to write.
    form : str
        One of ``ENDINGS``.
    """
    if form == ".json":
        objects = [card.as_object() for card in cards]
        write_json(path, objects[0] if len(objects) == 1 else {"cards": objects})
    elif form == ".html":
        path.write_text(_page(cards), encoding="utf-8")
    else:
        path.write_bytes(figure_bytes(plot_cards(cards), form.removeprefix(".")))


def rows_of(cards: Sequence[MindCard]) -> list[tuple[str, list[tuple[Entry, ...]]]]:
    """Return the quantities by section: for each, the entries of all cards."""
    rows = list(zip(*(card.entries() for card in cards), strict=True))
    return [(section, list(part)) for section, part in groupby(rows, lambda row: row[0].section)]


def _page(cards: Sequence[MindCard]) -> str:
    svg = base64.b64encode(figure_bytes(plot_cards(cards), "svg")).decode("ascii")
    title = f"Card of {cards[0].mind}" if len(cards) == 1 else "Minds side by side"
    return render(
        "card.html",
        title=title,
        cards=cards,
        sections=rows_of(cards),
        picture=f"data:image/svg+xml;base64,{svg}",
        text=lambda one: ", ".join(map(unbroken, one.text.split(", "))),
        brief=lambda value: shortened(str(value), 300),
        limits=_LIMITS,
    )
