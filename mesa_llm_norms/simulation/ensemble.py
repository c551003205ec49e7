"""Many runs of one spec: no Mesa agents, any backend, the same results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import pandas as pd

from mesa_llm_norms.analysis.agreement import Edges, local_agreement, name_clusters
from mesa_llm_norms.core import limits
from mesa_llm_norms.core.compiled import load
from mesa_llm_norms.core.game import Experience, GameRules, Memory, keep, remember
from mesa_llm_norms.core.limits import read_whole, read_workers
from mesa_llm_norms.core.stopping import Goal, check_goal, read_rounds
from mesa_llm_norms.errors import MindError
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.networks.reading import graph_file, read_file
from mesa_llm_norms.simulation.backends import SharedCalls, choose_backend, open_client
from mesa_llm_norms.simulation.batch import play_together
from mesa_llm_norms.simulation.engine import Engine
from mesa_llm_norms.simulation.kernel import (
    WORTHWHILE,
    Kernel,
    can_play,
    check_engine,
    refusal,
    worthwhile,
)
from mesa_llm_norms.simulation.pairing import Pairing, read_pairing
from mesa_llm_norms.simulation.rewiring import Rewire, Rewiring
from mesa_llm_norms.simulation.run import (
    Batch,
    Run,
    RunResult,
    interaction_table,
    run_table,
    tally_table,
)
from mesa_llm_norms.simulation.run_record import NodeSums, RunRecord
from mesa_llm_norms.simulation.sight import Eyes
from mesa_llm_norms.simulation.spec import InitialState, Spec
from mesa_llm_norms.simulation.workers import Shared

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mesa_llm_norms.core.metrics import Round
    from mesa_llm_norms.llm.client import LLMClient
    from mesa_llm_norms.llm.journal.rows import Totals
    from mesa_llm_norms.simulation.run_record import RowSink

Progress = Callable[[int, int], None]
"""Called with the runs done and the runs in total."""

How: TypeAlias = tuple[Goal, int, bool, str]
"""How runs are played: goal, most rounds, whether interactions are kept, engine."""

NOTEBOOK = "mesa_llm_norms.plots.notebook"
"""What shows things in notebooks: above this room, and loaded only there."""

TYPICAL_ROUNDS = 10
"""Population rounds that a run usually takes at least."""


@dataclass(frozen=True)
class Ensemble:
    """The runs of one spec, as tables.

    Parameters
    ----------
    spec : Spec
        What was played.
    runs : pandas.DataFrame
        One row per run: ``run``, ``interactions``, ``rounds``, ``converged``, ``winner``,
        ``share``, ``flipped``, ``agreed``, ``one_name``, ``names_left``, ``local_agreement``,
        ``clusters``, ``largest_cluster``. The winner is the name played most in the last
        ``window`` rounds and ``share`` its share there, whether or not the run converged. The
        last five are about the names held at the end: whether there is only one, how many there
        are, the share of edges whose ends hold the same name, the number of connected clusters of
        agents that do, and the largest one's share of the agents.
    rounds : pandas.DataFrame
        One row per run and population round: ``run``, ``round``, ``interactions`` (so far in the
        run), ``success_rate``, ``distinct_names``, ``entropy`` (bits), and ``share_NAME`` for each
        name of the pool.
    interactions : pandas.DataFrame or None
        One row per interaction with the fields of ``Interaction``; None unless they were kept.
    held : tuple of numpy.ndarray
        For each run the index in the pool of the name each node played last, -1 for none, each of
        shape (nodes,).
    usage : Totals or None, default None
        What calls to live minds used; None where all minds are offline.
    discarded : int, default 0
        Interactions decided speculatively, beyond the ends of runs; they are in no table.
    skipped : int, default 0
        Interactions in which a mind gave no name; they are in no table.
    nodes : NodeSums or None, default None
        What every node did, summed up over the runs, for the folder.
    """

    spec: Spec
    runs: pd.DataFrame
    rounds: pd.DataFrame
    interactions: pd.DataFrame | None
    held: tuple[NDArray[np.int16], ...]
    usage: Totals | None = None
    discarded: int = 0
    skipped: int = 0
    nodes: NodeSums | None = None

    def _repr_html_(self) -> str:
        return str(import_module(NOTEBOOK).ensemble_html(self))

    def _repr_png_(self) -> bytes:
        return bytes(import_module(NOTEBOOK).ensemble_png(self))


def play_ensemble(
    spec: Spec,
    *,
    runs: int,
    goal: Goal,
    rounds: int | None = None,
    workers: int | None = 1,
    executor: Executor | None = None,
    keep_interactions: bool = False,
    keep_nodes: bool = False,
    engine: str = "auto",
    progress: Progress | None = None,
    llm: LLMSettings | SharedCalls | Mapping[str, Any] | None = None,
    content: Mapping[str, Any] | None = None,
) -> Ensemble:
    """Play runs of a spec that is already read; see ``run_ensemble``.

    ``content`` goes into the journal of live minds beside the spec. ``keep_nodes`` sums up what
    nodes do where all runs have the same network.
    """
    most = read_rounds(rounds, goal.until)
    runs = read_whole("runs", runs, limits.RUNS)
    processes = read_workers(workers)
    check_goal(goal, spec.committed_names)
    check_engine(engine)
    written = {"runs": runs, **(content or {})}
    client = open_client(spec, llm, written, executor=executor, engine=engine)
    batches: list[Batch] = []
    nodes: NodeSums | None = None
    with choose_backend(client, workers=processes, executor=executor) as backend:
        loaded = replace(spec, graph=load_graph(spec.graph))
        (start,) = loaded.starts(range(1))
        agents = len(start.neighbors)
        typical = most if goal.until is None else min(most, TYPICAL_ROUNDS)
        engine = settle(engine, runs * agents * typical)
        if backend.elsewhere:
            load_kernel(
                *(engine, start.minds, read_pairing(loaded.pairing), loaded.game),
                *(loaded.rewire, loaded.sees),
            )
        shared, how = Shared(loaded), (goal, most, keep_interactions, engine)
        parts = backend.parts(range(runs), agents)
        noted = keep_nodes and loaded.has_one_network
        calls = ((shared, part, how, noted) for part in parts)
        done = 0
        with closing(backend.play(play_batch, calls)) as found:
            for answer in found:
                sums = answer.result.nodes
                nodes = nodes.plus(sums) if nodes is not None and sums is not None else sums
                batches.append(answer.result._replace(nodes=None))
                done += len(answer.result.run)
                if progress is not None:
                    progress(done, runs)
        usage = client.usage if client is not None else None
    batches.sort(key=lambda batch: int(batch.run[0]))
    return Ensemble(
        spec,
        run_table(batches),
        tally_table(batches),
        interaction_table((row for batch in batches for row in batch.rows), spec.game)
        if keep_interactions
        else None,
        tuple(held for batch in batches for held in batch.held),
        usage,
        discarded=sum(batch.discarded for batch in batches),
        skipped=sum(batch.skipped for batch in batches),
        nodes=nodes,
    )


def play_batch(
    spec: Shared[Spec], runs: range, how: How, nodes: bool, client: LLMClient | None = None
) -> Batch:
    """Play some runs of a spec, in this process or another; at least one."""
    return play_part(spec.value, runs, how, nodes, client)


def play_part(
    spec: Spec, runs: range, how: How, nodes: bool = False, client: LLMClient | None = None
) -> Batch:
    """Play some runs of a spec, all in one compiled call where that can be; at least one.

    ``nodes`` says whether to sum up what the nodes of their one network did.
    """
    goal, rounds, keep, engine = how
    if (whole := spec.whole_game) is not None:
        batch: Batch = whole.play_runs(spec, runs, goal, rounds, keep=keep, nodes=nodes)
        return batch
    if engine != "python" and not keep:
        together = play_together(spec, runs, goal, rounds, nodes=nodes)
        if together is not None:
            return together
    return Batch.of([play_run(spec, run, *how, client, nodes) for run in runs])


def play_run(
    spec: Spec,
    run: int,
    goal: Goal,
    rounds: int,
    keep: bool = False,
    engine: str = "python",
    client: LLMClient | None = None,
    nodes: bool = False,
) -> RunResult:
    """Play one run.

    Parameters
    ----------
    spec : Spec
        What is played.
    run : int
        The number of the run.
    goal : Goal
        When it stops.
    rounds : int
        The most population rounds.
    keep : bool, default False
        Whether the result has every interaction.
    engine : str, default "python"
        As for ``run_ensemble``.
    client : LLMClient or None, default None
        What makes the calls of live minds, and records every interaction.
    nodes : bool, default False
        Whether the result has what its nodes did.

    Returns
    -------
    RunResult
        How it ended.
    """
    initial = spec.initial_state(run)
    game_run = start_run(spec, initial, engine, client)
    record = RunRecord(initial) if nodes else None
    tally = game_run.play_to(goal, rounds, keep or record or False)
    if record is not None:
        for row in game_run.rows:
            record.append(row)
    held, edges = game_run.engine.names_held, Edges.of_neighbors(game_run.engine.neighbors)
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
        record.history if record is not None else None,
    )


def start_run(
    spec: Spec, initial: InitialState, engine: str = "python", client: LLMClient | None = None
) -> Run:
    """Return a run ready to be played; for the arguments see ``play_run``.

    Raises ``SpecError`` where ``engine`` is ``"kernel"`` and the kernel cannot play it.
    """
    check_minds(spec)
    if client is not None:
        initial = initial._replace(minds=client.attach(initial.minds))
    if engine != "python":
        verdict = can_play(initial.minds, initial.pairing, initial.game, spec.rewire, spec.sees)
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
    directed = initial.neighbors.directed
    rewiring = Rewiring(spec.rewire, initial.stream, directed) if spec.rewire else None
    played = Engine(
        *(initial.game, initial.neighbors, players, initial.pairing, initial.stream, client),
        rewiring,
        Eyes(spec.sees, initial.graph, PlainPlayer) if spec.sees else None,
    )
    for end, indices in initial.leaving.items():
        played.leaving[end] = tuple(players[index] for index in indices.tolist())
    return Run(played, spec.committed_names)


def check_minds(spec: Spec) -> None:
    """Raise ``MindError`` for a game of its own where agents need minds."""
    if spec.whole_game is not None:
        label = spec.whole_game.label
        problem = f"{label} is a game of its own, whose agents have no minds"
        remedy = "Play it with run_ensemble, a sweep or `run`, or as a ClassicalGame."
        raise MindError("mind", label, problem, remedy)


class SingleRun:
    """One run, round by round: in plain Python until it proves long, and compiled from there.

    Parameters
    ----------
    spec, initial
        What is played, and the state it starts from.
    goal, rounds
        When it stops, and the most population rounds.
    rows
        What takes its rows, if anything does.
    client
        What makes the calls of live minds.

    Attributes
    ----------
    run : Run
        The run as it stands.
    """

    def __init__(
        self,
        spec: Spec,
        initial: InitialState,
        goal: Goal,
        rounds: int,
        rows: RowSink | None = None,
        client: LLMClient | None = None,
    ) -> None:
        self._spec, self._initial, self._goal, self._rounds = spec, initial, goal, rounds
        self._keep = rows or False
        self._agents = len(initial.neighbors)
        least = self._agents * (rounds if goal.until is None else min(rounds, TYPICAL_ROUNDS))
        self.run: Run = start_run(spec, initial, settle("auto", least), client)
        in_python = client is None and isinstance(self.run.engine, Engine)
        self._may_change = in_python and bool(
            can_play(initial.minds, initial.pairing, initial.game, spec.rewire, spec.sees)
        )

    def __iter__(self) -> Iterator[Round | None]:
        """Play, and yield each round as ``Run.each_round`` does."""
        played = 0
        for one in self.run.each_round(self._goal, self._rounds, self._keep):
            yield one
            played += 1
            left = (self._rounds - played) * self._agents
            long = min(left, self.run.interactions) >= WORTHWHILE
            if self._may_change and long and not self.run.reached:
                break
        else:
            return
        self.run = start_run(self._spec, self._initial, "kernel")
        self.run.play_to(self._goal, played)  # the same once more, in no time
        yield from self.run.each_round(self._goal, self._rounds - played, self._keep)


class PlainPlayer:
    """A player without Mesa: what an ensemble has instead of an agent."""

    __slots__ = ("length", "memory", "mind", "name", "uncommitted")
    foreseeable = True
    gone = False

    def __init__(self, mind: Mind, uncommitted: Mind, memory: Memory, length: int) -> None:
        self.mind: Mind = mind
        self.uncommitted: Mind = uncommitted
        self.memory: Memory = memory
        self.length: int = length
        self.name: str | None = None

    def remember(self, own: str, partner: str) -> None:
        """Take in one interaction of the naming game."""
        self.name = own
        self.memory = remember(self.memory, own, partner, self.length)

    def learn(self, past: Experience) -> None:
        """Take in one interaction of any other game."""
        self.name = past.own
        self.memory = keep(self.memory, past, self.length)

    @property
    def score(self) -> float:
        """The payoffs of what the player remembers, added up; in games with payoffs in memory."""
        return float(sum(past.payoff for past in cast("tuple[Experience, ...]", self.memory)))

    def release(self) -> None:
        """Decide with the mind the player has when it is committed to no name."""
        self.mind = self.uncommitted


def settle(engine: str, interactions: int) -> str:
    """Return the engine for so many interactions; ``auto`` is python where they are few."""
    check_engine(engine)
    return "python" if engine == "auto" and not worthwhile(interactions) else engine


def load_kernel(
    engine: str,
    minds: Iterable[Mind],
    pairing: Pairing,
    game: GameRules,
    rewire: Rewire | None = None,
    sees: Sequence[str] = (),
) -> None:
    """Load the kernel if it will be used, so that workers find it compiled."""
    if engine != "python" and can_play(minds, pairing, game, rewire, sees):
        for name in ("interactions", "batches", "small_graphs"):
            load(name)


def load_graph(graph: Any) -> Any:
    """Return a ``graph=`` argument with its file read, once and not in every run."""
    file = graph_file(graph)
    return graph if file is None else read_file(file.path, **file.options)
