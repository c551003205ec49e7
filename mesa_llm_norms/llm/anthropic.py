"""Claude, through the Messages API and the ``anthropic`` package.

What a model can do is asked of the API and never guessed from its name: whether replies can be held
to a JSON schema, and how thinking is avoided. Sampling is left to the model; only a ``temperature``
is sent, for the models that still take one, under the last version of the API that has it.

The key comes from the environment and from nowhere else, no file of the SDK's, and stays in its
client: no message, record or ``repr`` contains it.

The SDK validates nothing of what it reads, so everything used here is checked here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.limits import read_number, read_whole
from mesa_llm_norms.errors import CallError, MindError, shown
from mesa_llm_norms.llm.addresses import CLAUDE, Key, key_for, read_address
from mesa_llm_norms.llm.message_batches import MessageBatches
from mesa_llm_norms.llm.prompt import Prompt, name_schema, read_json, read_plain
from mesa_llm_norms.llm.provider import (
    MAX_TOKENS,
    MAX_TOKENS_THINKING,
    Question,
    Reply,
    Usage,
)
from mesa_llm_norms.llm.replies import read_count, read_name, read_word, read_words
from mesa_llm_norms.llm.retry import secrets_in
from mesa_llm_norms.llm.sdk_provider import SDKProvider
from mesa_llm_norms.minds.registry import check_model, register_provider, safe_name

if TYPE_CHECKING:
    from anthropic import APIStatusError, AsyncAnthropic
    from anthropic.types import ModelInfo

SAMPLING_VERSION = "2023-06-01"
"""The last version of the API that takes a temperature."""
KEY, TOKEN = "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"
ADDRESS = CLAUDE[0].address_variable


class Capabilities(NamedTuple):
    """What a model can do, as far as it matters here.

    Attributes
    ----------
    structured : bool
        Whether its replies can be held to a JSON schema.
    thinking : {"disabled", "between_tools"} or None
        The ``thinking.type`` that turns thinking off; None if none does.
    effort : "low" or None
        What is sent instead to keep thinking short; None if nothing can be.
    """

    structured: bool
    thinking: Literal["disabled", "between_tools"] | None
    effort: Literal["low"] | None

    @property
    def thinks(self) -> bool:
        """Whether thinking may come before a reply."""
        return self.thinking is None


ASSUMED = Capabilities(structured=True, thinking=None, effort=None)
"""The capabilities assumed of a model of which the API says nothing."""


class AnthropicProvider(SDKProvider):
    """A Claude model behind the Messages API, or behind a gateway that speaks it.

    Parameters
    ----------
    model : str
        The model's id: ``claude-haiku-5-5``.
    temperature : float, optional
        From 0 to 1, as in the API. If omitted, the model samples in its own way.
    base_url : str, optional
        The gateway's address; that of the environment, or Anthropic's own, if omitted.
    timeout : float, default 60
        Seconds that a whole call may take.
    max_tokens : int, optional
        The most tokens a call may write. If omitted, there is room for a name (128), and for some
        thinking where that cannot be turned off (2,048).

    Raises
    ------
    MindError
        If an argument is out of range, or the address could contain a secret.
    """

    keys: Sequence[Key] = CLAUDE
    package = "anthropic"
    install = "'anthropic>=2.10,<3'"
    base_error = "AnthropicError"
    writes = True

    def __init__(
        self,
        model: str,
        *,
        temperature: float | None = None,
        base_url: str | None = None,
        timeout: float = 60.0,
        max_tokens: int | None = None,
    ) -> None:
        check_model(model)
        if not isinstance(model, str) or len(model.split()) != 1 or not model.isprintable():
            said = shown(safe_name(model) if isinstance(model, str) else model)
            raise MindError("model", said, f"{said} is not a model id", "Give one as a word.")
        if temperature is not None:
            read_number("temperature", temperature, limits.CLAUDE_TEMPERATURE, MindError)
        super().__init__(f"claude:{model}", timeout)
        self.model = model
        self.temperature = temperature
        self.capabilities: Capabilities = ASSUMED
        if max_tokens is not None:
            max_tokens = read_whole("max_tokens", max_tokens, limits.MAX_TOKENS, MindError)
        self._max_tokens = max_tokens
        self._base_url = None if base_url is None else read_address(base_url, "base_url", KEY)
        self._place = self._base_url
        self._version: str | None = None
        self._garbled = False

    @property
    def place(self) -> str:  # type: ignore[override]  # read from the environment when it is needed
        """The address calls go to: the one given, that of the environment, or Anthropic's own."""
        if self._place is None:
            self._place = read_address(CLAUDE[0].home or "", ADDRESS, KEY)
        return self._place

    @property
    def max_tokens(self) -> int:  # type: ignore[override]  # depends on the capabilities
        """The most tokens one call may write, including thinking."""
        thinks = self.capabilities.thinks
        return self._max_tokens or (MAX_TOKENS_THINKING if thinks else MAX_TOKENS)

    @property
    def options(self) -> Mapping[str, Any]:
        """The options that make an equal provider."""
        return {
            "temperature": self.temperature,
            "base_url": self._base_url,
            "timeout": self.timeout,
            "max_tokens": self._max_tokens,
        }

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Everything sent besides the prompt; what is not sent is left out."""
        if self._version is None:
            self._new_client()
        sent = {
            "model": self.model,
            "max_tokens": self.max_tokens,
            "thinking": self.capabilities.thinking,
            "effort": self.capabilities.effort,
            "format": "json_schema" if self.capabilities.structured else None,
            "temperature": self.temperature,
            "api_version": self._version if self.temperature is None else SAMPLING_VERSION,
        }
        return {key: value for key, value in sent.items() if value is not None}

    async def prepare(self) -> None:
        """Ask the API what the model can do, which also proves that there is a key.

        A gateway that does not say is asked once, for one token, whether replies can be held to a
        schema; where that is refused and the same without it is not, it is left out. What is no
        answer at all may pass, and says nothing only if it comes twice.

        Raises
        ------
        MindError
            If there is no key, or the model does not exist or is retired.
        CallError
            If the API cannot be reached.
        """

        async def retrieve(client: AsyncAnthropic) -> Any:
            from anthropic import NotFoundError

            try:
                return await client.models.with_raw_response.retrieve(self.model)
            except NotFoundError as error:
                # Any other address that is not found says nothing about the model.
                if error.type == "not_found_error" and self.model in str(error.api_message):
                    self._refuse("the API has no such model", "Choose another.")
                raise

        try:
            info = await self._fetch(retrieve, _read_info)
        except CallError as error:
            first, self._garbled = not self._garbled, error.kind == "garbled"
            if error.status not in (404, 405, 501) and (not self._garbled or first):
                raise
            self.capabilities = ASSUMED
        else:
            if info.lifecycle == "retired":
                self._refuse("the model is retired and no longer answers", "Choose another.")
            self.capabilities = capabilities_of(info)
        if self.capabilities == ASSUMED:
            await self._try_schema()

    async def _try_schema(self) -> None:
        """Leave out the schema where a call with one is refused, and one without it is not."""
        question = Question(Prompt("", "Say yes."), ("yes", "no"), 0)
        try:
            await self._ask(question, max_tokens=1)
        except CallError as refusal:
            if refusal.kind != "refused":
                raise
            self.capabilities = ASSUMED._replace(structured=False)
            try:
                await self._ask(question, max_tokens=1)
            except CallError:
                self.capabilities = ASSUMED
                raise refusal from None

    @property
    def batches(self) -> MessageBatches:
        """What sends many questions together, at half the price."""
        return MessageBatches(self)

    async def ask(self, question: Question) -> Reply:
        """Make one call; a reply that does not end with a name of the pool is unusable."""
        return await self._ask(question)

    async def _ask(self, question: Question, **other: Any) -> Reply:
        """Make one call, with ``other`` fields than usual in its body."""

        async def create(client: AsyncAnthropic) -> Any:
            from anthropic import BadRequestError

            # As the body itself, since the SDK knows no temperature any more.
            body = {**self.body(question), **other}
            required = {key: body.pop(key) for key in ("model", "max_tokens", "messages")}
            messages: Any = client.messages.with_raw_response
            try:
                return await messages.create(
                    **required, extra_body=body, extra_headers=self.headers
                )
            except BadRequestError as error:
                if self.temperature is not None and "temperature" in str(error.api_message):
                    raise MindError(
                        "temperature",
                        self.temperature,
                        f"{self.label} takes none",
                        "Leave it out, so that the model samples in its own way.",
                    ) from None
                raise

        return await self._fetch(create, lambda message: self.reply(message, question.pool))

    @property
    def headers(self) -> dict[str, str]:
        """What is sent besides the usual headers."""
        return {} if self.temperature is None else {"anthropic-version": SAMPLING_VERSION}

    def body(self, question: Question) -> dict[str, Any]:
        """Return the body of a call."""
        capabilities, prompt = self.capabilities, question.prompt
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": self.max_tokens,
            "messages": [{"role": "user", "content": prompt.user}],
        }
        if prompt.system:
            body["system"] = prompt.system
        config: dict[str, Any] = {}
        if capabilities.effort is not None:
            config["effort"] = capabilities.effort
        if capabilities.structured and question.pool:
            config["format"] = {"type": "json_schema", "schema": name_schema(question.pool)}
        if config:
            body["output_config"] = config
        if capabilities.thinking:
            body["thinking"] = {"type": capabilities.thinking}
        if self.temperature is not None:
            body["temperature"] = self.temperature
        return body

    def reply(self, message: object, pool: Sequence[str]) -> Reply:
        """Return the reply in a message; ``ValueError`` for anything that is none."""
        if not pool:
            return _read_message(message, read_words)
        read = read_json if self.capabilities.structured else read_plain
        return _read_message(message, lambda text: read(text, pool))

    def _open(self, sdk: Any, http_client: Any) -> Any:
        key = key_for(self)
        variable = key.variable if key is not None else None
        client = sdk.AsyncAnthropic(
            # Any text, even an empty one, keeps the SDK from looking for credentials in files.
            api_key=None if variable == TOKEN else os.environ.get(KEY, ""),
            auth_token=os.environ[TOKEN] if variable == TOKEN else None,
            base_url=self.place,
            timeout=self.timeout,
            max_retries=0,
            open_telemetry=False,
            http_client=http_client,
        )
        client.api_key = client.api_key or None
        headers = {name.lower(): value for name, value in client.default_headers.items()}
        self._version = str(headers["anthropic-version"])
        return client

    def _check_keys(self, client: Any) -> None:
        signed = {"authorization", "x-api-key"} & {name.lower() for name in client.default_headers}
        if not signed:
            self._refuse("there is no key", f"Set {KEY} in the environment.")
        self._check_key(KEY, client.api_key)
        self._check_key(TOKEN, client.auth_token)

    def _remedy(self, status: int | None, said: object) -> str | None:
        if status in (404, 405) and self.place.rstrip("/").endswith(("/v1", "/v1/messages")):
            return f"Leave out /v1: the address is {self.place.rpartition('/v1')[0]}"
        return super()._remedy(status, said)

    def _secrets(self, client: Any) -> Sequence[str]:
        return secrets_in(client.default_headers)

    def _message(self, error: Any) -> object:
        return error.api_message

    def _kind(self, error: APIStatusError) -> str:
        if error.type == "overloaded_error":
            return "overloaded"
        return super()._kind(error)

    def _http(self, response: Any) -> Any:
        return getattr(response, "http_response", response)

    async def _content(self, response: Any, content: object) -> object:
        return await response.parse() if hasattr(response, "parse") else content


def capabilities_of(info: ModelInfo) -> Capabilities:
    """Return what the models endpoint says a model can do; ``ASSUMED`` if it does not say."""
    given = info.capabilities
    if getattr(given, "structured_outputs", None) is None:
        return ASSUMED
    thinking: Literal["disabled", "between_tools"] | None = None
    if _supported(given, "thinking", "types", "disabled"):
        thinking = "disabled"
    elif _supported(given, "thinking", "types", "between_tools"):
        thinking = "between_tools"
    low = thinking is None and _supported(given, "effort", "low")
    structured = _supported(given, "structured_outputs")
    return Capabilities(structured, thinking, "low" if low else None)


def _supported(thing: object, *path: str) -> bool:
    for name in path:
        thing = getattr(thing, name, None)
    return getattr(thing, "supported", None) is True


def _read_info(content: object) -> ModelInfo:
    from anthropic.types import ModelInfo

    if not isinstance(content, ModelInfo):
        raise ValueError("not a description of a model")
    return content


def _read_message(content: object, read: Callable[[str], str | None]) -> Reply:
    """Return the reply in a message. Text counts; thinking is kept, other blocks are ignored."""
    from anthropic.types import Message

    if not isinstance(content, Message) or not isinstance(content.content, list):
        raise ValueError("not a message")
    text = "".join(block.text for block in content.content if block.type == "text")
    blocks = [block for block in content.content if block.type == "thinking"]
    stop = read_word(content.stop_reason, "stop_reason")
    usage = _read_usage(content.usage)
    beside = "\n".join(str(getattr(block, "thinking", "")) for block in blocks)
    name, problem, thoughts = read_name(text, stop, read, beside, usage.thinking_tokens)
    model = read_word(content.model, "model")
    return Reply(text, usage, name, None, problem, model, stop, thoughts=thoughts)


def _read_usage(usage: object) -> Usage:
    """Return what a message used; the API counts cached input apart from other input."""

    def count(name: str, part: object = usage) -> int:
        return read_count(getattr(part, name, None), name)

    for name in ("input_tokens", "output_tokens"):
        if getattr(usage, name, None) is None:
            raise ValueError(f"{name} is missing")
    cached = count("cache_read_input_tokens")
    return Usage(
        input_tokens=count("input_tokens") + count("cache_creation_input_tokens") + cached,
        output_tokens=count("output_tokens"),
        thinking_tokens=count("thinking_tokens", getattr(usage, "output_tokens_details", None)),
        cached_tokens=cached,
    )


register_provider("claude", AnthropicProvider, example="claude:claude-haiku-5-5")
