"""Models behind chat completions: those of OpenAI, llama.cpp, vLLM, Ollama and any other host.

``llama:URL#MODEL`` and ``openai:URL#MODEL`` are the same but for the name and the price: the first
costs nothing unless a file of prices says so, the second only on this computer. ``openai:MODEL`` is
one of OpenAI's own, or of the host in ``OPENAI_BASE_URL``.

What the server can do is asked of it once (``chat_completions.find_capabilities``).

The last digits of a probability can depend on what else a server computes at the same time; with
llama.cpp as it usually runs, the fourth. A run's journal keeps the first that came.

The server is called with the ``openai`` package. The key comes from the environment, as
``addresses.LLAMA`` says, and stays in the SDK's client: no message, record or ``repr`` contains it.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NoReturn

from mesa_llm_norms.errors import CallError, MindError, shown
from mesa_llm_norms.llm.addresses import (
    LLAMA,
    Key,
    is_loopback,
    key_for,
    likely_addresses,
    read_address,
    same,
)
from mesa_llm_norms.llm.chat_completions import (
    PLAIN,
    Capabilities,
    Probe,
    find_capabilities,
    read_models,
)
from mesa_llm_norms.llm.chat_provider import ChatProvider
from mesa_llm_norms.llm.provider import (
    MAX_TOKENS_THINKING,
    Content,
)
from mesa_llm_norms.llm.retry import redacted, secrets_in
from mesa_llm_norms.llm.sdk_provider import SDKProvider
from mesa_llm_norms.minds.registry import check_model, not_live, register_provider

OPENAI = LLAMA[1]
"""The key that belongs to OpenAI's own address."""
HEADERS = "OPENAI_CUSTOM_HEADERS"
"""The environment variable from which the SDK takes headers for every call."""
NO_KEY = "none"
"""Sent if there is no key: the SDK insists on one."""
LEAVABLE = ("system", "seed", "top_p", "temperature", "max_tokens")
"""What a server may refuse and can be played without, in the order in which that is tried: the role
of the rules, which then precede the situation in the user's message, and fields of the request.
Instead of ``max_tokens``, ``max_completion_tokens`` is sent."""
EXAMPLE = "llama:http://127.0.0.1:8080/v1#llama-3.1-8b"
OPENAI_EXAMPLE = "openai:MODEL"


class OpenAICompatibleProvider(ChatProvider, SDKProvider):
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
    prefix : {"llama", "openai"}, default "llama"
        What the name of its mind begins with. Under ``openai`` calls are free on this computer
        only.

    Raises
    ------
    MindError
        If an argument is out of range, or the address could contain a secret.
    """

    capabilities: Capabilities | None
    keys: Sequence[Key] = LLAMA
    package = "openai"
    install = '"mesa-llm-norms[llama]"'
    base_error = "OpenAIError"

    def __init__(
        self,
        url: str,
        model: str,
        *,
        temperature: float | None = None,
        timeout: float = 60.0,
        max_tokens: int | None = None,
        prefix: str = "llama",
    ) -> None:
        check_model(model)
        if not isinstance(model, str) or not model or model != model.strip():
            raise MindError(
                "model", model, f"{shown(model)} is not the name of a model", "Give the server's."
            )
        ChatProvider.__init__(self, model, temperature, max_tokens)
        self.place: str = read_address(url, "url", LLAMA[0].variable)
        self.free: bool = prefix == "llama" or is_loopback(self.place)
        SDKProvider.__init__(self, f"{prefix}:{self.place}#{model}", timeout)
        self._models_checked = False
        self._probes: dict[tuple[Any, ...], Probe] = {}

    @property
    def options(self) -> Mapping[str, Any]:
        """The options that make an equal provider."""
        return {
            "temperature": self._temperature,
            "timeout": self.timeout,
            "max_tokens": self._max_tokens,
        }

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
        if not self._models_checked:
            await self._check_model()
            self._models_checked = True
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
            self.left_out: tuple[str, ...] = await self._refused(found)
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
                    f"there are no chat completions at {self.place}", self._written_for(address)
                )

    def _written_for(self, address: str) -> str:
        """Return how a mind at another address is written."""
        return f"Write {self.label.partition(':')[0]}:{address}#{self.model}"

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


class OpenAIProvider(OpenAICompatibleProvider):
    """A model of OpenAI's API, or of the host that ``OPENAI_BASE_URL`` names.

    Parameters
    ----------
    model : str
        The model's id.
    **options
        ``temperature``, ``timeout`` and ``max_tokens``, as in its base.

    Raises
    ------
    MindError
        If an argument is out of range, or the address in the environment is none.
    """

    keys: Sequence[Key] = (OPENAI,)

    def __init__(self, model: str, **options: Any) -> None:
        super().__init__(OPENAI.home or "", model, prefix="openai", **options)
        self.label: str = f"openai:{model}"

    def _check_keys(self, client: Any) -> None:  # noqa: ARG002
        if key_for(self) is None and not is_loopback(self.place):
            self._refuse("there is no key", f"Set {OPENAI.variable} in the environment.")

    def _written_for(self, address: str) -> str:
        return f"Set {OPENAI.address_variable} to {address}"


def _llama(address: str, **options: Any) -> OpenAICompatibleProvider:
    url, _, model = address.partition("#")
    if not url or not model:
        raise not_live(f"llama:{address}", [EXAMPLE])
    return OpenAICompatibleProvider(url, model, **options)


def _openai(address: str, **options: Any) -> OpenAICompatibleProvider:
    url, at_a_host, model = address.partition("#")
    if not at_a_host and "//" not in address:
        return OpenAIProvider(address, **options)
    if not url or not model:
        raise not_live(f"openai:{address}", [OPENAI_EXAMPLE, "openai:https://HOST/v1#MODEL"])
    return OpenAICompatibleProvider(url, model, prefix="openai", **options)


register_provider("llama", _llama, example=EXAMPLE)
register_provider("openai", _openai, example=OPENAI_EXAMPLE)
