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
from mesa_llm_norms.core.game import Game
from mesa_llm_norms.errors import NormsError
from mesa_llm_norms.llm import LLMSettings
from mesa_llm_norms.minds import (
    Decision,
    Mind,
    Policy,
    ScriptedMind,
    TableMind,
    load_mind,
    mind_names,
    register_mind,
    register_provider,
)
from mesa_llm_norms.model import NamingGame
from mesa_llm_norms.networks import Neighbors, topologies
from mesa_llm_norms.simulation.ensemble import run_ensemble
from mesa_llm_norms.simulation.pairing import Pairing

if TYPE_CHECKING:
    from mesa_llm_norms.classical import ClassicalGame, run_classical
    from mesa_llm_norms.experiments import (
        Intervention,
        audit,
        compare_interventions,
        sweep,
        tip,
    )
    from mesa_llm_norms.reproduction import reproduce

__all__ = [
    "ClassicalGame",
    "Decision",
    "Game",
    "Intervention",
    "LLMSettings",
    "Mind",
    "NamingAgent",
    "NamingGame",
    "Neighbors",
    "NormsError",
    "Pairing",
    "Policy",
    "ScriptedMind",
    "TableMind",
    "audit",
    "compare_interventions",
    "load_mind",
    "mind_names",
    "register_mind",
    "register_provider",
    "reproduce",
    "run_classical",
    "run_ensemble",
    "sweep",
    "tip",
    "topologies",
]

_ON_USE = {
    "ClassicalGame": "classical",
    "Intervention": "experiments",
    "audit": "experiments",
    "compare_interventions": "experiments",
    "reproduce": "reproduction",
    "run_classical": "classical",
    "sweep": "experiments",
    "tip": "experiments",
}
"""What is imported from where when it is first used: models and ensembles do without it."""


def __getattr__(name: str) -> Any:
    if name in _ON_USE:
        return getattr(import_module(f"{__name__}.{_ON_USE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
