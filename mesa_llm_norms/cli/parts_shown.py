"""What an experiment of many parts will take with live minds, part by part and together."""

from __future__ import annotations

import json
from collections.abc import Sequence

import typer
from rich.table import Table
from rich.text import Text

from mesa_llm_norms.cli import terminal
from mesa_llm_norms.forecast import Forecast, Part, together
from mesa_llm_norms.forecast.description import cost, count, duration, in_words


def print_parts(parts: Sequence[Part], as_json: bool) -> None:
    """Print the forecast of all parts, as a table or as one JSON object."""
    forecasts = [one for part in parts for one in part.forecasts]
    if as_json:
        found = [
            {
                "part": part.label,
                "runs": part.runs,
                **together(part.forecasts).as_object(),
                "legs": [one.as_object() for one in part.forecasts],
            }
            for part in parts
        ]
        typer.echo(
            json.dumps(
                {"total": together(forecasts).as_object(), "parts": found}, ensure_ascii=False
            )
        )
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("", "runs", "calls", "cost", "wall time"):
        table.add_column(column)
    for part in parts:
        table.add_row(Text(terminal.one_line(part.label)), *_told(part.runs, part.forecasts))
    if len(parts) > 1:
        runs = sum(part.runs for part in parts)
        table.add_row(Text("all", "bold"), *_told(runs, forecasts))
    console = terminal.stdout()
    console.print(table)
    for sentence in dict.fromkeys(said for one in forecasts for said in one.assumptions):
        console.print(Text(f"- {sentence}"), soft_wrap=True)


def _told(runs: int, forecasts: Sequence[Forecast]) -> list[str]:
    every = together(forecasts)
    return [
        f"{runs:,}",
        in_words(every.calls, count),
        cost(every.usd),
        in_words(every.seconds, duration),
    ]
