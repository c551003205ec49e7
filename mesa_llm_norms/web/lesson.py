"""A scene on the page: what to read, a prediction before play, and the outcome step by step."""

from __future__ import annotations

import solara

from mesa_llm_norms.web.class_vote import ClassVote
from mesa_llm_norms.web.many_view import Many
from mesa_llm_norms.web.page_state import PageState
from mesa_llm_norms.web.scenes.scene import Scene


@solara.component  # type: ignore[untyped-decorator]
def SceneView(state: PageState, scene: Scene) -> None:  # noqa: N802
    """Show the text and the question of a scene, and above them what happened once it is over."""
    _, draw_again = solara.use_state(0)
    state.shown.get()
    state.status.get()
    session = state.session
    came_true, begun, prediction = session.came_true, session.begun, session.prediction

    def predict(answer: int) -> None:
        session.predict(answer)
        draw_again(lambda times: times + 1)

    def reveal() -> None:
        session.revealed += 1
        draw_again(lambda times: times + 1)

    with solara.Div(classes=["norms-scene"]):
        if came_true is not None:
            steps = _steps(state, scene, came_true, prediction)
            attributes = {"data-testid": "outcome", "role": "status"}
            with solara.Div(classes=["norms-outcome"], attributes=attributes):
                for place, text in enumerate(steps[: session.revealed + 1]):
                    solara.v.Html(tag="div" if place else "h2", children=[text])
                if session.revealed + 1 < len(steps):
                    solara.Button(
                        state.say("Next"),
                        on_click=reveal,
                        small=True,
                        attributes={"data-testid": "next"},
                    )
                if session.revealed:
                    Many(state)
        solara.Div(children=[scene.text], classes=["norms-scene-text"])
        solara.v.Html(tag="h2", children=[scene.question], class_="norms-question")
        with solara.Div(classes=["norms-answers"]):
            for i, answer in enumerate(scene.answers):
                solara.Button(
                    answer.text,
                    on_click=lambda i=i: predict(i),
                    outlined=prediction != i,
                    color="primary" if prediction == i else None,
                    disabled=begun and prediction != i,
                    small=True,
                    attributes={
                        "data-testid": f"answer-{i}",
                        "aria-pressed": str(prediction == i).lower(),
                    },
                )
        ClassVote(scene, came_true)
        if begun:
            locked = state.say("Your prediction was made before play, and stays.")
            late = state.say("Nothing was predicted before play. Reset to predict first.")
            solara.Div(children=[late if prediction is None else locked], classes=["norms-hint"])


def _steps(state: PageState, scene: Scene, came_true: int, prediction: int | None) -> list[str]:
    """Return what is said of the outcome, one step after the other."""
    say = state.say
    outcome = say("What happened: {answer}.", answer=scene.answers[came_true].text)
    if prediction is not None:
        right = prediction == came_true
        outcome += f" {say('You predicted this.') if right else say('You predicted otherwise.')}"
    return [outcome, *scene.explained(state.language.value)]
