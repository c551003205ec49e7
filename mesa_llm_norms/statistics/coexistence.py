"""Metastable states: stretches of a run in which several names live side by side and none gains."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.game import read_whole
from mesa_llm_norms.statistics.intervals import Floats
from mesa_llm_norms.statistics.tables import read_table

LEAST = 20
SHARE = 0.1
TOLERANCE = 0.2
SMOOTH = 5
_ROUNDING = 1e-9
_PREFIX = "share_"


def metastable_states(
    rounds: pd.DataFrame,
    *,
    least: int = LEAST,
    share: float = SHARE,
    tolerance: float = TOLERANCE,
    smooth: int = SMOOTH,
) -> pd.DataFrame:
    """Return the stretches of rounds in which names coexist stably, one row each.

    ``rounds`` is the ``rounds`` table of an ensemble: run, round and a column ``share_NAME`` for
    each name. Shares are smoothed first: each is the mean of the ``smooth`` rounds centred on it,
    fewer at the ends of a run. A *metastable state* is a stretch of at least ``least`` rounds in
    which

    - at least two names, the same throughout, hold at least ``share`` of the plays in every round,
    - no name's share, between its highest and its lowest in the stretch, moves by more than
      ``tolerance``.

    Each run is read from its start: a stretch begins at the first round from which this holds for
    ``least`` rounds and goes on as long as it holds; the next is looked for after its end. Shares
    are of the names *played* in a round: where who plays is drawn, they go up and down even though
    nobody changes, the more so the fewer agents there are, which ``tolerance`` has to leave room
    for. Under ``until="converged"`` a run ends when the last matches are in, whatever names they
    were of; play with ``until=None`` to see how long coexistence lasts.

    Columns: run, start and end (rounds, both within), length (in rounds), names (those that
    coexist, the strongest first), shares (their mean shares in the stretch, not smoothed), open
    (whether the stretch lasts to the end of the run: it may have gone on). No rows where there is
    no such stretch. Raises ``SpecError`` for a table without rows or columns, and numbers out of
    range.
    """
    table = read_table("rounds", rounds, ("run", "round"))
    columns = [column for column in table.columns if str(column).startswith(_PREFIX)]
    if not columns:
        raise SpecError(
            "rounds", list(table.columns), "no shares of names", "Give the rounds of an ensemble."
        )
    least = read_whole("least", least, 1, 10**9)
    smooth = read_whole("smooth", smooth, 1, 10**9)
    _check_share("share", share, 0.5)
    _check_share("tolerance", tolerance, 1)
    runs, numbers = table["run"].to_numpy(), table["round"].to_numpy()
    shares: Floats = table[columns].to_numpy(dtype=np.float64)
    same = runs[1:] == runs[:-1]
    if (runs[1:] < runs[:-1]).any() or (same & (numbers[1:] < numbers[:-1])).any():
        order = np.lexsort((numbers, runs))
        runs, numbers, shares = runs[order], numbers[order], shares[order]
        same = runs[1:] == runs[:-1]
    if (same & (numbers[1:] == numbers[:-1])).any():
        raise SpecError("rounds", rounds, "a round is in it twice", "Give every round once.")
    if not np.isfinite(shares).all():
        raise SpecError("rounds", rounds, "shares that are not numbers", "Leave such rounds out.")
    starts = np.flatnonzero(np.concatenate([[True], ~same]))
    ends = np.append(starts[1:], len(runs))
    smoothed = _smooth(
        shares, np.repeat(starts, ends - starts), np.repeat(ends, ends - starts), smooth
    )
    search = _Search(smoothed, share - _ROUNDING, tolerance + _ROUNDING, least)
    found = []
    names = [str(column).removeprefix(_PREFIX) for column in columns]
    for first, last, end in search.stretches(starts, ends):
        lows = smoothed[:, first:last].min(axis=1)
        means = shares[first:last].mean(axis=0)
        held = [k for k in np.argsort(-means, kind="stable").tolist() if lows[k] >= search.share]
        found.append(
            (
                runs[first],
                numbers[first],
                numbers[last - 1],
                last - first,
                tuple(names[k] for k in held),
                tuple(float(means[k]) for k in held),
                last == end,
            )
        )
    return pd.DataFrame(found, columns=["run", "start", "end", "length", "names", "shares", "open"])


def _check_share(argument: str, value: Any, high: float) -> None:
    number = isinstance(value, (int, float, np.floating)) and not isinstance(value, bool)
    if not number or not 0 < value <= high:
        raise SpecError(argument, value, f"{value!r} is out of range", f"Use 0 to {high}, not 0.")


def _smooth(shares: Floats, start: NDArray[np.intp], end: NDArray[np.intp], width: int) -> Floats:
    """Return centred means over ``width`` rounds within runs, one row per name."""
    here = np.arange(len(shares))
    low = np.maximum(start, here - (width - 1) // 2)
    high = np.minimum(end, here + width // 2 + 1)
    sums = np.zeros((shares.shape[1], len(shares) + 1))
    np.cumsum(shares.T, axis=1, out=sums[:, 1:])
    means: Floats = (sums[:, high] - sums[:, low]) / (high - low)
    return means


class _Search:
    """Looks for stretches in smoothed shares, one row per name."""

    def __init__(self, smoothed: Floats, share: float, tolerance: float, least: int) -> None:
        self.smoothed, self.share, self.tolerance, self.least = smoothed, share, tolerance, least

    def holds(self, high: Floats, low: Floats) -> NDArray[np.bool_]:
        """Whether shares with these highest and lowest values make a metastable state."""
        still: NDArray[np.bool_] = np.all(high - low <= self.tolerance, axis=0)
        several: NDArray[np.bool_] = np.sum(low >= self.share, axis=0) >= 2
        return still & several

    def stretches(
        self, starts: NDArray[np.intp], ends: NDArray[np.intp]
    ) -> list[tuple[int, int, int]]:
        """Return first row, the row after the last, and the end of the run, of every stretch."""
        from scipy.ndimage import maximum_filter1d, minimum_filter1d

        total = self.smoothed.shape[1]
        if self.least > (ends - starts).max():
            return []
        shift = self.least // 2  # the filters' windows begin this far before their centres
        high = maximum_filter1d(self.smoothed, self.least, axis=1, mode="nearest")
        low = minimum_filter1d(self.smoothed, self.least, axis=1, mode="nearest")
        good = np.zeros(total, dtype=bool)
        good[: total - shift] = self.holds(high, low)[shift:]
        room = np.repeat(ends, ends - starts) - np.arange(total) >= self.least
        begin = np.flatnonzero(good & room)
        found = []
        place = 0
        while place < len(begin):
            first = int(begin[place])
            end = int(ends[np.searchsorted(ends, first, side="right")])
            last = self.follow(first, end)
            found.append((first, last, end))
            place = int(np.searchsorted(begin, last))
        return found

    def follow(self, first: int, end: int) -> int:
        """Return the row after the last of the stretch that begins at ``first``."""
        size = 4 * self.least
        while True:
            part = self.smoothed[:, first : min(first + size, end)]
            fine = self.holds(
                np.maximum.accumulate(part, axis=1), np.minimum.accumulate(part, axis=1)
            )
            if not fine.all():
                return first + int(fine.argmin())
            if first + size >= end:
                return end
            size *= 4
