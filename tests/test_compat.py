"""Private parts of other packages are still what ``compat`` takes them for."""

from __future__ import annotations

import inspect
from typing import Any

import ipyvue
import pytest
from ipyvue.VueTemplateWidget import Events as TemplateEvents
from ipyvue.VueWidget import Events as WidgetEvents
from ipywidgets import Widget

from mesa_llm_norms import compat

# ipyvue, ipywidgets


class Template(ipyvue.VueTemplate):  # type: ignore[misc]
    """A widget with one event."""

    def __init__(self) -> None:
        self.template = "<template><div></div></template>"
        self.picked: list[Any] = []
        super().__init__()

    def vue_pick(self, data: Any) -> None:
        self.picked.append(data)


@pytest.fixture
def unpatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the libraries' own handlers back afterwards."""
    for owner, name in (
        (TemplateEvents, "_handle_event"),
        (WidgetEvents, "_handle_event"),
        (Widget, "handle_control_comm_opened"),
    ):
        monkeypatch.setattr(owner, name, vars(owner)[name])


@pytest.mark.parametrize("events", [TemplateEvents, WidgetEvents])
def test_ipyvue_handles_messages_in_a_method_of_its_mixins(events: Any) -> None:
    assert list(inspect.signature(events._handle_event).parameters) == [
        "self",
        "_",
        "content",
        "buffers",
    ]


@pytest.mark.usefixtures("unpatched")
def test_only_events_with_a_listener_reach_a_widget() -> None:
    refused: list[tuple[str, Any]] = []

    def refuse(widget: str, content: Any) -> bool:
        refused.append((widget, content))
        return "command" in content

    compat.filter_widget_events(refuse)
    template, button = Template(), ipyvue.Html(tag="button")
    clicked: list[Any] = []
    button.on_event("click", lambda _widget, _event, data: clicked.append(data))
    for content in (
        {"event": "pick", "data": 1},
        {"event": "pick", "data": 2, "command": ""},
        {"event": "close", "data": 3},
        {"event": "click", "data": 4},
    ):
        for widget in (template, button):
            widget._handle_msg(
                {"content": {"data": {"method": "custom", "content": content}}, "buffers": []}
            )
    assert (template.picked, clicked) == ([1], [4])
    assert {widget for widget, _ in refused} == {"Template", "Html"}


@pytest.mark.usefixtures("unpatched")
def test_a_second_control_channel_does_not_replace_the_first() -> None:
    compat.separate_control_channels()
    before = Widget._control_comm

    class Channel:
        def on_msg(self, handle: Any) -> None:
            self.handle = handle

    first, second = Channel(), Channel()
    for channel in (first, second):
        Widget.handle_control_comm_opened(
            channel, {"metadata": {"version": "1.0.0"}, "content": {"comm_id": "x"}}
        )
    assert first.handle is not second.handle
    assert Widget._control_comm is before
