"""Live minds: models that are asked, over the network or on your own machine.

A ``LiveMind`` puts each situation into words and asks its ``Provider``. An ``LLMClient`` makes the
calls of all live minds, as ``LLMSettings`` says, and records them in a journal. The SDKs that speak
to APIs are imported on first use.
"""

from mesa_llm_norms.llm.prompt import Prompt, Template, default_template, read_template
from mesa_llm_norms.llm.provider import LiveMind, Provider, Question, Reply, Usage, live_mind
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.minds.registry import register_providers_of

__all__ = [
    "LLMSettings",
    "LiveMind",
    "Prompt",
    "Provider",
    "Question",
    "Reply",
    "Template",
    "Usage",
    "default_template",
    "live_mind",
    "read_template",
]

register_providers_of(__name__)
