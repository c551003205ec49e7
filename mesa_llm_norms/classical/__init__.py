"""The classical (minimal) naming game of Baronchelli et al. (2006): a baseline to trust.

Agents have inventories of words instead of minds; see ``classical.game`` for the rules::

    from mesa_llm_norms.classical import ClassicalGame, run_classical

    model = ClassicalGame(graph="ring(n=24)", rng=7)
    model.run()
    run_classical(graph="ring(n=24)", runs=100, rng=7).runs
"""

from mesa_llm_norms.classical.engine import (
    ClassicalAgent,
    ClassicalEnsemble,
    ClassicalRound,
    run_classical,
)
from mesa_llm_norms.classical.game import ClassicalOutcome, ClassicalSpec, Talker, Utterance
from mesa_llm_norms.classical.model import ClassicalGame

__all__ = [
    "ClassicalAgent",
    "ClassicalEnsemble",
    "ClassicalGame",
    "ClassicalOutcome",
    "ClassicalRound",
    "ClassicalSpec",
    "Talker",
    "Utterance",
    "run_classical",
]
