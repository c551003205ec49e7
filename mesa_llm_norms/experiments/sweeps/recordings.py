"""The live minds of a sweep, each recorded before anything is played.

A sweep plays thousands of runs, in other processes and on other machines, which no live mind can
pay for. So a live mind is asked once for each game of the grid, as ``record`` does, and the cells
play the recordings. In a folder they are kept as files, with the journals of all calls: the same
sweep once more asks only what is missing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mesa_llm_norms.core.formatting import count
from mesa_llm_norms.core.game import Game
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.experiments.recording.questions import Report
from mesa_llm_norms.experiments.recording.recorder import (
    RecordingPlan,
    plan_recording,
    run_recording,
)
from mesa_llm_norms.experiments.sweeps.cells import MINDS
from mesa_llm_norms.experiments.sweeps.grid import SweepPlan
from mesa_llm_norms.llm.client import SharedBudget
from mesa_llm_norms.llm.provider import LiveMind
from mesa_llm_norms.llm.settings import LLMSettings, read_llm
from mesa_llm_norms.minds.files import read_mind
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.minds.mixtures import by_share, read_shares
from mesa_llm_norms.minds.policies import UniformMind
from mesa_llm_norms.minds.registry import load_mind

LONGEST = 60
"""Characters of a file's name that say which mind it is."""


def find_live(plan: SweepPlan) -> dict[str, RecordingPlan]:
    """Return the recordings that a sweep needs, by the names of their files without an ending.

    Raises
    ------
    SpecError
        For a cell that is not valid, and for a game that cannot be recorded.
    """
    if not any(isinstance(mind, LiveMind) for mind in _minds(plan)):
        return {}
    found: dict[str, RecordingPlan] = {}

    def note(mind: LiveMind, game: Game) -> Mind:
        name = _name(mind, game)
        if name not in found:
            found[name] = plan_recording(
                mind, game.pool, game.memory, reward=game.reward, penalty=game.penalty, label=name
            )
        return UniformMind()

    for _ in replace(plan, proxy=note).cells():
        pass
    return found


def find_recorded(wanted: Mapping[str, RecordingPlan], folder: Path | None) -> dict[str, Mind]:
    """Return those of the recordings that a folder has."""
    files = {} if folder is None else {name: folder / MINDS / f"{name}.json" for name in wanted}
    return {name: read_mind(path) for name, path in files.items() if path.exists()}


def with_recordings(plan: SweepPlan, recorded: Mapping[str, Mind]) -> SweepPlan:
    """Return a plan whose live minds are played by recordings."""
    return replace(plan, proxy=lambda mind, game: recorded[_name(mind, game)])


def check_budget(wanted: Mapping[str, RecordingPlan], llm: LLMSettings) -> None:
    """Raise ``SpecError`` where a recording costs money and there is no budget."""
    paid = {plan.mind.label for plan in wanted.values() if not plan.mind.provider.free}
    if paid and not llm.bounded:
        raise SpecError(
            "budget",
            None,
            f"a sweep records live minds first, and there is no budget for {', '.join(paid)}",
            "Estimate the cost with --forecast, then give --budget-usd or --budget-calls "
            "(llm=LLMSettings(budget_usd=...) in Python).",
        )


def record_minds(
    wanted: Mapping[str, RecordingPlan],
    folder: Path | None,
    llm: LLMSettings | None = None,
    progress: Report | None = None,
) -> dict[str, Mind]:
    """Return the recordings, and make those that the folder lacks.

    Parameters
    ----------
    wanted : mapping
        What ``find_live`` returned.
    folder : pathlib.Path or None
        The sweep's folder; None to keep nothing.
    llm : LLMSettings, optional
        How minds are called; its budget is for all recordings together.
    progress : callable, optional
        Called with what is being done, how much of it is done, and how much there is.

    Raises
    ------
    SpecError
        If a mind that costs money has no budget, or a budget ended a recording: no cell is played
        by a mind that is known in part.
    """
    found = find_recorded(wanted, folder)
    missing = {name: plan for name, plan in wanted.items() if name not in found}
    llm = read_llm(llm)
    check_budget(missing, llm)
    if folder is not None:
        llm = replace(llm, folder=folder / MINDS, resume=True)
    budget = SharedBudget(llm, asks=True)
    for name, plan in missing.items():
        settings = replace(budget.settings_for(name), batch=llm.batch)
        recorded = run_recording(plan, progress=progress, llm=settings)
        budget.add(recorded.usage)
        if recorded.ended_by_budget:
            raise SpecError(
                "budget",
                None,
                f"it was used up after {count(recorded.questions)} questions to {plan.mind.label}",
                "Give more: the same sweep in the same folder asks only what is missing.",
            )
        if folder is not None:
            recorded.save(folder / MINDS / f"{name}.json")
        found[name] = recorded.mind
    return found


def _minds(plan: SweepPlan) -> Iterator[Mind]:
    """Yield every mind of a plan, without a cell."""
    (values,) = [it.values for it in plan.axes if it.argument == "mind"] or [()]
    for given in (*values, *([plan.fixed["mind"]] if "mind" in plan.fixed else [])):
        shares = read_shares(given)
        several = isinstance(shares, Mapping)
        for one in (shares if by_share(shares) else shares.values()) if several else [given]:
            yield load_mind(one)


def _name(mind: LiveMind, game: Game) -> str:
    """Return what the recording of a mind in a game is called, which no other one is."""
    asked: dict[str, Any] = {
        "mind": mind.label,
        "options": dict(mind.provider.options),
        "template": mind.template.text,
        "game": [list(game.pool), game.memory, float(game.reward), float(game.penalty)],
    }
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()
    pool = "".join(game.pool) if len("".join(game.pool)) <= 10 else f"{len(game.pool)}-names"
    words = re.sub(r"[^\w.]+", "-", f"{mind.label} {pool} {game.memory}")
    return f"{words[-LONGEST:].strip('-')}-{digest[:8]}"
