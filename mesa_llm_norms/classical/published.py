"""What is published about the classical game, and how this package compares with it.

``EXPERIMENTS`` are runs, ``CLAIMS`` are published or exact numbers. ``play_experiments`` plays the
runs, and ``compare`` measures every claim in them, with a bootstrap interval and a verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import isqrt
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mesa_llm_norms.analysis.intervals import wilson_interval
from mesa_llm_norms.classical.ensemble import run_classical
from mesa_llm_norms.core.limits import read_seed
from mesa_llm_norms.core.randomness import mix

Floats = NDArray[np.float64]
Report = Callable[[str, int, int], None]
"""Called with the current experiment, the runs done, and the runs in total."""

MEAN_FIELD = "Baronchelli et al. (2006), J. Stat. Mech. P06014"
COARSENING = "Baronchelli et al. (2006), Phys. Rev. E 73, 015102"
NETWORKS = "Dall'Asta et al. (2006), Phys. Rev. E 74, 036105"
MINORITIES = "Xie et al. (2011), Phys. Rev. E 84, 011130"
EXACT = "exact: the Markov chain of the binary game"
REFERENCE = "another implementation"

EXACT_FLIPS = {2: 0.1727, 3: 0.6104, 4: 0.9192, 5: 0.9922}
"""The share of populations that flip in 30 rounds by how many of 24 are committed; see EXACT."""

RESAMPLES = 1_000
NO_LIMIT = 10**7
"""More rounds than any run takes that must end in consensus."""


@dataclass(frozen=True)
class Experiment:
    """Runs at several values of x: the number of agents, unless something else is varied.

    ``full`` and ``quick`` map each x to a number of runs. In ``graph``, n stands for ``agents``, or
    for x where that is None; side for the square root of n, and p for ``degree`` over n - 1. With
    ``committed``, x is how many agents (or what share) are committed to B; all others start with A.
    """

    label: str
    graph: str
    full: Mapping[float, int]
    quick: Mapping[float, int]
    pairing: str = "direct"
    rounds: int = NO_LIMIT
    agents: int | None = None
    degree: float = 0
    committed: bool = False

    def arguments(self, x: float) -> dict[str, Any]:
        """Return the arguments of ``run_classical`` at x."""
        n = self.agents if self.agents is not None else int(x)
        graph = self.graph.format(n=n, side=isqrt(n), p=self.degree / (n - 1))
        found: dict[str, Any] = {"graph": graph, "pairing": self.pairing, "rounds": self.rounds}
        if self.committed:
            found |= {"names": "AB", "incumbent": "A", "committed": {"B": x}}
        return found


_QUICK_SIZES: Mapping[float, int] = {500: 20, 1_000: 20, 2_000: 16}
_FEW = (2, 3, 4, 5)

EXPERIMENTS = (
    Experiment(
        "complete",
        "complete(n={n})",
        full={1_024: 60, 2_048: 40, 4_096: 40, 8_192: 20, 16_384: 20},
        quick={1_024: 20, 2_048: 16, 4_096: 10},
    ),
    Experiment(
        "ring",
        "ring(n={n}, k=2)",
        full={32: 400, 64: 300, 128: 200, 256: 80},
        quick={32: 60, 64: 40, 128: 30},
    ),
    Experiment(
        "torus",
        "torus(rows={side}, columns={side})",
        full={64: 400, 256: 300, 1_024: 200},
        quick={64: 80, 144: 60, 256: 60},
    ),
    Experiment(
        "Erdős-Rényi",
        "erdos_renyi(n={n}, p={p})",
        full={500: 100, 1_000: 80, 2_000: 60, 4_000: 40, 8_000: 20, 16_000: 20},
        quick=_QUICK_SIZES,
        degree=10,
    ),
    Experiment(
        "Barabási-Albert",
        "barabasi_albert(n={n}, m=2)",
        full={500: 100, 1_000: 80, 2_000: 60, 4_000: 40, 8_000: 20, 16_000: 16},
        quick=_QUICK_SIZES,
    ),
    Experiment(
        "Barabási-Albert, reverse",
        "barabasi_albert(n={n}, m=2)",
        full={1_000: 80},
        quick={1_000: 20},
        pairing="reverse",
    ),
    Experiment("24 agents", "complete(n={n})", full={24: 20_000}, quick={24: 3_000}),
    Experiment(
        "two cliques",
        "barbell(clique=24, path=0)",
        full={48: 3_000},
        quick={48: 1_000},
        rounds=200,
    ),
    Experiment(
        "committed share",
        "complete(n={n})",
        full={share / 1_000: 100 for share in range(86, 107, 2)},
        quick={share / 1_000: 20 for share in range(88, 105, 4)},
        rounds=1_000,
        agents=2_000,
        committed=True,
    ),
    Experiment(
        "committed few",
        "complete(n={n})",
        full=dict.fromkeys(_FEW, 10_000),
        quick=dict.fromkeys(_FEW, 1_000),
        rounds=30,
        agents=24,
        committed=True,
    ),
)


@dataclass(frozen=True)
class Claim:
    """A published or exact number, and what to compare with it.

    ``statistic`` of the runs of ``experiment`` (at ``x``, or over all x) is compared with
    ``published``. They agree where its 95% interval overlaps ``low`` to ``high``. ``what`` fits a
    column of a table; ``detail`` adds to it.
    """

    what: str
    detail: str
    experiment: str
    statistic: str
    published: float
    low: float
    high: float
    source: str
    x: float | None = None


def _claims() -> Iterator[Claim]:
    exponents = (
        ("complete", 1.5, 1.5, MEAN_FIELD),
        ("ring", 3.0, 1.0, COARSENING),
        ("torus", 2.0, 1.0, COARSENING),
        ("Erdős-Rényi", 1.4, 1.0, NETWORKS),
        ("Barabási-Albert", 1.4, 1.0, NETWORKS),
    )
    for graph, time, _, source in exponents:
        what, detail = f"time exponent, {graph}", "of interactions to consensus by agents"
        yield Claim(what, detail, graph, "time exponent", time, time - 0.1, time + 0.1, source)
    for graph, _, peak, source in exponents:
        what, detail = f"peak words exponent, {graph}", "of the most words by agents"
        yield Claim(what, detail, graph, "peak exponent", peak, peak - 0.05, peak + 0.05, source)
    slower, detail = "direct over reverse, Barabási-Albert", "times slower, 1,000 agents"
    yield Claim(slower, detail, "Barabási-Albert", "slower than reverse", 5, 4, 6, REFERENCE, 1_000)
    mean, detail = "mean interactions, 24 agents", "to consensus, complete graph"
    yield Claim(mean, detail, "24 agents", "mean time", 361, 358, 364, REFERENCE, 24)
    apart, detail = "no consensus, two cliques of 24", "share of runs of 200 rounds"
    yield Claim(
        apart, detail, "two cliques", "share without consensus", 0.98, 0.98, 1, REFERENCE, 48
    )
    critical, detail = "critical committed share", "2,000 agents, complete graph"
    yield Claim(
        critical, detail, "committed share", "critical share", 0.098, 0.085, 0.11, MINORITIES
    )
    for count, share in EXACT_FLIPS.items():
        what, detail = f"flipped, {count} of 24 committed", "share of runs of 30 rounds"
        low, high = share - 0.01, share + 0.01
        statistic = "share with consensus"
        yield Claim(what, detail, "committed few", statistic, share, low, high, EXACT, count)


CLAIMS = tuple(_claims())


class Found(NamedTuple):
    """What was measured for a claim, with its 95% interval, in how many runs and at which x."""

    claim: Claim
    here: float
    low: float
    high: float
    runs: int
    xs: tuple[float, ...]

    @property
    def agrees(self) -> bool:
        """Whether the interval overlaps what the claim allows."""
        return self.low <= self.claim.high and self.high >= self.claim.low


def play_experiments(
    seed: int,
    quick: bool = False,
    workers: int = 1,
    report: Report = lambda *_: None,
    experiments: Sequence[Experiment] = EXPERIMENTS,
) -> pd.DataFrame:
    """Play all runs of some experiments.

    Parameters
    ----------
    seed : int
        The seed of all runs, from 0 to 2**64 - 1.
    quick : bool
        Whether to play fewer and smaller runs. Default False.
    workers : int
        The number of threads, which the compiled loop lets run side by side. Default 1.
    report : callable, optional
        Called with the current experiment, the runs done, and the runs in total.
    experiments : sequence of Experiment
        What to play. Default ``EXPERIMENTS``.

    Returns
    -------
    pandas.DataFrame
        One row per run with the columns experiment, x, run, and those of ``run_classical``.
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
    runs: pd.DataFrame, claims: Sequence[Claim] = CLAIMS, resamples: int = RESAMPLES
) -> list[Found]:
    """Measure every claim in runs of ``play_experiments``.

    Exponents are slopes of log median time, or log mean peak, on log size, by least squares: the
    median because on a torus a few runs take several times as long as the others.

    Parameters
    ----------
    runs : pandas.DataFrame
        The table that ``play_experiments`` returns.
    claims : sequence of Claim
        What to measure. Default ``CLAIMS``.
    resamples : int
        Bootstrap resamples, of the runs at each x separately; intervals are their percentiles.
        Default 1,000.

    Returns
    -------
    list of Found
        One for each claim, in their order.
    """
    found = []
    for claim in claims:
        rows = runs[runs["experiment"] == claim.experiment]
        if claim.x is not None:
            rows = rows[np.isclose(rows["x"], claim.x)]
        if claim.statistic == "slower than reverse":  # sorts after the others by its label
            reverse = runs["experiment"] == f"{claim.experiment}, reverse"
            rows = pd.concat([rows, runs[reverse]])
        by_x = list(rows.groupby(["experiment", "x"]))
        xs = np.array([key[1] for key, _ in by_x])
        groups = [_Runs.of(group) for _, group in by_x]
        statistic = STATISTICS[claim.statistic]
        chance = np.random.default_rng(0)
        samples = [
            statistic(xs, [group.resampled(chance) for group in groups]) for _ in range(resamples)
        ]
        low, high = np.quantile(samples, [0.025, 0.975]).tolist()
        xs_measured = tuple(dict.fromkeys(xs.tolist()))
        found.append(Found(claim, statistic(xs, groups), low, high, len(rows), xs_measured))
    return found


def table(found: Sequence[Found]) -> pd.DataFrame:
    """Return one row per claim: what is published, what was measured here, and in which runs.

    The columns are what, detail, published, here, low, high, agrees, allowed_low, allowed_high,
    x_from, x_to, runs and source. ``agrees`` is whether the interval from ``low`` to ``high``
    overlaps ``allowed_low`` to ``allowed_high``; ``x_from`` to ``x_to`` are sizes, or what else was
    varied.
    """
    return pd.DataFrame(
        [
            {
                "what": one.claim.what,
                "detail": one.claim.detail,
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


def points(runs: pd.DataFrame) -> pd.DataFrame:
    """Return median time and mean peak for each graph and size: graph, agents, time, peak."""
    labels = [one.experiment for one in CLAIMS if one.statistic == "time exponent"]
    rows = runs[runs["experiment"].isin(labels)]
    groups = rows.groupby(["experiment", "x"], sort=False)
    found = groups.agg(time=("interactions", "median"), peak=("peak_words", "mean")).reset_index()
    return found.rename(columns={"experiment": "graph", "x": "agents"})


def shares(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the share of runs that flip by committed share: share, consensus, low, high."""
    rows = runs[runs["experiment"] == "committed share"]
    found = rows.groupby("x")["converged"].agg(["sum", "count"]).reset_index()
    low, high = wilson_interval(found["sum"], found["count"])
    consensus = found["sum"] / found["count"]
    return pd.DataFrame({"share": found["x"], "consensus": consensus, "low": low, "high": high})


def power_law(xs: Floats, values: Floats) -> tuple[float, float]:
    """Return exponent and factor of the power law through the points, by least squares of logs."""
    x, y = np.log(xs), np.log(values)
    exponent = float(np.cov(x, y, bias=True)[0, 1] / np.var(x))
    return exponent, float(np.exp(y.mean() - exponent * x.mean()))


class _Runs(NamedTuple):
    """The runs at one x."""

    interactions: Floats
    peak: Floats
    converged: Floats

    @classmethod
    def of(cls, rows: pd.DataFrame) -> _Runs:
        return cls(*(rows[name].to_numpy(float) for name in _RUN_COLUMNS))

    def resampled(self, chance: np.random.Generator) -> _Runs:
        drawn = chance.integers(0, len(self.interactions), len(self.interactions))
        return _Runs(*(column[drawn] for column in self))


_RUN_COLUMNS = ("interactions", "peak_words", "converged")


def _time_exponent(xs: Floats, groups: Sequence[_Runs]) -> float:
    return power_law(xs, np.array([np.median(one.interactions) for one in groups]))[0]


def _peak_exponent(xs: Floats, groups: Sequence[_Runs]) -> float:
    return power_law(xs, np.array([one.peak.mean() for one in groups]))[0]


def _ratio_of_times(_: Floats, groups: Sequence[_Runs]) -> float:
    return float(groups[0].interactions.mean() / groups[1].interactions.mean())


def _critical_share(xs: Floats, groups: Sequence[_Runs]) -> float:
    """Return the share at which half the runs reach consensus, linearly between grid points."""
    reached = np.maximum.accumulate([one.converged.mean() for one in groups])
    return float(np.interp(0.5, reached + 1e-9 * np.arange(len(reached)), xs))


STATISTICS: dict[str, Callable[[Floats, Sequence[_Runs]], float]] = {
    "time exponent": _time_exponent,
    "peak exponent": _peak_exponent,
    "mean time": lambda _, groups: float(groups[0].interactions.mean()),
    "slower than reverse": _ratio_of_times,
    "share with consensus": lambda _, groups: float(groups[0].converged.mean()),
    "share without consensus": lambda _, groups: float(1 - groups[0].converged.mean()),
    "critical share": _critical_share,
}
