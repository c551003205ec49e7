"""Reports in Markdown: the study and papers reproduced, and recorded minds validated.

Both say first what does not match. Their texts are ``templates/reproduction.md`` and
``templates/validation.md``; a table of CSV or JSON and figures lie beside each page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment

from mesa_llm_norms.core.files import write_csv
from mesa_llm_norms.core.formatting import count, estimate, json_text, p_number
from mesa_llm_norms.reports import environment
from mesa_llm_norms.reproduction import recorded as sources
from mesa_llm_norms.reproduction.observed import People
from mesa_llm_norms.reproduction.papers.paper import (
    AGREES,
    CONTRARY,
    DIFFERS,
    UNDECIDED,
    Finding,
    Paper,
    Result,
)
from mesa_llm_norms.reproduction.people import groups, networks
from mesa_llm_norms.reproduction.protocol import CLASSICAL, CLASSICAL_RUNS, SIZE, Played
from mesa_llm_norms.reproduction.results import (
    CRITICAL,
    EMERGENCE,
    WHO_WINS,
    Reproduction,
    sizes,
    summary_of_masses,
)
from mesa_llm_norms.reproduction.rows import (
    LEVEL,
    Judged,
    escape_cell,
    estimate_text,
    mismatches,
    number,
    published_text,
)
from mesa_llm_norms.study.validate import Validated, summary

SURE = 0.01
"""Below this p-value a test of the validation counts as a mismatch."""

FIGURES = {
    EMERGENCE: ("success", "Success rate by round, ten names"),
    WHO_WINS: ("winners", "Who wins, recorded and here"),
    CRITICAL: ("critical", "Runs that flip by committed share"),
}
"""The figure of a part: the end of its file name, and what it shows."""

Cells = tuple[str, ...]


def write_reproduction(found: Reproduction, folder: Path) -> None:
    """Write ``reproduction.json`` into a folder."""
    text = json_text(found.as_object(), indent=1)
    (folder / "reproduction.json").write_text(text + "\n", encoding="utf-8")


def draw_reproduction(found: Reproduction, folder: Path) -> None:
    """Write ``reproduction.md`` and the figures as PNG and SVG."""
    from mesa_llm_norms.plots import comparisons
    from mesa_llm_norms.plots.style import save_figure

    write_page("reproduction.md", folder / "reproduction.md", _reproduction_context(found))
    if found.people is not None:
        for figure, ending in (
            (comparisons.groups_figure, "groups"),
            (comparisons.survival_figure, "survival"),
            (comparisons.networks_figure, "networks"),
        ):
            made = figure(found.played, found.people)
            save_figure(made, folder / f"reproduction-people-{ending}")
        return
    success = comparisons.success_figure(found.played, found.recorded, found.against)
    save_figure(success, folder / "reproduction-success")
    save_figure(comparisons.winners_figure(found.judged), folder / "reproduction-winners")
    save_figure(comparisons.critical_figure(found.played), folder / "reproduction-critical")


def write_validation(found: Sequence[Validated], folder: Path) -> None:
    """Write the tables of a validation as CSV."""
    write_csv(summary(found), folder / "conditions.csv")
    calibration = {str(one.condition): one.calibration for one in found}
    drifts = [one.drift.inverse_temperatures for one in found]
    for table, name, form in (
        (pd.concat(calibration, names=["condition"]), "calibration.csv", "%.6g"),
        (pd.DataFrame(pd.concat(drifts)), "inverse_temperatures.csv", "%.4g"),
    ):
        write_csv(table, folder / name, index=True, form=form)


def draw_validation(found: Sequence[Validated], folder: Path, *, runs: int, seed: int) -> None:
    """Write ``validation.md``, ``validation.png`` and ``validation.svg``.

    ``runs`` and ``seed`` are those of the simulated populations.
    """
    from mesa_llm_norms.plots.comparisons import validation_figure
    from mesa_llm_norms.plots.style import save_figure

    context = {
        "runs": runs,
        "seed": seed,
        "mismatches": _validation_mismatches(found),
        "populations": [_population_cells(one) for one in found],
        "decisions": [
            (
                *_condition_cells(one),
                count(one.decisions),
                f"{one.log_loss:.4f}",
                f"{one.calibration_error:.4f}",
            )
            for one in found
        ],
        "drift": [_drift_cells(one) for one in found],
    }
    write_page("validation.md", folder / "validation.md", context)
    save_figure(validation_figure(found), folder / "validation")


def write_page(template: str, path: Path, context: Mapping[str, Any]) -> None:
    """Write a page of Markdown from a template."""
    text = _markdown().get_template(template).render(context)
    path.write_text(text.strip() + "\n", encoding="utf-8")


@cache
def _markdown() -> Environment:
    """Return the environment of Markdown templates, where tables escape their cells."""
    made = environment().overlay(autoescape=False)
    made.filters = {**made.filters, "cell": escape_cell}
    made.globals = {**made.globals, "table": _table}
    return made


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    every = (header, ["---"] * len(header), *rows)
    return "\n".join("| " + " | ".join(map(escape_cell, row)) + " |" for row in every)


def _reproduction_context(found: Reproduction) -> dict[str, Any]:
    parts: dict[str, list[Cells]] = {}
    for one in found.judged:
        parts.setdefault(one.row.part, []).append(_result_cells(one))
    return {
        "found": found,
        "mismatches": mismatches(found.judged),
        "level": f"{LEVEL:g}",
        "sources": sources,
        **(_people_context(found.played, found.people) if found.people is not None else {}),
        "parts": parts,
        "figures": {} if found.people else FIGURES,
        "by_model": mass_rows(found.played),
        "larger": _size_rows(found.played),
        "size": SIZE,
        "classical": any(one.row.mind == CLASSICAL for one in found.judged),
        "classical_runs": CLASSICAL_RUNS,
    }


def _result_cells(one: Judged) -> Cells:
    row = one.row
    return (
        row.mind,
        row.title,
        published_text(row.published),
        estimate_text(row.recorded),
        count(row.recorded_size) if row.recorded is not None else "",
        estimate_text(row.here),
        count(row.here_size) if row.here_size else "exact",
        p_number(row.p_value),
        p_number(one.corrected),
        one.verdict if one.within else f"**{one.verdict}**",
        row.test,
    )


def mass_rows(played: Sequence[Played]) -> list[Cells]:
    """Return the critical mass of each mind and direction, unless one count alone was tried."""
    found: list[Cells] = []
    for row in summary_of_masses(played).to_dict(orient="records"):
        tried = row["tried"]
        if len(tried) > 1:
            low, high = _mass_text(row["low"], tried), _mass_text(row["high"], tried)
            found.append(
                (
                    row["mind"],
                    row["direction"],
                    str(row["agents"]),
                    ", ".join(map(str, tried)),
                    _mass_text(row["here"], tried),
                    low if pd.isna(row["low"]) else f"{low} to {high}",
                    "" if pd.isna(row["here"]) else number(row["here"] / row["agents"]),
                )
            )
    return found


def _mass_text(mass: float | None, tried: Sequence[int]) -> str:
    return f"more than {tried[-1]}" if pd.isna(mass) else f"{mass:.0f}"


def _people_context(played: Sequence[Played], people: People) -> dict[str, Any]:
    """Return what the page of people says besides the tests."""
    by_group, by_network = groups(played, people), networks(played, people)
    sides = by_group.groupby(["mind", "direction"]) if len(by_group) else ()
    return {
        "people_groups": people.groups,
        "people_networks": [
            (
                one.label,
                str(len(one.leading)),
                str(one.names),
                one.leader,
                number(float(np.mean(one.leading[-3:]))),
                _round(one.half),
                number(one.missing[0]),
                number(float(np.mean(one.missing))),
                f"{one.reported_leader}, {number(one.reported[-1])}" if one.reported else "",
            )
            for one in people.networks
        ],
        "sides": [
            (
                *map(str, side),
                f"{rows['time_within'].sum()} of {len(rows)}",
                f"{rows['curve_within'].sum()} of {len(rows)}",
                number(float(rows["distance"].mean())),
            )
            for side, rows in sides
        ],
        "groups": [_group_cells(row) for row in by_group.to_dict(orient="records")],
        "networks": [_network_cells(row) for row in by_network.to_dict(orient="records")],
    }


def _group_cells(row: Mapping[Any, Any]) -> Cells:
    return (
        row["mind"],
        row["direction"],
        f"{row['group']}: {row['committed']} of {row['agents']}, {row['rounds']} rounds",
        _round(row["people"]),
        f"{_round(row['median'])} ({_round(row['early'])} to {_round(row['late'])})",
        number(row["overturned"]),
        _within(row["time_within"], row["time_p"]),
        number(row["distance"]),
        _within(row["curve_within"], row["curve_p"]),
    )


def _network_cells(row: Mapping[Any, Any]) -> Cells:
    return (
        row["network"],
        row["pool"],
        row["mind"],
        number(row["people"]),
        estimate((row["middle"], row["low"], row["high"])),
        _round(row["people_half"]),
        _round(row["half"]),
        number(row["distance"]),
        _within(row["within"], row["p"]),
    )


def _round(at: float | None) -> str:
    return "never" if at is None or pd.isna(at) else f"{at:.0f}"


def _within(within: bool, p: float) -> str:
    return f"yes ({p_number(p)})" if within else f"**no** ({p_number(p)})"


def _size_rows(played: Sequence[Played]) -> list[Cells]:
    """Return the outcomes of populations larger than any recorded."""
    return [
        (
            row["mind"],
            str(row["names"]),
            str(row["runs"]),
            number(row["agree"]),
            "" if pd.isna(row["rounds"]) else f"{row['rounds']:.0f}",
            row["leader"],
            number(row["leader_share"]),
        )
        for row in sizes(played).to_dict(orient="records")
    ]


def _validation_mismatches(found: Sequence[Validated]) -> list[str]:
    lines = []
    for one in found:
        name = "**{}, {}**".format(*_condition_cells(one))
        if one.time_p_value < SURE:
            lines.append(
                f"- {name}: the median is {one.simulated.interactions.median():.0f} interactions"
                f" where {one.recorded.interactions.median():.0f} were recorded"
                f" (p {p_number(one.time_p_value)}, {len(one.recorded.interactions)} recorded"
                " runs)."
            )
        if one.winners_p_value < SURE:
            lines.append(f"- {name}: other names win (p {p_number(one.winners_p_value)}).")
        if one.drift.p_value < SURE:
            lines.append(
                f"- {name}: the recorded runs do not follow one policy (spread"
                f" {one.drift.spread:.2f}, p {p_number(one.drift.p_value)})."
            )
    return lines


def _condition_cells(one: Validated) -> Cells:
    return one.condition.model, one.condition.names


def _population_cells(one: Validated) -> Cells:
    row = summary([one]).iloc[0]
    return (
        *_condition_cells(one),
        str(row["runs"]),
        f"{row['median_recorded']:.0f}",
        f"{row['median_simulated']:.0f}",
        p_number(row["time_p"]),
        row["winner"],
        f"{row['share_recorded']:.2f}",
        f"{row['share_simulated']:.2f}",
        p_number(row["winners_p"]),
    )


def _drift_cells(one: Validated) -> Cells:
    drift = one.drift
    return (
        *_condition_cells(one),
        f"{drift.mean:.2f}",
        f"{drift.spread:.2f}",
        p_number(drift.p_value),
        f"{drift.inverse_temperatures.min():.2f}",
        f"{drift.inverse_temperatures.max():.2f}",
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
        "summary": paper_summary(found.findings),
        "findings": [one.as_object() for one in found.findings],
        "notes": list(found.notes),
    }


def draw_paper(paper: Paper, command: str, found: Result, folder: Path) -> None:
    """Write the page and the figure of a paper."""
    from mesa_llm_norms.plots.comparisons import draw_panels
    from mesa_llm_norms.plots.style import save_figure

    context = {
        "paper": paper,
        "command": command,
        "summary": paper_summary(found.findings),
        "rows": [cells(one) for one in found.findings],
        "notes": found.notes,
    }
    write_page("paper.md", folder / f"{paper.name}.md", context)
    save_figure(draw_panels(found.panels), folder / paper.name)


def paper_summary(findings: Sequence[Finding]) -> str:
    """Return in a sentence how many statements hold."""
    verdicts = Counter(one.verdict for one in findings if one.verdict)
    said = ", ".join(f"{number} {_PLURAL[verdict]}" for verdict, number in verdicts.most_common())
    return f"Of {sum(verdicts.values())} statements, compared with what comes out here, {said}."


def cells(one: Finding) -> tuple[str, ...]:
    """Return a finding as a row of a table: mind, what, published, here, runs, verdict, test."""
    verdict = one.verdict if one.verdict in ("", AGREES) else f"**{one.verdict}**"
    runs = count(one.runs) if one.runs else "exact"
    return (one.mind, one.what, finding_text(one), here_text(one), runs, verdict, one.test)


def here_text(one: Finding) -> str:
    """Return the number measured here with its interval."""
    return estimate(one.here, _form(one.here.value))


def finding_text(one: Finding) -> str:
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
