"""What became of a population: all that the answers of a scene may speak of.

When an answer comes true: a few words with a value each, all of which must hold.

Of one population::

    agreed = true            all hold one name; false: two names or more are left
    names = "2 to 3"         so many names are left: 3, "2 to 3", "up to 3" or "4 or more"
    leader = "M"             most hold this name
    rounds = "up to 10"      play took so many population rounds
    flipped = true           a committed name is held by 95% of those not committed
    communities = "a name each"     or "one name" (all the same) or "mixed"

Where two are compared, ``first = {...}`` and ``second = {...}`` hold such words, and there are::

    sooner = "first"         the first converged before the second, or alone; or "second"; "neither"
    more_names = "second"    more names are left in the second; or "first"; "neither": as many

Whether exactly one answer comes true whatever happens: all that can happen, tried out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import networkx as nx

from mesa_llm_norms.errors import SpecError

if TYPE_CHECKING:
    from mesa_llm_norms.model import NamingGame


FLIPPED = 0.95
"""The share of those not committed who hold a committed name once it has taken over."""


COMMUNITIES = ("one name", "a name each", "mixed")


_BLOCK = "block"


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a population stood when play stopped.

    Shares and numbers are those of the names held: what each agent played last. An agent that has
    not played holds none.
    """

    rounds: int
    """How many population rounds were begun."""
    time: float
    """How many were played, the last perhaps in part: interactions per agent."""
    converged: bool
    """Whether the last 3N interactions all matched."""
    names: int
    """How many different names are held."""
    leader: str | None
    """The name most agents hold, of equals the first in the pool."""
    leader_share: float
    flipped: bool
    """Whether, of the agents not committed, ``FLIPPED`` hold one and the same committed name."""
    communities: str
    """``one name`` in all of them, ``a name each`` (not all the same), or ``mixed``."""

    @property
    def agreed(self) -> bool:
        """Whether all who have played hold one name."""
        return self.names == 1


def result_of(model: NamingGame, rounds: int) -> Result:
    """Return how a model stands after so many population rounds."""
    return read_result(
        communities(model.network.G),
        model.game.pool,
        {agent.node: agent.name for agent in model.players},
        {agent.node: agent.committed for agent in model.players if agent.committed is not None},
        rounds=rounds,
        interactions=model.interactions,
        converged=model.converged,
    )


def read_result(
    groups: Sequence[Sequence[Hashable]],
    pool: Sequence[str],
    held: Mapping[Hashable, str | None],
    committed: Mapping[Hashable, str],
    *,
    rounds: int,
    interactions: int,
    converged: bool,
) -> Result:
    """Return how a population stands in which each node holds a name, or None.

    ``groups`` are the communities of the network.
    """
    counts = Counter(name for name in held.values() if name is not None)
    leader = max(pool, key=lambda name: counts[name]) if counts else None
    return Result(
        rounds=rounds,
        time=interactions / len(held),
        converged=converged,
        names=len(counts),
        leader=leader,
        leader_share=counts[leader] / counts.total() if leader is not None else 0.0,
        flipped=_flipped(held, committed),
        communities=_agreement([{held[node] for node in group} for group in groups]),
    )


def communities(graph: nx.Graph[Any]) -> list[list[Hashable]]:
    """Return the communities of a network.

    Those its nodes say (attribute ``block``), or else what is left where every tie is cut without
    which it would fall apart, single agents left out.
    """
    blocks = nx.get_node_attributes(graph, _BLOCK)
    if len(blocks) == len(graph):
        groups: dict[Any, list[Hashable]] = {}
        for node, block in blocks.items():
            groups.setdefault(block, []).append(node)
        return list(groups.values())
    ties: nx.Graph[Any] = nx.Graph(graph.edges())
    ties.remove_edges_from(list(nx.bridges(ties)))
    return [list(group) for group in nx.connected_components(ties) if len(group) > 1]


def _flipped(held: Mapping[Hashable, str | None], committed: Mapping[Hashable, str]) -> bool:
    free = Counter(name for node, name in held.items() if node not in committed)
    most = max((free[name] for name in set(committed.values())), default=0)
    return most > 0 and most >= FLIPPED * free.total()


def _agreement(groups: Sequence[set[str | None]]) -> str:
    named = [group - {None} for group in groups]
    if not named or any(len(group) != 1 for group in named):
        return "mixed"
    return "one name" if len(set().union(*named)) == 1 else "a name each"


WORDS = ("agreed", "names", "leader", "rounds", "flipped", "communities")


WORDS_OF_TWO = ("first", "second", "sooner", "more_names")


SIDES = ("first", "second", "neither")


_NUMBERS = re.compile(r"(?:(\d{1,9})|(\d{1,9}) to (\d{1,9})|up to (\d{1,9})|(\d{1,9}) or more)")


_MANY = 10**9


class Part(NamedTuple):
    """One word and its value: ``population`` 0 or 1, or None for a word of both."""

    population: int | None
    word: str
    value: Any

    def holds(self, results: Sequence[Result]) -> bool:
        """Whether it does after this was played."""
        found: object
        if self.population is None:
            found = (_sooner if self.word == "sooner" else _more_names)(*results)
        else:
            found = getattr(results[self.population], self.word)
        if isinstance(self.value, range):
            return isinstance(found, int) and found in self.value
        return bool(found == self.value)


@dataclass(frozen=True)
class Condition:
    """Holds where all of its parts do; without parts it stands for ``otherwise``."""

    parts: tuple[Part, ...] = ()

    @property
    def otherwise(self) -> bool:
        """Whether it stands for whatever no other condition holds for."""
        return not self.parts

    def holds(self, results: Sequence[Result]) -> bool:
        """Whether it does after this was played; ``otherwise`` never does by itself."""
        return bool(self.parts) and all(part.holds(results) for part in self.parts)


def came_true(conditions: Sequence[Condition], results: Sequence[Result]) -> int | None:
    """Return which condition holds, the one for all else where no other does; None for none."""
    for place, condition in enumerate(conditions):
        if condition.holds(results):
            return place
    return next((place for place, it in enumerate(conditions) if it.otherwise), None)


def read_condition(given: Any, populations: int, pool: Sequence[str]) -> Condition:
    """Return the condition that ``when`` stands for; ``SpecError`` where it stands for none."""
    if given == "otherwise":
        return Condition()
    if not isinstance(given, Mapping) or not given:
        raise SpecError(
            "when", given, f"{given!r} is no condition", 'Write {names = 1}, or "otherwise".'
        )
    if populations == 1:
        return Condition(tuple(_part(0, word, value, pool) for word, value in given.items()))
    parts: list[Part] = []
    for word, value in given.items():
        if word in ("first", "second"):
            if not isinstance(value, Mapping) or not value:
                raise SpecError("when", value, f"{word} holds no words", "Write {names = 1}.")
            place = SIDES.index(word)
            parts += [_part(place, inner, one, pool) for inner, one in value.items()]
        elif word in WORDS_OF_TWO:
            parts.append(Part(None, word, _one_of(word, value, SIDES)))
        else:
            remedy = "There are two populations: use " + ", ".join(WORDS_OF_TWO) + "."
            raise SpecError("when", word, f"it has no {word!r}", remedy)
    return Condition(tuple(parts))


def _part(population: int, word: str, value: Any, pool: Sequence[str]) -> Part:
    if word not in _READERS:
        raise SpecError("when", word, f"it has no {word!r}", f"Use {', '.join(WORDS)}.")
    return Part(population, word, _READERS[word](word, value, pool))


def _one_of(word: str, value: Any, known: Sequence[str]) -> str:
    if value not in known:
        allowed = ", ".join(f'"{one}"' for one in known)
        raise SpecError("when", value, f"{word} cannot be {value!r}", f"Write one of {allowed}.")
    return str(value)


def _yes_or_no(word: str, value: Any, _: Sequence[str]) -> bool:
    if not isinstance(value, bool):
        raise SpecError("when", value, f"{word} cannot be {value!r}", "Write true or false.")
    return value


def _numbers(word: str, value: Any, _: Sequence[str]) -> range:
    text = "" if isinstance(value, bool) else str(value)
    found = _NUMBERS.fullmatch(text.strip())
    if found is None:
        raise SpecError(
            "when",
            value,
            f"{word} cannot be {value!r}",
            'Write 3, "2 to 3", "up to 3" or "4 or more".',
        )
    exactly, low, high, most, least = (int(one) if one else None for one in found.groups())
    if exactly is not None:
        return range(exactly, exactly + 1)
    if most is not None:
        return range(most + 1)
    if least is not None:
        return range(least, _MANY)
    if low is None or high is None or low > high:
        raise SpecError("when", value, f"{word} cannot be {value!r}", f'Write "{high} to {low}".')
    return range(low, high + 1)


_READERS: Mapping[str, Callable[[str, Any, Sequence[str]], Any]] = {
    "agreed": _yes_or_no,
    "names": _numbers,
    "leader": _one_of,
    "rounds": _numbers,
    "flipped": _yes_or_no,
    "communities": lambda word, value, _: _one_of(word, value, COMMUNITIES),
}


def _sooner(first: Result, second: Result) -> str:
    times = [one.time if one.converged else float("inf") for one in (first, second)]
    return "neither" if times[0] == times[1] else "first" if times[0] < times[1] else "second"


def _more_names(first: Result, second: Result) -> str:
    if first.names == second.names:
        return "neither"
    return "first" if first.names > second.names else "second"


_OTHERWISE = 'End with an answer that has when = "otherwise"'


@dataclass(frozen=True)
class Possible:
    """What is known of a population beforehand."""

    pool: tuple[str, ...]
    agents: int
    committed: tuple[str, ...]
    rounds: int


def check_answers(conditions: Sequence[Condition], populations: Sequence[Possible]) -> None:
    """Raise ``SpecError`` where no answer comes true, or two do, or one never can.

    Every kind of outcome that the words of the conditions tell apart is looked at.
    """
    others = [place for place, condition in enumerate(conditions) if condition.otherwise]
    if len(others) > 1 or (others and others[0] != len(conditions) - 1):
        raise SpecError(
            "when", "otherwise", '"otherwise" is not that of the last answer', f"{_OTHERWISE}."
        )
    parts = [part for condition in conditions for part in condition.parts]
    never = set(range(len(conditions)))
    each = [list(_outcomes(parts, place, one)) for place, one in enumerate(populations)]
    for results in product(*each):
        found = [place for place, it in enumerate(conditions) if it.holds(results)] or others
        never.difference_update(found)
        if len(found) != 1:
            said = " and ".join(str(place + 1) for place in found[:2])
            problem = f"answers {said} both come true" if found else "no answer comes true"
            raise SpecError(
                "when",
                found,
                f"{problem} where {_described(parts, results)}",
                f"{_OTHERWISE}, and let the others exclude each other.",
            )
    if never:
        place = min(never)
        raise SpecError(
            "when", place, f"answer {place + 1} can never come true", "Change it, or leave it out."
        )


def _outcomes(parts: Sequence[Part], place: int, possible: Possible) -> Iterator[Result]:
    """Yield one outcome of each kind for the population in a place."""
    both = {part.word for part in parts if part.population is None}
    own = [part for part in parts if part.population == place]
    words = {part.word for part in own}
    most = min(len(possible.pool), possible.agents)
    names = _kinds(own, "names", most)
    if "agreed" in words or "more_names" in both:
        names = sorted({1, *names, *range(2, min(most, 3) + 1)})
    named = [part.value for part in own if part.word == "leader"]
    other = [name for name in possible.pool if name not in named][:1]
    leaders = [*dict.fromkeys(named), *other]
    flips = (False, True) if "flipped" in words and possible.committed else (False,)
    groups = COMMUNITIES if "communities" in words else ("mixed",)
    ends = [(False, 1.0), (True, 1.0), (True, 2.0)] if "sooner" in both else [(False, 1.0)]
    for count, leader, flipped, group, (converged, time), rounds in product(
        names, leaders, flips, groups, ends, _kinds(own, "rounds", possible.rounds)
    ):
        if "communities" in words and (count == 1) > (group == "one name"):
            continue
        if flipped and "leader" in words and leader not in possible.committed:
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


def _kinds(parts: Sequence[Part], word: str, most: int) -> list[int]:
    """Return a number of each kind that the conditions tell apart, from 1 to ``most``."""
    edges = {1, most}
    for part in parts:
        if part.word == word:
            value = part.value
            edges |= {value.start - 1, value.start, value.stop - 1, value.stop}
    return sorted(edge for edge in edges if 1 <= edge <= most)


def _described(parts: Sequence[Part], results: Sequence[Result]) -> str:
    said = []
    for population, word in dict.fromkeys((part.population, part.word) for part in parts):
        if population is None:
            for value in ("first", "second", "neither"):
                if Part(None, word, value).holds(results):
                    said.append(f"{word} = {value}")
        else:
            of = ("first ", "second ")[population] if len(results) > 1 else ""
            value = getattr(results[population], word)
            said.append(f"{of}{word} = {str(value).lower() if isinstance(value, bool) else value}")
    return ", ".join(dict.fromkeys(said))
