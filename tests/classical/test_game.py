"""The rules of the classical game, worked by hand, and what always holds."""

from __future__ import annotations

from typing import Any

import networkx as nx
import pytest
from classical_cases import games, players
from hypothesis import given
from hypothesis import strategies as st
from strategies import graphs, pools

from mesa_llm_norms.classical.ensemble import run_classical
from mesa_llm_norms.classical.game import PAIRINGS, ClassicalSpec, Player, Rules, Utterance
from mesa_llm_norms.classical.model import ClassicalGame
from mesa_llm_norms.core.randomness import RandomStream, index_of
from mesa_llm_norms.errors import GraphError, PairingError, PoolError, SpecError
from mesa_llm_norms.networks.adjacency import Neighbors
from mesa_llm_norms.simulation.pairing import EdgePairing, NodePairing

FIRST, LAST = 0, 2**32 - 1
"""The draws that pick the first and the last word of an inventory."""


def player(*words: str, committed: str | None = None) -> Player:
    made = Player()
    made._inventory, made._committed = words, committed
    return made


def meet(speaker: Player, hearer: Player, draw: int, invented: str = "new") -> bool:
    """Have one interaction between the two."""
    word = speaker.utter(draw, invented)
    matched = hearer.hear(word)
    if matched:
        speaker.agree(word)
        hearer.agree(word)
    return matched


# One interaction


def test_a_word_the_hearer_lacks_is_added_as_its_newest() -> None:
    speaker, hearer = player("a", "b"), player("c", "d")
    assert not meet(speaker, hearer, LAST)
    assert (speaker.inventory, hearer.inventory) == (("a", "b"), ("c", "d", "b"))
    assert (speaker.name, hearer.name) == ("b", None)


def test_a_word_the_hearer_has_is_all_that_both_keep() -> None:
    speaker, hearer = player("a", "b", "c"), player("d", "a")
    assert meet(speaker, hearer, FIRST)
    assert [speaker.inventory, hearer.inventory] == [("a",), ("a",)]
    assert speaker.name == hearer.name == "a"


def test_a_speaker_without_words_invents_one() -> None:
    speaker, hearer = player(), player()
    assert not meet(speaker, hearer, 123, "w7")
    assert [speaker.inventory, hearer.inventory] == [("w7",), ("w7",)]


def test_an_invention_from_a_pool_may_be_known_already() -> None:
    speaker, hearer = player(), player("B", "Q")
    assert meet(speaker, hearer, 123, "Q")
    assert [speaker.inventory, hearer.inventory] == [("Q",), ("Q",)]


def test_a_committed_agent_speaks_and_hears_and_never_changes() -> None:
    committed, other = player("M", committed="M"), player("Q")
    assert not meet(committed, other, LAST)
    assert other.inventory == ("Q", "M")
    assert not meet(player("Q"), committed, FIRST)
    assert meet(other, committed, LAST)
    assert [committed.inventory, other.inventory] == [("M",), ("M",)]


@pytest.mark.parametrize(("draw", "word"), [(FIRST, "a"), (2**31, "b"), (LAST, "c")])
def test_the_draw_says_which_word_the_oldest_first(draw: int, word: str) -> None:
    assert player("a", "b", "c").utter(draw, "new") == word


# Who meets whom


@given(graphs(), st.integers(0, 2**64 - 1), st.integers(0, 10**6))
def test_pairs_are_those_of_the_pairing_rules(graph: nx.Graph[Any], seed: int, first: int) -> None:
    neighbors, draws = Neighbors(graph), RandomStream(seed)
    nodes = list(NodePairing().pairs(neighbors, 0, first, draws))
    edges = list(EdgePairing().pairs(neighbors, 0, first, draws))
    pairs = {name: list(Rules(None, name).pairs(neighbors, first, draws)) for name in PAIRINGS}
    assert pairs == {"direct": nodes, "reverse": [(b, a) for a, b in nodes], "neutral": edges}


@given(graphs(), pools(), st.booleans(), st.integers(0, 999))
def test_every_row_is_what_its_four_draws_say(
    graph: nx.Graph[Any], pool: tuple[str, ...], free: bool, seed: int
) -> None:
    model = ClassicalGame(graph=graph, names=None if free else pool, rng=seed)
    nodes, held = list(graph), dict[Any, list[str]]()
    for _ in range(3):
        model.step()
        for row in model.rows:
            drawn = RandomStream(seed).interaction(row.interaction)
            own, other = held.setdefault(row.speaker, []), held.setdefault(row.hearer, [])
            if not own:
                place = nodes.index(row.speaker)
                own.append(f"w{place}" if free else pool[index_of(drawn.seat_b, len(pool))])
            assert row.word == own[index_of(drawn.seat_a, len(own))]
            assert row.matched == (row.word in other)
            if row.matched:
                own[:] = other[:] = [row.word]
            else:
                other.append(row.word)
    assert {agent.node: list(agent.inventory) for agent in players(model)} == {
        node: held.get(node, []) for node in nodes
    }


# What always holds


@given(games(always=True), st.integers(1, 8))
def test_words_are_counted_and_committed_agents_never_change(
    arguments: dict[str, Any], rounds: int
) -> None:
    model = ClassicalGame(**arguments)
    committed = {agent: agent.committed for agent in players(model) if agent.committed}
    for number in range(rounds):
        model.step()
        assert model.round is not None
        inventories = [agent.inventory for agent in players(model)]
        assert model.round.number == number
        assert model.round.total_words == sum(map(len, inventories))
        assert model.round.distinct_words == len({w for words in inventories for w in words})
        assert model.round.interactions == model.interactions == (number + 1) * len(inventories)
        assert all(len(set(words)) == len(words) for words in inventories)
        assert model.converged == (len(set(inventories)) == 1 == len(inventories[0]))
    for agent, word in committed.items():
        assert (agent.committed, agent.inventory) == (word, (word,))


@given(games(always=True))
def test_consensus_stays_and_leaves_nothing_to_play(arguments: dict[str, Any]) -> None:
    model = ClassicalGame(**arguments)
    outcome = model.run(rounds=200)
    if not outcome.converged:
        return
    assert outcome.share == 1
    assert model.run(rounds=3) == outcome
    held = {agent.inventory for agent in players(model)}
    assert held == {(outcome.winner,)}
    after = model.run(rounds=3, until=None)
    assert (after.converged, after.winner, after.success_rate) == (True, outcome.winner, 1.0)


def test_with_an_incumbent_and_nobody_committed_there_is_consensus_from_the_start() -> None:
    (row,) = run_classical(names="QM", incumbent="Q", runs=1).runs.to_dict("records")
    assert (row["interactions"], row["rounds"], row["converged"]) == (0, 0, True)
    assert (row["winner"], row["share"], row["peak_words"], row["peak_time"]) == ("Q", 1, 24, 0)


def test_agents_committed_to_two_names_rule_consensus_out() -> None:
    result = run_classical(names="QM", committed={"Q": 1, "M": 1}, runs=20, rounds=200)
    assert not result.runs["converged"].any()
    assert (result.runs["rounds"] == 200).all()


# What is refused


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"names": "Q"}, PoolError, "a pool of 1"),
        ({"pairing": "directt"}, PairingError, "did you mean 'direct'"),
        ({"pairing": ["direct"]}, PairingError, "Choose direct, reverse or neutral"),
        ({"names": "QM", "incumbent": "Z"}, SpecError, "not in the pool"),
        ({"incumbent": "w3"}, PoolError, "may invent"),
        ({"incumbent": " x"}, PoolError, "without spaces"),
        ({"incumbent": 3}, PoolError, "not usable as a name"),
        ({"committed": {"w12": 2}}, PoolError, "may invent"),
        ({"names": "QM", "committed": {"Z": 2}}, SpecError, "not in the pool"),
        ({"committed": 5}, SpecError, "who is committed"),
        ({"committed": {"M": 25}}, SpecError, "cannot be committed"),
        ({"committed": {"M": 1.5}}, SpecError, "cannot be committed"),
        ({"graph": nx.Graph([(0, 0), (0, 1)])}, GraphError, "itself"),
        ({"graph": "complete(n=1)"}, SpecError, "from 2"),
        ({"graph": "no_such_graph"}, SpecError, "no topology"),
    ],
)
def test_what_cannot_be_played_is_refused(
    arguments: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        ClassicalGame(**arguments)
    with pytest.raises(error, match=said):
        run_classical(**arguments, runs=1)


@pytest.mark.parametrize("until", ["flipped", 3, ["converged"]])
def test_nothing_but_consensus_and_agreement_ends_a_run(until: Any) -> None:
    with pytest.raises(SpecError, match="not a valid stopping rule"):
        ClassicalGame().run(until=until)
    with pytest.raises(SpecError, match="not a valid stopping rule"):
        run_classical(until=until)


def test_without_rounds_and_goal_nothing_would_end_a_run() -> None:
    with pytest.raises(SpecError, match="nothing says when to stop"):
        ClassicalGame().run(until=None)


def test_a_row_says_who_said_what_to_whom() -> None:
    model = ClassicalGame(graph=nx.path_graph(["Ann", "Bob"]), rng=1)
    model.step()
    first = model.rows[0]
    assert first == Utterance(0, 0, 0, first.speaker, first.hearer, first.word, False)
    assert {first.speaker, first.hearer} == {"Ann", "Bob"}
    assert first.word == {"Ann": "w0", "Bob": "w1"}[str(first.speaker)]


@pytest.mark.parametrize("pairing", ["direct", "neutral"])
@pytest.mark.parametrize(
    "graph",
    ["complete(n=12)", "star(n=12)", "erdos_renyi(n=12, p=0.4)", "torus(rows=3, columns=4)"],
)
@pytest.mark.parametrize(
    "committed", [None, {"M": 3}, {"M": (0.25, "hubs"), "Q": [1, 2]}, {"Q": (4, "cluster")}]
)
def test_the_states_of_several_runs_are_those_of_each(
    graph: str, committed: Any, pairing: str
) -> None:
    spec = ClassicalSpec(
        graph=graph, names="QMX", pairing=pairing, incumbent="X", committed=committed, seed=4
    )
    found = spec.initial_states(range(5, 12))
    for run, state in zip(range(5, 12), found, strict=True):
        alone = spec.initial_state(run)
        assert (state.rules, state.incumbent, state.committed) == (
            alone.rules,
            alone.incumbent,
            alone.committed,
        )
        assert (state.stream.seed, state.stream.run) == (4, run)
        assert state.neighbors.indices.tolist() == alone.neighbors.indices.tolist()
