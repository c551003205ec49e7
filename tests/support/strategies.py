"""Hypothesis strategies shared by the tests."""

from __future__ import annotations

import io
import json
from collections.abc import Hashable, Sequence
from typing import Any

import networkx as nx
from hypothesis import strategies as st

from mesa_llm_norms.core.game import Memory, Remembered
from mesa_llm_norms.networks.placement import PLACEMENTS


def node_ids() -> st.SearchStrategy[Hashable]:
    """Node ids of every hashable kind users have: numbers, text, tuples, frozensets."""
    numbers = st.integers(-99, 99)
    words = st.text(max_size=4)
    return st.one_of(numbers, words, st.tuples(numbers, words), st.frozensets(numbers, max_size=2))


@st.composite
def graphs(
    draw: st.DrawFn,
    *,
    nodes: st.SearchStrategy[Hashable] | None = None,
    min_nodes: int = 2,
    max_nodes: int = 12,
    directed: bool | None = None,
    weighted: bool | None = None,
) -> nx.Graph[Any]:
    """Graphs the game can be played on: connected, simple, any node ids.

    ``directed`` and ``weighted`` fix what is otherwise drawn. A directed graph is weakly connected.
    """
    kind = node_ids() if nodes is None else nodes
    ids = draw(st.lists(kind, min_size=min_nodes, max_size=max_nodes, unique=True), label="nodes")
    is_directed = draw(st.booleans()) if directed is None else directed
    is_weighted = draw(st.booleans()) if weighted is None else weighted
    graph: nx.Graph[Any] = nx.DiGraph() if is_directed else nx.Graph()
    graph.add_nodes_from(draw(st.permutations(ids)))
    for position in range(1, len(ids)):
        other = ids[draw(st.integers(0, position - 1))]
        ends = [ids[position], other]
        graph.add_edge(*(reversed(ends) if draw(st.booleans()) else ends))
    pairs = st.tuples(st.sampled_from(ids), st.sampled_from(ids)).filter(lambda it: it[0] != it[1])
    graph.add_edges_from(draw(st.lists(pairs, max_size=2 * len(ids))))
    if is_weighted:
        for _, _, data in graph.edges(data=True):
            data["weight"] = draw(st.one_of(st.integers(1, 9), st.floats(0.01, 100)))
    return graph


def graph_files(graph: nx.Graph[Any]) -> dict[str, bytes]:
    """Return the contents of a file of every format that holds ``graph``, by suffix."""
    graphml, gexf, gml = io.BytesIO(), io.BytesIO(), io.BytesIO()
    nx.write_graphml(graph, graphml)
    nx.write_gexf(graph, gexf)
    nx.write_gml(graph, gml)
    edges = "\n".join(
        f"{u} {v}" + (f" {data['weight']}" if "weight" in data else "")
        for u, v, data in graph.edges(data=True)
    )
    return {
        ".graphml": graphml.getvalue(),
        ".xml": graphml.getvalue(),
        ".gexf": gexf.getvalue(),
        ".gml": gml.getvalue(),
        ".json": json.dumps(nx.node_link_data(graph, edges="edges")).encode(),
        ".txt": edges.encode(),
        ".edgelist": edges.encode(),
        ".edges": edges.encode(),
        ".ncol": edges.encode(),
        ".csv": edges.replace(" ", ",").encode(),
        ".tsv": edges.replace(" ", "\t").encode(),
    }


@st.composite
def bad_graph_files(draw: st.DrawFn) -> tuple[str, bytes]:
    """Draw a suffix, and contents that were a good graph file before some damage was done."""
    graph = nx.watts_strogatz_graph(6, 2, 0.5, seed=1)
    nx.set_edge_attributes(graph, dict.fromkeys(graph.edges, 2.5), "weight")
    files = graph_files(graph)
    contents = bytearray(files[draw(st.sampled_from(sorted(files)))])
    suffix = draw(st.sampled_from(sorted(files)))
    kinds = st.sampled_from(["keep", "cut", "flip", "insert", "repeat", "garbage", "encoding"])
    for kind in draw(st.lists(kinds, min_size=1, max_size=4)):
        place = draw(st.integers(0, len(contents)))
        end = draw(st.integers(place, min(len(contents), place + 60)))
        if kind == "cut":
            del contents[place:]
        elif kind == "flip" and place < len(contents):
            contents[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "insert":
            contents[place:place] = draw(st.binary(max_size=8))
        elif kind == "repeat":
            contents[place:place] = contents[place:end]
        elif kind == "garbage":
            contents[:] = draw(st.binary(max_size=60))
        elif kind == "encoding":
            text = contents.decode("latin-1")
            contents[:] = text.encode(draw(st.sampled_from(["utf-16", "utf-32", "cp037"])))
    return suffix, bytes(contents)


def pools(min_size: int = 2, max_size: int = 6) -> st.SearchStrategy[tuple[str, ...]]:
    """Pools of names: single letters, or words in any script, with spaces and slashes inside."""
    letters = st.characters(categories=["Lu", "Ll", "Lo"])
    inside = st.characters(categories=["L", "N", "P", "S"], include_characters=" ")
    words = st.text(inside, min_size=1, max_size=8).map(str.strip).filter(bool)
    names = st.one_of(letters, words)
    unique = st.lists(names, min_size=min_size, max_size=max_size, unique=True)
    return unique.map(tuple)


def memories(
    pool: Sequence[str], *, min_size: int = 0, max_size: int = 8
) -> st.SearchStrategy[Memory]:
    """Memories over a pool, oldest first."""
    name = st.sampled_from(list(pool))
    pair = st.builds(Remembered, name, name)
    return st.lists(pair, min_size=min_size, max_size=max_size).map(tuple)


@st.composite
def specs(draw: st.DrawFn, *, minds: Sequence[Any] = ("uniform",)) -> dict[str, Any]:
    """Draw arguments of ``NamingGame`` that fit together: small graphs, any pool and pairing.

    ``minds`` are those to choose from; they must be able to play any pool.
    """
    graph = draw(graphs(), label="graph")
    pool = draw(pools(max_size=4), label="pool")
    committed: dict[str, Any] = {}
    if draw(st.booleans()):
        count = draw(st.integers(0, len(graph)))
        placement = draw(st.sampled_from(["random", "hubs", "periphery", "cluster"]))
        committed[draw(st.sampled_from(pool))] = draw(st.sampled_from([count, (count, placement)]))
    return {
        "graph": graph,
        "names": pool,
        "mind": draw(st.sampled_from(list(minds))),
        "pairing": draw(st.sampled_from(["node", "edge", "matching"])),
        "memory": draw(st.integers(1, 7)),
        "incumbent": draw(st.one_of(st.none(), st.sampled_from(pool))),
        "committed": committed or None,
        "rng": draw(st.integers(0, 2**64 - 1)),
    }


@st.composite
def who_is_committed(
    draw: st.DrawFn, pool: Sequence[str], nodes: Sequence[Hashable]
) -> dict[str, Any] | None:
    """Draw a ``committed`` argument that fits: counts, shares, placements, nodes in any form."""
    committed: dict[str, Any] = {}
    free = draw(st.permutations(list(nodes)))
    for name in draw(st.lists(st.sampled_from(list(pool)), max_size=2, unique=True)):
        half = len(nodes) // 2
        amount = draw(st.one_of(st.integers(0, half), st.floats(0, 0.4)))
        placement = draw(st.sampled_from(PLACEMENTS))
        named, free = free[:1], free[1:]
        where = draw(st.sampled_from([amount, (amount, placement), named, set(named)]))
        firm = {"noise": draw(st.sampled_from([0.0, 0.1])), "until": draw(st.integers(1, 9))}
        committed[name] = draw(st.sampled_from([where, {"agents": where, **firm}]))
    return committed or None


@st.composite
def any_specs(draw: st.DrawFn, *, minds: Sequence[Any] = ("uniform",)) -> dict[str, Any]:
    """Draw fitting arguments of ``Spec``: graphs and topologies, one mind or several, all forms.

    ``minds`` are those to choose from; they must be able to play any pool.
    """
    arguments = draw(specs(minds=minds))
    arguments["seed"] = arguments.pop("rng")
    nodes: Sequence[Hashable] = list(arguments["graph"])
    if draw(st.booleans()):
        arguments["graph"] = draw(st.sampled_from(["ring(n=6)", "barabasi_albert(n=6, m=2)"]))
        nodes = range(6)
    elif draw(st.booleans()):
        places = {node: (float(place), -1.5) for place, node in enumerate(nodes)}
        nx.set_node_attributes(arguments["graph"], places, "pos")
    arguments["committed"] = draw(who_is_committed(arguments["names"], nodes))
    several = st.lists(st.sampled_from(list(minds)), min_size=1, max_size=3, unique=True)
    shares = st.dictionaries(st.sampled_from(list(minds)), st.integers(1, 9) | st.floats(0.1, 9))
    kind = draw(st.sampled_from(["one", "shares", "nodes"]))
    if kind == "shares":
        arguments["mind"] = draw(shares.filter(bool))
    elif kind == "nodes":
        chosen = draw(several)
        arguments["mind"] = {node: draw(st.sampled_from(chosen)) for node in nodes}
    arguments["reward"] = draw(st.integers(-5, 500) | st.floats(-5, 5))
    return arguments
