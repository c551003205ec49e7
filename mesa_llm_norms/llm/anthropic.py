"""What the Messages API sends back, in the words of this package.

Everything here is a function of what came back: a description of a model becomes ``Abilities``, a
message a ``Reply``, an error a ``CallError``. The SDK checks nothing of what it reads, so what is
used here is checked here, and ``ValueError`` is raised for what no such API would send.

Claude, by the Messages API and the ``anthropic`` package, which is imported on first use.

What a model can do is asked of the API and never told from its name: whether replies can be held to
a schema, and how thinking is kept off. Its sampling is the model's own; only a ``temperature``, for
the models that still take one, goes out, and then under the last version of the API to have it.

A key comes from the environment, by the package's own rules (``ANTHROPIC_API_KEY`` first), and
stays in its client: no message, record or ``repr`` has it.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn, TypeVar

from mesa_llm_norms.errors import CallError, MindError
from mesa_llm_norms.llm.prompt import name_schema, read_json, read_plain
from mesa_llm_norms.llm.provider import Provider, Question, Reply, Usage, read_address
from mesa_llm_norms.llm.retry import kind_of, plain, retry_after, secrets_of
from mesa_llm_norms.validation import read_whole

if TYPE_CHECKING:
    from anthropic import AnthropicError, AsyncAnthropic
    from anthropic._response import AsyncAPIResponse
    from anthropic.types import Message, ModelInfo, OutputConfigParam


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


SAMPLING_VERSION = "2023-06-01"
"""The last version of the API that takes a temperature."""


MAX_TOKENS = 128
"""Room for the longest name, as JSON."""


MAX_TOKENS_THINKING = 2_048
"""Room for some thinking before it."""


MAX_CONNECTIONS = 1_000


KEY, TOKEN, ADDRESS = "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"
"""The variables by which the SDK is told of a key, another kind of key, and another address."""


Content = TypeVar("Content")


Read = TypeVar("Read")


class AnthropicProvider(Provider):
    """A Claude model behind the Messages API, or behind a gateway that speaks it at ``base_url``.

    ``timeout`` is the seconds a whole call may last. ``temperature`` (0 to 1) and ``max_tokens``
    are as in the API; left out, the model samples in its own way and has room for a name, and for
    some thinking where that cannot be turned off.
    """

    def __init__(
        self,
        model: str,
        *,
        temperature: float | None = None,
        base_url: str | None = None,
        timeout: float = 60.0,
        max_tokens: int | None = None,
    ) -> None:
        if not isinstance(model, str) or not model or len(model.split()) != 1:
            raise MindError("model", model, f"{model!r} is no id of a model", "Give one as a word.")
        if temperature is not None and not 0 <= temperature <= 1:
            raise MindError("temperature", temperature, "out of range", "Use 0 to 1.")
        if not 0 < timeout < math.inf:
            raise MindError("timeout", timeout, f"{timeout!r} is no time to wait", "Give seconds.")
        self.label = f"claude:{model}"
        self.model = model
        self.temperature = temperature
        self.timeout = timeout
        self.abilities = ASSUMED
        if max_tokens is not None:
            max_tokens = read_whole("max_tokens", max_tokens, 1, 1_000_000)
        self._max_tokens = max_tokens
        self._base_url = None if base_url is None else read_address(base_url, "base_url", KEY)
        self._place = self._base_url
        self._version: str | None = None
        self._sdk: AsyncAnthropic | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.label}>"

    @property
    def place(self) -> str:  # type: ignore[override]  # only the SDK knows, and it is slow to import
        """The address calls go to: the one given, that of the environment, or the SDK's own."""
        if self._place is None:
            self._client()
        assert self._place is not None
        return self._place

    @property
    def max_tokens(self) -> int:  # type: ignore[override]  # follows from what is found out
        """The most tokens one call may write, thinking included."""
        return self._max_tokens or (MAX_TOKENS_THINKING if self.abilities.thinks else MAX_TOKENS)

    @property
    def options(self) -> Mapping[str, Any]:
        """How it is made, beside the label."""
        return {
            "temperature": self.temperature,
            "base_url": self._base_url,
            "timeout": self.timeout,
            "max_tokens": self._max_tokens,
        }

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What is sent beside the prompt; what is not sent is not there."""
        if self._version is None:
            self._client()
        sent = {
            "model": self.model,
            "max_tokens": self.max_tokens,
            "thinking": self.abilities.thinking,
            "effort": self.abilities.effort,
            "format": "json_schema" if self.abilities.structured else None,
            "temperature": self.temperature,
            "api_version": self._version if self.temperature is None else SAMPLING_VERSION,
        }
        return {key: value for key, value in sent.items() if value is not None}

    async def prepare(self) -> None:
        """Ask the API once what the model can do; also the proof that there is a key.

        A gateway that does not tell is taken to hold replies to a schema. Raises ``MindError``
        without a key, and for a model that does not exist or is served no more.
        """

        async def look_up(sdk: AsyncAnthropic) -> AsyncAPIResponse[ModelInfo]:
            from anthropic import NotFoundError

            try:
                return await sdk.models.with_raw_response.retrieve(self.model)
            except NotFoundError as error:
                # Any other address that is not found says nothing about the model.
                if error.type == "not_found_error" and self.model in str(error.api_message):
                    self._refuse("the API knows no such model")
                raise

        try:
            info = await self._fetch(look_up, read_info)
        except CallError as error:
            if error.status not in (404, 405, 501) and error.kind != "garbled":
                raise
            return
        if info.lifecycle == "retired":
            self._refuse("the model is retired, and answers no more")
        self.abilities = abilities_of(info)

    async def ask(self, question: Question) -> Reply:
        """Make one call; what does not end with a name of the pool is an unusable reply."""
        abilities, prompt = self.abilities, question.prompt
        config: OutputConfigParam = {}
        if abilities.effort is not None:
            config["effort"] = abilities.effort
        if abilities.structured:
            config["format"] = {"type": "json_schema", "schema": name_schema(question.pool)}
        # A union of typed dictionaries, which mypy cannot tell from its parts.
        thinking: Any = {"type": abilities.thinking}
        body: dict[str, Any] = {}
        headers: dict[str, str] = {}
        if self.temperature is not None:
            body["temperature"] = self.temperature
            headers["anthropic-version"] = SAMPLING_VERSION

        async def create(sdk: AsyncAnthropic) -> AsyncAPIResponse[Message]:
            from anthropic import BadRequestError, omit

            try:
                return await sdk.messages.with_raw_response.create(
                    model=self.model,
                    max_tokens=self.max_tokens,
                    system=prompt.system or omit,
                    messages=[{"role": "user", "content": prompt.user}],
                    output_config=config or omit,
                    thinking=thinking if abilities.thinking else omit,
                    extra_body=body,
                    extra_headers=headers,
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

        read = read_json if abilities.structured else read_plain
        return await self._fetch(
            create, lambda message: read_message(message, lambda text: read(text, question.pool))
        )

    async def close(self) -> None:
        """Let go of connections; the next call opens new ones."""
        sdk, self._sdk = self._sdk, None
        if sdk is not None:
            await sdk.close()

    async def _fetch(
        self,
        call: Callable[[AsyncAnthropic], Awaitable[AsyncAPIResponse[Content]]],
        read: Callable[[object], Read],
    ) -> Read:
        """Make a call and return what ``read`` makes of it; every failure is a ``CallError``."""
        sdk = self._connected()
        from anthropic import AnthropicError

        try:
            # The timeouts of the SDK are for each read, and a slow drip never reaches them.
            async with asyncio.timeout(self.timeout):
                response = await call(sdk)
        except TimeoutError:
            late = f"no reply within {self.timeout:g} seconds"
            raise CallError(self.label, "timeout", late) from None
        except AnthropicError as error:
            # Without the cause: what it prints is not cleared of secrets.
            raise call_error(self.label, error, secrets_of(sdk.default_headers)) from None
        try:
            return read(await response.parse())
        except Exception as error:  # the SDK checks nothing, and trips over what it did not expect
            problem = f"what came back is no reply of the API: {error}"
            problem = plain(problem, secrets_of(sdk.default_headers))
            raise CallError(self.label, "garbled", problem, response.status_code) from None

    def _connected(self) -> AsyncAnthropic:
        """Return the client, whose connections belong to the event loop they were opened on."""
        loop = asyncio.get_running_loop()
        if self._sdk is None or self._loop is not loop:
            sdk = self._client()
            signed = {"authorization", "x-api-key"} & {name.lower() for name in sdk.default_headers}
            if not signed and sdk.credentials is None:
                self._refuse("there is no key", f"Set {KEY} in the environment.")
            for variable, key in ((KEY, sdk.api_key), (TOKEN, sdk.auth_token)):
                if key and not (key.isascii() and key.isprintable() and " " not in key):
                    self._refuse(f"{variable} holds more than a key", "Set it again, as one word.")
            self._sdk, self._loop = sdk, loop
        return self._sdk

    def _client(self) -> AsyncAnthropic:
        try:
            from anthropic import AnthropicError, AsyncAnthropic, DefaultAsyncHttpxClient
            from httpx2 import Limits
        except ImportError:
            self._refuse(
                "the anthropic package is missing", "Run: pip install 'anthropic>=2.10,<3'"
            )
        if self._base_url is None and (given := os.environ.get(ADDRESS)) is not None:
            read_address(given, ADDRESS, KEY)
        limits = Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS)
        try:
            sdk = AsyncAnthropic(
                base_url=self._base_url,
                timeout=self.timeout,
                max_retries=0,
                open_telemetry=False,
                # A call goes to the place that is on record, and nowhere else.
                http_client=DefaultAsyncHttpxClient(
                    limits=limits, timeout=self.timeout, follow_redirects=False
                ),
            )
        except AnthropicError as error:
            problem = f"its credentials cannot be read: {plain(str(error), ())}"
            self._refuse(problem, f"Set {KEY} in the environment.")
        self._place = read_address(str(sdk.base_url), ADDRESS, KEY)
        headers = {name.lower(): value for name, value in sdk.default_headers.items()}
        self._version = str(headers["anthropic-version"])
        return sdk

    def _refuse(self, problem: str, remedy: str = "Choose another.") -> NoReturn:
        raise MindError("mind", self.label, problem, remedy) from None
