"""``compare_interventions``: what undoes or prevents one convention, side by side.

What tipping points and interventions take with live minds, before a single call is made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from mesa_llm_norms.analysis.convergence import convergence_time
from mesa_llm_norms.analysis.intervals import exact_interval, exact_test, holm, share_difference
from mesa_llm_norms.core.stopping import WINDOW, Goal
from mesa_llm_norms.errors import MindError
from mesa_llm_norms.experiments.cost_forecast.estimate import forecast
from mesa_llm_norms.experiments.cost_forecast.result import Forecast, Part, offline
from mesa_llm_norms.experiments.tipping.interventions import (
    Intervention,
    Trials,
    play_trials,
    read_trials,
)
from mesa_llm_norms.experiments.tipping.question import Legs, Plan, TwoLegs, play_from
from mesa_llm_norms.experiments.tipping.tip import RESAMPLES, Progress, explore, tell
from mesa_llm_norms.llm.client import SharedBudget
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.simulation.kernel import invalidate_caches
from mesa_llm_norms.simulation.spec import Spec
from mesa_llm_norms.validation import read_whole

if TYPE_CHECKING:
    from mesa_llm_norms.llm.journal.tables import Totals


@dataclass(frozen=True)
class Comparison:
    """What every intervention came to; ``None`` as the first of them is nothing done.

    ``table`` has a row for each: ``intervention``, ``runs``, ``worked`` (the share of runs, with
    ``worked_low`` and ``worked_high``, exact), ``more`` (the difference to nothing done, with
    Newcombe's bounds), ``p`` (McNemar's exact test on runs of the same number, Holm's correction),
    ``rounds`` (median until the alternative had taken over, with bounds), ``lasts`` (of the runs in
    which it had, the share in which it was still there after the committed had left, with bounds),
    ``agents``, ``edges`` and ``cost``.

    ``cheapest`` is the label of the one with the least cost of those that surely work in more than
    ``enough`` of the runs, None where none does. ``runs`` has a row for every run. ``usage`` is
    what the calls to live minds came to, None where there was none to call.
    """

    goal: str
    convention: str
    alternative: str
    enough: float
    table: pd.DataFrame
    runs: pd.DataFrame
    seed: int
    level: float
    usage: Totals | None = None

    @property
    def cheapest(self) -> str | None:
        """The label of the cheapest intervention that works; of equals, the one that works more."""
        good = self.table[self.table["worked_low"] > self.enough]
        if good.empty:
            return None
        order = good.sort_values(["cost", "worked"], ascending=[True, False], kind="stable")
        return str(order["intervention"].iloc[0])

    @property
    def sentence(self) -> str:
        """The answer in a sentence."""
        what = f"To {self.goal} {self.convention}"
        if self.cheapest is None:
            return f"{what}, none of these is shown to work in more than {self.enough:.0%} of runs."
        row = self.table[self.table["intervention"] == self.cheapest].iloc[0]
        return (
            f"{what}, the cheapest of those that work in more than {self.enough:.0%} of runs is: "
            f"{self.cheapest} ({row['worked']:.0%} of runs, {row['worked_low']:.0%} to"
            f" {row['worked_high']:.0%}; agents touched: {row['agents']},"
            f" edges moved: {row['edges']})."
        )


def compare_interventions(
    convention: str,
    alternative: str,
    interventions: Sequence[Intervention],
    *,
    workers: int = 1,
    executor: Executor | None = None,
    progress: Progress | None = None,
    llm: LLMSettings | None = None,
    **others: Any,
) -> Comparison:
    """Play every intervention, and nothing, ``runs`` times each, and compare them.

    ``goal="undo"``: everybody starts out remembering the convention, and it worked if the
    alternative makes up 95% of the names played in three rounds, within ``rounds`` (30).
    ``"prevent"``: memories are empty, and it worked if after ``rounds`` rounds, or once the
    alternative has taken over, the convention is not the name played most.

    An agent that is committed, or has another mind or another memory, costs ``agent_price`` (1), an
    edge that is moved ``edge_price`` (1). ``enough`` is the share of runs in which an intervention
    has to work (0.5). ``graph``, ``names``, ``mind``, ``pairing``, ``memory``, ``after``,
    ``level``, ``rng``, ``engine``, ``workers``, ``progress`` and ``calls`` are those of ``tip``;
    ``runs`` is 500, or 20 where minds are live.

    Raises ``SpecError`` for what means nothing, and what calls to live minds raise.
    """
    trials = read_trials(convention, alternative, interventions, **others)
    return compare(trials, workers=workers, executor=executor, progress=progress, llm=llm)


def compare(
    trials: Trials,
    *,
    workers: int = 1,
    executor: Executor | None = None,
    progress: Progress | None = None,
    llm: LLMSettings | None = None,
) -> Comparison:
    """Play and compare what is read already; see ``compare_interventions``."""
    accounts = SharedBudget(llm)
    workers = read_whole("workers", workers, 1, 1_000)
    found = play_trials(trials, accounts, workers, executor, progress)
    goal, convention = trials.goal, trials.convention
    tables = [
        _worked(pd.DataFrame([one._asdict() for one in runs]), goal, convention) for runs in found
    ]
    rows = [
        _row(one, trials.base, table, tables[0], trials.prices, trials.level)
        for one, table in zip(trials.interventions, tables, strict=True)
    ]
    corrected = holm([row["p"] for row in rows[1:]])
    for row, p_value in zip(rows[1:], corrected, strict=True):
        row["p"] = p_value
    labelled = [
        table.assign(intervention=one.label)
        for one, table in zip(trials.interventions, tables, strict=True)
    ]
    return Comparison(
        goal,
        convention,
        trials.legs.name,
        trials.enough,
        pd.DataFrame(rows),
        pd.concat(labelled, ignore_index=True),
        trials.base.seed,
        trials.level,
        accounts.used,
    )


def _worked(table: pd.DataFrame, goal: str, convention: str) -> pd.DataFrame:
    done = table["flipped"] if goal == "undo" else table["winner"] != convention
    return table.assign(worked=done.astype(bool), lasts=table["lasts"].astype("boolean"))


def _row(
    one: Intervention,
    base: Spec,
    table: pd.DataFrame,
    nothing: pd.DataFrame,
    prices: tuple[float, float],
    level: float,
) -> dict[str, Any]:
    worked, runs = int(table["worked"].sum()), len(table)
    without = int(nothing["worked"].sum())
    low, high = exact_interval(worked, runs, level)
    more = share_difference((worked, runs), (without, runs), level)
    only = int((table["worked"] & ~nothing["worked"]).sum())
    lost = int((~table["worked"] & nothing["worked"]).sum())
    time = convergence_time(
        table, event="flipped", unit="interactions", level=level, resamples=RESAMPLES
    ).median
    known = table["lasts"].dropna()
    lasts = tell(int(known.astype(bool).sum()), len(known), level).estimate
    cost = one.cost(base)
    agents = len(base.initial_state().neighbors)
    return {
        "intervention": one.label,
        "runs": runs,
        "worked": worked / runs,
        "worked_low": low,
        "worked_high": high,
        "more": more.value,
        "more_low": more.low,
        "more_high": more.high,
        "p": exact_test([only, lost], [0.5, 0.5]),
        "rounds": time.value / agents,
        "rounds_low": time.low / agents,
        "rounds_high": time.high / agents,
        "lasts": lasts.value,
        "lasts_low": lasts.low,
        "lasts_high": lasts.high,
        "agents": cost.agents,
        "edges": cost.edges,
        "cost": cost.agents * prices[0] + cost.edges * prices[1],
    }


def forecast_tipping(plan: Plan, llm: LLMSettings) -> list[Part]:
    """Return what every condition will take; nothing is asked of a server.

    Recorded minds stand in for live ones, in choosing how many agents are committed too. Raises
    ``MindError`` where no mind is live.
    """
    if not plan.base.live:
        raise _nothing_live(plan.base)
    invalidate_caches()
    parts = []
    for question in plan.questions:
        played = explore(question, plan.most, plan.budget, _stand_ins)
        counts = Counter(count for count, _ in played)
        found = [
            _first_leg(question.spec(count), question.legs, runs, llm)
            for count, runs in sorted(counts.items())
        ]
        flipped = sum(one.flipped for _, one in played)
        found += _second_leg(question.base, question.legs, flipped, llm)
        label = f"{question.direction}, {question.topology}, {question.placement}"
        parts.append(Part(label, plan.budget, tuple(found)))
    return parts


def forecast_trials(trials: Trials, llm: LLMSettings) -> list[Part]:
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
        first = _first_leg(spec, trials.legs, trials.runs, llm)
        flipped = round(trials.runs * (1 - first.missed))
        second = _second_leg(spec, trials.legs, flipped, llm)
        parts.append(Part(one.label, trials.runs, (first, *second)))
    return parts


def _first_leg(spec: Spec, legs: Legs, runs: int, llm: LLMSettings) -> Forecast:
    return forecast(spec, Goal("flipped", WINDOW), legs.rounds, runs, llm)


def _second_leg(spec: Spec, legs: Legs, flipped: int, llm: LLMSettings) -> list[Forecast]:
    """Return what runs take that have flipped: everybody remembers the new name."""
    if not flipped or not legs.after:
        return []
    after = replace(spec, incumbent=legs.name, committed=None)
    return [forecast(after, Goal(None, WINDOW), legs.after, flipped, llm)]


def _stand_ins(spec: Spec, runs: range, legs: Legs) -> list[TwoLegs]:
    return [play_from(spec, offline(spec.initial_state(run)), run, legs) for run in runs]


def _nothing_live(spec: Spec) -> MindError:
    return MindError("mind", spec.mind_label, "no mind is live", "Recorded minds cost nothing.")
