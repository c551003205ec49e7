"""The protocol of chat completions: what is asked of a server, and what its answers mean.

Many programs speak this protocol, each a little differently. A reply is held to the pool by the
strongest *constraint* that the server knows:

- ``grammar``: llama.cpp, a grammar in its own notation, GBNF
- ``choice``: vLLM, the texts that a reply may consist of
- ``schema``: many, Ollama among them, a JSON schema
- ``none``: the server takes nothing of the kind; only the prompt asks for a name

Where a server samples, it does so by temperature alone: top-p, top-k and their like are set to
change nothing, since their defaults differ.

**Capabilities** are found by asking, for several servers accept every field of a request and
silently ignore those they do not know. The first question is as plain as a call of a game can be:
what is refused in it is left out from then on, and whether the model thinks shows in the answer.
Each further question is one that no model would answer with one of
two made-up names, so if a reply is one of them, the server held it to them. Whether the
probabilities that come with it are those that were sampled from, or the model's own, shows when it
is asked again at a lower temperature.

**Probabilities of names** follow from those of the tokens that a reply could have begun with.
Several tokens can stand for one name: all of it, or any beginning of it that no other name shares.
If the server holds the reply to the pool, the first token settles the name, and a name has the sum
of its tokens. Otherwise only a token that is a whole name counts, and the names together must have
most of the probability: a model that was about to say something else has not chosen. The result is
right to within ``MAX_DOUBT``, or there is none. In doubt are tokens that more than one name begins
with, and those a server left out: it lists only the likeliest tokens, so each name could have one
more, no likelier than the least likely listed.

What is read is read from the JSON itself, and anything that is not the protocol's is a
``ValueError``.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias

from mesa_llm_norms.errors import CallError
from mesa_llm_norms.llm.prompt import Prompt, name_schema, read_json, read_plain
from mesa_llm_norms.llm.provider import Usage
from mesa_llm_norms.llm.replies import Name, cut_off, read_count, read_name, read_word

Constraint: TypeAlias = Literal["grammar", "choice", "schema", "none"]
Probabilities: TypeAlias = Literal["none", "before", "after"]

LISTED = 20
"""How many tokens' probabilities are asked for; most servers refuse more."""
LISTED_AT_MOST = 1_000
"""Likewise of llama.cpp, which has no limit of its own."""
MAX_DOUBT = 0.001
"""The most that may be in doubt, as a share of what the names have."""
MIN_SHARE = 0.5
"""The least the names must have together if nothing holds the reply to them."""
SEVERAL = -1
"""Stands for a name in a table where there is more than one."""
MARKERS = "▁Ġ \n"
"""What a token that begins a word starts with in some vocabularies, besides the word."""
MADE_UP = ("Zuqta", "Wibbo")
QUESTION = Prompt("Answer in one word.", "Write the name of any city.")
"""Many answers are right, so that the temperature shows in their probabilities."""
COLDER = 0.5
"""The temperature of the second of two questions, of which the first has 1: it doubles differences
of log-probabilities if these are after sampling."""
RANK = 5
"""Which of the likeliest tokens the likeliest is compared with: the two should differ enough."""
_ALL = 0.99
"""The share of all probability that two names have if no others are possible."""
_HOLDING: tuple[Constraint, ...] = ("grammar", "choice")
"""The constraints under which a single token may decide."""
_BESIDE = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
"""Where servers put thoughts beside the text, the first before the others."""
_TEXTS = ("text", "thinking", "summary", "content", "reasoning")
"""Where the text is in a part of a message."""
_IDS = ("id", "name", "model", "key")
"""Where the name is in the description of a model."""
REJECTIONS = ("refused", "failed")
"""How servers answer to a field they do not accept; some with a status of their own failure."""
_GATEWAYS = (408, 409, 425, 502, 504)
"""The statuses of failures that say nothing about a field."""
_FORBIDDEN = (403, 404, 405)
"""The statuses of errors that are about the fields where a plain question is answered."""
_REPEATED = 4
"""How many failures of a server's own are a rejection, an answer to a plain question among them."""


def constrained(constraint: Constraint, pool: Sequence[str]) -> dict[str, Any]:
    """Return the fields by which a request holds the reply to ``pool``."""
    match constraint:
        case "grammar":
            return {
                "grammar": grammar(pool),
                "samplers": ["temperature"],
                # For servers built on llama.cpp that know grammars but not this list:
                "top_p": 1.0,
                "top_k": 0,
                "min_p": 0.0,
                "repeat_penalty": 1.0,
            }
        case "choice":
            return {
                "structured_outputs": {"choice": list(pool)},
                "top_p": 1.0,
                "top_k": -1,
                "min_p": 0.0,
                "repetition_penalty": 1.0,
            }
        case "schema":
            schema = {"name": "choice", "strict": True, "schema": name_schema(pool)}
            return {
                "response_format": {"type": "json_schema", "json_schema": schema},
                "top_p": 1.0,
            }
        case "none":
            return {"top_p": 1.0}


def listed(constraint: Constraint, pool: Sequence[str]) -> dict[str, Any]:
    """Return the fields by which a request asks for the probabilities of tokens.

    The number asked for is in ``top_logprobs``. A name can begin with several tokens, so llama.cpp
    is asked for enough to have them all.
    """
    if constraint != "grammar":
        return {"logprobs": True, "top_logprobs": LISTED}
    number = min(LISTED + 8 * len(pool), LISTED_AT_MOST)
    return {"logprobs": True, "top_logprobs": number, "post_sampling_probs": True}


def grammar(pool: Sequence[str]) -> str:
    """Return the GBNF grammar of the names of ``pool``."""
    names = (name.replace("\\", "\\\\").replace('"', '\\"') for name in pool)
    return "root ::= " + " | ".join(f'"{name}"' for name in names)


def read_constrained(constraint: Constraint, text: str, pool: Sequence[str]) -> str | None:
    """Return the name that a reply under a constraint gives, or None."""
    return read_json(text, pool) if constraint == "schema" else read_plain(text, pool)


class Answer(NamedTuple):
    """A chat completion: ``position`` is what the server says of the first token, where it does.

    ``beside`` are thoughts that came apart from the text.
    """

    text: str
    stop: str | None
    refusal: str | None
    position: Position | None
    usage: Usage
    model: str | None
    beside: str

    def name(self, read: Callable[[str], str | None]) -> Name:
        """Return the name that ``read`` finds, or why there is none, and what was thought."""
        thinking = self.usage.thinking_tokens
        found = read_name(self.text, self.stop, read, self.beside, thinking)
        if self.refusal:
            return found._replace(name=None, problem="the model refused to answer")
        return found

    @property
    def thinks(self) -> bool:
        """Whether the model thought before it answered, or had no room for more than thoughts."""
        thoughts = self.name(lambda _: None).thoughts or self.usage.thinking_tokens
        return bool(thoughts) or (cut_off(self.stop) and not self.text.strip())


def read_answer(content: object, asked: int) -> Answer:
    """Return the completion that came back; probabilities were asked of that many tokens."""
    content = _mapping(content)
    choices = content.get("choices")
    if not isinstance(choices, list) or not choices:
        raise ValueError("no choices")
    choice = _mapping(choices[0])
    message = _mapping(choice.get("message"))
    content_text, thoughts = _read_content(message.get("content"))
    beside = [thoughts, *(_texts(message.get(key)) for key in _BESIDE)]
    return Answer(
        text=content_text,
        stop=read_word(choice.get("finish_reason"), "finish_reason"),
        refusal=read_word(message.get("refusal"), "refusal"),
        position=read_position(choice, asked) if asked else None,
        usage=_read_usage(content.get("usage")),
        model=read_word(content.get("model"), "model"),
        beside=next(filter(None, beside), ""),
    )


def _read_content(content: object) -> tuple[str, str]:
    """Return the text and the thoughts of a message, which may come in parts."""
    if not isinstance(content, list):
        return read_word(content, "content") or "", ""
    parts = [_mapping(part) for part in content]
    thinking = [part for part in parts if part.get("type") in ("thinking", "reasoning")]
    texts = [part for part in parts if part.get("type") in ("text", "output_text")]
    return "".join(map(_texts, texts)), _texts(thinking)


def _texts(thing: object) -> str:
    """Return the texts in a part of a message, wherever they are: thoughts have many forms."""
    if isinstance(thing, str):
        return thing
    if isinstance(thing, list):
        return "".join(map(_texts, thing))
    if isinstance(thing, Mapping):
        return next(filter(None, (_texts(thing.get(key)) for key in _TEXTS)), "")
    return ""


def _read_usage(usage: object) -> Usage:
    """Return what a completion used, nothing where the server does not say."""
    if usage is None:
        return Usage()
    counts = _mapping(usage)
    details = _mapping(counts.get("completion_tokens_details") or counts)
    read = _mapping(counts.get("prompt_tokens_details") or {})
    written = read_count(counts.get("completion_tokens"), "completion_tokens")
    thinking = read_count(details.get("reasoning_tokens"), "reasoning_tokens")
    return Usage(
        input_tokens=read_count(counts.get("prompt_tokens"), "prompt_tokens"),
        # Some servers count what was thought apart from what was written.
        output_tokens=written if thinking <= written else written + thinking,
        thinking_tokens=thinking,
        cached_tokens=read_count(read.get("cached_tokens"), "cached_tokens"),
    )


def read_models(content: object) -> list[str] | None:
    """Return the ids of the models a server lists, None where the list cannot be relied on."""
    if isinstance(content, Mapping):
        if content.get("has_more"):
            return None
        content = next((content[key] for key in ("data", "models", "result") if key in content), {})
    if content is None:
        return []
    if not isinstance(content, list):
        return None
    found: list[str] = []
    for model in content:
        named = model if isinstance(model, Mapping) else {"id": model}
        aliases = named.get("aliases")
        ids = [named[key] for key in _IDS if named.get(key)][:1]
        ids += aliases if isinstance(aliases, list) else []
        found += [one for one in ids if isinstance(one, str)]
    return found if found or not content else None


def _mapping(thing: object) -> Mapping[str, Any]:
    if not isinstance(thing, Mapping):
        raise ValueError("no object where there should be one")
    return thing


class Position(NamedTuple):
    """What a server says of one place in its reply.

    ``written`` is the token that came to stand there, ``tokens`` the likeliest ones with their
    probabilities, none of them zero, and ``complete`` whether there are no others.
    """

    written: bytes
    tokens: tuple[tuple[bytes, float], ...]
    complete: bool

    def share(self, pool: tuple[str, ...]) -> float:
        """Return the part of what is listed that is with beginnings of names of ``pool``."""
        known = beginnings(pool)
        named = math.fsum(probability for text, probability in self.tokens if text in known)
        return named / math.fsum(probability for _, probability in self.tokens)


def read_position(choice: Mapping[str, Any], asked: int) -> Position | None:
    """Return what a choice of a chat completion says of its first token, ``asked`` for that many.

    None where it says nothing, or what cannot be probabilities. llama.cpp gives probabilities after
    sampling by other words than log-probabilities.
    """
    try:
        first = choice["logprobs"]["content"][0]
        rows = first["top_probs"] if "top_probs" in first else first["top_logprobs"]
        found = tuple((_token_text(row), _probability(row)) for row in rows)
        written = _token_text(first)
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    tokens = tuple((text, probability) for text, probability in found if probability > 0)
    if not tokens or math.fsum(probability for _, probability in tokens) > 1 + MAX_DOUBT:
        return None
    return Position(written, tokens, complete=len(tokens) < asked)


def name_probabilities(
    position: Position, pool: tuple[str, ...], temperature: float, constrained: bool
) -> tuple[float, ...] | None:
    """Return the probability of each name of ``pool``, in its order, or None where in doubt.

    The probabilities of tokens are raised to 1 / ``temperature``: 1 leaves them as they are, and 0
    leaves the likeliest name alone. ``constrained`` tells whether the server holds the reply to the
    pool.
    """
    known, whole = beginnings(pool), {name.encode(): place for place, name in enumerate(pool)}
    named: list[tuple[int, float]] = []
    other: list[float] = []
    for text, probability in position.tokens:
        place = known.get(text) if constrained else _place_of_word(text, known, whole)
        if place is None:
            other.append(probability)
        else:
            named.append((place, probability))
    rivals = [probability for _, probability in named] + ([] if constrained else other)
    if not rivals:
        return None
    highest, least = max(rivals), min(probability for _, probability in position.tokens)
    weights = [0.0] * len(pool)
    doubt = 0.0 if position.complete else len(pool) * _heated(least / highest, temperature)
    for place, probability in named:
        weight = _heated(probability / highest, temperature)
        if place == SEVERAL:
            doubt += weight
        else:
            weights[place] += weight
    total = math.fsum(weights)
    if not total or doubt > MAX_DOUBT * total:
        return None
    if not constrained:
        rest = math.fsum(_heated(probability / highest, temperature) for probability in other)
        if total < MIN_SHARE * (total + rest):
            return None
    if temperature == 0:
        likeliest = weights.index(max(weights))
        return tuple(float(place == likeliest) for place in range(len(pool)))
    return tuple(weight / total for weight in weights)


@lru_cache(64)
def beginnings(pool: tuple[str, ...]) -> dict[bytes, int]:
    """Return, for every beginning of a name, which name of the pool it is of, or ``SEVERAL``."""
    found: dict[bytes, int] = {}
    for place, name in enumerate(pool):
        text = name.encode()
        for end in range(1, len(text) + 1):
            start = text[:end]
            found[start] = SEVERAL if start in found else place
    return found


def _place_of_word(
    text: bytes, known: Mapping[bytes, int], whole: Mapping[bytes, int]
) -> int | None:
    """Return which name a token begins where anything may follow; only a whole name is sure."""
    bare = text if text in whole else text.decode(errors="replace").lstrip(MARKERS).encode()
    if text and not bare:
        return SEVERAL
    return known[bare] if bare in whole else SEVERAL if bare in known else None


def _heated(ratio: float, temperature: float) -> float:
    if temperature == 0:
        return float(ratio >= 1)
    return float(ratio ** (1 / temperature))


def _token_text(row: Mapping[str, Any]) -> bytes:
    """Return the bytes of a token; its text may lack some, for it can end inside a letter."""
    given = row.get("bytes")
    return bytes(given) if given else str(row["token"]).encode()


def _probability(row: Mapping[str, Any]) -> float:
    probability = float(row["prob"]) if "prob" in row else math.exp(float(row["logprob"]))
    if not 0 <= probability <= 1 + MAX_DOUBT:
        raise ValueError(probability)
    return probability


_SCHEMA: Constraint = "schema"
PLAIN: Mapping[str, Any] = {**constrained("none", MADE_UP), "seed": 0}
"""The fields of a question that nothing holds, besides those that every call has."""
Ask: TypeAlias = Callable[[Prompt, Mapping[str, Any]], Awaitable["Answer"]]
"""Makes one call with a prompt and these fields of the request."""


@dataclass(frozen=True)
class Capabilities:
    """``constraint`` is the strongest that the server keeps a sampled reply to.

    ``probabilities`` tells whether it says how likely each token was: not at all, as they were
    before sampling, or after it. With the constraints ``grammar`` and ``choice`` they come with a
    constrained reply, otherwise with one that nothing holds. ``thinks`` tells whether the model
    thinks before it answers; then the constraint is one that leaves it its thoughts, and the first
    token says nothing about the answer.
    """

    constraint: Constraint
    probabilities: Probabilities
    thinks: bool = False

    @property
    def distributions(self) -> bool:
        """Whether a call can give the probability of every name."""
        return self.probabilities != "none"

    @property
    def drawing(self) -> Constraint:
        """The constraint of the calls that give probabilities."""
        return self.constraint if self.constraint in _HOLDING else "none"

    def as_json(self) -> dict[str, Any]:
        """Return what was found, by name; that a model does not think goes without saying."""
        return {name: value for name, value in asdict(self).items() if value is not False}


class Probe:
    """Asks a server the test question in one way or another, each once.

    What was answered or rejected is kept, so that after an error everything can be asked again and
    continues where it was.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._known: dict[str, Answer | CallError] = {}
        self._failures: Counter[str] = Counter()

    async def __call__(self, **fields: Any) -> Answer | CallError:
        """Return the answer to a request with these fields, or how the server rejects it.

        A failure of the server's own may have any other reason. It counts as a rejection once the
        server has answered a plain question, and has then failed twice more.
        """
        key = json.dumps(fields, sort_keys=True)
        while key not in self._known:
            if self._failures[key] == 1 and fields != PLAIN:
                await self.check()
                self._failures[key] += 1
            try:
                self._known[key] = await self._ask(QUESTION, fields)
            except CallError as error:
                forbidden = error.status in _FORBIDDEN and fields != PLAIN
                if not forbidden and (error.kind not in REJECTIONS or error.status in _GATEWAYS):
                    raise
                self._failures[key] += 1
                if forbidden or error.kind == "refused" or self._failures[key] == _REPEATED:
                    self._known[key] = error
        return self._known[key]

    async def check(self) -> None:
        """Raise ``CallError`` if the server does not answer a plain question now."""
        await self._ask(QUESTION, PLAIN)


async def find_capabilities(probe: Probe, room: int) -> Capabilities | CallError:
    """Return what the server behind ``probe`` can do, in two calls to ten.

    A model that thinks is given ``room`` tokens for that. Where the server rejects even a plain
    question, how it does so is returned; ``CallError`` is raised where it cannot be asked.
    """
    plain = await probe(**PLAIN)
    if isinstance(plain, CallError):
        return plain
    if plain.thinks or (cut_off(plain.stop) and await _thinks_with(room, probe)):
        for constraint in (*_HOLDING, _SCHEMA):
            held = await _held(constraint, probe, max_tokens=room)
            if held is not None and held.thinks:
                return Capabilities(constraint, "none", thinks=True)
        return Capabilities("none", "none", thinks=True)
    for constraint in _HOLDING:
        if answer := await _held(constraint, probe):
            return Capabilities(
                constraint, await _probabilities_constrained(constraint, answer, probe)
            )
    kept = _SCHEMA if await _held(_SCHEMA, probe) else "none"
    return Capabilities(kept, await _probabilities_unconstrained(probe))


async def _thinks_with(room: int, probe: Probe) -> bool:
    """Return whether an answer was cut off in thoughts that show only where they end.

    A model that merely says too much may take longer for that than a call may.
    """
    try:
        roomy = await probe(**{**PLAIN, "max_tokens": room})
    except CallError as error:
        if error.kind != "timeout":
            raise
        await probe.check()
        return False
    return isinstance(roomy, Answer) and roomy.thinks


async def _held(constraint: Constraint, probe: Probe, **more: Any) -> Answer | None:
    """Return the answer to a question under a constraint, if the server kept to it.

    With a seed: where llama.cpp happens to sample a name at once, it lists tokens of any kind.
    """
    fields = {**constrained(constraint, MADE_UP), "seed": 0, "temperature": 1.0, **more}
    if constraint != "schema" and "max_tokens" not in more:  # lists for all thoughts are megabytes
        fields |= listed(constraint, MADE_UP)
    answer = await probe(**fields)
    if (
        isinstance(answer, CallError)
        or answer.name(lambda text: read_constrained(constraint, text, MADE_UP))[0] is None
    ):
        return None
    return answer


async def _probabilities_constrained(
    constraint: Constraint, answer: Answer, probe: Probe
) -> Probabilities:
    """Return whether the probabilities with a constrained answer are those after sampling.

    Some servers list them after the constraint and before the temperature, so that alone which of
    the two names they are with does not tell.
    """
    if answer.position is None:
        return "none"
    if answer.position.share(MADE_UP) <= _ALL:
        return "before"
    colder = await _held(constraint, probe, temperature=COLDER)
    if colder is None or colder.position is None:
        return "none"
    odds = []
    for position in (answer.position, colder.position):
        probabilities = name_probabilities(position, MADE_UP, 1.0, constrained=True)
        if probabilities is None or not all(probabilities):
            return "none"
        odds.append(abs(math.log(probabilities[0] / probabilities[1])))
    return _shown(*odds)


async def _probabilities_unconstrained(probe: Probe) -> Probabilities:
    """Return the same where nothing holds a reply: after sampling, the temperature shows.

    Halving it doubles the difference of two log-probabilities. Where it does neither that nor
    nothing, or there is too little to tell by, no use can be made of them.
    """
    lists = []
    for temperature in (1.0, COLDER):
        fields = {**PLAIN, **listed("none", MADE_UP), "temperature": temperature}
        answer = await probe(**fields)
        if isinstance(answer, CallError) or answer.position is None:
            return "none"
        lists.append(
            sorted((probability for _, probability in answer.position.tokens), reverse=True)
        )
    rank = min(RANK, *map(len, lists)) - 1
    warm, cold = (math.log(probabilities[0] / probabilities[rank]) for probabilities in lists)
    return _shown(warm, cold)


def _shown(warm: float, cold: float) -> Probabilities:
    """Return what two differences of log-probabilities tell, at both temperatures of the test."""
    if warm < 0.1:
        return "none"
    if abs(cold / warm - 1) < 0.1:
        return "before"
    return "after" if abs(cold / warm - 1 / COLDER) < 0.2 else "none"
