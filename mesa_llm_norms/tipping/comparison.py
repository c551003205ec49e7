"""``compare_interventions``: what undoes or prevents one convention, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mesa_llm_norms.course import MOST, read_rounds
from mesa_llm_norms.draws import read_seed
from mesa_llm_norms.ensemble import load_graph
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.game import read_whole
from mesa_llm_norms.kernel import ask_anew
from mesa_llm_norms.minds.catalogue import DEFAULT_MIND
from mesa_llm_norms.spec import STUDY_GRAPH, Spec
from mesa_llm_norms.statistics import convergence_time
from mesa_llm_norms.statistics.intervals import LEVEL, read_level
from mesa_llm_norms.statistics.shares import exact_interval, exact_test, holm, share_difference
from mesa_llm_norms.tipping.answer import RESAMPLES, tell
from mesa_llm_norms.tipping.interventions import Intervention
from mesa_llm_norms.tipping.legs import Legs, TwoLegs, play_legs
from mesa_llm_norms.tipping.question import read_directions
from mesa_llm_norms.tipping.tip import ROUNDS
from mesa_llm_norms.workers import answers

GOALS = ("undo", "prevent")


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
    ``enough`` of the runs, None where none does. ``runs`` has a row for every run.
    """

    goal: str
    convention: str
    alternative: str
    enough: float
    table: pd.DataFrame
    runs: pd.DataFrame

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
            f" {row['worked_high']:.0%}; {row['agents']} agents touched,"
            f" {row['edges']} edges moved)."
        )


def compare_interventions(
    convention: str,
    alternative: str,
    interventions: Sequence[Intervention],
    *,
    goal: str = "undo",
    graph: Any = STUDY_GRAPH,
    names: Any = "QM",
    mind: Any = DEFAULT_MIND,
    pairing: Any = "node",
    memory: int = 5,
    rounds: int = ROUNDS,
    after: int | None = None,
    runs: int = 500,
    enough: float = 0.5,
    agent_price: float = 1.0,
    edge_price: float = 1.0,
    level: float = LEVEL,
    rng: Any = None,
    workers: int = 1,
    executor: Executor | None = None,
    engine: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Play every intervention, and nothing, ``runs`` times each, and compare them.

    ``goal="undo"``: everybody starts out remembering the convention, and it worked if the
    alternative makes up 95% of the names played in three rounds, within ``rounds``. ``"prevent"``:
    memories are empty, and it worked if after ``rounds`` rounds, or once the alternative has taken
    over, the convention is not the name played most.

    An agent that is committed, or has another mind or another memory, costs ``agent_price``, an
    edge that is moved ``edge_price``. The other arguments are those of ``tip``.

    Raises ``SpecError`` for what means nothing.
    """
    if goal not in GOALS:
        raise SpecError("goal", goal, f"{goal!r} is unknown", f"Use one of {GOALS}.")
    base = Spec(
        graph=load_graph(graph),
        names=names,
        mind=mind,
        pairing=pairing,
        memory=memory,
        incumbent=convention if goal == "undo" else None,
        seed=read_seed(rng),
    )
    read_directions([(convention, alternative)], base.game.pool)
    _check(base, interventions)
    rounds = read_rounds(rounds, "flipped")
    after = rounds if after is None else read_whole("after", after, 0, MOST)
    runs = read_whole("runs", runs, 1, MOST)
    legs = Legs(alternative, rounds, after, engine)
    every = [Intervention(), *(one for one in interventions if one != Intervention())]
    specs = [one.changes(base, alternative) for one in every]
    if any(spec.live for spec in specs):
        raise SpecError(
            "mind", base.mind_label, "live minds are not asked for so many runs", "Fit one first."
        )
    ask_anew()
    calls = ((one, spec, runs, legs) for one, spec in zip(every, specs, strict=True))
    found: dict[int, list[TwoLegs]] = {}
    with closing(answers(_play, calls, read_whole("workers", workers, 1, 1_000), executor)) as all_:
        for answer in all_:
            found[answer.number] = answer.result
            if progress is not None:
                progress(len(found), len(every))
    prices = agent_price, edge_price
    tables = [
        _worked(pd.DataFrame([one._asdict() for one in found[place]]), goal, convention)
        for place in range(len(every))
    ]
    rows = [
        _row(one, base, table, tables[0], prices, read_level(level))
        for one, table in zip(every, tables, strict=True)
    ]
    corrected = holm([row["p"] for row in rows[1:]])
    for row, p_value in zip(rows[1:], corrected, strict=True):
        row["p"] = p_value
    labelled = [
        table.assign(intervention=one.label) for one, table in zip(every, tables, strict=True)
    ]
    joined = pd.concat(labelled, ignore_index=True)
    return Comparison(goal, convention, alternative, enough, pd.DataFrame(rows), joined)


def _check(base: Spec, interventions: Sequence[Intervention]) -> None:
    if isinstance(base.mind, dict) and any(one.other is not None for one in interventions):
        raise SpecError(
            "mind",
            base.mind_label,
            "a share of another model is given to a population of one",
            "Give one mind for all.",
        )
    if not interventions:
        raise SpecError("interventions", interventions, "there is none", "Give at least one.")


def _play(one: Intervention, spec: Spec, runs: int, legs: Legs) -> list[TwoLegs]:
    return [play_legs(one.for_run(spec, run), run, legs) for run in range(runs)]


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
    agents = len(base.seat().contacts)
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
