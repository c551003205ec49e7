"""Live minds: models that are asked, over the network or on this machine.

A ``LiveMind`` puts a situation into words and asks its ``Provider``. An ``LLMClient`` makes the
calls of all of them, as ``LLMSettings`` says. The packages that speak to servers are imported on first use.
"""

from mesa_llm_norms.llm.mind import LIVE, LiveMind, live_mind
from mesa_llm_norms.llm.prompt import Prompt, Template, default_template, read_template
from mesa_llm_norms.llm.provider import Provider, Question, Reply, Usage
from mesa_llm_norms.llm.settings import LLMSettings

__all__ = [
    "LLMSettings",
    "LIVE",
    "LiveMind",
    "Prompt",
    "Question",
    "Reply",
    "Provider",
    "Template",
    "Usage",
    "default_template",
    "live_mind",
    "read_template",
]
