"""Mesa's batch runs, on the versions that have them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import mesa
import pytest


def batch_run(
    model: type[mesa.Model], parameters: Mapping[str, Any], seed: int, max_steps: int
) -> list[dict[str, Any]]:
    """Play a batch with one seed; the test is skipped on Mesa 4, which has no batches."""
    play = pytest.importorskip("mesa.batchrunner").batch_run
    given, options = dict(parameters), {"max_steps": max_steps, "display_progress": False}
    # Mesa 3.5 takes the seed apart from the parameters, and overwrites it there.
    (options if "rng" in inspect.signature(play).parameters else given)["rng"] = seed
    rows: list[dict[str, Any]] = play(model, given, **options)
    return rows
