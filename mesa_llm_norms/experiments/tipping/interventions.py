"""What can be done about a convention, and what it costs.

Interventions to be tried on one population, and the runs that try them.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from mesa_llm_norms.analysis.intervals import LEVEL, read_level
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.core.stopping import MOST
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.experiments.tipping.question import (
    ROUNDS,
    Legs,
    TwoLegs,
    play_legs,
    read_directions,
    read_legs,
)
from mesa_llm_norms.experiments.tipping.tip import OnProgress, Progress, adding_up
from mesa_llm_norms.llm.client import SharedBudget
from mesa_llm_norms.minds.registry import DEFAULT_MIND
from mesa_llm_norms.networks.adjacency import graph_size
from mesa_llm_norms.networks.generators import rewire
from mesa_llm_norms.networks.graph_files import read_graph
from mesa_llm_norms.networks.placement import PLACEMENTS
from mesa_llm_norms.simulation.ensemble import check_here, load_graph, side_by_side
from mesa_llm_norms.simulation.kernel import invalidate_caches
from mesa_llm_norms.simulation.spec import STUDY_GRAPH, Spec
from mesa_llm_norms.simulation.workers import answers
from mesa_llm_norms.validation import read_seed, read_whole

if TYPE_CHECKING:
    from mesa_llm_norms.llm.client import LLMClient


class Cost(NamedTuple):
    """How many agents are touched, and how many edges moved."""

    agents: int
    edges: int


@dataclass(frozen=True, kw_only=True)
class Intervention:
    """A change to a population: any of these, or several at once.

    ``committed`` agents always play the alternative, and sit where ``placement`` says. All agents
    remember ``memory`` interactions instead of what they do. ``rewired`` is the share of edges that
    are exchanged, every degree kept. ``other_share`` of the agents, drawn at random, get the mind
    ``other``.
    """

    committed: int = 0
    placement: str = "random"
    memory: int | None = None
    rewired: float = 0.0
    other: Any = None
    other_share: float = 0.0

    def __post_init__(self) -> None:
        read_whole("committed", self.committed, 0, 10**9)
        if self.placement not in PLACEMENTS:
            raise SpecError(
                "placement",
                self.placement,
                f"there is no placement {self.placement!r}",
                f"Use {', '.join(PLACEMENTS)}.",
            )
        for argument in ("rewired", "other_share"):
            share = getattr(self, argument)
            if (
                isinstance(share, bool)
                or not isinstance(share, (int, float))
                or not 0 <= share <= 1
            ):
                raise SpecError(argument, share, f"{share!r} is no share", "Use 0 to 1.")
        if (self.other is None) != (self.other_share == 0):
            raise SpecError(
                "other",
                self.other,
                "another mind needs a share, and a share another mind",
                "Give other and other_share together.",
            )

    @property
    def label(self) -> str:
        """What is done, in words."""
        done = []
        if self.committed:
            where = "" if self.placement == "random" else f" ({self.placement})"
            done.append(f"{self.committed} committed{where}")
        if self.memory is not None:
            done.append(f"memory {self.memory}")
        if self.rewired:
            done.append(f"{self.rewired:.0%} rewired")
        if self.other is not None:
            done.append(f"{self.other_share:.0%} {getattr(self.other, 'label', self.other)}")
        return ", ".join(done) or "nothing"

    def changes(self, spec: Spec, alternative: str) -> Spec:
        """Return the spec of runs with the intervention, edges left where they are."""
        mind = spec.mind
        if self.other is not None:
            mind = {spec.mind: 1 - self.other_share, self.other: self.other_share}
        return replace(
            spec,
            committed={alternative: (self.committed, self.placement)},
            memory=spec.memory if self.memory is None else self.memory,
            mind=mind,
        )

    def for_run(self, spec: Spec, run: int) -> Spec:
        """Return the spec for one run, its edges rewired if that is part of it."""
        if not self.rewired:
            return spec
        stream = RandomStream(spec.seed, run)
        graph = read_graph(spec.graph, stream.generator("graph"))
        return replace(spec, graph=rewire(graph, self.rewired, stream.generator("rewired"))[0])

    def cost(self, spec: Spec) -> Cost:
        """Return what it costs in a population of this spec, as before the intervention."""
        agents, edges = graph_size(read_graph(spec.graph, RandomStream(spec.seed).generator("graph")))
        everybody = self.memory is not None and self.memory != spec.memory
        others = round(self.other_share * agents)
        touched = agents if everybody else min(agents, self.committed + others)
        return Cost(touched, 2 * round(self.rewired * edges / 2))


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
    accounts: SharedBudget,
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
    invalidate_caches()
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
    one: Intervention, spec: Spec, run: int, legs: Legs, client: LLMClient | None = None
) -> TwoLegs:
    return play_legs(one.for_run(spec, run), run, legs, client)


def _play_live(
    one: Intervention,
    spec: Spec,
    trials: Trials,
    accounts: SharedBudget,
    part: str,
    told: OnProgress,
) -> list[TwoLegs]:
    client = accounts.client(part, trials.describe(one, spec))
    calls = ((one, spec, run, trials.legs, client) for run in range(trials.runs))
    played = []
    with (
        closing(client),
        closing(side_by_side(_play_run, calls, trials.runs, client)) as found,
    ):
        for two in found:
            played.append(two)
            told(1)
    accounts.add(client.usage)
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
