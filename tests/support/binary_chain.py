"""The classical binary game on a complete graph, exactly.

With two words the state is three numbers: how many free agents hold the old word alone, both, or
the new one alone. Committed agents hold the new one and never change.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

OLD, BOTH, NEW, COMMITTED = range(4)
_SAYS_NEW = (0.0, 0.5, 1.0, 1.0)


def flipped_within(agents: int, committed: int, interactions: int) -> float:
    """Return how probable it is that all agents hold the new word alone by then.

    All free agents begin with the old word. A speaker and another agent as hearer are drawn for
    every interaction; where the hearer knows the word, both keep it alone.
    """
    free = agents - committed
    states = [(old, both) for old in range(free + 1) for both in range(free + 1 - old)]
    place = {state: number for number, state in enumerate(states)}
    matrix = np.zeros((len(states), len(states)))
    for (old, both), row in place.items():
        for to, chance in _moves(agents, (old, both, free - old - both, committed)).items():
            matrix[row, place[to]] += chance
    start: NDArray[np.float64] = np.zeros(len(states))
    start[place[free, 0]] = 1.0
    for _ in range(interactions):
        start = start @ matrix
    return float(start[place[0, 0]])


def _moves(agents: int, held: tuple[int, int, int, int]) -> dict[tuple[int, int], float]:
    """Return where one interaction may lead to, and how probably."""
    moves: dict[tuple[int, int], float] = {}
    for speaker in range(4):
        for hearer in range(4):
            pairs = held[speaker] * (held[hearer] - (speaker == hearer))
            for new in (False, True):
                chance = _SAYS_NEW[speaker] if new else 1 - _SAYS_NEW[speaker]
                if pairs <= 0 or not chance:
                    continue
                old, both = held[OLD], held[BOTH]
                if hearer == BOTH or (hearer == OLD) == (not new):
                    settled = (speaker == BOTH) + (hearer == BOTH)
                    both -= settled
                    old += 0 if new else settled
                elif hearer == OLD:
                    old, both = old - 1, both + 1
                elif hearer == NEW:
                    both += 1
                weight = chance * pairs / (agents * (agents - 1))
                moves[old, both] = moves.get((old, both), 0.0) + weight
    return moves
