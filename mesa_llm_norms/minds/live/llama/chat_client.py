"""The connection to a server of chat completions, by the ``openai`` package.

The package is imported on first use. A key comes from the environment, ``LLAMA_API_KEY`` or else
``OPENAI_API_KEY``, and stays in the SDK's client: no message, record or ``repr`` has it. Where
there is none, the call goes out without one that would open anything.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from mesa_llm_norms.errors import CallError, MindError
from mesa_llm_norms.minds.live.failures import secrets_of
from mesa_llm_norms.minds.live.llama.chat_completions import call_error

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
