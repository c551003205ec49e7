"""One simulated run over again: what each server would be asked in it, and what waits for what."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence, Set
from itertools import islice
from typing import NamedTuple

from mesa_llm_norms.game import Interaction
from mesa_llm_norms.lookahead import WINDOW, Planned, plan_rounds
from mesa_llm_norms.memory import Memory, remember
from mesa_llm_norms.minds.live import LiveMind, Prompt
from mesa_llm_norms.minds.mind import Situation
from mesa_llm_norms.spec import Seating

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
        self, seating: Seating, rows: Sequence[Interaction], rounds: int, ended: bool
    ) -> Replay:
        """Return a run with its live minds, given what was played in it.

        ``rounds`` is how many could be played at most, and ``ended`` whether the last of the rows
        is where the goal was reached.
        """
        nodes = len(seating.contacts)
        beyond = WINDOW * nodes if ended else 0
        plan = plan_rounds(seating.pairing, seating.contacts, seating.draws, 0, 0, rounds)
        planned = list(islice(plan, len(rows) + beyond))
        before = len(self._numbers)
        asked, waiting = self._ask(seating, rows, planned)
        timeline = _timeline(planned, waiting, nodes)
        after = _timeline(planned[: len(rows)], waiting[: len(rows)], nodes, known=range(before))
        end = timeline.ends[len(rows) - 1] if rows else 0
        minds = _live_minds(seating)
        for it, start in zip(planned[len(rows) :], timeline.starts[len(rows) :], strict=True):
            if start <= end:
                for label in self._sampled(minds, it):
                    asked[label].ahead += 1
        return Replay(len(rows), end, after.ends[-1] if rows else 0, asked)

    def _ask(
        self, seating: Seating, rows: Sequence[Interaction], planned: Sequence[Planned]
    ) -> tuple[dict[str, Asked], list[Decisions]]:
        """Return what is asked, and what each planned interaction waits for."""
        game, draws, minds = seating.game, seating.draws, _live_minds(seating)
        memories: list[Memory] = [seating.start] * len(minds)
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
                    draw = draws.interaction(it.number)[2 + seat]
                    seen = Situation(game, memories[node], draw, draws, it.number, seat)
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


def _live_minds(seating: Seating) -> list[LiveMind | None]:
    """Return the live mind on every node, None where there is another."""
    roster = [mind if isinstance(mind, LiveMind) else None for mind in seating.roster]
    return [roster[seat] for seat in seating.seats.tolist()]
