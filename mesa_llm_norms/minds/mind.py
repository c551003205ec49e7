"""The contract of minds: what an agent sees goes in, a name and how it was chosen come out."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, NamedTuple

from mesa_llm_norms.core.event_loop import CancelScope
from mesa_llm_norms.core.game import GameRules, Memory
from mesa_llm_norms.core.randomness import RandomStream, cumulative_weights
from mesa_llm_norms.errors import DecisionError, MindError


class Sight(NamedTuple):
    """An attribute that a mind is shown, by ``sees=``.

    Attributes
    ----------
    attribute : str
        What it is called.
    own : str, float, bool or None
        What the mind's agent has.
    neighbors : tuple
        Its neighbors' values, sorted so that no neighbor can be identified.
    """

    attribute: str
    own: Any
    neighbors: tuple[Any, ...]


class Situation(NamedTuple):
    """All a mind may see when it chooses.

    Attributes
    ----------
    game : GameRules
        The rules: pool, payoffs, length of the memory. ``Game`` for the naming game.
    memory : Memory
        The agent's own last interactions, oldest first.
    draw : int
        This decision's own random number, from 0 to 2**32 - 1.
    stream : RandomStream
        Source of any further draw, such as the order in which names are shown.
    interaction : int
        Number of the interaction in its run, from 0; keys further draws.
    seat : int
        0 for the agent drawn first, 1 for its partner, and so on; keys further draws.
    scope : CancelScope or None, default None
        Says whether the decision is still wanted; minds that make calls make them within it.
    seen : tuple of Sight, default ()
        The attributes it is shown; none in the naming game.
    """

    game: GameRules
    memory: Memory
    draw: int
    stream: RandomStream
    interaction: int
    seat: int
    scope: CancelScope | None = None
    seen: tuple[Sight, ...] = ()


def order_of_names(situation: Situation) -> tuple[str, ...]:
    """Return the order in which a mind is shown the names in a situation: any, equally likely."""
    chance = random.Random(
        situation.stream.of("order of names", situation.interaction, situation.seat)
    )
    return tuple(chance.sample(situation.game.pool, len(situation.game.pool)))


class Decision(NamedTuple):
    """The name that was chosen.

    Attributes
    ----------
    name : str
        A name of the pool.
    probability : float or None, default None
        The probability it was chosen with, if the mind knows it.
    """

    name: str
    probability: float | None = None


class Mind(ABC):
    """What turns what an agent sees into a name.

    A mind keeps no state between decisions: everything an agent knows is in its memory. The same
    mind may therefore serve many agents, runs and processes. A mind that cannot decide raises
    ``DecisionError``; it never makes up a name.

    Attributes
    ----------
    label : str
        What the mind is called in results and messages.
    """

    label: str

    def for_run(self, game: GameRules, stream: RandomStream) -> Mind:  # noqa: ARG002
        """Return the mind as it is throughout one run.

        A served model may differ from run to run. A mind that models this draws its state for the
        run from ``stream``, and all its agents in the run share it.

        Parameters
        ----------
        game : GameRules
            The game to be played.
        stream : RandomStream
            The run's random numbers.

        Returns
        -------
        Mind
            Nearly always the mind itself.
        """
        return self

    @abstractmethod
    async def decide(self, situation: Situation) -> Decision:
        """Return the decision in a situation.

        Parameters
        ----------
        situation : Situation
            What the agent sees.

        Returns
        -------
        Decision
            The name chosen.

        Raises
        ------
        DecisionError
            If the mind cannot decide.
        """

    def check(self, game: GameRules) -> None:  # noqa: B027  (most minds can play any game)
        """Check that the mind can play a game.

        Parameters
        ----------
        game : GameRules
            The game to be played.

        Raises
        ------
        MindError
            If it cannot.
        """


class Policy(Mind):
    """A mind that is a function of memory, and so never has to wait.

    Subclasses define ``distribution``; the name then follows from the decision's own draw. Engines
    may skip ``decide`` and use the distribution directly, with the same outcome.
    """

    @abstractmethod
    def distribution(self, memory: Memory, pool: Sequence[str]) -> Sequence[float]:
        """Return the probabilities of the names on a memory.

        Parameters
        ----------
        memory : tuple of (own, partner) names
            What the agent remembers, oldest first; empty at the start. In other games than the
            naming game, a tuple of ``Experience``.
        pool : sequence of str
            The names that can be played.

        Returns
        -------
        sequence of float
            One probability per name of ``pool``, in its order; they sum to one.
        """

    def seeing(self, seen: tuple[Sight, ...]) -> Policy:  # noqa: ARG002
        """Return the policy as it is where it is shown attributes, by ``sees=``.

        Parameters
        ----------
        seen : tuple of Sight
            The attributes of its agent and of the neighbors, in the order of ``sees``.

        Returns
        -------
        Policy
            By default the policy itself, which makes no use of them.
        """
        return self

    async def decide(self, situation: Situation) -> Decision:
        """Return the name that the situation's draw picks from the distribution.

        Parameters
        ----------
        situation : Situation
            What the agent sees.

        Returns
        -------
        Decision
            The name, with its probability.
        """
        pool = situation.game.pool
        policy = self.seeing(situation.seen) if situation.seen else self
        probabilities = policy.distribution(situation.memory, pool)
        chosen = bisect_right(cumulative_weights(probabilities), situation.draw)
        return Decision(pool[chosen], float(probabilities[chosen]))


def only_naming(mind: Mind, game: GameRules) -> MindError:
    """Return the error for a mind that knows the naming game alone."""
    return MindError(
        "mind",
        mind.label,
        f"{mind.label} was measured in the naming game, and says nothing about "
        f"{type(game).__name__}",
        "Minds that play any game: a live mind, uniform, ScriptedMind, and a TableMind or a Policy "
        "of your own.",
    )


class WholeGame(Mind):
    """What stands where a mind is named for a game of its own, whose agents have no minds.

    It is the only mind of its spec, and plays whole runs in ensembles and sweeps.
    """

    async def decide(self, situation: Situation) -> Decision:  # noqa: ARG002
        """Raise ``DecisionError``: there is nothing to decide.

        Parameters
        ----------
        situation : Situation
            What an agent would see.

        Returns
        -------
        Decision
            Never.

        Raises
        ------
        DecisionError
            Always.
        """
        raise DecisionError(self.label, "it is a game of its own, without minds")

    @abstractmethod
    def play_runs(
        self, spec: Any, runs: range, goal: Any, rounds: int, *, keep: bool, nodes: bool
    ) -> Any:
        """Play runs of a spec.

        Parameters
        ----------
        spec : Spec
            What is played.
        runs : range
            The numbers of the runs, at least one.
        goal : Goal
            When a run stops.
        rounds : int
            The most population rounds.
        keep : bool
            Whether interactions are wanted.
        nodes : bool
            Whether to sum up what nodes did.

        Returns
        -------
        Batch
            How they ended.
        """
