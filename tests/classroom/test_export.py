"""What leaves the classroom: every choice, and nothing that says who somebody is."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

from mesa_llm_norms.classroom.classroom import SHOWING, Classroom
from mesa_llm_norms.classroom.export import export
from mesa_llm_norms.web.replay import read_recorded_run


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def a_lesson() -> Classroom:
    """Return a class of three that voted and played four rounds; the third never answers."""
    clock = Clock()
    classroom = Classroom(clock)
    classroom.open()
    for _ in range(3):
        classroom.join(classroom.code)
    classroom.ask("Which name wins?", ["Q", "M"])
    classroom.cast(1, 1, 1)
    classroom.close_vote()
    classroom.start("complete(n=6)", rounds=4, seconds=3)
    while classroom.phase != "over":
        for number in (1, 2):
            interaction = classroom.view(number)["i"]
            if interaction is not None:
                classroom.choose(number, interaction, number - 1)
        classroom.hear(3)
        clock.now += max(SHOWING, 3)
        classroom.tick()
    return classroom


def read(archive: zipfile.ZipFile, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(archive.read(name).decode())))


def test_the_export_has_every_choice_and_a_run_that_is_shown_again(tmp_path: Path) -> None:
    classroom = a_lesson()
    assert classroom.game is not None
    with zipfile.ZipFile(io.BytesIO(export(classroom))) as archive:
        rows = read(archive, "interactions.csv")
        assert len(rows) == len(classroom.game.rows) == 12
        by = [row[f"by_{seat}"] for row in rows for seat in "ab"]
        assert by.count("person") == 8
        assert by.count("late") == 2
        assert by.count("idle") == 2
        first = {row[f"name_{s}"] for row in rows for s in "ab" if row[f"student_{s}"] == "1"}
        assert first == {"Q"}
        seats = read(archive, "seats.csv")
        assert [seat["label"] for seat in seats] == ["blue otter", "orange fox", "green owl"]
        (vote,) = read(archive, "votes.csv")
        assert vote["answer"] == "M"
        archive.extractall(tmp_path)
    recorded = read_recorded_run(tmp_path / "replay")
    assert list(recorded.rows) == classroom.game.rows


def test_before_anything_was_played_the_export_has_no_run() -> None:
    with zipfile.ZipFile(io.BytesIO(export(Classroom()))) as archive:
        assert archive.namelist() == ["seats.csv", "votes.csv"]


def test_no_secret_is_exported() -> None:
    classroom = a_lesson()
    secrets = [classroom.code, *(it.token for it in classroom.students.values())]
    with zipfile.ZipFile(io.BytesIO(export(classroom))) as archive:
        everything = b"".join(archive.read(name) for name in archive.namelist()).decode("latin-1")
    assert not [one for one in secrets if one in everything]
