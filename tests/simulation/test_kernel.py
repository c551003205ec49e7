"""The kernel plays what the plain engine plays, row by row, and says where it cannot."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import networkx as nx
import pytest
from chances import FixedPolicy, LoggedGame, Waiting, copying
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_specs import random_specs
from pandas.testing import assert_frame_equal
from strategies import graphs, pools, specs

from mesa_llm_norms import (
    Decision,
    Mind,
    NamingAgent,
    NamingGame,
    Neighbors,
    Pairing,
    Policy,
    ScriptedMind,
    TableMind,
    run_ensemble,
)
from mesa_llm_norms.core.game import Memory, read_memory
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.errors import MindError, SpecError
from mesa_llm_norms.minds import Situation, UniformMind
from mesa_llm_norms.networks.adjacency import Pair
from mesa_llm_norms.simulation import can_play, can_run
from mesa_llm_norms.simulation.arguments import EngineArgument, Until
from mesa_llm_norms.simulation.ensemble import play_run
from mesa_llm_norms.simulation.pairing import PAIRINGS, NodePairing
from mesa_llm_norms.simulation.spec import Spec

RECORDED = ("claude-3.5-sonnet", "llama-2-70b-chat", "llama-3-70b-instruct")
DRIFTING = "llama-3.1-70b-instruct"
"""A mind that is another in every run, where it plays Q and M."""

TABLE = TableMind(
    "measured",
    "QM",
    {
        (): (0.7, 0.3),
        read_memory([("Q", "M")]): (0.25, 0.75),
        read_memory([("M", "M")]): (0.0, 1.0),
        read_memory([("Q", "Q"), ("Q", "Q")]): (1.0, 0.0),
    },
)


@st.composite
def kernel_specs(draw: st.DrawFn) -> dict[str, Any]:
    """Draw arguments over all that the kernel plays: recorded, table, mixed and drifting minds."""
    arguments = draw(specs(minds=["uniform"]))
    graph: nx.Graph[Any] = arguments["graph"]
    kind = draw(st.sampled_from(["any pool", "Q and M", "many names"]))
    if kind == "any pool":
        policies: list[Any] = ["uniform", *RECORDED, copying(arguments["names"])]
    elif kind == "Q and M":
        arguments |= {"names": "QM", "incumbent": draw(st.sampled_from([None, "Q", "M"]))}
        arguments["committed"] = draw(
            st.sampled_from([None, {"M": 1}, {"Q": 0.3, "M": (0.2, "hubs")}, {"Q": 0.0}])
        )
        policies = [TABLE, DRIFTING, *RECORDED]
    else:
        arguments["names"] = draw(pools(min_size=11, max_size=14))
        arguments |= {"incumbent": None, "committed": None}
        policies = ["uniform", *RECORDED]
    mind = st.sampled_from(policies)
    by_node = st.fixed_dictionaries(dict.fromkeys(graph, mind))
    arguments["mind"] = draw(st.one_of(mind, by_node))
    arguments["seed"] = arguments.pop("rng")
    return arguments


@settings(max_examples=500)
@given(
    kernel_specs(),
    st.sampled_from([None, "converged", "agreed", "flipped"]),
    st.sampled_from([0.3, 1, 3]),
    st.sampled_from([0.6, 0.9, 1.0]),
    st.integers(0, 25),
    st.integers(0, 99),
)
def test_rows_and_rounds_are_those_of_the_plain_engine(
    arguments: dict[str, Any],
    until: str | None,
    window: float,
    threshold: float,
    rounds: int,
    run: int,
) -> None:
    spec = Spec(**arguments)
    goal = Goal(until if until != "flipped" or spec.committed_names else None, window, threshold)
    plain = play_run(spec, run, goal, rounds, keep=True, engine="python")
    compiled = play_run(spec, run, goal, rounds, keep=True, engine="kernel")
    assert compiled.rows == plain.rows
    assert compiled.tally.counts.tolist() == plain.tally.counts.tolist()
    assert compiled.outcome == plain.outcome
    assert play_run(spec, run, goal, rounds, engine="kernel").outcome == plain.outcome


@settings(max_examples=60)
@given(
    kernel_specs(),
    st.lists(st.tuples(st.sampled_from(["python", "kernel", "auto"]), st.integers(0, 6))),
    st.sampled_from(["converged", "agreed"]),
)
def test_a_model_is_the_same_whatever_engines_it_is_run_on(
    arguments: dict[str, Any], parts: list[tuple[EngineArgument, int]], until: Until
) -> None:
    arguments["rng"] = arguments.pop("seed")
    switching, plain = LoggedGame(**arguments), LoggedGame(**arguments)
    for engine, rounds in parts:
        found = switching.run(rounds, until, window=0.5, engine=engine)
        assert found == plain.run(rounds, until, window=0.5, engine="python")
        switching.step()
        plain.step()
    assert switching.log == plain.log
    assert switching.names_held == plain.names_held
    for agent, twin in zip(switching.players, plain.players, strict=True):
        assert (agent.memory, agent.name, agent.score) == (twin.memory, twin.name, twin.score)
    for collected in ("get_model_vars_dataframe", "get_agent_vars_dataframe"):
        frames = [getattr(game.datacollector, collected)() for game in (switching, plain)]
        assert frames[0].equals(frames[1])


def test_agents_and_edges_that_change_between_rounds_count_at_once() -> None:
    logs = []
    for engine in ("python", "kernel"):
        game = LoggedGame(graph="ring(n=12)", names="QM", mind=copying("QM"), rng=3)
        game.run(rounds=3, until=None, engine=engine)
        game.agent_on(3).remove()
        game.agent_on(5).mind = FixedPolicy(0.0, 1.0)
        game.network.G.add_edge(0, 6)
        game.run(rounds=3, until=None, engine=engine)
        NamingAgent(game, cast(Any, game.network)[3], UniformMind())
        game.run(rounds=3, until=None, engine=engine)
        logs.append(game.log)
    assert logs[0] == logs[1]
    assert any({row.node_a, row.node_b} == {0, 6} for row in logs[0])


def test_an_ensemble_is_the_same_on_every_engine() -> None:
    tables = [
        run_ensemble(
            graph="watts_strogatz(n=12, k=4, p=0.3)",
            names="QM",
            mind={DRIFTING: 0.5, "claude-3.5-sonnet": 0.5},
            pairing="matching",
            committed={"M": 0.2},
            rng=5,
            runs=12,
            rounds=15,
            keep_interactions=True,
            engine=engine,
        )
        for engine in ("python", "kernel", "auto")
    ]
    for other in tables[1:]:
        assert_frame_equal(other.runs, tables[0].runs)
        assert_frame_equal(other.rounds, tables[0].rounds)
        assert other.interactions is not None
        assert tables[0].interactions is not None
        assert_frame_equal(other.interactions, tables[0].interactions)


def test_threads_do_not_get_into_each_others_way() -> None:
    def play(seed: int) -> list[Any]:
        spec = Spec(graph="complete(n=12)", names="QM", mind=DRIFTING, seed=seed)
        return [
            play_run(spec, run, Goal(), 30, keep=True, engine="kernel").rows for run in range(9)
        ]

    alone = [play(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(play, range(4))) == alone


def test_two_runs_may_take_turns_on_one_automaton() -> None:
    from mesa_llm_norms.simulation.ensemble import start_run

    spec = Spec(graph="complete(n=8)", names="QM", mind=DRIFTING, seed=2)
    alone = [play_run(spec, run, Goal(), 10, keep=True, engine="python").rows for run in (0, 1)]
    game_runs = [start_run(spec, spec.initial_state(run), "kernel") for run in (0, 1)]
    rows: list[list[Any]] = [[], []]
    for _ in range(10):
        for game_run, found in zip(game_runs, rows, strict=True):
            game_run.play(1)
            found += game_run.rows
    assert rows == alone


class Failing(Policy):
    """A policy that breaks on a memory it does not like."""

    label = "failing"

    def distribution(self, memory: Memory, pool: Sequence[str]) -> Sequence[float]:
        if len(memory) == 3:
            return [0.5] * (len(pool) + 1)
        return [1 / len(pool)] * len(pool)


def test_where_a_mind_breaks_all_before_is_kept_and_the_run_can_go_on() -> None:
    logs = []
    for engine in ("python", "kernel"):
        game = LoggedGame(graph="ring(n=8)", names="QM", mind=Failing(), rng=1)
        with pytest.raises(MindError, match="its distribution on"):
            game.run(rounds=9, engine=engine)
        for agent in game.players:
            agent.mind = UniformMind()
        rows = [*game.log, *game.rows]
        game.run(rounds=2, until=None, engine=engine)
        logs.append([*rows, *game.log[-16:], game.interactions, game.outcome.rounds])
    assert logs[0] == logs[1]


def test_a_mind_changed_in_place_between_ensembles_is_asked_anew() -> None:
    mind, shares = FixedPolicy(0.9, 0.1), []
    for probabilities in ([0.9, 0.1], [0.1, 0.9]):
        mind.probabilities = probabilities
        for engine in ("python", "kernel"):
            played = run_ensemble(
                graph="ring(n=12)", names="QM", mind=mind, runs=3, rounds=9, rng=1, engine=engine
            )
            game = NamingGame(graph="ring(n=12)", names="QM", mind=mind, rng=1)
            game.run(rounds=9, until=None, engine=engine)
            shares.append((played.rounds.share_Q.mean(), game.outcome.share))
    assert shares[0] == shares[1]
    assert shares[2] == shares[3]
    assert shares[2][0] < 0.3 < 0.7 < shares[0][0]


def test_agents_that_were_told_to_forget_or_given_another_name_play_on_alike() -> None:
    found = []
    for engine in ("python", "kernel"):
        game = LoggedGame(graph="star(n=30)", names="QM", mind="claude-3.5-sonnet", rng=1)
        game.run(rounds=3, until=None, engine="python")
        for place, agent in enumerate(game.players):
            agent.restore(agent.memory if place % 2 else (), "Q")
        game.run(rounds=1, until=None, engine=engine)
        found.append((game.log, game.names_held, [agent.memory for agent in game.players]))
    assert found[0] == found[1]


def test_ones_own_agents_can_sit_on_every_node() -> None:
    class Own(NamingAgent):
        pass

    class OwnGame(NamingGame):
        player_type = Own

    game = OwnGame(graph="ring(n=6)", names="QM", mind="uniform", rng=1)
    assert all(type(agent) is Own for agent in game.agents)
    assert can_run(game)


class TestWhatItRefuses:
    def refused(self, model: NamingGame) -> str:
        verdict = can_run(model)
        assert not verdict
        with pytest.raises(SpecError, match="would bypass") as caught:
            model.run(rounds=1, engine="kernel")
        assert model.interactions == 0
        (reason,) = verdict.reasons
        assert reason in str(caught.value)
        log = model.run(rounds=2, until=None, engine="auto")
        assert log.interactions > 0
        return reason

    def test_a_mind_that_decides_itself_is_named_with_its_method(self) -> None:
        class Contrary(UniformMind):
            async def decide(self, situation: Situation) -> Decision:
                return Decision(situation.game.pool[0])

        reason = self.refused(NamingGame(names="QM", mind=Contrary(), rng=1))
        assert reason.endswith("Contrary.decide")
        reason = self.refused(NamingGame(names="QM", mind=Waiting(UniformMind()), rng=1))
        assert reason == "chances.Waiting.decide"

    def test_one_such_mind_among_many_is_enough(self) -> None:
        game = NamingGame(graph="ring(n=6)", names="QM", mind="uniform", rng=1)
        assert can_run(game)
        game.agent_on(4).mind = ScriptedMind("QM")
        assert self.refused(game) == "mesa_llm_norms.minds.policies.ScriptedMind.decide"

    @pytest.mark.parametrize("method", ["remember", "memory"])
    def test_an_agent_that_remembers_differently(self, method: str) -> None:
        class Forgetful(NamingAgent):
            pass

        overridden: dict[str, Any] = {
            "remember": lambda self, own, partner: NamingAgent.remember(self, own, partner),
            "memory": property(lambda self: self._memory[-1:]),
        }
        setattr(Forgetful, method, overridden[method])
        game = NamingGame(graph="ring(n=6)", names="QM", mind="uniform", rng=1)
        game.agent_on(2).remove()
        Forgetful(game, cast(Any, game.network)[2], UniformMind())
        assert self.refused(game).endswith(f"Forgetful.{method}")

    def test_a_single_agent_that_remembers_differently(self) -> None:
        game = NamingGame(graph="ring(n=6)", names="QM", mind="uniform", rng=1)
        agent = game.agent_on(0)
        usual, heard = agent.remember, list[str]()

        def listening(own: str, partner: str) -> None:
            heard.append(partner)
            usual(own, partner)

        agent.remember = listening  # type: ignore[method-assign]
        assert "remember" in self.refused(game)
        assert heard

    def test_a_rule_of_pairing_of_ones_own(self) -> None:
        class Clockwork(Pairing):
            label = "clockwork"

            def pairs(
                self,
                neighbors: Neighbors,
                round_number: int,  # noqa: ARG002
                first: int,  # noqa: ARG002
                stream: RandomStream,  # noqa: ARG002
            ) -> Iterator[Pair]:
                yield from neighbors.edges

        class Node(NodePairing):
            pass

        for rule in (Clockwork(), Node()):
            game = NamingGame(graph="ring(n=6)", names="QM", mind="uniform", pairing=rule, rng=1)
            assert self.refused(game).endswith(f"{type(rule).__qualname__}.pairs")

    def test_an_ensemble_says_so_too_and_auto_plays_on_in_python(self) -> None:
        mind = ScriptedMind("QM")
        with pytest.raises(SpecError, match=r"ScriptedMind\.decide") as caught:
            run_ensemble(names="QM", mind=mind, runs=1, rounds=1, rng=1, engine="kernel")
        assert caught.value.argument == "engine"
        auto = run_ensemble(names="QM", mind=mind, runs=100, rounds=1, rng=1)
        assert auto.runs.interactions.tolist() == [24] * 100

    @pytest.mark.parametrize("engine", ["numba", "", None, True])
    def test_an_engine_that_is_none(self, engine: Any) -> None:
        with pytest.raises(SpecError) as caught:
            NamingGame(names="QM", mind="uniform").run(engine=engine)
        assert caught.value.argument == "engine"
        with pytest.raises(SpecError):
            run_ensemble(names="QM", mind="uniform", runs=1, engine=engine)


def check_that_rows_are_equal(number: int, seed: str) -> None:
    for spec, goal, rounds in random_specs(number, seed):
        for run in (0, 1):
            plain = play_run(spec, run, goal, rounds, keep=True, engine="python")
            compiled = play_run(spec, run, goal, rounds, keep=True, engine="kernel")
            assert compiled.rows == plain.rows, spec
            assert compiled.tally.counts.tolist() == plain.tally.counts.tolist(), spec
            assert compiled.outcome == plain.outcome, spec


def test_rows_are_those_of_the_plain_engine_for_many_names_and_long_memories() -> None:
    check_that_rows_are_equal(40, "a few")


@pytest.mark.slow
def test_rows_are_those_of_the_plain_engine_on_a_thousand_specs() -> None:
    check_that_rows_are_equal(1_000, "many")


@settings(max_examples=30)
@given(graphs(max_nodes=6), st.integers(0, 9))
def test_names_held_at_the_end_are_those_last_played(graph: nx.Graph[Any], rounds: int) -> None:
    spec = Spec(graph=graph, names="QMX", mind="uniform", incumbent="X", seed=1)
    for engine in ("python", "kernel"):
        played = play_run(spec, 0, Goal(), rounds, keep=True, engine=engine)
        held: dict[Hashable, int] = dict.fromkeys(graph, -1)
        for row in played.rows:
            held[row.node_a], held[row.node_b] = "QMX".index(row.name_a), "QMX".index(row.name_b)
        assert played.held.tolist() == list(held.values())


def test_importing_the_package_does_not_import_numba_and_small_runs_do_without() -> None:
    code = (
        "import sys, mesa_llm_norms as m; m.NamingGame(names='QM', rng=1).run();"
        "m.run_ensemble(names='QM', runs=3, rounds=3, rng=1); print('numba' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert found.stdout.split() == ["False"]


def test_a_memory_of_a_mind_is_the_same_object_of_the_package() -> None:
    game = NamingGame(graph="ring(n=6)", names="QM", mind="uniform", rng=1)
    game.run(rounds=3, until=None, engine="kernel")
    for agent in game.agents:
        assert isinstance(agent, NamingAgent)
        assert all(pair.own in "QM" and pair.partner in "QM" for pair in agent.memory)
        assert agent.memory[-1].own == agent.name


class Unlabelled(Mind):
    label = "unlabelled"

    async def decide(self, situation: Situation) -> Decision:
        return Decision(situation.game.pool[-1])


def test_a_mind_put_in_during_a_run_is_played_in_python_from_then_on() -> None:
    class Changing(LoggedGame):
        def step(self) -> None:
            if self.interactions == 24:
                self.agent_on(0).mind = Unlabelled()
            super().step()

    logs = []
    for engine in ("auto", "python"):
        game = Changing(graph="ring(n=6)", names="QM", mind="uniform", rng=1)
        game.run(rounds=10, until=None, engine=engine)
        logs.append(game.log)
    assert logs[0] == logs[1]


def test_a_rule_that_ships_later_is_not_taken_for_one_the_kernel_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Reversed(NodePairing):
        label = "reversed"

    monkeypatch.setitem(PAIRINGS, "reversed", Reversed)
    assert not can_play([UniformMind()], Reversed())
    assert can_play([UniformMind()], NodePairing())
