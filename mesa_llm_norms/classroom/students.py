"""Who is in a class: people without names, each an animal in a color.

Nothing about them is kept that they did not do here: no name, no address, no device.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

COLORS = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "red": "#D55E00",
    "sky": "#56B4E9",
    "pink": "#CC79A7",
    "yellow": "#F0E442",
}
ANIMALS = (
    *("otter", "fox", "owl", "bear", "hare", "crane"),
    *("newt", "seal", "lynx", "wren", "toad", "moth"),
)
LABELS = len(COLORS) * len(ANIMALS)
"""How many distinct labels there are; 7 and 12 have no common divisor."""

AWAY_AFTER = 10.0
"""Seconds without a sign of life after which a mind plays for a student."""

MISSES = 2
"""Deadlines missed in a row after which a student is no longer waited for."""


@dataclass
class Student:
    """One who joined.

    Attributes
    ----------
    number : int
        In the order of joining, from 1; no two students of a session share one.
    label_index : int
        Which animal in which color.
    token : str
        The secret in the student's cookie.
    heard : float
        When the last sign of life came, by the clock of the class.
    node : int or None
        Index of the agent the student plays for, None for a voter.
    missed : int
        Deadlines missed in a row.
    idle : bool
        Whether ``MISSES`` deadlines were missed, and the student has not come back since.
    points : float
        Payoffs of the interactions the student chose in.
    kicked : bool
        Whether the teacher sent the student away.
    """

    number: int
    label_index: int
    token: str = field(repr=False)
    heard: float
    node: int | None = None
    missed: int = 0
    idle: bool = False
    points: float = 0
    kicked: bool = False

    @property
    def label(self) -> str:
        """Color and animal: ``green otter``."""
        return f"{list(COLORS)[self.label_index % len(COLORS)]} {self.animal}"

    @property
    def animal(self) -> str:
        """The animal."""
        return ANIMALS[self.label_index % len(ANIMALS)]

    @property
    def color(self) -> str:
        """The color, as in ``#009E73``."""
        return list(COLORS.values())[self.label_index % len(COLORS)]

    def here(self, now: float) -> bool:
        """Whether there was a sign of life not long ago."""
        return now - self.heard <= AWAY_AFTER

    def plays(self, now: float) -> bool:
        """Whether the student is asked when the agent's turn comes."""
        return self.node is not None and self.here(now) and not self.idle


def free_label(taken: Iterable[int]) -> int:
    """Return the index of the first label that nobody has."""
    used = set(taken)
    return next(i for i in range(LABELS) if i not in used)
