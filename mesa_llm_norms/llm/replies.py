"""Replies: the name in one, the thoughts before it, errors in its place, what of it is recorded.

**Thoughts.** A model may think in its reply before it answers, between marks that depend on the
model (``<think>`` and ``</think>`` most often), or the API puts the thoughts beside the reply. The
answer is what follows the last closing mark: nothing is ever read from thoughts. Some servers take
the opening mark for part of the prompt, so that only the closing one comes.

**Errors.** Some servers answer 200 with an error inside. It is the same as one with its status.

**Bounds.** A response is cut off at the limit while it is read, whatever it is compressed to.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mesa_llm_norms.core.limits import RECORDED, RESPONSE, RESULTS, TOKENS
from mesa_llm_norms.errors import CallError, shown
from mesa_llm_norms.llm.journal.rows import storable
from mesa_llm_norms.llm.retry import LONGEST_SECRET, MAX_MESSAGE, redacted, without_secrets

if TYPE_CHECKING:
    from mesa_llm_norms.llm.provider import Provider, Reply

MOST_OF_AN_ERROR = 1_000
"""How many characters an error has to say what happened, with what it quotes."""
MOST_DIGITS = 30
"""How much of a number is quoted."""
ENCODINGS = "gzip, deflate"
"""How responses may be compressed: so that no more than asked for is ever decompressed."""
COMPLETE = (
    *("end_turn", "stop_sequence", "stop", "eos", "eos_token", "end", "end_of_turn"),
    *("end_of_text", "complete", "completed", "finished"),
)
"""Why a reply ended that is complete, in the words of the APIs."""
CUT_OFF = ("max_tokens", "length", "max_output_tokens", "token_limit")
"""Likewise of replies that had no room to be complete."""
CUT_SHORT = {
    "refusal": "the model refused to answer",
    "content_filter": "the API's filter stopped it",
    "safety": "the API's filter stopped it",
    "model_context_window_exceeded": "it was cut off at the end of the model's context window",
    "tool_use": "it called a tool, and there is none",
    "tool_calls": "it called a tool, and there is none",
    "function_call": "it called a function, and there is none",
    "pause_turn": "it paused instead of ending",
}
"""Likewise of other replies that are unusable, with the reason in ours."""
NOT_A_NAME = "it is not a name of the pool"
TOO_LONG = "it is too long to be kept whole"

_TAG = "(?:seed:)?(?:think|thinking|thoughts?|reasoning|reflection|analysis)"
_OPENING = re.compile(
    rf"<{_TAG}>|\[THINK\]|◁think▷|<\|begin_of_thought\|>|<\|START_THINKING\|>|<\|inner_prefix\|>"
    r"|<\|channel>thought|(?:<\|start\|>assistant)?<\|channel\|>\s*(?:analysis|commentary)[^<]*"
    r"(?:<\|message\|>)?",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    rf"</{_TAG}>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>|<\|END_THINKING\|>|<\|inner_suffix\|>"
    r"|<channel\|>|(?:<\|end\|>)?(?:<\|start\|>assistant)?<\|channel\|>\s*final[^<]*"
    r"(?:<\|constrain\|>[^<]*)?<\|message\|>",
    re.IGNORECASE,
)
"""What begins and ends thoughts: tags, the marks of some families, and the channels of gpt-oss."""
_BARE_OPENING, _BARE_CLOSING = ("analysis", "commentary"), "assistantfinal"
"""The channels of gpt-oss, from a server that leaves out marks but not what stands between them."""
_ENDS = (
    *("<|return|>", "<|end|>", "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"),
    *("<|endoftext|>", "</s>", "<end_of_turn>", "<｜end▁of▁sentence｜>"),  # noqa: RUF001
)
"""Marks of the end that some servers leave in the text."""
_WRAPS = (
    *((f"<{tag}>", f"</{tag}>") for tag in ("answer", "response", "final", "solution", "output")),
    ("<|begin_of_solution|>", "<|end_of_solution|>"),
    ("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
    ("<|begin_of_box|>", "<|end_of_box|>"),
)
"""Marks around an answer that say no more than that it is the answer."""


class Thoughts(NamedTuple):
    """A reply taken apart: what was thought, and the answer, None where the thoughts never end."""

    thoughts: str
    answer: str | None


class Name(NamedTuple):
    """The name that a reply gives, or None and why it is unusable; and the thoughts before it."""

    name: str | None
    problem: str | None
    thoughts: str | None


def split_thoughts(text: str) -> Thoughts:
    """Return a reply taken apart; a text without marks is all answer."""
    if text.startswith(_BARE_OPENING) and _BARE_CLOSING in text:
        thoughts, _, answer = text.rpartition(_BARE_CLOSING)
        for opening in _BARE_OPENING:
            thoughts = thoughts.removeprefix(opening)
        return Thoughts(thoughts.strip(), _bare(answer))
    closing = None
    for closing in _CLOSING.finditer(text):  # noqa: B007  (the last one counts)
        pass
    before, rest = (text[: closing.start()], text[closing.end() :]) if closing else ("", text)
    thoughts = _OPENING.sub("\n", _CLOSING.sub("\n", before)).strip()
    unended = _OPENING.search(rest)
    if unended is not None:
        return Thoughts(f"{thoughts}\n{rest[unended.end() :]}".strip(), None)
    return Thoughts(thoughts, _bare(rest))


def read_words(text: str) -> str | None:
    """Return an answer in the model's own words, without what was thought before it, or None."""
    return split_thoughts(text).answer or None


def _bare(answer: str) -> str:
    """Return an answer without the marks around it."""
    answer = answer.strip()
    for end in _ENDS:
        answer = answer.removesuffix(end).rstrip()
    for opening, closing in _WRAPS:
        if answer.startswith(opening) and answer.endswith(closing):
            return answer.removeprefix(opening).removesuffix(closing).strip()
    return answer


def read_name(
    text: str,
    stop: str | None,
    read: Callable[[str], str | None],
    beside: str = "",
    thinking_tokens: int = 0,
) -> Name:
    """Return the name that ``read`` finds in a complete reply, or None and why it is unusable.

    ``beside`` are thoughts that the API gave apart from the text, ``thinking_tokens`` how many
    tokens it says they took. An API that does not say why a reply ended has ended it.
    """
    inside, answer = split_thoughts(text)
    thoughts = "\n".join(filter(None, (beside.strip(), inside))) or None
    ended = stop.lower() if stop else COMPLETE[0]
    silent = not (answer or "").strip() and bool(thoughts or thinking_tokens or answer is None)
    if ended in COMPLETE:
        name = read(text)
        if name is None and answer is not None:
            name = read(answer)
        if name is not None:
            return Name(name, None, thoughts)
        if silent:
            return Name(None, "it thought and wrote nothing", thoughts)
        return Name(None, NOT_A_NAME if text.strip() else "it is empty", thoughts)
    if not cut_off(stop):
        unknown = f"it ended for an unknown reason: {redacted(stop or '')}"
        return Name(None, CUT_SHORT.get(ended, unknown), thoughts)
    if silent:
        return Name(None, "it thought and wrote nothing: raise --max-tokens", thoughts)
    return Name(None, "it was cut off at max_tokens", thoughts)


def cut_off(stop: str | None) -> bool:
    """Return whether a reply ended because it had no more room."""
    return stop is not None and stop.lower() in CUT_OFF


def read_count(value: object, name: str) -> int:
    """Return a number of tokens as an API sent it, 0 for None; ``ValueError`` for anything else."""
    if value is None:
        return 0
    if type(value) is int and 0 <= value <= TOKENS.high:
        return value
    number = value if isinstance(value, (int, float)) and not isinstance(value, bool) else -1
    if number in TOKENS and number == int(number):
        return int(number)
    raise ValueError(f"{name} is {_shown(value)}, not a number of tokens")


def read_word(value: object, name: str) -> str | None:
    """Return a text as an API sent it, or None; ``ValueError`` for anything else."""
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} is {_shown(value)}, not a text")
    return value


def _shown(value: object) -> str:
    """Return a value for a message, a very long number shortened."""
    if isinstance(value, (int, float)):
        return shown(value, MOST_DIGITS)
    return redacted(shown(value, RECORDED.high))


def quoted(text: str, secrets: Sequence[str] = ()) -> str:
    """Return the beginning of a text between quotation marks, fit to be printed."""
    shown = redacted(text, secrets)
    more = f"... ({len(text):,} characters)" if len(text.strip()) > len(shown) + 50 else ""
    return f'"{shown}{more}"'


def quoted_reply(text: str, thoughts: str | None) -> str:
    """Return what to add to why a reply is unusable: its answer, or else its thoughts."""
    answer = split_thoughts(text).answer
    if answer and answer.strip():
        return f"; it says {quoted(answer)}"
    return f"; its thoughts: {quoted(thoughts)}" if thoughts else ""


def misread(error: Exception) -> str:
    """Return why a response cannot be read, given the error with which reading it ended."""
    if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError)):
        return "it is not JSON"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if "set_int_max_str_digits" in str(error):  # Python's words for programmers
        return "a number in it has too many digits"
    return redacted(str(error)) if isinstance(error, ValueError) else "it has another form"


# Errors in place of replies

_CODES = (
    (("overloaded", "slow_down"), 529),
    (("unavailable",), 503),
    (("rate_limit", "too_many_requests", "resource_exhausted", "throttl"), 429),
    (("authentication", "unauthenticated", "unauthorized", "api_key"), 401),
    (("permission", "forbidden"), 403),
    (("not_found",), 404),
    (("timeout", "server_error", "internal", "api_error"), 500),
    (("invalid", "bad_request", "unsupported"), 400),
)
"""Parts of the codes and types of errors, and the status that they stand for."""
_PHRASES = (
    (("overloaded",), 529),
    (("loading model", "model is loading", "service unavailable"), 503),
    (("rate limit", "too many requests"), 429),
)
"""Likewise of what they say in words."""


def error_in(content: object) -> tuple[str, int | None] | None:
    """Return what an error says that stands in place of a reply, and its status if it has one.

    None if there is no error. APIs put them in different places: ``error`` (a text or an object),
    ``errors``, ``detail`` or ``message``, at the top or in the only choice.
    """
    if isinstance(content, list) and len(content) == 1:
        content = content[0]
    if not isinstance(content, Mapping):
        return None
    choices = content.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    found: Any = content.get("error")
    if not found and isinstance(choice, Mapping):
        found = choice.get("error")
    if not found and not any(key in content for key in ("choices", "content", "data", "models")):
        found = content.get("errors") or content.get("detail")
        if not found and isinstance(content.get("message"), str):
            found = content
    if not found:
        return None
    if isinstance(found, list):
        found = found[0]
    status = _status_of(found) or _status_of(content)
    return _words_of(found), status


def _status_of(error: object) -> int | None:
    if isinstance(error, str):
        error = {"message": error}
    if not isinstance(error, Mapping):
        return None
    codes = [error.get(key) for key in ("code", "status", "status_code", "statusCode", "type")]
    for code in codes:
        if isinstance(code, str) and code.isdecimal() and len(code) == 3:
            code = int(code)
        if isinstance(code, int) and 400 <= code <= 599:
            return code
    for table, texts in ((_PHRASES, [error.get("message")]), (_CODES, codes)):
        said = " ".join(text.lower() for text in texts if isinstance(text, str))
        for parts, status in table:
            if any(part in said for part in parts):
                return status
    return None


def _words_of(error: object) -> str:
    """Return what an error says, with what a gateway adds of the server behind it."""
    if isinstance(error, str):
        return error
    if not isinstance(error, Mapping):
        return json.dumps(error)
    said = next((error[key] for key in ("message", "detail", "msg", "type") if error.get(key)), "")
    said = said if isinstance(said, str) and said else json.dumps(error)
    behind = error.get("metadata")
    raw = behind.get("raw") if isinstance(behind, Mapping) else None
    return f"{said} ({raw if isinstance(raw, str) else json.dumps(raw)})" if raw else said


# Bounds


async def read_response(provider: str, response: Any) -> None:
    """Read the body of an HTTP response, or raise ``CallError`` if it is too long to be a reply.

    The response then has what was read, decompressed, as its stream.
    """
    from httpx2 import ByteStream

    results = response.request.url.path.endswith("/results")
    most = RESULTS.high if results else RESPONSE.high
    body = bytearray()
    encodings = response.headers.get_list("content-encoding", split_commas=True)
    async with aclosing(response.stream.__aiter__()) as parts:
        async for part in parts:
            body += part
            if len(body) > most:
                break
    await response.stream.aclose()
    content = bytes(body[: most + 1])
    try:
        for encoding in reversed(encodings):
            content = _decompressed(encoding.strip().lower(), content, most)
    except (ValueError, zlib.error) as error:
        problem = f"the response is compressed in a way that cannot be read: {error}"
        raise CallError(provider, "garbled", problem, response.status_code) from None
    if max(len(body), len(content)) > most:
        text = content.decode(errors="replace")
        problem = f'the response is longer than {most:,} bytes; it begins "{redacted(text)}"'
        remedy, status = "Check the address: no reply takes as much.", response.status_code
        length = "" if encodings else response.headers.get("content-length", "")
        size = (
            f"{int(length):,} bytes"
            if re.fullmatch(r"\d{1,15}", length)
            else f"more than {most:,} bytes"
        )
        said = kept(text, size=size)
        raise CallError(provider, "garbled", problem, status, remedy=remedy, said=said)
    response.headers.pop("content-encoding", None)
    media = response.headers.get("content-type", "")
    if ";" in media:  # a charset may be one that Python knows and that gives no text
        response.headers["content-type"] = media.partition(";")[0]
    response.stream = ByteStream(content)


def _decompressed(encoding: str, content: bytes, most: int) -> bytes:
    """Return a content decompressed, as far as one byte beyond the limit."""
    if encoding in ("br", "zstd"):
        raise ValueError(f"{encoding} was not asked for")
    if encoding not in ("gzip", "x-gzip", "deflate"):
        return content
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(content, most + 1)
    except zlib.error:
        if encoding != "deflate":
            raise
        # Some servers send it without its header.
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, most + 1)


def read_lines(content: bytes) -> list[Any]:
    """Return what each line of a content is in JSON; ``ValueError`` if one is something else."""
    return [json.loads(line) for line in content.split(b"\n") if line.strip()]


# What is recorded


def recordable(provider: Provider, reply: Reply, pool: Sequence[str]) -> Reply:
    """Return a reply as it may be recorded and shown: without keys, and its texts bounded.

    A name that is not in the pool is none, unless the pool is empty, and so are probabilities that
    are not those of its names. Raises ``CallError`` for what no reply can have, such as a number of
    tokens below zero.
    """
    try:
        for name, count in zip(reply.usage._fields, reply.usage, strict=True):
            read_count(count, name)
        for name in ("text", "name", "problem", "model", "stop", "thoughts"):
            read_word(getattr(reply, name), name)
    except (ValueError, AttributeError) as error:
        problem = f"the reply cannot be used: {redacted(str(error), provider.secrets)}"
        raise CallError(provider.label, "garbled", problem) from None
    secrets = provider.secrets
    if reply.name is not None and not pool:
        whole = len(reply.name) <= RECORDED.high
        reply = reply._replace(
            name=storable(without_secrets(reply.name, secrets)) if whole else None,
            problem=None if whole else TOO_LONG,
        )
    elif reply.name is not None and reply.name not in pool:
        reply = reply._replace(name=None, problem=NOT_A_NAME)
    if reply.distribution is not None and not _is_distribution(reply.distribution, len(pool)):
        problem = f"its probabilities cannot be those of {len(pool)} names"
        reply = reply._replace(distribution=None, problem=problem)
    return reply._replace(
        text=kept(reply.text, secrets),
        thoughts=reply.thoughts and kept(reply.thoughts, secrets),
        problem=reply.problem and redacted(reply.problem, secrets),
        model=reply.model and redacted(reply.model, secrets),
        stop=reply.stop and redacted(reply.stop, secrets),
    )


def _is_distribution(shares: Sequence[float], size: int) -> bool:
    try:
        possible = len(shares) == size and all(0 <= share <= 1 for share in shares)
        return possible and math.isclose(math.fsum(shares), 1, abs_tol=1e-6)
    except TypeError:
        return False


def clean_error(error: CallError, secrets: Sequence[str] = ()) -> CallError:
    """Return an error as it may be recorded and shown: without keys, and its texts bounded."""
    problem = redacted(error.problem, secrets, MOST_OF_AN_ERROR)
    said = error.said and kept(error.said, secrets)
    return _with(error, problem, said)


def located(error: CallError, journal: Path | None) -> CallError:
    """Return an error that says where the whole is kept of what it quotes."""
    if journal is None or error.said is None or len(error.said) <= MAX_MESSAGE:
        return error
    much = "more" if error.said.endswith(" in all]") else "the whole"
    return _with(error, f"{error.problem} ({much} of it is in {journal})", error.said)


def _with(error: CallError, problem: str, said: str | None) -> CallError:
    if (problem, said) == (error.problem, error.said):
        return error
    rest = error.status, error.retry_after, error.remedy
    return CallError(error.provider, error.kind, problem, *rest, said=said)


def kept(text: str, secrets: Sequence[str] = (), size: str = "") -> str:
    """Return a text as it is recorded: without keys, and cut if it is very long.

    What is cut ends by saying its true ``size``, that of the text if omitted.
    """
    clean = without_secrets(text[: RECORDED.high + LONGEST_SECRET], secrets)
    if len(text) <= RECORDED.high and not size:
        return clean
    note = f"\n[cut here: {size or f'{len(text):,} characters'} in all]"
    # Less the end, which may be the beginning of a key.
    return f"{clean[:-LONGEST_SECRET][: RECORDED.high - len(note)]}{note}"
