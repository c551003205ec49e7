"""Every mind beside everything it can be held to: how far it is off, and what no mind gets right.

``scorecard`` plays the study, the experiments with people and the papers of recorded minds, by the
code that each has, and lists every comparison as a ``Line``. Nothing is tested anew: whether a line
is right is the verdict of its row or finding. Added are the distance to what was observed, with an
interval, and the question that a table by mind does not answer: which results come out with none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from mesa_llm_norms.analysis.intervals import Estimate
from mesa_llm_norms.core.files import write_csv
from mesa_llm_norms.core.formatting import plural
from mesa_llm_norms.minds.registry import STUDY_MINDS
from mesa_llm_norms.reproduction import people
from mesa_llm_norms.reproduction import rows as test
from mesa_llm_norms.reproduction.papers import (
    demarzo2024,
    flint2025,
    mehdizadeh2026,
)
from mesa_llm_norms.reproduction.papers.catalog import reproduce_paper
from mesa_llm_norms.reproduction.papers.paper import AGREES, UNDECIDED, Finding, Paper
from mesa_llm_norms.reproduction.protocol import Report
from mesa_llm_norms.reproduction.results import reproduce
from mesa_llm_norms.reproduction.rows import Judged

RIGHT, OFF, OPEN = "right", "off", "open"

FEW = 0.02
"""A p-value among so few populations that it is the least there can be, or nearly."""

PAPERS = (demarzo2024.PAPER, flint2025.PAPER, mehdizadeh2026.PAPER)
"""The papers that recorded minds play offline, beside the study and people.

Not ``denobili2026``: its two rates are our reading of it, on which no verdict on minds can rest.
"""


@dataclass(frozen=True)
class Line:
    """One comparison.

    Attributes
    ----------
    experiment, what
        What was played, and the result of it.
    mind
        Who played.
    observed
        What was observed; missing (nan) where a paper says it in words.
    here
        The same of the mind, with its 95% interval.
    distance
        How far apart they are, with a 95% interval: the ratio of times, the difference of anything
        else; for words, how far the number is from what they allow.
    ratio
        Whether the distance is a ratio, and 1 is none.
    verdict
        ``RIGHT``, ``OFF``, or ``OPEN`` where the data decide nothing.
    """

    experiment: str
    what: str
    mind: str
    observed: float
    here: Estimate
    distance: Estimate
    ratio: bool
    verdict: str

    def as_object(self) -> dict[str, Any]:
        """Return it as a row of a table."""
        return {
            "experiment": self.experiment,
            "what": self.what,
            "mind": self.mind,
            "observed": self.observed,
            **{f"here_{name}": it for name, it in self.here._asdict().items()},
            **{f"distance_{name}": it for name, it in self.distance._asdict().items()},
            "distance_is": "ratio" if self.ratio else "difference",
            "verdict": self.verdict,
        }


class Scorecard(NamedTuple):
    """All comparisons.

    Attributes
    ----------
    command
        The command that makes it again.
    minds
        Who played.
    lines
        The comparisons, by experiment.
    """

    command: str
    minds: tuple[str, ...]
    lines: tuple[Line, ...]

    @property
    def experiments(self) -> tuple[str, ...]:
        """What was played, in order."""
        return tuple(dict.fromkeys(line.experiment for line in self.lines))

    def of(self, experiment: str, what: str | None = None) -> list[Line]:
        """Return the lines of an experiment, or of one result of it."""
        return [
            line
            for line in self.lines
            if line.experiment == experiment and what in (None, line.what)
        ]

    def by_none(self) -> list[list[Line]]:
        """Return the results that no mind gets right, of those compared for two minds or more.

        At least one is off; the others are off or undecided.
        """
        results = dict.fromkeys((line.experiment, line.what) for line in self.lines)
        found = [self.of(*result) for result in results]
        return [
            lines
            for lines in found
            if len({it.mind for it in lines}) > 1
            and RIGHT not in (verdicts := {it.verdict for it in lines})
            and OFF in verdicts
        ]

    @property
    def sentence(self) -> str:
        """What it says, in a sentence."""
        off = sum(line.verdict == OFF for line in self.lines)
        still = sum(line.verdict == OPEN for line in self.lines)
        missed = self.by_none()
        names = dict.fromkeys(lines[0].experiment for lines in missed)
        counted = (
            f"Of {plural(len(self.lines), 'comparison')} of {plural(len(self.minds), 'mind')} with "
            f"what was observed {off} {'is' if off == 1 else 'are'} off and {still} undecided."
        )
        if len(self.minds) < 2:
            return counted
        if not missed:
            return (
                f"{counted} Every result that was compared for two minds or more comes out with "
                "one of them, or is undecided."
            )
        where = "; ".join(names)
        return f"{counted} No mind gets {len(missed)} of the results right ({where})."

    def table(self) -> pd.DataFrame:
        """Return the lines as a table."""
        return pd.DataFrame([line.as_object() for line in self.lines])

    def as_object(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "command": self.command,
            "minds": list(self.minds),
            "sentence": self.sentence,
            "by_none": [[lines[0].experiment, lines[0].what] for lines in self.by_none()],
            "lines": [line.as_object() for line in self.lines],
        }


def scorecard(
    minds: Sequence[str] | None = None,
    quick: bool = False,
    rng: int = 1,
    workers: int = 1,
    progress: Report | None = None,
) -> Scorecard:
    """Play everything that recorded minds can be held to.

    Parameters
    ----------
    minds : sequence of str, optional
        Minds of the study. Default: all four.
    quick : bool, default False
        Play a tenth of the runs, for a first look.
    rng : int, default 1
        The seed.
    workers : int, default 1
        Processes to play in; their number does not change the results.
    progress : callable, optional
        Called with what is played, how much is done, and how much there is in total.

    Returns
    -------
    Scorecard
        A line for each comparison.

    Raises
    ------
    MindError
        For a mind that the study did not record.
    """
    labels = tuple(dict.fromkeys(STUDY_MINDS if minds is None else minds))
    report = progress or (lambda *_: None)
    parts: list[tuple[str, Callable[[Report], Iterable[Line]]]] = [
        (
            "people" if with_people else "the study",
            partial(_reproduced, labels, with_people, quick, rng, workers),
        )
        for with_people in (False, True)
    ]
    for paper in PAPERS:
        parts.append((paper.name, partial(_played, paper, labels, quick, rng, workers)))
    lines: list[Line] = []
    for done, (name, play_part) in enumerate(parts):

        def step(what: str, part: int, of: int, done: int = done, name: str = name) -> None:
            within = 100 * done + (100 * part // of if of else 0)
            report(f"{name}: {what}" if what else name, within, 100 * len(parts))

        step("", 0, 1)
        lines += [line for line in play_part(step) if line.mind in labels]
    named = () if labels == STUDY_MINDS else labels
    runs = "--scorecard --quick" if quick else "--scorecard"
    return Scorecard(test.command_line(False, named, runs, rng), labels, tuple(lines))


def _reproduced(
    labels: Sequence[str], with_people: bool, quick: bool, rng: int, workers: int, step: Report
) -> list[Line]:
    found = reproduce(labels, with_people, quick, None, rng, workers, step)
    return [_line(one) for one in found.judged]


def _played(
    paper: Paper, labels: Sequence[str], quick: bool, rng: int, workers: int, step: Report
) -> Iterator[Line]:
    result = reproduce_paper(paper.name, labels, quick, None, rng, workers, step)
    return _findings(paper.source, result.findings)


def _line(one: Judged) -> Line:
    """Return a row of the study or of people as a line."""
    row = one.row
    observed = row.recorded
    if observed is None:
        value = row.published.value if row.published is not None else math.nan
        observed = Estimate(value, value, value)
    ratio = row.test == test.TIMES
    apart = _ratio(row.here, observed) if ratio else _difference(row.here, observed)
    verdict = OFF if not one.within else OPEN if _farthest(one) else RIGHT
    return Line(row.part, row.title, row.mind, observed.value, row.here, apart, ratio, verdict)


def _farthest(one: Judged) -> bool:
    """Return whether people are farther off than every population, of which there are too few."""
    row = one.row
    simulated = row.test in (people.SURVIVAL, people.DISTANCE)
    return simulated and row.p_value < FEW


def _findings(source: str, findings: Iterable[Finding]) -> Iterator[Line]:
    """Yield a line for each statement of a paper that allows something."""
    for one in findings:
        if one.allowed is None:
            continue
        low, high = one.allowed

        def off(value: float, low: float = low, high: float = high) -> float:
            return value - low if value < low else max(0.0, value - high)

        worded = isinstance(one.published, str) or one.published is None
        yield Line(
            source,
            f"{one.what}: {one.published}" if worded else one.what,
            one.mind,
            math.nan if worded else float(one.published or 0),
            one.here,
            Estimate(*map(off, one.here)),
            False,
            {AGREES: RIGHT, UNDECIDED: OPEN}.get(one.verdict, OFF),
        )


def _difference(here: Estimate, there: Estimate) -> Estimate:
    """Return how much larger one number is, its interval made of both (Newcombe's hybrid)."""
    value = here.value - there.value
    below = math.hypot(here.value - here.low, there.high - there.value)
    above = math.hypot(here.high - here.value, there.value - there.low)
    return Estimate(value, value - below, value + above)


def _ratio(here: Estimate, there: Estimate) -> Estimate:
    """Return the same of logarithms, as a ratio."""
    logs = [Estimate(*(math.log(max(it, 1e-9)) for it in one)) for one in (here, there)]
    return Estimate(*map(math.exp, _difference(*logs)))


def write_scorecard(found: Scorecard, folder: Path) -> None:
    """Write the lines as ``scorecard.csv`` into a folder."""
    write_csv(found.table(), folder / "scorecard.csv")
