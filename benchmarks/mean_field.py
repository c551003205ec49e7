"""Seconds for one mean-field trajectory, against one simulated run of 10,000 agents.

``python -m benchmarks.mean_field`` prints one JSON object per line and case::

    case           what is worked out, with how many memories
    first          of the first time in a new process, the fastest repeat
    seconds        of later times, the median over the repeats
    lowest         the fastest repeat
    highest        the slowest one
    reference      of the run, the median, measured between the repeats
    ratio          the median of seconds / reference, each pair measured one after the other

All are of processor time, after everything is imported, with warm file caches. The first time, the
recorded mind is read from its file, works out its chances for each memory, which it keeps, and it
is found which memories there are. The run is of the same mind, names, memory and rounds, compiled,
with everything loaded, on a random graph where each of 10,000 agents has 100 neighbours: a complete
one has 50 million edges.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.mean_field.critical import critical_share
from mesa_llm_norms.mean_field.dynamics import mean_field
from mesa_llm_norms.mean_field.equilibria import fixed_points
from mesa_llm_norms.simulation.kernel import Kernel
from mesa_llm_norms.simulation.run import Run
from mesa_llm_norms.simulation.spec import Spec

AGENTS, DEGREE, ROUNDS = 10_000, 100, 30
MIND, NAMES, MEMORY = "claude-3.5-sonnet", "QM", 5


def cases() -> dict[str, Callable[[], Any]]:
    """Return what is measured, by what it is called."""
    return {
        "trajectory, 30 rounds, 1,365 memories": lambda: mean_field(
            MIND, NAMES, MEMORY, rounds=ROUNDS
        ),
        "fixed points, 1,365 memories": lambda: fixed_points(MIND, NAMES, MEMORY),
        "critical share, 1,365 memories": lambda: critical_share(MIND, NAMES, MEMORY),
        "trajectory, three names, 30 rounds, 7,381 memories": lambda: mean_field(
            MIND, "QMX", 4, rounds=ROUNDS
        ),
    }


def seconds(call: Callable[[], Any]) -> float:
    """Return how much processor time a call takes."""
    start = time.process_time()
    call()
    return time.process_time() - start


def first_seconds(case: str) -> float:
    """Return the same of the first time in a new process."""
    code = f"from benchmarks.mean_field import cases, seconds; print(seconds(cases()[{case!r}]))"
    command = [sys.executable, "-c", code]
    return float(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def simulate(spec: Spec, run: int) -> Callable[[], Any]:
    """Return what plays a run that is made ready."""
    game_run = Run(Kernel.of_initial_state(spec.initial_state(run)), ())
    return lambda: game_run.play_to(Goal(None), ROUNDS)


def measure(case: str, spec: Spec, repeats: int) -> dict[str, Any]:
    """Return the line of one case."""
    call = cases()[case]
    firsts = [first_seconds(case) for _ in range(repeats)]
    call()
    taken, references = [], []
    for run in range(repeats):
        taken.append(seconds(call))
        references.append(seconds(simulate(spec, run)))
    ratio = statistics.median(one / other for one, other in zip(taken, references, strict=True))
    return {
        "case": case,
        "first": round(min(firsts), 4),
        "seconds": round(statistics.median(taken), 4),
        "lowest": round(min(taken), 4),
        "highest": round(max(taken), 4),
        "reference": round(statistics.median(references), 4),
        "ratio": round(ratio, 2),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every case and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mean_field", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--repeats", type=int, default=7, help="per case (default 7)")
    given = parser.parse_args(arguments)
    graph = Spec(graph=f"random_regular(n={AGENTS}, d={DEGREE})", seed=1).initial_state().graph
    spec = Spec(graph=graph, names=NAMES, mind=MIND, memory=MEMORY, seed=1)
    simulate(spec, 0)()
    for case in cases():
        print(json.dumps(measure(case, spec, given.repeats)), flush=True)


if __name__ == "__main__":
    main()
