"""What an agent remembers: its last few interactions, oldest first, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from mesa_llm_norms.game import Game


class Remembered(NamedTuple):
    """One remembered interaction, seen from one side: what I played, what my partner played."""

    own: str
    partner: str


Memory: TypeAlias = tuple[Remembered, ...]
"""Oldest first, at most ``Game.memory`` long; empty for an agent that has not met anyone."""


def remember(memory: Memory, own: str, partner: str, length: int) -> Memory:
    """Return ``memory`` with one more interaction, keeping the last ``length``."""
    return (*memory, Remembered(own, partner))[-length:]


def filled(name: str, length: int) -> Memory:
    """Return the memory of an agent whose last ``length`` interactions all matched on ``name``."""
    return (Remembered(name, name),) * length


def read_memory(pairs: Iterable[Iterable[str]]) -> Memory:
    """Return the memory made of ``(own, partner)`` pairs, oldest first."""
    return tuple(Remembered(*pair) for pair in pairs)


def score(memory: Memory, game: Game) -> float:
    """Return the points an agent sees as its score: the payoffs of what it remembers, added up."""
    return sum(game.payoff(own, partner) for own, partner in memory)
