"""Two experiments with people, and recorded minds in the same designs.

Ten groups shared a convention that a committed minority attacked, each with its own size, minority
and length. Three networks of 48 began without one. ``observed`` has what people did; here minds
take their places, and what people did is compared with what many populations of a mind do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from mesa_llm_norms.analysis.intervals import between, widened
from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.reproduction import rows as test
from mesa_llm_norms.reproduction.observed import PEOPLE, Group, Network, People
from mesa_llm_norms.reproduction.protocol import (
    GROWING,
    LETTERS,
    TEN,
    TWO,
    Experiment,
    Played,
    Task,
)
from mesa_llm_norms.reproduction.recorded import NETWORKS, TIPPING, Names, Published
from mesa_llm_norms.reproduction.rows import LEVEL, Row

AGREEMENT = "networks"
TIPPING_POINT = "tipping"

TIME = "Ten groups: time to a majority"
CURVE = "Ten groups: share of the alternative, round by round"
LEADING = "Networks of 48: share of the leading name, round by round"

RUNS = 1_000
SPARE = 1.4
"""On sparse networks some are left over in a round, so that as many pairs take more rounds."""

POOLS: dict[Names, str] = {TEN: "10 names", LETTERS: "26 names", GROWING: "growing"}

# The tests, as rows name them.
SURVIVAL = "log-rank statistic among those of populations"
DISTANCE = "distance from the mean curve among those of populations"

Floats = NDArray[np.float64]


def experiments(people: People, runs: int, live: bool = False) -> list[Experiment]:
    """Return both designs; everyone is paired each round, as far as neighbors are free.

    Live minds play with ten names alone.
    """
    networks = [
        Experiment(
            part=AGREEMENT,
            names=names,
            runs=runs,
            agents=PEOPLE,
            graph=network.graph,
            pairing="matching",
            goal=Goal(None),
            rounds=round(SPARE * len(network.answered)),
            noted=tuple(np.cumsum(network.answered).tolist()),
        )
        for network in people.networks
        for names in POOLS
        if names == TEN or not live
    ]
    groups = [
        Experiment(
            part=TIPPING_POINT,
            names=names,
            runs=runs,
            agents=group.agents,
            pairing="matching",
            incumbent=names[0],
            committed=group.committed,
            goal=Goal(None),
            rounds=group.rounds,
        )
        for names in (TWO, TWO[::-1])
        for group in people.groups
    ]
    return networks + groups


def tasks(people: People, models: Iterable[str], runs: int) -> list[Task]:
    """Return all that is played with recorded minds, longest first."""
    every = experiments(people, runs)
    networks = [Task(m, (one,)) for m in models for one in every if one.part == AGREEMENT]
    tipping = [Task(m, tuple(one for one in every if one.part == TIPPING_POINT)) for m in models]
    return sorted(networks, key=lambda task: -len(task.experiments[0].names)) + tipping


class Attack(NamedTuple):
    """What populations of a mind do in the place of one group of people.

    Attributes
    ----------
    mind, direction
        Who plays, and from which name to which.
    group
        The people.
    curves
        The share of the uncommitted who choose the alternative, runs by rounds.
    times
        The rounds played before the first in which that is more than half, one for each run; the
        length of the game where there was none.
    refits
        Which refit of the mind played each run.
    """

    mind: str
    direction: str
    group: Group
    curves: Floats
    times: NDArray[np.int64]
    refits: NDArray[np.int64]

    @property
    def lasted(self) -> NDArray[np.bool_]:
        """Whether the convention was still that of the majority at the end, for each run."""
        return np.equal(self.times, self.group.rounds)


class Emergence(NamedTuple):
    """What populations of a mind do in the places of people on a network.

    ``curves`` are the shares of the leading name, runs by rounds of people; ``refits`` says which
    refit of the mind played each run.
    """

    mind: str
    pool: str
    network: Network
    curves: Floats
    refits: NDArray[np.int64]


def attacks(played: Iterable[Played], people: People) -> list[Attack]:
    """Return the runs with committed agents, by mind, direction and group.

    The committed are taken out of the choices of a round as if all of them had played. Where the
    number of people is odd one sits each round out, and if that is one of the committed the share
    is one person too low.
    """
    groups = {(one.agents, one.committed): one for one in people.groups}
    found = []
    for one in played:
        group = groups.get((one.experiment.agents, one.experiment.committed))
        if one.experiment.part != TIPPING_POINT or group is None:
            continue
        playing = group.agents // 2 * 2
        chosen = np.rint(one.followed[:, : group.rounds] * playing)
        theirs = chosen.clip(max=group.committed)
        curves = (chosen - theirs) / (playing - theirs)
        reached = curves > 0.5
        times = np.where(reached.any(axis=1), reached.argmax(axis=1), group.rounds)
        direction = " to ".join(one.experiment.names)
        found.append(Attack(one.mind, direction, group, curves, times, one.refits))
    return sorted(found, key=lambda one: (one.mind, one.direction, one.group.number))


def emergences(played: Iterable[Played], people: People) -> list[Emergence]:
    """Return the runs on networks, by network, pool and mind."""
    graphs = [one.graph for one in people.networks]
    found = [
        (graphs.index(one.experiment.graph), [*POOLS].index(one.experiment.names), one)
        for one in played
        if one.experiment.part == AGREEMENT
    ]
    return [
        Emergence(
            one.mind, POOLS[one.experiment.names], people.networks[at], one.followed, one.refits
        )
        for at, _, one in sorted(found, key=lambda it: (*it[:2], it[2].mind))
    ]


def compare(played: Sequence[Played], people: People) -> list[Row]:
    """Return the rows of all tests: two for each mind and direction, one for each network."""
    found = attacks(played, people)
    sides = [
        [one for one in found if (one.mind, one.direction) == side]
        for side in dict.fromkeys((one.mind, one.direction) for one in found)
    ]
    rows = [_time(side) for side in sides] + [_curve(side) for side in sides]
    return rows + [_leading(one) for one in emergences(played, people)]


def _time(side: Sequence[Attack]) -> Row:
    fallen = np.concatenate([~one.lasted for one in side])
    refits = np.concatenate([one.refits for one in side])
    people = [one.group.majority is not None for one in side]
    return Row(
        TIME,
        side[0].mind,
        f"{side[0].direction}: overturned",
        test.refitted_share(fallen, refits),
        len(fallen),
        SURVIVAL,
        survival(side),
        published=Published(sum(people) / len(people), TIPPING),
        detail="a majority for the alternative in some round",
    )


def survival(side: Sequence[Attack]) -> float:
    """Return how often one population for each group differs from all others as people do.

    The measure is the log-rank statistic of the times to a majority, those that end without one
    censored at the length of the game. Groups differ in size and length; so its distribution is
    that over the populations themselves, not the normal one.
    """
    lengths = np.array([one.group.rounds for one in side])
    times = np.array([one.times for one in side])
    everyone = _censored(times.ravel(), np.repeat(lengths, times.shape[1]))

    def distance(sample: NDArray[np.int64]) -> float:
        with np.errstate(invalid="ignore"):
            found = stats.logrank(_censored(sample, lengths), everyone).statistic
        return abs(float(np.nan_to_num(found)))  # nan where nobody ever turns

    seen = [one.group.rounds if one.group.majority is None else one.group.majority for one in side]
    return _among(distance(np.array(seen)), [distance(sample) for sample in times.T])


def _censored(times: NDArray[np.int64], lengths: NDArray[np.int64]) -> stats.CensoredData:
    return stats.CensoredData.right_censored(times, times == lengths)


def _curve(side: Sequence[Attack]) -> Row:
    distances = [_distances(one.curves, one.group.alternative) for one in side]
    seen = np.mean([people for people, _ in distances])
    others = np.mean([populations for _, populations in distances], axis=0)
    return Row(
        CURVE,
        side[0].mind,
        f"{side[0].direction}: choices of the alternative",
        widened(
            test.mean(np.mean([one.curves.mean(axis=1) for one in side], axis=0)),
            between(
                np.concatenate([one.curves.mean(axis=1) for one in side]),
                np.concatenate([one.refits for one in side]),
            ),
        ),
        sum(len(one.times) for one in side),
        DISTANCE,
        _among(float(seen), others),
        published=Published(
            float(np.mean([np.mean(one.group.alternative) for one in side])), TIPPING
        ),
        detail="by the uncommitted, mean of all rounds and groups",
    )


def _leading(one: Emergence) -> Row:
    seen, others = _distances(one.curves, one.network.leading)
    return Row(
        LEADING,
        one.mind,
        f"{one.network.short}, {one.pool}",
        test.refitted_mean(one.curves.mean(axis=1), one.refits),
        len(one.curves),
        DISTANCE,
        _among(seen, others),
        published=Published(float(np.mean(one.network.leading)), NETWORKS),
        detail="mean of all rounds",
    )


def _distances(curves: Floats, people: Sequence[float]) -> tuple[float, Floats]:
    """Return how far people, and every population, are from the populations' mean curve."""
    middle = curves.mean(axis=0)
    return float(np.abs(people - middle).mean()), np.abs(curves - middle).mean(axis=1)


def _among(seen: float, others: Any) -> float:
    """Return how often a value as large as this one is met among others and itself."""
    return float((np.sum(np.asarray(others) >= seen - 1e-9) + 1) / (len(others) + 1))


def groups(played: Sequence[Played], people: People) -> pd.DataFrame:
    """Return one row per mind, direction and group of people.

    The columns are mind, direction, group, agents, committed, rounds (played); people (the rounds
    before the first with a majority for the alternative; missing if there was none); early, median
    and late (the same of populations, where 5%, 50% and 95% of them have come to it; missing if not
    within the game), overturned (the share that ever do), time_p and time_within (whether people's
    time lies within the middle 95% of populations), curve_p and curve_within (whether their curve
    is as close to the mean as 95% of populations), distance (between people and that mean: the mean
    over rounds of the absolute difference of shares) and runs.
    """
    return pd.DataFrame(_group_rows(attacks(played, people)))


def _group_rows(found: Iterable[Attack]) -> Iterator[dict[str, Any]]:
    for one in found:
        group, times = one.group, np.sort(one.times)
        quantiles = np.quantile(times, [0.05, 0.5, 0.95], method="inverted_cdf").tolist()
        early, median, late = (None if at == group.rounds else at for at in quantiles)
        time_p = place(one)
        seen, others = _distances(one.curves, group.alternative)
        curve_p = _among(seen, others)
        yield {
            "mind": one.mind,
            "direction": one.direction,
            "group": group.number,
            "agents": group.agents,
            "committed": group.committed,
            "rounds": group.rounds,
            "people": group.majority,
            "early": early,
            "median": median,
            "late": late,
            "overturned": float((~one.lasted).mean()),
            "time_p": time_p,
            "time_within": time_p >= LEVEL,
            "distance": seen,
            "curve_p": curve_p,
            "curve_within": curve_p >= LEVEL,
            "runs": len(times),
        }


def place(one: Attack) -> float:
    """Return how often populations are as early or as late as people, twice the smaller side.

    Of people who came to no majority only that is known, so a population is as late if it did not.
    """
    time = one.group.majority
    if time is None:
        return min(1.0, 2 * _among(1, one.lasted))
    return min(1.0, 2 * min(_among(-time, -one.times), _among(time, one.times)))


def networks(played: Sequence[Played], people: People) -> pd.DataFrame:
    """Return one row per network, pool and mind.

    The columns are network, pool, mind; people (the leading name's share in the last three rounds)
    with low, middle and high of the same of populations (5%, 50%, 95%); half (the rounds before
    the first in which it has more than half, the median of populations) and people_half, missing if
    not within the game; distance, p and within as for ``groups``; and runs.
    """
    found = []
    for one in emergences(played, people):
        low, middle, high = np.quantile(one.curves[:, -3:].mean(axis=1), [0.05, 0.5, 0.95]).tolist()
        seen, others = _distances(one.curves, one.network.leading)
        p_value = _among(seen, others)
        found.append(
            {
                "network": one.network.label,
                "pool": one.pool,
                "mind": one.mind,
                "people": float(np.mean(one.network.leading[-3:])),
                "low": low,
                "middle": middle,
                "high": high,
                "people_half": one.network.half,
                "half": _half(one.curves),
                "distance": seen,
                "p": p_value,
                "within": p_value >= LEVEL,
                "runs": len(one.curves),
            }
        )
    return pd.DataFrame(found)


def _half(curves: Floats) -> int | None:
    """Return the median of the rounds before the first with more than half; None if never."""
    reached = curves > 0.5
    times = np.where(reached.any(axis=1), reached.argmax(axis=1), curves.shape[1])
    found = int(np.quantile(times, 0.5, method="inverted_cdf"))
    return None if found == curves.shape[1] else found
