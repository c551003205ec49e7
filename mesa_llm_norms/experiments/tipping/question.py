"""One run in two legs: until a name has taken over, then on with nobody committed.

A *flip* is that a name makes up 95% of the names played in three population rounds, those of
committed agents among them: the goal ``flipped`` of every run. The second leg begins from the very
state the first one ended in. Agents that were committed remember what they have lived through, and
choose with the mind they would have had.

What is asked: which convention, overturned by which name, by whom, on which network.

What ``tip`` is asked, read and checked, before anything is played.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from mesa_llm_norms.analysis.intervals import LEVEL, read_level
from mesa_llm_norms.core.stopping import MOST, WINDOW, Goal, read_rounds
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.minds.registry import DEFAULT_MIND
from mesa_llm_norms.networks.placement import PLACEMENTS
from mesa_llm_norms.networks.registry import fill, is_open
from mesa_llm_norms.simulation.engine import Engine
from mesa_llm_norms.simulation.ensemble import Seat, load_graph, start_course
from mesa_llm_norms.simulation.kernel import Kernel, check_engine
from mesa_llm_norms.simulation.run import Course
from mesa_llm_norms.simulation.spec import STUDY_GRAPH, InitialState, Spec
from mesa_llm_norms.validation import read_seed, read_whole

if TYPE_CHECKING:
    from mesa_llm_norms.llm.client import LLMClient


class Legs(NamedTuple):
    """How runs are played: for which name, for how many rounds, and for how many after a flip.

    ``after`` of 0 leaves the second leg out.
    """

    name: str
    rounds: int
    after: int = 0
    engine: str = "auto"


def read_legs(name: str, rounds: int, after: int | None, engine: str) -> Legs:
    """Return legs for arguments, ``after`` as many as ``rounds`` if not given; or ``SpecError``."""
    rounds = read_rounds(rounds, "flipped")
    check_engine(engine)
    return Legs(
        name, rounds, rounds if after is None else read_whole("after", after, 0, MOST), engine
    )


class TwoLegs(NamedTuple):
    """What became of a run.

    ``interactions`` and ``rounds`` are those of the first leg. ``lasts`` is whether the name was
    still the one played most in the last three rounds of the second leg, None where there was none.
    ``winner`` and ``share`` say which name was played most at the end of the first leg.
    """

    run: int
    flipped: bool
    interactions: int
    rounds: int
    winner: str | None
    share: float
    lasts: bool | None


def play_legs(spec: Spec, run: int, legs: Legs, client: LLMClient | None = None) -> TwoLegs:
    """Play one run of a spec; calls to live minds are made by ``client``."""
    initial = spec.initial_state(run)
    if client is not None:
        initial = initial._replace(minds=client.attend(initial.minds))
    return play_from(spec, initial, run, legs, client)


def play_from(
    spec: Spec, initial: InitialState, run: int, legs: Legs, client: LLMClient | None = None
) -> TwoLegs:
    """Play a run that is made ready."""
    engine = start_course(spec, initial, legs.engine, client).engine
    course = Course(engine, (legs.name,))
    course.aim(Goal("flipped", WINDOW))
    course.play(legs.rounds, keep=False)
    first = course.outcome
    lasts: bool | None = None
    if first.flipped and legs.after:
        _release(cast(Engine | Kernel, engine), initial)
        course.aim(Goal(None, WINDOW))
        course.play(legs.after, keep=False)
        lasts = course.outcome.winner == legs.name
    return TwoLegs(
        run, first.flipped, first.interactions, first.rounds, first.winner, first.share, lasts
    )


def _release(engine: Engine | Kernel, initial: InitialState) -> None:
    """Give everybody the mind that decides where nobody is committed, memories as they are."""
    if isinstance(engine, Engine):
        minds = initial.uncommitted_by_node.values()
        for player, mind in zip(engine.players, minds, strict=True):
            cast(Seat, player).mind = mind
        return
    automaton, pool = engine.automaton, initial.game.pool
    names = engine.names_held.tolist()
    for place in np.flatnonzero(initial.mind_indices != initial.uncommitted_indices).tolist():
        memory = automaton.memory(int(engine.states[place]))
        name = pool[names[place]] if names[place] >= 0 else None
        engine.states[place] = automaton.state(
            int(initial.uncommitted_indices[place]), memory, name
        )


class Direction(NamedTuple):
    """A convention and the name that is to replace it."""

    incumbent: str
    challenger: str

    def __str__(self) -> str:
        return f"{self.incumbent} by {self.challenger}"


@dataclass(frozen=True)
class Question:
    """One condition: everybody remembers the incumbent, so many are committed to the challenger.

    ``base`` is the spec without either; its graph is the one called ``topology``.
    """

    base: Spec
    topology: str
    direction: Direction
    placement: str = "random"
    legs: Legs = field(kw_only=True)

    @cached_property
    def agents(self) -> int:
        """How many agents there are, committed ones among them."""
        return len(self.base.initial_state().neighbors)

    def spec(self, committed: int) -> Spec:
        """Return the spec with so many committed agents."""
        return replace(
            self.base,
            incumbent=self.direction.incumbent,
            committed={self.direction.challenger: (committed, self.placement)},
        )

    @property
    def columns(self) -> dict[str, Any]:
        """What tells this condition from others, as columns of a table."""
        return {
            "incumbent": self.direction.incumbent,
            "challenger": self.direction.challenger,
            "topology": self.topology,
            "agents": self.agents,
            "placement": self.placement,
        }


def ask(
    base: Spec,
    *,
    directions: Sequence[Sequence[str]] | None,
    placements: Sequence[str],
    sizes: Sequence[int] | None,
    topologies: Sequence[Any],
    legs: Legs,
) -> list[Question]:
    """Return a question for every combination; ``SpecError`` for what cannot be asked.

    ``legs`` are for any name: each question has them for its challenger.
    """
    for placement in placements:
        if placement not in PLACEMENTS:
            raise SpecError(
                "placement",
                placement,
                f"there is no placement {placement!r}",
                f"Use {', '.join(PLACEMENTS)}.",
            )
    found = []
    both_ways = read_directions(directions, base.game.pool)
    for graph, size in product(topologies, sizes if sizes else (None,)):
        filled = fill(graph, size) if is_open(graph) or size is not None else graph
        spec = replace(base, graph=load_graph(filled))
        topology = replace(base, graph=filled).topology
        for direction, placement in product(both_ways, placements):
            its_own = legs._replace(name=direction.challenger)
            found.append(Question(spec, topology, direction, placement, legs=its_own))
    return found


def read_directions(given: Sequence[Sequence[str]] | None, pool: Sequence[str]) -> list[Direction]:
    """Return who overturns whom: both ways where there are two names and nothing is said."""
    if given is None:
        if len(pool) != 2:
            raise SpecError(
                "directions",
                given,
                f"with {len(pool)} names it is not clear which overturns which",
                'Say so, as in directions=[("Q", "M")].',
            )
        return [Direction(pool[0], pool[1]), Direction(pool[1], pool[0])]
    found = []
    for pair in given:
        if len(pair) != 2 or pair[0] == pair[1] or not set(pair) <= set(pool):
            raise SpecError(
                "directions",
                pair,
                f"{tuple(pair)!r} is no pair of different names of the pool",
                'Give the convention and its challenger, as in ("Q", "M").',
            )
        found.append(Direction(*pair))
    if not found:
        raise SpecError("directions", given, "there are none", "Give one, or leave it out.")
    return list(dict.fromkeys(found))


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
