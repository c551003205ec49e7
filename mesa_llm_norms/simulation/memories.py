"""Memories packed in 64-bit numbers, and what minds play on them, kept from run to run.

``core.compiled.logit`` defines the packing. A recorded mind, which looks at the last five
interactions alone, fits with up to 64 names whatever ``memory`` is; with ten names any mind that is
a policy fits up to seven interactions, and with two up to thirty. What does not fit is played by an
``Automaton``.

The cumulative weights of a recorded mind are worked out in compiled code, when a memory is first
met. A drifting mind keeps the probabilities they come from, so that nothing but the sharpening is
done again in another run. Any other policy is asked in Python, once for each memory.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.core.compiled import load
from mesa_llm_norms.core.game import Game, Memory, Remembered
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.minds.policies import CommittedMind, TableMind, UniformMind
from mesa_llm_norms.minds.recorded import DEPTH, RecordedMind, pool_key
from mesa_llm_norms.simulation.engine import choice_weights

BUDGET = 1 << 27
"""Bytes of a table of known memories, at most: one that would become larger is emptied."""

MAX_KEPT = 4
"""Tables that a thread keeps for later runs."""

_DIRECT = 1 << 14
"""Up to so many memories, of all minds, are rows of a table; more are found by hash."""

_PLACES = 1 << 12
"""Places of a new table."""

_MAX_CACHED = 50_000

_kept = threading.local()
_epoch = 0


class KnownMemories:
    """What minds play on the memories met so far, for a compiled loop.

    Parameters
    ----------
    game
        The rules.
    minds
        The minds; the states of agents refer to them by index.
    length
        How many interactions are remembered, or matter.
    """

    dtype = np.uint64

    def __init__(self, game: Game, minds: Sequence[Mind], length: int) -> None:
        load("interactions")  # which compiles all that is used here
        self._logit = load("logit")
        self.game = game
        self.minds = tuple(minds)
        self.length = length
        self._indices = {name: index for index, name in enumerate(game.pool)}
        self._codes: dict[Memory, int] = {}
        self._memories: dict[int, Memory] = {}
        self._bits = _bits(game)
        self._full = 2 * self._bits * length
        self.known = self._first_known()
        self._cast(self.minds)

    @property
    def nbytes(self) -> int:
        """The bytes of the table."""
        known = self.known
        return int(known.keys.nbytes + known.steps.nbytes + known.probabilities.nbytes)

    def state(self, mind: int, memory: Memory) -> int:
        """Return the state of an agent that has not played yet in what is packed."""
        code = self._codes.get(memory)
        if code is None:
            code = 1
            for own, partner in memory[-self.length :]:
                code = (code << self._bits | self._indices[own]) << self._bits
                code |= self._indices[partner]
            if len(self._codes) >= _MAX_CACHED:
                self._codes.clear()
            self._codes[memory] = code
        return mind << (self._full + 1) | code

    def with_mind(self, state: int, mind: int) -> int:
        """Return the state of an agent that differs from one in ``state`` by its mind alone."""
        played = state & int(self._logit.PLAYED)
        return played | mind << (self._full + 1) | state & self._code_mask

    def memory(self, state: int) -> Memory:
        """Return what an agent in this state remembers."""
        code = state & self._code_mask
        found = self._memories.get(code)
        if found is None:
            pairs, pool, lowest, rest = [], self.game.pool, (1 << self._bits) - 1, code
            while rest > 1:
                own, partner = rest >> self._bits & lowest, rest & lowest
                pairs.append(Remembered(pool[own], pool[partner]))
                rest >>= 2 * self._bits
            if len(self._memories) >= _MAX_CACHED:
                self._memories.clear()
            found = self._memories[code] = tuple(reversed(pairs))
        return found

    def last_names(self, states: NDArray[np.uint64]) -> NDArray[np.int16]:
        """Return the index of the name that each of these agents played last.

        It is -1 for one that has not played since its memory was packed.
        """
        newest = states >> np.uint64(self._bits) & np.uint64((1 << self._bits) - 1)
        played = (states & self._logit.PLAYED) != 0
        return np.where(played, newest.astype(np.int16), np.int16(-1))

    def recast(self, minds: Sequence[Mind]) -> None:
        """Replace minds one by one, as a new run may have others."""
        known = len(minds) == len(self.minds)
        if not known or any(new is not old for new, old in zip(minds, self.minds, strict=True)):
            self._cast(minds)

    def relearn(self) -> None:
        """Work all weights out again, and ask the minds that have to be asked."""
        self.known.numbers[self._logit.EPOCH] += 1
        if not len(self.known.keys):
            self.known.steps[:, 0] = -1

    def find_out(self, key: int) -> None:
        """Ask a mind how it chooses on a memory; ``MindError`` if it gives no distribution."""
        mind, memory = key >> (self._full + 1), self.memory(key)
        weights = choice_weights(self.minds[mind], memory, self.game)[:-1]
        while (row := self._logit.claim(self.known, np.uint64(key))) == self._logit.FULL:
            self.grow()
        self.known.steps[row, : len(weights)] = weights
        self._logit.settle(self.known, np.uint64(key), row)

    def grow(self) -> None:
        """Give the table twice as many places."""
        old = self.known
        table = self._table(2 * len(old.keys), len(old.probabilities) > 0)
        new = old._replace(**table, numbers=old.numbers.copy())
        new.numbers[self._logit.STORED] = 0
        self._logit.move(old, new)
        self.known = new

    @property
    def _code_mask(self) -> int:
        return (2 << self._full) - 1

    def _cast(self, minds: Sequence[Mind]) -> None:
        self.minds = ()  # should this be interrupted, it is done again
        for index, mind in enumerate(minds):
            if isinstance(mind, RecordedMind):
                self.known.inverse_temperature[index] = mind.inverse_temperature
            if self.known.kinds[index] == self._logit.FIXED:
                self.known.fixed[index] = choice_weights(mind, (), self.game)[:-1]
        self.relearn()
        self.minds = tuple(minds)

    def _first_known(self) -> Any:
        logit, minds, names = self._logit, self.minds, len(self.game.pool)
        recorded = [mind for mind in minds if type(mind) is RecordedMind]
        kinds = [logit.ASKED] * len(minds)
        for index, mind in enumerate(minds):
            if type(mind) is RecordedMind:
                kinds[index] = recorded.index(mind)
            elif _depth(mind, self.game) == 0:
                kinds[index] = logit.FIXED
        places = 0 if len(minds) << (self._full + 1) <= _DIRECT else _PLACES
        all_of_it, mind_alone = int(logit.NO_KEY), int(logit.NO_KEY) & ~self._code_mask
        masks = [mind_alone if places and kind == logit.FIXED else all_of_it for kind in kinds]
        tables = [mind.tables(self.game.pool) for mind in recorded]
        counted, counts = self._counted()
        drifting = any(
            pool_key(self.game.pool) in mind.drift or mind.inverse_temperature != 1
            for mind in recorded
        )
        shape = (len(recorded), names)
        return logit.Known(
            names=names,
            bits=np.uint64(self._bits),
            full=np.uint64(self._full),
            most=self._most(drifting),
            **self._table(places, drifting),
            masks=np.array(masks, np.uint64),
            kinds=np.array(kinds, np.int64),
            fixed=np.zeros((len(minds), names - 1), np.int64),
            alone=np.array([one[0] for one in tables]).reshape(len(recorded), 2, names),
            own=np.array([one[1] for one in tables]).reshape(*shape, logit.PROFILES),
            strangers=np.array([one[2] for one in tables]).reshape(len(recorded), DEPTH + 1),
            counted=counted,
            counts=counts,
            prior=np.array([float(getattr(mind, "prior_strength", 0)) for mind in minds]),
            inverse_temperature=np.ones(len(minds)),
            numbers=np.zeros(2, np.int64),
            reals=np.zeros((3, names + 8)),
            places=np.zeros((3, max(names, DEPTH)), np.int64),
        )

    def _table(self, places: int, drifting: bool) -> dict[str, Any]:
        """Return an empty table of so many places; with none, of a row for each memory."""
        names = len(self.game.pool)
        rows = places or len(self.minds) << (self._full + 1)
        kept = rows if drifting or not places else 0
        return {
            "keys": np.full(places, self._logit.NO_KEY, np.uint64),
            "steps": np.full((rows, names - 1 + (places > 0)), -1, np.int64),
            "probabilities": np.full((kept, names), -1.0),
        }

    def _most(self, drifting: bool) -> int:
        """Return the most places that the table may have: a power of two, within the budget."""
        names = len(self.game.pool)
        each = 8 * (1 + names + names * drifting)
        return max(_PLACES, 1 << (BUDGET // each).bit_length() - 1)

    def _counted(self) -> tuple[NDArray[np.uint64], NDArray[np.float64]]:
        """Return the states with recorded counts, in order, and these with their sums."""
        pool, lines = self.game.pool, []
        for index, mind in enumerate(self.minds):
            if type(mind) is RecordedMind:
                for memory, counts in mind.counts.get(pool_key(pool), {}).items():
                    if len(memory) <= self.length:
                        chosen = [counts.get(name, 0) for name in pool]
                        total = sum(counts.values()) + mind.prior_strength
                        lines.append((self.state(index, memory), *chosen, total))
        lines.sort(key=lambda line: line[0])
        states = np.array([line[0] for line in lines], np.uint64)
        numbers = np.array([line[1:] for line in lines], np.float64)
        return states, numbers.reshape(len(lines), len(pool) + 1)


def known_for(game: Game, minds: Sequence[Mind], whole: bool = False) -> KnownMemories | None:
    """Return the table for these minds; one that this thread has, if it had them before.

    Parameters
    ----------
    game : Game
        The rules.
    minds : sequence of Mind
        Policies.
    whole : bool, default False
        Whether all that is remembered is packed, also what no mind looks at.

    Returns
    -------
    KnownMemories or None
        None where a memory does not fit into 64 bits.
    """
    depths = [game.memory] if whole else [_depth(mind, game) for mind in minds]
    length = max(1, min(game.memory, max(depths)))
    if 2 * _bits(game) * length + 1 + (len(minds) - 1).bit_length() > 63:
        return None
    if not hasattr(_kept, "tables"):
        _kept.tables, _kept.epoch = OrderedDict(), _epoch
    tables: OrderedDict[Any, KnownMemories] = _kept.tables
    key = game.pool, length, tuple(map(_identity, minds))
    found = tables.pop(key, None)
    if _epoch != _kept.epoch:
        for each in (*tables.values(), *([found] if found else [])):
            each.relearn()
        _kept.epoch = _epoch
    if found is None:
        found = KnownMemories(game, minds, length)
    tables[key] = found
    while len(tables) > 1 and (
        len(tables) > MAX_KEPT or sum(each.nbytes for each in tables.values()) > BUDGET
    ):
        tables.popitem(last=False)
    found.recast(minds)
    return found


def forget() -> None:
    """Let go of all tables of this thread."""
    _kept.__dict__.clear()


def invalidate_memories() -> None:
    """Have minds asked again how they choose, should they have changed in place."""
    global _epoch
    _epoch += 1


def _bits(game: Game) -> int:
    """Return how many bits the index of a name takes."""
    return (len(game.pool) - 1).bit_length()


def _depth(mind: Mind, game: Game) -> int:
    """Return how many interactions a mind looks at, at most."""
    if type(mind) is RecordedMind:
        return DEPTH
    if type(mind) in (UniformMind, CommittedMind):
        return 0
    return max(map(len, mind.table)) if type(mind) is TableMind else game.memory


def _identity(mind: Mind) -> Any:
    """Return what tells minds apart between which known memories cannot be shared."""
    if type(mind) is RecordedMind:
        return id(mind.weights), id(mind.counts), mind.prior_strength
    return type(mind), mind.label
