"""What the tests of the classical game share."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from strategies import graphs, pools

from mesa_llm_norms.classical.game import PAIRINGS
from mesa_llm_norms.classical.model import ClassicalAgent, ClassicalGame


def players(model: ClassicalGame) -> list[ClassicalAgent]:
    """Return the agents, in the order they came."""
    return [agent for agent in model.agents if isinstance(agent, ClassicalAgent)]


@st.composite
def games(draw: st.DrawFn, always: bool = False) -> dict[str, Any]:
    """Draw arguments of ``ClassicalGame``; whether who is committed is so ``always``."""
    graph = draw(graphs(), label="graph")
    pool = draw(pools(max_size=4), label="pool")
    committed: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from(pool), max_size=2, unique=True)):
        placement = draw(st.sampled_from(["random", "hubs", "periphery", "cluster"]))
        amount = draw(st.one_of(st.integers(0, len(graph) // 2), st.floats(0, 0.4)))
        committed[name] = draw(st.sampled_from([amount, (amount, placement)]))
    names = draw(st.sampled_from([pool, None]))
    if not always and draw(st.booleans()):
        noise = 0.0 if names is None else draw(st.sampled_from([0.0, 0.3, 1.0]))
        committed = {
            name: {"agents": where, "noise": noise, "until": draw(st.integers(1, 4))}
            for name, where in committed.items()
        }
    return {
        "graph": graph,
        "names": names,
        "pairing": draw(st.sampled_from(PAIRINGS)),
        "incumbent": draw(st.sampled_from([None, *pool])),
        "committed": committed or None,
        "rng": draw(st.integers(0, 2**64 - 1)),
    }
