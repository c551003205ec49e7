"""All there is to know about one agent, on a page.

Shares by round on a page: the success rate, or the share of each name.

The state of a population in a few numbers, on a page.

The network on a page: who holds which name, who is committed, who met last.

Views for Mesa's own page, and for notebooks: who holds which name, and how that came about.

::

    from mesa.visualization import SolaraViz
    from mesa_llm_norms.viz.components import names_chart, names_network

    page = SolaraViz(NamingGame(), components=[names_network, names_chart])
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import solara

from mesa_llm_norms.model import NamingGame
from mesa_llm_norms.networks.drawing import INK, layout, name_colours, shade_step
from mesa_llm_norms.web.frames import NOBODY, RECENT, Card, Exchange, drawing_text, points_text

NOTHING = "\N{EN DASH}"


SHOWN = 12
"""How many choices and partners are listed."""


@solara.component_vue("vue/agent.vue", vuetify=False)  # type: ignore[untyped-decorator]
def _Agent(  # noqa: N802
    card: str = "",
    changeable: bool = False,
    event_commit: Callable[[str | None], object] | None = None,
) -> None: ...


def AgentView(  # noqa: N802
    card: Card, pool: Sequence[str], on_commit: Callable[[str | None], object] | None = None
) -> solara.Element:
    """Return a card as a Solara element.

    ``on_commit`` is called with the name the agent is to be committed to, None to release it;
    without it the card offers no such thing.
    """
    element: Any = _Agent(
        card=card_text(card, pool), changeable=on_commit is not None, event_commit=on_commit
    )
    return element


def card_text(card: Card, pool: Sequence[str]) -> str:
    """Return a card as the view takes it: JSON of texts alone."""
    memory = [(own, partner, f"{payoff:+g}") for own, partner, payoff in card.memory]
    tables = [_table("Memory, oldest first", ("played", "partner", "points"), memory, "memory")]
    if card.choices is not None:
        likely = sorted(card.choices, key=lambda choice: -choice.probability)[:SHOWN]
        rows = [(name, f"{probability:.1%}") for name, probability in likely]
        tables.append(_table("Would choose now", ("name", "chance"), rows, "choices"))
    often = sorted(card.partners, key=lambda partner: -partner.met)[:SHOWN]
    more = len(card.partners) - len(often)
    tables.append(
        _table(
            "Can meet" + (f" (and {more} more)" if more else ""),
            ("agent", "holds", "matched"),
            [(one.node, one.name or NOTHING, f"{one.matched} of {one.met}") for one in often],
            "partners",
        )
    )
    texts = _exchange(card.exchange) if card.exchange is not None else []
    if card.asked is not None:
        title = "Would be asked now (the order of names is drawn anew)"
        texts.append({"title": title, "text": card.asked, "testid": "asked"})
    return json.dumps(
        {
            "node": card.node,
            "mind": card.mind,
            "name": card.name,
            "committed": card.committed,
            "score": f"{card.score:g}",
            "pool": list(pool),
            "tables": tables,
            "texts": texts,
        }
    )


def _table(
    title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], testid: str
) -> dict[str, Any]:
    return {"title": title, "heads": heads, "rows": rows, "testid": testid}


def _exchange(exchange: Exchange) -> list[dict[str, str]]:
    read, written = exchange.tokens
    took = f"{read:,} tokens read, {written:,} written, {exchange.seconds:.2f} s"
    answer = exchange.reply if exchange.reply is not None else f"no reply: {exchange.problem}"
    asked = f"{exchange.system}\n\n{exchange.prompt}".strip()
    return [
        {"title": "Was asked", "text": asked, "testid": "prompt"},
        {"title": f"Answered ({took})", "text": answer, "testid": "reply"},
    ]


_DASHES = ("", "8 3", "2 2.5", "7 2.5 2 2.5")
"""Tell apart the lines of names whose colours are shades of one another."""


@solara.component_vue("vue/chart.vue", vuetify=False)  # type: ignore[untyped-decorator]
def _Chart(  # noqa: N802
    title: str = "",
    lines: str = "",
    points: str = "",
    cursor: int = -1,
    height: int = 170,
    seekable: bool = False,
    event_seek: Callable[[int], object] | None = None,
) -> None: ...


def chart_lines(names: Sequence[str]) -> str:
    """Return what ``RoundsChart`` is told about its lines: name, colour and dashes of each.

    The names are a pool, in the colours of every figure; one alone is no pool, and drawn dark.
    """
    colours = [INK] if len(names) == 1 else [name_colours(names)[name] for name in names]
    return json.dumps(
        {
            "names": list(names),
            "colours": colours,
            "dashes": [_DASHES[shade_step(place)] for place in range(len(names))],
            "end_labels": True,
        },
        separators=(",", ":"),
    )


def RoundsChart(  # noqa: N802
    title: str,
    lines: str,
    points: str,
    cursor: int = -1,
    height: int = 170,
    on_seek: Callable[[int], object] | None = None,
) -> solara.Element:
    """Return a chart of shares, 0 to 100%, by round, as a Solara element.

    Args:
        title: above the chart.
        lines: from ``chart_lines``.
        points: JSON, ``{"rounds": n, "x": [first, last], "y": [text, ...]}``: how many rounds there
            are, the rounds of the first and the last point (the others lie evenly between them),
            and for each line its shares as ``viz.encoding.encode_shares`` writes them.
        cursor: a round marked by an upright line, -1 for none.
        height: in pixels.
        on_seek: what is called with the round that is clicked.
    """
    element: Any = _Chart(
        title=title,
        lines=lines,
        points=points,
        cursor=cursor,
        height=height,
        seekable=on_seek is not None,
        event_seek=on_seek,
    )
    return element


@solara.component_vue("vue/figures.vue", vuetify=False)  # type: ignore[untyped-decorator]
def _Figures(figures: str = "", testid: str = "") -> None: ...  # noqa: N802


def KeyFigures(figures: Sequence[tuple[str, str]], testid: str = "figures") -> solara.Element:  # noqa: N802
    """Return labels and values as a Solara element."""
    element: Any = _Figures(figures=json.dumps(list(figures)), testid=testid)
    return element


Pick = Callable[[int], object]
"""Told the place of the node that was picked, -1 for the empty ground."""


@solara.component_vue("vue/network.vue", vuetify=False)  # type: ignore[untyped-decorator]
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


MOST_POINTS = 160


@solara.component  # type: ignore[untyped-decorator]
def names_network(model: NamingGame) -> None:
    """Show the network of a model, its agents coloured by the name they hold.

    In ``SolaraViz`` it is drawn anew with every step. A click on an agent tells about it below.
    """
    _follow_steps()
    graph, pool = model.network.G, model.game.pool
    positions = solara.use_memo(lambda: layout(graph), [id(model)])
    ties = tuple(graph.edges)
    drawing = solara.use_memo(lambda: drawing_text(graph, pool, positions), [id(model), ties])
    chosen, choose = solara.use_state(-1)
    nodes, agents = list(graph), {agent.node: agent for agent in model.players}
    codes = {name: chr(48 + place) for place, name in enumerate(pool)}
    held = model.names_held
    place = {node: at for at, node in enumerate(nodes)}
    NetworkView(
        drawing=drawing,
        codes="".join(codes.get(held.get(node) or "", NOBODY) for node in nodes),
        marks="".join(
            "x" if node not in agents else "c" if agents[node].committed else " " for node in nodes
        ),
        recent=" ".join(
            f"{place[row.node_a]},{place[row.node_b]},{int(row.name_a == row.name_b)}"
            for row in model.rows[-min(RECENT, max(1, len(nodes) // 2)) :]
        ),
        selected=chosen,
        labels=len(nodes) <= 300,
        on_pick=choose,
    )
    if 0 <= chosen < len(nodes) and nodes[chosen] in agents:
        agent = agents[nodes[chosen]]
        memory = ", ".join(f"{own}/{partner}" for own, partner in agent.memory) or "empty"
        said = f"Agent {agent.node}: {agent.mind.label}, holds {agent.name or 'nothing yet'}. "
        solara.Div(children=[f"{said}Memory (own/partner, oldest first): {memory}."])


@solara.component  # type: ignore[untyped-decorator]
def names_chart(model: NamingGame) -> None:
    """Show the success rate and the share of each name by round, as the model collected them."""
    _follow_steps()
    pool = model.game.pool
    collected = model.datacollector.model_vars
    columns = [collected.get("success_rate", [])]
    shares = [collected.get(f"share_{name}", []) for name in pool]
    success = solara.use_memo(lambda: chart_lines(["success"]), [])
    lines = solara.use_memo(lambda: chart_lines(pool), [pool])
    RoundsChart("Success rate: meetings in which the names matched", success, _points(columns))
    RoundsChart("Share of each name played", lines, _points(shares))


def _follow_steps() -> None:
    """Have ``SolaraViz``, where that is what shows the component, draw it with every step."""
    shown_by = sys.modules.get("mesa.visualization.utils")
    if shown_by is not None:
        shown_by.update_counter.get()


def _points(columns: Sequence[Sequence[Any]]) -> str:
    rounds = min(map(len, columns), default=0)
    stride = max(1, math.ceil(rounds / MOST_POINTS))
    lines = [
        [None if math.isnan(value) else float(value) for value in column[:rounds:stride]]
        for column in columns
    ]
    return points_text(rounds, stride, lines)
