"""A mind that plays from a script: the test double for models, metrics and pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from mesa_llm_norms.errors import DecisionError
from mesa_llm_norms.minds.mind import Decision, Mind, Situation

Script = Callable[[Situation], str] | Mapping[tuple[int, int], str] | Sequence[str]


class ScriptedMind(Mind):
    """Plays what ``script`` says, and raises ``DecisionError`` where it says nothing.

    The script is a function of the situation, a mapping ``(interaction, seat) -> name``, or a
    sequence of names, of which the agent's n-th remembered interaction counts: an agent that
    remembers n interactions plays ``script[n]``, and the last name from then on.
    """

    def __init__(self, script: Script, label: str = "scripted") -> None:
        self.script = script
        self.label = label

    async def decide(self, situation: Situation) -> Decision:
        """Return the scripted name."""
        if callable(self.script):
            return Decision(self.script(situation))
        if isinstance(self.script, Mapping):
            name = self.script.get((situation.interaction, situation.seat))
        else:
            name = (
                self.script[min(len(situation.memory), len(self.script) - 1)]
                if self.script
                else None
            )
        if name is None:
            raise DecisionError(
                self.label,
                f"the script has no name for interaction {situation.interaction}, "
                f"seat {situation.seat}",
            )
        return Decision(name)
