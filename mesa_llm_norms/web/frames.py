"""What is on screen: immutable frames.

A ``Renderer`` takes interactions one by one and makes a ``Frame`` of what was played. It holds the
drawing, the names on screen and the ``History`` of rounds, but no model: whatever plays is a
``Source`` and stays with the player.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import (
    Callable,
    Collection,
    Generator,
    Hashable,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple

import networkx as nx
import pandas as pd

from mesa_llm_norms.core.formatting import json_text
from mesa_llm_norms.core.game import GameRules, Memory, Row, others_of, payoff_of, score
from mesa_llm_norms.core.metrics import Round
from mesa_llm_norms.core.referee import Referee
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.minds.mind import Mind, Policy
from mesa_llm_norms.minds.policies import CommittedMind
from mesa_llm_norms.networks.drawing import drawing_text, layout, layout_further
from mesa_llm_norms.simulation.run import round_table
from mesa_llm_norms.web.explained import Answer, Encounter
from mesa_llm_norms.web.setting import Edit

POINTS = 1_000
"""Upper limit on the points of all lines of a chart together; a line has 40 to 160."""

_MOST_POINTS = 160

KEPT = 200_000
"""Upper limit on the numbers kept of a population's rounds, four and one for each name: 5 MB."""

RECENT = 30
"""Upper limit on the last interactions drawn; small populations show half a round."""

NOBODY = " "
"""Code of an agent that has not played."""


_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
_PAIRS = tuple(high + low for high in _DIGITS for low in _DIGITS)


# Encoding: a list handed to a browser component is walked through item by item, a string is not


def encode_shares(values: Iterable[float | None]) -> str:
    """Encode shares as two base-64 characters each: 0 to 4095 for 0 to 1, high digit first.

    None and NaN become two spaces; values outside 0 to 1 are clipped.
    """
    last = len(_PAIRS) - 1
    return "".join(
        "  "
        if value is None or math.isnan(value)
        else _PAIRS[round(min(1.0, max(0.0, value)) * last)]
        for value in values
    )


def points_text(rounds: int, stride: int, lines: Iterable[Iterable[float | None]]) -> str:
    """Encode chart lines, each holding every ``stride``-th of ``rounds``, for ``RoundsChart``."""
    shown = len(range(0, rounds, stride))
    return _compact(
        {
            "rounds": rounds,
            "x": [1, max(1, 1 + (shown - 1) * stride)],
            "y": [encode_shares(line) for line in lines],
        }
    )


def _compact(content: object) -> str:
    return json_text(content, separators=(",", ":"), ensure_ascii=True)


# Frames


class Usage(NamedTuple):
    """Calls of live minds so far; ``usd`` is None where a price is unknown."""

    calls: int
    tokens: int
    usd: float | None


@dataclass(frozen=True, slots=True)
class Frame:
    """A population at one moment.

    ``drawing``, ``codes``, ``marks`` and ``recent`` are the arguments of ``NetworkView``;
    ``successes`` and ``shares`` are the points of the two charts. ``state`` is ``preparing``,
    ``playing``, ``pausing`` (live minds are still answering) or ``paused``. ``note`` says why play
    stopped by itself and ``error`` what failed, in one sentence each; both may be empty.
    """

    drawing: str = ""
    codes: str = ""
    marks: str = ""
    recent: str = ""
    pool: tuple[str, ...] = ()
    successes: str = ""
    shares: str = ""
    rounds: int = 0
    """Population rounds started."""
    interactions: int = 0
    success_rate: float | None = None
    """Share of the last interactions that matched, of as many as there are agents."""
    leader: str | None = None
    """The name most agents hold."""
    leader_share: float = 0.0
    distinct: int = 0
    """Number of different names held."""
    converged: bool = False
    agreed: bool = False
    state: str = "preparing"
    note: str = ""
    error: str = ""
    usage: Usage | None = None
    length: int | None = None
    success_name: str = ""
    """Interactions of a recorded run."""
    measures: tuple[Measure, ...] = ()
    encounter: Encounter | None = None
    """The last interaction, to be explained."""


class Measure(NamedTuple):
    """What a reporter of the model's own said after each round, as a chart on a scale of its own.

    ``points`` are for ``RoundsChart``; ``scale`` is the lowest and the highest value of the chart.
    """

    name: str
    last: float
    points: str
    scale: tuple[float, float]


class Choice(NamedTuple):
    """A name and the probability that an agent would choose it now."""

    name: str
    probability: float


@dataclass(frozen=True, slots=True)
class Partner:
    """A neighbor of an agent: the name it holds, how often the two met and matched."""

    index: int
    node: str
    name: str | None
    met: int
    matched: int


class Exchange(NamedTuple):
    """A call of a live mind; ``reply`` is None where none came, and ``problem`` says why."""

    system: str
    prompt: str
    reply: str | None
    problem: str
    tokens: tuple[int, int]
    """Input and output tokens."""
    seconds: float
    probabilities: tuple[float, ...] = ()
    """Of each name of the pool, where the reply was a distribution."""


@dataclass(frozen=True, slots=True)
class AgentDetails:
    """Everything the page shows about one agent."""

    index: int
    """Position of the agent's node in the order of the graph."""
    node: str
    mind: str
    committed: str | None
    noise: float
    """The chance that a committed agent plays another name."""
    name: str | None
    score: float
    memory: tuple[tuple[str, str, float], ...]
    """Own name, partner's name and payoff of each interaction, oldest first."""
    choices: tuple[Choice, ...] | None
    """Probabilities of the next choice; None for minds that cannot tell."""
    asked: str | None
    """What a live mind would be asked now."""
    exchange: Exchange | None
    """The last call of a live mind."""
    partners: tuple[Partner, ...]


# What was played


class History:
    """Statistics per round and per pair of agents; names by their index in the pool."""

    def __init__(self, pool: Sequence[str]) -> None:
        self.pool: tuple[str, ...] = tuple(pool)
        self.interactions: int = 0
        self.pairs: dict[tuple[int, int], list[int]] = {}
        """Interactions and matches of two agents, the lower index first."""
        self.rounds: int = 0
        """Number of rounds started."""
        self._current: list[int] = []
        """Of the current round: its number, interactions so far in the run, in the round, matches,
        and how often each name was played."""
        self._kept: list[list[int]] = []
        """The same for the first round and every so many after it, ``_stride``."""
        self._stride = 1
        self._most = max(2 * _MOST_POINTS, KEPT // (4 + len(self.pool)))

    def add(self, round_: int, i: int, j: int, name_a: int, name_b: int) -> None:
        """Count one interaction of the naming game."""
        self.count(round_, (i, j), (name_a, name_b), name_a == name_b)

    def count(
        self, round_: int, players: Sequence[int], names: Sequence[int], matched: bool
    ) -> None:
        """Count one interaction of some agents, the first of whom met each of the others."""
        if not self.rounds or self._current[0] != round_:
            self._begin(round_)
        counts = self._current
        self.interactions += 1
        counts[1] = self.interactions
        counts[2] += 1
        counts[3] += matched
        for name in names:
            counts[4 + name] += 1
        i = players[0]
        for j in players[1:]:
            pair = self.pairs.setdefault((i, j) if i < j else (j, i), [0, 0])
            pair[0] += 1
            pair[1] += matched

    def between(self, i: int, j: int) -> tuple[int, int]:
        """Return how often two agents met, and in how many of these interactions they matched."""
        met, matched = self.pairs.get((min(i, j), max(i, j)), (0, 0))
        return met, matched

    def success_points(self) -> str:
        """Return the success rate per round, encoded for ``RoundsChart``."""
        shown, stride = self._sample(1)
        return points_text(self.rounds, stride, [map(_success, shown)])

    def share_points(self) -> str:
        """Return the share of each name per round, encoded for ``RoundsChart``."""
        shown, stride = self._sample(len(self.pool))
        shares = [_shares(counts) for counts in shown]
        lines = zip(*shares, strict=True) if shares else [()] * len(self.pool)
        return points_text(self.rounds, stride, lines)

    def table(self) -> pd.DataFrame:
        """Return a row per round, with the columns of ``Ensemble.rounds``; safe in any thread.

        Of a long run it has the first round, every second, fourth, ... after it, and the last.
        """
        kept, current = list(self._kept), self._current
        if current and kept[-1] is not current:
            kept.append(current)
        found = [
            Round(
                counts[0],
                counts[1],
                _success(counts),
                dict(zip(self.pool, _shares(counts), strict=True)),
            )
            for counts in [counts[:] for counts in kept]
            if counts[2]
        ]
        return round_table(self.pool, ((0, one) for one in found))

    def _sample(self, lines: int) -> tuple[list[list[int]], int]:
        """Return every so many rounds; points stay put as rounds are added."""
        most = min(_MOST_POINTS, max(40, POINTS // max(1, lines)))
        stride = 1
        while self.rounds > most * stride:
            stride *= 2
        return self._kept[:: stride // self._stride], stride

    def _begin(self, round_: int) -> None:
        self._current = [round_, self.interactions] + [0] * (2 + len(self.pool))
        if self.rounds % self._stride == 0:
            self._kept.append(self._current)
        self.rounds += 1
        if len(self._kept) > self._most:
            self._kept = self._kept[::2]
            self._stride *= 2


def _success(counts: Sequence[int]) -> float:
    return counts[3] / counts[2]


def _shares(counts: Sequence[int]) -> list[float]:
    played = sum(counts[4:]) or 1
    return [times / played for times in counts[4:]]


# What plays


class Source:
    """A population on screen: one that plays, or the recording of one; at its start when made.

    ``details``, ``interrupt`` and ``close`` may be called from any thread at any time and must not
    block. Everything else is for the thread that plays. ``rounds`` is the number of population
    rounds after which play stops by itself, ``length`` the number of interactions where it is known
    in advance. ``free`` says that play costs nothing, so that a link may start it. ``whole_steps``
    says that play stops between the model's own steps only, and that each of them may change the
    network and who is on it.
    """

    free = True
    whole_steps = False
    length: int | None = None
    usage: Usage | None = None
    converged: bool
    agreed: bool
    between_rounds: bool
    """Whether the last population round started is complete."""

    def __init__(self, graph: nx.Graph[Any], game: GameRules, agents: int, rounds: int) -> None:
        self.graph = graph
        self.game = game
        self.referee: Referee = Referee(game)
        self.pool: tuple[str, ...] = game.pool
        self.agents = agents
        self.rounds = rounds
        self.nodes: tuple[Hashable, ...] = tuple(graph)
        self._index = {node: i for i, node in enumerate(self.nodes)}
        self._encounters: dict[Hashable, Encounter] = {}
        """The last interaction of each agent that has played."""
        self._latest: Encounter | None = None

    def notice_nodes(self) -> None:
        """Number new nodes of the graph after those before; those that are gone keep theirs."""
        for node in self.graph:
            self._index.setdefault(node, len(self._index))
        self.nodes = tuple(self._index)

    @property
    def measures(self) -> Mapping[str, Sequence[Any]]:
        """What the model's own reporters said after each round."""
        return {}

    def take_change(self) -> bool:
        """Return whether the network or who is on it changed since this was last asked."""
        return False

    def absent(self) -> Collection[Hashable]:
        """Return the nodes without an agent."""
        return ()

    def committed(self) -> dict[Hashable, str]:
        """Return the nodes of committed agents and their names."""
        raise NotImplementedError

    def remembered(self) -> dict[Hashable, str]:
        """Return the nodes whose agents have a memory before they play, and their own last name."""
        return {}

    def play(self) -> Generator[Row | None, None, None]:
        """Yield interactions as they are played; closing the generator stops play.

        None is a step in which nothing was played.
        """
        raise NotImplementedError

    def change(self, edit: Edit) -> bool:
        """Apply a change made by hand and return whether the network changed."""
        raise NotImplementedError

    def details(self, index: int, history: History) -> AgentDetails | None:
        """Return what the page shows about an agent now; None where there is none."""
        raise NotImplementedError

    def encounter(self, index: int | None = None) -> Encounter | None:
        """Return the last interaction, or the last one of an agent."""
        return self._latest if index is None else self._encounters.get(self.node(index))

    def answers(self, encounter: Encounter) -> Sequence[Answer | None]:  # noqa: ARG002
        """Return what live minds answered in an interaction, by seat; may block for a moment."""
        return ()

    def _note(self, encounter: Encounter) -> None:
        self._latest = encounter
        for part in encounter.parts:
            self._encounters[part.node] = encounter

    def interrupt(self) -> None:
        """Stop ``play`` where it waits for minds."""

    def close(self) -> None:
        """Release all resources; play still going on in another thread ends soon."""

    def node(self, index: int) -> Hashable:
        """Return a node by its index; ``SpecError`` if there is none."""
        if not 0 <= index < len(self.nodes):
            raise SpecError(
                "place", index, f"there is no agent {index}", f"Use 0 to {len(self.nodes) - 1}."
            )
        return self.nodes[index]

    def describe(
        self,
        index: int,
        history: History,
        *,
        mind: Mind,
        committed: CommittedMind | None,
        memory: Memory,
        held: Callable[[Hashable], str | None],
        asked: str | None = None,
        exchange: Exchange | None = None,
    ) -> AgentDetails:
        """Return the details of an agent; ``mind`` is its own, ``held`` the name on a node."""
        node, game = self.node(index), self.game
        deciding = committed or mind
        choices = None
        if isinstance(deciding, Policy):
            probabilities = deciding.distribution(memory, game.pool)
            choices = tuple(map(Choice, game.pool, map(float, probabilities)))
        partners = [
            Partner(self._index[it], str(it), held(it), *history.between(index, self._index[it]))
            for it in list(self.graph.adj[node])
            if it in self._index
        ]
        return AgentDetails(
            index=index,
            node=str(node),
            mind=mind.label,
            committed=committed.name if committed is not None else None,
            noise=committed.noise if committed is not None else 0.0,
            name=held(node),
            score=score(memory, game),
            memory=tuple(
                (past[0], ", ".join(others_of(past)), payoff_of(past, game)) for past in memory
            ),
            choices=choices,
            asked=asked,
            exchange=exchange,
            partners=tuple(partners),
        )


class Renderer:
    """Makes frames of the interactions of a source; used under the player's lock."""

    def __init__(self, source: Source) -> None:
        self.history: History = History(source.pool)
        self._pool = source.pool
        self._referee = source.referee
        self._codes = {name: chr(48 + i) for i, name in enumerate(source.pool)}
        self._index: dict[Hashable, int] = {node: i for i, node in enumerate(source.graph)}
        self._held = [NOBODY] * len(self._index)
        self._remembered = source.remembered()
        self._successes: deque[bool] = deque(maxlen=max(1, source.agents))
        self._recent: deque[str] = deque(maxlen=max(1, min(RECENT, source.agents // 2)))
        self._converged = self._agreed = False
        self._positions = layout(source.graph)
        self._drawing = drawing_text(source.graph, self._pool, self._positions)

    def redraw(self, source: Source) -> None:
        """Draw what changed; agents stay where they are, and nodes that are gone stay as empty."""
        for node in source.nodes[len(self._index) :]:
            self._index[node] = len(self._index)
            self._held.append(NOBODY)
        drawn = source.graph.__class__()
        drawn.add_nodes_from(self._index)
        drawn.add_edges_from(source.graph.edges(data=True))
        self._positions = layout_further(drawn, self._positions)
        self._drawing = drawing_text(drawn, self._pool, self._positions)

    def add(self, row: Row, converged: bool, agreed: bool) -> None:
        """Record an interaction, and whether the population has converged or agreed with it."""
        players = [self._index[node] for node in row.nodes]
        codes = [self._codes[name] for name in row.names]
        success = self._referee.success(row.names)
        self.history.count(row.round, players, [ord(code) - 48 for code in codes], success)
        for player, code in zip(players, codes, strict=True):
            self._held[player] = code
        self._successes.append(success)
        self._recent.extend(f"{players[0]},{other},{int(success)}" for other in players[1:])
        self._converged, self._agreed = converged, agreed

    def frame(
        self,
        source: Source,
        state: str,
        note: str = "",
        error: str = "",
        watched: int | None = None,
    ) -> Frame:
        """Return what is on screen now, with the last interaction, or that of a watched agent."""
        history, successes = self.history, self._successes
        committed, absent = source.committed(), source.absent()
        # Who has not played holds no name, and is drawn with the one to be expected.
        expected = {**self._remembered, **committed}
        codes = "".join(
            self._codes[expected[node]] if held == NOBODY and node in expected else held
            for node, held in zip(self._index, self._held, strict=True)
        )
        held = {name: codes.count(code) for name, code in self._codes.items()}
        playing = sum(held.values())
        leader = max(held, key=lambda name: held[name]) if playing else None
        marks = "".join(
            "x" if node in absent else "c" if node in committed else " " for node in self._index
        )
        return Frame(
            drawing=self._drawing,
            codes=codes,
            marks=marks if committed or absent else "",
            recent=" ".join(self._recent),
            pool=self._pool,
            successes=history.success_points(),
            shares=history.share_points(),
            rounds=history.rounds,
            interactions=history.interactions,
            success_rate=sum(successes) / len(successes) if successes else None,
            leader=leader,
            leader_share=held[leader] / playing if leader is not None else 0.0,
            distinct=sum(times > 0 for times in held.values()),
            converged=self._converged,
            agreed=self._agreed,
            state=state,
            note=note,
            error=error,
            usage=source.usage,
            length=source.length,
            success_name="" if source.referee.naming else source.game.success_name,
            measures=tuple(
                measure(name, values) for name, values in source.measures.items() if values
            ),
            encounter=source.encounter(watched),
        )


def measure(name: str, values: Sequence[Any]) -> Measure:
    """Return the chart of a column: from 0 to 1 where all values are, else from lowest to highest.

    Parameters
    ----------
    name : str
        What it is called.
    values : sequence
        A value per round, at least one; a gap for what is not a number.
    """
    rounds, last = len(values), _number(values[-1])
    stride = max(1, math.ceil(rounds / _MOST_POINTS))
    shown = [_number(value) for value in values[:rounds:stride]]
    known = [value for value in (*shown, last) if math.isfinite(value)] or [0.0]
    low, high = min(known), max(known)
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low == high:
        low, high = low - 1, high + 1
    shares = [(value - low) / (high - low) for value in shown]
    return Measure(name, last, points_text(rounds, stride, [shares]), (low, high))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, Real) else math.nan
