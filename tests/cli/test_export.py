"""``export`` as typed."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import invoke, refused


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_run_and_a_scene_are_written_once() -> None:
    said = invoke("export", "pages/run.html", "--names", "QM", "--seed", "7").stdout
    assert said.startswith("Written to pages/run.html, ")
    assert "names Q, M, seed 7" in Path("pages/run.html").read_text(encoding="utf-8")
    assert "--force" in refused("export", "pages/run.html")
    invoke("export", "pages/run.html", "--scene", "the-committed-few", "--force")
    assert "<title>The committed few</title>" in Path("pages/run.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["run.txt"], "ends in .html"),
        (["run.html", "--scene", "hub"], "did you mean 'hubs'?"),
        (["run.html", "--scene", "hubs", "--names", "QM"], "says itself what is played"),
        (["run.html", "--scene", "hubs", "--rounds", "3"], "Leave out --rounds"),
        (["run.html", "--scene", "hubs", "--until", "flipped"], "Leave out --until"),
        (["run.html", "--scene", "hubs", "--window", "3"], "says itself what is played"),
        (["run.html", "--scene", "hubs", "--threshold", "1"], "says itself what is played"),
        (["run.html", "--scene", "hubs", "--clean"], "says itself what is played"),
        (["run.html", "--until", "never"], "not a valid stopping rule"),
        (["run.html", "--until", "flipped"], "nobody is committed"),
        (["run.html", "--until", "none"], "nothing says when to stop"),
        (["run.html", "--mind", "claude:claude-haiku-5-5"], "asked each time"),
    ],
)
def test_what_cannot_be_exported_is_refused(typed: list[str], said: str) -> None:
    assert said in refused("export", *typed)
