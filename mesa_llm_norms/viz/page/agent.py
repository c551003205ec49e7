"""The agent that is looked at: what it remembers, what it would choose now, and whom it meets."""

from __future__ import annotations

import solara

from mesa_llm_norms.viz.frame import Frame
from mesa_llm_norms.viz.page.bench import Bench
from mesa_llm_norms.viz.views import AgentView


@solara.component  # type: ignore[untyped-decorator]
def AgentCard(bench: Bench, side: int, frame: Frame) -> None:  # noqa: N802
    """Show the selected agent, if it is on this side."""
    chosen = bench.selected.value
    if chosen is None or chosen[0] != side:
        if side == 0:
            solara.Div(
                children=[
                    "Click an agent to see what it remembers and why it plays what it plays."
                ],
                classes=["norms-hint"],
            )
        return
    runner, place = bench.visit.runners[side], chosen[1]
    card = runner.card(place)
    if card is not None:
        AgentView(
            card,
            frame.pool,
            None if bench.visit.replaying else lambda name: runner.commit(place, name),
        )
