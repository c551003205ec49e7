"""Live minds: models that are asked, over the network or on this machine.

A ``LiveMind`` puts a situation into words and asks its ``Server``; a ``Session`` makes the calls of
all of them, as ``Calls`` says. The packages that speak to servers are imported on first use.
"""

from mesa_llm_norms.minds.live.calls import Calls
from mesa_llm_norms.minds.live.mind import LiveMind
from mesa_llm_norms.minds.live.names import LIVE, live_mind
from mesa_llm_norms.minds.live.prompt import Prompt, Template, default_template, read_template
from mesa_llm_norms.minds.live.server import Question, Reply, Server, Usage

__all__ = [
    "LIVE",
    "Calls",
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
