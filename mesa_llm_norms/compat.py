"""Private parts of other packages that this one relies on, all of them here.

Each has a test in ``tests/test_compat.py`` that fails when a new version changes it.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import wraps
from inspect import signature
from multiprocessing import current_process, resource_tracker, util
from random import Random
from threading import Thread
from typing import Any, cast

import networkx as nx
from mesa import Agent, Model
from mesa.discrete_space import Cell, Network

# networkx


def mark_graph(graph: nx.Graph[Any], mark: str) -> None:
    """Leave a mark on a graph, which networkx removes as soon as nodes or edges change.

    It empties ``__networkx_cache__`` then.
    """
    graph.__networkx_cache__[mark] = True


def unmark_graph(graph: nx.Graph[Any], mark: str) -> None:
    """Remove a mark, as if the graph had changed."""
    graph.__networkx_cache__.pop(mark, None)


def is_marked(graph: nx.Graph[Any], mark: str) -> bool:
    """Whether nothing has changed since a mark was left."""
    return mark in graph.__networkx_cache__


# Mesa


def make_network(graph: nx.Graph[Any], random: Random, capacity: int | None = 1) -> Network:
    """Return a Mesa network whose cells hold so many agents, without a slow layout by Mesa 3.5.

    ``Network`` has had an argument ``layout`` only since then. From Mesa 4 on every cell needs a
    position, and by default they are put on a circle, which is quick.
    """
    options: dict[str, Any] = {"capacity": capacity, "random": random}
    layout = signature(Network).parameters.get("layout")
    if layout is not None and layout.default is not nx.circular_layout:
        options["layout"] = None
    return Network(graph, **options)


def cell_at(network: Network, node: Hashable) -> Cell:
    """Return the cell of a node, ``KeyError`` if there is none; Mesa 4 raises an error of its own.

    ``Network`` keeps them in ``_cells``.
    """
    cell: Cell = cast(Any, network)._cells[node]
    return cell


def move_connection(network: Network, cell: Cell, dropped: Cell, made: Cell) -> None:
    """Connect a cell with another one instead of a neighbor, in the direction its graph has.

    Mesa joins and separates cells both ways, and from Mesa 4 on refuses to where one is missing.
    """
    if network.G.is_directed():
        cell.disconnect(dropped)
        cell.connect(made)
        network.G.remove_edge(cell.coordinate, dropped.coordinate)
        network.G.add_edge(cell.coordinate, made.coordinate)
    else:
        network.remove_connection(cell, dropped)
        network.add_connection(cell, made)


def resume_steps(model: Model) -> None:
    """Have a model play on after a step that raised.

    Mesa 3.5 plans the next step only after one that returned, in ``_default_schedule``.
    """
    schedule = getattr(model, "_default_schedule", None)
    if schedule is not None:
        schedule.pause()
        schedule.resume()


def has_events(model: Model) -> bool:
    """Whether a model has something planned besides its steps, which Mesa 3.5 can do.

    Events wait in ``_event_list``, with one for the next step.
    """
    return len(getattr(model, "_event_list", ())) > 1


def forget_model(model: Model) -> None:
    """Have Mesa drop a model that is not used any more, to which no agents are added.

    Mesa up to 3.4 counts agents in ``Agent._ids``, by model, and so keeps every model.
    """
    getattr(Agent, "_ids", {}).pop(model, None)


# concurrent.futures, multiprocessing


def manager_thread(pool: ProcessPoolExecutor) -> Thread | None:
    """Return the thread with which a pool manages its processes, None before it is needed."""
    thread: Any = pool._executor_manager_thread
    return cast(Thread | None, thread)


def close_writing_end(queue: Any) -> None:
    """Close this process's writing end of a ``multiprocessing.SimpleQueue``."""
    with suppress(OSError):
        queue._writer.close()


def is_importing_main() -> bool:
    """Whether this is a process that was spawned and imports the script it was spawned by."""
    return getattr(current_process(), "_inheriting", False)


def start_resource_tracker() -> None:
    """Start the process that tracks shared resources, which spawning would do otherwise.

    By itself it ignores Ctrl-C and SIGTERM, but a closed terminal would end it, with nobody left to
    remove the semaphores of processes that were killed.
    """
    if not hasattr(signal, "pthread_sigmask"):
        resource_tracker.ensure_running()
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        resource_tracker.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def remove_semaphores() -> None:
    """Remove this process's semaphores, which the tracker would warn of if it had to."""
    for finalizer in list(vars(util)["_finalizer_registry"].values()):
        if getattr(finalizer._callback, "__qualname__", "") == "SemLock._cleanup":
            with suppress(OSError):
                finalizer()


# ipyvue, ipywidgets


def filter_widget_events(refuse: Callable[[str, Any], bool]) -> None:
    """Have ipyvue's widgets handle only events they listen to, and no content that is refused.

    ipyvue handles what a browser sends in ``Events._handle_event`` of two mixins. Besides events it
    takes commands there that import, construct or call what the browser names.

    Parameters
    ----------
    refuse : callable
        Takes the class of the widget and what was sent to it.
    """
    from ipyvue.VueTemplateWidget import Events as TemplateEvents
    from ipyvue.VueWidget import Events as WidgetEvents

    def filtered(handle: Any, listens: Callable[[Any, str], bool]) -> Any:
        @wraps(handle)
        def handle_event(self: Any, widget: Any, content: Any, buffers: Any) -> None:
            if not refuse(type(self).__name__, content) and listens(
                self, str(content.get("event"))
            ):
                handle(self, widget, content, buffers)

        return handle_event

    TemplateEvents._handle_event = filtered(
        TemplateEvents._handle_event,
        lambda widget, event: callable(getattr(type(widget), f"vue_{event}", None)),
    )
    WidgetEvents._handle_event = filtered(
        WidgetEvents._handle_event, lambda widget, event: event in widget._event_handlers_map
    )


def separate_control_channels() -> None:
    """Have ipywidgets answer each control channel by itself.

    ``Widget.handle_control_comm_opened`` keeps the channel on its class, where that of the last
    viewer would replace those of all others.
    """
    from ipywidgets import Widget

    opened = Widget.handle_control_comm_opened

    @wraps(opened)
    def handle_control_comm_opened(comm: Any, message: Any) -> None:
        opened.__func__(type("Viewer", (Widget,), {}), comm, message)

    Widget.handle_control_comm_opened = staticmethod(handle_control_comm_opened)


def set_quietly(widget: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Set traits of a widget without a message to the browser, and return those that changed.

    They are traits that take any value, and nothing observes them. Traitlets keeps their values in
    ``_trait_values``; there the browser finds them when it connects again.
    """
    held = widget._trait_values
    changed = {name: value for name, value in values.items() if held.get(name) != value}
    held.update(changed)
    return changed


# Solara


def page_connection() -> tuple[Callable[[], bool], Callable[[], bool]]:
    """Return what tells of the page being made whether a browser shows it, and renders it now.

    In a notebook the first is always true. Solara counts connections in ``page_status`` of its
    ``VirtualKernelContext``, and renders under the ``thread_lock`` of a render context.
    """
    from reacton.core import get_render_context
    from solara.server import kernel_context

    lock = get_render_context().thread_lock
    if not kernel_context.has_current_context():
        return lambda: True, lock.locked
    statuses = kernel_context.get_current_context().page_status
    return lambda: kernel_context.PageStatus.CONNECTED in tuple(statuses.values()), lock.locked


def close_kernels(kernel: str | None = None) -> None:
    """Close Solara's kernel of this id, or all of them, with everything that belongs to its page.

    Not in the thread of the server's event loop, which closing waits for.
    """
    from solara.server.kernel_context import contexts

    for name, context in list(contexts.items()):
        if kernel in (None, name) and not context.closed_event.is_set():
            context.close()
