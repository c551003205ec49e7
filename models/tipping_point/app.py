"""The model on Mesa's page: ``solara run models/tipping_point/app.py``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import solara
from mesa.visualization import SolaraViz
from mesa.visualization.utils import update_counter

from mesa_llm_norms import mind_names
from mesa_llm_norms.networks import PLACEMENTS
from mesa_llm_norms.web import names_chart, names_network

sys.path.insert(0, str(Path(__file__).parents[2]))  # solara run does not look there

from models.tipping_point.model import TippingPointModel, challenger_share

NETWORKS = ("complete(n=24)", "ring(n=24, k=4)", "barabasi_albert(n=24, m=2)")
CONTROLS: dict[str, dict[str, Any]] = {
    "minority": {
        "type": "SliderInt",
        "label": "Minority, 0 to 12",
        "value": 4,
        "min": 0,
        "max": 12,
    },
    "placement": {"type": "Select", "label": "It sits", "value": "random", "values": PLACEMENTS},
    "leave": {"type": "Checkbox", "label": "It leaves once it has won", "value": True},
    "graph": {"type": "Select", "label": "Network", "value": NETWORKS[0], "values": NETWORKS},
    "mind": {
        "type": "Select",
        "label": "Mind of the others",
        "value": "claude-3.5-sonnet",
        "values": mind_names(),
    },
    "rng": {"type": "Select", "label": "Seed", "value": 5, "values": list(range(1, 21))},
}
"""What can be set before a run; "Reset" begins one with it."""


def story(model: TippingPointModel) -> str:
    """Return the state of the run in a sentence or two."""
    name, agents = model.challenger, len(model.players)
    committed = sum(agent.committed is not None for agent in model.players)
    said = f"{committed} of {agents} agents always play {name}." if committed else "All are free."
    if model.flipped_at is not None:
        said = f"Flipped in round {model.flipped_at}. {said}"
    if model.interactions:
        said += f" {challenger_share(model):.0%} of the free played {name} last."
    return said


@solara.component  # type: ignore[untyped-decorator]
def population(model: TippingPointModel) -> None:
    """Show the network, and above it the state of the run."""
    update_counter.get()
    with solara.Column():
        solara.Text(story(model), style={"min-height": "3em"})
        names_network(model)


@solara.component  # type: ignore[untyped-decorator]
def Page() -> None:  # noqa: N802
    """Show a population of their own to every viewer."""
    start = {name: control["value"] for name, control in CONTROLS.items()}
    model = solara.use_memo(lambda: TippingPointModel(**start), [])
    SolaraViz(
        model,
        components=[population, names_chart],
        model_params=CONTROLS,
        play_interval=400,
        name="Tipping point",
    )
