"""``audit``: is a mind biased, is a group of it, and does the one explain the other?"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.formatting import spread
from mesa_llm_norms.core.limits import (
    read_number,
    read_seed,
    read_whole,
    read_workers,
    seeded_by_rng,
)
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.core.stopping import WINDOW, Goal, check_goal, read_rounds
from mesa_llm_norms.errors import MindError
from mesa_llm_norms.experiments.audits.individual import (
    IndividualBias,
    Interviewer,
    Query,
    ask_mind,
    questions,
    read_policy,
)
from mesa_llm_norms.experiments.audits.populations import (
    DRIFT,
    FIRST,
    SIZES,
    SYMMETRIC,
    Comparison,
    PlaySettings,
    Populations,
    Report,
    collective,
    compare,
    open_topology,
    play_nulls,
    play_populations,
    play_sizes,
    read_sizes,
)
from mesa_llm_norms.experiments.audits.probes import (
    Probes,
    comprehension_prompt,
    probe,
    probe_questions,
)
from mesa_llm_norms.experiments.audits.verdict import Audit, is_biased, reach_verdict
from mesa_llm_norms.experiments.cost_forecast.estimate import (
    assumed,
    cost_of,
    forecast,
    tokens_of,
)
from mesa_llm_norms.experiments.cost_forecast.result import (
    AS_BATCHES,
    Forecast,
    Range,
    cost,
    describe,
    plain,
)
from mesa_llm_norms.llm.budget import read_prices
from mesa_llm_norms.llm.client import SharedBudget
from mesa_llm_norms.llm.prompt import Prompt
from mesa_llm_norms.llm.provider import LiveMind
from mesa_llm_norms.llm.settings import LLMSettings, read_llm
from mesa_llm_norms.minds.mind import Mind, Policy, Situation
from mesa_llm_norms.minds.registry import DEFAULT_MIND
from mesa_llm_norms.networks.registry import fill, is_open
from mesa_llm_norms.simulation.serialization import summary
from mesa_llm_norms.simulation.spec import STUDY_GRAPH, Spec
from mesa_llm_norms.simulation.workers import WorkerPool

RUNS, ASKED_RUNS = 1_000, 20
"""Populations by default: of a mind whose probabilities are known, and of others."""

AGENTS = 24

TIMES, TIMES_AFTER = 60, 12
"""How often a mind is asked for its first choice, and on every longer memory, by default."""

LEVEL = 0.05

NOT_LIVE = "not applicable: this mind is a function of its memory and reads no prompt"


@seeded_by_rng
def audit(
    mind: Any,
    names: Any = "QM",
    graph: Any = "complete(n=24)",
    *,
    workers: int | None = 1,
    progress: Report | None = None,
    llm: LLMSettings | None = None,
    **arguments: Any,
) -> Audit:
    """Measure the individual and the collective bias of one mind, and compare them.

    The same arguments give the same audit, live minds aside.

    Parameters
    ----------
    mind : str or Mind
        The mind, or its name.
    names : str or sequence of str
        The pool (default ``"QM"``).
    graph : str, path or graph
        The network (default ``"complete(n=24)"``), which may leave the number of agents open, as in
        ``"ring(n={size}, k=4)"``.
    workers : int or None
        Processes to play in (default 1); None for one per processor.
    progress : callable, optional
        Called with what is being played, the runs done, and the runs in all.
    llm : LLMSettings, optional
        How a live mind is called, and what may be spent. With a folder, journals of everything are
        kept there, and ``resume`` continues from them.
    **arguments
        ``pairing``, ``memory``, ``reward``, ``penalty``, ``rounds``, ``window``, ``threshold`` and
        ``rng`` as in ``run_ensemble``. ``size``: what fills in ``{size}`` in ``graph`` (default
        24). ``runs``: how many populations, and as many under each null (default 1,000; 20 for a
        mind that has to be asked). ``sizes``: group sizes of the curve by size (default 2 to 1,000;
        none for a mind that has to be asked), on ``graph`` if it leaves its size open, else on
        complete graphs; ``size_runs``: populations of each (default: ``runs``). ``level``: the rate
        of false alarms of a test (default 0.05). ``times``, ``times_after``: how often a mind that
        gives no probabilities is asked for its first choice, and on every memory of one and two
        interactions (default 60 and 12). ``probes``: whether a live mind is probed (default True).

    Returns
    -------
    Audit
        Individual bias, winners of populations, comparisons with nulls, and a verdict.

    Raises
    ------
    SpecError
        For an argument that is not valid.
    MindError
        For a mix of minds, and for a mind that cannot play.
    BudgetError, CallError, DecisionError
        As live runs do.
    """
    plan = plan_audit(mind, names, graph, **arguments)
    return run_audit(plan, workers=workers, progress=progress, llm=llm)


@dataclass(frozen=True)
class AuditPlan:
    """An audit to be run, as ``plan_audit`` read it."""

    spec: Spec
    runs: int
    goal: Goal
    rounds: int | None
    topology: str
    sizes: tuple[int, ...]
    size_runs: int
    level: float
    times: int
    times_after: int
    probes: bool

    @property
    def mind(self) -> Mind:
        """The mind that is audited."""
        return self.spec.minds[0]

    @property
    def live(self) -> LiveMind | None:
        """The mind if it is live, else None."""
        return self.mind if isinstance(self.mind, LiveMind) else None

    def describe(self) -> dict[str, Any]:
        """Return the plan as plain data, for a journal."""
        return {
            **summary(self.spec),
            "runs": self.runs,
            "goal": list(self.goal),
            "rounds": self.rounds,
            "sizes": list(self.sizes),
            "size_runs": self.size_runs,
            "times": self.times,
            "times_after": self.times_after,
            "probes": self.probes,
        }


def plan_audit(
    mind: Any = DEFAULT_MIND,
    names: Any = "QM",
    graph: Any = STUDY_GRAPH,
    size: int | None = None,
    pairing: Any = "node",
    memory: int = 5,
    reward: float = 100,
    penalty: float = -50,
    rng: Any = None,
    runs: int | None = None,
    rounds: int | None = None,
    window: float = WINDOW,
    threshold: float = 1.0,
    sizes: Any = None,
    size_runs: int | None = None,
    level: float = LEVEL,
    times: int = TIMES,
    times_after: int = TIMES_AFTER,
    probes: bool = True,
) -> AuditPlan:
    """Read and check the arguments of ``audit``, which describes them, before anything is played.

    Raises
    ------
    SpecError, MindError
        For an argument that is not valid.
    """
    if isinstance(mind, Mapping):
        raise MindError(
            "mind", mind, "an audit is of one mind", "Audit the minds of a mix one by one."
        )
    spec = Spec(
        graph=fill(graph, AGENTS if size is None else size) if is_open(graph) else graph,
        names=names,
        mind=mind,
        pairing=pairing,
        memory=memory,
        reward=reward,
        penalty=penalty,
        seed=read_seed(rng),
    )
    if size is not None and not is_open(graph):
        fill(graph, size)  # which says that there is nothing to fill in
    known = isinstance(spec.minds[0], Policy)
    goal = Goal("converged", window, threshold)
    check_goal(goal, ())
    read_rounds(rounds, goal.until)
    read_number("level", level, limits.FALSE_ALARMS)
    number = (
        (RUNS if known else ASKED_RUNS)
        if runs is None
        else read_whole("runs", runs, limits.AUDIT_RUNS)
    )
    wanted = read_sizes((SIZES if known else ()) if sizes is None else sizes)
    each = number if size_runs is None else read_whole("size_runs", size_runs, limits.RUNS)
    plan = AuditPlan(
        spec,
        number,
        goal,
        rounds,
        open_topology(graph),
        wanted if each else (),
        each,
        float(level),
        read_whole("times", times, limits.ASKS),
        read_whole("times_after", times_after, limits.ASKS),
        probes,
    )
    for one in plan.sizes:
        fill(plan.topology, one)
    return plan


def run_audit(
    plan: AuditPlan,
    *,
    workers: int | None = 1,
    progress: Report | None = None,
    llm: LLMSettings | None = None,
) -> Audit:
    """Run an audit that was planned already; see ``audit``."""
    processes = read_workers(workers)
    budget = SharedBudget(llm, asks=True)
    with ExitStack() as held:
        executor = None
        if processes > 1 and plan.live is None:
            executor = held.enter_context(WorkerPool(processes))
        play = PlaySettings(plan.runs, plan.goal, plan.rounds, executor, progress, budget)
        return _make(plan, play)


def _make(plan: AuditPlan, play: PlaySettings) -> Audit:
    individual, probes = _ask(plan, play.budget)
    played, winners = None, None
    comparisons: tuple[Comparison, ...] = ()
    if plan.runs:
        played = play_populations("populations", plan.spec, play)
        winners = collective(played, 1 - plan.level)
        comparisons = _compare(plan, individual, played, play)
    sizes = None
    if plan.sizes:
        biased = is_biased(individual, plan.level)
        each = play._replace(runs=plan.size_runs)
        sizes = play_sizes(
            plan.spec, plan.topology, plan.sizes, individual, biased, each, plan.level
        )
    explained = next((one for one in comparisons if one.null == FIRST), None)
    return Audit(
        plan.spec,
        plan.level,
        individual,
        played,
        winners,
        comparisons,
        sizes,
        probes,
        reach_verdict(individual, played, winners, explained, plan.level),
        play.budget.used,
    )


def _ask(plan: AuditPlan, budget: SharedBudget) -> tuple[IndividualBias, Probes]:
    """Return what the mind prefers by itself, and the probes of a live mind."""
    mind, game, seed = plan.mind, plan.spec.naming_game, plan.spec.seed
    if isinstance(mind, Policy):
        return read_policy(mind, game, seed), Probes(NOT_LIVE)
    live = plan.live
    if live is None:
        interviewer = Interviewer(seed)
        individual = ask_mind(mind, game, interviewer, plan.times, plan.times_after, plan.level)
        return individual, Probes(NOT_LIVE)
    client = budget.client("asked", plan.describe())
    with closing(client):
        interviewer = Interviewer(seed, client)
        individual = ask_mind(mind, game, interviewer, plan.times, plan.times_after, plan.level)
        probes = Probes("they were switched off")
        if plan.probes:
            probes = probe(live, game, interviewer, plan.times, seed, plan.level)
        budget.add(client.usage)
    return individual, probes


def _compare(
    plan: AuditPlan, individual: IndividualBias, played: Populations, play: PlaySettings
) -> tuple[Comparison, ...]:
    nulls = play_nulls(plan.spec, individual, play)
    return tuple(
        compare(null, played, other, 1 - plan.level)
        for null, other in zip((SYMMETRIC, FIRST, DRIFT), nulls, strict=True)
    )


class AuditForecast(NamedTuple):
    """What a live audit takes: questions to single agents, and populations.

    ``asked`` is exact as long as every reply can be used. ``usd`` is None where no price is known.
    ``batch``: the questions are sent as batches, which is in ``usd``.
    """

    asked: int
    read: Range
    written: Range
    usd: Range | None
    populations: Forecast | None
    batch: bool = False

    def rows(self) -> list[tuple[str, str]]:
        """Return the forecast in words: a label and a range for each row."""
        rows = [
            ("questions to single agents", f"{self.asked:,}"),
            ("  tokens read", spread(self.read)),
            ("  tokens written", spread(self.written)),
            ("  cost", cost(self.usd)),
        ]
        if self.batch:
            rows.append(("  as batches", AS_BATCHES))
        if self.populations is not None:
            rows += [(f"populations: {label}", it) for label, it in describe(self.populations)]
        return rows

    def as_object(self) -> dict[str, Any]:
        """Return the forecast as plain data, for JSON."""
        return dict(plain(self))


def forecast_audit(plan: AuditPlan, llm: LLMSettings | None = None) -> AuditForecast:
    """Return what a live audit will take, but for other group sizes; no provider is called.

    Raises
    ------
    MindError
        Where the mind is not live.
    """
    llm = read_llm(llm)
    live = plan.live
    if live is None:
        raise MindError("mind", plan.mind.label, "it is not live", "Its audit costs nothing.")
    sizes = [sum(len(text.encode()) for text in prompt) for prompt in _prompts(plan)]
    read = tokens_of(float(np.mean(sizes))).times(len(sizes))
    written = assumed(live.provider, once=False).written.times(len(sizes))
    price = read_prices(llm.prices).of(live.provider.model, batch=llm.batch)
    usd = cost_of(live.provider, price, read, written)
    populations = None
    if plan.runs:
        populations = forecast(plan.spec, plan.goal, plan.rounds, plan.runs, llm)
    return AuditForecast(len(sizes), read, written, usd, populations, llm.batch)


def _prompts(plan: AuditPlan) -> list[Prompt]:
    """Return the prompt of every question."""
    live, game, seed = plan.live, plan.spec.naming_game, plan.spec.seed
    assert live is not None
    interviewer = Interviewer(seed)
    asked = [
        question
        for memory, number in questions(game, plan.times, plan.times_after)[0]
        for question in interviewer.balanced(live, game, memory, number)
    ]
    prompts: list[Prompt] = []
    if plan.probes:
        series, comprehension = probe_questions(live, game, interviewer, plan.times, seed)
        asked += [question for _, part in series for question in part]
        prompts = [comprehension_prompt(live.template, game, one) for one in comprehension]
    return [*map(_prompt, asked), *prompts]


def _prompt(question: Query) -> Prompt:
    assert isinstance(question.mind, LiveMind)
    return question.mind.sent(Situation(question.game, question.memory, 0, RandomStream(0), 0, 0))
