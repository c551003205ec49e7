"""Results are written and printed even if nothing can be drawn of them, and if there is little."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import invoke
from matplotlib.figure import Figure

from mesa_llm_norms.core.files import SPEC

QUICK = ("--names", "QM", "--seed", "1", "--mind", "uniform")
EXPERIMENTS: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "run": (
        ("run", *QUICK, "-t", "ring(n=6)"),
        {"interactions.parquet", "network.gexf", "nodes.parquet", "rounds.parquet", SPEC},
    ),
    "many runs": (
        ("run", *QUICK, "--runs", "2"),
        {"network.gexf", "nodes.parquet", "rounds.parquet", "runs.parquet", SPEC},
    ),
    "audit": (("audit", *QUICK, "--runs", "4", "--sizes", "none"), {"audit.json"}),
    "tip": (
        ("tip", *QUICK, "--runs", "40", "--rounds", "2"),
        {"doses.csv", "runs.parquet", "tipping.json"},
    ),
    "intervene": (
        ("intervene", "M", "Q", *QUICK, "--try", "committed=2", "--runs", "2", "--rounds", "1"),
        {"interventions.csv", "interventions.json", "runs.parquet"},
    ),
    "sweep": (
        ("sweep", "grid.toml"),
        {"cells", "summary.csv", "summary.parquet", "sweep.json"},
    ),
}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("grid.toml").write_text(
        'runs = 2\nmind = "uniform"\nrounds = 2\n[grid]\nnames = ["QM", "XYZ"]\nmemory = [1, 2]\n',
        encoding="utf-8",
    )


def fail(*_: object, **__: object) -> None:
    raise MemoryError("no room for a picture")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_tables_are_there_and_the_outcome_printed_when_no_figure_can_be_drawn(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Figure, "savefig", fail)
    arguments, tables = EXPERIMENTS[name]
    result = invoke(*arguments, "--out", "mine", "--json")
    assert result.exit_code == 2
    assert isinstance(json.loads(result.stdout), dict)
    (line,) = [line for line in result.stderr.splitlines() if not line.startswith("note:")]
    assert line.startswith("error: report: ")
    assert "MemoryError: no room for a picture" in line
    assert "mine" in line
    assert {path.name for path in Path("mine").iterdir()} == tables


@pytest.mark.parametrize(
    "arguments",
    [
        ("audit", *QUICK, "--runs", "3", "--rounds", "1", "--sizes", "2,10", "--size-runs", "2"),
        ("audit", *QUICK, "--runs", "1", "--sizes", "none", "-t", "complete(n=2)"),
        ("tip", *QUICK, "--runs", "40", "--rounds", "1", "--most", "0.1"),
        ("tip", *QUICK, "--runs", "40", "--rounds", "1", "-t", "complete(n=2)"),
        ("intervene", "M", "Q", *QUICK, "--try", "committed=1", "--runs", "1", "--rounds", "1"),
        ("run", *QUICK, "--runs", "1", "--rounds", "1"),
        ("run", *QUICK, "--runs", "2", "--rounds", "0", "--until", "none"),
        ("run", *QUICK, "--rounds", "0", "--until", "none"),
        ("run", *QUICK, "--rounds", "1", "-t", "complete(n=2)"),
        ("sweep", "grid.toml"),
    ],
    ids=" ".join,
)
def test_what_reaches_nothing_is_a_result_too(arguments: tuple[str, ...]) -> None:
    """No run converges, none flips, there is one run, no round, one pair."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    found = invoke(*arguments, "--out", "mine", "--json")
    assert found.exit_code == 0, found.stderr
    assert json.loads(found.stdout, parse_constant=refuse)
    for path in Path("mine").rglob("*.json"):
        assert json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
