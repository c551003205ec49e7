"""``mesa-llm-norms reproduce --paper NAME`` and ``--list``: papers played again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.text import Text

from mesa_llm_norms.cli import output
from mesa_llm_norms.cli.live import announce, check_budget
from mesa_llm_norms.cli.options import LiveOptions
from mesa_llm_norms.core.files import check_folder
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.minds.registry import load_mind

if TYPE_CHECKING:
    from mesa_llm_norms.llm.settings import LLMSettings
    from mesa_llm_norms.reproduction.papers.paper import Finding, Result


class Request(NamedTuple):
    """What was typed of a paper."""

    paper: str
    minds: tuple[str, ...]
    quick: bool
    data: Path | None
    seed: int
    workers: int
    out: Path | None
    as_json: bool

    @property
    def command(self) -> str:
        """The command that plays the same again."""
        minds = [f"--mind {shlex.quote(mind)}" for mind in self.minds]
        data = "" if self.data is None else f"--data {shlex.quote(self.data.name)}"
        parts = [f"--paper {self.paper}", *minds, data, "--quick" if self.quick else ""]
        return " ".join(["mesa-llm-norms reproduce", *filter(None, parts), f"--seed {self.seed}"])


def list_papers(as_json: bool) -> None:
    """Print the papers that can be played: name, what is played, and how long that takes."""
    from mesa_llm_norms.reproduction.papers.catalog import PAPERS

    if as_json:
        output.print_json(
            [
                {"paper": it.name, "line": it.line, "time": it.time, "source": it.source}
                for it in PAPERS.values()
            ]
        )
        return
    rows = [(it.name, it.line, it.time) for it in PAPERS.values()]
    output.print_table(("paper", "what is played", "time"), rows, prose=1)


def play_paper(typed: Request, live: LiveOptions) -> None:
    """Play a paper, write what there is to write, and print the table."""
    from mesa_llm_norms.reports import reproduction as reports
    from mesa_llm_norms.reproduction.papers.catalog import read_paper, reproduce_paper

    paper = read_paper(typed.paper)
    minds, llm = list[Any](typed.minds), None
    if paper.live:
        minds, llm = _ready(typed, minds or list(paper.minds), live)
    elif typed.out is not None:
        check_folder(typed.out)
    with output.progress("playing") as report:
        found = reproduce_paper(
            paper.name,
            minds or None,
            typed.quick,
            typed.data,
            typed.seed,
            typed.workers,
            report,
            llm,
        )

    def show() -> None:
        if typed.as_json:
            output.print_json(reports.paper_object(paper, typed.command, found))
            return
        _print_findings(found)
        if typed.out is not None:
            output.list_folder(typed.out)

    output.finish(
        typed.out,
        partial(reports.write_paper, paper, typed.command, found),
        partial(reports.draw_paper, paper, typed.command, found),
        show,
        live=paper.live,
    )


def _ready(
    typed: Request, labels: Sequence[str], live: LiveOptions
) -> tuple[list[Any], LLMSettings]:
    """Return live minds and how to call them, within a budget and on record in the folder."""
    from mesa_llm_norms.reproduction.protocol import JOURNALS

    read = live.mind_reader()
    minds, llm = [read(label) for label in labels], live.calls()
    check_budget(llm, [load_mind(mind) for mind in minds])
    if typed.out is not None:
        if not (typed.out / JOURNALS).is_dir():
            check_folder(typed.out)
            typed.out.mkdir(parents=True, exist_ok=True)
        llm = replace(llm, folder=typed.out / JOURNALS, resume=True)
    announce([load_mind(mind) for mind in minds], llm)
    return minds, llm


def _print_findings(found: Result) -> None:
    from mesa_llm_norms.reports.reproduction import finding_text, here_text, paper_summary

    groups: dict[str, list[tuple[str | Text, ...]]] = {}
    for one in found.findings:
        cells = (one.what, finding_text(one), here_text(one), _verdict(one))
        groups.setdefault(one.mind, []).append(cells)
    for mind, rows in groups.items():
        output.say(output.one_line(mind), "bold")
        output.print_table(("", "published", "here (95%)", ""), rows)
    output.say(f"\n{paper_summary(found.findings)}")
    for note in found.notes:
        output.say(note)


def _verdict(one: Finding) -> str | Text:
    return one.verdict if one.verdict in ("", "agrees") else Text(one.verdict, "bold red")


def refuse_unused(paper: str, given: dict[str, object]) -> None:
    """Raise ``SpecError`` for an option that a paper, or the scorecard, has no use for."""
    command = paper if paper.startswith("--") else f"--paper {paper}"
    for option, value in given.items():
        if value is not None and value is not False:
            problem = f"{command} has no use for --{option.replace('_', '-')}"
            raise SpecError(option, str(value), problem, "Leave it out.")
