"""``mesa-llm-norms topologies``: the networks that there are, and graph files, measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import networkx as nx
import typer
from rich.text import Text

from mesa_llm_norms.cli import options, output
from mesa_llm_norms.core.files import new_file
from mesa_llm_norms.core.formatting import count
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.networks.adjacency import Graph, Neighbors, graph_size, is_directed, to_networkx
from mesa_llm_norms.networks.descriptors import describe_network
from mesa_llm_norms.networks.numbered import check_table
from mesa_llm_norms.networks.reading import graph_file, open_table, read_graph
from mesa_llm_norms.networks.registry import topologies as known_topologies
from mesa_llm_norms.networks.validation import EdgeTable, check_graph, components

_LARGE = 2_000
"""Graphs with more nodes are not measured for their diameter, which takes long."""


@options.expanded
def topologies(
    topology: Annotated[
        str | None, typer.Argument(help="Topology or graph file to measure.")
    ] = None,
    draw: Annotated[
        Path | None, options.option(options.OUTPUT, "Draw it to this file, .png or .svg.")
    ] = None,
    seed: options.FixedSeed = 0,
    as_json: options.AsJson = False,
    *,
    files: options.FileOptions,
) -> None:
    """List the topologies that agents can live on, or measure one.

    Of a graph file it says how it was read: its format, whether it is directed, which column or
    attribute the weights are, what was skipped and ignored, and what cleaning did.

    [b]Examples[/b]

    mesa-llm-norms topologies

    mesa-llm-norms topologies "ring(n=12, k=4)" --draw ring.png

    mesa-llm-norms topologies polblogs.gml --read directed=false --clean
    """
    if topology is None:
        if draw is not None:
            raise typer.BadParameter("--draw needs a topology to draw.")
        _print_topologies(as_json)
        return
    (topology,) = files.apply(topology)
    file = graph_file(topology)
    table: EdgeTable | None = None
    if file is None:
        graph = read_graph(topology, RandomStream(options.read_seed(seed)).generator("graph"))
    else:
        found = open_table(file.path, **file.options)
        if isinstance(found, EdgeTable):
            table, graph = found, check_table(found)
        else:
            graph = found
    if table is None:
        check_graph(graph)
    parts = components(graph)
    read = {} if file is None else _reading(graph, table, len(parts))
    measured = _measure(graph, parts)
    if draw is not None:
        _draw(graph, draw)
    if as_json:
        written = {key.replace(" ", "_"): it for key, it in read.items()}
        output.print_json({"topology": topology, **written, **measured})
        return
    output.say(output.one_line(topology), "bold")
    if measured["assortativity"] is None:
        measured["assortativity"] = "none (all degrees are the same)"
    if measured["sampled"] is None:
        del measured["sampled"]
    rest = {key.replace("_", " "): _written(it) for key, it in measured.items() if key not in read}
    output.print_pairs(({key: _words(it) for key, it in read.items()} | rest).items())
    if draw is not None:
        output.say(f"Drawn to {draw}")


def _reading(graph: Graph, table: EdgeTable | None, parts: int) -> dict[str, Any]:
    """Return how a graph file was read."""
    nodes, edges = graph_size(graph)
    read: dict[str, Any] = {"nodes": nodes, "edges": edges, "directed": is_directed(graph)}
    if table is None:
        return read
    return {
        "format": table.format,
        **read,
        "weights": table.weight_name if table.weights is not None else "",
        **{name: len(values) for name, values in table.attributes.items()},
        "parts": parts,
        "isolated nodes": int(table.isolated.sum()),
        "loops": int(table.loops.sum()),
        "parallel edges": table.parallel,
        "skipped lines": table.skipped,
        "ignored": list(dict.fromkeys(table.ignored)),
        "notes": table.notes,
        "cleaned": table.done,
    }


def _words(value: Any) -> str:
    """Return what was found in a file as text."""
    if isinstance(value, list):
        return "; ".join(value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return count(value) if isinstance(value, int) else value or "none"


def _measure(graph: Graph, parts: list[list[Any]]) -> dict[str, Any]:
    """Return a graph in numbers.

    The diameter is that of the largest component, directions ignored, and None for large graphs.
    """
    nodes, edges = graph_size(graph)
    neighbors = Neighbors(graph)
    degrees = neighbors.degrees
    plain: nx.Graph[Any] | None = nx.Graph(to_networkx(graph)) if nodes <= _LARGE else None
    return {
        "nodes": nodes,
        "edges": edges,
        "directed": is_directed(graph),
        "parts": len(parts),
        "degree": [int(degrees.min()), int(degrees.max())],
        "mean_degree": float(degrees.mean()),
        "diameter": nx.diameter(plain.subgraph(parts[0])) if plain is not None else None,
        **describe_network(neighbors),
    }


def _print_topologies(as_json: bool) -> None:
    known = known_topologies()
    if as_json:
        keys = ("name", "summary", "signature", "example")
        output.print_json([{key: getattr(it, key) for key in keys} for it in known])
        return
    output.print_table(
        ("topology", "description and example"),
        [(Text(it.name, "bold"), f"{it.summary}\n{it.example}") for it in known],
        prose=1,
    )
    output.say("\nParameters that are left out have defaults. Graph files can be used as well.")


def _draw(graph: Graph, path: Path) -> None:
    from mesa_llm_norms import plots

    if path.suffix.lower() not in (".png", ".svg"):
        raise typer.BadParameter("--draw takes a file that ends in .png or .svg.")
    if graph_size(graph)[0] > plots.MOST_NODES:
        raise typer.BadParameter(f"--draw takes graphs of at most {plots.MOST_NODES:,} nodes.")
    with new_file(path, "draw") as hidden:
        plots.write_figure(plots.plot_graph(to_networkx(graph)), hidden)


def _written(value: Any) -> str:
    if value is None:
        return "not measured (large graph)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        low, high = value
        return count(low) if low == high else f"{count(low)} to {count(high)}"
    return count(value) if isinstance(value, int) else f"{value:.2f}"
