"""A scene: three sentences, a question with its answers, what is played, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from mesa_llm_norms.viz.scenes.conditions import Condition, came_true
from mesa_llm_norms.viz.scenes.result import Result
from mesa_llm_norms.viz.setting import Setting


class Answer(NamedTuple):
    """An answer as it is on its button, and when it comes true."""

    text: str
    when: Condition


class Promise(NamedTuple):
    """One of these answers (by place, from 0) comes true in at least this share of runs."""

    answers: tuple[int, ...]
    at_least: float


class Measured(NamedTuple):
    """In how many of so many runs each answer came true."""

    runs: int
    times: tuple[int, ...]

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of runs for each answer."""
        return tuple(times / self.runs for times in self.times)

    @property
    def line(self) -> str:
        """The line of a scene's file that says this."""
        return f"measured = {{runs = {self.runs}, times = {list(self.times)}}}"


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What a class is shown: read from a file by ``read_scenes``.

    ``setting`` is what is played, for its ``rounds``; ``second`` is the population beside it, where
    two are compared. ``speed`` is in population rounds per second. With ``stop = "converged"`` a
    population also stops where it converges.
    """

    key: str
    title: str
    text: str
    question: str
    answers: tuple[Answer, ...]
    why: str
    setting: Setting
    second: Setting | None = None
    speed: float = 1.0
    stop: str | None = None
    promise: Promise | None = None
    measured: Measured | None = None

    def settings(self, seed: int) -> tuple[Setting, ...]:
        """Return what is played with a seed: one population, or two."""
        every = (self.setting,) if self.second is None else (self.setting, self.second)
        return tuple(replace(one, seed=seed) for one in every)

    def came_true(self, results: Sequence[Result]) -> int | None:
        """Return the place of the answer that came true, given one result per population.

        None can only be where agents or ties were changed by hand while it was played.
        """
        return came_true([answer.when for answer in self.answers], results)
