"""Claude, by the Messages API: ``claude:MODEL``."""

from mesa_llm_norms.minds.live.claude.server import ClaudeServer

__all__ = ["ClaudeServer"]
