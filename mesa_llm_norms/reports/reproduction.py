"""The tables of a report, in Markdown.

The report of a reproduction: what does not match first, then every row, in Markdown and JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from mesa_llm_norms.analysis.intervals import Estimate
from mesa_llm_norms.plots import comparisons
from mesa_llm_norms.plots.style import save_figure
from mesa_llm_norms.reproduction.people import AGREE, agreement, tipping
from mesa_llm_norms.reproduction.protocol import CLASSICAL, CLASSICAL_RUNS, SIZE, Played
from mesa_llm_norms.reproduction.recorded import CLASSICAL_GAME, NETWORKS, STUDY, TIPPING, Recorded
from mesa_llm_norms.reproduction.results import (
    CRITICAL,
    EMERGENCE,
    WHO_WINS,
    sizes,
    summary_of_masses,
)
from mesa_llm_norms.reproduction.rows import (
    LEVEL,
    Judged,
    estimate,
    mismatches,
    number,
    p_text,
    published_text,
    safe,
)


def results(judged: Sequence[Judged]) -> list[str]:
    """Return a row for each result."""
    header = ("mind", "", "published", "recorded", "n", "here", "n", "p", "corrected", "", "test")
    return _table(
        header,
        [
            (
                one.row.mind,
                one.row.what,
                published_text(one.row.published),
                estimate(one.row.recorded),
                f"{one.row.recorded_size:,}" if one.row.recorded is not None else "",
                estimate(one.row.here),
                f"{one.row.here_size:,}" if one.row.here_size else "exact",
                p_text(one.row.p_value),
                p_text(one.corrected),
                one.verdict if one.within else f"**{one.verdict}**",
                one.row.test,
            )
            for one in judged
        ],
    )


def by_model(played: Sequence[Played]) -> list[str]:
    """Return the critical mass of each mind and direction; not where one count alone was tried."""
    masses = summary_of_masses(played)
    graded = [row for row in masses.to_dict(orient="records") if len(row["tried"]) > 1]
    if not graded:
        return []
    return [
        "## Beyond the recordings: critical mass by model",
        "",
        "The smallest number of committed agents, of those tried, with which at least half the",
        "runs flip in 30 rounds: 95% of all names played in the last three rounds are theirs.",
        "",
        *_table(
            ("mind", "convention", "agents", "tried", "committed", "95% interval", "share"),
            [
                (
                    row["mind"],
                    row["direction"],
                    str(row["agents"]),
                    ", ".join(map(str, row["tried"])),
                    _count(row["here"], row["tried"]),
                    _interval(row["low"], row["high"], row["tried"]),
                    "" if pd.isna(row["here"]) else number(row["here"] / row["agents"]),
                )
                for row in graded
            ],
        ),
        "",
    ]


def larger(played: Sequence[Played]) -> list[str]:
    """Return what populations larger than any recorded come to."""
    found = sizes(played)
    if found.empty:
        return []
    return [
        f"## Beyond the recordings: {SIZE} agents",
        "",
        "Runs in which 95% of the interactions of three rounds in a row match, within 300",
        "rounds; the rounds they take (median); and the name that most runs end on.",
        "",
        *_table(
            ("mind", "names", "runs", "agree", "rounds", "leader", "its share"),
            [
                (
                    row["mind"],
                    str(row["names"]),
                    str(row["runs"]),
                    number(row["agree"]),
                    "" if pd.isna(row["rounds"]) else f"{row['rounds']:.0f}",
                    row["leader"],
                    number(row["leader_share"]),
                )
                for row in found.to_dict(orient="records")
            ],
        ),
        "",
    ]


def networks(played: Sequence[Played]) -> list[str]:
    """Return which networks agree, with people and with minds."""
    return [
        "## Which networks agree",
        "",
        f"The share of groups in which {AGREE:.0%} of the choices of the last three rounds are one",
        "name, and the mean share of the leading name. What people did is published in words, so",
        "there is nothing to test: the two stand side by side.",
        "",
        *_table(
            ("network", "agents", "rounds", "people", "mind", "agree", "leading name", "runs"),
            [
                (
                    row["network"],
                    str(row["agents"]),
                    str(row["rounds"]),
                    row["people"],
                    row["mind"],
                    estimate(Estimate(row["agree"], row["low"], row["high"])),
                    number(row["largest"]),
                    f"{row['runs']:,}",
                )
                for row in agreement(played).to_dict(orient="records")
            ],
        ),
        "",
    ]


def _count(value: float | None, tried: Sequence[int]) -> str:
    return f"more than {tried[-1]}" if pd.isna(value) else f"{value:.0f}"


def _interval(low: float | None, high: float | None, tried: Sequence[int]) -> str:
    if pd.isna(low):
        return _count(low, tried)
    return f"{_count(low, tried)} to {_count(high, tried)}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    every = (header, ["---"] * len(header), *rows)
    return ["| " + " | ".join(safe(cell) for cell in row) + " |" for row in every]


_TESTS = f"""Every row has a test of its own, named in the last column. The p-values of the rows of
one table are corrected together after Holm, so that the chance that any of them is said to differ
where none does stays below {LEVEL:g}: *within sampling error* means a corrected p of at least
{LEVEL:g}. With few recorded runs only large differences show. Intervals are 95%, of each number on
its own.
"""


_OPENING = f"""The study is {STUDY}.
*Recorded* is what its published recordings show, *published* what is known from elsewhere (~ where
it is approximate, ± how far off it may be), *here* what is played now.
"""


_PEOPLE = f"""Networks: {NETWORKS}.
Tipping points: {TIPPING}.
Minds stand in the people's places: everybody is paired each round as far as neighbours are free,
memories hold five interactions, and names come from a pool of ten (networks) or are two (tipping
points). A convention is overturned if most of the uncommitted play the new name in the last of 30
rounds.
"""


_LIMITS = """
## What this can and cannot say

A recorded mind was fitted to the decisions of the very populations it is compared with here, but
to single decisions only: that populations of it take as long and end the same way is what is put to
the test. No recording with committed agents, and none with 200, went into the fits: critical masses
and large populations are predictions. The order in which names were shown was not recorded. Single
decisions were asked apart from the populations, and in places the two recordings disagree; a mind
follows the populations.

The published range of critical shares (~) is quoted approximately, and how many agents and rounds
stand behind it is not known here. Flips within 30 rounds of 24 agents, and of 48 for the smallest,
are this project's reading of it.
"""


_LIMITS_CLASSICAL = f"""
The shares with ± are {CLASSICAL_GAME} at 3,000 runs.
What the rules give exactly is worked out by this project. It takes the {CLASSICAL_RUNS:,} runs
of the whole protocol to tell the exact .610 from the .600 that would still do. One round less, 29,
would meet all four.
"""


_LIMITS_PEOPLE = """
## What this can and cannot say

The designs are the people's; the memory of five, the pools, 30 rounds with committed agents and
what counts as agreement are this project's. People could type any name, were paid, and had seen a
convention grow before it was attacked; recorded minds begin with five memories of it. All five
groups of people on either side of the tipping point ended alike, which leaves room: of groups that
overturn a convention half the time, five in five do in 1 case of 32.
"""


class Reproduction(NamedTuple):
    """What was played, and how it compares."""

    command: str
    judged: list[Judged]
    played: list[Played]
    recorded: Recorded
    against: dict[str, str]
    people: bool

    def as_object(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        found: dict[str, Any] = {
            "command": self.command,
            "level": LEVEL,
            "correction": "Holm, within each part",
            "rows": [one.as_object() for one in self.judged],
        }
        summaries = {
            "critical_mass": summary_of_masses(self.played),
            "large": sizes(self.played),
            "agreement": agreement(self.played),
            "tipping": tipping(self.played),
        }
        for name, table in summaries.items():
            if len(table):
                found[name] = json.loads(table.to_json(orient="records"))
        return found


def write_report(found: Reproduction, folder: Path) -> None:
    """Write ``reproduction.md``, ``reproduction.json`` and the figures as PNG and SVG."""
    (folder / "reproduction.md").write_text(page(found), encoding="utf-8")
    text = json.dumps(found.as_object(), ensure_ascii=False, indent=1, allow_nan=False)
    (folder / "reproduction.json").write_text(text + "\n", encoding="utf-8")
    if found.people:
        figure = comparisons.agreement_figure(agreement(found.played), tipping(found.played))
        save_figure(figure, folder / "reproduction-people")
        return
    success = comparisons.success_figure(found.played, found.recorded, found.against)
    save_figure(success, folder / "reproduction-success")
    save_figure(comparisons.winners_figure(found.judged), folder / "reproduction-winners")
    save_figure(comparisons.critical_figure(found.played), folder / "reproduction-critical")


def page(found: Reproduction) -> str:
    """Return the report in Markdown."""
    title = "Experiments with people" if found.people else "The study, derived again"
    lines = [f"# {title}", "", f"Made by `{found.command}`.", "", "## What does not match", ""]
    lines += mismatches(found.judged)
    lines += ["", "## How to read this", "", _TESTS, _PEOPLE if found.people else _OPENING]
    for label, model in found.against.items():
        if label != model:
            lines.append(f"{safe(label)} is held against the recordings of {model}.\n")
    if found.people:
        lines += networks(found.played)
    for part in dict.fromkeys(one.row.part for one in found.judged):
        lines += [f"## {part}", ""]
        lines += results([one for one in found.judged if one.row.part == part])
        lines += ["", *_figure_of(part)]
    if found.people:
        lines += ["![Groups that agree, and conventions overturned](reproduction-people.png)", ""]
    else:
        lines += by_model(found.played) + larger(found.played)
    limits = _LIMITS_PEOPLE if found.people else _LIMITS
    if any(one.row.mind == CLASSICAL for one in found.judged):
        limits += _LIMITS_CLASSICAL
    return "\n".join([*lines, limits.strip(), ""])


def _figure_of(part: str) -> list[str]:
    shown = {
        EMERGENCE: ("Success rate by round, ten names", "success"),
        WHO_WINS: ("Who wins, recorded and here", "winners"),
        CRITICAL: ("Runs that flip by committed share", "critical"),
    }
    if part not in shown:
        return []
    label, name = shown[part]
    return [f"![{label}](reproduction-{name}.png)", ""]
