"""Llamas and others, by the chat completions protocol: ``llama:URL#MODEL``."""

from mesa_llm_norms.minds.live.llama.server import LlamaServer

__all__ = ["LlamaServer"]
