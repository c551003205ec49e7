"""Views for Mesa's own page, and for notebooks: who holds which name, and how that came about.

::

    from mesa.visualization import SolaraViz
    from mesa_llm_norms.viz.components import names_chart, names_network

    page = SolaraViz(NamingGame(), components=[names_network, names_chart])
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import solara

from mesa_llm_norms.model import NamingGame
from mesa_llm_norms.places import layout
from mesa_llm_norms.viz.encoding import drawing_text, points_text
from mesa_llm_norms.viz.stage import NOBODY, RECENT
from mesa_llm_norms.viz.views import NetworkView, RoundsChart, chart_lines

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
