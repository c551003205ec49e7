"""The lines of Python that a page gives make the very run that is on screen."""

from __future__ import annotations

import time
from typing import Any

import pytest

from mesa_llm_norms.web.model_source import ModelSource
from mesa_llm_norms.web.player import Player
from mesa_llm_norms.web.setting import Commitment, EdgeChange, Setting, program

SETTINGS = [
    Setting(names="QM", at=100),
    Setting(
        topology="lattice(rows=3, columns=4)",
        names="yes,no",
        mind=("claude-3.5-sonnet=0.5", "uniform=0.5"),
        pairing="matching",
        memory=3,
        reward=10,
        penalty=-1,
        incumbent="no",
        committed=("yes=2:hubs",),
        seed=9,
        edits=(Commitment(0, 3, "yes"), EdgeChange(17, 0, 5, True), EdgeChange(20, 0, 5, False)),
        at=33,
    ),
    Setting(edits=(Commitment(5, 1, "Q"), Commitment(5, 1, None), Commitment(900, 2, "Q")), at=50),
]


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_program_makes_the_run(setting: Setting, capsys: pytest.CaptureFixture[str]) -> None:
    code = program(setting, list(ModelSource(setting).graph))
    made: dict[str, Any] = {}
    exec(compile(code, "program", "exec"), made)
    expected = shown(setting)
    assert list(made["model"].names_held.values()) == expected
    assert made["model"].interactions == setting.at
    assert capsys.readouterr().out.strip() == str(made["model"].names_held)


def shown(setting: Setting) -> list[str | None]:
    player = Player(ModelSource, setting)
    player.start()
    try:
        while player.frame.interactions < setting.at or player.frame.state != "paused":
            assert not player.frame.error
            time.sleep(0.01)
        pool = player.frame.pool
        return [pool[ord(code) - 48] if code != " " else None for code in player.frame.codes]
    finally:
        player.close()


def test_what_is_as_usual_is_not_written() -> None:
    code = program(Setting(names="QM"), [])
    assert "pairing" not in code
    assert "play" not in code
