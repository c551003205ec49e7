"""``mesa-llm-norms minds`` and ``topologies``: what there is to play with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import networkx as nx
import typer
from rich.table import Table
from rich.text import Text

from mesa_llm_norms.cli import output
from mesa_llm_norms.core.files import new_file
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.llm.mind import LiveMind
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.minds.policies import TableMind
from mesa_llm_norms.minds.recorded import RecordedMind
from mesa_llm_norms.minds.registry import load_mind, mind_names
from mesa_llm_norms.networks.adjacency import Graph, Neighbors, graph_size, is_directed, to_networkx
from mesa_llm_norms.networks.graph_files import read_graph
from mesa_llm_norms.networks.registry import topologies as known_topologies
from mesa_llm_norms.networks.validation import check_graph, parts
from mesa_llm_norms.validation import read_seed

_EXACT = 2_000
"""Larger graphs are not measured for diameter and clustering, which takes long."""


def minds(
    name: Annotated[
        str | None, typer.Argument(help="A mind or a mind file to tell all about.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")
    ] = False,
) -> None:
    """List the minds that can play, or say where one comes from.

    The log-loss is the mean surprise (nats) per decision of runs that were not fitted on, per pool
    of names: the lower, the closer to the recorded model.

    [b]Examples[/b]

    mesa-llm-norms minds

    mesa-llm-norms minds claude-3.5-sonnet
    """
    if name is not None:
        mind = load_mind(name)
        if as_json:
            typer.echo(json.dumps(describe_mind(mind, full=True), ensure_ascii=False))
        else:
            _show_mind(mind)
        return
    described = [describe_mind(load_mind(known)) for known in mind_names()]
    if as_json:
        typer.echo(json.dumps(described, ensure_ascii=False))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("mind", "fitted on", "decisions", "log-loss, held out"):
        table.add_column(column, overflow="fold")
    for one in described:
        fitted = [it for it in one["conditions"] if it.get("kind") == "baseline"]
        table.add_row(
            Text(one["name"], "bold"),
            Text("\n".join(_pool(it) for it in fitted) or one["what"]),
            Text(f"{one['decisions']:,}" if one["decisions"] else ""),
            Text("\n".join(_loss(it) for it in fitted)),
        )
    console = output.stdout()
    console.print(table)
    sources = dict.fromkeys(one["source"] for one in described if one["source"])
    for source in sources:
        console.print(f"\nRecorded minds were fitted to: {source}.", markup=False)
    console.print("Any other pool can be played too, without bias towards names never recorded.")
    console.print(
        "\nLive minds are asked anew: claude:MODEL, llama:URL#MODEL (run --help).", markup=False
    )


def describe_mind(mind: Mind, full: bool = False) -> dict[str, Any]:
    """Return a mind as plain data: name, kind, what it was fitted on and how well."""
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
        described["known_names"] = known_names(mind)
    return described


def known_names(mind: Mind) -> list[str]:
    """Return the names that carry a measured weight of their own, sorted."""
    if isinstance(mind, RecordedMind):
        return sorted(mind.weights["name"])
    return list(mind.names) if isinstance(mind, TableMind) else []


def _kind(mind: Mind) -> str:
    if isinstance(mind, RecordedMind):
        return "a recorded mind"
    if isinstance(mind, TableMind):
        return f"a measured table of {len(mind.table)} memories"
    if isinstance(mind, LiveMind):
        return f"a live mind, asked with the prompt {mind.template.version}"
    return "nothing: every name is equally likely, always"


def _show_mind(mind: Mind) -> None:
    one = describe_mind(mind, full=True)
    console = output.stdout()
    console.print(Text.assemble((one["name"], "bold"), f": {one['what']}"))
    if isinstance(mind, LiveMind):
        return
    known = one["known_names"]
    console.print(
        Text(
            f"names with measured weights: {' '.join(known)}"
            if known
            else "names with measured weights: none, so it favours no name"
        )
    )
    for key, value in one["provenance"].items():
        if key != "conditions":
            console.print(Text(f"{key}: {value}"))
    if one["conditions"]:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in ("condition", "names", "decisions", "log-loss, fitted", "log-loss, held out"):
            table.add_column(column)
        for it in one["conditions"]:
            table.add_row(
                Text(str(it.get("kind"))),
                Text(_pool(it)),
                str(it.get("decisions")),
                str(it.get("log_loss")),
                _loss(it),
            )
        console.print(table)


def _pool(condition: Mapping[str, Any]) -> str:
    pool = condition.get("pool")
    return " ".join(map(str, pool)) if isinstance(pool, list) else "?"


def _loss(condition: Mapping[str, Any]) -> str:
    loss = condition.get("log_loss_even_to_odd")
    return f"{loss:.3f}" if isinstance(loss, float) else "-"


def topologies(
    topology: Annotated[
        str | None, typer.Argument(help="A topology, or a graph file, to measure.")
    ] = None,
    draw: Annotated[Path | None, typer.Option(help="Draw it into this file, .png or .svg.")] = None,
    seed: Annotated[int, typer.Option(help="For random topologies: which one to draw.")] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")
    ] = False,
) -> None:
    """List the topologies that agents can live on, or measure one.

    [b]Examples[/b]

    mesa-llm-norms topologies

    mesa-llm-norms topologies "ring(n=12, k=4)" --draw ring.png
    """
    if topology is None:
        if draw is not None:
            raise typer.BadParameter("--draw needs a topology to draw.")
        _list_topologies(as_json)
        return
    graph = read_graph(topology, RandomStream(read_seed(seed)).generator("graph"))
    check_graph(graph)
    measured = measure(graph)
    if draw is not None:
        _draw(graph, draw)
    if as_json:
        typer.echo(json.dumps({"topology": topology, **measured}, ensure_ascii=False))
        return
    console = output.stdout()
    table = Table(box=None, show_header=False, pad_edge=False)
    for key, value in measured.items():
        table.add_row(key.replace("_", " "), _written(value))
    console.print(output.one_line(topology), style="bold", markup=False)
    console.print(table)
    if draw is not None:
        console.print(f"Drawn in {draw}", markup=False, soft_wrap=True)


def measure(graph: Graph) -> dict[str, Any]:
    """Return a graph in numbers; diameter and clustering are None where they are not known.

    The diameter is that of the largest part, edge directions ignored.
    """
    nodes, edges = graph_size(graph)
    degrees = Neighbors(graph).degrees
    separate = parts(graph)
    plain: nx.Graph[Any] | None = nx.Graph(to_networkx(graph)) if nodes <= _EXACT else None
    return {
        "nodes": nodes,
        "edges": edges,
        "directed": is_directed(graph),
        "parts": len(separate),
        "degree": [int(degrees.min()), int(degrees.max())],
        "mean_degree": float(degrees.mean()),
        "diameter": nx.diameter(plain.subgraph(separate[0])) if plain is not None else None,
        "clustering": nx.average_clustering(plain) if plain is not None else None,
    }


def _list_topologies(as_json: bool) -> None:
    known = known_topologies()
    if as_json:
        listed = [
            {
                "name": it.name,
                "summary": it.summary,
                "signature": it.signature,
                "example": it.example,
            }
            for it in known
        ]
        typer.echo(json.dumps(listed, ensure_ascii=False))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("topology", no_wrap=True)
    table.add_column("what it is", ratio=1)
    table.add_column("for example", ratio=1)
    for it in known:
        table.add_row(Text(it.name, "bold"), Text(it.summary), Text(it.example))
    console = output.stdout()
    console.print(table)
    console.print("Parameters left out take their usual values. Graph files can be given too.")


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
        return "not measured, the graph is large"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Sequence):
        low, high = value
        return f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.2f}"
