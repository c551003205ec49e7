"""Reactive values that tell parts of the page when to draw again, and what a click does.

They hold no model: every action goes to the viewer's session. Only the page's own thread sets them;
a player's thread just wakes it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import solara

from mesa_llm_norms import compat
from mesa_llm_norms.errors import NormsError
from mesa_llm_norms.model import NetworkGame
from mesa_llm_norms.web.live import LiveViews
from mesa_llm_norms.web.player import SHORTEST_PAUSE, Order, Player
from mesa_llm_norms.web.session import ViewerSession

HEARTBEAT = 0.3
"""Seconds without news after which the link is updated."""

INSPECT, COMMIT, CONNECT = "inspect", "commit", "connect"
"""What a click on an agent does."""

_log = logging.getLogger(__name__)


class PageState:
    """What the components of one page share.

    ``frames`` changes with every frame of a recorded run; ``layout`` when the views of a population
    change, of which ``live`` shows the frames; ``status`` when play starts or stops or there is a
    message; ``shown`` when there are other populations; ``query`` when the link changes.
    """

    def __init__(self, session: ViewerSession) -> None:
        self.session = session
        self._news = threading.Event()
        self._closed = False
        session.on_frame = self._news.set
        self.live = LiveViews(self._news.set)
        self.frames: solara.Reactive[tuple[Any, ...]] = solara.reactive(())
        self.layout: solara.Reactive[tuple[Any, ...]] = solara.reactive(())
        self.status: solara.Reactive[tuple[Any, ...]] = solara.reactive(())
        self.shown: solara.Reactive[int] = solara.reactive(0)
        self.query: solara.Reactive[str] = solara.reactive(session.query)
        self.problem: solara.Reactive[str] = solara.reactive(session.problem)
        self.selected: solara.Reactive[tuple[int, int] | None] = solara.reactive(None)
        """Side and index of the agent whose details are shown."""
        self.first_end: solara.Reactive[tuple[int, int] | None] = solara.reactive(None)
        """Side and index of the agent at one end of an edge to add or remove."""
        self.mode: solara.Reactive[str] = solara.reactive(INSPECT)
        self.name: solara.Reactive[str] = solara.reactive("")
        """The name that a click commits an agent to."""
        self.by_degree: solara.Reactive[bool] = solara.reactive(False)

    def watch(
        self,
        connected: Callable[[], bool] = lambda: True,
        rendering: Callable[[], bool] = lambda: False,
    ) -> None:
        """Show new frames, until ``close``, each once the one before it is drawn.

        So many are made that the browser, the network and this process are busy with them for half
        of the time at most. Nothing plays while no browser is ``connected``, and the next frame
        waits while a click is still ``rendering``.
        """
        here = True
        while not self._closed:
            news = self._news.wait(HEARTBEAT)
            self._news.clear()
            if connected() is not here:
                here = not here
                self.session.hold(not here)
            if self._closed or not here:
                continue
            while rendering() and not self._closed:
                time.sleep(0.005)
            try:
                self.refresh()
                self._show(connected)
                if not news:
                    self._update_link()
            except Exception as error:
                _log.error("a page could not be drawn", exc_info=error)

    def _show(self, connected: Callable[[], bool]) -> None:
        begun = time.monotonic()
        if self.live.show():
            self.live.wait(lambda: self._closed or not connected())
            self.session.pause = max(SHORTEST_PAUSE, 2 * (time.monotonic() - begun))

    def close(self) -> None:
        """Stop everything that plays and ``watch``."""
        self._closed = True
        self._news.set()
        self.session.close()

    def refresh(self) -> None:
        """Take notice of new frames."""
        players = self.session.players
        layout = tuple((player, *layout_of(player)) for player in players)
        if layout != self.layout.peek():
            self.layout.value = layout
        frames = tuple(player.version for player in players)
        if self.session.replaying and frames != self.frames.peek():
            self.frames.value = frames
        status = tuple(
            (player.playing, player.frame.state, player.frame.note, player.frame.error)
            for player in players
        )
        if status != self.status.peek():
            self.status.value = status

    def give(self, order: Order) -> None:
        """Give all populations an order."""
        self.problem.value = ""
        self.session.give(order)
        # Short orders are over before a refresh; their frame shows it.
        if order in (Order.PLAY, Order.PAUSE):
            self.refresh()

    def attempt(self, action: Callable[[], object], other: bool = True) -> None:
        """Do something to the session; an error becomes a message and changes nothing.

        ``other`` says whether there are other populations afterwards.
        """
        try:
            action()
        except Exception as error:
            known = isinstance(error, NormsError)
            if not known:
                _log.error("unexpected error on the page", exc_info=error)
            self.problem.value = str(error) if known else f"unexpected: {error!r}"
            return
        self.problem.value = ""
        if other:
            self.selected.value = self.first_end.value = None
            self.shown.value += 1
        self._update_link()
        self.refresh()

    def pick(self, side: int, index: int) -> None:
        """Handle a click on an agent, or beside all agents (index -1)."""
        mode = INSPECT if self.session.replaying else self.mode.value
        if index < 0:
            self.selected.value = self.first_end.value = None
        elif mode == COMMIT:
            self.session.toggle_commitment(side, index, self.name.value)
            self.selected.value = (side, index)
        elif mode == CONNECT:
            first = self.first_end.value
            if first is None or first[0] != side:
                self.first_end.value = (side, index)
            else:
                self.first_end.value = None
                self.session.toggle_edge(side, first[1], index)
        else:
            self.selected.value = (side, index)

    def _update_link(self) -> None:
        if not self.session.playing:
            self.query.value = self.session.query


def layout_of(player: Player) -> tuple[object, ...]:
    """Return what decides which views a population has."""
    frame = player.frame
    return (
        frame.pool,
        frame.success_name,
        tuple(one.name for one in frame.measures),
        len(frame.codes),
        frame.length,
        player.source is None,
    )


def use_page_state(model_type: type[NetworkGame]) -> PageState:
    """Return the state of this viewer's page; its populations stop when the page is closed."""
    query = solara.use_router().search or ""
    state: PageState = solara.use_memo(lambda: PageState(ViewerSession(query, model_type)), [])
    connected, rendering = compat.page_connection()

    def start() -> Callable[[], None]:
        # A thread, not a task of Solara's: on closing, that forgets a task before it is cancelled.
        task = partial(state.watch, connected, rendering)
        threading.Thread(target=task, name="mesa_llm_norms page", daemon=True).start()
        return state.close

    solara.use_effect(start, [])
    return state
