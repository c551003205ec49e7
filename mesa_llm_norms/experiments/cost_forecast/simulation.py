"""The runs to come, simulated with recorded minds in the place of live ones.

Some of the simulated runs are replayed with the prompts that their live minds would have been sent:
what each provider is asked, and which calls wait for which.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence, Set
from functools import cache
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.core.game import Game, Memory, Row, keep
from mesa_llm_norms.core.referee import Referee, game_draws
from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.experiments.cost_forecast.result import Proxy
from mesa_llm_norms.llm.prompt import Prompt
from mesa_llm_norms.llm.provider import LiveMind
from mesa_llm_norms.minds.mind import Mind, Situation
from mesa_llm_norms.minds.policies import UniformMind
from mesa_llm_norms.minds.registry import load_mind
from mesa_llm_norms.simulation.ensemble import start_run
from mesa_llm_norms.simulation.kernel import can_play, invalidate_caches
from mesa_llm_norms.simulation.pipeline import WINDOW, Planned, plan_rounds
from mesa_llm_norms.simulation.run import Run
from mesa_llm_norms.simulation.spec import InitialState, Spec

MOST = 199
"""Runs simulated, at most: the quantiles are then those of single runs."""

LEAST = 29
"""Runs simulated, at least, unless they are very long."""

FEWEST = 5
"""Runs simulated in any case."""

FACTOR = 10
"""Runs are very long if fewer than ``LEAST`` have this many times ``INTERACTIONS``."""

FEW_MEMORIES = 100_000
"""With this many different memories or fewer, the kernel soon knows all of them."""

INTERACTIONS = {True: 1_000_000, False: 10_000}
"""After how many interactions no more runs are simulated, by whether the kernel knows all memories;
fewer in proportion with more than ten names. That takes about a second.
"""

REPLAYED = {True: 8_000, False: 3_000}
"""After how many decisions of live minds no more runs are replayed, by whether different prompts
are counted.
"""

KEPT = 300_000
"""The names of this many interactions of a run are kept, at most."""

CALL = -1
"""Stands for a decision that always takes a call; a number from 0 up is that of a prompt."""

SOME = 7
"""Where only the sizes of prompts are wanted, one in this many is made. Steps are odd, so that both
seats come up.
"""

Decisions = tuple[int, ...]
"""What an interaction waits for: ``CALL``, or a prompt that is sent only once."""

CLAUDE = "claude-3.5-sonnet"

LLAMAS = {
    "2": "llama-2-70b-chat",
    "3": "llama-3-70b-instruct",
    "3.x": "llama-3.1-70b-instruct",
}

OTHERS = "llama-3-70b-instruct"
"""The proxy of models of no recorded kind."""

_LLAMA = re.compile(
    r"""llama[\s._-]*v?
        ([23])(?![\d.]*b)                   # the version, and not the size of a "llama-3b"
        (?:[\s._p-]([1-9])(?!\d*\.?\d*b))?  # its second part, and not the size either
        (?!\d)
    """,
    re.IGNORECASE | re.VERBOSE,
)


class Simulation(NamedTuple):
    """Simulated runs: how long each was, whether it reached its goal; and some of them replayed."""

    interactions: NDArray[np.float64]
    rounds: NDArray[np.float64]
    reached: int
    replays: tuple[Replay, ...]

    @property
    def runs(self) -> int:
        """How many runs there are."""
        return len(self.interactions)

    @property
    def chain_rate(self) -> float:
        """How many calls wait for each other in a run, per interaction."""
        return self._per_interaction(sum(replay.chain for replay in self.replays))

    @property
    def later_rate(self) -> float:
        """The same in a run that comes after others."""
        last = self.replays[-1]
        return last.later_chain / last.interactions if last.interactions else 0.0

    def load(self, label: str) -> tuple[float, float]:
        """Return a provider's decisions per interaction, and speculative ones per run."""
        asked = self.asked(label)
        decisions = sum(it.decisions for it in asked)
        return self._per_interaction(decisions), sum(it.ahead for it in asked) / len(self.replays)

    def asked(self, label: str) -> list[Asked]:
        """Return what a provider is asked in the replayed runs."""
        return [replay.asked[label] for replay in self.replays if label in replay.asked]

    def _per_interaction(self, number: int) -> float:
        return number / max(1, sum(replay.interactions for replay in self.replays))


class Asked:
    """What one provider would be asked in a run.

    ``decisions`` counts those of its minds, ``ahead`` speculative ones after the end. ``prompts``
    are numbers, equal for equal prompts, of every ``step``-th decision, and ``sizes`` their bytes.
    """

    def __init__(self, step: int) -> None:
        self.step = step
        self.decisions = self.ahead = 0
        self.prompts: list[int] = []
        self.sizes: list[int] = []


class Replay(NamedTuple):
    """A replayed run, or the first interactions of a long one.

    ``chain`` is the longest series of calls that wait for each other; ``later_chain`` is that of a
    run that comes after others, whose prompts are answered already.
    """

    interactions: int
    chain: int
    later_chain: int
    asked: dict[str, Asked]


def simulate(spec: Spec, goal: Goal, most: int, once: Set[str], counted: Set[str]) -> Simulation:
    """Play runs of a spec to its goal, or for ``most`` rounds, with proxies of its live minds.

    ``once`` are the providers that answer each prompt only once, ``counted`` those whose different
    prompts are to be counted. How many runs are played depends on the spec alone, on no clock.
    """
    invalidate_caches()
    room = REPLAYED[bool(counted)]
    replayer, replays = _Replayer(once, counted, room), list[Replay]()
    lengths: list[tuple[int, int]] = []
    reached = played = replayed = 0
    for run in range(MOST):
        initial = spec.initial_state(run)
        proxies = without_calls(initial)
        game_run, rows = _play(spec, proxies, goal, most, replayed < room)
        outcome = game_run.outcome
        lengths.append((outcome.interactions, outcome.rounds))
        reached += game_run.reached
        played += outcome.interactions
        if rows is not None:
            whole = len(rows) == outcome.interactions
            replay = replayer.replay(initial, rows, most, game_run.reached and whole)
            replays.append(replay)
            replayed += sum(it.decisions for it in replay.asked.values())
        if _enough(run + 1, played, proxies):
            break
    interactions, rounds = np.array(lengths, float).T
    return Simulation(interactions, rounds, reached, tuple(replays))


def _play(
    spec: Spec, initial: InitialState, goal: Goal, most: int, keep: bool
) -> tuple[Run, list[Row] | None]:
    """Play a run; return it and, if wanted, its first interactions, nearly always all of them."""
    game_run = start_run(spec, initial, "auto")
    rows = None
    if keep:
        kept = min(most, max(1, KEPT // len(initial.neighbors)))
        game_run.play_to(goal, kept, keep=True)
        rows, most = game_run.rows, most - kept
    if most > 0 and not game_run.reached:
        game_run.play_to(goal, most)
    return game_run, rows


def _enough(runs: int, interactions: int, initial: InitialState) -> bool:
    """Whether this many runs, with this many interactions in all, are enough."""
    game = initial.game
    few = len(game.pool) ** (2 * game.memory) <= FEW_MEMORIES
    quick = few and bool(can_play(initial.minds, initial.pairing, game))
    enough = INTERACTIONS[quick] * 10 / max(10, len(game.pool))
    if runs < LEAST:
        enough *= FACTOR
    return runs >= FEWEST and interactions >= enough


def nearest(model: str) -> Proxy:
    """Return the recorded mind that is nearest to a model.

    Versions of Llama are recognized as the makers of files and servers write them: ``llama3.1:8b``,
    ``Meta-Llama-3-70B-Instruct``, ``llama-v3p3-70b``, ``llama2``.
    """
    if "claude" in model.lower():
        return Proxy(CLAUDE, True)
    found = _LLAMA.search(model)
    if found is None:
        return Proxy(OTHERS, False)
    version, part = found.groups()
    return Proxy(LLAMAS["3.x" if version == "3" and part else version], True)


def without_calls(initial: InitialState) -> InitialState:
    """Return an initial state with a recorded mind in the place of every live one.

    In games other than the naming game, in which none was recorded, it is ``uniform``.
    """

    def put(mind: Mind) -> Mind:
        if not isinstance(mind, LiveMind):
            return mind
        if not isinstance(initial.game, Game):
            return UniformMind()
        return _recorded(mind.provider.model).for_run(initial.game, initial.stream)

    return initial._replace(minds=tuple(put(mind) for mind in initial.minds))


@cache
def _recorded(model: str) -> Mind:
    return load_mind(nearest(model).name)


class _Replayer:
    """Replays runs; ``once`` are the providers that answer every prompt once and for all.

    Of those in ``counted`` all prompts are made, of a run with more than ``room`` decisions only so
    many; of the others as many as it takes to know how long they are.
    """

    def __init__(self, once: Set[str], counted: Set[str], room: int) -> None:
        self._once = once
        self._counted = counted
        self._room = room
        self._numbers: dict[tuple[str, Prompt], int] = {}

    def replay(
        self, initial: InitialState, rows: Sequence[Row], rounds: int, ended: bool
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
        self, initial: InitialState, rows: Sequence[Row], planned: Sequence[Planned]
    ) -> tuple[dict[str, Asked], list[Decisions]]:
        """Return what is asked, and what each planned interaction waits for."""
        game, stream, minds = initial.game, initial.stream, _live_minds(initial)
        memories: list[Memory] = [initial.start] * len(minds)
        referee = Referee(game)
        step = math.ceil(2 * len(rows) / self._room) | 1
        live = {mind.provider.label for mind in minds if mind is not None}
        asked = {
            label: Asked(step if label in self._counted else max(step, SOME))
            for label in sorted(live)
        }
        waiting: list[Decisions] = []
        for row, it in zip(rows, planned, strict=False):
            decisions: list[int] = []
            for seat, node in enumerate(it.nodes):
                mind = minds[node]
                if mind is None:
                    continue
                label = mind.provider.label
                there = asked[label]
                prompt = CALL
                if there.decisions % there.step == 0:
                    draw = game_draws(stream, it.number, len(it.nodes))[seat]
                    seen = Situation(game, memories[node], draw, stream, it.number, seat)
                    made = mind.sent(seen)
                    prompt = self._numbers.setdefault((label, made), len(self._numbers))
                    there.prompts.append(prompt)
                    there.sizes.append(sum(len(text.encode()) for text in made))
                there.decisions += 1
                decisions.append(prompt if label in self._once else CALL)
            waiting.append(tuple(decisions))
            for seat, node in enumerate(it.nodes):
                past = referee.experience(row.names, seat)
                memories[node] = keep(memories[node], past, game.memory)
        for it in planned[len(rows) :]:
            waiting.append((CALL,) * len(self._sampled(minds, it)))
        return asked, waiting

    def _sampled(self, minds: Sequence[LiveMind | None], planned: Planned) -> list[str]:
        """Return the provider asked for each decision of an interaction beyond the end.

        Those that answer once are left out: at the end hardly a prompt is new.
        """
        both = [minds[node] for node in planned.nodes]
        labels = [mind.provider.label for mind in both if mind is not None]
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

    As in ``simulation.pipeline``: each begins once its agents are free, and not before the one
    a window earlier is over. ``known`` are the prompts that are answered already.
    """
    window = WINDOW * nodes
    free = [0] * nodes
    answered = dict.fromkeys(known, 0)
    starts: list[int] = []
    ends: list[int] = []
    latest = 0
    for place, (it, decisions) in enumerate(zip(planned, waiting, strict=True)):
        start = max(
            *(free[node] for node in it.nodes), ends[place - window] if place >= window else 0
        )
        end = start
        for prompt in decisions:
            over = start + 1
            end = max(end, over if prompt == CALL else answered.setdefault(prompt, over))
        for node in it.nodes:
            free[node] = end
        latest = max(latest, end)
        starts.append(start)
        ends.append(latest)
    return _Timeline(starts, ends)


def _live_minds(initial: InitialState) -> list[LiveMind | None]:
    """Return the live mind on every node, None where there is another."""
    minds = [mind if isinstance(mind, LiveMind) else None for mind in initial.minds]
    return [minds[index] for index in initial.mind_indices.tolist()]
