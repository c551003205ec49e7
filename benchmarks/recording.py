"""What an adaptive recording costs, and how far its populations are from the true ones.

``python -m benchmarks.recording`` records a recorded mind, Llama 3 70B without its drift, as if it
were live: ten names, memory 5, 24 agents. It prints one JSON object per stage::

    memories       how many were asked about, and
    share          as a share of those that 1,000 populations of the mind visit
    calls          how many there were
    success        the largest difference of mean success rates in any round,
    winners        the total variation of the names that win, and
    time           the Kolmogorov-Smirnov distance of convergence times, all against the true mind

then the same distances between two sets of true populations, which is what chance makes of them.
Takes a few minutes.
"""

from __future__ import annotations

import json
from dataclasses import replace

from mesa_llm_norms import load_mind
from mesa_llm_norms.experiments.recording.populations import outcomes, visits
from mesa_llm_norms.experiments.recording.recorder import plan_recording, run_recording
from mesa_llm_norms.minds.recorded import RecordedMind
from mesa_llm_norms.testing import FakeProvider

NAMES = "QMXYFJPRCD"
MEMORY = 5
VISITORS = 1_000


def true_mind() -> RecordedMind:
    """Return the mind that is recorded, the same in every run."""
    found = load_mind("llama-3-70b-instruct")
    assert isinstance(found, RecordedMind)
    return RecordedMind("truth", found.weights, found.counts, found.prior_strength)


def main() -> None:
    """Record, and print what each stage cost and how well it plays."""
    truth = true_mind()
    plan = plan_recording(FakeProvider(truth, distributions=True).mind(), NAMES, MEMORY, rng=3)
    real = outcomes(plan.spec(truth), plan.runs)
    visited = len(visits(plan.spec(truth), VISITORS, enough=10**9))
    for step in run_recording(plan).steps:
        spent = {
            "memories": step.memories,
            "share": round(step.memories / visited, 5),
            "calls": step.questions,
        }
        away = step.populations.change(real)._asdict()
        print(json.dumps({**spent, **{name: round(it, 4) for name, it in away.items()}}))
    again = outcomes(replace(plan.spec(truth), seed=99), plan.runs)
    print(json.dumps({"chance": again.change(real)._asdict()}))


if __name__ == "__main__":
    main()
