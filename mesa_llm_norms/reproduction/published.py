"""What is known otherwise than from the recordings, and how sure it is. Data only."""

from __future__ import annotations

from typing import NamedTuple

from mesa_llm_norms.classical.published import EXACT_FLIPS

STUDY = "Ashery, Aiello and Baronchelli (2025), Sci. Adv. 11, eadu9368"
NETWORKS = "Centola and Baronchelli (2015), PNAS 112, 1989"
TIPPING = "Centola, Becker, Brackbill and Baronchelli (2018), Science 360, 1116"
CLASSICAL_GAME = "recorded elsewhere for the classical binary game, within .03"


class Published(NamedTuple):
    """A published number, what it was found in, and how sure it is."""

    value: float
    source: str
    approximate: bool = False
    """Rounded, or read off a text about the publication: good for about one percentage point."""
    within: float = 0.0
    """How far off the number is said to be at most, where that is said."""


FIRST_CHOICE = Published(0.5, STUDY)
"""Share of one of two names, Q or M, with nothing remembered: no individual bias."""
SMALLEST_MASS = Published(0.02, STUDY, approximate=True)
LARGEST_MASS = Published(0.67, STUDY, approximate=True)
"""Shares of committed agents that overturn a convention, over models and conventions."""

CLASSICAL_FLIPS = {
    count: Published(share, CLASSICAL_GAME, within=0.03)
    for count, share in ((2, 0.18), (3, 0.57), (4, 0.92), (5, 0.99))
}
"""Share of populations that flip in 30 rounds, by how many of 24 are committed; of 3,000 runs."""
CLASSICAL_EXACT = EXACT_FLIPS
"""The same shares worked out by this project, from the Markov chain that the rules make."""

FLIPPED_GROUPS, GROUPS = {"below": 0, "at": 5}, 5
"""Of five groups of 20 to 30 people each: flipped, below 21% committed and from 25% on."""
