"""What was found: the critical mass of every condition, and the numbers behind it.

A question is answered by runs, a batch at a time: here, in processes, or with live minds.

What ``tip`` found, in words.

``tip``: how many committed agents it takes to overturn a convention.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from mesa_llm_norms.analysis.convergence import ConvergenceTime, convergence_time
from mesa_llm_norms.analysis.intervals import Estimate, exact_interval
from mesa_llm_norms.experiments.tipping.dose_response import (
    Dose,
    DoseResponse,
    batch_size,
    first_batch,
    fit_dose_response,
    merge,
    next_count,
)
from mesa_llm_norms.experiments.tipping.question import (
    Legs,
    Plan,
    Question,
    TwoLegs,
    play_legs,
    read_plan,
)
from mesa_llm_norms.llm.client import SharedBudget
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.minds.registry import DEFAULT_MIND
from mesa_llm_norms.simulation.ensemble import check_here, side_by_side
from mesa_llm_norms.simulation.kernel import invalidate_caches
from mesa_llm_norms.simulation.spec import STUDY_GRAPH, Spec
from mesa_llm_norms.simulation.workers import answers
from mesa_llm_norms.validation import read_whole

if TYPE_CHECKING:
    from mesa_llm_norms.llm.client import LLMClient
    from mesa_llm_norms.llm.journal.tables import Totals


RESAMPLES = 500
"""Of the bootstrap behind the median time to a flip at each count."""


class Told(NamedTuple):
    """A share of runs with its exact interval, and how many of how many it is."""

    estimate: Estimate
    successes: int
    trials: int


@dataclass(frozen=True)
class TippingPoint:
    """The answer to one question.

    ``runs`` has a row per run: committed, run, flipped, interactions, rounds, winner, share, lasts.
    ``critical_share`` is ``curve.critical_mass`` over all agents, committed ones among them.
    """

    question: Question
    runs: pd.DataFrame
    curve: DoseResponse

    @property
    def doses(self) -> list[Dose]:
        """How many runs of every count flipped."""
        pairs = zip(self.runs["committed"].tolist(), self.runs["flipped"].tolist(), strict=True)
        return merge([Dose(committed, int(flipped), 1) for committed, flipped in pairs])

    @property
    def critical_share(self) -> Estimate:
        """The share of all agents at which half of the runs flip."""
        agents = self.question.agents
        return Estimate(*(bound / agents for bound in self.curve.critical_mass))

    @property
    def stability(self) -> Told:
        """Of the runs with nobody committed, the share in which the convention is there at the end.

        That is: its name was played most in the last three rounds.
        """
        alone = self.runs[self.runs["committed"] == 0]
        stays = alone["winner"] == self.question.direction.incumbent
        return tell(
            int((stays & ~alone["flipped"].astype(bool)).sum()), len(alone), self.curve.level
        )

    @property
    def lasting(self) -> Told:
        """Of all runs that flipped, the share in which it lasted after the committed had left."""
        known = self.runs["lasts"].dropna()
        return tell(int(known.astype(bool).sum()), len(known), self.curve.level)

    def time(self, committed: int) -> ConvergenceTime:
        """Return how long a flip takes with so many committed, runs without one censored."""
        runs = self.runs[self.runs["committed"] == committed]
        return convergence_time(
            runs, event="flipped", unit="interactions", level=self.curve.level, resamples=RESAMPLES
        )

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per count: flips, time to flip in population rounds, and whether flips last."""
        rows = []
        for dose in self.doses:
            low, high = exact_interval(dose.flipped, dose.runs, self.curve.level)
            time = self.time(dose.committed).median
            here = self.runs[self.runs["committed"] == dose.committed]["lasts"].dropna()
            lasts = tell(int(here.astype(bool).sum()), len(here), self.curve.level).estimate
            agents = self.question.agents
            rows.append(
                {
                    "committed": dose.committed,
                    "committed_share": dose.committed / agents,
                    "runs": dose.runs,
                    "flipped": dose.flipped,
                    "flip_share": dose.share,
                    "flip_low": low,
                    "flip_high": high,
                    "rounds": time.value / agents,
                    "rounds_low": time.low / agents,
                    "rounds_high": time.high / agents,
                    "left": len(here),
                    "lasts": lasts.value,
                    "lasts_low": lasts.low,
                    "lasts_high": lasts.high,
                }
            )
        return pd.DataFrame(rows)

    @property
    def row(self) -> dict[str, Any]:
        """The answer as a row of a table."""
        found: dict[str, Any] = dict(self.question.columns)
        numbers = {
            "critical": self.curve.critical_mass,
            "critical_share": self.critical_share,
            "stays": self.stability.estimate,
            "lasts": self.lasting.estimate,
        }
        for name, estimate in numbers.items():
            found |= {
                name: estimate.value,
                f"{name}_low": estimate.low,
                f"{name}_high": estimate.high,
            }
        below, above = self.curve.bracket
        return found | {
            "surely_below": below,
            "surely_above": above,
            "misfit": self.curve.misfit,
            "heterogeneity": self.curve.heterogeneity,
            "runs": len(self.runs),
        }


@dataclass(frozen=True)
class Tipping:
    """The answers to all questions, in the order in which they were asked.

    ``usage`` is what the calls to live minds came to, None where there was none to call.
    """

    points: tuple[TippingPoint, ...]
    seed: int
    usage: Totals | None = None

    @property
    def table(self) -> pd.DataFrame:
        """One row per condition; see ``TippingPoint.row``."""
        return pd.DataFrame([point.row for point in self.points])

    @property
    def doses(self) -> pd.DataFrame:
        """One row per condition and count; see ``TippingPoint.table``."""
        return self._joined([point.table for point in self.points])

    @property
    def runs(self) -> pd.DataFrame:
        """One row per run."""
        return self._joined([point.runs for point in self.points])

    def _joined(self, tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
        labelled = []
        for point, table in zip(self.points, tables, strict=True):
            columns = pd.DataFrame([point.question.columns] * len(table), index=table.index)
            labelled.append(pd.concat([columns, table], axis=1))
        return pd.concat(labelled, ignore_index=True)


def conclude(
    question: Question, played: Sequence[tuple[int, TwoLegs]], level: float
) -> TippingPoint:
    """Return the answer that runs, each with its number of committed agents, give to a question."""
    table = pd.DataFrame(
        [{"committed": committed, **one._asdict()} for committed, one in played]
    ).sort_values(["committed", "run"], ignore_index=True)
    table["lasts"] = table["lasts"].astype("boolean")
    doses = [Dose(committed, int(one.flipped), 1) for committed, one in played]
    return TippingPoint(question, table, fit_dose_response(doses, level))


def tell(successes: int, trials: int, level: float) -> Told:
    """Return a share of runs with its exact interval; nan of none."""
    value = successes / trials if trials else math.nan
    return Told(Estimate(value, *exact_interval(successes, trials, level)), successes, trials)


Found = list[tuple[int, TwoLegs]]
"""Runs, each with its number of committed agents."""


Play = Callable[[Spec, range, Legs], list[TwoLegs]]
"""Plays some runs of a spec."""


Progress = Callable[[int, int], None]
"""Called with the runs done and the runs in all."""


OnProgress = Callable[[int], None]
"""Called with how many more runs are done."""


def play_runs(spec: Spec, runs: range, legs: Legs) -> list[TwoLegs]:
    """Play runs one after the other, in this process."""
    return [play_legs(spec, run, legs) for run in runs]


class LiveRuns:
    """Plays runs with live minds side by side, as many as a batch has, in one session for all.

    They are numbered as they come, over all questions, whatever number they are asked for by: the
    journal knows runs by their numbers, and no two may have the same.
    """

    def __init__(self, client: LLMClient) -> None:
        self._session = client
        self._begun = 0

    def __call__(self, spec: Spec, runs: range, legs: Legs) -> list[TwoLegs]:
        """Play some runs of a spec."""
        numbers = range(self._begun, self._begun + len(runs))
        self._begun = numbers.stop
        calls = ((spec, number, legs, self._session) for number in numbers)
        with closing(side_by_side(play_legs, calls, len(numbers), self._session)) as found:
            return sorted(found)


def adding_up(total: int, progress: Progress | None) -> OnProgress:
    """Return what tells ``progress`` how many runs are done, of so many in all."""
    done = 0

    def told(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            progress(done, total)

    return told


def explore(
    question: Question,
    most: float,
    budget: int,
    play: Play = play_runs,
    told: OnProgress = lambda _: None,
) -> Found:
    """Play ``budget`` runs where they tell most; return each with its number of committed agents.

    Run k of a count begins with the same draws at every count, unless ``play`` has it otherwise.
    """
    played: Found = []
    doses: dict[int, Dose] = {}
    specs: dict[int, Spec] = {}
    end = max(1, int(most * question.agents + 1e-9))
    while len(played) < budget:
        count = next_count(list(doses.values()), end, batch_size(budget))
        if count not in specs:
            specs[count] = question.spec(count)
        dose = doses.get(count, Dose(count, 0, 0))
        wanted = batch_size(budget) if played else first_batch(budget)
        batch = range(dose.runs, dose.runs + min(wanted, budget - len(played)))
        outcomes = play(specs[count], batch, question.legs)
        played += [(count, outcome) for outcome in outcomes]
        flipped = sum(outcome.flipped for outcome in outcomes)
        doses[count] = Dose(count, dose.flipped + flipped, batch.stop)
        told(len(outcomes))
    return played


def explore_all(
    questions: Sequence[Question],
    most: float,
    budget: int,
    told: OnProgress,
    workers: int = 1,
    executor: Executor | None = None,
) -> list[Found]:
    """Explore every question, in the order given, ``budget`` runs each; workers take whole ones."""
    if workers == 1 and executor is None:
        return [explore(one, most, budget, told=told) for one in questions]
    calls = ((one, most, budget) for one in questions)
    found: dict[int, Found] = {}
    with closing(answers(explore, calls, workers, executor)) as all_:
        for answer in all_:
            found[answer.number] = answer.result
            told(budget)
    return [found[place] for place in range(len(questions))]


BEYOND = "more than tried"
"""Where the largest number tried flips too few runs to tell."""


def sentences(found: Tipping) -> list[str]:
    """Return the answers in words, each with what it is about where that is not clear."""
    said = [sentence(point) for point in found.points]
    named = labels(found)
    if named == [str(point.question.direction) for point in found.points]:
        return said
    return [f"{name}: {words}" for name, words in zip(named, said, strict=True)]


def labels(found: Tipping) -> list[str]:
    """Return the conditions in words, without what they have in common."""
    words = [(one.question.placement, one.question.topology) for one in found.points]
    varied = [place for place in (0, 1) if len({word[place] for word in words}) > 1]
    return [
        ", ".join([str(one.question.direction), *(word[place] for place in varied)])
        for one, word in zip(found.points, words, strict=True)
    ]


def sentence(point: TippingPoint) -> str:
    """Return the answer to one question in words."""
    mass, agents = point.curve.critical_mass, point.question.agents
    incumbent, challenger = point.question.direction
    rounds = point.question.legs.rounds
    who = f"{incumbent} is overturned by {challenger} within {rounds} rounds in half of the runs"
    if math.isinf(mass.value):
        words = (
            f"{who} by none of the numbers tried (up to {point.doses[-1].committed} of {agents})."
        )
    elif mass.value == 0:
        words = f"{who} though nobody is committed."
    else:
        value, low, high = (_told(bound, ".2f") for bound in mass)
        words = f"{who} by {value} ({low} to {high}) of {agents} agents"
        words += f" ({percentages(point.critical_share)})."
    lasting = point.lasting
    if lasting.trials:
        words += (
            f" After the committed have left, it lasts in {lasting.estimate.value:.0%} of"
            f" {lasting.trials} flipped runs."
        )
    return words


def percentages(share: Estimate) -> str:
    """Return a share with its bounds as percentages."""
    value, low, high = (_told(bound, ".1%") for bound in share)
    return f"{value}, {low} to {high}"


def _told(bound: float, form: str) -> str:
    return BEYOND if math.isinf(bound) else format(bound, form)


def tip(
    graph: Any = STUDY_GRAPH,
    names: Any = "QM",
    mind: Any = DEFAULT_MIND,
    pairing: Any = "node",
    memory: int = 5,
    *,
    workers: int = 1,
    executor: Executor | None = None,
    progress: Progress | None = None,
    llm: LLMSettings | None = None,
    **others: Any,
) -> Tipping:
    """Return how many committed agents overturn a convention.

    Everybody starts out remembering the incumbent, and the committed always play the challenger.
    It is overturned if it has flipped within ``rounds`` population rounds (30). ``directions`` are
    pairs ``(incumbent, challenger)``, both ways with two names if not given; every combination with
    ``placements`` (``random``, ``hubs``, ``periphery``, ``cluster``), ``topologies`` (else
    ``graph``) and ``sizes`` (which fill in ``{size}`` in them) is a condition. ``names``, ``mind``,
    ``pairing``, ``memory``, ``rng``, ``engine`` and ``executor`` are those of ``run_ensemble``.

    ``runs`` is how many are played in all, shared equally (2,000; with live minds 40 for each
    condition); ``sampling`` says where they go. ``most`` is the largest share of the agents that is
    committed (1.0). After a flip the committed are released and ``after`` rounds are played (as
    many as ``rounds`` if not given; 0 for none). Intervals hold in ``level`` of all cases (0.95).
    The results are the same for any number of ``workers``, each of which takes whole conditions,
    and for any ``engine``. ``progress`` is called with the runs done and the runs in all.

    Live minds are called as ``calls`` says, with one budget and one journal for everything; the
    runs of a batch are played side by side. With ``resume`` and the same arguments, nothing that is
    on record is asked again.

    Raises ``SpecError`` for arguments that mean nothing and too few runs, and what calls to live
    minds raise.
    """
    plan = read_plan(graph, names, mind, pairing, memory, **others)
    return find_tipping(plan, workers=workers, executor=executor, progress=progress, llm=llm)


def find_tipping(
    plan: Plan,
    *,
    workers: int = 1,
    executor: Executor | None = None,
    progress: Progress | None = None,
    llm: LLMSettings | None = None,
) -> Tipping:
    """Answer questions that are read already; see ``tip``."""
    told = adding_up(plan.runs, progress)
    workers = read_whole("workers", workers, 1, 1_000)
    usage = None
    if plan.base.live:
        check_here(executor, plan.questions[0].legs.engine)
        client = SharedBudget(llm).client("runs", plan.describe())
        with closing(client):
            live = LiveRuns(client)
            found = [explore(one, plan.most, plan.budget, live, told) for one in plan.questions]
            usage = client.usage
    else:
        invalidate_caches()
        found = explore_all(plan.questions, plan.most, plan.budget, told, workers, executor)
    points = (
        conclude(one, runs, plan.level) for one, runs in zip(plan.questions, found, strict=True)
    )
    return Tipping(tuple(points), plan.base.seed, usage)
