"""What every mind keeps: tests to inherit, and what they share."""

from __future__ import annotations

import copy
import pickle
import string
from collections.abc import Sequence
from typing import Any

import pytest

from mesa_llm_norms import Game, Mind, NamingGame, Policy, load_mind
from mesa_llm_norms.core.game import Memory, Remembered
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.minds import RecordedMind, Situation
from mesa_llm_norms.testing import check_mind

TEN = tuple("QMXYFJPRCD")
UNKNOWN = ("left", "右", "3", "so what")


def recorded(name: str) -> RecordedMind:
    mind = load_mind(name)
    assert isinstance(mind, RecordedMind)
    return mind


def situation(memory: Memory = (), number: int = 0, seat: int = 0, names: str = "QM") -> Situation:
    return Situation(Game(tuple(names), memory=9), memory, 2**31, RandomStream(1), number, seat)


class MindConformance:
    """What every mind keeps; inherit it and give ``mind``, and the pools it plays."""

    pools: Sequence[Sequence[str]] = ("QM", TEN, UNKNOWN, ("?", "!"), string.ascii_lowercase)

    def mind(self, pool: Sequence[str]) -> Mind:
        raise NotImplementedError

    @pytest.mark.parametrize("memory", [1, 3, 5, 8])
    def test_the_published_check_passes(self, memory: int) -> None:
        for pool in self.pools:
            check_mind(self.mind(pool), pool, memory)

    def test_it_is_the_same_mind_after_a_way_to_a_worker(self) -> None:
        mind = self.mind(self.pools[0])
        copies: list[Any] = [pickle.loads(pickle.dumps(mind)), copy.deepcopy(mind)]
        for again in copies:
            assert again.label == mind.label
            check_mind(again, self.pools[0])
            if isinstance(mind, Policy):
                pool, memory = list(self.pools[0]), ((Remembered(*self.pools[0][:2])),)
                assert again.distribution(memory, pool) == mind.distribution(memory, pool)

    def test_what_it_is_in_one_run_conforms_and_depends_on_nothing_else(self) -> None:
        for pool in self.pools:
            game = Game(tuple(pool))
            mind = self.mind(pool)
            this_run = mind.for_run(game, RandomStream(3, 1))
            check_mind(this_run, pool)
            again = mind.for_run(game, RandomStream(3, 1))
            if isinstance(this_run, Policy) and isinstance(again, Policy):
                assert this_run.distribution((), pool) == again.distribution((), pool)

    def test_a_game_is_played_with_it(self) -> None:
        for pool in self.pools[:2]:
            game = NamingGame(graph="ring(n=6)", names=pool, mind=self.mind(pool), rng=1)
            game.run(rounds=3, until=None)
            assert game.interactions == 18
