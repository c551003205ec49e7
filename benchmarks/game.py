"""Interactions per second of ``NamingGame`` in plain Python on one core.

``python -m benchmarks.game`` prints one JSON object per line and case::

    case           what was played
    per_second     interactions per second, the median over the repeats
    lowest         the slowest repeat
    highest        the fastest one
    reference      steps per second of a bare loop, measured between the repeats
    ratio          per_second / reference, which depends less on the machine than either
    target         what is asked for, and
    met            whether the median reaches it

Every repeat plays the same interactions of a new model, data collection included. The reference is
what no engine in Python can do without: a random number, a look-up by memory and a choice, for each
of the two agents.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from mesa_llm_norms import NamingGame

TARGET = 20_000
AGENTS = 24
REFERENCE_STEPS = 200_000

CASES: dict[str, dict[str, Any]] = {
    "complete, claude-3.5-sonnet, two names": {
        "graph": f"complete(n={AGENTS})",
        "names": "QM",
        "mind": "claude-3.5-sonnet",
    },
    "complete, llama-2-70b-chat, ten names": {
        "graph": f"complete(n={AGENTS})",
        "names": "QMXYFJPRCD",
        "mind": "llama-2-70b-chat",
    },
    "complete, llama-3.1-70b-instruct, two names": {
        "graph": f"complete(n={AGENTS})",
        "names": "QM",
        "mind": "llama-3.1-70b-instruct",
    },
    "ring, claude-3.5-sonnet, two names": {
        "graph": f"ring(n={AGENTS}, k=4)",
        "names": "QM",
        "mind": "claude-3.5-sonnet",
    },
    "complete, claude-3.5-sonnet, two names, matching": {
        "graph": f"complete(n={AGENTS})",
        "names": "QM",
        "mind": "claude-3.5-sonnet",
        "pairing": "matching",
    },
}


def play(case: dict[str, Any], rounds: int) -> float:
    """Return the interactions per second of one new model."""
    model = NamingGame(rng=1, **case)
    start = time.perf_counter()
    model.run(rounds=rounds, until=None)
    return model.interactions / (time.perf_counter() - start)


def reference() -> float:
    """Return the steps per second of a bare loop: two draws, two look-ups, two choices each."""
    chance = random.Random(1)
    table = {((0, 0),) * 4 + ((own, partner),): [2**31] for own in (0, 1) for partner in (0, 1)}
    memory = ((0, 0),) * 5
    start = time.perf_counter()
    for _ in range(REFERENCE_STEPS):
        own = bisect_right(table[memory], chance.getrandbits(32))
        partner = bisect_right(table[memory], chance.getrandbits(32))
        memory = ((0, 0),) * 4 + ((own, partner),)
    return REFERENCE_STEPS / (time.perf_counter() - start)


def measure(name: str, repeats: int, rounds: int) -> dict[str, Any]:
    """Return the line of one case."""
    play(CASES[name], rounds=10)
    measured = [(play(CASES[name], rounds), reference()) for _ in range(repeats)]
    speeds, references = ([pair[place] for pair in measured] for place in (0, 1))
    median = statistics.median(speeds)
    return {
        "case": name,
        "per_second": round(median),
        "lowest": round(min(speeds)),
        "highest": round(max(speeds)),
        "reference": round(statistics.median(references)),
        "ratio": round(median / statistics.median(references), 4),
        "target": TARGET,
        "met": median >= TARGET,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every case and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.game", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--repeats", type=int, default=5, help="models per case (default 5)")
    parser.add_argument("--rounds", type=int, default=1_000, help="rounds per model (default 1000)")
    given = parser.parse_args(arguments)
    for name in CASES:
        print(json.dumps(measure(name, given.repeats, given.rounds)), flush=True)


if __name__ == "__main__":
    main()
