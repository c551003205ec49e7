"""Specs drawn at random over all that the kernel plays."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from typing import Any

import networkx as nx
from chances import FixedPolicy, copying

from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.simulation.spec import Spec

RECORDED = (
    *("claude-3.5-sonnet", "llama-2-70b-chat"),
    *("llama-3-70b-instruct", "llama-3.1-70b-instruct"),
)


def random_specs(number: int, seed: str) -> Iterator[tuple[Spec, Goal, int]]:
    """Yield specs over all that the kernel plays: 2 to 26 names, memories of 1 to 8, any graph."""
    chance = random.Random(seed)
    for _ in range(number):
        pool = chance.sample(string.ascii_uppercase, chance.choice((2, 3, 4, 10, 17, 26)))
        if chance.random() < 0.5:  # those that were recorded, in any order
            pool = list(chance.choice(("QM", "XY", "FJ", "QMXYFJPRCD")))
            chance.shuffle(pool)
        nodes = chance.randrange(2, 25)
        graph: nx.Graph[Any] = nx.gnm_random_graph(
            nodes,
            chance.randrange(nodes, 4 * nodes),
            seed=chance.getrandbits(32),
            directed=chance.random() < 0.4,
        )
        nx.add_path(graph, range(nodes))
        if chance.random() < 0.4:
            for _, _, data in graph.edges(data=True):
                data["weight"] = chance.uniform(0.1, 9)
        minds: list[Any] = [*RECORDED, "uniform", copying(pool)]
        if len(pool) == 2:
            minds.append(FixedPolicy(0.3, 0.7))
        few = chance.sample(minds, 3)
        mind = chance.choice(
            [few[0], dict.fromkeys(RECORDED, 0.5), {node: chance.choice(few) for node in graph}]
        )
        committed = chance.choice(
            [
                *(None, None, {pool[1]: 1}),
                {pool[0]: (0.2, "hubs"), pool[1]: (0.2, "periphery")},
                {pool[0]: {"agents": (0.3, "k-core"), "noise": 0.2, "until": 5}, pool[1]: 1},
            ]
        )
        spec = Spec(
            graph=graph,
            names=pool,
            mind=mind,
            pairing=chance.choice(["node", "edge", "matching"]),
            memory=chance.randrange(1, 9),
            incumbent=chance.choice([None, pool[0], pool[-1]]),
            committed=committed,
            seed=chance.getrandbits(64),
        )
        goals = ["converged", "agreed", "flipped" if committed else "converged", None]
        until = chance.choice(goals)
        goal = Goal(until, chance.choice([0.5, 1, 3]), chance.choice([0.7, 0.95, 1.0]))
        yield spec, goal, chance.randrange(4, 30)
