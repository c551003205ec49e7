"""Comparing what was played with what was recorded or published: a row for each result.

Three kinds of results: whole populations (how conventions emerge, who wins, how stable they are),
single decisions, and the critical mass, how many committed agents overturn a convention in most
runs. ``compare`` gives the rows of all of them, and ``reproduce`` plays and compares in one call.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from mesa_llm_norms.analysis.intervals import Estimate, between
from mesa_llm_norms.core.limits import read_seed
from mesa_llm_norms.errors import MindError, shown
from mesa_llm_norms.minds.mind import Mind, Policy
from mesa_llm_norms.minds.registry import STUDY_MINDS, load_mind, model_of
from mesa_llm_norms.reproduction import people as with_people
from mesa_llm_norms.reproduction import protocol
from mesa_llm_norms.reproduction import rows as test
from mesa_llm_norms.reproduction.observed import People, references
from mesa_llm_norms.reproduction.protocol import CLASSICAL, FLIP_ROUNDS, TWO, Played
from mesa_llm_norms.reproduction.recorded import (
    CLASSICAL_EXACT,
    FIRST_CHOICE,
    LARGEST_MASS,
    SMALLEST_MASS,
    Choices,
    Emergence,
    Names,
    Published,
    Recorded,
    Stability,
)
from mesa_llm_norms.reproduction.rows import (
    LEVEL,
    Judged,
    Row,
    command_line,
    judge,
    pool_text,
)
from mesa_llm_norms.study.validate import winners_test

EMERGENCE = "Conventions emerge"
WHO_WINS = "Who wins: collective bias"
INDIVIDUAL = "Individual bias: single decisions, asked alone"
IN_POPULATIONS = "Individual bias: the same decisions in populations"
STABILITY = "Stability of conventions"
CRITICAL = "Critical mass"
PARTS = (EMERGENCE, WHO_WINS, INDIVIDUAL, IN_POPULATIONS, STABILITY, CRITICAL)

RESAMPLES = 2_000
CURVE_ROUNDS = 15

FEWEST = 20
"""This many decisions on a memory in populations are enough to compare with."""

SURE = 0.01
"""Below this p-value two recordings of the same decisions are said to disagree."""

Floats = NDArray[np.float64]


class Reproduction(NamedTuple):
    """What was played, and how it compares.

    Attributes
    ----------
    command
        The command that plays it again.
    judged
        A row for each result.
    played
        The outcomes of the experiments.
    recorded
        What the study's recordings show.
    against
        The recorded model that each mind is compared with, by label.
    people
        What people did, if these are the experiments with people.
    """

    command: str
    judged: list[Judged]
    played: list[Played]
    recorded: Recorded
    against: dict[str, str]
    people: People | None

    def as_object(self) -> dict[str, Any]:
        """Return it as JSON can hold it.

        Returns
        -------
        dict
            The command, a row for each result, and the tables.
        """
        found: dict[str, Any] = {
            "command": self.command,
            "level": LEVEL,
            "correction": "Holm, within each part",
            "rows": [one.as_object() for one in self.judged],
        }
        summaries = {
            "critical_mass": summary_of_masses(self.played),
            "large": sizes(self.played),
        }
        if self.people is not None:
            summaries["groups"] = with_people.groups(self.played, self.people)
            summaries["networks"] = with_people.networks(self.played, self.people)
        for name, table in summaries.items():
            if len(table):
                found[name] = table.to_dict("records")
        return found


def reproduce(
    minds: Sequence[str] | None = None,
    people: bool = False,
    quick: bool = False,
    study: str | Path | None = None,
    rng: Any = None,
    workers: int = 1,
    progress: protocol.Report | None = None,
) -> Reproduction:
    """Play the study's main results again with recorded minds, and test which of them hold.

    Parameters
    ----------
    minds : sequence of str, optional
        Minds of the study; with ``~`` intervals are as wide as the fit is uncertain. Default: all.
    people : bool, default False
        Reproduce Centola and Baronchelli (2015) and Centola and others (2018) instead.
    quick : bool, default False
        Play a tenth of the runs, for a first look.
    study : str or Path, optional
        The folder of the study's recordings, or of the files of people's experiments. Default: the
        numbers that ship with the package.
    rng : int or generator, optional
        The seed.
    workers : int, default 1
        Processes to play in; their number does not change the results.
    progress : callable, optional
        Called with what was played last, the experiments done, and the experiments in total.

    Returns
    -------
    Reproduction
        What was played, with a judged row for each result; ``as_object`` gives it as plain data.

    Raises
    ------
    MindError
        For a mind that the study did not record, so that there is nothing to compare it with.
    """
    labels = tuple(dict.fromkeys(STUDY_MINDS if minds is None else minds))
    unknown = [label for label in labels if model_of(label) not in STUDY_MINDS]
    if unknown or not labels:
        raise MindError(
            "minds",
            minds,
            f"the study did not record {shown(unknown[0])}" if unknown else "no mind is given",
            f"Use some of {', '.join(STUDY_MINDS)}.",
        )
    seed, scale = read_seed(rng), protocol.QUICK if quick else 1.0
    recorded, observed = references(study, people)
    if observed is not None:
        tasks = with_people.tasks(observed, labels, round(with_people.RUNS * scale))
    else:
        tasks = protocol.tasks(recorded, labels, scale)
    played = protocol.play_tasks(tasks, seed, workers, progress or (lambda *_: None))
    playing = {label: load_mind(label) for label in labels}
    if observed is not None:
        rows = with_people.compare(played, observed)
    else:
        rows = compare(played, playing, recorded)
    named = () if labels == STUDY_MINDS else labels
    command = command_line(people, named, "--quick" if quick else "", seed)
    against = {label: model_of(label) for label in labels}
    return Reproduction(command, judge(rows), played, recorded, against, observed)


def compare(
    played: Sequence[Played],
    minds: Mapping[str, Mind],
    recorded: Recorded,
    against: Mapping[str, str] | None = None,
) -> list[Row]:
    """Compare everything there is something to compare with.

    Parameters
    ----------
    played : sequence of Played
        The outcomes of experiments.
    minds : mapping of str to Mind
        The minds that played, by label.
    recorded : Recorded
        What the study's recordings show.
    against : mapping of str to str, optional
        The recorded model to compare each label with. Default: the model of that label.

    Returns
    -------
    list of Row
        In the order of ``PARTS``.
    """
    models = {label: (against or {}).get(label, model_of(label)) for label in minds}
    found = [row for one in played for row in _outcomes(one, models, recorded)]
    for label, mind in minds.items():
        found += _decisions(label, mind, models[label], recorded, played)
    found += masses(flips(played), minds)
    return sorted(found, key=lambda row: PARTS.index(row.part))


def _outcomes(one: Played, models: Mapping[str, str], recorded: Recorded) -> Iterator[Row]:
    """Yield a row for each result of an experiment that was recorded for the mind's model."""
    model = models.get(one.mind)
    names = one.experiment.names
    if one.experiment.part == "emergence":
        for known in recorded.emergence:
            if known.model == model and set(known.names) == set(names):
                yield from _emergence(one, known)
    elif one.experiment.part == "stability":
        for kept in recorded.stability:
            if kept.model == model and kept.names == names:
                yield _stability(one, kept)


def _emergence(one: Played, known: Emergence) -> Iterator[Row]:
    runs, pool = one.runs, pool_text(known.names)
    done = int(runs["converged"].sum())
    yield Row(
        EMERGENCE,
        one.mind,
        f"{pool}: runs that agree",
        test.refitted_share(runs["converged"], one.refits),
        len(runs),
        test.EXACT_SHARES,
        test.fisher((len(known.interactions), known.runs), (done, len(runs))),
        test.share(len(known.interactions), known.runs),
        known.runs,
        detail="on one name",
    )
    settled = runs["converged"].to_numpy()
    times = runs.loc[settled, "interactions"].tolist()
    if min(len(times), len(known.interactions)) >= 2:
        yield Row(
            EMERGENCE,
            one.mind,
            f"{pool}: interactions to agree",
            test.median(times, between(np.greater(times, np.median(times)), one.refits[settled])),
            len(times),
            test.TIMES,
            float(stats.ks_2samp(known.interactions, times).pvalue),
            test.median(known.interactions),
            len(known.interactions),
            detail="median",
        )
    if len(known.names) == 10:
        yield _curve(one, known)
    if done:
        yield _winners(one, known)


def _curve(one: Played, known: Emergence) -> Row:
    recorded = np.array(known.success)
    by_run = one.success[:, :CURVE_ROUNDS].mean(axis=1)
    return Row(
        EMERGENCE,
        one.mind,
        f"{pool_text(known.names)}: success rate",
        test.refitted_mean(by_run, one.refits),
        len(by_run),
        test.CURVE,
        test.same_curve(recorded, known.runs, one.success),
        test.exactly(float(recorded[:CURVE_ROUNDS].mean())),
        known.runs,
        detail=f"mean of rounds 1 to {CURVE_ROUNDS}",
    )


def _winners(one: Played, known: Emergence) -> Row:
    settled = one.runs["converged"].to_numpy()
    won = one.runs.loc[settled, "winner"].value_counts()
    here = won.reindex(list(known.names), fill_value=0).astype("int64")
    recorded = pd.Series(dict(known.winners), dtype="int64").reindex(list(known.names))
    leader = str(recorded.idxmax())
    return Row(
        WHO_WINS,
        one.mind,
        f"{pool_text(known.names)}: {leader} wins",
        test.refitted_share(one.runs.loc[settled, "winner"] == leader, one.refits[settled]),
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
        f"{pool_text(known.names)}: choices of {known.names[0]}",
        test.refitted_mean(kept, one.refits),
        len(kept),
        test.MEAN,
        test.same_mean(recorded, kept),
        test.mean(recorded),
        len(recorded),
        detail=f"all start with {known.names[0]}",
    )


def _decisions(
    label: str, mind: Mind, model: str, recorded: Recorded, played: Sequence[Played]
) -> Iterator[Row]:
    """Yield a row for each memory on which decisions of the mind's model were recorded.

    A live mind gives no probabilities, so only what its agents chose first is compared.
    """
    for known in recorded.choices:
        if known.model != model:
            continue
        if isinstance(mind, Policy):
            probabilities = np.array(mind.distribution(known.memory, known.names))
            if sum(known.in_populations.values()) >= FEWEST:
                yield _asked_alone(label, known, probabilities)
                yield _in_populations(label, known, probabilities)
        elif not known.memory:
            yield from _live_choice(label, known, played)


def _asked_alone(label: str, known: Choices, probabilities: Floats) -> Row:
    """Compare decisions asked alone with probabilities estimated from those in populations.

    So the probabilities count as certain as if measured in the decisions on this memory there.
    """
    counts = np.array([known.counts[name] for name in known.names])
    size = sum(known.in_populations.values())
    shown = _shown(counts)
    neutral = set(known.names) == set(TWO) and not known.memory
    return Row(
        INDIVIDUAL,
        label,
        _choice_text(known, known.names[shown]),
        test.share(float(probabilities[shown] * size), size),
        size,
        test.EXACT_SHARES if len(counts) == 2 else test.TWO_COUNTS,
        test.same_counts(counts, np.rint(probabilities * size).astype(np.int64)),
        test.share(int(counts[shown]), int(counts.sum())),
        int(counts.sum()),
        FIRST_CHOICE if neutral else None,
        counted="decisions",
        note=_disagreement(known),
    )


def _in_populations(label: str, known: Choices, probabilities: Floats) -> Row:
    """Compare decisions in populations with the probabilities, which are exact."""
    counts = np.array([known.in_populations[name] for name in known.names])
    total, shown = int(counts.sum()), _shown(counts)
    if len(counts) == 2:
        p_value = test.meets(int(counts[0]), total, float(probabilities[0]))
    else:
        p_value = test.fit(counts, probabilities)
    return Row(
        IN_POPULATIONS,
        label,
        _choice_text(known, known.names[shown]),
        test.exactly(float(probabilities[shown])),
        0,
        test.ONE_SHARE if len(counts) == 2 else test.COUNTS,
        p_value,
        test.share(int(counts[shown]), total),
        total,
        counted="decisions",
    )


def _live_choice(label: str, known: Choices, played: Sequence[Played]) -> Iterator[Row]:
    """Compare what agents of a live mind chose first with the recorded first choices."""
    name = max(known.names, key=known.counts.__getitem__)
    recorded = (known.counts[name], sum(known.counts.values()))
    for one in played:
        total = sum(one.firsts.values())
        if one.mind != label or total == 0 or set(one.firsts) != set(known.names):
            continue
        here = (one.firsts[name], total)
        yield Row(
            INDIVIDUAL,
            label,
            _choice_text(known, name),
            test.share(*here),
            total,
            test.EXACT_SHARES,
            test.fisher(here, recorded),
            test.share(*recorded),
            recorded[1],
            counted="decisions",
        )


def _choice_text(known: Choices, name: str) -> str:
    seen = ", ".join(f"{own} with {partner}" for own, partner in known.memory)
    after = f"after {seen}" if seen else "with nothing remembered"
    return f"{pool_text(known.names)}: {name} {after}"


def _disagreement(known: Choices) -> str:
    """Return a sentence if the recordings disagree with each other about a memory."""
    asked, met = (
        np.array([each[name] for name in known.names])
        for each in (known.counts, known.in_populations)
    )
    if test.same_counts(asked, met) >= SURE:
        return ""
    shown = _shown(asked)
    return (
        f"The recordings disagree: {met[shown] / met.sum():.3f} of {met.sum():,} decisions on this "
        "memory in populations, which the mind was fitted to"
    )


def _shown(counts: NDArray[np.int64]) -> int:
    """Return which name a row is about: the first of two, or the one chosen most."""
    return 0 if len(counts) == 2 else int(counts.argmax())


class Flips(NamedTuple):
    """How many of ``runs`` flipped at each count of committed agents."""

    mind: str
    names: Names
    agents: int
    counts: tuple[int, ...]
    flipped: tuple[int, ...]
    runs: tuple[int, ...]

    @property
    def direction(self) -> str:
        """From which name to which."""
        return f"{self.names[0]} to {self.names[-1]}"


def flips(played: Iterable[Played]) -> list[Flips]:
    """Return the runs with committed agents, by mind, names and size."""
    groups: dict[tuple[str, Names, int], list[Played]] = {}
    for one in played:
        if one.experiment.part == "critical mass":
            key = (one.mind, one.experiment.names, one.experiment.agents)
            groups.setdefault(key, []).append(one)
    found = []
    for key, group in groups.items():
        group.sort(key=lambda one: one.experiment.committed)
        counts = tuple(one.experiment.committed for one in group)
        flipped = tuple(int(one.runs["flipped"].sum()) for one in group)
        found.append(Flips(*key, counts, flipped, tuple(len(one.runs) for one in group)))
    return found


def critical_mass(found: Flips) -> Estimate:
    """Return the smallest count tried at which half the runs flip; infinite if none does."""
    value = _first((np.array(found.flipped) / found.runs >= 0.5)[None], found.counts)[0]
    ordered = np.sort(_resampled_mass(found))
    last = len(ordered) - 1
    return Estimate(
        float(value), float(ordered[int(0.025 * last)]), float(ordered[math.ceil(0.975 * last)])
    )


def _resampled_mass(found: Flips) -> Floats:
    """Return bootstrap estimates of the critical mass, in agents."""
    chance = np.random.default_rng(0)
    shares = np.array(found.flipped) / found.runs
    drawn = chance.binomial(found.runs, shares, (RESAMPLES, len(shares))) / found.runs
    return _first(drawn >= 0.5, found.counts)


def _first(reached: NDArray[np.bool_], counts: tuple[int, ...]) -> Floats:
    """Return for every row the first count that is reached."""
    place = reached.argmax(axis=1)
    return np.where(reached.any(axis=1), np.array(counts, float)[place], np.inf)


def masses(found: Sequence[Flips], minds: Collection[str]) -> Iterator[Row]:
    """Yield a row for everything published: of the classical game, and of the minds that played."""
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
        exact = CLASSICAL_EXACT.get(count)
        if exact is not None:
            yield Row(
                CRITICAL,
                CLASSICAL,
                f"{count} of {one.agents} committed: runs that flip",
                test.share(flipped, runs),
                runs,
                test.ONE_SHARE,
                test.meets(flipped, runs, exact.value),
                published=exact,
                detail=f"in {FLIP_ROUNDS} rounds, against the exact Markov chain",
            )


def _extreme(found: Iterable[Flips], which: str, published: Published) -> Row:
    """Compare the smallest or largest critical share over models and directions with a number."""
    known = [(critical_mass(one).value / one.agents, one) for one in found]
    value, one = (min if which == "smallest" else max)(known, key=lambda pair: pair[0])
    drawn = _resampled_mass(one) / one.agents
    low, high = np.sort(drawn)[[int(0.025 * len(drawn)), int(0.975 * len(drawn))]].tolist()
    rounded, target = np.round(drawn, 2), published.value
    tails = [float(np.mean(side)) for side in (rounded <= target + 1e-9, rounded >= target - 1e-9)]
    return Row(
        CRITICAL,
        "all",
        f"{which} critical share",
        Estimate(value, low, high),
        sum(one.runs),
        test.REACHED,
        max(min(1.0, 2 * min(tails)), 1 / len(drawn)),
        published=published,
        detail=f"{one.mind}, {one.direction}, {one.agents} agents",
    )


def summary_of_masses(played: Iterable[Played]) -> pd.DataFrame:
    """Return the critical mass of every mind and direction, in agents.

    The columns are mind, direction, agents, tried, here, low, high and runs; the three numbers are
    missing where the largest count tried is not enough. Where only one count was tried, ``here``
    says no more than whether it was enough.
    """
    found = []
    for one in flips(played):
        mass = critical_mass(one)
        here, low, high = (it if np.isfinite(it) else None for it in mass)
        found.append(
            {
                "mind": one.mind,
                "direction": one.direction,
                "agents": one.agents,
                "tried": one.counts,
                "here": here,
                "low": low,
                "high": high,
                "runs": sum(one.runs),
            }
        )
    table = pd.DataFrame(found)
    if table.empty:
        return table
    return table.sort_values(["agents", "mind", "direction"], ignore_index=True)


def sizes(played: Iterable[Played]) -> pd.DataFrame:
    """Return one row per mind and pool of the large populations.

    The columns are mind, names (how many), runs, agree (the share of them), rounds (the median to
    agree), leader and leader_share.
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
