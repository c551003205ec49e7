"""Dall'Asta and others (2006): how long the classical game takes on complex networks."""

from __future__ import annotations

from mesa_llm_norms.analysis.intervals import Estimate, share_difference
from mesa_llm_norms.classical.published import (
    CLAIMS,
    EXPERIMENTS,
    Found,
    compare,
    play_experiments,
    points,
)
from mesa_llm_norms.reproduction.papers.paper import (
    BOOTSTRAP,
    MORE,
    Finding,
    Panel,
    Paper,
    Result,
    Series,
    Setting,
)

COMPLEX, LATTICES = ("Erdős-Rényi", "Barabási-Albert"), ("ring", "torus")
COMMUNITIES, COMPLETE = "two cliques", "24 agents"

TIME, ERROR = 1.4, 0.1
"""Interactions to consensus grow as this power of the number of agents, plus or minus ``ERROR``."""

WORDS = 1.0
"""The most words there are at a time grow linearly."""


def play(setting: Setting) -> Result:
    """Play the classical game on networks of growing size."""
    labels = (*COMPLEX, *LATTICES, COMMUNITIES, COMPLETE)
    runs = play_experiments(
        setting.seed,
        setting.quick,
        setting.workers,
        setting.report,
        [one for one in EXPERIMENTS if one.label in labels],
    )
    claims = [one for one in CLAIMS if one.experiment in (*COMPLEX, *LATTICES)]
    found = {
        (one.claim.experiment, one.claim.statistic): one
        for one in compare(runs, [one for one in claims if one.statistic.endswith("exponent")])
    }
    findings = []
    for graph in COMPLEX:
        time, words = found[graph, "time exponent"], found[graph, "peak exponent"]
        findings += [
            _exponent(time, "interactions to consensus", TIME, ERROR),
            _exponent(words, "most words at a time", WORDS, 0.05),
        ]
    for lattice in LATTICES:
        for graph in COMPLEX:
            slow, fast = found[lattice, "time exponent"], found[graph, "time exponent"]
            findings.append(
                Finding(
                    "classical",
                    f"{lattice} over {graph}: difference of the exponents of time",
                    Estimate(slow.here - fast.here, slow.low - fast.high, slow.high - fast.low),
                    f"{BOOTSTRAP}, both intervals added up",
                    "far faster than on lattices",
                    MORE,
                    slow.runs + fast.runs,
                )
            )
    rows = {label: runs[runs["experiment"] == label] for label in (COMMUNITIES, COMPLETE)}
    apart, mixed = (
        (int((it["interactions"] >= 200 * it["x"]).sum()), len(it)) for it in rows.values()
    )
    findings.append(
        Finding(
            "classical",
            "two cliques over one: difference of the shares of runs without consensus in 200 "
            "rounds",
            share_difference(apart, mixed),
            "Newcombe's interval",
            "metastable where there are communities",
            MORE,
            apart[1] + mixed[1],
        )
    )
    table = points(runs)
    panels = tuple(
        Panel(
            title,
            "agents",
            "",
            tuple(
                Series(str(graph), rows["agents"].tolist(), rows[column].tolist())
                for graph, rows in table.groupby("graph", sort=False)
                if graph in (*COMPLEX, *LATTICES)
            ),
            log_x=True,
            log_y=True,
        )
        for column, title in (
            ("time", "Interactions to consensus (median)"),
            ("peak", "Most words at a time (mean)"),
        )
    )
    notes = (
        "Exponents are slopes through sizes that were played; the paper's are those of larger "
        "ones. The paper states that of words in a word, linearly.",
        "That hubs need the largest inventories, which the paper states too, is not measured.",
    )
    return Result(tuple(findings), panels, notes, table)


def _exponent(found: Found, what: str, published: float, error: float) -> Finding:
    return Finding(
        "classical",
        f"{found.claim.experiment}: exponent of {what}",
        Estimate(found.here, found.low, found.high),
        BOOTSTRAP,
        published,
        (published - error, published + error),
        found.runs,
    )


PAPER = Paper(
    "dallasta2006",
    "Dall'Asta, Baronchelli, Barrat and Loreto (2006), Phys. Rev. E 74, 036105",
    "consensus in the classical game on random and scale-free networks, lattices, two cliques",
    "3 min",
    play,
)
