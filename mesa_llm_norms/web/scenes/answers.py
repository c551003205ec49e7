"""When an answer of a scene comes true, and whether exactly one does whatever happens.

A condition is a few keys with a value each, all of which must hold. For one population::

    agreed = true            all hold one name; false: two names or more are left
    names = "2 to 3"         number of names left: 3, "2 to 3", "up to 3" or "4 or more"
    leader = "M"             most agents hold this name
    rounds = "up to 10"      number of population rounds played
    flipped = true           95% of the names played in the last three rounds are a committed one
    communities = "a name each"     or "one name" (the same in all) or "mixed"

With two populations, ``first = {...}`` and ``second = {...}`` hold such keys, and there are::

    sooner = "first"         the first converged before the second, or alone; or "second"; "neither"
    more_names = "second"    more names are left in the second; or "first"; "neither": as many
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import networkx as nx

from mesa_llm_norms.errors import SpecError, shown

if TYPE_CHECKING:
    from mesa_llm_norms.model import NetworkGame

COMMUNITIES = ("one name", "a name each", "mixed")
KEYS = ("agreed", "names", "leader", "rounds", "flipped", "communities")
KEYS_OF_TWO = ("first", "second", "sooner", "more_names")
SIDES = ("first", "second", "neither")

_NUMBERS = re.compile(r"(?:(\d{1,9})|(\d{1,9}) to (\d{1,9})|up to (\d{1,9})|(\d{1,9}) or more)")
_MANY = 10**9
_OTHERWISE = 'End with an answer that has when = "otherwise"'


# How a population stands


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a population stood when play stopped.

    Names are those held, what each agent played last; agents that have not played hold none.

    Attributes
    ----------
    rounds
        Population rounds started.
    time
        Population rounds played, the last perhaps in part: interactions per agent.
    converged
        Whether the last 3N interactions all matched.
    names
        Number of different names held.
    leader
        The name most agents hold, in case of a tie the first in the pool; None before any play.
    leader_share
        The share of agents, of those that have played, that hold it.
    flipped
        Whether 95% of the names played in the last 3N interactions are one committed name.
    communities
        ``one name`` in all communities, ``a name each`` (not all the same), or ``mixed``.
    """

    rounds: int
    time: float
    converged: bool
    names: int
    leader: str | None
    leader_share: float
    flipped: bool
    communities: str

    @property
    def agreed(self) -> bool:
        """Whether all agents that have played hold one name."""
        return self.names == 1


def result_of(model: NetworkGame, rounds: int) -> Result:
    """Return how a model stands.

    Parameters
    ----------
    model : NetworkGame
        The model.
    rounds : int
        Number of population rounds started.

    Returns
    -------
    Result
        What conditions refer to.
    """
    return read_result(
        communities(model.network.G),
        model.game.pool,
        {agent.node: agent.name for agent in model.players},
        rounds=rounds,
        interactions=model.interactions,
        converged=model.converged,
        flipped=model.outcome.flipped,
    )


def read_result(
    groups: Sequence[Sequence[Hashable]],
    pool: Sequence[str],
    held: Mapping[Hashable, str | None],
    *,
    rounds: int,
    interactions: int,
    converged: bool,
    flipped: bool,
) -> Result:
    """Return how a population stands; ``groups`` are its communities, ``held`` names by node."""
    counts = Counter(name for name in held.values() if name is not None)
    leader = max(pool, key=lambda name: counts[name]) if counts else None
    return Result(
        rounds=rounds,
        time=interactions / len(held),
        converged=converged,
        names=len(counts),
        leader=leader,
        leader_share=counts[leader] / counts.total() if leader is not None else 0.0,
        flipped=flipped,
        communities=_agreement([{held[node] for node in group} for group in groups]),
    )


def communities(graph: nx.Graph[Any]) -> list[list[Hashable]]:
    """Return the communities of a network: its blocks (node attribute ``block``), if it has any.

    Otherwise they are the connected components without bridges, single agents excluded.
    """
    blocks = nx.get_node_attributes(graph, "block")
    if len(blocks) == len(graph):
        groups: dict[Any, list[Hashable]] = defaultdict(list)
        for node, block in blocks.items():
            groups[block].append(node)
        return list(groups.values())
    edges: nx.Graph[Any] = nx.Graph(graph.edges())
    edges.remove_edges_from(list(nx.bridges(edges)))
    return [list(group) for group in nx.connected_components(edges) if len(group) > 1]


def _agreement(groups: Sequence[set[str | None]]) -> str:
    named = [group - {None} for group in groups]
    if not named or any(len(group) != 1 for group in named):
        return "mixed"
    return "one name" if len(set().union(*named)) == 1 else "a name each"


# Conditions


class Part(NamedTuple):
    """A key and its value; ``population`` is 0 or 1, or None for a key of both."""

    population: int | None
    key: str
    value: Any

    def holds(self, results: Sequence[Result]) -> bool:
        """Return whether it holds for the results of one or two populations."""
        found: object
        if self.population is None:
            found = (_sooner if self.key == "sooner" else _more_names)(*results)
        else:
            found = getattr(results[self.population], self.key)
        if isinstance(self.value, range):
            return isinstance(found, int) and found in self.value
        return bool(found == self.value)


@dataclass(frozen=True)
class Condition:
    """Holds if all of its parts do; without parts it is ``otherwise``."""

    parts: tuple[Part, ...] = ()

    @property
    def otherwise(self) -> bool:
        """Whether it stands for everything the other conditions leave."""
        return not self.parts

    def holds(self, results: Sequence[Result]) -> bool:
        """Return whether it holds; ``otherwise`` never does by itself."""
        return bool(self.parts) and all(part.holds(results) for part in self.parts)


def came_true(conditions: Sequence[Condition], results: Sequence[Result]) -> int | None:
    """Return the index of the condition that holds, else of ``otherwise``, else None."""
    for i, condition in enumerate(conditions):
        if condition.holds(results):
            return i
    return next((i for i, condition in enumerate(conditions) if condition.otherwise), None)


def read_condition(given: Any, populations: int, pool: Sequence[str]) -> Condition:
    """Return the condition that the value of ``when`` stands for, or raise ``SpecError``."""
    if given == "otherwise":
        return Condition()
    if not isinstance(given, Mapping) or not given:
        raise SpecError(
            "when",
            given,
            f"{shown(given)} is not a condition",
            'Write {names = 1}, or "otherwise".',
        )
    if populations == 1:
        return Condition(tuple(_part(0, key, value, pool) for key, value in given.items()))
    parts: list[Part] = []
    for key, value in given.items():
        if key in ("first", "second"):
            if not isinstance(value, Mapping) or not value:
                raise SpecError("when", value, f"{key} must hold keys", "Write {names = 1}.")
            parts += [_part(SIDES.index(key), inner, it, pool) for inner, it in value.items()]
        elif key in KEYS_OF_TWO:
            parts.append(Part(None, key, _one_of(key, value, SIDES)))
        else:
            remedy = f"With two populations, use {', '.join(KEYS_OF_TWO)}."
            raise SpecError("when", key, f"unknown key {key!r}", remedy)
    return Condition(tuple(parts))


def _part(population: int, key: str, value: Any, pool: Sequence[str]) -> Part:
    if key not in _READERS:
        raise SpecError("when", key, f"unknown key {key!r}", f"Use {', '.join(KEYS)}.")
    return Part(population, key, _READERS[key](key, value, pool))


def _refuse(key: str, value: Any, remedy: str) -> SpecError:
    return SpecError("when", value, f"{key} cannot be {shown(value)}", remedy)


def _one_of(key: str, value: Any, known: Sequence[str]) -> str:
    if value not in known:
        allowed = ", ".join(f'"{one}"' for one in known)
        raise _refuse(key, value, f"Write one of {allowed}.")
    return str(value)


def _yes_or_no(key: str, value: Any, _: Sequence[str]) -> bool:
    if not isinstance(value, bool):
        raise _refuse(key, value, "Write true or false.")
    return value


def _numbers(key: str, value: Any, _: Sequence[str]) -> range:
    found = _NUMBERS.fullmatch("" if isinstance(value, bool) else str(value).strip())
    if found is None:
        raise _refuse(key, value, 'Write 3, "2 to 3", "up to 3" or "4 or more".')
    exactly, low, high, most, least = (int(one) if one else None for one in found.groups())
    if exactly is not None:
        return range(exactly, exactly + 1)
    if most is not None:
        return range(most + 1)
    if least is not None:
        return range(least, _MANY)
    if low is None or high is None or low > high:
        raise _refuse(key, value, f'Write "{high} to {low}".')
    return range(low, high + 1)


_READERS: Mapping[str, Callable[[str, Any, Sequence[str]], Any]] = {
    "agreed": _yes_or_no,
    "names": _numbers,
    "leader": _one_of,
    "rounds": _numbers,
    "flipped": _yes_or_no,
    "communities": lambda key, value, _: _one_of(key, value, COMMUNITIES),
}


def _sooner(first: Result, second: Result) -> str:
    times = [one.time if one.converged else float("inf") for one in (first, second)]
    return "neither" if times[0] == times[1] else "first" if times[0] < times[1] else "second"


def _more_names(first: Result, second: Result) -> str:
    if first.names == second.names:
        return "neither"
    return "first" if first.names > second.names else "second"


# Whether exactly one answer comes true


@dataclass(frozen=True)
class Possible:
    """What is known of a population before it plays."""

    pool: tuple[str, ...]
    agents: int
    committed: tuple[str, ...]
    rounds: int


def check_answers(conditions: Sequence[Condition], populations: Sequence[Possible]) -> None:
    """Raise ``SpecError`` if no answer comes true in some case, or two do, or one never can.

    Every kind of outcome that the conditions tell apart is tried.
    """
    others = [i for i, condition in enumerate(conditions) if condition.otherwise]
    if len(others) > 1 or (others and others[0] != len(conditions) - 1):
        raise SpecError(
            "when", "otherwise", '"otherwise" is only allowed in the last answer', f"{_OTHERWISE}."
        )
    parts = [part for condition in conditions for part in condition.parts]
    never = set(range(len(conditions)))
    each = [list(_outcomes(parts, i, one)) for i, one in enumerate(populations)]
    for results in product(*each):
        found = [i for i, it in enumerate(conditions) if it.holds(results)] or others
        never.difference_update(found)
        if len(found) != 1:
            both = " and ".join(str(i + 1) for i in found[:2])
            problem = f"answers {both} both come true" if found else "no answer comes true"
            raise SpecError(
                "when",
                found,
                f"{problem} where {_described(parts, results)}",
                f"{_OTHERWISE}, and let the others exclude each other.",
            )
    if never:
        raise SpecError(
            "when",
            min(never),
            f"answer {min(never) + 1} can never come true",
            "Change it, or leave it out.",
        )


def _outcomes(parts: Sequence[Part], side: int, possible: Possible) -> Iterator[Result]:
    """Yield one outcome of each kind for a population."""
    both = {part.key for part in parts if part.population is None}
    own = [part for part in parts if part.population == side]
    keys = {part.key for part in own}
    most = min(len(possible.pool), possible.agents)
    names = _kinds(own, "names", most)
    if "agreed" in keys or "more_names" in both:
        names = sorted({1, *names, *range(2, min(most, 3) + 1)})
    named = [part.value for part in own if part.key == "leader"]
    other = [name for name in possible.pool if name not in named][:1]
    leaders = [*dict.fromkeys(named), *other]
    flips = (False, True) if "flipped" in keys and possible.committed else (False,)
    groups = COMMUNITIES if "communities" in keys else ("mixed",)
    ends = [(False, 1.0), (True, 1.0), (True, 2.0)] if "sooner" in both else [(False, 1.0)]
    for count, leader, flipped, group, (converged, time), rounds in product(
        names, leaders, flips, groups, ends, _kinds(own, "rounds", possible.rounds)
    ):
        if "communities" in keys and (count == 1) > (group == "one name"):
            continue
        yield Result(
            rounds=rounds,
            time=time,
            converged=converged,
            names=count,
            leader=leader,
            leader_share=1.0,
            flipped=flipped,
            communities=group,
        )


def _kinds(parts: Sequence[Part], key: str, most: int) -> list[int]:
    """Return a number of each kind that the conditions tell apart, from 1 to ``most``."""
    edges = {1, most}
    for part in parts:
        if part.key == key:
            value = part.value
            edges |= {value.start - 1, value.start, value.stop - 1, value.stop}
    return sorted(edge for edge in edges if 1 <= edge <= most)


def _described(parts: Sequence[Part], results: Sequence[Result]) -> str:
    said = []
    for population, key in dict.fromkeys((part.population, part.key) for part in parts):
        if population is None:
            said += [f"{key} = {it}" for it in SIDES if Part(None, key, it).holds(results)]
        else:
            of = ("first ", "second ")[population] if len(results) > 1 else ""
            value = getattr(results[population], key)
            said.append(f"{of}{key} = {str(value).lower() if isinstance(value, bool) else value}")
    return ", ".join(dict.fromkeys(said))
