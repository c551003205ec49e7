"""The classical naming game as a Mesa model and its agents; a step is one population round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from mesa.discrete_space import Cell

from mesa_llm_norms.classical.engine import (
    Agreement,
    ClassicalEngine,
    ClassicalKernel,
    ClassicalRound,
    PackedPlayers,
    WordTally,
    is_consensus,
    words_held,
)
from mesa_llm_norms.classical.game import (
    DEFAULT_GRAPH,
    ClassicalOutcome,
    ClassicalSpec,
    Player,
    Rules,
    Utterance,
    check_until,
    invention,
)
from mesa_llm_norms.core.compiled import is_loaded
from mesa_llm_norms.core.limits import read_seed, seeded_by_rng
from mesa_llm_norms.core.stopping import read_rounds
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.network_model import NetworkModel, NodeAgent, Reporters
from mesa_llm_norms.networks.adjacency import Neighbors, to_networkx
from mesa_llm_norms.simulation.kernel import check_engine

COMPILE_FROM = 200
"""Population size from which ``engine="auto"`` loads the kernel if it is not loaded yet."""


class ClassicalAgent(NodeAgent, Player):
    """An agent that plays the classical naming game from a fixed node.

    Subclasses may override ``utter``, ``hear`` and ``agree``; the game is then played in plain
    Python.

    Parameters
    ----------
    model : ClassicalGame
        The model it belongs to.
    cell : mesa.discrete_space.Cell
        Its place on ``model.network``, which must be empty.
    inventory : tuple of str
        The words it starts with, the oldest first. Default none.
    committed : str, optional
        The one word it always holds, or None.

    Raises
    ------
    SpecError
        If the place is taken, or the committed word is not in the pool.
    """

    model: ClassicalGame

    def __init__(
        self,
        model: ClassicalGame,
        cell: Cell,
        inventory: tuple[str, ...] = (),
        committed: str | None = None,
    ) -> None:
        if committed is not None:
            model.rules.check_word("committed", committed)
            inventory = (committed,)
        super().__init__(model, cell)
        held = tuple(dict.fromkeys(inventory))
        Player.__init__(self, invention(model._next_number()), held, committed)

    @property
    def inventory(self) -> tuple[str, ...]:
        """The words it holds, in the order in which it learned them; read-only."""
        self.model.sync_agents()
        return self._inventory

    @property
    def name(self) -> str | None:
        """The word it last uttered or agreed on, None before that."""
        self.model.sync_agents()
        return self._name

    def update(self, inventory: tuple[str, ...], name: str | None) -> None:
        """Set what it holds, as the kernel does after playing.

        Parameters
        ----------
        inventory : tuple of str
            The words it holds, the oldest first.
        name : str or None
            The word it last uttered or agreed on.
        """
        self._inventory = inventory
        self._name = name


class ClassicalGame(NetworkModel[ClassicalAgent]):
    """A population that plays the naming game of Baronchelli et al. (2006).

    As in ``NamingGame``, agents may be removed or put on empty nodes between steps, and the network
    rewired; after changing only an edge's weight, call ``network_changed()``.

    Parameters
    ----------
    graph : str or networkx.Graph, default "complete(n=24)"
        A topology (``"ring(n=24)"``), a graph file, or a networkx graph with any node ids.
    names : str or sequence of str, optional
        None (the default) for free invention, where agent i invents the word ``w<i>``; or the pool
        to invent from, as letters in a string or a sequence of names.
    pairing : str
        ``"direct"`` (the default: a speaker, then its hearer), ``"reverse"`` (a hearer, then its
        speaker) or ``"neutral"`` (an edge, then who speaks).
    incumbent : str, optional
        The one word everyone starts with, or None (the default) for empty inventories.
    committed : mapping of str, optional
        Who always holds one word: ``{"M": 5}``, ``{"M": 0.1}``, ``{"M": (5, "hubs")}`` (or
        ``random``, ``periphery``, ``cluster``), or ``{"M": [nodes]}``. Default nobody.
    rng : int or numpy.random.Generator, optional
        A seed from 0 to 2**64 - 1, or a generator to draw one from. Random if omitted.
    run : int, default 0
        Which run of the seed this is, from 0; run 3 here is run 3 of ``run_classical`` with that
        seed.
    reporters : mapping, optional
        Columns that the data collector has for the model besides its own: ``{"column": function of
        the model}``, or another form that ``mesa.DataCollector`` takes.
    agent_reporters : mapping, optional
        The same for agents, of whom nothing is collected by default: ``{"name": "name"}``.

    Raises
    ------
    SpecError
        For arguments that cannot be played; ``GraphError``, ``PoolError`` and ``PairingError`` are
        kinds of it.

    References
    ----------
    A. Baronchelli, M. Felici, V. Loreto, E. Caglioti and L. Steels, J. Stat. Mech. (2006) P06014.
    """

    player_type: ClassVar[type[ClassicalAgent]] = ClassicalAgent

    @seeded_by_rng
    def __init__(
        self,
        graph: Any = DEFAULT_GRAPH,
        names: Any = None,
        pairing: str = "direct",
        incumbent: str | None = None,
        committed: Mapping[str, Any] | None = None,
        rng: Any = None,
        run: int = 0,
        reporters: Reporters | None = None,
        agent_reporters: Reporters | None = None,
    ) -> None:
        seed = read_seed(rng)
        super().__init__(seed)
        self.spec: ClassicalSpec = ClassicalSpec(
            graph=graph,
            names=names,
            pairing=pairing,
            incumbent=incumbent,
            committed=committed,
            seed=seed,
        )
        self.rules: Rules = self.spec.rules
        self._stream = self.spec.stream(run)
        graph = to_networkx(self.spec.read_graph(self._stream))
        initial = self.spec.initial_state_on(Neighbors(graph), self._stream)
        self.lay_out(graph)
        self._tally = WordTally()
        self._round: ClassicalRound | None = None
        self._rows: list[Utterance] = []
        self._kernel: ClassicalKernel | None = None
        self._in_sync = True
        self._compiled = False
        self._until: str | None = None
        self._agents_made = 0
        made = []
        for index, cell in enumerate(self.network):
            inventory, held, noise = initial.start(index)
            made.append(self.player_type(self, cell, inventory, held))
            made[-1].unsettle(noise)
        self._leaving = {end: [made[it] for it in those] for end, those in initial.leaving.items()}
        self._seats = self.read_network()
        columns: Reporters = {
            column: partial(_of_round, column)
            for column in ("interactions", "success_rate", "total_words", "distinct_words")
        }
        self.make_data_collector(columns, reporters, {}, agent_reporters)

    def step(self) -> None:
        """Play one population round, N interactions, and collect its data.

        During ``run`` it ends early at the goal.
        """
        for end in [end for end in self._leaving if end <= self._tally.rounds]:
            self.sync_agents()
            self._kernel = None
            for agent in self._leaving.pop(end):
                agent.release()
        if self._compiled:
            engine: ClassicalKernel | ClassicalEngine = self._loaded_kernel()
            self._in_sync = False
        else:
            engine = ClassicalEngine(self.rules, *self._current(), self._stream, self._tally)
        self._round = engine.play_round(self._until) or self._round
        self._rows = engine.rows if isinstance(engine, ClassicalEngine) else []
        self.datacollector.collect(self)

    def run(
        self, rounds: int | None = None, until: str | None = "converged", engine: str = "auto"
    ) -> ClassicalOutcome:
        """Play on until a goal is reached, or for at most ``rounds`` more rounds.

        Parameters
        ----------
        rounds : int, optional
            The most population rounds to play. Default 1,000; required with ``until=None``.
        until : str or None
            ``"converged"`` (the default): every agent holds the same single word. ``"agreed"``:
            95% of the agents hold one name, the word they last uttered or agreed on, and 95% of the
            words uttered in the last 3N interactions are that name. None: never.
        engine : str
            ``"python"``, ``"kernel"`` (compiled; the same rows), or ``"auto"`` (the default): the
            kernel for large populations, unless an agent overrides what it would bypass.

        Returns
        -------
        ClassicalOutcome
            The state of the run now.

        Raises
        ------
        SpecError
            For another stopping rule or engine, or if nothing would end the run.
        """
        check_until(until)
        most = read_rounds(rounds, until)
        self._compiled = _use_kernel(engine, self._current()[1])
        self._until = until
        try:
            for _ in range(most):
                if until is not None and (self.converged if until == "converged" else self.agreed):
                    break
                self.step()
            return self.outcome
        finally:
            self.sync_agents()
            if self._kernel is not None:
                self._rows = self._kernel.rows
            self._kernel = None
            self._compiled, self._until = False, None

    @property
    def interactions(self) -> int:
        """How many interactions have been played."""
        return self._tally.interactions

    @property
    def rows(self) -> list[Utterance]:
        """The interactions of the last round played."""
        return self._kernel.rows if self._kernel is not None else self._rows

    @property
    def round(self) -> ClassicalRound | None:
        """The numbers of the last population round, None before the first."""
        return self._round

    @property
    def converged(self) -> bool:
        """Whether every agent holds the same single word."""
        if not self._in_sync:
            agents = len(self._seats[1])
            return (self._tally.distinct_words, self._tally.total_words) == (1, agents)
        _, players = self._current()
        return is_consensus(words_held(players), len(players))

    @property
    def agreed(self) -> bool:
        """Whether 95% of the agents hold, and 95% of the words lately uttered are, one name."""
        if not self._in_sync and self.network_unchanged:
            assert self._kernel is not None
            return self._kernel.agreed
        _, players = self._current()
        self._tally.listen(len(players))
        return Agreement(players, self._tally.spoken).reached

    @property
    def outcome(self) -> ClassicalOutcome:
        """The state of the run now."""
        _, players = self._current()
        self.sync_agents()
        held = words_held(players)
        # of words held equally often, the first in the pool, or of the earliest agent, wins
        order = [*(self.rules.pool or [player.invention for player in players]), *sorted(held)]
        winner = max((word for word in order if held[word]), key=held.__getitem__, default=None)
        tally = self._tally
        tally.count(held.total(), len(held))
        return ClassicalOutcome(
            tally.interactions,
            tally.rounds,
            is_consensus(held, len(players)),
            winner,
            (held[winner] if winner is not None else 0) / len(players),
            self._round.success_rate if self._round is not None else 0.0,
            tally.peak_words,
            tally.peak_time,
            self.agreed,
            len({player.name for player in players} - {None}),
        )

    def _next_number(self) -> int:
        self._agents_made += 1
        return self._agents_made - 1

    def sync_agents(self) -> None:
        """Bring the agents up to date with the kernel, if it has played."""
        if self._in_sync:
            return
        self._in_sync = True
        assert self._kernel is not None
        packed = self._kernel.packed
        for index, player in enumerate(self._seats[1]):
            player.update(packed.inventory(index), packed.name(index))
        self._tally.spoken = self._kernel.spoken()

    def _loaded_kernel(self) -> ClassicalKernel:
        """Return the kernel with the agents in it, packed again if agents or edges changed."""
        if self._kernel is None or not self.network_unchanged:
            neighbors, players = self._current()
            packed = PackedPlayers.of_players(self.rules, players)
            self._kernel = ClassicalKernel(self.rules, neighbors, packed, self._stream, self._tally)
        return self._kernel

    def _current(self) -> tuple[Neighbors, tuple[ClassicalAgent, ...]]:
        """Return the neighbors and their agents, read again if either changed."""
        if not self.network_unchanged:
            self.sync_agents()
            self._seats = self.read_network()
        return self._seats


def _of_round(column: str, model: ClassicalGame) -> float:
    return getattr(model.round, column, float("nan"))


def _use_kernel(engine: str, players: Sequence[ClassicalAgent]) -> bool:
    """Return whether to play these agents on the kernel; refuse where it would bypass them."""
    check_engine(engine)
    bypassed = [
        f"{kind.__name__}.{attribute}"
        for kind in dict.fromkeys(map(type, players))
        for attribute in ("utter", "hear", "agree", "inventory", "name", "committed")
        if getattr(kind, attribute) is not getattr(ClassicalAgent, attribute)
    ]
    if engine == "kernel" and bypassed:
        raise SpecError(
            "engine",
            engine,
            f"the kernel would bypass {bypassed[0]}",
            'Use engine="python", or "auto".',
        )
    large = len(players) >= COMPILE_FROM or is_loaded("inventories")
    return engine == "kernel" or (engine == "auto" and not bypassed and large)
