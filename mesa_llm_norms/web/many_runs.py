"""Many runs of what is on the page, played compiled in the background and counted as they end."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mesa_llm_norms.core.formatting import plural
from mesa_llm_norms.core.stopping import WINDOW, Goal
from mesa_llm_norms.errors import NormsError, SpecError
from mesa_llm_norms.simulation.arguments import Until
from mesa_llm_norms.simulation.backends import InProcess
from mesa_llm_norms.simulation.ensemble import How, load_graph, play_part
from mesa_llm_norms.simulation.run import Batch, run_table
from mesa_llm_norms.simulation.spec import Spec
from mesa_llm_norms.web.model_source import check_setting
from mesa_llm_norms.web.scenes.scene import Scene, read_results
from mesa_llm_norms.web.setting import Setting

RUNS = 100
MOST_ROUNDS = 1_000
"""Rounds of a run whose setting does not say when it ends."""

_turn = threading.Lock()
"""Held while a part is played: the viewers of a page take turns."""


@dataclass
class Counts:
    """What was found in the runs of one population.

    Attributes
    ----------
    pool
        Its names.
    rounds
        The most population rounds of a run.
    winners
        In how many runs all agreed on each name, None for those in which they did not.
    times
        After how many population rounds, for each run that agreed: the first by whose end all
        interactions of three rounds matched.
    """

    pool: tuple[str, ...]
    rounds: int
    winners: Counter[str | None] = field(default_factory=Counter)
    times: list[int] = field(default_factory=list)

    def add(self, batch: Batch) -> None:
        """Count the runs of a batch."""
        ends = np.cumsum(batch.rounds)
        for end, rounds, agreed, winner in zip(
            ends, batch.rounds, batch.agreed, batch.winner, strict=True
        ):
            self.winners[self.pool[winner] if agreed else None] += 1
            if agreed:
                self.times.append(_first_quiet(batch.counts[end - rounds : end]))


def _first_quiet(counts: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> int:
    """Return after how many rounds the last three had only matches; ``counts`` is as in Tally."""
    missed = np.cumsum(np.concatenate([[0], counts[:, 0] != counts[:, 1]]))
    window = int(WINDOW)
    quiet = np.flatnonzero(missed[window:] == missed[:-window])
    return int(quiet[0]) + window if len(quiet) else len(counts)


class ManyRuns:
    """Runs of one population, or of two side by side, from ``start`` until ``stop``.

    Run 0 is the one the page plays, without changes made by hand. ``scene`` says when runs stop and
    which answer came true. ``on_change`` is called in a thread after each part and must not block.

    Attributes
    ----------
    counts : list of Counts
        For each population.
    answers : Counter of int
        In how many runs each answer of the scene came true, by index.
    done : int
        Runs played.
    running : bool
        Whether it still plays.
    problem : str
        What went wrong, if anything did.
    """

    def __init__(
        self,
        settings: Sequence[Setting],
        scene: Scene | None = None,
        runs: int = RUNS,
        on_change: Callable[[], object] = lambda: None,
    ) -> None:
        until: Until = scene.stop if scene is not None else "converged"
        self.runs = runs
        self.scene = scene
        self._specs = [_read(setting, runs) for setting in settings]
        self._ways: list[How] = [
            (Goal(until), setting.rounds or MOST_ROUNDS, False, "auto") for setting in settings
        ]
        self._on_change = on_change
        self._stopped = threading.Event()
        self.counts = [
            Counts(spec.game.pool, rounds)
            for spec, (_, rounds, *_) in zip(self._specs, self._ways, strict=True)
        ]
        self.answers: Counter[int] = Counter()
        self.done, self.running, self.problem = 0, False, ""

    def start(self) -> None:
        """Begin to play."""
        self.running = True
        threading.Thread(target=self._play, name="mesa_llm_norms many runs", daemon=True).start()

    def stop(self) -> None:
        """Play no more; a part that is being played is not counted."""
        self._stopped.set()
        self.running = False

    def _play(self) -> None:
        try:
            agents = sum(len(spec.initial_state().neighbors) for spec in self._specs)
            for part in InProcess().parts(range(self.runs), agents):
                with _turn:
                    if self._stopped.is_set():
                        return
                    batches = [
                        play_part(spec, part, how)
                        for spec, how in zip(self._specs, self._ways, strict=True)
                    ]
                answers = list(self._answers(part, batches))
                if self._stopped.is_set():
                    return
                for counts, batch in zip(self.counts, batches, strict=True):
                    counts.add(batch)
                self.answers.update(answers)
                self.done += len(part)
                self._on_change()
        except NormsError as error:
            self.problem = str(error)
        finally:
            self.running = False
            self._on_change()

    def _answers(self, part: range, batches: Sequence[Batch]) -> Iterator[int]:
        if self.scene is None:
            return
        results = [
            read_results(spec, part, run_table([batch]), batch.held)
            for spec, batch in zip(self._specs, batches, strict=True)
        ]
        for found in zip(*results, strict=True):
            answer = self.scene.came_true(found)
            assert answer is not None, "answers are checked to cover all that can happen"
            yield answer


def _read(setting: Setting, runs: int) -> Spec:
    """Return the spec of a setting; ``SpecError`` if it is not played many times."""
    spec, agents, _ = check_setting(setting.at_start())
    if spec.live:
        calls = 2 * agents * (setting.rounds or MOST_ROUNDS) * runs
        raise SpecError(
            "mind",
            setting.mind,
            f"{plural(runs, 'run')} of a live mind may take {calls:,} calls, paid or slow",
            "Record the mind first, with mesa-llm-norms record, and start the page with the file.",
        )
    return replace(spec, graph=load_graph(spec.graph))
