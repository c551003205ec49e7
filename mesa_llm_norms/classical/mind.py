"""The classical game where a mind is named: the baseline beside minds, in the same tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from mesa_llm_norms.classical.batch import play_together
from mesa_llm_norms.classical.game import ClassicalSpec
from mesa_llm_norms.core.compiled import load
from mesa_llm_norms.core.game import Game, GameRules
from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.errors import SpecError, shown
from mesa_llm_norms.minds.mind import WholeGame, only_naming
from mesa_llm_norms.simulation.pairing import read_pairing
from mesa_llm_norms.simulation.run import Batch
from mesa_llm_norms.simulation.spec import Spec

PAIRINGS = {"node": "direct", "edge": "neutral"}
"""What pairing rules are called in the classical game."""


class ClassicalMind(WholeGame):
    """Stands for the classical game with a pool, in ensembles, sweeps and ``run``.

    The pool is what speakers without words invent from, ``"node"`` pairing is ``direct`` and
    ``"edge"`` is ``neutral``. Memory, reward and penalty have no meaning here.

    References
    ----------
    A. Baronchelli, M. Felici, V. Loreto, E. Caglioti and L. Steels, J. Stat. Mech. (2006) P06014.
    """

    label = "classical"

    def __init__(self) -> None:
        self._read: tuple[Spec, ClassicalSpec] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what was read; it is read again where it is needed."""
        return {"_read": None}

    def check(self, game: GameRules) -> None:
        """Check that the naming game is named, of which this is the classical form.

        Parameters
        ----------
        game : GameRules
            The game to be played.

        Raises
        ------
        MindError
            If another is.
        """
        if not isinstance(game, Game):
            raise only_naming(self, game)

    def play_runs(
        self, spec: Spec, runs: range, goal: Goal, rounds: int, *, keep: bool, nodes: bool
    ) -> Batch:
        """Play runs of a spec in which this is the only mind.

        Parameters
        ----------
        spec : Spec
            What is played.
        runs : range
            The numbers of the runs, at least one.
        goal : Goal
            When a run stops: ``"converged"`` is consensus, every agent holding the same one word.
        rounds : int
            The most population rounds.
        keep : bool
            Whether interactions are wanted, which these runs have not.
        nodes : bool
            Whether to sum up what nodes did.

        Returns
        -------
        Batch
            How they ended. A word uttered is a name played, and what an agent last uttered or
            agreed on the name it holds.

        Raises
        ------
        SpecError
            For another pairing, a threshold, or if interactions are to be kept.
        """
        classical = self._spec(spec)
        if keep:
            problem = "interactions of the classical game are not those of minds"
            raise SpecError("keep_interactions", keep, problem, "Read ClassicalGame.rows.")
        if goal.threshold != 1:
            problem = "consensus in the classical game has no threshold"
            raise SpecError("threshold", goal.threshold, problem, 'Use until="agreed", or 1.')
        played = play_together(
            classical.initial_states(runs), goal, rounds, words=True, nodes=nodes
        )
        ends, numbers = load("inventory_batches"), played.numbers
        pool = spec.naming_game.pool
        lengths = numbers[:, ends.ROUNDS]
        first = np.cumsum(lengths) - lengths
        before = np.concatenate([np.zeros(1, np.int64), played.lines[:, 0]])[:-1]
        starts = np.isin(np.arange(len(played.lines)), first)
        plays = played.lines[:, 0] - np.where(starts, 0, before)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = numbers[:, ends.PLAYS] / numbers[:, ends.IN_WINDOW]
            agreement = numbers[:, ends.AGREEING] / numbers[:, ends.JUDGED]
            largest = numbers[:, ends.LARGEST] / numbers[:, ends.PLAYERS]
        return Batch(
            pool,
            np.array(runs),
            numbers[:, ends.INTERACTIONS],
            lengths,
            numbers[:, ends.CONSENSUS] > 0,
            numbers[:, ends.WINNER],
            np.where(numbers[:, ends.IN_WINDOW] > 0, share, 0.0),
            numbers[:, ends.HAS_FLIPPED] > 0,
            numbers[:, ends.HAS_AGREED] > 0,
            numbers[:, ends.NAMES_LEFT],
            agreement,
            numbers[:, ends.CLUSTERS],
            largest,
            np.column_stack([plays, played.lines[:, 3], 2 * played.words]),
            list(played.held.astype(np.int16)),
            nodes=played.nodes,
        )

    def _spec(self, spec: Spec) -> ClassicalSpec:
        if self._read is None or self._read[0] is not spec:
            rule = read_pairing(spec.pairing).label
            if rule not in PAIRINGS:
                problem = f"the classical game has no pairing {shown(rule)}"
                raise SpecError("pairing", rule, problem, "Use node or edge.")
            if spec.rewire is not None:
                problem = "edges of the classical game do not change"
                raise SpecError("rewire", spec.rewire, problem, "Leave rewire out.")
            classical = ClassicalSpec(
                graph=spec.graph,
                names=spec.naming_game.pool,
                pairing=PAIRINGS[rule],
                incumbent=spec.incumbent,
                committed=spec.committed,
                seed=spec.seed,
            )
            self._read = spec, classical
        return self._read[1]
