"""How much memory populations take: the peak of a whole process, Python and its libraries included.

``python -m benchmarks.memory`` prints one JSON object per line and case::

    case           what was made and played
    peak_mb        most memory the process held at any time, in MB (10**6 bytes)
    reference      the same for a process that only imports what it needs
    bytes_each     what the case adds, per agent
    seconds        how long it took
    target         the peak asked for, and
    met            whether it stays below

Every case is a new process. Compiled code is taken from its cache, so run it twice the first time.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

CASES: dict[str, dict[str, Any]] = {
    "ensemble, 1,000,000 agents, degree 6, two names, 5 rounds": {
        "graph": "random_regular(n=1000000, d=6)",
        "names": "QM",
        "mind": "claude-3.5-sonnet",
        "rounds": 5,
        "target": 2_000,
    },
    "ensemble, 100,000 agents, degree 6, ten names, 5 rounds": {
        "graph": "random_regular(n=100000, d=6)",
        "names": "QMXYFJPRCD",
        "mind": "uniform",
        "rounds": 5,
    },
    "Mesa model, 2,000 agents, degree 6, two names, 5 rounds": {
        "graph": "random_regular(n=2000, d=6)",
        "names": "QM",
        "mind": "claude-3.5-sonnet",
        "rounds": 5,
        "mesa": True,
    },
}

_CODE = """
import json, resource, sys, time
from mesa_llm_norms import NamingGame, run_ensemble
from mesa_llm_norms.core.compiled import load
load("interactions"), load("randomness")
case, agents = json.loads(sys.argv[1]), 0
start = time.perf_counter()
if case:
    del case["target"]
    rounds, mesa = case.pop("rounds"), case.pop("mesa")
    if mesa:
        model = NamingGame(**case, rng=1)
        model.run(rounds=rounds, until=None)
        agents = len(model.agents)
    else:
        ensemble = run_ensemble(**case, rng=1, runs=1, rounds=rounds, until=None)
        agents = len(ensemble.held[0])
taken = time.perf_counter() - start
unit = 1 if sys.platform == "darwin" else 1024
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
print(json.dumps([peak, agents, taken]))
"""


def peak(case: dict[str, Any]) -> tuple[int, int, float]:
    """Return the bytes a process with this case held at most, how many agents, and the seconds."""
    command = [sys.executable, "-c", _CODE, json.dumps(case)]
    found = subprocess.run(command, capture_output=True, check=True, text=True)
    most, agents, seconds = json.loads(found.stdout)
    return most, agents, seconds


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every case and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.parse_args(arguments)
    peak({})
    bare, _, _ = peak({})
    for name, given in CASES.items():
        case = {"mesa": False, "target": None, **given}
        most, agents, seconds = peak(case)
        line = {
            "case": name,
            "peak_mb": round(most / 1e6),
            "reference": round(bare / 1e6),
            "bytes_each": round((most - bare) / agents),
            "seconds": round(seconds, 2),
            "target": case["target"],
            "met": most / 1e6 < case["target"] if case["target"] else None,
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
