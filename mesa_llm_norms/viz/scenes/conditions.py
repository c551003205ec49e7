"""When an answer comes true: a few words with a value each, all of which must hold.

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
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.viz.scenes.result import COMMUNITIES, Result

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
