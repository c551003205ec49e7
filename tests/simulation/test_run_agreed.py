"""When a population has agreed: compared with a search through everything that was played."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any

import networkx as nx
import numpy as np
import pytest
from chances import LoggedGame
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from mesa_llm_norms import NamingGame, Policy, ScriptedMind, load_mind, run_ensemble
from mesa_llm_norms.simulation import Interaction
from mesa_llm_norms.simulation.arguments import EngineArgument
from mesa_llm_norms.testing import FakeProvider

NETWORKS: dict[str, Any] = {
    "a tree": "barabasi_albert(n=24, m=1)",
    "caves": "connected_caveman(cliques=4, size=5)",
    "a ring": "ring(n=16)",
    "two parts": nx.disjoint_union(nx.complete_graph(5), nx.cycle_graph(6)),
    "a pair": nx.path_graph(2),
    "complete": "complete(n=24)",
    "a star": "star(n=20)",
    "directed": nx.gn_graph(20, seed=1),
}
ROUNDS = 60

pytestmark = pytest.mark.filterwarnings("ignore::mesa_llm_norms.networks.validation.GraphWarning")


def first_agreed(rows: Sequence[Interaction], nodes: int, window: float) -> int | None:
    """Return after how many interactions a population agreed, looking at all of them."""
    size = max(1, round(window * nodes))
    held: dict[Hashable, str] = {}
    for end, row in enumerate(rows, 1):
        held |= {row.node_a: row.name_a, row.node_b: row.name_b}
        name, holders = Counter(held.values()).most_common(1)[0]
        played = [name for row in rows[max(0, end - size) : end] for name in row[5:7]]
        if end >= size and holders >= 0.95 * nodes and played.count(name) >= 0.95 * len(played):
            return end
    return None


@settings(max_examples=25)
@given(
    st.sampled_from(list(NETWORKS.values())),
    st.sampled_from(["QM", "QMXYFJPRCD"]),
    st.sampled_from(["node", "edge", "matching"]),
    st.sampled_from([0.5, 1, 3]),
    st.sampled_from([None, {"M": 0.2}, {"M": (3, "hubs"), "Q": 1}]),
    st.integers(0, 2**64 - 1),
)
def test_a_run_stops_right_after_the_interaction_that_makes_it_agree(
    graph: Any, names: str, pairing: str, window: float, committed: Any, rng: int
) -> None:
    arguments: dict[str, Any] = {"names": names, "pairing": pairing, "rng": rng}
    if len(LoggedGame(graph, names, rng=rng).players) > 4:
        arguments["committed"] = committed
    game, plain = (LoggedGame(graph, **arguments) for _ in range(2))
    outcome = game.run(ROUNDS, until="agreed", window=window, engine="kernel")
    assert plain.run(ROUNDS, until="agreed", window=window, engine="python") == outcome
    held = Counter(game.names_held.values())
    assert outcome.names_left == len(held.keys() - {None})
    assert outcome.one_name == (outcome.names_left == 1)
    assert outcome.agreed == (first_agreed(game.log, len(game.players), window) is not None)
    assert outcome.interactions == (
        first_agreed(game.log, len(game.players), window) or len(game.log)
    )


@pytest.mark.parametrize("graph", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("committed", [None, {"M": 1}])
def test_one_name_is_held_by_95_percent_of_the_nodes_where_runs_agreed(
    graph: Any, committed: Any
) -> None:
    """Whatever plays them: plain Python, the kernel run by run, or all runs in one call."""
    how: dict[str, Any] = {"graph": graph, "names": "QMX", "rng": 3, "committed": committed}
    how |= {"runs": 8, "rounds": ROUNDS, "until": "agreed"}
    plain = run_ensemble(**how, engine="python")
    for kept in (True, False):
        found = run_ensemble(**how, engine="kernel", keep_interactions=kept)
        assert_frame_equal(found.runs, plain.runs)
        assert_frame_equal(found.rounds, plain.rounds)
    runs = plain.runs
    for held, agreed, left, one in zip(
        plain.held, runs["agreed"], runs["names_left"], runs["one_name"], strict=True
    ):
        counts = np.bincount(held[held >= 0])
        assert left == (counts > 0).sum()
        assert one == (left == 1)
        assert not agreed or counts.max() >= 0.95 * len(held)
    assert runs["agreed"].any() or graph == NETWORKS["caves"]
    assert (runs["interactions"] == ROUNDS * len(plain.held[0])).equals(~runs["agreed"])


def test_a_tree_can_go_quiet_with_two_names_and_never_agree() -> None:
    how: dict[str, Any] = {"graph": "barabasi_albert(n=96, m=1)", "names": "QM", "rng": 7}
    quiet = run_ensemble(**how, runs=20).runs
    assert quiet["converged"].all()
    assert not quiet["one_name"].any()
    agreed = run_ensemble(**how, runs=20, rounds=200, until="agreed").runs
    assert not agreed["agreed"].any()


def test_names_held_count_and_not_only_names_played() -> None:
    """On a star the hub is in every interaction; the leaf that never plays holds no name."""
    star = nx.star_graph(3)
    star.add_edge(0, 1, weight=1e9)
    for leaf in (2, 3):
        star.edges[0, leaf]["weight"] = 1.0
    game = NamingGame(star, "QM", ScriptedMind("M"), pairing="edge", rng=1)
    outcome = game.run(5, until="agreed")
    assert (outcome.interactions, outcome.share, outcome.converged) == (20, 1.0, True)
    assert not outcome.agreed
    assert outcome.one_name


def test_committed_agents_count_among_those_that_agree() -> None:
    game = NamingGame("complete(n=20)", "QM", "unbiased", committed={"M": 19}, rng=1)
    outcome = game.run(400, until="agreed")
    assert outcome.agreed
    assert outcome.winner == "M"


def test_a_model_that_played_before_knows_who_holds_what() -> None:
    """The kernel starts anew in every round of a model, and whoever is not drawn holds a name."""
    games = [NamingGame("ring(n=16)", "QM", rng=5) for _ in range(2)]
    outcomes = []
    engines: list[EngineArgument] = ["python", "kernel"]
    for game, engine in zip(games, engines, strict=True):
        game.run(3, until=None, engine="kernel")
        outcomes.append(game.run(300, until="agreed", engine=engine))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0].agreed


@pytest.mark.parametrize("delay", [0.0, 0.001])
def test_live_minds_played_at_the_same_time_agree_at_the_same_interaction(delay: float) -> None:
    policy = load_mind("llama-3-70b-instruct")
    assert isinstance(policy, Policy)
    game = LoggedGame("complete(n=8)", "QM", FakeProvider(policy, delay=delay).mind(), rng=2)
    outcome = game.run(60, until="agreed")
    game.close()
    assert outcome.agreed
    assert outcome.interactions == first_agreed(game.log, 8, 3)
