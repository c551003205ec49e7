"""The starts of several runs are those that each of them has by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mesa_llm_norms.minds import UniformMind
from mesa_llm_norms.networks.placement import PLACEMENTS
from mesa_llm_norms.simulation.spec import Spec

NODES = 12

GRAPHS = (
    *("complete(n=12)", "star(n=12)", "watts_strogatz(n=12, k=4, p=0.3)"),
    *("barabasi_albert(n=12, m=2)", "erdos_renyi(n=12, p=0.4)", "random_regular(n=12, d=3)"),
    *("stochastic_block(sizes=[5, 7], p_in=0.8, p_out=0.3)", "barabasi_albert(n=12, m=6)"),
)

SAME = UniformMind()

MINDS = (
    *("claude-3.5-sonnet", "llama-3.1-70b-instruct", {SAME: 0.3, "claude-3.5-sonnet": 0.7}),
    {"llama-3.1-70b-instruct": 1, "llama-3-70b-instruct": 1, "uniform": 1},
    {node: (SAME, "uniform", "llama-3-70b-instruct")[node % 3] for node in range(NODES)},
)


@st.composite
def committed(draw: st.DrawFn) -> dict[str, Any] | None:
    """Return who is committed: nobody, or up to 12 nodes to up to three names."""
    placements = st.sampled_from(PLACEMENTS)
    number = st.integers(0, 4) | st.floats(0, 0.3)
    some = number | st.tuples(number, placements) | st.lists(st.integers(0, 3), max_size=4)
    chosen: dict[str, Any] | None = draw(
        st.none() | st.dictionaries(st.sampled_from("QMX"), some, max_size=3)
    )
    listed = 0
    for name, where in (chosen or {}).items():  # no node under two names
        if isinstance(where, list) and chosen is not None:
            listed += 1
            chosen[name] = where if listed == 1 else 1
        if chosen is not None and draw(st.booleans()):
            chosen[name] = {"agents": chosen[name], "noise": 0.2, "until": 3}
    return chosen


@given(
    st.sampled_from(GRAPHS),
    st.sampled_from(MINDS),
    committed(),
    st.integers(0, 2**64 - 1),
    st.integers(0, 99),
)
def test_starts_are_the_initial_states_of_runs(
    graph: str, mind: Any, committed: dict[str, Any] | None, seed: int, first: int
) -> None:
    spec = Spec(graph=graph, names="QMX", mind=mind, committed=committed, seed=seed)
    for run, start in enumerate(spec.starts(range(first, first + 3)), start=first):
        alone = spec.initial_state(run)
        assert (start.stream.seed, start.stream.run) == (seed, run)
        np.testing.assert_array_equal(start.neighbors.indptr, alone.neighbors.indptr)
        np.testing.assert_array_equal(start.neighbors.indices, alone.neighbors.indices)
        np.testing.assert_array_equal(start.mind_indices, alone.mind_indices)
        np.testing.assert_array_equal(start.uncommitted_indices, alone.uncommitted_indices)
        assert [type(one) for one in start.minds] == [type(one) for one in alone.minds]
        for one, other in zip(start.minds, alone.minds, strict=True):
            assert one.label == other.label
            sharp = (getattr(each, "inverse_temperature", None) for each in (one, other))
            assert len(set(sharp)) == 1


def test_committed_agents_are_placed_for_every_run_at_once() -> None:
    spec = Spec(graph="complete(n=12)", names="QM", committed={"M": (3, "hubs"), "Q": 0.25})
    seats = [one.mind_indices for one in spec.starts(range(40))]
    assert {tuple(np.bincount(one).tolist()) for one in seats} == {(6, 3, 3)}
    assert len({tuple(one.tolist()) for one in seats}) > 30
