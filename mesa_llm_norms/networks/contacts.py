"""Networks in time: who met whom when, in time order, and as files.

A contact sequence is lines of a time and the two nodes that met. It is a graph like any other: its
edges join those who ever met, with the number of their contacts as weight. That is its static
projection. The contacts themselves go along as an attribute of the graph, from which
``pairing="contacts"`` plays them in the order of their times.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.limits import read_number
from mesa_llm_norms.core.randomness import mix_array
from mesa_llm_norms.errors import GraphError, shown
from mesa_llm_norms.networks.adjacency import CONTACTS
from mesa_llm_norms.networks.columns import NONE, SEPARATORS, Lines, Options, plain
from mesa_llm_norms.networks.tables import TIMES, check_count, whole_ids
from mesa_llm_norms.networks.validation import EdgeTable, UnreadableError, option_remedy

_DURATIONS = ("duration", "durations", "dur", "lasting", "length")
_ENDS = (("source", "target"), ("u", "v"), ("i", "j"), ("from", "to"), ("src", "dst"))


@dataclass(frozen=True, eq=False)
class Contacts:
    """Who met whom when.

    Parameters
    ----------
    nodes : sequence of hashable
        Everybody who met somebody.
    times : numpy.ndarray of float64, shape (contacts,)
        When each contact was, never falling.
    ends : numpy.ndarray of int64, shape (contacts, 2)
        The places in ``nodes`` of the two who met.
    """

    nodes: Sequence[Hashable]
    times: NDArray[np.float64]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.times)

    def written(self, nodes: Sequence[Hashable]) -> list[list[Any]]:
        """Return as JSON data the time of each contact between ``nodes``, and their places."""
        place = {node: at for at, node in enumerate(nodes)}
        at = np.array([place.get(node, -1) for node in self.nodes], np.int64)[self.ends]
        there = (at >= 0).all(axis=1)
        return [
            [time, *pair]
            for time, pair in zip(self.times[there].tolist(), at[there].tolist(), strict=True)
        ]

    @classmethod
    def read(cls, nodes: Sequence[Hashable], written: Sequence[Sequence[Any]]) -> Contacts:
        """Return what ``written`` has written, in the order of the times."""
        times = np.array([line[0] for line in written], np.float64)
        ends = np.array([line[1:] for line in written], np.int64).reshape(-1, 2)
        if not np.isfinite(times).all() or not ((ends >= 0) & (ends < len(nodes))).all():
            raise ValueError("contacts have times that are not finite, or are between no nodes")
        order = np.argsort(times, kind="stable")
        return cls(nodes, times[order], ends[order])

    def among(
        self, index: dict[Hashable, int], joined: NDArray[np.int64], directed: bool
    ) -> Moments | None:
        """Return the contacts along the edges of a graph, None if there are none.

        Parameters
        ----------
        index : dict
            The index of every node of the graph.
        joined : numpy.ndarray of int64, shape (entries,)
            For every edge, in both directions if it has none, ``tail * nodes + head``; ascending.
        directed : bool
            Whether a contact is along an edge only if it has its direction.

        Returns
        -------
        Moments or None
            In the order of their times.
        """
        at = np.array([index.get(node, -1) for node in self.nodes], np.int64)
        ends = at[self.ends]
        there = np.logical_and(ends[:, 0] >= 0, ends[:, 1] >= 0)
        there[there] = np.isin(ends[there] @ np.array([len(index), 1]), joined)
        if not there.any():
            return None
        _, moments = np.unique(self.times[there], return_inverse=True)
        kept = ends[there].astype(np.int32)
        return Moments(kept[:, 0].copy(), kept[:, 1].copy(), moments.astype(np.int64), directed)


@dataclass(frozen=True, eq=False)
class Moments:
    """The contacts of a graph by index of nodes, in time order.

    ``moments`` numbers the different times from 0, and so says which contacts were at the same.
    """

    tails: NDArray[np.int32]
    heads: NDArray[np.int32]
    moments: NDArray[np.int64]
    directed: bool

    def __len__(self) -> int:
        return len(self.moments)

    @lru_cache(16)  # noqa: B019  a network lives as long as its runs
    def in_order(self, key: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the contacts as they are played in one pass, those at the same time shuffled.

        Parameters
        ----------
        key : int
            The draw for the pass.

        Returns
        -------
        tuple of numpy.ndarray of int32, each of shape (contacts,)
            Who comes first in each contact, and whom they meet.
        """
        hashed = mix_array(key, len(self))
        shuffled = self.moments.astype(np.uint64) << np.uint64(32) | hashed >> np.uint64(32)
        order = np.argsort(shuffled, kind="stable")
        turned = (hashed & np.uint64(not self.directed)).astype(np.bool_)
        first, second = (
            np.where(turned, one, other)
            for one, other in ((self.heads, self.tails), (self.tails, self.heads))
        )
        return first[order], second[order]


def contact_graph(table: pd.DataFrame, *, step: float | None = None) -> nx.Graph[Any]:
    """Return the graph of a contact sequence, to be played with ``pairing="contacts"``.

    Parameters
    ----------
    table : pandas.DataFrame
        A row for each contact: columns called ``t``, ``u`` and ``v`` (or ``time``, ``source`` and
        ``target``, or another of the usual names), else the first three. A column ``duration`` is
        used with ``step``.
    step : float, optional
        A contact with a duration is one interaction for every so many units of time that it
        lasts, at least one. Default: one interaction for each contact.

    Returns
    -------
    networkx.Graph
        Everybody who met, joined by edges whose ``weight`` is the number of interactions.

    Raises
    ------
    GraphError
        If the table is not a contact sequence.
    """
    options: dict[str, Any] = {} if step is None else {"step": step}
    try:
        header = [str(name) for name in table.columns]
        columns = table.reset_index(drop=True).set_axis(range(len(header)), axis=1)
        return _edge_table(columns, header, options).graph()
    except UnreadableError as error:
        remedy = error.remedy or "Give the columns t, u and v: a time and the two who met."
        raise GraphError(f"not a contact sequence: {error}", remedy) from error


def read_contacts(text: str, options: Options) -> EdgeTable:
    """Read a contact sequence.

    Parameters
    ----------
    text : str
        On each line a time and the two nodes that met, perhaps a duration and fields that are not
        read. A time is a number or an ISO date. The first line may name the columns.
    options : mapping
        ``separator``, ``comments`` and ``header`` as for edge lists; ``time``, ``source``,
        ``target`` and ``duration``, the name or number of a column; ``step``, see
        ``contact_graph``; ``weight="none"`` for a projection without weights; and ``directed``.

    Returns
    -------
    EdgeTable
        The projection, with the contacts.

    Raises
    ------
    UnreadableError
        If it is not one.
    """
    lines = Lines(text, options)
    if not lines.first:
        raise UnreadableError("there is no line with a contact")
    separator = options.get("separator") or next(
        (name for name, mark in SEPARATORS.items() if name != "space" and mark in lines.first),
        "space",
    )
    try:
        table = pd.read_csv(
            io.StringIO(lines.first + lines.rest),
            sep=r"\s+" if separator == "space" else SEPARATORS[separator],
            header=None,
            dtype=str,
            keep_default_na=False,
            skipinitialspace=True,
            quoting=csv.QUOTE_MINIMAL,
        )
    except (ValueError, csv.Error) as error:
        problem = " ".join(str(error).split()).removeprefix("Error tokenizing data. C error: ")
        raise UnreadableError(f"its lines do not have the same fields: {problem}") from error
    marked = table[0].str.startswith(tuple(lines.marks)) if lines.marks else table[0] == ""
    table = table[~marked & table[0].notna()]
    first = [str(it) for it in table.iloc[0]] if len(table) else []
    when = options.get("time", 1)
    said = first[when - 1 : when] if isinstance(when, int) and when <= len(first) else first[:1]
    unnamed = isinstance(when, int) and (_number(said) is not None or _is_date(said))
    named = options.get("header", not unnamed)
    found = _edge_table(table.iloc[int(named) :], first if named else None, options)
    found.skipped = int(marked.sum()) + sum(1 for line in lines.comments if line.strip())
    return found


def _edge_table(table: pd.DataFrame, header: list[str] | None, options: Options) -> EdgeTable:
    """Return the projection of a contact sequence whose columns are 0, 1 and so on."""
    when, source, target, lasting = _columns(table, header, options)
    if not len(table):
        raise UnreadableError("there is no line with a contact")
    times = _times(table, when)
    names = pd.concat([table[source], table[target]], ignore_index=True)
    blank = names.isna() | (names.astype(str).str.strip() == "")
    if blank.any():
        line = shown(
            " ".join(map(str, table.to_numpy()[blank.to_numpy().argmax() % len(table)])), 40
        )
        raise UnreadableError(f"a line is not a time and two nodes: {line}")
    codes, nodes = pd.factorize(names if header is not None else names.str.strip())
    ends = codes.reshape(2, -1).T
    notes: list[str] = []
    if lasting is not None and "step" in options:
        times, ends = _lasting(times, ends, table[lasting], options["step"])
    elif lasting is not None:
        notes.append("durations are not read (step=20 makes an interaction of every 20 units)")
    elif "step" in options:
        raise UnreadableError("no column is a duration", option_remedy("duration=4"))
    order = np.argsort(times, kind="stable")
    if (order[1:] < order[:-1]).any():
        notes.append("contacts are sorted by time")
    ids = whole_ids(nodes) if nodes.dtype.kind == "O" else nodes.tolist()
    contacts = Contacts(ids, times[order], ends[order])
    directed = bool(options.get("directed", False))
    joined = ends if directed else np.sort(ends, axis=1)
    pairs, counts = np.unique(joined, axis=0, return_counts=True)
    check_count(len(ids), len(pairs))
    weighted = options.get("weight") != NONE
    read = {when, source, target, lasting}
    return EdgeTable(
        nodes=ids,
        ends=pairs.astype(np.int64),
        weights=counts.astype(np.float64) if weighted else None,
        weight_name="numbers of contacts" if weighted else "",
        directed=directed,
        ignored=[
            name if header is not None else f"column {at + 1}"
            for at, name in enumerate(header or map(str, table.columns))
            if at not in read
        ],
        notes=notes,
        attributes={CONTACTS: contacts},
    )


def _columns(
    table: pd.DataFrame, header: list[str] | None, options: Options
) -> tuple[int, int, int, int | None]:
    """Return which columns are the time, the two nodes, and the duration, if there is one."""
    width = table.shape[1]
    names = [plain(name) for name in header or ()]
    given = {it: _given(it, options, header, width) for it in ("time", "source", "target")}
    when = given["time"]
    if when is None:
        when = next((names.index(name) for name in TIMES if name in names), 0)
    ends = next((pair for pair in _ENDS if names.count(pair[0]) == names.count(pair[1]) == 1), None)
    others = [at for at in range(width) if at != when]
    found = (
        [names.index(name) for name in ends]
        if ends and when not in map(names.index, ends)
        else others[:2]
    )
    source = found[0] if given["source"] is None and found else given["source"]
    target = found[1] if given["target"] is None and len(found) > 1 else given["target"]
    if width < 3 or source is None or target is None or len({when, source, target}) < 3:
        raise UnreadableError(
            f"its lines have {width} fields, and a contact is a time and two nodes"
            if width < 3
            else "the time and the two nodes are not three columns",
            option_remedy("time=1", "source=2", "target=3"),
        )
    lasting = _given("duration", options, header, width)
    if lasting is None:
        lasting = next((names.index(name) for name in _DURATIONS if name in names), None)
    if lasting is None and header is None and width == 4 and "time" not in options:
        lasting = 3 if _number(table[3]) is not None else None
    if header is None and given["time"] is None and width >= 3:
        _check_first_is_time(table)
    return when, source, target, lasting


def _check_first_is_time(table: pd.DataFrame) -> None:
    """Refuse a file without a header whose third column rather than the first is the time."""
    first, third = _number(table[0]), _number(table[2])
    rises = [it is not None and bool((np.diff(it) >= 0).all()) for it in (first, third)]
    if third is not None and rises == [False, True] and third[0] < third[-1]:
        raise UnreadableError(
            "its times may be in the third column, which never falls, rather than in the first",
            option_remedy("time=3", "time=1"),
        )


def _given(option: str, options: Options, header: list[str] | None, width: int) -> int | None:
    """Return the column that an option names, by its name or its number from 1."""
    value = options.get(option)
    if value is None:
        return None
    if header is not None and str(value) in header:
        return header.index(str(value))
    if isinstance(value, int) and 1 <= value <= width:
        return value - 1
    columns = ", ".join(header) if header is not None else f"1 to {width}, without names"
    raise UnreadableError(f"{option}={value} is not a column", f"The columns are {columns}.")


def _number(values: Any) -> NDArray[np.float64] | None:
    """Return values as finite numbers, None if they are not all."""
    found = pd.to_numeric(pd.Series(values), errors="coerce").to_numpy(np.float64)
    return found if np.isfinite(found).all() else None


def _is_date(values: Any) -> bool:
    found = pd.to_datetime(pd.Series(values), errors="coerce", format="ISO8601", utc=True)
    return bool(found.notna().all())


def _times(table: pd.DataFrame, when: int) -> NDArray[np.float64]:
    """Return times as numbers, of dates the seconds since 1970."""
    values = table[when]
    found = _number(values) if values.dtype.kind not in "Mm" else None
    if found is not None:
        return found
    if _is_date(values):
        dates = pd.to_datetime(values, format="ISO8601", utc=True)
        seconds = (dates - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
        return np.asarray(seconds, np.float64)
    bad = pd.to_numeric(values, errors="coerce").isna()
    first = values[bad].iloc[0] if bad.any() else values.iloc[0]
    raise UnreadableError(
        f"the time {shown(first, 40)} is neither a number nor a date",
        option_remedy("time=3", what="(the number or the name of the column)"),
    )


def _lasting(
    times: NDArray[np.float64], ends: NDArray[np.int64], durations: Any, step: Any
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return an interaction for every ``step`` that each contact lasts."""
    found = _number(durations)
    if found is None or (found < 0).any():
        raise UnreadableError("a duration is not a number from 0 up")
    try:
        unit = read_number("step", float(step), limits.STEP)
    except (ValueError, TypeError) as error:
        raise UnreadableError(f"step={step} is not a number above 0") from error
    many = np.maximum(1, np.round(found / unit)).astype(np.int64)
    check_count(0, int(min(many.sum(), 2.0**62)))
    within = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
    return np.repeat(times, many) + unit * within, np.repeat(ends, many, axis=0)
