"""Playing what is planned; what is cut short with live minds can be gone on with."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from mesa_llm_norms.cli import terminal
from mesa_llm_norms.cli.ensemble import run_many
from mesa_llm_norms.cli.plan import Plan, introduce
from mesa_llm_norms.cli.single_run import run_one
from mesa_llm_norms.errors import NormsError


def play(plan: Plan) -> None:
    """Play one run or many, as the plan says."""
    if plan.talk:
        introduce(plan)
    with _telling_how_to_go_on(plan):
        if plan.runs is None:
            run_one(plan)
        else:
            run_many(plan, plan.runs)


@contextmanager
def _telling_how_to_go_on(plan: Plan) -> Iterator[None]:
    try:
        yield
    except (NormsError, KeyboardInterrupt):
        if plan.calls.folder is not None and plan.journal.exists():
            command = f"mesa-llm-norms resume {shlex.quote(str(plan.folder))}"
            terminal.complain("note", f"every reply so far is kept; go on with: {command}")
        raise
