"""Graphs and shares as short text, which is what reaches a browser fast.

A list that a page hands to its components is walked through item by item, a text is not.

What is on screen at one moment, and what there is to know about one agent: immutable.

What was played so far, round by round and pair by pair, for charts, tables and cards.

Where interactions come from: a model that plays, or the record of a run that was played.

What of a population is on screen: the names held, the last interactions, the record.

A frame as a figure file, drawn as on the command line.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Generator, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import networkx as nx
import numpy as np
import pandas as pd

from mesa_llm_norms.core.game import Interaction
from mesa_llm_norms.core.metrics import Round
from mesa_llm_norms.networks.drawing import Positions, ink_on, layout, name_colours, nearest
from mesa_llm_norms.simulation.run import round_table
from mesa_llm_norms.web.setting import Edit

SPAN = 1_000
"""The longer side of a drawing, in its own units."""


NO_VALUE = "  "
"""Stands for a share that there is none of."""


_LARGEST = 4_095


_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"


_PAIRS = tuple(high + low for high in _DIGITS for low in _DIGITS)


_SIZES = 12, 80
"""The smallest and the largest diameter of nodes."""


def encode_shares(values: Sequence[float | None]) -> str:
    """Return two characters for each share: 0 to 4095 for 0 to 1, in base 64, high digit first.

    None and NaN are two spaces; what lies below 0 or above 1 is drawn at 0 or 1.
    """
    return "".join(
        NO_VALUE
        if value is None or math.isnan(value)
        else _PAIRS[round(min(1.0, max(0.0, value)) * _LARGEST)]
        for value in values
    )


def points_text(rounds: int, stride: int, lines: Sequence[Sequence[float | None]]) -> str:
    """Return the lines of a chart as ``RoundsChart`` takes them, each with every so many rounds."""
    shown = len(range(0, rounds, stride))
    return json.dumps(
        {
            "rounds": rounds,
            "x": [1, max(1, 1 + (shown - 1) * stride)],
            "y": [encode_shares(line) for line in lines],
        },
        separators=(",", ":"),
    )


def drawing_text(
    graph: nx.Graph[Any], pool: Sequence[str], positions: Positions | None = None
) -> str:
    """Return a network, without the names its nodes hold, as ``NetworkView`` takes it.

    Nodes are meant by their places in the graph's order. ``positions`` are those of
    ``places.layout`` unless given; the browser's y points downwards.
    """
    places = layout(graph) if positions is None else positions
    columns, rows = zip(*(places[node] for node in graph), strict=True)
    span = max(max(columns) - min(columns), max(rows) - min(rows), 1e-9)
    number = {node: place for place, node in enumerate(graph)}
    colours = [name_colours(pool)[name] for name in pool]
    return json.dumps(
        {
            "x": _spread(columns, span),
            "y": [SPAN - y for y in _spread(rows, span)],
            "edges": [[number[u], number[v]] for u, v in graph.edges],
            "directed": graph.is_directed(),
            "ids": [str(node) for node in graph],
            "names": list(pool),
            "colours": colours,
            "inks": [ink_on(colour) for colour in colours],
            "size": _diameter(places),
            "degrees": [degree for _, degree in graph.degree],
        },
        separators=(",", ":"),
    )


def _diameter(places: Positions) -> float:
    """Return a diameter with which most nodes do not touch the nearest other."""
    near = nearest(places)
    wanted = 0.85 * SPAN * float(np.median(near)) if len(near) else max(_SIZES)
    return round(float(np.clip(wanted, *_SIZES)), 1)


def _spread(values: Sequence[float], span: float) -> list[int]:
    """Return values on the scale of the drawing, the middle of them in its middle."""
    middle = (min(values) + max(values)) / 2
    return [round(SPAN / 2 + (value - middle) / span * SPAN) for value in values]


class Usage(NamedTuple):
    """What calls of live minds came to; ``usd`` is None where a price is not known."""

    calls: int
    tokens: int
    usd: float | None


@dataclass(frozen=True, slots=True)
class Frame:
    """A population at one moment.

    ``drawing``, ``codes``, ``marks`` and ``recent`` are what the network view takes, ``successes``
    and ``shares`` what the charts take; see ``viz.views``. ``state`` is ``preparing``, ``playing``,
    ``pausing`` (live minds are still answering) or ``paused``. ``note`` says why play stopped by
    itself, ``error`` what went wrong, in one sentence each, empty where there is nothing to say.
    """

    drawing: str = ""
    codes: str = ""
    marks: str = ""
    recent: str = ""
    pool: tuple[str, ...] = ()
    successes: str = ""
    shares: str = ""
    rounds: int = 0
    """How many population rounds were begun."""
    interactions: int = 0
    success_rate: float | None = None
    """Share of the interactions of the last round that matched, as far as it was played."""
    leader: str | None = None
    """The name most agents hold."""
    leader_share: float = 0.0
    distinct: int = 0
    """How many different names are held."""
    converged: bool = False
    state: str = "preparing"
    note: str = ""
    error: str = ""
    usage: Usage | None = None
    length: int | None = None
    """Of a recorded run, how many interactions there are."""


class Choice(NamedTuple):
    """A name and the probability with which an agent would choose it now."""

    name: str
    probability: float


class Partner(NamedTuple):
    """Somebody an agent can meet: who, the name held, how often they met and matched."""

    place: int
    node: str
    name: str | None
    met: int
    matched: int


class Exchange(NamedTuple):
    """A call of a live mind: what was asked, what came back, tokens and seconds.

    ``reply`` is None where none came; ``problem`` then says why. ``tokens`` are those read and
    written.
    """

    system: str
    prompt: str
    reply: str | None
    problem: str
    tokens: tuple[int, int]
    seconds: float


@dataclass(frozen=True, slots=True)
class Card:
    """All there is to know about one agent.

    ``memory`` is its interactions, oldest first: own name, partner's name, payoff. ``choices`` are
    the probabilities with which it would choose now, None for minds that have none to tell;
    ``asked`` is what a live mind would be asked now, and ``exchange`` its last call.
    """

    place: int
    node: str
    mind: str
    committed: str | None
    name: str | None
    score: float
    memory: tuple[tuple[str, str, float], ...]
    choices: tuple[Choice, ...] | None
    asked: str | None
    exchange: Exchange | None
    partners: tuple[Partner, ...]


POINTS = 1_000
"""How many points all lines of a chart have together, at most; a line has 40 to 160."""


class Record:
    """Counts interactions as they are played; names by their places in the pool."""

    def __init__(self, pool: Sequence[str]) -> None:
        self.pool = tuple(pool)
        self.interactions = 0
        self.meetings: dict[tuple[int, int], list[int]] = {}
        """For two places, the lower first, how often they met and matched."""
        self._rounds: list[int] = []
        self._ends: list[int] = []
        self._matched: list[float] = []
        self._shares: list[list[float]] = [[] for _ in self.pool]
        self._line = [0] * (2 + len(self.pool))

    @property
    def rounds(self) -> int:
        """How many rounds were begun, of those that anything was played in."""
        return len(self._rounds)

    def add(self, round_: int, place_a: int, place_b: int, name_a: int, name_b: int) -> None:
        """Count one interaction."""
        if not self._rounds or self._rounds[-1] != round_:
            self._begin(round_)
        line, matched = self._line, name_a == name_b
        line[0] += 1
        line[1] += matched
        line[2 + name_a] += 1
        line[2 + name_b] += 1
        self.interactions += 1
        pair = (place_a, place_b) if place_a < place_b else (place_b, place_a)
        met = self.meetings.get(pair)
        if met is None:
            self.meetings[pair] = [1, int(matched)]
        else:
            met[0] += 1
            met[1] += matched

    @property
    def success_rate(self) -> float | None:
        """Share of the interactions of the last round that matched; None before the first."""
        return self._line[1] / self._line[0] if self._line[0] else None

    def success_points(self) -> str:
        """Return the success rate per round as the chart takes it."""
        return self._points([self._matched], [self.success_rate])

    def share_points(self) -> str:
        """Return the share of each name per round as the chart takes it."""
        shares = _shares_of(self._line) if self._line[0] else [None] * len(self.pool)
        return self._points(self._shares, shares)

    def table(self) -> pd.DataFrame:
        """Return a row per round, the columns those of ``rounds`` of an ensemble.

        Any thread may ask while another adds.
        """
        rounds, line = self.rounds, self._line[:]
        found = [
            Round(
                self._rounds[place],
                self._ends[place],
                self._matched[place],
                {name: shares[place] for name, shares in zip(self.pool, self._shares, strict=True)},
            )
            for place in range(rounds - 1)
        ]
        if rounds and line[0]:
            shares = dict(zip(self.pool, _shares_of(line), strict=True))
            found.append(
                Round(self._rounds[rounds - 1], self.interactions, line[1] / line[0], shares)
            )
        return round_table(self.pool, ((0, one) for one in found))

    def _begin(self, round_: int) -> None:
        """Write down the numbers of the last round, and begin a new one.

        Its number is written last, for whoever reads goes by how many numbers there are.
        """
        if self._rounds:
            self._ends[-1] = self.interactions
            self._matched[-1] = self._line[1] / self._line[0]
            for shares, share in zip(self._shares, _shares_of(self._line), strict=True):
                shares[-1] = share
        self._line = [0] * len(self._line)
        self._ends.append(0)
        self._matched.append(0.0)
        for shares in self._shares:
            shares.append(0.0)
        self._rounds.append(round_)

    def _points(self, lines: Sequence[Sequence[float]], last: Sequence[float | None]) -> str:
        """Return lines with every so many rounds of them, so that they keep still as they grow."""
        rounds = self.rounds
        most = min(160, max(40, POINTS // max(1, len(lines))))
        stride = 1
        while rounds > most * stride:
            stride *= 2
        shown = []
        for line, now in zip(lines, last, strict=True):
            values: list[float | None] = list(line[:rounds:stride])
            if values and (rounds - 1) % stride == 0:
                values[-1] = now
            shown.append(values)
        return points_text(rounds, stride, shown)


def _shares_of(line: Sequence[int]) -> list[float]:
    return [times / (2 * line[0]) for times in line[2:]]


class Source(Protocol):
    """A population that is shown, at its start when it is made.

    ``card`` may be called by any thread, at any time, and must not wait; ``interrupt`` and
    ``close`` too. All else is for the one thread that plays.
    """

    @property
    def graph(self) -> nx.Graph[Any]:
        """The network as it is now; its nodes, in this order, are the places."""

    @property
    def pool(self) -> tuple[str, ...]:
        """The names that may be played."""

    @property
    def agents(self) -> int:
        """How many agents play: N."""

    @property
    def converged(self) -> bool:
        """Whether the population has converged."""

    @property
    def free(self) -> bool:
        """Whether play costs nothing, so that a link may have it played."""

    @property
    def between_rounds(self) -> bool:
        """Whether the last population round that was begun is over."""

    @property
    def rounds(self) -> int:
        """After how many population rounds play stops by itself."""

    @property
    def usage(self) -> Usage | None:
        """What calls came to, where there are live minds."""

    @property
    def length(self) -> int | None:
        """How many interactions there are, where that is known beforehand."""

    def committed(self) -> dict[Hashable, str]:
        """Return who is committed now, and to which name."""

    def play(self) -> Generator[Interaction, None, None]:
        """Yield one interaction after the other; to stop asking is to stop playing."""

    def change(self, edit: Edit) -> bool:
        """Make a change by hand; return whether the network is another now."""

    def card(self, place: int, record: Record) -> Card:
        """Return all there is to know about the agent in a place now."""

    def interrupt(self) -> None:
        """Have ``play`` stop where it waits for minds."""

    def close(self) -> None:
        """Let go of everything; whatever still plays in another thread ends soon."""


NOBODY = " "
"""Stands in ``codes`` for an agent that has not played."""


RECENT = 30
"""How many of the last interactions are drawn, at most; of small populations half a round."""


class Stage:
    """Takes in interactions and makes frames of them; for the thread that plays."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.record = Record(source.pool)
        self._names = {name: place for place, name in enumerate(source.pool)}
        self._codes = [chr(48 + place) for place in range(len(source.pool))]
        self._places: dict[Hashable, int] = {node: at for at, node in enumerate(source.graph)}
        self._held = [NOBODY] * len(self._places)
        self._recent: deque[str] = deque(maxlen=max(1, min(RECENT, source.agents // 2)))
        self._converged = False
        self._positions = layout(source.graph)
        self.redraw()

    def redraw(self) -> None:
        """Draw the ties anew; agents stay where they are."""
        self._drawing = drawing_text(self.source.graph, self.source.pool, self._positions)

    def add(self, row: Interaction) -> None:
        """Take in one interaction."""
        place_a, place_b = self._places[row.node_a], self._places[row.node_b]
        name_a, name_b = self._names[row.name_a], self._names[row.name_b]
        self.record.add(row.round, place_a, place_b, name_a, name_b)
        self._held[place_a], self._held[place_b] = self._codes[name_a], self._codes[name_b]
        self._recent.append(f"{place_a},{place_b},{int(name_a == name_b)}")
        self._converged = self.source.converged

    def frame(self, state: str, note: str = "", error: str = "") -> Frame:
        """Return what is on screen now."""
        source, record = self.source, self.record
        codes = "".join(self._held)
        held = {
            name: codes.count(code) for name, code in zip(source.pool, self._codes, strict=True)
        }
        playing = sum(held.values())
        leader = max(held, key=lambda name: held[name]) if playing else None
        return Frame(
            drawing=self._drawing,
            codes=codes,
            marks=self._marks(),
            recent=" ".join(self._recent),
            pool=source.pool,
            successes=record.success_points(),
            shares=record.share_points(),
            rounds=record.rounds,
            interactions=record.interactions,
            success_rate=record.success_rate,
            leader=leader,
            leader_share=held[leader] / playing if leader is not None else 0.0,
            distinct=sum(times > 0 for times in held.values()),
            converged=self._converged,
            state=state,
            note=note,
            error=error,
            usage=source.usage,
            length=source.length,
        )

    def _marks(self) -> str:
        committed = self.source.committed()
        if not committed:
            return ""
        return "".join("c" if node in committed else " " for node in self._places)


def picture(source: Source, frame: Frame, kind: str) -> bytes:
    """Return the network of a frame as the bytes of a ``png`` or ``svg`` file."""
    from mesa_llm_norms import plots

    graph = source.graph.copy()
    pool, nodes = source.pool, list(graph)
    places = [ord(code) - 48 for code in frame.codes]
    held = {
        node: pool[place] if place >= 0 else None for node, place in zip(nodes, places, strict=True)
    }
    return plots.figure_bytes(plots.plot_network(graph, held, pool, source.committed()), kind)
