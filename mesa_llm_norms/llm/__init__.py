"""Live minds: models that are asked, over the network or on your own machine.

A ``LiveMind`` puts each situation into words and asks its ``Provider``. An ``LLMClient`` makes the
calls of all live minds, as ``LLMSettings`` says, and records them in a journal. The SDKs that speak
to APIs, and SQLite, are imported on first use.
"""

from mesa_llm_norms.llm.addresses import Key
from mesa_llm_norms.llm.any_model import LLM, Ask
from mesa_llm_norms.llm.journal import read_journal
from mesa_llm_norms.llm.journal.rows import Totals
from mesa_llm_norms.llm.prompt import Prompt, Template, default_template, read_template
from mesa_llm_norms.llm.provider import LiveMind, Provider, Question, Reply, Usage, live_mind
from mesa_llm_norms.llm.settings import JOURNAL, LLMSettings

__all__ = [
    "JOURNAL",
    "LLM",
    "Ask",
    "Key",
    "LLMSettings",
    "LiveMind",
    "Prompt",
    "Provider",
    "Question",
    "Reply",
    "Template",
    "Totals",
    "Usage",
    "default_template",
    "live_mind",
    "read_journal",
    "read_template",
]
