"""Audits: whether a mind prefers names by itself, whether groups of it do, and whether the first
explains the second.
"""

from mesa_llm_norms.experiments.audits.audit import Plan, audit, make_audit, read_plan
from mesa_llm_norms.experiments.audits.populations import SIZES
from mesa_llm_norms.experiments.audits.preference import FirstChoices, SymmetricMind
from mesa_llm_norms.experiments.audits.verdict import KINDS, Audit, Verdict

__all__ = [
    "Audit",
    "FirstChoices",
    "KINDS",
    "Plan",
    "SIZES",
    "SymmetricMind",
    "Verdict",
    "audit",
    "make_audit",
    "read_plan",
]
