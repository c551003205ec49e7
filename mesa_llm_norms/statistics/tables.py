"""Tables as they come from ensembles: what must be in them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from mesa_llm_norms.errors import SpecError, some


def read_table(argument: str, table: Any, columns: Iterable[str]) -> pd.DataFrame:
    """Return ``table`` if it is one with these columns and at least one row, else ``SpecError``."""
    if not isinstance(table, pd.DataFrame):
        raise SpecError(
            argument,
            table,
            f"{type(table).__name__} is no table",
            f"Give the {argument} of an ensemble.",
        )
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise SpecError(
            argument,
            list(table.columns),
            f"no column {some(missing)}",
            f"Give the {argument} of an ensemble, or a table with its columns.",
        )
    if table.empty:
        raise SpecError(argument, table, "the table is empty", "Give at least one row.")
    return table
