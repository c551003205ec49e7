"""What ``tip`` is asked, read and checked, before anything is played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mesa_llm_norms.course import MOST
from mesa_llm_norms.draws import read_seed
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.game import read_whole
from mesa_llm_norms.minds.catalogue import DEFAULT_MIND
from mesa_llm_norms.spec import STUDY_GRAPH, Spec
from mesa_llm_norms.statistics.intervals import LEVEL, read_level
from mesa_llm_norms.tipping.legs import read_legs
from mesa_llm_norms.tipping.question import Question, ask

ROUNDS = 30
"""Population rounds in which a convention is to be overturned."""
RUNS, LIVE_RUNS = 2_000, 40
"""How many runs are played: of all conditions together, and of each where minds are live."""
LEAST = 20
"""Runs that a condition needs: both ends of the curve, and a few between them."""


@dataclass(frozen=True)
class Plan:
    """The questions, and ``budget`` runs for each; see ``tip`` for what the arguments are.

    ``base`` is what all questions share.
    """

    base: Spec
    questions: tuple[Question, ...]
    most: float
    budget: int
    level: float

    @property
    def runs(self) -> int:
        """How many runs are played in all."""
        return self.budget * len(self.questions)

    def describe(self) -> dict[str, Any]:
        """Return what is asked as plain data, for a journal."""
        return {
            **self.base.describe(),
            "conditions": [
                f"{one.direction}, {one.topology}, {one.placement}" for one in self.questions
            ],
            "rounds": self.questions[0].legs.rounds,
            "after": self.questions[0].legs.after,
            "most": self.most,
            "runs": self.budget,
        }


def read_plan(
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
    runs: int | None = None,
    level: float = LEVEL,
    rng: Any = None,
    engine: str = "auto",
) -> Plan:
    """Return the plan that the arguments of ``tip`` make; ``SpecError`` for what cannot be."""
    base = Spec(
        graph=graph, names=names, mind=mind, pairing=pairing, memory=memory, seed=read_seed(rng)
    )
    legs = read_legs("", rounds, after, engine)
    if isinstance(most, bool) or not isinstance(most, (int, float)) or not 0 < most <= 1:
        raise SpecError("most", most, f"{most!r} is no share", "Use more than 0, up to 1.")
    questions = ask(
        base,
        directions=directions,
        placements=placements,
        sizes=sizes,
        topologies=(graph,) if topologies is None else topologies,
        legs=legs,
    )
    if not questions:
        raise SpecError("topologies", topologies, "there is no condition", "Name at least one.")
    if runs is None:
        runs = LIVE_RUNS * len(questions) if base.live else RUNS
    budget = read_whole("runs", runs, 1, MOST) // len(questions)
    if budget < LEAST:
        raise SpecError(
            "runs",
            runs,
            f"{len(questions)} conditions get {budget} runs each",
            f"Give {LEAST * len(questions)} or more.",
        )
    return Plan(base, tuple(questions), float(most), budget, read_level(level))
