"""Two experiments with people, and recorded minds in the same designs.

People typed any name they liked and were paid; minds choose from a pool. What is compared is
whether a population agrees, and whether it gives a convention up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
"""Of all choices in the last three rounds, this share must be one name for a group to agree."""


ROUNDS = 30


RUNS = 200


SLOWER = 4
"""Networks, with their ten names, are played so many times less often than tipping points."""


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


def agreement(played: Sequence[Played]) -> pd.DataFrame:
    """Return one row per mind and network: agents, people, agree, low, high, names, runs.

    ``agree`` is the share of runs that do, ``largest`` the mean share of the leading name.
    """
    labels = {one.graph: one for one in NETWORKS}
    found = []
    for one in played:
        if one.experiment.part == AGREEMENT:
            network = labels[one.experiment.graph]
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
    order = {network.label: place for place, network in enumerate(NETWORKS)}
    table = pd.DataFrame(found)
    if table.empty:
        return table
    return table.sort_values(
        ["network", "agents", "mind"],
        key=lambda column: column.map(order) if column.name == "network" else column,
        kind="stable",
        ignore_index=True,
    )


def overturned(one: Played) -> int:
    """Return in how many runs most of the uncommitted play the committed name in the last round."""
    agents, committed = one.experiment.agents, one.experiment.committed
    last = one.followed[:, one.experiment.rounds - 1]
    return int(((last * agents - committed) / (agents - committed) > 0.5).sum())


def tipping(played: Iterable[Played]) -> pd.DataFrame:
    """Return one row per mind, direction and count: committed, share, overturned, low, high."""
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


def compare(played: Iterable[Played]) -> list[Row]:
    """Return a row for either side of the tipping point of people, by mind and direction."""
    return sorted(_rows(played), key=lambda row: (row.mind, row.what))


def _rows(played: Iterable[Played]) -> Iterator[Row]:
    for one in played:
        count = one.experiment.committed
        if one.experiment.part != TIPPING_POINT or count not in (BELOW, AT):
            continue
        people = FLIPPED_GROUPS["below" if count == BELOW else "at"]
        here = overturned(one)
        where = "below 21%" if count == BELOW else "from 25% on"
        yield Row(
            "Tipping points of people",
            one.mind,
            f"{' to '.join(one.experiment.names)}, {count} of {one.experiment.agents} committed "
            f"({GROUPS} groups of people: {where}): overturned",
            test.share(here, len(one.runs)),
            len(one.runs),
            test.EXACT_SHARES,
            test.fisher((people, GROUPS), (here, len(one.runs))),
            published=Published(people / GROUPS, TIPPING),
        )
