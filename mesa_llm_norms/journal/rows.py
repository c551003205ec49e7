"""What goes into a journal and comes out of it: one tuple for each kind of row."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from operator import add
from typing import Any, Literal, NamedTuple, TypeAlias

Ending: TypeAlias = Literal["name", "distribution", "unusable", "failed", "abandoned"]
"""How a call ended: a name, a distribution, a reply with neither, none, or given up by us."""

Outcome: TypeAlias = Literal[Ending, "lost"]
"""How a call stands at last; ``lost`` was under way when its process ended."""


class Call(NamedTuple):
    """One call about to be made: for which decision, to whom, and what is asked.

    ``seat`` is 0 for the node drawn first. ``place`` is where the server is, ``parameters`` what is
    sent beside the prompt, as JSON can hold it. Neither may hold a secret.
    """

    run: int
    interaction: int
    seat: int
    mind: str
    place: str
    parameters: Mapping[str, Any]
    system: str
    user: str


class Ended(NamedTuple):
    """What came of a call.

    ``latency`` is in seconds, ``cost`` in US dollars, or None where no price is known; ``status``
    is the HTTP status where there was one. A call without a reply has the tokens it is known to
    have used, none as a rule.
    """

    outcome: Ending
    latency: float
    problem: str | None = None
    status: int | None = None
    reply: str | None = None
    model: str | None = None
    stop: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    thinking_tokens: int = 0
    cached_tokens: int = 0
    cost: float | None = None


class Distribution(NamedTuple):
    """What a server that gives distributions gave, under the key that equal questions share."""

    key: str
    probabilities: tuple[float, ...]


class Recorded(NamedTuple):
    """A decision: on which prompt (``prompt_digest``), the name, and how it came about.

    ``attempt`` is the call that gave the name, None where a distribution known before did.
    """

    prompt: str
    name: str
    probability: float | None = None
    attempt: int | None = None


class Voided(NamedTuple):
    """An interaction that was not played to its end, and why; nobody remembers it."""

    run: int
    interaction: int
    round: int
    node_a: Hashable
    node_b: Hashable
    reason: str


class Attempt(NamedTuple):
    """One call as the journal holds it, with its texts in full.

    ``number`` counts the calls for one decision from 0. ``begun`` is the time in UTC, as ISO 8601
    has it. What is known only after the call is None before, and the tokens are None too where
    they were not recorded.
    """

    attempt: int
    run: int
    interaction: int
    seat: int
    number: int
    mind: str
    place: str
    parameters: dict[str, Any]
    system: str
    user: str
    begun: str
    latency: float | None
    outcome: Outcome | None
    problem: str | None
    status: int | None
    reply: str | None
    model: str | None
    stop: str | None
    input_tokens: int | None
    output_tokens: int | None
    thinking_tokens: int | None
    cached_tokens: int | None
    cost: float | None


class Totals(NamedTuple):
    """What calls came to: how many of each outcome, and what they used as far as it is known.

    Thinking tokens are among the output tokens, cached ones among the input tokens. ``cost`` is in
    US dollars, over the calls whose price is known.
    """

    calls: int = 0
    answered: int = 0
    failed: int = 0
    unusable: int = 0
    lost: int = 0
    abandoned: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    thinking_tokens: int = 0
    cached_tokens: int = 0
    cost: float = 0.0

    @property
    def in_flight(self) -> int:
        """How many calls have begun and have no outcome yet."""
        return self.calls - self.answered - self.failed - self.unusable - self.lost - self.abandoned

    def plus(self, other: Totals) -> Totals:
        """Return both together."""
        return Totals._make(map(add, self, other))


class AgentUsage(NamedTuple):
    """What one agent's calls came to in a run.

    ``node`` is None for calls whose interaction is not committed: work begun beyond the end, or
    still going on.
    """

    node: Hashable
    calls: int
    input_tokens: int
    output_tokens: int
    thinking_tokens: int
    cost: float
