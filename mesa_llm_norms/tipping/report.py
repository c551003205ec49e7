"""What ``tip`` and ``compare_interventions`` found, in words, as files, and as one HTML page."""

from __future__ import annotations

import base64
import html
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from mesa_llm_norms.plots import save_figure
from mesa_llm_norms.plots.tipping import plot_interventions, plot_tipping
from mesa_llm_norms.recording import versions
from mesa_llm_norms.statistics import Estimate
from mesa_llm_norms.tipping.answer import Tipping, TippingPoint
from mesa_llm_norms.tipping.comparison import Comparison

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em;
color: #222 }} table {{ border-collapse: collapse; font-size: 14px }} img {{ max-width: 100% }}
th, td {{ text-align: left; padding: .2em .8em .2em 0; border-bottom: 1px solid #ddd }}
</style></head><body>
<h1>{title}</h1>
{body}
<p>{footer}</p>
</body></html>
"""
_READING = (
    "Critical mass: the number of committed agents at which half of the runs flip, by a logistic"
    " curve. Surely: without a curve, by an exact interval at each number. Stays: runs with nobody"
    " committed in which the convention is played most at the end. Lasts: flipped runs in which the"
    " flip is still there after the committed have left. All bounds are 95% unless another level"
    " was asked for. Recorded minds were fitted to complete graphs of 24 agents without anybody"
    " committed: what they do here is a prediction."
)


def sentence(point: TippingPoint) -> str:
    """Return the answer to one question in words."""
    mass, agents = point.curve.critical_mass, point.question.agents
    incumbent, challenger = point.question.direction
    rounds = point.question.legs.rounds
    who = f"{incumbent} is overturned by {challenger} within {rounds} rounds in half of the runs"
    if math.isinf(mass.value):
        words = (
            f"{who} by none of the numbers tried (up to {point.doses[-1].committed} of {agents})."
        )
    elif mass.value == 0:
        words = f"{who} though nobody is committed."
    else:
        share = percentages(point.critical_share)
        words = f"{who} by {_between(mass)} of {agents} agents ({share})."
    lasting = point.lasting
    if lasting.trials:
        words += (
            f" After the committed have left, it lasts in {lasting.estimate.value:.0%} of"
            f" {lasting.trials} flipped runs."
        )
    return words


def percentages(share: Estimate) -> str:
    """Return a share with its bounds as percentages."""
    return f"{share.value:.1%}, {share.low:.1%} to {share.high:.1%}"


def tipping_object(found: Tipping) -> dict[str, Any]:
    """Return everything but the single runs as plain data, for JSON."""
    return {
        "seed": found.seed,
        "conditions": _records(found.table.to_dict(orient="records")),
        "doses": _records(found.doses.to_dict(orient="records")),
        "sentences": [sentence(point) for point in found.points],
    }


def comparison_object(found: Comparison) -> dict[str, Any]:
    """Return everything but the single runs as plain data, for JSON."""
    return {
        "goal": found.goal,
        "convention": found.convention,
        "alternative": found.alternative,
        "cheapest": found.cheapest,
        "sentence": found.sentence,
        "interventions": _records(found.table.to_dict(orient="records")),
    }


def write_tipping(found: Tipping, folder: Path) -> None:
    """Write ``report.html``, ``tipping.json``, ``doses.csv``, ``runs.parquet`` and the figure."""
    figure = plot_tipping(found)
    _write(folder, "tipping", tipping_object(found), figure)
    found.doses.to_csv(folder / "doses.csv", index=False, float_format="%.6g")
    found.runs.to_parquet(folder / "runs.parquet", index=False)
    answers = "".join(f"<li>{html.escape(sentence(point))}</li>" for point in found.points)
    body = (
        f"<ul>{answers}</ul>"
        + _image(folder / "tipping.png", "Flip probability by share committed, and critical shares")
        + f"<p>{_READING}</p><h2>Conditions</h2>"
        + _table(_records(found.table.to_dict(orient="records")))
        + "<h2>By number committed</h2>"
        + _table(_records(found.doses.to_dict(orient="records")))
    )
    _page(folder, "Tipping points", body, f"Seed {found.seed}.")


def write_comparison(found: Comparison, folder: Path) -> None:
    """Write ``report.html``, ``interventions.json``, ``.csv``, ``runs.parquet`` and the figure."""
    _write(folder, "interventions", comparison_object(found), plot_interventions(found))
    found.table.to_csv(folder / "interventions.csv", index=False, float_format="%.6g")
    found.runs.to_parquet(folder / "runs.parquet", index=False)
    body = (
        f"<p>{html.escape(found.sentence)}</p>"
        + _image(folder / "interventions.png", "How often each intervention works")
        + _table(_records(found.table.to_dict(orient="records")))
    )
    _page(folder, f"What would {found.goal} {found.convention}?", body, "")


def _write(folder: Path, name: str, content: Mapping[str, Any], figure: Figure) -> None:
    text = json.dumps({**content, "versions": versions()}, indent=2, ensure_ascii=False)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    save_figure(figure, folder / name)


def _page(folder: Path, title: str, body: str, footer: str) -> None:
    page = _PAGE.format(title=html.escape(title), body=body, footer=html.escape(footer))
    (folder / "report.html").write_text(page, encoding="utf-8")


def _image(path: Path, words: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return f'<p><img alt="{html.escape(words)}" src="data:image/png;base64,{data}"></p>'


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    head = "".join(f"<th>{html.escape(column.replace('_', ' '))}</th>" for column in rows[0])
    lines = ("".join(f"<td>{_cell(value)}</td>" for value in row.values()) for row in rows)
    return f"<table><tr>{head}</tr>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _cell(value: Any) -> str:
    if value is None:
        return "none"
    return html.escape(f"{value:.4g}" if isinstance(value, float) else str(value))


def _records(rows: Sequence[Mapping[Any, Any]]) -> list[dict[str, Any]]:
    """Return rows as JSON has them: what is infinite or no number becomes None."""
    return [
        {
            str(key): None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in row.items()
        }
        for row in rows
    ]


def _between(mass: Estimate) -> str:
    return f"{mass.value:.2f} ({mass.low:.2f} to {mass.high:.2f})"
