"""What an audit will do, read and checked before anything is played or paid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mesa_llm_norms.audits.sizes import SIZES, open_topology, read_sizes
from mesa_llm_norms.course import MOST, WINDOW, Goal, check_goal, read_rounds
from mesa_llm_norms.draws import read_seed
from mesa_llm_norms.errors import MindError, SpecError
from mesa_llm_norms.game import read_whole
from mesa_llm_norms.minds import DEFAULT_MIND, Mind, Policy
from mesa_llm_norms.minds.live import LiveMind
from mesa_llm_norms.spec import STUDY_GRAPH, Spec
from mesa_llm_norms.sweeps.sizes import fill, is_open

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
