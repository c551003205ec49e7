"""What a recording found: the mind, its file, and how well it is known."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from mesa_llm_norms.analysis.intervals import wilson_interval
from mesa_llm_norms.core.files import new_file
from mesa_llm_norms.core.game import Memory
from mesa_llm_norms.experiments.recording.fitting import Fitted
from mesa_llm_norms.experiments.recording.populations import Change, Outcomes
from mesa_llm_norms.experiments.recording.questions import Recorder, number_of_memories
from mesa_llm_norms.llm.client import LLMClient
from mesa_llm_norms.llm.journal.rows import Totals
from mesa_llm_norms.minds.files import write_recorded
from mesa_llm_norms.minds.policies import write_memory
from mesa_llm_norms.minds.recorded import RecordedMind
from mesa_llm_norms.simulation.results import versions

if TYPE_CHECKING:
    from mesa_llm_norms.experiments.recording.recorder import RecordingPlan

DECIMALS = 4
OUT_OF_BUDGET = "the budget was used up"
"""Why a recording ended that had no more to spend."""
LISTED = 20
"""How many of the memories that were never asked about are listed, those visited most."""


class Step(NamedTuple):
    """One stage of an adaptive recording.

    Attributes
    ----------
    memories, questions : int
        How many memories something is known about, and how many questions were put so far.
    held_out : float
        Mean log-loss (nats) of answers that were left out of the fit.
    change : Change or None
        How far populations are from those of the stage before; None in the first.
    populations : Outcomes
        How they end.
    """

    memories: int
    questions: int
    held_out: float
    change: Change | None
    populations: Outcomes


@dataclass(frozen=True)
class Recorded:
    """A recording of a live mind.

    Attributes
    ----------
    mind : RecordedMind
        The mind: a policy, which everything in this package plays.
    ended : str
        Why no more was asked.
    memories, possible : int
        How many memories something is known about, of how many that an agent can have.
    questions, unusable : int
        How many questions were put, and how many of them had no usable reply.
    visited : float
        Share of the choices of simulated populations on memories that something is known about.
    never_asked : tuple of (str, float)
        Memories that were never asked about, with their shares of choices, the largest first.
    held_out, known : float
        Mean log-loss (nats) of answers on memories left out of the fit, and the least it could be.
    steps : tuple of Step
        Those of an adaptive recording; none if everything was asked.
    usage : Totals
        What the calls used.
    """

    mind: RecordedMind
    ended: str
    memories: int
    possible: int
    questions: int
    unusable: int
    visited: float
    never_asked: tuple[tuple[str, float], ...]
    held_out: float
    known: float
    steps: tuple[Step, ...]
    usage: Totals

    @property
    def ended_by_budget(self) -> bool:
        """Whether a budget was used up before everything was asked."""
        return self.ended == OUT_OF_BUDGET

    def save(self, path: str | Path) -> None:
        """Write the mind into a JSON file, which ``load_mind`` and ``--mind`` take.

        Parameters
        ----------
        path : str or pathlib.Path
            The file; one that exists is replaced.
        """
        with new_file(Path(path)) as hidden:
            write_recorded(self.mind, hidden)

    @property
    def answers(self) -> pd.DataFrame:
        """The answers, one row per memory and name, added up over orders.

        The columns are memory, name, replies (over all names), share, low and high. Low and high
        bound a 95% Wilson interval where replies are choices; a probability has none.
        """
        (recording,) = self.mind.recordings
        rows = []
        for memory, chosen in recording.counts().items():
            total = sum(chosen.values())
            for name, number in chosen.items():
                share = low = high = number / total
                if not recording.exact:
                    low, high = map(float, wilson_interval(round(number), round(total)))
                rows.append((write_memory(memory), name, round(total), share, low, high))
        columns = ["memory", "name", "replies", "share", "low", "high"]
        return pd.DataFrame(rows, columns=columns)

    def as_object(self) -> dict[str, Any]:
        """Return everything but the answers as plain data, for JSON.

        Returns
        -------
        dict
            Counts, shares, log-losses, steps, provenance and usage, by name.
        """
        return {
            "mind": self.mind.label,
            "ended": self.ended,
            "memories": self.memories,
            "possible_memories": self.possible,
            "questions": self.questions,
            "unusable": self.unusable,
            "visited_and_asked": self.visited,
            "never_asked": dict(self.never_asked),
            "held_out_log_loss": self.held_out,
            "least_log_loss": self.known,
            "steps": [
                {
                    "memories": it.memories,
                    "questions": it.questions,
                    "held_out_log_loss": it.held_out,
                    "change": None if it.change is None else it.change._asdict(),
                }
                for it in self.steps
            ],
            "provenance": self.mind.provenance,
            "usage": self.usage._asdict(),
        }


def conclude(
    plan: RecordingPlan,
    recorder: Recorder,
    fitted: Fitted,
    steps: Sequence[Step],
    ended: str,
    seen: Counter[Memory],
    client: LLMClient,
) -> Recorded:
    """Return the result of a recording, whose mind says where it is from."""
    recording, total = recorder.recording, seen.total()
    never = [(it, n / total) for it, n in seen.most_common() if it not in recording.answers]
    usage = client.usage
    fitted.mind.provenance = _provenance(plan, recorder, fitted, ended, never, client, usage)
    return Recorded(
        fitted.mind,
        ended,
        len(recording.answers),
        number_of_memories(plan.game),
        recorder.put,
        recorder.unusable,
        1 - sum(share for _, share in never),
        tuple((write_memory(memory), share) for memory, share in never[:LISTED]),
        fitted.held_out,
        fitted.known,
        tuple(steps),
        usage,
    )


def _provenance(
    plan: RecordingPlan,
    recorder: Recorder,
    fitted: Fitted,
    ended: str,
    never: Sequence[tuple[Memory, float]],
    client: LLMClient,
    usage: Totals,
) -> dict[str, Any]:
    """Return where a recording is from; the same after any interruption on the same day."""
    mind, recording = plan.mind, recorder.recording
    provider, template, game = mind.provider, mind.template, plan.game
    attempt = client.journal.attempts_of(0, 0)[0]
    model = client.journal.model(mind.label) or provider.model
    date = attempt.begun[:10]
    return {
        "source": f"{model}, asked on {date}",
        "recorded_by": f"mesa_llm_norms {versions()['mesa_llm_norms'] or 'unknown'}",
        "model": model,
        "server": provider.place,
        "sampling": attempt.parameters,
        "prompt": template.version,
        "prompt_sha256": hashlib.sha256(template.text.encode()).hexdigest(),
        "date": date,
        "ended": ended,
        "memories": len(recording.answers),
        "possible_memories": number_of_memories(game),
        "share_of_choices_on_memories_never_asked": round(
            sum(share for _, share in never), DECIMALS
        ),
        "decisions": recording.replies,
        "unusable": recorder.unusable,
        "calls": usage.answered + usage.unusable,
        "tokens": usage.tokens,
        "usd": round(usage.cost, 6),
        "seed": plan.seed,
        "conditions": [
            {
                "kind": "baseline",
                "pool": list(game.pool),
                "memory": game.memory,
                "decisions": recording.replies,
                "log_loss": round(fitted.known, DECIMALS),
                "log_loss_even_to_odd": round(fitted.held_out, DECIMALS),
            }
        ],
    }
