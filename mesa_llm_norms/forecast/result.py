"""What a forecast says."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from mesa_llm_norms.forecast.per_call import PerCall
from mesa_llm_norms.forecast.ranges import Range
from mesa_llm_norms.forecast.stand_ins import StandIn


@dataclass(frozen=True)
class ServerForecast:
    """What all runs together take of one server; see ``Forecast``.

    ``once`` tells whether it answers each prompt only once, None if that is not known yet. ``call``
    is what a single call takes.
    """

    server: str
    model: str
    stand_in: StandIn
    once: bool | None
    call: PerCall
    calls: Range
    read: Range
    written: Range
    thinking: Range
    usd: Range | None


@dataclass(frozen=True)
class Forecast:
    """What ``runs`` runs will take, after ``simulated`` runs without a call.

    Of one run: ``interactions``, ``rounds``, and ``chain``, the longest series of calls that wait
    for each other; ``missed`` is the share of runs that do not reach their goal. Of all runs
    together: ``calls``, tokens ``read`` and ``written``, of which are ``thinking``, ``usd`` (None
    where a model has no known price) and ``seconds``.

    ``assumptions`` and ``warnings`` are sentences. Ranges of tokens, dollars and seconds are as
    wide as what is assumed; those of interactions leave out one run in ten on either side.
    """

    runs: int
    simulated: int
    missed: float
    interactions: Range
    rounds: Range
    chain: Range
    calls: Range
    read: Range
    written: Range
    thinking: Range
    usd: Range | None
    seconds: Range
    servers: tuple[ServerForecast, ...]
    assumptions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def as_object(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it, a range as ``low``, ``expected`` and ``high``."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}


def _plain(thing: Any) -> Any:
    if isinstance(thing, (Range, StandIn, PerCall)):
        return {name: _plain(part) for name, part in thing._asdict().items()}
    if isinstance(thing, ServerForecast):
        return {field.name: _plain(getattr(thing, field.name)) for field in fields(thing)}
    return [_plain(part) for part in thing] if isinstance(thing, tuple) else thing
