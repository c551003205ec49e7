"""What is known about the classical game, and by which runs it is measured here. Data only.

Measuring what ``published`` lists: runs, statistics, bootstrap intervals, verdicts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import isqrt
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mesa_llm_norms.analysis.intervals import wilson_interval
from mesa_llm_norms.classical.engine import run_classical
from mesa_llm_norms.core.randomness import mix
from mesa_llm_norms.validation import read_seed

UNLIMITED = 10**7
"""More rounds than any run takes that must end in consensus."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Runs at several values of x: the number of agents, unless something else is varied.

    ``full`` and ``quick`` give the number of runs at each x. In ``graph``, n is replaced by
    ``agents``, or by x where that is None; side by the square root of n, and p by ``degree`` over
    n - 1. With ``committed``, x is how many agents (or which share of them) are committed to B and
    all others start out with A.
    """

    label: str
    graph: str
    full: Mapping[float, int]
    quick: Mapping[float, int]
    pairing: str = "direct"
    rounds: int = UNLIMITED
    agents: int | None = None
    degree: float = 0
    committed: bool = False

    def arguments(self, x: float) -> dict[str, Any]:
        """Return what ``run_classical`` is told at x."""
        n = self.agents if self.agents is not None else int(x)
        graph = self.graph.format(n=n, side=isqrt(n), p=self.degree / (n - 1))
        told: dict[str, Any] = {"graph": graph, "pairing": self.pairing, "rounds": self.rounds}
        if self.committed:
            told |= {"names": "AB", "incumbent": "A", "committed": {"B": x}}
        return told


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Something known, and what to compare with it.

    ``statistic`` of the runs of ``experiment`` (at ``x``, or over all x) is compared with
    ``published``. They agree where its 95% interval reaches ``low`` to ``high``.
    """

    what: str
    experiment: str
    statistic: str
    published: float
    low: float
    high: float
    source: str
    x: float | None = None


def _sizes(**runs: int) -> Mapping[float, int]:
    return {int(size[1:]): count for size, count in runs.items()}


EXPERIMENTS = (
    Experiment(
        label="complete",
        graph="complete(n={n})",
        full=_sizes(n1024=60, n2048=40, n4096=40, n8192=20, n16384=20),
        quick=_sizes(n1024=20, n2048=16, n4096=10),
    ),
    Experiment(
        label="ring",
        graph="ring(n={n}, k=2)",
        full=_sizes(n32=400, n64=300, n128=200, n256=80),
        quick=_sizes(n32=60, n64=40, n128=30),
    ),
    Experiment(
        label="torus",
        graph="torus(rows={side}, columns={side})",
        full=_sizes(n64=400, n256=300, n1024=200),
        quick=_sizes(n64=80, n144=60, n256=60),
    ),
    Experiment(
        label="Erdős-Rényi",
        graph="erdos_renyi(n={n}, p={p})",
        degree=10,
        full=_sizes(n500=100, n1000=80, n2000=60, n4000=40, n8000=20, n16000=20),
        quick=_sizes(n500=20, n1000=20, n2000=16),
    ),
    Experiment(
        label="Barabási-Albert",
        graph="barabasi_albert(n={n}, m=2)",
        full=_sizes(n500=100, n1000=80, n2000=60, n4000=40, n8000=20, n16000=16),
        quick=_sizes(n500=20, n1000=20, n2000=16),
    ),
    Experiment(
        label="Barabási-Albert, reverse",
        graph="barabasi_albert(n={n}, m=2)",
        pairing="reverse",
        full=_sizes(n1000=80),
        quick=_sizes(n1000=20),
    ),
    Experiment(
        label="24 agents",
        graph="complete(n={n})",
        full=_sizes(n24=20_000),
        quick=_sizes(n24=3_000),
    ),
    Experiment(
        label="two cliques",
        graph="barbell(clique=24, path=0)",
        rounds=200,
        full=_sizes(n48=3_000),
        quick=_sizes(n48=1_000),
    ),
    Experiment(
        label="committed share",
        graph="complete(n={n})",
        agents=2_000,
        committed=True,
        rounds=1_000,
        full={share / 1_000: 100 for share in range(86, 107, 2)},
        quick={share / 1_000: 20 for share in range(88, 105, 4)},
    ),
    Experiment(
        label="committed few",
        graph="complete(n={n})",
        agents=24,
        committed=True,
        rounds=30,
        full=dict.fromkeys((2, 3, 4, 5), 10000),
        quick=dict.fromkeys((2, 3, 4, 5), 1000),
    ),
)


MEAN_FIELD = "Baronchelli et al. (2006), J. Stat. Mech. P06014"


COARSENING = "Baronchelli et al. (2006), Phys. Rev. E 73, 015102"


NETWORKS = "Dall'Asta et al. (2006), Phys. Rev. E 74, 036105"


MINORITIES = "Xie et al. (2011), Phys. Rev. E 84, 011130"


EXACT = "exact: the Markov chain of the binary game"


EXACT_FLIPS = {2: 0.1727, 3: 0.6104, 4: 0.9192, 5: 0.9922}
"""By how many of 24 are committed, the share of populations that flip in 30 rounds; see EXACT."""


REFERENCE = "another implementation"


CLAIMS = (
    *(
        Claim(
            what=f"exponent of convergence time, {label}",
            experiment=label,
            statistic="time exponent",
            published=exponent,
            low=exponent - 0.1,
            high=exponent + 0.1,
            source=source,
        )
        for label, exponent, source in (
            ("complete", 1.5, MEAN_FIELD),
            ("ring", 3.0, COARSENING),
            ("torus", 2.0, COARSENING),
            ("Erdős-Rényi", 1.4, NETWORKS),
            ("Barabási-Albert", 1.4, NETWORKS),
        )
    ),
    *(
        Claim(
            what=f"exponent of peak words, {label}",
            experiment=label,
            statistic="peak exponent",
            published=exponent,
            low=exponent - 0.05,
            high=exponent + 0.05,
            source=source,
        )
        for label, exponent, source in (
            ("complete", 1.5, MEAN_FIELD),
            ("ring", 1.0, COARSENING),
            ("torus", 1.0, COARSENING),
            ("Erdős-Rényi", 1.0, NETWORKS),
            ("Barabási-Albert", 1.0, NETWORKS),
        )
    ),
    Claim(
        what="times slower direct than reverse, Barabási-Albert, 1,000 agents",
        experiment="Barabási-Albert",
        statistic="slower than reverse",
        published=5,
        low=4,
        high=6,
        source=REFERENCE,
        x=1_000,
    ),
    Claim(
        what="mean interactions to consensus, 24 agents, complete",
        experiment="24 agents",
        statistic="mean time",
        published=361,
        low=358,
        high=364,
        source=REFERENCE,
        x=24,
    ),
    Claim(
        what="share without consensus in 200 rounds, two cliques of 24",
        experiment="two cliques",
        statistic="share without consensus",
        published=0.98,
        low=0.98,
        high=1,
        source=REFERENCE,
        x=48,
    ),
    Claim(
        what="critical committed share, 2,000 agents, complete",
        experiment="committed share",
        statistic="critical share",
        published=0.098,
        low=0.085,
        high=0.11,
        source=MINORITIES,
    ),
    *(
        Claim(
            what=f"share flipped in 30 rounds, {count} of 24 committed, complete",
            experiment="committed few",
            statistic="share with consensus",
            published=share,
            low=share - 0.01,
            high=share + 0.01,
            source=EXACT,
            x=count,
        )
        for count, share in EXACT_FLIPS.items()
    ),
)


RESAMPLES = 1_000


Report = Callable[[str, int, int], None]
"""Called with the experiment under way, the runs done, and the runs in all."""


Floats = NDArray[np.float64]


class Found(NamedTuple):
    """What was measured for a claim, with its 95% interval, in how many runs and for which x."""

    claim: Claim
    here: float
    low: float
    high: float
    runs: int
    xs: tuple[float, ...]

    @property
    def agrees(self) -> bool:
        """Whether the interval reaches what the claim allows."""
        return self.low <= self.claim.high and self.high >= self.claim.low


def play_experiments(
    seed: int,
    quick: bool = False,
    workers: int = 1,
    report: Report = lambda *_: None,
    experiments: tuple[Experiment, ...] = EXPERIMENTS,
) -> pd.DataFrame:
    """Play all runs and return one row for each: experiment, x, run, interactions, ...

    ``workers`` is the number of threads; the compiled loop lets them run side by side.
    """
    plans = [(one, one.quick if quick else one.full) for one in experiments]
    seed = read_seed(seed)
    total = sum(sum(plan.values()) for _, plan in plans)
    done, tables = 0, []
    with ThreadPoolExecutor(workers) as pool:
        for number, (experiment, plan) in enumerate(plans):
            for place, (x, runs) in enumerate(plan.items()):
                report(experiment.label, done, total)
                played = run_classical(
                    **experiment.arguments(x),
                    rng=mix(mix(seed) + 1_000 * number + place),
                    runs=runs,
                    keep_rounds=False,
                    workers=workers,
                    executor=pool if workers > 1 else None,
                )
                tables.append(played.runs.assign(experiment=experiment.label, x=x))
                done += runs
    report("", done, total)
    found = pd.concat(tables, ignore_index=True)
    order = ["experiment", "x", "run"]
    return found[[*order, *(column for column in found.columns if column not in order)]]


def compare(
    runs: pd.DataFrame, claims: tuple[Claim, ...] = CLAIMS, resamples: int = RESAMPLES
) -> list[Found]:
    """Return what the runs of ``play_experiments`` say to every claim.

    Intervals are percentiles of bootstrap resamples, of the runs at each x on their own. Exponents
    are slopes of log median time, or log mean peak, on log size, by least squares: medians because
    on a torus a few runs take several times as long as the others.
    """
    found = []
    for claim in claims:
        rows = runs[runs["experiment"] == claim.experiment]
        if claim.x is not None:
            rows = rows[np.isclose(rows["x"], claim.x)]
        rows = _with_others(claim, rows, runs)
        statistic = STATISTICS[claim.statistic]
        by_x = list(rows.groupby(["experiment", "x"]))
        xs = np.array([key[1] for key, _ in by_x])
        groups = [_columns(group) for _, group in by_x]
        here = statistic(xs, groups)
        chance = np.random.default_rng(0)
        samples = [
            statistic(xs, [_resampled(one, chance) for one in groups]) for _ in range(resamples)
        ]
        low, high = np.quantile(samples, [0.025, 0.975]).tolist()
        found.append(Found(claim, here, low, high, len(rows), tuple(dict.fromkeys(xs.tolist()))))
    return found


def table(found: list[Found]) -> pd.DataFrame:
    """Return one row per claim: what is published, what was found here, and in which runs.

    They agree where the interval from ``low`` to ``high`` reaches ``allowed_low`` to
    ``allowed_high``. ``x_from`` to ``x_to`` are sizes, or what else was varied.
    """
    return pd.DataFrame(
        [
            {
                "what": one.claim.what,
                "published": one.claim.published,
                "here": one.here,
                "low": one.low,
                "high": one.high,
                "agrees": one.agrees,
                "allowed_low": one.claim.low,
                "allowed_high": one.claim.high,
                "x_from": one.xs[0],
                "x_to": one.xs[-1],
                "runs": one.runs,
                "source": one.claim.source,
            }
            for one in found
        ]
    )


class _Runs(NamedTuple):
    """The runs at one x."""

    interactions: Floats
    peak: Floats
    converged: Floats


def _columns(rows: pd.DataFrame) -> _Runs:
    return _Runs(
        rows["interactions"].to_numpy(float),
        rows["peak_words"].to_numpy(float),
        rows["converged"].to_numpy(float),
    )


def _resampled(runs: _Runs, chance: np.random.Generator) -> _Runs:
    drawn = chance.integers(0, len(runs.interactions), len(runs.interactions))
    return _Runs(*(column[drawn] for column in runs))


def _with_others(claim: Claim, rows: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Add the runs that a ratio compares with; by their label they sort after the others."""
    if claim.statistic != "slower than reverse":
        return rows
    return pd.concat([rows, runs[runs["experiment"] == f"{claim.experiment}, reverse"]])


def slope(xs: Floats, values: Floats) -> tuple[float, float]:
    """Return exponent and factor of the power law through the points, by least squares of logs."""
    x, y = np.log(xs), np.log(values)
    exponent = float(np.cov(x, y, bias=True)[0, 1] / np.var(x))
    return exponent, float(np.exp(y.mean() - exponent * x.mean()))


def medians(groups: list[_Runs]) -> Floats:
    """Return the median time of every group."""
    return np.array([np.median(one.interactions) for one in groups])


def _critical_share(xs: Floats, groups: list[_Runs]) -> float:
    """Return the share at which half the runs reach consensus, between grid points linearly."""
    shares = np.maximum.accumulate([one.converged.mean() for one in groups])
    return float(np.interp(0.5, shares + 1e-9 * np.arange(len(shares)), xs))


STATISTICS: dict[str, Callable[[Floats, list[_Runs]], float]] = {
    "time exponent": lambda xs, groups: slope(xs, medians(groups))[0],
    "peak exponent": lambda xs, groups: slope(xs, np.array([g.peak.mean() for g in groups]))[0],
    "mean time": lambda _, groups: float(groups[0].interactions.mean()),
    "slower than reverse": lambda _, groups: float(
        groups[0].interactions.mean() / groups[1].interactions.mean()
    ),
    "share with consensus": lambda _, groups: float(groups[0].converged.mean()),
    "share without consensus": lambda _, groups: float(1 - groups[0].converged.mean()),
    "critical share": _critical_share,
}


def points(runs: pd.DataFrame) -> pd.DataFrame:
    """Return median time and mean peak of each graph and size: graph, agents, time, peak."""
    labels = [one.experiment for one in CLAIMS if one.statistic == "time exponent"]
    rows = runs[runs["experiment"].isin(labels)]
    groups = rows.groupby(["experiment", "x"], sort=False)
    found = groups.agg(time=("interactions", "median"), peak=("peak_words", "mean")).reset_index()
    return found.rename(columns={"experiment": "graph", "x": "agents"})


def shares(runs: pd.DataFrame) -> pd.DataFrame:
    """Return how many runs flip at each committed share: share, consensus, low, high (Wilson)."""
    rows = runs[runs["experiment"] == "committed share"]
    found = rows.groupby("x")["converged"].agg(["sum", "count"]).reset_index()
    low, high = wilson_interval(found["sum"], found["count"])
    consensus = found["sum"] / found["count"]
    return pd.DataFrame({"share": found["x"], "consensus": consensus, "low": low, "high": high})
