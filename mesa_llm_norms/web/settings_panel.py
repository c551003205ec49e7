"""What is played: topology, names, minds, rules, chance; and a second population beside it."""

from __future__ import annotations

from typing import Any

import solara

from mesa_llm_norms.web import page_state
from mesa_llm_norms.web.page_state import Bench
from mesa_llm_norms.web.replay import FolderSource
from mesa_llm_norms.web.setting import Setting

_NOTHING = "nothing: one population"


@solara.component  # type: ignore[untyped-decorator]
def SettingPanel(bench: Bench) -> None:  # noqa: N802
    """Show the setting of the first population, and change it."""
    bench.shown.get()
    visit = bench.visit
    if visit.replaying:
        _Recorded(bench)
        return
    setting = visit.settings[0].at_start()

    def change(**values: Any) -> None:
        bench.attempt(lambda: visit.change(**values))

    with solara.Div(classes=["norms-settings"], attributes={"data-testid": "setting"}):
        _Topology(setting.topology, lambda text: change(topology=text), "Topology")
        _Names(setting.names, lambda text: change(names=text))
        _Minds(setting.mind, lambda mind: change(mind=mind))
        with solara.Details("Rules"):
            _Choice(
                "Who meets",
                ["node", "edge", "matching"],
                setting.pairing,
                lambda v: change(pairing=v),
            )
            _Number("Interactions remembered", setting.memory, lambda v: change(memory=v))
            _Number("Points for a match", setting.reward, lambda v: change(reward=v))
            _Number("Points for a miss", setting.penalty, lambda v: change(penalty=v))
            _Text(
                "Everybody starts out remembering", setting.incumbent, lambda v: change(incumbent=v)
            )
            _Text(
                "Committed (M=5, M=10%, M=3:hubs)",
                " ".join(setting.committed),
                lambda v: change(committed=tuple(v.split())),
            )
        with solara.Details("Chance and limits"):
            _Number("Seed", setting.seed, lambda v: change(seed=v))
            _Number("Stop after rounds (0: by itself)", setting.rounds, lambda v: change(rounds=v))
        _Comparison(bench, setting)
        solara.Checkbox(label="Size by number of ties", value=bench.by_degree)


@solara.component  # type: ignore[untyped-decorator]
def _Recorded(bench: Bench) -> None:  # noqa: N802
    """Say what recorded run is shown, and choose another one of its folder."""
    bench.status.get()
    source = bench.visit.runners[0].source
    if not isinstance(source, FolderSource):
        return
    recorded = source.recorded
    with solara.Div(classes=["norms-settings"], attributes={"data-testid": "recorded"}):
        solara.Div(children=["A recorded run"], classes=["norms-title"])
        solara.Div(children=[recorded.heading])
        if recorded.note:
            solara.Div(children=[recorded.note], classes=["norms-hint"])
        _Number(
            "Run",
            recorded.run,
            lambda run: bench.attempt(lambda: bench.visit.open_replay(int(run))),
        )


@solara.component  # type: ignore[untyped-decorator]
def _Topology(text: str, on_text: Any, label: str) -> None:  # noqa: N802
    name = text.partition("(")[0].strip()
    names = list(dict.fromkeys([*page_state.topology_names(), name]))
    _Choice(label, names, name, lambda other: on_text(page_state.with_topology(text, other)))
    topology = page_state.topology_of(text)
    if topology is None:
        return
    with solara.Div(classes=["norms-parameters"]):
        for key, value in page_state.parameters_of(text).items():
            parameter = topology.parameters[key]
            _Text(
                _PARAMETERS.get(key, key),
                value,
                lambda typed, key=key: on_text(page_state.with_parameter(text, key, typed)),
                hint=parameter.allowed,
                testid=f"parameter-{key}",
            ).key(f"{name} {key}")
    solara.Div(children=[topology.summary], classes=["norms-hint"])


_PARAMETERS = {"n": "agents", "k": "neighbours k", "p": "chance p", "m": "ties of a newcomer m"}


@solara.component  # type: ignore[untyped-decorator]
def _Names(names: str, on_names: Any) -> None:  # noqa: N802
    own = "others …"
    known = page_state.POOLS.get(names, own)
    typing, set_typing = solara.use_state(known == own)

    def choose(words: str) -> None:
        set_typing(words == own)
        if words != own:
            on_names(next(pool for pool, its in page_state.POOLS.items() if its == words))

    _Choice("Names", [*page_state.POOLS.values(), own], own if typing else known, choose)
    if typing:
        _Text("Letters, or names between commas", names, on_names, testid="names")


@solara.component  # type: ignore[untyped-decorator]
def _Minds(minds: tuple[str, ...], on_minds: Any) -> None:  # noqa: N802
    """Choose one mind for all, or two and the share of the first."""
    nobody = "nobody else"
    names = [mind.partition("=")[0] for mind in minds]
    share = minds[0].partition("=")[2] if len(minds) > 1 else ""
    percent = round(100 * float(share)) if share else 50

    def mixed(first: str, second: str, percent: int) -> None:
        if second in (nobody, first):
            on_minds((first,))
        else:
            on_minds((f"{first}={percent / 100:g}", f"{second}={1 - percent / 100:.2g}"))

    second = names[1] if len(names) > 1 else nobody
    known = list(dict.fromkeys([*page_state.minds(), *names]))
    _Choice("Mind", known, names[0], lambda v: mixed(v, second, percent), testid="mind")
    _Choice("and", [nobody, *known], second, lambda v: mixed(names[0], v, percent))
    if len(names) > 1:
        solara.SliderInt(
            f"{percent}% are {names[0]}",
            value=percent,
            min=0,
            max=100,
            step=5,
            on_value=lambda v: mixed(names[0], names[1], v),
        )


@solara.component  # type: ignore[untyped-decorator]
def _Comparison(bench: Bench, setting: Setting) -> None:  # noqa: N802
    """Choose in what a second population differs."""
    visit = bench.visit
    fields = {
        "topology": "topology",
        "mind": "mind",
        "names": "names",
        "memory": "memory",
        "pairing": "who meets",
    }
    other = visit.settings[1] if len(visit.runners) > 1 else None
    differing = next(
        (name for name in fields if other and getattr(other, name) != getattr(setting, name)), None
    )

    def choose(words: str) -> None:
        if words == _NOTHING:
            bench.attempt(visit.compare)
            return
        field = next(name for name, its in fields.items() if its == words)
        value = next(value for value in _OTHERS[field] if value != getattr(setting, field))
        bench.attempt(lambda: visit.compare(**{field: value}))

    def differ(value: Any) -> None:
        bench.attempt(lambda: visit.compare(**{str(differing): value}))

    shown = fields[differing] if differing else _NOTHING
    _Choice(
        "Beside it, one that differs in",
        [_NOTHING, *fields.values()],
        shown,
        choose,
        testid="compare",
    )
    if differing is None or other is None:
        return
    value = getattr(other, differing)
    if differing == "topology":
        _Topology(value, differ, "its topology")
    elif differing == "mind":
        _Choice(
            "its mind",
            list(dict.fromkeys([*page_state.minds(), *value])),
            value[0],
            lambda v: differ((v,)),
        )
    elif differing == "memory":
        _Number("its memory", value, differ)
    elif differing == "pairing":
        _Choice("who meets", ["node", "edge", "matching"], value, differ)
    else:
        _Text("its names", value, differ)


_OTHERS: dict[str, tuple[Any, ...]] = {
    "topology": ("complete(n=24)", "ring(n=24, k=4)"),
    "mind": (("llama-2-70b-chat",), ("claude-3.5-sonnet",)),
    "names": ("QM", "QMXYFJPRCD"),
    "memory": (5, 2),
    "pairing": ("node", "matching"),
}
"""What a second population has at first, where the first has not that."""


@solara.component  # type: ignore[untyped-decorator]
def _Choice(  # noqa: N802
    label: str, values: list[str], value: str, on_value: Any, testid: str = ""
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
    label: str, value: str, on_value: Any, hint: str = "", testid: str = ""
) -> None:
    def typed(_widget: Any, _event: Any, text: Any) -> None:
        if text != value:
            on_value(str(text))

    field = solara.v.TextField(
        label=label,
        v_model=value,
        dense=True,
        hint=hint,
        hide_details=not hint,
        attributes={"data-testid": testid or label},
    )
    solara.v.use_event(field, "change", typed)


@solara.component  # type: ignore[untyped-decorator]
def _Number(label: str, value: float, on_value: Any) -> None:  # noqa: N802
    def typed(text: str) -> None:
        try:
            number = float(text)
        except ValueError:
            return
        on_value(int(number) if number.is_integer() else number)

    _Text(label, f"{value:g}" if isinstance(value, float) else str(value), typed)
