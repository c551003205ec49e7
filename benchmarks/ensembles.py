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
ensemble draws them. A last line has a large population: its seconds and the peak of the process.
Without a C compiler (cc) there is no reference.
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
from typing import Any

import numpy as np

from mesa_llm_norms import NamingGame, run_ensemble
from mesa_llm_norms.simulation import memories
from mesa_llm_norms.simulation.memories import KnownMemories
from mesa_llm_norms.simulation.spec import Spec

SOURCE = Path(__file__).with_name("ensembles.c")
SEED = 1
ROUNDS = 1_000
TEN = "QMXYFJPRCD"
COMPLETE, SMALL_WORLD = "complete(n=24)", "watts_strogatz(n=24, k=4, p=0.1)"

CELLS = (
    ("claude-3.5-sonnet", "QM", COMPLETE),
    ("claude-3.5-sonnet", "QM", SMALL_WORLD),
    ("llama-3.1-70b-instruct", "QM", COMPLETE),
    ("claude-3.5-sonnet", TEN, COMPLETE),
    ("llama-2-70b-chat", TEN, COMPLETE),
    ("llama-3-70b-instruct", TEN, COMPLETE),
)
"""Minds, pools and networks; the third and the last drift, so every run has another mind."""

LARGE: dict[str, Any] = {"graph": "random_regular(n=100000, d=6)", "names": TEN, "rounds": 20}


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

    def __init__(self, library: Any, spec: Spec, runs: int) -> None:
        self._play = library.play
        self._play.restype = ctypes.c_int64
        self._starts = spec.starts(range(runs))
        self._minds: list[Any] = [one.minds[0] for one in self._starts]
        self._known = KnownMemories(spec.game, self._minds[:1], min(5, spec.game.memory)).known
        networks = [one.neighbors for one in self._starts]
        self._networks = networks if networks[0] is not networks[1] else networks[:1]

    def seconds(self, rounds: int) -> tuple[float, Any]:
        """Play all runs, of so many rounds in all; return seconds, interactions and rounds."""
        known, runs = self._known, len(self._starts)
        names, agents = known.names, len(self._networks[0])
        places = 2 << int(known.full) if known.full < 12 else 1 << 18
        keys, states = np.zeros(places, np.uint64), np.zeros(agents, np.uint64)
        table = np.zeros((places, names)), np.zeros((places, names), np.int64)
        given = (known.alone, known.own, known.strangers, known.counted, known.counts)
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

        def at(array: Any) -> Any:
            return ctypes.c_void_p(array.ctypes.data)

        start = time.process_time()
        self._play(
            *(ctypes.byref(mind), ctypes.c_int64(runs), at(keys_of_runs), at(powers)),
            *(int(np.ptp(powers) > 0), ctypes.c_int64(agents), ctypes.c_int64(len(self._networks))),
            *(at(indptr), at(entries), at(indices), ctypes.c_int64(ROUNDS), at(states), at(ring)),
            *(ctypes.c_int64(len(ring)), at(tally), at(found)),
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


def in_mesa(arguments: dict[str, Any], runs: int) -> float:
    """Return the interactions per second of Mesa models in plain Python."""
    played = 0
    start = time.process_time()
    for run in range(runs):
        game = NamingGame(**arguments, run=run)
        played += game.run(rounds=ROUNDS, engine="python").interactions
    return played / (time.process_time() - start)


def measure(
    mind: str, names: str, graph: str, runs: int, repeats: int, library: Any
) -> dict[str, Any]:
    """Return the line of one ensemble."""
    arguments: dict[str, Any] = {"mind": mind, "names": names, "graph": graph, "rng": SEED}
    run_ensemble(**arguments, runs=2, engine="kernel")  # which loads compiled code
    reference = None
    if library is not None:
        spec = Spec(mind=mind, names=names, graph=graph, seed=SEED)
        reference = Reference(library, spec, runs)
    taken, references, played = [], [], 0
    for _ in range(repeats):
        memories.forget()
        seconds, ensemble = timed(lambda: run_ensemble(**arguments, runs=runs))
        taken.append(seconds)
        played = int(ensemble.runs["interactions"].sum())
        if reference is not None:
            seconds, found = reference.seconds(len(ensemble.rounds))
            references.append(seconds)
            if not np.array_equal(found, ensemble.runs[["interactions", "rounds"]].to_numpy()):
                raise SystemExit("the C loop and the ensemble do not play the same interactions")
    seconds = statistics.median(taken)
    in_c = statistics.median(references) if references else float("nan")
    mesa = in_mesa(arguments, max(2, runs // 100))
    known = reference is not None
    return {
        "mind": mind,
        "names": len(names),
        "graph": graph,
        "runs": runs,
        "interactions": played,
        "per_second": round(played / seconds),
        "per_run_us": round(1e6 * seconds / runs, 1),
        "reference": round(played / in_c) if known else None,
        "ratio": round(in_c / seconds, 3) if known else None,
        "mesa": round(mesa),
        "faster": round(played / seconds / mesa),
    }


def large() -> dict[str, Any]:
    """Return the line of a large population."""
    seconds, _ = timed(lambda: run_ensemble(**LARGE, runs=1, until=None, rng=SEED))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_000
    return {**LARGE, "names": len(TEN), "seconds": round(seconds, 2), "peak_mb": round(peak)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every ensemble and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ensembles", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--runs", type=int, default=1_000, help="per ensemble (default 1000)")
    parser.add_argument("--repeats", type=int, default=3, help="per ensemble (default 3)")
    parser.add_argument("--large", action="store_true", help="only the large population")
    given = parser.parse_args(arguments)
    if given.large:
        print(json.dumps(large()), flush=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        library = compiled(Path(folder))
        if library is None:
            print("no C compiler (cc) found, so there is no reference", file=sys.stderr)
        for mind, names, graph in CELLS:
            line = measure(mind, names, graph, given.runs, given.repeats, library)
            print(json.dumps(line), flush=True)
    # In a process of its own, because of its peak.
    subprocess.run([sys.executable, "-m", "benchmarks.ensembles", "--large"], check=True)


if __name__ == "__main__":
    main()
