"""The connection to a server of chat completions, by the ``openai`` package.

The package is imported on first use. A key comes from the environment, ``LLAMA_API_KEY`` or else
``OPENAI_API_KEY``, and stays in the SDK's client: no message, record or ``repr`` has it. Where
there is none, the call goes out without one that would open anything.

Llama, and any other model behind a server of chat completions: llama.cpp, vLLM, Ollama and more.

What the server can do is asked of it once (``abilities``). Where it gives the probabilities of
tokens, a call yields the probability of every name (``chances``), and the run's own draw picks one.

Whether that works depends on the names too: two may begin with the same token, or be more than a
server lists. So each pool is put to the test before its first question, by a question of this
module's own that is always the same: a run that is resumed, or played in another order, finds the
same. A pool that fails is played by sampled replies throughout. In one that passes, a prompt whose
probabilities leave too much in doubt is asked again for a sampled reply, and always will be.

The last digits of a probability can depend on what else a server computes at the same time: with
llama.cpp as it usually runs, the fourth. A run's journal keeps the first that came.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from mesa_llm_norms.errors import CallError, MindError
from mesa_llm_norms.llm.chat_completions import (
    Abilities,
    Answer,
    call_error,
    constrained,
    find_abilities,
    listed,
    name_chances,
    read,
    read_answer,
    read_models,
)
from mesa_llm_norms.llm.prompt import Prompt
from mesa_llm_norms.llm.provider import Provider, Question, Reply, Usage, read_address
from mesa_llm_norms.llm.retry import secrets_of
from mesa_llm_norms.validation import read_whole

if TYPE_CHECKING:
    from openai import AsyncOpenAI


KEYS = ("LLAMA_API_KEY", "OPENAI_API_KEY")
"""The variables that may hold a key, the first before the second."""


NO_KEY = "none"
"""Sent where there is no key: the SDK insists on one."""


MAX_CONNECTIONS = 1_000


Content = TypeVar("Content")


class ChatClient:
    """Makes calls to the server at ``url``, each within ``timeout`` seconds; opens on first use.

    ``label`` is what errors call the server.
    """

    def __init__(self, label: str, url: str, timeout: float) -> None:
        self.label = label
        self.url = url
        self.timeout = timeout
        self._sdk: AsyncOpenAI | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def fetch(
        self, path: str, read: Callable[[object], Content], body: Mapping[str, Any] | None = None
    ) -> Content:
        """Get what is at ``path``, or post ``body`` to it; return what ``read`` makes of the JSON.

        Every failure is a ``CallError``, a ``ValueError`` of ``read`` included.
        """
        sdk = self._connected()
        from httpx2 import Response
        from openai import OpenAIError

        # The SDK's own methods for these paths take half a millisecond more, of no use here.
        if body is None:
            call = sdk.get(path, cast_to=Response)
        else:
            call = sdk.post(path, cast_to=Response, body=body)
        try:
            # The timeouts of the SDK are for each read, and a slow drip never reaches them.
            async with asyncio.timeout(self.timeout):
                response = await call
        except TimeoutError:
            late = f"no reply within {self.timeout:g} seconds"
            raise CallError(self.label, "timeout", late) from None
        except OpenAIError as error:
            # Without the cause: what it prints is not cleared of secrets.
            raise call_error(self.label, error, _secrets(sdk)) from None
        try:
            return read(response.json())
        except (ValueError, RecursionError):
            problem = "what came back is no reply of the protocol"
            raise CallError(self.label, "garbled", problem, response.status_code) from None

    async def close(self) -> None:
        """Let go of connections; the next call opens new ones."""
        sdk, self._sdk = self._sdk, None
        if sdk is not None:
            await sdk.close()

    def _connected(self) -> AsyncOpenAI:
        """Return the SDK's client; connections belong to the event loop they were opened on."""
        loop = asyncio.get_running_loop()
        if self._sdk is None or self._loop is not loop:
            self._sdk, self._loop = self._open(), loop
        return self._sdk

    def _open(self) -> AsyncOpenAI:
        try:
            from httpx2 import Limits
            from openai import AsyncOpenAI, DefaultAsyncHttpxClient
        except ImportError:
            raise MindError(
                "mind",
                self.label,
                "the openai package is missing",
                'Run: pip install "mesa-llm-norms[llama]"',
            ) from None
        variable = next((name for name in KEYS if os.environ.get(name)), "")
        key = os.environ.get(variable, NO_KEY)
        if not (key.isascii() and key.isprintable() and " " not in key):
            raise MindError(
                "mind",
                self.label,
                f"{variable} holds more than a key",
                "Set it again, as one word.",
            )
        limits = Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS)
        return AsyncOpenAI(
            api_key=key,
            base_url=self.url,
            timeout=self.timeout,
            max_retries=0,
            # A call goes to the place that is on record, and nowhere else.
            http_client=DefaultAsyncHttpxClient(
                limits=limits, timeout=self.timeout, follow_redirects=False
            ),
        )


def _secrets(sdk: AsyncOpenAI) -> list[str]:
    return secrets_of({**sdk.default_headers, **sdk.auth_headers})


TEMPERATURE = 0.5
"""That of the recorded study, which sampled its Llamas so."""


MAX_TOKENS = 128
"""Room for the longest name, letter by letter, and the JSON around it."""


TEST = "Reply with one of these names, and with nothing else."


class OpenAICompatibleProvider(Provider):
    """A model called ``model`` by the server at ``url``, which ends in ``/v1`` nearly always.

    ``temperature`` is that of the probabilities a name is drawn from, by the server or here.
    ``timeout`` is the seconds a whole call may last, ``max_tokens`` the most tokens it may write.
    """

    free = True
    calls_at_most = 3

    def __init__(
        self,
        url: str,
        model: str,
        *,
        temperature: float | None = None,
        timeout: float = 60.0,
        max_tokens: int | None = None,
    ) -> None:
        if not isinstance(model, str) or not model or model != model.strip():
            raise MindError(
                "model", model, f"{model!r} is no name of a model", "Give the server's."
            )
        if temperature is not None and not 0 <= temperature <= 10:
            raise MindError("temperature", temperature, "out of range", "Use 0 to 10.")
        if not 0 < timeout < math.inf:
            raise MindError("timeout", timeout, f"{timeout!r} is no time to wait", "Give seconds.")
        self.place = read_address(url, "url", KEYS[0])
        self.model = model
        self.label = f"llama:{self.place}#{model}"
        self.temperature = TEMPERATURE if temperature is None else float(temperature)
        self.timeout = timeout
        self.max_tokens = (
            MAX_TOKENS if max_tokens is None else read_whole("max_tokens", max_tokens, 1, 1_000_000)
        )
        self.abilities: Abilities | None = None
        self._tested: dict[tuple[str, ...], bool] = {}
        self._client = ChatClient(self.label, self.place, timeout)
        self._testing = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.label}>"

    @property
    def options(self) -> Mapping[str, Any]:
        """How it is made, beside the label."""
        return {
            "temperature": self.temperature,
            "timeout": self.timeout,
            "max_tokens": self.max_tokens,
        }

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What is sent beside the prompt, and what was found out about the server."""
        return {
            "model": self.model,
            "temperature": self.temperature,
            "top_p": 1.0,
            "max_tokens": self.max_tokens,
            **(self.abilities.as_json() if self.abilities else {}),
        }

    def gives_distributions(self, pool: Sequence[str]) -> bool:
        """Whether replies on this pool are distributions, as far as is known before the first."""
        able = self.abilities is not None and self.abilities.distributions
        return self._tested.get(tuple(pool), able)

    async def prepare(self) -> None:
        """Find out what the server can do, unless that is known; also the proof that it is there.

        Raises ``MindError`` where it lists its models and has none called ``model``.
        """
        if self.abilities is not None:
            return
        try:
            models = await self._client.fetch("/models", read_models)
        except CallError as error:
            if error.status not in (404, 405, 501):
                raise
        else:
            # Ollama calls a model without a tag by the tag "latest".
            if self.model not in models and f"{self.model}:latest" not in models:
                there = ", ".join(models) or "none"
                self._refuse(f"{self.place} has no such model", f"Those there are: {there}.")
        self.abilities = await find_abilities(self._complete)

    async def ask(self, question: Question) -> Reply:
        """Return a reply, from one call; two for a pool's first question, or for one in doubt.

        The usage is that of both.
        """
        if self.abilities is None:
            self._refuse("it was asked before it was prepared", "Await prepare() first.")
        prompt, pool, seed = question
        able, used, calls = await self._can_draw(pool, self.abilities)
        if able:
            answer, chances = await self._draw(prompt, pool, self.abilities)
            used, calls = _both(used, answer.usage), calls + 1
            if chances is not None:
                told = answer.model, answer.stop, calls
                return Reply(answer.text, used, None, chances, None, *told)
        constraint = self.abilities.constraint
        answer = await self._complete(prompt, {**constrained(constraint, pool), "seed": seed})
        name, problem = None, answer.problem
        if problem is None:
            name = read(constraint, answer.text, pool)
            if name is None:
                problem = "it is no name of the pool" if answer.text.strip() else "it is empty"
        used = _both(used, answer.usage)
        told = answer.model, answer.stop, calls + 1
        return Reply(answer.text, used, name, None, problem, *told)

    async def close(self) -> None:
        """Let go of connections; the next call opens new ones."""
        await self._client.close()

    async def _can_draw(
        self, pool: tuple[str, ...], abilities: Abilities
    ) -> tuple[bool, Usage, int]:
        """Return whether questions about ``pool`` give distributions, and what it took to know."""
        if not abilities.distributions:
            return False, Usage(), 0
        async with self._testing:
            if pool in self._tested:
                return self._tested[pool], Usage(), 0
            test = Prompt(TEST, "\n".join(pool))
            answer, chances = await self._draw(test, pool, abilities)
            self._tested[pool] = chances is not None
            return self._tested[pool], answer.usage, 1

    async def _draw(
        self, prompt: Prompt, pool: tuple[str, ...], abilities: Abilities
    ) -> tuple[Answer, tuple[float, ...] | None]:
        """Make a call for the probability of each name; None where it is in doubt.

        The seed is always the same: what llama.cpp lists depends on the token it happens to sample,
        and whether a prompt gives a distribution must depend on the prompt alone.
        """
        drawing = abilities.drawing
        fields = {**constrained(drawing, pool), **listed(drawing, pool), "seed": 0, "max_tokens": 1}
        answer = await self._complete(prompt, fields)
        position = answer.position
        if position is None or answer.refusal or answer.stop not in ("stop", "length"):
            return answer, None
        first = position.written.decode(errors="ignore").lstrip()
        if not answer.text.lstrip().startswith(first):
            return answer, None  # thoughts come first, and are no part of the reply
        temperature = self.temperature if abilities.probabilities == "before" else 1.0
        return answer, name_chances(position, pool, temperature, drawing != "none")

    async def _complete(self, prompt: Prompt, fields: Mapping[str, Any]) -> Answer:
        """Make one call with these fields of the request, beside those that all have."""
        messages = [{"role": "user", "content": prompt.user}]
        if prompt.system:
            messages.insert(0, {"role": "system", "content": prompt.system})
        body = {
            "model": self.model,
            "messages": messages,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            **fields,
        }
        asked = fields.get("top_logprobs", 0)
        return await self._client.fetch(
            "/chat/completions", lambda content: read_answer(content, asked), body
        )

    def _refuse(self, problem: str, remedy: str) -> NoReturn:
        raise MindError("mind", self.label, problem, remedy) from None


def _both(one: Usage, other: Usage) -> Usage:
    return Usage(*map(sum, zip(one, other, strict=True)))
