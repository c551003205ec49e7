"""A page with nothing but the network and two charts, for ``test_views_browser``.

The query says what is drawn: ``n`` agents, ``kind`` of network, ``names`` of the pool, how many
are ``committed``, how many ``rounds`` there are; ``second``, ``hint``, ``readonly``, ``by_degree``.
What is held is drawn anew with every click on Change, and what was picked last is shown.
"""

from __future__ import annotations

import json
import random
from collections.abc import Hashable
from typing import Any
from urllib.parse import parse_qs

import networkx as nx
import solara

from mesa_llm_norms.networks.drawing import drawing_text
from mesa_llm_norms.web.frames import encode_shares
from mesa_llm_norms.web.views import NetworkView, RoundsChart, chart_lines


def network_of(kind: str, n: int) -> nx.Graph[Any]:
    """Return a network; grids are quick to lay out at any size."""
    graph: nx.Graph[Any]
    if kind == "grid":
        graph = nx.grid_2d_graph(20, n // 20)
        nx.set_node_attributes(graph, {node: node for node in graph}, "pos")
        nodes = list(graph)
        draw = random.Random(1)
        graph.add_edges_from(
            tuple(draw.sample(nodes, 2)) for _ in range(2_000 - graph.number_of_edges())
        )
    elif kind == "scale free":
        graph = nx.barabasi_albert_graph(n, 3, seed=1)
    elif kind == "directed":
        graph = nx.DiGraph((f"<script>{i}", f"<script>{(i + 1) % n}") for i in range(n))
    elif kind == "weighted":
        graph = nx.Graph()
        graph.add_weighted_edges_from((i, (i + 1) % n, 1 + i) for i in range(n))
    elif kind == "complete":
        graph = nx.complete_graph(n)
        nx.set_node_attributes(graph, {i: (i % 15, i // 15) for i in graph}, "pos")
    else:
        graph = nx.connected_watts_strogatz_graph(n, 4, 0.1, seed=1)
    return graph


def shares_of(names: int, rounds: int) -> list[list[float]]:
    """Return for each name its share in every round; that of the first grows."""
    draw = random.Random(1)
    weights = [draw.random() for _ in range(names)]
    found: list[list[float]] = [[] for _ in range(names)]
    for number in range(rounds):
        weights = [weight * draw.uniform(0.8, 1.25) for weight in weights]
        weights[0] *= 1 + number / rounds / 5
        for place, weight in enumerate(weights):
            found[place].append(weight / sum(weights))
    return found


def points_of(shares: list[list[float]]) -> str:
    """Return the points of a chart."""
    rounds = len(shares[0])
    texts = [encode_shares(line) for line in shares]
    return json.dumps({"rounds": rounds, "x": [1, max(1, rounds)], "y": texts})


def recent_of(graph: nx.Graph[Any], draw: random.Random) -> str:
    """Return some interactions along ties."""
    place: dict[Hashable, int] = {node: number for number, node in enumerate(graph)}
    met = draw.choices(list(graph.edges), k=min(30, len(graph) // 2))
    return " ".join(f"{place[u]},{place[v]},{draw.randrange(2)}" for u, v in met)


@solara.component  # type: ignore[untyped-decorator]
def Page() -> None:  # noqa: N802
    query = parse_qs(solara.use_router().search or "", keep_blank_values=True)
    given = {key: values[-1] for key, values in query.items()}
    n, kind = int(given.get("n", 24)), given.get("kind", "small world")
    pool = given.get("names", "Q,M").split(",")
    committed = int(given.get("committed", 3))
    version = solara.use_reactive(0)
    picked = solara.use_reactive("nothing")
    sought = solara.use_reactive(-1)
    graph = solara.use_memo(lambda: network_of(kind, n), [kind, n])
    drawing = solara.use_memo(lambda: drawing_text(graph, pool), [graph, given.get("names")])
    draw = random.Random(version.value)
    codes = "".join(
        " " if place % 20 == 19 else chr(48 + draw.randrange(len(pool))) for place in range(n)
    )
    shares = shares_of(len(pool), int(given.get("rounds", 12)) + version.value)

    solara.Title("Views")
    with solara.Row():
        solara.Button(
            "Change",
            on_click=lambda: version.set(version.value + 1),
            attributes={"data-testid": "change"},
        )
        solara.Text(f"picked {picked.value}, round {sought.value}")
    with solara.Div(classes=["views"]):
        NetworkView(
            drawing=drawing,
            codes=codes,
            marks="c" * committed + " " * (n - committed),
            recent=recent_of(graph, draw),
            selected=int(picked.value) if picked.value != "nothing" else -1,
            second=1 if "second" in given else -1,
            by_degree="by_degree" in given,
            hint=given.get("hint", ""),
            readonly="readonly" in given,
            event_pick=lambda place: picked.set(str(place)),
        )
        with solara.Div():
            RoundsChart(
                title="Success rate", lines=chart_lines(["success"]), points=points_of(shares[:1])
            )
            RoundsChart(
                title="Share of each name",
                lines=chart_lines(pool),
                points=points_of(shares),
                cursor=sought.value,
                seekable=True,
                event_seek=sought.set,
            )
    solara.Style(
        ".views { display: grid; gap: 16px; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); }"
        "@media (max-width: 900px) { .views { grid-template-columns: minmax(0, 1fr); } }"
    )
