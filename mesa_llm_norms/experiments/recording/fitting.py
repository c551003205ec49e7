"""The mind made of a recording: what was answered, and the conditional logit for the rest.

The logit is that of ``study.fit``. How many decisions an answer counts for against the ridge, and
the *prior strength* of the logit against a memory's own answers, are chosen by what predicts
answers that were left out: answers to the memories of one third, by the logit fitted to the other
two; and single answers, by the logit and the other answers to the same memory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.game import Memory
from mesa_llm_norms.experiments.recording.questions import number_of_orders
from mesa_llm_norms.minds.policies import write_memory
from mesa_llm_norms.minds.recorded import RecordedMind, Weights
from mesa_llm_norms.minds.recording import Recording
from mesa_llm_norms.study.fit import Design, solve
from mesa_llm_norms.study.recordings import Condition

FOLDS = 3
RIDGE = 1.0
DECISIONS = (1.0, 10.0, 100.0, 1_000.0)
"""How many decisions an answer may count for."""

PRIOR_STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
NONE = limits.PRIOR_STRENGTH.low
"""The prior strength where a memory's answers are all there is to know."""

PRECISION = 1e-7
"""Relative gain of likelihood below which a fit ends: far below what answers say."""

LEAST = 1e-12
"""The least probability in a logarithm."""


class Fitted(NamedTuple):
    """A mind made of a recording, and how well it predicts what it was not shown.

    Attributes
    ----------
    mind : RecordedMind
        The mind.
    thirds : tuple of RecordedMind
        The logits that were fitted without one third of the memories.
    decisions : float
        How many decisions an answer counted for.
    chosen_at : int
        With how many memories that was chosen.
    held_out : float
        Mean log-loss (nats) of answers to the memories of the third that was left out.
    known : float
        The same by the shares of the answers themselves, which is the least there can be.
    distance : float
        Mean total variation between those answers and the logit.
    """

    mind: RecordedMind
    thirds: tuple[RecordedMind, ...]
    decisions: float
    chosen_at: int
    held_out: float
    known: float
    distance: float


def fit(recording: Recording, label: str, before: Fitted | None = None) -> Fitted:
    """Return the mind made of a recording; ``before`` is what a part of it gave, to begin at."""
    counts = recording.counts()
    pool = recording.game.pool
    memories = list(counts)
    numbers = np.array([list(counts[memory].values()) for memory in memories])
    condition = Condition(label, "baseline", pool, recording.game.memory, 0)
    design = Design({condition: counts})
    folds = np.array([crc32(write_memory(memory).encode()) % FOLDS for memory in memories])
    choices: Sequence[float] = DECISIONS
    chosen_at = len(memories)
    if before is not None:
        place, chosen_at = DECISIONS.index(before.decisions), before.chosen_at
        if len(memories) < 2 * chosen_at:
            choices = [before.decisions]
        else:
            choices, chosen_at = DECISIONS[max(0, place - 1) : place + 2], len(memories)
    best: tuple[float, float, list[RecordedMind], Any] | None = None
    for decisions in choices:
        thirds = [
            _logit(
                label, solve(design.weighted(1.0 * (folds != fold)), RIDGE, decisions, PRECISION)
            )
            for fold in range(FOLDS)
        ]
        predicted = np.array(
            [
                thirds[fold].distribution(memory, pool)
                for fold, memory in zip(folds, memories, strict=True)
            ]
        )
        loss = -float((numbers * np.log(np.maximum(predicted, LEAST))).sum() / numbers.sum())
        if best is None or loss < best[0]:
            best = (loss, decisions, thirds, predicted)
    assert best is not None
    loss, decisions, thirds, predicted = best
    shares = numbers / numbers.sum(axis=1, keepdims=True)
    mind = RecordedMind(
        label,
        solve(design, RIDGE, decisions, PRECISION),
        prior_strength=_prior_strength(recording, memories, predicted),
        recordings=[recording],
    )
    known = -float((numbers * np.log(np.maximum(shares, LEAST))).sum() / numbers.sum())
    distance = float(np.abs(shares - predicted).sum(axis=1).mean() / 2)
    return Fitted(mind, tuple(thirds), decisions, chosen_at, loss, known, distance)


def _logit(label: str, weights: Weights) -> RecordedMind:
    return RecordedMind(label, weights)


def _prior_strength(
    recording: Recording, memories: Sequence[Memory], predicted: NDArray[np.float64]
) -> float:
    """Return the prior strength that predicts single answers best from all the others."""
    answers, orders = recording.answers, number_of_orders(recording.game)
    if recording.exact and all(len(answers[memory]) == orders for memory in memories):
        return NONE
    losses = dict.fromkeys(PRIOR_STRENGTHS, 0.0)
    several = False
    for memory, logit in zip(memories, predicted, strict=True):
        rows = np.array(list(answers[memory].values()), dtype=float)
        total = rows.sum(axis=0)
        # One answer is a distribution, or a single one of the choices that were counted.
        one = rows if recording.exact else np.eye(len(total))
        times = np.ones(len(one)) if recording.exact else total
        several = several or total.sum() > 1
        for strength in losses:
            rest = total - one + strength * logit
            rest /= rest.sum(axis=1, keepdims=True)
            each = (one * np.log(np.maximum(rest, LEAST))).sum(axis=1)
            losses[strength] -= float(each[times > 0] @ times[times > 0])
    if not several:
        return NONE if recording.exact else 1.0
    return min(losses, key=losses.__getitem__)


def uncertainty(
    recording: Recording, fitted: Fitted, memories: Sequence[Memory]
) -> Mapping[Memory, float]:
    """Return how far the mind may be off on each memory, as a total variation.

    Where nothing was answered: how far the logits of the thirds are from each other, and the
    distance that answers left out had. Where something was, its sampling error, over choices or
    over orders of names; nothing where every order was answered with probabilities.
    """
    pool, orders = recording.game.pool, number_of_orders(recording.game)
    between = _between_orders(recording)
    found = {}
    for memory in memories:
        by_order = recording.answers.get(memory)
        if by_order is None:
            thirds = np.array([it.distribution(memory, pool) for it in fitted.thirds])
            apart = np.abs(thirds - thirds.mean(axis=0)).sum(axis=1).mean() / 2
            found[memory] = float(apart) + fitted.distance / 4
        elif recording.exact:
            rest = 0.0 if len(by_order) == orders else between / len(by_order)
            found[memory] = math.sqrt(rest) / 2
        else:
            total = np.array(list(by_order.values()), dtype=float).sum(axis=0)
            share = total / total.sum()
            # One reply more of every name, as if: a share of zero is not known to be zero.
            spread = float((share * (1 - share)).sum()) + 1 / (total.sum() + 1)
            found[memory] = math.sqrt(spread / total.sum()) / 2
    return found


def _between_orders(recording: Recording) -> float:
    """Return how much the probabilities on a memory vary with the order, as a variance."""
    if not recording.exact:
        return 0.0
    found = [
        float(np.array(list(by_order.values())).var(axis=0, ddof=1).sum())
        for by_order in recording.answers.values()
        if len(by_order) > 1
    ]
    return float(np.mean(found)) if found else 0.0
