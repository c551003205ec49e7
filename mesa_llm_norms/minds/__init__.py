"""Minds: what turns what an agent sees into a name. One seam, one file per kind of mind."""

from mesa_llm_norms.minds.mind import Decision, Mind, Policy, Situation
from mesa_llm_norms.minds.policies import CommittedMind, ScriptedMind, TableMind, UniformMind
from mesa_llm_norms.minds.recorded import RecordedMind
from mesa_llm_norms.minds.registry import (
    DEFAULT_MIND,
    load_mind,
    mind_names,
    read_mind,
    recorded_names,
    write_recorded,
)

__all__ = [
    "CommittedMind",
    "DEFAULT_MIND",
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
    "read_mind",
    "recorded_names",
    "write_recorded",
]
