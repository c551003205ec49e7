"""Whatever is begun before its turn, what comes of it is what would have come of it in its turn."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Any, ClassVar

import networkx as nx
import pytest
from chances import LoggedGame, copying, without_rounds
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import specs

from mesa_llm_norms import Decision, Mind, NamingAgent, NamingGame, run_ensemble
from mesa_llm_norms.errors import DecisionError, PairingError, SkippedError
from mesa_llm_norms.minds import Situation
from mesa_llm_norms.minds.mind import Policy
from mesa_llm_norms.simulation import Interaction
from mesa_llm_norms.simulation.pairing import NodePairing
from mesa_llm_norms.simulation.pipeline import WINDOW


class Slow(Mind):
    """Asks a policy after a number of turns of the event loop that differs from call to call.

    At most ``limit`` calls are under way at once; ``most`` is how many were, ``asked`` all.
    """

    def __init__(self, inner: Policy, turns: int = 7, limit: int = 1_000) -> None:
        self.inner = inner
        self.turns = turns
        self.limit = limit
        self.label = "slow"
        self.under_way = self.most = 0
        self.asked: list[tuple[int, int]] = []

    async def decide(self, situation: Situation) -> Decision:
        while self.under_way >= self.limit:
            await asyncio.sleep(0)
        self.asked.append((situation.interaction, situation.seat))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        where = situation.interaction, situation.seat
        for _ in range(situation.stream.of("latency", *where) % (1 + self.turns)):
            await asyncio.sleep(0)
        self.under_way -= 1
        return await self.inner.decide(situation)


def play(rounds: int = 6, **arguments: Any) -> LoggedGame:
    game = LoggedGame(**{"graph": "ring(n=12)", "names": "QM", "rng": 3, **arguments})
    game.run(rounds=rounds, until=None)
    return game


@settings(max_examples=120)
@given(specs(), st.integers(0, 12), st.integers(1, 9), st.integers(0, 2**32))
def test_a_run_is_the_same_at_any_concurrency_and_latency(
    arguments: dict[str, Any], turns: int, limit: int, seed: int
) -> None:
    plain = copying(arguments["names"])
    arguments = {**arguments, "rng": seed}
    expected = play(**{**arguments, "mind": plain})
    slow = play(**{**arguments, "mind": Slow(plain, turns, limit)})
    assert slow.log == expected.log
    assert {a.node: a.memory for a in slow.players} == {a.node: a.memory for a in expected.players}
    assert slow.outcome == expected.outcome


@settings(max_examples=30)
@given(specs(), st.integers(0, 2**32))
def test_a_run_that_stops_at_its_goal_stops_at_the_same_interaction(
    arguments: dict[str, Any], seed: int
) -> None:
    runs = []
    for mind in (copying(arguments["names"]), Slow(copying(arguments["names"]))):
        game = LoggedGame(**{**arguments, "mind": mind, "rng": seed})
        game.run(rounds=30, window=1)
        game.run(rounds=3, window=1, until=None)
        runs.append((game.log, game.outcome))
    assert runs[0] == runs[1]


def test_interactions_of_later_rounds_begin_before_a_round_is_over() -> None:
    """With two far ends that take turns, one waits for the other's next round to have begun."""

    class FarAhead(Mind):
        label = "far ahead"
        seen: ClassVar[set[int]] = set()

        async def decide(self, situation: Situation) -> Decision:
            self.seen.add(situation.interaction)
            if situation.interaction == 0:
                while max(self.seen) < 12:
                    await asyncio.sleep(0)
            return Decision("Q")

    assert play(rounds=3, mind=FarAhead()).interactions == 36


def test_as_many_calls_are_under_way_as_agents_are_free() -> None:
    mind = Slow(copying("QM"), turns=40)
    play(graph="complete(n=24)", rounds=4, mind=mind)
    assert mind.most > 12


def test_nothing_is_begun_beyond_the_rounds_that_are_wanted() -> None:
    mind = Slow(copying("QM"))
    game = play(rounds=2, mind=mind)
    assert len(mind.asked) == 2 * game.interactions
    game.step()
    assert sorted(mind.asked) == [(t, seat) for t in range(36) for seat in (0, 1)]
    assert game.discarded == 0


def test_work_beyond_the_stopping_point_is_bounded_and_counted() -> None:
    mind = Slow(copying("QM"), turns=3)
    game = LoggedGame(graph="complete(n=12)", names="QM", rng=3, mind=mind)
    outcome = game.run(rounds=200)
    assert outcome.converged
    begun = max(interaction for interaction, _ in mind.asked) + 1
    assert outcome.interactions < begun <= outcome.interactions + WINDOW * 12
    asked = len({t for t, _ in mind.asked if t >= outcome.interactions})
    assert asked <= game.discarded <= WINDOW * 12
    held = {agent.node: agent.memory for agent in game.players}
    again = LoggedGame(graph="complete(n=12)", names="QM", rng=3, mind=copying("QM"))
    again.run(rounds=200)
    assert held == {agent.node: agent.memory for agent in again.players}


class Changing(LoggedGame):
    """Rewires, replaces and forgets between the rounds of one call of ``run``."""

    def step(self) -> None:
        super().step()
        if len(self.log) % 24 == 0:
            self.network.G.add_edge(0, 6)
            self.agent_on(3).restore((), None)
        if len(self.log) % 36 == 0:
            self.agent_on(5).mind = self.agent_on(1).mind


def test_what_was_begun_is_discarded_where_agents_or_edges_change_between_rounds() -> None:
    logs = []
    for first, other in (
        (copying("QM"), copying("QM", 0.6)),
        (Slow(copying("QM")), Slow(copying("QM", 0.6))),
    ):
        minds: dict[Hashable, Mind] = {node: first if node < 3 else other for node in range(12)}
        game = Changing(graph="ring(n=12)", names="QM", rng=3, mind=minds)
        game.run(rounds=8, until=None)
        logs.append(game.log)
    assert logs[0] == logs[1]
    assert len(logs[0]) == 96
    assert game.discarded > 0


def test_a_mind_replaced_within_a_round_decides_from_its_next_interaction_on() -> None:
    logs = []
    for first, other in (
        (copying("QM"), copying("QM", 0.6)),
        (Slow(copying("QM")), Slow(copying("QM", 0.6))),
    ):
        game = NamingGame(graph="ring(n=12)", names="QM", rng=3, mind=first)
        log = []
        for row in game.play(60):
            log.append(row)
            if len(log) in (5, 29):
                game.agent_on(3).mind = other
                game.agent_on(7).restore((), None)
        logs.append(log)
    assert logs[0] == logs[1]
    assert game.discarded > 0


def test_agents_who_remember_in_a_way_of_their_own_are_played_in_turn() -> None:
    class Proud(NamingAgent):
        def remember(self, own: str, partner: str) -> None:
            if own == partner:
                super().remember(own, partner)

    class ProudGame(LoggedGame):
        player_type = Proud

    slow = Slow(copying("QM"))
    logs = []
    for mind in (copying("QM"), slow):
        game = ProudGame(graph="ring(n=12)", names="QM", rng=3, mind=mind)
        game.run(rounds=6, until=None)
        logs.append(game.log)
    assert logs[0] == logs[1]
    assert slow.most == 2


def test_independent_runs_of_an_ensemble_give_the_same_rows() -> None:
    found = [
        run_ensemble(
            graph="ring(n=8)",
            names="QM",
            mind=mind,
            rng=5,
            runs=6,
            rounds=9,
            keep_interactions=True,
        )
        for mind in (copying("QM"), Slow(copying("QM")))
    ]
    one, other = (result.interactions for result in found)
    assert one is not None
    assert other is not None
    assert one.equals(other)


class Failing(Slow):
    """Fails at one interaction, or skips some of them."""

    def __init__(self, bad: int = -1, skipped: frozenset[int] = frozenset()) -> None:
        super().__init__(copying("QM"))
        self.bad = bad
        self.skipped = skipped

    async def decide(self, situation: Situation) -> Decision:
        decision = await super().decide(situation)
        if situation.interaction == self.bad and situation.seat == 1:
            raise DecisionError("failing", "as it was told to")
        if situation.interaction in self.skipped and situation.seat == 0:
            raise SkippedError("failing", "it has nothing to say")
        return decision


@pytest.mark.parametrize("bad", [0, 7, 12, 30])
def test_all_before_a_failure_is_played_and_nothing_after_it(bad: int) -> None:
    expected = play(rounds=4, mind=copying("QM")).log
    game = LoggedGame(graph="ring(n=12)", names="QM", rng=3, mind=Failing(bad))
    with pytest.raises(DecisionError, match="as it was told"):
        game.run(rounds=4, until=None)
    assert game.log == expected[:bad]
    assert game.interactions == bad
    for agent in game.players:
        agent.mind = copying("QM")
    game.run(rounds=4, until=None)
    assert without_rounds(game.log)[: len(expected)] == without_rounds(expected)


def test_a_skipped_interaction_keeps_its_number_and_nobody_remembers_it() -> None:
    skipped = frozenset({0, 5, 6, 13, 20})
    game = play(rounds=3, mind=Failing(skipped=skipped))
    assert [row.interaction for row in game.log] == [t for t in range(36) if t not in skipped]
    assert [row.round for row in game.log] == [t // 12 for t in range(36) if t not in skipped]
    assert (game.interactions, game.skipped) == (31, 5)
    assert game.outcome.interactions == 31
    assert game.round is not None
    assert game.round.interactions == 31
    for agent in game.players:
        played = [
            (row.name_a, row.name_b) if row.node_a == agent.node else (row.name_b, row.name_a)
            for row in game.log
            if agent.node in (row.node_a, row.node_b)
        ]
        assert [tuple(pair) for pair in agent.memory] == played[-5:]


def test_skipping_without_an_end_stops_the_run() -> None:
    game = LoggedGame(
        graph="ring(n=12)", names="QM", rng=3, mind=Failing(skipped=frozenset(range(99)))
    )
    with pytest.raises(DecisionError, match="20 interactions in a row") as caught:
        game.run(rounds=4, until=None)
    assert not isinstance(caught.value, SkippedError)
    assert game.log == []


class Broken(NodePairing):
    """A rule that fails within a round, after so many pairs."""

    label = "broken"

    def pairs(self, neighbors: Any, round_number: int, first: int, stream: Any) -> Any:
        for number, pair in enumerate(super().pairs(neighbors, round_number, first, stream)):
            if round_number == 1 and number == 4:
                raise PairingError("pairing", self, "it broke", "Mend it.")
            yield pair


def test_a_rule_that_fails_is_heard_after_the_pairs_before_it_are_played() -> None:
    logs: list[list[Interaction]] = []
    for mind in (copying("QM"), Slow(copying("QM"))):
        game = LoggedGame(graph="ring(n=12)", names="QM", rng=3, mind=mind, pairing=Broken())
        with pytest.raises(PairingError, match="it broke"):
            game.run(rounds=4, until=None)
        logs.append(game.log)
    assert logs[0] == logs[1]
    assert len(logs[0]) == 16


def test_a_mesa_model_of_two_minds_is_played_alike() -> None:
    slow = Slow(copying("QM"))
    minds: dict[Hashable, Mind] = {node: slow if node % 2 else copying("QM") for node in range(12)}
    mixed = NamingGame(graph=nx.cycle_graph(12), names="QM", rng=3, mind=minds)
    plain = NamingGame(graph=nx.cycle_graph(12), names="QM", rng=3, mind=copying("QM"))
    for game in (mixed, plain):
        game.run(rounds=10, until=None)
    assert mixed.names_held == plain.names_held
