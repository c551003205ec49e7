"""Audits: whether a mind prefers names by itself, whether groups of it do, and whether the first
explains the second.
"""

from mesa_llm_norms.experiments.audits.populations import SIZES
from mesa_llm_norms.experiments.audits.runner import audit
from mesa_llm_norms.experiments.audits.verdict import KINDS, Audit, Verdict

__all__ = [
    "Audit",
    "KINDS",
    "SIZES",
    "Verdict",
    "audit",
]
