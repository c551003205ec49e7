"""``scenes`` as typed."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import invoke, printed, refused

from mesa_llm_norms.web.scenes import read_scenes


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_scenes_are_listed() -> None:
    text = invoke("scenes").stdout
    assert all(key in text for key in read_scenes())
    assert [one["scene"] for one in printed("scenes")] == list(read_scenes())


def test_handouts_are_written_and_not_overwritten() -> None:
    said = invoke("scenes", "handout", "whose-name-wins", "-o", "paper").stdout
    assert "Written to paper" in said
    assert sorted(path.name for path in Path("paper").iterdir()) == [
        "whose-name-wins-teacher.html",
        "whose-name-wins.html",
    ]
    assert "--force" in refused("scenes", "handout", "whose-name-wins", "-o", "paper")
    invoke("scenes", "handout", "whose-name-wins", "-o", "paper", "--force")


def test_what_is_said_before_the_command_counts_for_it() -> None:
    invoke("scenes", "--language", "de", "handout", "hubs")
    assert 'lang="de"' in Path("handouts", "hubs.html").read_text(encoding="utf-8")
    both = refused("scenes", "--language", "de", "handout", "hubs", "--language", "latin")
    assert "latin" in both
    assert "no such folder" in refused("scenes", "--scenes", "nowhere", "handout", "hubs")
    assert "--json" in refused("scenes", "--json", "handout", "hubs")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ((), "no scene is given"),
        (("hubs", "--all"), "exclude each other"),
        (("hub",), "did you mean 'hubs'"),
        (("hubs", "--scenes", "nowhere"), "there is no such folder"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(
    typed: tuple[str, ...], said: str
) -> None:
    assert said in refused("scenes", "handout", *typed)
    assert not Path("handouts").exists()
