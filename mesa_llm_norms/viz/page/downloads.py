"""What can be taken along: the picture, the rounds as a table, and the run as lines of Python."""

from __future__ import annotations

import io
from collections.abc import Callable

import solara

from mesa_llm_norms.errors import NormsError
from mesa_llm_norms.viz.page.bench import Bench
from mesa_llm_norms.viz.picture import picture
from mesa_llm_norms.viz.program import program


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
