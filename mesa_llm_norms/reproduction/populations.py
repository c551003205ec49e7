"""Whole populations: runs held against the recorded ones, and runs larger than any recorded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pandas as pd
from scipy import stats

from mesa_llm_norms.reproduction import rows as test
from mesa_llm_norms.reproduction.protocol import Played
from mesa_llm_norms.reproduction.recorded import Emergence, Recorded, Stability
from mesa_llm_norms.reproduction.rows import Row
from mesa_llm_norms.reproduction.words import pool_text
from mesa_llm_norms.study.validate import winners_test

EMERGENCE = "Conventions emerge"
WHO_WINS = "Who wins: collective bias"
STABILITY = "How lasting a convention is"


def outcomes(one: Played, models: Mapping[str, str], recorded: Recorded) -> Iterator[Row]:
    """Yield a row for each result of an experiment that was recorded for the mind's model."""
    model = models.get(one.mind)
    names = one.experiment.names
    if one.experiment.part == "emergence":
        for known in recorded.emergence:
            if known.model == model and set(known.names) == set(names):
                yield from _emergence(one, known)
    elif one.experiment.part == "stability":
        for lasting in recorded.stability:
            if lasting.model == model and lasting.names == names:
                yield _stability(one, lasting)


def _emergence(one: Played, known: Emergence) -> Iterator[Row]:
    runs, pool = one.runs, pool_text(known.names)
    done = int(runs["converged"].sum())
    yield Row(
        EMERGENCE,
        one.mind,
        f"{pool}: runs that agree on one name",
        test.share(done, len(runs)),
        len(runs),
        test.EXACT_SHARES,
        test.fisher((len(known.interactions), known.runs), (done, len(runs))),
        test.share(len(known.interactions), known.runs),
        known.runs,
    )
    times = runs.loc[runs["converged"], "interactions"].tolist()
    if min(len(times), len(known.interactions)) >= 2:
        yield Row(
            EMERGENCE,
            one.mind,
            f"{pool}: interactions until then (median)",
            test.median(times),
            len(times),
            test.TIMES,
            float(stats.ks_2samp(known.interactions, times).pvalue),
            test.median(known.interactions),
            len(known.interactions),
        )
    if len(known.names) == 10:
        yield _curve(one, known)
    if done:
        yield _winners(one, known)


def _curve(one: Played, known: Emergence) -> Row:
    rounds = 15
    recorded = np.array(known.success)
    by_run = one.success[:, :rounds].mean(axis=1)
    return Row(
        EMERGENCE,
        one.mind,
        f"{pool_text(known.names)}: success rate, mean of rounds 1 to {rounds}",
        test.mean(by_run),
        len(by_run),
        test.CURVE,
        test.same_curve(recorded, known.runs, one.success),
        test.exactly(float(recorded[:rounds].mean())),
        known.runs,
    )


def _winners(one: Played, known: Emergence) -> Row:
    won = one.runs.loc[one.runs["converged"], "winner"].value_counts()
    here = won.reindex(list(known.names), fill_value=0).astype("int64")
    recorded = pd.Series(dict(known.winners), dtype="int64").reindex(list(known.names))
    leader = str(recorded.idxmax())
    return Row(
        WHO_WINS,
        one.mind,
        f"{pool_text(known.names)}: {leader} wins",
        test.share(int(here[leader]), int(here.sum())),
        int(here.sum()),
        test.WINNERS,
        winners_test(recorded, here),
        test.share(int(recorded[leader]), int(recorded.sum())),
        int(recorded.sum()),
    )


def _stability(one: Played, known: Stability) -> Row:
    kept = np.nanmean(one.followed, axis=1)
    recorded = np.array(known.kept)
    return Row(
        STABILITY,
        one.mind,
        f"all begin with {known.names[0]}, the other is {known.names[1]}: "
        f"choices that keep to {known.names[0]}",
        test.mean(kept),
        len(kept),
        test.MEAN,
        test.same_mean(recorded, kept),
        test.mean(recorded),
        len(recorded),
    )


def sizes(played: Iterable[Played]) -> pd.DataFrame:
    """Return one row per mind and pool of the large populations.

    The columns are mind, names (how many), runs, agree (the share of them), rounds (the median
    until then), leader and leader_share.
    """
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
