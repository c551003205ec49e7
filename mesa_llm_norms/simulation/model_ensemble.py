"""Many runs of a model of a user's own: of its class, with its step, arguments and reporters.

``run_ensemble(model=...)`` comes here. What a model is, this room does not know: it makes one for
each run, has it run, and reads its outcome, its data collector and its network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import closing, nullcontext
from inspect import Parameter, signature
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mesa_llm_norms.analysis.agreement import Edges, local_agreement, name_clusters
from mesa_llm_norms.core import limits
from mesa_llm_norms.core.limits import read_seed, read_whole, read_workers
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.core.stopping import WINDOW, Goal, check_goal, read_rounds
from mesa_llm_norms.errors import SpecError, shown
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.simulation.arguments import Until
from mesa_llm_norms.simulation.backends import SharedCalls, check_here, choose_backend
from mesa_llm_norms.simulation.ensemble import Ensemble, Progress, load_kernel, settle
from mesa_llm_norms.simulation.kernel import check_engine
from mesa_llm_norms.simulation.run import RUN_COLUMNS, interaction_table
from mesa_llm_norms.simulation.spec import Spec
from mesa_llm_norms.simulation.workers import Shared

_NAMED = Parameter.KEYWORD_ONLY

How = tuple[Goal, int, bool, str]
"""How runs are played: goal, most rounds, whether interactions are kept, engine."""


class Maker(NamedTuple):
    """Makes the model of each run.

    Parameters
    ----------
    model
        The class, or any function that returns a model.
    given
        Its arguments, besides those of a run.
    seed
        The seed of all runs.
    """

    model: Callable[..., Any]
    given: Mapping[str, Any]
    seed: int

    def make(self, run: int, llm: SharedCalls | None = None) -> Any:
        """Return the model of a run, before its first step."""
        name = getattr(self.model, "__qualname__", shown(self.model))
        try:
            takes = signature(self.model)
        except (TypeError, ValueError):
            problem = f"{shown(self.model)} makes no models"
            raise SpecError("model", self.model, problem, _WHAT) from None
        anything = any(one.kind is Parameter.VAR_KEYWORD for one in takes.parameters.values())
        names = takes.parameters if not anything else {"rng", "run", "llm", *takes.parameters}
        if "rng" not in names:
            problem = f"{name} takes no rng, so nobody could play its runs again"
            raise SpecError("model", name, problem, "Have it take rng= and pass it on.")
        of_run = RandomStream(self.seed, run).of("model")
        arguments = {**self.given, "rng": self.seed if "run" in names else of_run}
        if "run" in names:  # otherwise each run has a seed of its own
            arguments["run"] = run
        if "llm" in names:
            arguments["llm"] = llm
        try:
            takes.bind(**arguments)
        except TypeError as error:
            problem = f"{name} does not take these arguments: {error}"
            raise SpecError("model", name, problem, "Give it what it takes, by name.") from error
        made = self.model(**arguments)
        if not isinstance(getattr(made, "spec", None), Spec):
            problem = f"{name} makes {shown(made)}"
            raise SpecError("model", name, problem, _WHAT)
        passed = {
            "rng": made.spec.seed == arguments["rng"],
            "run": made.run_number == arguments.get("run", made.run_number),
            "llm": llm is None or made.client in (None, llm.client),
        }
        for argument, used in passed.items():
            if not used:
                made.close()
                problem = f"{name} makes a model without its {argument}="
                remedy = f"Have it take {argument}= and pass it on to NetworkGame or NamingGame."
                raise SpecError("model", name, problem, remedy)
        for column in {"run", "round"} & made.datacollector.model_reporters.keys():
            made.close()
            problem = f"{name} has a reporter called {column}, which is a column of rounds already"
            raise SpecError("model", name, problem, "Give the reporter another name.")
        return made


_WHAT = "Give a class derived from NetworkGame or NamingGame, or a function that returns one."


class _Played(NamedTuple):
    """A run that is over: its line of ``Ensemble.runs``, its rounds, and what was kept."""

    run: int
    line: tuple[Any, ...]
    rounds: pd.DataFrame
    rows: list[Any]
    held: NDArray[np.int16]
    discarded: int
    skipped: int


def play_models(
    model: Callable[..., Any],
    given: Mapping[str, Any],
    *,
    runs: int = 100,
    rounds: int | None = None,
    until: Until = "converged",
    window: float = WINDOW,
    threshold: float = 1.0,
    workers: int | None = 1,
    executor: Executor | None = None,
    keep_interactions: bool = False,
    engine: str = "auto",
    progress: Progress | None = None,
    llm: LLMSettings | SharedCalls | Mapping[str, Any] | None = None,
) -> Ensemble:
    """Play runs of a model's class and return them as tables; see ``run_ensemble``.

    ``given`` are the arguments of the class, ``rng`` among them.
    """
    arguments = dict(given)
    if "run" in arguments:
        problem = "each run of an ensemble has a number of its own"
        raise SpecError("run", arguments["run"], problem, "Leave run= out.")
    maker = Maker(model, arguments, read_seed(arguments.pop("rng", None)))
    goal = Goal(until, window, threshold)
    most, runs = read_rounds(rounds, goal.until), read_whole("runs", runs, limits.RUNS)
    processes = read_workers(workers)
    check_engine(engine)
    how: How = (goal, most, keep_interactions, engine)
    done: list[_Played] = []

    def add(played: list[_Played]) -> None:
        done.extend(played)
        if progress is not None:
            progress(len(done), runs)

    calls = llm if isinstance(llm, SharedCalls) else SharedCalls(llm)
    with nullcontext() if calls is llm else calls:
        first = maker.make(0, calls)
        spec, usage = first.spec, None
        check_goal(goal, spec.committed_names)
        if first.client is not None:
            check_here(executor, engine)
            for run in range(runs):
                add([_play(first if run == 0 else maker.make(run, calls), run, *how)])
            usage = calls.usage
        else:
            with choose_backend(workers=processes, executor=executor) as backend:
                agents = len(first.players)
                if backend.elsewhere:
                    settled = settle(engine, runs * agents * most)
                    load_kernel(settled, spec.minds, first.pairing, spec.game, spec.rewire)
                parts = ((Shared(maker), part, how) for part in backend.parts(range(runs), agents))
                with closing(backend.play(_play_part, parts)) as found:
                    for answer in found:
                        add(answer.result)
    done.sort(key=lambda one: one.run)
    rows = (row for one in done for row in one.rows)
    return Ensemble(
        spec,
        pd.DataFrame([one.line for one in done], columns=list(RUN_COLUMNS)),
        pd.concat([one.rounds for one in done], ignore_index=True),
        interaction_table(rows, spec.game) if keep_interactions else None,
        tuple(one.held for one in done),
        usage,
        discarded=sum(one.discarded for one in done),
        skipped=sum(one.skipped for one in done),
    )


HOW = tuple(it.name for it in signature(play_models).parameters.values() if it.kind is _NAMED)
"""The arguments of ``run_ensemble`` that say how to play, and are not for the model."""


def _play_part(maker: Shared[Maker], runs: range, how: How) -> list[_Played]:
    """Play some runs, in this process or another."""
    return [_play(maker.value.make(run), run, *how) for run in runs]


def _play(model: Any, run: int, goal: Goal, rounds: int, keep: bool, engine: str) -> _Played:
    """Play a model to its goal, and close it."""
    rows: list[Any] = []
    with closing(model):
        model._run.heard = rows if keep else None
        model.run(rounds, *goal, engine=engine)
    outcome = model.outcome
    neighbors, players = model.read_network()
    places = {name: place for place, name in enumerate(model.game.pool)}
    held = np.array([places.get(player.name, -1) for player in players], np.int16)
    edges = Edges.of_neighbors(neighbors)
    clusters = name_clusters(edges, held)
    found = {
        **outcome._asdict(),
        "run": run,
        "one_name": outcome.names_left == 1,
        "local_agreement": local_agreement(edges, held),
        "clusters": len(clusters.sizes),
        "largest_cluster": clusters.largest_share,
    }
    table = model.datacollector.get_model_vars_dataframe()
    table.insert(0, "run", run)
    table.insert(1, "round", np.arange(len(table)))
    return _Played(
        run,
        tuple(found[name] for name in RUN_COLUMNS),
        table,
        rows,
        held,
        model.discarded,
        model.skipped,
    )
