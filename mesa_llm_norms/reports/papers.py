"""The report of a paper that was played again: a page, a figure, and tables as CSV and JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mesa_llm_norms.core.files import write_csv
from mesa_llm_norms.core.formatting import count, estimate, json_text
from mesa_llm_norms.reports.reproduction import write_page
from mesa_llm_norms.reproduction.papers.paper import (
    AGREES,
    CONTRARY,
    DIFFERS,
    UNDECIDED,
    Finding,
    Paper,
    Result,
)

_PLURAL = {
    AGREES: "agree",
    DIFFERS: "differ",
    CONTRARY: "come out contrary",
    UNDECIDED: "stay undecided",
}


def write_paper(paper: Paper, command: str, found: Result, folder: Path) -> None:
    """Write the findings as JSON, and the numbers behind the figure as CSV."""
    text = json_text(paper_object(paper, command, found), indent=1)
    (folder / f"{paper.name}.json").write_text(text + "\n", encoding="utf-8")
    write_csv(found.table, folder / f"{paper.name}.csv")


def paper_object(paper: Paper, command: str, found: Result) -> dict[str, object]:
    """Return what was found as plain data, for JSON."""
    return {
        "paper": paper.name,
        "source": paper.source,
        "command": command,
        "summary": summary(found.findings),
        "findings": [one.as_object() for one in found.findings],
        "notes": list(found.notes),
    }


def draw_paper(paper: Paper, command: str, found: Result, folder: Path) -> None:
    """Write the page and the figure of a paper."""
    from mesa_llm_norms.plots.panels import draw_panels
    from mesa_llm_norms.plots.style import save_figure

    context = {
        "paper": paper,
        "command": command,
        "summary": summary(found.findings),
        "rows": [cells(one) for one in found.findings],
        "notes": found.notes,
    }
    write_page("paper.md", folder / f"{paper.name}.md", context)
    save_figure(draw_panels(found.panels), folder / paper.name)


def summary(findings: Sequence[Finding]) -> str:
    """Return in a sentence how many statements hold."""
    verdicts = Counter(one.verdict for one in findings if one.verdict)
    said = ", ".join(f"{number} {_PLURAL[verdict]}" for verdict, number in verdicts.most_common())
    return f"Of {sum(verdicts.values())} statements, compared with what comes out here, {said}."


def cells(one: Finding) -> tuple[str, ...]:
    """Return a finding as a row of a table: mind, what, published, here, runs, verdict, test."""
    verdict = one.verdict if one.verdict in ("", AGREES) else f"**{one.verdict}**"
    runs = count(one.runs) if one.runs else "exact"
    return (one.mind, one.what, published_text(one), here_text(one), runs, verdict, one.test)


def here_text(one: Finding) -> str:
    """Return the number measured here with its interval."""
    return estimate(one.here, _form(one.here.value))


def published_text(one: Finding) -> str:
    """Return what a paper states: a number, or words that are marked as words."""
    if one.published is None:
        return ""
    if isinstance(one.published, str):
        return f"words: {one.published}"
    return format(one.published, _form(one.published))


def _form(value: float) -> str:
    size = abs(value)
    if size > 1 and float(value).is_integer():
        return ",.0f"
    return ".3f" if size < 1 else ".2f" if size < 10 else ".1f" if size < 100 else ",.0f"
