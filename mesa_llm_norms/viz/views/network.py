"""The network on a page: who holds which name, who is committed, who met last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import solara

Pick = Callable[[int], object]
"""Told the place of the node that was picked, -1 for the empty ground."""


@solara.component_vue("network.vue", vuetify=False)  # type: ignore[untyped-decorator]
def _Network(  # noqa: N802
    drawing: str = "",
    codes: str = "",
    marks: str = "",
    recent: str = "",
    selected: int = -1,
    second: int = -1,
    labels: bool = True,
    by_degree: bool = False,
    height: str = "62vh",
    hint: str = "",
    readonly: bool = False,
    event_pick: Pick | None = None,
) -> None: ...


def NetworkView(  # noqa: N802
    drawing: str,
    codes: str,
    marks: str = "",
    recent: str = "",
    selected: int = -1,
    second: int = -1,
    labels: bool = True,
    by_degree: bool = False,
    height: str = "62vh",
    hint: str = "",
    readonly: bool = False,
    on_pick: Pick | None = None,
) -> solara.Element:
    """Return the network as a Solara element.

    Args:
        drawing: the graph, from ``viz.encoding.drawing_text``; costly to change.
        codes: a character per node, ``chr(48 + place in the pool)`` of its name, a space for none.
        marks: a character per node: ``c`` committed, ``x`` nobody there, a space for neither; may
            be empty.
        recent: the last interactions, oldest first: ``"i,j,1 i,j,0"``, 1 for those that matched.
        selected: the place of the node with a ring, -1 for none.
        second: the place of the node from which a tie is to be drawn, -1 for none.
        labels: whether names are written into nodes that are large enough.
        by_degree: whether nodes are the larger the more neighbours they have.
        height: of the drawing, in CSS; the legend comes below it.
        hint: a sentence below the drawing.
        readonly: whether nodes cannot be picked.
        on_pick: what is called with the place of a node that is clicked, or on which Enter or
            Space is pressed, and with -1 for a click beside all nodes.
    """
    element: Any = _Network(
        drawing=drawing,
        codes=codes,
        marks=marks,
        recent=recent,
        selected=selected,
        second=second,
        labels=labels,
        by_degree=by_degree,
        height=height,
        hint=hint,
        readonly=readonly,
        event_pick=on_pick,
    )
    return element
