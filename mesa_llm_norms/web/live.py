"""What changes with every frame goes to the browser as one message, past the page's framework.

To render components again for every frame costs ten times as much, and fails where frames come
faster than a render ends. ``LiveViews`` sets the values of widgets itself. The browser says when it
has drawn them, and the page waits for that before the next frame.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Mapping
from contextlib import ExitStack, suppress
from typing import Any

import solara

from mesa_llm_norms import compat

PATIENCE = 10.0
"""Seconds after which a frame that no browser has drawn is given up."""

Values = Callable[[], Mapping[str, Any]]
"""Returns what a widget should show now, by the names of its traits."""

Views = dict[Hashable, tuple[solara.Element, Values]]
"""Elements of a component, which are given none of their values, and what they show."""


class LiveViews:
    """The widgets of one page that show frames.

    ``changed`` is called when there are other widgets, which then need their values.
    """

    def __init__(self, changed: Callable[[], object]) -> None:
        self._changed = changed
        self._lock = threading.Lock()
        self._views: dict[Hashable, tuple[Any, Values]] = {}
        self._channel: Any = None
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
        """Send to the browser through this widget of ``LiveChannel``."""
        self._channel = channel
        self._changed()

    def show(self) -> bool:
        """Send what has changed since the last time, and return whether there was anything."""
        channel = self._channel
        if channel is None:
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
        end = time.monotonic() + PATIENCE
        while not self._drawn.wait(0.2) and not ended() and time.monotonic() < end:
            pass


@solara.component_vue("vue/live.vue", vuetify=False)  # type: ignore[untyped-decorator]
def LiveChannel(event_drawn: Callable[[int], object] | None = None) -> None:  # noqa: N802
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
