"""The tables of a report, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from mesa_llm_norms.reproduction.critical import summary_of_masses
from mesa_llm_norms.reproduction.offline import SIZE
from mesa_llm_norms.reproduction.people import AGREE, agreement
from mesa_llm_norms.reproduction.populations import sizes
from mesa_llm_norms.reproduction.protocol import Played
from mesa_llm_norms.reproduction.rows import Judged
from mesa_llm_norms.reproduction.words import estimate, number, p_text, published_text, safe
from mesa_llm_norms.statistics import Estimate


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
