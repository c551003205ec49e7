"""What ``tip`` found, in words."""

from __future__ import annotations

import math

from mesa_llm_norms.statistics import Estimate
from mesa_llm_norms.tipping.answer import Tipping, TippingPoint

BEYOND = "more than tried"
"""Where the largest number tried flips too few runs to tell."""


def sentences(found: Tipping) -> list[str]:
    """Return the answers in words, each with what it is about where that is not clear."""
    said = [sentence(point) for point in found.points]
    named = labels(found)
    if named == [str(point.question.direction) for point in found.points]:
        return said
    return [f"{name}: {words}" for name, words in zip(named, said, strict=True)]


def labels(found: Tipping) -> list[str]:
    """Return the conditions in words, without what they have in common."""
    words = [(one.question.placement, one.question.topology) for one in found.points]
    varied = [place for place in (0, 1) if len({word[place] for word in words}) > 1]
    return [
        ", ".join([str(one.question.direction), *(word[place] for place in varied)])
        for one, word in zip(found.points, words, strict=True)
    ]


def sentence(point: TippingPoint) -> str:
    """Return the answer to one question in words."""
    mass, agents = point.curve.critical_mass, point.question.agents
    incumbent, challenger = point.question.direction
    rounds = point.question.legs.rounds
    who = f"{incumbent} is overturned by {challenger} within {rounds} rounds in half of the runs"
    if math.isinf(mass.value):
        words = (
            f"{who} by none of the numbers tried (up to {point.doses[-1].committed} of {agents})."
        )
    elif mass.value == 0:
        words = f"{who} though nobody is committed."
    else:
        value, low, high = (_told(bound, ".2f") for bound in mass)
        words = f"{who} by {value} ({low} to {high}) of {agents} agents"
        words += f" ({percentages(point.critical_share)})."
    lasting = point.lasting
    if lasting.trials:
        words += (
            f" After the committed have left, it lasts in {lasting.estimate.value:.0%} of"
            f" {lasting.trials} flipped runs."
        )
    return words


def percentages(share: Estimate) -> str:
    """Return a share with its bounds as percentages."""
    value, low, high = (_told(bound, ".1%") for bound in share)
    return f"{value}, {low} to {high}"


def _told(bound: float, form: str) -> str:
    return BEYOND if math.isinf(bound) else format(bound, form)
