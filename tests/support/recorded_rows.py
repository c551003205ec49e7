"""Rows that were played already, as the record that a run's folder is written from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mesa_llm_norms.core.game import Row
from mesa_llm_norms.simulation.run_record import RunRecord
from mesa_llm_norms.simulation.spec import Spec


def record_of(spec: Spec, folder: Path, rows: Iterable[Row]) -> RunRecord:
    """Return a record that has taken in these rows of run 0."""
    record = RunRecord(spec.initial_state(), folder)
    for row in rows:
        record.append(row)
    return record
