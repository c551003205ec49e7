"""Play, pause, step, run to convergence, begin anew; how fast; what a click does.

Going through a recorded run, interaction by interaction.

What can be taken along: the picture, the rounds as a table, and the run as lines of Python.
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable

import solara

from mesa_llm_norms.errors import NormsError
from mesa_llm_norms.web.frames import Frame, picture
from mesa_llm_norms.web.page_state import COMMIT, LOOK, SPEEDS, TIE, Bench
from mesa_llm_norms.web.player import Order
from mesa_llm_norms.web.setting import program

_MODES = {
    LOOK: "shows the agent",
    COMMIT: "commits it, or releases it",
    TIE: "ties two agents, or cuts",
}


@solara.component  # type: ignore[untyped-decorator]
def Toolbar(bench: Bench) -> None:  # noqa: N802
    """Show the buttons, and what there is to tell."""
    bench.status.get()
    bench.shown.get()
    visit = bench.visit
    playing = visit.playing

    def give(order: Order) -> Callable[[], None]:
        return lambda: bench.give(order)

    with solara.Div(classes=["norms-bar"], attributes={"data-testid": "controls"}):
        if playing:
            _Button("Pause", "mdi-pause", give(Order.PAUSE), "pause", main=True)
        else:
            _Button("Play", "mdi-play", give(Order.PLAY), "play", main=True)
        _Button("Round", "mdi-skip-next", give(Order.ROUND), "round", disabled=playing)
        _Button(
            "Meeting", "mdi-debug-step-over", give(Order.INTERACTION), "meeting", disabled=playing
        )
        _Button(
            "Until they agree",
            "mdi-fast-forward",
            give(Order.CONVERGE),
            "converge",
            disabled=playing,
        )
        _Button("Again", "mdi-restart", lambda: bench.attempt(visit.restart), "reset")
        if not visit.replaying:
            _Button(
                "New chance",
                "mdi-dice-5-outline",
                lambda: bench.attempt(lambda: visit.restart(secrets.randbelow(1_000_000))),
                "new-seed",
            )
    _Told(bench)


@solara.component  # type: ignore[untyped-decorator]
def Choices(bench: Bench) -> None:  # noqa: N802
    """Choose how fast to play and what a click does."""
    bench.shown.get()
    visit = bench.visit
    known = {rate: words for words, rate in SPEEDS.items()}
    speed, set_speed = solara.use_state_or_update(visit.speed)

    def choose(words: str) -> None:
        rate = SPEEDS.get(words, visit.speed)
        set_speed(rate)
        visit.speed = rate

    words = known.get(speed, f"{speed:g} rounds a second")
    with solara.Div(classes=["norms-bar"]):
        solara.Select(
            "Speed",
            values=list(dict.fromkeys([*SPEEDS, words])),
            value=words,
            on_value=choose,
            dense=True,
            classes=["norms-speed"],
        )
        if not visit.replaying:
            _Mode(bench)


@solara.component  # type: ignore[untyped-decorator]
def _Mode(bench: Bench) -> None:  # noqa: N802
    def choose(words: str) -> None:
        bench.mode.value = next(mode for mode, its in _MODES.items() if its == words)
        bench.first_end.value = None

    with solara.Div(classes=["norms-bar"]):
        solara.Select(
            "A click on an agent",
            values=list(_MODES.values()),
            value=_MODES[bench.mode.value],
            on_value=choose,
            dense=True,
            classes=["norms-mode"],
        )
        if bench.mode.value == COMMIT:
            _Name(bench)


@solara.component  # type: ignore[untyped-decorator]
def _Name(bench: Bench) -> None:  # noqa: N802
    bench.status.get()
    pool = list(bench.visit.runners[0].frame.pool)
    if pool:
        solara.Select(
            "to the name",
            values=pool,
            value=bench.name.value if bench.name.value in pool else pool[0],
            on_value=bench.name.set,
            dense=True,
            classes=["norms-name"],
        )


@solara.component  # type: ignore[untyped-decorator]
def _Told(bench: Bench) -> None:  # noqa: N802
    told = [bench.problem.value] if bench.problem.value else []
    for _, state, note, error in bench.status.value:
        told += [text for text in (error, note) if text]
        if state == "pausing":
            told.append("Pausing: minds that were asked may still answer.")
    with solara.Div(
        classes=["norms-told"], attributes={"data-testid": "told", "aria-live": "polite"}
    ):
        for text in dict.fromkeys(told):
            solara.Div(children=[text], classes=["norms-note"])


@solara.component  # type: ignore[untyped-decorator]
def _Button(  # noqa: N802
    label: str,
    icon: str,
    on_click: Callable[[], object],
    testid: str,
    main: bool = False,
    disabled: bool = False,
) -> None:
    solara.Button(
        label,
        icon_name=icon,
        on_click=on_click,
        disabled=disabled,
        color="primary" if main else None,
        outlined=not main,
        attributes={"data-testid": testid, "title": label},
    )


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


@solara.component  # type: ignore[untyped-decorator]
def Downloads(bench: Bench) -> None:  # noqa: N802
    """Offer the files of every population on screen."""
    bench.shown.get()
    sides = range(len(bench.visit.runners))
    with solara.Details("Take along"):
        for side in sides:
            which = "" if len(sides) == 1 else f" {'left' if side == 0 else 'right'}"
            stem = f"naming-game{which.replace(' ', '-')}"
            with solara.Div(
                classes=["norms-downloads"], attributes={"data-testid": f"downloads-{side}"}
            ):
                for kind in ("svg", "png"):
                    _file(
                        f"picture{which} ({kind.upper()})",
                        f"{stem}.{kind}",
                        _picture(bench, side, kind),
                    )
                _file(f"rounds{which} (CSV)", f"{stem}.csv", _rounds(bench, side))
                if not bench.visit.replaying:
                    _file(f"this run{which} (Python)", f"{stem}.py", _program(bench, side))


def _file(label: str, name: str, make: Callable[[], bytes]) -> None:
    solara.FileDownload(make, filename=name, label=label, icon_name="mdi-download")


def _picture(bench: Bench, side: int, kind: str) -> Callable[[], bytes]:
    def make() -> bytes:
        runner = bench.visit.runners[side]
        return picture(runner.source, runner.frame, kind) if runner.source is not None else b""

    return make


def _rounds(bench: Bench, side: int) -> Callable[[], bytes]:
    def make() -> bytes:
        record = bench.visit.runners[side].record
        if record is None:
            return b""
        text = io.StringIO()
        record.table().to_csv(text, index=False)
        return text.getvalue().encode()

    return make


def _program(bench: Bench, side: int) -> Callable[[], bytes]:
    def make() -> bytes:
        runner = bench.visit.runners[side]
        try:
            return program(
                runner.setting, list(runner.source.graph) if runner.source else []
            ).encode()
        except NormsError as error:
            return f"# {error}\n".encode()

    return make
