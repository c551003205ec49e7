"""What an audit will do, read and checked before anything is played or paid.

An audit: is a mind biased, is a group of it, and does the one explain the other?

What an audit of a live mind will take, before a single call is made.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.core.stopping import MOST, WINDOW, Goal, check_goal, read_rounds
from mesa_llm_norms.errors import MindError, SpecError
from mesa_llm_norms.experiments.audits.individual import (
    Asked,
    Fixed,
    IndividualBias,
    Interviewer,
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
    Play,
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
from mesa_llm_norms.experiments.audits.probes import Probes, probe, probe_questions, put_question
from mesa_llm_norms.experiments.audits.verdict import Audit, is_biased, reach
from mesa_llm_norms.experiments.cost_forecast.estimate import forecast
from mesa_llm_norms.experiments.cost_forecast.result import (
    Forecast,
    Range,
    assumed,
    cost,
    count,
    describe,
    in_words,
    tokens_of,
)
from mesa_llm_norms.llm.budget import FREE, read_prices
from mesa_llm_norms.llm.client import SharedBudget
from mesa_llm_norms.llm.mind import LiveMind
from mesa_llm_norms.llm.prompt import Prompt
from mesa_llm_norms.llm.provider import Usage
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.minds.mind import Mind, Policy, Situation
from mesa_llm_norms.minds.registry import DEFAULT_MIND
from mesa_llm_norms.networks.registry import fill, is_open
from mesa_llm_norms.simulation.spec import STUDY_GRAPH, Spec
from mesa_llm_norms.simulation.workers import WorkerPool
from mesa_llm_norms.validation import read_seed, read_whole

RUNS, ASKED_RUNS = 1_000, 20
"""Populations where none are asked for: of a mind whose probabilities are known, and of others."""


AGENTS = 24


TIMES, TIMES_AFTER = 60, 12
"""How often a mind is asked for its first choice, and on every memory, at least."""


LEVEL = 0.05


@dataclass(frozen=True)
class Plan:
    """An audit about to be made; see ``audit`` for what the arguments are."""

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
        """The same where it is live, and None where it is not."""
        return self.mind if isinstance(self.mind, LiveMind) else None

    def describe(self) -> dict[str, Any]:
        """Return what is asked as plain data, for a journal."""
        return {
            **self.spec.describe(),
            "runs": self.runs,
            "goal": list(self.goal),
            "rounds": self.rounds,
            "sizes": list(self.sizes),
            "size_runs": self.size_runs,
            "times": self.times,
            "times_after": self.times_after,
            "probes": self.probes,
        }


def read_plan(
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
) -> Plan:
    """Return the plan that the arguments of ``audit`` make; ``SpecError`` for what cannot be."""
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
    if isinstance(level, bool) or not isinstance(level, (int, float)) or not 0 < level <= 0.5:
        raise SpecError("level", level, f"{level!r} is no rate of false alarms", "Use 0.05.")
    number = (RUNS if known else ASKED_RUNS) if runs is None else read_whole("runs", runs, 0, MOST)
    wanted = read_sizes((SIZES if known else ()) if sizes is None else sizes)
    each = number if size_runs is None else read_whole("size_runs", size_runs, 1, MOST)
    plan = Plan(
        spec,
        number,
        goal,
        rounds,
        open_topology(graph),
        wanted if each else (),
        each,
        float(level),
        read_whole("times", times, 1, 100_000),
        read_whole("times_after", times_after, 1, 100_000),
        probes,
    )
    for one in plan.sizes:
        fill(plan.topology, one)
    return plan


NOT_LIVE = "not applicable: this mind is a function of its memory and reads no prompt"


def audit(
    mind: Any,
    names: Any = "QM",
    graph: Any = "complete(n=24)",
    *,
    workers: int | None = 1,
    progress: Report | None = None,
    llm: LLMSettings | None = None,
    **others: Any,
) -> Audit:
    """Measure the individual and the collective bias of one mind, and hold them against each other.

    ``mind``, ``names``, ``graph``, ``pairing``, ``memory``, ``reward``, ``penalty`` and ``rng`` are
    those of ``run_ensemble``, ``rounds``, ``window`` and ``threshold`` too. ``graph`` may leave the
    number of agents open, as in ``"ring(n={size}, k=4)"``; ``size`` then fills it in (24).

    ``runs`` populations are played (1,000; 20 of a mind that has to be asked), and as many of every
    null. ``sizes`` are those of the curve of bias by size (2 to 1,000; none for a mind that has to
    be asked), on the same topology where it leaves its size open and on complete graphs elsewhere,
    with ``size_runs`` populations each (as many as ``runs``). ``level`` is how often a test raises
    a false alarm.

    A mind that gives no probabilities is asked: ``times`` for its first choice, ``times_after`` on
    every memory of one and two interactions. A live one is also probed, unless ``probes`` is False.
    ``calls`` says how it is called and what may be spent; with a folder, journals of everything are
    kept there, and ``resume`` goes on from them. ``progress`` is called with what is played, runs
    done and runs in all.

    The same arguments give the same audit, live minds aside.
    """
    plan = read_plan(mind, names, graph, **others)
    return make_audit(plan, workers=workers, progress=progress, llm=llm)


def make_audit(
    plan: Plan,
    *,
    workers: int | None = 1,
    progress: Report | None = None,
    llm: LLMSettings | None = None,
) -> Audit:
    """Make an audit that is planned already; see ``audit``."""
    processes = read_whole("workers", os.cpu_count() or 1 if workers is None else workers, 1, 1_000)
    accounts = SharedBudget(llm)
    with ExitStack() as held:
        executor = None
        if processes > 1 and plan.live is None:
            executor = held.enter_context(WorkerPool(processes))
        play = Play(plan.runs, plan.goal, plan.rounds, executor, progress, accounts)
        return _make(plan, play)


def _make(plan: Plan, play: Play) -> Audit:
    individual, probes = _listen(plan, play.accounts)
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
        reach(individual, played, winners, explained, plan.level),
        play.accounts.used,
    )


def _listen(plan: Plan, accounts: SharedBudget) -> tuple[IndividualBias, Probes]:
    """Return what the mind prefers by itself, and the probes of a live one."""
    mind, game, seed = plan.mind, plan.spec.game, plan.spec.seed
    if isinstance(mind, Policy):
        return read_policy(mind, game, seed), Probes(NOT_LIVE)
    live = plan.live
    if live is None:
        interviewer = Interviewer(seed)
        heard = ask_mind(mind, game, interviewer, plan.times, plan.times_after, plan.level)
        return heard, Probes(NOT_LIVE)
    client = accounts.client("asked", plan.describe())
    with closing(client):
        interviewer = Interviewer(seed, client)
        heard = ask_mind(mind, game, interviewer, plan.times, plan.times_after, plan.level)
        probes = Probes("they were not asked for")
        if plan.probes:
            probes = probe(live, game, interviewer, plan.times, seed, plan.level)
        accounts.add(client.usage)
    return heard, probes


def _compare(
    plan: Plan, individual: IndividualBias, played: Populations, play: Play
) -> tuple[Comparison, ...]:
    nulls = play_nulls(plan.spec, individual, play)
    return tuple(
        compare(null, played, other, 1 - plan.level)
        for null, other in zip((SYMMETRIC, FIRST, DRIFT), nulls, strict=True)
    )


class AuditForecast(NamedTuple):
    """What a live audit takes: the questions asked of single agents, and the populations.

    ``asked`` is exact as long as every reply can be used. ``usd`` is None where no price is known.
    """

    asked: int
    read: Range
    written: Range
    usd: Range | None
    populations: Forecast | None

    def rows(self) -> list[tuple[str, str]]:
        """Return it in words: a label and a range each."""
        rows = [
            ("questions to single agents", f"{self.asked:,}"),
            ("  tokens read", in_words(self.read, count)),
            ("  tokens written", in_words(self.written, count)),
            ("  cost", cost(self.usd)),
        ]
        if self.populations is not None:
            rows += [(f"populations: {label}", it) for label, it in describe(self.populations)]
        return rows

    def as_object(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it."""
        return {
            "asked": self.asked,
            "read": self.read._asdict(),
            "written": self.written._asdict(),
            "usd": self.usd._asdict() if self.usd is not None else None,
            "populations": self.populations.as_object() if self.populations is not None else None,
        }


def forecast_audit(plan: Plan, llm: LLMSettings | None = None) -> AuditForecast:
    """Return what a live audit will take; nothing is asked of a server.

    Populations of other sizes are not in it. Raises ``MindError`` where the mind is not live.
    """
    llm = llm or LLMSettings()
    live = plan.live
    if live is None:
        raise MindError("mind", plan.mind.label, "it is not live", "Its audit costs nothing.")
    sizes = [sum(len(text.encode()) for text in prompt) for prompt in _prompts(plan)]
    read = tokens_of(float(np.mean(sizes))).times(len(sizes))
    written = assumed(live.server, once=False).written.times(len(sizes))
    price = read_prices(llm.prices).of(live.server.model)
    if price is None and live.server.free:
        price = FREE
    usd = None
    if price is not None:
        used = (Usage(round(r), round(w)) for r, w in zip(read, written, strict=True))
        usd = Range(*map(price.cost, used))
    populations = None
    if plan.runs:
        populations = forecast(plan.spec, plan.goal, plan.rounds, plan.runs, llm)
    return AuditForecast(len(sizes), read, written, usd, populations)


def _prompts(plan: Plan) -> list[Prompt]:
    """Return the prompt of every question."""
    live, game, seed = plan.live, plan.spec.game, plan.spec.seed
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
        prompts = [put_question(live.template, game, one) for one in comprehension]
    return [*map(_prompt, asked), *prompts]


def _prompt(question: Asked) -> Prompt:
    assert isinstance(question.mind, Fixed)
    return question.mind.prompt(Situation(question.game, question.memory, 0, RandomStream(0), 0, 0))
