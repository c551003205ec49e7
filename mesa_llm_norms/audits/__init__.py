"""Audits: whether a mind prefers names by itself, whether groups of it do, and whether the first
explains the second.
"""

from mesa_llm_norms.audits.audit import audit, make_audit
from mesa_llm_norms.audits.plan import Plan, read_plan
from mesa_llm_norms.audits.result import Audit
from mesa_llm_norms.audits.sizes import SIZES
from mesa_llm_norms.audits.symmetry import FirstChoices, SymmetricMind
from mesa_llm_norms.audits.verdict import KINDS, Verdict

__all__ = [
    "KINDS",
    "SIZES",
    "Audit",
    "FirstChoices",
    "Plan",
    "SymmetricMind",
    "Verdict",
    "audit",
    "make_audit",
    "read_plan",
]
