"""The classical naming game on one page: inventories of words, a speaker, a hearer, one word.

Rules after Baronchelli, Felici, Loreto, Caglioti and Steels (J. Stat. Mech. 2006, P06014). Every
agent has an inventory of words, empty at first. The speaker utters a random word of its own,
inventing one where it has none. If the hearer has the word too, both keep that word only; if not,
the hearer adds it. A committed agent holds one word and never changes. Nobody gains or loses
points. *Consensus* is that every agent holds the same one word.

**Every draw is one of the four of** ``draws.interaction(t)``, t being the interaction's number:

- ``node`` and ``neighbour`` draw the pair as ``NodePairing`` does for ``direct`` and ``reverse``,
  and as ``EdgePairing`` does for ``neutral``;
- ``seat_a`` picks the word: the one at ``index_of(seat_a, size)`` of the speaker's inventory, which
  is in the order in which it took the words in, the oldest first;
- ``seat_b`` picks what a speaker without words takes from a pool of names, at
  ``index_of(seat_b, size)`` of it. Where invention is free nothing is drawn: an agent invents at
  most once, so the agent on node number i invents ``w<i>``.

Everything that defines a run of the classical game, and how it is made ready.

How a run of the classical game stands.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.core.game import MAX_NAME_LENGTH, is_name, read_pool
from mesa_llm_norms.core.randomness import RandomStream, index_of
from mesa_llm_norms.errors import PairingError, PoolError, SpecError, some
from mesa_llm_norms.networks.adjacency import Neighbors, Pair
from mesa_llm_norms.networks.graph_files import is_random, read_graph
from mesa_llm_norms.networks.placement import place_committed, read_committed
from mesa_llm_norms.networks.registry import find_topology, parse
from mesa_llm_norms.networks.validation import check_graph
from mesa_llm_norms.simulation.pairing import EdgePairing, NodePairing
from mesa_llm_norms.validation import read_whole

PAIRINGS = ("direct", "reverse", "neutral")


_INVENTED = re.compile(r"w\d+")


class Utterance(NamedTuple):
    """One row of what happened.

    ``interaction`` counts from 0 within a run and ``round`` is the population round it fell in.
    ``matched`` is whether the hearer had the word.
    """

    run: int
    interaction: int
    round: int
    speaker: Hashable
    hearer: Hashable
    word: str
    matched: bool


class Talker:
    """An agent's part in the game: what it says, and what it makes of what it hears.

    ``invention`` is the word it would invent, where invention is free.
    """

    invention: str = ""
    _inventory: tuple[str, ...] = ()
    _name: str | None = None
    _committed: str | None = None

    @property
    def inventory(self) -> tuple[str, ...]:
        """The words it holds, in the order it took them in."""
        return self._inventory

    @property
    def name(self) -> str | None:
        """The word it last uttered or agreed on, None before that."""
        return self._name

    @property
    def committed(self) -> str | None:
        """The word it is committed to, if any."""
        return self._committed

    def utter(self, draw: int, invented: str) -> str:
        """Return a word of its own, by ``draw`` (32 bits), and ``invented`` where it has none."""
        if not self._inventory:
            self._inventory = (invented,)
        self._name = self._inventory[index_of(draw, len(self._inventory))]
        return self._name

    def hear(self, word: str) -> bool:
        """Return whether the word is known; take it in if it is not."""
        if word in self._inventory:
            return True
        if self._committed is None:
            self._inventory = (*self._inventory, word)
        return False

    def agree(self, word: str) -> None:
        """Keep this word, which both now know to share, and no other."""
        self._name = word
        if self._committed is None and len(self._inventory) != 1:
            self._inventory = (word,)


@dataclass(frozen=True, slots=True)
class Rules:
    """Where words come from and who speaks.

    ``pool`` is the names there are, or None for free invention. With ``direct`` pairing the speaker
    is drawn uniformly and the hearer among its neighbours, with ``reverse`` the hearer first; with
    ``neutral`` an edge is, and chance says which end speaks. Node i -> j of a directed graph lets i
    be drawn first and meet j; ``neutral`` there always has i speak.
    """

    pool: tuple[str, ...] | None = None
    pairing: str = "direct"

    def __post_init__(self) -> None:
        if self.pool is not None:
            object.__setattr__(self, "pool", read_pool(self.pool))
        if not isinstance(self.pairing, str) or self.pairing not in PAIRINGS:
            close = difflib.get_close_matches(str(self.pairing), PAIRINGS, n=1)
            raise PairingError(
                "pairing",
                self.pairing,
                f"the classical game has no pairing {self.pairing!r}"
                + (f" (did you mean {close[0]!r}?)" if close else ""),
                "Choose direct, reverse or neutral.",
            )

    def pairs(self, neighbors: Neighbors, first: int, draws: RandomStream) -> Iterator[Pair]:
        """Yield speaker and hearer of the round from interaction ``first`` on, as places."""
        if self.pairing == "neutral":
            yield from EdgePairing().pairs(neighbors, 0, first, draws)
            return
        for one, other in NodePairing().pairs(neighbors, 0, first, draws):
            yield (one, other) if self.pairing == "direct" else (other, one)

    def invented(self, speaker: Talker, draw: int) -> str:
        """Return what a speaker without words says, ``draw`` (32 bits) saying which of the pool."""
        if self.pool is None:
            return speaker.invention
        return self.pool[index_of(draw, len(self.pool))]

    def check_word(self, argument: str, word: Any) -> None:
        """Raise ``SpecError`` unless the word can be an incumbent or somebody's commitment."""
        if self.pool is not None:
            if not isinstance(word, str) or word not in self.pool:
                raise SpecError(
                    argument,
                    word,
                    f"{word!r} is not in the pool",
                    f"Use one of {some(self.pool, 26)}.",
                )
        elif not is_name(word):
            raise PoolError(
                argument,
                word,
                f"{word!r} is not usable as a name",
                f"A name is 1 to {MAX_NAME_LENGTH} printable characters without spaces around it.",
            )
        elif _INVENTED.fullmatch(word):
            raise PoolError(
                argument,
                word,
                f"{word!r} is a word that an agent may invent",
                "Give another name, or a pool of names to invent from.",
            )


def invention(number: int) -> str:
    """Return the word that agent ``number`` invents where invention is free."""
    return f"w{number}"


DEFAULT_GRAPH = "complete(n=24)"


MOST_RUNS = 2**53


class WellMixed(Neighbors):
    """Everybody's neighbours are all the others: n agents without a list of n (n - 1) neighbors."""

    directed = False
    strengths = None
    is_complete = True

    def __init__(self, n: int) -> None:
        self.nodes = range(n)

    @cached_property
    def indptr(self) -> NDArray[np.int64]:  # type: ignore[override]
        """Where each node's neighbours begin in ``indices``."""
        return np.arange(len(self) + 1, dtype=np.int64) * (len(self) - 1)

    @cached_property
    def indices(self) -> NDArray[np.int32]:  # type: ignore[override]
        """All the others, for each node; made when first asked for."""
        n = len(self)
        others = np.broadcast_to(np.arange(n - 1, dtype=np.int32), (n, n - 1))
        return (others + (others >= np.arange(n, dtype=np.int32)[:, None])).ravel().astype(np.int32)


class ClassicalSeating(NamedTuple):
    """One run made ready: who may meet whom, and who is committed to what."""

    rules: Rules
    neighbors: Neighbors
    committed: dict[int, str]
    """By place in ``neighbors.nodes``."""
    incumbent: str | None
    draws: RandomStream

    @property
    def given(self) -> tuple[str, ...]:
        """The names that somebody holds from the start and that are in no pool."""
        if self.rules.pool is not None:
            return ()
        names = ([] if self.incumbent is None else [self.incumbent]) + [*self.committed.values()]
        return tuple(sorted(set(names)))

    def vocabulary(self) -> Sequence[str]:
        """Return every word there can be: the pool, or all inventions, then what was given."""
        if self.rules.pool is not None:
            return self.rules.pool
        return [*map(invention, range(len(self.neighbors))), *self.given]

    def start(self, place: int) -> tuple[tuple[str, ...], str | None]:
        """Return what an agent holds before the first interaction, and what it is committed to."""
        committed = self.committed.get(place)
        word = self.incumbent if committed is None else committed
        return (() if word is None else (word,)), committed

    def players(self) -> list[Talker]:
        """Return an agent for every node, without Mesa."""
        return [Seat(place, *self.start(place)) for place in range(len(self.neighbors))]


class Seat(Talker):
    """An agent without Mesa."""

    def __init__(self, place: int, inventory: tuple[str, ...], committed: str | None) -> None:
        self.invention = invention(place)
        self._inventory = inventory
        self._committed = committed


@dataclass(frozen=True, kw_only=True)
class ClassicalSpec:
    """The arguments of ``ClassicalGame`` and ``run_classical``, read and checked on construction.

    ``seed`` and a run's number fix everything that is left to chance.
    """

    graph: Any = DEFAULT_GRAPH
    names: Any = None
    pairing: str = "direct"
    incumbent: str | None = None
    committed: Mapping[str, Any] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.incumbent is not None:
            self.rules.check_word("incumbent", self.incumbent)
        for name in read_committed(self.committed):
            self.rules.check_word("committed", name)

    def __getstate__(self) -> dict[str, Any]:
        """Travel light: what was read from the arguments is read again where it is needed."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def rules(self) -> Rules:
        """The rules."""
        return Rules(self.names, self.pairing)

    def draws(self, run: int) -> RandomStream:
        """Return the draws of run number ``run``."""
        return RandomStream(self.seed, read_whole("run", run, 0, MOST_RUNS))

    def read_graph(self, draws: RandomStream) -> Any:
        """Return this run's graph, checked: of networkx, or a scipy sparse array."""
        graph = read_graph(self.graph, draws.generator("graph"))
        check_graph(graph)
        return graph

    def seat(self, run: int = 0) -> ClassicalSeating:
        """Return run number ``run`` made ready; a graph that is not random is read only once."""
        draws = self.draws(run)
        return self.seat_on(self._contacts or Neighbors(self.read_graph(draws)), draws)

    def seat_on(self, neighbors: Neighbors, draws: RandomStream) -> ClassicalSeating:
        """Return a run made ready on neighbors that have been read."""
        chance = draws.generator("committed")
        committed = place_committed(read_committed(self.committed), neighbors, chance)
        return ClassicalSeating(self.rules, neighbors, committed, self.incumbent, draws)

    @cached_property
    def _contacts(self) -> Neighbors | None:
        """The neighbors of every run, None where each run draws its own graph."""
        if is_random(self.graph):
            return None
        kind = find_topology(self.graph) if isinstance(self.graph, str) else None
        if kind is not None and kind.name == "complete" and self.pairing != "neutral":
            call = parse(self.graph)
            try:
                return WellMixed(cast(int, kind.read(call.args, call.kwargs)["n"]))
            except ValueError:
                pass  # what is wrong with it, reading it says
        return Neighbors(self.read_graph(self.draws(0)))


class ClassicalOutcome(NamedTuple):
    """How a run stands."""

    interactions: int
    rounds: int
    converged: bool
    """Whether there is consensus: every agent holds the same one word."""
    winner: str | None
    """The word that most agents hold; of equals, the one earliest in the pool, or invented by the
    earliest agent. None where nobody holds any."""
    share: float
    """Share of the agents that hold the winner, whatever else they hold."""
    success_rate: float
    """Share of the last round's interactions in which the hearer had the word."""
    peak_words: int
    """The most words there have been: the sizes of all inventories, added up."""
    peak_time: int
    """The number of interactions after which there first were so many."""


def leading(held: Counter[str], order: Iterable[str]) -> tuple[str | None, int]:
    """Return the word that most agents hold, and how many do; of equals, the first in ``order``."""
    winner = max((word for word in order if held[word]), key=lambda word: held[word], default=None)
    return winner, held[winner] if winner is not None else 0


def check_until(until: Any) -> None:
    """Raise ``SpecError`` unless this says when a run ends."""
    if until is not None and until != "converged":
        raise SpecError(
            "until",
            until,
            f"{until!r} is no way to end a run of the classical game",
            'Use "converged" or None; a flip is consensus on the committed word.',
        )
