"""How long a sweep takes: four minds on twelve topologies of 24 agents, half with ten names.

Each cell has 1,000 runs.

``python -m benchmarks.sweep`` prints one JSON object::

    cells, runs    how many, and how many runs in each
    seconds        for all of them, from the grid to the table of results
    per_run_ms     the same per run, in milliseconds on one of the workers
    reference      the milliseconds that one run takes in plain Python, here, on the first cells
    ratio          reference / per_run_ms
    target         the seconds asked for, and
    met            whether it stays below

Nothing is written. Compiled code is taken from its cache, so run it twice the first time.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence

from mesa_llm_norms import run_ensemble
from mesa_llm_norms.experiments.sweeps import sweep
from mesa_llm_norms.minds.registry import STUDY_MINDS

TARGET = 15
TOPOLOGIES = [
    "complete(n=24)",
    "ring(n=24)",
    "lattice(rows=4, columns=6)",
    "torus(rows=4, columns=6)",
    "star(n=24)",
    "wheel(n=24)",
    "random_regular(n=24, d=4)",
    "erdos_renyi(n=24, p=0.2)",
    "barabasi_albert(n=24, m=2)",
    "watts_strogatz(n=24, k=4, p=0.1)",
    "connected_caveman(cliques=4, size=6)",
    "stochastic_block(sizes=[12, 12], p_in=0.5, p_out=0.05)",
]


HALVES = {"QM": TOPOLOGIES[::2], "QMXYFJPRCD": TOPOLOGIES[1::2]}
"""The topologies that are played with each pool."""


def in_python(runs: int) -> float:
    """Return the milliseconds of one run in plain Python, over all cells."""
    start = time.perf_counter()
    for mind in STUDY_MINDS:
        for names, topologies in HALVES.items():
            for graph in topologies:
                run_ensemble(graph=graph, names=names, mind=mind, rng=1, runs=runs, engine="python")
    return (time.perf_counter() - start) * 1_000 / (runs * len(TOPOLOGIES) * len(STUDY_MINDS))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--runs", type=int, default=1_000, help="per cell (default 1000)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default 2)")
    given = parser.parse_args(arguments)
    start = time.perf_counter()
    cells = 0
    for names, topologies in HALVES.items():
        found = sweep(
            grid={"mind": list(STUDY_MINDS), "graph": topologies},
            names=names,
            runs=given.runs,
            rng=1,
            workers=given.workers,
        )
        cells += len(found.cells)
    seconds = time.perf_counter() - start
    per_run = seconds * 1_000 * given.workers / (cells * given.runs)
    plain = in_python(runs=2)
    line = {
        "cells": cells,
        "runs": given.runs,
        "seconds": round(seconds, 1),
        "per_run_ms": round(per_run, 2),
        "reference": round(plain, 2),
        "ratio": round(plain / per_run, 1),
        "target": TARGET,
        "met": seconds < TARGET,
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
