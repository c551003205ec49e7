"""Contacts are played in the order of their times, the same on every engine and live."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import networkx as nx
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesa_llm_norms import NamingGame, run_ensemble
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.errors import PairingError
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.networks.adjacency import Neighbors
from mesa_llm_norms.networks.contacts import contact_graph
from mesa_llm_norms.simulation.pairing import ContactsPairing
from mesa_llm_norms.testing import FakeProvider, check_pairing

TRIANGLE = [(0, 0, 1), (1, 1, 2), (1, 0, 2), (1, 0, 1), (7, 2, 0)]


def sequence(rows: list[tuple[Any, ...]]) -> nx.Graph[Any]:
    return contact_graph(pd.DataFrame(rows, columns=["t", "u", "v"]))


def drawn(graph: nx.Graph[Any], rounds: int, seed: int = 11) -> list[frozenset[Any]]:
    neighbors, stream, found = Neighbors(graph), RandomStream(seed), list[frozenset[Any]]()
    for number in range(rounds):
        found += map(frozenset, ContactsPairing().pairs(neighbors, number, len(found), stream))
    nodes = neighbors.nodes
    return [frozenset(nodes[at] for at in pair) for pair in found]


contact_rows = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 5), st.integers(0, 5)).filter(
        lambda row: row[1] != row[2]
    ),
    min_size=1,
    max_size=40,
)


@given(contact_rows, st.integers(1, 30))
def test_time_never_runs_backwards_within_a_pass(
    rows: list[tuple[int, int, int]], rounds: int
) -> None:
    pairs = drawn(sequence(rows), rounds)
    ordered = sorted(rows)
    for first in range(0, len(pairs), len(rows)):
        at = 0
        for time in dict.fromkeys(time for time, *_ in ordered):
            now = [frozenset(row[1:]) for row in ordered if row[0] == time]
            part = pairs[first + at : first + at + len(now)]
            at += len(now)
            assert not Counter(part) - Counter(now)
            assert len(part) < len(now) or Counter(part) == Counter(now)


def test_contacts_at_one_time_come_in_another_order_in_each_pass() -> None:
    pairs = drawn(sequence(TRIANGLE), 5_000)
    together = Counter(tuple(pairs[at + 1 : at + 4]) for at in range(0, len(pairs) - 5, 5))
    assert len(together) == 6
    assert all(400 < seen < 600 for seen in together.values())  # 500 expected, false once in 10**5


def test_the_published_check_passes() -> None:
    check_pairing(ContactsPairing(), sequence(TRIANGLE))


@settings(max_examples=15, deadline=None)
@given(contact_rows, st.integers(0, 2**64 - 1), st.sampled_from(["QM", "QMXYF"]), st.booleans())
def test_engines_play_the_same_rows(
    rows: list[tuple[int, int, int]], seed: int, names: str, directed: bool
) -> None:
    graph = sequence(rows)
    if directed:
        turned: nx.DiGraph[int] = nx.DiGraph()
        turned.add_edges_from((u, v) for _, u, v in rows)
        turned.graph.update(graph.graph)
        graph = turned
    if not nx.is_connected(graph.to_undirected()):
        return
    given: dict[str, Any] = {
        "graph": graph,
        "names": names,
        "pairing": "contacts",
        "rng": seed,
        "runs": 3,
        "rounds": 25,
        "until": "converged",
        "committed": {"M": 1},
    }
    python = run_ensemble(**given, engine="python", keep_interactions=True)
    kernel = run_ensemble(**given, engine="kernel", keep_interactions=True)
    together = run_ensemble(**given, engine="kernel")
    assert python.interactions is not None
    assert kernel.interactions is not None
    pd.testing.assert_frame_equal(python.interactions, kernel.interactions)
    pd.testing.assert_frame_equal(python.runs, together.runs)
    pd.testing.assert_frame_equal(python.rounds, together.rounds)
    model = NamingGame(graph=graph, names=names, pairing="contacts", rng=seed, committed={"M": 1})
    for _ in range(3):
        model.run(rounds=2, until=None, engine="kernel")
    again = NamingGame(graph=graph, names=names, pairing="contacts", rng=seed, committed={"M": 1})
    again.run(rounds=6, until=None, engine="python")
    assert model.names_held == again.names_held


def test_live_minds_play_the_same_at_every_concurrency_and_after_a_resume(tmp_path: Path) -> None:
    rows, asked = [], []
    for concurrency in (1, 8):
        provider = FakeProvider()
        folder = tmp_path / str(concurrency)
        model = NamingGame(
            graph=sequence(TRIANGLE),
            names="QM",
            mind=provider.mind(),
            pairing="contacts",
            rng=5,
            llm=LLMSettings(folder=folder, max_concurrency=concurrency),
        )
        rows.append([*model.play(20)])
        asked.append(sum(provider.seen.values()))
        model.close()
    assert rows[0] == rows[1]
    mind = FakeProvider().mind()
    again = NamingGame.resume(tmp_path / "1", mind=mind)
    assert [*again.play(20)] == rows[0]
    again.close()


def test_contacts_along_an_edge_that_is_removed_are_over() -> None:
    model = NamingGame(
        graph=sequence(TRIANGLE), names="QM", mind="uniform", pairing="contacts", rng=1
    )
    model.step()
    model.network.G.remove_edge(0, 1)
    for _ in range(4):
        model.step()
        assert all({row.node_a, row.node_b} != {0, 1} for row in model.rows)


def test_a_graph_without_contacts_is_refused_with_what_helps() -> None:
    with pytest.raises(PairingError, match='format="contacts"'):
        NamingGame(graph="ring(n=6)", names="QM", pairing="contacts")
    with pytest.raises(PairingError, match='format="contacts"'):
        run_ensemble(graph="ring(n=6)", names="QM", pairing="contacts", runs=2)
