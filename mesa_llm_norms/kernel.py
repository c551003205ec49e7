"""The same game, compiled: exactly the interactions of ``execution.Engine``, and far faster.

A mind that is a function of memory makes its agents a finite automaton, whose tables drive a
compiled loop over the arrays of the contacts. Draws, order of names and stopping rules are those of
the plain engine, and so is every row; tests compare the two row by row.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.agents import NamingAgent, overridden
from mesa_llm_norms.automaton import Automaton
from mesa_llm_norms.compiled import is_loaded, load
from mesa_llm_norms.contacts import Contacts
from mesa_llm_norms.draws import Draws
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.execution import Engine, is_plain_policy
from mesa_llm_norms.game import Game, Interaction
from mesa_llm_norms.metrics import Tally
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.pairing import PAIRINGS, EdgePairing, MatchingPairing, Pairing
from mesa_llm_norms.spec import Seating
from mesa_llm_norms.window import Recent, Stop

if TYPE_CHECKING:
    from mesa_llm_norms.model import NamingGame

ENGINES = ("auto", "python", "kernel")
ENOUGH = 20_000
"""So many interactions in plain Python take about as long as loading the kernel."""
LINES = 4_096
"""Rounds times names, and one more, that are counted in one go, at most."""
AT_ONCE = 1 << 23
"""How many interactions are played in one go, at most, if a round is not longer: an interrupt waits
for no more."""
ROWS = 1 << 18
"""How many of them where each is kept."""
AUTOMATA = 4
"""How many automata a thread keeps for the runs to come."""

_NONE = np.zeros(0, np.int64)
_kept = threading.local()
_epoch = 0


@dataclass(frozen=True)
class Verdict:
    """Whether the kernel can play something; false, with reasons, where it cannot."""

    reasons: tuple[str, ...]
    """The classes and methods that the kernel would have to bypass."""

    def __bool__(self) -> bool:
        return not self.reasons


def can_run(model: NamingGame) -> Verdict:
    """Return whether the kernel can play ``model``, and otherwise what prevents it.

    It plays minds that are policies, under the pairing rules that ship. It refuses where a subclass
    overrides what it would bypass: how a mind decides, a rule draws pairs, or an agent remembers.
    """
    agents = [agent for agent in model.agents if isinstance(agent, NamingAgent)]
    return _can_play_agents(agents, model.pairing)


def can_play(minds: Iterable[Mind], pairing: Pairing) -> Verdict:
    """Return whether the kernel can play these minds under this rule."""
    different = {type(mind): mind for mind in minds}.values()
    reasons = [f"{_called(type(mind))}.decide" for mind in different if not is_plain_policy(mind)]
    if type(pairing) not in PAIRINGS.values():
        reasons.append(f"{_called(type(pairing))}.pairs")
    return Verdict(tuple(reasons))


def check_engine(engine: Any) -> None:
    """Raise ``SpecError`` unless this names an engine."""
    if not isinstance(engine, str) or engine not in ENGINES:
        raise SpecError(
            "engine", engine, f"there is no engine {engine!r}", "Use auto, python or kernel."
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
    return interactions >= ENOUGH or is_loaded("game")


class Kernel:
    """Plays rounds on arrays: an agent is a state of ``automaton``.

    ``states`` has one for every node of ``contacts``. ``interactions`` and ``rounds`` count what
    has been played and begun.
    """

    def __init__(
        self,
        game: Game,
        contacts: Contacts,
        pairing: Pairing,
        draws: Draws,
        automaton: Automaton,
        states: NDArray[np.uint32],
    ) -> None:
        self.game = game
        self.contacts = contacts
        self.pairing = pairing
        self.draws = draws
        self.automaton = automaton
        self.states = states
        self.interactions = self.voided = self.discarded = 0
        self.rounds = 0
        self.cut: tuple[int, int] | None = None
        """The round in which a mind failed, and its first interaction."""
        self._roster = automaton.roster
        self._loops = load("game")

    @classmethod
    def of_seating(cls, seating: Seating) -> Kernel:
        """Return a kernel for a run that is made ready."""
        automaton = automaton_for(seating.game, seating.roster)
        starts = [automaton.state(seat, seating.start) for seat in range(len(seating.roster))]
        states = np.array(starts, np.uint32)[seating.seats]
        return cls(
            seating.game, seating.contacts, seating.pairing, seating.draws, automaton, states
        )

    @property
    def names_held(self) -> NDArray[np.int16]:
        """For each node the place in the pool of the name played last, -1 for none."""
        return self.automaton.last_names(self.states)

    def play(
        self, rounds: int, recent: Recent, stop: Stop, tally: Tally, rows: list[Interaction] | None
    ) -> None:
        """Play population rounds until ``recent`` reaches ``stop``, as ``Engine.play`` does."""
        self.automaton.recast(self._roster)
        planned = isinstance(self.pairing, MatchingPairing)
        fitting = (AT_ONCE if rows is None else ROWS) // len(self.contacts)
        patience = 4
        while rounds > 0:
            lines = patience if planned else LINES // (1 + len(self.game.pool))
            most = max(1, min(rounds, lines, fitting))
            patience = min(64, 2 * patience)
            if self._play_some(most, recent, stop, tally, rows):
                return
            rounds -= most

    @property
    def next_round(self) -> int:
        """The number of the round to be played next."""
        return self.rounds

    def looking_ahead(self, rounds: int) -> AbstractContextManager[None]:  # noqa: ARG002
        """Nobody waits here, so nothing is begun ahead."""
        return nullcontext()

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
        key = np.uint64(self.draws.key)
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
            begun = int(cursor[loops.LINE]) + (status != loops.DONE)
            tally.extend(counts[:begun])
            if rows is not None:
                rows += self._interactions(
                    kept[: int(cursor[loops.T]) - self.interactions], counts[:begun, 0]
                )
            self.rounds += begun
            self.interactions = int(cursor[loops.T])
            if status == loops.UNKNOWN:
                self.cut = self.rounds - 1, self.interactions - int(counts[begun - 1, 0])
            recent.place, recent.filled = int(cursor[loops.PLACE]), int(cursor[loops.FILLED])
            recent.recount()
        return bool(status == loops.REACHED)

    def _plan(self, rounds: int) -> tuple[Any, NDArray[np.int64]]:
        """Return where the next rounds' pairs come from, and how many each has."""
        loops, contacts = self._loops, self.contacts
        unsigned = np.zeros(0, np.uint32)
        starts, indptr, indices = unsigned, np.zeros(0, np.uint64), unsigned
        near = edge_steps = _NONE
        tails = heads = unsigned
        sizes = np.full(rounds, len(contacts), np.int64)
        mode = loops.NODE
        if isinstance(self.pairing, MatchingPairing):
            mode = loops.PLANNED
            tails, heads, sizes = self._matchings(rounds)
        elif isinstance(self.pairing, EdgePairing):
            mode = loops.EDGE
            tails, heads = contacts.tails.view(np.uint32), contacts.heads.view(np.uint32)
            edge_steps = contacts.edge_thresholds
        else:
            starts, indices = contacts.starts.view(np.uint32), contacts.indices.view(np.uint32)
            indptr = contacts.indptr.view(np.uint64)
            near = contacts.neighbour_thresholds
        directed = contacts.directed
        return (
            loops.Pairs(mode, directed, starts, indptr, indices, near, tails, heads, edge_steps),
            sizes,
        )

    def _matchings(
        self, rounds: int
    ) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.int64]]:
        size = len(self.contacts)
        tails = np.zeros(rounds * (size // 2), np.uint32)
        heads = np.zeros_like(tails)
        sizes = np.zeros(rounds, np.int64)
        end = 0
        for line in range(rounds):
            order, first_ends, second_ends = MatchingPairing.arrivals(
                self.contacts, self.rounds + line, self.draws
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
        game, nodes, run = self.game, self.contacts.nodes, self.draws.run
        rounds = np.repeat(np.arange(len(per_round)) + self.rounds, per_round).tolist()
        for number, (round_, (a, b, own, partner)) in enumerate(
            zip(rounds, kept.tolist(), strict=True), start=self.interactions
        ):
            name_a, name_b = game.pool[own], game.pool[partner]
            payoff = game.payoff(name_a, name_b)
            yield Interaction(run, number, round_, nodes[a], nodes[b], name_a, name_b, payoff)


class AgentsKernel:
    """Plays rounds compiled for the agents of an engine, who know all of it afterwards.

    A round that the kernel cannot play, because agents or minds have changed or it was cut before,
    the engine plays.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @property
    def game(self) -> Game:
        """The rules."""
        return self.engine.game

    @property
    def contacts(self) -> Contacts:
        """Who may meet whom."""
        return self.engine.contacts

    @property
    def interactions(self) -> int:
        """How many have been played."""
        return self.engine.interactions

    @property
    def voided(self) -> int:
        """How many of them came to nothing."""
        return self.engine.voided

    @property
    def discarded(self) -> int:
        """How many were begun ahead of their turn and are in no result."""
        return self.engine.discarded

    @property
    def rounds(self) -> int:
        """How many have been begun."""
        return self.engine.rounds

    @property
    def names_held(self) -> NDArray[np.int16]:
        """For each node the place in the pool of the name played last, -1 for none."""
        return self.engine.names_held

    @property
    def next_round(self) -> int:
        """The number of the round to be played next, or gone on with."""
        return self.engine.next_round

    def looking_ahead(self, rounds: int) -> AbstractContextManager[None]:
        """Let the engine look ahead in what it plays itself."""
        return self.engine.looking_ahead(rounds)

    def play(
        self, rounds: int, recent: Recent, stop: Stop, tally: Tally, rows: list[Interaction] | None
    ) -> None:
        """Pack the agents' memories, play as ``Kernel.play`` does, and unpack them."""
        engine = self.engine
        agents: Sequence[Any] = engine.players
        cut = engine.next_round != engine.rounds
        if cut or not _can_play_agents(agents, engine.pairing):
            engine.play(rounds, recent, stop, tally, rows)
            return
        roster = {id(agent.mind): agent.mind for agent in agents}
        seats = {key: seat for seat, key in enumerate(roster)}
        automaton = automaton_for(engine.game, tuple(roster.values()))
        states = np.array(
            [automaton.state(seats[id(agent.mind)], agent.memory, agent.name) for agent in agents],
            np.uint32,
        )
        kernel = Kernel(
            engine.game, engine.contacts, engine.pairing, engine.draws, automaton, states
        )
        kernel.interactions, kernel.rounds = engine.interactions, engine.rounds
        try:
            kernel.play(rounds, recent, stop, tally, rows)
        finally:
            memory_of = kernel.automaton.memory
            for agent, state, name in zip(
                agents, kernel.states.tolist(), kernel.names_held.tolist(), strict=True
            ):
                agent.restore(memory_of(state), engine.game.pool[name] if name >= 0 else None)
            engine.interactions, engine.rounds = kernel.interactions, kernel.rounds
            engine.cut = kernel.cut


def ask_anew() -> None:
    """Have minds asked anew how they choose, which is called when runs begin that belong together.

    A mind is not to change while it plays; between ensembles it may have been changed in place.
    """
    global _epoch
    _epoch += 1


def automaton_for(game: Game, roster: Sequence[Mind]) -> Automaton:
    """Return an automaton for these minds; one that this thread has, if they were there before."""
    if not hasattr(_kept, "automata"):
        _kept.automata = OrderedDict()
    automata: OrderedDict[Any, Automaton] = _kept.automata
    key = game.pool, game.memory, tuple(mind.label for mind in roster)
    automaton = automata.pop(key, None)
    if automaton is None or automaton.overgrown:
        automaton = Automaton(game, roster)
    if _epoch != getattr(_kept, "epoch", 0):
        _kept.epoch = _epoch
        for each in (automaton, *automata.values()):
            each.relearn()
    automata[key] = automaton
    while len(automata) > AUTOMATA:
        automata.popitem(last=False)
    automaton.recast(roster)
    return automaton


def _can_play_agents(agents: Sequence[NamingAgent], pairing: Pairing) -> Verdict:
    others = can_play([agent.mind for agent in agents], pairing)
    return Verdict((*overridden(agents), *others.reasons))


def _called(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
