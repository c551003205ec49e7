"""What a class does: predict how a population ends, be told step by step, and play it 100 times.

``SceneView`` shows a scene and its outcome; ``Many`` plays many runs and shows how they end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

import solara

from mesa_llm_norms.core.formatting import json_text
from mesa_llm_norms.networks.drawing import name_colors
from mesa_llm_norms.web.many_runs import RUNS, Counts, ManyRuns
from mesa_llm_norms.web.page_state import PageState, Views, use_live_views
from mesa_llm_norms.web.scenes.scene import Scene
from mesa_llm_norms.web.setting import describe_difference
from mesa_llm_norms.web.teacher import ClassVote

_PLAIN = "#5f6b73"
_NOBODY = "#b0b0b0"
_FEW_NAMES = 4
"""Names of larger pools are left out where nobody agreed on them."""
_WIDTHS = tuple(digit * 10**power for power in range(4) for digit in (1, 2, 5))
"""Rounds that one bar of times may stand for."""
_MOST_BARS = 10


# A scene


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


# Many runs


@solara.component_vue("vue/many.vue", vuetify=False)  # type: ignore[untyped-decorator]
def ManyView(  # noqa: N802
    found: str = "",
    event_start: Callable[[object], object] | None = None,
    event_stop: Callable[[object], object] | None = None,
) -> None:
    """Show a button to play many runs, and from ``many_text`` how those played so far ended."""


@solara.component  # type: ignore[untyped-decorator]
def Many(state: PageState) -> None:  # noqa: N802
    """Play what is on screen many times, and show how it ends."""
    session = state.session
    live: Views = {}
    use_live_views(state.live, live)
    view = ManyView(
        event_start=lambda _: state.attempt(session.play_many, other=False),
        event_stop=lambda _: session.stop_many(),
    )
    live["many"] = view, lambda: {"found": many_text(state)}


def many_text(state: PageState) -> str:
    """Encode for ``ManyView`` what was played many times."""
    many, say = state.session.many, state.say
    shown: dict[str, Any] = {
        "start": say("Play this {runs} times", runs=RUNS),
        "stop": say("Stop"),
    }
    if many is None:
        said, charts = say("the same start, other chances"), []
    else:
        said = many.problem or say("{done} of {runs} played", done=many.done, runs=many.runs)
        charts = list(_charts(many, state)) if many.done else []
        if many.running and not many.done:
            said += f"; {say('the first time, code is compiled before')}"
    running = many is not None and many.running
    done = many.done if many is not None else 0
    return json_text({**shown, "said": said, "running": running, "done": done, "charts": charts})


def _charts(many: ManyRuns, state: PageState) -> Iterable[dict[str, Any]]:
    say, scene, settings = state.say, state.scene, state.session.settings
    if scene is not None:
        texts = {place: answer.text for place, answer in enumerate(scene.answers)}
        yield _bars(scene.question, "many-answers", texts, many.answers)
    for side, counts in enumerate(many.counts):
        heading = scene.heading(side) if scene is not None else ""
        if not heading and len(settings) > 1:
            heading = describe_difference(*settings[:: 1 - 2 * side])
        heading = heading and f": {heading}"
        few = len(counts.pool) <= _FEW_NAMES
        names: dict[Hashable, str] = {n: n for n in counts.pool if few or counts.winners[n]}
        names[None] = say("no agreement in {rounds:,} rounds", rounds=counts.rounds)
        colors = name_colors(counts.pool)
        title = say("Name they agreed on") + heading
        yield _bars(title, f"many-names-{side}", names, counts.winners, colors)
        if counts.times:
            bins, often = _binned(counts, say)
            title = say("Rounds until they agreed") + heading
            yield _bars(title, f"many-times-{side}", bins, often)


def _binned(counts: Counts, say: Callable[..., str]) -> tuple[dict[Hashable, str], Counter[Any]]:
    """Return the rounds each bar of times stands for, and how many runs are in it."""
    low, high = min(counts.times), max(counts.times)
    width = next((it for it in _WIDTHS if high // it - low // it < _MOST_BARS), _WIDTHS[-1])
    often: Counter[Any] = Counter(time // width for time in counts.times)
    return {
        place: _spanned(max(1, place * width), (place + 1) * width - 1, say)
        for place in range(low // width, high // width + 1)
    }, often


def _spanned(first: int, last: int, say: Callable[..., str]) -> str:
    return f"{first}" if first == last else say("{first} to {last}", first=first, last=last)


def _bars(
    title: str,
    testid: str,
    labels: Mapping[Any, str],
    often: Mapping[Any, int],
    colors: Mapping[Any, str] | None = None,
) -> dict[str, Any]:
    rows = [
        {
            "label": label,
            "count": often.get(key, 0),
            "color": _NOBODY if key is None else (colors or {}).get(key, _PLAIN),
        }
        for key, label in labels.items()
    ]
    return {"title": title, "testid": testid, "rows": rows}
