"""The model on Mesa's page: ``solara run models/segregation/app.py``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import solara
from mesa.visualization import SolaraViz, make_plot_component, make_space_component
from mesa.visualization.components import AgentPortrayalStyle

sys.path.insert(0, str(Path(__file__).parents[2]))  # solara run does not look there

from models.segregation.model import Resident, Segregation

CONTROLS: dict[str, dict[str, Any]] = {
    "llm": {
        "type": "Select",
        "label": "Who answers",
        "value": "rule",
        "values": ["rule", "smollm2"],
    },
    "size": {"type": "SliderInt", "label": "Side of the town", "value": 10, "min": 5, "max": 20},
    "rng": {"type": "Select", "label": "Seed", "value": 1, "values": list(range(1, 21))},
}
"""What can be set before a run; "Reset" begins one with it."""


def portrayal(resident: Resident) -> AgentPortrayalStyle:
    """Return how a resident is drawn: the two kinds differ in color and in shape."""
    color, marker = (("tab:blue", "o"), ("tab:orange", "s"))[resident.kind]
    return AgentPortrayalStyle(color=color, marker=marker, size=90)


@solara.component  # type: ignore[untyped-decorator]
def Page() -> None:  # noqa: N802
    """Show a town of their own to every viewer."""
    start = {name: control["value"] for name, control in CONTROLS.items()}
    model = solara.use_memo(lambda: Segregation(**start), [])
    SolaraViz(
        model,
        components=[make_space_component(portrayal), make_plot_component("alike")],
        model_params=CONTROLS,
        play_interval=400,
        name="Segregation",
    )
