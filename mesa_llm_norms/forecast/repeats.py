"""How many different prompts there are: what a server is asked that answers each but once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from mesa_llm_norms.forecast.ranges import Range, Values, generator
from mesa_llm_norms.game import Game

SUBSETS = 40
"""How many choices of so many of the runs are looked at."""


def different(runs: Sequence[Sequence[int]], decisions: Range) -> Range:
    """Return how many different prompts so many decisions have, given the prompts of some runs.

    Prompts are numbers, equal for equal ones. How the count grows from one of the runs to all of
    them is counted. Beyond, it grows no faster than it did from half of them to all (Heaps' law),
    and no slower than those that were met once say (Chao, Scand. J. Stat. 11, 265, 1984, with
    Colwell et al., J. Plant Ecol. 5, 3, 2012); the middle is the geometric mean of both.
    """
    runs = [run for run in runs if run]
    met = [prompt for run in runs for prompt in run]
    if len(met) < 2:
        return decisions
    growth = _growth(runs)
    low, expected, high = (_at(growth, number) for number in decisions)
    if decisions.expected > len(met):
        expected = math.sqrt(expected * _least(met, decisions.expected))
    if decisions.low > len(met):
        low = _least(met, decisions.low)
    # Where nothing new is to come, the three are one number but for the last bit.
    return Range(*sorted(round(each, 6) for each in (low, expected, high))).at_most(decisions)


def possible(game: Game) -> int:
    """Return how many different prompts there can be: memories, with names in any order."""
    pairs = len(game.pool) ** 2
    memories: int = sum(pairs**length for length in range(game.memory + 1))
    return memories * math.factorial(len(game.pool))


def _growth(runs: Sequence[Sequence[int]]) -> Values:
    """Return how many prompts some of the runs have, and how many different ones: for more and more
    runs, the means over choices of so many. Two rows of logarithms.
    """
    if len(runs) == 1:
        runs = [runs[0][: len(runs[0]) // 2], runs[0][len(runs[0]) // 2 :]]
    half = len(runs) // 2
    chance = generator()
    points = []
    for size in sorted({2**power for power in range(half.bit_length())} | {half, len(runs)}):
        choices = [chance.permutation(len(runs))[:size].tolist() for _ in range(SUBSETS)]
        some = [[prompt for place in places for prompt in runs[place]] for places in choices]
        points.append((np.mean([*map(len, some)]), np.mean([len(set(each)) for each in some])))
    rows: Values = np.log(np.array(points).T)
    return rows


def _at(growth: Values, number: float) -> float:
    """Return how many different prompts so many have; at both ends growth goes on as it was."""
    if not number:
        return 0.0
    x, y = growth
    here = math.log(number)
    place = min(max(int(np.searchsorted(x, here)), 1), len(x) - 1)
    slope = float((y[place] - y[place - 1]) / (x[place] - x[place - 1]))
    return math.exp(float(y[place]) + slope * (here - float(x[place])))


def _least(met: Sequence[int], number: float) -> float:
    """Return how many different prompts so many have at least, more than were met."""
    size, known = len(met), len(set(met))
    times = Counter(Counter(met).values())
    # One standard deviation less than were met once: few tell little, and the least is wanted.
    once, twice = times[1] - math.sqrt(times[1]), times[2]
    unmet = once * max(0.0, once - 1) / (2 * (twice + 1))
    if not unmet:
        return known
    still_unmet = math.pow(1 - once / (size * unmet + once), number - size)
    return known + unmet * (1 - still_unmet)
