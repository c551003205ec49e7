"""Contact sequences: who met when is read by one rule, or refused with the option that decides."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesa_llm_norms.errors import FileFormatError, GraphError, NormsError
from mesa_llm_norms.networks.adjacency import CONTACTS, Neighbors, to_networkx
from mesa_llm_norms.networks.contacts import contact_graph
from mesa_llm_norms.networks.reading import open_file, read_graph
from mesa_llm_norms.simulation.serialization import from_json, to_json
from mesa_llm_norms.simulation.spec import Spec

MEETINGS = [(0, "a", "b"), (20, "b", "c"), (20, "a", "b"), (60, "c", "a")]


def written(folder: Path, text: str, name: str = "contacts.txt") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def read(path: Path, **options: Any) -> list[tuple[float, Any, Any]]:
    """Return the contacts in a file, in order."""
    graph, _ = open_file(path, format="contacts", **options)
    assert isinstance(graph, nx.Graph)
    return met(graph)


def met(graph: nx.Graph[Any]) -> list[tuple[float, Any, Any]]:
    found = graph.graph[CONTACTS]
    ends = [[found.nodes[at] for at in pair] for pair in found.ends.tolist()]
    return [(time, *pair) for time, pair in zip(found.times.tolist(), ends, strict=True)]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("0 a b\n20 b c\n20 a b\n60 c a\n", {}),
        ("# of a school\n0\ta\tb\tX\tY\n20\tb\tc\tY\tZ\n20\ta\tb\tX\tY\n60\tc\ta\tZ\tX\n", {}),
        ("t,u,v\n0,a,b\n20,b,c\n20,a,b\n60,c,a\n", {}),
        ("source;target;time\na;b;0\nb;c;20\na;b;20\nc;a;60\n", {}),
        ("a b 0\nb c 20\na b 20\nc a 60\n", {"time": 3}),
        ("who,when,whom\na,0,b\nb,20,c\na,20,b\nc,60,a\n", {"time": "when"}),
        ("60 c a\n0 a b\n20 b c\n20 a b\n", {}),
        ("0 a b 20\n20 b c 20\n20 a b 20\n60 c a 20\n", {"step": 20}),
    ],
)
def test_the_usual_forms_are_read_as_the_same(
    tmp_path: Path, text: str, options: dict[str, Any]
) -> None:
    assert read(written(tmp_path, text), **options) == MEETINGS


def test_the_projection_counts_contacts(tmp_path: Path) -> None:
    path = written(tmp_path, "0 1 2\n5 2 1\n9 2 3\n")
    graph = to_networkx(read_graph(f'file("{path}", format="contacts")', random.Random(0)))
    assert sorted(graph.edges(data="weight")) == [(1, 2, 2.0), (2, 3, 1.0)]
    without = f'file("{path}", format="contacts", weight="none")'
    bare = to_networkx(read_graph(without, random.Random(0)))
    assert sorted(bare.edges(data="weight")) == [(1, 2, None), (2, 3, None)]


def test_a_contact_that_lasts_is_an_interaction_for_every_step(tmp_path: Path) -> None:
    path = written(tmp_path, "time,u,v,duration\n0,1,2,40\n30,2,3,5\n")
    assert read(path, step=20) == [(0, 1, 2), (20, 1, 2), (30, 2, 3)]
    assert read(path) == [(0, 1, 2), (30, 2, 3)]


def test_dates_are_times(tmp_path: Path) -> None:
    text = "datetime,u,v\n2009-11-03T08:00:20,1,2\n2009-11-03T08:00:00,2,3\n"
    (first, *_), (second, *_) = read(written(tmp_path, text))
    assert second - first == 20


def test_a_direction_is_kept_where_it_is_asked_for(tmp_path: Path) -> None:
    graph, _ = open_file(written(tmp_path, "0 1 2\n1 2 1\n"), format="contacts", directed=True)
    assert isinstance(graph, nx.DiGraph)
    assert sorted(graph.edges) == [(1, 2), (2, 1)]


def test_cleaning_leaves_out_the_contacts_of_what_it_drops(tmp_path: Path) -> None:
    path = written(tmp_path, "0 1 2\n1 2 3\n2 8 9\n3 3 3\n")
    graph, _ = open_file(path, format="contacts", loops="drop", part="largest")
    contacts = Neighbors(graph).contacts
    assert contacts is not None
    assert len(contacts) == 2


@pytest.mark.parametrize(
    ("text", "options", "remedy"),
    [
        ("a b 0\nb c 20\na b 60\n", {}, "time"),
        ("1 2 5\n3 4 6\n2 3 7\n", {}, "time=3"),
        ("0 a\n1 b\n", {}, "time=1"),
        ("0 a b\n1 b\n", {}, ""),
        ("0 a b\n1 b c d\n", {}, ""),
        ("0 a b\n", {"time": 9}, "1 to 3"),
        ("0 a b\n", {"step": 20}, "duration="),
        ("0 a b -3\n", {"step": 20}, ""),
        ("0 a b 3\n", {"step": "x"}, ""),
        ("0 a b 1e300\n", {"step": 1}, ""),
        ("t,u,v\n", {}, ""),
        ("# nothing\n", {}, ""),
        ("0 a b\ninf b c\n", {}, "time="),
    ],
)
def test_what_is_no_contact_sequence_is_refused(
    tmp_path: Path, text: str, options: dict[str, Any], remedy: str
) -> None:
    with pytest.raises(FileFormatError, match="contact sequence") as refused:
        read(written(tmp_path, text), **options)
    assert remedy in str(refused.value)


@given(st.text("0123456789.abt,;\t\n -#e", max_size=80))
def test_any_text_is_read_or_refused_with_an_error_of_the_package(text: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        try:
            times = [time for time, *_ in read(written(Path(folder), text))]
        except NormsError:
            return
    assert times == sorted(times)


def test_a_data_frame_is_a_contact_sequence() -> None:
    table = pd.DataFrame(MEETINGS, columns=["t", "u", "v"])
    assert met(contact_graph(table)) == MEETINGS
    turned = table[["v", "t", "u"]].rename(columns={"t": "time", "u": "i", "v": "j"})
    assert met(contact_graph(turned)) == MEETINGS
    with pytest.raises(GraphError, match="a time and two nodes"):
        contact_graph(table[["t", "u"]])
    dated = table.assign(t=pd.Timestamp("2020-01-01") + pd.to_timedelta(table["t"], unit="s"))
    assert np.diff([time for time, *_ in met(contact_graph(dated))]).tolist() == [20, 0, 40]


def test_the_written_form_of_a_spec_holds_contacts() -> None:
    graph = contact_graph(pd.DataFrame(MEETINGS, columns=["t", "u", "v"]))
    spec = Spec(graph=graph, names="QM", pairing="contacts", seed=3)
    again = from_json(json.loads(json.dumps(to_json(spec))))
    assert again.pairing == "contacts"
    assert met(again.graph) == MEETINGS


@pytest.mark.parametrize(
    ("lines", "options", "contacts"),
    [
        ([f"{t // 2} {t % 4} {(t + 1) % 4}" for t in range(14)], {}, 14),
        ([f"{t + 1} {1 + t % 6} {2 + t % 6}" for t in range(14)], {}, 14),
        ([f"{t % 3} 4 {t // 2}" for t in range(14)], {"time": 3}, 14),
        (["u,v,time", *(f"{t % 3},4,{t}" for t in range(6))], {}, 6),
        (["t,i,j", *(f"{t},a,b" for t in range(6))], {}, 6),
        (["date,from,to", *(f"2020-01-0{t},a,b" for t in range(1, 7))], {}, 6),
    ],
)
def test_times_that_may_be_nodes_or_weights_are_asked_about(
    lines: list[str], options: dict[str, Any], contacts: int, tmp_path: Path
) -> None:
    path = written(tmp_path, "\n".join(lines))
    with pytest.raises(FileFormatError, match=r"may (be|say).*format=contacts"):
        open_file(path)
    graph, _ = open_file(path, format="contacts", **options)
    assert len(to_networkx(graph).graph["contacts"]) == contacts
