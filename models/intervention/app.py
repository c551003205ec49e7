"""The model on Mesa's page: ``solara run models/intervention/app.py``."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import solara
from mesa.visualization import SolaraViz
from mesa.visualization.utils import force_update, update_counter

from mesa_llm_norms import Intervention, NormsError, mind_names
from mesa_llm_norms.networks import PLACEMENTS
from mesa_llm_norms.web import names_chart, names_network

sys.path.insert(0, str(Path(__file__).parents[2]))  # solara run does not look there

from models.intervention.model import GRAPH, InterventionModel

NETWORKS = (GRAPH, "ring(n=24, k=4)", "complete(n=24)")
CONTROLS: dict[str, dict[str, Any]] = {
    "graph": {"type": "Select", "label": "Network", "value": GRAPH, "values": NETWORKS},
    "mind": {
        "type": "Select",
        "label": "Mind",
        "value": "claude-3.5-sonnet",
        "values": mind_names(),
    },
    "rng": {"type": "Select", "label": "Seed", "value": 1, "values": list(range(1, 21))},
}
"""What can be set before a run; "Reset" begins one with it."""
SAME, SHARE = "as it is", 0.25
"""The label for no other mind, and the share of the agents that get one."""


class PlayedOnPage(InterventionModel):
    """The model, with a lock so that nobody intervenes or reads it in the middle of a round.

    Mesa's page plays in one thread, and clicks come from another.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.turn = threading.Lock()

    def step(self) -> None:
        """Play one population round."""
        with self.turn:
            super().step()

    def intervene(self, what: Intervention) -> None:
        """Intervene before the next round."""
        with self.turn:
            super().intervene(what)

    def withdraw(self) -> None:
        """Release all committed agents before the next round."""
        with self.turn:
            super().withdraw()


def story(model: PlayedOnPage) -> str:
    """Return the last intervention and the state of the convention."""
    with model.turn:
        flipped = model.outcome.flipped
    said = "Nobody has intervened."
    if model.done:
        rounds, what = model.done[-1]
        said = f"Intervention {len(model.done)}, after round {rounds}: {what.label}."
    return f"{said} {model.alternative} has taken over." if flipped else said


@solara.component  # type: ignore[untyped-decorator]
def population(model: PlayedOnPage) -> None:
    """Show the network, and above it the last intervention."""
    update_counter.get()
    with solara.Column():
        solara.Text(story(model), style={"min-height": "3em"})
        names_network(model)


@solara.component  # type: ignore[untyped-decorator]
def hands(model: PlayedOnPage) -> None:
    """Compose an intervention and make it; below, its effect."""
    committed, placement = solara.use_reactive(3), solara.use_reactive("hubs")
    percent, other = solara.use_reactive(0), solara.use_reactive(SAME)
    problem, tell = solara.use_state("")

    def do(action: Callable[[], object]) -> None:
        try:
            action()
        except NormsError as error:
            tell(str(error))
        else:
            tell("")
            force_update()

    def composed() -> Intervention:
        mind = {} if other.value == SAME else {"other": other.value, "other_share": SHARE}
        return Intervention(
            committed=committed.value,
            placement=placement.value,
            rewired=percent.value / 100,
            **mind,
        )

    with solara.Column(gap="8px"):
        solara.SliderInt(
            f"Commit {committed.value} agents to {model.alternative}", committed, max=8
        )
        with solara.Columns():
            solara.Select("They sit", list(PLACEMENTS), placement)
            solara.Select(f"Mind of {SHARE:.0%}", [SAME, *mind_names()], other)
        solara.SliderInt(f"Rewire {percent.value}% of the edges", percent, max=100, step=10)
        with solara.Row():
            solara.Button("Intervene", lambda: do(lambda: model.intervene(composed())))
            solara.Button("Withdraw", lambda: do(model.withdraw))
        if problem:
            solara.Error(problem)
        names_chart(model)


@solara.component  # type: ignore[untyped-decorator]
def Page() -> None:  # noqa: N802
    """Show a population of their own to every viewer."""
    start = {name: control["value"] for name, control in CONTROLS.items()}
    model = solara.use_memo(lambda: PlayedOnPage(**start), [])
    SolaraViz(
        model,
        components=[population, hands],
        model_params=CONTROLS,
        play_interval=400,
        name="Intervention",
    )
