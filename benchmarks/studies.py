"""How long the studies take that play many ensembles: audits, tipping points and the like.

``python -m benchmarks.studies`` prints one JSON object per line and study::

    study        what is played
    runs         how many runs, or for a reproduction which share of them
    seconds      from the call to the result
    processor    the seconds of the processor, worker processes included

Each is played twice on a small scale first, so that compiled code is there. Names of studies choose
some of them. To compare with another version, run this file with that version on ``PYTHONPATH``.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from mesa_llm_norms.classical import run_classical
from mesa_llm_norms.experiments.audits import audit
from mesa_llm_norms.experiments.tipping import Intervention, compare_interventions, tip
from mesa_llm_norms.minds.registry import STUDY_MINDS
from mesa_llm_norms.reproduction.protocol import play_tasks, tasks
from mesa_llm_norms.reproduction.recorded import shipped

SMALL_WORLD = "watts_strogatz(n=24, k=4, p=0.1)"

INTERVENTIONS = (
    Intervention(committed=2),
    Intervention(committed=6, placement="hubs"),
    Intervention(memory=2),
    Intervention(committed=4, rewired=0.5),
    Intervention(committed=2, other="llama-3-70b-instruct", other_share=0.25),
)


def play_audit(runs: int) -> None:
    """Audit a mind with so many populations of every kind and size."""
    audit("claude-3.5-sonnet", runs=runs, rng=1)


def play_tip(runs: int) -> None:
    """Find the tipping points of both directions."""
    tip(runs=runs, rng=1)


def play_intervene(runs: int) -> None:
    """Compare five interventions."""
    compare_interventions("Q", "M", INTERVENTIONS, graph=SMALL_WORLD, runs=runs, rng=1)


def play_classical(runs: int) -> None:
    """Play the classical game with committed agents."""
    run_classical("complete(n=24)", "QM", incumbent="Q", committed={"M": 4}, runs=runs, rng=1)


def play_reproduce(share: float) -> None:
    """Play the experiments of a reproduction, or a share of them."""
    play_tasks(tasks(shipped(), STUDY_MINDS, share), 1)


STUDIES: dict[str, tuple[Callable[[Any], None], float, float]] = {
    "audit": (play_audit, 20, 1_000),
    "tip": (play_tip, 100, 2_000),
    "intervene": (play_intervene, 5, 500),
    "classical": (play_classical, 20, 5_000),
    "reproduce": (play_reproduce, 0.001, 1),
}
"""What plays, and on which scale first and then."""


def processor() -> float:
    """Return the seconds of the processor that this process and ended ones of its own took."""
    return sum(os.times()[:4])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("studies", nargs="*", help=f"some of {', '.join(STUDIES)} (default all)")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the runs (default 1)")
    given = parser.parse_args(arguments)
    for name in given.studies or STUDIES:
        play, few, many = STUDIES[name]
        many = many * given.scale if name == "reproduce" else max(few, round(many * given.scale))
        play(few)
        play(few)
        start, before = time.perf_counter(), processor()
        play(many)
        line = {"study": name, "runs": many, "seconds": round(time.perf_counter() - start, 2)}
        print(json.dumps({**line, "processor": round(processor() - before, 2)}), flush=True)


if __name__ == "__main__":
    main()
