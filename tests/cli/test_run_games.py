"""Games other than the naming game on the command line: played, asked about, resumed, refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from commands import invoke, printed, refused
from messages_server import MessagesServer

from mesa_llm_norms import run_ensemble
from mesa_llm_norms.simulation import BattleOfTheSexes, PrisonersDilemma, PublicGoods
from mesa_llm_norms.web.replay import FolderSource, read_recorded_run

RING = ("-t", "ring(n=6)", "--seed", "7", "--until", "none", "--rounds", "3")
GROUPS = ("--game", "public_goods(factor=2)", "--pairing", "neighborhood")
LIVE = ("--mind", "claude:claude-test-1")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with MessagesServer() as running:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", running.url)
        yield


def table(folder: str) -> pd.DataFrame:
    return pd.read_parquet(Path(folder) / "interactions.parquet")


@pytest.mark.parametrize(
    ("typed", "game", "pairing"),
    [
        pytest.param(
            *(("--game", "battle-of-the-sexes"), BattleOfTheSexes(), "node"), marks=pytest.mark.slow
        ),
        (GROUPS, PublicGoods(factor=2), "neighborhood"),
    ],
)
def test_a_game_is_played_as_from_python_and_its_tables_name_outcomes(
    typed: tuple[str, ...], game: Any, pairing: Any
) -> None:
    found = printed("run", *RING, *typed, "--out", "one", "--runs", "1", "--keep-interactions")
    assert found["game"] == type(game).__name__
    assert found["success"] == game.success_name
    said = invoke("run", *RING, *typed, "--out", "mine")
    assert said.exit_code == 0, said.stderr
    assert said.stdout.count(game.success_name) == 4  # each round, and the outcome
    expected = run_ensemble(
        "ring(n=6)",
        mind="uniform",
        game=game,
        pairing=pairing,
        rng=7,
        runs=1,
        rounds=3,
        until=None,
        keep_interactions=True,
    ).interactions
    assert expected is not None
    for folder in ("one", "mine"):
        pd.testing.assert_frame_equal(
            table(folder).map(as_list), expected.map(as_list), check_dtype=False
        )
    columns = ["names"] if game.seats is None else ["name_a", "name_b"]
    for *moves, outcome in expected[[*columns, "outcome"]].itertuples(index=False):
        assert outcome == game.outcome(*(moves[0] if game.seats is None else moves))


def as_list(value: Any) -> Any:
    return list(value) if hasattr(value, "__len__") and not isinstance(value, str) else value


@pytest.mark.slow
@pytest.mark.usefixtures("server")
def test_live_minds_are_told_the_game_and_go_on_where_the_budget_ended() -> None:
    game = ("--game", "prisoners_dilemma(temptation=9, memory=2)")
    whole = invoke("run", *RING, *game, *LIVE, "--out", "whole")
    assert whole.exit_code == 0, whole.stderr
    short = invoke("run", *RING, *game, *LIVE, "--out", "short", "--budget-calls", "9")
    assert short.exit_code != 0
    resumed = invoke("resume", "short", "--budget-calls", "100")
    assert resumed.exit_code == 0, resumed.stderr
    pd.testing.assert_frame_equal(table("short"), table("whole"))
    source = FolderSource(read_recorded_run(Path("short")))
    assert list(source.play())[-1].payoffs in {(3, 3), (0, 9), (9, 0), (1, 1)}
    shown = invoke("run", *RING, *game, *LIVE, "--show-prompt").stdout
    assert "+9 points" in shown
    assert "1. You chose cooperate, the other player chose cooperate: +3 points" in shown
    assert PrisonersDilemma(temptation=9).rules() in shown


@pytest.mark.slow
@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("game", [GROUPS, ("--game", "battle_of_the_sexes")])
def test_a_forecast_says_that_no_mind_was_recorded_in_the_game(game: tuple[str, ...]) -> None:
    said = invoke("run", *RING, *game, *LIVE, "--forecast")
    assert said.exit_code == 0, said.stderr
    assert "make every move equally often" in said.stdout
    assert printed("run", *RING, *game, *LIVE, "--forecast")["interactions"]["expected"] == 18


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("--game", "stag_hunt"), "there is no game 'stag_hunt'. Choose one of prisoners_dil"),
        (("--game", "my_games:Mine"), "a game of your own is played from Python"),
        (("--game", "anti_coordination(colours=RG)"), "has no place for 'colours'. It takes col"),
        (("--game", "public_goods", "--memory", "3"), "Leave it out; PublicGoods says what is"),
        (("--game", "public_goods", "--mind", "claude-3.5-sonnet"), "uniform"),
        (("--game", "prisoners_dilemma", "--pairing", "neighborhood"), "groups of any size"),
    ],
)
def test_what_is_no_game_or_does_not_fit_it_is_refused(typed: tuple[str, ...], said: str) -> None:
    assert said in refused("run", *RING, *typed)


@pytest.mark.parametrize("command", ["tip", "audit", "app"])
def test_what_is_worked_out_for_the_naming_game_takes_no_other(command: str) -> None:
    result = invoke(command, "--game", "prisoners_dilemma")
    assert result.exit_code == 2
    assert "No such option: --game" in result.stderr
