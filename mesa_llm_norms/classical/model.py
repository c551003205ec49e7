"""The classical naming game as a Mesa model: a step is one population round."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import mesa

from mesa_llm_norms.classical.engine import (
    ClassicalAgent,
    ClassicalRound,
    KernelEngine,
    PlainEngine,
    Tally,
    is_consensus,
    pack_players,
    wants_kernel,
    words_held,
)
from mesa_llm_norms.classical.game import (
    DEFAULT_GRAPH,
    ClassicalOutcome,
    ClassicalSpec,
    Rules,
    Utterance,
    check_until,
    leading,
)
from mesa_llm_norms.core.stopping import read_rounds
from mesa_llm_norms.network_model import NetworkModel
from mesa_llm_norms.networks.adjacency import Neighbors, to_networkx
from mesa_llm_norms.validation import read_seed


class ClassicalGame(NetworkModel[ClassicalAgent]):
    """A population that plays the naming game of Baronchelli et al. (2006).

    Parameters
    ----------
    graph
        A topology (``"ring(n=24)"``), a graph file, or a networkx graph with any node ids.
    names
        None for free invention, where agent i invents the word ``w<i>``; or the pool to invent
        from, as letters in a string or a sequence of names.
    pairing
        ``"direct"`` (a speaker, then its hearer), ``"reverse"`` (a hearer, then its speaker) or
        ``"neutral"`` (an edge, then who speaks).
    incumbent
        The one word everyone starts out with, or None for empty inventories.
    committed
        Who always holds one word: ``{"M": 5}``, ``{"M": 0.1}``, ``{"M": (5, "hubs")}`` (or
        ``random``, ``periphery``, ``cluster``), or ``{"M": [nodes]}``.
    rng
        A seed from 0 to 2**64 - 1, or a generator to draw one from.
    run
        Which run of the seed this is; run 3 here is run 3 of ``run_classical`` with that seed.

    As in ``NamingGame``, agents may be removed or put on empty nodes between steps, and the network
    rewired; an edge's weight alone needs ``seats_changed()`` after it.
    """

    player_type: ClassVar[type[ClassicalAgent]] = ClassicalAgent

    def __init__(
        self,
        graph: Any = DEFAULT_GRAPH,
        names: Any = None,
        pairing: str = "direct",
        incumbent: str | None = None,
        committed: Mapping[str, Any] | None = None,
        rng: Any = None,
        run: int = 0,
    ) -> None:
        seed = read_seed(rng)
        super().__init__(seed)
        self.spec = ClassicalSpec(
            graph=graph,
            names=names,
            pairing=pairing,
            incumbent=incumbent,
            committed=committed,
            seed=seed,
        )
        self.rules: Rules = self.spec.rules
        self._draws = self.spec.draws(run)
        graph = to_networkx(self.spec.read_graph(self._draws))
        seating = self.spec.seat_on(Neighbors(graph), self._draws)
        self.lay_out(graph)
        self._tally = Tally()
        self._round: ClassicalRound | None = None
        self._rows: list[Utterance] = []
        self._kernel: KernelEngine | None = None
        self._settled = True
        self._compiled = self._to_consensus = False
        self._newcomers = 0
        for place, cell in enumerate(self.network):
            self.player_type(self, cell, *seating.start(place))
        self._seats = self.read_seats()
        self.datacollector = mesa.DataCollector(
            model_reporters={
                number: partial(_of_round, number)
                for number in ("interactions", "success_rate", "total_words", "distinct_words")
            }
        )

    def step(self) -> None:
        """Play one population round, N interactions, and collect its data.

        It ends early where ``run`` reaches consensus.
        """
        if self._compiled:
            engine: KernelEngine | PlainEngine = self._kernel_engine()
            self._settled = False
        else:
            engine = PlainEngine(self.rules, *self._current(), self._draws, self._tally)
        self._round = engine.play_round(self._to_consensus) or self._round
        self._rows = engine.rows if isinstance(engine, PlainEngine) else []
        self.datacollector.collect(self)

    def run(
        self, rounds: int | None = None, until: str | None = "converged", engine: str = "auto"
    ) -> ClassicalOutcome:
        """Play on until consensus or for ``rounds`` more rounds, and return how things stand.

        ``until=None`` plays all rounds; without ``rounds`` a run may take 1,000. ``engine`` is
        ``"python"``, ``"kernel"`` (compiled; the same trajectory), or ``"auto"``, which takes the
        kernel for large populations unless an agent overrides what it would bypass.
        """
        check_until(until)
        most = read_rounds(rounds, until)
        self._compiled = wants_kernel(engine, self._current()[1])
        self._to_consensus = until == "converged"
        try:
            for _ in range(most):
                if self._to_consensus and self.converged:
                    break
                self.step()
            return self.outcome
        finally:
            self.settle()
            if self._kernel is not None:
                self._rows = self._kernel.rows
            self._kernel = None
            self._compiled = self._to_consensus = False

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
        """The last population round in numbers, None before the first."""
        return self._round

    @property
    def converged(self) -> bool:
        """Whether every agent holds the same one word."""
        if not self._settled:
            agents = len(self._seats[1])
            return (self._tally.distinct_words, self._tally.total_words) == (1, agents)
        _, players = self._current()
        return is_consensus(words_held(players), len(players))

    @property
    def outcome(self) -> ClassicalOutcome:
        """How the run stands now."""
        _, players = self._current()
        held = words_held(players)
        order = [*(self.rules.pool or [player.invention for player in players]), *sorted(held)]
        winner, holders = leading(held, dict.fromkeys(order))
        tally = self._tally
        tally.count(held)
        return ClassicalOutcome(
            tally.interactions,
            tally.rounds,
            is_consensus(held, len(players)),
            winner,
            holders / len(players),
            self._round.success_rate if self._round is not None else 0.0,
            tally.peak_words,
            tally.peak_time,
        )

    def newcomer(self) -> int:
        """Return the number of the next agent to come, which its invention is called after."""
        self._newcomers += 1
        return self._newcomers - 1

    def settle(self) -> None:
        """Have every agent hold what it does; while the compiled loop plays, its arrays do."""
        if self._settled:
            return
        self._settled = True
        assert self._kernel is not None
        packed = self._kernel.packed
        for place, player in enumerate(self._seats[1]):
            player.update(packed.inventory(place), packed.name(place))

    def _kernel_engine(self) -> KernelEngine:
        """The compiled loop with the agents in it, packed anew where seats have changed."""
        if self._kernel is None or not self.seats_known:
            neighbors, players = self._current()
            packed = pack_players(self.rules, players)
            self._kernel = KernelEngine(self.rules, neighbors, packed, self._draws, self._tally)
        return self._kernel

    def _current(self) -> tuple[Neighbors, tuple[ClassicalAgent, ...]]:
        """The neighbors and who sits on them, read anew if the graph or the agents changed."""
        if not self.seats_known:
            self.settle()
            self._seats = self.read_seats()
        return self._seats


def _of_round(number: str, model: ClassicalGame) -> float:
    return getattr(model.round, number, float("nan"))
