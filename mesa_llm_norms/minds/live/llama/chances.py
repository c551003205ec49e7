"""The probability of each name, from those of the tokens that a reply could have begun with.

A model writes tokens, and several can stand for one name: the whole of it, or any beginning of it
that no other name shares. Where the server holds the reply to the pool, the first token then
settles the name, and a name has the sum of what its tokens have. Where nothing holds the reply,
only a token that is a whole name counts, and the names together must have most of the probability:
a model that was about to say something else has not chosen.

What is returned is right to within ``MOST_DOUBT``, or nothing is returned. In doubt is what a token
has that more than one name begins with, and what a name may have that the server left out: servers
list the likeliest tokens only, so each name could have one more, no likelier than the least listed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

MOST_DOUBT = 0.001
"""The most that may be in doubt, as a share of what the names have."""

LEAST_SHARE = 0.5
"""The least the names must have together where nothing holds the reply to them."""

SEVERAL = -1
"""Stands for a name in a table where there is more than one."""

MARKERS = "▁Ġ \n"
"""What a token of a word begins with in some vocabularies, beside the word."""


class Position(NamedTuple):
    """What a server says of one place in its reply.

    ``written`` is the token that came to stand there, ``tokens`` the likeliest ones with their
    probabilities, none of them zero, and ``complete`` whether there are no others.
    """

    written: bytes
    tokens: tuple[tuple[bytes, float], ...]
    complete: bool

    def share(self, pool: tuple[str, ...]) -> float:
        """Return the part of what is listed that is with beginnings of names of ``pool``."""
        known = beginnings(pool)
        named = math.fsum(chance for text, chance in self.tokens if text in known)
        return named / math.fsum(chance for _, chance in self.tokens)


def read_position(choice: Mapping[str, Any], asked: int) -> Position | None:
    """Return what a choice of a chat completion says of its first token, ``asked`` for that many.

    None where it says nothing, or what cannot be probabilities. llama.cpp gives probabilities after
    sampling by other words than log-probabilities.
    """
    try:
        first = choice["logprobs"]["content"][0]
        rows = first["top_probs"] if "top_probs" in first else first["top_logprobs"]
        found = tuple((_text(row), _chance(row)) for row in rows)
        written = _text(first)
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    tokens = tuple((text, chance) for text, chance in found if chance > 0)
    if not tokens or math.fsum(chance for _, chance in tokens) > 1 + MOST_DOUBT:
        return None
    return Position(written, tokens, complete=len(tokens) < asked)


def name_chances(
    position: Position, pool: tuple[str, ...], temperature: float, constrained: bool
) -> tuple[float, ...] | None:
    """Return the probability of each name of ``pool``, in its order, or None where in doubt.

    The probabilities of tokens are raised to 1 / ``temperature``: 1 leaves them as they are, and 0
    leaves the likeliest name alone. ``constrained`` tells whether the server holds the reply to the
    pool.
    """
    known, whole = beginnings(pool), {name.encode(): place for place, name in enumerate(pool)}
    named: list[tuple[int, float]] = []
    other: list[float] = []
    for text, chance in position.tokens:
        place = known.get(text) if constrained else _place_of_word(text, known, whole)
        if place is None:
            other.append(chance)
        else:
            named.append((place, chance))
    rivals = [chance for _, chance in named] + ([] if constrained else other)
    if not rivals:
        return None
    highest, least = max(rivals), min(chance for _, chance in position.tokens)
    weights = [0.0] * len(pool)
    doubt = 0.0 if position.complete else len(pool) * _heated(least / highest, temperature)
    for place, chance in named:
        weight = _heated(chance / highest, temperature)
        if place == SEVERAL:
            doubt += weight
        else:
            weights[place] += weight
    total = math.fsum(weights)
    if not total or doubt > MOST_DOUBT * total:
        return None
    if not constrained:
        rest = math.fsum(_heated(chance / highest, temperature) for chance in other)
        if total < LEAST_SHARE * (total + rest):
            return None
    if temperature == 0:
        likeliest = weights.index(max(weights))
        return tuple(float(place == likeliest) for place in range(len(pool)))
    return tuple(weight / total for weight in weights)


@lru_cache(64)
def beginnings(pool: tuple[str, ...]) -> dict[bytes, int]:
    """Return, for every beginning of a name, which name of the pool it is of, or ``SEVERAL``."""
    found: dict[bytes, int] = {}
    for place, name in enumerate(pool):
        text = name.encode()
        for end in range(1, len(text) + 1):
            start = text[:end]
            found[start] = SEVERAL if start in found else place
    return found


def _place_of_word(
    text: bytes, known: Mapping[bytes, int], whole: Mapping[bytes, int]
) -> int | None:
    """Return which name a token begins where anything may follow; only a whole name is sure."""
    bare = text if text in whole else text.decode(errors="replace").lstrip(MARKERS).encode()
    if text and not bare:
        return SEVERAL
    return known[bare] if bare in whole else SEVERAL if bare in known else None


def _heated(ratio: float, temperature: float) -> float:
    if temperature == 0:
        return float(ratio >= 1)
    return float(ratio ** (1 / temperature))


def _text(row: Mapping[str, Any]) -> bytes:
    """Return the bytes of a token; its text may lack some, for it can end inside a letter."""
    given = row.get("bytes")
    return bytes(given) if given else str(row["token"]).encode()


def _chance(row: Mapping[str, Any]) -> float:
    chance = float(row["prob"]) if "prob" in row else math.exp(float(row["logprob"]))
    if not 0 <= chance <= 1 + MOST_DOUBT:
        raise ValueError(chance)
    return chance
