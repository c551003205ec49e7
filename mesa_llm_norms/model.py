"""Games on a network as Mesa models: agents on its nodes, a step is one population round."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from mesa_llm_norms.agents import NamingAgent
from mesa_llm_norms.compat import cell_at, has_events, move_connection
from mesa_llm_norms.core import limits
from mesa_llm_norms.core.game import Game, GameRules, Interaction, Row
from mesa_llm_norms.core.games import PrisonersDilemma
from mesa_llm_norms.core.interrupts import interrupts_held
from mesa_llm_norms.core.limits import read_seed, read_whole, seeded_by_rng
from mesa_llm_norms.core.metrics import Round, round_columns
from mesa_llm_norms.core.stopping import WINDOW, Goal, Outcome, check_goal, read_rounds
from mesa_llm_norms.errors import InterruptionError, MindError
from mesa_llm_norms.llm.settings import LLMSettings, read_llm
from mesa_llm_norms.minds.policies import UniformMind
from mesa_llm_norms.minds.registry import DEFAULT_MIND
from mesa_llm_norms.network_model import NetworkModel, Reporters
from mesa_llm_norms.networks.adjacency import to_networkx
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
from mesa_llm_norms.simulation.backends import SharedCalls, open_client
from mesa_llm_norms.simulation.ensemble import check_minds
from mesa_llm_norms.simulation.kernel import (
    AgentsEngine,
    can_run,
    check_engine,
    invalidate_caches,
    refusal,
    worthwhile,
)
from mesa_llm_norms.simulation.pairing import Pairing
from mesa_llm_norms.simulation.resuming import resumed, written_model
from mesa_llm_norms.simulation.rewiring import Change, Rewiring
from mesa_llm_norms.simulation.run import Run
from mesa_llm_norms.simulation.sight import Eyes
from mesa_llm_norms.simulation.spec import DEFAULT_GRAPH, DEFAULT_NAMES, Spec
from mesa_llm_norms.simulation.typed import game_of

if TYPE_CHECKING:
    from mesa_llm_norms.llm.client import LLMClient


class NetworkGame(NetworkModel[NamingAgent]):
    """A population that plays a game.

    The graph is copied; ``model.network.G`` is the model's own. Between steps agents may be removed
    or put on empty nodes, and the network rewired (through ``model.network`` or on its graph). Only
    a change networkx cannot see, ``G[u][v]["weight"] = 2``, needs ``network_changed()`` after it.

    Parameters
    ----------
    graph : str, path or networkx.Graph, default "watts_strogatz(n=24, k=4, p=0.1)"
        A topology (``"ring(n=24)"``), a graph file, or a graph with any node ids.
    game : GameRules or str, default PrisonersDilemma()
        What is played: a game that ships, or its name, a ``MatrixGame``, or one of your own.
    mind : Mind, str, path or mapping, default "uniform"
        A mind, the name of one, or a mind file for everyone; or ``{node: mind}``; or minds with
        their shares. Recorded minds know the naming game alone.
    pairing : str or Pairing, default "node"
        ``"node"`` (a node, then a neighbor), ``"edge"``, ``"matching"``, ``"neighborhood"`` (a node
        and all its neighbors, for games of any number of players), or a rule.
    incumbent : str, optional
        The move everyone remembers from everybody at the start. Default: empty memories.
    committed : mapping, optional
        Who always makes one move: ``{"defect": 5}``, ``{"defect": (5, "hubs")}`` or
        ``{"defect": [nodes]}``, or with noise and for a time; see ``Spec``.
    rewire : int or tuple, optional
        After how many misses in a row an edge is dropped for a new one between population rounds,
        perhaps with the probability that it is: ``3`` or ``(3, 0.5)``. Default: none ever is.
    persona : str or mapping, optional
        What live minds are told about themselves: a text, or ``{node: text}``; see ``Spec``.
    sees : str or sequence of str, default ()
        Attributes that minds are shown, those of their agent, or else node, and of its neighbors.
    rng : int or generator, optional
        A seed from 0 to 2**64 - 1, or a generator to draw one from. Default: a random seed.
    run : int, default 0
        Which run of the seed this is; run 3 here is run 3 of ``run_ensemble`` with that seed.
    llm : LLMSettings, SharedCalls or mapping, optional
        How calls to live minds are made: budgets, concurrency, the folder of the journal, or a
        mapping of these; ``SharedCalls`` for several models. Without live minds it has no effect.
    reporters : mapping, optional
        Columns that the data collector has for the model besides its own: ``{"column": function of
        the model}``, or another form that ``mesa.DataCollector`` takes.
    agent_reporters : mapping, optional
        The same for agents: ``{"node": "node"}`` is an attribute, missing where agents have none.
    capacity : int or None, default 1
        How many agents a node holds, with one player at most; None for any number.
    until : str or None, default "converged"
        The goal, as for ``run``, that ends the runs which Mesa makes: its page, its batch runs and
        ``run_model``.

    Attributes
    ----------
    running : bool
        Mesa's own flag: False once the goal that ``run`` was last given is reached
        (``until`` before that). It is worked out again after every step.
    run_number : int
        Which run of the seed this is.

    Raises
    ------
    SpecError, MindError, GraphError, TopologyError, PoolError, PairingError
        For an argument that is not valid.
    JournalError
        If the journal of live minds cannot be written.
    """

    player_type: ClassVar[type[NamingAgent]] = NamingAgent
    look_ahead: ClassVar[bool | None] = None
    """Whether ``run`` has live minds asked about rounds to come while it plays one.

    By default unless a subclass has a step of its own, which may change agents or edges.
    """

    running: bool
    _given: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *arguments: Any, **named: Any) -> Self:
        """Make the model, noting its arguments for the journal of live minds."""
        made = super().__new__(cls)
        made._given = arguments, named
        return made

    @seeded_by_rng
    def __init__(
        self,
        graph: GraphArgument = DEFAULT_GRAPH,
        game: GameRules | str | None = None,
        mind: MindArgument = UniformMind.label,
        pairing: PairingArgument = "node",
        incumbent: str | None = None,
        committed: CommittedArgument | None = None,
        rewire: RewireArgument | None = None,
        rng: SeedArgument | None = None,
        run: int = 0,
        llm: LLMSettings | SharedCalls | Mapping[str, Any] | None = None,
        reporters: Reporters | None = None,
        agent_reporters: Reporters | None = None,
        capacity: int | None = 1,
        until: Until = "converged",
        persona: str | Mapping[Any, str] | None = None,
        sees: str | Sequence[str] = (),
    ) -> None:
        spec = Spec(
            graph=graph,
            mind=mind,
            pairing=pairing,
            incumbent=incumbent,
            committed=committed,
            rewire=rewire,
            persona=persona,
            sees=sees,
            seed=read_seed(rng),
            rules=PrisonersDilemma() if game is None else game_of(game),
        )
        self._begin(spec, run, llm, reporters, agent_reporters, capacity, until)

    def _begin(
        self,
        spec: Spec,
        run: int,
        llm: LLMSettings | SharedCalls | Mapping[str, Any] | None,
        reporters: Reporters | None,
        agent_reporters: Reporters | None,
        capacity: int | None,
        until: Until,
    ) -> None:
        """Make the network, the agents and what plays them."""
        given = self.__dict__.pop("_given", ((), {}))
        if capacity is not None:
            read_whole("capacity", capacity, limits.CAPACITY)
        goal = Goal(until)
        check_goal(goal, spec.committed_names)
        NetworkModel.__init__(self, spec.seed)
        self.spec: Spec = spec
        self.run_number: int = run
        check_minds(spec)
        initial = self.spec.initial_state(run)
        self.game: GameRules = initial.game
        self.lay_out(to_networkx(initial.graph), capacity)
        self.client: LLMClient | None = None
        self.client = open_client(self.spec, llm, {"run": run, **written_model(self, *given)})
        if self.client is not None:
            try:
                initial = initial._replace(minds=self.client.attach(initial.minds))
            except MindError:
                self.client.close()
                raise
        minds, uncommitted = initial.minds_by_node, initial.uncommitted_by_node
        for cell in self.network:
            agent = self.player_type(self, cell, minds[cell.coordinate], initial.start)
            agent.uncommitted = uncommitted[cell.coordinate]
        rewiring = None
        if self.spec.rewire is not None:
            directed = initial.neighbors.directed
            rewiring = Rewiring(self.spec.rewire, initial.stream, directed)
        eyes = Eyes(spec.sees, self.network.G, NamingAgent) if spec.sees else None
        self._engine = AgentsEngine(
            *(initial.game, *self.read_network(), initial.pairing, initial.stream, self.client),
            rewiring,
            eyes,
        )
        self._engine.on_rewire = self._rewire
        for end, indices in initial.leaving.items():
            players = (self._engine.players[index] for index in indices.tolist())
            self._engine.leaving[end] = tuple(players)
        self._run = Run(self._engine, self.spec.committed_names, goal)
        columns: Reporters = round_columns(self.game.pool)
        of_agents: Reporters = {"name": "name", "score": "score"}
        if eyes is not None:
            of_agents = {**{it: partial(eyes.shown, it) for it in spec.sees}, **of_agents}
        self.make_data_collector(columns, reporters, of_agents, agent_reporters)

    @classmethod
    def resume(
        cls,
        folder: str | Path,
        llm: LLMSettings | Mapping[str, Any] | None = None,
        addresses: Sequence[str] = (),
        **given: Any,
    ) -> Self:
        """Return the model whose journal is in a folder, at its start.

        Play it as you did: what is on record is played again without a single call, and from there
        on the run continues with new calls.

        Parameters
        ----------
        folder : str or path
            Where the journal is.
        llm : LLMSettings or mapping, optional
            How calls are made; its budgets include what was used before.
        addresses : sequence of str, default ()
            Addresses of live minds in the journal that may be called, besides the default, those in
            the environment, and those on this computer that get no key.
        **given
            What no journal can hold: a mind, a pairing rule or a game of your own, reporters, and
            of the arguments that a subclass adds those that are neither numbers, texts, nor lists,
            tuples, sets or mappings of these. Any other argument may be given too, and replaces the
            one on record.

        Returns
        -------
        NetworkGame
            The model, before its first step.

        Raises
        ------
        JournalError
            If there is no journal, it is damaged or in use, it is that of another class or kind of
            game, or the model would play another game than the one on record.
        SpecError
            If a mind or a pairing rule of your own is not given, or a mind file has changed.
        """
        llm = read_llm(llm)
        return cast(Self, resumed(cls, Path(folder), llm, addresses, given))

    def close(self) -> None:
        """Let go of the journal and the connections of live minds, if there are any."""
        if self.client is not None:
            self.client.close()

    def step(self) -> None:
        """Play one population round and collect its data.

        A round is N interactions, or one matching. It ends early where ``run`` reaches its goal.
        """
        with self.playing_alone():
            game_run = self._current()
            game_run.play()
        self.running = not game_run.reached
        with interrupts_held():  # or some columns would have a row more than others
            self.datacollector.collect(self)

    def step_into(self, rows: list[Any]) -> None:
        """Take one of Mesa's steps, and add to a list everything that is played in it.

        A step of your own may play no round, or several; ``rows`` has the last one only.

        Parameters
        ----------
        rows : list
            What the interactions are added to, also where the step then fails.
        """
        self._run.heard = rows
        try:
            self.step()
        finally:
            self._run.heard = None

    def run(
        self,
        rounds: int | None = None,
        until: Until = "converged",
        window: float = WINDOW,
        threshold: float = 1.0,
        engine: EngineArgument = "auto",
    ) -> Outcome:
        """Play until a goal is reached, or for so many more rounds; may be called again.

        Parameters
        ----------
        rounds : int, optional
            The most population rounds to play. Default 1,000; required for ``until=None``.
        until : str or None, default "converged"
            ``"converged"`` stops when, of the last ``window`` times N interactions, at least
            ``threshold`` matched; ``"agreed"`` when 95% of the names played in them are one name,
            which 95% of the nodes hold; ``"flipped"`` when 95% of the names played in them are one
            committed name; None never. A run stops within a round.
        window : float, default 3
            How many times N interactions are looked at.
        threshold : float, default 1.0
            Share of them that must match, above 0 and up to 1.
        engine : str, default "auto"
            ``"python"``, ``"kernel"`` (compiled), or ``"auto"``: compiled once that pays and where
            ``can_run`` allows. What is played does not depend on it.

        Returns
        -------
        Outcome
            How things stand.

        Raises
        ------
        SpecError
            For an argument that is not valid, or if the kernel cannot play the model.
        DecisionError, CallError, BudgetError
            As minds do; everything before is played.
        InterruptionError
            After ``interrupt``.
        """
        most = read_rounds(rounds, until)
        check_engine(engine)
        if engine == "kernel" and not (verdict := can_run(self)):
            raise refusal(verdict)
        with self.playing_alone():
            return self._run_to(Goal(until, window, threshold), most, engine)

    def _run_to(self, goal: Goal, most: int, engine: str) -> Outcome:
        game_run, start = self._current(), self.interactions
        self._engine.invalidate_caches()
        invalidate_caches()

        def step() -> None:
            soon = self.interactions - start + len(self._engine.neighbors)
            if engine == "kernel" or (engine == "auto" and worthwhile(soon)):
                self._engine.compiled = True
            self.step()

        try:
            ahead = self.look_ahead
            if ahead is None:
                ahead = type(self).step is NetworkGame.step and not has_events(self)
            for _ in game_run.each_round(goal, most, step=step, ahead=ahead):
                pass
            return game_run.outcome
        finally:
            self._engine.compiled = False

    def play(self, interactions: int | None = None) -> Generator[Row, None, None]:
        """Play one interaction after the other, yielding each as it is committed.

        To stop iterating, or to close the generator, is to stop playing; what is left of the round
        is played next, by whatever plays. Between two interactions agents and the network may be
        changed: a round whose network changed is over. Data are not collected and Mesa's steps do
        not count here; these are for whole rounds, ``step`` and ``run``.

        Parameters
        ----------
        interactions : int, optional
            How many to play. Default: without end.

        Yields
        ------
        Interaction
            What was played; a ``GameInteraction`` in games other than the naming game.

        Raises
        ------
        SpecError
            If ``interactions`` is not a whole number.
        """
        if interactions is not None:
            read_whole("interactions", interactions, limits.INTERACTIONS)
        return self.alone(self._play_on(interactions))

    def interrupt(self) -> None:
        """Stop play that waits for minds in another thread.

        ``play`` then ends; ``step`` and ``run`` raise ``InterruptionError``. Calls under way may
        finish, so that their replies are on record.
        """
        self._engine.interrupt()

    def _play_on(self, most: int | None) -> Generator[Row, None, None]:
        played = 0
        with self._engine.speculating(limits.INTERACTIONS.high), suppress(InterruptionError):
            while played != most:
                game_run = self._current()
                for row in game_run.follow(self._engine.round()):
                    self.running = not game_run.reached
                    yield row
                    played += 1
                    if played == most or not self.network_unchanged:
                        break

    @property
    def interactions(self) -> int:
        """How many interactions have been played, without skipped ones."""
        return self._run.interactions

    @property
    def between_rounds(self) -> bool:
        """Whether the last population round that was started is over."""
        return self._engine.cut is None

    @property
    def skipped(self) -> int:
        """How many interactions were skipped: a mind gave no name, and was allowed to."""
        return self._engine.skipped

    @property
    def discarded(self) -> int:
        """How many interactions were decided speculatively and are in no result."""
        return self._engine.discarded

    @property
    def pairing(self) -> Pairing:
        """The rule that draws pairs."""
        return self._engine.pairing

    @property
    def rows(self) -> Sequence[Row]:
        """The interactions of the last round, as far as it was played if a mind failed in it."""
        return self._run.rows

    @property
    def round(self) -> Round | None:
        """The last population round in numbers, None before the first."""
        return self._run.last_round

    @property
    def converged(self) -> bool:
        """Whether the last 3 N interactions all matched, or as the last ``run`` defined it."""
        return self._current().converged

    @property
    def agreed(self) -> bool:
        """Whether 95% of the nodes hold, and 95% of the names in the window are, one name."""
        return self._current().agreed

    @property
    def outcome(self) -> Outcome:
        """How the run stands now."""
        return self._current().outcome

    def _rewire(self, changes: Sequence[Change]) -> None:
        """Make changes of the engine's network in the model's."""
        nodes, network = self._engine.neighbors.nodes, self.network
        unchanged = self.network_unchanged
        for change in changes:
            agent, dropped, made = (nodes[place] for place in change)
            attributes = network.G.edges[agent, dropped]
            cells = [cell_at(network, node) for node in (agent, dropped, made)]
            move_connection(network, *cells)
            network.G.edges[agent, made].update(attributes)
        if unchanged:
            self.network_read()

    def _current(self) -> Run:
        """The run, with agents and neighbors read again if the graph or the agents changed."""
        if not self.network_unchanged:
            self._engine.set_players(*self.read_network())
            self._run.resize()
        return self._run


class NamingGame(NetworkGame):
    """A population that plays the naming game of Ashery, Aiello and Baronchelli (2025).

    Everything but its arguments is as in ``NetworkGame``.

    Parameters
    ----------
    graph : str, path or networkx.Graph, default "watts_strogatz(n=24, k=4, p=0.1)"
        A topology (``"ring(n=24)"``), a graph file, or a graph with any node ids.
    names : str or sequence of str, default "QMXYFJPRCD"
        The pool: the letters of a string, or a sequence of names.
    mind : Mind, str, path or mapping, default "claude-3.5-sonnet"
        A mind, the name of one, or a mind file for everyone; or ``{node: mind}``; or shares such
        as ``{"claude-3.5-sonnet": 0.5, "llama-2-70b-chat": 0.5}``.
    pairing : str or Pairing, default "node"
        ``"node"`` (a node, then a neighbor: the study), ``"edge"``, ``"matching"``, or a rule.
    memory : int, default 5
        How many of its last interactions an agent remembers, 1 to 1,000.
    reward : float, default 100
        Payoff to each agent for matching names, in points.
    penalty : float, default -50
        Payoff to each agent for differing names, in points.
    incumbent : str, optional
        The convention everyone remembers at the start. Default: empty memories.
    committed : mapping, optional
        Who always plays one name: ``{"M": 5}``, ``{"M": (5, "hubs")}`` or ``{"M": [nodes]}``, or
        with noise and for a time; see ``Spec`` and ``networks.place_committed``.
    rewire : int or tuple, optional
        After how many misses in a row an edge is dropped for a new one between population rounds,
        perhaps with the probability that it is: ``3`` or ``(3, 0.5)``. Default: none ever is.
    persona : str or mapping, optional
        What live minds are told about themselves: a text, or ``{node: text}``; see ``Spec``.
    rng : int or generator, optional
        A seed from 0 to 2**64 - 1, or a generator to draw one from. Default: a random seed.
    run : int, default 0
        Which run of the seed this is; run 3 here is run 3 of ``run_ensemble`` with that seed.
    llm : LLMSettings, optional
        How calls to live minds are made, if any: budgets, concurrency, the journal's folder.
    reporters : mapping, optional
        Columns that the data collector has for the model besides its own: ``{"column": function of
        the model}``, or another form that ``mesa.DataCollector`` takes.
    agent_reporters : mapping, optional
        The same for agents: ``{"node": "node"}`` is an attribute, missing where agents have none.
    capacity, until : default 1, default "converged"
        As for ``NetworkGame``.

    Raises
    ------
    SpecError, MindError, GraphError, TopologyError, PoolError, PairingError
        For an argument that is not valid.
    JournalError
        If the journal of live minds cannot be written.

    References
    ----------
    A. F. Ashery, L. M. Aiello and A. Baronchelli, "Emergent social conventions and collective bias
    in LLM populations", Science Advances 11, eadu9368 (2025).
    """

    game: Game

    @seeded_by_rng
    def __init__(
        self,
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
        run: int = 0,
        llm: LLMSettings | SharedCalls | Mapping[str, Any] | None = None,
        reporters: Reporters | None = None,
        agent_reporters: Reporters | None = None,
        capacity: int | None = 1,
        until: Until = "converged",
        persona: str | Mapping[Any, str] | None = None,
    ) -> None:
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
            seed=read_seed(rng),
        )
        self._begin(spec, run, llm, reporters, agent_reporters, capacity, until)

    if TYPE_CHECKING:

        @property
        def rows(self) -> list[Interaction]: ...  # noqa: D102

        def play(self, interactions: int | None = None) -> Generator[Interaction]: ...  # noqa: D102
