"""What one call takes, as far as its server says now; the rest is assumed.

Nothing here asks a server anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from mesa_llm_norms.errors import MindError
from mesa_llm_norms.forecast.ranges import NOTHING, Range
from mesa_llm_norms.forecast.stand_ins import nearest
from mesa_llm_norms.minds.live import Server

BYTES_PER_TOKEN = Range(3.0, 3.8, 4.5)
ADDED = Range(0, 100, 300)
"""Tokens read beside the prompt: the schema, and the marks of a chat."""
ANSWER = Range(5, 10, 25)
"""Tokens written for a name, bare or as JSON."""
FIRST_TOKEN = Range(1, 1, 25)
"""Where the probabilities of the first token are all that is wanted."""
THINKING = Range(50, 200, 800)
"""Tokens of thinking, where there is any."""
OFF = ("disabled", "between_tools")
"""The values of a server's parameter ``thinking`` that keep a model from it."""

SECONDS = Range(0.5, 1.2, 3.0)
OWN_SECONDS = Range(0.1, 0.5, 2.0)
"""Likewise of a server that costs nothing, which is near nearly always."""
THINKING_SECONDS = Range(2.0, 5.0, 15.0)


class PerCall(NamedTuple):
    """What one call takes: tokens written, for the answer and for thinking before it; seconds.

    Together they are no more than ``max_tokens``.
    """

    answer: Range
    thinking: Range
    max_tokens: int
    seconds: Range

    @property
    def written(self) -> Range:
        """All tokens written."""
        return self.answer.plus(self.thinking).at_most(self.max_tokens)


def assumed(server: Server, once: bool) -> PerCall:
    """Return what a call to a server takes; ``once`` if its replies are distributions."""
    answer = FIRST_TOKEN if once else ANSWER
    thinking = NOTHING if once else _thinking(server)
    quick = OWN_SECONDS if server.free else SECONDS
    seconds = Range(
        *(
            slow if tokens else plain
            for plain, slow, tokens in zip(quick, THINKING_SECONDS, thinking, strict=True)
        )
    )
    most = server.max_tokens
    return PerCall(answer.at_most(most), thinking.at_most(most), most, seconds)


def tokens_of(size: float) -> Range:
    """Return the tokens read in a call whose prompt has so many bytes."""
    most, middle, least = (size / each for each in BYTES_PER_TOKEN)
    return Range(least, middle, most).plus(ADDED)


def _thinking(server: Server) -> Range:
    parameters = _parameters(server)
    if parameters.get("thinking") in OFF or nearest(server.model).is_llama:
        return NOTHING
    if "effort" in parameters:
        return THINKING
    # Not known. Who gives a call no room for thoughts expects none.
    middle = THINKING.expected if server.max_tokens >= THINKING.high else 0.0
    return Range(0.0, middle, THINKING.high)


def _parameters(server: Server) -> Mapping[str, Any]:
    """Return what a server would send along, nothing where it cannot tell without a key."""
    try:
        return server.parameters
    except MindError:
        return {}
