"""The same game, compiled: exactly the interactions of ``engine.Engine``, and far faster.

A mind that is a function of memory makes its agents a finite automaton: what an agent remembers is
a state, its choice depends on the state, and what it plays and sees takes it to the next one. The
tables of that automaton drive a compiled loop over the arrays of the neighbors. Nothing is
enumerated: states, cumulative weights and transitions are worked out when they are first needed,
so that ten names and a memory of five cost what is met of their 10**10 memories.

Random draws, the order of names and stopping rules are those of the plain engine, and so is every
row; tests compare the two row by row.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.core.compiled import is_loaded, is_switched_off, load, note_switched_off
from mesa_llm_norms.core.game import Game, Interaction, Memory, remember
from mesa_llm_norms.core.metrics import Tally
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.core.stopping import Recent, Stop
from mesa_llm_norms.errors import SpecError, shown
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.networks.adjacency import Neighbors
from mesa_llm_norms.simulation.engine import Engine, choice_weights, is_plain_policy
from mesa_llm_norms.simulation.pairing import (
    EdgePairing,
    MatchingPairing,
    NodePairing,
    Pairing,
)
from mesa_llm_norms.simulation.spec import InitialState

if TYPE_CHECKING:
    from mesa_llm_norms.agents import NamingAgent
    from mesa_llm_norms.model import NamingGame


ENGINES = ("auto", "python", "kernel")

WORTHWHILE = 20_000
"""Interactions that take about as long in plain Python as loading the kernel does."""

MAX_COUNTS = 4_096
"""Rounds times names, and one more, that are counted in one call, at most."""

MAX_INTERACTIONS = 1 << 23
"""Interactions played in one call, at most, if a round is not longer: an interrupt waits for it."""

MAX_ROWS = 1 << 18
"""The same where every interaction is kept."""

MAX_DENSE_NAMES = 10
"""Up to so many names, transitions are a table; with more they are looked up by key."""

BUDGET = 1 << 28
"""Bytes of tables after which states that no agent is in are forgotten."""

PLAYED_PAIRINGS = (NodePairing, EdgePairing, MatchingPairing)
"""The pairing rules that the compiled loops draw by themselves."""

MAX_AUTOMATA = 4
"""Automata that a thread keeps for later runs."""

_NONE = np.zeros(0, np.int64)
_kept = threading.local()
_epoch = 0


@dataclass(frozen=True)
class Verdict:
    """Whether the kernel can play something; false, with reasons, where it cannot.

    Parameters
    ----------
    reasons : tuple of str
        The classes and methods, or the setting, that the kernel would have to bypass; empty if
        there are none.
    """

    reasons: tuple[str, ...]

    def __bool__(self) -> bool:
        return not self.reasons


def can_play(minds: Iterable[Mind], pairing: Pairing) -> Verdict:
    """Return whether the kernel can play these minds under this rule.

    It plays minds that are policies, under the pairing rules that it has loops for.

    Parameters
    ----------
    minds : iterable of Mind
        All minds in the game.
    pairing : Pairing
        The rule that draws pairs.

    Returns
    -------
    Verdict
        True, or false with the reasons.
    """
    different = {type(mind): mind for mind in minds}.values()
    reasons = [f"{_called(type(mind))}.decide" for mind in different if not is_plain_policy(mind)]
    if type(pairing) not in PLAYED_PAIRINGS:
        reasons.append(f"{_called(type(pairing))}.pairs")
    if is_switched_off():
        reasons.append("NUMBA_DISABLE_JIT")
    return Verdict(tuple(reasons))


def can_run(model: NamingGame) -> Verdict:
    """Return whether the kernel can play a Mesa model.

    It refuses where a subclass overrides what it would bypass: how a mind decides, a rule draws
    pairs, or an agent remembers.

    Parameters
    ----------
    model : NamingGame
        The model.

    Returns
    -------
    Verdict
        True, or false with the reasons.
    """
    return _can_play_agents(model.players, model.pairing)


def _can_play_agents(agents: Sequence[NamingAgent], pairing: Pairing) -> Verdict:
    overridden = [name for kind in {type(one): 0 for one in agents} for name in kind.overrides()]
    if any("remember" in vars(agent) for agent in agents):
        overridden.append("the remember of a single agent")
    return Verdict((*overridden, *can_play([one.mind for one in agents], pairing).reasons))


def check_engine(engine: Any) -> None:
    """Raise ``SpecError`` unless this names an engine."""
    if not isinstance(engine, str) or engine not in ENGINES:
        raise SpecError(
            "engine", engine, f"there is no engine {shown(engine)}", "Use auto, python or kernel."
        )


def refusal(verdict: Verdict) -> SpecError:
    """Return the error that says why the kernel cannot play."""
    return SpecError(
        "engine",
        "kernel",
        "the kernel would bypass " + "; ".join(verdict.reasons),
        'Use engine="python", or "auto" to have the kernel where it can play.',
    )


def worthwhile(interactions: int) -> bool:
    """Whether so many interactions, or the kernel being there already, make up for loading it."""
    if is_switched_off():
        if interactions >= WORTHWHILE:
            note_switched_off()
        return False
    return interactions >= WORTHWHILE or is_loaded("interactions")


class Kernel:
    """Plays a game compiled, on arrays: an agent is a state of an automaton.

    Parameters
    ----------
    game
        The rules.
    neighbors
        Who may meet whom.
    pairing
        The rule that draws pairs, one of those that ship.
    stream
        All random draws of the run.
    automaton
        The states of agents with these minds.
    states
        The state of the agent on each of ``neighbors.nodes``, shape (nodes,).

    Attributes
    ----------
    interactions, rounds
        How many have been started. Nothing is ever skipped or discarded.
    """

    def __init__(
        self,
        game: Game,
        neighbors: Neighbors,
        pairing: Pairing,
        stream: RandomStream,
        automaton: Automaton,
        states: NDArray[np.uint32],
    ) -> None:
        self.game = game
        self.neighbors = neighbors
        self.pairing = pairing
        self.stream = stream
        self.automaton = automaton
        self.states = states
        self.interactions = self.skipped = self.discarded = 0
        self.rounds = 0
        self.cut: tuple[int, int] | None = None
        """The round in which a mind failed, and its first interaction."""
        self._minds = automaton.minds
        self._uncommitted: NDArray[np.int32] = np.zeros(0, np.int32)
        self._loops = load("interactions")

    @classmethod
    def of_initial_state(cls, initial: InitialState) -> Kernel:
        """Return a kernel that plays a run from its initial state."""
        automaton = automaton_for(initial.game, initial.minds)
        starts = [automaton.state(mind, initial.start) for mind in range(len(initial.minds))]
        states = np.array(starts, np.uint32)[initial.mind_indices]
        kernel = cls(
            initial.game, initial.neighbors, initial.pairing, initial.stream, automaton, states
        )
        kernel._uncommitted = initial.uncommitted_indices
        return kernel

    @property
    def names_held(self) -> NDArray[np.int16]:
        """For each node the index in the pool of the name played last, -1 for none."""
        return self.automaton.last_names(self.states)

    def play(
        self, rounds: int, recent: Recent, stop: Stop, tally: Tally, rows: list[Interaction] | None
    ) -> None:
        """Play population rounds until ``recent`` reaches ``stop``, as ``Engine.play`` does."""
        self.automaton.recast(self._minds)
        planned = isinstance(self.pairing, MatchingPairing)
        fitting = (MAX_INTERACTIONS if rows is None else MAX_ROWS) // len(self.neighbors)
        planned_rounds = 4
        while rounds > 0:
            lines = planned_rounds if planned else MAX_COUNTS // (1 + len(self.game.pool))
            most = max(1, min(rounds, lines, fitting))
            planned_rounds = min(64, 2 * planned_rounds)
            if self._play_some(most, recent, stop, tally, rows):
                return
            rounds -= most

    @property
    def next_round(self) -> int:
        """The number of the round to be played next."""
        return self.rounds

    def speculating(self, rounds: int) -> AbstractContextManager[None]:  # noqa: ARG002
        """No-op: the kernel never waits."""
        return nullcontext()

    def release(self, indices: Iterable[int]) -> None:
        """Give the agents at these indices the mind they have when committed to no name."""
        for index in indices:
            state, mind = int(self.states[index]), int(self._uncommitted[index])
            self.states[index] = self.automaton.with_mind(state, mind)

    def _play_some(
        self, rounds: int, recent: Recent, stop: Stop, tally: Tally, rows: list[Interaction] | None
    ) -> bool:
        """Play a number of rounds at once; return whether the stop was reached."""
        loops = self._loops
        pairs, sizes = self._plan(rounds)
        counts = np.zeros((rounds, 2 + len(self.game.pool)), np.int64)
        kept = np.zeros((0 if rows is None else int(sizes.sum()), 4), np.int32)
        window = loops.Window(recent.view, np.array(recent.played, np.int64))
        ending = loops.Ending(stop.matches, stop.plays, np.array(stop.names, np.int64))
        cursor = np.zeros(11, np.int64)
        cursor[[loops.T, loops.START]] = self.interactions
        cursor[[loops.PLACE, loops.FILLED, loops.MATCHED]] = (
            recent.place,
            recent.filled,
            recent.matched,
        )
        key = np.uint64(self.stream.key)
        status = loops.UNKNOWN
        try:
            while status == loops.UNKNOWN:
                status = loops.play(
                    key,
                    pairs,
                    sizes,
                    self._tables(),
                    self.states,
                    window,
                    ending,
                    counts,
                    kept,
                    cursor,
                )
                if status == loops.UNKNOWN:
                    self._find_out(cursor)
        finally:
            started = int(cursor[loops.LINE]) + (status != loops.DONE)
            tally.extend(counts[:started])
            if rows is not None:
                rows += self._interactions(
                    kept[: int(cursor[loops.T]) - self.interactions], counts[:started, 0]
                )
            self.rounds += started
            self.interactions = int(cursor[loops.T])
            if status == loops.UNKNOWN:
                self.cut = self.rounds - 1, self.interactions - int(counts[started - 1, 0])
            recent.place, recent.filled = int(cursor[loops.PLACE]), int(cursor[loops.FILLED])
            recent.recount()
        return bool(status == loops.REACHED)

    def _plan(self, rounds: int) -> tuple[Any, NDArray[np.int64]]:
        """Return where the next rounds' pairs come from, and how many each has."""
        loops, neighbors = self._loops, self.neighbors
        unsigned = np.zeros(0, np.uint32)
        starts, indptr, indices = unsigned, np.zeros(0, np.uint64), unsigned
        near = edge_steps = _NONE
        tails = heads = unsigned
        sizes = np.full(rounds, len(neighbors), np.int64)
        mode = loops.NODE
        if isinstance(self.pairing, MatchingPairing):
            mode = loops.PLANNED
            tails, heads, sizes = self._matchings(rounds)
        elif isinstance(self.pairing, EdgePairing):
            mode = loops.EDGE
            tails, heads = neighbors.tails.view(np.uint32), neighbors.heads.view(np.uint32)
            edge_steps = neighbors.cumulative_edge_weights
        else:
            starts, indices = neighbors.starts.view(np.uint32), neighbors.indices.view(np.uint32)
            indptr = neighbors.indptr.view(np.uint64)
            near = neighbors.cumulative_weights
        directed = neighbors.directed
        return (
            loops.Pairs(mode, directed, starts, indptr, indices, near, tails, heads, edge_steps),
            sizes,
        )

    def _matchings(
        self, rounds: int
    ) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.int64]]:
        size = len(self.neighbors)
        tails = np.zeros(rounds * (size // 2), np.uint32)
        heads = np.zeros_like(tails)
        sizes = np.zeros(rounds, np.int64)
        end = 0
        for line in range(rounds):
            order, first_ends, second_ends = MatchingPairing.arrivals(
                self.neighbors, self.rounds + line, self.stream
            )
            sizes[line] = self._loops.match(
                order,
                first_ends.view(np.uint32),
                second_ends.view(np.uint32),
                size,
                tails[end:],
                heads[end:],
            )
            end += int(sizes[line])
        return tails[:end], heads[:end], sizes

    def _tables(self) -> Any:
        it = self.automaton
        return self._loops.Tables(it.names, it.steps, it.nexts, it.keys, it.values)

    def _find_out(self, cursor: NDArray[np.int64]) -> None:
        """Work out what the interaction at the cursor needs to know."""
        loops, automaton = self._loops, self.automaton
        state_a, state_b, name_a, name_b = cursor[
            [loops.STATE_A, loops.STATE_B, loops.NAME_A, loops.NAME_B]
        ].tolist()
        if name_a < 0:
            for state in (state_a, state_b):
                if automaton.steps[state, 0] < 0:
                    automaton.learn(state)
            return
        automaton.connect(state_a, name_a, name_b)
        automaton.connect(state_b, name_b, name_a)
        if automaton.overgrown:
            self.automaton, self.states[:] = automaton.only(self.states)

    def _interactions(
        self, kept: NDArray[np.int32], per_round: NDArray[np.int64]
    ) -> Iterator[Interaction]:
        game, nodes, run = self.game, self.neighbors.nodes, self.stream.run
        rounds = np.repeat(np.arange(len(per_round)) + self.rounds, per_round).tolist()
        for number, (round_, (a, b, own, partner)) in enumerate(
            zip(rounds, kept.tolist(), strict=True), start=self.interactions
        ):
            name_a, name_b = game.pool[own], game.pool[partner]
            payoff = game.payoff(name_a, name_b)
            yield Interaction(run, number, round_, nodes[a], nodes[b], name_a, name_b, payoff)


class AgentsEngine(Engine):
    """Plays Mesa agents in plain Python or, once it is ``compiled``, with the kernel.

    Their memories are packed before, and unpacked after every call of ``play``. A round that the
    kernel cannot play, because agents or minds have changed or it was cut, is played in Python.
    """

    compiled = False

    def play(
        self, rounds: int, recent: Recent, stop: Stop, tally: Tally, rows: list[Interaction] | None
    ) -> None:
        """Play population rounds until ``recent`` reaches ``stop``; see ``Engine.play``."""
        agents: Sequence[Any] = self.players
        if (
            not self.compiled
            or self.next_round != self.rounds
            or not _can_play_agents(agents, self.pairing)
        ):
            super().play(rounds, recent, stop, tally, rows)
            return
        minds = {id(agent.mind): agent.mind for agent in agents}
        indices = {key: index for index, key in enumerate(minds)}
        automaton = automaton_for(self.game, tuple(minds.values()))
        states = np.array(
            [automaton.state(indices[id(one.mind)], one.memory, one.name) for one in agents],
            np.uint32,
        )
        kernel = Kernel(self.game, self.neighbors, self.pairing, self.stream, automaton, states)
        kernel.interactions, kernel.rounds = self.interactions, self.rounds
        try:
            kernel.play(rounds, recent, stop, tally, rows)
        finally:
            memory_of = kernel.automaton.memory
            for agent, state, name in zip(
                agents, kernel.states.tolist(), kernel.names_held.tolist(), strict=True
            ):
                agent.restore(memory_of(state), self.game.pool[name] if name >= 0 else None)
            self.interactions, self.rounds = kernel.interactions, kernel.rounds
            self.cut = kernel.cut


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

    def __init__(self, game: Game, minds: Sequence[Mind]) -> None:
        self.game = game
        self.minds = tuple(minds)
        self.names = len(game.pool)
        self._dense = self.names <= MAX_DENSE_NAMES
        self._indices = {name: index for index, name in enumerate(game.pool)}
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

    def state(self, mind: int, memory: Memory, name: str | None = None) -> int:
        """Return the state of an agent that has played ``name`` last, None if it has not played."""
        return self._number(State(mind, memory, -1 if name is None else self._indices[name]))

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

    def learn(self, state: int) -> None:
        """Work out how the choice in this state is made; ``MindError`` if the mind gives none."""
        mind, memory, _ = self._known[state]
        self.steps[state] = choice_weights(self.minds[mind], memory, self.game)[:-1]

    def connect(self, state: int, own: int, partner: int) -> None:
        """Work out what this state becomes by playing and seeing these names."""
        pool = self.game.pool
        mind, memory, _ = self._known[state]
        memory = remember(memory, pool[own], pool[partner], self.game.memory)
        became = self._number(State(mind, memory, own))
        seen = own * self.names + partner
        if self._dense:
            self.nexts[state, seen] = became
        else:
            key = state * self.names**2 + seen
            if 2 * (self._stored + 1) > len(self.keys):
                self._rehash()
            self._store([key], [became])

    def recast(self, minds: Sequence[Mind]) -> None:
        """Replace minds one by one, as a new run may have others."""
        changed = [new is not old for new, old in zip(minds, self.minds, strict=True)]
        self.minds = tuple(minds)
        if any(changed):
            here = [state for state, known in enumerate(self._known) if changed[known.mind]]
            self.steps[here, 0] = -1

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
        load("interactions").store(
            self.keys, self.values, np.asarray(keys, np.int64), np.asarray(values, np.int32)
        )
        self._stored += len(keys)


def invalidate_caches() -> None:
    """Have minds asked again how they choose; called when runs start that belong together.

    A mind must not change while it plays; between ensembles it may have been changed in place.
    """
    global _epoch
    _epoch += 1


def automaton_for(game: Game, minds: Sequence[Mind]) -> Automaton:
    """Return an automaton for these minds; one that this thread has, if it had them before."""
    if not hasattr(_kept, "automata"):
        _kept.automata = OrderedDict()
    automata: OrderedDict[Any, Automaton] = _kept.automata
    key = game.pool, game.memory, tuple(mind.label for mind in minds)
    automaton = automata.pop(key, None)
    if automaton is None or automaton.overgrown:
        automaton = Automaton(game, minds)
    if _epoch != getattr(_kept, "epoch", 0):
        _kept.epoch = _epoch
        for each in (automaton, *automata.values()):
            each.relearn()
    automata[key] = automaton
    while len(automata) > MAX_AUTOMATA:
        automata.popitem(last=False)
    automaton.recast(minds)
    return automaton


def _called(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
