"""Changes made by hand while a run is played: who is committed, and which ties there are.

Each belongs to a number of interactions, before which it has no effect. Written as text they go
into a link::

    120:5=M      after 120 interactions, commit the agent in place 5 to M
    120:5=       release it
    300:3+4      tie the agents in places 3 and 4
    300:3-4      cut that tie

A place is that of a node in the order of the graph, from 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from mesa_llm_norms.errors import SpecError

MOST_EDITS = 1_000

_TEXT = re.compile(
    r"(?P<at>\d{1,12}):(?P<place>\d{1,9})(?:=(?P<name>.*)|(?P<sign>[+-])(?P<other>\d{1,9}))",
    re.DOTALL,
)


class Commitment(NamedTuple):
    """After ``at`` interactions the agent in ``place`` is committed to ``name``, or released."""

    at: int
    place: int
    name: str | None

    @property
    def text(self) -> str:
        """The change as it is written in a link."""
        return f"{self.at}:{self.place}={self.name or ''}"


class Tie(NamedTuple):
    """After ``at`` interactions there is, or is no more, a tie between two places."""

    at: int
    place: int
    other: int
    there: bool

    @property
    def text(self) -> str:
        """The change as it is written in a link."""
        return f"{self.at}:{self.place}{'+' if self.there else '-'}{self.other}"


Edit: TypeAlias = Commitment | Tie


def read_edit(text: str) -> Edit:
    """Return the change that ``text`` stands for; ``SpecError`` where it stands for none."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise SpecError(
            "edit",
            text,
            f"{text!r} is no change of agents or ties",
            "Write 120:5=M, 120:5=, 300:3+4 or 300:3-4.",
        )
    at, place = int(found["at"]), int(found["place"])
    if found["sign"] is None:
        return Commitment(at, place, found["name"] or None)
    return Tie(at, place, int(found["other"]), found["sign"] == "+")


def in_order(edits: Iterable[Edit]) -> tuple[Edit, ...]:
    """Return changes by when they happen, those of one moment in the order given."""
    found = tuple(sorted(edits, key=lambda edit: edit.at))
    if len(found) > MOST_EDITS:
        raise SpecError(
            "edit", len(found), f"{len(found):,} changes are too many", f"Make {MOST_EDITS:,}."
        )
    return found
