"""The list of papers, what is refused, and a short form of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from mesa_llm_norms.errors import FileFormatError, MindError, SpecError
from mesa_llm_norms.reports.reproduction import cells
from mesa_llm_norms.reproduction.papers import (
    dallasta2006,
    denobili2026,
    flint2025,
    mehdizadeh2026,
    xie2011,
)
from mesa_llm_norms.reproduction.papers.catalog import PAPERS, reproduce_paper
from mesa_llm_norms.reproduction.papers.paper import AGREES, Result

CLAUDE = "claude-3.5-sonnet"


def verdicts(found: Result, mind: str) -> dict[str, str]:
    return {one.what: one.verdict for one in found.findings if one.mind == mind}


def test_every_paper_says_whose_it_is_and_what_is_played() -> None:
    for name, paper in PAPERS.items():
        assert paper.name == name
        assert name[-4:] in paper.source
        assert len(paper.line) < 90
        assert paper.time


def test_what_a_paper_has_no_use_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="did you mean 'xie2011'"):
        reproduce_paper("xie2010")
    with pytest.raises(SpecError, match="plays by itself"):
        reproduce_paper("ashery2025")
    with pytest.raises(SpecError, match="no mind plays"):
        reproduce_paper("xie2011", minds=[CLAUDE])
    with pytest.raises(SpecError, match="reads no file"):
        reproduce_paper("demarzo2024", data=tmp_path)
    for mind in ("classical", "claude:claude-test-1"):
        with pytest.raises(MindError, match="gives no probabilities"):
            reproduce_paper("demarzo2024", minds=[mind])


def test_a_file_without_the_digitised_curves_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    path.write_text("minority;size;author;topology;N;k\n0.1;0.9;;complete;1000;999\n")
    with pytest.raises(FileFormatError, match="no curve ER 400"):
        xie2011.read_curves(path)
    path.write_text("minority;size;author;topology;N;k\n0.1;a;;complete;1000;999\n")
    with pytest.raises(FileFormatError, match="no digitised curves"):
        xie2011.read_curves(path)


def test_a_curve_that_no_graph_has_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    lines = ["0.2;0.5;;ER;400;10", "0.1;0.9;;ER;400;10", "0.1;0.9;;BA;1000;10"]
    both = ["0.1;0.8;;complete;1000;999", "0.1;0.1;;complete;1000;10"]
    path.write_text("\n".join(["head", *lines, *both]))
    curves = xie2011.read_curves(path)
    assert curves["complete", 1_000][1].tolist() == [0.8]
    assert curves["ER", 400][0].tolist() == [0.1, 0.2]


def test_a_mind_that_follows_agrees_and_one_that_chooses_at_random_does_not() -> None:
    found = reproduce_paper("demarzo2024", minds=[CLAUDE, "uniform"], quick=True, rng=1)
    agree = "populations of 24 that agree in 100 rounds"
    assert verdicts(found, CLAUDE)[agree] == verdicts(found, "uniform")[agree] == AGREES
    beta = {one.mind: one.here.value for one in found.findings if one.what.startswith("majority")}
    assert beta["uniform"] == pytest.approx(0, abs=1e-6)
    assert beta[CLAUDE] > 1


def test_large_groups_of_a_mind_with_a_field_go_where_the_mean_field_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 50 populations of 60, M wins 47 or more but for one seed in a million."""
    monkeypatch.setattr(flint2025, "SIZES", (2, 10, 60))
    monkeypatch.setattr(flint2025, "RUNS", 500)
    found = reproduce_paper("flint2025", minds=["llama-3-70b-instruct"], quick=True, rng=1)
    assert list(verdicts(found, "llama-3-70b-instruct").values()) == ["", AGREES, "", AGREES, ""]
    texts = [cells(one)[3] for one in found.findings]
    assert texts[-1] == "60"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["xie2011", "dallasta2006"])
def test_what_is_published_of_the_classical_game_comes_out_but_for_what_the_notes_say(
    name: str,
) -> None:
    """A tenth of the runs is few for a bootstrap, so numbers may be off by a little more."""
    found = reproduce_paper(name, quick=True, rng=1)
    apart = [one for one in found.findings if one.verdict not in ("", AGREES)]
    assert all(
        "8% committed" in one.what
        or (isinstance(one.published, float) and abs(one.here.value - one.published) < 0.06)
        for one in apart
    )


@pytest.mark.slow
def test_on_the_networks_of_mason_and_watts_agents_between_others_succeed_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mehdizadeh2026, "MEMORIES", (2, 5))
    found = verdicts(reproduce_paper("mehdizadeh2026", minds=[CLAUDE], quick=True, rng=1), CLAUDE)
    assert found["rank correlation of success and betweenness"] == AGREES
    assert found["rounds to settle on others, memory 5 less 2"] == AGREES


def test_three_of_the_eight_networks_are_central() -> None:
    assert [name for name, inside in mehdizadeh2026.central().items() if inside] == [
        "greatest_average_betweenness",
        "greatest_maximum_betweenness",
        "greatest_variance_of_constraint",
    ]


def test_the_exponents_that_are_compared_are_those_of_the_paper() -> None:
    assert (dallasta2006.TIME, dallasta2006.ERROR, dallasta2006.WORDS) == (1.4, 0.1, 1.0)


def test_the_line_of_acceptance_is_a_third_where_no_unknown_name_is_accepted() -> None:
    assert denobili2026.margin(1 / 3, 0) == pytest.approx(0)
    assert denobili2026.margin(1, 1) == 0
