"""De Nobili (2026): groups agree where names are accepted by those who know them.

Let a name that is heard be accepted with probability pi by those who know it and phi by those who
do not; both sides then keep only that name. Those who do not accept a new name add it. In the
classical game of two words the difference of their followers then grows as 3 pi - 2 phi - 1; with
phi = 0 that is the threshold of 1/3 of Baronchelli, Dall'Asta, Barrat and Loreto, Phys. Rev. E 76,
051102 (2007).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mesa_llm_norms.analysis.intervals import Estimate
from mesa_llm_norms.minds.registry import load_mind
from mesa_llm_norms.reproduction.papers.demarzo2024 import (
    AGENTS,
    APART,
    MINDS,
    ROUNDS,
    SMALL,
    TOGETHER,
    populations,
)
from mesa_llm_norms.reproduction.papers.paper import (
    BOOTSTRAP,
    RESAMPLES,
    WILSON,
    Finding,
    Panel,
    Paper,
    Result,
    Series,
    Setting,
)
from mesa_llm_norms.reproduction.rows import exactly, share

RUNS = 40


def margin(known: Any, unknown: Any) -> Any:
    """Return 3 pi - 2 phi - 1, positive where two equal camps are not stable."""
    return 3 * known - 2 * unknown - 1


class Acceptance(NamedTuple):
    """How often names that were heard were played next, per run: a row for each.

    ``counts`` has the columns accepted and heard by agents that knew the name, and the same by
    those that did not.
    """

    counts: NDArray[np.int64]

    def estimates(self) -> tuple[Estimate, Estimate, Estimate]:
        """Return pi, phi and the margin with a bootstrap over runs; nan where nothing was heard."""
        chance = np.random.default_rng(0)
        size = len(self.counts)
        drawn = chance.multinomial(size, np.full(size, 1 / size), RESAMPLES) @ self.counts
        every = np.vstack([self.counts.sum(axis=0), drawn])
        with np.errstate(invalid="ignore"):
            known, unknown = every[:, 0] / every[:, 1], every[:, 2] / every[:, 3]
        rates = known, unknown, margin(known, unknown)
        found = [
            Estimate(float(one[0]), *np.nanquantile(one[1:], [0.025, 0.975]).tolist())
            if np.isfinite(one[0])
            else exactly(math.nan)
            for one in rates
        ]
        return found[0], found[1], found[2]


def acceptance(rows: pd.DataFrame, memory: int) -> Acceptance:
    """Count what agents did with the names of partners who had played another name than they.

    Parameters
    ----------
    rows : pandas.DataFrame
        The interactions of some runs.
    memory : int
        How many interactions an agent remembers, the last one included.

    Returns
    -------
    Acceptance
        An agent knew a name if it was in its memory before, played by either side; it accepted the
        name if it played it next. Interactions that matched are left out.
    """
    counts = []
    columns = ["node_a", "node_b", "name_a", "name_b"]
    for _, run in rows.groupby("run", sort=True):
        remembered: dict[object, list[tuple[str, str]]] = {}
        found = np.zeros(4, np.int64)
        for a, b, name_a, name_b in run[columns].itertuples(index=False):
            for node, own, partner in ((a, name_a, name_b), (b, name_b, name_a)):
                past = remembered.setdefault(node, [])
                if past and past[-1][0] != past[-1][1]:
                    heard = past[-1][1]
                    place = 0 if any(heard in one for one in past[:-1]) else 2
                    found[place : place + 2] += (own == heard, 1)
                past.append((own, partner))
                del past[:-memory]
        counts.append(found)
    return Acceptance(np.array(counts))


def play(setting: Setting) -> Result:
    """Count the acceptance of every mind in populations, and see whether they agree."""
    findings, rows, points = [], [], []
    for number, mind in enumerate(setting.minds):
        setting.report(mind, number, len(setting.minds))
        memory = SMALL.get(mind, 5)
        played = populations(load_mind(mind), memory, setting, number, RUNS, keep=True)
        assert played.interactions is not None
        agreed = played.runs["agreed"]
        known, unknown, line = acceptance(played.interactions, memory).estimates()
        runs = len(agreed)
        said: tuple[str | None, tuple[float, float] | None] = (None, None)
        if line.value > 0:
            said = "a group agrees where that is positive", TOGETHER
        elif line.value < 0:
            said = "a group does not agree where that is negative", APART
        findings += [
            Finding(mind, "pi: a known name is accepted", known, BOOTSTRAP, runs=runs),
            Finding(mind, "phi: an unknown name is accepted", unknown, BOOTSTRAP, runs=runs),
            Finding(mind, "3 pi - 2 phi - 1", line, BOOTSTRAP, runs=runs),
            Finding(
                mind,
                f"populations of {AGENTS} that agree in {ROUNDS} rounds",
                share(int(agreed.sum()), runs),
                WILSON,
                *said,
                runs,
            ),
        ]
        rows.append(
            {
                "mind": mind,
                "pi": known.value,
                "phi": unknown.value,
                "margin": line.value,
                "agreed": agreed.mean(),
                "runs": runs,
            }
        )
        points.append(Series(mind, [unknown.value], [known.value], line=False))
    setting.report("", len(setting.minds), len(setting.minds))
    threshold = Series("3 pi - 2 phi - 1 = 0", [0.0, 1.0], [1 / 3, 1.0])
    panel = Panel(
        "Groups are said to agree above the line",
        "phi: of unknown names",
        "pi: of known names",
        (*points, threshold),
        shares=True,
    )
    return Result(tuple(findings), (panel,), NOTES, pd.DataFrame(rows))


NOTES = (
    "The paper itself was not at hand. Its line is; that pi and phi are the chances to accept a "
    "name that one knows and one that one does not is a reading under which the line comes out, "
    "and the paper may define them otherwise. Agents here hold no list of names, either: a "
    "name is known if it is in an agent's memory, and accepted if the agent, having met it in a "
    "miss, plays it next. And here one side accepts without the other; the line is that of a game "
    "in which both then keep only the name. Contrary rows speak of the line read in this way.",
    "A memory of one interaction holds nothing before the last one, so that no name is known.",
)


PAPER = Paper(
    "denobili2026",
    "De Nobili (2026), arXiv 2608.02178",
    "acceptance rates pi and phi of every recorded mind, and the line 3 pi - 2 phi - 1 > 0",
    "20 s",
    play,
    minds=MINDS,
)
