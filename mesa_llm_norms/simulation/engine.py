"""Playing interactions: plan the pair, let both minds decide, and only then commit.

The engine knows neither Mesa nor files. Whoever plays is a ``Player``; what comes out is one
``Interaction`` row after the other. Minds that are policies are played through their distribution;
any other mind is awaited, in as many interactions at once as do not depend on each other.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.core.event_loop import wait_for
from mesa_llm_norms.core.game import Game, Interaction, Memory
from mesa_llm_norms.core.metrics import Tally, count
from mesa_llm_norms.core.randomness import RandomStream, cumulative_weights
from mesa_llm_norms.core.stopping import Recent, Stop
from mesa_llm_norms.errors import DecisionError, MindError, SkippedError
from mesa_llm_norms.minds.mind import Decision, Mind, Policy, Situation
from mesa_llm_norms.networks.adjacency import Neighbors
from mesa_llm_norms.simulation.pairing import Pairing
from mesa_llm_norms.simulation.pipeline import Lookahead, Names, Planned, plan_rounds

ROUNDING = 1e-6
"""How far the chances of a policy may be from summing to one."""


MAX_SKIPPED = 20
"""So many void interactions in a row end a run: nothing is going to come of the next either."""


_MAX_CACHED = 500_000


class Player(Protocol):
    """Anyone who can sit at the game: a mind, a memory, and a way to add to it."""

    mind: Mind

    @property
    def memory(self) -> Memory:
        """What the player remembers, oldest first."""

    @property
    def name(self) -> str | None:
        """The name played last, None before the first interaction."""

    @property
    def foreseeable(self) -> bool:
        """Whether ``memory.remember`` alone says what the memory becomes."""

    def remember(self, own: str, partner: str) -> None:
        """Add one interaction to the memory."""


class Log(Protocol):
    """Who is told of every interaction before anyone remembers it."""

    def played(self, row: Interaction) -> None:
        """Take down an interaction."""

    def void(
        self, run: int, number: int, round_: int, nodes: tuple[Hashable, Hashable], reason: str
    ) -> None:
        """Take down that an interaction is void, and why."""

    def flush(self) -> None:
        """See to it that all of this is kept: no more comes for a while."""


class Engine:
    """Plays a game among ``players``, who sit on ``neighbors.nodes`` in this order.

    ``interactions`` and ``rounds`` count those begun so far; ``skipped`` of them came to
    nothing. ``discarded`` were begun ahead of their turn, beyond the end of what was played, and
    are in no result.
    """

    def __init__(
        self,
        game: Game,
        neighbors: Neighbors,
        players: Sequence[Player],
        pairing: Pairing,
        stream: RandomStream,
        log: Log | None = None,
    ) -> None:
        self.game = game
        self.pairing = pairing
        self.stream = stream
        self.log = log
        self.interactions = self.skipped = self.discarded = 0
        self.rounds = 0
        self._voids = 0
        self._ahead: Lookahead | None = None
        self._horizon: int | None = None
        self.cut: tuple[int, int] | None = None
        """A round that was cut by an error, or is being played, and its first interaction."""
        self._left: list[tuple[Mind, Memory]] = []
        # By identity, for a mind need not be hashable; kept with the mind, so that none is reused.
        self._tables: dict[int, tuple[Mind, dict[Memory, list[int]]]] = {}
        self.seat(neighbors, players)

    def seat(self, neighbors: Neighbors, players: Sequence[Player]) -> None:
        """Go on with these players on these neighbors; a round that was cut is then over."""
        self._look_no_more()
        self.cut = None
        self.neighbors = neighbors
        self.players = tuple(players)

    def invalidate_caches(self) -> None:
        """Forget how minds chose: they may have been changed in place."""
        self._tables.clear()

    @property
    def names_held(self) -> NDArray[np.int16]:
        """For each node the place in the pool of the name played last, -1 for none."""
        places: dict[str | None, int] = {name: at for at, name in enumerate(self.game.pool)}
        return np.array([places.get(player.name, -1) for player in self.players], np.int16)

    def play(
        self, rounds: int, recent: Recent, stop: Stop, tally: Tally, rows: list[Interaction] | None
    ) -> None:
        """Play population rounds until ``recent`` reaches ``stop``; at least one interaction.

        What is played is counted in ``recent`` and ``tally`` and added to ``rows``, if that is
        wanted, as it happens, so that it is there if a mind fails.
        """
        places = {name: place for place, name in enumerate(self.game.pool)}
        with self.looking_ahead(rounds):
            for _ in range(rounds):
                line = tally.begin_round()
                for row in self.round():
                    name_a, name_b = places[row.name_a], places[row.name_b]
                    if rows is not None:
                        rows.append(row)
                    recent.add(name_a, name_b)
                    count(line, name_a, name_b)
                    if recent.reaches(stop):
                        self._look_no_more()
                        self.cut = None
                        return

    @contextmanager
    def looking_ahead(self, rounds: int) -> Iterator[None]:
        """Within the block, interactions of so many rounds may be begun before their turn.

        Agents and edges may be changed meanwhile, between rounds: what was begun is then discarded.
        """
        if self._horizon is not None:
            yield
            return
        self._horizon = self.next_round + rounds
        try:
            yield
        finally:
            self._horizon = None
            self._look_no_more()
            if self.log is not None:
                self.log.flush()

    def round(self) -> Iterator[Interaction]:
        """Play the next population round, yielding each interaction once committed.

        One that stopped at its goal stays shorter, and the next follows on from it. One that was
        cut by an error or an interrupt is gone on with.
        """
        if self.cut is None:
            self.cut = self.rounds, self.interactions
            self.rounds += 1
        number, first = self.cut
        ahead = self._may_look_ahead()
        yield from self._round_ahead(number, first) if ahead else self._round_in_turn(number, first)
        self.cut = None

    @property
    def next_round(self) -> int:
        """The number of the round to be played next, or gone on with."""
        return self.rounds if self.cut is None else self.cut[0]

    def interrupt(self) -> None:
        """Have whoever waits for minds, in another thread, get ``InterruptionError`` instead."""
        ahead = self._ahead
        if ahead is not None:
            ahead.interrupt()

    def _round_in_turn(self, number: int, first: int) -> Iterator[Interaction]:
        plan = plan_rounds(self.pairing, self.neighbors, self.stream, number, first, 1)
        for planned in islice(plan, self.interactions - first, None):
            row = self._play(planned)
            if planned.last:
                self.cut = None
            if row is not None:
                yield row

    def _round_ahead(self, number: int, first: int) -> Iterator[Interaction]:
        if self._ahead is not None and self._left != self._seen():
            self._look_no_more()
        if self._ahead is None:
            self._ahead = self._look_ahead(number, first)
        while True:
            try:
                planned, names, void = self._ahead.next()
                row = self._commit(planned, names, void)
            except BaseException:
                self._look_no_more()
                raise
            for node in (planned.a, planned.b):
                self._left[node] = (self.players[node].mind, self.players[node].memory)
            if planned.last:
                self.cut = None
            if row is not None:
                yield row
            if planned.last:
                return

    def _may_look_ahead(self) -> bool:
        """Whether somebody has to be waited for, and what all will remember is foreseeable."""
        minds = {id(player.mind): player.mind for player in self.players}.values()
        return not all(is_plain_policy(mind) for mind in minds) and all(
            player.foreseeable for player in self.players
        )

    def _look_ahead(self, number: int, first: int) -> Lookahead:
        self._left = self._seen()
        minds = [mind for mind, _ in self._left]
        rounds = self._horizon - number if self._horizon is not None else 1
        every = plan_rounds(self.pairing, self.neighbors, self.stream, number, first, rounds)
        plan = islice(every, self.interactions - first, None)

        async def ask(planned: Planned, memory_a: Memory, memory_b: Memory) -> Names:
            seats = ((minds[planned.a], memory_a), (minds[planned.b], memory_b))
            return await self._choices(planned.number, *seats)

        return Lookahead(ask, plan, [memory for _, memory in self._left], self.game.memory)

    def _look_no_more(self) -> None:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            self.discarded += ahead.close()

    def _seen(self) -> list[tuple[Mind, Memory]]:
        return [(player.mind, player.memory) for player in self.players]

    def _play(self, planned: Planned) -> Interaction | None:
        """Play the next interaction; return None where it is void."""
        first, second = self.players[planned.a], self.players[planned.b]
        drawn = self.stream.interaction(self.interactions)
        name_a = self._choose(first.mind, first.memory, drawn.seat_a)
        name_b = self._choose(second.mind, second.memory, drawn.seat_b)
        if name_a is not None and name_b is not None:
            return self._commit(planned, Names(name_a, name_b))
        seats = ((first.mind, first.memory), (second.mind, second.memory))
        try:
            names = wait_for(self._choices(self.interactions, *seats))
        except SkippedError as reason:
            return self._commit(planned, None, reason)
        return self._commit(planned, names)

    def _commit(
        self, planned: Planned, names: Names | None, void: SkippedError | None = None
    ) -> Interaction | None:
        run, nodes, (number, t, a, b, _) = self.stream.run, self.neighbors.nodes, planned
        if names is None:
            assert void is not None
            self._void(planned, void)
            return None
        payoff = self.game.payoff(*names)
        row = Interaction(run, t, number, nodes[a], nodes[b], *names, payoff)
        if self.log is not None:
            self.log.played(row)
        self.players[a].remember(names.a, names.b)
        self.players[b].remember(names.b, names.a)
        self.interactions = t + 1
        self._voids = 0
        return row

    def _void(self, planned: Planned, reason: SkippedError) -> None:
        self._voids += 1
        if self._voids >= MAX_SKIPPED:
            problem = (
                f"{MAX_SKIPPED} interactions in a row are void, this one because {reason.problem}"
            )
            raise DecisionError(reason.mind, problem) from reason
        if self.log is not None:
            nodes = self.neighbors.nodes[planned.a], self.neighbors.nodes[planned.b]
            self.log.void(
                self.stream.run,
                planned.number,
                planned.round,
                nodes,
                f"{reason.mind}: {reason.problem}",
            )
        self.interactions = planned.number + 1
        self.skipped += 1

    def _choose(self, mind: Mind, memory: Memory, draw: int) -> str | None:
        """Return the name a policy gives on this draw, or None for a mind that must be asked."""
        known = self._tables.get(id(mind))
        if known is None:
            if not is_plain_policy(mind):
                return None
            known = self._tables[id(mind)] = (mind, {})
        table = known[1]
        steps = table.get(memory)
        if steps is None:
            if len(table) >= _MAX_CACHED:
                table.clear()
            steps = table[memory] = steps_of(mind, memory, self.game)
        return self.game.pool[bisect_right(steps, draw)]

    async def _choices(self, number: int, *seats: tuple[Mind, Memory]) -> Names:
        """Return what both choose, once both have: of a failure, the other's reply is not lost."""
        drawn = self.stream.interaction(number)[2:]
        names = await asyncio.gather(
            *(
                self._answer(mind, Situation(self.game, memory, draw, self.stream, number, seat))
                for seat, ((mind, memory), draw) in enumerate(zip(seats, drawn, strict=True))
            ),
            return_exceptions=True,
        )
        failures = [name for name in names if isinstance(name, BaseException)]
        for failure in sorted(failures, key=lambda failure: isinstance(failure, SkippedError)):
            raise failure
        return Names(*(name for name in names if isinstance(name, str)))

    async def _answer(self, mind: Mind, situation: Situation) -> str:
        name = self._choose(mind, situation.memory, situation.draw)
        if name is not None:
            return name
        decision = await mind.decide(situation)
        if not isinstance(decision, Decision):
            raise DecisionError(mind.label, f"it returned {decision!r}, which is no Decision")
        if decision.name not in self.game.pool:
            raise DecisionError(mind.label, f"it chose {decision.name!r}, which is not in the pool")
        return decision.name


def is_plain_policy(mind: Mind) -> bool:
    """Whether ``mind`` may be played through its distribution, without asking it."""
    return isinstance(mind, Policy) and type(mind).decide is Policy.decide


def steps_of(mind: Mind, memory: Memory, game: Game) -> list[int]:
    """Return the thresholds of a policy's distribution; ``MindError`` if it is none."""
    return cumulative_weights(chances_of(mind, memory, game))


def chances_of(mind: Mind, memory: Memory, game: Game) -> Sequence[float]:
    """Return a policy's distribution; ``MindError`` if it is none."""
    assert isinstance(mind, Policy)
    probabilities = mind.distribution(memory, game.pool)
    if (
        not hasattr(probabilities, "__len__")
        or len(probabilities) != len(game.pool)
        or not all(p >= 0 for p in probabilities)
        or not abs(sum(probabilities) - 1) < ROUNDING
    ):
        raise MindError(
            "mind",
            mind.label,
            f"its distribution on {memory!r} is {probabilities!r}",
            "Return one probability per name of the pool, summing to 1.",
        )
    return probabilities
