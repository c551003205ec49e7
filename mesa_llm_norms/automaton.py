"""Agents as a finite automaton: what an agent remembers is a state, numbered when first met.

A mind that is a function of memory chooses by its state, and what it plays and sees takes it to the
next one. Nothing is enumerated: states, thresholds and transitions are worked out as they are asked
for, so that ten names and a memory of five cost what is met of their 10**10 memories.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.compiled import load
from mesa_llm_norms.execution import steps_of
from mesa_llm_norms.game import Game
from mesa_llm_norms.memory import Memory, remember
from mesa_llm_norms.minds.mind import Mind

DENSE = 10
"""Up to so many names, transitions are a table; with more they are looked up by key."""
BUDGET = 1 << 28
"""Bytes of tables after which states that nobody is in are forgotten."""


class State(NamedTuple):
    """A mind's place in the roster, a memory, and the place of the name played last, or -1."""

    seat: int
    memory: Memory
    last: int


class Automaton:
    """The states of agents with the minds of ``roster``, playing ``game``.

    The tables are those of ``compiled.game.Tables``; they grow, so read them anew after every call.
    """

    def __init__(self, game: Game, roster: Sequence[Mind]) -> None:
        self.game = game
        self.roster = tuple(roster)
        self.names = len(game.pool)
        self._dense = self.names <= DENSE
        self._places = {name: place for place, name in enumerate(game.pool)}
        self._most = BUDGET // (8 * self.names + 4 * self.names**2 * self._dense + 400)
        self._known: list[State] = []
        self._numbers: dict[State, int] = {}
        self.steps = np.full((64, self.names - 1), -1, np.int64)
        self.nexts = np.full((64, self.names**2 if self._dense else 0), -1, np.int32)
        self.keys = np.full(0 if self._dense else 128, -1, np.int64)
        self.values = np.full(len(self.keys), -1, np.int32)
        self._stored = 0

    def __len__(self) -> int:
        return len(self._known)

    def state(self, seat: int, memory: Memory, name: str | None = None) -> int:
        """Return the state of an agent that has played ``name`` last, None if it has not played."""
        return self._number(State(seat, memory, -1 if name is None else self._places[name]))

    def memory(self, state: int) -> Memory:
        """Return what an agent in this state remembers."""
        return self._known[state].memory

    def last_names(self, states: NDArray[np.uint32]) -> NDArray[np.int16]:
        """Return the place of the name played last in each of these states, -1 for none."""
        known = self._known
        return np.array([known[state].last for state in states.tolist()], np.int16)

    def learn(self, state: int) -> None:
        """Work out how the choice in this state is made; ``MindError`` if the mind gives none."""
        seat, memory, _ = self._known[state]
        self.steps[state] = steps_of(self.roster[seat], memory, self.game)[:-1]

    def connect(self, state: int, own: int, partner: int) -> None:
        """Work out what this state becomes by playing and seeing these names."""
        pool = self.game.pool
        seat, memory, _ = self._known[state]
        memory = remember(memory, pool[own], pool[partner], self.game.memory)
        became = self._number(State(seat, memory, own))
        seen = own * self.names + partner
        if self._dense:
            self.nexts[state, seen] = became
        else:
            key = state * self.names**2 + seen
            if 2 * (self._stored + 1) > len(self.keys):
                self._rehash()
            self._store([key], [became])

    def recast(self, roster: Sequence[Mind]) -> None:
        """Go on with other minds in the same seats, as a new run may have them."""
        changed = [new is not old for new, old in zip(roster, self.roster, strict=True)]
        self.roster = tuple(roster)
        if any(changed):
            here = [state for state, known in enumerate(self._known) if changed[known.seat]]
            self.steps[here, 0] = -1

    def relearn(self) -> None:
        """Ask all minds anew how they choose."""
        self.steps[:, 0] = -1

    @property
    def overgrown(self) -> bool:
        """Whether the tables are over budget, so that it is time to go on ``only`` with a part."""
        return len(self) > self._most

    def only(self, states: NDArray[np.uint32]) -> tuple[Automaton, NDArray[np.uint32]]:
        """Return an automaton that knows these states alone, and their numbers in it."""
        kept, numbers = np.unique(states, return_inverse=True)
        other = Automaton(self.game, self.roster)
        other._most = max(self._most, 2 * len(kept))
        for old in kept.tolist():
            other._number(self._known[old])
        return other, numbers.astype(np.uint32)

    def _number(self, state: State) -> int:
        found = self._numbers.get(state)
        if found is None:
            if len(self._known) == len(self.steps):
                self._grow()
            found = len(self._known)
            self._known.append(state)
            self._numbers[state] = found
        return found

    def _grow(self) -> None:
        for name in ("steps", "nexts"):
            table: NDArray[Any] = getattr(self, name)
            setattr(self, name, np.concatenate([table, np.full_like(table, -1)]))

    def _rehash(self) -> None:
        used = self.keys >= 0
        keys, values = self.keys[used], self.values[used]
        self.keys = np.full(2 * len(self.keys), -1, np.int64)
        self.values = np.full(len(self.keys), -1, np.int32)
        self._stored = 0
        self._store(keys, values)

    def _store(self, keys: Any, values: Any) -> None:
        load("game").store(
            self.keys, self.values, np.asarray(keys, np.int64), np.asarray(values, np.int32)
        )
        self._stored += len(keys)
