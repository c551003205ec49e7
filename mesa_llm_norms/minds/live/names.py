"""Live minds by name: ``claude:MODEL`` and ``llama:URL#MODEL``."""

from __future__ import annotations

from typing import Any

from mesa_llm_norms.errors import MindError
from mesa_llm_norms.minds.live.address import UNSEEN
from mesa_llm_norms.minds.live.mind import LiveMind
from mesa_llm_norms.minds.live.prompt import Template
from mesa_llm_norms.minds.live.server import Server

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


def _server(name: str, options: dict[str, Any]) -> Server:
    kind, _, rest = name.partition(":")
    if kind == "claude" and rest:
        from mesa_llm_norms.minds.live.claude import ClaudeServer

        return ClaudeServer(rest, **options)
    url, _, model = rest.partition("#")
    if kind == "llama" and url and model:
        from mesa_llm_norms.minds.live.llama import LlamaServer

        return LlamaServer(url, model, **options)
    shown = UNSEEN if "@" in name or "?" in name else name
    raise MindError(
        "mind",
        shown,
        f"{shown!r} names no live mind",
        "Write claude:MODEL, such as claude:claude-haiku-5-5, or llama:URL#MODEL, such as "
        "llama:http://127.0.0.1:8080/v1#llama-3.1-8b.",
    )
