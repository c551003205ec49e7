"""What is known about the classical game, and by which runs it is measured here. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Any

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
