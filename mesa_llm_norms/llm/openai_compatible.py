"""Llama, and any other model behind a server of chat completions: llama.cpp, vLLM, Ollama and more.

What the server can do is asked of it once (``chat_completions.find_capabilities``). If it gives the
probabilities of tokens, a call yields the probability of every name, and the run's own random
number picks one.

Whether that works depends on the names too: two may begin with the same token, or there may be more
than a server lists. So each pool is tested before its first question, by a question of this module
that is always the same: a run that is resumed, or played in another order, finds the same result. A
pool that fails is played by sampled replies throughout. In one that passes, a prompt whose
probabilities leave too much in doubt is asked again for a sampled reply, and always will be.

The last digits of a probability can depend on what else a server computes at the same time; with
llama.cpp as it usually runs, the fourth. A run's journal keeps the first that came.

The server is called with the ``openai`` package. The key comes from the environment, as
``addresses.LLAMA`` says, and stays in the SDK's client: no message, record or ``repr`` contains it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from operator import add
from typing import Any, NoReturn

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.limits import read_number, read_whole
from mesa_llm_norms.errors import CallError, MindError, shown
from mesa_llm_norms.llm.addresses import (
    LLAMA,
    key_for,
    likely_addresses,
    read_address,
    same,
)
from mesa_llm_norms.llm.chat_completions import (
    PLAIN,
    Answer,
    Capabilities,
    Probe,
    constrained,
    find_capabilities,
    listed,
    name_probabilities,
    read_answer,
    read_constrained,
    read_models,
)
from mesa_llm_norms.llm.prompt import Prompt
from mesa_llm_norms.llm.provider import (
    MAX_TOKENS,
    MAX_TOKENS_THINKING,
    Content,
    Question,
    Reply,
    SDKProvider,
    Usage,
)
from mesa_llm_norms.llm.retry import redacted, secrets_in
from mesa_llm_norms.minds.registry import check_model, not_live, register_provider

OPENAI = LLAMA[1]
"""The key that belongs to OpenAI's own address."""
HEADERS = "OPENAI_CUSTOM_HEADERS"
"""The environment variable from which the SDK takes headers for every call."""
NO_KEY = "none"
"""Sent if there is no key: the SDK insists on one."""
TEMPERATURE = 0.5
"""The default, with which the recorded study sampled its Llamas."""
LEAVABLE = ("system", "seed", "top_p", "temperature", "max_tokens")
"""What a server may refuse and can be played without, in the order in which that is tried: the role
of the rules, which then precede the situation in the user's message, and fields of the request.
Instead of ``max_tokens``, ``max_completion_tokens`` is sent."""
TEST = "Reply with one of these names, and with nothing else."
EXAMPLE = "llama:http://127.0.0.1:8080/v1#llama-3.1-8b"


class OpenAICompatibleProvider(SDKProvider):
    """A model behind a server of chat completions.

    Parameters
    ----------
    url : str
        The server's address, which nearly always ends in ``/v1``.
    model : str
        What the server calls the model.
    temperature : float, default 0.5
        From 0 to 10: that of the probabilities a name is drawn from, by the server or here.
    timeout : float, default 60
        Seconds that a whole call may take.
    max_tokens : int, optional
        The most tokens a call may write, thoughts included. If omitted, there is room for a name
        (128), and for some thoughts where the model thinks (2,048).

    Raises
    ------
    MindError
        If an argument is out of range, or the address could contain a secret.
    """

    keys = LLAMA
    package = "openai"
    install = '"mesa-llm-norms[llama]"'
    base_error = "OpenAIError"
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
        check_model(model)
        if not isinstance(model, str) or not model or model != model.strip():
            raise MindError(
                "model", model, f"{shown(model)} is not the name of a model", "Give the server's."
            )
        if temperature is not None:
            read_number("temperature", temperature, limits.TEMPERATURE, MindError)
        self.place = read_address(url, "url", LLAMA[0].variable)
        super().__init__(f"llama:{self.place}#{model}", timeout)
        self.model = model
        self._temperature = None if temperature is None else float(temperature)
        if max_tokens is not None:
            max_tokens = read_whole("max_tokens", max_tokens, limits.MAX_TOKENS, MindError)
        self._max_tokens = max_tokens
        self.left_out: tuple[str, ...] = ()
        self.capabilities: Capabilities | None = None
        self._listed = False
        self._probes: dict[tuple[Any, ...], Probe] = {}
        self._drawn: dict[Question, tuple[Usage, int]] = {}
        self._tested: dict[tuple[str, ...], bool] = {}
        self._testing = asyncio.Lock()

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
    def options(self) -> Mapping[str, Any]:
        """The options that make an equal provider."""
        return {
            "temperature": self._temperature,
            "timeout": self.timeout,
            "max_tokens": self._max_tokens,
        }

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
        able = self.capabilities is not None and self.capabilities.distributions
        return self._tested.get(tuple(pool), able)

    async def prepare(self) -> None:
        """Find out once what the server can do, which also proves that it is there.

        After an error it continues from what was answered.

        Raises
        ------
        MindError
            If the server lists its models and this one is not among them.
        CallError
            If the server cannot be reached.
        """
        if self.capabilities is not None:
            return
        if not self._listed:
            await self._check_model()
            self._listed = True
        room = self._max_tokens or MAX_TOKENS_THINKING
        try:
            found = await find_capabilities(self._probe(), room)
        except CallError as error:
            if error.status in (404, 405) and "model" not in error.problem.lower():
                await self._look_elsewhere()
                self._refuse(
                    f"there are no chat completions at {self.place}: {error.problem}",
                    "Check its path; most addresses end in /v1.",
                )
            raise
        if isinstance(found, CallError):
            self.left_out = await self._refused(found)
            found = await find_capabilities(self._probe("again"), room)
        if isinstance(found, CallError):
            self._give_up(found)
        self.capabilities = found

    def _give_up(self, error: CallError) -> NoReturn:
        """Raise the error of a question that the server rejects in every way, and forget all."""
        self._probes.clear()  # or the next time the same would be raised without a call
        raise error

    def _probe(self, *stage: str) -> Probe:
        """Return what asks without the fields that are left out, the same at the same stage."""
        return self._probes.setdefault((self.left_out, *stage), Probe(self._complete))

    async def _check_model(self) -> None:
        """Check that the server has the model, if it lists its models to this key."""
        try:
            models = await self._request("/models", None, read_models)
        except CallError as error:
            if error.kind == "garbled" or (error.kind, error.status) == ("failed", None):
                await self._look_elsewhere()
            if error.kind != "refused" and error.status not in (403, 404, 405, 501):
                raise
        else:
            # Ollama gives a model without a tag the tag "latest", Google lists them in a folder.
            known = self.model, f"{self.model}:latest", f"models/{self.model}"
            if models is not None and not set(known) & set(models):
                there = redacted(", ".join(models), self.secrets) or "none"
                self._refuse(f"{self.place} has no such model", f"It has: {there}.")

    async def _look_elsewhere(self) -> None:
        """Raise ``MindError`` if its models are at another path; no key is sent to find out."""

        def get(address: str) -> Callable[[Any], Awaitable[Any]]:
            from httpx2 import Response

            options = {"headers": {"Authorization": self._sdk().omit}}
            return lambda client: client.get(f"{address}/models", cast_to=Response, options=options)

        for address in likely_addresses(self.place):
            try:
                found = bool(await self._fetch(get(address), read_models))
            except CallError as error:
                found = error.status in (401, 403)
            if found:
                self._refuse(
                    f"there are no chat completions at {self.place}",
                    f"Write llama:{address}#{self.model}",
                )

    async def _refused(self, error: CallError) -> tuple[str, ...]:
        """Return what the server has to be asked without, which refused a plain question.

        What the error names is left out before anything else. Raises it if nothing helps.
        """
        left_out: tuple[str, ...] = ()
        latest: CallError | None = error
        while latest is not None:
            rest = [field for field in LEAVABLE if field not in left_out]
            named = [field for field in rest if field in latest.problem.lower()]
            if not named and (latest.kind == "failed" or not rest):
                named = [field for field in rest if field == "system"]
                if not named:
                    self._give_up(error)
            left_out += ((named or rest)[0],)
            latest = await self._objection(left_out)
        for field in left_out:  # it may have been another one that mattered
            fewer = tuple(other for other in left_out if other != field)
            if await self._objection(fewer, "again") is None:
                left_out = fewer
        if "temperature" in left_out and self._temperature is not None:
            raise MindError(
                "temperature",
                self.temperature,
                f"{self.label} takes none",
                "Leave it out, so that the model samples in its own way.",
            )
        return left_out

    async def _objection(self, left_out: tuple[str, ...], *stage: str) -> CallError | None:
        """Return how the server refuses a plain question without these fields, None if it answers.

        What is known of an earlier stage is asked again.
        """
        before, self.left_out = self.left_out, left_out
        try:
            answer = await self._probe(*stage)(**PLAIN)
        finally:
            self.left_out = before
        return answer if isinstance(answer, CallError) else None

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
        constraint = self.capabilities.constraint
        answer = await self._complete(prompt, {**constrained(constraint, pool), "seed": seed})
        found = answer.name(lambda text: read_constrained(constraint, text, pool))
        del self._drawn[question]
        ended = answer.model, answer.stop, calls + 1
        used, thoughts = _sum(used, answer.usage), found.thoughts
        return Reply(answer.text, used, found.name, None, found.problem, *ended, thoughts=thoughts)

    async def _can_draw(
        self, pool: tuple[str, ...], capabilities: Capabilities
    ) -> tuple[bool, Usage, int]:
        """Return whether questions on a pool give distributions, and what finding out took."""
        if not capabilities.distributions:
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
        fields = {**constrained(drawing, pool), **listed(drawing, pool), "seed": 0, "max_tokens": 1}
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

    async def _request(
        self, path: str, body: Mapping[str, Any] | None, read: Callable[[object], Content]
    ) -> Content:
        """Get what is at ``path``, or post ``body`` to it, and read the JSON that comes back."""

        def call(client: Any) -> Any:
            from httpx2 import Response

            # The SDK's own methods for these paths take half a millisecond more, to no use here.
            if body is None:
                return client.get(path, cast_to=Response)
            return client.post(path, cast_to=Response, body=body)

        return await self._fetch(call, read)

    def _open(self, sdk: Any, http_client: Any) -> Any:
        key = key_for(self)
        value = os.environ[key.variable] if key is not None else NO_KEY
        if key is not None:
            self._check_key(key.variable, value)
        return sdk.AsyncOpenAI(
            api_key=value,
            base_url=self.place,
            timeout=self.timeout,
            max_retries=0,
            default_headers=self._headers(value, sdk.omit),
            http_client=http_client,
        )

    def _headers(self, key: str, omit: Any) -> dict[str, Any]:
        """Return headers that leave out what the SDK's own variables hold for OpenAI alone."""
        if same(OPENAI.home, self.place):
            return {}
        lines = os.environ.get(HEADERS, "").split("\n")
        names = {line.partition(":")[0].strip() for line in lines if ":" in line}
        names |= {"OpenAI-Organization", "OpenAI-Project"}
        omitted = {name: omit for name in names if name.lower() != "authorization"}
        return {**omitted, "Authorization": f"Bearer {key}"}

    def _secrets(self, client: Any) -> Sequence[str]:
        return secrets_in({**client.default_headers, **client.auth_headers})

    def _message(self, error: Any) -> object:
        """Return what the server said; servers put it in different places."""
        body = error.body
        if isinstance(body, Mapping):
            body = body.get("message") or body.get("detail") or body.get("error")
        return str(body).strip() if body else None


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(*map(add, one, other))


def _from_address(address: str, **options: Any) -> OpenAICompatibleProvider:
    url, _, model = address.partition("#")
    if not url or not model:
        raise not_live(f"llama:{address}", [EXAMPLE])
    return OpenAICompatibleProvider(url, model, **options)


register_provider("llama", _from_address, example=EXAMPLE)
