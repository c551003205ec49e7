"""Where interactions come from: a model that plays, or the record of a run that was played."""

from __future__ import annotations

from collections.abc import Generator, Hashable
from typing import Any, Protocol

import networkx as nx

from mesa_llm_norms.game import Interaction
from mesa_llm_norms.viz.edits import Edit
from mesa_llm_norms.viz.frame import Card, Usage
from mesa_llm_norms.viz.record import Record


class Source(Protocol):
    """A population that is shown, at its start when it is made.

    ``card`` may be called by any thread, at any time, and must not wait; ``interrupt`` and
    ``close`` too. All else is for the one thread that plays.
    """

    @property
    def graph(self) -> nx.Graph[Any]:
        """The network as it is now; its nodes, in this order, are the places."""

    @property
    def pool(self) -> tuple[str, ...]:
        """The names that may be played."""

    @property
    def agents(self) -> int:
        """How many agents play: N."""

    @property
    def converged(self) -> bool:
        """Whether the population has converged."""

    @property
    def free(self) -> bool:
        """Whether play costs nothing, so that a link may have it played."""

    @property
    def between_rounds(self) -> bool:
        """Whether the last population round that was begun is over."""

    @property
    def rounds(self) -> int:
        """After how many population rounds play stops by itself."""

    @property
    def usage(self) -> Usage | None:
        """What calls came to, where there are live minds."""

    @property
    def length(self) -> int | None:
        """How many interactions there are, where that is known beforehand."""

    def committed(self) -> dict[Hashable, str]:
        """Return who is committed now, and to which name."""

    def play(self) -> Generator[Interaction, None, None]:
        """Yield one interaction after the other; to stop asking is to stop playing."""

    def change(self, edit: Edit) -> bool:
        """Make a change by hand; return whether the network is another now."""

    def card(self, place: int, record: Record) -> Card:
        """Return all there is to know about the agent in a place now."""

    def interrupt(self) -> None:
        """Have ``play`` stop where it waits for minds."""

    def close(self) -> None:
        """Let go of everything; whatever still plays in another thread ends soon."""
