"""Two experiments with people, and recorded minds in the same designs.

People typed any name they liked and were paid; minds choose from a pool. What is compared is
whether a population agrees, and whether it gives up a convention.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pandas as pd

from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.reproduction import rows as test
from mesa_llm_norms.reproduction.protocol import TEN, TWO, Experiment, Played, Task
from mesa_llm_norms.reproduction.recorded import FLIPPED_GROUPS, GROUPS, TIPPING, Published
from mesa_llm_norms.reproduction.rows import Row

AGREEMENT = "networks"
TIPPING_POINT = "tipping"

AGREE = 0.9
"""A group agrees if one name has this share of all choices in the last three rounds."""

ROUNDS = 30
RUNS = 200

SLOWER = 4
"""Networks, with their ten names, are played this many times less often than tipping points."""

SMALL, LARGE = (24, 25), (48, 30)
"""People, and how many rounds they played."""

COUNTS = (3, 4, 5, 6, 7, 8)
BELOW, AT = 5, 6
"""Committed of 24: 20.8%, below what flipped people, and 25%, which did."""


class Network(NamedTuple):
    """A network people were placed on, and what they did on it."""

    graph: str
    label: str
    people: str


NETWORKS = (
    Network("ring(n={n}, k=4)", "ring, four neighbours each", "no agreement"),
    Network("random_regular(n={n}, d=4)", "random, four neighbours each", "not cited"),
    Network("complete(n={n})", "mixed: anybody may meet anybody", "agreement on one name"),
)


def experiments(runs: int) -> list[Experiment]:
    """Return both designs; everyone is paired each round, as far as neighbours are free."""
    found = [
        Experiment(
            part=AGREEMENT,
            names=TEN,
            runs=max(2, runs // SLOWER),
            agents=agents,
            graph=network.graph,
            pairing="matching",
            goal=Goal(None),
            rounds=rounds,
        )
        for network in NETWORKS
        for agents, rounds in (SMALL, LARGE)
    ]
    return found + [
        Experiment(
            part=TIPPING_POINT,
            names=names,
            runs=runs,
            pairing="matching",
            incumbent=names[0],
            committed=count,
            goal=Goal(None),
            rounds=ROUNDS,
        )
        for names in (TWO, TWO[::-1])
        for count in COUNTS
    ]


def tasks(models: Iterable[str], runs: int) -> list[Task]:
    """Return all that is played with recorded minds, longest first."""
    every = experiments(runs)
    networks = [Task(m, (one,)) for m in models for one in every if one.part == AGREEMENT]
    tipping = [Task(m, tuple(one for one in every if one.part == TIPPING_POINT)) for m in models]
    return sorted(networks, key=lambda task: -task.experiments[0].agents) + tipping


def compare(played: Iterable[Played]) -> list[Row]:
    """Return a row for either side of the tipping point of people, by mind and direction."""
    found = []
    for one in played:
        count = one.experiment.committed
        if one.experiment.part != TIPPING_POINT or count not in (BELOW, AT):
            continue
        people = FLIPPED_GROUPS["below" if count == BELOW else "at"]
        here, runs = overturned(one), len(one.runs)
        where = "below 21%" if count == BELOW else "from 25% on"
        found.append(
            Row(
                "Tipping points of people",
                one.mind,
                f"{' to '.join(one.experiment.names)}, {count} of {one.experiment.agents} "
                "committed",
                test.share(here, runs),
                runs,
                test.EXACT_SHARES,
                test.fisher((people, GROUPS), (here, runs)),
                published=Published(people / GROUPS, TIPPING),
                detail=f"overturned; {GROUPS} groups of people: {where}",
            )
        )
    return sorted(found, key=lambda row: (row.mind, row.what))


def overturned(one: Played) -> int:
    """Return in how many runs most of the uncommitted play the committed name in the last round."""
    agents, committed = one.experiment.agents, one.experiment.committed
    last = one.followed[:, one.experiment.rounds - 1]
    return int(((last * agents - committed) / (agents - committed) > 0.5).sum())


def agreement(played: Sequence[Played]) -> pd.DataFrame:
    """Return one row per mind and network.

    The columns are network, agents, rounds, people (what they did), mind, agree (the share of runs
    that do) with its interval low to high, largest (the mean share of the leading name) and runs.
    """
    order = {one.graph: place for place, one in enumerate(NETWORKS)}
    networks = [one for one in played if one.experiment.part == AGREEMENT]
    networks.sort(key=lambda one: (order[one.experiment.graph], one.experiment.agents, one.mind))
    found = []
    for one in networks:
        network = NETWORKS[order[one.experiment.graph]]
        agreed = test.share(int((one.runs["share"] >= AGREE).sum()), len(one.runs))
        found.append(
            {
                "network": network.label,
                "agents": one.experiment.agents,
                "rounds": one.experiment.rounds,
                "people": network.people,
                "mind": one.mind,
                "agree": agreed.value,
                "low": agreed.low,
                "high": agreed.high,
                "largest": float(one.runs["share"].mean()),
                "runs": len(one.runs),
            }
        )
    return pd.DataFrame(found)


def tipping(played: Iterable[Played]) -> pd.DataFrame:
    """Return one row per mind, direction and count.

    The columns are mind, direction, committed, share, overturned (the share of runs) with its
    interval low to high, and runs.
    """
    found = []
    for one in played:
        if one.experiment.part == TIPPING_POINT:
            flipped = test.share(overturned(one), len(one.runs))
            found.append(
                {
                    "mind": one.mind,
                    "direction": " to ".join(one.experiment.names),
                    "committed": one.experiment.committed,
                    "share": one.experiment.committed / one.experiment.agents,
                    "overturned": flipped.value,
                    "low": flipped.low,
                    "high": flipped.high,
                    "runs": len(one.runs),
                }
            )
    return pd.DataFrame(found)
