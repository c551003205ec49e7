"""A mind behind a server: it puts a situation into words, and reads a name from what comes back.

Live minds by name: ``claude:MODEL`` and ``llama:URL#MODEL``.
"""

from __future__ import annotations

import random
from typing import Any, NoReturn, Protocol

from mesa_llm_norms.core.game import Game
from mesa_llm_norms.errors import MindError
from mesa_llm_norms.llm.prompt import Prompt, Template, check_names, default_template
from mesa_llm_norms.llm.provider import UNSEEN, Provider
from mesa_llm_norms.minds.mind import Decision, Mind, Situation


class Caller(Protocol):
    """Who makes the calls of live minds: a ``LLMClient``."""

    async def decide(self, mind: LiveMind, situation: Situation) -> Decision:
        """Return what a mind chooses."""


class LiveMind(Mind):
    """A model that is asked anew in every situation, by the session of the run it plays in.

    The order in which it is shown the names is drawn for each decision. ``template`` is the wording
    of the prompt, the one that ships where none is given.
    """

    def __init__(
        self, server: Provider, template: Template | None = None, client: Caller | None = None
    ) -> None:
        self.server = server
        self.template = template or default_template()
        self.label = server.label
        self.client = client

    def within(self, client: Caller) -> LiveMind:
        """Return the same mind, its calls made by ``client``."""
        return LiveMind(self.server, self.template, client)

    def check(self, game: Game) -> None:
        """Raise ``PoolError`` for names that cannot be put into a prompt."""
        check_names(game.pool)

    def prompt(self, situation: Situation) -> Prompt:
        """Return what the agent is told, word for word."""
        chance = random.Random(
            situation.stream.of("order of names", situation.interaction, situation.seat)
        )
        order = chance.sample(situation.game.pool, len(situation.game.pool))
        return self.template.fill(situation.game, situation.memory, order)

    async def decide(self, situation: Situation) -> Decision:
        """Return what the model chose; ``DecisionError`` where it gave no name of the pool."""
        if self.client is None:
            raise MindError(
                "mind",
                self.label,
                "nobody makes its calls",
                "Play it in NamingGame or run_ensemble, or have Session().attend([mind]) do so.",
            )
        return await self.client.decide(self, situation)

    def __reduce__(self) -> NoReturn:
        raise MindError(
            "mind",
            self.label,
            "a live mind stays in its process, with its connection and its budget",
            "Use workers=1: its runs are played side by side as they are.",
        )


LIVE = ("claude", "llama")
"""What the names of live minds begin with, before a colon."""


def live_mind(name: str, template: Template | None = None, **options: Any) -> LiveMind:
    """Return the live mind of this name.

    ``claude:claude-haiku-5-5`` is a model of Anthropic's API; ``llama:http://127.0.0.1:8080/v1#name``
    one of a server that speaks the chat completions protocol (llama.cpp, vLLM, Ollama). ``options``
    are those of the server: ``temperature``, ``timeout`` (seconds a call), ``max_tokens``.

    Raises ``MindError`` for any other name.
    """
    return LiveMind(_server(name, options), template)


def _server(name: str, options: dict[str, Any]) -> Provider:
    kind, _, rest = name.partition(":")
    if kind == "claude" and rest:
        from mesa_llm_norms.llm.anthropic import AnthropicProvider

        return AnthropicProvider(rest, **options)
    url, _, model = rest.partition("#")
    if kind == "llama" and url and model:
        from mesa_llm_norms.llm.openai_compatible import OpenAICompatibleProvider

        return OpenAICompatibleProvider(url, model, **options)
    shown = UNSEEN if "@" in name or "?" in name else name
    raise MindError(
        "mind",
        shown,
        f"{shown!r} names no live mind",
        "Write claude:MODEL, such as claude:claude-haiku-5-5, or llama:URL#MODEL, such as "
        "llama:http://127.0.0.1:8080/v1#llama-3.1-8b.",
    )
