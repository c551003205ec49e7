"""What ``tip`` and ``compare_interventions`` found as files: a page, tables, a figure, JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from mesa_llm_norms.plots import save_figure
from mesa_llm_norms.plots.tipping import plot_interventions, plot_tipping
from mesa_llm_norms.recording import versions
from mesa_llm_norms.tipping.answer import Tipping
from mesa_llm_norms.tipping.comparison import Comparison
from mesa_llm_norms.tipping.page import comparison_page, tipping_page
from mesa_llm_norms.tipping.words import sentences


def tipping_object(found: Tipping) -> dict[str, Any]:
    """Return everything but the single runs as plain data, for JSON."""
    return {
        "seed": found.seed,
        "conditions": _records(found.table.to_dict(orient="records")),
        "doses": _records(found.doses.to_dict(orient="records")),
        "sentences": sentences(found),
        "usage": None if found.usage is None else found.usage._asdict(),
    }


def comparison_object(found: Comparison) -> dict[str, Any]:
    """Return everything but the single runs as plain data, for JSON."""
    return {
        "goal": found.goal,
        "convention": found.convention,
        "alternative": found.alternative,
        "cheapest": found.cheapest,
        "sentence": found.sentence,
        "seed": found.seed,
        "usage": None if found.usage is None else found.usage._asdict(),
        "interventions": _records(found.table.to_dict(orient="records")),
    }


def write_tipping(found: Tipping, folder: Path) -> None:
    """Write ``report.html``, ``tipping.json``, ``doses.csv``, ``runs.parquet`` and the figure."""
    svg = _write(folder, "tipping", tipping_object(found), plot_tipping(found))
    found.doses.to_csv(folder / "doses.csv", index=False, float_format="%.6g")
    found.runs.to_parquet(folder / "runs.parquet", index=False)
    (folder / "report.html").write_text(tipping_page(found, svg), encoding="utf-8")


def write_comparison(found: Comparison, folder: Path) -> None:
    """Write ``report.html``, ``interventions.json``, ``.csv``, ``runs.parquet`` and the figure."""
    svg = _write(folder, "interventions", comparison_object(found), plot_interventions(found))
    found.table.to_csv(folder / "interventions.csv", index=False, float_format="%.6g")
    found.runs.to_parquet(folder / "runs.parquet", index=False)
    (folder / "report.html").write_text(comparison_page(found, svg), encoding="utf-8")


def _write(folder: Path, name: str, content: Mapping[str, Any], figure: Figure) -> bytes:
    """Write the numbers and the figure; return the latter as SVG."""
    text = json.dumps({**content, "versions": versions()}, indent=2, ensure_ascii=False)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    _, svg = save_figure(figure, folder / name)
    return svg.read_bytes()


def _records(rows: Sequence[Mapping[Any, Any]]) -> list[dict[str, Any]]:
    """Return rows as JSON has them: what is infinite or no number becomes None."""
    return [
        {
            str(key): None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in row.items()
        }
        for row in rows
    ]
