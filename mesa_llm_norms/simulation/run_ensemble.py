"""``run_ensemble``: many runs of a game, or of a model of a user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec

from mesa_llm_norms.core.game import GameRules
from mesa_llm_norms.core.limits import read_seed, seeded_by_rng
from mesa_llm_norms.core.stopping import WINDOW, Goal
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.minds.registry import DEFAULT_MIND
from mesa_llm_norms.simulation.arguments import (
    CommittedArgument,
    EngineArgument,
    GraphArgument,
    MindArgument,
    NamesArgument,
    PairingArgument,
    RewireArgument,
    SeedArgument,
    Until,
)
from mesa_llm_norms.simulation.backends import SharedCalls
from mesa_llm_norms.simulation.ensemble import Ensemble, Progress, play_ensemble
from mesa_llm_norms.simulation.model_ensemble import HOW, play_models
from mesa_llm_norms.simulation.spec import DEFAULT_GRAPH, DEFAULT_NAMES, Spec
from mesa_llm_norms.simulation.typed import game_of

Arguments = ParamSpec("Arguments")


def _or_models(function: Callable[Arguments, Ensemble]) -> Callable[Arguments, Ensemble]:
    """Return ``run_ensemble`` with runs of a ``model`` played as its class says."""
    takes = signature(function)

    @wraps(function)
    def call(*arguments: Arguments.args, **named: Arguments.kwargs) -> Ensemble:
        given = takes.bind_partial(*arguments, **named).arguments
        own, model = given.pop("own", {}), given.pop("model", None)
        if model is None:
            for name in own:
                raise TypeError(f"run_ensemble() got an unexpected keyword argument {name!r}")
            return function(*arguments, **named)
        how = {name: given.pop(name) for name in HOW if name in given}
        return play_models(model, {**given, **own}, **how)

    return call


@seeded_by_rng
@_or_models
def run_ensemble(
    graph: GraphArgument = DEFAULT_GRAPH,
    names: NamesArgument = DEFAULT_NAMES,
    mind: MindArgument = DEFAULT_MIND,
    pairing: PairingArgument = "node",
    memory: int = 5,
    reward: float = 100,
    penalty: float = -50,
    incumbent: str | None = None,
    committed: CommittedArgument | None = None,
    rewire: RewireArgument | None = None,
    rng: SeedArgument | None = None,
    runs: int = 100,
    rounds: int | None = None,
    until: Until = "converged",
    window: float = WINDOW,
    threshold: float = 1.0,
    workers: int | None = 1,
    executor: Executor | None = None,
    keep_interactions: bool = False,
    engine: EngineArgument = "auto",
    progress: Progress | None = None,
    llm: LLMSettings | SharedCalls | Mapping[str, Any] | None = None,
    game: GameRules | str | None = None,
    persona: str | Mapping[Any, str] | None = None,
    sees: str | Sequence[str] = (),
    model: Callable[..., Any] | None = None,  # noqa: ARG001  (_or_models plays it)
    **own: Any,  # noqa: ARG001
) -> Ensemble:
    """Play independent runs and return them as tables.

    A random topology is drawn again for every run, and so are the nodes of committed agents and of
    minds given by share. The results are the same for every choice of ``workers``, ``executor``
    and ``engine``.

    Parameters
    ----------
    graph : str, path or networkx.Graph, default "watts_strogatz(n=24, k=4, p=0.1)"
        A topology, a graph file, or a graph with any node ids.
    names : str or sequence of str, default "QMXYFJPRCD"
        The pool: the letters of a string, or a sequence of names.
    mind : Mind, str, path or mapping, default "claude-3.5-sonnet"
        A mind, the name of one, or a mind file for everyone; or ``{node: mind}``; or shares such
        as ``{"claude-3.5-sonnet": 0.5, "llama-2-70b-chat": 0.5}``.
    pairing : str or Pairing, default "node"
        ``"node"``, ``"edge"``, ``"matching"``, or a rule.
    memory : int, default 5
        How many of its last interactions an agent remembers, 1 to 1,000.
    reward : float, default 100
        Payoff to each agent for matching names, in points.
    penalty : float, default -50
        Payoff to each agent for differing names, in points.
    incumbent : str, optional
        The convention everyone remembers at the start. Default: empty memories.
    committed : mapping, optional
        Who always plays one name: ``{"M": 5}``, ``{"M": (5, "hubs")}`` or ``{"M": [nodes]}``.
    rewire : int or tuple, optional
        After how many misses in a row an edge is dropped for a new one, perhaps with a probability:
        ``3`` or ``(3, 0.5)``; then in plain Python. Default: the network stays as it is.
    rng : int or generator, optional
        A seed from 0 to 2**64 - 1, or a generator to draw one from. Default: a random seed.
    runs : int, default 100
        How many runs to play.
    rounds : int, optional
        The most population rounds per run. Default 1,000; required for ``until=None``.
    until : str or None, default "converged"
        When a run stops; see ``NamingGame.run``.
    window : float, default 3
        How many times N interactions ``until`` looks at.
    threshold : float, default 1.0
        Share of them that must match, above 0 and up to 1.
    workers : int or None, default 1
        Processes to play in; None for one per processor. Live minds are played in this process.
    executor : concurrent.futures.Executor, optional
        What plays instead of processes of our own.
    keep_interactions : bool, default False
        Whether the result has every interaction.
    engine : str, default "auto"
        ``"python"``, ``"kernel"`` (compiled), or ``"auto"``: compiled where ``can_play`` allows
        and where that pays.
    progress : callable, optional
        Called with the runs done and the runs in total.
    llm : LLMSettings, SharedCalls or mapping, optional
        How calls to live minds are made. All runs are then played at the same time, and share the
        concurrency, the budget and the journal.
    game : GameRules or str, optional
        What is played, or its name (``"prisoners_dilemma"``), if it is not the naming game;
        ``names``, ``memory``, ``reward`` and ``penalty`` are then left out.
    persona : str or mapping, optional
        What live minds are told about themselves: one text, which may hold attributes of nodes
        (``"You are a {job}."``), or a mapping of nodes to such texts.
    sees : str or sequence of str, default ()
        Attributes of their own node and of its neighbors' that minds are shown, in games other
        than the naming game; see ``Spec``.
    model : class or callable, optional
        What is played instead: a class derived from ``NetworkGame``, or a function that returns
        such a model. It is called for each run with ``rng=``, ``run=`` and ``llm=``, as far as it
        takes them, and those of the arguments above that are given; the rest it has itself. Its
        reporters become columns of ``rounds``. Live runs play one after another.
    **own
        Further arguments of ``model``.

    Returns
    -------
    Ensemble
        The tables ``runs``, ``rounds`` and, if wanted, ``interactions``.

    Raises
    ------
    SpecError, MindError, GraphError, TopologyError, PoolError, PairingError
        For an argument that is not valid.
    BudgetError, CallError, DecisionError
        As live minds do; what was paid for is in the journal.
    WorkerError
        If workers are lost again and again.

    References
    ----------
    A. F. Ashery, L. M. Aiello and A. Baronchelli, "Emergent social conventions and collective bias
    in LLM populations", Science Advances 11, eadu9368 (2025).
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
        rewire=rewire,
        persona=persona,
        sees=sees,
        seed=read_seed(rng),
        rules=game_of(game),
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
