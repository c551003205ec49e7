"""Private parts of other packages are still what ``compat`` takes them for."""

from __future__ import annotations

import gc
import inspect
import random
import weakref
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, resource_tracker
from typing import Any, cast

import ipyvue
import mesa
import networkx as nx
import pytest
from ipyvue.VueTemplateWidget import Events as TemplateEvents
from ipyvue.VueWidget import Events as WidgetEvents
from ipywidgets import Widget

from mesa_llm_norms import NamingGame, compat

# networkx


@pytest.mark.parametrize(
    "change",
    [
        lambda graph: graph.add_edge(0, 2),
        lambda graph: graph.remove_edge(0, 1),
        lambda graph: graph.add_edge(0, 1, weight=2),
        lambda graph: graph.add_node(9),
        lambda graph: graph.remove_node(3),
        lambda graph: compat.unmark_graph(graph, "seen"),
    ],
)
def test_a_mark_on_a_graph_is_gone_once_the_graph_changes(change: Callable[[Any], None]) -> None:
    graph: nx.Graph[Any] = nx.cycle_graph(6)
    assert not compat.is_marked(graph, "seen")
    compat.mark_graph(graph, "seen")
    assert compat.is_marked(graph, "seen")
    change(graph)
    assert not compat.is_marked(graph, "seen")


# Mesa


def test_a_network_of_mesa_has_a_cell_for_every_node() -> None:
    network = compat.make_network(nx.cycle_graph(4), random.Random(1))
    assert {cell.coordinate: cell.capacity for cell in network} == dict.fromkeys(range(4), 1)


def test_a_network_of_mesa_has_a_cell_at_every_node_and_nowhere_else() -> None:
    network = compat.make_network(nx.cycle_graph(4), random.Random(1))
    assert compat.cell_at(network, 2) is cast(Any, network)[2]
    with pytest.raises(KeyError):
        compat.cell_at(network, "elsewhere")


def test_a_model_that_is_forgotten_is_freed() -> None:
    model = NamingGame("ring(n=4)", "QM")
    seen = weakref.ref(model)
    compat.forget_model(model)
    del model
    gc.collect()
    assert seen() is None


def test_a_model_is_stepped_on_after_a_step_that_raised() -> None:
    class Failing(mesa.Model):
        failures = 1
        played = 0

        def step(self) -> None:
            if self.failures:
                self.failures -= 1
                raise ValueError
            self.played += 1

    model = Failing()
    with pytest.raises(ValueError):
        model.step()
    compat.resume_steps(model)
    model.step()
    model.step()
    assert model.played == 2


# concurrent.futures, multiprocessing


@pytest.mark.slow
def test_a_pool_has_a_thread_that_manages_it_once_it_works() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert compat.manager_thread(pool) is None
        assert pool.submit(abs, -1).result() == 1
        thread = compat.manager_thread(pool)
        assert thread is not None
        assert thread.is_alive()
    assert not thread.is_alive()


def test_a_queue_whose_writing_end_is_closed_is_at_its_end() -> None:
    queue: Any = get_context("spawn").SimpleQueue()
    queue.put(1)
    compat.close_writing_end(queue)
    compat.close_writing_end(queue)
    assert queue.get() == 1
    with pytest.raises(EOFError):
        queue.get()


def test_the_tracker_of_shared_resources_can_be_started_ahead() -> None:
    compat.start_resource_tracker()
    tracker: Any = resource_tracker._resource_tracker
    assert tracker._fd is not None


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
