"""How norms form in groups of language models, and what the network they live on does to them.

Agents whose choices come from language models sit on a networkx graph and play the naming game, as
a Mesa model. Recorded minds, fitted to published decisions of real models, play offline::

    from mesa_llm_norms import NamingGame

    model = NamingGame(graph="ring(n=24)", names="QM", mind="claude-3.5-sonnet", rng=7)
    model.run()
    model.names_held
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mesa_llm_norms.agents import NamingAgent
from mesa_llm_norms.core.game import Game, Interaction, Memory, Remembered
from mesa_llm_norms.core.stopping import Outcome
from mesa_llm_norms.errors import (
    BudgetError,
    CallError,
    DecisionError,
    FileFormatError,
    GraphError,
    GraphWarning,
    InterruptionError,
    JournalError,
    MindError,
    NormsError,
    PairingError,
    PoolError,
    SkippedError,
    SpecError,
    TopologyError,
    WorkerError,
)
from mesa_llm_norms.minds import (
    CommittedMind,
    Decision,
    Mind,
    Policy,
    RecordedMind,
    ScriptedMind,
    Situation,
    TableMind,
    UniformMind,
    load_mind,
    mind_names,
    register_mind,
    register_provider,
)
from mesa_llm_norms.model import NamingGame
from mesa_llm_norms.networks.adjacency import Neighbors
from mesa_llm_norms.simulation.ensemble import Ensemble, run_ensemble
from mesa_llm_norms.simulation.pairing import Pairing

if TYPE_CHECKING:
    from mesa_llm_norms.classical import (
        ClassicalAgent,
        ClassicalEnsemble,
        ClassicalGame,
        ClassicalOutcome,
        run_classical,
    )
    from mesa_llm_norms.experiments.audits import Audit, audit
    from mesa_llm_norms.experiments.sweeps import Sweep, read_sweep, sweep
    from mesa_llm_norms.experiments.tipping import (
        Comparison,
        Intervention,
        Tipping,
        compare_interventions,
        tip,
    )

__all__ = [
    "Audit",
    "BudgetError",
    "CallError",
    "ClassicalAgent",
    "ClassicalEnsemble",
    "ClassicalGame",
    "ClassicalOutcome",
    "CommittedMind",
    "Comparison",
    "Neighbors",
    "Decision",
    "DecisionError",
    "Ensemble",
    "FileFormatError",
    "Game",
    "GraphError",
    "GraphWarning",
    "Interaction",
    "InterruptionError",
    "Intervention",
    "JournalError",
    "Memory",
    "Mind",
    "MindError",
    "NamingAgent",
    "NamingGame",
    "NormsError",
    "Outcome",
    "Pairing",
    "PairingError",
    "Policy",
    "PoolError",
    "RecordedMind",
    "Remembered",
    "ScriptedMind",
    "Situation",
    "SpecError",
    "Sweep",
    "TableMind",
    "Tipping",
    "TopologyError",
    "UniformMind",
    "SkippedError",
    "WorkerError",
    "audit",
    "compare_interventions",
    "load_mind",
    "mind_names",
    "read_sweep",
    "register_mind",
    "register_provider",
    "run_classical",
    "run_ensemble",
    "sweep",
    "tip",
]

_ON_USE = {
    "experiments.audits": ("Audit", "audit"),
    "classical": (
        "ClassicalAgent",
        "ClassicalEnsemble",
        "ClassicalGame",
        "ClassicalOutcome",
        "run_classical",
    ),
    "experiments.sweeps": ("Sweep", "read_sweep", "sweep"),
    "experiments.tipping": (
        "Comparison",
        "Intervention",
        "Tipping",
        "compare_interventions",
        "tip",
    ),
}
"""What is imported when it is first used: models and ensembles do without it."""


def __getattr__(name: str) -> Any:
    for package, names in _ON_USE.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{package}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
