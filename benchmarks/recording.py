"""What an adaptive recording costs, and how far its populations are from the true ones.

``python -m benchmarks.recording`` records a recorded mind, Llama 3 70B without its drift, as if it
were live: ten names, memory 5, 24 agents. It prints how many memories 1,000 populations of the mind
visit, then one JSON object per stage::

    memories       how many were asked about, and
    share          as a share of those visited
    calls          how many there were
    success        the largest difference of mean success rates in any round,
    winners        the total variation of the names that win, and
    time           the Kolmogorov-Smirnov distance of convergence times, all against the true mind

then the same distances between two sets of true populations, which is what chance makes of them.
``--picture FILE`` draws error against cost. Takes two minutes of processor time.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from mesa_llm_norms import load_mind
from mesa_llm_norms.experiments.recording.populations import outcomes, visits
from mesa_llm_norms.experiments.recording.recorder import plan_recording, run_recording
from mesa_llm_norms.minds.recorded import RecordedMind
from mesa_llm_norms.networks.drawing import OKABE_ITO
from mesa_llm_norms.plots.style import bare_axes, write_figure
from mesa_llm_norms.testing import FakeProvider

NAMES = "QMXYFJPRCD"
MEMORY = 5
VISITORS = 1_000
DISTANCES = {"success": "success rate", "winners": "winners", "time": "convergence time"}


def true_mind() -> RecordedMind:
    """Return the mind that is recorded, the same in every run."""
    found = load_mind("llama-3-70b-instruct")
    assert isinstance(found, RecordedMind)
    return RecordedMind("truth", found.weights, found.counts, found.prior_strength)


def draw(stages: Sequence[Mapping[str, float]], chance: Mapping[str, float], file: Path) -> None:
    """Draw how far populations are off by how much was asked, beside what chance makes of it."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    asked = [100 * stage["share"] for stage in stages]
    for (name, said), color in zip(DISTANCES.items(), OKABE_ITO, strict=False):
        axes.plot(asked, [stage[name] for stage in stages], "o-", color=color, label=said)
        axes.axhline(chance[name], color=color, linestyle=":", linewidth=1)
    axes.set(xscale="log", yscale="log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("memories asked about, in % of those that 1,000 populations visit")
    axes.set_ylabel("distance from true populations (dotted: chance)")
    axes.legend(frameon=False)
    bare_axes(axes)
    write_figure(figure, file)


def main() -> None:
    """Record, and print what each stage cost and how well it plays."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--picture", type=Path, help="PNG file for a picture of the distances")
    picture: Path | None = parser.parse_args().picture
    truth = true_mind()
    plan = plan_recording(FakeProvider(truth, distributions=True).mind(), NAMES, MEMORY, rng=3)
    real = outcomes(plan.spec(truth), plan.runs)
    visited = len(visits(plan.spec(truth), VISITORS, enough=10**9))
    print(json.dumps({"visited": visited}), flush=True)
    stages = []
    for step in run_recording(plan).steps:
        spent = {
            "memories": step.memories,
            "share": round(step.memories / visited, 5),
            "calls": step.questions,
        }
        away = step.populations.change(real)._asdict()
        stages.append({**spent, **{name: round(it, 4) for name, it in away.items()}})
        print(json.dumps(stages[-1]))
    again = outcomes(replace(plan.spec(truth), seed=99), plan.runs)
    chance = again.change(real)._asdict()
    print(json.dumps({"chance": chance}))
    if picture is not None:
        draw(stages, chance, picture)


if __name__ == "__main__":
    main()
