"""Interactions per second of the compiled kernel on one core, against the same loop in C.

``python -m benchmarks.kernel`` prints one JSON object per line and size::

    agents         how many, on a random graph where each has six neighbours
    per_second     interactions per second, the median over the repeats
    lowest         the slowest repeat
    highest        the fastest one
    reference      interactions per second of benchmarks/loop.c, measured between the repeats
    ratio          the median of per_second / reference, each pair measured one after the other
    target         the ratio asked for, at 1,000 agents
    met            whether the ratio reaches it

Two names, a memory of five, and a mind without preferences, so that agents wander through all
1,365 states and the stopping rule, which is on, never applies; rounds are counted. Both play the
same interactions from the same tables, and the counts of every round must agree. The C loop is
timed with draws by a hash of the interaction's number, as the kernel has them, and with a
generator's; the faster of the two is the reference. Without a C compiler (cc) there is none.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.simulation.kernel import Kernel
from mesa_llm_norms.simulation.run import Run
from mesa_llm_norms.simulation.spec import InitialState, Spec

SIZES = (24, 1_000, 100_000, 1_000_000)
DEGREE = 6
TARGET = {1_000: 0.7}
SOURCE = Path(__file__).with_name("loop.c")


def ready(agents: int) -> InitialState:
    """Return the population that is played."""
    graph = f"random_regular(n={agents}, d={DEGREE})"
    return Spec(graph=graph, names="QM", mind="uniform", seed=1).initial_state()


def of_kernel(initial: InitialState, rounds: int) -> tuple[float, Any]:
    """Play ``rounds`` rounds; return interactions per second, and the counts of the rounds."""
    game_run = Run(Kernel.of_initial_state(initial), ())
    start = time.process_time()
    tally = game_run.play_to(Goal("converged"), rounds)
    taken = time.process_time() - start
    return game_run.engine.interactions / taken, tally.counts


def compiled(folder: Path) -> Any:
    """Return the C loop, or None where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    library = folder / "loop.so"
    subprocess.run(
        [compiler, "-O3", "-march=native", "-shared", "-fPIC", "-o", library, SOURCE], check=True
    )
    loop = ctypes.CDLL(str(library)).play
    loop.restype = ctypes.c_int64
    return loop


def nexts_of(memories: int) -> Any:
    """Return what each packed memory becomes by the four outcomes of an interaction."""
    full = memories // 2
    grown = (np.arange(memories)[:, None] << 2) + np.arange(4)
    return np.where(grown < memories, grown, grown % full + full).astype(np.int32)


def of_c(loop: Any, initial: InitialState, rounds: int, counter: bool) -> tuple[float, Any]:
    """Play the same in C, with draws by counter or not; return the same two."""
    kernel = Kernel.of_initial_state(initial)
    neighbors, steps = initial.neighbors, kernel.known.known.steps
    size = 3 * len(neighbors)
    states, ring = kernel.states.astype(np.uint32), np.zeros(size, np.uint8)
    counts = np.zeros((rounds, 2), np.int64)
    arrays = [
        np.ascontiguousarray(array)
        for array in (neighbors.indptr, neighbors.indices, states, steps, nexts_of(len(steps)))
    ]
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (*arrays, counts, ring)]
    start = time.process_time()
    played = loop(
        ctypes.c_uint64(initial.stream.key),
        int(counter),
        ctypes.c_int64(len(neighbors)),
        *pointers[:5],
        ctypes.c_int64(rounds),
        *pointers[5:],
        ctypes.c_int64(size),
        ctypes.c_int64(size),
    )
    return played / (time.process_time() - start), counts


def measure(agents: int, repeats: int, interactions: int, loop: Any) -> dict[str, Any]:
    """Return the line of one size."""
    initial, rounds = ready(agents), max(1, interactions // agents)
    _, expected = of_kernel(initial, rounds)  # works out what the mind plays, too
    calls: list[Callable[[], tuple[float, Any]]] = []
    if loop is not None:
        calls = [lambda by=by: of_c(loop, initial, rounds, by) for by in (True, False)]  # type: ignore[misc]
        counts = calls[0]()[1]
        if not np.array_equal(counts, expected[:, [1, 3]]):
            raise SystemExit("the C loop and the kernel do not play the same interactions")
    speeds, references = [], []
    for _ in range(repeats):
        speeds.append(of_kernel(initial, rounds)[0])
        references.append(max((call()[0] for call in calls), default=float("nan")))
    ratio = statistics.median(a / b for a, b in zip(speeds, references, strict=True))
    target = TARGET.get(agents)
    known = loop is not None
    return {
        "agents": agents,
        "per_second": round(statistics.median(speeds)),
        "lowest": round(min(speeds)),
        "highest": round(max(speeds)),
        "reference": round(statistics.median(references)) if known else None,
        "ratio": round(ratio, 3) if known else None,
        "target": target,
        "met": ratio >= target if known and target is not None else None,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every size and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernel", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--repeats", type=int, default=7, help="per size (default 7)")
    parser.add_argument(
        "--interactions", type=int, default=20_000_000, help="per repeat (default 20 million)"
    )
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=SIZES, help="agents (default 24 to 1,000,000)"
    )
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        loop = compiled(Path(folder))
        if loop is None:
            print("no C compiler (cc) found, so there is no reference", file=sys.stderr)
        for agents in given.sizes:
            line = measure(agents, given.repeats, given.interactions, loop)
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
