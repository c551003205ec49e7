"""An audit: is a mind biased, is a group of it, and does the one explain the other?"""

from __future__ import annotations

import os
from contextlib import ExitStack, closing
from typing import Any

from mesa_llm_norms.audits.asking import Interviewer
from mesa_llm_norms.audits.individual import IndividualBias, ask_mind, read_policy
from mesa_llm_norms.audits.nulls import (
    DRIFT,
    FIRST,
    SYMMETRIC,
    Comparison,
    collective,
    compare,
    play_nulls,
)
from mesa_llm_norms.audits.plan import Plan, read_plan
from mesa_llm_norms.audits.populations import Play, Populations, Report, play_populations
from mesa_llm_norms.audits.probes import Probes, probe
from mesa_llm_norms.audits.result import Audit
from mesa_llm_norms.audits.sizes import play_sizes
from mesa_llm_norms.audits.verdict import is_biased, reach
from mesa_llm_norms.game import read_whole
from mesa_llm_norms.minds import Policy
from mesa_llm_norms.minds.live import Calls
from mesa_llm_norms.minds.live.accounts import Accounts
from mesa_llm_norms.workers import WorkerPool

NOT_LIVE = "not applicable: this mind is a function of its memory and reads no prompt"


def audit(
    mind: Any,
    names: Any = "QM",
    graph: Any = "complete(n=24)",
    *,
    workers: int | None = 1,
    progress: Report | None = None,
    calls: Calls | None = None,
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
    return make_audit(plan, workers=workers, progress=progress, calls=calls)


def make_audit(
    plan: Plan,
    *,
    workers: int | None = 1,
    progress: Report | None = None,
    calls: Calls | None = None,
) -> Audit:
    """Make an audit that is planned already; see ``audit``."""
    processes = read_whole("workers", os.cpu_count() or 1 if workers is None else workers, 1, 1_000)
    accounts = Accounts(calls)
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


def _listen(plan: Plan, accounts: Accounts) -> tuple[IndividualBias, Probes]:
    """Return what the mind prefers by itself, and the probes of a live one."""
    mind, game, seed = plan.mind, plan.spec.game, plan.spec.seed
    if isinstance(mind, Policy):
        return read_policy(mind, game, seed), Probes(NOT_LIVE)
    live = plan.live
    if live is None:
        interviewer = Interviewer(seed)
        heard = ask_mind(mind, game, interviewer, plan.times, plan.times_after, plan.level)
        return heard, Probes(NOT_LIVE)
    session = accounts.session("asked", plan.describe())
    with closing(session):
        interviewer = Interviewer(seed, session)
        heard = ask_mind(mind, game, interviewer, plan.times, plan.times_after, plan.level)
        probes = Probes("they were not asked for")
        if plan.probes:
            probes = probe(live, game, interviewer, plan.times, seed, plan.level)
        accounts.add(session.usage)
    return heard, probes


def _compare(
    plan: Plan, individual: IndividualBias, played: Populations, play: Play
) -> tuple[Comparison, ...]:
    nulls = play_nulls(plan.spec, individual, play)
    return tuple(
        compare(null, played, other, 1 - plan.level)
        for null, other in zip((SYMMETRIC, FIRST, DRIFT), nulls, strict=True)
    )
