"""``compare_interventions``: what undoes or prevents a convention, side by side, and at what cost.

Runs of the same number begin alike with every intervention, and with none, so that interventions
are compared run by run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from mesa_llm_norms.analysis.intervals import (
    LEVEL,
    Estimate,
    exact_interval,
    exact_test,
    holm,
    read_level,
    share_difference,
)
from mesa_llm_norms.core import formatting, limits
from mesa_llm_norms.core.limits import (
    choose,
    read_number,
    read_seed,
    read_whole,
    read_workers,
    seeded_by_rng,
)
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.errors import SpecError, shown
from mesa_llm_norms.experiments.cost_forecast.result import Part
from mesa_llm_norms.experiments.tipping.conditions import (
    ROUNDS,
    Phases,
    TwoPhaseRun,
    forecast_first_phase,
    forecast_second_phase,
    play_phases,
    play_runs,
    read_directions,
    read_phases,
    read_share,
)
from mesa_llm_norms.experiments.tipping.search import (
    Progress,
    add_up,
    check_live,
    columns,
    flip_time,
    from_columns,
    play_all,
    proportion,
)
from mesa_llm_norms.llm.client import SharedBudget
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.minds.registry import DEFAULT_MIND
from mesa_llm_norms.networks.adjacency import graph_size
from mesa_llm_norms.networks.generators import rewire
from mesa_llm_norms.networks.placement import PLACEMENTS
from mesa_llm_norms.networks.reading import read_graph
from mesa_llm_norms.simulation.backends import check_here, choose_backend
from mesa_llm_norms.simulation.ensemble import load_graph
from mesa_llm_norms.simulation.serialization import summary
from mesa_llm_norms.simulation.spec import STUDY_GRAPH, Spec

if TYPE_CHECKING:
    from mesa_llm_norms.llm.client import LLMClient
    from mesa_llm_norms.llm.journal.rows import Totals

GOALS = ("undo", "prevent")

RUNS, LIVE_RUNS = 500, 20
"""Of every intervention, and of every one where minds are live."""

NOTHING = "nothing"
"""The label of the intervention that does nothing, which is always compared."""


class Cost(NamedTuple):
    """How many agents are touched, and how many edges moved."""

    agents: int
    edges: int


@dataclass(frozen=True, kw_only=True)
class Intervention:
    """A change to a population: any of these, or several at once.

    Parameters
    ----------
    committed : int
        Agents that always play the alternative (default 0).
    placement : str
        Where they sit: ``"random"`` (default) or another placement of ``place_committed``.
    noise : float
        The chance that they play another name instead, drawn uniformly (default 0).
    memory : int, optional
        How many interactions all agents remember instead.
    rewired : float
        The share of edges that are exchanged, every degree kept (default 0).
    other : str or Mind, optional
        A mind that some agents, drawn at random, get instead of theirs.
    other_share : float
        The share of the agents that get it (default 0).

    Raises
    ------
    SpecError
        For a value that is not valid.
    """

    committed: int = 0
    placement: str = "random"
    noise: float = 0.0
    memory: int | None = None
    rewired: float = 0.0
    other: Any = None
    other_share: float = 0.0

    def __post_init__(self) -> None:
        read_whole("committed", self.committed, limits.COMMITTED)
        choose("placement", (self.placement,), PLACEMENTS)
        read_share("noise", self.noise)
        read_share("rewired", self.rewired)
        read_share("other_share", self.other_share)
        if self.noise and not self.committed:
            problem = "noise is that of committed agents, and there are none"
            raise SpecError("noise", self.noise, problem, "Give committed, too, or leave it out.")
        if (self.other is None) != (self.other_share == 0):
            raise SpecError(
                "other",
                self.other,
                "another mind needs a share, and a share another mind",
                "Give other and other_share together.",
            )

    @property
    def label(self) -> str:
        """The intervention in words."""
        parts = []
        if self.committed:
            how = [] if self.placement == "random" else [self.placement]
            how += [f"{self.noise:.3g} noise"] if self.noise else []
            where = f" ({', '.join(how)})" if how else ""
            parts.append(f"{self.committed} committed{where}")
        if self.memory is not None:
            parts.append(f"memory {self.memory}")
        if self.rewired:
            parts.append(f"{self.rewired:.0%} rewired")
        if self.other is not None:
            parts.append(f"{self.other_share:.0%} {getattr(self.other, 'label', self.other)}")
        return ", ".join(parts) or NOTHING

    def cost(self, spec: Spec) -> Cost:
        """Return what the intervention touches in a population.

        Parameters
        ----------
        spec : Spec
            The population before the intervention.

        Returns
        -------
        Cost
            Agents touched and edges moved.
        """
        agents, edges = graph_size(
            read_graph(spec.graph, RandomStream(spec.seed).generator("graph"))
        )
        everybody = self.memory is not None and self.memory != spec.memory
        others = round(self.other_share * agents)
        touched = agents if everybody else min(agents, self.committed + others)
        return Cost(touched, 2 * round(self.rewired * edges / 2))

    def _change(self, spec: Spec, alternative: str) -> Spec:
        """Return the spec of runs with the intervention, edges left where they are."""
        mind = spec.mind
        if self.other is not None:
            mind = {spec.mind: 1 - self.other_share, self.other: self.other_share}
        return replace(
            spec,
            committed={
                alternative: {
                    "agents": self.committed,
                    "placement": self.placement,
                    "noise": self.noise,
                }
            },
            memory=spec.memory if self.memory is None else self.memory,
            mind=mind,
        )

    def _rewire(self, spec: Spec, run: int) -> Spec:
        """Return the spec for one run, its edges rewired if that is part of the intervention."""
        if not self.rewired:
            return spec
        stream = RandomStream(spec.seed, run)
        graph = read_graph(spec.graph, stream.generator("graph"))
        return replace(spec, graph=rewire(graph, self.rewired, stream.generator("rewired"))[0])


@dataclass(frozen=True)
class InterventionPlan:
    """What is compared, as ``plan_interventions`` read it.

    ``base`` is the population that nothing is done about, and ``specs`` what each of
    ``interventions``, nothing first, makes of it, edges aside. ``prices`` are those of an agent and
    of an edge.
    """

    goal: str
    convention: str
    base: Spec
    interventions: tuple[Intervention, ...]
    specs: tuple[Spec, ...]
    phases: Phases
    runs: int
    enough: float
    prices: tuple[float, float]
    level: float

    @property
    def live(self) -> bool:
        """Whether any intervention has live minds."""
        return any(spec.live for spec in self.specs)


@dataclass(frozen=True)
class Comparison:
    """The effect of every intervention, nothing first.

    Attributes
    ----------
    goal, convention, alternative : str
        ``"undo"`` or ``"prevent"``, what, and the name that is to take its place.
    enough : float
        The share of runs in which an intervention has to work.
    table : pandas.DataFrame
        One row per intervention: ``intervention``, ``runs``, ``worked`` (the share of runs, with an
        exact interval), ``more`` (the difference to doing nothing, with Newcombe's interval), ``p``
        (McNemar's exact test on runs of the same number, Holm's correction), ``rounds`` (the median
        until the alternative had taken over), ``lasts`` (of the runs in which it had, the share in
        which it was still there after the committed had left), ``agents``, ``edges`` and ``cost``.
        Bounds of intervals end in ``_low`` and ``_high``.
    runs : pandas.DataFrame
        One row per run.
    seed : int
        The seed of all runs.
    level : float
        How often intervals hold.
    usage : Totals or None
        What the calls to live minds used; None where no mind is live.
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
        """The label of the cheapest intervention that works; of equals, the one that works more.

        It works if that is sure to be in more than ``enough`` of the runs; None where none does.
        """
        good = self.table[self.table["worked_low"] > self.enough]
        if good.empty:
            return None
        order = good.sort_values(["cost", "worked"], ascending=[True, False], kind="stable")
        return str(order["intervention"].iloc[0])

    @property
    def sentence(self) -> str:
        """The result in a sentence."""
        goal = f"To {self.goal} {self.convention}"
        if self.cheapest is None:
            return f"{goal}, none of these is shown to work in more than {self.enough:.0%} of runs."
        row = self.table[self.table["intervention"] == self.cheapest].iloc[0]
        worked = from_columns(row.to_dict(), "worked")
        return (
            f"{goal}, the cheapest of those that work in more than {self.enough:.0%} of runs is: "
            f"{self.cheapest} ({worked.value:.0%} of runs, {formatting.bounds(worked, '.0%')};"
            f" agents touched: {row['agents']}, edges moved: {row['edges']})."
        )


@seeded_by_rng
def compare_interventions(
    convention: str,
    alternative: str,
    interventions: Sequence[Intervention],
    *,
    workers: int = 1,
    executor: Executor | None = None,
    progress: Progress | None = None,
    llm: LLMSettings | None = None,
    **population: Any,
) -> Comparison:
    """Play every intervention, and nothing, and compare how often they work.

    Parameters
    ----------
    convention : str
        The name that is to go, or not to come.
    alternative : str
        The name that is to take its place.
    interventions : sequence of Intervention
        What to compare with doing nothing.
    workers : int
        Processes to play in (default 1); each plays whole interventions.
    executor : concurrent.futures.Executor, optional
        Plays interventions instead of processes of its own.
    progress : callable, optional
        Called with the runs done and the runs in all.
    llm : LLMSettings, optional
        How live minds are called: one budget for everything, and a journal for each intervention.
    **population
        ``graph``, ``names``, ``mind``, ``pairing``, ``memory``, ``rounds``, ``after``, ``level``,
        ``rng`` and ``engine`` as in ``tip``. ``goal``: with ``"undo"`` (default) everybody starts
        out remembering the convention, and an intervention works if the alternative makes up 95% of
        the names played in three rounds, within ``rounds``; with ``"prevent"`` memories are empty,
        and it works if after ``rounds`` rounds, or once the alternative has taken over, the
        convention is not the name played most. ``runs``: of each intervention (default 500; 20
        where minds are live). ``enough``: the share of runs in which it has to work (default 0.5).
        ``agent_price``, ``edge_price``: the cost of an agent that is committed, or gets another
        mind or memory, and of an edge that is moved (default 1 each).

    Returns
    -------
    Comparison
        One row for each intervention, and which is cheapest.

    Raises
    ------
    SpecError
        For an argument that is not valid.
    GraphError
        For edges that cannot be rewired.
    BudgetError, CallError, DecisionError
        As live runs do.
    """
    plan = plan_interventions(convention, alternative, interventions, **population)
    return play_interventions(plan, workers=workers, executor=executor, progress=progress, llm=llm)


def plan_interventions(
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
    runs: int | None = None,
    enough: float = 0.5,
    agent_price: float = 1.0,
    edge_price: float = 1.0,
    level: float = LEVEL,
    rng: Any = None,
    engine: str = "auto",
) -> InterventionPlan:
    """Read and check the arguments of ``compare_interventions``, which describes them.

    Raises
    ------
    SpecError
        For an argument that is not valid.
    GraphError
        For edges that cannot be rewired.
    """
    if not isinstance(goal, str) or goal not in GOALS:
        raise SpecError("goal", goal, f"{shown(goal)} is unknown", f"Use one of {GOALS}.")
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
    if isinstance(base.mind, dict) and any(one.other is not None for one in interventions):
        raise SpecError(
            "mind",
            base.mind_label,
            "another mind cannot be added to a mix of minds",
            "Give one mind for all.",
        )
    if not interventions:
        raise SpecError("interventions", interventions, "there is none", "Give at least one.")
    phases = read_phases(alternative, rounds, after, engine)
    every = Intervention(), *(one for one in interventions if one != Intervention())
    specs = tuple(one._change(base, alternative) for one in every)
    for one, spec in zip(every, specs, strict=True):
        one._rewire(spec, 0)  # raises now what would be raised after others were played
    if runs is None:
        runs = LIVE_RUNS if any(spec.live for spec in specs) else RUNS
    return InterventionPlan(
        goal,
        convention,
        base,
        every,
        specs,
        phases,
        read_whole("runs", runs, limits.RUNS),
        read_number("enough", enough, limits.SHARE),
        (
            read_number("agent_price", agent_price, limits.PRICE_OF_CHANGE),
            read_number("edge_price", edge_price, limits.PRICE_OF_CHANGE),
        ),
        read_level(level),
    )


def play_interventions(
    plan: InterventionPlan,
    *,
    workers: int = 1,
    executor: Executor | None = None,
    progress: Progress | None = None,
    llm: LLMSettings | None = None,
) -> Comparison:
    """Play and compare what was read already; see ``compare_interventions``."""
    budget = SharedBudget(llm)
    workers = read_workers(workers)
    played = _play(plan, budget, workers, executor, progress)
    tables = [_run_table(one, runs, plan) for one, runs in played]
    rows = [
        _row(one, table, tables[0], plan)
        for one, table in zip(plan.interventions, tables, strict=True)
    ]
    corrected = holm([row["p"] for row in rows[1:]])
    for row, p_value in zip(rows[1:], corrected, strict=True):
        row["p"] = p_value
    return Comparison(
        plan.goal,
        plan.convention,
        plan.phases.name,
        plan.enough,
        pd.DataFrame(rows),
        pd.concat(tables, ignore_index=True),
        plan.base.seed,
        plan.level,
        budget.used,
    )


def forecast_interventions(plan: InterventionPlan, llm: LLMSettings) -> list[Part]:
    """Return what every intervention will use of live minds; no provider is called.

    Raises
    ------
    MindError
        Where no mind is live.
    """
    check_live(*plan.specs)
    parts = []
    for one, spec in zip(plan.interventions, plan.specs, strict=True):
        if spec.live:
            first = forecast_first_phase(spec, plan.phases, plan.runs, llm)
            flipped = round(plan.runs * (1 - first.missed))
            second = forecast_second_phase(spec, plan.phases, flipped, llm)
            parts.append(Part(one.label, plan.runs, (first, *second)))
    return parts


def _play(
    plan: InterventionPlan,
    budget: SharedBudget,
    workers: int,
    executor: Executor | None,
    progress: Progress | None,
) -> list[tuple[Intervention, list[TwoPhaseRun]]]:
    """Play the runs of every intervention; those with live minds each with their own journal."""
    if plan.live:
        check_here(executor, plan.phases.engine)
    report = add_up(plan.runs * len(plan.interventions), progress)
    pairs = list(zip(plan.interventions, plan.specs, strict=True))
    live = {
        number: _play_live(one, spec, plan, budget, f"{number:02}", report)
        for number, (one, spec) in enumerate(pairs)
        if spec.live
    }
    backend = choose_backend(workers=workers, executor=executor)
    calls = [(one, spec, plan.runs, plan.phases) for one, spec in pairs if not spec.live]
    offline = iter(play_all(backend, _play_here, calls, lambda: report(plan.runs)))
    return [
        (one, live[number] if spec.live else next(offline))
        for number, (one, spec) in enumerate(pairs)
    ]


def _play_here(one: Intervention, spec: Spec, runs: int, phases: Phases) -> list[TwoPhaseRun]:
    rewired = partial(one._rewire, spec) if one.rewired else None
    return play_runs(spec, range(runs), phases, rewired)


def _play_run(
    one: Intervention, spec: Spec, run: int, phases: Phases, client: LLMClient | None = None
) -> TwoPhaseRun:
    return play_phases(one._rewire(spec, run), run, phases, client)


def _play_live(
    one: Intervention,
    spec: Spec,
    plan: InterventionPlan,
    budget: SharedBudget,
    part: str,
    report: Callable[[int], None],
) -> list[TwoPhaseRun]:
    """Play the runs of an intervention at the same time."""
    content = {
        **summary(spec),
        "goal": plan.goal,
        "intervention": one.label,
        "rounds": plan.phases.rounds,
        "after": plan.phases.after,
        "runs": plan.runs,
    }
    client = budget.client(part, content)
    calls = ((one, spec, run, plan.phases) for run in range(plan.runs))
    with choose_backend(client) as backend:
        played = play_all(backend, _play_run, calls, lambda: report(1))
    budget.add(client.usage)
    return played


def _run_table(
    one: Intervention, runs: Sequence[TwoPhaseRun], plan: InterventionPlan
) -> pd.DataFrame:
    table = pd.DataFrame([run._asdict() for run in runs])
    undone = table["flipped"] if plan.goal == "undo" else table["winner"] != plan.convention
    return table.assign(
        worked=undone.astype(bool),
        lasts=table["lasts"].astype("boolean"),
        intervention=one.label,
    )


def _row(
    one: Intervention, table: pd.DataFrame, nothing: pd.DataFrame, plan: InterventionPlan
) -> dict[str, Any]:
    """Return the row of an intervention, its p-value not corrected yet."""
    worked, without, runs = int(table["worked"].sum()), int(nothing["worked"].sum()), len(table)
    gained = int((table["worked"] & ~nothing["worked"]).sum())
    lost = int((~table["worked"] & nothing["worked"]).sum())
    cost = one.cost(plan.base)
    agents = len(plan.base.initial_state().neighbors)
    share = Estimate(worked / runs, *exact_interval(worked, runs, plan.level))
    more = share_difference((worked, runs), (without, runs), plan.level)
    return {
        "intervention": one.label,
        "runs": runs,
        **columns("worked", share),
        **columns("more", more),
        "p": exact_test([gained, lost], [0.5, 0.5]),
        **columns("rounds", flip_time(table, plan.level).median, agents),
        **columns("lasts", proportion(table["lasts"], plan.level).estimate),
        "agents": cost.agents,
        "edges": cost.edges,
        "cost": cost.agents * plan.prices[0] + cost.edges * plan.prices[1],
    }
