"""The classical naming game: its rules, what defines a run, and the state a run starts from.

Every agent has an inventory of words, empty at first. The speaker utters a random word of its
inventory, inventing one if it has none. If the hearer has the word too, both keep only that word;
if not, the hearer adds it. A committed agent holds one word and never changes. There are no
payoffs. *Consensus* means that every agent holds the same single word.

**Every random choice comes from the four draws of** ``stream.interaction(t)`` for interaction t:

- ``node`` and ``neighbour`` give the pair, as in ``NodePairing`` for ``direct`` and ``reverse``
  pairing and as in ``EdgePairing`` for ``neutral`` pairing;
- ``seat_a`` gives the word: the one at ``index_of(seat_a, size)`` of the speaker's inventory, which
  is kept in the order in which words were learned, the oldest first;
- ``seat_b`` gives the name that a speaker without words takes from a pool, the one at
  ``index_of(seat_b, size)``, and the other name that a committed speaker utters where ``seat_a`` is
  below its noise. Free invention needs no draw: an agent invents at most once, so the
  agent on node number i invents ``w<i>``.

References
----------
A. Baronchelli, M. Felici, V. Loreto, E. Caglioti and L. Steels, "Sharp transition towards shared
vocabularies in multi-agent systems", J. Stat. Mech. (2006) P06014.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from functools import cached_property
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.compiled import is_switched_off
from mesa_llm_norms.core.game import NAME_RULE, is_name, read_pool
from mesa_llm_norms.core.limits import read_whole
from mesa_llm_norms.core.randomness import UNIT, RandomStream, index_of
from mesa_llm_norms.errors import PairingError, PoolError, SpecError, shown, some
from mesa_llm_norms.networks.adjacency import Neighbors, Pair
from mesa_llm_norms.networks.placement import (
    Commitment,
    place_committed,
    place_together,
    read_committed,
)
from mesa_llm_norms.networks.reading import is_random, read_graph
from mesa_llm_norms.networks.registry import find_topology
from mesa_llm_norms.networks.strings import parse
from mesa_llm_norms.networks.together import draw_together
from mesa_llm_norms.networks.validation import check_graph
from mesa_llm_norms.simulation.pairing import EdgePairing, NodePairing

DEFAULT_GRAPH = "complete(n=24)"
PAIRINGS = ("direct", "reverse", "neutral")

_INVENTED = re.compile(r"w\d+")


class Utterance(NamedTuple):
    """One interaction, as a row.

    Attributes
    ----------
    run, interaction, round
        The run, the interaction's number in it, and the population round it belongs to, from 0.
    speaker, hearer
        The nodes of the two agents.
    word
        The word uttered.
    matched
        Whether the hearer had the word.
    """

    run: int
    interaction: int
    round: int
    speaker: Hashable
    hearer: Hashable
    word: str
    matched: bool


class ClassicalOutcome(NamedTuple):
    """The state of a run in numbers.

    Attributes
    ----------
    interactions, rounds
        How much has been played.
    converged
        Whether there is consensus: every agent holds the same single word.
    winner
        The word held by most agents; of equals, the one earliest in the pool, or invented by the
        earliest agent. None if nobody holds a word.
    share
        Share of the agents that hold the winner, whatever else they hold.
    success_rate
        Share of the last round's interactions in which the hearer had the word.
    peak_words
        The largest number of words so far, summed over all inventories.
    peak_time
        Interactions after which that number was first reached.
    agreed
        Whether 95% of the agents hold one name, the word they last uttered or agreed on, and 95% of
        the words uttered in the last 3N interactions are that name.
    names_left
        How many different names are held.
    """

    interactions: int
    rounds: int
    converged: bool
    winner: str | None
    share: float
    success_rate: float
    peak_words: int
    peak_time: int
    agreed: bool
    names_left: int

    @property
    def one_name(self) -> bool:
        """Whether all agents that have played hold the same name."""
        return self.names_left == 1


class Player:
    """An agent's part in the game: what it says, and what it does with what it hears.

    Parameters
    ----------
    invention : str
        The word it would invent where invention is free.
    inventory : tuple of str
        The words it starts with, the oldest first.
    committed : str, optional
        The word it is committed to, or None.
    noise : float, default 0
        The chance that it utters another name all the same, if it is committed.
    """

    def __init__(
        self,
        invention: str = "",
        inventory: tuple[str, ...] = (),
        committed: str | None = None,
        noise: float = 0.0,
    ) -> None:
        self.invention = invention
        self._inventory = inventory
        self._committed = committed
        self._noise = in_units(noise)
        self._name: str | None = None

    @property
    def inventory(self) -> tuple[str, ...]:
        """The words it holds, in the order in which it learned them."""
        return self._inventory

    @property
    def name(self) -> str | None:
        """The word it last uttered or agreed on, None before that."""
        return self._name

    @property
    def committed(self) -> str | None:
        """The word it is committed to, if any."""
        return self._committed

    @property
    def noise(self) -> int:
        """The chance of another name, in units of 2**-32; negative if it is not committed."""
        return -1 if self._committed is None else self._noise

    def unsettle(self, noise: float) -> None:
        """Have the player, where it is committed, utter other names with this chance."""
        self._noise = in_units(noise)

    def release(self) -> None:
        """Let the player be committed no more; it keeps its word."""
        self._committed = None

    def utter(self, draw: int, invented: str) -> str:
        """Return the word of the inventory that ``draw`` (32 bits) picks, or else ``invented``.

        A committed player with noise says ``invented`` as often as that says.
        """
        if draw < self.noise:
            self._name = invented
            return invented
        if not self._inventory:
            self._inventory = (invented,)
        self._name = self._inventory[index_of(draw, len(self._inventory))]
        return self._name

    def hear(self, word: str) -> bool:
        """Return whether the word was known; add it to the inventory if it was not."""
        if word in self._inventory:
            return True
        if self._committed is None:
            self._inventory = (*self._inventory, word)
        return False

    def agree(self, word: str) -> None:
        """Keep only this word, which speaker and hearer now know to share."""
        self._name = word
        if self._committed is None and len(self._inventory) != 1:
            self._inventory = (word,)


@dataclass(frozen=True, slots=True)
class Rules:
    """Where words come from and who speaks.

    ``pool`` holds the names to invent from; None means free invention. With ``direct`` pairing the
    speaker is drawn uniformly and the hearer among its neighbours; with ``reverse`` the hearer
    comes first; with ``neutral`` an edge is drawn, and a coin decides which end speaks. On a
    directed graph, i -> j lets i be drawn first and interact with j; ``neutral`` then always has i
    speak.
    """

    pool: tuple[str, ...] | None = None
    pairing: str = "direct"

    def __post_init__(self) -> None:
        if self.pool is not None:
            object.__setattr__(self, "pool", read_pool(self.pool))
        if not isinstance(self.pairing, str) or self.pairing not in PAIRINGS:
            close = get_close_matches(shown(self.pairing).strip("'"), PAIRINGS, n=1)
            raise PairingError(
                "pairing",
                self.pairing,
                f"the classical game has no pairing {shown(self.pairing)}"
                + (f" (did you mean {close[0]!r}?)" if close else ""),
                "Choose direct, reverse or neutral.",
            )

    def pairs(self, neighbors: Neighbors, first: int, stream: RandomStream) -> Iterator[Pair]:
        """Yield the indices of speaker and hearer for the round from interaction ``first`` on."""
        if self.pairing == "neutral":
            yield from EdgePairing().pairs(neighbors, 0, first, stream)
            return
        for one, other in NodePairing().pairs(neighbors, 0, first, stream):
            yield (one, other) if self.pairing == "direct" else (other, one)

    def other_word(self, speaker: Player, draw: int) -> str:
        """Return what a speaker without words says, or a committed one instead of its word.

        ``draw`` (32 bits) picks from the pool, or from what there is besides that word.
        """
        if self.pool is None:
            return speaker.invention
        if speaker.noise > 0:
            own = self.pool.index(str(speaker.committed))
            other = index_of(draw, len(self.pool) - 1)
            return self.pool[other + (other >= own)]
        return self.pool[index_of(draw, len(self.pool))]

    def check_word(self, argument: str, word: Any) -> None:
        """Raise ``SpecError`` unless agents can start with this word or be committed to it."""
        if self.pool is not None:
            if not isinstance(word, str) or word not in self.pool:
                raise SpecError(
                    argument,
                    word,
                    f"{shown(word)} is not in the pool",
                    f"Use one of {some(self.pool, 26)}.",
                )
        elif not is_name(word):
            raise PoolError(
                argument,
                word,
                f"{shown(word)} is not usable as a name",
                NAME_RULE,
            )
        elif _INVENTED.fullmatch(word):
            raise PoolError(
                argument,
                word,
                f"{shown(word)} is a word that an agent may invent",
                "Give another name, or a pool of names to invent from.",
            )


class ClassicalInitialState(NamedTuple):
    """A run before its first interaction.

    ``committed`` maps the index of a node in ``neighbors.nodes`` to the word its agent is committed
    to, and ``firm`` such a word to how firmly.
    """

    rules: Rules
    neighbors: Neighbors
    committed: dict[int, str]
    incumbent: str | None
    stream: RandomStream
    firm: Mapping[str, Commitment]

    @property
    def leaving(self) -> dict[int, list[int]]:
        """By population round, the indices of agents that are committed only before it."""
        ends: dict[int, list[int]] = {}
        for index, word in self.committed.items():
            if (end := self.firm[word].until) is not None:
                ends.setdefault(end, []).append(index)
        return ends

    def vocabulary(self) -> Sequence[str]:
        """Return every word there can be: the pool; or all inventions, then names given."""
        if self.rules.pool is not None:
            return self.rules.pool
        given = {*self.committed.values(), *([] if self.incumbent is None else [self.incumbent])}
        return [*map(invention, range(len(self.neighbors))), *sorted(given)]

    def start(self, index: int) -> tuple[tuple[str, ...], str | None, float]:
        """Return the first inventory of an agent, the word it is committed to, and its noise."""
        committed = self.committed.get(index)
        word = self.incumbent if committed is None else committed
        noise = 0.0 if committed is None else self.firm[committed].noise
        return (() if word is None else (word,)), committed, noise

    def players(self) -> list[Player]:
        """Return a player for every node, without Mesa."""
        return [Player(invention(n), *self.start(n)) for n in range(len(self.neighbors))]


@dataclass(frozen=True, kw_only=True)
class ClassicalSpec:
    """The arguments of ``ClassicalGame`` and ``run_classical``, checked on construction.

    ``seed`` and the number of a run determine everything random.
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
        for name, where in read_committed(self.committed).items():
            self.rules.check_word("committed", name)
            if Commitment.of(where).noise and self.names is None:
                problem = "without a pool there is no other name for noise to choose from"
                raise SpecError("committed", where, problem, 'Give a pool, such as names="QM".')

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is cached; it is worked out again where it is needed."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def rules(self) -> Rules:
        """The rules, with the pool read."""
        return Rules(self.names, self.pairing)

    @cached_property
    def firm(self) -> dict[str, Commitment]:
        """How firmly agents are committed to each name."""
        return {name: Commitment.of(it) for name, it in read_committed(self.committed).items()}

    def stream(self, run: int) -> RandomStream:
        """Return the random stream of run number ``run``."""
        return RandomStream(self.seed, read_whole("run", run, limits.RUN_NUMBER))

    def read_graph(self, stream: RandomStream) -> Any:
        """Return this run's graph, checked: a networkx graph or a scipy sparse array."""
        graph = read_graph(self.graph, stream.generator("graph"))
        check_graph(graph)
        return graph

    def initial_state(self, run: int = 0) -> ClassicalInitialState:
        """Return the state run number ``run`` starts from; a fixed graph is read only once."""
        stream = self.stream(run)
        return self.initial_state_on(
            self._fixed_neighbors or Neighbors(self.read_graph(stream)), stream
        )

    def initial_states(self, runs: Sequence[int]) -> list[ClassicalInitialState]:
        """Return the states that several runs start from, drawn at once where that can be."""
        first, others = self.initial_state(runs[0]), runs[1:]
        streams = [self.stream(run) for run in others]
        fixed, networks = self._fixed_neighbors, None
        if streams and not is_switched_off():
            networks = (
                draw_together(self.graph, [one.of("graph") for one in streams])
                if fixed is None
                else [fixed] * len(streams)
            )
        given, taken = read_committed(self.committed), None
        if networks:
            taken = place_together(given, networks, [one.of("committed") for one in streams])
        if networks is None or taken is None:
            return [first, *map(self.initial_state, others)]
        names = list(given)
        found = [first]
        for neighbors, stream, row in zip(networks, streams, taken, strict=True):
            places = np.flatnonzero(row >= 0)
            committed = {int(place): names[row[place]] for place in places}
            found.append(first._replace(neighbors=neighbors, committed=committed, stream=stream))
        return found

    def initial_state_on(self, neighbors: Neighbors, stream: RandomStream) -> ClassicalInitialState:
        """Return the state a run starts from, on neighbors that have been read."""
        chance = stream.generator("committed")
        committed = place_committed(read_committed(self.committed), neighbors, chance)
        return ClassicalInitialState(
            self.rules, neighbors, committed, self.incumbent, stream, self.firm
        )

    @cached_property
    def _fixed_neighbors(self) -> Neighbors | None:
        """The neighbors in every run, None if each run draws its own graph."""
        if is_random(self.graph):
            return None
        kind = find_topology(self.graph) if isinstance(self.graph, str) else None
        if kind is not None and kind.name == "complete" and self.pairing != "neutral":
            call = parse(self.graph)
            try:
                return WellMixed(cast(int, kind.read(call.args, call.kwargs)["n"]))
            except ValueError:
                pass  # reading the graph below raises the full message
        return Neighbors(self.read_graph(self.stream(0)))


class WellMixed(Neighbors):
    """The complete graph of n agents, without a list of its n (n - 1) neighbors."""

    directed = False
    weights: NDArray[np.float64] | None = None
    is_complete = True

    def __init__(self, n: int) -> None:
        self.nodes: range = range(n)

    @cached_property
    def indptr(self) -> NDArray[np.int64]:  # type: ignore[override]
        """Where each node's neighbors begin in ``indices``."""
        return np.arange(len(self) + 1, dtype=np.int64) * (len(self) - 1)

    @cached_property
    def indices(self) -> NDArray[np.int32]:  # type: ignore[override]
        """All other nodes, for each node; made on first use."""
        n = len(self)
        others = np.broadcast_to(np.arange(n - 1, dtype=np.int32), (n, n - 1))
        return (others + (others >= np.arange(n, dtype=np.int32)[:, None])).ravel().astype(np.int32)


def in_units(chance: float) -> int:
    """Return a chance in units of 2**-32, which a 32-bit draw is below with that chance."""
    return round(chance * UNIT)


def invention(number: int) -> str:
    """Return the word that agent ``number`` invents where invention is free."""
    return f"w{number}"


def check_until(until: Any) -> None:
    """Raise ``SpecError`` unless this is a stopping rule of the classical game."""
    if until is not None and (not isinstance(until, str) or until not in ("converged", "agreed")):
        raise SpecError(
            "until",
            until,
            f"{shown(until)} is not a valid stopping rule of the classical game",
            'Use "converged", "agreed" or None; a flip is consensus on the committed word.',
        )
