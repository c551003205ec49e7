"""A grid before it is played: sizes filled in, labels, numbers, and what a file may say."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from chances import FixedPolicy
from hypothesis import given
from hypothesis import strategies as st

from mesa_llm_norms.core.games import PrisonersDilemma
from mesa_llm_norms.errors import FileFormatError, GraphWarning, NormsError, SpecError
from mesa_llm_norms.experiments.sweeps.grid import (
    ARGUMENTS,
    SweepPlan,
    plan_sweep,
    read_axis,
    read_plan,
)
from mesa_llm_norms.networks.registry import fill, sides


def plan_of(tmp_path: Path, text: str) -> SweepPlan:
    path = tmp_path / "grid.toml"
    path.write_text(text, encoding="utf-8")
    return read_plan(path)


def keys(plan: SweepPlan) -> list[str]:
    return [cell.key for cell in plan.cells()]


def key(**arguments: Any) -> str:
    (found,) = keys(plan_sweep({}, arguments, seed=1))
    return found


# Sizes


@pytest.mark.parametrize(
    ("template", "size", "expected"),
    [
        ("ring(n={size})", 24, "ring(n=24)"),
        ("torus(rows={rows}, columns={columns})", 24, "torus(rows=4, columns=6)"),
        (
            "connected_caveman(cliques={size / 6}, size=6)",
            24,
            "connected_caveman(cliques=4, size=6)",
        ),
        ("star(n={ size+1 })", 24, "star(n=25)"),
        ("barbell(clique={size/4}, path={size - 12})", 24, "barbell(clique=6, path=12)"),
        ("lattice({rows*2}, {columns})", 25, "lattice(10, 5)"),
    ],
)
def test_a_size_is_filled_in(template: str, size: int, expected: str) -> None:
    assert fill(template, size) == expected


@given(st.integers(2, 10_000))
def test_a_grid_has_as_many_places_as_asked_for_or_is_refused(size: int) -> None:
    nearest = max(rows for rows in range(1, math.isqrt(size) + 1) if size % rows == 0)
    if size > 4 * nearest**2:
        with pytest.raises(SpecError, match="Use "):
            sides(size)
    else:
        assert sides(size) == (nearest, size // nearest)


@pytest.mark.parametrize(
    ("graph", "size", "said"),
    [
        ("torus(rows={rows}, columns={columns})", 23, "the only grid"),
        ("connected_caveman(cliques={size / 6}, size=6)", 25, "not a whole number"),
        ("ring(n={size / 0})", 24, "not a whole number"),
        ("ring(n={n})", 24, "cannot read"),
        ("ring(n={size ** 2})", 24, "cannot read"),
        ("karate()", 24, "nothing to fill in"),
        ("ring(n={size})", None, "needs one"),
        ("ring(n={size})", 24.0, "whole number in range"),
    ],
)
def test_a_size_that_fits_nowhere_is_refused(graph: str, size: Any, said: str) -> None:
    given = {"graph": graph} | ({} if size is None else {"size": size})
    with pytest.raises(SpecError, match=said):
        keys(plan_sweep({}, given, seed=1))


# Axes


def test_labels_are_short_and_numbers_stay_numbers() -> None:
    assert read_axis("memory", [2, 5]).labels == (2, 5)
    assert read_axis("names", ["QM", ["yes", "no"]]).labels == ("QM", "yes,no")
    assert read_axis("incumbent", [None, "Q"]).labels == ("nobody", "Q")
    assert read_axis("until", [None, "flipped"]).labels == ("none", "flipped")
    assert read_axis("graph", [nx.star_graph(3)]).labels == ("4 nodes, 3 edges",)
    assert read_axis("graph", {"mine": nx.star_graph(3)}).labels == ("mine",)
    assert read_axis("mind", [{"uniform": 1, "llama-2-70b-chat": 3}]).labels == (
        "uniform 1, llama-2-70b-chat 3",
    )
    assert read_axis("committed", [None, {"M": (0.1, "hubs")}, {"M": [0, 2]}]).labels == (
        "nobody",
        "M=0.1:hubs",
        "M=[0,2]",
    )
    assert read_axis("rounds", [10]).column == "rounds_limit"


def test_noise_and_an_end_are_part_of_the_label() -> None:
    axis = read_axis("committed", [{"M": {"agents": it, "noise": 0.1}} for it in (1, 2)])
    assert axis.labels == ("M=1:noise=0.1", "M=2:noise=0.1")
    assert (axis.numbers, axis.unit) == ((1.0, 2.0), "number committed to M, noise=0.1")


def test_what_is_committed_is_a_number_where_one_name_varies_alone() -> None:
    shares = read_axis("committed", [{}, {"M": 0.1}, {"M": 0.25}])
    assert (shares.numbers, shares.unit) == ((0.0, 0.1, 0.25), "share committed to M")
    hubs = read_axis("committed", [{"M": (2, "hubs")}, {"M": (4, "hubs")}])
    assert (hubs.numbers, hubs.unit) == ((2.0, 4.0), "number committed to M, hubs")
    for mixed in (
        [{"M": 0.1}, {"M": 2}],
        [{"M": 1}, {"Q": 2}],
        [{"M": (2, "hubs")}, {"M": 2}],
        [{"M": 1, "Q": 1}],
        [{"M": [0]}, {"M": 3}],
    ):
        assert read_axis("committed", mixed).numbers is None


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ({"memory": 5}, "not a list of values"),
        ({"incumbent": "Q"}, "not a list of values"),
        ({"memory": []}, "no value in the list"),
        ({"memory": [5, 5]}, "two values have the label 5"),
        ({"memroy": [5]}, "did you mean 'memory'"),
        ({"mind": ["uniform"]}, "both fixed and in the grid"),
        ({"memory": range(1, 400), "reward": range(1, 400)}, "too many"),
        ({"memory": [5, 0]}, r"\(cell: memory 0\)"),
        ({"committed": [{"M": 0.5}, {"Z": 1}]}, r"\(cell: committed Z=1\)"),
    ],
)
def test_a_grid_that_means_nothing_is_refused(grid: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        keys(plan_sweep(grid, {"mind": "uniform", "names": "QM"}, seed=1))


def test_the_last_axis_runs_fastest_and_the_seed_is_everybodys() -> None:
    plan = plan_sweep({"memory": [2, 3], "names": ["QM", "QX"]}, {"mind": "uniform"}, seed=9)
    cells = list(plan.cells())
    assert [(cell.at["memory"], cell.at["names"]) for cell in cells] == [
        (2, "QM"),
        (2, "QX"),
        (3, "QM"),
        (3, "QX"),
    ]
    assert {cell.description["seed"] for cell in cells} == {9}


@pytest.mark.parametrize("committed", [["M=3"], [3], [["M", 3]]])
def test_an_axis_of_committed_agents_takes_only_tables(committed: Any) -> None:
    with pytest.raises(SpecError, match="does not say who is committed"):
        read_axis("committed", committed)


def test_percentages_are_shares(tmp_path: Path) -> None:
    axis = read_axis("committed", [{"M": "10%"}, {"M": "25%"}])
    assert (axis.labels, axis.numbers) == (("M=0.1", "M=0.25"), (0.1, 0.25))
    assert read_axis("committed", [{"M": ("10%", "hubs")}]).labels == ("M=0.1:hubs",)
    typed = """names = "QM"
        [grid]
        mind = [{uniform = %s, "llama-2-70b-chat" = %s}]
        committed = [{M = %s}, {M = [%s, "hubs"]}]"""
    (tmp_path / "other").mkdir()
    percentages = plan_of(tmp_path, typed % ('"50%"', '"50 %"', '"25%"', '"12.5%"'))
    shares = plan_of(tmp_path / "other", typed % (0.5, 0.5, 0.25, 0.125))
    assert keys(percentages) == keys(shares)
    with pytest.raises(SpecError, match="Write shares as"):
        keys(plan_sweep({"mind": ["uniform=50%"]}, {}))


def test_an_amount_beyond_all_numbers_is_refused() -> None:
    for digits in (400, 5_000):
        plan = plan_sweep({"committed": [{"M": 10**digits}]}, {"names": "QM"})
        with pytest.raises(SpecError, match="committed"):
            sum(cell.agents for cell in plan.cells())


@pytest.mark.parametrize("prefix", ["lama", "llama"])
@pytest.mark.parametrize("rest", ["http://u:pa55word@h/v1#m", "http://u:pa55word@h/m.json"])
def test_a_password_in_a_grid_is_not_shown(tmp_path: Path, prefix: str, rest: str) -> None:
    mind = f"{prefix}:{rest}"
    for grid in ([mind], [mind, mind], [{mind: 1, "uniform": 1}]):
        with pytest.raises(NormsError) as caught:
            keys(plan_sweep({"mind": grid}, {}))
        assert "pa55word" not in str(caught.value)
    for text in (f'mind = "{mind}"', f'[grid]\nmind = ["{mind}"]'):
        with pytest.raises(NormsError) as caught:
            keys(plan_of(tmp_path, text))
        assert "pa55word" not in str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="there are no such files")
@pytest.mark.parametrize("kind", ["endless", "link", "pipe", "folder"])
def test_a_graph_that_is_no_regular_file_is_refused_unread(tmp_path: Path, kind: str) -> None:
    path = Path("/dev/zero") if kind == "endless" else tmp_path / "net.csv"
    if kind == "link":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    with pytest.raises(FileFormatError, match="not a regular file"):
        keys(plan_sweep({"graph": [str(path)]}, {"mind": "uniform"}))


def test_names_with_commas_are_a_list(tmp_path: Path) -> None:
    """As in Python; only the command line separates names by commas."""
    path = tmp_path / "sweep.toml"
    path.write_text('names = "yes,no"\n', encoding="utf-8")
    with pytest.raises(SpecError, match="'yes', 'no'"):
        list(read_plan(path).cells())


# What a cell is filed under


def test_every_argument_makes_another_cell() -> None:
    common: dict[str, Any] = {"graph": "ring(n=8)", "mind": "uniform", "names": "QM"}
    other: dict[str, Any] = {
        "graph": "star(n=8)",
        "names": "MQ",
        "mind": "llama-2-70b-chat",
        "pairing": "edge",
        "memory": 4,
        "reward": 1,
        "penalty": 0,
        "incumbent": "Q",
        "committed": {"M": 1},
        "rewire": 3,
        "until": None,
        "window": 2,
        "threshold": 0.9,
        "rounds": 7,
    }
    assert {*other, "size", "game"} == set(ARGUMENTS)
    found = [key(**common, rounds=9)]
    found += [key(**{**common, "rounds": 9, name: value}) for name, value in other.items()]
    assert len(set(found)) == len(found)


def test_a_game_is_written_as_on_the_command_line_or_given(tmp_path: Path) -> None:
    text = '[grid]\ngame = ["prisoners_dilemma", "prisoners_dilemma(temptation=9)"]\n'
    plan = plan_of(tmp_path, f'{text}graph = ["ring(n=8)"]\n')
    one, other = plan.cells()
    assert one.at["game"] == "prisoners_dilemma"
    assert one.spec.rules == PrisonersDilemma()
    assert one.spec.mind == "uniform"
    assert other.spec.rules == PrisonersDilemma(temptation=9)
    assert one.key != other.key
    assert key(game=PrisonersDilemma(3 + 2)) == key(game="prisoners_dilemma")
    with pytest.raises(SpecError, match="names: it is said of the naming game"):
        key(game="public_goods", names="QM")
    with pytest.raises(SpecError, match="there is no game"):
        key(game="stag_hunt")


def test_the_same_said_otherwise_is_the_same_cell() -> None:
    assert key(names="QM", reward=100, window=3) == key(names=["Q", "M"], reward=100.0, window=3.0)
    assert key(graph="ring(n={size})", size=24) == key(graph="ring(n=24)")
    assert key(committed={}) == key(committed=None) == key()
    assert key(committed={"M": (2, "hubs")}) != key(committed={"M": 2})
    assert key(committed={"M": (2, "hubs")}) != key(committed={"M": 2.0 / 24})


def test_order_counts_where_runs_depend_on_it() -> None:
    one, other = {"uniform": 1, "llama-2-70b-chat": 1}, {"llama-2-70b-chat": 1, "uniform": 1}
    assert key(mind=one) != key(mind=other)
    assert key(committed={"M": 1, "Q": 2}) != key(committed={"Q": 2, "M": 1})


def test_minds_and_graphs_are_told_by_their_contents(tmp_path: Path) -> None:
    assert key(mind=FixedPolicy(0.5, 0.5), names="QM") != key(
        mind=FixedPolicy(0.4, 0.6), names="QM"
    )
    assert key(mind=FixedPolicy(0.5, 0.5), names="QM") == key(
        mind=FixedPolicy(0.5, 0.5), names="QM"
    )
    assert key(graph=nx.path_graph(4)) == key(graph=nx.path_graph(4)) != key(graph=nx.star_graph(3))
    assert key(graph=nx.path_graph(4)) != key(graph=nx.path_graph(["0", "1", "2", "3"]))
    file = tmp_path / "net.csv"
    file.write_text("a,b\nb,c\n", encoding="utf-8")
    first = key(graph=file)
    file.write_text("a,b\na,c\n", encoding="utf-8")
    assert key(graph=file) != first
    moved = tmp_path / "other.csv"
    file.rename(moved)
    assert key(graph=str(moved)) == key(graph=moved)


# Files


def test_a_file_says_what_python_says(tmp_path: Path) -> None:
    plan = plan_of(
        tmp_path,
        """
        runs = 7
        seed = 3
        rounds = 40
        keep_rounds = true
        incumbent = "Q"
        size = 12

        [grid]
        topology = ["ring(n={size})", "star(n={size})"]
        names = ["QM", ["Q", "no"]]
        committed = [{}, {Q = 0.25}, {Q = [2, "hubs"]}, {Q = [0, 1]}]
        until = ["converged", "none"]
        """,
    )
    same = plan_sweep(
        {
            "graph": ["ring(n={size})", "star(n={size})"],
            "names": ["QM", ["Q", "no"]],
            "committed": [None, {"Q": 0.25}, {"Q": (2, "hubs")}, {"Q": [0, 1]}],
            "until": ["converged", None],
        },
        {"rounds": 40, "incumbent": "Q", "size": 12},
        7,
        3,
        True,
    )
    assert keys(plan) == keys(same)
    assert (plan.runs, plan.seed, plan.keep_rounds, len(plan)) == (7, 3, True, 32)
    assert [axis.labels for axis in plan.axes] == [axis.labels for axis in same.axes]


def test_files_that_a_file_names_are_beside_it(tmp_path: Path) -> None:
    (tmp_path / "net.csv").write_text("a,b\nb,c\n", encoding="utf-8")
    plan = plan_of(tmp_path, 'mind = "uniform"\n[grid]\ngraph = ["net.csv", "ring(n=4)"]\n')
    assert [cell.agents for cell in plan.cells()] == [3, 4]
    assert plan.axes[0].labels == ("net", "ring(n=4)")


def test_options_of_files_are_part_of_a_cell_and_of_its_label(tmp_path: Path) -> None:
    (tmp_path / "net.csv").write_text("a,b\nb,c\nd,e\n", encoding="utf-8")
    files = ["file('net.csv', part='largest')", "file('net.csv', directed=true, part='largest')"]
    plan = plan_of(tmp_path, f'mind = "uniform"\n[grid]\ngraph = {json.dumps(files)}\n')
    with pytest.warns(GraphWarning, match="kept the largest of 2 parts"):
        assert [cell.agents for cell in plan.cells()] == [3, 3]
    assert plan.axes[0].labels == (
        "net (part=largest)",
        "net (directed=True, part=largest)",
    )
    assert len({cell.key for cell in plan.cells()}) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rusn = 5", "did you mean 'runs'"),
        ("[fixed]\nmemory = 5", "no 'fixed'"),
        ("[grid]\ntopolgy = ['ring']", "did you mean 'topology'"),
        ("[grid]\nseed = [1, 2]", "it cannot vary"),
        ("grid = 5", "it is not a table"),
        ("runs = 0", "not a whole number in range"),
        ("keep_rounds = 1", "is not a truth value"),
        ("seed = -1", "is not a seed"),
        ("until = 'never'", "until"),
        ("memory = 5\n[grid]\nmemory = [5]", "both fixed and in the grid"),
    ],
)
def test_a_file_that_asks_for_what_cannot_be_is_refused(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(SpecError, match=said):
        keys(plan_of(tmp_path, text))


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="it is not TOML"):
        plan_of(tmp_path, "runs = = 5")
    with pytest.raises(FileFormatError, match="No such file"):
        read_plan(tmp_path / "nowhere.toml")
    with pytest.raises(FileFormatError, match="not a regular file"):
        read_plan(tmp_path)


# Patterns of graph files


def labels(plan: SweepPlan) -> list[Any]:
    return [cell.at["graph"] for cell in plan.cells()]


def test_a_pattern_in_a_table_of_graphs_puts_its_label_before_each_file(tmp_path: Path) -> None:
    for name, size in (("a", 5), ("b", 6)):
        nx.write_gml(nx.cycle_graph(size), tmp_path / f"{name}.gml")
    table = '[grid.graph]\nreal = "*.gml"\nmade = "ring(n=5)"\n"one" = "a.*"\n'
    plan = plan_of(tmp_path, table)
    assert labels(plan) == ["real a", "real b", "made", "one"]
    assert [cell.agents for cell in plan.cells()] == [5, 6, 5, 5]


def test_files_of_the_same_name_are_told_apart_by_as_much_of_their_paths_as_it_takes(
    tmp_path: Path,
) -> None:
    for path in ("x/a.gml", "y/a.gml", "x/a.gexf", "x/b.gml"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        write = nx.write_gexf if path.endswith("gexf") else nx.write_gml
        write(nx.cycle_graph(5), tmp_path / path)
    assert labels(plan_of(tmp_path, '[grid]\ngraph = "*/*.g*"')) == [
        *("a.gexf", "x/a.gml", "b", "y/a.gml"),
    ]
    options = 'graph = \'file("*/a.gml", part="largest")\''
    assert labels(plan_of(tmp_path, f"[grid]\n{options}")) == [
        "x/a.gml (part=largest)",
        "y/a.gml (part=largest)",
    ]


def test_a_pattern_in_a_topology_string_stands_for_the_topology_of_each_file(
    tmp_path: Path,
) -> None:
    for name, size in (("a", 8), ("b", 9)):
        nx.write_gml(nx.circulant_graph(size, [1, 2]), tmp_path / f"{name}.gml")
    plan = plan_of(tmp_path, '[grid]\ngraph = ["rewired(./*.gml)", "ring(n=5)"]')
    assert [cell.agents for cell in plan.cells()] == [8, 9, 5]
    with pytest.raises(SpecError, match="no graph file that matches"):
        plan_of(tmp_path, '[grid]\ngraph = "rewired(./*.csv)"')
