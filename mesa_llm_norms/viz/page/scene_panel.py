"""A scene: what it is about, a question to predict first, and what happened."""

from __future__ import annotations

import solara

from mesa_llm_norms.viz.hosting import hosting
from mesa_llm_norms.viz.page.bench import Bench
from mesa_llm_norms.viz.scenes import Scene, read_scenes

_NONE = "no scene: explore freely"


@solara.component  # type: ignore[untyped-decorator]
def SceneChoice(bench: Bench) -> None:  # noqa: N802
    """Choose a scene."""
    bench.shown.get()
    visit = bench.visit
    if visit.replaying:
        return
    scenes = solara.use_memo(lambda: read_scenes(hosting().scenes), [])
    titles = {scene.title: key for key, scene in scenes.items()}
    on = visit.scene.title if visit.scene is not None else _NONE

    def choose(title: str | None) -> None:
        if title == _NONE:
            bench.attempt(lambda: visit.change())
        elif title is not None and title != on:
            bench.attempt(lambda: visit.open_scene(titles[title]))

    solara.v.Select(
        label="Scene",
        items=[_NONE, *titles],
        v_model=on,
        on_v_model=choose,
        dense=True,
        hide_details=True,
        class_="norms-scenes",
        attributes={"data-testid": "scene"},
    )


@solara.component  # type: ignore[untyped-decorator]
def ScenePanel(bench: Bench) -> None:  # noqa: N802
    """Show the scene that is on."""
    bench.shown.get()
    if bench.visit.scene is not None:
        with solara.Div(classes=["norms-scene"]):
            _Scene(bench, bench.visit.scene).key(bench.visit.scene.key)


@solara.component  # type: ignore[untyped-decorator]
def _Scene(bench: Bench, scene: Scene) -> None:  # noqa: N802
    prediction, predict = solara.use_state(bench.visit.prediction)
    bench.status.get()
    came_true = bench.visit.came_true

    def choose(answer: int) -> None:
        bench.visit.prediction = answer
        predict(answer)

    solara.Div(children=[scene.text], classes=["norms-scene-text"])
    solara.Div(children=[scene.question], classes=["norms-question"])
    with solara.Div(classes=["norms-answers"]):
        for place, answer in enumerate(scene.answers):
            solara.Button(
                answer.text,
                on_click=lambda place=place: choose(place),
                outlined=prediction != place,
                color="primary" if prediction == place else None,
                small=True,
                attributes={
                    "data-testid": f"answer-{place}",
                    "aria-pressed": str(prediction == place).lower(),
                },
            )
    if came_true is None:
        return
    said = f"What happened: {scene.answers[came_true].text}."
    if prediction is not None:
        said += " As you predicted." if prediction == came_true else " You predicted otherwise."
    with solara.Div(classes=["norms-outcome"], attributes={"data-testid": "outcome"}):
        solara.Div(children=[said])
        if scene.measured is not None:
            shares = zip(scene.answers, scene.measured.shares, strict=True)
            often = "; ".join(f"{answer.text}: {share:.0%}" for answer, share in shares)
            solara.Div(children=[f"Over {scene.measured.runs:,} runs: {often}."])
        solara.Div(children=[scene.why])
