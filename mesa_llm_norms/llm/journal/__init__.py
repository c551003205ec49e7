"""The journal of live runs, in one SQLite file: every call, decision and interaction.

It knows nothing of providers or models. SQLite is imported with ``Journal``, on first use.
"""

from typing import TYPE_CHECKING, Any

from mesa_llm_norms.llm.journal.rows import (
    AgentUsage,
    Attempt,
    Call,
    Distribution,
    Ended,
    Ending,
    Outcome,
    Recorded,
    Skipped,
    Totals,
    node_text,
    prompt_digest,
    read_node,
    storable,
)

if TYPE_CHECKING:
    from mesa_llm_norms.llm.journal.journal import Journal

__all__ = [
    "AgentUsage",
    "Attempt",
    "Call",
    "Distribution",
    "Ended",
    "Ending",
    "Journal",
    "Outcome",
    "Recorded",
    "Skipped",
    "Totals",
    "node_text",
    "prompt_digest",
    "read_node",
    "storable",
]


def __getattr__(name: str) -> Any:
    if name == "Journal":
        from mesa_llm_norms.llm.journal.journal import Journal

        return Journal
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
