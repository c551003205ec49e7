"""What tipping points and interventions take with live minds, before a single call is made."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from mesa_llm_norms.course import WINDOW, Goal
from mesa_llm_norms.errors import MindError
from mesa_llm_norms.forecast import Forecast, Part, forecast
from mesa_llm_norms.forecast.stand_ins import offline
from mesa_llm_norms.kernel import ask_anew
from mesa_llm_norms.minds.live import Calls
from mesa_llm_norms.spec import Spec
from mesa_llm_norms.tipping.exploring import explore
from mesa_llm_norms.tipping.legs import Legs, TwoLegs, play_seated
from mesa_llm_norms.tipping.plan import Plan
from mesa_llm_norms.tipping.trials import Trials


def forecast_tipping(plan: Plan, calls: Calls) -> list[Part]:
    """Return what every condition will take; nothing is asked of a server.

    Recorded minds stand in for live ones, in choosing how many agents are committed too. Raises
    ``MindError`` where no mind is live.
    """
    if not plan.base.live:
        raise _nothing_live(plan.base)
    ask_anew()
    parts = []
    for question in plan.questions:
        played = explore(question, plan.most, plan.budget, _stand_ins)
        counts = Counter(count for count, _ in played)
        found = [
            _first_leg(question.spec(count), question.legs, runs, calls)
            for count, runs in sorted(counts.items())
        ]
        flipped = sum(one.flipped for _, one in played)
        found += _second_leg(question.base, question.legs, flipped, calls)
        label = f"{question.direction}, {question.topology}, {question.placement}"
        parts.append(Part(label, plan.budget, tuple(found)))
    return parts


def forecast_trials(trials: Trials, calls: Calls) -> list[Part]:
    """Return what every intervention with live minds will take; see ``forecast_tipping``."""
    live = [
        (one, spec)
        for one, spec in zip(trials.interventions, trials.specs, strict=True)
        if spec.live
    ]
    if not live:
        raise _nothing_live(trials.base)
    parts = []
    for one, spec in live:
        first = _first_leg(spec, trials.legs, trials.runs, calls)
        flipped = round(trials.runs * (1 - first.missed))
        second = _second_leg(spec, trials.legs, flipped, calls)
        parts.append(Part(one.label, trials.runs, (first, *second)))
    return parts


def _first_leg(spec: Spec, legs: Legs, runs: int, calls: Calls) -> Forecast:
    return forecast(spec, Goal("flipped", WINDOW), legs.rounds, runs, calls)


def _second_leg(spec: Spec, legs: Legs, flipped: int, calls: Calls) -> list[Forecast]:
    """Return what runs take that have flipped: everybody remembers the new name."""
    if not flipped or not legs.after:
        return []
    after = replace(spec, incumbent=legs.name, committed=None)
    return [forecast(after, Goal(None, WINDOW), legs.after, flipped, calls)]


def _stand_ins(spec: Spec, runs: range, legs: Legs) -> list[TwoLegs]:
    return [play_seated(spec, offline(spec.seat(run)), run, legs) for run in runs]


def _nothing_live(spec: Spec) -> MindError:
    return MindError("mind", spec.mind_label, "no mind is live", "Recorded minds cost nothing.")
