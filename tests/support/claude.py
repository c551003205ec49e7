"""A Claude provider, and what it is asked, for tests with a server on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from messages_api_rules import Answer
from messages_server import Fault, MessagesServer

from mesa_llm_norms.errors import CallError
from mesa_llm_norms.llm.anthropic import AnthropicProvider
from mesa_llm_norms.llm.prompt import Prompt
from mesa_llm_norms.llm.provider import Question, Reply

KEY = "-".join(("sk", "ant", "api03", "not", "a", "key", "but", "it", "looks", "like", "one"))
PLAIN = "claude-test-1"
THINKING = "claude-test-thinking-1"
BETWEEN = "claude-test-between-1"
UNSTRUCTURED = "claude-test-plain-1"
POOL = ("Q", "M", "Zoë “the” 2nd")
QUESTION = Question(Prompt("These are the rules.", "Pick M or Q."), POOL, 7)
TIMEOUT = 20.0

Result = TypeVar("Result")


def with_claude(
    url: str,
    use: Callable[[AnthropicProvider], Awaitable[Result]],
    model: str = PLAIN,
    **options: Any,
) -> Result:
    async def main() -> Result:
        claude = AnthropicProvider(model, base_url=url, **{"timeout": TIMEOUT, **options})
        try:
            await claude.prepare()
            return await use(claude)
        finally:
            await claude.close()

    return asyncio.run(main())


def ask(url: str, model: str = PLAIN, question: Question = QUESTION, **options: Any) -> Reply:
    return with_claude(url, lambda claude: claude.ask(question), model, **options)


def reply_to(answer: Answer, model: str = PLAIN) -> Reply:
    with MessagesServer(answer=lambda _: answer) as server:
        return ask(server.url, model)


def error_after(fault: Fault, **options: Any) -> CallError:
    with MessagesServer(faults=lambda *_: fault) as server:
        with pytest.raises(CallError) as caught:
            ask(server.url, **options)
        assert len(server.requests) == 1, "a server does not repeat a call"
        assert server.answered == []
    return caught.value
