"""What a class did, as files: tables of its own, and a folder that the page shows again."""

from __future__ import annotations

import csv
import io
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from mesa_llm_norms.classroom.class_game import ClassGame, Turn
from mesa_llm_norms.classroom.classroom import Classroom
from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.simulation.results import write_run
from mesa_llm_norms.simulation.run_record import RunRecord, node_name

REPLAY = "replay"
"""The folder to open with ``mesa-llm-norms app --replay``."""

_INTERACTIONS = (
    *("round", "interaction", "node_a", "node_b", "by_a", "by_b", "student_a", "student_b"),
    *("name_a", "name_b", "payoff", "milliseconds_a", "milliseconds_b"),
)
_SEATS = ("student", "label", "node", "chosen", "points", "status")
_VOTES = ("vote", "question", "student", "answer")


def export(classroom: Classroom) -> bytes:
    """Return everything a class did as a ZIP archive, without anything else about who is in it.

    Parameters
    ----------
    classroom : Classroom
        The class.

    Returns
    -------
    bytes
        The archive. ``interactions.csv`` has a line for each interaction of the last game, with
        who chose: a ``person``, or a ``mind``, because the agent had no student or its student was
        ``away``, ``idle`` or ``late``. ``seats.csv`` has a line for each student, ``votes.csv`` for
        each answer to a question. The folder ``replay`` is there once a round was played.
    """
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as files:
        files.writestr("seats.csv", _table(_SEATS, _seats(classroom)))
        files.writestr("votes.csv", _table(_VOTES, _votes(classroom)))
        game = classroom.game
        if game is not None and game.rows:
            files.writestr(
                "interactions.csv", _table(_INTERACTIONS, _interactions(classroom, game))
            )
            with tempfile.TemporaryDirectory() as folder:
                write_replay(game, Path(folder), classroom.rounds)
                for path in sorted(Path(folder).iterdir()):
                    files.write(path, f"{REPLAY}/{path.name}")
    return archive.getvalue()


def write_replay(game: ClassGame, folder: Path, rounds: int) -> None:
    """Write a game as a run's folder.

    Parameters
    ----------
    game : ClassGame
        The game.
    folder : Path
        Where to write; it exists.
    rounds : int
        The most population rounds it would have had.
    """
    with closing(RunRecord(game.spec.initial_state(), folder)) as record:
        for row in game.rows:
            record.append(row)
        write_run(
            folder,
            game.spec,
            goal=Goal(None),
            most=rounds,
            rounds=game.lines,
            record=record,
            outcome=game.model.outcome,
        )


def _interactions(classroom: Classroom, game: ClassGame) -> Iterable[Sequence[Any]]:
    by_turn = {it.turn: it for it in classroom.played}
    for row in game.rows:
        a, b = (by_turn[Turn(row.interaction, seat)] for seat in (0, 1))
        yield (
            *(row.round, row.interaction, node_name(row.node_a), node_name(row.node_b)),
            *(a.by, b.by, a.student, b.student, row.name_a, row.name_b, row.payoff),
            *(a.milliseconds, b.milliseconds),
        )


def _seats(classroom: Classroom) -> Iterable[Sequence[Any]]:
    chosen = [it.student for it in classroom.played if it.by == "person"]
    nodes = classroom.game.nodes if classroom.game is not None else ()
    for student in classroom.students.values():
        node = "" if student.node is None else node_name(nodes[student.node])
        status = classroom.status(student)
        number = student.number
        yield number, student.label, node, chosen.count(number), student.points, status


def _votes(classroom: Classroom) -> Iterable[Sequence[Any]]:
    for vote in classroom.votes:
        if not vote.open:
            for student, answer in vote.ballots.items():
                yield vote.number, vote.question, student, vote.answers[answer]


def _table(columns: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(lines)
    return text.getvalue()
