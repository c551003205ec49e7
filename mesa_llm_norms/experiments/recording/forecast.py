"""What a recording takes, before anything is asked."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mesa_llm_norms.core.formatting import spread
from mesa_llm_norms.core.game import Memory
from mesa_llm_norms.experiments.cost_forecast.estimate import assumed, cost_of, tokens_of
from mesa_llm_norms.experiments.cost_forecast.result import AS_BATCHES, Range, cost, plain
from mesa_llm_norms.experiments.cost_forecast.simulation import nearest
from mesa_llm_norms.experiments.recording.populations import visits
from mesa_llm_norms.experiments.recording.questions import (
    memories_up_to,
    number_of_orders,
    order_shown,
)
from mesa_llm_norms.experiments.recording.recorder import ASKS_AT_ONCE, FIRST, RecordingPlan
from mesa_llm_norms.llm.budget import read_prices
from mesa_llm_norms.llm.settings import LLMSettings, read_llm

ADAPTIVE = Range(0.02, 0.1, 1.0)
"""The share of the memories that populations visit about which an adaptive recording asks."""


class RecordingForecast(NamedTuple):
    """What a recording takes; ``usd`` is None where no price is known.

    ``memories`` is exact if all are asked about. ``calls`` is a range where it is not known whether
    the model gives probabilities. ``batch``: calls are sent as batches, which is in ``usd``.
    """

    memories: Range
    calls: Range
    read: Range
    written: Range
    usd: Range | None
    batch: bool = False

    def rows(self) -> list[tuple[str, str]]:
        """Return the forecast in words: a label and a range for each row."""
        rows = [
            ("memories asked about", spread(self.memories)),
            ("calls", spread(self.calls)),
            ("tokens read", spread(self.read)),
            ("tokens written", spread(self.written)),
            ("cost", cost(self.usd)),
        ]
        return [*rows, ("as batches", AS_BATCHES)] if self.batch else rows

    def as_object(self) -> dict[str, Any]:
        """Return the forecast as plain data, for JSON."""
        return dict(plain(self))


def forecast_recording(plan: RecordingPlan, llm: LLMSettings | None = None) -> RecordingForecast:
    """Return what a recording will take; no provider is called.

    An adaptive recording is forecast from what populations of the nearest recorded mind visit.
    """
    llm = read_llm(llm)
    live = plan.mind
    if plan.exhaustive:
        some: list[Memory] = memories_up_to(plan.game)
        memories = Range(*[float(len(some))] * 3)
    else:
        seen = visits(plan.spec(nearest(live.provider.model).name))
        some = list(seen)
        least = min(FIRST, len(plan.game.pool) ** 2) + 1
        memories = Range(*(max(float(least), len(some) * share) for share in ADAPTIVE))
    exact = number_of_orders(plan.game) or (plan.orders if plan.exhaustive else 1)
    choices = plan.asks if plan.exhaustive else ASKS_AT_ONCE
    few, many = sorted((exact, choices))
    calls = Range(memories.low * few, memories.expected * choices, memories.high * many)
    sizes = [
        sum(
            len(text.encode())
            for text in live.template.fill(plan.game, it, order_shown(plan.game, it, 0, plan.seed))
        )
        for it in some
    ]
    each, words = tokens_of(float(np.mean(sizes))), assumed(live.provider, once=False).written
    read, written = (
        Range(*(one * number for one, number in zip(per_call, calls, strict=True)))
        for per_call in (each, words)
    )
    price = read_prices(llm.prices).of(live.provider.model, batch=llm.batch)
    return RecordingForecast(
        memories, calls, read, written, cost_of(live.provider, price, read, written), llm.batch
    )
