"""Networks of many runs are drawn at once, and are those that each run would draw by itself."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesa_llm_norms.core.compiled import load
from mesa_llm_norms.errors import TopologyError
from mesa_llm_norms.networks.adjacency import Neighbors
from mesa_llm_norms.networks.generators import MOST_TOGETHER, small_worlds
from mesa_llm_norms.networks.reading import read_graph

seeds = st.integers(0, 2**64 - 1)


@given(seeds)
def test_the_chance_is_that_of_python(seed: int) -> None:
    found, expected = load("small_worlds"), random.Random(seed)
    state, at = np.zeros(found.SIZE, np.uint32), np.zeros(1, np.int64)
    found.seed(state, at, np.uint64(seed))
    words = [int(found.word(state, at)) for _ in range(700)]
    assert words == [expected.getrandbits(32) for _ in range(700)]
    assert found.share(state, at) == expected.random()
    assert int(found.below(state, at, 100, 7)) == expected.choice(range(100))


@given(
    st.integers(3, 40), st.integers(1, 19), st.floats(0, 1), st.lists(seeds, min_size=1, max_size=4)
)
def test_small_worlds_are_those_of_networkx(n: int, half: int, p: float, given: list[int]) -> None:
    text = f"watts_strogatz(n={n}, k={2 * min(half, (n - 1) // 2)}, p={p!r})"
    try:
        expected = [Neighbors(read_graph(text, random.Random(seed))) for seed in given]
    except TopologyError:  # none of a hundred was connected
        assert small_worlds(text, given) is None
        return
    found = small_worlds(text, given)
    assert found is not None
    for one, other in zip(found, expected, strict=True):
        assert list(one.nodes) == list(other.nodes)
        assert one.indptr.tolist() == other.indptr.tolist()
        assert one.indices.tolist() == other.indices.tolist()
        assert (one.directed, one.weights) == (other.directed, other.weights) == (False, None)
        assert one.edges == other.edges


@pytest.mark.parametrize(
    "graph",
    [
        *("ring(n=6)", "barabasi_albert(n=6, m=2)", "watts_strogatz(n=6, k=3, p=0.1)"),
        *("watts_strogatz(n=6, k=4, p=2)", f"watts_strogatz(n={MOST_TOGETHER + 1}, k=4, p=0.1)"),
        *(np.eye(3), "friends.graphml"),
    ],
)
def test_anything_else_is_left_to_the_usual_way(graph: object) -> None:
    assert small_worlds(graph, [1, 2]) is None
