"""Barrie and Törnberg (2025), and the reply: does a model know the game, and do words matter?

The critics hold that models recognize the game and recall its outcome (arXiv 2505.23796); the
study's authors reply that this cannot explain what populations do (arXiv 2506.18600). Neither is
settled here. What can be measured of one model is whether it recognizes the game, and whether its
first choices hang on the wording, the order of names, or on names that it may have read about.
"""

from __future__ import annotations

from contextlib import closing

import pandas as pd

from mesa_llm_norms.analysis.intervals import share_difference
from mesa_llm_norms.core.game import Game
from mesa_llm_norms.experiments.audits.individual import Interviewer
from mesa_llm_norms.experiments.audits.probes import KNOWN, Condition, Probes, probe
from mesa_llm_norms.llm.client import SharedBudget
from mesa_llm_norms.llm.provider import LiveMind
from mesa_llm_norms.minds.registry import load_mind
from mesa_llm_norms.reproduction.papers.paper import (
    Finding,
    Panel,
    Paper,
    Result,
    Series,
    Setting,
)
from mesa_llm_norms.reproduction.protocol import TWO

ASKS, MEMORY, LEVEL = 40, 5, 0.05

CHANCE = 0.25
"""The share of questions about what is known of the game that guesses get right."""


def play(setting: Setting) -> Result:
    """Ask every model the questions of an audit's probes."""
    budget = SharedBudget(setting.llm, asks=True)
    findings, panels, tables = [], [], []
    for number, mind in enumerate(setting.minds):
        live = load_mind(mind)
        assert isinstance(live, LiveMind)
        setting.report(live.label, number, len(setting.minds))
        game = Game(pool=TWO, memory=MEMORY)
        what = {"paper": PAPER.name, "mind": live.label, "asks": setting.runs(ASKS)}
        with closing(budget.client(f"asked {number}", what)) as client:
            interviewer = Interviewer(setting.seed, client)
            probes = probe(live, game, interviewer, setting.runs(ASKS), setting.seed, LEVEL)
            budget.add(client.usage)
        findings += _findings(live.label, probes)
        panel, table = _conditions(live.label, probes)
        panels.append(panel)
        tables.append(table)
    setting.report("", len(setting.minds), len(setting.minds))
    return Result(tuple(findings), tuple(panels), NOTES, pd.concat(tables, ignore_index=True))


def _findings(mind: str, probes: Probes) -> list[Finding]:
    recognized, understood = probes.recognized, probes.understood
    assert recognized is not None
    assert understood is not None
    asked = [one.question.about == KNOWN for one in probes.comprehension]
    found = [
        Finding(
            mind,
            "questions about what is known of the game answered right",
            recognized,
            "exact interval; guesses get a quarter right",
            "models recognize the game",
            (CHANCE, 1.0),
            sum(asked),
        ),
        Finding(
            mind,
            "questions about rules and memory answered right",
            understood,
            "exact interval",
            runs=len(asked) - sum(asked),
        ),
    ]
    wording, order, _, nonsense = probes.probes
    own, *paraphrases = wording.conditions
    for other in (*paraphrases, order.conditions[1]):
        found.append(_compared(mind, own, other))
    names = nonsense.conditions[0].preference
    words = " and ".join(it.name for it in names.names)
    found.append(
        Finding(
            mind,
            f"{names.favorite.name} chosen first, of the made-up {words}",
            names.favorite.share,
            "exact interval",
            runs=names.trials or 0,
        )
    )
    return found


def _compared(mind: str, own: Condition, other: Condition) -> Finding:
    (one, one_of), (two, two_of) = (
        (it.preference.counts[0], sum(it.preference.counts)) for it in (other, own)
    )
    return Finding(
        mind,
        f"{TWO[0]} chosen first: {other.label}, less {own.label}",
        share_difference((one, one_of), (two, two_of)),
        "Newcombe's interval",
        runs=one_of + two_of,
    )


def _conditions(mind: str, probes: Probes) -> tuple[Panel, pd.DataFrame]:
    """Return how often the first name is chosen in each condition, as a panel and a table."""
    wording, order, _, nonsense = probes.probes
    conditions = [*wording.conditions, order.conditions[1], nonsense.conditions[0]]
    first = [one.preference.names[0] for one in conditions]
    rows = pd.DataFrame(
        {
            "mind": mind,
            "condition": [one.label for one in conditions],
            "name": [one.name for one in first],
            "share": [one.share.value for one in first],
            "asked": [one.preference.trials for one in conditions],
            "unusable": [one.unusable for one in conditions],
        }
    )
    places = [float(place) for place in range(len(first))]
    low, high = ([one.share[bound] for one in first] for bound in (1, 2))
    values = [one.share.value for one in first]
    series = Series("", places, values, low, high, line=False)
    ticks = tuple(one.label for one in conditions)
    title = f"{mind}: how often the pool's first name is chosen"
    return Panel(title, "", "chosen first", (series,), ticks, shares=True, level=0.5), rows


NOTES = (
    "Both papers speak of large models and of their populations; this is one model, asked alone. "
    "What it recognizes says nothing of whether it plays from memory.",
    "Eight questions are asked about what is known of the game. A model that knows it may miss "
    "some, and one that answers at random needs luck for five.",
)


PAPER = Paper(
    "barrie2025",
    "Barrie and Törnberg (2025), arXiv 2505.23796; reply: Flint Ashery, Aiello and Baronchelli "
    "(2025), arXiv 2506.18600",
    "whether a live mind recognizes the game; its choices by wording, order, made-up names",
    "5 min with smollm2",
    play,
    minds=("smollm2",),
    live=True,
)
