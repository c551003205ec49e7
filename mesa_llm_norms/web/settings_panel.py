"""The panel on the left: what is played, a second population to compare, and files to export."""

from __future__ import annotations

import html
import io
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import solara

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.files import write_csv
from mesa_llm_norms.core.limits import Limit
from mesa_llm_norms.errors import NormsError, SpecError
from mesa_llm_norms.llm.weights import ready_models
from mesa_llm_norms.minds.registry import mind_names
from mesa_llm_norms.model import NamingGame
from mesa_llm_norms.networks.reading import names_file
from mesa_llm_norms.networks.registry import Topology, find_topology, topologies
from mesa_llm_norms.networks.strings import parse
from mesa_llm_norms.simulation.pairing import PAIRINGS
from mesa_llm_norms.web.languages import languages
from mesa_llm_norms.web.model_source import ModelSource, model_arguments, server_settings
from mesa_llm_norms.web.page_state import PageState
from mesa_llm_norms.web.player import Player
from mesa_llm_norms.web.replay import FolderSource
from mesa_llm_norms.web.setting import DECIMAL, LIMITS, Setting, program, read_typed

_POOLS = {
    "QM": "2 names: Q M",
    "FJ": "2 names: F J",
    "QMXYFJPRCD": "10 names: Q M X Y F J P R C D",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ": "26 names: A to Z",
}
_OTHER_NAMES = "other names …"
_PAIRINGS = [name for name, rule in PAIRINGS.items() if rule.seats == 2]
_PARAMETERS = {
    "n": "agents (n)",
    "k": "neighbors (k)",
    "p": "probability (p)",
    "m": "edges of a new node (m)",
}
_NUMBERS = {
    "memory": "Memory (interactions)",
    "reward": "Payoff of a match",
    "penalty": "Payoff of a mismatch",
    "seed": "Seed",
    "rounds": "Stop after rounds (0: default)",
    "run": "Run",
}
_ANY_NUMBER = Limit("number", -1e300, 1e300, "", "The topology knows its range.")
_NO_COMPARISON = "none"
_COMPARED: dict[str, tuple[Any, ...]] = {
    "topology": ("complete(n=24)", "ring(n=24, k=4)"),
    "mind": (("llama-2-70b-chat",), ("claude-3.5-sonnet",)),
    "names": ("QM", "QMXYFJPRCD"),
    "memory": (5, 2),
    "pairing": ("node", "matching"),
}
"""In what a second population may differ, and what it has at first: what the first has not."""


@solara.component  # type: ignore[untyped-decorator]
def SettingsPanel(state: PageState) -> None:  # noqa: N802
    """Show the setting of the first population, and change it."""
    state.shown.get()
    session = state.session
    if session.replaying:
        _Recorded(state)
        return
    setting = session.settings[0].at_start()

    def changes(name: str) -> Callable[[Any], None]:
        return lambda value: state.attempt(lambda: session.change(**{name: value}))

    with solara.Div(classes=["norms-settings"], attributes={"data-testid": "settings"}):
        _Topology(setting.topology, changes("topology"), "Topology")
        _Names(setting.names, changes("names"))
        _Minds(setting.mind, changes("mind"))
        with solara.Details("Rules"):
            _Choice("Pairing", _PAIRINGS, setting.pairing, changes("pairing"))
            for name in ("memory", "reward", "penalty"):
                _Number(name, getattr(setting, name), changes(name))
            _Text("Incumbent name", setting.incumbent, changes("incumbent"))
            _Text(
                "Committed agents",
                " ".join(setting.committed),
                lambda text: changes("committed")(tuple(text.split())),
                hint="M=5, M=10% or M=3:hubs",
            )
        with solara.Details("Seed and length"):
            for name in ("seed", "rounds"):
                _Number(name, getattr(setting, name), changes(name))
        _Comparison(state, setting)
        solara.Checkbox(label="Scale agents by degree", value=state.by_degree)
        solara.Checkbox(label="For a projector", value=state.presenting)
        _Language(state)


@solara.component  # type: ignore[untyped-decorator]
def _Language(state: PageState) -> None:  # noqa: N802
    solara.v.Select(
        label=state.say("Language"),
        items=[{"text": it.name, "value": code} for code, it in languages().items()],
        v_model=state.language.value,
        on_v_model=state.speak,
        dense=True,
        hide_details=True,
        attributes={"data-testid": "language"},
    )


@solara.component  # type: ignore[untyped-decorator]
def _Recorded(state: PageState) -> None:  # noqa: N802
    """Describe the recorded run on screen, and choose another one of its folder."""
    state.status.get()
    source = state.session.players[0].source
    if not isinstance(source, FolderSource):
        return
    recorded = source.recorded
    with solara.Div(classes=["norms-settings"], attributes={"data-testid": "recorded"}):
        solara.Div(children=["Recorded run"], classes=["norms-title"])
        solara.Div(children=[recorded.heading])
        if recorded.note:
            solara.Div(children=[recorded.note], classes=["norms-hint"])
        _Number(
            "run",
            recorded.run,
            lambda run: state.attempt(lambda: state.session.open_replay(run)),
        )


@solara.component  # type: ignore[untyped-decorator]
def _Topology(text: str, on_text: Callable[[str], None], label: str) -> None:  # noqa: N802
    name = text.partition("(")[0].strip()
    known = [*(one.name for one in topologies()), *server_settings().topologies, name]
    _Choice(label, list(dict.fromkeys(known)), name, lambda it: on_text(_with_topology(text, it)))
    topology = _topology_of(text)
    if topology is None:
        return
    with solara.Div(classes=["norms-parameters"]):
        for key, value in _parameters_of(text).items():
            _Text(
                _PARAMETERS.get(key, key),
                value,
                lambda typed, key=key: on_text(_with_parameter(text, key, typed)),
                hint=topology.parameters[key].allowed,
                read=partial(_read_parameter, key, topology.parameters[key].type),
                testid=f"parameter-{key}",
            ).key(f"{name} {key}")
    solara.Div(children=[topology.summary], classes=["norms-hint"])


@solara.component  # type: ignore[untyped-decorator]
def _Names(names: str, on_names: Callable[[str], None]) -> None:  # noqa: N802
    known = _POOLS.get(names, _OTHER_NAMES)
    typing, set_typing = solara.use_state(known == _OTHER_NAMES)

    def choose(label: str) -> None:
        set_typing(label == _OTHER_NAMES)
        if label != _OTHER_NAMES:
            on_names(next(pool for pool, words in _POOLS.items() if words == label))

    shown = _OTHER_NAMES if typing else known
    _Choice("Names", [*_POOLS.values(), _OTHER_NAMES], shown, choose)
    if typing:
        _Text("Letters, or names separated by commas", names, on_names, testid="names")


@solara.component  # type: ignore[untyped-decorator]
def _Minds(minds: tuple[str, ...], on_minds: Callable[[tuple[str, ...]], None]) -> None:  # noqa: N802
    """Choose one mind for all agents, or two and the share of the first."""
    nobody = "none"
    names = [mind.partition("=")[0] for mind in minds]
    share = minds[0].partition("=")[2] if len(minds) > 1 else ""
    percent = round(100 * float(share)) if share else 50

    def mix(first: str, second: str, percent: int) -> None:
        if second in (nobody, first):
            on_minds((first,))
        else:
            on_minds((f"{first}={percent / 100:g}", f"{second}={1 - percent / 100:.2g}"))

    second = names[1] if len(names) > 1 else nobody
    known = _known_minds(names)
    _Choice("Mind", known, names[0], lambda v: mix(v, second, percent), testid="mind")
    _Choice("Second mind", [nobody, *known], second, lambda v: mix(names[0], v, percent))
    if len(names) > 1:
        solara.SliderInt(
            f"{percent}% {names[0]}",
            value=percent,
            min=0,
            max=100,
            step=5,
            on_value=lambda v: mix(names[0], names[1], v),
        )


def _known_minds(chosen: list[str]) -> list[str]:
    return list(dict.fromkeys([*mind_names(), *ready_models(), *server_settings().minds, *chosen]))


@solara.component  # type: ignore[untyped-decorator]
def _Comparison(state: PageState, setting: Setting) -> None:  # noqa: N802
    """Choose in what a second population differs."""
    session = state.session
    other = session.settings[1] if len(session.players) > 1 else None
    differing = next(
        (name for name in _COMPARED if other and getattr(other, name) != getattr(setting, name)), ""
    )

    def differ(value: Any) -> None:
        state.attempt(lambda: session.compare(**{differing: value}))

    def choose(name: str) -> None:
        if name == _NO_COMPARISON:
            state.attempt(session.compare)
        else:
            value = next(value for value in _COMPARED[name] if value != getattr(setting, name))
            state.attempt(lambda: session.compare(**{name: value}))

    choices = [_NO_COMPARISON, *_COMPARED]
    _Choice("Compare by", choices, differing or _NO_COMPARISON, choose, testid="compare")
    if other is None or not differing:
        return
    value, label = getattr(other, differing), f"Second {differing}"
    if differing == "topology":
        _Topology(value, differ, label)
    elif differing == "mind":
        _Choice(label, _known_minds(list(value)), value[0], lambda mind: differ((mind,)))
    elif differing == "pairing":
        _Choice(label, _PAIRINGS, value, differ)
    elif differing == "memory":
        _Number(differing, value, differ, label)
    else:
        _Text(label, value, differ)


# Topologies as text


def _read_parameter(name: str, kind: type, typed: str) -> str:
    """Return what was typed; ``SpecError`` if it is to be a number and is none, in any range."""
    if kind in (int, float):
        read_typed(name, typed, _ANY_NUMBER, whole=kind is int)
    return typed


def _topology_of(text: str) -> Topology | None:
    """Return the topology of a text, None for a file."""
    return None if names_file(text) else find_topology(text)


def _parameters_of(text: str) -> dict[str, str]:
    """Return the parameters of a topology's text, each as it would be typed."""
    topology = _topology_of(text)
    if topology is None:
        return {}
    call = parse(text)
    return {
        name: f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else f"{value}"
        for name, value in topology.read(call.args, call.kwargs).items()
    }


def _with_parameter(text: str, name: str, typed: str) -> str:
    """Return a topology's text with another value of one parameter."""
    values = {**_parameters_of(text), name: typed.strip()}
    return f"{text.partition('(')[0].strip()}({', '.join(f'{k}={v}' for k, v in values.items())})"


def _with_topology(text: str, name: str) -> str:
    """Return the text of another topology, with as many agents if its parameter is ``n``."""
    topology = _topology_of(name)
    if topology is None:
        return name
    n = _parameters_of(text).get("n")
    if n is not None and "n" in topology.parameters:
        changed = _with_parameter(topology.signature, "n", n)
        with suppress(ValueError):  # too few agents for this one
            call = parse(changed)
            topology.read(call.args, call.kwargs)
            return changed
    return topology.signature


# Fields


@solara.component  # type: ignore[untyped-decorator]
def _Choice(  # noqa: N802
    label: str,
    values: list[str],
    value: str,
    on_value: Callable[[str], object],
    testid: str = "",
) -> None:
    solara.v.Select(
        label=label,
        items=values,
        v_model=value,
        on_v_model=lambda chosen: chosen in values and chosen != value and on_value(chosen),
        dense=True,
        hide_details=True,
        attributes={"data-testid": testid or label},
    )


@solara.component  # type: ignore[untyped-decorator]
def _Text(  # noqa: N802
    label: str,
    value: str,
    on_value: Callable[[Any], object],
    hint: str = "",
    testid: str = "",
    read: Callable[[str], Any] = str,
) -> None:
    """Show a field for what ``read`` returns; what it raises is said below, and all stays."""
    wrong, set_wrong = solara.use_state(("", ""))

    def typed(_widget: Any, _event: Any, given: Any) -> None:
        text = str(given)
        try:
            found = read(text)
        except SpecError as error:
            set_wrong((value, f"{error.problem}. {error.remedy}"))
            return
        set_wrong(("", ""))
        if text != value:
            on_value(found)

    message = wrong[1] if wrong[0] == value else ""

    field = solara.v.TextField(
        label=label,
        v_model=value,
        dense=True,
        hint=hint,
        hide_details=not (hint or message),
        error_messages=[message] if message else [],
        attributes={"data-testid": testid or label},
    )
    solara.v.use_event(field, "change", typed)


@solara.component  # type: ignore[untyped-decorator]
def _Number(  # noqa: N802
    name: str, value: float, on_value: Callable[[Any], object], label: str = ""
) -> None:
    """Show a field for a number of a setting."""
    read = partial(
        read_typed, name, limit=LIMITS.get(name, limits.RUN_NUMBER), whole=name not in DECIMAL
    )
    _Text(
        label or _NUMBERS[name],
        f"{value:g}" if isinstance(value, float) else str(value),
        on_value,
        testid=name,
        read=read,
    )


# Export


@solara.component  # type: ignore[untyped-decorator]
def Export(state: PageState) -> None:  # noqa: N802
    """Offer the files of every population on screen."""
    state.shown.get()
    sides = ("",) if len(state.session.players) == 1 else ("left", "right")
    with solara.Details("Export"):
        for side, which in enumerate(sides):
            attributes = {"data-testid": f"export-{side}"}
            with solara.Div(classes=["norms-export"], attributes=attributes):
                for label, (ending, make) in _FILES.items():
                    if ending != "py" or not state.session.replaying:
                        solara.FileDownload(
                            lambda side=side, make=make: make(state.session.players[side]),
                            filename="-".join(filter(None, ("naming-game", which))) + f".{ending}",
                            label=": ".join(filter(None, (which, label))),
                            icon_name="mdi-download",
                        )
        with solara.Div(classes=["norms-export"], attributes={"data-testid": "export-page"}):
            solara.FileDownload(
                lambda: _page(state),
                filename="naming-game.html",
                label="page that plays by itself (HTML)",
                icon_name="mdi-download",
            )


def _page(state: PageState) -> bytes:
    """Return what is on the page as a page of its own, or the sentence that refuses it."""
    from mesa_llm_norms.web.playable import session_page

    try:
        return session_page(state.session).encode()
    except NormsError as error:
        state.problem.value = str(error)
        return f"<!doctype html><title>Not exported</title>{html.escape(str(error))}\n".encode()


def _picture(player: Player, kind: str) -> bytes:
    """Draw the network as the command line does."""
    from mesa_llm_norms import plots

    source, codes = player.source, player.frame.codes
    if source is None:
        return b""
    places = [ord(code) - 48 for code in codes]
    graph, pool = source.graph.copy(), source.pool
    shown = zip(source.nodes, places, strict=False)
    held = {node: pool[i] if i >= 0 else None for node, i in shown if node in graph}
    return plots.figure_bytes(plots.plot_network(graph, held, pool, source.committed()), kind)


def _rounds(player: Player) -> bytes:
    if player.history is None:
        return b""
    text = io.StringIO()
    write_csv(player.history.table(), text, form=None)
    return text.getvalue().encode()


def _program(player: Player) -> bytes:
    try:
        setting, source = player.setting, player.source
        if not isinstance(source, ModelSource):
            return program(setting, source.nodes if source else ()).encode()
        kind = type(source.model)
        name = ("mesa_llm_norms" if kind is NamingGame else kind.__module__, kind.__qualname__)
        given = model_arguments(kind, setting.spec())
        return program(setting, source.nodes, name, given, source.whole_steps).encode()
    except NormsError as error:
        return f"# {error}\n".encode()


_FILES: dict[str, tuple[str, Callable[[Player], bytes]]] = {
    "network (SVG)": ("svg", lambda player: _picture(player, "svg")),
    "network (PNG)": ("png", lambda player: _picture(player, "png")),
    "rounds (CSV)": ("csv", _rounds),
    "this run (Python)": ("py", _program),
}
"""Label, ending and content of each file."""
