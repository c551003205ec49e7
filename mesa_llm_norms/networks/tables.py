"""Graph files that are lines of fields: edge lists, adjacency matrices and adjacency lists.

Also what all readers of text share: how numbers, whole ids and directions are understood.
"""

from __future__ import annotations

import csv
import io
import re
from array import array
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.formatting import plural
from mesa_llm_norms.errors import shown
from mesa_llm_norms.networks.columns import (
    BLANK,
    NONE,
    QUOTED,
    SEPARATORS,
    WHOLE,
    Lines,
    Options,
    Rule,
    find_rule,
    is_number,
    plain,
)
from mesa_llm_norms.networks.validation import EdgeTable, UnreadableError, option_remedy

TIMES = (
    "t",
    "time",
    "timestamp",
    "timestamps",
    "ts",
    "unixts",
    "date",
    "datetime",
    "start",
    "begin",
)
"""What a column of times may be called, in letters and digits."""

_NUMBERS = re.compile(r"[0-9.,;|\t\n ]*")
_PADDED = re.compile(r"(?<![0-9.])0[0-9]")
"""A number that begins with a 0, which stays text."""


def read_edge_list(text: str, options: Options) -> EdgeTable:
    """Read an edge list or, where rows and columns are the same nodes, an adjacency matrix.

    Parameters
    ----------
    text : str
        The file: on each line two nodes and perhaps more fields.
    options : mapping
        ``separator`` (a key of ``SEPARATORS``), ``header`` (whether there is one), ``comments``
        (the mark that begins one, or ``"none"``), ``source``, ``target`` and ``weight`` (the name
        or number of a column; ``weight="none"`` for no weights) and ``directed``.

    Returns
    -------
    EdgeTable
        The edges.

    Raises
    ------
    UnreadableError
        If no rule fits the whole file, or more than one.
    """
    lines = Lines(text, options)
    found = _matrix(lines, options) if "source" not in options else None
    if found is None:
        rule = find_rule(lines, options)
        if rule is None:
            raise _no_separator(lines, options)
        found = _read(lines, rule, options)
    found.skipped += sum(1 for line in lines.comments if line.strip())
    return found


def read_matrix(text: str, options: Options) -> EdgeTable:
    """Read an adjacency matrix, with or without the nodes as its first row and column.

    Parameters
    ----------
    text : str
        A row of numbers on each line: the weight of the edge from the node of the row to that of
        the column; 0 or nothing where there is none.
    options : mapping
        ``separator`` and ``directed`` as in ``read_edge_list``.

    Returns
    -------
    EdgeTable
        The edges; without directions if the matrix is symmetric. Nodes that are not named go by
        their numbers, from 0.

    Raises
    ------
    UnreadableError
        If it is not one.
    """
    found = _matrix(Lines(text, options), {**options, "format": "matrix"})
    assert found is not None
    return found


def read_adjacency_list(text: str, options: Options) -> EdgeTable:
    """Read an adjacency list: on each line a node and those that it has edges to.

    Parameters
    ----------
    text : str
        The lines. Fields are separated by spaces or tabs; ``#`` and ``%`` begin comments.
    options : mapping
        ``separator``, ``comments`` and ``directed`` as in ``read_edge_list``.

    Returns
    -------
    EdgeTable
        The edges, without directions unless ``directed=True``.

    Raises
    ------
    UnreadableError
        If there is no edge.
    """
    lines = Lines(text, options)
    index: dict[str, int] = {}
    ends = array("q")
    skipped = len(lines.comments)
    for row in lines.rows(options.get("separator", "space")):
        if lines.is_comment(row):
            skipped += 1
            continue
        if any(name[:1] == "{" for name in row):
            raise UnreadableError(
                "its lines hold attributes in braces, as lists of a neighbor per line do",
                "Write a line per node, with nx.write_adjlist(graph, path), or a line per edge.",
            )
        places = [index.setdefault(name, len(index)) for name in row if name]
        for place in places[1:]:
            ends.extend((places[0], place))
    return _edges(index, _pairs(ends), None, options, skipped=skipped)


def numbers(texts: Sequence[Any], where: Callable[[int], str]) -> NDArray[np.float64] | None:
    """Return weights as numbers, nan for those that are blank; None if all are.

    ``where`` says where a weight stands, for the error about one that is not a number. A comma is
    a decimal comma unless it may separate thousands throughout.
    """
    try:
        found = np.array([float(text) for text in texts])
        if not np.isnan(found).any() and not any(isinstance(text, bool) for text in texts):
            return found
    except (TypeError, ValueError):
        pass
    found = np.full(len(texts), np.nan)
    thousands, decimals = -1, False
    for place, text in enumerate(texts):
        if text is None or (isinstance(text, str) and text.strip() in BLANK):
            continue
        if isinstance(text, str) and re.fullmatch(r"\s*[+-]?\d+,\d+(?:[eE][+-]?\d+)?\s*", text):
            may_be_thousands = re.fullmatch(r"\s*[+-]?[1-9]\d{0,2},\d{3}\s*", text)
            decimals = decimals or not may_be_thousands
            thousands = place if may_be_thousands else thousands
            text = text.replace(",", ".")
        try:
            if isinstance(text, bool):
                raise ValueError
            found[place] = float(text)
        except (TypeError, ValueError, OverflowError):
            found[place] = np.nan
        if np.isnan(found[place]):
            raise UnreadableError(
                f"{where(place)} has the weight {shown(text, QUOTED)}, not a number",
                option_remedy("weight=none", what="to ignore the weights"),
            )
    if thousands >= 0 and not decimals:
        raise UnreadableError(
            f"{where(thousands)} has the weight {texts[thousands]!r}, which may be a decimal or a "
            "number of thousands",
            "Write it without the comma, or with a point. "
            + option_remedy("weight=none", what="to ignore the weights"),
        )
    return None if np.isnan(found).all() else found


def whole_ids(nodes: Iterable[Any]) -> list[Hashable]:
    """Return node ids as ints if all of them are whole numbers, else as they are."""
    nodes = list(nodes)
    if all(WHOLE.fullmatch(str(node)) for node in nodes):
        whole: list[Hashable] = [int(node) for node in nodes]
        if len(set(whole)) == len(nodes):
            return whole
    return nodes


def check_count(nodes: int, edges: int) -> None:
    """Raise ``UnreadableError`` for a graph that is too large to be read from text."""
    if nodes > limits.FILE_NODES.high or edges > limits.EDGES.high:
        raise UnreadableError(
            f"it has more than {limits.FILE_NODES.high:,} nodes or {limits.EDGES.high:,} edges",
            "Save it as a scipy sparse array, with scipy.sparse.save_npz(path, array).",
        )


# Reading by the rule


def _read_numbers(lines: Lines, rule: Rule, options: Options) -> EdgeTable | None:
    """Read a file of nothing but numbers at the speed of pandas; None if it may not be one."""
    used = [rule.source, rule.target, *([] if rule.weight is None else [rule.weight])]
    body = lines.rest if rule.first else lines.first + lines.rest
    if sorted(used) != list(range(rule.width)) or rule.attributes or not _NUMBERS.fullmatch(body):
        return None
    if _PADDED.search(body) or lines.text.lstrip().startswith("%"):
        return None
    try:
        columns: Any = pd.read_csv(
            io.StringIO(body),
            sep=r"\s+" if rule.separator == "space" else SEPARATORS[rule.separator],
            header=None,
            na_filter=False,
            dtype={at: object if at == rule.weight else np.int64 for at in used},
        )
        texts = [] if rule.weight is None else columns[rule.weight].tolist()
        weights = np.array(texts, np.float64) if texts else None
    except (ValueError, OverflowError):  # which the slower way explains
        return None
    if len(columns.columns) != rule.width or body.count(".") != "".join(texts).count("."):
        return None  # To pandas 1.0 is a whole number, and here it is the name of a node.
    both = columns[[rule.source, rule.target]].to_numpy().ravel()
    if both.max() >= 10**18:
        return None
    places, nodes = pd.factorize(both)
    check_count(len(nodes), len(columns))
    return _edges(nodes.tolist(), places.reshape(-1, 2), weights, options)


def _read(lines: Lines, rule: Rule, options: Options) -> EdgeTable:
    made = _read_numbers(lines, rule, options) or _read_fields(lines, rule, options)
    made.notes, made.ignored = rule.notes + made.notes, rule.ignored
    if made.parallel and "parallel" not in options:
        _check_without_times(made, rule)
    if made.weights is not None and rule.weight is not None:
        made.weight_name = "weight" if rule.attributes else f"column {rule.weight + 1}"
        if rule.header:
            made.weight_name = rule.header[rule.weight]
    return made


def _check_without_times(made: EdgeTable, rule: Rule) -> None:
    """Refuse pairs that are listed several times beside what may say when they met."""
    time = next((name for name in rule.ignored if plain(name) in TIMES), None)
    if time is not None:
        raise UnreadableError(
            f"some pairs are listed more than once, and its column {time!r} may say when they met",
            option_remedy(
                "format=contacts", "parallel=sum", what="(contacts in time, or one edge)"
            ),
        )
    times = made.weights if rule.header is None and rule.width == 3 else None
    if times is None or len(times) < 10 or (np.diff(times) < 0).any() or (times % 1 != 0).any():
        return
    if times[0] < times[-1]:
        raise UnreadableError(
            "some pairs are listed more than once, and its third fields, which never fall, may be "
            "times or weights",
            option_remedy("format=contacts", "parallel=sum", what="(contacts in time, or one edge)")
            + " Contacts take --read time=3 too.",
        )


def _read_fields(lines: Lines, rule: Rule, options: Options) -> EdgeTable:
    index: dict[str, int] = {}
    ends, weights, kinds = array("q"), list[str](), list[str]()
    source, target, width, marks = rule.source, rule.target, rule.width, lines.marks
    left, skipped, unclear, at = rule.first, 0, 0, -1
    konect = re.match(r"\s*%\s*(asym|sym|bip)\b", lines.text)
    bipartite = konect is not None and konect[1] == "bip"
    suspicious = "#" in marks and rule.separator != "space" and " #" in lines.text
    try:
        for at, row in enumerate(lines.rows(rule.separator, rule.attributes)):
            if len(row) != width or (row[0] and row[0][0] in marks) or suspicious or left:
                if not any(row):
                    continue
                if left:
                    left -= 1
                    continue
                if _skips(row, lines, rule, at):
                    skipped += 1
                    unclear += row[0] not in ("#", "%") and not row[0][1:2].isspace()
                    continue
            u, v = row[source], row[target]
            if not u or not v:
                if not any(row):
                    continue
                raise UnreadableError(
                    f"line {lines.number(rule, at)} is not two nodes: its "
                    f"{'first' if not u else 'second'} node is missing",
                    "Fill it in, or remove the line.",
                )
            if bipartite:
                u, v = f"left {u}", f"right {v}"
            ends.append(index.setdefault(u, len(index)))
            ends.append(index.setdefault(v, len(index)))
            if rule.weight is not None:
                weights.append(row[rule.weight])
            if rule.kind is not None:
                kinds.append(row[rule.kind].lower())
            if len(ends) > 2 * limits.EDGES.high:
                break
    except csv.Error as error:
        problem = f"line {lines.number(rule, at + 1)}: {error}"
        raise UnreadableError(problem, "Check the quotation marks.") from error
    check_count(len(index), len(ends) // 2)
    found = None
    if rule.weight is not None:
        found = numbers(weights, lambda place: f"line {_line_of(lines, rule, place)}")
        blank = 0 if found is None else int(np.isnan(found).sum())
        if blank and not rule.attributes:
            rule.notes.append(f"{blank:,} of {len(weights):,} edges have no weight, and count as 1")
    if konect is not None:
        options = {"directed": konect[1] == "asym", **options}
    made = _edges(index, _pairs(ends), found, options, kinds, skipped=skipped)
    if unclear:
        made.notes.append(f"{plural(unclear, 'line')} that may not be comments are skipped as such")
    return made


def _skips(row: list[str], lines: Lines, rule: Rule, at: int) -> bool:
    """Return whether a row is a comment; refuse one that is neither that nor an edge."""
    marked = lines.is_comment(row)
    if len(row) == rule.width:
        bare = marked and (row[0] in ("#", "%") or re.match(r"[#%]\s", row[0]))
        if rule.separator == "space" and marked and row[0] in ("#", "%"):
            return True
        if (marked and rule.separator == "space") or bare or any(" # " in it for it in row):
            raise UnreadableError(
                f"line {lines.number(rule, at)} ({shown(' '.join(row), QUOTED)}) may be an edge or "
                "hold a comment",
                option_remedy("comments=none", what="if it is an edge, else remove the line"),
            )
        return False
    if marked:
        return True
    raise UnreadableError(
        f"line {lines.number(rule, at)} is not two nodes, or two nodes and a weight, as the others "
        f"are: it has {_fields(len(row))}, and the others {rule.width}",
        "Mend the line. If each line is a node and all its neighbors, "
        + option_remedy("format=adjlist", lower=True),
    )


def _line_of(lines: Lines, rule: Rule, place: int) -> int:
    """Return the line that an edge is on."""
    rows = enumerate(lines.rows(rule.separator, rule.attributes))
    found = (at for at, row in rows if any(row) and len(row) == rule.width)
    headed = rule.first and (rule.header is None or len(rule.header) == rule.width)
    return lines.number(rule, next(islice(found, place + bool(headed), None)))


def _no_separator(lines: Lines, options: Options) -> UnreadableError:
    """Return the error for a file whose lines do not have the same fields."""
    widths: dict[int, int] = {}
    for separator in (*SEPARATORS, "space"):
        separator = options.get("separator", separator)
        rule = Rule(separator, 0, attributes=lines.attributes)
        widths, at = {}, -1
        try:
            for at, row in enumerate(lines.rows(separator, lines.attributes)):
                if any(row) and not lines.is_comment(row):
                    widths.setdefault(len(row), at)
                if len(widths) > 1:
                    break
        except csv.Error as error:
            problem = f"line {lines.number(rule, at + 1)}: {error}"
            return UnreadableError(problem, "Check the quotation marks.")
        if next(iter(widths), 1) > 1:
            break
    numbers = {width: lines.number(rule, at) for width, at in widths.items()}
    if len(widths) == 1:
        return UnreadableError(
            f"line {next(iter(numbers.values()))} is not two nodes, or two nodes and a weight",
            "Write two nodes on each line, with a comma, a tab or spaces between them.",
        )
    (usual, first), (other, line) = numbers.items()
    return UnreadableError(
        f"line {line} is not two nodes, or two nodes and a weight, as the others are: "
        f"{_fields(other)}, and {usual} on line {first}",
        "Separate the fields of all lines in the same way. If each line is a node and all its "
        f"neighbors, {option_remedy('format=adjlist', lower=True)} If it is a group that "
        f"meets at once, {option_remedy('format=groups', lower=True)}",
    )


def _fields(number: int) -> str:
    """Return ``1 field``, ``2 fields`` and so on."""
    return "1 field" if number == 1 else f"{number} fields"


def _pairs(ends: array[int]) -> NDArray[np.int64]:
    return np.frombuffer(ends, np.int64).reshape(-1, 2)


def _edges(
    nodes: Iterable[Any],
    ends: NDArray[np.int64],
    weights: NDArray[np.float64] | None,
    options: Options,
    kinds: Sequence[str] = (),
    *,
    skipped: int = 0,
) -> EdgeTable:
    """Return what was read; files that do not say so have no directions."""
    if not len(ends):
        raise UnreadableError("there is no line with an edge")
    directed, fixed = bool(options.get("directed", False)), False
    if kinds:
        ends, weights, directed = directions(ends, weights, kinds, options)
        fixed = True
    table = EdgeTable(
        nodes=whole_ids(nodes),
        ends=ends,
        weights=weights,
        directed=directed,
        fixed=fixed,
        skipped=skipped,
    )
    if not fixed:
        table.merge_reversed()
    return table


def directions(
    ends: NDArray[np.int64],
    weights: NDArray[np.float64] | None,
    kinds: Sequence[str],
    options: Options,
) -> tuple[NDArray[np.int64], NDArray[np.float64] | None, bool]:
    """Return ends, weights, and whether they are directed, of edges that each say so.

    Each is ``directed``, ``undirected`` or ``mutual``. A mutual edge is two directed ones, and so
    is, with ``directed=True``, an undirected one among directed ones.
    """
    said = set(kinds)
    if len(said) == 1 and said != {"mutual"}:
        return ends, weights, said == {"directed"}
    if "undirected" in said and len(said) > 1:
        if "directed" not in options:
            raise UnreadableError(
                "some of its edges have a direction and some have none",
                option_remedy(
                    "directed=true",
                    "directed=false",
                    what="(with true, an edge without direction leads both ways)",
                ),
            )
        if not options["directed"]:
            return ends, weights, False
    both = np.array([kind != "directed" for kind in kinds])
    weights = None if weights is None else np.concatenate([weights, weights[both]])
    return np.concatenate([ends, ends[both][:, ::-1]]), weights, True


# Adjacency matrices


def _matrix(lines: Lines, options: Options) -> EdgeTable | None:
    """Return the edges of an adjacency matrix, None if a file is not one."""
    forced = options.get("format") == "matrix"
    if options.get("format") == "edges":
        return None
    for separator in [options["separator"]] if "separator" in options else SEPARATORS:
        width = len(next(iter(lines.sample(separator)), ()))
        if not forced and (width < 2 or lines.count(width + 2) not in range(3, width + 3)):
            continue
        try:
            rows = [row for row in lines.rows(separator) if any(row)]
        except csv.Error:
            continue
        found = _cells(rows)
        if found is None:
            continue
        names, cells, sure = found
        if not sure and not forced and len(names) < 4:
            if len(names) == 3 and _is_symmetric(cells) and not cells.diagonal().any():
                raise UnreadableError(
                    "it may be an adjacency matrix of 3 nodes, or a list of 3 weighted edges",
                    option_remedy("format=matrix", "format=edges"),
                )
            continue
        unlabeled = not forced and names == list(range(len(names)))
        if unlabeled and cells.diagonal().any() and not _is_symmetric(cells):
            continue
        return matrix_edges(names, cells, options)
    if forced:
        raise UnreadableError(
            "it is not a square of numbers, with or without the nodes as first row and column"
        )
    return None


def _cells(rows: list[list[str]]) -> tuple[list[Any], NDArray[np.float64], bool] | None:
    """Return nodes and numbers of a matrix, and whether it can be nothing else."""
    widths = {len(row) for row in rows[1:]}
    if len(widths) != 1:
        return None
    width, first, columns = widths.pop(), rows[0], [row[0] for row in rows[1:]]
    names: list[Any]
    corner = len(first) == width and (not first[0] or not is_number(first[0]))
    headed = len(first) == width - 1 or corner
    if len(rows) == width and headed and first[-len(columns) :] == columns:
        names, body, sure = columns, [row[1:] for row in rows[1:]], True
    elif len(rows) == width + 1 and len(first) == width and not all(map(is_number, first)):
        names, body, sure = first, rows[1:], len(first) > 3
    elif len(rows) == len(first) == width:
        names, body, sure = list(range(width)), rows, width > 4
    else:
        return None
    if len(set(names)) < len(names) or len(names) < 2:
        return None
    try:
        cells = [
            [float(it.replace(",", ".")) if it not in BLANK else 0.0 for it in row] for row in body
        ]
    except ValueError:
        return None
    return names, np.array(cells), sure


def _is_symmetric(cells: NDArray[np.float64]) -> bool:
    return bool((cells == cells.T).all())


def matrix_edges(names: Sequence[Any], cells: NDArray[np.float64], options: Options) -> EdgeTable:
    """Return the edges of a matrix of weights, without directions if it is symmetric."""
    directed = not _is_symmetric(cells)
    tails, heads = np.nonzero(cells if directed else np.triu(cells))
    check_count(len(names), len(tails))
    found = cells[tails, heads]
    weighted = bool((found != 1).any()) and options.get("weight") != NONE
    return EdgeTable(
        nodes=whole_ids(names),
        ends=np.stack([tails, heads], axis=1).astype(np.int64),
        weights=found if weighted else None,
        weight_name="cells" if weighted else "",
        directed=directed,
    )
