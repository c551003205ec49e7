"""A spec is read and checked as a whole; chance places minds and committed agents by the seed."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Hashable
from fractions import Fraction
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
from chances import assert_frequencies, copying
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strategies import graphs, specs

from mesa_llm_norms import NamingGame, NormsError
from mesa_llm_norms.core.randomness import MASK
from mesa_llm_norms.errors import GraphError, MindError, PoolError, SpecError
from mesa_llm_norms.minds import CommittedMind, UniformMind
from mesa_llm_norms.networks.placement import PLACEMENTS
from mesa_llm_norms.simulation.spec import Spec


def committed_nodes(spec: Spec, run: int = 0) -> dict[Hashable, str]:
    minds = spec.initial_state(run).minds_by_node
    return {node: mind.name for node, mind in minds.items() if isinstance(mind, CommittedMind)}


def a_spec(**arguments: Any) -> Spec:
    return Spec(**{"graph": "ring(n=12)", "names": "QM", "mind": "uniform", **arguments})


# Committed agents


@settings(max_examples=60)
@given(graphs(), st.data(), st.integers(0, MASK))
def test_a_count_is_placed_exactly_and_the_same_again(
    graph: nx.Graph[Any], data: st.DataObject, seed: int
) -> None:
    count = data.draw(st.integers(0, len(graph)))
    placement = data.draw(st.sampled_from(PLACEMENTS))
    spec = a_spec(graph=graph, committed={"M": (count, placement)}, seed=seed)
    chosen = committed_nodes(spec)
    assert len(chosen) == count
    assert set(chosen) <= set(graph)
    assert chosen == committed_nodes(spec)
    assert set(spec.initial_state().minds_by_node) == set(graph)


@settings(max_examples=60)
@given(graphs(), st.data(), st.integers(0, MASK))
def test_hubs_have_the_highest_degrees_and_the_periphery_the_lowest(
    graph: nx.Graph[Any], data: st.DataObject, seed: int
) -> None:
    count = data.draw(st.integers(1, len(graph)))
    degrees = sorted(degree for _, degree in graph.degree)
    for placement, expected in (("hubs", degrees[-count:]), ("periphery", degrees[:count])):
        spec = a_spec(graph=graph, committed={"M": (count, placement)}, seed=seed)
        assert sorted(graph.degree[node] for node in committed_nodes(spec)) == expected


@settings(max_examples=60)
@given(graphs(), st.data(), st.integers(0, MASK))
def test_a_cluster_hangs_together(graph: nx.Graph[Any], data: st.DataObject, seed: int) -> None:
    count = data.draw(st.integers(1, len(graph)))
    chosen = committed_nodes(a_spec(graph=graph, committed={"M": (count, "cluster")}, seed=seed))
    assert len(chosen) == count
    assert nx.is_connected(graph.to_undirected().subgraph(chosen))


def test_a_cluster_larger_than_its_part_goes_on_in_another() -> None:
    graph = nx.Graph([(0, 1), (1, 2), (3, 4), (4, 5)])
    with pytest.warns(UserWarning, match="2 components"):
        chosen = committed_nodes(a_spec(graph=graph, committed={"M": (5, "cluster")}))
    assert {0, 1, 2} <= set(chosen) or {3, 4, 5} <= set(chosen)
    assert len(chosen) == 5


def test_random_places_are_drawn_anew_in_every_run_and_are_uniform() -> None:
    """Chi-square on 3,000 runs; false alarms one in a million."""
    spec = a_spec(graph="star(n=6)", committed={"M": 2}, seed=5)
    counted = Counter(node for run in range(3_000) for node in committed_nodes(spec, run))
    assert_frequencies([counted[node] for node in range(6)], [1.0] * 6)


def test_ties_between_hubs_are_broken_by_chance() -> None:
    spec = a_spec(committed={"M": (1, "hubs")})
    assert len({next(iter(committed_nodes(spec, run))) for run in range(40)}) > 6


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.1, 1), (0.5, 6), (1.0, 12)])
def test_a_share_is_of_all_agents(share: float, expected: int) -> None:
    for where in (share, np.float64(share), (share, "hubs")):
        assert len(committed_nodes(a_spec(graph="ring(n=12)", committed={"M": where}))) == expected


@pytest.mark.parametrize("agents", [7, 12, 27])
def test_shares_that_add_up_to_one_are_everybody(agents: int) -> None:
    spec = a_spec(graph=f"ring(n={agents})", committed={"M": 0.5, "Q": (0.5, "hubs")})
    counted = Counter(committed_nodes(spec).values())
    assert counted.total() == agents
    assert abs(counted["M"] - counted["Q"]) <= 1


def test_nodes_are_committed_as_named_and_two_names_do_not_mix() -> None:
    committed = {"M": [3, 5], "Q": (4, "cluster"), "X": {0}}
    chosen = committed_nodes(a_spec(names="QMX", committed={"X": {0}, "M": [3, 5], "Q": 4}))
    assert Counter(chosen.values()) == {"M": 2, "Q": 4, "X": 1}
    assert (chosen[3], chosen[5], chosen[0]) == ("M", "M", "X")
    assert a_spec(names="QMX", committed=committed).committed_names == ("M", "Q", "X")


BAD_COMMITTED: list[Any] = [
    5,
    "M",
    ["M"],
    {"Z": 1},
    {3: 1},
    {"M": 13},
    {"M": -1},
    {"M": 2.5},
    {"M": True},
    {"M": None},
    {"M": "hubs"},
    {"M": (2.5, "hubs")},
    {"M": -0.1},
    {"M": float("nan")},
    {"M": (float("inf"), "hubs")},
    {"M": 0.6, "Q": 0.6},
    {"M": (13, "hubs")},
    {"M": (2, "hub")},
    {"M": [0, 99]},
    {"M": [[0]]},
    {"M": [0], "Q": [0]},
    {"M": 7, "Q": 6},
]


@pytest.mark.parametrize("committed", BAD_COMMITTED, ids=repr)
def test_what_does_not_say_who_is_committed_is_refused(committed: Any) -> None:
    with pytest.raises(SpecError) as caught:
        a_spec(committed=committed).initial_state()
    assert caught.value.argument == "committed"
    assert caught.value.remedy


# Mixed populations


def minds_of(**arguments: Any) -> Counter[str]:
    return Counter(
        mind.label for mind in a_spec(**arguments).initial_state().minds_by_node.values()
    )


def test_a_population_is_mixed_by_share_with_the_largest_remainders_rounded_up() -> None:
    one, other, third = UniformMind(), copying("QM"), CommittedMind("M")
    labels = (one.label, other.label, third.label)
    for shares, seats in (
        ((0.5, 0.5), (6, 6)),
        ((1, 3), (3, 9)),
        ((0.3, 0.3, 0.4), (4, 3, 5)),
        ((0.47, 0.53), (6, 6)),
        ((0, 1), (0, 12)),
        ((1e-9, 1e9), (0, 12)),
    ):
        mind = dict(zip((one, other, third), shares, strict=False))
        counted = minds_of(mind=mind)
        assert tuple(counted[label] for label in labels[: len(seats)]) == seats


@given(
    st.lists(st.one_of(st.floats(0, 1e9), st.integers(0, 99)), min_size=1, max_size=8).filter(any),
    st.integers(3, 40),
)
def test_every_seat_is_taken_and_nobody_is_a_whole_seat_off(
    shares: list[float], nodes: int
) -> None:
    minds = {CommittedMind("QM"[place % 2]): share for place, share in enumerate(shares)}
    spec = a_spec(graph=nx.cycle_graph(nodes), mind=minds)
    counted = Counter(id(mind) for mind in spec.initial_state().minds_by_node.values())
    assert counted.total() == nodes
    total = sum(map(Fraction, shares))
    for mind, share in minds.items():
        assert abs(counted[id(mind)] - Fraction(share) / total * nodes) < 1 + Fraction(1, 10**6)


def test_who_has_which_mind_is_drawn_by_the_run() -> None:
    spec = a_spec(mind={UniformMind(): 1, copying("QM"): 1})
    layouts = {
        tuple(mind.label for mind in spec.initial_state(run).minds_by_node.values())
        for run in range(9)
    }
    assert len(layouts) > 5
    assert spec.initial_state(3).minds_by_node == spec.initial_state(3).minds_by_node


def test_minds_by_node_sit_where_they_are_put() -> None:
    other = copying("QM")
    given_: dict[int, Any] = {node: "uniform" if node % 2 else other for node in range(12)}
    spec = a_spec(mind=given_)
    assert {node: mind.label for node, mind in spec.initial_state().minds_by_node.items()} == {
        node: "uniform" if node % 2 else "copying" for node in range(12)
    }
    assert len(spec.minds) == 2


def test_the_committed_are_taken_from_among_the_minded() -> None:
    counted = minds_of(mind={UniformMind(): 1, copying("QM"): 1}, committed={"M": 4})
    assert counted["committed to M"] == 4
    assert counted.total() == 12


BAD_MINDS: list[Any] = [
    {},
    None,
    "nobody",
    {0: "uniform"},
    {**dict.fromkeys(range(12), "uniform"), "stranger": "uniform"},
    {"uniform": -1},
    {"uniform": 0},
    {"uniform": float("nan")},
    {"uniform": float("inf")},
    {"uniform": 10**400, UniformMind(): 0.5},
    {"uniform": 1e308, UniformMind(): 1e308},
    {"uniform": 0.5, UniformMind(): "half"},
    {"uniform": True},
    {3: 0.5, 4: 0.5},
    copying("QX"),
    CommittedMind("Z"),
]


@pytest.mark.parametrize("mind", BAD_MINDS, ids=lambda mind: repr(mind)[:40])
def test_what_does_not_say_who_has_which_mind_is_refused(mind: Any) -> None:
    with pytest.raises(MindError):
        a_spec(mind=mind).initial_state()


# The rest


@pytest.mark.parametrize(
    ("argument", "value", "error"),
    [
        ("names", "Q", PoolError),
        ("names", 3, PoolError),
        ("memory", 0, SpecError),
        ("reward", "much", SpecError),
        ("penalty", float("inf"), SpecError),
        ("incumbent", "Z", SpecError),
        ("incumbent", ["Q"], SpecError),
        ("pairing", "random", SpecError),
        ("graph", "rign(n=5)", SpecError),
        ("graph", "ring(n=5", SpecError),
        ("graph", 7, SpecError),
        ("graph", nx.Graph([(0, 0)]), GraphError),
        ("graph", nx.empty_graph(3), GraphError),
        ("graph", nx.MultiGraph([(0, 1)]), GraphError),
        ("rng", -1, SpecError),
        ("rng", "seven", SpecError),
        ("run", -1, SpecError),
        ("run", "0", SpecError),
        ("run", True, SpecError),
    ],
)
def test_a_bad_argument_is_refused_by_its_name(
    argument: str, value: Any, error: type[SpecError]
) -> None:
    with pytest.raises(error) as caught:
        NamingGame(**{"graph": "ring(n=5)", "mind": "uniform", argument: value})
    assert caught.value.argument == argument


anything: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 30),
        st.floats(),
        st.text(max_size=5),
        st.binary(max_size=3),
        st.sampled_from(["QM", "Q", "uniform", "node", "hubs", "ring(n=4)", 10**400]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(st.sampled_from(["Q", "M", "uniform", 0, 1, None]), inner, max_size=3),
    ),
    max_leaves=4,
)
ARGUMENTS = [
    "graph",
    "names",
    "mind",
    "pairing",
    "memory",
    "reward",
    "penalty",
    "incumbent",
    "committed",
    "rng",
    "run",
]


@pytest.mark.filterwarnings("ignore::mesa_llm_norms.errors.GraphWarning")
@settings(max_examples=400)
@given(st.dictionaries(st.sampled_from(ARGUMENTS), anything, min_size=1, max_size=3))
@example({"graph": ((False, True), (-1, 2))})
def test_hostile_arguments_are_refused_or_play(arguments: dict[str, Any]) -> None:
    try:
        game = NamingGame(
            **{"graph": "ring(n=4)", "names": "QM", "mind": "uniform", "rng": 1, **arguments}
        )
    except NormsError:
        return
    game.step()
    assert game.interactions > 0


@settings(max_examples=40)
@given(specs())
def test_a_spec_survives_a_way_to_a_worker(arguments: dict[str, Any]) -> None:
    seed = arguments.pop("rng")
    spec = Spec(**arguments, seed=seed)
    again = pickle.loads(pickle.dumps(spec))
    assert again.arguments().keys() == {*arguments, "reward", "penalty", "rewire", "rng"}
    one, other = spec.initial_state(4), again.initial_state(4)
    assert one.neighbors.edges == other.neighbors.edges
    assert [mind.label for mind in one.minds_by_node.values()] == [
        mind.label for mind in other.minds_by_node.values()
    ]


def test_the_arguments_of_a_spec_make_the_game_it_describes() -> None:
    spec = a_spec(incumbent="Q", committed={"M": 2}, memory=3, penalty=-7, seed=11)
    game = NamingGame(**spec.arguments())
    assert game.spec == spec
    assert game.names_held.keys() == spec.initial_state().minds_by_node.keys()


def test_a_spec_says_in_a_line_what_is_played() -> None:
    assert a_spec(seed=7).heading(12) == (
        "12 agents with uniform on ring(n=12), names Q, M, seed 7"
    )
    many = a_spec(names=[f"n{number}" for number in range(30)])
    assert many.heading(1_200).startswith("1,200 agents")
    assert many.heading(1_200).endswith("n25 ..., seed 0")


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, True, None, "7"])
def test_what_is_not_a_seed_is_refused(seed: Any) -> None:
    with pytest.raises(SpecError, match=r"0 to 2\*\*64 - 1"):
        a_spec(seed=seed)


def test_a_random_topology_is_another_in_every_run_and_the_same_in_each() -> None:
    spec = a_spec(graph="watts_strogatz(n=12, k=4, p=0.5)", seed=1)
    edges = [spec.initial_state(run).neighbors.edges for run in range(5)]
    assert len(set(edges)) == 5
    assert edges[2] == spec.initial_state(2).neighbors.edges


def test_the_incumbent_fills_every_memory() -> None:
    initial = a_spec(incumbent="Q", memory=3).initial_state()
    assert initial.start == (("Q", "Q"),) * 3
    assert a_spec().initial_state().start == ()


def test_minds_in_words_name_their_shares(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("memory,Q,M\n,0.5,0.5\n", encoding="utf-8")
    assert a_spec().mind_label == "uniform"
    assert a_spec(mind={"uniform": 3, str(path): 1}).mind_label == "uniform 75%, mine 25%"
    by_node = {node: "uniform" if node else path for node in range(12)}
    assert a_spec(mind=by_node).mind_label == "mine, uniform"


def test_a_spec_travels_without_the_minds_it_read() -> None:
    """Every batch of an ensemble carries the spec to a worker; a pipe holds 64 kB."""
    spec = Spec(graph="ring(n=6)", mind="llama-3.1-70b-instruct", seed=1)
    assert spec.minds
    assert len(pickle.dumps(spec)) < 5_000
    assert (
        pickle.loads(pickle.dumps(spec)).initial_state().minds_by_node.keys()
        == spec.initial_state().minds_by_node.keys()
    )


@pytest.mark.parametrize(
    "arguments",
    [
        {"committed": {"M": np.arange(1)}},
        {"committed": {"M": np.array([0, 1])}},
        {"names": np.array(["Q", "M"])},
        {"memory": np.int64(3)},
        {"reward": np.int64(3)},
        {"mind": {"uniform": np.int64(1), "claude-3.5-sonnet": np.float64(1)}},
    ],
)
def test_numpy_s_arrays_and_numbers_are_taken(arguments: dict[str, Any]) -> None:
    initial = Spec(**{"graph": "ring(n=6)", "names": "QM", "seed": 1, **arguments}).initial_state()
    assert len(initial.minds_by_node) == 6


@pytest.mark.parametrize(
    "arguments",
    [
        {"memory": np.array([1, 2])},
        {"names": np.array(3)},
        {"incumbent": np.array(["Q", "M"])},
        {"committed": {"M": (5, "hub")}},
    ],
)
def test_arrays_in_the_place_of_one_value_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(NormsError):
        Spec(**{"graph": "ring(n=6)", "names": "QM", "seed": 1, **arguments}).initial_state()
