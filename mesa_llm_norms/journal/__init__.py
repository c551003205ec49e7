"""The journal of live runs: SQLite, the standard library's, and nothing of servers or models."""

from mesa_llm_norms.journal.journal import Journal
from mesa_llm_norms.journal.rows import (
    AgentUsage,
    Attempt,
    Call,
    Distribution,
    Ended,
    Ending,
    Outcome,
    Recorded,
    Totals,
    Voided,
)
from mesa_llm_norms.journal.texts import node_text, prompt_digest, read_node
from mesa_llm_norms.journal.waiting import Begun, Written

__all__ = [
    "AgentUsage",
    "Attempt",
    "Begun",
    "Call",
    "Distribution",
    "Ended",
    "Ending",
    "Journal",
    "Outcome",
    "Recorded",
    "Totals",
    "Voided",
    "Written",
    "node_text",
    "prompt_digest",
    "read_node",
]
