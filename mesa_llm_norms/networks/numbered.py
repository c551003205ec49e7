"""Graph files whose nodes are numbered: Pajek, UCINET DL, DIMACS, MatrixMarket, graph6 and scipy's.

Pajek and UCINET may give the numbers labels. What a file says about its size is checked before any
memory is taken for it.
"""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mesa_llm_norms.networks.adjacency import Adjacency, Graph, is_directed, read_adjacency
from mesa_llm_norms.networks.columns import Options
from mesa_llm_norms.networks.listing import Listing, choose, direction
from mesa_llm_norms.networks.registry import check_size
from mesa_llm_norms.networks.tables import check_count, matrix_edges
from mesa_llm_norms.networks.validation import (
    EdgeTable,
    UnreadableError,
    check_graph,
    components,
    option_remedy,
    warn_components,
)

_LARGE = 2_000
"""Files with more nodes are checked as sparse arrays: no figure shows the names of so many."""

_PAJEK_TOKEN = re.compile(r'"([^"]*)"|(\S+)')


def read_pajek(text: str, options: Options) -> EdgeTable:
    """Read the vertices, arcs, edges and matrix of a Pajek network."""
    found, section, kind = Listing(), "", ""
    labels: dict[str, str] = {}
    size, matrix = 0, list[list[float]]()
    for number, line in enumerate(text.splitlines(), 1):
        content = line.strip()
        if not content or content.startswith(("%", "/*")):
            continue
        fields = [it[2] if it[1] is None else it[1] for it in _PAJEK_TOKEN.finditer(content)]
        if content.startswith("*"):
            section = fields[0].lower().partition(":")[0]
            if section in ("*partition", "*vector", "*cluster", "*permutation"):
                break
            if section == "*network" and size:
                raise UnreadableError("it holds more than one network", "Save one of them.")
            kind = direction(section.startswith("*arcs"))
            if section == "*vertices":
                if size or len(fields) < 2 or not fields[1].isdecimal():
                    raise UnreadableError(f"line {number}: {content} does not say how many")
                size = int(fields[1])
                check_count(size, 0)
                labels = {str(at): "" for at in range(1, size + 1)}
        elif section == "*vertices":
            if fields[0] not in labels:
                raise UnreadableError(f"line {number}: there is no vertex {fields[0]}")
            labels[fields[0]] = fields[1] if len(fields) > 1 else ""
        elif section in ("*arcs", "*edges"):
            if len(fields) < 2:
                raise UnreadableError(f"line {number} is not two vertices, or two and a weight")
            if any(it.startswith("[") for it in fields[2:]) and options.get("times") != "ignore":
                raise UnreadableError(
                    f"line {number}: edges have lifetimes",
                    option_remedy("times=ignore", what="to have all of them from start to end"),
                )
            weight = re.fullmatch(r"[-+.,\deE]+|nan|inf", fields[2] if len(fields) > 2 else "")
            rest = {"weight": weight[0]} if weight else {}
            found.add_edge(fields[0], fields[1], kind, rest)
        elif section in ("*arcslist", "*edgeslist"):
            for target in fields[1:]:
                found.add_edge(fields[0], target, kind, {})
        elif section == "*matrix":
            matrix.append([float(it) for it in fields])
        elif section != "*network":
            raise UnreadableError(f"line {number} belongs to no section of a Pajek file")
    if not size:
        raise UnreadableError("there are no *Vertices in it")
    names: list[Any] = list(labels)
    if all(labels.values()) and len(set(labels.values())) == size and options.get("nodes") != "id":
        names = list(labels.values())
    if matrix:
        return _square(names, matrix, options)
    for at, name in zip(labels, names, strict=True):
        found.add_node(at, name)
    return found.table({**options, "nodes": "label"})


def _square(names: list[Any], rows: list[list[float]], options: Options) -> EdgeTable:
    if len(rows) != len(names) or any(len(row) != len(names) for row in rows):
        raise UnreadableError(f"its matrix is not a square of {len(names)} rows and columns")
    return matrix_edges(names, np.array(rows), options)


def read_ucinet(text: str, options: Options) -> EdgeTable:
    """Read a UCINET DL file: a full matrix, or an edge list or node list."""
    head, _, body = (
        re.split(r"(?i)(\bdata\s*:)", text, maxsplit=1)
        if re.search(r"(?i)\bdata\s*:", text)
        else (text, "", "")
    )
    if not re.match(r"(?i)\s*dl\b", head) or not body.strip():
        raise UnreadableError('it does not begin with "dl", or has no "data:"')
    said = {key.lower(): value.lower() for key, value in re.findall(r"(\w+)\s*=\s*(\w+)", head)}
    embedded = bool(re.search(r"(?i)labels\s+embedded", head))
    listed = re.search(r"(?is)(?<!column )(?<!col )labels\s*:(.*?)(?:column labels\s*:|\Z)", head)
    pieces = re.findall(r'"([^"]*)"|([^\s,"]+)', listed[1]) if listed else []
    labels = [quoted or plain for quoted, plain in pieces]
    labels = [it for it in labels if it.lower() not in ("column", "row", "embedded")]
    if not said.get("n", "").isdecimal() or int(said.get("nm", "1") or 1) > 1:
        raise UnreadableError('it does not say "n=" with a number, or holds several matrices')
    size, form = int(said["n"]), said.get("format", "fullmatrix")
    check_count(size, 0)
    lines = [line.replace(",", " ").split() for line in body.splitlines() if line.strip()]
    if form in ("fullmatrix", "fm"):
        if embedded:
            labels, lines = lines[0], [line[1:] for line in lines[1:]]
        flat = [float(it) for line in lines for it in line]
        width = size - (said.get("diagonal") == "absent")
        if len(flat) != size * width:
            raise UnreadableError(f"its matrix has {len(flat)} numbers, not {size} times {width}")
        rows = [flat[at * width : (at + 1) * width] for at in range(size)]
        if width < size:
            rows = [[*row[:at], 0.0, *row[at:]] for at, row in enumerate(rows)]
        return _square(labels or list(range(1, size + 1)), rows, options)
    if form not in ("edgelist1", "el1", "nodelist1", "nl1"):
        raise UnreadableError(
            f"its format is {form}", "Save it as fullmatrix, edgelist1 or nodelist1."
        )
    names = labels or ([] if embedded else [str(at) for at in range(1, size + 1)])
    number = {str(at): name for at, name in enumerate(names, 1)} if labels else {}
    edges: dict[tuple[str, str], Any] = {}
    for line in lines:
        u, *rest = line if form in ("nodelist1", "nl1") else line[:2]
        for v in rest:
            pair = (number.get(u, u), number.get(v, v))
            edges[pair] = line[2] if len(line) > 2 and form[0] == "e" else None
    found = Listing()
    symmetric = all(edges.get((v, u), 0) == weight for (u, v), weight in edges.items())
    for node in dict.fromkeys((*names, *(end for pair in edges for end in pair))):
        found.add_node(node)
    for (u, v), weight in edges.items():
        if not symmetric or found.index[u] <= found.index[v]:
            rest = {} if weight is None else {"weight": weight}
            found.add_edge(u, v, direction(not symmetric), rest)
    return found.table(options)


def read_dimacs(text: str, options: Options) -> EdgeTable:
    """Read the ``p``, ``e`` and ``a`` lines of a DIMACS file; nodes are numbered from 1."""
    found = Listing()
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        if not fields or fields[0] in ("c", "n", "d", "v", "x"):
            continue
        if fields[0] == "p" and len(fields) >= 4 and fields[2].isdecimal() and not found.index:
            check_count(int(fields[2]), 0)
            for node in range(1, int(fields[2]) + 1):
                found.add_node(str(node))
        elif fields[0] in ("e", "a") and len(fields) >= 3:
            rest = {"weight": fields[3]} if len(fields) > 3 else {}
            found.add_edge(fields[1], fields[2], direction(fields[0] == "a"), rest)
        else:
            raise UnreadableError(
                f"line {number} is not a line of a DIMACS file: {' '.join(fields)[:40]}",
                'Lines begin with "c", "p", "e" or "a".',
            )
    if not found.index:
        raise UnreadableError('no line says "p edge" and how many nodes and edges there are')
    table = found.table(options)
    table.merge_reversed()
    return table


def read_matrix_market(text: str, _: Options) -> EdgeTable:
    """Read a MatrixMarket file; nodes go by the numbers of rows, from 1."""
    from scipy.io import mmread

    banner = text.partition("\n")[0].lower().split()
    sizes = next((line for line in text.splitlines() if line.strip() and line[0] != "%"), "")
    numbers = sizes.split()
    if len(banner) < 5 or not 2 <= len(numbers) <= 3 or not all(map(str.isdecimal, numbers)):
        raise UnreadableError("its first lines are not those of a MatrixMarket file")
    if numbers[0] != numbers[1]:
        raise UnreadableError(
            f"its matrix of {numbers[0]} rows and {numbers[1]} columns is not square"
        )
    size = int(numbers[0])
    check_count(size, size * size if banner[2] == "array" else int(numbers[-1]))
    if banner[3] == "complex":
        raise UnreadableError("its numbers are complex", "Save their absolute values.")
    read: Any = sparse.coo_array(mmread(io.BytesIO(text.encode())))
    stored = read.data != 0
    rows, columns, values = read.row[stored], read.col[stored], read.data[stored].astype(float)
    symmetric = banner[4] != "general"
    if not symmetric:
        array: Any = sparse.csr_array((values, (rows, columns)), shape=read.shape)
        symmetric = not is_directed(read_adjacency(array))
    kept = rows >= columns if symmetric else np.ones(len(rows), bool)
    weighted = bool((values != 1).any())
    return EdgeTable(
        nodes=list(range(1, size + 1)),
        ends=np.stack([rows[kept], columns[kept]], axis=1).astype(np.int64),
        weights=values[kept] if weighted else None,
        weight_name="values" if weighted else "",
        directed=not symmetric,
    )


def read_graph6(text: str, options: Options) -> EdgeTable:
    """Read graph6 or sparse6, one graph on a line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line: str = choose(lines, options)
    library: Any = nx
    try:
        code = re.sub(r"^>>(graph6|sparse6)<<", "", line).encode("ascii")
        is_sparse6 = code.startswith(b":")
        size = library.readwrite.graph6.data_to_n([it - 63 for it in code[is_sparse6:]])[0]
        check_count(size, 0)
        graph = (library.from_sparse6_bytes if is_sparse6 else library.from_graph6_bytes)(code)
    except (nx.NetworkXError, ValueError, IndexError) as error:
        if isinstance(error, UnreadableError):
            raise
        raise UnreadableError(f"its line is damaged: {error}") from error
    pairs = np.array([edge[:2] for edge in graph.edges], np.int64).reshape(-1, 2)
    return EdgeTable(nodes=list(range(len(graph))), ends=pairs)


def read_npz(data: bytes, most: int) -> Adjacency:
    """Read a scipy sparse array of at most so many bytes, unpacked; nothing is unpickled."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > most:
        raise ValueError(f"unpacked it is larger than {most // 1_000_000:,} MB")
    matrix: Any = sparse.load_npz(io.BytesIO(data))
    check_size(max(matrix.shape), matrix.nnz / 2, sparse=True)
    return read_adjacency(matrix)


def table_of(matrix: Adjacency) -> EdgeTable:
    """Return the edges of a sparse array, to be cleaned."""
    listed, directed = sparse.coo_array(matrix), is_directed(matrix)
    kept = np.ones(listed.nnz, bool) if directed else listed.row <= listed.col
    weighted = matrix.dtype != np.uint8
    return EdgeTable(
        nodes=list(range(matrix.shape[0])),
        ends=np.stack([listed.row[kept], listed.col[kept]], axis=1).astype(np.int64),
        weights=listed.data[kept] if weighted else None,
        weight_name="values" if weighted else "",
        directed=directed,
    )


def check_table(table: EdgeTable) -> Graph:
    """Check what a file holds as ``check_graph`` checks it, and return it.

    A large one with nothing to refuse becomes a sparse array, which takes far less time; warnings
    name its nodes all the same.
    """
    weights = np.ones(1) if table.weights is None else table.weights
    fits = not (weights <= 0).any() and np.nansum(weights) < np.inf
    faults = table.loops.any() or table.isolated.any() or table.parallel or table.attributes
    if fits and not faults and len(table.nodes) > _LARGE:
        made = adjacency_of(table)
        if is_directed(made) == table.directed:
            parts = components(made)
            warn_components([[table.nodes[it] for it in part] for part in parts], table.directed)
            return made
    graph = table.graph()
    check_graph(graph)
    return graph


def adjacency_of(table: EdgeTable) -> Adjacency:
    """Return a sparse array again, its nodes numbered anew from 0."""
    tails, heads = table.ends.T
    values: NDArray[Any] = np.ones(len(tails), np.uint8)
    if table.weights is not None:
        values = np.where(np.isnan(table.weights), 1.0, table.weights)
    if not table.directed:
        other = tails != heads
        tails, heads = np.r_[tails, heads[other]], np.r_[heads, table.ends[other, 0]]
        values = np.r_[values, values[other]]
    size = len(table.nodes)
    return read_adjacency(sparse.coo_array((values, (tails, heads)), shape=(size, size)))
