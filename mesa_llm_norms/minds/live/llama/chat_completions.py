"""What a server of chat completions sends back, in the words of this package.

Many programs speak this protocol, each a little differently, and the SDK checks nothing of what it
reads. So what is used is read here from the JSON itself, and ``ValueError`` raised for what is not
the protocol's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from mesa_llm_norms.errors import CallError
from mesa_llm_norms.minds.live.failures import kind_of, plain, retry_after
from mesa_llm_norms.minds.live.llama.chances import Position, read_position
from mesa_llm_norms.minds.live.server import Usage

if TYPE_CHECKING:
    from openai import OpenAIError

STOPS = {
    "length": "it was cut off at max_tokens",
    "content_filter": "the server's filter stopped it",
    "tool_calls": "it called a tool, and there is none",
    "function_call": "it called a function, and there is none",
}
"""Why a reply that did not end of itself is unusable."""


class Answer(NamedTuple):
    """A chat completion: ``position`` is what the server says of the first token, where it does."""

    text: str
    stop: str | None
    refusal: str | None
    position: Position | None
    usage: Usage
    model: str | None

    @property
    def problem(self) -> str | None:
        """Why no name can be read from it, or None."""
        if self.refusal:
            return "the model refused to answer"
        if self.stop is None:
            return "it does not say why it ended"
        if self.stop == "stop":
            return None
        return STOPS.get(self.stop, f"it ended in a way unknown here: {self.stop}")


def read_answer(content: object, asked: int) -> Answer:
    """Return the completion that came back; probabilities were asked of that many tokens."""
    content = _mapping(content)
    choices = content.get("choices")
    if not isinstance(choices, list) or not choices:
        raise ValueError("no choices")
    choice = _mapping(choices[0])
    message = _mapping(choice.get("message"))
    return Answer(
        text=_text(message, "content") or "",
        stop=_text(choice, "finish_reason"),
        refusal=_text(message, "refusal"),
        position=read_position(choice, asked) if asked else None,
        usage=read_usage(content.get("usage")),
        model=_text(content, "model"),
    )


def read_usage(usage: object) -> Usage:
    """Return what a completion used, nothing where the server does not say."""
    if usage is None:
        return Usage()
    counts = _mapping(usage)
    return Usage(
        input_tokens=_count(counts, "prompt_tokens"),
        output_tokens=_count(counts, "completion_tokens"),
        thinking_tokens=_count(counts.get("completion_tokens_details"), "reasoning_tokens"),
        cached_tokens=_count(counts.get("prompt_tokens_details"), "cached_tokens"),
    )


def read_models(content: object) -> list[str]:
    """Return the ids of the models a server lists."""
    listed = _mapping(content).get("data") or []
    if not isinstance(listed, list):
        raise ValueError("no list of models")
    return [str(_mapping(model)["id"]) for model in listed if "id" in _mapping(model)]


def call_error(server: str, error: OpenAIError, secrets: Iterable[str]) -> CallError:
    """Return the ``CallError`` of ``server`` for an error of the SDK, with ``secrets`` cut out."""
    import openai

    if isinstance(error, openai.APIStatusError):
        said = _said(error.body) or error.response.reason_phrase or "no reason given"
        after = retry_after(error.response.headers)
        status = error.status_code
        return CallError(server, kind_of(status), plain(said, secrets), status, after)
    if isinstance(error, openai.APITimeoutError):
        return CallError(server, "timeout", "the network timed out")
    if isinstance(error, openai.APIConnectionError):
        # Only the name: the text may quote a header.
        cause = type(error.__cause__ or error).__name__
        return CallError(server, "connection", f"the connection failed ({cause})")
    return CallError(server, "garbled", plain(str(error), secrets))


def _said(body: object) -> str | None:
    """Return the words in the body of an error; servers put them in different places."""
    if isinstance(body, Mapping):
        body = body.get("message") or body.get("detail") or body.get("error")
    return str(body).strip() if body else None


def _mapping(thing: object) -> Mapping[str, Any]:
    if not isinstance(thing, Mapping):
        raise ValueError("no object where there should be one")
    return thing


def _text(thing: Mapping[str, Any], key: str) -> str | None:
    text = thing.get(key)
    if text is not None and not isinstance(text, str):
        raise ValueError(f"{key} is no text")
    return text


def _count(thing: object, key: str) -> int:
    number = _mapping(thing).get(key) if thing is not None else None
    if number is None:
        return 0
    if not isinstance(number, int) or number < 0:
        raise ValueError(f"no number of {key}")
    return number
