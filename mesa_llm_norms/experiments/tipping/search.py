"""``tip``: how many committed agents it takes to overturn a convention.

The runs of a condition are played a batch at a time, each batch with the number of committed agents
that ``dose_response.next_count`` chooses: in this process, in others, or with live minds. The
results are the critical mass of every condition, the numbers behind it, and a sentence about it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import pandas as pd

from mesa_llm_norms.analysis.convergence import ConvergenceTime, convergence_time
from mesa_llm_norms.analysis.intervals import Estimate, exact_interval
from mesa_llm_norms.core import formatting
from mesa_llm_norms.core.limits import read_workers, seeded_by_rng
from mesa_llm_norms.errors import MindError
from mesa_llm_norms.experiments.cost_forecast.result import Part
from mesa_llm_norms.experiments.cost_forecast.simulation import without_calls
from mesa_llm_norms.experiments.tipping.conditions import (
    Phases,
    Question,
    TippingPlan,
    TwoPhaseRun,
    forecast_first_phase,
    forecast_second_phase,
    plan_tipping,
    play_phases,
    play_runs,
)
from mesa_llm_norms.experiments.tipping.dose_response import (
    Dose,
    DoseResponse,
    batch_size,
    first_batch,
    fit_dose_response,
    merge,
    next_count,
)
from mesa_llm_norms.llm.client import SharedBudget
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.minds.registry import DEFAULT_MIND
from mesa_llm_norms.simulation.backends import Backend, check_here, choose_backend
from mesa_llm_norms.simulation.kernel import invalidate_caches
from mesa_llm_norms.simulation.spec import STUDY_GRAPH, Spec

if TYPE_CHECKING:
    from mesa_llm_norms.llm.journal.rows import Totals

T = TypeVar("T")

RESAMPLES = 500
"""Of the bootstrap behind the median time to a flip at each count."""

BEYOND = "more than tried"
"""Written for a critical mass beyond the largest number tried."""

_ENDS = ("", "_low", "_high")

Progress = Callable[[int, int], None]
"""Called with the runs done and the runs in all."""

Batch = Callable[[Spec, range, Phases], list[TwoPhaseRun]]
"""Plays some runs of a spec."""

Sampled = list[tuple[int, TwoPhaseRun]]
"""Runs, each with its number of committed agents."""


class Proportion(NamedTuple):
    """A share of runs with its exact interval, and how many of how many it is."""

    estimate: Estimate
    successes: int
    trials: int


def proportion(succeeded: pd.Series[Any], level: float) -> Proportion:
    """Return the share of True among values that are known; its value is nan if there are none."""
    known = succeeded.dropna()
    successes, trials = int(known.astype(bool).sum()), len(known)
    value = successes / trials if trials else math.nan
    return Proportion(Estimate(value, *exact_interval(successes, trials, level)), successes, trials)


def flip_time(runs: pd.DataFrame, level: float) -> ConvergenceTime:
    """Return how many interactions a flip takes, runs without one counted as censored."""
    return convergence_time(
        runs, event="flipped", unit="interactions", level=level, resamples=RESAMPLES
    )


def columns(name: str, found: Estimate, divisor: float = 1) -> dict[str, float]:
    """Return an estimate as three columns of a table: ``name``, ``name_low``, ``name_high``."""
    return {f"{name}{end}": bound / divisor for end, bound in zip(_ENDS, found, strict=True)}


def from_columns(row: Mapping[Any, Any], name: str) -> Estimate:
    """Return the estimate that ``columns`` wrote into a row."""
    return Estimate(*(row[f"{name}{end}"] for end in _ENDS))


@dataclass(frozen=True)
class TippingPoint:
    """The critical mass of one condition, and the runs behind it.

    Attributes
    ----------
    question : Question
        The condition: ``direction``, ``topology``, ``placement``, ``agents``.
    runs : pandas.DataFrame
        One row per run: committed, run, flipped, interactions, rounds, winner, share, lasts.
    curve : DoseResponse
        The fitted curve; ``curve.critical_mass`` is in agents.
    """

    question: Question
    runs: pd.DataFrame
    curve: DoseResponse

    @property
    def doses(self) -> list[Dose]:
        """How many runs flipped with each number of committed agents."""
        pairs = zip(self.runs["committed"].tolist(), self.runs["flipped"].tolist(), strict=True)
        return merge([Dose(committed, int(flipped), 1) for committed, flipped in pairs])

    @property
    def critical_share(self) -> Estimate:
        """The share of all agents, committed ones among them, at which half of the runs flip."""
        agents = self.question.agents
        return Estimate(*(bound / agents for bound in self.curve.critical_mass))

    @property
    def stability(self) -> Proportion:
        """Of the runs with nobody committed, the share that ends with the convention still there.

        That is: its name was played most in the last three rounds.
        """
        alone = self.runs[self.runs["committed"] == 0]
        stays = (alone["winner"] == self.question.direction.incumbent) & ~alone["flipped"]
        return proportion(stays, self.curve.level)

    @property
    def lasting(self) -> Proportion:
        """Of the runs that flipped, the share in which it lasted once the committed had left."""
        return proportion(self.runs["lasts"], self.curve.level)

    def time(self, committed: int) -> ConvergenceTime:
        """Return how long a flip takes with a number of committed agents.

        Parameters
        ----------
        committed : int
            A number of committed agents that was played.

        Returns
        -------
        ConvergenceTime
            In interactions; runs without a flip are censored.
        """
        return flip_time(self.runs[self.runs["committed"] == committed], self.curve.level)

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per number committed: flips, rounds to a flip, and whether flips last.

        ``committed``, ``committed_share``, ``runs``, ``flipped``; ``flip_share``, ``rounds`` (the
        median, in population rounds) and ``lasts``, each with ``_low`` and ``_high``; ``left`` is
        the number of runs that were played on after the committed had left.
        """
        agents, level = self.question.agents, self.curve.level
        rows = []
        for dose in self.doses:
            lasts = proportion(self.runs["lasts"][self.runs["committed"] == dose.committed], level)
            low, high = exact_interval(dose.flipped, dose.runs, level)
            rows.append(
                {
                    "committed": dose.committed,
                    "committed_share": dose.committed / agents,
                    "runs": dose.runs,
                    "flipped": dose.flipped,
                    "flip_share": dose.share,
                    "flip_low": low,
                    "flip_high": high,
                    **columns("rounds", self.time(dose.committed).median, agents),
                    "left": lasts.trials,
                    **columns("lasts", lasts.estimate),
                }
            )
        return pd.DataFrame(rows)

    @property
    def row(self) -> dict[str, Any]:
        """The condition and its critical mass as a row of ``Tipping.table``."""
        below, above = self.curve.bracket
        return {
            **self.question.columns,
            **columns("critical", self.curve.critical_mass),
            **columns("critical_share", self.critical_share),
            **columns("stays", self.stability.estimate),
            **columns("lasts", self.lasting.estimate),
            "surely_below": below,
            "surely_above": above,
            "misfit": self.curve.misfit,
            "heterogeneity": self.curve.heterogeneity,
            "runs": len(self.runs),
        }

    @property
    def sentence(self) -> str:
        """The result in words."""
        mass, agents = self.curve.critical_mass, self.question.agents
        incumbent, challenger = self.question.direction
        rounds = self.question.phases.rounds
        text = (
            f"{incumbent} is overturned by {challenger} within {rounds} rounds in half of the runs "
        )
        if math.isinf(mass.value):
            tried = self.doses[-1].committed
            text += f"by none of the numbers tried (up to {tried} of {agents})."
        elif mass.value == 0:
            text += "though nobody is committed."
        else:
            share = self.critical_share
            text += (
                f"by {mass.value:.2f} ({formatting.bounds(mass, '.2f', BEYOND)}) of {agents} agents"
                f" ({share.value:.1%}, {formatting.bounds(share, '.1%', BEYOND)})."
            )
        if self.lasting.trials:
            text += (
                f" After the committed have left, it lasts in {self.lasting.estimate.value:.0%} of"
                f" {self.lasting.trials} flipped runs."
            )
        return text


@dataclass(frozen=True)
class Tipping:
    """The tipping points of all conditions, in the order in which they were asked for.

    Attributes
    ----------
    points : tuple of TippingPoint
        One for each condition.
    seed : int
        The seed of all runs.
    usage : Totals or None
        What the calls to live minds used; None where no mind is live.
    """

    points: tuple[TippingPoint, ...]
    seed: int
    usage: Totals | None = None

    @property
    def table(self) -> pd.DataFrame:
        """One row per condition: the condition, and what ``docs/tipping.md`` explains.

        ``critical`` (the critical mass, in agents), ``critical_share``, ``stays`` and ``lasts``,
        each with ``_low`` and ``_high``, then ``surely_below``, ``surely_above``, ``misfit``,
        ``heterogeneity`` and ``runs``.
        """
        return pd.DataFrame([point.row for point in self.points])

    @property
    def doses(self) -> pd.DataFrame:
        """One row per condition and number committed; see ``TippingPoint.table``."""
        return self._join(point.table for point in self.points)

    @property
    def runs(self) -> pd.DataFrame:
        """One row per run; see ``TippingPoint.runs``."""
        return self._join(point.runs for point in self.points)

    def _join(self, tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
        labelled = []
        for point, table in zip(self.points, tables, strict=True):
            condition = pd.DataFrame([point.question.columns] * len(table), index=table.index)
            labelled.append(pd.concat([condition, table], axis=1))
        return pd.concat(labelled, ignore_index=True)

    @property
    def labels(self) -> list[str]:
        """The conditions in words, without what they have in common."""
        words = [(one.question.placement, one.question.topology) for one in self.points]
        varied = [place for place in (0, 1) if len({word[place] for word in words}) > 1]
        return [
            ", ".join([str(one.question.direction), *(word[place] for place in varied)])
            for one, word in zip(self.points, words, strict=True)
        ]

    @property
    def sentences(self) -> list[str]:
        """The result of every condition in words, preceded by its label where that is needed."""
        labels = self.labels
        if labels == [str(point.question.direction) for point in self.points]:
            return [point.sentence for point in self.points]
        return [
            f"{name}: {point.sentence}" for name, point in zip(labels, self.points, strict=True)
        ]


@seeded_by_rng
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
    **conditions: Any,
) -> Tipping:
    """Find how many committed agents overturn a convention.

    Everybody starts out remembering the incumbent, and committed agents always play the challenger.
    The convention is overturned if the challenger makes up 95% of the names played in three
    population rounds. The same arguments give the same results, for any ``workers``, ``executor``
    and ``engine``.

    Parameters
    ----------
    graph : str, path or graph
        The network (default ``"complete(n=24)"``); see ``topologies`` for several.
    names : str or sequence of str
        The pool (default ``"QM"``).
    mind : str, Mind or mapping
        The mind of everybody who is not committed, or a mix (default ``"claude-3.5-sonnet"``).
    pairing : str or Pairing
        Who interacts with whom: ``"node"`` (default), ``"edge"``, ``"matching"`` or an object.
    memory : int
        How many interactions agents remember (default 5).
    workers : int
        Processes to play in (default 1); each plays whole conditions.
    executor : concurrent.futures.Executor, optional
        Plays conditions instead of processes of its own.
    progress : callable, optional
        Called with the runs done and the runs in all.
    llm : LLMSettings, optional
        How live minds are called: one budget and one journal for everything. The runs of a batch
        are played side by side; with ``resume`` and the same arguments, no recorded reply is asked
        for again.
    **conditions
        ``directions``: pairs ``(incumbent, challenger)``; of two names both ways by default.
        ``placements``: where the committed sit, ``random`` by default; see
        ``networks.place_committed``. ``topologies``: networks instead of ``graph``. ``sizes``: what
        fills in ``{size}`` in them. Every combination of these is a condition. ``rounds``:
        population rounds to flip within (default 30). ``after``: rounds played after a flip, once
        nobody is committed (default: ``rounds``; 0 for none). ``most``: the largest share committed
        (default 1.0). ``noise``: the chance that a committed agent plays another name (default 0).
        ``runs``: how many in all, shared equally by the conditions (default 2,000;
        with live minds 40 per condition). ``level``: how often intervals hold (default 0.95).
        ``rng``: the seed.
        ``engine``: ``"auto"`` (default), ``"python"`` or ``"kernel"``.

    Returns
    -------
    Tipping
        A ``TippingPoint`` for each condition; ``table``, ``doses`` and ``runs`` of all of them.

    Raises
    ------
    SpecError
        For an argument that is not valid, and for too few runs.
    BudgetError, CallError, DecisionError
        As live runs do.

    References
    ----------
    B. T. Neyer, "A D-optimality-based sensitivity test", Technometrics 36, 61 (1994): which number
    of committed agents is played next. D. Centola et al., "Experimental evidence for tipping points
    in social convention", Science 360, 1116 (2018): the question.
    """
    plan = plan_tipping(graph, names, mind, pairing, memory, **conditions)
    return play_tipping(plan, workers=workers, executor=executor, progress=progress, llm=llm)


def play_tipping(
    plan: TippingPlan,
    *,
    workers: int = 1,
    executor: Executor | None = None,
    progress: Progress | None = None,
    llm: LLMSettings | None = None,
) -> Tipping:
    """Find the tipping points of a plan that was read already; see ``tip``."""
    report = add_up(plan.runs, progress)
    workers = read_workers(workers)
    client = None
    if plan.base.live:
        check_here(executor, plan.questions[0].phases.engine)
        client = SharedBudget(llm).client("runs", plan.describe())
    with choose_backend(client, workers=workers, executor=executor) as backend:
        found = _sample_all(plan, backend, report)
        usage = client.usage if client is not None else None
    points = map(conclude, plan.questions, found, [plan.level] * len(found))
    return Tipping(tuple(points), plan.base.seed, usage)


def conclude(question: Question, played: Sampled, level: float) -> TippingPoint:
    """Return the tipping point that runs, each with its number of committed agents, show."""
    table = pd.DataFrame(
        [{"committed": committed, **one._asdict()} for committed, one in played]
    ).sort_values(["committed", "run"], ignore_index=True)
    table["lasts"] = table["lasts"].astype("boolean")
    doses = [Dose(committed, int(one.flipped), 1) for committed, one in played]
    return TippingPoint(question, table, fit_dose_response(doses, level))


def forecast_tipping(plan: TippingPlan, llm: LLMSettings) -> list[Part]:
    """Return what every condition will use of live minds; no provider is called.

    Recorded minds are the proxies of live ones, also in choosing how many agents are committed.

    Raises
    ------
    MindError
        Where no mind is live.
    """
    check_live(plan.base)
    invalidate_caches()
    parts = []
    for question in plan.questions:
        played = _sample(question, plan.most, plan.budget, _play_proxies)
        counts = Counter(committed for committed, _ in played)
        found = [
            forecast_first_phase(question.spec(committed), question.phases, runs, llm)
            for committed, runs in sorted(counts.items())
        ]
        flipped = sum(one.flipped for _, one in played)
        found += forecast_second_phase(question.base, question.phases, flipped, llm)
        parts.append(Part(str(question), plan.budget, tuple(found)))
    return parts


def play_all(
    backend: Backend,
    function: Callable[..., T],
    calls: Iterable[tuple[Any, ...]],
    done: Callable[[], None] = lambda: None,
) -> list[T]:
    """Return the results of calls in their order; ``done`` is called as each finishes."""
    found: dict[int, T] = {}
    with closing(backend.play(function, calls)) as results:
        for number, result in results:
            found[number] = result
            done()
    return [found[number] for number in sorted(found)]


def check_live(*specs: Spec) -> None:
    """Raise ``MindError`` where none of the specs has a live mind: there is nothing to forecast."""
    if not any(spec.live for spec in specs):
        label = specs[0].mind_label
        raise MindError("mind", label, "no mind is live", "Recorded minds cost nothing.")


def add_up(total: int, progress: Progress | None) -> Callable[[int], None]:
    """Return a function that adds runs done to those before and reports them to ``progress``."""
    done = 0

    def report(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            progress(done, total)

    return report


def _sample_all(
    plan: TippingPlan, backend: Backend, report: Callable[[int], None]
) -> list[Sampled]:
    """Play all conditions; other processes take whole ones."""
    calls = [(one, plan.most, plan.budget) for one in plan.questions]
    if not backend.elsewhere:  # so that every batch can be reported
        play = play_runs if backend.client is None else _LiveRuns(backend)
        return [_sample(*call, play, report) for call in calls]
    return play_all(backend, _sample, calls, lambda: report(plan.budget))


def _sample(
    question: Question,
    most: float,
    budget: int,
    play: Batch = play_runs,
    report: Callable[[int], None] = lambda _: None,
) -> Sampled:
    """Play ``budget`` runs where they are most informative; return each with its number committed.

    Run k begins with the same random draws at every count, unless ``play`` numbers runs itself.
    """
    played: Sampled = []
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
        outcomes = play(specs[count], batch, question.phases)
        played += [(count, outcome) for outcome in outcomes]
        flipped = sum(outcome.flipped for outcome in outcomes)
        doses[count] = Dose(count, dose.flipped + flipped, batch.stop)
        report(len(outcomes))
    return played


def _play_proxies(spec: Spec, runs: range, phases: Phases) -> list[TwoPhaseRun]:
    """Play runs with recorded minds in the place of live ones."""
    return [
        play_phases(spec, run, phases, initial=without_calls(spec.initial_state(run)))
        for run in runs
    ]


class _LiveRuns:
    """Plays the runs of a batch at the same time, with one client for all conditions.

    Runs are numbered consecutively over all conditions, as the journal knows runs by their numbers.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._begun = 0

    def __call__(self, spec: Spec, runs: range, phases: Phases) -> list[TwoPhaseRun]:
        numbers = range(self._begun, self._begun + len(runs))
        self._begun = numbers.stop
        return play_all(self._backend, play_phases, ((spec, number, phases) for number in numbers))
