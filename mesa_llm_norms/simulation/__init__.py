"""Runs: what defines one, the engines that play it, and many of them at once.

``spec`` says what is played and reads it from and to files and text; ``pairing`` draws who meets
whom; ``engine`` plays in plain Python (``pipeline`` has live minds decide concurrently),
``kernel`` plays compiled, and ``run`` plays either to a goal. ``ensemble`` plays many runs on one
of the ``backends``, and ``results`` writes them to a folder.
"""

from mesa_llm_norms.core.game import (
    Experience,
    GameInteraction,
    GameRules,
    Interaction,
    Memory,
    Remembered,
)
from mesa_llm_norms.core.games import (
    AntiCoordination,
    BattleOfTheSexes,
    PrisonersDilemma,
    PublicGoods,
)
from mesa_llm_norms.core.randomness import RandomStream, index_of
from mesa_llm_norms.core.stopping import Outcome
from mesa_llm_norms.simulation.arguments import GameArguments
from mesa_llm_norms.simulation.backends import SharedCalls
from mesa_llm_norms.simulation.ensemble import Ensemble
from mesa_llm_norms.simulation.kernel import Verdict, can_play, can_run

__all__ = [
    "AntiCoordination",
    "BattleOfTheSexes",
    "Ensemble",
    "Experience",
    "GameArguments",
    "GameInteraction",
    "GameRules",
    "Interaction",
    "Memory",
    "Outcome",
    "PrisonersDilemma",
    "PublicGoods",
    "RandomStream",
    "Remembered",
    "SharedCalls",
    "Verdict",
    "can_play",
    "can_run",
    "index_of",
]
