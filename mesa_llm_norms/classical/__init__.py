"""The classical (minimal) naming game of Baronchelli et al. (2006), as a baseline.

Agents have inventories of words instead of minds; see ``classical.game`` for the rules::

    from mesa_llm_norms.classical import ClassicalGame, run_classical

    model = ClassicalGame(graph="ring(n=24)", rng=7)
    model.run()
    run_classical(graph="ring(n=24)", runs=100, rng=7).runs
"""

from mesa_llm_norms.classical.engine import ClassicalRound
from mesa_llm_norms.classical.ensemble import ClassicalEnsemble, run_classical
from mesa_llm_norms.classical.game import ClassicalOutcome, Utterance
from mesa_llm_norms.classical.groups import run_groups, takeovers
from mesa_llm_norms.classical.model import ClassicalAgent, ClassicalGame

__all__ = [
    "ClassicalAgent",
    "ClassicalEnsemble",
    "ClassicalGame",
    "ClassicalOutcome",
    "ClassicalRound",
    "Utterance",
    "run_classical",
    "run_groups",
    "takeovers",
]
