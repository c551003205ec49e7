"""A server of chat completions whose model thinks before it answers, shown in one way or another.

    with ReasoningServer(VLLM, Thinking("<think>", "</think>\\n\\n")) as server:
        ...

It is a ``ChatServer``; what it answers is preceded by the same thoughts each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from chat_server import Body, ChatServer, Program, most_tokens

THOUGHTS = "The user wants a name. Q? No: M. Or rather Q.\nDecided."
TOKENS = 300
"""How many tokens they take."""


@dataclass(frozen=True)
class Thinking:
    """How the thoughts of a model come: between marks in the content, or ``beside`` it.

    ``held`` tells what a constraint does: it leaves the thoughts alone, suppresses them, or has the
    server take the answer for a thought. ``counts`` tells whether the thoughts' tokens are told.
    """

    opening: str = ""
    closing: str = ""
    beside: str | None = None
    held: Literal["thinks", "suppressed", "swallowed"] = "thinks"
    counts: bool = False

    def put(self, choice: Body, most: int) -> None:
        """Put the thoughts before an answer, or in its place if no more than they have room."""
        message, cut_off = choice["message"], most <= TOKENS
        if cut_off:
            choice["finish_reason"], message["content"] = "length", ""
        if self.beside is not None:
            message[self.beside] = THOUGHTS
            return
        closing = "" if cut_off else self.closing + message["content"]
        message["content"] = self.opening + THOUGHTS + closing


class ReasoningServer(ChatServer):
    """Serves from ``with`` to the end of its block."""

    def __init__(self, program: Program, thinking: Thinking, **options: Any) -> None:
        super().__init__(program, **options)
        self.thinking = thinking

    def answer(self, body: Body) -> tuple[int, Body]:
        status, content = super().answer(body)
        if status != 200:
            return status, content
        (choice,) = content["choices"]
        held = bool(self.program.honours & set(body))
        if held and self.thinking.held == "suppressed":
            return status, content
        if held and self.thinking.held == "swallowed":
            message = choice["message"]
            message[self.thinking.beside or "reasoning"] = message["content"]
            message["content"] = ""
            return status, content
        choice.pop("logprobs", None)
        most = most_tokens(body)
        self.thinking.put(choice, most)
        if self.thinking.counts:
            content["usage"] = {
                "prompt_tokens": 10,
                "completion_tokens": min(most, TOKENS + 2),
                "completion_tokens_details": {"reasoning_tokens": min(most, TOKENS)},
            }
        return status, content


IN_CONTENT = (
    Thinking("<think>\n", "\n</think>\n\n"),
    Thinking("", "\n</think>\n\n"),
    Thinking("<thinking>", "</thinking>"),
    Thinking("<THOUGHT>", "</THOUGHT> "),
    Thinking("[THINK]", "[/THINK]"),
    Thinking("◁think▷", "◁/think▷"),
    Thinking("<|begin_of_thought|>", "<|end_of_thought|>\n\n"),
    Thinking("<|START_THINKING|>", "<|END_THINKING|>"),
    Thinking("<|channel>thought\n", "<channel|>"),
    Thinking(
        "<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"
    ),
    Thinking("analysis", "assistantfinal"),
)
BESIDE = tuple(
    Thinking(beside=key, counts=counts)
    for key, counts in (("reasoning_content", True), ("reasoning", False), ("thinking", True))
)
