"""Reactive values that tell parts of the page when to draw again, and what a click does.

They hold no model: every action goes to the viewer's session. Only the page's own thread sets them;
a player's thread just wakes it.

What changes with every frame goes to the browser as one message, past the page's framework: to
render components again for every frame costs ten times as much, and fails where frames come faster
than a render ends. ``LiveViews`` sets the values of widgets itself. The browser says when it has
drawn them, and the page waits for that before the next frame.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import solara

from mesa_llm_norms import compat
from mesa_llm_norms.errors import NormsError, SpecError
from mesa_llm_norms.model import NetworkGame
from mesa_llm_norms.web.languages import ENGLISH, find_language
from mesa_llm_norms.web.player import SHORTEST_PAUSE, Order, Player
from mesa_llm_norms.web.scenes.scene import Scene, translated
from mesa_llm_norms.web.session import LANGUAGE, ViewerSession

HEARTBEAT = 0.3
"""Seconds without news after which the link and the connection are looked at."""

_LINK_AGE = 1.0
"""Seconds that the link may be behind while agents play; after a reload its moment is shown."""

SLOWEST = 4.0
"""Seconds that an interaction takes if it is to be explained."""

LONGEST_WAIT = 10.0
"""Seconds after which a frame that no browser has drawn is given up."""

Values = Callable[[], Mapping[str, Any]]
"""Returns what a widget should show now, by the names of its traits."""

Views = dict[Hashable, tuple[solara.Element, Values]]
"""Elements of a component, which are given none of their values, and what they show."""

INSPECT, COMMIT, CONNECT = "inspect", "commit", "connect"
"""What a click on an agent does."""

_PRESENT = re.compile(r"(?:^|&)present=1(?:&|$)")
_LANGUAGE = re.compile(rf"(?:^|&){LANGUAGE}=([^&]{{1,20}})")

_log = logging.getLogger(__name__)


class LiveViews:
    """The widgets of one page that show frames.

    ``changed`` is called when there are other widgets, which then need their values.
    """

    def __init__(self, changed: Callable[[], object]) -> None:
        self._changed = changed
        self._lock = threading.Lock()
        self._views: dict[Hashable, tuple[Any, Values]] = {}
        self._channel: Any = None
        self._ready = False
        self._number = 0
        self._drawn = threading.Event()

    def attach(self, key: Hashable, widget: Any, values: Values) -> Callable[[], None]:
        """Have a widget show its values from now on; returns what ends that."""
        view = widget, values

        def detach() -> None:
            with self._lock:
                if self._views.get(key) is view:
                    del self._views[key]

        with self._lock:
            self._views[key] = view
        self._changed()
        return detach

    def open(self, channel: Any) -> None:
        """Send to the browser through this widget of ``LiveChannel``, once it is ``ready``."""
        _channels[channel.model_id] = self
        self._channel = channel
        self._changed()

    def ready(self, _: object = None) -> None:
        """Take notice that the browser has a view of the channel, and loses no message."""
        self._ready = True
        self._changed()

    def show(self) -> bool:
        """Send what has changed since the last time, and return whether there was anything."""
        channel = self._channel
        if channel is None or not self._ready:
            return False
        with self._lock:
            views = list(self._views.values())
        changes = []
        for widget, values in views:
            changed = compat.set_quietly(widget, values())
            if changed:
                changes.append((widget.model_id, changed))
        if changes:
            self._number += 1
            self._drawn.clear()
            channel.send({"method": "show", "args": [self._number, changes]})
        return bool(changes)

    def drawn(self, number: int) -> None:
        """Take notice that the browser has drawn what was sent as the message of this number."""
        if number == self._number:
            self._drawn.set()

    def wait(self, ended: Callable[[], bool]) -> None:
        """Wait until what was sent is drawn, but not if that is ``ended`` or takes too long."""
        end = time.monotonic() + LONGEST_WAIT
        while not self._drawn.wait(0.2) and not ended() and time.monotonic() < end:
            pass


_channels: WeakValueDictionary[str, LiveViews] = WeakValueDictionary()
"""By the id of the widget through which they send."""


def take_drawn(widget: Any, event: Any) -> bool:
    """Take an event of a widget if it says that a frame is drawn; returns whether it did.

    These are most of what browsers say, and the way through Solara takes a hundred times as long.
    """
    views = _channels.get(widget) if isinstance(widget, str) else None
    if views is None or event.get("event") != "event_drawn" or type(event.get("data")) is not int:
        return False
    views.drawn(event["data"])
    return True


@solara.component_vue("vue/live.vue", vuetify=False)  # type: ignore[untyped-decorator]
def LiveChannel(  # noqa: N802
    event_ready: Callable[[object], object] | None = None,
    event_drawn: Callable[[int], object] | None = None,
) -> None:
    """Take the messages of ``LiveViews`` in the browser."""


def use_live_views(live: LiveViews, views: Views) -> None:
    """Have elements of a component show their values; ``views`` may be filled later on."""
    widgets: dict[Hashable, Any] = solara.use_memo(dict, [])

    def attach() -> Callable[[], object]:
        with ExitStack() as ends:
            for key, (element, values) in views.items():
                # Of some elements that stay as they are Reacton forgets the widget.
                with suppress(KeyError):
                    widgets[key] = solara.get_widget(element)
                ends.callback(live.attach(key, widgets[key], values))
            return ends.pop_all().close

    solara.use_effect(attach, None)


class PageState:
    """What the components of one page share.

    ``frames`` changes with every frame of a recorded run; ``layout`` when the views of a population
    change, of which ``live`` shows the frames; ``status`` when play starts or stops or there is a
    message; ``shown`` when there are other populations.
    """

    def __init__(
        self, session: ViewerSession, presenting: bool = False, language: str = ENGLISH
    ) -> None:
        self.session = session
        self._news = threading.Event()
        self._closed = False
        session.on_frame = self._news.set
        self.live: LiveViews = LiveViews(self._news.set)
        self._link, self._linked = session.query, 0.0
        self.frames: solara.Reactive[tuple[Any, ...]] = solara.reactive(())
        self.layout: solara.Reactive[tuple[Any, ...]] = solara.reactive(())
        self.status: solara.Reactive[tuple[Any, ...]] = solara.reactive(())
        self.undoable: solara.Reactive[bool] = solara.reactive(False)
        self.shown: solara.Reactive[int] = solara.reactive(0)
        self.problem: solara.Reactive[str] = solara.reactive(session.problem)
        self.selected: solara.Reactive[tuple[int, int] | None] = solara.reactive(None)
        """Side and index of the agent whose details are shown."""
        self.first_end: solara.Reactive[tuple[int, int] | None] = solara.reactive(None)
        """Side and index of the agent at one end of an edge to add or remove."""
        self.mode: solara.Reactive[str] = solara.reactive(INSPECT)
        self.name: solara.Reactive[str] = solara.reactive("")
        """The name that a click commits an agent to."""
        self.by_degree: solara.Reactive[bool] = solara.reactive(False)
        self.visited = 0
        """The last request to show a link of the browser's history."""
        self.explaining: solara.Reactive[bool] = solara.reactive(session.interval > 0)
        """Whether the last interaction is explained."""
        self.presenting: solara.Reactive[bool] = solara.reactive(presenting)
        """Whether the page is for a projector: large, and without the settings."""
        self.language: solara.Reactive[str] = solara.reactive(ENGLISH)
        """The code of the language of the page."""
        try:
            self.language.value = find_language(language).code
        except SpecError as error:
            self.problem.value = self.problem.value or str(error)

    def say(self, text: str, **values: object) -> str:
        """Return an English text in the language of the page; see ``Language.say``."""
        return find_language(self.language.value).say(text, **values)

    def speak(self, language: str) -> None:
        """Show the page in another language."""
        self.language.value = language
        self._news.set()

    @property
    def spoken(self) -> str:
        """The part of a link that says the language; empty for English."""
        language = self.language.value
        return "" if language == ENGLISH else f"{LANGUAGE}={language}"

    @property
    def scene(self) -> Scene | None:
        """The scene on screen, in the language of the page."""
        scene = self.session.scene
        return None if scene is None else translated(scene, self.language.value)

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
            self._news.wait(HEARTBEAT)
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
            except Exception as error:
                _log.error("a page could not be drawn", exc_info=error)

    def _show(self, connected: Callable[[], bool]) -> None:
        begun = time.monotonic()
        if self.live.show():
            self.live.wait(lambda: self._closed or not connected())
            self.session.pause = max(SHORTEST_PAUSE, 2 * (time.monotonic() - begun))

    def link(self) -> str:
        """Return the query of the link, for the address bar."""
        now = time.monotonic()
        if not self.session.playing or now - self._linked > _LINK_AGE:
            self._link, self._linked = self.session.query, now
        return self._link

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
            (
                *(player.playing, player.frame.state, player.frame.note, player.frame.error),
                player.frame.interactions > 0,
            )
            for player in players
        )
        if status != self.status.peek():
            self.status.value = status
        if self.session.undoable != self.undoable.peek():
            self.undoable.value = self.session.undoable

    def give(self, order: Order) -> None:
        """Give all populations an order."""
        self.problem.value = ""
        if self.session.notice:
            self.session.notice = ""
            self.shown.value += 1
        self.session.give(order)
        # Short orders are over before a refresh; their frame shows it.
        if order in (Order.PLAY, Order.PAUSE):
            self.refresh()

    def visit(self, number: int, query: str) -> None:
        """Show a link of the browser's history; ``number`` counts how often that was asked for."""
        self._come_back(lambda: self.session.visit(query))
        self.visited = number

    def undo(self) -> None:
        """Take the last change back."""
        self._come_back(self.session.undo)

    def _come_back(self, action: Callable[[], object]) -> None:
        self.attempt(action)
        if self.session.interval:  # a slow pace is that of the explanation
            self.explaining.value = True
        self._news.set()

    @property
    def entry(self) -> str:
        """Changes with all that Back should lead back from: settings, and edits made by hand."""
        edits = sum(len(setting.edits) for setting in self.session.settings)
        return f"{self.session.entries} {edits}"

    def explain(self, explaining: bool) -> None:
        """Explain each interaction from now on, slow enough to follow, or stop that."""
        if explaining != (self.session.interval > 0):
            self.session.interval = SLOWEST if explaining else 0.0
        self.explaining.value = explaining
        self._news.set()

    def follow(self, side: int, index: int) -> None:
        """Play to the next interaction of an agent, and explain it."""
        self.problem.value = ""
        self.explaining.value = True
        self.session.follow(side, index)

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
        self.refresh()

    def select(self, side: int, index: int) -> None:
        """Show the details of an agent."""
        self.selected.value = (side, index)

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
    state: PageState = solara.use_memo(
        lambda: PageState(
            ViewerSession(query, model_type),
            _PRESENT.search(query) is not None,
            found[1] if (found := _LANGUAGE.search(query)) else ENGLISH,
        ),
        [],
    )
    connected, rendering = compat.page_connection()

    def start() -> Callable[[], None]:
        # A thread, not a task of Solara's: on closing, that forgets a task before it is cancelled.
        task = partial(state.watch, connected, rendering)
        threading.Thread(target=task, name="mesa_llm_norms page", daemon=True).start()
        return state.close

    solara.use_effect(start, [])
    return state
