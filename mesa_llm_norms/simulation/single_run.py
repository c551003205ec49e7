"""One run, shown round by round: what ``mesa-llm-norms run`` plays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mesa_llm_norms.core.metrics import Round
from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.simulation.engine import Engine
from mesa_llm_norms.simulation.ensemble import TYPICAL_ROUNDS, settle, start_run
from mesa_llm_norms.simulation.kernel import WORTHWHILE, can_play
from mesa_llm_norms.simulation.run import Run
from mesa_llm_norms.simulation.spec import InitialState, Spec

if TYPE_CHECKING:
    from mesa_llm_norms.llm.client import LLMClient
    from mesa_llm_norms.simulation.run_record import RowSink


class SingleRun:
    """One run, round by round: in plain Python until it proves long, and compiled from there.

    Parameters
    ----------
    spec, initial
        What is played, and the state it starts from.
    goal, rounds
        When it stops, and the most population rounds.
    rows
        What takes its rows, if anything does.
    client
        What makes the calls of live minds.

    Attributes
    ----------
    run : Run
        The run as it stands.
    """

    def __init__(
        self,
        spec: Spec,
        initial: InitialState,
        goal: Goal,
        rounds: int,
        rows: RowSink | None = None,
        client: LLMClient | None = None,
    ) -> None:
        self._spec, self._initial, self._goal, self._rounds = spec, initial, goal, rounds
        self._keep = rows or False
        self._agents = len(initial.neighbors)
        least = self._agents * (rounds if goal.until is None else min(rounds, TYPICAL_ROUNDS))
        self.run: Run = start_run(spec, initial, settle("auto", least), client)
        in_python = client is None and isinstance(self.run.engine, Engine)
        self._may_change = in_python and bool(
            can_play(initial.minds, initial.pairing, initial.game, spec.rewire, spec.sees)
        )

    def __iter__(self) -> Iterator[Round | None]:
        """Play, and yield each round as ``Run.each_round`` does."""
        played = 0
        for one in self.run.each_round(self._goal, self._rounds, self._keep):
            yield one
            played += 1
            left = (self._rounds - played) * self._agents
            long = min(left, self.run.interactions) >= WORTHWHILE
            if self._may_change and long and not self.run.reached:
                break
        else:
            return
        self.run = start_run(self._spec, self._initial, "kernel")
        self.run.play_to(self._goal, played)  # the same once more, in no time
        yield from self.run.each_round(self._goal, self._rounds - played, self._keep)
