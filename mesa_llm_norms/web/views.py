"""Solara components: the network, charts by round, key figures, and the details of an agent.

``names_network`` and ``names_chart`` take a model, and work on Mesa's own page and in notebooks::

    from mesa.visualization import SolaraViz
    from mesa_llm_norms.web import names_chart, names_network

    page = SolaraViz(NamingGame(), components=[names_network, names_chart])
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import solara

from mesa_llm_norms.core.formatting import json_text, percent
from mesa_llm_norms.core.game import Game, others_of
from mesa_llm_norms.core.referee import Referee
from mesa_llm_norms.model import NetworkGame
from mesa_llm_norms.networks.drawing import (
    INK,
    drawing_text,
    layout,
    layout_further,
    name_colors,
    shade_step,
)
from mesa_llm_norms.web.explained import MOST_SEATS, explain
from mesa_llm_norms.web.frames import NOBODY, RECENT, AgentDetails, Exchange, Frame, points_text
from mesa_llm_norms.web.player import Player

NOTHING = "\N{EN DASH}"
SUCCESS_TITLE = "Success rate (share of interactions that matched)"


def success_title(success: str = "") -> str:
    """Return the title of a chart of successes, given what one is called if it is no match."""
    return f"Success rate (share of interactions: {success})" if success else SUCCESS_TITLE


SHARES_TITLE = "Share of each name played"

MOST_LABELS = 300
"""Names are not written into the agents of larger populations."""

_MOST_ROWS = 12
"""Choices and neighbors listed for an agent."""

_MOST_POINTS = 160
"""Points of a chart line on Mesa's page."""

_CELL_CHART = 150
"""Pixels of a chart of two in a cell of Mesa's page."""

_DASHES = ("", "8 3", "2 2.5", "7 2.5 2 2.5")
"""They tell apart lines whose colors are shades of one another."""


# For Mesa's page and notebooks


def names_network(model: NetworkGame) -> solara.Element:
    """Show the network of a model, with the name each agent holds.

    ``SolaraViz`` draws it again after every step. A click on an agent shows its memory. A saved
    notebook keeps a picture.

    Parameters
    ----------
    model : NetworkGame
        The model to show.

    Returns
    -------
    solara.Element
        The view.
    """
    return _with_picture(_NamesNetwork(model), "network_figure", model)


@solara.component  # type: ignore[untyped-decorator]
def _NamesNetwork(model: NetworkGame) -> None:  # noqa: N802
    _follow_steps()
    graph, pool = model.network.G, model.game.pool
    nodes, edges = list(graph), tuple(graph.edges)
    places = solara.use_memo(lambda: dict(layout(graph)), [id(model)])

    def draw() -> str:
        places.update(layout_further(graph, places))
        return drawing_text(graph, pool, places)

    drawing = solara.use_memo(draw, [id(model), tuple(nodes), edges])
    chosen, choose = solara.use_state(-1)
    agents = {agent.node: agent for agent in model.players}
    index = {node: i for i, node in enumerate(nodes)}
    codes = {name: chr(48 + i) for i, name in enumerate(pool)}
    held, referee = dict(model.names_held), Referee(model.game)
    for agent in model.players:
        past = agent.memory[-1][0] if agent.memory else None
        held[agent.node] = agent.name or agent.committed or past
    with solara.Div(classes=["norms-cell"]):
        NetworkView(
            drawing=drawing,
            codes="".join(codes.get(held.get(node) or "", NOBODY) for node in nodes),
            marks="".join(
                "x" if node not in agents else "c" if agents[node].committed else " "
                for node in nodes
            ),
            recent=" ".join(
                f"{index[row.nodes[0]]},{index[other]},{int(referee.success(row.names))}"
                for row in model.rows[-min(RECENT, max(1, len(nodes) // 2)) :]
                for other in row.nodes[1:]
                if row.nodes[0] in index and other in index
            ),
            selected=chosen,
            labels=len(nodes) <= MOST_LABELS,
            event_pick=choose,
        )
        if 0 <= chosen < len(nodes) and nodes[chosen] in agents:
            agent = agents[nodes[chosen]]
            pairs = [f"{past[0]}/{' '.join(others_of(past))}" for past in agent.memory]
            memory = ", ".join(pairs) or "empty"
            text = f"Agent {agent.node}: {agent.mind.label}, holds {agent.name or 'no name yet'}. "
            solara.Div(children=[f"{text}Memory (own/partner, oldest first): {memory}."])


def names_chart(model: NetworkGame) -> solara.Element:
    """Show the success rate and the share of each name by round; a saved notebook keeps a picture.

    Parameters
    ----------
    model : NetworkGame
        The model to show; its data collector has a row per ``step``.

    Returns
    -------
    solara.Element
        The view.
    """
    return _with_picture(_NamesChart(model), "rounds_figure", model)


class _Picture(Mapping[str, str]):
    """What a saved notebook keeps of a widget: a figure, drawn when it is looked at."""

    def __init__(self, drawer: str, model: NetworkGame) -> None:
        self._drawer, self._model = drawer, model

    def __getitem__(self, kind: str) -> str:
        if kind == "text/plain":
            return f"{type(self._model).__name__}, which cannot be shown as text"
        if kind != "text/html":
            raise KeyError(kind)
        from mesa_llm_norms.plots import notebook

        return notebook.picture_html(getattr(notebook, self._drawer)(self._model))

    def __iter__(self) -> Iterator[str]:
        return iter(("text/plain", "text/html"))

    def __len__(self) -> int:
        return 2


def _with_picture(element: Any, drawer: str, model: NetworkGame) -> solara.Element:
    element.mime_bundle = _Picture(drawer, model)
    made: solara.Element = element
    return made


@solara.component  # type: ignore[untyped-decorator]
def _NamesChart(model: NetworkGame) -> None:  # noqa: N802
    _follow_steps()
    pool = model.game.pool
    collected = model.datacollector.model_vars
    columns = [collected.get("success_rate", [])]
    shares = [collected.get(f"share_{name}", []) for name in pool]
    success = solara.use_memo(lambda: chart_lines(["success"]), [])
    lines = solara.use_memo(lambda: chart_lines(pool), [pool])
    title = success_title("" if isinstance(model.game, Game) else model.game.success_name)
    RoundsChart(title=title, lines=success, points=_points(columns), height=_CELL_CHART)
    RoundsChart(title=SHARES_TITLE, lines=lines, points=_points(shares), height=_CELL_CHART)


def _follow_steps() -> None:
    """Subscribe to the steps of ``SolaraViz``, if that is what shows the component."""
    shown_by = sys.modules.get("mesa.visualization.utils")
    if shown_by is not None:
        shown_by.update_counter.get()


def _points(columns: Sequence[Sequence[Any]]) -> str:
    rounds = min(map(len, columns), default=0)
    stride = max(1, math.ceil(rounds / _MOST_POINTS))
    return points_text(rounds, stride, [map(float, column[:rounds:stride]) for column in columns])


# Components of the page; arguments travel as short strings, and ``event_...`` are callbacks


@solara.component_vue("vue/network.vue", vuetify=False)  # type: ignore[untyped-decorator]
def NetworkView(  # noqa: N802
    drawing: str = "",
    codes: str = "",
    marks: str = "",
    recent: str = "",
    selected: int = -1,
    second: int = -1,
    numbered: str = "",
    labels: bool = True,
    by_degree: bool = False,
    height: str = "62vh",
    hint: str = "",
    readonly: bool = False,
    event_pick: Callable[[int], object] | None = None,
) -> None:
    """Show the network of ``drawing_text``, which is expensive to change, and a legend.

    ``codes`` has a character per node: ``chr(48 + index in the pool)`` of its name, or a space.
    ``marks`` does too, unless empty: ``c`` if committed, ``x`` if there is no agent, or a space.
    ``recent`` lists the last interactions, oldest first, as ``"i,j,1 i,j,0"`` with 1 for a match.
    ``selected`` is the index of a node with a ring, ``second`` of one at the end of an edge to
    draw, -1 for none. ``numbered`` lists the nodes that have a number, from 1. Unless
    ``readonly``, ``event_pick`` is called with the index of a node that is clicked or activated by
    Enter or Space, and with -1 for a click beside all nodes.
    """


def network_values(frame: Frame, explaining: bool = False) -> dict[str, str]:
    """Return the arguments of ``NetworkView`` that change with every frame.

    Where the last interaction is explained, it is the only one drawn, and its agents have numbers.
    """
    names = "drawing", "codes", "marks", "recent"
    values = {name: getattr(frame, name) for name in names}
    if not explaining:
        return {**values, "numbered": ""}
    encounter = frame.encounter
    if encounter is None:
        return {**values, "recent": "", "numbered": ""}
    others = len(encounter.parts) - 1
    return {
        **values,
        "recent": " ".join(frame.recent.split(" ")[-others:]) if frame.recent else "",
        "numbered": encounter.places if len(encounter.parts) <= MOST_SEATS else "",
    }


@solara.component_vue("vue/chart.vue", vuetify=False)  # type: ignore[untyped-decorator]
def RoundsChart(  # noqa: N802
    title: str = "",
    lines: str = "",
    points: str = "",
    scale: str = "",
    cursor: int = -1,
    height: int = 170,
    seekable: bool = False,
    event_seek: Callable[[int], object] | None = None,
) -> None:
    """Show shares, 0 to 100%, by round: ``lines`` is from ``chart_lines``.

    ``points`` is from ``points_text``: JSON ``{"rounds": n, "x": [first, last], "y": [text, ...]}``
    with the rounds of the first and the last point (the others are evenly spaced) and the encoded
    shares of each line. ``scale``, from ``scale_text``, has numbers instead of percentages.
    ``cursor`` is a round marked by a vertical line, -1 for none. ``height`` is in pixels, 0 for
    that of the box it is in. If ``seekable``, ``event_seek`` is called with a round that is
    clicked.
    """


def scale_text(scale: tuple[float, float]) -> str:
    """Encode the values at the foot and at the top of a ``RoundsChart``; shares need none."""
    return json_text(list(scale))


def chart_lines(names: Sequence[str]) -> str:
    """Encode the names, colors and dashes of the lines of a ``RoundsChart``.

    The names are a pool, in the colors of every figure; a single one is drawn in dark ink.
    """
    colors = [INK] if len(names) == 1 else [name_colors(names)[name] for name in names]
    return json_text(
        {
            "names": list(names),
            "colors": colors,
            "dashes": [_DASHES[shade_step(i)] for i in range(len(names))],
            "end_labels": True,
        },
        separators=(",", ":"),
    )


@solara.component_vue("vue/figures.vue", vuetify=False)  # type: ignore[untyped-decorator]
def KeyFigures(figures: str = "", testid: str = "figures", silent: str = "") -> None:  # noqa: N802
    """Show labels and values, from ``figure_values``, read out as they change unless ``silent``."""


def figure_values(frame: Frame, say: Callable[[str], str] = str) -> dict[str, str]:
    """Return what ``KeyFigures`` shows of a frame, with words as ``say`` says them."""
    silent = "yes" if frame.state == "playing" else ""
    return {"figures": json_text(_figures(frame, say)), "silent": silent}


def _figures(frame: Frame, say: Callable[[str], str]) -> list[tuple[str, str]]:
    if frame.state == "preparing" and not frame.codes:
        return [("", say("Building the network …"))]
    rate = NOTHING if frame.success_rate is None else f"{frame.success_rate:.0%}"
    leader = NOTHING if frame.leader is None else f"{frame.leader} {frame.leader_share:.0%}"
    found = [
        (say("round"), f"{frame.rounds:,}"),
        (say("interactions"), f"{frame.interactions:,}"),
        (say("success rate"), rate),
        (say("leading name"), leader),
        (say("names held"), str(frame.distinct)),
        (
            say("agreed"),
            say("yes" if frame.agreed else "quiet only" if frame.converged else "not yet"),
        ),
    ]
    if frame.usage is not None:
        calls, tokens, usd = frame.usage
        cost = "unknown" if usd is None else f"${usd:,.4f}"
        found += [(say("calls"), f"{calls:,}"), (say("tokens"), f"{tokens:,}"), (say("cost"), cost)]
    return found


@solara.component_vue("vue/agent.vue", vuetify=False)  # type: ignore[untyped-decorator]
def AgentView(  # noqa: N802
    details: str = "",
    changeable: bool = False,
    event_commit: Callable[[str | None], object] | None = None,
    event_follow: Callable[[object], object] | None = None,
) -> None:
    """Show the details of an agent, from ``details_text``.

    If ``changeable``, ``event_commit`` is called with the name of the pool to commit the agent to,
    or None to release it. ``event_follow`` is called when its next interaction is wanted.
    """


@solara.component_vue("vue/explained.vue", vuetify=False)  # type: ignore[untyped-decorator]
def ExplainedView(  # noqa: N802
    explained: str = "",
    silent: str = "",
    event_pick: Callable[[int], object] | None = None,
    event_follow: Callable[[int], object] | None = None,
) -> None:
    """Show one interaction, from ``explained_values``.

    ``event_pick`` is called with the index of an agent that is to be shown, ``event_follow`` with
    that of one whose next interaction is wanted.
    """


def explained_values(player: Player) -> dict[str, str]:
    """Return what ``ExplainedView`` shows of the last interaction of a population.

    It is read out, unless interactions come faster than anybody could listen to.
    """
    encounter, source = player.frame.encounter, player.source
    fast = player.playing and player.interval < 1
    values = {"explained": "", "silent": "yes" if fast else ""}
    if encounter is not None and source is not None:
        text = explain(encounter, source.referee, source.answers(encounter))
        values["explained"] = json_text(text)
    return values


def details_text(details: AgentDetails, pool: Sequence[str]) -> str:
    """Encode the details of an agent for ``AgentView``."""
    memory = [(own, partner, f"{payoff:+g}") for own, partner, payoff in details.memory]
    heads = ("own name", "partner's name", "payoff")
    tables = [_table("Memory, oldest first", heads, memory, "memory")]
    if details.choices is not None:
        likely = sorted(details.choices, key=lambda choice: -choice.probability)[:_MOST_ROWS]
        rows = [(name, f"{probability:.1%}") for name, probability in likely]
        tables.append(_table("Next choice", ("name", "probability"), rows, "choices"))
    often = sorted(details.partners, key=lambda partner: -partner.met)[:_MOST_ROWS]
    more = len(details.partners) - len(often)
    tables.append(
        _table(
            "Neighbors" + (f" (and {more} more)" if more else ""),
            ("agent", "holds", "matches"),
            [(one.node, one.name or NOTHING, f"{one.matched} of {one.met}") for one in often],
            "partners",
        )
    )
    texts = _exchange_texts(details.exchange, pool) if details.exchange is not None else []
    if details.asked is not None:
        title = "Next prompt (names are shuffled for each call)"
        texts.append({"title": title, "text": details.asked, "testid": "asked"})
    return json_text(
        {
            "node": details.node,
            "mind": details.mind,
            "name": details.name,
            "committed": details.committed,
            "noise": percent(details.noise) if details.noise else "",
            "score": f"{details.score:g}",
            "pool": list(pool),
            "tables": tables,
            "texts": texts,
        }
    )


def _table(
    title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], testid: str
) -> dict[str, Any]:
    return {"title": title, "heads": heads, "rows": rows, "testid": testid}


def _exchange_texts(exchange: Exchange, pool: Sequence[str]) -> list[dict[str, str]]:
    tokens_in, tokens_out = exchange.tokens
    took = f"{tokens_in:,} tokens in, {tokens_out:,} out, {exchange.seconds:.2f} s"
    reply = exchange.reply if exchange.reply is not None else f"no reply: {exchange.problem}"
    likely = sorted(zip(exchange.probabilities, pool, strict=False), reverse=True)[:_MOST_ROWS]
    if likely:
        shares = ", ".join(f"{name} {percent(share)}" for share, name in likely)
        reply = f"{shares} (the name is drawn from this)"
    prompt = f"{exchange.system}\n\n{exchange.prompt}".strip()
    return [
        {"title": "Last prompt", "text": prompt, "testid": "prompt"},
        {"title": f"Reply ({took})", "text": reply, "testid": "reply"},
    ]
