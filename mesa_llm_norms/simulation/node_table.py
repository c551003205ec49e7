"""What each node held and since when, as a table, and the network with it, as Gephi opens it.

Everything is made from arrays, so that a million nodes take seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mesa_llm_norms.networks.adjacency import Neighbors
from mesa_llm_norms.networks.drawing import name_colors
from mesa_llm_norms.simulation.run_record import NodeHistory, NodeSums, node_ids
from mesa_llm_norms.simulation.spec import Spec

NODES = "nodes.parquet"

NETWORK = "network.gexf"

MOST_EDGES = 5_000_000
"""Edges of a network above which only the table of its nodes is written."""

_AT_ONCE = 1 << 17
"""Nodes or edges that are put into words at once."""

_RUNS_AT_ONCE = 500

_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "&#10;", "\t": "&#9;"}


def run_nodes(
    neighbors: Neighbors, pool: Sequence[str], history: NodeHistory, winner: str | None
) -> pd.DataFrame:
    """Return the nodes of one run as a table.

    Parameters
    ----------
    neighbors : Neighbors
        The network.
    pool : sequence of str
        The names.
    history : NodeHistory
        What was played.
    winner : str or None
        The name played most at the end of the run.

    Returns
    -------
    pandas.DataFrame
        One row per node: ``node``, ``degree``, ``name`` (held at the end), ``last_change`` (the
        round in which it took up that name), and ``first_with_winner`` (the first round in which it
        played the winner). What never happened is missing; rounds are counted from 0.
    """
    first = np.full(len(neighbors), -1, np.int32)
    if winner is not None:
        first = history.first[:, list(pool).index(winner)]
    return pd.DataFrame(
        {
            "node": node_ids(neighbors.nodes),
            "degree": neighbors.degrees,
            "name": np.array([*pool, None], object)[history.held],
            "last_change": _or_missing(history.changed),
            "first_with_winner": _or_missing(first),
        }
    )


def ensemble_nodes(neighbors: Neighbors, pool: Sequence[str], sums: NodeSums) -> pd.DataFrame:
    """Return the nodes of runs on one network as a table.

    Parameters
    ----------
    neighbors : Neighbors
        The network.
    pool : sequence of str
        The names.
    sums : NodeSums
        What was played.

    Returns
    -------
    pandas.DataFrame
        One row per node: ``node``, ``degree``, ``name`` (held at the end of most runs), ``runs``
        (in which it played), the mean ``last_change`` over these (the round in which it took up the
        name it held at the end), ``runs_with_winner`` (in which it ever played the name that won),
        the mean ``first_with_winner`` over these, and for each name ``share_NAME`` of the runs, at
        whose end it held that name.
    """
    runs = sums.names.sum(axis=1)
    held = np.where(runs > 0, sums.names.argmax(axis=1), -1)
    found = {
        "node": node_ids(neighbors.nodes),
        "degree": neighbors.degrees,
        "name": np.array([*pool, None], object)[held],
        "runs": runs,
        "last_change": _mean(sums.changes, runs),
        "runs_with_winner": sums.firsts[:, 0],
        "first_with_winner": _mean(sums.firsts[:, 1], sums.firsts[:, 0]),
    }
    shares = {f"share_{name}": _mean(sums.names[:, at], runs) for at, name in enumerate(pool)}
    return pd.DataFrame(found | shares)


def add_committed(table: pd.DataFrame, spec: Spec, runs: int | None = None) -> pd.DataFrame:
    """Return a table of nodes with who was committed, unchanged if nobody was.

    Parameters
    ----------
    table : pandas.DataFrame
        What ``run_nodes`` or ``ensemble_nodes`` returns.
    spec : Spec
        What was played.
    runs : int, optional
        How many runs the table is of. By default it is of one, number 0.

    Returns
    -------
    pandas.DataFrame
        With the column ``committed`` after ``degree``: the name that the node was committed to at
        the start, missing where it was not; or of several runs, the share in which it was.
    """
    if not spec.committed:
        return table
    names = [None, *spec.committed]
    shares = np.zeros(len(table))
    for first in range(0, runs or 1, _RUNS_AT_ONCE):
        for start in spec.starts(range(first, min(first + _RUNS_AT_ONCE, runs or 1))):
            taken = start.mind_indices - (len(start.minds) - len(names))
            shares += taken > 0
    column: Any = np.array(names, object)[np.maximum(taken, 0)] if runs is None else shares / runs
    table = table.copy()
    table.insert(list(table.columns).index("degree") + 1, "committed", column)
    return table


def node_sums(table: pd.DataFrame, pool: Sequence[str]) -> NodeSums:
    """Return the sums that ``ensemble_nodes`` has made a table of; the arguments are its own."""
    runs, firsts = (table[it].to_numpy(np.int64) for it in ("runs", "runs_with_winner"))

    def summed(column: str, count: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.rint(table[column].fillna(0).to_numpy(float) * count).astype(np.int64)

    return NodeSums(
        np.stack([summed(f"share_{name}", runs) for name in pool], axis=1),
        summed("last_change", runs),
        np.stack([firsts, summed("first_with_winner", firsts)], axis=1),
    )


def _mean(total: NDArray[np.int64], count: NDArray[np.int64]) -> Any:
    values = total / np.maximum(count, 1)
    return pd.arrays.FloatingArray(values, count == 0)


def _or_missing(rounds: NDArray[np.int32]) -> Any:
    return pd.arrays.IntegerArray(rounds.astype(np.int64), rounds < 0)


def write_nodes(
    folder: Path, table: pd.DataFrame, neighbors: Neighbors, pool: Sequence[str]
) -> None:
    """Write a table of nodes, and the network with all of its columns.

    Parameters
    ----------
    folder : Path
        Gets ``nodes.parquet`` and, with up to five million edges, ``network.gexf``.
    table : pandas.DataFrame
        A row for each node, in the order of the network, with at least ``node`` and ``name``.
    neighbors : Neighbors
        The network.
    pool : sequence of str
        The names, which give nodes their colors.
    """
    table.to_parquet(folder / NODES, index=False)
    if not is_too_large(neighbors):
        write_network(folder / NETWORK, table, neighbors, pool)


def is_too_large(neighbors: Neighbors) -> bool:
    """Return whether a network has too many edges to be written for Gephi."""
    return len(neighbors.indices) > MOST_EDGES * (1 if neighbors.directed else 2)


def write_network(
    path: Path, table: pd.DataFrame, neighbors: Neighbors, pool: Sequence[str]
) -> None:
    """Write a network as GEXF; the arguments are those of ``write_nodes``."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(_gexf(table, neighbors, pool))


def _gexf(table: pd.DataFrame, neighbors: Neighbors, pool: Sequence[str]) -> Iterator[str]:
    import pyarrow as pa  # only here: it takes a moment
    import pyarrow.compute as pc

    columns: Mapping[str, Any] = {
        name: pa.Array.from_pandas(table[name]) for name in table.columns if name != "node"
    }
    labels = _escaped(pa.array(table["node"]).cast(pa.string()))
    distinct = len(pc.unique(labels)) == len(labels)
    ids = labels if distinct else pa.array(np.arange(len(labels))).cast(pa.string())
    kind = "directed" if neighbors.directed else "undirected"
    yield (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<gexf xmlns="http://www.gexf.net/1.2draft" version="1.2" '
        'xmlns:viz="http://www.gexf.net/1.2draft/viz">\n'
        f'<graph defaultedgetype="{kind}" mode="static">\n<attributes class="node">\n'
    )
    for place, (name, column) in enumerate(columns.items()):
        title = _escaped(pa.array([name]))[0].as_py()
        form = "string"
        if pa.types.is_integer(column.type):
            form = "long"
        elif pa.types.is_floating(column.type):
            form = "double"
        yield f'<attribute id="{place}" title="{title}" type="{form}"/>\n'
    yield "</attributes>\n<nodes>\n"
    colors = pa.array([*(_color(color) for color in name_colors(pool).values()), ""])
    index = {name: place for place, name in enumerate(pool)}
    held = pa.array(table["name"].map(index).fillna(len(pool)).astype(np.int64))
    for start in range(0, len(labels), _AT_ONCE):
        name, label = ids.slice(start, _AT_ONCE), labels.slice(start, _AT_ONCE)
        parts = ['<node id="', name, '" label="', label, '"><attvalues>']
        for place, column in enumerate(columns.values()):
            value = _escaped(column.slice(start, _AT_ONCE).cast(pa.string()))
            said = pc.binary_join_element_wise(f'<attvalue for="{place}" value="', value, '"/>', "")
            parts.append(pc.fill_null(said, ""))
        parts += ["</attvalues>", colors.take(held.slice(start, _AT_ONCE)), "</node>\n", ""]
        yield "".join(pc.binary_join_element_wise(*parts).to_pylist())
    yield "</nodes>\n<edges>\n"
    tails, heads, weights = neighbors.tails, neighbors.heads, neighbors.edge_weights
    for start in range(0, len(tails), _AT_ONCE):
        end = start + _AT_ONCE
        source, target = (ids.take(pa.array(side[start:end])) for side in (tails, heads))
        parts = ['<edge source="', source, '" target="', target]
        if weights is not None:
            parts += ['" weight="', pa.array(weights[start:end]).cast(pa.string())]
        yield "".join(pc.binary_join_element_wise(*parts, '"/>\n', "").to_pylist())
    yield "</edges>\n</graph>\n</gexf>\n"


def _escaped(texts: Any) -> Any:
    """Return texts as they may stand between quotes in XML."""
    import pyarrow.compute as pc

    found = texts
    if pc.any(pc.match_substring_regex(texts, r'[^ -~]|[&<>"]')).as_py():
        for mark, escape in _ESCAPES.items():
            found = pc.replace_substring(found, mark, escape)
        found = pc.replace_substring_regex(
            found, "[\\x00-\\x1f\\x{fffe}\\x{ffff}]", "\N{REPLACEMENT CHARACTER}"
        )
    return found


def _color(color: str) -> str:
    red, green, blue = (int(color[at : at + 2], 16) for at in (1, 3, 5))
    return f'<viz:color r="{red}" g="{green}" b="{blue}"/>'
