"""Plays a population for one viewer, in a thread of its own, and never makes the page wait.

The page gives orders and looks at the latest ``Frame``; ``version`` tells whether there is a new
one. Frames are made at most ``work.FRAMES`` times a second. A reset does not wait for what is under
way: the old population is left to itself, and nothing it still does is shown.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from mesa_llm_norms.viz.edits import Commitment, Tie
from mesa_llm_norms.viz.frame import Card, Frame
from mesa_llm_norms.viz.record import Record
from mesa_llm_norms.viz.setting import Setting
from mesa_llm_norms.viz.source import Source
from mesa_llm_norms.viz.work import Order, Work


class Runner:
    """One viewer's population; see the module. ``make`` makes it from a setting."""

    def __init__(self, make: Callable[[Setting], Source], setting: Setting) -> None:
        self._make = make
        self._lock = threading.Lock()
        self.speed = 2.0
        """Population rounds a second, ``FULL_SPEED`` for as many as there can be."""
        self.until_converged = False
        """Whether ``PLAY`` stops where the population converges."""
        self.frame = Frame()
        self.version = 0
        self.on_frame: Callable[[], object] | None = None
        """Called by some thread when there is a new frame; it must not wait."""
        self._work = Work(self, self._make, setting)

    def reset(self, setting: Setting) -> None:
        """Begin another population, or the same anew, and go on to the moment in its setting."""
        self._work.leave()
        work = Work(self, self._make, setting)
        with self._lock:
            self._work = work
            self.frame = replace(self.frame, state="preparing", note="", error="")
            self.version += 1
        work.start()

    def start(self) -> None:
        """Make the population; to be called once."""
        self._work.start()

    def give(self, order: Order) -> None:
        """Have the population do something else from now on."""
        self._work.give(order)

    def commit(self, place: int, name: str | None) -> None:
        """Commit the agent in a place to a name, or release it."""
        self._work.change(Commitment(0, place, name))

    def tie(self, place: int, other: int, there: bool) -> None:
        """Add a tie between two places, or cut it."""
        self._work.change(Tie(0, place, other, there))

    def seek(self, interactions: int) -> None:
        """Go to the moment after so many interactions, forward or back."""
        self.reset(replace(self.setting, at=max(0, interactions)))

    def card(self, place: int) -> Card | None:
        """Return all there is to know about an agent, None while there is no population."""
        return self._work.card(place)

    def close(self) -> None:
        """Play nothing any more."""
        self._work.leave()

    @property
    def playing(self) -> bool:
        """Whether the population has been told to play and has not come to an end."""
        return self._work.order is not Order.PAUSE

    @property
    def setting(self) -> Setting:
        """The setting of what is on screen: with the changes made by hand, at this moment."""
        return self._work.setting

    @property
    def source(self) -> Source | None:
        """What is played, None while it is being made."""
        return self._work.source

    @property
    def record(self) -> Record | None:
        """What was played so far, round by round."""
        return self._work.record

    def publish(self, work: Work, frame: Frame) -> None:
        """Show a frame, if it is of the population that is played now."""
        with self._lock:
            if work is not self._work:
                return
            self.frame = frame
            self.version += 1
            tell = self.on_frame
        if tell is not None:
            tell()
