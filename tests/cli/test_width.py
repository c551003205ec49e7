"""What commands print is readable at 80 columns and in a pipe."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.text import Text
from typer.testing import CliRunner

from mesa_llm_norms import cli
from mesa_llm_norms.cli import output

GRID = """
runs = 4
seed = 2
names = "QM"
rounds = 20

[grid]
graph = ["watts_strogatz(n={size}, k=4, p=0.1)", "complete(n={size})"]
size = [6, 8]
mind = ["llama-3-70b-instruct"]
memory = [5]
"""
COMMANDS = (
    "minds",
    "minds llama-3-70b-instruct",
    "minds uniform",
    "topologies",
    "topologies ring(n=12)",
    "tip -t watts_strogatz(n=12,k=4,p=0.1) --placement hubs --runs 80 --seed 1 --out tipping",
    "intervene Q M --try committed=3:hubs,memory=2 --try rewired=20% --try"
    " other=llama-3.1-70b-instruct:25% -t ring(n=12,k=4) --runs 20 --seed 7",
    "audit --mind llama-2-70b-chat --topology complete(n=8) --runs 20 --sizes 2,4 --seed 1",
    "sweep grid.toml --dry-run",
    "sweep grid.toml",
)


@pytest.fixture(autouse=True)
def in_a_folder_with_a_grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    Path("grid.toml").write_text(GRID, encoding="utf-8")


def printed(command: str) -> str:
    result = CliRunner().invoke(cli.app, command.split(), prog_name="mesa-llm-norms")
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_no_line_is_wider_than_80_columns_and_no_word_is_broken(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = printed(command)
    assert max(map(len, narrow.splitlines())) <= 80
    monkeypatch.setenv("COLUMNS", "1000")
    wide = printed(command.replace("--out tipping", "--out tipped"))
    whole = {word.strip(";:") for word in wide.replace("tipped", "tipping").split()}
    assert {word.strip(";:") for word in narrow.split()} <= whole


@pytest.mark.parametrize("command", ["minds", "topologies", "tip --help", "run --help"])
def test_a_pipe_gets_no_colours(command: str) -> None:
    assert "\x1b" not in printed(command)


def table(columns: int, *rows: tuple[str | Text, ...], prose: int = 0) -> list[str]:
    """Return the lines of a table printed in so many columns."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(columns))
        console = output.stdout()
        patch.setattr(output, "stdout", lambda: console)
        with console.capture() as capture:
            output.print_table(("what it is", "value", "p"), rows, prose=prose)
    return [line.rstrip() for line in capture.get().splitlines()]


ROW = ("share of runs that converged within sixty rounds", "0.500 (0.250 to 0.750)", "0.03")


def test_prose_is_wrapped_between_words_and_numbers_stay_whole() -> None:
    assert table(80, ROW)[1].split("  ")[0] == ROW[0]
    head, first, second, *_ = table(60, ROW)
    assert head.split() == ["what", "it", "is", "value", "p"]
    assert first.startswith("share of runs that converged")
    assert first.endswith("0.500 (0.250 to 0.750)  0.03")
    assert second == "within sixty rounds"


def test_a_table_that_is_too_wide_becomes_a_paragraph_for_each_row() -> None:
    lines = table(36, ROW, (Text("a"), "", "known"))
    assert lines == [
        "share of runs that converged within",
        "sixty rounds",
        "  value: 0.500 (0.250 to 0.750); p:",
        "  0.03",
        "a",
        "  p: known",
    ]
