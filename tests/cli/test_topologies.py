"""``topologies`` as typed."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import invoke, printed, refused

from mesa_llm_norms.networks.registry import topologies


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


def test_the_topologies_are_listed_with_examples_that_work() -> None:
    listed = printed("topologies")
    assert [one["name"] for one in listed] == [it.name for it in topologies()]
    text = invoke("topologies").stdout
    assert all(it.name in text for it in topologies())
    for one in listed:
        assert printed("topologies", one["example"])["nodes"] >= 2


def test_a_topology_is_measured_and_drawn() -> None:
    found = printed("topologies", "ring(n=12)", "--draw", "ring.png")
    assert found == {
        "topology": "ring(n=12)",
        "nodes": 12,
        "edges": 12,
        "directed": False,
        "parts": 1,
        "degree": [2, 2],
        "mean_degree": 2.0,
        "diameter": 6,
        "largest_part": 1.0,
        "mean_path": pytest.approx(36 / 11),
        "clustering": 0.0,
        "assortativity": None,
        "heterogeneity": 1.0,
        "spectral_gap": pytest.approx(1 - 3**0.5 / 2),
        "sampled": None,
    }
    assert Path("ring.png").read_bytes().startswith(b"\x89PNG")
    invoke("topologies", "ring(n=12)", "--draw", "ring.svg")
    assert "<svg" in Path("ring.svg").read_text(encoding="utf-8")
    assert "closing parenthesis" in refused("topologies", "ring(n=12")
    assert "cannot be written" in refused("topologies", "ring", "--draw", "ring.png/x.png")


@pytest.mark.parametrize(
    "arguments",
    [("--draw", "x.png"), ("ring", "--draw", "x.pdf"), ("ring(n=3000)", "--draw", "x.png")],
)
def test_a_drawing_that_makes_no_sense_is_refused(arguments: tuple[str, ...]) -> None:
    result = invoke("topologies", *arguments)
    assert (result.exit_code, "--draw" in result.stderr) == (2, True)
    assert not Path("x.png").exists()


def test_a_graph_file_is_listed_with_how_it_was_read() -> None:
    text = (
        "# by hand\nfrom,to,value,year\nann,bo,2,1998\nbo,cy,1,2004\ncy,cy,1,2005\ndi,ed,0,2006\n"
    )
    Path("club.csv").write_text(text)
    assert "--read loops=drop" in refused("topologies", "club.csv")
    found = printed("topologies", "club.csv", "--read", "loops=drop", "--clean")
    assert found["topology"] == 'file("club.csv", loops="drop", clean=true)'
    assert {key: found[key] for key in ("format", "nodes", "edges", "directed", "weights")} == {
        "format": "an edge list",
        "nodes": 3,
        "edges": 2,
        "directed": False,
        "weights": "value",
    }
    assert (found["parts"], found["skipped_lines"], found["ignored"]) == (1, 1, ["year"])
    assert found["cleaned"][0] == "dropped 1 edge from a node to itself"
    shown = invoke("topologies", "club.csv", "--clean").stdout
    assert "weights" in shown
    assert "value" in shown
    assert "dropped 1 edge with a weight of 0 or less" in " ".join(shown.split())


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("ring", "--clean"), "'ring' is not a file"),
        (("a.csv", "--read", "part"), "'part' is not OPTION=VALUE"),
        (("a.csv", "--read", "party=largest"), "'party'"),
        (("a.csv", "--read", "part=some"), "Use largest"),
        (("a.csv", "--read", "nodes=label"), "nodes is not for an edge list"),
    ],
)
def test_options_of_files_that_make_no_sense_are_refused(typed: tuple[str, ...], said: str) -> None:
    Path("a.csv").write_text("a,b\nb,c\n")
    assert said in refused("topologies", *typed)
