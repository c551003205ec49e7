"""Interventions to be tried on one population, and the runs that try them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mesa_llm_norms.course import MOST
from mesa_llm_norms.draws import read_seed
from mesa_llm_norms.ensemble import load_graph
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.game import read_whole
from mesa_llm_norms.kernel import ask_anew
from mesa_llm_norms.minds.catalogue import DEFAULT_MIND
from mesa_llm_norms.minds.live.accounts import Accounts
from mesa_llm_norms.side_by_side import check_here, side_by_side
from mesa_llm_norms.spec import STUDY_GRAPH, Spec
from mesa_llm_norms.statistics.intervals import LEVEL, read_level
from mesa_llm_norms.tipping.exploring import Progress, Told, adding_up
from mesa_llm_norms.tipping.interventions import Intervention
from mesa_llm_norms.tipping.legs import Legs, TwoLegs, play_legs, read_legs
from mesa_llm_norms.tipping.plan import ROUNDS
from mesa_llm_norms.tipping.question import read_directions
from mesa_llm_norms.workers import answers

if TYPE_CHECKING:
    from mesa_llm_norms.minds.live.session import Session

GOALS = ("undo", "prevent")
RUNS, LIVE_RUNS = 500, 20
"""Of every intervention, and of every one where minds are live."""


@dataclass(frozen=True)
class Trials:
    """What is tried, nothing first; see ``compare_interventions`` for what the arguments are.

    ``base`` is the population that nothing is done about, and ``specs`` what it is with each of
    them, edges where they are. ``prices`` are those of an agent and of an edge.
    """

    goal: str
    convention: str
    base: Spec
    interventions: tuple[Intervention, ...]
    specs: tuple[Spec, ...]
    legs: Legs
    runs: int
    enough: float
    prices: tuple[float, float]
    level: float

    @property
    def live(self) -> bool:
        """Whether any of them calls live minds."""
        return any(spec.live for spec in self.specs)

    def describe(self, one: Intervention, spec: Spec) -> dict[str, Any]:
        """Return what one of them is as plain data, for a journal."""
        return {
            **spec.describe(),
            "goal": self.goal,
            "intervention": one.label,
            "rounds": self.legs.rounds,
            "after": self.legs.after,
            "runs": self.runs,
        }


def read_trials(
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
) -> Trials:
    """Return the trials that arguments stand for.

    Raises ``SpecError`` for what means nothing, ``GraphError`` for edges that cannot be rewired.
    """
    if goal not in GOALS:
        raise SpecError("goal", goal, f"{goal!r} is unknown", f"Use one of {GOALS}.")
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
    _check(base, interventions)
    legs = read_legs(alternative, rounds, after, engine)
    every = Intervention(), *(one for one in interventions if one != Intervention())
    specs = tuple(one.changes(base, alternative) for one in every)
    for one, spec in zip(every, specs, strict=True):
        one.for_run(spec, 0)  # raises now what would be raised after others were played
    if runs is None:
        runs = LIVE_RUNS if any(spec.live for spec in specs) else RUNS
    return Trials(
        goal,
        convention,
        base,
        every,
        specs,
        legs,
        read_whole("runs", runs, 1, MOST),
        enough,
        (agent_price, edge_price),
        read_level(level),
    )


def play_trials(
    trials: Trials,
    accounts: Accounts,
    workers: int,
    executor: Executor | None,
    progress: Progress | None,
) -> list[list[TwoLegs]]:
    """Play the runs of every intervention; ``progress`` is told the runs done and those in all.

    Runs of one number begin alike with every intervention. Those with live minds are played side by
    side, each intervention with a journal of its own.
    """
    if trials.live:
        check_here(executor, trials.legs.engine)
    ask_anew()
    found: dict[int, list[TwoLegs]] = {}
    told = adding_up(trials.runs * len(trials.interventions), progress)
    offline = []
    for place, (one, spec) in enumerate(zip(trials.interventions, trials.specs, strict=True)):
        if spec.live:
            found[place] = _play_live(one, spec, trials, accounts, f"{place:02}", told)
        else:
            offline.append((place, (one, spec, trials.runs, trials.legs)))
    with closing(answers(_play, (call for _, call in offline), workers, executor)) as played:
        for answer in played:
            found[offline[answer.number][0]] = answer.result
            told(trials.runs)
    return [found[place] for place in range(len(trials.interventions))]


def _play(one: Intervention, spec: Spec, runs: int, legs: Legs) -> list[TwoLegs]:
    return [_play_run(one, spec, run, legs) for run in range(runs)]


def _play_run(
    one: Intervention, spec: Spec, run: int, legs: Legs, session: Session | None = None
) -> TwoLegs:
    return play_legs(one.for_run(spec, run), run, legs, session)


def _play_live(
    one: Intervention,
    spec: Spec,
    trials: Trials,
    accounts: Accounts,
    part: str,
    told: Told,
) -> list[TwoLegs]:
    session = accounts.session(part, trials.describe(one, spec))
    calls = ((one, spec, run, trials.legs, session) for run in range(trials.runs))
    played = []
    with (
        closing(session),
        closing(side_by_side(_play_run, calls, trials.runs, session)) as found,
    ):
        for two in found:
            played.append(two)
            told(1)
    accounts.add(session.usage)
    return sorted(played)


def _check(base: Spec, interventions: Sequence[Intervention]) -> None:
    if isinstance(base.mind, dict) and any(one.other is not None for one in interventions):
        raise SpecError(
            "mind",
            base.mind_label,
            "a share of another model is given to a population of one",
            "Give one mind for all.",
        )
    if not interventions:
        raise SpecError("interventions", interventions, "there is none", "Give at least one.")
