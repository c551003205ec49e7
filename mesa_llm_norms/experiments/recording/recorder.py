"""``record``: any live mind, asked once, as a recorded mind.

Where all memories can be asked about, they are. Otherwise populations are simulated with what is
known so far, and asked about is what they visit often and what is known badly: the product of both
decides. That is repeated until the populations no longer change.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.game import Game, Memory
from mesa_llm_norms.core.limits import read_number, read_seed, read_whole, seeded_by_rng
from mesa_llm_norms.errors import MindError, SpecError, shown
from mesa_llm_norms.experiments.recording.fitting import Fitted, fit, uncertainty
from mesa_llm_norms.experiments.recording.populations import Outcomes, outcomes, visits
from mesa_llm_norms.experiments.recording.questions import (
    Recorder,
    Report,
    memories_up_to,
    number_of_memories,
)
from mesa_llm_norms.experiments.recording.result import OUT_OF_BUDGET, Recorded, Step, conclude
from mesa_llm_norms.llm.client import SharedBudget
from mesa_llm_norms.llm.provider import LiveMind
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.minds.registry import load_mind
from mesa_llm_norms.simulation.spec import STUDY_GRAPH, Spec

ASKS = 20
"""How often each memory is asked about by default, where replies are choices."""

ASKS_AT_ONCE = 5
"""How often in one stage of an adaptive recording."""

AFFORDABLE = 3_000
"""With so many memories or fewer, all are asked about."""

FIRST = 500
"""Up to so many memories of one interaction are all asked about first."""

GROWTH, SMALLEST = 0.4, 100
"""A stage asks about this share of the memories that are known, and at least about so many."""

TOLERANCE = 0.05
RUNS = 2_000
"""Populations simulated in each stage."""

STILL = 2
"""Changes in a row that must be within the tolerance."""

FOR_ALL = 10
"""Orders of names asked for each memory, where all memories are and too many orders."""


@seeded_by_rng
def record(
    mind: Any,
    names: Any = "QM",
    memory: int = 3,
    *,
    progress: Report | None = None,
    llm: LLMSettings | None = None,
    **arguments: Any,
) -> Recorded:
    """Ask a live mind what it does on every memory, and return a recorded mind that does the same.

    Parameters
    ----------
    mind : str or LiveMind
        The live mind, or its name.
    names : str or sequence of str, default "QM"
        The pool.
    memory : int, default 3
        How many interactions an agent remembers, 1 to 5.
    progress : callable, optional
        Called with what is being done, how much of it is done, and how much there is.
    llm : LLMSettings, optional
        How the mind is called, and what may be spent: where a budget ends the recording early, it
        is made of what was answered. With a folder, a journal is kept there, and ``resume``
        continues from it.
    **arguments
        ``reward``, ``penalty``: the payoffs stated in the prompt (default 100 and -50).
        ``exhaustive``: whether all memories are asked about (default: where there are at most
        3,000). ``asks``: how often each of them is, where the mind gives no probabilities (default
        20). ``orders``: in how many orders of the names, where it does and there are more than
        three names (default 10; with two or three names all orders are asked).
        ``tolerance``: by how much populations may still change, as in ``Change``, for an adaptive
        recording to end (default 0.05). ``graph``, ``runs``: these populations (default
        ``"complete(n=24)"`` and 2,000). ``label``: what the mind will be called. ``rng``: the seed
        of everything drawn (default 0).

    Returns
    -------
    Recorded
        The mind, what was asked, and how well it is known.

    Raises
    ------
    MindError
        If the mind is not live.
    PoolError, SpecError
        For an argument that is not valid.
    CallError, BudgetError, DecisionError
        As live runs do. ``BudgetError`` only if nothing was answered before.
    """
    plan = plan_recording(mind, names, memory, **arguments)
    return run_recording(plan, progress=progress, llm=llm)


@dataclass(frozen=True)
class RecordingPlan:
    """A recording to be made, as ``plan_recording`` read it."""

    mind: LiveMind
    game: Game
    exhaustive: bool
    asks: int
    orders: int
    tolerance: float
    graph: Any
    runs: int
    label: str
    seed: int

    def spec(self, mind: Any) -> Spec:
        """Return the spec of populations of a mind."""
        game = self.game
        return Spec(
            graph=self.graph,
            names=game.pool,
            mind=mind,
            memory=game.memory,
            reward=game.reward,
            penalty=game.penalty,
            seed=self.seed,
        )

    def describe(self) -> dict[str, Any]:
        """Return all that decides what is asked as plain data, for a journal."""
        game = self.game
        return {
            "recording": self.mind.label,
            "template": self.mind.template.version,
            "names": list(game.pool),
            "memory": game.memory,
            "reward": game.reward,
            "penalty": game.penalty,
            "exhaustive": self.exhaustive,
            "asks": self.asks,
            "orders": self.orders,
            "tolerance": self.tolerance,
            "graph": str(self.graph),
            "runs": self.runs,
            "seed": self.seed,
        }


def plan_recording(
    mind: Any,
    names: Any = "QM",
    memory: int = 3,
    reward: float = 100,
    penalty: float = -50,
    exhaustive: bool | None = None,
    asks: int = ASKS,
    orders: int = FOR_ALL,
    tolerance: float = TOLERANCE,
    graph: Any = STUDY_GRAPH,
    runs: int = RUNS,
    label: str | None = None,
    rng: Any = 0,
) -> RecordingPlan:
    """Read and check the arguments of ``record``, which describes them, before anything is asked.

    Raises
    ------
    MindError, PoolError, SpecError
        For an argument that is not valid.
    """
    live = load_mind(mind)
    if not isinstance(live, LiveMind):
        raise MindError(
            "mind",
            live.label,
            "only a live mind can be recorded, and this one answers by itself",
            "Give one such as claude:MODEL or llama:URL#MODEL.",
        )
    read_whole("memory", memory, limits.RECORDED_MEMORY)
    game = Game(names, reward, penalty, memory)
    live.check(game)
    if label is not None and not (isinstance(label, str) and label.isprintable() and label.strip()):
        problem = f"{shown(label)} cannot be what a mind is called"
        raise SpecError("label", label, problem, "Use a short printable text.")
    plan = RecordingPlan(
        live,
        game,
        number_of_memories(game) <= AFFORDABLE if exhaustive is None else bool(exhaustive),
        read_whole("asks", asks, limits.ASKS),
        read_whole("orders", orders, limits.ASKS),
        float(read_number("tolerance", tolerance, limits.SHARE)),
        graph,
        read_whole("runs", runs, limits.SIMULATED_RUNS),
        label or f"{live.provider.model} (recorded)",
        read_seed(rng),
    )
    if plan.exhaustive and number_of_memories(game) > limits.LISTED.high:
        many = f"{number_of_memories(game):,} memories are too many to ask about them all"
        raise SpecError("exhaustive", True, many, "Record adaptively, or a shorter memory.")
    plan.spec("uniform").initial_state()  # which says what is wrong with the graph
    return plan


def run_recording(
    plan: RecordingPlan, *, progress: Report | None = None, llm: LLMSettings | None = None
) -> Recorded:
    """Make a recording that was planned already; see ``record``."""
    client = SharedBudget(llm, asks=True).client("", plan.describe())
    report = progress or (lambda *_: None)
    with closing(client):
        (mind,) = client.attach([plan.mind])
        assert isinstance(mind, LiveMind)
        recorder = Recorder(mind, plan.game, plan.seed, client, report)
        if plan.exhaustive:
            recorder.ask(memories_up_to(plan.game), plan.asks, plan.orders)
            recorder.check()
            fitted = fit(recorder.recording, plan.label)
            steps: tuple[Step, ...] = ()
            why = "all memories were asked about"
        else:
            fitted, steps, why = _adapt(plan, recorder, report)
        if recorder.out_of_budget is not None:
            why = OUT_OF_BUDGET
        seen: Counter[Memory] = Counter()
        if len(recorder.recording.answers) < number_of_memories(plan.game):
            report("simulating populations of it", 0, 1)
            seen = visits(plan.spec(fitted.mind))
        return conclude(plan, recorder, fitted, steps, why, seen, client)


def _adapt(
    plan: RecordingPlan, recorder: Recorder, report: Report
) -> tuple[Fitted, tuple[Step, ...], str]:
    """Ask in steps, until populations no longer change; return why it ended, too."""
    first = memories_up_to(replace(plan.game, memory=1))
    recorder.ask(first[: FIRST + 1], ASKS_AT_ONCE, 2)
    recorder.check()
    steps: list[Step] = []
    fitted: Fitted | None = None
    before: Outcomes | None = None
    still = 0
    while True:
        known = len(recorder.recording.answers)
        report(f"simulating with {known:,} memories known", len(steps), len(steps) + 1)
        fitted = fit(recorder.recording, plan.label, fitted)
        spec = plan.spec(fitted.mind)
        now = outcomes(spec, plan.runs)
        change = now.change(before) if before is not None else None
        before = now
        steps.append(Step(known, recorder.put, fitted.held_out, change, now))
        still = still + 1 if change is not None and max(change) <= plan.tolerance else 0
        if still >= STILL:
            return fitted, tuple(steps), "populations no longer change"
        if recorder.out_of_budget is not None:
            return fitted, tuple(steps), OUT_OF_BUDGET
        wanted = _choose(plan, recorder, fitted, max(SMALLEST, int(GROWTH * known)))
        if not wanted:
            return fitted, tuple(steps), "all that populations visit was asked"
        recorder.ask(wanted, ASKS_AT_ONCE, 1, f"asking about {len(wanted):,} more memories")


def _choose(plan: RecordingPlan, recorder: Recorder, fitted: Fitted, number: int) -> list[Memory]:
    """Return the memories to ask about next: by visits times uncertainty."""
    seen = visits(plan.spec(fitted.mind))
    open_ = [memory for memory in seen if not recorder.complete(memory)]
    unsure = uncertainty(recorder.recording, fitted, open_)
    worth = {memory: seen[memory] * unsure[memory] for memory in open_}
    ranked = sorted((it for it in open_ if worth[it] > 0), key=lambda it: (-worth[it], it))
    return ranked[:number]
