"""A provider for a server of chat completions, and what it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from chat_server import (
    Body,
    Fault,
)
from hypothesis import strategies as st

from mesa_llm_norms.core.game import is_name
from mesa_llm_norms.llm.chat_completions import (
    Capabilities,
)
from mesa_llm_norms.llm.openai_compatible import OpenAICompatibleProvider
from mesa_llm_norms.llm.prompt import Prompt
from mesa_llm_norms.llm.provider import Question, Reply

KEY = "not-a-key-but-as-long-as-one"
POOL = ("Q", "M")
PROMPT = Prompt("These are the rules.", "Pick Q or M.")
TIMEOUT = 20.0

Result = TypeVar("Result")

NAMES = st.text(min_size=1, max_size=12).filter(is_name)


def with_llama(
    url: str,
    use: Callable[[OpenAICompatibleProvider], Awaitable[Result]],
    model: str = "m",
    **options: Any,
) -> Result:
    async def main() -> Result:
        llama = OpenAICompatibleProvider(url, model, **{"timeout": TIMEOUT, **options})
        try:
            await llama.prepare()
            return await use(llama)
        finally:
            await llama.close()

    return asyncio.run(main())


def question(pool: Sequence[str] = POOL, seed: int = 7, prompt: Prompt = PROMPT) -> Question:
    return Question(prompt, tuple(pool), seed)


def ask(url: str, pool: Sequence[str] = POOL, seed: int = 7, **options: Any) -> Reply:
    return with_llama(url, lambda llama: llama.ask(question(pool, seed)), **options)


async def capabilities_of(llama: OpenAICompatibleProvider) -> Capabilities | None:
    return llama.capabilities


def game(fault: Fault | None) -> Callable[[Body], Fault | None]:
    """Return a schedule by which every question of the game meets a fault, and no other call."""
    return lambda body: fault if body["messages"][-1]["content"] == PROMPT.user else None
