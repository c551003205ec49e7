"""De Marzo, Castellano and Garcia (2024): groups agree where their members follow the majority."""

from __future__ import annotations

import pandas as pd

from mesa_llm_norms.core.randomness import mix
from mesa_llm_norms.experiments.cards.measures import HEARD, fit_conformity
from mesa_llm_norms.minds.mind import Mind, Policy
from mesa_llm_norms.minds.registry import STUDY_MINDS, load_mind
from mesa_llm_norms.reproduction.papers.paper import (
    EXACT,
    WILSON,
    Finding,
    Panel,
    Paper,
    Result,
    Series,
    Setting,
)
from mesa_llm_norms.reproduction.protocol import TWO
from mesa_llm_norms.reproduction.rows import exactly, share
from mesa_llm_norms.simulation.ensemble import Ensemble
from mesa_llm_norms.simulation.run_ensemble import run_ensemble

SMALL = {f"smollm2-135m-memory-{memory}": memory for memory in (1, 2, 3)}
"""Recorded minds that remember less than five interactions."""

MINDS = (*STUDY_MINDS, *SMALL, "uniform")
AGENTS, RUNS, ROUNDS = 24, 200, 100

TOGETHER, APART = (0.5, 1.0), (0.0, 0.5)
"""What share of populations agrees where a group is said to agree, and where it is not."""


def play(setting: Setting) -> Result:
    """Fit the majority force of every mind, and play populations of it."""
    findings, lines, rows = [], [], []
    for number, mind in enumerate(setting.minds):
        setting.report(mind, number, len(setting.minds))
        policy = load_mind(mind)
        assert isinstance(policy, Policy)
        memory = SMALL.get(mind, 5)
        force = fit_conformity(policy, TWO, memory)
        agreed = populations(policy, memory, setting, number).runs["agreed"]
        rows.append(
            {
                "mind": mind,
                "beta": force.beta,
                "field": force.field,
                "misfit": force.error,
                "agreed": agreed.mean(),
                "runs": len(agreed),
            }
        )
        follows = force.beta > 1
        findings += [
            Finding(mind, "majority force beta", exactly(force.beta), EXACT),
            Finding(
                mind,
                f"populations of {AGENTS} that agree in {ROUNDS} rounds",
                share(int(agreed.sum()), len(agreed)),
                WILSON,
                f"a group {'agrees' if follows else 'does not agree'} where beta is "
                f"{'above' if follows else 'below'} one",
                TOGETHER if follows else APART,
                len(agreed),
            ),
        ]
        lines.append(Series(f"{mind}: {force.beta:.2f}", HEARD.tolist(), list(force.response)))
    setting.report("", len(setting.minds), len(setting.minds))
    panel = Panel(
        f"Long-run response, and beta; {TWO[0]} and {TWO[1]}",
        f"partners play {TWO[0]}, share",
        f"plays {TWO[0]}",
        tuple(lines),
        shares=True,
        upright=0.5,
    )
    return Result(tuple(findings), (panel,), NOTES, pd.DataFrame(rows))


NOTES = (
    "In the paper a model is shown the opinions of the whole group. Here it meets one partner at a "
    "time, so beta is fitted to its long-run response to partners who play a name with constant "
    "probability, together with a field (see the mind cards). Where the table's misfit is large "
    "the response is no tanh.",
    "The paper finds that beta falls with the size of the group, up to a critical size. A partner "
    "at a time shows no size, so that is not played.",
)


def populations(
    mind: Mind,
    memory: int,
    setting: Setting,
    number: int,
    runs: int = RUNS,
    keep: bool = False,
) -> Ensemble:
    """Play populations with two names from empty memories, until they agree."""
    return run_ensemble(
        graph=f"complete(n={AGENTS})",
        names=TWO,
        mind=mind,
        memory=memory,
        runs=setting.runs(runs),
        rounds=ROUNDS,
        until="agreed",
        rng=mix(mix(setting.seed) + number),
        keep_interactions=keep,
    )


PAPER = Paper(
    "demarzo2024",
    "De Marzo, Castellano and Garcia (2024), arXiv 2409.02822",
    "the majority force beta of every recorded mind, and whether its groups agree",
    "10 s",
    play,
    minds=MINDS,
)
