"""One simulated run over again: what each server would be asked in it, and what waits for what.

The runs to come, played with recorded minds in the place of live ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence, Set
from itertools import islice
from typing import NamedTuple

import numpy as np

from mesa_llm_norms.core.game import Interaction, Memory, remember
from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.experiments.cost_forecast.result import Values, offline
from mesa_llm_norms.llm.mind import LiveMind
from mesa_llm_norms.llm.prompt import Prompt
from mesa_llm_norms.minds.mind import Situation
from mesa_llm_norms.simulation.ensemble import start_course
from mesa_llm_norms.simulation.kernel import can_play, invalidate_caches
from mesa_llm_norms.simulation.pipeline import WINDOW, Planned, plan_rounds
from mesa_llm_norms.simulation.run import Course
from mesa_llm_norms.simulation.spec import InitialState, Spec

CALL = -1
"""Stands for a decision that always takes a call; a number from 0 up is that of a prompt."""


SOME = 7
"""Of so many prompts one is made where only their sizes are wanted. Steps are odd, so that both
seats come up.
"""


Decisions = tuple[int, ...]
"""What an interaction waits for: ``CALL``, or a prompt that is asked once and never again."""


class Asked:
    """What one server would be asked in a run.

    ``decisions`` counts those of its minds, ``ahead`` those that are begun before their turn and
    come after the end. ``prompts`` are numbers, equal for equal prompts, of every ``step``-th
    decision, and ``sizes`` their bytes.
    """

    def __init__(self, step: int) -> None:
        self.step = step
        self.decisions = self.ahead = 0
        self.prompts: list[int] = []
        self.sizes: list[int] = []


class Replay(NamedTuple):
    """A run that was replayed, or its first so many interactions.

    ``chain`` is the longest series of calls that wait for each other; ``later_chain`` is that of a
    run that comes after others, and finds the prompts that they asked answered.
    """

    interactions: int
    chain: int
    later_chain: int
    asked: dict[str, Asked]


class Replayer:
    """Replays runs; ``once`` are the servers that answer every prompt once and for all.

    Of those in ``counted`` all prompts are made, of a run with more than ``room`` decisions only so
    many; of the others as many as it takes to know how long they are.
    """

    def __init__(self, once: Set[str], counted: Set[str], room: int) -> None:
        self._once = once
        self._counted = counted
        self._room = room
        self._numbers: dict[tuple[str, Prompt], int] = {}

    def replay(
        self, initial: InitialState, rows: Sequence[Interaction], rounds: int, ended: bool
    ) -> Replay:
        """Return a run with its live minds, given what was played in it.

        ``rounds`` is how many could be played at most, and ``ended`` whether the last of the rows
        is where the goal was reached.
        """
        nodes = len(initial.neighbors)
        beyond = WINDOW * nodes if ended else 0
        plan = plan_rounds(initial.pairing, initial.neighbors, initial.stream, 0, 0, rounds)
        planned = list(islice(plan, len(rows) + beyond))
        before = len(self._numbers)
        asked, waiting = self._ask(initial, rows, planned)
        timeline = _timeline(planned, waiting, nodes)
        after = _timeline(planned[: len(rows)], waiting[: len(rows)], nodes, known=range(before))
        end = timeline.ends[len(rows) - 1] if rows else 0
        minds = _live_minds(initial)
        for it, start in zip(planned[len(rows) :], timeline.starts[len(rows) :], strict=True):
            if start <= end:
                for label in self._sampled(minds, it):
                    asked[label].ahead += 1
        return Replay(len(rows), end, after.ends[-1] if rows else 0, asked)

    def _ask(
        self, initial: InitialState, rows: Sequence[Interaction], planned: Sequence[Planned]
    ) -> tuple[dict[str, Asked], list[Decisions]]:
        """Return what is asked, and what each planned interaction waits for."""
        game, stream, minds = initial.game, initial.stream, _live_minds(initial)
        memories: list[Memory] = [initial.start] * len(minds)
        step = math.ceil(2 * len(rows) / self._room) | 1
        live = {mind.server.label for mind in minds if mind is not None}
        asked = {
            label: Asked(step if label in self._counted else max(step, SOME))
            for label in sorted(live)
        }
        waiting: list[Decisions] = []
        for row, it in zip(rows, planned, strict=False):
            decisions: list[int] = []
            for seat, node in enumerate((it.a, it.b)):
                mind = minds[node]
                if mind is None:
                    continue
                label = mind.server.label
                there = asked[label]
                prompt = CALL
                if there.decisions % there.step == 0:
                    draw = stream.interaction(it.number)[2 + seat]
                    seen = Situation(game, memories[node], draw, stream, it.number, seat)
                    made = mind.prompt(seen)
                    prompt = self._numbers.setdefault((label, made), len(self._numbers))
                    there.prompts.append(prompt)
                    there.sizes.append(sum(len(text.encode()) for text in made))
                there.decisions += 1
                decisions.append(prompt if label in self._once else CALL)
            waiting.append(tuple(decisions))
            memories[it.a] = remember(memories[it.a], row.name_a, row.name_b, game.memory)
            memories[it.b] = remember(memories[it.b], row.name_b, row.name_a, game.memory)
        for it in planned[len(rows) :]:
            waiting.append((CALL,) * len(self._sampled(minds, it)))
        return asked, waiting

    def _sampled(self, minds: Sequence[LiveMind | None], planned: Planned) -> list[str]:
        """Return the servers that are asked in an interaction beyond the end, for each decision.

        Those that answer once are left out: at the end hardly a prompt is new.
        """
        both = (minds[planned.a], minds[planned.b])
        labels = [mind.server.label for mind in both if mind is not None]
        return [label for label in labels if label not in self._once]


class _Timeline(NamedTuple):
    """When interactions begin, and when each and all before it have ended, counted in calls."""

    starts: list[int]
    ends: list[int]


def _timeline(
    planned: Sequence[Planned],
    waiting: Sequence[Decisions],
    nodes: int,
    known: Iterable[int] = (),
) -> _Timeline:
    """Return when planned interactions happen, if every call takes one unit of time.

    As ``lookahead`` has it: each begins once its two agents are free, and not before the one a
    window earlier is over. ``known`` are the prompts that are answered already.
    """
    window = WINDOW * nodes
    free = [0] * nodes
    answered = dict.fromkeys(known, 0)
    starts: list[int] = []
    ends: list[int] = []
    latest = 0
    for place, (it, decisions) in enumerate(zip(planned, waiting, strict=True)):
        start = max(free[it.a], free[it.b], ends[place - window] if place >= window else 0)
        end = start
        for prompt in decisions:
            over = start + 1
            end = max(end, over if prompt == CALL else answered.setdefault(prompt, over))
        free[it.a] = free[it.b] = end
        latest = max(latest, end)
        starts.append(start)
        ends.append(latest)
    return _Timeline(starts, ends)


def _live_minds(initial: InitialState) -> list[LiveMind | None]:
    """Return the live mind on every node, None where there is another."""
    roster = [mind if isinstance(mind, LiveMind) else None for mind in initial.minds]
    return [roster[seat] for seat in initial.mind_indices.tolist()]


MOST = 199
"""So many runs are played at most: the quantiles are then those of single runs."""


LEAST = 29
"""So many at least, unless they are very long."""


FEWEST = 5
"""So many in any case."""


FACTOR = 10
"""They are, once so many times ``INTERACTIONS`` were played."""


FEW_MEMORIES = 100_000
"""So many different memories, and the kernel soon knows all that agents can be in."""


INTERACTIONS = {True: 1_000_000, False: 10_000}
"""How many interactions are played before no more runs are, where it does and where not; fewer in
proportion with more than ten names. That takes about a second.
"""


REPLAYED = {True: 8_000, False: 3_000}
"""How many decisions of live minds are replayed before no more runs are: more where different
prompts are counted.
"""


KEPT = 300_000
"""Of how many interactions of a run the names are kept, at most."""


class Simulation(NamedTuple):
    """Simulated runs: how long each was, whether it reached its goal; and some of them replayed."""

    interactions: Values
    rounds: Values
    reached: int
    replays: tuple[Replay, ...]

    @property
    def runs(self) -> int:
        """How many runs there are."""
        return len(self.interactions)

    @property
    def chain_rate(self) -> float:
        """How many calls wait for each other in a run, for every interaction of it."""
        return self._per_interaction(sum(replay.chain for replay in self.replays))

    @property
    def later_rate(self) -> float:
        """Likewise in a run that comes after others."""
        last = self.replays[-1]
        return last.later_chain / last.interactions if last.interactions else 0.0

    def load(self, label: str) -> tuple[float, float]:
        """Return how many decisions of a server an interaction has, and how many are begun beyond
        the end of a run.
        """
        asked = self.asked(label)
        decisions = sum(it.decisions for it in asked)
        return self._per_interaction(decisions), sum(it.ahead for it in asked) / len(self.replays)

    def asked(self, label: str) -> list[Asked]:
        """Return what a server is asked in the replayed runs."""
        return [replay.asked[label] for replay in self.replays if label in replay.asked]

    def _per_interaction(self, number: int) -> float:
        return number / max(1, sum(replay.interactions for replay in self.replays))


def simulate(spec: Spec, goal: Goal, most: int, once: Set[str], counted: Set[str]) -> Simulation:
    """Play runs of a spec to its goal, or for ``most`` rounds, as its live minds' stand-ins would.

    ``once`` are the servers that answer each prompt only once, ``counted`` those whose different
    prompts are to be counted. How many runs are played depends on the spec alone, on no clock.
    """
    invalidate_caches()
    room = REPLAYED[bool(counted)]
    replayer, replays = Replayer(once, counted, room), list[Replay]()
    lengths: list[tuple[int, int]] = []
    reached = played = replayed = 0
    for run in range(MOST):
        initial = spec.initial_state(run)
        stand_ins = offline(initial)
        course, rows = _play(spec, stand_ins, goal, most, replayed < room)
        outcome = course.outcome
        lengths.append((outcome.interactions, outcome.rounds))
        reached += course.reached
        played += outcome.interactions
        if rows is not None:
            whole = len(rows) == outcome.interactions
            replay = replayer.replay(initial, rows, most, course.reached and whole)
            replays.append(replay)
            replayed += sum(it.decisions for it in replay.asked.values())
        if _enough(run + 1, played, stand_ins):
            break
    interactions, rounds = np.array(lengths, float).T
    return Simulation(interactions, rounds, reached, tuple(replays))


def _play(
    spec: Spec, initial: InitialState, goal: Goal, most: int, keep: bool
) -> tuple[Course, list[Interaction] | None]:
    """Play a run; return it and, if wanted, its first interactions, nearly always all of them."""
    course = start_course(spec, initial, "auto")
    course.aim(goal)
    rows = None
    if keep:
        kept = min(most, max(1, KEPT // len(initial.neighbors)))
        course.play(kept)
        rows, most = course.rows, most - kept
    if most > 0 and not course.reached:
        course.play(most, keep=False)
    return course, rows


def _enough(runs: int, interactions: int, initial: InitialState) -> bool:
    """Whether so many runs do, with so many interactions together."""
    game = initial.game
    few = len(game.pool) ** (2 * game.memory) <= FEW_MEMORIES
    quick = few and bool(can_play(initial.minds, initial.pairing))
    enough = INTERACTIONS[quick] * 10 / max(10, len(game.pool))
    if runs < LEAST:
        enough *= FACTOR
    return runs >= FEWEST and interactions >= enough
