"""What several forecasts come to, played one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from mesa_llm_norms.forecast.ranges import Range, sum_up
from mesa_llm_norms.forecast.result import Forecast


class Part(NamedTuple):
    """Some runs of many, and what they are expected to take, one forecast after the other."""

    label: str
    runs: int
    forecasts: tuple[Forecast, ...]


class Together(NamedTuple):
    """Calls, US dollars (None where a price is not known) and seconds of everything.

    Where a server answers equal prompts once, those that parts have in common are counted in each.
    """

    calls: Range
    usd: Range | None
    seconds: Range

    def as_object(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it."""
        return {
            "calls": self.calls._asdict(),
            "usd": None if self.usd is None else self.usd._asdict(),
            "seconds": self.seconds._asdict(),
        }


def together(found: Sequence[Forecast]) -> Together:
    """Return what these forecasts come to."""
    known = [one.usd for one in found if one.usd is not None]
    return Together(
        sum_up(one.calls for one in found),
        sum_up(known) if len(known) == len(found) else None,
        sum_up(one.seconds for one in found),
    )
