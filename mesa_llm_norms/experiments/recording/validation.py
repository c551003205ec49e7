"""Does a recording behave as the live mind it was made of?

Where the live mind gives probabilities and every order of names was asked, both play the same rows,
which is compared row by row. In any case populations of both are compared in distribution, by how
long they take, which name is played most at the end, and how many interactions match.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from mesa_llm_norms.analysis.intervals import holm
from mesa_llm_norms.core import limits
from mesa_llm_norms.core.limits import read_seed, read_whole
from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.errors import MindError
from mesa_llm_norms.experiments.recording.questions import Report, number_of_orders
from mesa_llm_norms.llm.journal.rows import Totals
from mesa_llm_norms.llm.provider import LiveMind
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.minds.recorded import RecordedMind
from mesa_llm_norms.simulation.ensemble import Ensemble, play_ensemble
from mesa_llm_norms.simulation.spec import STUDY_GRAPH, Spec
from mesa_llm_norms.study.validate import winners_test

LEVEL = 0.01
"""Corrected p-values below this say that populations differ."""

LIVE_RUNS, RECORDED_RUNS, ROUNDS = 20, 1_000, 15


@dataclass(frozen=True)
class RecordingCheck:
    """A recording compared with its live mind.

    Attributes
    ----------
    rows, equal_rows : int
        Interactions that both played with orders kept, and how many were equal; both 0 where the
        answers are no probabilities or not complete.
    live_runs, recorded_runs, rounds : int
        The populations compared, and the population rounds of each at most.
    p_values : dict
        Corrected (Holm) for their number: ``time``, two-sample Kolmogorov-Smirnov test of the
        interactions played; ``winner``, Monte Carlo likelihood-ratio test of the names played most
        at the end; ``success``, Kolmogorov-Smirnov test of the shares of interactions that matched.
    medians : dict
        The medians of ``time`` and ``success``, live and recorded.
    usage : Totals or None
        What the live runs used.
    """

    rows: int
    equal_rows: int
    live_runs: int
    recorded_runs: int
    rounds: int
    p_values: dict[str, float]
    medians: dict[str, tuple[float, float]]
    usage: Totals | None

    @property
    def holds(self) -> bool:
        """Whether all rows are equal and no test finds a difference."""
        return self.rows == self.equal_rows and min(self.p_values.values()) >= LEVEL

    @property
    def sentence(self) -> str:
        """What was found, in a sentence."""
        rows = "Rows were not compared: the answers are not complete probabilities."
        if self.rows:
            rows = f"{self.equal_rows:,} of {self.rows:,} rows are equal with orders kept."
        differ = [name for name, p_value in self.p_values.items() if p_value < LEVEL]
        found = f"populations differ in {', '.join(differ)}" if differ else "no test tells them"
        more = "" if differ else " from live ones"
        return f"{rows} In distribution {found}{more}."

    def as_object(self) -> dict[str, Any]:
        """Return the check as plain data, for JSON.

        Returns
        -------
        dict
            All attributes by name.
        """
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        usage = None if self.usage is None else self.usage._asdict()
        return {**found, "usage": usage, "holds": self.holds, "sentence": self.sentence}


def check_recording(
    recorded: RecordedMind,
    live: LiveMind,
    *,
    graph: Any = STUDY_GRAPH,
    live_runs: int = LIVE_RUNS,
    runs: int = RECORDED_RUNS,
    rounds: int = ROUNDS,
    rng: Any = 1,
    progress: Report | None = None,
    llm: LLMSettings | None = None,
) -> RecordingCheck:
    """Play a recording and its live mind, and compare them.

    Parameters
    ----------
    recorded : RecordedMind
        The recording, with the answers of one game.
    live : LiveMind
        The live mind.
    graph : str, path or graph, default "complete(n=24)"
        The network.
    live_runs : int, default 20
        Live populations.
    runs : int, default 1,000
        Recorded populations.
    rounds : int, default 15
        The most population rounds of each.
    rng : int or generator, default 1
        The seed.
    progress : callable, optional
        Called with what is being done, how much of it is done, and how much there is.
    llm : LLMSettings, optional
        How the live mind is called.

    Returns
    -------
    RecordingCheck
        What was found.

    Raises
    ------
    MindError
        If the file has no answers of a live mind, or of several games.
    """
    if len(recorded.recordings) != 1:
        raise MindError(
            "mind",
            recorded.label,
            f"it has the answers of {len(recorded.recordings)} games, not of one",
            "Give a file that mesa-llm-norms record wrote.",
        )
    (recording,) = recorded.recordings
    game, seed = recording.game, read_seed(rng)
    number = read_whole("live_runs", live_runs, limits.RUNS)
    goal = Goal("converged")
    report = progress or (lambda *_: None)

    def play(mind: Any, count: int, what: str, keep: bool = False, first: int = seed) -> Ensemble:
        return play_ensemble(
            Spec(
                graph=graph,
                names=game.pool,
                mind=mind,
                memory=game.memory,
                reward=game.reward,
                penalty=game.penalty,
                seed=first,
            ),
            runs=count,
            goal=goal,
            rounds=rounds,
            keep_interactions=keep,
            progress=lambda done, total: report(what, done, total),
            llm=llm if isinstance(mind, LiveMind) else None,
        )

    alive = play(live, number, "live populations", keep=True)
    assert alive.interactions is not None
    rows = equal = 0
    orders = number_of_orders(game)
    whole = all(len(by_order) == orders for by_order in recording.answers.values())
    if recording.exact and whole:
        kept = play(recorded.with_orders(game.pool), number, "the same with orders kept", keep=True)
        assert kept.interactions is not None
        rows = max(len(alive.interactions), len(kept.interactions))
        both = min(len(alive.interactions), len(kept.interactions))
        one, other = alive.interactions.head(both), kept.interactions.head(both)
        equal = int((one.to_numpy() == other.to_numpy()).all(axis=1).sum())
    # Another seed: with the same, both sets would share their draws and look too much alike.
    policy = play(recorded, runs, "recorded populations", first=(seed + 1) % 2**64)
    times = [it.runs["interactions"].to_numpy(float) for it in (alive, policy)]
    success = [_matched(it) for it in (alive, policy)]
    won = [
        it.runs["winner"].value_counts().reindex(list(game.pool), fill_value=0)
        for it in (alive, policy)
    ]
    found = (
        float(stats.ks_2samp(times[0], times[1]).pvalue),
        winners_test(won[0], won[1]),
        float(stats.ks_2samp(success[0], success[1]).pvalue),
    )
    medians = {
        "time": (float(np.median(times[0])), float(np.median(times[1]))),
        "success": (float(np.median(success[0])), float(np.median(success[1]))),
    }
    p_values = dict(zip(("time", "winner", "success"), holm(found), strict=True))
    return RecordingCheck(rows, equal, number, runs, rounds, p_values, medians, alive.usage)


def _matched(played: Ensemble) -> Any:
    """Return the share of interactions that matched, by run."""
    rounds = played.rounds
    size = rounds.groupby("run")["interactions"].diff().fillna(rounds["interactions"])
    matched = (rounds["success_rate"] * size).groupby(rounds["run"]).sum()
    return (matched / size.groupby(rounds["run"]).sum()).to_numpy()
