"""What calls cost: a dated list that ships, and entries of the user's own before it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from mesa_llm_norms.errors import FileFormatError
from mesa_llm_norms.minds.live.server import Usage
from mesa_llm_norms.text_files import read_text

_REMEDY = (
    'It holds as_of = "2026-11-24" and, for each model, a table such as [my-model] with input and '
    "output in dollars for a million tokens."
)
_MILLION = 1_000_000


class Price(NamedTuple):
    """US dollars for a million tokens read and written; cached ones count as read."""

    input: float
    output: float

    def cost(self, usage: Usage) -> float:
        """Return what a call cost in dollars, at most: tokens from a cache may cost less."""
        return (usage.input_tokens * self.input + usage.output_tokens * self.output) / _MILLION


FREE = Price(0.0, 0.0)


class Prices(NamedTuple):
    """Prices by the beginning of a model's id, and the day they were right."""

    as_of: str
    by_model: Mapping[str, Price]

    def of(self, model: str) -> Price | None:
        """Return the price under the longest name that ``model`` begins with, or None."""
        known = [name for name in self.by_model if model.startswith(name)]
        return self.by_model[max(known, key=len)] if known else None


@cache
def default_prices() -> Prices:
    """Return the prices that ship."""
    file = resources.files(__package__).joinpath("prices.toml")
    return _parse(file.read_text(encoding="utf-8"), "prices.toml")


def read_prices(path: str | Path | None) -> Prices:
    """Return the prices in a file before those that ship; ``FileFormatError`` if it has none."""
    if path is None:
        return default_prices()
    own = _parse(read_text(Path(path), _REMEDY), str(path))
    return Prices(own.as_of, {**default_prices().by_model, **own.by_model})


def _parse(text: str, path: str) -> Prices:
    import tomllib

    try:
        content: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FileFormatError(path, f"it is not TOML: {error}", _REMEDY) from error
    by_model = {}
    for model, entry in content.items():
        if not isinstance(entry, Mapping):
            continue
        values = [entry.get("input"), entry.get("output")]
        if set(entry) != {"input", "output"} or not all(_is_price(value) for value in values):
            raise FileFormatError(path, f"[{model}] is no price", _REMEDY)
        by_model[model] = Price(*(float(value) for value in values if value is not None))
    as_of = content.get("as_of")
    if as_of is None or not by_model:
        raise FileFormatError(path, "it has no date or no price", _REMEDY)
    return Prices(str(as_of), by_model)


def _is_price(value: Any) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and math.isfinite(value)
        and value >= 0
    )
