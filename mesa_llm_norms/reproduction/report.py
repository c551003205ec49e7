"""The report of a reproduction: what does not match first, then every row, in Markdown and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from mesa_llm_norms.plots import save_figure
from mesa_llm_norms.reproduction import figures
from mesa_llm_norms.reproduction.comparison import summary_of_masses
from mesa_llm_norms.reproduction.people import AGREE, agreement, tipping
from mesa_llm_norms.reproduction.protocol import SIZE, Played
from mesa_llm_norms.reproduction.published import NETWORKS, STUDY, TIPPING
from mesa_llm_norms.reproduction.recorded import Recorded
from mesa_llm_norms.reproduction.rows import LEVEL, Judged
from mesa_llm_norms.statistics import Estimate

_TESTS = f"""Every row has a test of its own, named in the last column. The p-values of the rows of
one table are corrected together after Holm, so that the chance that any of them is said to differ
where none does stays below {LEVEL:g}: *within sampling error* means a corrected p of at least
{LEVEL:g}. With few recorded runs only large differences show. Intervals are 95%, of each number on
its own.
"""
_OPENING = f"""The study is {STUDY}.
*Recorded* is what its published recordings show, *published* what is known from elsewhere (~ where
it is approximate), *here* what is played now.
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
        tables = {
            "critical_mass": summary_of_masses(self.played),
            "large": sizes(self.played),
            "agreement": agreement(self.played),
            "tipping": tipping(self.played),
        }
        for name, table in tables.items():
            if len(table):
                found[name] = json.loads(table.to_json(orient="records"))
        return found


def write_report(found: Reproduction, folder: Path) -> None:
    """Write ``reproduction.md``, ``reproduction.json`` and the figures as PNG and SVG."""
    (folder / "reproduction.md").write_text(page(found), encoding="utf-8")
    text = json.dumps(found.as_object(), ensure_ascii=False, indent=1, allow_nan=False)
    (folder / "reproduction.json").write_text(text + "\n", encoding="utf-8")
    if found.people:
        figure = figures.agreement_figure(agreement(found.played), tipping(found.played))
        save_figure(figure, folder / "reproduction-people")
        return
    success = figures.success_figure(found.played, found.recorded, found.against)
    save_figure(success, folder / "reproduction-success")
    save_figure(figures.winners_figure(found.judged), folder / "reproduction-winners")
    save_figure(figures.critical_figure(found.played), folder / "reproduction-critical")


def page(found: Reproduction) -> str:
    """Return the report in Markdown."""
    title = "Experiments with people" if found.people else "The study, derived again"
    lines = [f"# {title}", "", f"Made by `{found.command}`.", "", "## What does not match", ""]
    lines += mismatches(found.judged)
    lines += ["", "## How to read this", "", _TESTS, _PEOPLE if found.people else _OPENING]
    for label, model in found.against.items():
        if label != model:
            lines.append(f"{_safe(label)} is held against the recordings of {model}.\n")
    if found.people:
        lines += _networks(found.played)
    for part in dict.fromkeys(one.row.part for one in found.judged):
        lines += [f"## {part}", ""]
        lines += _table_of_rows([one for one in found.judged if one.row.part == part])
        lines += ["", *_figure_of(part)]
    if found.people:
        lines += ["![Groups that agree, and conventions overturned](reproduction-people.png)", ""]
    else:
        lines += _beyond(found.played)
    limits = _LIMITS_PEOPLE if found.people else _LIMITS
    return "\n".join([*lines, limits.strip(), ""])


def mismatches(judged: Sequence[Judged]) -> list[str]:
    """Return a line for every row that differs, and for those that only look as if they did."""
    wrong = [one for one in judged if not one.within]
    near = [one for one in judged if one.within and one.row.p_value < LEVEL]
    lines = [f"- {_sentence(one)}" for one in wrong] or ["Every row is within sampling error."]
    lines += ["", f"{len(wrong)} of {len(judged)} rows."]
    if near:
        lines[-1] += (
            f" {len(near)} more have a p below {LEVEL:g} before it is corrected, where about "
            f"{LEVEL * len(judged):.0f} would by chance alone:"
        )
        lines += ["", *(f"- {_sentence(one)}" for one in near)]
    return lines


def sizes(played: Iterable[Played]) -> pd.DataFrame:
    """Return one row per mind and pool of the large populations: agree, low, high, interactions."""
    found = []
    for one in played:
        if one.experiment.part == "size":
            done = one.runs[one.runs["converged"]]
            rounds = done["interactions"].median() / one.experiment.agents
            leader = str(one.runs["winner"].mode().iloc[0])
            found.append(
                {
                    "mind": one.mind,
                    "names": len(one.experiment.names),
                    "runs": len(one.runs),
                    "agree": len(done) / len(one.runs),
                    "rounds": None if math.isnan(rounds) else float(rounds),
                    "leader": leader,
                    "leader_share": float((one.runs["winner"] == leader).mean()),
                }
            )
    return pd.DataFrame(found)


def number(value: float) -> str:
    """Return a share with three digits, or a time without any."""
    if not math.isfinite(value):
        return "none"
    return f"{value:.3f}" if abs(value) <= 1 else f"{value:,.0f}"


def estimate(known: Estimate | None) -> str:
    """Return a number with its interval, if it has one."""
    if known is None:
        return ""
    if known.low == known.high:
        return number(known.value)
    return f"{number(known.value)} ({number(known.low)} to {number(known.high)})"


def p_text(value: float) -> str:
    """Return a p-value with two digits."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def _sentence(one: Judged) -> str:
    row = one.row
    before = row.recorded if row.recorded is not None else row.published
    kind = "recorded" if row.recorded is not None else "published"
    assert before is not None
    return (
        f"**{_safe(row.mind)}**, {_safe(row.what)}: {number(row.here.value)} here, "
        f"{number(before.value)} {kind} (p {p_text(row.p_value)}, corrected "
        f"{p_text(one.corrected)}; {row.test}){'. ' + row.note if row.note else ''}"
    )


def _table_of_rows(judged: Sequence[Judged]) -> list[str]:
    header = ("mind", "", "published", "recorded", "n", "here", "n", "p", "corrected", "", "test")
    return _table(
        header,
        [
            (
                one.row.mind,
                one.row.what,
                _published(one),
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


def _published(one: Judged) -> str:
    known = one.row.published
    return "" if known is None else f"{'~' if known.approximate else ''}{number(known.value)}"


def _figure_of(part: str) -> list[str]:
    shown = {
        "Conventions emerge": ("Success rate by round, ten names", "success"),
        "Who wins: collective bias": ("Who wins, recorded and here", "winners"),
        "Critical mass": ("Runs that flip by committed share", "critical"),
    }
    if part not in shown:
        return []
    label, name = shown[part]
    return [f"![{label}](reproduction-{name}.png)", ""]


def _beyond(played: Sequence[Played]) -> list[str]:
    """Return the results that nothing recorded can be held against."""
    masses, large = summary_of_masses(played), sizes(played)
    lines: list[str] = []
    if len(masses):
        lines += [
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
                        row["tried"],
                        _whole(row["here"]),
                        f"{_whole(row['low'])} to {_whole(row['high'])}",
                        "" if pd.isna(row["here"]) else number(row["here"] / row["agents"]),
                    )
                    for row in masses.to_dict(orient="records")
                ],
            ),
            "",
        ]
    if len(large):
        lines += [
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
                    for row in large.to_dict(orient="records")
                ],
            ),
            "",
        ]
    return lines


def _networks(played: Sequence[Played]) -> list[str]:
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


def _whole(value: float) -> str:
    return "more" if pd.isna(value) else f"{value:.0f}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    every = (header, ["---"] * len(header), *rows)
    return ["| " + " | ".join(_safe(cell) for cell in row) + " |" for row in every]


def _safe(text: str) -> str:
    """Keep a name from breaking the table."""
    return str(text).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
