"""What a live mind asks of a server: one call at a time, told apart from everything around it.

A server knows one model and its protocol. It does not retry, wait for a place, mind the budget or
keep records: a ``LLMClient`` does that, for all servers alike. A server of your own is a class with
one method, ``ask``.

Where a server is, as it may be written down anywhere: without a secret in it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from mesa_llm_norms.errors import MindError
from mesa_llm_norms.llm.prompt import Prompt


class Question(NamedTuple):
    """One call to be made: everything a server may use to make it.

    ``pool`` is the names that may be answered, in the order of the game; the prompt shows them in
    the order drawn for this decision. ``seed`` is a 32-bit number of this decision and attempt's
    own, for servers that sample by one.
    """

    prompt: Prompt
    pool: tuple[str, ...]
    seed: int


class Usage(NamedTuple):
    """What one call used, in tokens as the server counts them."""

    input_tokens: int = 0
    """All that was read, cached or not."""
    output_tokens: int = 0
    """All that was written, thinking included."""
    thinking_tokens: int = 0
    """How many of the output tokens were thinking."""
    cached_tokens: int = 0
    """How many of the input tokens were read from the server's cache."""


class Reply(NamedTuple):
    """What came back from one call, as it came.

    ``name`` is the name of the pool that the reply gives; or ``distribution`` the probability of
    each name of the pool, in its order and summing to one, from which the run's own draw picks. A
    reply with neither is unusable, and ``problem`` says in a few words why: it was refused, cut
    off, empty, or is no name of the pool.
    """

    text: str
    usage: Usage
    name: str | None = None
    distribution: tuple[float, ...] | None = None
    problem: str | None = None
    model: str | None = None
    """The model that answered, as the server calls it."""
    stop: str | None = None
    """Why it stopped, in the server's own word."""
    calls: int = 1
    """How many calls it took, should one not have been enough; ``usage`` is that of all."""

    @property
    def usable(self) -> bool:
        """Whether a name follows from it."""
        return self.name is not None or self.distribution is not None


class Provider(ABC):
    """A model behind a protocol: asked one question at a time, any number at once."""

    label: str
    """What results call it, and ``load_mind`` takes: ``claude:claude-haiku-5-5``."""
    model: str
    """The model's own id, by which prices are found."""
    place: str
    """Where it is, so that the same model elsewhere is another: a URL without any secret in it."""
    max_tokens: int
    """The most tokens one call may write, thinking included: what a budget sets aside."""
    calls_at_most: int = 1
    """The most calls that ``ask`` ever makes for one reply."""
    free: bool = False
    """Whether calls cost nothing where no price is known, as on a machine of one's own."""

    async def prepare(self) -> None:  # noqa: B027  (most servers need not)
        """Find out what the model can do; called once before the first question.

        Raises ``CallError`` where the server cannot be reached and ``MindError`` where the model
        cannot play.
        """

    @property
    def options(self) -> Mapping[str, Any]:
        """What ``live_mind`` has to be told beside the label to make the same server again."""
        return {}

    @property
    @abstractmethod
    def parameters(self) -> Mapping[str, Any]:
        """What is sent beside the prompt, as JSON can hold it: recorded with every call."""

    def gives_distributions(self, pool: Sequence[str]) -> bool:  # noqa: ARG002
        """Whether replies on this pool are distributions, so that one answers all equal prompts."""
        return False

    @abstractmethod
    async def ask(self, question: Question) -> Reply:
        """Make one call and return the reply; raise ``CallError`` where there is none.

        A cancelled call is cancelled on the way, and nothing is sent twice.
        """

    async def close(self) -> None:  # noqa: B027
        """Let go of connections; the next question opens new ones."""


UNSEEN = "(not shown)"
"""What an error has in place of an address, for that may hold a password."""


def read_address(url: str, argument: str, key: str) -> str:
    """Return ``url`` without a slash at its end.

    Raises ``MindError`` for what is no address, and for one that holds more than a host and a path:
    that could be a secret, which belongs into the variable called ``key``. ``argument`` is where
    the address comes from.
    """
    try:
        parts = urlsplit(url)
        right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except (ValueError, TypeError, AttributeError):
        right = False
    if not right:
        raise MindError(argument, UNSEEN, "it is no address", "Give one with http or https.")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise MindError(
            argument,
            UNSEEN,
            "there is more in it than a host and a path",
            f"Put a key into the environment, as {key}.",
        )
    return url.rstrip("/")
