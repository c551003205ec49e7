"""Plays one population for one viewer, in a thread of its own; the page never waits for it.

The page gives orders and reads the latest ``Frame``. Frames are made by a second thread, as often
as the page can show them. To start over, ``restart`` returns another player: a step still under
way in the old one is abandoned, and its late result is never shown.
"""

from __future__ import annotations

import itertools
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from dataclasses import replace
from enum import Enum
from weakref import WeakSet

from mesa_llm_norms.core.game import Row
from mesa_llm_norms.core.limits import EDITS
from mesa_llm_norms.errors import BudgetError, InterruptionError, NormsError
from mesa_llm_norms.web.frames import AgentDetails, Frame, History, Renderer, Source
from mesa_llm_norms.web.setting import Commitment, EdgeChange, Edit, Setting, in_order

SHORTEST_PAUSE = 1 / 12
"""Seconds from one frame to the next, on average, where nothing is slow."""

MOST_AWAITED = 100
"""Rounds that an agent's next interaction is waited for."""

DEFAULT_SPEED = 2.0
"""Population rounds per second."""

FULL_SPEED = math.inf

_BURST = 2
"""Frames that may follow one another directly after a pause."""

_GATHERING = 0.004
"""Seconds from the first news to its frame, which includes what happens meanwhile."""

_TURN = 0.01
"""Seconds of play at full speed after which others get a turn."""

_turn = threading.Lock()
"""Held by the player that plays. If all did at once, every click would wait for each of them."""

_log = logging.getLogger(__name__)
_players: WeakSet[Player] = WeakSet()
_versions = itertools.count()


class Order(Enum):
    """What a population should do."""

    PAUSE = "pause"
    PLAY = "play"
    STEP = "one interaction"
    ROUND = "to the end of the round"
    CONVERGE = "until it converges"
    AGENT = "to the next interaction of an agent"


class Player:
    """One population, from its start until ``close``.

    ``make`` is called in the player's thread; ``setting`` also says up to which moment to play
    before anything is shown. ``speed`` is in population rounds per second, and an interaction takes
    ``interval`` seconds at least; orders other than ``PLAY`` run at full speed. With
    ``until_converged``, ``PLAY`` stops when the population converges. ``on_frame`` is called in
    some thread after each new frame and must not block.
    """

    def __init__(
        self,
        make: Callable[[Setting], Source],
        setting: Setting,
        *,
        speed: float = DEFAULT_SPEED,
        interval: float = 0.0,
        until_converged: bool = False,
        frame: Frame | None = None,
        on_frame: Callable[[], object] | None = None,
    ) -> None:
        self._pace = speed, interval
        self.pause = SHORTEST_PAUSE
        """Seconds from one frame to the next, on average, at least; the page changes it."""
        self.until_converged = until_converged
        self.frame: Frame = frame or Frame()
        self.version: int = next(_versions)
        """Changes with every frame; no two frames of any players share one."""
        self.source: Source | None = None
        """What plays; None while it is being made."""
        self._make = make
        self._setting = setting
        self._on_frame = on_frame
        self._scheduled = list(setting.edits)
        self._requested: list[Edit] = []
        self._applied: list[Edit] = []
        self._renderer: Renderer | None = None
        self._rendering = threading.Lock()
        self._changed = threading.Condition()
        self._news = threading.Event()
        self._order, self._orders = Order.PAUSE, 0
        self._agent: int | None = None
        self._held = False
        self._ended = threading.Event()
        self._ready, self._busy, self._closed, self._over = False, True, False, False
        self._note = self._error = ""
        self._threads: list[threading.Thread] = []

    # For the page

    def start(self) -> None:
        """Start both threads; call it once."""
        _players.add(self)
        self._threads = [
            threading.Thread(target=task, name=f"mesa_llm_norms {name}", daemon=True)
            for task, name in ((self._play, "player"), (self._make_frames, "frames"))
        ]
        for thread in self._threads:
            thread.start()

    def restart(self, setting: Setting) -> Player:
        """Close this player and return a started one that plays ``setting`` from its start."""
        self.close()
        player = Player(
            self._make,
            setting,
            speed=self.speed,
            interval=self.interval,
            until_converged=self.until_converged,
            frame=replace(self.frame, state="preparing", note="", error=""),
            on_frame=self._on_frame,
        )
        player.pause = self.pause
        player.start()
        return player

    def give(self, order: Order, agent: int | None = None) -> None:
        """Do something else from now on; ``AGENT`` is about the agent of this index."""
        with self._changed:
            if self._over:
                return
            self._order, self._agent = order, agent
            self._orders += 1
            self._note = self._error = ""
            self._changed.notify_all()
        if order is Order.PAUSE:
            self._interrupt()
            self._news.set()

    def commit(self, index: int, name: str | None) -> None:
        """Commit an agent to a name, or release it."""
        self._request(Commitment(0, index, name))

    def set_edge(self, index: int, other: int, present: bool) -> None:
        """Add or remove the edge between two agents."""
        self._request(EdgeChange(0, index, other, present))

    def hold(self, held: bool) -> None:
        """Stop playing for as long as nobody watches; what was ordered is done afterwards."""
        with self._changed:
            self._held = held
            self._changed.notify_all()
        if held:
            self._interrupt()

    def close(self) -> None:
        """Stop playing, and show nothing of what is still under way."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._ended.set()
        self._interrupt()
        self._news.set()

    def join(self, seconds: float) -> None:
        """Wait for both threads to end after ``close``, but not longer than that."""
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def details(self, index: int) -> AgentDetails | None:
        """Return what the page shows about an agent; None while the population is being made."""
        source, history = self.source, self.history
        return None if source is None or history is None else source.details(index, history)

    @property
    def speed(self) -> float:
        """Population rounds per second."""
        return self._pace[0]

    @speed.setter
    def speed(self, rounds: float) -> None:
        self._set_pace(rounds, self.interval)

    @property
    def interval(self) -> float:
        """Seconds that an interaction takes at least."""
        return self._pace[1]

    @interval.setter
    def interval(self, seconds: float) -> None:
        self._set_pace(self.speed, seconds)

    def _set_pace(self, rounds: float, seconds: float) -> None:
        with self._changed:
            self._pace = rounds, seconds
            self._changed.notify_all()

    @property
    def playing(self) -> bool:
        """Whether an order other than pause is being carried out."""
        return self._order is not Order.PAUSE

    @property
    def setting(self) -> Setting:
        """The setting of what is on screen: with changes made by hand, at this moment."""
        at = self.history.interactions if self.history is not None else self._setting.at
        return replace(self._setting, edits=in_order([*self._setting.edits, *self._applied]), at=at)

    @property
    def history(self) -> History | None:
        """What was played so far; None while the population is being made."""
        return self._renderer.history if self._renderer is not None else None

    def _request(self, edit: Edit) -> None:
        """Have a change made as soon as no interaction is under way."""
        with self._changed:
            self._requested.append(edit)
            self._note = self._error = ""
            self._changed.notify_all()
        self._interrupt()

    def _interrupt(self) -> None:
        source = self.source
        # A step of the model's own that is broken off would begin again, and do things twice.
        if source is not None and (self._closed or not source.whole_steps):
            source.interrupt()

    # The thread that plays

    def _play(self) -> None:
        try:
            with closing(self._make(self._setting)) as source:
                renderer = Renderer(source)
                self._renderer, self.source = renderer, source
                if source.free:
                    self._follow(Order.PLAY, source, renderer, to=self._setting.at)
                self._ready = True
                while not self._closed:
                    self._busy = False
                    self._news.set()
                    with self._changed:
                        self._changed.wait_for(
                            lambda: self._closed or self._requested or self.playing
                        )
                        self._busy = True
                    self._obey(source, renderer)
        except Exception as error:
            self._fail(error)
        finally:
            with self._changed:
                self._over, self._order, self._busy = True, Order.PAUSE, False
            self._news.set()

    def _obey(self, source: Source, renderer: Renderer) -> None:
        """Carry out the current order; failures are shown, and the order can be given again."""
        with self._changed:
            order, orders = self._order, self._orders
        try:
            self._apply_requested(source, renderer)
            if order is not Order.PAUSE:
                self._follow(order, source, renderer)
        except InterruptionError:
            pass
        except BudgetError as error:
            self._note = (
                f"The budget of this page is used up ({error.used:,.6g} of {error.limit:,.6g} "
                f"{error.budget}, for all viewers together). Everything so far is kept, and minds "
                "that make no calls play on; for more calls, start the page again."
            )
        except Exception as error:
            self._fail(error)
        finally:
            with self._changed:
                if self._orders == orders and not self._requested:
                    self._order = Order.PAUSE

    def _fail(self, error: Exception) -> None:
        known = isinstance(error, NormsError)
        if not known:
            _log.error("unexpected error in a population", exc_info=error)
        self._error = str(error) if known else f"unexpected: {error!r}"
        with self._changed:
            self._order = Order.PAUSE

    def _follow(
        self, order: Order, source: Source, renderer: Renderer, to: int | None = None
    ) -> None:
        """Play as ordered; with ``to``, at full speed until so many interactions are played."""
        history = renderer.history
        due = time.monotonic()
        completed = history.rounds - (not source.between_rounds)
        last_round = (completed // source.rounds + 1) * source.rounds
        played = over = False
        most = history.rounds + MOST_AWAITED
        agent = self._agent
        node = None if agent is None else source.node(agent)

        def superseded() -> bool:
            other = to is None and (self._order, self._agent) != (order, agent)
            return self._closed or self._held or bool(self._requested) or other

        pace = self._pace

        def superseded_or_repaced() -> bool:
            return superseded() or self._pace != pace

        def advance(rows: Iterator[Row | None]) -> float | None:
            """Play until it is time to wait, and return for how long; None to stop here."""
            nonlocal due, played, over
            begun = time.monotonic()
            together: list[Row] = []
            for row in rows:
                played = True
                if row is not None:
                    together.append(row)
                if source.whole_steps and not source.between_rounds:
                    continue
                with self._rendering:
                    if source.take_change():
                        renderer.redraw(source)
                    for one in together:
                        renderer.add(one, source.converged, source.agreed)
                self._news.set()
                rounds = len(together) / source.agents if together else 1
                awaited = order is Order.AGENT and any(node in row.nodes for row in together)
                together.clear()
                if to is not None:
                    over = history.interactions >= to and not self._is_due(to)
                else:
                    over = awaited or self._is_done(order, source, history, last_round, most)
                if over or superseded() or self._is_due(history.interactions):
                    return None
                now = time.monotonic()
                if order is Order.PLAY and to is None:
                    # Lost time is not made up for.
                    due = max(due + max(rounds / self.speed, self.interval), now - 0.1)
                    if due - now > 0.004:
                        return due - now
                if now - begun > _TURN:
                    return 0.001
            return None

        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or not self._held)
            if self._closed or (to is None and (self._order, self._agent) != (order, agent)):
                return
            while self._is_due(history.interactions):
                self._apply(self._scheduled.pop(0), source, renderer)
            self._apply_requested(source, renderer)
            if history.interactions >= to if to is not None else self._has_converged(order, source):
                return
            if source.length == history.interactions:
                self._note = "End of the recorded run."
                return
            played = False
            with closing(source.play()) as rows:
                wait: float | None = 0.0
                while wait is not None:
                    with _turn if source.free else nullcontext():
                        wait = advance(rows)
                    if wait is not None:
                        with self._changed:
                            self._changed.wait_for(superseded_or_repaced, wait)
                        if self._pace != pace:
                            pace, due = self._pace, time.monotonic()
            if over:
                return
            if not played and to is not None and not self._held:
                return

    def _is_done(
        self, order: Order, source: Source, history: History, last_round: int, most: int
    ) -> bool:
        if order is Order.STEP or (order is Order.ROUND and source.between_rounds):
            return True
        if self._has_converged(order, source):
            return True
        if order is Order.AGENT and history.rounds >= most and source.between_rounds:
            self._note = f"In {MOST_AWAITED} rounds this agent met nobody."
            return True
        if history.rounds >= last_round and source.between_rounds:
            self._note = (
                f"Stopped after round {history.rounds:,}. "
                f"Press Play for another {source.rounds:,} rounds."
            )
            return True
        return False

    def _has_converged(self, order: Order, source: Source) -> bool:
        """Whether play ends here because the population has converged; add a note if so."""
        ends = order is Order.CONVERGE or (order is Order.PLAY and self.until_converged)
        if ends and source.converged:
            all_of_them = (
                "matched" if source.referee.naming else f"were: {source.game.success_name}"
            )
            matched = f"all interactions of the last three rounds {all_of_them}"
            self._note = (
                f"Converged: {matched}."
                if source.agreed
                else f"Went quiet: {matched}, but the agents have not agreed on one name."
            )
            return True
        return False

    def _is_due(self, interactions: int) -> bool:
        return bool(self._scheduled) and self._scheduled[0].at <= interactions

    def _apply_requested(self, source: Source, renderer: Renderer) -> None:
        while self._requested:
            edit = self._requested.pop(0)._replace(at=renderer.history.interactions)
            if len(self._setting.edits) + len(self._applied) >= EDITS.high:
                self._error = f"More than {EDITS.high:,} changes cannot be made. Press Reset."
            elif self._apply(edit, source, renderer):
                self._applied.append(edit)

    def _apply(self, edit: Edit, source: Source, renderer: Renderer) -> bool:
        try:
            with self._rendering:
                if source.change(edit):
                    renderer.redraw(source)
        except NormsError as error:
            self._error = str(error)
            return False
        finally:
            self._news.set()
        return True

    # The thread that makes frames

    def _make_frames(self) -> None:
        due = 0.0
        while True:
            self._news.wait()
            time.sleep(_GATHERING)
            self._news.clear()
            if self._closed:
                return
            self.frame = self._current_frame()
            self.version = next(_versions)
            if self._on_frame is not None:
                self._on_frame()
            now, pause = time.monotonic(), self.pause
            due = max(due, now - (_BURST - 1) * pause) + pause
            self._ended.wait(max(0.0, due - now))

    def _current_frame(self) -> Frame:
        if not self._ready:
            state = "preparing" if self._busy else "paused"
        elif self.playing:
            state = "playing"
        else:
            state = "pausing" if self._busy else "paused"
        source, renderer = self.source, self._renderer
        if source is None or renderer is None:
            return replace(self.frame, state=state, note=self._note, error=self._error)
        with self._rendering:
            return renderer.frame(source, state, self._note, self._error, self._agent)


def end_all_players(seconds: float) -> None:
    """Close every player of this process, and wait for their threads, but not longer than that."""
    end = time.monotonic() + seconds
    players = list(_players)
    for player in players:
        player.close()
    for player in players:
        player.join(end - time.monotonic())
