"""``mesa-llm-norms minds`` and ``topologies``: what there is to play with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import networkx as nx
import typer
from rich.text import Text

from mesa_llm_norms.cli import options, output
from mesa_llm_norms.core.files import new_file
from mesa_llm_norms.core.formatting import count
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.errors import shortened
from mesa_llm_norms.llm.provider import LiveMind
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.minds.policies import TableMind
from mesa_llm_norms.minds.recorded import RecordedMind
from mesa_llm_norms.minds.registry import load_mind, mind_names
from mesa_llm_norms.networks.adjacency import Graph, Neighbors, graph_size, is_directed, to_networkx
from mesa_llm_norms.networks.reading import graph_file, open_file, read_graph
from mesa_llm_norms.networks.registry import topologies as known_topologies
from mesa_llm_norms.networks.validation import EdgeTable, check_graph, components

_LARGE = 2_000
"""Graphs with more nodes are not measured for diameter and clustering, which takes long."""


def minds(
    name: Annotated[
        str | None, typer.Argument(help="Mind or mind file to describe in full.")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """List the minds, or describe one.

    The log-loss is the mean surprise (in nats) per decision in runs that the mind was not fitted
    to, for each pool of names: the lower, the closer to the recorded model.

    [b]Examples[/b]

    mesa-llm-norms minds

    mesa-llm-norms minds claude-3.5-sonnet
    """
    if name is not None:
        mind = load_mind(name)
        if as_json:
            output.print_json(_describe(mind, full=True))
        else:
            _print_mind(mind)
        return
    described = [_describe(load_mind(known)) for known in mind_names()]
    if as_json:
        output.print_json(described)
    else:
        _print_minds(described)


def pool_text(pool: Any) -> str:
    """Return a pool as ``--names`` takes it; ``?`` for what is not a pool."""
    if not isinstance(pool, Sequence):
        return "?"
    names = [str(name) for name in pool]
    return ("" if all(len(name) == 1 for name in names) else ",").join(names)


def _describe(mind: Mind, full: bool = False) -> dict[str, Any]:
    """Return a mind as plain data: its kind, what it was fitted to and how well."""
    provenance: Mapping[str, Any] = getattr(mind, "provenance", {})
    conditions = provenance.get("conditions", [])
    fitted = isinstance(conditions, list) and all(isinstance(it, dict) for it in conditions)
    described: dict[str, Any] = {
        "name": mind.label,
        "what": _kind(mind),
        "decisions": provenance.get("decisions"),
        "conditions": conditions if fitted else [],
        "source": provenance.get("source"),
    }
    if full:
        described["provenance"] = dict(provenance)
        described["known_names"] = _known_names(mind)
    return described


def _known_names(mind: Mind) -> list[str]:
    """Return the names for which the mind has a weight of their own."""
    if isinstance(mind, RecordedMind):
        return sorted(mind.weights["name"])
    return list(mind.names) if isinstance(mind, TableMind) else []


def _kind(mind: Mind) -> str:
    if isinstance(mind, RecordedMind):
        return "a recorded mind"
    if isinstance(mind, TableMind):
        return f"a measured table of {len(mind.table)} memories"
    if isinstance(mind, LiveMind):
        return f"a live mind, prompt template {mind.template.version}"
    return "chooses every name with equal probability"


def _print_minds(described: Sequence[Mapping[str, Any]]) -> None:
    rows: list[tuple[str | Text, ...]] = []
    for one in described:
        fitted = [it for it in one["conditions"] if it.get("kind") == "baseline"]
        decisions = count(one["decisions"]) if one["decisions"] else ""
        lines = [(pool_text(it.get("pool")), _loss(it)) for it in fitted] or [(one["what"], "")]
        for place, line in enumerate(lines):
            first = ("", "") if place else (one["name"], decisions)
            rows.append((Text(first[0], "bold"), first[1], *line))
    output.print_table(("mind", "decisions", "fitted to the names", "log-loss"), rows, prose=2)
    for source in dict.fromkeys(one["source"] for one in described if one["source"]):
        output.say(f"\nRecorded minds were fitted to: {source}.")
    output.say(
        "\nThey also play with other names, without a preference for names that were never "
        "recorded. Live minds call a model: claude:MODEL or llama:URL#MODEL (see run --help)."
    )


def _print_mind(mind: Mind) -> None:
    one = _describe(mind, full=True)
    output.say(Text.assemble((_brief(one["name"]), "bold"), f": {one['what']}"))
    if isinstance(mind, LiveMind):
        return
    known = " ".join(one["known_names"]) or "none, so it prefers no name"
    output.say(f"names with measured weights: {_brief(known)}")
    for key, value in one["provenance"].items():
        if key != "conditions":
            output.say(f"{_brief(key.replace('_', ' '))}: {_brief(value)}")
    if one["conditions"]:
        output.print_table(
            ("condition", "names", "decisions", "log-loss (fitted)", "(held out)"),
            [
                (
                    _brief(it.get("kind")),
                    _brief(pool_text(it.get("pool"))),
                    _brief(it.get("decisions")),
                    _brief(it.get("log_loss")),
                    _loss(it),
                )
                for it in one["conditions"]
            ],
            prose=1,
        )


def _brief(value: Any) -> str:
    """Return what stands in a mind file, which may be of any length, for a line of text."""
    return shortened(str(value), 300)


def _loss(condition: Mapping[str, Any]) -> str:
    loss = condition.get("log_loss_even_to_odd")
    return f"{loss:.3f}" if isinstance(loss, float) else "-"


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
    read: dict[str, Any] = {}
    if file is None:
        graph = read_graph(topology, RandomStream(options.read_seed(seed)).generator("graph"))
    else:
        graph, table = open_file(file.path, **file.options)
        read = _reading(graph, table)
    check_graph(graph)
    measured = _measure(graph)
    if draw is not None:
        _draw(graph, draw)
    if as_json:
        written = {key.replace(" ", "_"): it for key, it in read.items()}
        output.print_json({"topology": topology, **written, **measured})
        return
    output.say(output.one_line(topology), "bold")
    rest = {key.replace("_", " "): _written(it) for key, it in measured.items() if key not in read}
    output.print_pairs(({key: _words(it) for key, it in read.items()} | rest).items())
    if draw is not None:
        output.say(f"Drawn to {draw}")


def _reading(graph: Graph, table: EdgeTable | None) -> dict[str, Any]:
    """Return how a graph file was read."""
    nodes, edges = graph_size(graph)
    read: dict[str, Any] = {"nodes": nodes, "edges": edges, "directed": is_directed(graph)}
    if table is None:
        return read
    return {
        "format": table.format,
        **read,
        "weights": table.weight_name if table.weights is not None else "",
        "parts": len(components(graph)) if nodes else 0,
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


def _measure(graph: Graph) -> dict[str, Any]:
    """Return a graph in numbers.

    The diameter is that of the largest component, edge directions ignored. Diameter and clustering
    are None for large graphs.
    """
    nodes, edges = graph_size(graph)
    degrees = Neighbors(graph).degrees
    parts = components(graph)
    plain: nx.Graph[Any] | None = nx.Graph(to_networkx(graph)) if nodes <= _LARGE else None
    return {
        "nodes": nodes,
        "edges": edges,
        "directed": is_directed(graph),
        "parts": len(parts),
        "degree": [int(degrees.min()), int(degrees.max())],
        "mean_degree": float(degrees.mean()),
        "diameter": nx.diameter(plain.subgraph(parts[0])) if plain is not None else None,
        "clustering": nx.average_clustering(plain) if plain is not None else None,
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
    if isinstance(value, Sequence):
        low, high = value
        return count(low) if low == high else f"{count(low)} to {count(high)}"
    return count(value) if isinstance(value, int) else f"{value:.2f}"
