"""The words of a scene's file and what they hold, as TOML gives them."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from mesa_llm_norms.errors import SpecError

SEE = "See docs/scenes.md for a whole example."


def check_words(
    given: Mapping[str, Any], known: Collection[str], where: str, needed: Sequence[str] = ()
) -> None:
    """Raise ``SpecError`` for a word that is not ``known``, or one ``needed`` that is missing."""
    for word in given:
        if word not in known:
            close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
            raise SpecError(
                where,
                word,
                f"it has no {word!r}" + (f" (did you mean {close[0]!r}?)" if close else ""),
                f"There are {', '.join(known)}.",
            )
    for word in needed:
        if word not in given:
            raise SpecError(where, word, f"it does not say its {word!r}", SEE)


def prose(given: Mapping[str, Any], word: str, where: str = "scene") -> str:
    """Return a text on one line."""
    text = given[word]
    if not isinstance(text, str) or not text.strip():
        raise SpecError(where, text, f"its {word!r} is no text", f'Write {word} = "..."')
    return " ".join(text.split())


def number(argument: str, value: Any, low: float, high: float) -> float:
    """Return a number that is within bounds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        remedy = f"Give a number from {low:g} to {high:g}."
        raise SpecError(argument, value, f"it cannot be {value!r}", remedy)
    return value


def whole(value: Any) -> bool:
    """Whether a value is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)
