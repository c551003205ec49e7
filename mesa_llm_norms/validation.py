"""Arguments that many functions take, read in one place."""

from __future__ import annotations

import difflib
import random
import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np

from mesa_llm_norms.errors import SpecError, some

_MAX_SEED = (1 << 64) - 1


def read_seed(rng: Any) -> int:
    """Return the seed that an ``rng=`` argument stands for.

    Parameters
    ----------
    rng : int, numpy.random.Generator, random.Random or None
        An integer from 0 to 2**64 - 1 stands for itself, a generator for one draw of it, and None
        for fresh entropy.

    Returns
    -------
    int
        A seed from 0 to 2**64 - 1.

    Raises
    ------
    SpecError
        For anything else.
    """
    if rng is None:
        return secrets.randbits(63)
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(0, _MAX_SEED, dtype=np.uint64, endpoint=True))
    if isinstance(rng, random.Random):
        return rng.getrandbits(64)
    if _is_seed(rng):
        return int(rng)
    raise SpecError(
        "rng",
        rng,
        f"{rng!r} is not a seed",
        "Give a whole number from 0 to 2**64 - 1, or a numpy or random generator.",
    )


def check_seed(seed: Any) -> None:
    """Raise ``SpecError`` for anything but a whole number from 0 to 2**64 - 1."""
    if not _is_seed(seed):
        raise SpecError("seed", seed, f"{seed!r} is not a seed", "Use 0 to 2**64 - 1.")


def _is_seed(value: Any) -> bool:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return whole and 0 <= int(value) <= _MAX_SEED


def read_whole(argument: str, value: Any, low: int, high: int) -> int:
    """Return ``value``, any kind of integer from ``low`` to ``high``, as an int.

    Raises ``SpecError`` naming the argument for anything else, truth values included.
    """
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or not low <= int(value) <= high:
        raise SpecError(
            argument, value, f"{value!r} is not a whole number in range", f"Use {low} to {high:,}."
        )
    return int(value)


def choose(argument: str, wanted: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return those of ``known`` that are wanted, each once; all of them if none is named.

    Raises ``SpecError``, suggesting a similar name, for one that is not known.
    """
    for name in wanted:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            raise SpecError(
                argument,
                name,
                f"there is no {name!r}" + (f" (did you mean {close[0]!r}?)" if close else ""),
                f"Known are {some(known, 20)}.",
            )
    return tuple(dict.fromkeys(wanted)) or tuple(known)
