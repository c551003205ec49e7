"""Live minds: models that are asked, over the network or on this machine.

A ``LiveMind`` puts a situation into words and asks its ``Server``; a ``Session`` makes the calls of
all of them, as ``Calls`` says. The packages that speak to servers are imported on first use.
"""

from mesa_llm_norms.llm.mind import LIVE, LiveMind, live_mind
from mesa_llm_norms.llm.prompt import Prompt, Template, default_template, read_template
from mesa_llm_norms.llm.provider import Question, Reply, Server, Usage
from mesa_llm_norms.llm.settings import Calls

__all__ = [
    "Calls",
    "LIVE",
    "LiveMind",
    "Prompt",
    "Question",
    "Reply",
    "Server",
    "Template",
    "Usage",
    "default_template",
    "live_mind",
    "read_template",
]
