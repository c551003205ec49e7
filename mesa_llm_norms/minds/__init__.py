"""Minds: what turns what an agent sees into a name. One seam, one file per kind of mind."""

from mesa_llm_norms.minds.catalogue import DEFAULT_MIND, load_mind, mind_names, recorded_names
from mesa_llm_norms.minds.committed import CommittedMind
from mesa_llm_norms.minds.files import read_mind, write_recorded
from mesa_llm_norms.minds.mind import Decision, Mind, Policy, Situation
from mesa_llm_norms.minds.recorded import RecordedMind
from mesa_llm_norms.minds.scripted import ScriptedMind
from mesa_llm_norms.minds.table import TableMind
from mesa_llm_norms.minds.unbiased import UnbiasedMind

__all__ = [
    "DEFAULT_MIND",
    "CommittedMind",
    "Decision",
    "Mind",
    "Policy",
    "RecordedMind",
    "ScriptedMind",
    "Situation",
    "TableMind",
    "UnbiasedMind",
    "load_mind",
    "mind_names",
    "read_mind",
    "recorded_names",
    "write_recorded",
]
