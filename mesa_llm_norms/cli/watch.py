"""Population rounds as they are played: a live table on a terminal, else a line per round."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mesa_llm_norms.cli import terminal
from mesa_llm_norms.metrics import Round

Watcher = Callable[[Round], None]

SHOWN = 12
"""How many rounds the live table holds."""
LEADERS = 4
BAR = 20


@contextmanager
def watching(wanted: bool, now: Callable[[], str | None] | None = None) -> Iterator[Watcher]:
    """Give what is told of every round, and shows it; or, where that is not wanted, is silent.

    ``now`` says what there is to say meanwhile, below the rounds, on a terminal.
    """
    if not wanted:
        yield lambda _: None
    elif terminal.stdout().is_terminal:
        with _live(now) as watcher:
            yield watcher
    else:
        with _lines() as watcher:
            yield watcher


@contextmanager
def _live(now: Callable[[], str | None] | None) -> Iterator[Watcher]:
    rounds: deque[Round] = deque(maxlen=SHOWN)

    def table() -> RenderableType:
        grid = Table(box=None, header_style="bold", pad_edge=False)
        grid.add_column("round", justify="right")
        grid.add_column("success rate", no_wrap=True)
        grid.add_column("names played most", no_wrap=True)
        for one in tuple(rounds):
            grid.add_row(f"{one.number + 1}", success(one), leaders(one))
        return grid if now is None else Group(grid, Text(now() or "", "dim"))

    with Live(get_renderable=table, console=terminal.stdout(), refresh_per_second=10):
        yield rounds.append


@contextmanager
def _lines() -> Iterator[Watcher]:
    """Print a line per round, of long runs every tenth and then every hundredth, and the last."""
    console = terminal.stdout()
    skipped: list[Round] = []

    def write(one: Round) -> None:
        line = Text.assemble(f"round {one.number + 1:>4}  ", success(one), "  ", leaders(one))
        console.print(line, soft_wrap=True)

    def watcher(one: Round) -> None:
        number = one.number + 1
        if number % (1 if number <= 40 else 10 if number <= 400 else 100) == 0:
            skipped.clear()
            write(one)
        else:
            skipped[:] = [one]

    yield watcher
    for one in skipped:
        write(one)


def success(one: Round) -> Text:
    """Return a round's success rate as a bar and a percentage."""
    full = round(one.success_rate * BAR)
    return Text.assemble(
        ("█" * full, "cyan"),
        ("░" * (BAR - full), "dim"),
        f" {terminal.percent(one.success_rate):>5}",
    )


def leaders(one: Round) -> Text:
    """Return the names played most in a round with their shares, the first in bold."""
    played = [name for name in one.shares if one.shares[name]]
    order = sorted(played, key=lambda name: -one.shares[name])
    text = Text()
    for place, name in enumerate(order[:LEADERS]):
        text.append(f"{name} {terminal.percent(one.shares[name])}", "" if place else "bold")
        text.append("  ")
    if len(order) > LEADERS:
        text.append(f"and {len(order) - LEADERS} more", "dim")
    return text
