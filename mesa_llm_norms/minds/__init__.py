"""Minds: what turns what an agent sees into a name. One contract, several kinds, found by name."""

from mesa_llm_norms.minds.mind import Decision, Mind, Policy, Situation
from mesa_llm_norms.minds.policies import CommittedMind, ScriptedMind, TableMind, UniformMind
from mesa_llm_norms.minds.recorded import RecordedMind
from mesa_llm_norms.minds.registry import (
    load_mind,
    mind_names,
    register_mind,
    register_provider,
)

__all__ = [
    "CommittedMind",
    "Decision",
    "Mind",
    "Policy",
    "RecordedMind",
    "ScriptedMind",
    "Situation",
    "TableMind",
    "UniformMind",
    "load_mind",
    "mind_names",
    "register_mind",
    "register_provider",
]
