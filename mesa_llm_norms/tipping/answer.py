"""What was found: the critical mass of every condition, and the numbers behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from mesa_llm_norms.statistics import ConvergenceTime, Estimate, convergence_time
from mesa_llm_norms.statistics.shares import exact_interval
from mesa_llm_norms.tipping.dose import Dose, DoseResponse, fit_dose_response, merge
from mesa_llm_norms.tipping.legs import TwoLegs
from mesa_llm_norms.tipping.question import Question

if TYPE_CHECKING:
    from mesa_llm_norms.journal import Totals

RESAMPLES = 500
"""Of the bootstrap behind the median time to a flip at each count."""


class Told(NamedTuple):
    """A share of runs with its exact interval, and how many of how many it is."""

    estimate: Estimate
    successes: int
    trials: int


@dataclass(frozen=True)
class TippingPoint:
    """The answer to one question.

    ``runs`` has a row per run: committed, run, flipped, interactions, rounds, winner, share, lasts.
    ``critical_share`` is ``curve.critical_mass`` over all agents, committed ones among them.
    """

    question: Question
    runs: pd.DataFrame
    curve: DoseResponse

    @property
    def doses(self) -> list[Dose]:
        """How many runs of every count flipped."""
        pairs = zip(self.runs["committed"].tolist(), self.runs["flipped"].tolist(), strict=True)
        return merge([Dose(committed, int(flipped), 1) for committed, flipped in pairs])

    @property
    def critical_share(self) -> Estimate:
        """The share of all agents at which half of the runs flip."""
        agents = self.question.agents
        return Estimate(*(bound / agents for bound in self.curve.critical_mass))

    @property
    def stability(self) -> Told:
        """Of the runs with nobody committed, the share in which the convention is there at the end.

        That is: its name was played most in the last three rounds.
        """
        alone = self.runs[self.runs["committed"] == 0]
        stays = alone["winner"] == self.question.direction.incumbent
        return tell(
            int((stays & ~alone["flipped"].astype(bool)).sum()), len(alone), self.curve.level
        )

    @property
    def lasting(self) -> Told:
        """Of all runs that flipped, the share in which it lasted after the committed had left."""
        known = self.runs["lasts"].dropna()
        return tell(int(known.astype(bool).sum()), len(known), self.curve.level)

    def time(self, committed: int) -> ConvergenceTime:
        """Return how long a flip takes with so many committed, runs without one censored."""
        runs = self.runs[self.runs["committed"] == committed]
        return convergence_time(
            runs, event="flipped", unit="interactions", level=self.curve.level, resamples=RESAMPLES
        )

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per count: flips, time to flip in population rounds, and whether flips last."""
        rows = []
        for dose in self.doses:
            low, high = exact_interval(dose.flipped, dose.runs, self.curve.level)
            time = self.time(dose.committed).median
            here = self.runs[self.runs["committed"] == dose.committed]["lasts"].dropna()
            lasts = tell(int(here.astype(bool).sum()), len(here), self.curve.level).estimate
            agents = self.question.agents
            rows.append(
                {
                    "committed": dose.committed,
                    "committed_share": dose.committed / agents,
                    "runs": dose.runs,
                    "flipped": dose.flipped,
                    "flip_share": dose.share,
                    "flip_low": low,
                    "flip_high": high,
                    "rounds": time.value / agents,
                    "rounds_low": time.low / agents,
                    "rounds_high": time.high / agents,
                    "left": len(here),
                    "lasts": lasts.value,
                    "lasts_low": lasts.low,
                    "lasts_high": lasts.high,
                }
            )
        return pd.DataFrame(rows)

    @property
    def row(self) -> dict[str, Any]:
        """The answer as a row of a table."""
        found: dict[str, Any] = dict(self.question.columns)
        numbers = {
            "critical": self.curve.critical_mass,
            "critical_share": self.critical_share,
            "stays": self.stability.estimate,
            "lasts": self.lasting.estimate,
        }
        for name, estimate in numbers.items():
            found |= {
                name: estimate.value,
                f"{name}_low": estimate.low,
                f"{name}_high": estimate.high,
            }
        below, above = self.curve.bracket
        return found | {
            "surely_below": below,
            "surely_above": above,
            "misfit": self.curve.misfit,
            "heterogeneity": self.curve.heterogeneity,
            "runs": len(self.runs),
        }


@dataclass(frozen=True)
class Tipping:
    """The answers to all questions, in the order in which they were asked.

    ``usage`` is what the calls to live minds came to, None where there was none to call.
    """

    points: tuple[TippingPoint, ...]
    seed: int
    usage: Totals | None = None

    @property
    def table(self) -> pd.DataFrame:
        """One row per condition; see ``TippingPoint.row``."""
        return pd.DataFrame([point.row for point in self.points])

    @property
    def doses(self) -> pd.DataFrame:
        """One row per condition and count; see ``TippingPoint.table``."""
        return self._joined([point.table for point in self.points])

    @property
    def runs(self) -> pd.DataFrame:
        """One row per run."""
        return self._joined([point.runs for point in self.points])

    def _joined(self, tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
        labelled = []
        for point, table in zip(self.points, tables, strict=True):
            columns = pd.DataFrame([point.question.columns] * len(table), index=table.index)
            labelled.append(pd.concat([columns, table], axis=1))
        return pd.concat(labelled, ignore_index=True)


def conclude(
    question: Question, played: Sequence[tuple[int, TwoLegs]], level: float
) -> TippingPoint:
    """Return the answer that runs, each with its number of committed agents, give to a question."""
    table = pd.DataFrame(
        [{"committed": committed, **one._asdict()} for committed, one in played]
    ).sort_values(["committed", "run"], ignore_index=True)
    table["lasts"] = table["lasts"].astype("boolean")
    doses = [Dose(committed, int(one.flipped), 1) for committed, one in played]
    return TippingPoint(question, table, fit_dose_response(doses, level))


def tell(successes: int, trials: int, level: float) -> Told:
    """Return a share of runs with its exact interval; nan of none."""
    value = successes / trials if trials else math.nan
    return Told(Estimate(value, *exact_interval(successes, trials, level)), successes, trials)
