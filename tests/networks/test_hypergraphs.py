"""Hypergraphs: what is read as groups, and the graph that they make."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from mesa_llm_norms.errors import FileFormatError, GraphError
from mesa_llm_norms.networks import hypergraph
from mesa_llm_norms.networks.adjacency import GROUPS, Neighbors, to_networkx
from mesa_llm_norms.networks.hypergraphs import Groups
from mesa_llm_norms.networks.reading import open_file, read_graph


def test_lines_are_groups_and_their_members_are_joined(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("# classes\n1 2 3\n3 4\n2 3\n5\n")
    found, table = open_file(path, format="groups")
    assert table is not None
    graph = to_networkx(found)
    assert "1 lines with a single node" in table.notes[0]
    assert graph.graph[GROUPS] == [(1, 2, 3), (3, 4), (2, 3)]
    weights: dict[tuple[int, int], int] = {
        (u, v): data["weight"] for u, v, data in graph.edges(data=True)
    }
    assert weights == {
        (1, 2): 1,
        (1, 3): 1,
        (2, 3): 2,
        (3, 4): 1,
    }
    groups = Groups.of(graph, Neighbors(graph))
    assert (groups.indptr.tolist(), groups.members.tolist()) == (
        [0, 3, 5, 7],
        [0, 1, 2, 2, 3, 1, 2],
    )
    commas = tmp_path / "classes.csv"
    commas.write_text("Ann, Bo, Cy\nCy, Dee\n")
    assert to_networkx(open_file(commas, format="groups")[0]).graph[GROUPS] == [
        ("Ann", "Bo", "Cy"),
        ("Cy", "Dee"),
    ]


def test_a_file_of_groups_that_is_not_said_to_be_one_is_refused_with_the_option(
    tmp_path: Path,
) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("1 2 3 4\n3 4\n2 3 5\n")
    with pytest.raises(FileFormatError, match="format=groups"):
        open_file(path)
    path.write_text("1\n2\n")
    with pytest.raises(FileFormatError, match="two nodes or more"):
        open_file(path, format="groups")


def test_random_groups_have_their_size_and_are_drawn_by_the_seed() -> None:
    one, again, other = (
        to_networkx(read_graph("groups(n=20, k=4, m=30)", random.Random(it))) for it in (1, 1, 2)
    )
    assert list(one) == list(range(20))
    assert [len(set(group)) for group in one.graph[GROUPS]] == [4] * 30
    assert one.graph[GROUPS] == again.graph[GROUPS] != other.graph[GROUPS]


@pytest.mark.parametrize("groups", [[], [(1,)], [(1, 1)], [(1, 2), (3, 3, 4)]])
def test_what_is_no_group_is_refused(groups: list[tuple[int, ...]]) -> None:
    with pytest.raises(GraphError):
        hypergraph(groups)
