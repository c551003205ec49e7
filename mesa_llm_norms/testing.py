"""Conformance checks for minds and pairing rules: call them from the tests of your own."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Hashable, Sequence
from contextlib import closing
from typing import Any

import networkx as nx

from mesa_llm_norms.core.event_loop import wait_for
from mesa_llm_norms.core.game import Game, Memory, Remembered, read_pool
from mesa_llm_norms.core.randomness import UNIT, RandomStream, cumulative_weights
from mesa_llm_norms.errors import MindError, PairingError
from mesa_llm_norms.llm.client import LLMClient
from mesa_llm_norms.llm.mind import LiveMind
from mesa_llm_norms.minds.mind import Decision, Mind, Policy, Situation
from mesa_llm_norms.networks.adjacency import Neighbors
from mesa_llm_norms.simulation.pairing import Pairing

_CHANCES = (0, 1, UNIT // 3, UNIT // 2, UNIT - 1)


def check_mind(mind: Mind, names: Sequence[str] = "QM", memory: int = 5) -> None:
    """Raise ``MindError`` saying what is wrong if ``mind`` breaks the contract of minds.

    The mind is asked in a range of situations on the pool ``names``. It must have a label, answer
    with a ``Decision`` on a name of the pool. A policy must give one probability per name, summing
    to one, the same when asked again and in any order of the pool, and decide as the situation's
    draw says. ``DecisionError`` from a mind that cannot decide is passed on: it breaks no contract,
    but such a mind cannot be checked.
    """
    game = Game(read_pool(names), memory=memory)
    if not isinstance(mind, Mind):
        raise _broken(mind, "it is not derived from mesa_llm_norms.Mind")
    if not isinstance(getattr(mind, "label", None), str) or not mind.label:
        raise _broken(mind, "it has no label", "Set label to a short text.")
    mind.check(game)
    if isinstance(mind, LiveMind) and mind.client is None:
        with closing(LLMClient()) as client:
            (attended,) = client.attend([mind])
            check_mind(attended, names, memory)
        return
    for place, remembered in enumerate(_memories(game)):
        given = _distribution(mind, remembered, game.pool) if isinstance(mind, Policy) else None
        for seat, draw in enumerate(_CHANCES):
            situation = Situation(game, remembered, draw, RandomStream(seat), place, seat % 2)
            decision = wait_for(mind.decide(situation))
            if not isinstance(decision, Decision):
                raise _broken(mind, f"decide returned {decision!r}", "Return a Decision.")
            if decision.name not in game.pool:
                raise _broken(mind, f"it chose {decision.name!r}, which is not in {game.pool!r}")
            drawn = (
                game.pool[bisect_right(cumulative_weights(given), draw)] if given else decision.name
            )
            if decision.name != drawn:
                raise _broken(
                    mind,
                    f"it chose {decision.name!r} where the draw picks {drawn!r}",
                    "Leave decide as Policy has it, or derive from Mind.",
                )


def check_pairing(pairing: Pairing, graph: nx.Graph[Any] | None = None, rounds: int = 20) -> None:
    """Raise ``PairingError`` saying what is wrong if ``pairing`` breaks the contract of pairing.

    It must be derived from ``Pairing``, have a label, draw at least one pair in every round, draw
    only edges of the graph, and draw the same pairs when asked again with the same arguments.
    """
    if not isinstance(pairing, Pairing):
        raise _misdrawn(
            pairing, "it is not derived from mesa_llm_norms.Pairing", "Derive its class from it."
        )
    if not isinstance(getattr(pairing, "label", None), str) or not pairing.label:
        raise _misdrawn(pairing, "it has no label", "Set label to a short text.")
    neighbors = Neighbors(graph if graph is not None else nx.karate_club_graph())
    first = 0
    for number in range(rounds):
        drawn = list(pairing.pairs(neighbors, number, first, RandomStream(1)))
        again = list(pairing.pairs(neighbors, number, first, RandomStream(1)))
        if drawn != again:
            raise _misdrawn(
                pairing, f"round {number} differs when drawn again", "Take all chance from draws."
            )
        if not drawn:
            raise _misdrawn(pairing, f"it drew no pair in round {number}", "Draw at least one.")
        for pair in drawn:
            if not neighbors.joins(pair):
                raise _misdrawn(
                    pairing, f"it drew {pair!r}, which is not an edge", "Draw from neighbors.of(i) or neighbors.edges."
                )
        first += len(drawn)


def _distribution(mind: Policy, memory: Memory, pool: Sequence[str]) -> list[float]:
    """Return what a policy gives on ``memory``; ``MindError`` where it breaks the contract."""
    given = list(mind.distribution(memory, pool))
    if len(given) != len(pool) or not all(0 <= p <= 1 for p in given):
        raise _broken(mind, f"its distribution on {memory!r} is {given!r}")
    if not math.isclose(sum(given), 1, abs_tol=1e-6):
        raise _broken(mind, f"its probabilities on {memory!r} sum to {sum(given)}")
    if given != list(mind.distribution(memory, pool)):
        raise _broken(mind, "its distribution differs when asked again", "Keep no state.")
    backwards = list(mind.distribution(memory, pool[::-1]))[::-1]
    if not all(math.isclose(p, q, abs_tol=1e-6) for p, q in zip(given, backwards, strict=True)):
        raise _broken(
            mind,
            f"its distribution depends on the order of the pool: {given!r} and {backwards!r}",
            "Return the probabilities in the order of the pool that is given.",
        )
    return given


def _memories(game: Game) -> list[Memory]:
    """Return memories of every length, matched and not, over the pool's first and last names."""
    one, other = game.pool[0], game.pool[-1]
    pairs: list[Remembered] = [
        Remembered(*pair) for pair in ((one, one), (one, other), (other, one), (other, other))
    ]
    found: dict[Hashable, Memory] = {(): ()}
    for length in range(1, game.memory + 1):
        for start in range(len(pairs)):
            same = (pairs[start],) * length
            turns = tuple(pairs[(start + step) % len(pairs)] for step in range(length))
            found.update({same: same, turns: turns})
    return list(found.values())


def _broken(mind: Any, problem: str, remedy: str = "See docs/minds.md.") -> MindError:
    return MindError(
        "mind", mind, f"{getattr(mind, 'label', mind)!r} breaks the contract: {problem}", remedy
    )


def _misdrawn(pairing: Any, problem: str, remedy: str) -> PairingError:
    return PairingError("pairing", pairing, f"{pairing!r} breaks the contract: {problem}", remedy)
