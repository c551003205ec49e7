"""Memories packed in numbers, and what minds play on them, kept from run to run.

``core.compiled.logit`` defines the packing. A recorded mind, which looks at the last five
interactions alone, fits with up to 64 names whatever ``memory`` is; with ten names any mind that is
a policy fits up to seven interactions, and with two up to thirty. What does not fit is played by an
``Automaton``.

The cumulative weights of a recorded mind are worked out in compiled code, and again where they are
no longer kept. Any other policy is asked in Python, once for each memory.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.core.compiled import load
from mesa_llm_norms.core.game import Game, GameRules, Memory, Remembered, as_pairs
from mesa_llm_norms.core.referee import Referee
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.minds.policies import CommittedMind, TableMind, UniformMind
from mesa_llm_norms.minds.recorded import DEPTH, RecordedMind, pool_key
from mesa_llm_norms.simulation.engine import choice_weights

BUDGET = 1 << 27
"""Bytes of what minds were asked, at most: a table that would become larger is emptied."""

MAX_KEPT = 4
"""Tables that a thread keeps for later runs."""

_DIRECT = 1 << 14
"""Up to so many memories, of all minds, are rows of a table, and states have 16 bits. Of more,
those met lately are kept, and states have 64."""

_LATELY = 1 << 19
"""Bytes of the table of memories met lately, about: it has to fit into a cache of the processor."""

_FIRST_ASKED = 1 << 8
"""Places of a new table of what minds were asked."""

_WILD = 300.0
"""Utilities beyond which no quick sum is trusted: their exponentials lose digits, or overflow."""

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

    def __init__(self, game: GameRules, minds: Sequence[Mind], length: int) -> None:
        load("interactions")  # which compiles all that is used here
        self._logit = load("logit")
        self.game = game
        self._referee = Referee(game)
        self.minds: tuple[Mind, ...] = tuple(minds)
        self.length = length
        self._indices = {name: index for index, name in enumerate(game.pool)}
        self._codes: dict[Memory, int] = {}
        self._memories: dict[int, Memory] = {}
        self._bits = _bits(game)
        self._full = 2 * self._bits * length
        self._rows = len(self.minds) << (self._full + 1)
        self._hashed = self._rows > _DIRECT
        self.dtype: type[np.unsignedinteger[Any]] = np.uint64 if self._hashed else np.uint16
        self._played = 1 << (63 if self._hashed else 15)
        self._answered = 0
        self.known: Any = self._first_known()
        self._cast(self.minds)

    @property
    def nbytes(self) -> int:
        """The bytes of the tables."""
        known = self.known
        return sum(one.nbytes for one in (known.keys, known.steps, known.asked, known.answers))

    def state(self, mind: int, memory: Memory) -> int:
        """Return the state of an agent that has not played yet in what is packed."""
        code = self._codes.get(memory)
        if code is None:
            code = 1
            for own, partner in as_pairs(memory[-self.length :]):
                code = (code << self._bits | self._indices[own]) << self._bits
                code |= self._indices[partner]
            if len(self._codes) >= _MAX_CACHED:
                self._codes.clear()
            self._codes[memory] = code
        return mind << (self._full + 1) | code

    def with_mind(self, state: int, mind: int) -> int:
        """Return the state of an agent that differs from one in ``state`` by its mind alone."""
        played = state & self._played
        return played | mind << (self._full + 1) | state & self._code_mask

    def memory(self, state: int) -> Memory:
        """Return what an agent in this state remembers."""
        code = state & self._code_mask
        found = self._memories.get(code)
        if found is None:
            pairs, pool, lowest, rest = [], self.game.pool, (1 << self._bits) - 1, code
            while rest > 1:
                own, partner = rest >> self._bits & lowest, rest & lowest
                past = self._referee.experience((pool[own], pool[partner]), 0)
                pairs.append(cast(Remembered, past))
                rest >>= 2 * self._bits
            if len(self._memories) >= _MAX_CACHED:
                self._memories.clear()
            found = self._memories[code] = tuple(reversed(pairs))
        return found

    def last_names(self, states: NDArray[Any]) -> NDArray[np.int16]:
        """Return the index of the name that each of these agents played last.

        It is -1 for one that has not played since its memory was packed.
        """
        wide = states.astype(np.uint64, copy=False)
        newest = wide >> np.uint64(self._bits) & np.uint64((1 << self._bits) - 1)
        played = (wide & np.uint64(self._played)) != 0
        return np.where(played, newest.astype(np.int16), np.int16(-1))

    def recast(self, minds: Sequence[Mind]) -> None:
        """Replace minds one by one, as a new run may have others."""
        known = len(minds) == len(self.minds)
        if not known or any(new is not old for new, old in zip(minds, self.minds, strict=True)):
            self._cast(minds)

    def relearn(self) -> None:
        """Work all weights out again, and ask the minds that have to be asked."""
        self._logit.relearn(self.known)
        self._answered = 0

    def find_out(self, *states: int) -> None:
        """Ask minds how they choose in these states; ``MindError`` if one gives no distribution."""
        logit = self._logit
        for state in states:
            key = np.uint64(state)
            if logit.learn(self.known, key) != logit.ASK:
                continue
            mind, memory = state >> (self._full + 1), self.memory(state)
            weights = choice_weights(self.minds[mind], memory, self.game)[:-1]
            self._make_room()
            place = logit.find_answer(self.known.asked, key)
            self.known.asked[place], self.known.answers[place] = key, weights
            self._answered += 1

    def _make_room(self) -> None:
        """Have a free place for an answer: in twice as many, or by forgetting what there is."""
        known, places = self.known, len(self.known.asked)
        if 2 * (self._answered + 1) <= places:
            return
        # Less than what was counted where compiled code has forgotten.
        self._answered = int((known.asked != self._logit.NO_KEY).sum())
        if 2 * (self._answered + 1) <= places:
            return
        names = len(self.game.pool)
        if places * 2 * 8 * names > BUDGET:
            known.asked[:] = self._logit.NO_KEY
            self._answered = 0
            return
        asked, answers = _answers(2 * places, names)
        self._logit.enter(known.asked, known.answers, asked, answers)
        self.known = known._replace(asked=asked, answers=answers)

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
            elif memory_depth(mind, self.game) == 0:
                kinds[index] = logit.FIXED
        all_of_it, mind_alone = (1 << 64) - 1, ((1 << 64) - 1) & ~self._code_mask
        masks = [
            mind_alone if self._hashed and kind == logit.FIXED else all_of_it for kind in kinds
        ]
        logits = [_utilities(mind, self.game) for mind in recorded]
        counted, counts = self._counted()
        asked, answers = _answers(_FIRST_ASKED, names)
        places = 1 << (_LATELY // (8 * names)).bit_length() - 1 if self._hashed else 0
        return logit.Known(
            names=names,
            bits=np.uint64(self._bits),
            full=np.uint64(self._full),
            played=np.uint64(self._played),
            keys=np.full(places, logit.NO_KEY),
            steps=np.full((places or self._rows, names - 1), -1, np.int64),
            asked=asked,
            answers=answers,
            masks=np.array(masks, np.uint64),
            kinds=np.array(kinds, np.int64),
            fixed=np.zeros((len(minds), names - 1), np.int64),
            values=np.array([[one.utilities, one.weights] for one in logits])
            .reshape(len(logits), 2, logit.PROFILES, names)
            .swapaxes(0, 1)
            .copy(),
            blurs=np.array([one.blur for one in logits]),
            counted=counted,
            counts=counts,
            prior=np.array([float(getattr(mind, "prior_strength", 0)) for mind in minds]),
            inverse_temperature=np.ones(len(minds)),
            work=np.zeros(names + 8),
            partials=np.zeros(names + 8),
            out=np.zeros(names),
            at=np.zeros(names, np.uint64),
            met=np.zeros(2 * DEPTH, np.uint64),
        )

    def _counted(self) -> tuple[NDArray[np.uint64], NDArray[np.float64]]:
        """Return the states with recorded counts, by open addressing, and these with their sums."""
        pool, lines = self.game.pool, []
        for index, mind in enumerate(self.minds):
            if type(mind) is RecordedMind:
                for memory, counts in mind.counts.get(pool_key(pool), {}).items():
                    if len(memory) <= self.length:
                        chosen = [counts.get(name, 0) for name in pool]
                        total = sum(counts.values()) + mind.prior_strength
                        lines.append((self.state(index, memory), *chosen, total))
        places = 1 << (4 * len(lines)).bit_length()
        states = np.full(places, self._logit.NO_KEY)
        numbers = np.zeros((places if lines else 0, len(pool) + 1))
        for state, *line in lines:
            place = self._logit.find_answer(states, np.uint64(state))
            states[place] = state
            numbers[place] = line
        return states, numbers


class _Utilities(NamedTuple):
    """The utility of each name by profile, its exponential, and how wrong quick sums may be."""

    utilities: NDArray[np.float64]
    weights: NDArray[np.float64]
    blur: float


def _utilities(mind: RecordedMind, game: GameRules) -> _Utilities:
    """Return what a logit has by profile and name, shape (1365, names).

    A name that was met has a profile of its own; the last profile of each length is that of all
    others. The blur is in units of 2**-32, with a margin of four.
    """
    alone, own, strangers = mind.tables(game.pool)
    found = own.T + alone[0]
    found[0] = alone[1] + own[:, 0]
    at = -1
    for length, utility in enumerate(strangers):
        at += 4**length
        found[at] = alone[int(length == 0)] + utility
    largest = np.abs(found).max()
    if not largest <= _WILD:
        return _Utilities(found, np.ones_like(found), 1.0)
    rounding = 8 * largest + 20 + 4 * len(game.pool)
    return _Utilities(found, np.exp(found), float(4 * rounding * 2.0 ** (32 - 53)))


def _answers(places: int, names: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return empty tables of so many places for what minds are asked."""
    no_key = load("logit").NO_KEY
    return np.full(places, no_key), np.zeros((places, names - 1), np.int64)


def known_for(game: GameRules, minds: Sequence[Mind], whole: bool = False) -> KnownMemories | None:
    """Return the table for these minds; one that this thread has, if it had them before.

    Parameters
    ----------
    game : GameRules
        The rules.
    minds : sequence of Mind
        Policies.
    whole : bool, default False
        Whether all that is remembered is packed, also what no mind looks at.

    Returns
    -------
    KnownMemories or None
        None where a memory does not fit into 64 bits, or who sat where is remembered as well.
    """
    if not game.symmetric:
        return None
    depths = [game.memory] if whole else [memory_depth(mind, game) for mind in minds]
    length = max(1, min(game.memory, max(depths)))
    if 2 * _bits(game) * length + 1 + (len(minds) - 1).bit_length() > 63:
        return None
    if not hasattr(_kept, "tables"):
        _kept.tables, _kept.epoch = OrderedDict(), _epoch
    tables: OrderedDict[Any, KnownMemories] = _kept.tables
    rules = None if isinstance(game, Game) else id(game)  # which the table keeps alive
    key = game.pool, length, rules, tuple(map(_identity, minds))
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


def invalidate_memories() -> None:
    """Have minds asked again how they choose, should they have changed in place."""
    global _epoch
    _epoch += 1


def _bits(game: GameRules) -> int:
    """Return how many bits the index of a name takes."""
    return (len(game.pool) - 1).bit_length()


def memory_depth(mind: Mind, game: GameRules) -> int:
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
