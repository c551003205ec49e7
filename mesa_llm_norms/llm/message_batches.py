"""Anthropic's Message Batches: many calls sent together, answered within a day, at half the price.

The API takes 100,000 calls or 256 MB in one request. It says of a batch how many calls it has and
when it was made, and gives the results once all of it has ended, in any order, each under the id
that its call was sent with. Nothing else tells whose batch it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from mesa_llm_norms.errors import CallError
from mesa_llm_norms.llm.batches import BatchAPI, BatchState
from mesa_llm_norms.llm.provider import Question, Reply
from mesa_llm_norms.llm.replies import misread
from mesa_llm_norms.llm.retry import kind_of, redacted

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

    from mesa_llm_norms.llm.anthropic import AnthropicProvider

PATH = "/v1/messages/batches"
PAGE = 1_000
"""The most batches that the API lists at once."""
SECONDS = 600.0
"""What sending a batch, or reading its results, may take."""
STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The status that a call alone has where a result of a batch has one of these errors."""
UNANSWERED = {
    "expired": "the batch ended before it was answered",
    "canceled": "the batch was canceled before it was answered",
}


class MessageBatches(BatchAPI):
    """The batches of one Claude model."""

    most = 100_000
    most_bytes = 250 << 20

    def __init__(self, provider: AnthropicProvider) -> None:
        self._provider = provider

    def size(self, question: Question) -> int:
        """Return how many bytes a question takes in a batch, at most."""
        prompt = question.prompt
        texts = len(prompt.system.encode()) + len(prompt.user.encode())
        names = sum(len(name.encode()) for name in question.pool)
        return 6 * (texts + names) + 1_000  # as escapes, if need be

    async def create(self, questions: Mapping[str, Question]) -> BatchState:
        """Send questions, each under its id."""
        provider = self._provider
        requests: Any = [
            {"custom_id": name, "params": provider.body(question)}
            for name, question in questions.items()
        ]

        async def create(client: AsyncAnthropic) -> Any:
            batches = client.messages.batches.with_raw_response
            return await batches.create(requests=requests, extra_headers=provider.headers)

        return await provider._fetch(create, _read_state, seconds=max(SECONDS, provider.timeout))

    async def look(self, batch: str) -> BatchState:
        """Return how a batch stands."""
        return await self._provider._fetch(
            lambda client: client.messages.batches.with_raw_response.retrieve(batch), _read_state
        )

    async def since(self, moment: float) -> list[BatchState]:
        """Return the batches made after a moment, the newest first."""
        found: list[BatchState] = []
        after: dict[str, str] = {}
        while True:
            params = {"limit": PAGE, **after}
            page = await self._provider._fetch(
                partial(_get, path=PATH, options={"params": params}), dict
            )
            states = [_read_state(it) for it in page["data"]]
            found += states
            if not page.get("has_more") or not states or states[-1].created < moment:
                return [it for it in found if it.created >= moment]
            after = {"after_id": states[-1].id}

    async def results(self, batch: str) -> dict[str, Any]:
        """Return the results of a batch that has ended, by the ids of its questions."""
        return await self._provider._fetch(
            # Not from the address that the batch names: the key goes to no other place.
            partial(_get, path=f"{PATH}/{batch}/results", options={}),
            lambda lines: {str(line["custom_id"]): line["result"] for line in lines},
            seconds=max(SECONDS, self._provider.timeout),
            lines=True,
        )

    def read(self, result: Any, question: Question) -> Reply:
        """Return the reply in a result; raise ``CallError`` where there is none."""
        from anthropic.types import Message

        provider = self._provider
        try:
            kind = result["type"]
            if kind == "succeeded":
                return provider.reply(Message.construct(**result["message"]), question.pool)
            if kind in UNANSWERED:
                raise CallError(provider.label, "failed", UNANSWERED[kind])
            error = result["error"].get("error", result["error"])
            status = STATUS.get(error["type"], 500)
            said = redacted(str(error["message"]), provider.secrets)
        except CallError:
            raise
        except Exception as broken:
            problem = f"its result in the batch is not one of this API ({misread(broken)})"
            raise CallError(provider.label, "garbled", problem) from None
        raise CallError(provider.label, kind_of(status, error), said, status)


async def _get(client: AsyncAnthropic, path: str, options: Any) -> Any:
    """Return the HTTP response of a GET, unread by the SDK."""
    from httpx2 import Response

    return await client.get(path, cast_to=Response, options=options)


def _read_state(content: Any) -> BatchState:
    """Return how a batch stands, as the API or its SDK describes it."""
    from datetime import datetime

    def part(name: str, of: Any = content) -> Any:
        return of[name] if isinstance(of, Mapping) else getattr(of, name)

    counts = part("request_counts")
    names = ("processing", "succeeded", "errored", "canceled", "expired")
    numbers = {name: int(part(name, counts)) for name in names}
    created = part("created_at")
    if isinstance(created, str):
        created = datetime.fromisoformat(created)
    name = part("id")
    if not isinstance(name, str) or not name.replace("_", "").replace("-", "").isalnum():
        raise ValueError(f"a batch cannot be called {name!r}")
    return BatchState(
        name,
        sum(numbers.values()),
        sum(numbers.values()) - numbers["processing"],
        created.timestamp(),
        part("processing_status") == "ended",
    )
