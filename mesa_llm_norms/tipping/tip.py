"""``tip``: how many committed agents it takes to overturn a convention."""

from __future__ import annotations

from concurrent.futures import Executor
from contextlib import closing
from typing import Any

from mesa_llm_norms.game import read_whole
from mesa_llm_norms.kernel import ask_anew
from mesa_llm_norms.minds.catalogue import DEFAULT_MIND
from mesa_llm_norms.minds.live import Calls
from mesa_llm_norms.minds.live.accounts import Accounts
from mesa_llm_norms.side_by_side import check_here
from mesa_llm_norms.spec import STUDY_GRAPH
from mesa_llm_norms.tipping.answer import Tipping, conclude
from mesa_llm_norms.tipping.exploring import LiveRuns, Progress, adding_up, explore, explore_all
from mesa_llm_norms.tipping.plan import Plan, read_plan


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
    calls: Calls | None = None,
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
    return find_tipping(plan, workers=workers, executor=executor, progress=progress, calls=calls)


def find_tipping(
    plan: Plan,
    *,
    workers: int = 1,
    executor: Executor | None = None,
    progress: Progress | None = None,
    calls: Calls | None = None,
) -> Tipping:
    """Answer questions that are read already; see ``tip``."""
    told = adding_up(plan.runs, progress)
    workers = read_whole("workers", workers, 1, 1_000)
    usage = None
    if plan.base.live:
        check_here(executor, plan.questions[0].legs.engine)
        session = Accounts(calls).session("runs", plan.describe())
        with closing(session):
            live = LiveRuns(session)
            found = [explore(one, plan.most, plan.budget, live, told) for one in plan.questions]
            usage = session.usage
    else:
        ask_anew()
        found = explore_all(plan.questions, plan.most, plan.budget, told, workers, executor)
    points = (
        conclude(one, runs, plan.level) for one, runs in zip(plan.questions, found, strict=True)
    )
    return Tipping(tuple(points), plan.base.seed, usage)
