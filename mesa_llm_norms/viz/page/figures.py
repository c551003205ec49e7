"""One population: key figures, network, charts, and the agent that is looked at."""

from __future__ import annotations

import solara

from mesa_llm_norms.viz.frame import Frame
from mesa_llm_norms.viz.page.agent import AgentCard
from mesa_llm_norms.viz.page.bench import Bench
from mesa_llm_norms.viz.page.seeking import Seeking
from mesa_llm_norms.viz.setting import Setting
from mesa_llm_norms.viz.views import KeyFigures, NetworkView, RoundsChart, chart_lines

NOTHING = "\N{EN DASH}"


@solara.component  # type: ignore[untyped-decorator]
def Population(bench: Bench, side: int) -> None:  # noqa: N802
    """Show the population of a side."""
    with solara.Div(classes=["norms-side"], attributes={"data-testid": f"side-{side}"}):
        if len(bench.visit.runners) > 1:
            solara.Div(children=[_heading(bench, side)], classes=["norms-heading"])
        Figures(bench, side)
        if bench.visit.replaying:
            Seeking(bench, side)
        with solara.Div(classes=["norms-views"]):
            with solara.Div(classes=["norms-network"]):
                Network(bench, side)
            with solara.Div(classes=["norms-charts"]):
                Charts(bench, side)
                AgentCard(bench, side)


@solara.component  # type: ignore[untyped-decorator]
def Network(bench: Bench, side: int) -> None:  # noqa: N802
    """Show who holds which name."""
    frame = bench.frame(side)
    chosen, first = bench.selected.value, bench.first_end.value
    NetworkView(
        drawing=frame.drawing,
        codes=frame.codes,
        marks=frame.marks,
        recent=frame.recent,
        selected=chosen[1] if chosen and chosen[0] == side else -1,
        second=first[1] if first and first[0] == side else -1,
        labels=len(frame.codes) <= 300,
        by_degree=bench.by_degree.value,
        height="66vh" if len(bench.visit.runners) == 1 else "56vh",
        hint="Click the agent at the other end." if first and first[0] == side else "",
        on_pick=lambda place: bench.pick(side, place),
    )


@solara.component  # type: ignore[untyped-decorator]
def Charts(bench: Bench, side: int) -> None:  # noqa: N802
    """Show success rate and shares by round."""
    frame = bench.frame(side)
    success = solara.use_memo(lambda: chart_lines(["success"]), [])
    shares = solara.use_memo(lambda: chart_lines(frame.pool), [frame.pool])
    if not frame.pool:
        return
    RoundsChart("Success rate: meetings in which the names matched", success, frame.successes)
    RoundsChart("Share of each name played", shares, frame.shares)


@solara.component  # type: ignore[untyped-decorator]
def Figures(bench: Bench, side: int) -> None:  # noqa: N802
    """Show the state of the population in a few numbers."""
    KeyFigures(_figures(bench.frame(side)), f"figures-{side}")


def _figures(frame: Frame) -> list[tuple[str, str]]:
    if frame.state == "preparing" and not frame.codes:
        return [("", "making the network …")]
    found = [
        ("round", f"{frame.rounds:,}"),
        ("interactions", f"{frame.interactions:,}"),
        ("success rate", NOTHING if frame.success_rate is None else f"{frame.success_rate:.0%}"),
        (
            "leading name",
            NOTHING if frame.leader is None else f"{frame.leader} {frame.leader_share:.0%}",
        ),
        ("names held", str(frame.distinct)),
        ("converged", "yes" if frame.converged else "not yet"),
    ]
    if frame.usage is not None:
        calls, tokens, usd = frame.usage
        found += [("calls", f"{calls:,}"), ("tokens", f"{tokens:,}")]
        found.append(("cost", "unknown" if usd is None else f"${usd:,.4f}"))
    return found


def _heading(bench: Bench, side: int) -> str:
    """Return in what a population differs from the other."""
    settings = bench.visit.settings
    here, there = settings[side], settings[1 - side]
    words = [
        _said(name, getattr(here, name))
        for name in Setting.__dataclass_fields__
        if name not in ("edits", "at") and getattr(here, name) != getattr(there, name)
    ]
    return ", ".join(words) or "the same"


def _said(name: str, value: object) -> str:
    if isinstance(value, tuple):
        value = ", ".join(map(str, value)) or "nobody"
    return str(value) if name in ("topology", "mind") else f"{name}: {value}"
