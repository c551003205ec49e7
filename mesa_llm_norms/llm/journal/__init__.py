"""The journal of live runs: SQLite, the standard library's, and nothing of servers or models."""

from mesa_llm_norms.llm.journal.database import Begun, Written
from mesa_llm_norms.llm.journal.journal import Journal
from mesa_llm_norms.llm.journal.tables import (
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
    node_text,
    prompt_digest,
    read_node,
)

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
