"""Networks of many runs are drawn at once, and are those that each run would draw by itself."""

from __future__ import annotations

import random

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesa_llm_norms.core.compiled import load
from mesa_llm_norms.errors import TopologyError
from mesa_llm_norms.networks.adjacency import Neighbors
from mesa_llm_norms.networks.reading import read_graph
from mesa_llm_norms.networks.together import MOST_TOGETHER, complete_network, draw_together

seeds = st.integers(0, 2**64 - 1)


@given(seeds)
def test_the_chance_is_that_of_python(seed: int) -> None:
    found, expected = load("small_graphs"), random.Random(seed)
    state, at = np.zeros(found.SIZE, np.uint32), np.zeros(1, np.int64)
    found.seed(state, at, np.uint64(seed))
    words = [int(found.word(state, at)) for _ in range(700)]
    assert words == [expected.getrandbits(32) for _ in range(700)]
    assert found.share(state, at) == expected.random()
    assert int(found.below(state, at, 100, 7)) == expected.choice(range(100))


@st.composite
def topologies(draw: st.DrawFn) -> str:
    """Return a random topology of up to 40 nodes."""
    n, p = draw(st.integers(3, 40)), draw(st.floats(0, 1) | st.sampled_from([0, 0.1, 1]))
    few = draw(st.integers(1, 4))
    kind = draw(st.sampled_from(["small world", "chance", "regular", "grown", "blocks"]))
    if kind == "small world":
        return f"watts_strogatz(n={n}, k={2 * min(few, (n - 1) // 2)}, p={p!r})"
    if kind == "chance":
        return f"erdos_renyi(n={n}, p={p!r})"
    if kind == "regular":
        d = draw(st.integers(2, n - 1))
        return f"random_regular(n={n}, d={d if n * d % 2 == 0 else d - 1 if d > 2 else n - 1})"
    if kind == "grown":
        return f"barabasi_albert(n={n}, m={min(few, n - 1)})"
    sizes = draw(st.lists(st.integers(1, 12), min_size=2, max_size=4))
    return f"stochastic_block(sizes={sizes}, p_in={p!r}, p_out={draw(st.floats(0, 1))!r})"


@given(topologies(), st.lists(seeds, min_size=1, max_size=4))
def test_networks_are_those_of_each_run(text: str, given: list[int]) -> None:
    try:
        expected = [Neighbors(read_graph(text, random.Random(seed))) for seed in given]
    except TopologyError:  # it cannot be made, or none of a hundred was connected
        assert draw_together(text, given) is None
        return
    found = draw_together(text, given)
    assert found is not None
    for one, other in zip(found, expected, strict=True):
        assert list(one.nodes) == list(other.nodes)
        assert one.indptr.tolist() == other.indptr.tolist()
        assert one.indices.tolist() == other.indices.tolist()
        assert (one.directed, one.weights) == (other.directed, other.weights) == (False, None)
        assert one.edges == other.edges


def test_more_networks_are_drawn_than_there_is_room_for_at_once() -> None:
    text = "erdos_renyi(n=200, p=0.1)"
    found = draw_together(text, range(60))
    assert found is not None
    expected = Neighbors(read_graph(text, random.Random(59)))
    assert len(found) == 60
    assert found[-1].indices.tolist() == expected.indices.tolist()


@pytest.mark.parametrize(
    "graph",
    [
        *("ring(n=6)", "barabasi_albert(n=9, m=5)", "watts_strogatz(n=6, k=3, p=0.1)"),
        *("watts_strogatz(n=6, k=4, p=2)", f"watts_strogatz(n={MOST_TOGETHER + 1}, k=4, p=0.1)"),
        *(np.eye(3), "friends.graphml"),
    ],
)
def test_anything_else_is_left_to_the_usual_way(graph: object) -> None:
    assert draw_together(graph, [1, 2]) is None


@pytest.mark.parametrize("n", [2, 3, 24, 200])
def test_complete_networks_need_no_graph(n: int) -> None:
    found, expected = complete_network(f"complete(n={n})"), nx.complete_graph(n)
    assert found is not None
    assert found.indptr.tolist() == Neighbors(expected).indptr.tolist()
    assert found.indices.tolist() == Neighbors(expected).indices.tolist()
    assert (found.directed, found.weights, found.is_complete) == (False, None, True)
    assert found.indices.dtype == Neighbors(expected).indices.dtype


@pytest.mark.parametrize(
    "graph", ["complete(n=1)", "complete(n=99999)", "ring(n=6)", nx.complete_graph(3), "a.csv"]
)
def test_what_else_there_is_needs_one(graph: object) -> None:
    assert complete_network(graph) is None
