"""Going through a recorded run, interaction by interaction."""

from __future__ import annotations

import solara

from mesa_llm_norms.viz.frame import Frame
from mesa_llm_norms.viz.page.bench import Bench


@solara.component  # type: ignore[untyped-decorator]
def Seeking(bench: Bench, side: int, frame: Frame) -> None:  # noqa: N802
    """Show how far a recorded run has been gone through, and go to any moment of it."""
    runner = bench.visit.runners[side]
    if not frame.length:
        return

    def seek(interactions: int) -> None:
        if interactions != runner.frame.interactions:
            bench.attempt(lambda: runner.seek(interactions), anew=False)

    with solara.Div(classes=["norms-seek"], attributes={"data-testid": "seek"}):
        solara.Button(
            "",
            icon_name="mdi-chevron-left",
            text=True,
            on_click=lambda: seek(max(0, frame.interactions - 1)),
            attributes={"data-testid": "back", "title": "One interaction back"},
        )
        solara.SliderInt(
            "", value=frame.interactions, min=0, max=frame.length, on_value=seek, thumb_label=False
        )
        solara.Div(children=[f"{frame.interactions:,} of {frame.length:,}"])
