"""Everything that defines a run, and how it is read: one spec, one run number, one seating."""

from __future__ import annotations

import random
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from numbers import Real
from typing import Any, NamedTuple

import networkx as nx
import numpy as np

from mesa_llm_norms.draws import Draws
from mesa_llm_norms.errors import MindError, SpecError, some
from mesa_llm_norms.game import Game, read_whole
from mesa_llm_norms.memory import Memory, filled
from mesa_llm_norms.minds.catalogue import DEFAULT_MIND, load_mind
from mesa_llm_norms.minds.committed import CommittedMind
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.pairing import Contacts, Pairing, read_pairing
from mesa_llm_norms.topologies import check_graph, read_graph

DEFAULT_GRAPH = "watts_strogatz(n=24, k=4, p=0.1)"
STUDY_GRAPH = "complete(n=24)"
DEFAULT_NAMES = "QMXYFJPRCD"
MAX_SHARE = 1e9
MOST_RUNS = 2**53
PLACEMENTS = ("random", "hubs", "periphery", "cluster")


class Seating(NamedTuple):
    """One run made ready: who sits where, with what mind, remembering what."""

    game: Game
    graph: nx.Graph[Any]
    contacts: Contacts
    minds: dict[Hashable, Mind]
    start: Memory
    pairing: Pairing
    draws: Draws


@dataclass(frozen=True, kw_only=True)
class Spec:
    """The arguments of ``NamingGame`` and ``run_ensemble``, read and checked on construction.

    ``seed`` and a run's number fix everything that is left to chance: the graph where the topology
    is random, who is committed, who has which mind, and every draw of the game.
    """

    graph: Any = DEFAULT_GRAPH
    names: Any = DEFAULT_NAMES
    mind: Any = DEFAULT_MIND
    pairing: Any = "node"
    memory: int = 5
    reward: float = 100
    penalty: float = -50
    incumbent: str | None = None
    committed: Mapping[str, Any] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.incumbent is not None and (
            not isinstance(self.incumbent, str) or self.incumbent not in self.game.pool
        ):
            raise SpecError(
                "incumbent",
                self.incumbent,
                f"{self.incumbent!r} is not in the pool",
                f"Use one of {some(self.game.pool, 26)}.",
            )
        if self.committed is not None and not isinstance(self.committed, Mapping):
            raise _bad_committed(self.committed)
        for name in self.committed or {}:
            CommittedMind(name).check(self.game)
        for mind in self._minds.values():
            mind.check(self.game)
        read_pairing(self.pairing)

    def __getstate__(self) -> dict[str, Any]:
        """Travel light: what was read from the arguments is read again where it is needed."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def game(self) -> Game:
        """The rules."""
        return Game(self.names, self.reward, self.penalty, self.memory)

    @property
    def committed_names(self) -> tuple[str, ...]:
        """The names somebody is committed to."""
        return tuple(self.committed or ())

    @property
    def minds(self) -> tuple[Mind, ...]:
        """The minds that play, committed agents apart."""
        return tuple(self._minds.values())

    def seat(self, run: int = 0) -> Seating:
        """Return run number ``run`` made ready, the graph checked."""
        draws = Draws(self.seed, read_whole("run", run, 0, MOST_RUNS))
        graph = read_graph(self.graph, draws.generator("graph"))
        check_graph(graph)
        nodes = tuple(graph.nodes)
        given = self._assign_minds(nodes, draws.generator("minds"))
        different = {id(mind): mind for mind in given.values()}
        this_run = {key: mind.for_run(self.game, draws) for key, mind in different.items()}
        minds = {node: this_run[id(mind)] for node, mind in given.items()}
        chance = draws.generator("committed")
        taken: dict[Hashable, str] = {}
        named_first = sorted((self.committed or {}).items(), key=lambda item: _is_count(item[1]))
        for name, where in named_first:
            for node in _place(graph, where, set(taken), chance):
                if node in taken:
                    raise SpecError(
                        "committed",
                        node,
                        f"node {node!r} is committed to both {taken[node]!r} and {name!r}",
                        "List every node under one name.",
                    )
                taken[node] = name
        for name in set(taken.values()):
            mind = CommittedMind(name)
            minds.update({node: mind for node, its_name in taken.items() if its_name == name})
        start = filled(self.incumbent, self.game.memory) if self.incumbent is not None else ()
        return Seating(
            self.game, graph, Contacts(graph), minds, start, read_pairing(self.pairing), draws
        )

    def describe(self) -> dict[str, Any]:
        """Return the spec as plain data, for a file: graphs and minds by what they are called."""
        return {
            "graph": self.topology,
            "names": list(self.game.pool),
            "mind": self._describe_minds(),
            "pairing": read_pairing(self.pairing).label,
            "memory": self.memory,
            "reward": self.reward,
            "penalty": self.penalty,
            "incumbent": self.incumbent,
            "committed": {name: _plain(where) for name, where in (self.committed or {}).items()},
            "seed": self.seed,
        }

    @property
    def topology(self) -> str:
        """The graph in words: what was given, or what kind of networkx graph it is."""
        if isinstance(self.graph, nx.Graph):
            return f"{self.graph.number_of_nodes()} nodes, {self.graph.number_of_edges()} edges"
        return str(self.graph)

    @property
    def mind_label(self) -> str:
        """The minds in words, with their shares where they are given."""
        if isinstance(self.mind, Mapping) and _by_share(self.mind):
            total = sum(self.mind.values())
            return ", ".join(
                f"{self._minds[key].label} {share / total:.0%}" for key, share in self.mind.items()
            )
        return ", ".join(dict.fromkeys(mind.label for mind in self._minds.values()))

    def _describe_minds(self) -> str | dict[str, Any]:
        if not isinstance(self.mind, Mapping):
            return self._minds[None].label
        if _by_share(self.mind):
            return {self._minds[key].label: share for key, share in self.mind.items()}
        return {str(node): self._minds[_key(mind)].label for node, mind in self.mind.items()}

    @cached_property
    def _minds(self) -> dict[Any, Mind]:
        """The minds by key of the ``mind`` argument; one mind for all has the key None."""
        if not isinstance(self.mind, Mapping):
            return {None: load_mind(self.mind)}
        if not self.mind:
            raise MindError("mind", self.mind, "no mind is given", "Name at least one.")
        if _by_share(self.mind):
            return {key: load_mind(key) for key in self.mind}
        known: dict[Any, Mind] = {}
        for mind in self.mind.values():
            if _key(mind) not in known:
                known[_key(mind)] = load_mind(mind)
        return known

    def _assign_minds(
        self, nodes: Sequence[Hashable], chance: random.Random
    ) -> dict[Hashable, Mind]:
        if not isinstance(self.mind, Mapping):
            return dict.fromkeys(nodes, self._minds[None])
        if _by_share(self.mind):
            order = list(nodes)
            chance.shuffle(order)
            counts = _apportion(list(self.mind.values()), len(order))
            every = [
                key for key, count in zip(self.mind, counts, strict=True) for _ in range(count)
            ]
            given = dict(zip(order, every, strict=True))
            return {node: self._minds[given[node]] for node in nodes}
        missing = [node for node in nodes if node not in self.mind]
        there = set(nodes)
        unknown = [node for node in self.mind if node not in there]
        if missing or unknown:
            problem = f"no mind for node {some(missing)}" if missing else f"no node {some(unknown)}"
            raise MindError(
                "mind",
                self.mind,
                problem,
                'Give every node a mind, or shares such as {"claude-3.5-sonnet": 0.5, ...}.',
            )
        return {node: self._minds[_key(self.mind[node])] for node in nodes}


def _by_share(mind: Mapping[Any, Any]) -> bool:
    numbers = [isinstance(share, Real) and not isinstance(share, bool) for share in mind.values()]
    if not any(numbers):
        return False
    if (
        not all(numbers)
        or not all(0 <= share <= MAX_SHARE for share in mind.values())
        or not sum(mind.values())
    ):
        raise MindError(
            "mind", mind, "the shares are not numbers from 0 up", "Give each mind its share."
        )
    return True


def _key(mind: Any) -> Any:
    return mind if isinstance(mind, str) else id(mind)


def _apportion(shares: Sequence[float], seats: int) -> list[int]:
    """Return whole numbers in proportion to ``shares``, by largest remainder."""
    total = sum(shares)
    exact = [share / total * seats for share in shares]
    counts = [int(share) for share in exact]
    by_remainder = sorted(range(len(shares)), key=lambda i: counts[i] - exact[i])
    for place in by_remainder[: seats - sum(counts)]:
        counts[place] += 1
    return counts


def _place(
    graph: nx.Graph[Any], where: Any, taken: set[Hashable], chance: random.Random
) -> list[Hashable]:
    """Return the nodes that ``where`` means: a count, ``(count, placement)``, or the nodes."""
    if isinstance(where, np.ndarray):
        where = where.tolist()
    if not _is_count(where):
        if (
            isinstance(where, (str, bytes))
            or not isinstance(where, Sequence | set | frozenset)
            or (isinstance(where, tuple) and _names_a_placement(graph, where))
        ):
            raise _bad_committed(where)
        strangers = [node for node in where if node not in graph]
        if strangers:
            raise SpecError(
                "committed",
                where,
                f"no node {some(strangers)} in the graph",
                "Name nodes of the graph.",
            )
        named = set(where)
        return [node for node in graph.nodes if node in named]
    count, placement = where if isinstance(where, tuple) else (where, "random")
    free = [node for node in graph.nodes if node not in taken]
    if not 0 <= count <= len(free):
        raise SpecError(
            "committed",
            where,
            f"{count} of {len(free)} agents cannot be committed",
            f"Use 0 to {len(free)}.",
        )
    chance.shuffle(free)
    if placement == "cluster":
        return _cluster(graph, free, count)
    if placement != "random":
        free.sort(key=lambda node: graph.degree[node], reverse=placement == "hubs")
    return free[:count]


def _names_a_placement(graph: nx.Graph[Any], where: tuple[Any, ...]) -> bool:
    """Whether ``where`` looks like a count and a placement, though the placement is unknown."""
    return len(where) == 2 and isinstance(where[1], str) and where[1] not in graph


def _is_count(where: Any) -> bool:
    """Whether ``where`` is a count, perhaps with a placement, and not nodes."""
    if isinstance(where, tuple) and len(where) == 2 and where[1] in PLACEMENTS:
        where = where[0]
    return isinstance(where, (int, np.integer)) and not isinstance(where, bool)


def _cluster(graph: nx.Graph[Any], free: Sequence[Hashable], count: int) -> list[Hashable]:
    """Return ``count`` free nodes, nearest to the first first; elsewhere when no more are near."""
    undirected = graph.to_undirected(as_view=True)
    allowed, found = set(free), dict[Hashable, None]()
    for start in free:
        if len(found) >= count:
            break
        for node in [start, *(node for _, node in nx.bfs_edges(undirected, start))]:
            if node in allowed:
                found[node] = None
    return list(found)[:count]


def _plain(where: Any) -> Any:
    if _is_count(where) and not isinstance(where, tuple):
        return int(where)
    return [node if isinstance(node, int) else str(node) for node in where]


def _bad_committed(value: Any) -> SpecError:
    return SpecError(
        "committed",
        value,
        f"{value!r} does not say who is committed",
        'Use {"M": 5}, {"M": (5, "hubs")} or {"M": [nodes]}; placements are '
        + ", ".join(PLACEMENTS)
        + ".",
    )
