"""Runs with live minds, many at once in threads that mostly wait for replies.

Many runs of one spec: no Mesa agents, any number of worker processes, the same results.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mesa_llm_norms.analysis.agreement import Edges, local_agreement, name_clusters
from mesa_llm_norms.core.compiled import load
from mesa_llm_norms.core.game import Memory, remember
from mesa_llm_norms.core.stopping import MOST, WINDOW, Goal, check_goal, read_rounds
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.minds.registry import DEFAULT_MIND
from mesa_llm_norms.networks.reading import names_file, read_file
from mesa_llm_norms.simulation.engine import Engine
from mesa_llm_norms.simulation.kernel import (
    Kernel,
    can_play,
    check_engine,
    invalidate_caches,
    refusal,
    worthwhile,
)
from mesa_llm_norms.simulation.run import Run, RunResult, interaction_table, run_table, tally_table
from mesa_llm_norms.simulation.spec import DEFAULT_GRAPH, DEFAULT_NAMES, InitialState, Spec
from mesa_llm_norms.simulation.workers import Shared, answers
from mesa_llm_norms.validation import read_seed, read_whole

if TYPE_CHECKING:
    from mesa_llm_norms.llm.client import LLMClient
    from mesa_llm_norms.llm.journal import Totals


AT_ONCE = 64
"""Runs with live minds that are played at once, at most."""


T = TypeVar("T")


def side_by_side(
    play: Callable[..., T], calls: Iterable[tuple[Any, ...]], runs: int, client: LLMClient
) -> Generator[T, None, None]:
    """Yield what ``play`` returns for each of ``runs`` runs, as they end; close it when done.

    Where one of them fails, or on an interrupt, the others begin no more calls of ``client``, and
    what they have is on record.
    """
    with ThreadPoolExecutor(min(runs, AT_ONCE)) as threads:
        try:
            with closing(answers(play, calls, executor=threads)) as found:
                for answer in found:
                    yield answer.result
        except BaseException:
            client.stop()
            raise


def check_here(executor: Executor | None, engine: str) -> None:
    """Raise ``SpecError`` if runs with live minds are to be played elsewhere, or compiled."""
    if executor is not None or engine == "kernel":
        raise SpecError(
            "executor" if executor is not None else "engine",
            executor or engine,
            "live minds are called from this process, in plain Python",
            "Leave it out: their runs are played side by side as they are.",
        )


Progress = Callable[[int, int], None]
"""Called with the runs done and the runs in all."""


How: TypeAlias = tuple[Goal, int, bool, str]
"""How runs are played: the goal, the most rounds, whether interactions are kept, the engine."""


TYPICAL = 10
"""Population rounds a run usually takes at least."""


BATCH = 50
"""Runs that go to a worker at once, at most."""


BATCH_AGENTS = 50_000
"""Agents in them, at most, if they are of more than one run."""


class PlainPlayer:
    """A player without Mesa: what an ensemble has instead of an agent."""

    __slots__ = ("length", "memory", "mind", "name", "uncommitted")
    foreseeable = True

    def __init__(self, mind: Mind, uncommitted: Mind, memory: Memory, length: int) -> None:
        self.mind = mind
        self.uncommitted = uncommitted
        self.memory = memory
        self.length = length
        self.name: str | None = None

    def remember(self, own: str, partner: str) -> None:
        """Take in one interaction."""
        self.name = own
        self.memory = remember(self.memory, own, partner, self.length)

    def release(self) -> None:
        """Decide with the mind the player has when it is committed to no name."""
        self.mind = self.uncommitted


@dataclass(frozen=True)
class Ensemble:
    """The runs of one spec.

    ``runs``: one row per run with the columns run, interactions, rounds, converged, winner, share,
    flipped, local_agreement, clusters, largest_cluster. The winner is the name played most in the
    last ``window`` rounds and ``share`` its share there, whether or not the run converged. The last
    three say how the names held at the end lie on the network: the share of edges whose ends hold
    one name, the number of connected clusters of agents that do, and the largest one's share of the
    agents (see ``mesa_llm_norms.statistics``).

    ``rounds``: one row per run and population round with run, round, interactions, success_rate,
    distinct_names, entropy, and ``share_NAME`` for each name of the pool.

    ``interactions``: one row per interaction, if ``keep_interactions`` was asked for, else None.

    ``held``: for each run, the place in the pool of the name each node played last, -1 for none.

    ``usage``: what the calls to live minds came to, None where there was none to call.
    ``discarded``: interactions that were begun beyond the ends of runs, and are in no result;
    ``skipped``: those in which a mind gave no name, and which are in none either.
    """

    spec: Spec
    runs: pd.DataFrame
    rounds: pd.DataFrame
    interactions: pd.DataFrame | None
    held: tuple[NDArray[np.int16], ...]
    usage: Totals | None = None
    discarded: int = 0
    skipped: int = 0


def run_ensemble(
    graph: Any = DEFAULT_GRAPH,
    names: Any = DEFAULT_NAMES,
    mind: Any = DEFAULT_MIND,
    pairing: Any = "node",
    memory: int = 5,
    reward: float = 100,
    penalty: float = -50,
    incumbent: str | None = None,
    committed: Mapping[str, Any] | None = None,
    rng: Any = None,
    runs: int = 100,
    rounds: int | None = None,
    until: str | None = "converged",
    window: float = WINDOW,
    threshold: float = 1.0,
    workers: int | None = 1,
    executor: Executor | None = None,
    keep_interactions: bool = False,
    engine: str = "auto",
    progress: Progress | None = None,
    llm: LLMSettings | None = None,
) -> Ensemble:
    """Play ``runs`` independent runs and return them as tables.

    The first arguments are those of ``NamingGame``; ``rounds``, ``until``, ``window`` and
    ``threshold`` those of its ``run``. A random topology is drawn anew for every run, as are the
    places of committed agents and of minds given by share.

    ``workers`` is the number of processes (None: one per processor), or ``executor`` any
    ``concurrent.futures.Executor``. ``engine`` is ``"python"``, ``"kernel"`` (compiled;
    ``SpecError`` where ``kernel.can_play`` says no) or ``"auto"``, which is compiled where it can
    be and pays. The results are the same for every choice.

    With live minds all runs are played side by side in this process, and share the places, the
    budget and the journal of ``calls``.
    """
    spec = Spec(
        graph=graph,
        names=names,
        mind=mind,
        pairing=pairing,
        memory=memory,
        reward=reward,
        penalty=penalty,
        incumbent=incumbent,
        committed=committed,
        seed=read_seed(rng),
    )
    return play_ensemble(
        spec,
        runs=runs,
        goal=Goal(until, window, threshold),
        rounds=rounds,
        workers=workers,
        executor=executor,
        keep_interactions=keep_interactions,
        engine=engine,
        progress=progress,
        llm=llm,
    )


def play_ensemble(
    spec: Spec,
    *,
    runs: int,
    goal: Goal,
    rounds: int | None = None,
    workers: int | None = 1,
    executor: Executor | None = None,
    keep_interactions: bool = False,
    engine: str = "auto",
    progress: Progress | None = None,
    llm: LLMSettings | None = None,
    content: Mapping[str, Any] | None = None,
) -> Ensemble:
    """Play runs of a spec that is already read; see ``run_ensemble``.

    ``content`` goes into the journal of live minds beside the spec.
    """
    most = read_rounds(rounds, goal.until)
    runs = read_whole("runs", runs, 1, MOST)
    processes = read_whole("workers", os.cpu_count() or 1 if workers is None else workers, 1, 1_000)
    check_goal(goal, spec.committed_names)
    played: list[RunResult] = []
    if spec.live:
        check_here(executor, engine)
        check_engine(engine)
        how = goal, most, keep_interactions
        return _play_live(spec, runs, how, llm, content or {}, progress)
    loaded = replace(spec, graph=load_graph(spec.graph))
    initial = loaded.initial_state()
    agents = len(initial.neighbors)
    invalidate_caches()
    engine = settle(engine, runs * agents * (most if goal.until is None else min(most, TYPICAL)))
    if executor is not None or processes > 1:
        load_kernel(engine, initial)
    compiled = goal, most, keep_interactions, engine
    with closing(_batches(loaded, runs, agents, compiled, processes, executor)) as batches:
        for some in batches:
            played += some
            if progress is not None:
                progress(len(played), runs)
    played.sort(key=lambda one: one.run)
    return _tables(spec, played, keep_interactions)


def play_run(
    spec: Spec,
    run: int,
    goal: Goal,
    rounds: int,
    keep: bool = False,
    engine: str = "python",
    client: LLMClient | None = None,
) -> RunResult:
    """Play one run to its goal, or for ``rounds`` rounds, on an engine as ``run_ensemble`` says.

    Calls to live minds are made by ``client``.
    """
    initial = spec.initial_state(run)
    game_run = start_run(spec, initial, engine, client)
    tally = game_run.play_to(goal, rounds, keep)
    held, edges = game_run.engine.names_held, Edges.of_neighbors(initial.neighbors)
    clusters = name_clusters(edges, held)
    return RunResult(
        run,
        game_run.outcome,
        local_agreement(edges, held),
        len(clusters.sizes),
        clusters.largest_share,
        tally,
        held,
        game_run.rows,
        game_run.engine.discarded,
        game_run.engine.skipped,
    )


def start_run(
    spec: Spec, initial: InitialState, engine: str = "python", client: LLMClient | None = None
) -> Run:
    """Return a run ready to be played, compiled where ``engine`` says so and it can be.

    Calls to live minds are made by ``client``, which is told of every interaction.
    """
    if client is not None:
        initial = initial._replace(minds=client.attach(initial.minds))
    if engine != "python":
        verdict = can_play(initial.minds, initial.pairing)
        if verdict:
            return Run(Kernel.of_initial_state(initial), spec.committed_names)
        if engine == "kernel":
            raise refusal(verdict)
    players = [
        PlainPlayer(mind, uncommitted, initial.start, initial.game.memory)
        for mind, uncommitted in zip(
            initial.minds_by_node.values(), initial.uncommitted_by_node.values(), strict=True
        )
    ]
    return Run(
        Engine(initial.game, initial.neighbors, players, initial.pairing, initial.stream, client),
        spec.committed_names,
    )


def settle(engine: str, interactions: int) -> str:
    """Return the engine for so many interactions; ``auto`` is python where they are few."""
    check_engine(engine)
    return "python" if engine == "auto" and not worthwhile(interactions) else engine


def load_kernel(engine: str, initial: InitialState) -> None:
    """Load the kernel if it will be used, so that workers find it compiled."""
    if engine != "python" and can_play(initial.minds, initial.pairing):
        load("interactions")


def load_graph(graph: Any) -> Any:
    """Return a ``graph=`` argument whose file is read, once and not in every run."""
    return read_file(Path(graph)) if names_file(graph) else graph


def batch_size(runs: int, agents: int, workers: int) -> int:
    """Return how many runs go to a worker at once, so that none is idle and none waits long."""
    return max(1, min(BATCH, math.ceil(runs / (4 * workers)), BATCH_AGENTS // agents))


def play_batch(spec: Shared[Spec], runs: range, how: How) -> list[RunResult]:
    """Play some runs of a spec, in this process or another."""
    return [play_run(spec.value, run, *how) for run in runs]


def _batches(
    spec: Spec, runs: int, agents: int, how: How, processes: int, executor: Executor | None
) -> Generator[list[RunResult], None, None]:
    shared = Shared(spec)
    alone = executor is None and processes == 1
    size = 1 if alone else batch_size(runs, agents, processes)
    calls = ((shared, range(first, min(first + size, runs)), how) for first in range(0, runs, size))
    with closing(answers(play_batch, calls, processes, executor)) as found:
        for answer in found:
            yield answer.result


def _play_live(
    spec: Spec,
    runs: int,
    how: tuple[Goal, int, bool],
    llm: LLMSettings | None,
    content: Mapping[str, Any],
    progress: Progress | None,
) -> Ensemble:
    """Play runs with live minds, side by side."""
    from mesa_llm_norms.llm.client import LLMClient
    from mesa_llm_norms.simulation.serialization import save

    played: list[RunResult] = []
    kept = llm is not None and llm.folder is not None
    client = LLMClient(llm, {"spec": save(spec), "runs": runs, **content} if kept else {})
    every = ((spec, run, *how, "python", client) for run in range(runs))
    with closing(client), closing(side_by_side(play_run, every, runs, client)) as found:
        for one in found:
            played.append(one)
            if progress is not None:
                progress(len(played), runs)
    played.sort(key=lambda one: one.run)
    return replace(_tables(spec, played, how[2]), usage=client.usage)


def _tables(spec: Spec, played: list[RunResult], keep: bool) -> Ensemble:
    rounds = tally_table([(one.run, one.tally) for one in played])
    rows = interaction_table(row for one in played for row in one.rows) if keep else None
    held = tuple(one.held for one in played)
    discarded, skipped = (
        sum(one.discarded for one in played),
        sum(one.skipped for one in played),
    )
    return Ensemble(
        spec, run_table(played), rounds, rows, held, discarded=discarded, skipped=skipped
    )
