"""When a run stops, and how it stands: the last interactions, and what is asked of them.

Names are numbers here, their indices in the pool, so that compiled loops keep the same window.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.limits import read_number, read_whole
from mesa_llm_norms.errors import SpecError, shown

WINDOW = 3

MAX_ROUNDS = 1_000
"""How many rounds a run may take when only ``until`` says when to stop."""

UNTIL = ("converged", "agreed", "flipped")
"""The stopping rules."""

MOST = 0.95
"""Share of the names played that one name needs to have flipped, and with as large a share of the
nodes that hold it, to be agreed on."""


class Goal(NamedTuple):
    """When a run stops.

    Parameters
    ----------
    until : str or None, default None
        ``"converged"``: at least ``threshold`` of the last interactions matched. ``"agreed"``: 95%
        of the names played in them are one name, which 95% of the nodes hold. ``"flipped"``: 95%
        of the names played in them are one committed name. None: never.
    window : float, default 3
        How many times N interactions are looked at, above 0 and up to 1,000.
    threshold : float, default 1.0
        Share of them that must match, above 0 and up to 1.
    """

    until: str | None = None
    window: float = WINDOW
    threshold: float = 1.0


class Outcome(NamedTuple):
    """How a run stands.

    Parameters
    ----------
    interactions : int
        How many have been played.
    rounds : int
        How many population rounds have been started.
    converged : bool
        Whether enough of the last interactions matched; see ``NamingGame.run``.
    flipped : bool
        Whether 95% of the names played in the last interactions are one committed name.
    winner : str or None
        The name played most in the last interactions; None before the first.
    share : float
        The winner's share of the names played in them, 0 to 1.
    success_rate : float
        Share of them that matched, 0 to 1.
    agreed : bool
        Whether 95% of the nodes hold one name, and 95% of the names played in the last interactions
        are that name.
    names_left : int
        How many different names are held.
    """

    interactions: int
    rounds: int
    converged: bool
    flipped: bool
    winner: str | None
    share: float
    success_rate: float
    agreed: bool
    names_left: int

    @property
    def one_name(self) -> bool:
        """Whether all agents that have played hold the same name."""
        return self.names_left == 1


class Stop(NamedTuple):
    """When a full window ends a run: this many matches, or this often one of these names.

    That name must also have so many ``holders``. A number of zero asks for nothing.
    """

    matches: int = 0
    plays: int = 0
    names: tuple[int, ...] = ()
    holders: int = 0


class Holders:
    """How many nodes hold each name, counted as interactions come, with a pool of ``names`` names.

    ``held`` is the name of each of the ``nodes`` at the start, -1 for none.
    """

    def __init__(self, nodes: Sequence[Hashable], held: NDArray[np.int16], names: int) -> None:
        self._held = dict(zip(nodes, held.tolist(), strict=True))
        self.counts: list[int] = count_holders(held, names)

    def add(self, node: Hashable, name: int) -> None:
        """Note that a node holds this name now."""
        before = self._held[node]
        if before >= 0:
            self.counts[before] -= 1
        self.counts[name] += 1
        self._held[node] = name


class Recent:
    """The last ``size`` interactions, counted as they come, with a pool of ``names`` names.

    ``successes`` says which pairs of names are a success, shape (names, names); by default, those
    of equal names. ``ring`` holds for each the index of the first name in the high 16 bits and that
    of the second in the low ones; the next goes to ``place``, and ``filled`` of them are there.
    """

    def __init__(self, size: int, names: int, successes: NDArray[np.bool_] | None = None) -> None:
        self.size = size
        self.names = names
        self.successes: NDArray[np.bool_] = (
            np.eye(names, dtype=np.bool_) if successes is None else successes
        )
        self._hits = self.successes.tolist()
        self.ring: array[int] = array("I", bytes(4 * size))
        self.place: int = 0
        self.filled: int = 0
        self.matched: int = 0
        self.played: list[int] = [0] * names

    def add(self, *names: int) -> None:
        """Count one more interaction, and forget the one that falls out of the window."""
        name_a, name_b = names
        place, played = self.place, self.played
        if self.filled == self.size:
            old = self.ring[place]
            old_a, old_b = old >> 16, old & 0xFFFF
            played[old_a] -= 1
            played[old_b] -= 1
            self.matched -= self._hits[old_a][old_b]
        else:
            self.filled += 1
        self.ring[place] = name_a << 16 | name_b
        self.place = place + 1 if place + 1 < self.size else 0
        self.matched += self._hits[name_a][name_b]
        played[name_a] += 1
        played[name_b] += 1

    def resized(self, size: int) -> Recent:
        """Return the same history seen through a window of another size."""
        if size == self.size:
            return self
        other = Recent(size, self.names, self.successes)
        kept = self.in_order()[-size:]
        other.view[: len(kept)] = kept
        other.filled, other.place = len(kept), len(kept) % size
        other.recount()
        return other

    @property
    def view(self) -> NDArray[np.uint32]:
        """The ring as an array that writes to it."""
        return np.frombuffer(self.ring, np.uint32)

    def in_order(self) -> NDArray[np.uint32]:
        """Return what is in the ring, oldest first."""
        held = self.view
        return np.roll(held, -self.place) if self.full else held[: self.filled]

    def recount(self) -> None:
        """Bring the counts in line with the ring after something else wrote to it."""
        held = self.view[: self.filled].astype(np.int64)
        first, second = held >> 16, held & 0xFFFF
        self.played = np.bincount(np.concatenate([first, second]), minlength=self.names).tolist()
        self.matched = int(self.successes[first, second].sum())

    @property
    def full(self) -> bool:
        """Whether ``size`` interactions have been counted."""
        return self.filled == self.size

    @property
    def success_rate(self) -> float:
        """Share of the counted interactions that were a success."""
        return self.matched / self.filled if self.filled else 0.0

    def share(self, name: int) -> float:
        """Share of the names played in the counted interactions that are ``name``."""
        return self.played[name] / (2 * self.filled) if self.filled else 0.0

    def leader(self) -> int | None:
        """The name played most, None if nothing was; of equals, the earlier one in the pool."""
        return max(range(self.names), key=self.played.__getitem__) if self.filled else None

    def reaches(self, stop: Stop, holders: Sequence[int] | None = None) -> bool:
        """Whether the window is full and ends the run, given how many nodes hold each name.

        Without ``holders`` any number of them is enough.
        """
        if self.filled < self.size:
            return False
        if stop.matches and self.matched >= stop.matches:
            return True
        return bool(stop.plays) and any(
            self.played[name] >= stop.plays and (holders is None or holders[name] >= stop.holders)
            for name in stop.names
        )


class RecentGroups(Recent):
    """The same for interactions of any number of agents, which come as tuples of names.

    ``success`` says of such a tuple whether it is one.
    """

    filled: int
    matched: int

    def __init__(self, size: int, names: int, success: Callable[[tuple[int, ...]], bool]) -> None:
        super().__init__(1, names)
        self.size = size
        self._success = success
        self._held: deque[tuple[int, ...]] = deque()

    def add(self, *names: int) -> None:
        """Count one more interaction, and forget the one that falls out of the window."""
        if self.filled == self.size:
            old = self._held.popleft()
            self.matched -= self._success(old)
            for name in old:
                self.played[name] -= 1
        else:
            self.filled += 1
        self._held.append(names)
        self.matched += self._success(names)
        for name in names:
            self.played[name] += 1

    def resized(self, size: int) -> Recent:
        """Return the same history seen through a window of another size."""
        if size == self.size:
            return self
        other = RecentGroups(size, self.names, self._success)
        for names in list(self._held)[-size:]:
            other.add(*names)
        return other

    def share(self, name: int) -> float:
        """Share of the names played in the counted interactions that are ``name``."""
        return self.played[name] / sum(self.played) if self.filled else 0.0

    def reaches(self, stop: Stop, holders: Sequence[int] | None = None) -> bool:
        """Whether the window is full and ends the run; see ``Recent.reaches``."""
        if stop.plays:
            stop = stop._replace(plays=most(sum(self.played) or 1))
        return super().reaches(stop, holders)


def window_size(goal: Goal, agents: int) -> int:
    """Return how many interactions a goal looks at in a population."""
    return max(1, round(goal.window * agents))


def converging(size: int, threshold: float) -> Stop:
    """Return the stop at which at least ``threshold`` of ``size`` interactions matched."""
    return Stop(matches=max(1, math.ceil(threshold * size)))


def flipping(size: int, names: Sequence[int]) -> Stop:
    """Return the stop at which 95% of the names in ``size`` interactions are one of ``names``."""
    return Stop(plays=most(2 * size), names=tuple(names))


def agreeing(size: int, names: int, nodes: int) -> Stop:
    """Return the stop at which 95% of the names in ``size`` interactions and nodes are one name."""
    return Stop(plays=most(2 * size), names=tuple(range(names)), holders=most(nodes))


def count_holders(held: NDArray[np.int16], names: int) -> list[int]:
    """Return how many nodes hold each name, given the index of what each holds, -1 for none."""
    counts: list[int] = np.bincount(held[held >= 0], minlength=names).tolist()
    return counts


def most(total: int) -> int:
    """Return the least number that is 95% of a total."""
    least = math.ceil(MOST * total)
    while (least - 1) / total >= MOST:
        least -= 1
    while least / total < MOST:
        least += 1
    return least


def check_goal(goal: Goal, committed_names: Sequence[str]) -> None:
    """Raise ``SpecError`` for a goal that is not valid, or that nothing could reach."""
    check_stopping(*goal)
    if goal.until == "flipped" and not committed_names:
        raise SpecError(
            "until",
            goal.until,
            "nobody is committed, so no convention can be flipped",
            'Commit somebody, such as committed={"M": 5}, or run until="converged".',
        )


def check_stopping(until: str | None, window: float, threshold: float) -> None:
    """Raise ``SpecError`` unless these are a valid stopping rule."""
    if until is not None and (not isinstance(until, str) or until not in UNTIL):
        raise SpecError(
            "until",
            until,
            f"{shown(until)} is not a valid stopping rule",
            'Use "converged", "agreed", "flipped" or None.',
        )
    read_number("window", window, limits.WINDOW_ROUNDS)
    read_number("threshold", threshold, limits.THRESHOLD)


def read_rounds(rounds: int | None, until: str | None) -> int:
    """Return how many rounds may be played at most; ``SpecError`` if nothing would end the run."""
    if rounds is None:
        if until is None:
            raise SpecError(
                "rounds", rounds, "nothing says when to stop", "Give rounds= or until=."
            )
        return MAX_ROUNDS
    return read_whole("rounds", rounds, limits.ROUNDS)
