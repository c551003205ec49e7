"""What a server of chat completions can do, found out by asking.

Nothing is assumed, for several servers take every field of a request and silently pass over those
they do not know. Each question is one that no model would answer with one of two made-up names. So
where a reply is one of them, the server held it to them. Whether the probabilities that come with
it are those that were sampled from, or the model's own, shows when it is asked again, colder.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from mesa_llm_norms.errors import CallError
from mesa_llm_norms.minds.live.llama.chances import name_chances
from mesa_llm_norms.minds.live.llama.chat_completions import Answer
from mesa_llm_norms.minds.live.llama.constraints import Constraint, constrained, listed, read
from mesa_llm_norms.minds.live.prompt import Prompt

MADE_UP = ("Zuqta", "Wibbo")

QUESTION = Prompt("Answer in one word.", "Write the name of any city.")
"""Many answers are right, so that the temperature shows in their probabilities."""

Probabilities: TypeAlias = Literal["none", "before", "after"]

Ask: TypeAlias = Callable[[Prompt, Mapping[str, Any]], Awaitable[Answer]]
"""Makes one call with a prompt and these fields of the request."""

COLDER = 0.5
"""The temperature of the second of two questions, of which the first has 1: it doubles differences
of log-probabilities where these are after sampling."""

_ALL = 0.99
"""The share of all probability that is with two names, if no other can be."""

_HOLDING: tuple[Constraint, ...] = ("grammar", "choice")
"""The constraints under which a single token may decide."""

FAR_DOWN = 5
"""Which of the likeliest tokens the likeliest is compared with: the two should differ enough."""

NOT_TAKEN = ("refused", "failed")
"""How servers answer to a field they will not have; some with a status of their own failure."""


@dataclass(frozen=True)
class Abilities:
    """``constraint`` is the strongest that the server keeps a sampled reply to.

    ``probabilities`` tells whether it says how likely each token was: not at all, as they were
    before sampling, or after it. With the constraints ``grammar`` and ``choice`` they come with a
    constrained reply, otherwise with one that nothing holds.
    """

    constraint: Constraint
    probabilities: Probabilities

    @property
    def distributions(self) -> bool:
        """Whether a call can give the probability of every name."""
        return self.probabilities != "none"

    @property
    def drawing(self) -> Constraint:
        """The constraint of the calls that give probabilities."""
        return self.constraint if self.constraint in _HOLDING else "none"

    def as_json(self) -> dict[str, str]:
        """Return both, by name."""
        return asdict(self)


async def find_abilities(ask: Ask) -> Abilities:
    """Return what the server behind ``ask`` can do, in one call to ten.

    Raises ``CallError`` where it cannot be asked at all.
    """
    for constraint in _HOLDING:
        if answer := await _held(constraint, ask):
            return Abilities(constraint, await _told(constraint, answer, ask))
    held = await _held("schema", ask)
    return Abilities("schema" if held else "none", await _told_freely(ask))


async def _held(constraint: Constraint, ask: Ask, temperature: float = 1.0) -> Answer | None:
    """Return the answer to a question under a constraint, if the server kept to it."""
    fields = {**constrained(constraint, MADE_UP), "temperature": temperature}
    if constraint != "schema":
        fields |= listed(constraint, MADE_UP)
    answer = await _taken(fields, ask)
    if answer is None or answer.problem or read(constraint, answer.text, MADE_UP) is None:
        return None
    return answer


async def _taken(fields: Mapping[str, Any], ask: Ask) -> Answer | None:
    """Return the answer to a request with these fields, or None if the server will not have them.

    A failure of the server's own counts only when it comes again: it may have had another reason.
    """
    for last in (False, True):
        try:
            return await ask(QUESTION, fields)
        except CallError as error:
            if error.kind not in NOT_TAKEN:
                raise
            if error.kind == "refused" or last:
                break
    return None


async def _told(constraint: Constraint, answer: Answer, ask: Ask) -> Probabilities:
    """Return whether the probabilities with a constrained answer are those after sampling.

    Some servers list them after the constraint and before the temperature, so that alone which of
    the two names they are with does not tell.
    """
    if answer.position is None:
        return "none"
    if answer.position.share(MADE_UP) <= _ALL:
        return "before"
    colder = await _held(constraint, ask, COLDER)
    if colder is None or colder.position is None:
        return "none"
    odds = []
    for position in (answer.position, colder.position):
        chances = name_chances(position, MADE_UP, 1.0, constrained=True)
        if chances is None or not all(chances):
            return "none"
        odds.append(abs(math.log(chances[0] / chances[1])))
    return _shown(*odds)


async def _told_freely(ask: Ask) -> Probabilities:
    """Return the same where nothing holds a reply: after sampling, the temperature shows.

    Halving it doubles the difference of two log-probabilities. Where it does neither that nor
    nothing, or there is too little to tell by, no use can be made of them.
    """
    lists = []
    for temperature in (1.0, COLDER):
        fields = {**constrained("none", MADE_UP), **listed("none", MADE_UP)}
        answer = await _taken({**fields, "temperature": temperature}, ask)
        if answer is None:
            # Without what it would not take, so that an error of any other cause is raised.
            await ask(QUESTION, {**constrained("none", MADE_UP), "temperature": temperature})
            return "none"
        if answer.position is None:
            return "none"
        lists.append(sorted((chance for _, chance in answer.position.tokens), reverse=True))
    rank = min(FAR_DOWN, *map(len, lists)) - 1
    warm, cold = (math.log(chances[0] / chances[rank]) for chances in lists)
    return _shown(warm, cold)


def _shown(warm: float, cold: float) -> Probabilities:
    """Return what two differences of log-probabilities tell, at both temperatures of the test."""
    if warm < 0.1:
        return "none"
    if abs(cold / warm - 1) < 0.1:
        return "before"
    return "after" if abs(cold / warm - 1 / COLDER) < 0.2 else "none"
