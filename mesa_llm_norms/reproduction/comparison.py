"""Each result held against the recordings, or against what is published."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from mesa_llm_norms.minds import Mind, Policy
from mesa_llm_norms.reproduction import rows as test
from mesa_llm_norms.reproduction.critical import Flips, critical_mass, flips, resampled_mass
from mesa_llm_norms.reproduction.protocol import CLASSICAL, TWO, Played
from mesa_llm_norms.reproduction.published import (
    CLASSICAL_FLIPS,
    FIRST_CHOICE,
    LARGEST_MASS,
    SMALLEST_MASS,
    Published,
)
from mesa_llm_norms.reproduction.recorded import Choices, Emergence, Recorded, Stability
from mesa_llm_norms.reproduction.rows import Row
from mesa_llm_norms.statistics import Estimate
from mesa_llm_norms.study.validate import winners_test

Floats = NDArray[np.float64]

EMERGENCE = "Conventions emerge"
WHO_WINS = "Who wins: collective bias"
INDIVIDUAL = "Individual bias: single decisions, asked alone"
IN_POPULATIONS = "Individual bias: the same decisions in populations"
STABILITY = "How lasting a convention is"
CRITICAL = "Critical mass"
FEWEST = 20
"""So many decisions on a memory in populations are enough to compare with."""
SURE = 0.01
"""Recordings are taken to disagree when chance would make them differ so less often than this."""


def compare(
    played: Sequence[Played],
    minds: Mapping[str, Mind],
    recorded: Recorded,
    against: Mapping[str, str] | None = None,
) -> list[Row]:
    """Return a row for everything that there is something to hold against.

    ``minds`` are those that played, by label; ``against`` names the recorded model of each label,
    which is the label itself unless it says so.
    """
    models = {label: (against or {}).get(label, label) for label in minds}
    found = [row for one in played for row in _of_runs(one, models, recorded)]
    for label, mind in minds.items():
        found += _choices(label, mind, models[label], recorded, played)
    found += _masses(flips(played), minds)
    order = [EMERGENCE, WHO_WINS, INDIVIDUAL, IN_POPULATIONS, STABILITY, CRITICAL]
    return sorted(found, key=lambda row: order.index(row.part))


def _of_runs(one: Played, models: Mapping[str, str], recorded: Recorded) -> Iterator[Row]:
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


def _choices(
    label: str, mind: Mind, model: str, recorded: Recorded, played: Sequence[Played]
) -> Iterator[Row]:
    for known in recorded.choices:
        if known.model != model:
            continue
        if isinstance(mind, Policy):
            chances = np.array(mind.distribution(known.memory, known.names))
            if sum(known.in_populations.values()) >= FEWEST:
                yield _asked_alone(label, known, chances)
                yield _in_populations(label, known, chances)
        elif not known.memory:
            yield from _live_choice(label, known, played)


def _asked_alone(label: str, known: Choices, chances: Floats) -> Row:
    """Hold decisions asked alone against chances that were estimated from those in populations.

    So the chances are taken to be as sure as if counted in the decisions on this memory there.
    """
    counts = np.array([known.counts[name] for name in known.names])
    size = sum(known.in_populations.values())
    place = _shown(counts)
    unbiased = set(known.names) == set(TWO) and not known.memory
    return Row(
        INDIVIDUAL,
        label,
        f"{pool_text(known.names)}: {known.names[place]} {_after(known)}",
        test.share(float(chances[place] * size), size),
        size,
        test.EXACT_SHARES if len(counts) == 2 else test.TWO_COUNTS,
        test.same_counts(counts, np.rint(chances * size).astype(np.int64)),
        test.share(int(counts[place]), int(counts.sum())),
        int(counts.sum()),
        FIRST_CHOICE if unbiased else None,
        counted="decisions",
        note=_disagreement(known),
    )


def _in_populations(label: str, known: Choices, chances: Floats) -> Row:
    """Hold decisions in populations against the chances, which are exact."""
    counts = np.array([known.in_populations[name] for name in known.names])
    total, place = int(counts.sum()), _shown(counts)
    if len(counts) == 2:
        p_value = float(stats.binomtest(int(counts[0]), total, float(chances[0])).pvalue)
    else:
        p_value = test.fit(counts, chances)
    return Row(
        IN_POPULATIONS,
        label,
        f"{pool_text(known.names)}: {known.names[place]} {_after(known)}",
        test.exactly(float(chances[place])),
        0,
        test.ONE_SHARE if len(counts) == 2 else test.COUNTS,
        p_value,
        test.share(int(counts[place]), total),
        total,
        counted="decisions",
    )


def _disagreement(known: Choices) -> str:
    """Return a sentence where the recordings disagree with each other about a memory."""
    asked, met = (
        np.array([each[name] for name in known.names])
        for each in (known.counts, known.in_populations)
    )
    if test.same_counts(asked, met) >= SURE:
        return ""
    place = _shown(asked)
    return (
        f"The recordings disagree: {met[place] / met.sum():.3f} of {met.sum():,} decisions on this "
        "memory in populations, which are what the mind was fitted to"
    )


def _shown(counts: NDArray[np.int64]) -> int:
    """Return which name a row is about: the first of two, or the one chosen most."""
    return 0 if len(counts) == 2 else int(counts.argmax())


def _live_choice(label: str, known: Choices, played: Sequence[Played]) -> Iterator[Row]:
    """Hold what agents of a live mind chose first against the recorded first choices."""
    for one in played:
        if (
            one.mind != label
            or sum(one.firsts.values()) == 0
            or set(one.firsts) != set(known.names)
        ):
            continue
        name = max(known.names, key=known.counts.__getitem__)
        here = (one.firsts[name], sum(one.firsts.values()))
        recorded = (known.counts[name], sum(known.counts.values()))
        yield Row(
            INDIVIDUAL,
            label,
            f"{pool_text(known.names)}: {name} {_after(known)}",
            test.share(*here),
            here[1],
            test.EXACT_SHARES,
            test.fisher(here, recorded),
            test.share(*recorded),
            recorded[1],
            counted="decisions",
        )


def _masses(found: Sequence[Flips], minds: Mapping[str, Mind]) -> Iterator[Row]:
    for one in found:
        if one.mind == CLASSICAL:
            yield from _classical(one)
    known = [one for one in found if one.mind in minds and one.counts[0] == 1]
    graded = [one for one in known if len(one.counts) > 1]
    if len({one.mind for one in graded}) > 1:  # what is published is the range over models
        yield _extreme(known, "smallest", SMALLEST_MASS)
        yield _extreme(graded, "largest", LARGEST_MASS)


def _classical(one: Flips) -> Iterator[Row]:
    for count, flipped, runs in zip(one.counts, one.flipped, one.runs, strict=True):
        published = CLASSICAL_FLIPS.get(count)
        if published is not None:
            yield Row(
                CRITICAL,
                CLASSICAL,
                f"{count} of {one.agents} committed: runs that flip in 30 rounds",
                test.share(flipped, runs),
                runs,
                test.ONE_SHARE,
                float(stats.binomtest(flipped, runs, published.value).pvalue),
                published=published,
            )


def _extreme(found: Iterable[Flips], which: str, published: Published) -> Row:
    """Hold the smallest or largest critical share over models and directions against a number."""
    known = [(critical_mass(one).value / one.agents, one) for one in found]
    value, one = (min if which == "smallest" else max)(known, key=lambda pair: pair[0])
    drawn = resampled_mass(one) / one.agents
    low, high = np.sort(drawn)[[int(0.025 * len(drawn)), int(0.975 * len(drawn))]].tolist()
    rounded, target = np.round(drawn, 2), published.value
    tails = [float(np.mean(side)) for side in (rounded <= target + 1e-9, rounded >= target - 1e-9)]
    return Row(
        CRITICAL,
        "all",
        f"{which} critical share ({one.mind}, {one.direction}, {one.agents} agents)",
        Estimate(value, low, high),
        sum(one.runs),
        test.REACHED,
        max(min(1.0, 2 * min(tails)), 1 / len(drawn)),
        published=published,
    )


def summary_of_masses(played: Iterable[Played]) -> pd.DataFrame:
    """Return the critical mass of every mind and direction, in agents: here, low, high.

    Where only one count was tried, ``here`` says no more than whether it was enough.
    """
    found = []
    for one in flips(played):
        mass = critical_mass(one)
        found.append(
            {
                "mind": one.mind,
                "direction": one.direction,
                "agents": one.agents,
                "tried": ", ".join(map(str, one.counts)),
                "here": mass.value if np.isfinite(mass.value) else None,
                "low": mass.low if np.isfinite(mass.low) else None,
                "high": mass.high if np.isfinite(mass.high) else None,
                "runs": sum(one.runs),
            }
        )
    table = pd.DataFrame(found)
    if table.empty:
        return table
    return table.sort_values(["agents", "mind", "direction"], ignore_index=True)


def pool_text(names: Sequence[str]) -> str:
    """Return how a pool is called in a row."""
    if len(names) <= 2:
        return " ".join(names)
    return f"{len(names)} names"


def _after(known: Choices) -> str:
    if not known.memory:
        return "with nothing remembered"
    seen = ", ".join(f"{own} with {partner}" for own, partner in known.memory)
    return f"after {seen}"
