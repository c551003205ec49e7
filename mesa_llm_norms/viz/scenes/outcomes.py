"""Whether exactly one answer comes true whatever happens: all that can happen, tried out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.viz.scenes.conditions import Condition, Part
from mesa_llm_norms.viz.scenes.result import COMMUNITIES, Result

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
