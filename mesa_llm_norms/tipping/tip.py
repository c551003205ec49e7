"""``tip``: how many committed agents it takes to overturn a convention."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import closing
from typing import Any

from mesa_llm_norms.course import MOST, read_rounds
from mesa_llm_norms.draws import read_seed
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.game import read_whole
from mesa_llm_norms.kernel import ask_anew, check_engine
from mesa_llm_norms.minds.catalogue import DEFAULT_MIND
from mesa_llm_norms.spec import STUDY_GRAPH, Spec
from mesa_llm_norms.statistics.intervals import LEVEL, read_level
from mesa_llm_norms.tipping.answer import Tipping, conclude
from mesa_llm_norms.tipping.dose import Dose
from mesa_llm_norms.tipping.legs import TwoLegs, play_legs
from mesa_llm_norms.tipping.question import Question, ask
from mesa_llm_norms.tipping.sampling import batch_size, next_count
from mesa_llm_norms.workers import answers

ROUNDS = 30
"""Population rounds in which a convention is to be overturned."""
LEAST = 100
"""Runs that a condition needs: both ends of the curve, and a few between them."""

ALONE = 4
"""Batches that go to a population with nobody committed, which comes first: how stable it is."""

Progress = Callable[[int, int], None]
"""Called with the conditions done and the conditions in all."""


def tip(
    graph: Any = STUDY_GRAPH,
    names: Any = "QM",
    mind: Any = DEFAULT_MIND,
    pairing: Any = "node",
    memory: int = 5,
    *,
    directions: Sequence[Sequence[str]] | None = None,
    placements: Sequence[str] = ("random",),
    sizes: Sequence[int] | None = None,
    topologies: Sequence[Any] | None = None,
    rounds: int = ROUNDS,
    after: int | None = None,
    most: float = 1.0,
    runs: int = 2_000,
    level: float = LEVEL,
    rng: Any = None,
    workers: int = 1,
    executor: Executor | None = None,
    engine: str = "auto",
    progress: Progress | None = None,
) -> Tipping:
    """Return how many committed agents overturn a convention within ``rounds`` population rounds.

    Everybody starts out remembering the incumbent, and the committed always play the challenger.
    ``directions`` are pairs ``(incumbent, challenger)``, both ways with two names if not given;
    every combination with ``placements`` (``random``, ``hubs``, ``periphery``, ``cluster``),
    ``topologies`` (else ``graph``) and ``sizes`` (which fill in ``{size}`` in them) is a condition.
    All other arguments are those of ``run_ensemble``.

    ``runs`` is how many are played in all, shared equally; ``sampling`` says where they go.
    ``most`` is the largest share of the agents that is committed. After a flip the committed are
    released and ``after`` rounds are played (``rounds`` if not given; 0 for none). The results
    are the same for any number of ``workers``, each of which takes whole conditions, and for any
    ``engine``.

    Raises ``SpecError`` for arguments that mean nothing, live minds, and too few runs.
    """
    base = Spec(
        graph=graph, names=names, mind=mind, pairing=pairing, memory=memory, seed=read_seed(rng)
    )
    rounds = read_rounds(rounds, "flipped")
    after = rounds if after is None else read_whole("after", after, 0, MOST)
    check_engine(engine)
    if isinstance(most, bool) or not isinstance(most, (int, float)) or not 0 < most <= 1:
        raise SpecError("most", most, f"{most!r} is no share", "Use more than 0, up to 1.")
    questions = ask(
        base,
        directions=directions,
        placements=placements,
        sizes=sizes,
        topologies=(graph,) if topologies is None else topologies,
        rounds=rounds,
        after=after,
        engine=engine,
    )
    if not questions:
        raise SpecError("topologies", topologies, "there is no condition", "Name at least one.")
    budget = read_whole("runs", runs, 1, MOST) // len(questions)
    if budget < LEAST:
        raise SpecError(
            "runs",
            runs,
            f"{len(questions)} conditions get {budget} runs each",
            f"Give {LEAST * len(questions)} or more.",
        )
    ask_anew()
    calls = ((question, most, budget) for question in questions)
    found: dict[int, list[tuple[int, TwoLegs]]] = {}
    with closing(
        answers(explore, calls, read_whole("workers", workers, 1, 1_000), executor)
    ) as all_:
        for answer in all_:
            found[answer.number] = answer.result
            if progress is not None:
                progress(len(found), len(questions))
    confidence = read_level(level)
    points = (conclude(one, found[place], confidence) for place, one in enumerate(questions))
    return Tipping(tuple(points), base.seed)


def explore(question: Question, most: float, budget: int) -> list[tuple[int, TwoLegs]]:
    """Play ``budget`` runs where they tell most; return each with its number of committed agents.

    Run k of a count begins with the same draws at every count.
    """
    played: list[tuple[int, TwoLegs]] = []
    doses: dict[int, Dose] = {}
    specs: dict[int, Spec] = {}
    end = max(1, int(most * question.agents + 1e-9))
    size = batch_size(budget)
    while len(played) < budget:
        count = next_count(list(doses.values()), end, size)
        if count not in specs:
            specs[count] = question.spec(count)
        dose = doses.get(count, Dose(count, 0, 0))
        wanted = ALONE * size if not played else size
        batch = range(dose.runs, dose.runs + min(wanted, budget - len(played)))
        outcomes = [play_legs(specs[count], run, question.legs) for run in batch]
        played += [(count, outcome) for outcome in outcomes]
        flipped = sum(outcome.flipped for outcome in outcomes)
        doses[count] = Dose(count, dose.flipped + flipped, batch.stop)
    return played
