"""What was played so far, round by round and pair by pair, for charts, tables and cards."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from mesa_llm_norms.metrics import Round
from mesa_llm_norms.run_tables import round_table
from mesa_llm_norms.viz.encoding import points_text

POINTS = 1_000
"""How many points all lines of a chart have together, at most; a line has 40 to 160."""


class Record:
    """Counts interactions as they are played; names by their places in the pool."""

    def __init__(self, pool: Sequence[str]) -> None:
        self.pool = tuple(pool)
        self.interactions = 0
        self.meetings: dict[tuple[int, int], list[int]] = {}
        """For two places, the lower first, how often they met and matched."""
        self._rounds: list[int] = []
        self._ends: list[int] = []
        self._matched: list[float] = []
        self._shares: list[list[float]] = [[] for _ in self.pool]
        self._line = [0] * (2 + len(self.pool))

    @property
    def rounds(self) -> int:
        """How many rounds were begun, of those that anything was played in."""
        return len(self._rounds)

    def add(self, round_: int, place_a: int, place_b: int, name_a: int, name_b: int) -> None:
        """Count one interaction."""
        if not self._rounds or self._rounds[-1] != round_:
            self._begin(round_)
        line, matched = self._line, name_a == name_b
        line[0] += 1
        line[1] += matched
        line[2 + name_a] += 1
        line[2 + name_b] += 1
        self.interactions += 1
        pair = (place_a, place_b) if place_a < place_b else (place_b, place_a)
        met = self.meetings.get(pair)
        if met is None:
            self.meetings[pair] = [1, int(matched)]
        else:
            met[0] += 1
            met[1] += matched

    @property
    def success_rate(self) -> float | None:
        """Share of the interactions of the last round that matched; None before the first."""
        return self._line[1] / self._line[0] if self._line[0] else None

    def success_points(self) -> str:
        """Return the success rate per round as the chart takes it."""
        return self._points([self._matched], [self.success_rate])

    def share_points(self) -> str:
        """Return the share of each name per round as the chart takes it."""
        shares = _shares_of(self._line) if self._line[0] else [None] * len(self.pool)
        return self._points(self._shares, shares)

    def table(self) -> pd.DataFrame:
        """Return a row per round, the columns those of ``rounds`` of an ensemble.

        Any thread may ask while another adds.
        """
        rounds, line = self.rounds, self._line[:]
        found = [
            Round(
                self._rounds[place],
                self._ends[place],
                self._matched[place],
                {name: shares[place] for name, shares in zip(self.pool, self._shares, strict=True)},
            )
            for place in range(rounds - 1)
        ]
        if rounds and line[0]:
            shares = dict(zip(self.pool, _shares_of(line), strict=True))
            found.append(
                Round(self._rounds[rounds - 1], self.interactions, line[1] / line[0], shares)
            )
        return round_table(self.pool, ((0, one) for one in found))

    def _begin(self, round_: int) -> None:
        """Write down the numbers of the last round, and begin a new one.

        Its number is written last, for whoever reads goes by how many numbers there are.
        """
        if self._rounds:
            self._ends[-1] = self.interactions
            self._matched[-1] = self._line[1] / self._line[0]
            for shares, share in zip(self._shares, _shares_of(self._line), strict=True):
                shares[-1] = share
        self._line = [0] * len(self._line)
        self._ends.append(0)
        self._matched.append(0.0)
        for shares in self._shares:
            shares.append(0.0)
        self._rounds.append(round_)

    def _points(self, lines: Sequence[Sequence[float]], last: Sequence[float | None]) -> str:
        """Return lines with every so many rounds of them, so that they keep still as they grow."""
        rounds = self.rounds
        most = min(160, max(40, POINTS // max(1, len(lines))))
        stride = 1
        while rounds > most * stride:
            stride *= 2
        shown = []
        for line, now in zip(lines, last, strict=True):
            values: list[float | None] = list(line[:rounds:stride])
            if values and (rounds - 1) % stride == 0:
                values[-1] = now
            shown.append(values)
        return points_text(rounds, stride, shown)


def _shares_of(line: Sequence[int]) -> list[float]:
    return [times / (2 * line[0]) for times in line[2:]]
