"""Simple minds: from a measured table, uniform, committed to one name, or playing a script."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from mesa_llm_norms.core.game import Game, GameRules, Memory, as_pairs
from mesa_llm_norms.errors import DecisionError, MindError, shown, some
from mesa_llm_norms.minds.mind import Decision, Mind, Policy, Situation, only_naming

ROUNDING = 0.002
"""How far a row may be from summing to one, because its numbers were rounded."""

Script: TypeAlias = Callable[[Situation], str] | Mapping[tuple[int, int], str] | Sequence[str]


class TableMind(Policy):
    """A policy given as a table: for each memory, the probability of every name.

    A memory without a row is looked up by its longest most recent part that has one.

    Parameters
    ----------
    label : str
        What the mind is called in results and messages.
    names : sequence of str
        The pool that the table is for.
    table : mapping from memory to sequence of float
        For each memory (a tuple of ``(own, partner)`` names, oldest first) one probability per
        name, in the order of ``names``. The empty memory must be there. Rows that sum to one
        within 0.002 are normalized.
    provenance : mapping, optional
        Where it is from, as plain data. Default: nothing is known.

    Raises
    ------
    MindError
        If the empty memory is missing, or a row is not a probability distribution.
    """

    def __init__(
        self,
        label: str,
        names: Sequence[str],
        table: Mapping[Memory, Sequence[float]],
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        self.label = label
        self.names: tuple[str, ...] = tuple(names)
        self.provenance: dict[str, Any] = dict(provenance or {})
        if () not in table:
            problem = "the table has no row for the empty memory"
            raise MindError("mind", label, problem, "Add one: every run starts there.")
        self.table: dict[Memory, tuple[float, ...]] = {
            memory: self._normalized(memory, row) for memory, row in table.items()
        }

    def _normalized(self, memory: Memory, row: Sequence[float]) -> tuple[float, ...]:
        fits = len(row) == len(self.names) and all(0 <= p <= 1 for p in row)
        if not fits or abs(sum(row) - 1) > ROUNDING:
            raise MindError(
                "mind",
                tuple(row),
                f"the row for memory {shown(write_memory(memory))} is not a distribution over "
                f"{some(self.names)}",
                "Give one probability per name, from 0 to 1, summing to 1.",
            )
        return tuple(p / sum(row) for p in row)

    def check(self, game: GameRules) -> None:
        """Check that the pool is the one the table is for, in any order.

        A table that was measured is for the naming game, any other for games of two players.

        Parameters
        ----------
        game : GameRules
            The game to be played.

        Raises
        ------
        MindError
            If the pool has other names, or the game is not one that the table is for.
        """
        if not isinstance(game, Game):
            if self.provenance:
                raise only_naming(self, game)
            if game.seats != 2:
                problem = f"a table knows one partner, and {type(game).__name__} has more players"
                raise MindError("mind", self.label, problem, "Derive a mind from Policy.")
        if set(game.pool) != set(self.names):
            raise MindError(
                "mind",
                self.label,
                f"it was measured for the names {some(self.names, 26)}, not {some(game.pool, 26)}",
                "Play the measured pool, or use a mind that plays any pool.",
            )

    def distribution(self, memory: Memory, pool: Sequence[str]) -> Sequence[float]:
        """Return the probabilities of the names on a memory.

        Parameters
        ----------
        memory, pool : see ``Policy.distribution``

        Returns
        -------
        list of float
            The row of the longest recent part of ``memory`` that has one, in the order of ``pool``.
        """
        memory = as_pairs(memory)
        row = next(
            self.table[memory[k:]] for k in range(len(memory) + 1) if memory[k:] in self.table
        )
        return [row[self.names.index(name)] for name in pool]


def write_memory(memory: Memory) -> str:
    """Return a memory as text, oldest first: ``own/partner`` pairs with spaces between."""
    return " ".join(f"{own}/{partner}" for own, partner in memory)


class UniformMind(Policy):
    """A mind that always plays every name with equal probability: the null model."""

    label = "uniform"

    def distribution(self, memory: Memory, pool: Sequence[str]) -> Sequence[float]:  # noqa: ARG002
        """Return equal probabilities.

        Parameters
        ----------
        memory, pool : see ``Policy.distribution``

        Returns
        -------
        list of float
            One over the number of names, for each name.
        """
        return [1 / len(pool)] * len(pool)


class CommittedMind(Policy):
    """A mind that always plays one name, whatever it remembers: a committed agent.

    Parameters
    ----------
    name : str
        The name it plays.
    noise : float, default 0
        The chance, from 0.0 to 1.0, that it plays one of the other names instead, each of them
        equally often.
    until : int or None, default None
        The population round from which on its agent is not committed any more; None for never.

    References
    ----------
    H. Shirado and N. A. Christakis, Nature 545, 370 (2017): agents that sometimes choose at random.
    """

    def __init__(self, name: str, noise: float = 0.0, until: int | None = None) -> None:
        self.name = name
        self.noise = noise
        self.until = until
        how = (f", noise {noise:g}" if noise else "") + (f", until round {until}" if until else "")
        self.label: str = f"committed to {name}{how}"

    def check(self, game: GameRules) -> None:
        """Check that the name is in the pool.

        Parameters
        ----------
        game : GameRules
            The game to be played.

        Raises
        ------
        MindError
            If it is not.
        """
        if self.name not in game.pool:
            raise MindError(
                "committed",
                self.name,
                f"{shown(self.name)} is not in the pool",
                f"Commit agents to one of {some(game.pool, 26)}.",
            )

    def distribution(self, memory: Memory, pool: Sequence[str]) -> Sequence[float]:  # noqa: ARG002
        """Return probability one for the name, less the noise.

        Parameters
        ----------
        memory, pool : see ``Policy.distribution``

        Returns
        -------
        list of float
            1 for the name and 0 for every other; the noise is shared equally by the others.
        """
        other = self.noise / (len(pool) - 1)
        return [1 - self.noise if name == self.name else other for name in pool]


class ScriptedMind(Mind):
    """A mind that plays from a script: a test double for models, metrics and pages.

    Parameters
    ----------
    script : callable, mapping or sequence of str
        A function from the ``Situation`` to a name; names by ``(interaction, seat)``; or a
        sequence, of which an agent that remembers n interactions plays number n, and the last name
        from then on.
    label : str, default "scripted"
        What the mind is called in results and messages.
    """

    def __init__(self, script: Script, label: str = "scripted") -> None:
        self.script = script
        self.label = label

    async def decide(self, situation: Situation) -> Decision:
        """Return the scripted name.

        Parameters
        ----------
        situation : Situation
            What the agent sees.

        Returns
        -------
        Decision
            The name, without a probability.

        Raises
        ------
        DecisionError
            If the script has no name for this situation.
        """
        name: str | None
        if callable(self.script):
            name = self.script(situation)
        elif isinstance(self.script, Mapping):
            name = self.script.get((situation.interaction, situation.seat))
        elif self.script:
            name = self.script[min(len(situation.memory), len(self.script) - 1)]
        else:
            name = None
        if name is None:
            raise DecisionError(
                self.label,
                f"the script has no name for interaction {situation.interaction}, "
                f"seat {situation.seat}",
            )
        return Decision(name)
