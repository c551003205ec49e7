"""What a page may say to the server: the messages it needs, and none of those that are commands.

A page and its kernel exchange messages of Jupyter's protocol. A few of them make the kernel import,
construct or call what the browser names. ``admitted`` looks at every message before Solara does;
``guard_widgets`` changes the widgets' own handlers, for whatever way a message may come.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

_log = logging.getLogger(__name__)

COMMANDS = frozenset({"create_widget", "update_ref", "destroy_widget"})
"""What ipyvue takes as an order to construct, change or drop widgets of any kind."""

_TYPES = frozenset({"kernel_info_request", "comm_info_request", "comm_close", "shutdown_request"})
"""The types of messages in which there is nothing to look at."""
_CHANNELS = frozenset({"solara.control", "jupyter.widget.control"})
"""What a page may open: never a widget, since those are for the server to make."""
_METHODS = frozenset(
    # Solara's start and reconnection; the states of all widgets, of one; changes; events.
    {"run", "app-status", "request_states", "request_state", "update", "custom"}
)


def admitted(text: str | None) -> str | None:
    """Return a message as it may go on, or None for one that may not.

    What goes on is written anew, so that what is read later is what was looked at here. Messages
    of bytes (None) are refused: they carry files, and the page takes none.
    """
    if text is None:
        return None
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    try:
        allowed = _is_allowed(message)
    except (AttributeError, KeyError, TypeError):
        allowed = False
    if not allowed:
        _log.warning("refused a message that no page of this server sends")
        return None
    return json.dumps(message)


def _is_allowed(message: Any) -> bool:
    if message["channel"] not in ("shell", "control"):
        return False
    kind, content = message["header"]["msg_type"], message["content"]
    if kind == "comm_open":
        return content["target_name"] in _CHANNELS
    if kind != "comm_msg":
        return kind in _TYPES
    data = content["data"]
    if data["method"] not in _METHODS:
        return False
    return data["method"] != "custom" or not is_command(data["content"])


def is_command(content: Any) -> bool:
    """Whether what a page says to a widget is more than an event."""
    return not isinstance(content, dict) or not COMMANDS.isdisjoint(content)


def guard_widgets() -> None:
    """Have all widgets of this process take their own events only, and answer who asked."""
    from ipyvue.VueTemplateWidget import Events as TemplateEvents
    from ipyvue.VueWidget import Events as WidgetEvents
    from ipywidgets import Widget

    def knows(widget: Any, event: str) -> bool:
        return callable(getattr(type(widget), f"vue_{event}", None))

    def listens(widget: Any, event: str) -> bool:
        return event in widget._event_handlers_map

    for events, has in ((TemplateEvents, knows), (WidgetEvents, listens)):
        events._handle_event = _only_events(events._handle_event, has)
    Widget.handle_control_comm_opened = _answer_who_asked(Widget.handle_control_comm_opened)


def _only_events(handle: Any, has: Callable[[Any, str], bool]) -> Any:
    """Return ipyvue's handler of messages without all but the events that the widget has."""

    @wraps(handle)
    def handle_events(self: Any, widget: Any, content: Any, buffers: Any) -> None:
        if is_command(content):
            _log.warning("refused a command to %s", type(self).__name__)
        elif has(self, str(content.get("event"))):
            handle(self, widget, content, buffers)

    return handle_events


def _answer_who_asked(opened: Any) -> Any:
    """Return ipywidgets' handler of a new control channel without its one place for the channel.

    It keeps the channel on its class, where the last viewer's replaces the others'.
    """

    @wraps(opened)
    def handle_control_comm_opened(comm: Any, message: Any) -> None:
        from ipywidgets import Widget

        opened.__func__(type("Viewer", (Widget,), {}), comm, message)

    return staticmethod(handle_control_comm_opened)
