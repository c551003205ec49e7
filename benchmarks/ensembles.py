"""Ensembles from call to table, against the same game in C and as a plain Mesa model.

``python -m benchmarks.ensembles`` prints one JSON object per line and ensemble::

    mind, names, graph    what is played
    runs, interactions    how many
    per_second            interactions per second, from the call to the tables
    per_run_us            the same per run, in microseconds
    reference             interactions per second of benchmarks/ensembles.c
    ratio                 per_second / reference
    mesa                  interactions per second of Mesa models in plain Python
    faster                per_second / mesa

Times are those of the processor, the median over the repeats, all in one process, with the
reference measured between the repeats and nothing learned before the first but compiled code. The C
loop plays the same interactions from the same utilities, with a table of known memories of its own,
and counts every round; that the counts agree is checked. It is given random networks, while an
ensemble draws them. A last line has a large population, played once, with the peak of its process
in megabytes. Without a C compiler (cc) there is no reference.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mesa_llm_norms import NamingGame, run_ensemble
from mesa_llm_norms.simulation import memories
from mesa_llm_norms.simulation.arguments import Until
from mesa_llm_norms.simulation.memories import KnownMemories
from mesa_llm_norms.simulation.spec import Spec

SOURCE = Path(__file__).with_name("ensembles.c")
SEED = 1
ROUNDS = 1_000
TEN = "QMXYFJPRCD"
PLAYED = 1 << 63
COMPLETE, SMALL_WORLD = "complete(n=24)", "watts_strogatz(n=24, k=4, p=0.1)"

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Cell(NamedTuple):
    """An ensemble: how many runs of how many rounds at most, and whether they stop before."""

    mind: str
    names: str
    graph: str
    runs: int = 1_000
    rounds: int = ROUNDS
    until: Until = "converged"

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of a game."""
        return {"mind": self.mind, "names": self.names, "graph": self.graph, "rng": SEED}


CELLS = (
    Cell("claude-3.5-sonnet", "QM", COMPLETE),
    Cell("claude-3.5-sonnet", "QM", SMALL_WORLD),
    Cell("llama-3.1-70b-instruct", "QM", COMPLETE),
    Cell("claude-3.5-sonnet", TEN, COMPLETE),
    Cell("llama-2-70b-chat", TEN, COMPLETE),
    Cell("llama-3-70b-instruct", TEN, COMPLETE),
    Cell("claude-3.5-sonnet", ALPHABET, "complete(n=200)", runs=20, rounds=100, until=None),
)
"""The minds of the third and the sixth drift, so every run has another mind."""

LARGE = Cell("claude-3.5-sonnet", TEN, "random_regular(n=100000, d=6)", 1, 20, None)


class Mind(ctypes.Structure):
    """The mind of ``ensembles.c``."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("names", "bits", "full")),
        *((name, ctypes.c_void_p) for name in ("alone", "own", "strangers")),
        ("counted", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("codes", "counts")),
        ("prior", ctypes.c_double),
        ("places", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("keys", "probabilities", "steps")),
    )


class Reference:
    """The C loop on one ensemble."""

    def __init__(self, library: Any, cell: Cell) -> None:
        self._cell = cell
        self._play = library.play
        self._play.restype = ctypes.c_int64
        spec = Spec(mind=cell.mind, names=cell.names, graph=cell.graph, seed=SEED)
        self._pool = spec.game.pool
        self._starts = spec.starts(range(cell.runs))
        self._minds: list[Any] = [one.minds[0] for one in self._starts]
        self._known = KnownMemories(spec.game, self._minds[:1], min(5, spec.game.memory)).known
        networks = {id(one.neighbors): one.neighbors for one in self._starts}
        self._networks = list(networks.values())

    def seconds(self, rounds: int) -> tuple[float, Any]:
        """Play all runs, of so many rounds in all; return seconds, interactions and rounds."""
        known, runs = self._known, len(self._starts)
        names, agents = known.names, len(self._networks[0])
        places = 2 << int(known.full) if known.full < 12 else 1 << 18
        keys, states = np.zeros(places, np.uint64), np.zeros(agents, np.uint64)
        table = np.zeros((places, names)), np.zeros((places, names), np.int64)
        there = np.flatnonzero(known.counted < PLAYED)
        there = there[np.argsort(known.counted[there])]
        given = (*self._minds[0].tables(self._pool), known.counted[there], known.counts[there])
        alone, own, strangers, codes, counts = map(np.ascontiguousarray, given)
        mind = Mind(
            *(names, int(known.bits), int(known.full)),
            *(alone.ctypes.data, own.ctypes.data, strangers.ctypes.data, len(codes)),
            *(codes.ctypes.data, counts.ctypes.data, known.prior[0], places),
            *(keys.ctypes.data, table[0].ctypes.data, table[1].ctypes.data),
        )
        keys_of_runs = np.array([one.stream.key for one in self._starts], np.uint64)
        powers = np.array([mind.inverse_temperature for mind in self._minds])
        indptr = np.concatenate([one.indptr for one in self._networks])
        indices = np.concatenate([one.indices for one in self._networks])
        entries = np.cumsum([0, *(len(one.indices) for one in self._networks)])
        tally = np.zeros((rounds, 2 + names), np.int64)
        found = np.zeros((runs, 2), np.int64)
        ring = np.zeros(3 * agents, np.uint8)

        needed = len(ring) if self._cell.until else len(ring) + 1

        def at(array: Any) -> Any:
            return ctypes.c_void_p(array.ctypes.data)

        start = time.process_time()
        self._play(
            *(ctypes.byref(mind), ctypes.c_int64(runs), at(keys_of_runs), at(powers)),
            *(int(np.ptp(powers) > 0), ctypes.c_int64(agents), ctypes.c_int64(len(self._networks))),
            *(at(indptr), at(entries), at(indices), ctypes.c_int64(self._cell.rounds), at(states)),
            *(at(ring), ctypes.c_int64(len(ring)), ctypes.c_int64(needed), at(tally), at(found)),
        )
        return time.process_time() - start, found


def compiled(folder: Path) -> Any:
    """Return the C library, or None where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    library = folder / "ensembles.so"
    options = ["-O3", "-march=native", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-lm"]
    subprocess.run([compiler, *options], check=True)
    return ctypes.CDLL(str(library))


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Return the processor's seconds that a call takes, and its result."""
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def in_mesa(cell: Cell) -> float:
    """Return the interactions per second of Mesa models in plain Python."""
    played = 0
    start = time.process_time()
    for run in range(max(1, cell.runs // 100)):
        game = NamingGame(**cell.arguments, run=run)
        played += game.run(rounds=cell.rounds, until=cell.until, engine="python").interactions
    return played / (time.process_time() - start)


def played_in(cell: Cell) -> Any:
    """Return the ensemble, with nothing known before."""
    memories.invalidate_memories()
    return run_ensemble(**cell.arguments, runs=cell.runs, rounds=cell.rounds, until=cell.until)


def measure(cell: Cell, repeats: int, library: Any, mesa: bool = True) -> dict[str, Any]:
    """Return the line of one ensemble."""
    # Which loads compiled code.
    run_ensemble(**{**cell.arguments, "graph": SMALL_WORLD}, runs=2, rounds=2, engine="kernel")
    reference = None if library is None else Reference(library, cell)
    taken, references, played, peak = [], [], 0, 0.0
    for _ in range(repeats):
        seconds, ensemble = timed(lambda: played_in(cell))
        taken.append(seconds)
        peak = peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_000
        played = int(ensemble.runs["interactions"].sum())
        if reference is not None:
            seconds, found = reference.seconds(len(ensemble.rounds))
            references.append(seconds)
            if not np.array_equal(found, ensemble.runs[["interactions", "rounds"]].to_numpy()):
                raise SystemExit("the C loop and the ensemble do not play the same interactions")
    seconds = statistics.median(taken)
    line: dict[str, Any] = {
        "mind": cell.mind,
        "names": len(cell.names),
        "graph": cell.graph,
        "runs": cell.runs,
        "interactions": played,
        "per_second": round(played / seconds),
        "per_run_us": round(1e6 * seconds / cell.runs, 1),
        "reference": None,
        "ratio": None,
    }
    if references:
        in_c = statistics.median(references)
        line |= {"reference": round(played / in_c), "ratio": round(in_c / seconds, 3)}
    if not mesa:
        return {**line, "seconds": round(seconds, 2), "peak_mb": round(peak)}
    in_python = in_mesa(cell)
    return {**line, "mesa": round(in_python), "faster": round(played / seconds / in_python)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every ensemble and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ensembles", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--runs", type=int, default=1_000, help="of the small ensembles (default 1000)"
    )
    parser.add_argument("--repeats", type=int, default=3, help="per ensemble (default 3)")
    parser.add_argument("--large", action="store_true", help="only the large population")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        library = compiled(Path(folder))
        if given.large:
            print(json.dumps(measure(LARGE, 1, library, mesa=False)), flush=True)
            return
        if library is None:
            print("no C compiler (cc) found, so there is no reference", file=sys.stderr)
        for cell in CELLS:
            fewer = cell._replace(runs=max(2, cell.runs * given.runs // 1_000))
            print(json.dumps(measure(fewer, given.repeats, library)), flush=True)
    # In a process of its own, because of its peak.
    subprocess.run([sys.executable, "-m", "benchmarks.ensembles", "--large"], check=True)


if __name__ == "__main__":
    main()
