"""What the Messages API sends back, in the words of this package.

Everything here is a function of what came back: a description of a model becomes ``Abilities``, a
message a ``Reply``, an error a ``CallError``. The SDK checks nothing of what it reads, so what is
used here is checked here, and ``ValueError`` is raised for what no such API would send.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal, NamedTuple

from mesa_llm_norms.errors import CallError
from mesa_llm_norms.minds.live.failures import kind_of, plain, retry_after
from mesa_llm_norms.minds.live.server import Reply, Usage

if TYPE_CHECKING:
    from anthropic import AnthropicError
    from anthropic.types import ModelInfo

STOPS = {
    "refusal": "the model refused to answer",
    "max_tokens": "it was cut off at max_tokens",
    "model_context_window_exceeded": "it was cut off where the model can read no further",
    "tool_use": "it called a tool, and there is none",
    "pause_turn": "it paused instead of ending",
}
"""Why a reply that did not end of itself is unusable."""

SPENT = ("enforced_spend_limit_reached", "contract_spend_limit_reached")
"""The codes by which a 429 says that no money is left: waiting does not help against that."""


class Abilities(NamedTuple):
    """What a model can do, as far as it matters here.

    ``structured``: its replies can be held to a schema. ``thinking``: the ``thinking.type`` that
    turns thinking off, or None where none does. ``effort``: what is sent instead, to keep thinking
    short, or None where nothing can be.
    """

    structured: bool
    thinking: Literal["disabled", "between_tools"] | None
    effort: Literal["low"] | None

    @property
    def thinks(self) -> bool:
        """Whether thinking may come before a reply."""
        return self.thinking is None


ASSUMED = Abilities(structured=True, thinking=None, effort=None)
"""What is taken of a model of which nothing is said."""


def abilities_of(info: ModelInfo) -> Abilities:
    """Return what the models endpoint says a model can do, or ``ASSUMED`` if it does not say."""
    capabilities = info.capabilities
    if getattr(capabilities, "structured_outputs", None) is None:
        return ASSUMED
    thinking: Literal["disabled", "between_tools"] | None = None
    if _supported(capabilities, "thinking", "types", "disabled"):
        thinking = "disabled"
    elif _supported(capabilities, "thinking", "types", "between_tools"):
        thinking = "between_tools"
    low = thinking is None and _supported(capabilities, "effort", "low")
    return Abilities(
        structured=_supported(capabilities, "structured_outputs"),
        thinking=thinking,
        effort="low" if low else None,
    )


def _supported(thing: object, *path: str) -> bool:
    for name in path:
        thing = getattr(thing, name, None)
    return getattr(thing, "supported", None) is True


def read_info(content: object) -> ModelInfo:
    """Return the description of a model that came back."""
    from anthropic.types import ModelInfo

    if not isinstance(content, ModelInfo):
        raise ValueError("no description of a model")
    return content


def read_message(content: object, read_name: Callable[[str], str | None]) -> Reply:
    """Return the reply that a message is: the name that ``read_name`` finds, or why there is none.

    Only text counts; thinking, and any other kind of block, is passed over.
    """
    from anthropic.types import Message

    if not isinstance(content, Message) or not isinstance(content.content, list):
        raise ValueError("no message")
    text = "".join(block.text for block in content.content if block.type == "text")
    stop = _word(content.stop_reason)
    name = problem = None
    if stop in ("end_turn", "stop_sequence"):
        name = read_name(text)
        if name is None:
            problem = "it is no name of the pool" if text.strip() else "it is empty"
    elif stop is None:
        problem = "it does not say why it ended"
    else:
        problem = STOPS.get(stop, f"it ended in a way unknown here: {stop}")
    usage = read_usage(content.usage)
    return Reply(text, usage, name, None, problem, _word(content.model), stop)


def read_usage(usage: object) -> Usage:
    """Return what a message used; the API counts input from and into its cache apart."""
    cached = _count(usage, "cache_read_input_tokens")
    return Usage(
        input_tokens=_count(usage, "input_tokens", needed=True)
        + _count(usage, "cache_creation_input_tokens")
        + cached,
        output_tokens=_count(usage, "output_tokens", needed=True),
        thinking_tokens=_count(getattr(usage, "output_tokens_details", None), "thinking_tokens"),
        cached_tokens=cached,
    )


def _word(thing: object) -> str | None:
    if thing is None or isinstance(thing, str):
        return thing
    raise ValueError(f"{thing!r} is no word")


def _count(thing: object, name: str, needed: bool = False) -> int:
    number = getattr(thing, name, None)
    if number is None and not needed:
        return 0
    if not isinstance(number, int) or number < 0:
        raise ValueError(f"no number of {name}")
    return number


def call_error(server: str, error: AnthropicError, secrets: Iterable[str]) -> CallError:
    """Return the ``CallError`` of ``server`` for an error of the SDK, with ``secrets`` cut out."""
    import anthropic

    if isinstance(error, anthropic.APIStatusError):
        status, said = error.status_code, error.api_message
        if not isinstance(said, str) or not said.strip():
            said = error.response.reason_phrase or "no reason given"
        kind = kind_of(status)
        if error.type == "overloaded_error":
            kind = "overloaded"
        elif error.error_code in SPENT:
            kind = "denied"
        after = retry_after(error.response.headers)
        return CallError(server, kind, plain(said, secrets), status, after)
    if isinstance(error, anthropic.APITimeoutError):
        return CallError(server, "timeout", "the network timed out")
    if isinstance(error, anthropic.APIConnectionError):
        # Only the name: the text may quote a header.
        cause = type(error.__cause__ or error).__name__
        return CallError(server, "connection", f"the connection failed ({cause})")
    if isinstance(error, anthropic.APIError):
        return CallError(server, "garbled", plain(error.message, secrets))
    return CallError(server, "denied", plain(str(error), secrets))
