"""A spec as JSON gives the same spec back, in the same text; what JSON cannot hold is asked for."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
from chances import copying
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse
from strategies import any_specs, graph_files, graphs, node_ids

from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.errors import (
    FileFormatError,
    GraphWarning,
    MindError,
    PairingError,
    SpecError,
)
from mesa_llm_norms.llm.prompt import Template, default_template
from mesa_llm_norms.llm.provider import LiveMind, live_mind
from mesa_llm_norms.minds import TableMind, UniformMind, load_mind
from mesa_llm_norms.simulation import serialization
from mesa_llm_norms.simulation.ensemble import play_run
from mesa_llm_norms.simulation.pairing import NodePairing
from mesa_llm_norms.simulation.serialization import (
    LabeledMind,
    from_json,
    summary,
    to_json,
)
from mesa_llm_norms.simulation.spec import Spec

TABLE = "memory,Q,M\n,0.25,0.75\n"
LIVE = "llama:http://127.0.0.1:1/v1#some-model"


def text_of(spec: Spec) -> str:
    return json.dumps(to_json(spec), allow_nan=False)


def back(spec: Spec, **given_again: Any) -> Spec:
    """Return what a spec's text is read as, having checked that it is written the same again."""
    text = text_of(spec)
    read = from_json(json.loads(text), **given_again)
    assert text_of(read) == text
    return read


def listed(where: Any) -> Any:
    """Return who is committed with a list in the place of a set, as JSON has it."""
    if isinstance(where, dict):
        return {**where, "agents": listed(where["agents"])}
    return list(where) if isinstance(where, set) else where


def rows(spec: Spec, rounds: int = 2, run: int = 3) -> list[Any]:
    return play_run(spec, run, Goal(None), rounds, keep=True).rows


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@pytest.mark.filterwarnings("ignore::mesa_llm_norms.errors.GraphWarning")
@given(any_specs(minds=["uniform", "claude-3.5-sonnet", "llama-2-70b-chat"]))
def test_a_spec_is_read_as_it_was_written(arguments: dict[str, Any]) -> None:
    spec = Spec(**arguments)
    read = back(spec)
    for name in ("memory", "reward", "penalty", "incumbent", "seed", "pairing"):
        assert getattr(read, name) == getattr(spec, name)
    assert read.game == spec.game
    assert list((read.committed or {}).items()) == [
        (name, listed(where)) for name, where in (spec.committed or {}).items()
    ]
    if isinstance(spec.graph, str):
        assert read.graph == spec.graph
    else:
        assert list(read.graph.nodes(data="pos")) == list(spec.graph.nodes(data="pos"))
        assert nx.utils.graphs_equal(_edges(read.graph), _edges(spec.graph))
    one, other = spec.initial_state(3), read.initial_state(3)
    assert _labels(one) == _labels(other)
    assert rows(spec) == rows(read)


def _edges(graph: nx.Graph[Any]) -> nx.Graph[Any]:
    found = graph.__class__()
    found.add_nodes_from(graph)
    found.add_edges_from(graph.edges(data=True))
    return found


def _labels(state: Any) -> dict[Any, str]:
    return {node: mind.label for node, mind in state.minds_by_node.items()}


@given(graphs(), st.integers(0, 2**32))
def test_a_spec_can_be_looked_at_without_the_minds_it_was_played_with(
    graph: nx.Graph[Any], seed: int
) -> None:
    minds = {copying("QM"): 1, UniformMind(): 2.5}
    spec = Spec(graph=graph, names="QM", mind=minds, committed={"M": 1}, seed=seed)
    shown = from_json(to_json(spec), display_only=True)
    assert shown.mind_label == spec.mind_label
    assert _labels(shown.initial_state()) == _labels(spec.initial_state())
    assert {type(mind) for mind in shown.minds} == {LabeledMind, UniformMind}


@pytest.mark.parametrize("suffix", [".graphml", ".gml", ".csv", ".json"])
def test_a_graph_file_is_kept_whole_and_by_its_name(tmp_path: Path, suffix: str) -> None:
    graph: nx.Graph[str] = nx.Graph()
    graph.add_weighted_edges_from([("a", "b", 2.5), ("b", "c", 2.5), ("c", "d", 2.5)])
    path = tmp_path / f"friends{suffix}"
    path.write_bytes(graph_files(graph)[suffix])
    spec = Spec(graph=str(path), names="QM", mind="uniform", seed=2)
    expected = rows(spec)
    text = text_of(spec)
    assert str(tmp_path) not in text
    path.unlink()
    read = from_json(json.loads(text))
    assert text_of(read) == text
    assert read.topology == path.name
    assert rows(read) == expected


def test_a_large_graph_file_is_referred_to_and_must_not_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serialization, "LARGE_FILE", 10)
    path = tmp_path / "large.txt"
    path.write_text("a b\nb c\nc d\n")
    written = to_json(Spec(graph=path, names="QM", mind="uniform"))
    assert set(written["graph"]) == {"file", "path", "sha256"}
    assert list(from_json(written).initial_state().neighbors.nodes) == list("abcd")
    with pytest.raises(SpecError, match=r"in a file of its own, large\.txt"):
        from_json(written, display_only=True)
    path.write_text("a b\nb c\nc x\n")
    with pytest.raises(SpecError, match="has changed since"):
        from_json(written)
    path.unlink()
    with pytest.raises(SpecError, match="cannot be read"):
        from_json(written)


def test_a_file_with_options_is_read_again_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.txt"
    path.write_text("a b\nb c\nd e\n")
    spec = Spec(graph=f'file("{path}", part="largest")', names="QM", mind="uniform")
    with pytest.warns(GraphWarning, match="kept the largest of 2 parts"):
        small = to_json(spec)
    assert small["graph"]["nodes"] == list("abc")
    assert from_json(small).topology == "large.txt"
    monkeypatch.setattr(serialization, "LARGE_FILE", 10)
    large = to_json(spec)
    assert large["graph"]["options"] == {"part": "largest"}
    with pytest.warns(GraphWarning, match="kept the largest of 2 parts"):
        assert list(from_json(large).initial_state().neighbors.nodes) == list("abc")


def test_a_sparse_array_is_written_edge_by_edge() -> None:
    array = sparse.csr_array(np.array([[0, 2, 0], [0, 0, 1], [1, 0, 0]]))
    spec = Spec(graph=array, names="QM", mind="uniform", seed=1)
    read = back(spec)
    assert read.graph.is_directed()
    assert rows(read) == rows(spec)


def test_the_contents_of_a_mind_file_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(TABLE)
    spec = Spec(names="QM", mind={node: path if node % 3 else "uniform" for node in range(24)})
    written = to_json(spec)
    assert len(written["mind"]["minds"]) == 2
    assert rows(back(spec)) == rows(spec)
    assert str(tmp_path) not in json.dumps(written)
    path.unlink()
    assert from_json(written, display_only=True).mind_label == "uniform, mine"
    assert to_json(from_json(written)) == written
    assert rows(from_json(written)) == rows(Spec(names="QM", mind=dict(from_json(written).mind)))


def test_the_last_digits_of_a_measured_table_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("memory,Q,M,I\n,0.3331,0.3331,0.3331\n")
    read = back(Spec(names="QMI", mind=path)).minds[0]
    assert isinstance(read, TableMind)
    expected = load_mind(path)
    assert isinstance(expected, TableMind)
    assert read.table == expected.table
    assert read.label == expected.label


def test_the_contents_of_a_mind_file_are_checked_again(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(TABLE)
    written = to_json(Spec(names="QM", mind=path))
    written["mind"]["text"] = "memory,Q,M\n,0.9,0.9\n"
    with pytest.raises(FileFormatError, match=r"^mine\.csv: "):
        from_json(written)


def test_a_file_that_has_the_label_of_a_shipped_mind_is_not_taken_for_it(tmp_path: Path) -> None:
    path = tmp_path / "uniform.csv"
    path.write_text(TABLE)
    assert to_json(Spec(names="QM", mind=path))["mind"]["text"] == TABLE
    assert to_json(Spec(names="QM", mind=UniformMind()))["mind"] == UniformMind.label


def test_a_live_mind_keeps_its_options_and_the_wording_of_its_prompt() -> None:
    wording = Template(default_template().text.replace("Pick a name", "Choose a name"), "mine")
    mind = live_mind(LIVE, wording, temperature=0.25, timeout=7.0)
    read = back(Spec(names="QM", mind={mind: 0.5, "uniform": 0.5}))
    again = next(iter(read.mind))
    assert isinstance(again, LiveMind)
    assert again.label == LIVE
    assert again.template.text == wording.text
    assert again.provider.options == mind.provider.options
    assert read.mind_label == f"{LIVE} 50%, uniform 50%"


def test_minds_and_rules_of_your_own_have_to_be_given_again() -> None:
    class Mine(NodePairing):
        label = "mine"

    mind, pairing = copying("QM"), Mine()
    spec = Spec(graph="ring(n=6)", names="QM", mind=mind, pairing=pairing, seed=4)
    written = to_json(spec)
    with pytest.raises(MindError, match=r"'copying' is not part of.*Pass it again: mind="):
        from_json(written)
    with pytest.raises(PairingError, match=r"'mine' is not part of.*Pass it again: pairing="):
        from_json(written, mind=mind)
    assert rows(back(spec, mind=mind, pairing=pairing)) == rows(spec)
    with pytest.raises(SpecError, match="only a mind and a pairing rule"):
        from_json(written, seed=3)
    assert from_json(written, display_only=True).mind_label == "copying"


@given(node_ids())
def test_node_ids_keep_their_types(node: Any) -> None:
    graph = nx.Graph([(node, "other node")])
    (read, _) = back(Spec(graph=graph, names="QM", mind="uniform")).graph
    assert read == node
    assert type(read) is type(node)


@pytest.mark.parametrize("node", [Fraction(1, 2), b"a", float("inf"), (1, b"a"), object()])
def test_a_node_id_that_json_cannot_hold_is_refused(node: Any) -> None:
    spec = Spec(graph=nx.Graph([(node, 0)]), names="QM", mind="uniform")
    with pytest.raises(SpecError, match="cannot be written down"):
        to_json(spec)


def test_what_writes_parts_of_a_spec_can_be_replaced() -> None:
    spec = Spec(graph=nx.path_graph(3), names="QM", mind={"uniform": 1, UniformMind(): 2})
    found = to_json(spec, graph=len, mind=lambda _: "a mind", pairing=str.upper)
    assert found["graph"] == 3
    assert found["mind"] == {"minds": ["a mind", "a mind"], "shares": [1, 2]}
    assert found["pairing"] == "NODE"


WRITTEN = to_json(
    Spec(graph=nx.path_graph(3), names="QM", mind={0: "uniform", 1: "uniform", 2: "uniform"})
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=5,
)


@given(st.sampled_from([None, *WRITTEN]), json_values, st.booleans())
def test_anything_else_is_refused_with_one_error(key: str | None, value: Any, look: bool) -> None:
    written = value if key is None else {**WRITTEN, key: value}
    try:
        spec = from_json(written, display_only=look)
    except SpecError:
        return
    assert isinstance(spec, Spec)


@pytest.mark.parametrize("path", ["/etc/hostname", "friends.graphml", "../graph.csv"])
def test_a_path_in_the_place_of_a_topology_opens_no_file(path: str) -> None:
    with pytest.raises(SpecError, match="is not a topology"):
        from_json({**WRITTEN, "graph": path})


def test_a_summary_has_graphs_and_minds_in_words() -> None:
    mind = live_mind(LIVE, temperature=0.25)
    found = summary(Spec(graph=nx.path_graph(4), names="QM", mind={mind: 1, "uniform": 3}))
    assert found["graph"] == "4 nodes, 3 edges"
    assert found["mind"] == {"minds": [LIVE, "uniform"], "shares": [1, 3]}
    assert (found["pairing"], found["names"], found["seed"]) == ("node", ["Q", "M"], 0)


def test_a_file_within_a_topology_is_opened_as_long_as_it_holds_the_same(tmp_path: Path) -> None:
    path = tmp_path / "friends.csv"
    path.write_text("a,b\nb,c\nc,d\nd,a\n")
    spec = Spec(graph=f'rewired("{path}")', names="QM", seed=3)
    written = to_json(spec)
    again = from_json(written)
    assert again.initial_state().neighbors.edges == spec.initial_state().neighbors.edges
    with pytest.raises(SpecError, match="not a topology"):
        from_json({**written, "graph": spec.graph})
    path.write_text("a,b\n")
    with pytest.raises(SpecError, match="has changed"):
        from_json(written)
