"""Playing interactions: plan the pair, let both minds decide, and only then commit.

The engine knows neither Mesa nor files. Whoever plays is a ``Player``; what comes out is one
``Interaction`` row after the other. Minds that are policies are played through their distribution;
any other mind is awaited, on an event loop in a thread of its own, so that callers stay plain
Python inside Jupyter and web pages too.
"""

from __future__ import annotations

import asyncio
import os
import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.contacts import Contacts
from mesa_llm_norms.draws import Draws, thresholds
from mesa_llm_norms.errors import DecisionError, MindError, PairingError
from mesa_llm_norms.game import Game, Interaction
from mesa_llm_norms.memory import Memory
from mesa_llm_norms.metrics import Tally
from mesa_llm_norms.minds.mind import Decision, Mind, Policy, Situation
from mesa_llm_norms.pairing import PAIRINGS, Pairing
from mesa_llm_norms.window import Recent, Stop

_MAX_CACHED = 500_000


class Player(Protocol):
    """Anyone who can sit at the game: a mind, a memory, and a way to add to it."""

    mind: Mind

    @property
    def memory(self) -> Memory:
        """What the player remembers, oldest first."""

    @property
    def name(self) -> str | None:
        """The name played last, None before the first interaction."""

    def remember(self, own: str, partner: str) -> None:
        """Add one interaction to the memory."""


class Engine:
    """Plays a game among ``players``, who sit on ``contacts.nodes`` in this order.

    ``interactions`` and ``rounds`` count what has been played and begun.
    """

    def __init__(
        self,
        game: Game,
        contacts: Contacts,
        players: Sequence[Player],
        pairing: Pairing,
        draws: Draws,
    ) -> None:
        self.game = game
        self.pairing = pairing
        self.draws = draws
        self.interactions = 0
        self.rounds = 0
        # By identity, for a mind need not be hashable; kept with the mind, so that none is reused.
        self._tables: dict[int, tuple[Mind, dict[Memory, list[int]]]] = {}
        self.seat(contacts, players)

    def seat(self, contacts: Contacts, players: Sequence[Player]) -> None:
        """Go on with these players on these contacts."""
        self.contacts = contacts
        self.players = tuple(players)

    def ask_anew(self) -> None:
        """Forget how minds chose: they may have been changed in place."""
        self._tables.clear()

    @property
    def names_held(self) -> NDArray[np.int16]:
        """For each node the place in the pool of the name played last, -1 for none."""
        places: dict[str | None, int] = {name: at for at, name in enumerate(self.game.pool)}
        return np.array([places.get(player.name, -1) for player in self.players], np.int16)

    def play(
        self, rounds: int, recent: Recent, stop: Stop, tally: Tally, rows: list[Interaction] | None
    ) -> None:
        """Play population rounds until ``recent`` reaches ``stop``; at least one interaction.

        What is played is counted in ``recent`` and ``tally`` and added to ``rows``, if that is
        wanted, as it happens, so that it is there if a mind fails.
        """
        places = {name: place for place, name in enumerate(self.game.pool)}
        for _ in range(rounds):
            line = tally.begin_round()
            for row in self.round():
                name_a, name_b = places[row.name_a], places[row.name_b]
                if rows is not None:
                    rows.append(row)
                recent.add(name_a, name_b)
                line[0] += 1
                line[1] += name_a == name_b
                line[2 + name_a] += 1
                line[2 + name_b] += 1
                if recent.reaches(stop):
                    return

    def round(self) -> Iterator[Interaction]:
        """Plan the next population round, then play it, yielding each interaction once committed.

        A round that is not played to its end stays shorter: the next one follows on from it.
        """
        number = self.rounds
        self.rounds += 1
        planned = self.pairing.pairs(self.contacts, number, self.interactions, self.draws)
        played = False
        for a, b in self._checked(planned):
            played = True
            yield self._play(number, a, b)
        if not played:
            raise PairingError(
                "pairing",
                self.pairing,
                f"{self.pairing!r} drew no pair",
                "Draw at least one a round.",
            )

    def _play(self, number: int, a: int, b: int) -> Interaction:
        first, second = self.players[a], self.players[b]
        t = self.interactions
        drawn = self.draws.interaction(t)
        name_a = self._choose(first, drawn.seat_a)
        name_b = self._choose(second, drawn.seat_b)
        if name_a is None or name_b is None:
            name_a, name_b = self._ask((first, drawn.seat_a), (second, drawn.seat_b))
        first.remember(name_a, name_b)
        second.remember(name_b, name_a)
        self.interactions = t + 1
        game, nodes = self.game, self.contacts.nodes
        payoff = game.payoff(name_a, name_b)
        return Interaction(self.draws.run, t, number, nodes[a], nodes[b], name_a, name_b, payoff)

    def _choose(self, player: Player, draw: int) -> str | None:
        """Return the name a policy gives on this draw, or None for a mind that must be asked."""
        mind, memory = player.mind, player.memory
        known = self._tables.get(id(mind))
        if known is None:
            if not is_plain_policy(mind):
                return None
            known = self._tables[id(mind)] = (mind, {})
        table = known[1]
        steps = table.get(memory)
        if steps is None:
            if len(table) >= _MAX_CACHED:
                table.clear()
            steps = table[memory] = steps_of(mind, memory, self.game)
        return self.game.pool[bisect_right(steps, draw)]

    def _ask(self, *seats: tuple[Player, int]) -> tuple[str, str]:
        async def both() -> list[str]:
            return await asyncio.gather(
                *(
                    self._answer(
                        player.mind,
                        Situation(
                            self.game, player.memory, draw, self.draws, self.interactions, seat
                        ),
                    )
                    for seat, (player, draw) in enumerate(seats)
                )
            )

        name_a, name_b = wait_for(both())
        return name_a, name_b

    async def _answer(self, mind: Mind, situation: Situation) -> str:
        decision = await mind.decide(situation)
        if not isinstance(decision, Decision):
            raise DecisionError(mind.label, f"it returned {decision!r}, which is no Decision")
        if decision.name not in self.game.pool:
            raise DecisionError(mind.label, f"it chose {decision.name!r}, which is not in the pool")
        return decision.name

    def _checked(self, planned: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        if type(self.pairing) in PAIRINGS.values():
            return planned
        return self._only_edges(planned)

    def _only_edges(self, planned: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        for pair in planned:
            if not self.contacts.joins(pair):
                raise PairingError(
                    "pairing",
                    pair,
                    f"{self.pairing!r} drew the pair {pair!r}, which is not an edge",
                    "Draw pairs from contacts.neighbours.",
                )
            yield pair


def is_plain_policy(mind: Mind) -> bool:
    """Whether ``mind`` may be played through its distribution, without asking it."""
    return isinstance(mind, Policy) and type(mind).decide is Policy.decide


def steps_of(mind: Mind, memory: Memory, game: Game) -> list[int]:
    """Return the thresholds of a policy's distribution; ``MindError`` if it is none."""
    assert isinstance(mind, Policy)
    probabilities = mind.distribution(memory, game.pool)
    if (
        not hasattr(probabilities, "__len__")
        or len(probabilities) != len(game.pool)
        or not all(p >= 0 for p in probabilities)
        or not abs(sum(probabilities) - 1) < 1e-6
    ):
        raise MindError(
            "mind",
            mind.label,
            f"its distribution on {memory!r} is {probabilities!r}",
            "Return one probability per name of the pool, summing to 1.",
        )
    return thresholds(probabilities)


def wait_for(work: Any) -> Any:
    """Return the result of a coroutine run on the background loop; an interrupt cancels it."""
    future = asyncio.run_coroutine_threadsafe(work, _loop())
    try:
        return future.result()
    except KeyboardInterrupt:
        future.cancel()
        raise


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="mesa_llm_norms minds", daemon=True).start()
    return loop


if hasattr(os, "register_at_fork"):
    # A forked process has the loop but not the thread that ran it.
    os.register_at_fork(after_in_child=_loop.cache_clear)
