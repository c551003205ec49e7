"""What commands print is readable at 80 columns and in a pipe."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text
from typer.testing import CliRunner

from mesa_llm_norms import cli
from mesa_llm_norms.classical.published import CLAIMS, Found
from mesa_llm_norms.cli import output
from mesa_llm_norms.cli.reproduce import _print_claims
from mesa_llm_norms.cli.study import _print_validation
from mesa_llm_norms.minds.registry import STUDY_MINDS
from mesa_llm_norms.reproduction import protocol

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


HOSTILE = "a\x1b]0;owned\x07\x1b[2Jb\x9b31m\u202ec\x7f\r"


@pytest.mark.parametrize(
    "show",
    [
        output.say,
        output.echo,
        output.print_json,
        lambda text: output.say(Text(text, "bold")),
        lambda text: output.complain("note", text),
        lambda text: output.print_table(("it", text), [(text, Text(text))]),
        lambda text: output.print_pairs([(text, text)]),
        lambda text: output.list_folder(Path(text)),
    ],
)
def test_no_escape_of_an_input_reaches_the_terminal(
    show: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    Path(HOSTILE).mkdir()
    Path(HOSTILE, HOSTILE).touch()
    show(HOSTILE)
    printed = capsys.readouterr()
    assert "owned" in printed.out + printed.err
    assert (printed.out + printed.err).replace("\n", "").isprintable()


def test_what_a_library_warns_of_is_no_note(capsys: pytest.CaptureFixture[str]) -> None:
    with output.warnings_as_notes():
        warnings.warn_explicit("theirs", UserWarning, "/lib/networkx/readwrite/graphml.py", 1)
        warnings.warn("ours", stacklevel=1)
    assert capsys.readouterr().err == "note: ours\n"


def test_every_claim_about_the_classical_game_fits(capsys: pytest.CaptureFixture[str]) -> None:
    found = [Found(one, one.published, one.low, one.high, 100, (8.0,)) for one in CLAIMS]
    _print_claims(found)
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert {word for one in CLAIMS for word in one.what.split()} <= set(text.split())


def test_every_condition_of_the_study_fits(capsys: pytest.CaptureFixture[str]) -> None:
    row = {
        **{"log_loss": 0.123, "median_recorded": 1234.0, "median_simulated": 2345.0},
        **{"time_p": 0.0001, "winners_p": 0.034, "share_recorded": 0.5, "share_simulated": 0.25},
    }
    pools = ("Q M", " ".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    models = STUDY_MINDS
    _print_validation(
        [{**row, "model": model, "pool": pool, "winner": "Q"} for model in models for pool in pools]
    )
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert set(models) | {"QM", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"} <= set(text.split())


def test_a_reproduction_is_printed_mind_by_mind_and_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    def few(*_: object) -> list[protocol.Task]:
        experiments = (
            protocol.Experiment(part="emergence", names=protocol.TWO, runs=20),
            *protocol.critical_mass(protocol.TWO, (1, 4, 8), 10),
        )
        return [protocol.Task("claude-3.5-sonnet", experiments)]

    monkeypatch.setattr(protocol, "tasks", few)
    text = printed("reproduce --mind claude-3.5-sonnet --quick --seed 3 --workers 1")
    assert max(map(len, text.splitlines())) <= 80
    assert "\nclaude-3.5-sonnet: Conventions emerge\n" in text


class Terminal(StringIO):
    """What a terminal shows."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "delay", "shown"),
    [(Terminal(), 0, True), (Terminal(), 1_000, False), (StringIO(), 0, False)],
    ids=["terminal", "soon done", "pipe"],
)
def test_progress_is_shown_on_a_terminal_and_only_after_a_while(
    stream: StringIO, delay: float, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "DELAY", delay)
    monkeypatch.setattr(output, "stderr", lambda: Console(file=stream))
    with output.progress("compiling") as report:
        report("runs", 3, 40)
    assert ("3 of 40" in stream.getvalue()) == shown
