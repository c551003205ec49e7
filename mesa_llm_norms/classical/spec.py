"""Everything that defines a run of the classical game, and how it is made ready."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.classical.game import Rules, Talker, invention
from mesa_llm_norms.contacts import Contacts
from mesa_llm_norms.draws import Draws
from mesa_llm_norms.game import read_whole
from mesa_llm_norms.placement import place_committed, read_committed
from mesa_llm_norms.topologies import check_graph, find_topology, is_random, read_graph
from mesa_llm_norms.topologies.call import parse

DEFAULT_GRAPH = "complete(n=24)"
MOST_RUNS = 2**53


class WellMixed(Contacts):
    """Everybody's neighbours are all the others: n agents without a list of n (n - 1) contacts."""

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
    contacts: Contacts
    committed: dict[int, str]
    """By place in ``contacts.nodes``."""
    incumbent: str | None
    draws: Draws

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
        return [*map(invention, range(len(self.contacts))), *self.given]

    def start(self, place: int) -> tuple[tuple[str, ...], str | None]:
        """Return what an agent holds before the first interaction, and what it is committed to."""
        committed = self.committed.get(place)
        word = self.incumbent if committed is None else committed
        return (() if word is None else (word,)), committed

    def players(self) -> list[Talker]:
        """Return an agent for every node, without Mesa."""
        return [Seat(place, *self.start(place)) for place in range(len(self.contacts))]


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

    def draws(self, run: int) -> Draws:
        """Return the draws of run number ``run``."""
        return Draws(self.seed, read_whole("run", run, 0, MOST_RUNS))

    def read_graph(self, draws: Draws) -> Any:
        """Return this run's graph, checked: of networkx, or a scipy sparse array."""
        graph = read_graph(self.graph, draws.generator("graph"))
        check_graph(graph)
        return graph

    def seat(self, run: int = 0) -> ClassicalSeating:
        """Return run number ``run`` made ready; a graph that is not random is read only once."""
        draws = self.draws(run)
        return self.seat_on(self._contacts or Contacts(self.read_graph(draws)), draws)

    def seat_on(self, contacts: Contacts, draws: Draws) -> ClassicalSeating:
        """Return a run made ready on contacts that have been read."""
        chance = draws.generator("committed")
        committed = place_committed(read_committed(self.committed), contacts, chance)
        return ClassicalSeating(self.rules, contacts, committed, self.incumbent, draws)

    @cached_property
    def _contacts(self) -> Contacts | None:
        """The contacts of every run, None where each run draws its own graph."""
        if is_random(self.graph):
            return None
        kind = find_topology(self.graph) if isinstance(self.graph, str) else None
        if kind is not None and kind.name == "complete" and self.pairing != "neutral":
            call = parse(self.graph)
            try:
                return WellMixed(cast(int, kind.read(call.args, call.kwargs)["n"]))
            except ValueError:
                pass  # what is wrong with it, reading it says
        return Contacts(self.read_graph(self.draws(0)))
