"""What is common to providers that call an HTTP API through its vendor's SDK."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.limits import read_number
from mesa_llm_norms.errors import CallError, MindError
from mesa_llm_norms.llm.addresses import (
    about_key,
    by_way,
    check,
    connection_failure,
    proxy_for,
    transport,
)
from mesa_llm_norms.llm.provider import Content, Provider
from mesa_llm_norms.llm.replies import (
    ENCODINGS,
    error_in,
    kept,
    misread,
    quoted,
    read_lines,
    read_response,
)
from mesa_llm_norms.llm.retry import kind_of, means_unpaid, redacted, retry_after


class SDKProvider(Provider):
    """A provider that calls an HTTP API through its vendor's SDK, imported on first use.

    The SDKs of Anthropic and OpenAI come from one generator, so that clients, responses and errors
    have the same shape. They do not retry here, and follow no redirects: a call goes to the place
    that is on record, by the proxy that ``addresses`` finds for it. ``timeout`` is the seconds that
    a whole call may take.
    """

    answered: int = 0
    package: str
    """The SDK's package."""
    install: str
    """What ``pip install`` is to be given for it."""
    base_error: str
    """The name of the class of all its errors."""

    def __init__(self, label: str, timeout: float) -> None:
        read_number("timeout", timeout, limits.TIMEOUT, MindError)
        self.label = label
        self.timeout = timeout
        self._client: Any = None
        self._secrets_of: tuple[Any, Sequence[str]] = None, ()
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.label}>"

    @property
    def secrets(self) -> Sequence[str]:
        """The values of its keys, and what the client sends to be let in."""
        client = self._client
        if client is None:
            return super().secrets
        if client is not self._secrets_of[0]:
            self._secrets_of = client, [*super().secrets, *self._secrets(client)]
        return self._secrets_of[1]

    async def close(self) -> None:
        """Close all connections; the next call opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    @abstractmethod
    def _open(self, sdk: Any, http_client: Any) -> Any:
        """Return the SDK's client."""

    def _check_keys(self, client: Any) -> None:
        """Raise ``MindError`` if a client has no usable key."""

    @abstractmethod
    def _secrets(self, client: Any) -> Sequence[str]:
        """Return every text that no message may contain."""

    @abstractmethod
    def _message(self, error: Any) -> object:
        """Return what the API said in an error, where its SDK puts it."""

    def _kind(self, error: Any) -> str:
        """Return the kind of ``CallError`` that an error with an HTTP status is."""
        return kind_of(error.status_code, error.body)

    def _http(self, response: Any) -> Any:
        """Return the HTTP response in what a call returns."""
        return response

    async def _content(self, response: Any, content: object) -> object:  # noqa: ARG002
        """Return what ``read`` is to be given of a response with this JSON."""
        return content

    async def _fetch(
        self,
        call: Callable[[Any], Awaitable[Any]],
        read: Callable[[Any], Content],
        *,
        seconds: float | None = None,
        lines: bool = False,
    ) -> Content:
        """Make a call with the SDK's client and return what ``read`` makes of the content.

        It may take ``timeout`` or other ``seconds``. The content is JSON, on each of its ``lines``
        if so. Every failure is a ``CallError``, including any error of ``read``, and one that the
        server puts where a reply should be.
        """
        client = self._connected()
        sdk, most = self._sdk(), seconds or self.timeout
        try:
            # The SDK's timeouts are for each read; a slow drip never reaches them.
            async with asyncio.timeout(most):
                response = await call(client)
        except TimeoutError:
            late = f"no reply within {most:g} seconds{by_way(self.place)}"
            raise CallError(self.label, "timeout", late) from None
        except getattr(sdk, self.base_error) as error:
            # Without the cause, whose text is not cleared of secrets.
            raise self._call_error(sdk, error, self._secrets(client)) from None
        http = self._http(response)
        try:
            content = read_lines(http.content) if lines else http.json()
            if (found := error_in(content)) is None:
                result = read(content if lines else await self._content(response, content))
                self.answered += 1
                return result
        except Exception as error:  # SDKs check nothing, and trip over what they did not expect
            secrets = self._secrets(client)
            problem = f"the response is not one of this API ({misread(error)})"
            if http.text.strip():
                problem += f"; it says {quoted(http.text, secrets)}"
            kind, status, text = "garbled", http.status_code, http.text
            remedy = None
        else:
            secrets, text = self._secrets(client), http.text
            problem, status = redacted(found[0], secrets), found[1]
            kind = kind_of(status, content)
            remedy = self._remedy(status, content) if kind == "denied" else None
        said = kept(text, secrets)
        raise CallError(self.label, kind, problem, status, remedy=remedy, said=said) from None

    def _call_error(self, sdk: Any, error: Any, secrets: Sequence[str]) -> CallError:
        """Return the ``CallError`` for an error of the SDK."""
        if isinstance(error.__cause__, CallError):  # of our own, while the response was read
            return error.__cause__
        by = by_way(self.place)
        if isinstance(error, sdk.APIStatusError):
            said = self._message(error)
            if not isinstance(said, str) or not said.strip():
                said = error.response.reason_phrase or "no reason given"
            after = retry_after(error.response.headers)
            problem, status, kind = redacted(said, secrets), error.status_code, self._kind(error)
            if status == 407:
                kind = "denied"
            remedy = self._remedy(status, error.body) if kind == "denied" else None
            text = kept(error.response.text, secrets)
            return CallError(self.label, kind, problem + by, status, after, remedy, text)
        if isinstance(error, sdk.APITimeoutError):
            return CallError(self.label, "timeout", f"the network timed out{by}")
        if isinstance(error, sdk.APIConnectionError):
            problem, remedy = connection_failure(error, proxy_for(self.place))
            return CallError(self.label, "connection", problem, remedy=remedy)
        kind = "garbled" if isinstance(error, sdk.APIError) else "denied"
        return CallError(self.label, kind, redacted(str(error), secrets))

    def _remedy(self, status: int | None, said: object) -> str | None:
        """Return what to do about an error that every call will get, None for the usual."""
        if means_unpaid(said):
            return "Add money to the account that pays for the key, or set another key."
        if status in (401, 403):
            return about_key(self)
        if status in (404, 405):
            return "Check the address and the model's name."
        if status == 407:
            return "Put the name and the password that the proxy wants into its address."
        return None

    def _connected(self) -> Any:
        """Return the SDK's client, whose connections belong to the event loop that opened them."""
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            client = self._new_client()
            self._check_keys(client)
            self._client, self._loop = client, loop
        return self._client

    def _new_client(self) -> Any:
        check([self])
        sdk = self._sdk()
        http_client = sdk.DefaultAsyncHttpxClient(
            transport=transport(self),
            timeout=self.timeout,
            follow_redirects=False,
            headers={"accept-encoding": ENCODINGS},
            event_hooks={"response": [partial(read_response, self.label)]},
        )
        return self._open(sdk, http_client)

    def _sdk(self) -> Any:
        try:
            return import_module(self.package)
        except ImportError:
            self._refuse(
                f"the {self.package} package is missing", f"Run: pip install {self.install}"
            )

    def _check_key(self, variable: str, key: str | None) -> None:
        """Raise ``MindError`` for a key that no HTTP header can carry, without showing it."""
        if key and not (key.isascii() and key.isprintable() and " " not in key):
            self._refuse(f"{variable} contains more than a key", "Set it again, as one word.")
