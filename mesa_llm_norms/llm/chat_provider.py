"""What providers of chat completions have in common: how a question becomes names and numbers.

What the model can do is in ``Capabilities``. If they include the probabilities of tokens, a call
yields the probability of every name, and the run's own random number picks one.

Whether that works depends on the names too: two may begin with the same token, or there may be more
than a server lists. So each pool is tested before its first question, by a question of this module
that is always the same: a run that is resumed, or played in another order, finds the same result. A
pool that fails is played by sampled replies throughout. In one that passes, a prompt whose
probabilities leave too much in doubt is asked again for a sampled reply, and always will be.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from operator import add
from typing import Any

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.limits import read_number, read_whole
from mesa_llm_norms.errors import MindError
from mesa_llm_norms.llm.chat_completions import (
    Answer,
    Capabilities,
    constrained,
    listed,
    name_probabilities,
    read_answer,
    read_constrained,
)
from mesa_llm_norms.llm.prompt import Prompt
from mesa_llm_norms.llm.provider import (
    MAX_TOKENS,
    MAX_TOKENS_THINKING,
    Content,
    Provider,
    Question,
    Reply,
    Usage,
)
from mesa_llm_norms.llm.replies import read_words

TEMPERATURE = 0.5
"""The default, with which the recorded study sampled its Llamas."""
TEST = "Reply with one of these names, and with nothing else."


class ChatProvider(Provider):
    """A model that is asked by chat completions; a subclass says by ``_request`` how they are got.

    Parameters
    ----------
    model : str
        What the model is called.
    temperature : float, optional
        From 0 to 10: that of the probabilities a name is drawn from. 0.5 if omitted.
    max_tokens : int, optional
        The most tokens a call may write, thoughts included. If omitted, there is room for a name
        (128), and for some thoughts where the model thinks (2,048).

    Raises
    ------
    MindError
        If an argument is out of range.
    """

    free = True
    writes = True
    calls_at_most = 3

    def __init__(self, model: str, temperature: float | None, max_tokens: int | None) -> None:
        if temperature is not None:
            read_number("temperature", temperature, limits.TEMPERATURE, MindError)
        if max_tokens is not None:
            max_tokens = read_whole("max_tokens", max_tokens, limits.MAX_TOKENS, MindError)
        self.model = model
        self._temperature = None if temperature is None else float(temperature)
        self._max_tokens = max_tokens
        self.left_out: tuple[str, ...] = ()
        self.capabilities: Capabilities | None = None
        self._drawn: dict[Question, tuple[Usage, int]] = {}
        self._tested: dict[tuple[str, ...], bool] = {}
        self._testing = asyncio.Lock()

    @abstractmethod
    async def _request(
        self, path: str, body: Mapping[str, Any] | None, read: Callable[[object], Content]
    ) -> Content:
        """Get what is at ``path``, or post ``body`` to it, and read the JSON that comes back."""

    def _listed(self, drawing: Any, pool: tuple[str, ...]) -> Mapping[str, Any]:
        """Return the fields by which a call asks for the probabilities of tokens."""
        return listed(drawing, pool)

    @property
    def temperature(self) -> float:
        """The temperature given, or that of the study."""
        return TEMPERATURE if self._temperature is None else self._temperature

    @property
    def max_tokens(self) -> int:  # type: ignore[override]  # depends on the capabilities
        """The most tokens one call may write, thoughts included."""
        thinks = self.capabilities is not None and self.capabilities.thinks
        return self._max_tokens or (MAX_TOKENS_THINKING if thinks else MAX_TOKENS)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Everything sent besides the prompt, and what was found out about the server."""
        sent = {"temperature": self.temperature, "top_p": 1.0, "max_tokens": self.max_tokens}
        fields = tuple(field for field in self.left_out if field != "system")
        return {
            "model": self.model,
            **self._taken(sent),
            **({"system": "in the user's message"} if "system" in self.left_out else {}),
            **({"left_out": list(fields)} if fields else {}),
            **(self.capabilities.as_json() if self.capabilities else {}),
        }

    def gives_distributions(self, pool: Sequence[str]) -> bool:
        """Return whether replies on a pool are distributions, as far as is known."""
        able = bool(pool) and self.capabilities is not None and self.capabilities.distributions
        return self._tested.get(tuple(pool), able)

    async def ask(self, question: Question) -> Reply:
        """Return a reply from one call; two for a pool's first question, or for one in doubt.

        If the second fails, the first is not made again when the question is.
        """
        if self.capabilities is None:
            self._refuse("it was asked before it was prepared", "Await prepare() first.")
        prompt, pool, seed = question
        if question in self._drawn:
            used, calls = self._drawn[question]
        else:
            able, used, calls = await self._can_draw(pool, self.capabilities)
            if able:
                answer, probabilities = await self._draw(prompt, pool, self.capabilities)
                used, calls = _sum(used, answer.usage), calls + 1
                if probabilities is not None:
                    ended = answer.model, answer.stop, calls
                    return Reply(answer.text, used, None, probabilities, None, *ended)
            self._drawn[question] = used, calls
        constraint = self.capabilities.constraint if pool else "none"
        answer = await self._complete(prompt, {**constrained(constraint, pool), "seed": seed})
        found = answer.name(
            (lambda text: read_constrained(constraint, text, pool)) if pool else read_words
        )
        del self._drawn[question]
        ended = answer.model, answer.stop, calls + 1
        used, thoughts = _sum(used, answer.usage), found.thoughts
        return Reply(answer.text, used, found.name, None, found.problem, *ended, thoughts=thoughts)

    async def _can_draw(
        self, pool: tuple[str, ...], capabilities: Capabilities
    ) -> tuple[bool, Usage, int]:
        """Return whether questions on a pool give distributions, and what finding out took."""
        if not pool or not capabilities.distributions:
            return False, Usage(), 0
        async with self._testing:
            if pool in self._tested:
                return self._tested[pool], Usage(), 0
            test = Prompt(TEST, "\n".join(pool))
            answer, probabilities = await self._draw(test, pool, capabilities)
            self._tested[pool] = probabilities is not None
            return self._tested[pool], answer.usage, 1

    async def _draw(
        self, prompt: Prompt, pool: tuple[str, ...], capabilities: Capabilities
    ) -> tuple[Answer, tuple[float, ...] | None]:
        """Make a call for the probability of each name; None if in doubt.

        The seed is always the same: what llama.cpp lists depends on the token it happens to sample,
        and whether a prompt gives a distribution must depend on the prompt alone.
        """
        drawing = capabilities.drawing
        fields = {
            **constrained(drawing, pool),
            **self._listed(drawing, pool),
            "seed": 0,
            "max_tokens": 1,
        }
        answer = await self._complete(prompt, fields)
        position = answer.position
        if position is None or answer.refusal or answer.stop not in ("stop", "length"):
            return answer, None
        first = position.written.decode(errors="ignore").lstrip()
        if not answer.text.lstrip().startswith(first):
            return answer, None  # thinking comes first, and is no part of the reply
        temperature = self.temperature if capabilities.probabilities == "before" else 1.0
        return answer, name_probabilities(position, pool, temperature, drawing != "none")

    async def _complete(self, prompt: Prompt, fields: Mapping[str, Any]) -> Answer:
        """Make one call with these fields of the request, besides those that all have."""
        if "system" in self.left_out:
            prompt = Prompt("", "\n\n".join(filter(None, prompt)))
        messages = [{"role": "user", "content": prompt.user}]
        if prompt.system:
            messages.insert(0, {"role": "system", "content": prompt.system})
        common = {"temperature": self.temperature, "max_tokens": self.max_tokens}
        body = {"model": self.model, "messages": messages, **self._taken({**common, **fields})}
        asked = fields.get("top_logprobs", 0)
        return await self._request(
            "/chat/completions", body, lambda content: read_answer(content, asked)
        )

    def _taken(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a request that the server does not refuse."""
        taken = {field: value for field, value in fields.items() if field not in self.left_out}
        if "max_tokens" in fields and "max_tokens" in self.left_out:
            taken["max_completion_tokens"] = fields["max_tokens"]
        return taken


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(*map(add, one, other))
