"""Single decisions held against the recorded ones: asked alone, and in populations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.minds import Mind, Policy
from mesa_llm_norms.reproduction import rows as test
from mesa_llm_norms.reproduction.protocol import TWO, Played
from mesa_llm_norms.reproduction.published import FIRST_CHOICE
from mesa_llm_norms.reproduction.recorded import Choices, Recorded
from mesa_llm_norms.reproduction.rows import Row
from mesa_llm_norms.reproduction.words import pool_text

Floats = NDArray[np.float64]

INDIVIDUAL = "Individual bias: single decisions, asked alone"
IN_POPULATIONS = "Individual bias: the same decisions in populations"
FEWEST = 20
"""So many decisions on a memory in populations are enough to compare with."""
SURE = 0.01
"""Recordings are taken to disagree when chance would make them differ so less often than this."""


def choices(
    label: str, mind: Mind, model: str, recorded: Recorded, played: Sequence[Played]
) -> Iterator[Row]:
    """Yield a row for each memory on which decisions of the mind's model were recorded.

    A live mind has no chances to be read, so only what its agents chose first is compared.
    """
    for known in recorded.choices:
        if known.model != model:
            continue
        if isinstance(mind, Policy):
            chances = np.array(mind.distribution(known.memory, known.names))
            if sum(known.in_populations.values()) >= FEWEST:
                yield _asked_alone(label, known, chances)
                yield _in_populations(label, known, chances)
        elif not known.memory:
            yield from _live_choice(label, known, played)


def _asked_alone(label: str, known: Choices, chances: Floats) -> Row:
    """Hold decisions asked alone against chances that were estimated from those in populations.

    So the chances are taken to be as sure as if counted in the decisions on this memory there.
    """
    counts = np.array([known.counts[name] for name in known.names])
    size = sum(known.in_populations.values())
    place = _shown(counts)
    unbiased = set(known.names) == set(TWO) and not known.memory
    return Row(
        INDIVIDUAL,
        label,
        f"{pool_text(known.names)}: {known.names[place]} {_after(known)}",
        test.share(float(chances[place] * size), size),
        size,
        test.EXACT_SHARES if len(counts) == 2 else test.TWO_COUNTS,
        test.same_counts(counts, np.rint(chances * size).astype(np.int64)),
        test.share(int(counts[place]), int(counts.sum())),
        int(counts.sum()),
        FIRST_CHOICE if unbiased else None,
        counted="decisions",
        note=_disagreement(known),
    )


def _in_populations(label: str, known: Choices, chances: Floats) -> Row:
    """Hold decisions in populations against the chances, which are exact."""
    counts = np.array([known.in_populations[name] for name in known.names])
    total, place = int(counts.sum()), _shown(counts)
    if len(counts) == 2:
        p_value = test.meets(int(counts[0]), total, float(chances[0]))
    else:
        p_value = test.fit(counts, chances)
    return Row(
        IN_POPULATIONS,
        label,
        f"{pool_text(known.names)}: {known.names[place]} {_after(known)}",
        test.exactly(float(chances[place])),
        0,
        test.ONE_SHARE if len(counts) == 2 else test.COUNTS,
        p_value,
        test.share(int(counts[place]), total),
        total,
        counted="decisions",
    )


def _disagreement(known: Choices) -> str:
    """Return a sentence where the recordings disagree with each other about a memory."""
    asked, met = (
        np.array([each[name] for name in known.names])
        for each in (known.counts, known.in_populations)
    )
    if test.same_counts(asked, met) >= SURE:
        return ""
    place = _shown(asked)
    return (
        f"The recordings disagree: {met[place] / met.sum():.3f} of {met.sum():,} decisions on this "
        "memory in populations, which are what the mind was fitted to"
    )


def _shown(counts: NDArray[np.int64]) -> int:
    """Return which name a row is about: the first of two, or the one chosen most."""
    return 0 if len(counts) == 2 else int(counts.argmax())


def _live_choice(label: str, known: Choices, played: Sequence[Played]) -> Iterator[Row]:
    """Hold what agents of a live mind chose first against the recorded first choices."""
    for one in played:
        if (
            one.mind != label
            or sum(one.firsts.values()) == 0
            or set(one.firsts) != set(known.names)
        ):
            continue
        name = max(known.names, key=known.counts.__getitem__)
        here = (one.firsts[name], sum(one.firsts.values()))
        recorded = (known.counts[name], sum(known.counts.values()))
        yield Row(
            INDIVIDUAL,
            label,
            f"{pool_text(known.names)}: {name} {_after(known)}",
            test.share(*here),
            here[1],
            test.EXACT_SHARES,
            test.fisher(here, recorded),
            test.share(*recorded),
            recorded[1],
            counted="decisions",
        )


def _after(known: Choices) -> str:
    if not known.memory:
        return "with nothing remembered"
    seen = ", ".join(f"{own} with {partner}" for own, partner in known.memory)
    return f"after {seen}"
