"""One population from its making to its end, played in a thread of its own.

Plays a population for one viewer, in a thread of its own, and never makes the page wait.

The page gives orders and looks at the latest ``Frame``; ``version`` tells whether there is a new
one. Frames are made at most ``work.FRAMES`` times a second. A reset does not wait for what is under
way: the old population is left to itself, and nothing it still does is shown.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from enum import Enum
from typing import Protocol

from mesa_llm_norms.errors import BudgetError, InterruptionError, NormsError
from mesa_llm_norms.web.frames import Card, Frame, Record, Source, Stage
from mesa_llm_norms.web.setting import Commitment, Edit, Setting, Tie, in_order

FRAMES = 12
"""How many frames a second are made, at most."""


FULL_SPEED = math.inf


_AT_ONCE = 2
"""How many of them may follow one another directly after a while without any."""


_GATHERING = 0.004
"""Seconds between the first news and the frame that tells it, with what comes meanwhile."""


_BREATH = 0.01
"""Seconds of play at full speed after which other threads get a turn."""


_log = logging.getLogger(__name__)


class Order(Enum):
    """What a population is to do."""

    PAUSE = "pause"
    PLAY = "play"
    INTERACTION = "one interaction"
    ROUND = "to the end of the round"
    CONVERGE = "until it converges"


_PACED = (Order.PLAY,)
"""What is done at the runner's speed; all else as fast as it goes."""


class Viewer(Protocol):
    """Who a population plays for: says how fast, and is shown the frames."""

    speed: float
    until_converged: bool
    frame: Frame

    def publish(self, work: Work, frame: Frame) -> None:
        """Show a frame."""


class Work:
    """One population of a viewer, made from a setting by ``make``.

    Two threads run for it until ``leave`` is called: one plays, one makes frames.
    """

    def __init__(self, viewer: Viewer, make: Callable[[Setting], Source], setting: Setting) -> None:
        self._viewer = viewer
        self._make = make
        self._setting = setting
        self._scheduled = list(setting.edits)
        self._made: list[Edit] = []
        self._wanted: list[Edit] = []
        self._changed = threading.Condition()
        self._stage_lock = threading.Lock()
        self._unseen = threading.Event()
        self._left = False
        self._stage: Stage | None = None
        self._ready = False
        self._busy = True
        self._note = self._error = ""
        self.order = Order.PAUSE
        self._orders = 0

    def start(self) -> None:
        """Begin; to be called once."""
        for task, name in ((self._play, "player"), (self._show, "frames")):
            threading.Thread(target=task, name=f"mesa_llm_norms {name}", daemon=True).start()

    # For the page

    def give(self, order: Order) -> None:
        """Do something else from now on."""
        with self._changed:
            self.order = order
            self._orders += 1
            self._note = self._error = ""
            self._changed.notify_all()
        if order is Order.PAUSE:
            self._interrupt()
            self._unseen.set()

    def change(self, edit: Edit) -> None:
        """Make a change by hand, as soon as no interaction is under way."""
        with self._changed:
            self._wanted.append(edit)
            self._note = self._error = ""
            self._changed.notify_all()
        self._interrupt()

    def leave(self) -> None:
        """Play nothing any more, and show nothing of what still ends."""
        with self._changed:
            self._left = True
            self._changed.notify_all()
        self._interrupt()
        self._unseen.set()

    def card(self, place: int) -> Card | None:
        """Return all there is to know about an agent, None while there is no population."""
        stage = self._stage
        return stage.source.card(place, stage.record) if stage is not None else None

    @property
    def setting(self) -> Setting:
        """The setting at this moment, with the changes made by hand."""
        at = self.record.interactions if self.record is not None else self._setting.at
        edits = in_order([*self._setting.edits, *self._made])
        return replace(self._setting, edits=edits, at=at)

    @property
    def source(self) -> Source | None:
        """What is played, None while it is being made."""
        return self._stage.source if self._stage is not None else None

    @property
    def record(self) -> Record | None:
        """What was played so far."""
        return self._stage.record if self._stage is not None else None

    def _interrupt(self) -> None:
        if self._stage is not None:
            self._stage.source.interrupt()

    # The thread that plays

    def _play(self) -> None:
        try:
            with closing(self._make(self._setting)) as source:
                stage = Stage(source)
                self._stage = stage
                if source.free:
                    self._follow(Order.PLAY, stage, to=self._setting.at)
                self._ready = True
                while not self._left:
                    self._busy = False
                    self._unseen.set()
                    with self._changed:
                        self._changed.wait_for(
                            lambda: self._left or self._wanted or self.order is not Order.PAUSE
                        )
                        self._busy = True
                    self._try(stage)
        except Exception as error:
            self._fail(error)
        finally:
            self._busy = False
            self._unseen.set()

    def _try(self, stage: Stage) -> None:
        """Do what was ordered; what goes wrong is told, and can be tried again."""
        with self._changed:
            order, orders = self.order, self._orders
        try:
            self._change_what_is_wanted(stage)
            if order is not Order.PAUSE:
                self._follow(order, stage)
        except InterruptionError:
            pass
        except BudgetError as error:
            self._note = str(error)
        except Exception as error:
            self._fail(error)
        finally:
            with self._changed:
                if self._orders == orders and not self._wanted:
                    self.order = Order.PAUSE

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, NormsError):
            _log.error("unexpected error in a population", exc_info=error)
        said = str(error) if isinstance(error, NormsError) else f"unexpected: {error!r}"
        self._error = said
        with self._changed:
            self.order = Order.PAUSE

    def _follow(self, order: Order, stage: Stage, to: int | None = None) -> None:
        """Play as ordered, or as fast as may be up to so many interactions."""
        source, record = stage.source, stage.record
        pace = _Pace(self._viewer, source.agents, self._changed)
        over = record.rounds - (not source.between_rounds)
        last_round = (over // source.rounds + 1) * source.rounds
        while not self._left and (to is not None or self.order is order):
            self._change_what_is_due(stage)
            self._change_what_is_wanted(stage)
            if to is not None and record.interactions >= to:
                return
            if self._has_converged(order, source):
                return
            if source.length == record.interactions:
                self._note = "The recorded run ends here."
                return
            played = False
            rows = source.play()
            with closing(rows):
                for row in rows:
                    played = True
                    with self._stage_lock:
                        stage.add(row)
                    self._unseen.set()
                    if self._ends(order, stage, last_round, to):
                        return
                    if self._something_else(order, to) or self._is_due(record.interactions):
                        break
                    if order in _PACED and to is None:
                        pace.wait(lambda: self._something_else(order, to))
            if not played and to is not None:
                return

    def _ends(self, order: Order, stage: Stage, last_round: int, to: int | None) -> bool:
        source, record = stage.source, stage.record
        if to is not None:
            return record.interactions >= to and not self._is_due(to)
        if order is Order.INTERACTION:
            return True
        if order is Order.ROUND and source.between_rounds:
            return True
        if self._has_converged(order, source):
            return True
        if record.rounds >= last_round and source.between_rounds:
            self._note = (
                f"Stopped after round {record.rounds:,}. Play on for {source.rounds:,} more."
            )
            return True
        return False

    def _has_converged(self, order: Order, source: Source) -> bool:
        """Whether this is the end because everybody agrees; say so if it is."""
        asked = order is Order.CONVERGE or (order is Order.PLAY and self._viewer.until_converged)
        if asked and source.converged:
            self._note = "In the last three rounds every meeting matched."
            return True
        return False

    def _something_else(self, order: Order, to: int | None) -> bool:
        return self._left or bool(self._wanted) or (to is None and self.order is not order)

    def _is_due(self, interactions: int) -> bool:
        return bool(self._scheduled) and self._scheduled[0].at <= interactions

    def _change_what_is_due(self, stage: Stage) -> None:
        while self._is_due(stage.record.interactions):
            self._change(self._scheduled.pop(0), stage)

    def _change_what_is_wanted(self, stage: Stage) -> None:
        while self._wanted:
            edit = self._wanted.pop(0)._replace(at=stage.record.interactions)
            if self._change(edit, stage):
                self._made.append(edit)

    def _change(self, edit: Edit, stage: Stage) -> bool:
        try:
            with self._stage_lock:
                if stage.source.change(edit):
                    stage.redraw()
        except NormsError as error:
            self._error = str(error)
            return False
        finally:
            self._unseen.set()
        return True

    # The thread that makes frames

    def _show(self) -> None:
        due = 0.0
        while True:
            self._unseen.wait()
            time.sleep(_GATHERING)
            self._unseen.clear()
            if self._left:
                return
            self._viewer.publish(self, self._frame())
            now = time.monotonic()
            due = max(due, now - (_AT_ONCE - 1) / FRAMES) + 1 / FRAMES
            time.sleep(max(0.0, due - now))

    def _frame(self) -> Frame:
        if not self._ready:
            state = "preparing" if self._busy else "paused"
        elif self.order is not Order.PAUSE:
            state = "playing"
        else:
            state = "pausing" if self._busy else "paused"
        if self._stage is None:
            return replace(self._viewer.frame, state=state, note=self._note, error=self._error)
        with self._stage_lock:
            return self._stage.frame(state, self._note, self._error)


class _Pace:
    """Spreads interactions over time, at the viewer's speed; lost time is not made up for."""

    def __init__(self, viewer: Viewer, agents: int, changed: threading.Condition) -> None:
        self._viewer = viewer
        self._agents = agents
        self._changed = changed
        self._due = self._breathed = time.monotonic()

    def wait(self, something_else: Callable[[], bool]) -> None:
        """Wait until the next interaction is due, or there is something else to do."""
        now = time.monotonic()
        self._due = max(self._due + 1 / (self._viewer.speed * self._agents), now - 0.1)
        if self._due - now > 0.004:
            with self._changed:
                self._changed.wait_for(something_else, self._due - now)
        elif now - self._breathed > _BREATH:
            self._breathed = now
            time.sleep(0.001)


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
