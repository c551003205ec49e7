"""Reports: HTML pages from ``templates/``, self-contained, with every text in them escaped."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mesa_llm_norms.core import formatting
from mesa_llm_norms.simulation.results import versions


def render(template: str, **context: Any) -> str:
    """Return a page from a template of ``templates/``.

    Templates write numbers with the filters ``count``, ``estimate``, ``p_number`` and ``p_value``
    of ``core.formatting``.
    """
    return environment().get_template(template).render(**context)


@cache
def environment() -> Environment:
    """Return the environment of all templates: escaped, and strict about what is missing."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "capital": lambda text: text[:1].upper() + text[1:],
        "count": formatting.count,
        "estimate": estimate,
        "p_number": formatting.p_number,
        "p_value": formatting.p_value,
    }
    made.filters.update(filters)
    return made


def estimate(found: Iterable[float], form: str = ".3f", beyond: str = "more") -> str:
    """Return an estimate with its interval, which is kept on one line."""
    value, opening, interval = formatting.estimate(found, form, beyond).partition(" (")
    return value + opening + unbroken(interval)


def unbroken(text: str) -> str:
    """Return a text that is kept on one line."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def picture(svg: Path) -> str:
    """Return an SVG file as the source of an image in a page."""
    data = base64.b64encode(svg.read_bytes()).decode("ascii")
    return f"data:image/svg+xml;base64,{data}"


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write results as JSON, with the versions of the packages that made them."""
    text = formatting.json_text({**content, "versions": versions()}, indent=2)
    path.write_text(f"{text}\n", encoding="utf-8")
