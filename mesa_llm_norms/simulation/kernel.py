"""The same game, compiled: exactly the interactions of ``engine.Engine``, and far faster.

A mind that is a function of memory makes an agent a number: its memory, packed. What the agent
plays and sees shifts the number on, and how it chooses is worked out when a memory is first met,
for recorded minds in the compiled loop itself. Memories too long for a number make the agent a
state of an automaton instead.

Random draws, the order of names and stopping rules are those of the plain engine, and so is every
row; tests compare the two row by row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.core.compiled import is_loaded, is_switched_off, load, note_switched_off
from mesa_llm_norms.core.game import GameRules, Row
from mesa_llm_norms.core.interrupts import interrupts_held
from mesa_llm_norms.core.metrics import Tally
from mesa_llm_norms.core.randomness import RandomStream, purpose_key
from mesa_llm_norms.core.referee import Referee
from mesa_llm_norms.core.stopping import Recent, Stop, count_holders
from mesa_llm_norms.errors import SpecError, shown
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.networks.adjacency import Neighbors
from mesa_llm_norms.simulation.automaton import Automaton, automaton_for, invalidate_automata
from mesa_llm_norms.simulation.engine import Engine, is_plain_policy
from mesa_llm_norms.simulation.memories import KnownMemories, invalidate_memories, known_for
from mesa_llm_norms.simulation.pairing import (
    ContactsPairing,
    EdgePairing,
    MatchingPairing,
    NodePairing,
    Pairing,
)
from mesa_llm_norms.simulation.rewiring import Rewire
from mesa_llm_norms.simulation.spec import InitialState

if TYPE_CHECKING:
    from mesa_llm_norms.agents import NamingAgent
    from mesa_llm_norms.model import NetworkGame
    from mesa_llm_norms.simulation.run_record import Rows


ENGINES = ("auto", "python", "kernel")

WORTHWHILE = 20_000
"""Interactions that take about as long in plain Python as loading the kernel does."""

MAX_COUNTS = 4_096
"""Rounds times names, and one more, that are counted in one call, at most."""

MAX_INTERACTIONS = 1 << 20
"""Interactions played in one call, at most, if a round is not longer: an interrupt waits for it."""

MAX_ROWS = 1 << 18
"""The same where every interaction is kept."""

PLAYED_PAIRINGS = (NodePairing, EdgePairing, MatchingPairing, ContactsPairing)
"""The pairing rules that the compiled loops draw by themselves."""

_NONE = np.zeros(0, np.int64)
_NO_NAMES = np.zeros(0, np.int16)

_SETTLED = -1
_UNPLANNED = (1 << 32) - 1


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


def can_play(
    minds: Iterable[Mind],
    pairing: Pairing,
    game: GameRules | None = None,
    rewire: Rewire | None = None,
    sees: Sequence[str] = (),
) -> Verdict:
    """Return whether the kernel can play these minds under this rule.

    It plays minds that are policies, under the pairing rules that it has loops for, in any game of
    two players.

    Parameters
    ----------
    minds : iterable of Mind
        All minds in the game.
    pairing : Pairing
        The rule that draws pairs.
    game : GameRules, optional
        What is played; the naming game if omitted.
    rewire : tuple, optional
        How the network changes, as ``Spec`` has it. Default: it does not.
    sees : sequence of str, default ()
        The attributes that minds are shown.

    Returns
    -------
    Verdict
        True, or false with the reasons.
    """
    different = {type(mind): mind for mind in minds}.values()
    reasons = [f"{_called(type(mind))}.decide" for mind in different if not is_plain_policy(mind)]
    if type(pairing) not in PLAYED_PAIRINGS:
        reasons.append(f"{_called(type(pairing))}.pairs")
    if game is not None and game.seats != 2:
        reasons.append(f"{_called(type(game))}.seats")
    if rewire is not None:
        reasons.append("rewire, as its network is fixed")
    if sees:
        reasons.append("sees, as its agents know their memory alone")
    if is_switched_off():
        reasons.append("NUMBA_DISABLE_JIT")
    return Verdict(tuple(reasons))


def can_run(model: NetworkGame) -> Verdict:
    """Return whether the kernel can play a Mesa model.

    It refuses where a subclass overrides what it would bypass: how a mind decides, a rule draws
    pairs, or an agent remembers.

    Parameters
    ----------
    model : NetworkGame
        The model.

    Returns
    -------
    Verdict
        True, or false with the reasons.
    """
    spec = model.spec
    return _can_play_agents(model.players, model.pairing, model.game, spec.rewire, spec.sees)


def _can_play_agents(
    agents: Sequence[NamingAgent],
    pairing: Pairing,
    game: GameRules,
    rewire: Rewire | None = None,
    sees: Sequence[str] = (),
) -> Verdict:
    overridden = [name for kind in {type(one): 0 for one in agents} for name in kind.overrides()]
    if any("remember" in vars(agent) for agent in agents):
        overridden.append("the remember of a single agent")
    minds = [one.mind for one in agents]
    return Verdict((*overridden, *can_play(minds, pairing, game, rewire, sees).reasons))


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
    """Plays a game compiled, on arrays: an agent is a number.

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
    known
        What the minds of the agents play.
    states
        The state of the agent on each of ``neighbors.nodes``, shape (nodes,).

    Attributes
    ----------
    interactions, rounds
        How many have been started. Nothing is ever skipped or discarded.
    """

    def __init__(
        self,
        game: GameRules,
        neighbors: Neighbors,
        pairing: Pairing,
        stream: RandomStream,
        known: KnownMemories | Automaton,
        states: NDArray[Any],
    ) -> None:
        self.game = game
        self.neighbors = neighbors
        self.pairing = pairing
        self.stream = stream
        self.known = known
        self.states = states
        self.interactions: int = 0
        self.skipped: int = 0
        self.discarded: int = 0
        self.rounds: int = 0
        self.cut: tuple[int, int] | None = None
        """The round in which a mind failed, and its first interaction."""
        self.held_before: NDArray[np.int16] | None = None
        """What each node held before anything was played here; None for nothing."""
        self._minds = known.minds
        self._uncommitted: NDArray[np.int32] = np.zeros(0, np.int32)
        self._leaving: dict[int, NDArray[np.int64]] = {}
        self._pairs = pairs_of(neighbors, pairing)
        self._loops = load("interactions")

    @classmethod
    def of_initial_state(cls, initial: InitialState) -> Kernel:
        """Return a kernel that plays a run from its initial state."""
        game = initial.game
        known = known_for(game, initial.minds) or automaton_for(game, initial.minds)
        starts = [known.state(mind, initial.start) for mind in range(len(initial.minds))]
        states = np.array(starts, known.dtype)[initial.mind_indices]
        kernel = cls(game, initial.neighbors, initial.pairing, initial.stream, known, states)
        kernel._uncommitted, kernel._leaving = initial.uncommitted_indices, initial.leaving
        return kernel

    @property
    def names_held(self) -> NDArray[np.int16]:
        """For each node the index in the pool of the name played last, -1 for none."""
        last = self.known.last_names(self.states)
        return last if self.held_before is None else np.where(last < 0, self.held_before, last)

    def play(
        self, rounds: int, recent: Recent, stop: Stop, tally: Tally, rows: Rows | None
    ) -> None:
        """Play population rounds until ``recent`` reaches ``stop``, as ``Engine.play`` does."""
        self.known.recast(self._minds)
        fitting = (MAX_INTERACTIONS if rows is None else MAX_ROWS) // len(self.neighbors)
        most = max(1, min(MAX_COUNTS // (1 + len(self.game.pool)), fitting))
        while rounds > 0:
            if self._play_some(min(rounds, most), recent, stop, tally, rows):
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
            self.states[index] = self.known.with_mind(state, mind)

    def let_go(self, rounds: int) -> int:
        """Release the agents whose commitment ends before the next round; see ``Engine.let_go``."""
        for end in [end for end in self._leaving if end <= self.rounds]:
            self.release(self._leaving.pop(end).tolist())
        return min([rounds, *(end - self.rounds for end in self._leaving)])

    def _play_some(
        self, rounds: int, recent: Recent, stop: Stop, tally: Tally, rows: Rows | None
    ) -> bool:
        """Play a number of rounds at once; return whether the stop was reached."""
        loops, size = self._loops, len(self.neighbors)
        counts = np.zeros((rounds, 2 + len(self.game.pool)), np.int64)
        kept = np.zeros((0 if rows is None else rounds * size, 4), np.int32)
        played_before = np.array(recent.played, np.int64)
        window = loops.Window(recent.view, played_before, recent.successes.astype(np.uint8))
        ending = ending_of(stop, self.names_held if stop.holders else _NO_NAMES)
        cursor = np.zeros(13, np.int64)
        cursor[[loops.T, loops.START, loops.ROUND]] = (
            self.interactions,
            self.interactions,
            self.rounds,
        )
        cursor[[loops.PLACE, loops.FILLED, loops.MATCHED]] = (
            recent.place,
            recent.filled,
            recent.matched,
        )
        key = np.uint64(self.stream.key)
        status = loops.UNKNOWN
        try:
            while status not in (loops.DONE, loops.REACHED):
                status = loops.play(
                    key,
                    self._pairs,
                    rounds,
                    self.known.known,
                    self.states,
                    window,
                    ending,
                    counts,
                    kept,
                    cursor,
                )
                if status == loops.UNKNOWN:
                    self._find_out(cursor)
            self._settle(cursor, counts, kept, recent, stop, tally, rows)
        except BaseException:  # an interrupt, too, and of the line above
            self._settle(cursor, counts, kept, recent, stop, tally, rows)
            raise
        return bool(status == loops.REACHED)

    def _settle(
        self,
        cursor: NDArray[np.int64],
        counts: NDArray[np.int64],
        kept: NDArray[np.int32],
        recent: Recent,
        stop: Stop,
        tally: Tally,
        rows: Rows | None,
    ) -> None:
        """Take over what was played up to the cursor, unless that is done.

        The cursor alone says how far that is: an interrupt can hide what the loop has returned.
        """
        loops = self._loops
        with interrupts_held():
            line, played = int(cursor[loops.LINE]), int(cursor[loops.T]) - self.interactions
            if line == _SETTLED:
                return
            unfinished = cursor[loops.LEFT] > 0
            started = line + int(unfinished or counts[line : line + 1, 0].any())
            tally.extend(counts[:started])
            per_round = counts[:started, 0]
            if isinstance(rows, list):
                rows += self._interactions(kept[:played], per_round)
            elif rows is not None:
                rounds = np.repeat(np.arange(started) + self.rounds, per_round)
                rows.take(kept[:played], rounds, self.interactions)
            self.rounds += started
            self.interactions += played
            recent.place, recent.filled = int(cursor[loops.PLACE]), int(cursor[loops.FILLED])
            recent.recount()
            holders = count_holders(self.names_held, recent.names) if stop.holders else None
            if unfinished and not (played and recent.reaches(stop, holders)):
                self.cut = self.rounds - 1, self.interactions - int(counts[line, 0])
            cursor[loops.LINE] = _SETTLED

    def _find_out(self, cursor: NDArray[np.int64]) -> None:
        """Work out what the interaction at the cursor needs to know."""
        loops, known = self._loops, self.known
        if isinstance(known, Automaton):
            known.find_out(*cursor[loops.STATE_A : loops.NAME_B + 1].tolist())
            if known.overgrown:
                self.known, self.states[:] = known.only(self.states)
        else:
            known.find_out(*cursor[[loops.STATE_A, loops.STATE_B]].tolist())

    def _interactions(self, kept: NDArray[np.int32], per_round: NDArray[np.int64]) -> Iterator[Row]:
        pool, nodes, run = self.game.pool, self.neighbors.nodes, self.stream.run
        referee = Referee(self.game)
        rounds = np.repeat(np.arange(len(per_round)) + self.rounds, per_round).tolist()
        for number, (round_, (a, b, own, partner)) in enumerate(
            zip(rounds, kept.tolist(), strict=True), start=self.interactions
        ):
            moves = pool[own], pool[partner]
            yield referee.row(run, number, round_, (nodes[a], nodes[b]), moves)


def ending_of(stop: Stop, held: NDArray[np.int16]) -> Any:
    """Return a stop for a compiled loop, given what each node holds, or room for it."""
    holders = np.array(count_holders(held, len(stop.names) if stop.holders else 0), np.int64)
    names = np.array(stop.names, np.int64)
    return load("interactions").Ending(stop.matches, stop.plays, names, stop.holders, held, holders)


def pairs_of(neighbors: Neighbors, pairing: Pairing) -> Any:
    """Return where a compiled loop draws its pairs from."""
    loops = load("interactions")
    unsigned = np.zeros(0, np.uint32)
    starts, indptr, indices, near = unsigned, np.zeros(0, np.uint64), unsigned, _NONE
    tails, heads, edge_steps, edge_weights = unsigned, unsigned, _NONE, np.zeros(0)
    mode, purpose, planned = loops.NODE, 0, 0
    pairing.check(neighbors)
    if isinstance(pairing, ContactsPairing):
        contacts = neighbors.contacts
        assert contacts is not None
        mode, purpose, planned = loops.CONTACTS, purpose_key(pairing.label), len(contacts) + 2
        tails, heads = contacts.tails.view(np.uint32), contacts.heads.view(np.uint32)
        edge_steps = contacts.moments
    elif isinstance(pairing, NodePairing):
        starts, indices = neighbors.starts.view(np.uint32), neighbors.indices.view(np.uint32)
        indptr, near = neighbors.indptr.view(np.uint64), neighbors.cumulative_weights
    else:
        tails, heads = neighbors.tails.view(np.uint32), neighbors.heads.view(np.uint32)
        if isinstance(pairing, EdgePairing):
            mode, edge_steps = loops.EDGE, neighbors.cumulative_edge_weights
        else:
            mode, purpose, planned = loops.MATCHING, purpose_key("matching"), len(neighbors) // 2
            if neighbors.edge_weights is not None:
                edge_weights = neighbors.edge_weights
    return loops.Pairs(
        *(mode, neighbors.directed, starts, indptr, indices, near, tails, heads),
        *(
            edge_steps,
            edge_weights,
            np.uint64(purpose),
            np.full((planned, 2), _UNPLANNED, np.uint32),
        ),
    )


class AgentsEngine(Engine):
    """Plays Mesa agents in plain Python or, once it is ``compiled``, with the kernel.

    Their memories are packed before, and unpacked after every call of ``play``. A round that the
    kernel cannot play, because agents or minds have changed or it was cut, is played in Python.
    """

    compiled: bool = False
    interactions: int
    rounds: int

    def play(
        self, rounds: int, recent: Recent, stop: Stop, tally: Tally, rows: Rows | None
    ) -> None:
        """Play population rounds until ``recent`` reaches ``stop``; see ``Engine.play``."""
        agents: Sequence[Any] = self.players
        if (
            not self.compiled
            or self.next_round != self.rounds
            or self.rewiring is not None
            or self.eyes is not None
            or not _can_play_agents(agents, self.pairing, self.game)
        ):
            super().play(rounds, recent, stop, tally, rows)
            return
        minds = {id(agent.mind): agent.mind for agent in agents}
        indices = {key: index for index, key in enumerate(minds)}
        game, every = self.game, tuple(minds.values())
        known = known_for(game, every, whole=True) or automaton_for(game, every)
        states = np.array(
            [known.state(indices[id(one.mind)], one.memory) for one in agents], known.dtype
        )
        kernel = Kernel(game, self.neighbors, self.pairing, self.stream, known, states)
        kernel.interactions, kernel.rounds = self.interactions, self.rounds
        kernel.held_before = self.names_held if stop.holders else None
        try:
            kernel.play(rounds, recent, stop, tally, rows)
            self._take_over(kernel)
        except BaseException:  # an interrupt, too, and of the line above
            self._take_over(kernel)
            raise

    def _take_over(self, kernel: Kernel) -> None:
        agents: Sequence[Any] = self.players
        with interrupts_held():
            memory_of = kernel.known.memory
            states, names = kernel.states, kernel.known.last_names(kernel.states)
            for place in np.flatnonzero(names >= 0).tolist():
                agents[place].restore(memory_of(int(states[place])), self.game.pool[names[place]])
            self.interactions, self.rounds = kernel.interactions, kernel.rounds
            self.cut: tuple[int, int] | None = kernel.cut


def invalidate_caches() -> None:
    """Have minds asked again how they choose; called when runs start that belong together.

    A mind must not change while it plays; between ensembles it may have been changed in place.
    """
    invalidate_memories()
    invalidate_automata()


def _called(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
