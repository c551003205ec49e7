"""Playing interactions: plan who meets, let all minds decide, and only then commit.

The engine knows neither Mesa nor files. It plays ``Player`` objects and yields one row
after the other. Minds that are policies are played through their distribution; any other mind
is awaited, in as many interactions at once as do not depend on each other.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.core.event_loop import GRACE_PERIOD, CancelScope, wait_for
from mesa_llm_norms.core.game import Experience, GameRules, Memory, Row
from mesa_llm_norms.core.metrics import Tally, count
from mesa_llm_norms.core.randomness import RandomStream, cumulative_weights
from mesa_llm_norms.core.referee import Referee, game_draws
from mesa_llm_norms.core.stopping import Holders, Recent, Stop
from mesa_llm_norms.errors import DecisionError, MindError, SkippedError
from mesa_llm_norms.minds.mind import Decision, Mind, Policy, Sight, Situation
from mesa_llm_norms.networks.adjacency import Neighbors
from mesa_llm_norms.simulation.pairing import Pairing
from mesa_llm_norms.simulation.pipeline import Names, Pipeline, Planned, plan_rounds
from mesa_llm_norms.simulation.rewiring import Change, Rewiring, rewired
from mesa_llm_norms.simulation.sight import Eyes

if TYPE_CHECKING:
    from mesa_llm_norms.llm.client import LLMClient
    from mesa_llm_norms.simulation.run_record import Rows

TOLERANCE = 1e-6
"""How far the probabilities of a policy may be from summing to one."""

MAX_SKIPPED = 20
"""Skipped interactions in a row that end a run: the next is not going to be any better."""

_MAX_CACHED = 500_000

_LEFT = "an agent has left"


Standing: TypeAlias = tuple[Mind, Memory, tuple[Sight, ...]]
"""What decides for a player, what it remembers, and what it is shown."""


class Player(Protocol):
    """An agent as the engine sees it: a mind, a memory, and a way to add to it."""

    mind: Mind

    @property
    def memory(self) -> Memory:
        """What the player remembers, oldest first."""

    @property
    def name(self) -> str | None:
        """The name played last, None before the first interaction."""

    @property
    def gone(self) -> bool:
        """Whether the player has left the game in the middle of a round."""

    @property
    def foreseeable(self) -> bool:
        """Whether what is played alone determines what the memory becomes."""

    def remember(self, own: str, partner: str) -> None:
        """Add one interaction of the naming game to the memory."""

    def learn(self, past: Experience) -> None:
        """Add one interaction of any other game to the memory."""

    def release(self) -> None:
        """Give the player the mind it has when it is committed to no name."""


class Engine:
    """Plays a game in plain Python; any mind, any pairing rule, any player.

    Parameters
    ----------
    game
        The rules.
    neighbors
        Who may meet whom.
    players
        Who sits on each of ``neighbors.nodes``.
    pairing
        The rule that draws pairs.
    stream
        All random draws of the run.
    log
        Records every interaction before anyone remembers it; None for no record.
    rewiring
        How the network changes between rounds; None if it does not.
    eyes
        Looks up the attributes that minds are shown; None if they are shown none.

    Attributes
    ----------
    interactions, rounds
        How many have been started.
    skipped
        How many interactions had no outcome because a mind gave no name.
    discarded
        How many were decided speculatively, beyond the end of what was played, and are in no
        result.
    on_rewire
        Called with the changes of the network before they are made, if given.
    cut
        A round that was cut by an error, or is being played: its number and that of its first
        interaction. None between rounds.
    """

    def __init__(
        self,
        game: GameRules,
        neighbors: Neighbors,
        players: Sequence[Player],
        pairing: Pairing,
        stream: RandomStream,
        log: LLMClient | None = None,
        rewiring: Rewiring | None = None,
        eyes: Eyes | None = None,
    ) -> None:
        self.game = game
        self._referee = Referee(game)
        self.pairing = pairing
        self.stream = stream
        self.log = log
        self.rewiring = rewiring
        self.eyes = eyes
        self.on_rewire: Callable[[Sequence[Change]], None] | None = None
        self.interactions: int = 0
        self.skipped: int = 0
        self.discarded: int = 0
        self.rounds: int = 0
        self.cut: tuple[int, int] | None = None
        self._skipped_in_a_row = 0
        self._pipeline: Pipeline | None = None
        self._assumed: list[Standing] = []
        """The mind, memory and sight of every player that the pipeline works from."""
        self._horizon: int | None = None
        # By identity, for a mind need not be hashable; kept with the mind, so that none is reused.
        self._tables: dict[int, tuple[Mind, dict[Memory, list[int]] | None]] = {}
        self._seeing: dict[tuple[int, tuple[Sight, ...]], tuple[Mind, Mind]] = {}
        self.leaving: dict[int, tuple[Player, ...]] = {}
        """By population round, the players that are committed only before it."""
        self.set_players(neighbors, players)

    def set_players(self, neighbors: Neighbors, players: Sequence[Player]) -> None:
        """Continue with these players on these neighbors; a round that was cut is then over."""
        self._drop_pipeline()
        self.cut = None
        self.neighbors: Neighbors = neighbors
        self.players: tuple[Player, ...] = tuple(players)

    def release(self, indices: Iterable[int]) -> None:
        """Give the players at these indices the mind they have when committed to no name."""
        for index in indices:
            self.players[index].release()

    def let_go(self, rounds: int) -> int:
        """Release the players whose commitment ends before the next round.

        Return how many of so many rounds can be played before that of others does.
        """
        if self.leaving and self.cut is None:
            for end in [end for end in self.leaving if end <= self.rounds]:
                for player in self.leaving.pop(end):
                    player.release()
        return min([rounds, *(end - self.next_round for end in self.leaving)])

    def invalidate_caches(self) -> None:
        """Forget how minds chose: they may have been changed in place."""
        self._tables.clear()
        self._seeing.clear()

    @property
    def names_held(self) -> NDArray[np.int16]:
        """For each node the index in the pool of the name played last, -1 for none."""
        indices: dict[str | None, int] = {name: at for at, name in enumerate(self.game.pool)}
        return np.array([indices.get(player.name, -1) for player in self.players], np.int16)

    @property
    def next_round(self) -> int:
        """The number of the round that is played or resumed next."""
        return self.rounds if self.cut is None else self.cut[0]

    def play(
        self, rounds: int, recent: Recent, stop: Stop, tally: Tally, rows: Rows | None
    ) -> None:
        """Play population rounds until ``recent`` reaches ``stop``; at least one interaction.

        Everything is counted in ``recent`` and ``tally`` and added to ``rows``, unless that is
        None, as it happens, so that it is there if a mind fails.
        """
        indices = {name: index for index, name in enumerate(self.game.pool)}
        holders, counts = None, None
        if stop.holders:
            holders = Holders(self.neighbors.nodes, self.names_held, len(indices))
            counts = holders.counts
        with self.speculating(rounds):
            for _ in range(rounds):
                line = tally.begin_round()
                for row in self.round():
                    names = [indices[name] for name in row.names]
                    if rows is not None:
                        rows.append(row)
                    recent.add(*names)
                    count(line, names, self._referee.success(row.names))
                    if holders is not None:
                        for node, name in zip(row.nodes, names, strict=True):
                            holders.add(node, name)
                    if recent.reaches(stop, counts):
                        self._drop_pipeline()
                        self.cut = None
                        return

    @contextmanager
    def speculating(self, rounds: int) -> Iterator[None]:
        """Within the block, interactions of so many rounds may be decided before their turn.

        Agents and edges may be changed meanwhile, between rounds: what was decided is discarded.
        """
        if self._horizon is not None:
            yield
            return
        self._horizon = self.next_round + rounds
        try:
            yield
        finally:
            self._horizon = None
            self._drop_pipeline()
            if self.log is not None:
                self.log.flush()

    def round(self) -> Iterator[Row]:
        """Play the next population round, yielding each interaction once committed.

        A round that stopped at its goal stays shorter, and the next follows on from it. One that
        was cut by an error or an interrupt is resumed.
        """
        if self.cut is None:
            self.let_go(1)
            self._rewire()
            self.cut = self.rounds, self.interactions
            self.rounds += 1
        number, first = self.cut
        play = self._concurrently if self._may_speculate() else self._in_turn
        yield from play(number, first)
        self.cut = None

    def interrupt(self) -> None:
        """Raise ``InterruptionError`` in another thread that waits for minds."""
        pipeline = self._pipeline
        if pipeline is not None:
            pipeline.interrupt()

    # Rounds

    def _rewire(self) -> None:
        """Change the network as the rounds before have it, and look no further ahead than that."""
        if self.rewiring is None:
            return
        self._drop_pipeline()
        changes = self.rewiring.changes(self.neighbors)
        if changes:
            if self.on_rewire is not None:
                self.on_rewire(changes)
            self.neighbors = rewired(self.neighbors, changes)

    def _in_turn(self, number: int, first: int) -> Iterator[Row]:
        plan = plan_rounds(self.pairing, self.neighbors, self.stream, number, first, 1)
        for planned in islice(plan, self.interactions - first, None):
            row = self._play(planned)
            if planned.last:
                self.cut = None
            if row is not None:
                yield row

    def _concurrently(self, number: int, first: int) -> Iterator[Row]:
        if self._changed(range(len(self.players))):
            self._drop_pipeline()
        while True:
            if self._pipeline is None:
                self._pipeline = self._start_pipeline(number, first)
            try:
                decided = self._pipeline.next()
                nodes = decided.planned.nodes
                if self._changed(nodes):
                    self.discarded += 1
                    self._drop_pipeline()
                    continue
                if self._left(nodes):
                    if decided.names is not None:
                        self._drop_pipeline()  # what was decided since assumes that they met
                    self._pass_over(decided.planned)
                    row = None
                else:
                    row = self._commit(decided.planned, decided.names, decided.skipped)
            except BaseException:
                self._drop_pipeline()
                raise
            for node in nodes:
                mind, _, seen = self._assumed[node]
                self._assumed[node] = (mind, decided.memories[node], seen)
            if decided.planned.last:
                self.cut = None
            if row is not None:
                yield row
            if decided.planned.last:
                return

    def _may_speculate(self) -> bool:
        """Whether a mind has to be waited for, and what all will remember and see is known."""
        if self.eyes is not None and self.eyes.change_in_play(self.players):
            return False
        minds = {id(player.mind): player.mind for player in self.players}.values()
        return not all(is_plain_policy(mind) for mind in minds) and all(
            player.foreseeable for player in self.players
        )

    def _start_pipeline(self, number: int, first: int) -> Pipeline:
        self._assumed = [self._seat(index) for index in range(len(self.players))]
        minds = [(mind, seen) for mind, _, seen in self._assumed]
        ahead = self._horizon is not None and self.rewiring is None
        rounds = self._horizon - number if ahead and self._horizon is not None else 1
        rounds = min([rounds, *(end - number for end in self.leaving)])
        every = plan_rounds(self.pairing, self.neighbors, self.stream, number, first, rounds)
        plan = islice(every, self.interactions - first, None)

        async def ask(planned: Planned, memories: Sequence[Memory], scope: CancelScope) -> Names:
            if self._left(planned.nodes):
                raise SkippedError("nobody", _LEFT)
            seats = []
            for node, memory in zip(planned.nodes, memories, strict=True):
                mind, seen = minds[node]
                seats.append((mind, memory, seen))
            return await self._choices(planned.number, seats, scope=scope)

        return Pipeline(ask, plan, [memory for _, memory, _ in self._assumed], self._referee)

    def _drop_pipeline(self) -> None:
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            self.discarded += pipeline.close()

    def _changed(self, indices: Iterable[int]) -> bool:
        """Whether somebody gave one of these players something else to decide by than assumed."""
        return self._pipeline is not None and any(
            self._assumed[index] != self._seat(index) for index in indices
        )

    # Interactions

    def _left(self, seated: Sequence[int]) -> bool:
        """Whether somebody of an interaction has left since the round was planned."""
        return any(self.players[index].gone for index in seated)

    def _pass_over(self, planned: Planned) -> None:
        """Go on to the next interaction, for somebody of this one has left."""
        if self.log is not None:
            nodes = [self.neighbors.nodes[index] for index in planned.nodes]
            self.log.skipped(self.stream.run, planned.number, planned.round, nodes, _LEFT)
        self.interactions = planned.number + 1
        self.skipped += 1

    def _play(self, planned: Planned) -> Row | None:
        """Play the next interaction; return None where it is skipped."""
        if self._left(planned.nodes):
            self._pass_over(planned)
            return None
        seats = [self._seat(index) for index in planned.nodes]
        drawn = game_draws(self.stream, self.interactions, len(seats))
        chosen = tuple(self._choose(seat, draw) for seat, draw in zip(seats, drawn, strict=True))
        if None not in chosen:
            return self._commit(planned, cast(Names, chosen))
        try:
            names = wait_for(self._choices(self.interactions, seats), GRACE_PERIOD)
        except SkippedError as reason:
            return self._commit(planned, None, reason)
        return self._commit(planned, names)

    def _commit(
        self, planned: Planned, names: Names | None, skipped: SkippedError | None = None
    ) -> Row | None:
        nodes = [self.neighbors.nodes[node] for node in planned.nodes]
        if names is None:
            assert skipped is not None
            self._skip(planned, skipped, nodes)
            return None
        row = self._referee.row(self.stream.run, planned.number, planned.round, nodes, names)
        if self.log is not None:
            self.log.played(row)
        for seat, node in enumerate(planned.nodes):
            past = self._referee.experience(names, seat)
            if isinstance(past, Experience):
                self.players[node].learn(past)
            else:
                self.players[node].remember(*past)
        if self.rewiring is not None:
            self.rewiring.saw(row, self._referee.success(row.names))
        self.interactions = planned.number + 1
        self._skipped_in_a_row = 0
        return row

    def _skip(self, planned: Planned, reason: SkippedError, nodes: Sequence[Hashable]) -> None:
        self._skipped_in_a_row += 1
        if self._skipped_in_a_row >= MAX_SKIPPED:
            raise DecisionError(
                reason.mind,
                f"{MAX_SKIPPED} interactions in a row were skipped, this one because "
                f"{reason.problem}",
            ) from reason
        if self.log is not None:
            why = f"{reason.mind}: {reason.problem}"
            self.log.skipped(self.stream.run, planned.number, planned.round, nodes, why)
        self.interactions = planned.number + 1
        self.skipped += 1

    # Decisions

    def _seat(self, index: int) -> Standing:
        """Return what a player decides by now."""
        player, eyes = self.players[index], self.eyes
        seen = () if eyes is None else eyes.of(self.neighbors, self.players, index)
        return player.mind, player.memory, seen

    def _choose(self, seat: Standing, draw: int) -> str | None:
        """Return the name a policy gives on this draw, or None for a mind that must be asked."""
        mind, memory, seen = seat
        if seen and isinstance(mind, Policy):
            if len(self._seeing) >= _MAX_CACHED:
                self.invalidate_caches()
            if (id(mind), seen) not in self._seeing:
                self._seeing[id(mind), seen] = mind, mind.seeing(seen)
            mind = self._seeing[id(mind), seen][1]
        known = self._tables.get(id(mind))
        if known is None:
            known = self._tables[id(mind)] = (mind, {} if is_plain_policy(mind) else None)
        table = known[1]
        if table is None:
            return None
        weights = table.get(memory)
        if weights is None:
            if len(table) >= _MAX_CACHED:
                table.clear()
            weights = table[memory] = choice_weights(mind, memory, self.game)
        return self.game.pool[bisect_right(weights, draw)]

    async def _choices(
        self,
        number: int,
        seats: Sequence[Standing],
        scope: CancelScope | None = None,
    ) -> Names:
        """Return what all choose, once all have: if one fails, no reply of another is lost."""
        drawn = game_draws(self.stream, number, len(seats))
        names = await asyncio.gather(
            *(
                self._ask(
                    mind, Situation(self.game, memory, draw, self.stream, number, at, scope, seen)
                )
                for at, ((mind, memory, seen), draw) in enumerate(zip(seats, drawn, strict=True))
            ),
            return_exceptions=True,
        )
        failures = [name for name in names if isinstance(name, BaseException)]
        for failure in sorted(failures, key=lambda failure: isinstance(failure, SkippedError)):
            raise failure
        return tuple(name for name in names if isinstance(name, str))

    async def _ask(self, mind: Mind, situation: Situation) -> str:
        name = self._choose((mind, situation.memory, situation.seen), situation.draw)
        if name is not None:
            return name
        decision = await mind.decide(situation)
        if not isinstance(decision, Decision):
            raise DecisionError(mind.label, f"it returned {decision!r}, which is not a Decision")
        if decision.name not in self.game.pool:
            raise DecisionError(mind.label, f"it chose {decision.name!r}, which is not in the pool")
        return decision.name


def is_plain_policy(mind: Mind) -> bool:
    """Whether ``mind`` may be played through its distribution, without asking it."""
    return isinstance(mind, Policy) and type(mind).decide is Policy.decide


def choice_weights(mind: Mind, memory: Memory, game: GameRules) -> list[int]:
    """Return the cumulative weights of a policy's distribution; see ``probabilities_of``."""
    return cumulative_weights(probabilities_of(mind, memory, game))


def probabilities_of(mind: Mind, memory: Memory, game: GameRules) -> Sequence[float]:
    """Return the probability that a policy gives each name of the pool.

    Parameters
    ----------
    mind : Mind
        A policy.
    memory : Memory
        What the agent remembers.
    game : GameRules
        The rules; ``game.pool`` is the order of the names.

    Returns
    -------
    sequence of float
        One probability per name, shape (names,).

    Raises
    ------
    MindError
        If the mind does not return a distribution.
    """
    assert isinstance(mind, Policy)
    probabilities = mind.distribution(memory, game.pool)
    if (
        not hasattr(probabilities, "__len__")
        or len(probabilities) != len(game.pool)
        or not all(p >= 0 for p in probabilities)
        or not abs(sum(probabilities) - 1) < TOLERANCE
    ):
        raise MindError(
            "mind",
            mind.label,
            f"its distribution on {memory!r} is {probabilities!r}",
            "Return one probability per name of the pool, summing to 1.",
        )
    return probabilities
