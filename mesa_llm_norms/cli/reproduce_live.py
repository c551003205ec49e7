"""``reproduce`` with live minds: its forecast, and the protocol played within a budget."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mesa_llm_norms.cli import outcome, terminal
from mesa_llm_norms.cli.live_options import require_budget
from mesa_llm_norms.cli.parts_shown import print_parts
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.minds.live import Calls
from mesa_llm_norms.recording import check_folder, finished_folder
from mesa_llm_norms.reproduction import people as with_people
from mesa_llm_norms.reproduction.comparison import compare
from mesa_llm_norms.reproduction.live import JOURNALS, foresee, play_live
from mesa_llm_norms.reproduction.protocol import Experiment, Report, live_experiments
from mesa_llm_norms.reproduction.report import Reproduction, write_report
from mesa_llm_norms.reproduction.rows import judge

if TYPE_CHECKING:
    from mesa_llm_norms.reproduction.recorded import Recorded


def forecast_live(
    minds: Sequence[Any], runs: int, seed: int, calls: Calls, *, people: bool, as_json: bool
) -> None:
    """Print what everything will take, experiment by experiment and together, and play nothing."""
    with terminal.stderr().status("playing with recorded minds ..."):
        found = foresee(minds, _experiments(runs, people), seed, calls)
    print_parts(found, as_json)


def reproduce_live(
    minds: Sequence[Any],
    runs: int,
    seed: int,
    calls: Calls,
    recorded: Recorded,
    folder: Path | None,
    *,
    people: bool,
    report: Report,
) -> Reproduction:
    """Play the protocol live, write its folder, and return how it compares."""
    from mesa_llm_norms.forecast.stand_ins import nearest

    require_budget(calls, "the whole protocol")
    if folder is None:
        raise SpecError(
            "out", None, "live replies need a folder to be kept in", "Give --out FOLDER."
        )
    if not (folder / JOURNALS).is_dir():
        check_folder(folder)
        folder.mkdir(parents=True, exist_ok=True)
    played, used = play_live(minds, _experiments(runs, people), seed, calls, folder, report)
    against = {mind.label: nearest(mind.server.model).name for mind in minds}
    if people:
        rows = with_people.compare(played)
    else:
        rows = compare(played, {mind.label: mind for mind in minds}, recorded, against)
    told = ["mesa-llm-norms reproduce", *(["--people"] if people else [])]
    told += [f"--mind {mind.label}" for mind in minds]
    told += [f"--runs {runs} --seed {seed}"]
    found = Reproduction(" ".join(told), judge(rows), played, recorded, against, people)
    with finished_folder(folder) as inside:
        write_report(found, inside)
    said = outcome.used(used, 0, 0)
    if said is not None:
        terminal.complain("note", said)
    return found


def _experiments(runs: int, people: bool) -> list[Experiment]:
    return with_people.experiments(runs) if people else live_experiments(runs)
