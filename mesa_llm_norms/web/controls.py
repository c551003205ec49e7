"""The controls above the pictures: buttons, how fast to play, what a click does, any moment."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import solara

from mesa_llm_norms.web.page_state import COMMIT, CONNECT, INSPECT, SLOWEST, PageState
from mesa_llm_norms.web.player import FULL_SPEED, Order, Player

SPEEDS = {
    "0.2 rounds/s": 0.2,
    "0.5 rounds/s": 0.5,
    "1 round/s": 1.0,
    "2 rounds/s": 2.0,
    "5 rounds/s": 5.0,
    "20 rounds/s": 20.0,
    "full speed": FULL_SPEED,
}
SLOW = {
    f"1 interaction in {SLOWEST:g} s": SLOWEST,
    "1 interaction in 2 s": 2.0,
    "1 interaction in 1 s": 1.0,
}
"""Seconds per interaction, at which each is explained."""

_MODES = {
    INSPECT: "shows its details",
    COMMIT: "commits or releases it",
    CONNECT: "adds or removes an edge",
}
_BUTTONS = {
    "pause": ("Pause", "Pause after this interaction (space)"),
    "play": ("Play", "Play at the chosen speed (space)"),
    "round": ("Round", "Play to the end of the round (arrow down)"),
    "step": ("Step", "Play one interaction (arrow right)"),
    "whole-step": ("Step", "Take one step of the model"),
    "converge": (
        "Run to convergence",
        "Play at full speed until all interactions of three rounds match",
    ),
    "explain": ("Explain", "Explain each interaction: who met, and why each said what it said"),
    "undo": ("Undo", "Take the last change back, to the moment before it"),
    "reset": ("Reset", "Start over with the same seed"),
    "new-seed": ("New seed", "Start over with another seed"),
}
"""Label and tooltip of each button."""


@solara.component  # type: ignore[untyped-decorator]
def Toolbar(state: PageState) -> None:  # noqa: N802
    """Show the buttons."""
    state.status.get()
    state.shown.get()
    session = state.session
    playing, explaining = session.playing, state.explaining.value

    button = partial(_button, state.say)

    def give(order: Order) -> Callable[[], None]:
        return lambda: state.give(order)

    def reseed() -> None:
        state.attempt(lambda: session.restart(secrets.randbelow(1_000_000)))

    with solara.Div(
        classes=["norms-bar", "norms-controls"], attributes={"data-testid": "controls"}
    ):
        if playing:
            button("pause", "mdi-pause", give(Order.PAUSE), main=True)
        else:
            button("play", "mdi-play", give(Order.PLAY), main=True)
        if session.whole_steps:
            button("whole-step", "mdi-skip-next", give(Order.STEP), disabled=playing)
        else:
            button("round", "mdi-skip-next", give(Order.ROUND), disabled=playing)
            button("step", "mdi-debug-step-over", give(Order.STEP), disabled=playing)
        button("converge", "mdi-fast-forward", give(Order.CONVERGE), disabled=playing)
        button(
            "explain",
            "mdi-comment-question-outline",
            lambda: state.explain(not explaining),
            pressed=explaining,
        )
        button("reset", "mdi-restart", lambda: state.attempt(session.restart))
        if not session.replaying:
            button("new-seed", "mdi-dice-5-outline", reseed)
            button("undo", "mdi-undo", state.undo, disabled=not state.undoable.value)


def _button(
    say: Callable[[str], str],
    name: str,
    icon: str,
    on_click: Callable[[], None],
    main: bool = False,
    disabled: bool = False,
    pressed: bool | None = None,
) -> None:
    label, hint = map(say, _BUTTONS[name])
    attributes = {"data-testid": name, "title": hint}
    if pressed is not None:
        attributes["aria-pressed"] = str(pressed).lower()
    solara.Button(
        label,
        icon_name=icon,
        on_click=on_click,
        disabled=disabled,
        color="primary" if main or pressed else None,
        outlined=not (main or pressed),
        attributes=attributes,
    )


@solara.component  # type: ignore[untyped-decorator]
def Choices(state: PageState) -> None:  # noqa: N802
    """Choose how fast to play and what a click does."""
    state.shown.get()
    session = state.session
    state.explaining.get()
    (speed, interval), set_pace = solara.use_state_or_update((session.speed, session.interval))

    def choose(label: str) -> None:
        session.interval = SLOW.get(label, 0.0)
        session.speed = SPEEDS.get(label, session.speed)
        if session.interval:
            state.explaining.value = True
        set_pace((session.speed, session.interval))

    labels = {rate: label for label, rate in SPEEDS.items()}
    label = labels.get(speed, f"{speed:g} rounds/s")
    if interval:
        slow = {seconds: label for label, seconds in SLOW.items()}
        label = slow.get(interval, f"1 interaction in {interval:g} s")
    with solara.Div(classes=["norms-bar", "norms-choices"]):
        solara.Select(
            state.say("Speed"),
            values=_items(state, dict.fromkeys([*SLOW, *SPEEDS, label])),
            value=label,
            on_value=choose,
            dense=True,
            classes=["norms-speed"],
        )
        if not session.replaying:
            _ClickChoice(state)


@solara.component  # type: ignore[untyped-decorator]
def _ClickChoice(state: PageState) -> None:  # noqa: N802
    def choose(label: str) -> None:
        state.mode.value = next(mode for mode, known in _MODES.items() if known == label)
        state.first_end.value = None

    state.status.get()
    pool = list(state.session.players[0].frame.pool)
    with solara.Div(classes=["norms-bar"]):
        solara.Select(
            state.say("Click on an agent"),
            values=_items(state, _MODES.values()),
            value=_MODES[state.mode.value],
            on_value=choose,
            dense=True,
            classes=["norms-mode"],
        )
        if state.mode.value == COMMIT and pool:
            solara.Select(
                state.say("Name"),
                values=pool,
                value=state.name.value if state.name.value in pool else pool[0],
                on_value=state.name.set,
                dense=True,
                classes=["norms-name"],
            )


def _items(state: PageState, texts: Iterable[str]) -> list[Any]:
    """Return what a field has to choose from: English texts, in the language of the page."""
    return [{"text": state.say(text), "value": text} for text in texts]


@solara.component  # type: ignore[untyped-decorator]
def Seeking(state: PageState, side: int, player: Player) -> None:  # noqa: N802
    """Go to any moment of a recorded run."""
    state.frames.get()
    frame = player.frame
    if not frame.length:
        return

    def seek(interactions: int) -> None:
        if interactions != player.frame.interactions:
            state.attempt(lambda: state.session.seek(side, interactions), other=False)

    with solara.Div(classes=["norms-seek"], attributes={"data-testid": "seek"}):
        solara.Button(
            "",
            icon_name="mdi-chevron-left",
            text=True,
            on_click=lambda: seek(max(0, frame.interactions - 1)),
            attributes={"data-testid": "back", "title": "Back one interaction (arrow left)"},
        )
        solara.SliderInt(
            "", value=frame.interactions, min=0, max=frame.length, on_value=seek, thumb_label=False
        )
        solara.Div(children=[f"{frame.interactions:,} of {frame.length:,}"])
