"""Minds and memories as a finite automaton, for what does not fit into packed numbers.

What an agent remembers is a state, its choice depends on the state, and what it plays and sees
takes it to the next one. Nothing is enumerated: states, cumulative weights and transitions are
worked out when they are first needed, in Python, and are numbered as they come.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.core.compiled import load
from mesa_llm_norms.core.game import Game, GameRules, Memory, keep
from mesa_llm_norms.core.referee import Referee
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.simulation.engine import choice_weights

BUDGET = 1 << 28
"""Bytes of tables after which states that no agent is in are forgotten."""

MAX_AUTOMATA = 4
"""Automata that a thread keeps for later runs."""

_kept = threading.local()
_epoch = 0


class State(NamedTuple):
    """The index of a mind, a memory, and the index of the name played last (-1 for none)."""

    mind: int
    memory: Memory
    last: int


class Automaton:
    """The states of agents with the minds of ``minds``, playing ``game``.

    The tables are those of ``compiled.interactions.Tables``. They grow, so read them again after
    every call.
    """

    dtype = np.uint32

    def __init__(self, game: GameRules, minds: Sequence[Mind]) -> None:
        self.game = game
        self._referee = Referee(game)
        self._sided = int(not game.symmetric)
        self.minds: tuple[Mind, ...] = tuple(minds)
        self.names: int = len(game.pool)
        self._most = BUDGET // (8 * self.names + 400)
        self._known: list[State] = []
        self._numbers: dict[State, int] = {}
        self.steps: NDArray[np.int64] = np.full((64, self.names - 1), -1, np.int64)
        self.keys: NDArray[np.int64] = np.full(128, -1, np.int64)
        self.values: NDArray[np.int32] = np.full(len(self.keys), -1, np.int32)
        self._stored = 0

    @property
    def known(self) -> Any:
        """The tables for the loop."""
        return load("interactions").Tables(
            self.names, self._sided, self.steps, self.keys, self.values
        )

    def __len__(self) -> int:
        return len(self._known)

    def state(self, mind: int, memory: Memory) -> int:
        """Return the state of an agent that has not played yet in what is numbered."""
        return self._number(State(mind, memory, -1))

    def with_mind(self, state: int, mind: int) -> int:
        """Return the state of an agent that differs from one in ``state`` by its mind alone."""
        return self._number(self._known[state]._replace(mind=mind))

    def memory(self, state: int) -> Memory:
        """Return what an agent in this state remembers."""
        return self._known[state].memory

    def last_names(self, states: NDArray[np.uint32]) -> NDArray[np.int16]:
        """Return the index of the name played last in each of these states, -1 for none."""
        known = self._known
        return np.array([known[state].last for state in states.tolist()], np.int16)

    def find_out(self, state_a: int, state_b: int, name_a: int, name_b: int) -> None:
        """Work out what an interaction needs: choices or, with names, what the states become."""
        if name_a < 0:
            for state in (state_a, state_b):
                if self.steps[state, 0] < 0:
                    self.learn(state)
        else:
            self.connect(state_a, name_a, name_b)
            self.connect(state_b, name_b, name_a, self._sided)

    def learn(self, state: int) -> None:
        """Work out how the choice in this state is made; ``MindError`` if the mind gives none."""
        mind, memory, _ = self._known[state]
        self.steps[state] = choice_weights(self.minds[mind], memory, self.game)[:-1]

    def connect(self, state: int, own: int, partner: int, seat: int = 0) -> int:
        """Work out, and return, what this state becomes by playing and seeing these names.

        ``seat`` is 0 throughout in games that are the same for both.
        """
        pool = self.game.pool
        mind, memory, _ = self._known[state]
        moves = (pool[partner], pool[own]) if seat else (pool[own], pool[partner])
        memory = keep(memory, self._referee.experience(moves, seat), self.game.memory)
        became = self._number(State(mind, memory, own))
        seen = (seat * self.names + own) * self.names + partner
        if 2 * (self._stored + 1) > len(self.keys):
            self._rehash()
        self._stored += 1  # before, for an interrupt: there must never be more than is counted
        key, value = (
            np.array([state * (1 + self._sided) * self.names**2 + seen]),
            np.array([became], np.int32),
        )
        load("interactions").store(self.keys, self.values, key, value)
        return became

    def recast(self, minds: Sequence[Mind]) -> None:
        """Replace minds one by one, as a new run may have others."""
        changed = [new is not old for new, old in zip(minds, self.minds, strict=True)]
        if any(changed):
            here = [state for state, known in enumerate(self._known) if changed[known.mind]]
            self.steps[here, 0] = -1
        self.minds = tuple(minds)

    def relearn(self) -> None:
        """Ask all minds again how they choose."""
        self.steps[:, 0] = -1

    @property
    def overgrown(self) -> bool:
        """Whether the tables are over budget, so that ``only`` should drop a part."""
        return len(self) > self._most

    def only(self, states: NDArray[np.uint32]) -> tuple[Automaton, NDArray[np.uint32]]:
        """Return an automaton that knows these states alone, and their numbers in it."""
        kept, numbers = np.unique(states, return_inverse=True)
        other = Automaton(self.game, self.minds)
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
        self.steps = np.concatenate([self.steps, np.full_like(self.steps, -1)])

    def _rehash(self) -> None:
        used = self.keys >= 0
        keys = np.full(2 * len(used), -1, np.int64)
        values = np.full(len(keys), -1, np.int32)
        load("interactions").store(keys, values, self.keys[used], self.values[used])
        self.keys, self.values = keys, values


def invalidate_automata() -> None:
    """Have minds asked again how they choose, should they have changed in place."""
    global _epoch
    _epoch += 1


def automaton_for(game: GameRules, minds: Sequence[Mind]) -> Automaton:
    """Return an automaton for these minds; one that this thread has, if it had them before."""
    if not hasattr(_kept, "automata"):
        _kept.automata = OrderedDict()
    automata: OrderedDict[Any, Automaton] = _kept.automata
    rules = None if isinstance(game, Game) else id(game)  # which the automaton keeps alive
    key = game.pool, game.memory, rules, tuple(mind.label for mind in minds)
    automaton = automata.pop(key, None)
    if automaton is None or automaton.overgrown:
        automaton = Automaton(game, minds)
    if _epoch != getattr(_kept, "epoch", 0):
        for each in (automaton, *automata.values()):
            each.relearn()
        _kept.epoch = _epoch
    automata[key] = automaton
    while len(automata) > MAX_AUTOMATA:
        automata.popitem(last=False)
    automaton.recast(minds)
    return automaton
