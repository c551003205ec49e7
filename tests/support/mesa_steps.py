"""How far a model of any Mesa has come."""

from __future__ import annotations

from typing import Any


def steps_of(model: Any) -> int:
    """Return how many steps a model has begun, which Mesa 4 only tells as its time."""
    return int(model.steps if hasattr(model, "steps") else model.time)
