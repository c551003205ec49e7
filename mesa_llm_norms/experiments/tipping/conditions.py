"""What is played to find a tipping point: conditions, and runs in two phases.

A condition is a convention that everybody remembers, a name that is to replace it, where those
committed to that name sit, and a network. A run has two phases. The first ends when the new name
makes up 95% of the names played in three population rounds, those of committed agents among them (a
*flip*), or after a number of rounds. If it flipped, nobody is committed in the second phase, which
begins from the very state the first one ended in: those who were committed remember what they have
lived through, and choose with the mind they would have had.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mesa_llm_norms.analysis.intervals import LEVEL, read_level
from mesa_llm_norms.core import limits
from mesa_llm_norms.core.limits import choose, read_list, read_number, read_seed, read_whole
from mesa_llm_norms.core.stopping import WINDOW, Goal, read_rounds
from mesa_llm_norms.errors import SpecError, shown
from mesa_llm_norms.experiments.cost_forecast import Forecast, forecast
from mesa_llm_norms.minds.registry import DEFAULT_MIND
from mesa_llm_norms.networks.placement import PLACEMENTS
from mesa_llm_norms.networks.registry import fill, is_open
from mesa_llm_norms.simulation.backends import batch_size
from mesa_llm_norms.simulation.batch import play_together
from mesa_llm_norms.simulation.ensemble import load_graph, start_run
from mesa_llm_norms.simulation.kernel import check_engine
from mesa_llm_norms.simulation.run import Run
from mesa_llm_norms.simulation.serialization import summary
from mesa_llm_norms.simulation.spec import STUDY_GRAPH, InitialState, Spec, Start

if TYPE_CHECKING:
    from mesa_llm_norms.llm.client import LLMClient
    from mesa_llm_norms.llm.settings import LLMSettings

ROUNDS = 30
"""Population rounds in which a convention is to be overturned."""

RUNS, LIVE_RUNS = 2_000, 40
"""How many runs are played: of all conditions together, and of each where minds are live."""

FEWEST_RUNS = 20
"""Runs that a condition needs: both ends of the curve, and a few between them."""


class Phases(NamedTuple):
    """How runs are played: for which name, for how many rounds, and for how many after a flip."""

    name: str
    rounds: int
    after: int = 0
    engine: str = "auto"


class TwoPhaseRun(NamedTuple):
    """The outcome of a run.

    ``interactions``, ``rounds``, ``winner`` (the name played most in the last three rounds) and
    ``share`` are those of the first phase. ``lasts`` is whether the new name was still the one
    played most at the end of the second phase, None where there was none.
    """

    run: int
    flipped: bool
    interactions: int
    rounds: int
    winner: str | None
    share: float
    lasts: bool | None


def read_phases(name: str, rounds: int, after: int | None, engine: str) -> Phases:
    """Return the phases that arguments describe; ``after`` defaults to ``rounds``."""
    rounds = read_rounds(rounds, "flipped")
    check_engine(engine)
    after = rounds if after is None else read_whole("after", after, limits.ROUNDS)
    return Phases(name, rounds, after, engine)


def play_phases(
    spec: Spec,
    run: int,
    phases: Phases,
    client: LLMClient | None = None,
    initial: InitialState | None = None,
) -> TwoPhaseRun:
    """Play one run of a spec; ``client`` makes the calls of live minds.

    ``initial`` replaces the state that the spec gives to this run.
    """
    initial = spec.initial_state(run) if initial is None else initial
    if client is not None:
        initial = initial._replace(minds=client.attach(initial.minds))
    game_run = Run(start_run(spec, initial, phases.engine, client).engine, (phases.name,))
    game_run.play_to(Goal("flipped", WINDOW), phases.rounds)
    first, lasts = game_run.outcome, None
    if first.flipped and phases.after:
        committed = np.flatnonzero(initial.mind_indices != initial.uncommitted_indices)
        game_run.engine.release(committed.tolist())
        game_run.play_to(Goal(None, WINDOW), phases.after)
        lasts = game_run.outcome.winner == phases.name
    return TwoPhaseRun(
        run, first.flipped, first.interactions, first.rounds, first.winner, first.share, lasts
    )


def play_runs(
    spec: Spec, runs: range, phases: Phases, spec_of: Callable[[int], Spec] | None = None
) -> list[TwoPhaseRun]:
    """Play runs of a spec, many in one compiled call where that can be.

    ``spec_of`` gives the spec of each run, where they differ by their graphs.
    """
    found: list[TwoPhaseRun] = []
    size = batch_size(len(runs), len(spec.starts(runs[:1])[0].neighbors), 1)
    for first in range(runs.start, runs.stop, size):
        some = range(first, min(first + size, runs.stop))
        specs = [spec if spec_of is None else spec_of(run) for run in some]
        starts = None
        if spec_of is not None:
            starts = [one.starts([run])[0] for run, one in zip(some, specs, strict=True)]
        found += _play_together(spec, some, phases, starts) or [
            play_phases(one, run, phases) for run, one in zip(some, specs, strict=True)
        ]
    return found


def _play_together(
    spec: Spec, runs: range, phases: Phases, starts: Sequence[Start] | None
) -> list[TwoPhaseRun] | None:
    if phases.engine == "python":
        return None
    goal = Goal("flipped", WINDOW)
    batch = play_together(spec, runs, goal, phases.rounds, after=phases.after, starts=starts)
    if batch is None:
        return None
    names = (*batch.pool, None)
    later = [-1] * len(runs) if batch.later is None else batch.later.tolist()
    columns = batch.run, batch.flipped, batch.interactions, batch.rounds, batch.winner, batch.share
    return [
        TwoPhaseRun(
            *(run, flipped, interactions, rounds, names[winner], share),
            None if last < 0 else names[last] == phases.name,
        )
        for run, flipped, interactions, rounds, winner, share, last in zip(
            *(column.tolist() for column in columns), later, strict=True
        )
    ]


def forecast_first_phase(spec: Spec, phases: Phases, runs: int, llm: LLMSettings) -> Forecast:
    """Return what the first phase of runs takes; ``missed`` is the share that does not flip."""
    return forecast(spec, Goal("flipped", WINDOW), phases.rounds, runs, llm)


def forecast_second_phase(
    spec: Spec, phases: Phases, flipped: int, llm: LLMSettings
) -> list[Forecast]:
    """Return what flipped runs take afterwards: everybody remembers the new name."""
    if not flipped or not phases.after:
        return []
    after = replace(spec, incumbent=phases.name, committed=None)
    return [forecast(after, Goal(None, WINDOW), phases.after, flipped, llm)]


class Direction(NamedTuple):
    """A convention and the name that is to replace it."""

    incumbent: str
    challenger: str

    def __str__(self) -> str:
        return f"{self.incumbent} by {self.challenger}"


@dataclass(frozen=True)
class Question:
    """One condition: everybody remembers the incumbent, some are committed to the challenger.

    ``base`` is the spec without either, on the graph called ``topology``.
    """

    base: Spec
    topology: str
    direction: Direction
    placement: str
    phases: Phases
    noise: float = 0.0

    @cached_property
    def agents(self) -> int:
        """How many agents there are, committed ones among them."""
        return len(self.base.starts(range(1))[0].neighbors)

    def spec(self, committed: int) -> Spec:
        """Return the spec with a number of committed agents."""
        return replace(
            self.base,
            incumbent=self.direction.incumbent,
            committed={
                self.direction.challenger: {
                    "agents": committed,
                    "placement": self.placement,
                    "noise": self.noise,
                }
            },
        )

    @property
    def columns(self) -> dict[str, Any]:
        """What distinguishes this condition from others, as columns of a table."""
        return {
            "incumbent": self.direction.incumbent,
            "challenger": self.direction.challenger,
            "topology": self.topology,
            "agents": self.agents,
            "placement": self.placement,
            **({"noise": self.noise} if self.noise else {}),
        }

    def __str__(self) -> str:
        noise = f", {self.noise:.3g} noise" if self.noise else ""
        return f"{self.direction}, {self.topology}, {self.placement}{noise}"


@dataclass(frozen=True)
class TippingPlan:
    """Conditions to play, ``budget`` runs for each, as ``plan_tipping`` made them.

    ``base`` is the spec that all conditions share, ``most`` the largest share committed.
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
        """Return the plan as plain data, for a journal."""
        return {
            **summary(self.base),
            "conditions": list(map(str, self.questions)),
            "rounds": self.questions[0].phases.rounds,
            "after": self.questions[0].phases.after,
            "most": self.most,
            "runs": self.budget,
        }


def plan_tipping(
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
    noise: float = 0.0,
    runs: int | None = None,
    level: float = LEVEL,
    rng: Any = None,
    engine: str = "auto",
) -> TippingPlan:
    """Read and check the arguments of ``tip``, which describes them, before anything is played.

    Raises
    ------
    SpecError
        For an argument that is not valid, and for too few runs.
    """
    base = Spec(
        graph=graph, names=names, mind=mind, pairing=pairing, memory=memory, seed=read_seed(rng)
    )
    phases = read_phases("", rounds, after, engine)
    most, noise = read_share("most", most), read_share("noise", noise)
    if not most:
        raise SpecError("most", most, "nobody would be committed", "Use a share above 0, up to 1.")
    placements = choose("placements", placements, PLACEMENTS) if placements != () else ()
    both_ways = read_directions(directions, base.game.pool)
    questions = []
    given = (graph,) if topologies is None else read_list("topologies", topologies, '["star(n=9)"]')
    for one, size in product(given, read_list("sizes", sizes or (None,), "[8, 16]")):
        filled = fill(one, size) if is_open(one) or size is not None else one
        spec = replace(base, graph=load_graph(filled))
        topology = replace(base, graph=filled).topology
        questions += [
            Question(
                spec, topology, direction, it, phases._replace(name=direction.challenger), noise
            )
            for direction, it in product(both_ways, placements)
        ]
    if not questions:
        raise SpecError("topologies", topologies, "there is no condition", "Name at least one.")
    if runs is None:
        runs = LIVE_RUNS * len(questions) if base.live else RUNS
    budget = read_whole("runs", runs, limits.RUNS) // len(questions)
    if budget < FEWEST_RUNS:
        raise SpecError(
            "runs",
            runs,
            f"{len(questions)} conditions get {budget} runs each",
            f"Give {FEWEST_RUNS * len(questions)} or more.",
        )
    return TippingPlan(base, tuple(questions), most, budget, read_level(level))


def read_share(argument: str, share: Any) -> float:
    """Return a share from 0 to 1, or raise ``SpecError``."""
    return float(read_number(argument, share, limits.SHARE))


def read_directions(given: Sequence[Sequence[str]] | None, pool: Sequence[str]) -> list[Direction]:
    """Return which name replaces which: of two names both ways, unless something is given."""
    if given is None:
        if len(pool) != 2:
            raise SpecError(
                "directions",
                given,
                f"with {len(pool)} names it is not clear which overturns which",
                'Say so, as in directions=[("Q", "M")].',
            )
        given = [(pool[0], pool[1]), (pool[1], pool[0])]
    given = read_list("directions", given, '[("Q", "M")]')
    for pair in given:
        both = isinstance(pair, Sequence) and len(pair) == 2 and all(name in pool for name in pair)
        if not both or pair[0] == pair[1]:
            raise SpecError(
                "directions",
                pair,
                f"{shown(pair)} is not a pair of different names of the pool",
                'Give the convention and its challenger, as in ("Q", "M").',
            )
    if not given:
        raise SpecError("directions", given, "there are none", "Give one, or omit the argument.")
    return list(dict.fromkeys(Direction(*pair) for pair in given))
