"""One population: key figures, network, charts, and the agent that is looked at."""

from __future__ import annotations

import solara

from mesa_llm_norms.viz.frame import Frame
from mesa_llm_norms.viz.page.agent import AgentCard
from mesa_llm_norms.viz.page.bench import Bench
from mesa_llm_norms.viz.page.seeking import Seeking
from mesa_llm_norms.viz.setting import Setting
from mesa_llm_norms.viz.views import KeyFigures, NetworkView, RoundsChart, chart_lines

MOST_LABELS = 300
"""Of larger populations names are not written into agents."""
NOTHING = "\N{EN DASH}"


@solara.component  # type: ignore[untyped-decorator]
def Sides(bench: Bench) -> None:  # noqa: N802
    """Show the populations.

    Nothing else on the page follows the frames: every component that did would have the whole page
    looked through once more for each of them.
    """
    shown = bench.shown.value
    bench.frames.get()
    runners = bench.visit.runners
    with solara.Div(classes=["norms-sides", f"norms-{len(runners)}"]):
        for side, runner in enumerate(runners):
            Population(bench, side, runner.frame).key(f"{shown} {side}")


@solara.component  # type: ignore[untyped-decorator]
def Population(bench: Bench, side: int, frame: Frame) -> None:  # noqa: N802
    """Show the population of a side."""
    chosen, first = bench.selected.value, bench.first_end.value
    success = solara.use_memo(lambda: chart_lines(["success"]), [])
    shares = solara.use_memo(lambda: chart_lines(frame.pool), [frame.pool])
    alone = len(bench.visit.runners) == 1
    with solara.Div(classes=["norms-side"], attributes={"data-testid": f"side-{side}"}):
        if not alone:
            solara.Div(children=[_heading(bench, side)], classes=["norms-heading"])
        KeyFigures(_figures(frame), f"figures-{side}")
        if bench.visit.replaying:
            Seeking(bench, side, frame)
        with solara.Div(classes=["norms-views"]):
            with solara.Div(classes=["norms-network"]):
                NetworkView(
                    drawing=frame.drawing,
                    codes=frame.codes,
                    marks=frame.marks,
                    recent=frame.recent,
                    selected=chosen[1] if chosen and chosen[0] == side else -1,
                    second=first[1] if first and first[0] == side else -1,
                    labels=len(frame.codes) <= MOST_LABELS,
                    by_degree=bench.by_degree.value,
                    height="66vh" if alone else "56vh",
                    hint="Click the agent at the other end." if first and first[0] == side else "",
                    on_pick=lambda place: bench.pick(side, place),
                )
            with solara.Div(classes=["norms-charts"]):
                if frame.pool:
                    title = "Success rate: meetings in which the names matched"
                    RoundsChart(title, success, frame.successes)
                    RoundsChart("Share of each name played", shares, frame.shares)
                AgentCard(bench, side, frame)


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
