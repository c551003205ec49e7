"""One run in two legs: until a name has taken over, then on with nobody committed.

A *flip* is that a name makes up 95% of the names played in three population rounds, those of
committed agents among them: the goal ``flipped`` of every run. The second leg begins from the very
state the first one ended in. Agents that were committed remember what they have lived through, and
choose with the mind they would have had.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from mesa_llm_norms.course import MOST, WINDOW, Course, Goal, read_rounds
from mesa_llm_norms.ensemble import Seat, start_course
from mesa_llm_norms.execution import Engine
from mesa_llm_norms.game import read_whole
from mesa_llm_norms.kernel import Kernel, check_engine
from mesa_llm_norms.spec import Seating, Spec

if TYPE_CHECKING:
    from mesa_llm_norms.minds.live.session import Session


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


def play_legs(spec: Spec, run: int, legs: Legs, session: Session | None = None) -> TwoLegs:
    """Play one run of a spec; calls to live minds are made by ``session``."""
    seating = spec.seat(run)
    if session is not None:
        seating = seating._replace(roster=session.attend(seating.roster))
    return play_seated(spec, seating, run, legs, session)


def play_seated(
    spec: Spec, seating: Seating, run: int, legs: Legs, session: Session | None = None
) -> TwoLegs:
    """Play a run that is made ready."""
    engine = start_course(spec, seating, legs.engine, session).engine
    course = Course(engine, (legs.name,))
    course.aim(Goal("flipped", WINDOW))
    course.play(legs.rounds, keep=False)
    first = course.outcome
    lasts: bool | None = None
    if first.flipped and legs.after:
        _release(cast(Engine | Kernel, engine), seating)
        course.aim(Goal(None, WINDOW))
        course.play(legs.after, keep=False)
        lasts = course.outcome.winner == legs.name
    return TwoLegs(
        run, first.flipped, first.interactions, first.rounds, first.winner, first.share, lasts
    )


def _release(engine: Engine | Kernel, seating: Seating) -> None:
    """Give everybody the mind that decides where nobody is committed, memories as they are."""
    if isinstance(engine, Engine):
        minds = seating.minds_at(seating.uncommitted).values()
        for player, mind in zip(engine.players, minds, strict=True):
            cast(Seat, player).mind = mind
        return
    automaton, pool = engine.automaton, seating.game.pool
    names = engine.names_held.tolist()
    for place in np.flatnonzero(seating.seats != seating.uncommitted).tolist():
        memory = automaton.memory(int(engine.states[place]))
        name = pool[names[place]] if names[place] >= 0 else None
        engine.states[place] = automaton.state(int(seating.uncommitted[place]), memory, name)
