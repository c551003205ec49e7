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

if TYPE_CHECKING:
    from mesa_llm_norms.agents import NamingAgent
    from mesa_llm_norms.classical import ClassicalGame, run_classical
    from mesa_llm_norms.core.game import Game
    from mesa_llm_norms.core.games import MatrixGame
    from mesa_llm_norms.errors import NormsError
    from mesa_llm_norms.experiments import (
        Intervention,
        audit,
        compare_interventions,
        record,
        sweep,
        tip,
    )
    from mesa_llm_norms.llm import LLM, LLMSettings
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
    from mesa_llm_norms.model import NamingGame, NetworkGame
    from mesa_llm_norms.networks import Neighbors, topologies
    from mesa_llm_norms.reproduction import reproduce
    from mesa_llm_norms.simulation.pairing import Pairing
    from mesa_llm_norms.simulation.run_ensemble import run_ensemble

__all__ = [
    "ClassicalGame",
    "Decision",
    "Game",
    "Intervention",
    "LLM",
    "LLMSettings",
    "MatrixGame",
    "Mind",
    "NamingAgent",
    "NamingGame",
    "Neighbors",
    "NetworkGame",
    "NormsError",
    "Pairing",
    "Policy",
    "ScriptedMind",
    "TableMind",
    "audit",
    "compare_interventions",
    "load_mind",
    "mind_names",
    "record",
    "register_mind",
    "register_provider",
    "reproduce",
    "run_classical",
    "run_ensemble",
    "sweep",
    "tip",
    "topologies",
]

_HOME = {
    "ClassicalGame": "classical",
    "Decision": "minds",
    "Game": "core.game",
    "Intervention": "experiments",
    "LLM": "llm",
    "LLMSettings": "llm",
    "MatrixGame": "core.games",
    "Mind": "minds",
    "NamingAgent": "agents",
    "NamingGame": "model",
    "Neighbors": "networks",
    "NetworkGame": "model",
    "NormsError": "errors",
    "Pairing": "simulation.pairing",
    "Policy": "minds",
    "ScriptedMind": "minds",
    "TableMind": "minds",
    "audit": "experiments",
    "compare_interventions": "experiments",
    "load_mind": "minds",
    "mind_names": "minds",
    "record": "experiments",
    "register_mind": "minds",
    "register_provider": "minds",
    "reproduce": "reproduction",
    "run_classical": "classical",
    "run_ensemble": "simulation.run_ensemble",
    "sweep": "experiments",
    "tip": "experiments",
    "topologies": "networks",
}
"""Where everything is imported from when it is first used.

Importing all of it takes a second, in which a command could not be ended, nor a worker start.
"""


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    from importlib.util import find_spec

    if not name.startswith("_") and find_spec(f"{__name__}.{name}") is not None:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
