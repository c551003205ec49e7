"""What the commands say: results on standard output, notes and errors on standard error.

How a run or an ensemble ended: one sentence for people, one object for programs.
"""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from mesa_llm_norms.core.game import Interaction
from mesa_llm_norms.core.metrics import Round
from mesa_llm_norms.core.stopping import Goal, Outcome
from mesa_llm_norms.llm.journal.tables import Totals
from mesa_llm_norms.simulation.ensemble import Ensemble
from mesa_llm_norms.simulation.spec import InitialState, Spec

PATIENCE = 2.0
"""Seconds after which a progress bar is shown."""


Report = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


def stdout() -> Console:
    """Return the console for results."""
    return Console(highlight=False)


def stderr() -> Console:
    """Return the console for notes, errors and progress."""
    return Console(stderr=True, highlight=False)


def complain(kind: str, text: str) -> None:
    """Write one line to standard error, ``kind: text``."""
    style = "yellow" if kind == "note" else "bold red"
    line = Text.assemble((f"{kind}:", style), " ", one_line(text))
    stderr().print(line, soft_wrap=True)


def one_line(text: str) -> str:
    """Return ``text`` on one line and without control characters."""
    words = " ".join(text.split())
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in words
    )


@contextmanager
def progress(waiting: str, patience: float = PATIENCE) -> Iterator[Report]:
    """Give what is told a label and how much is done; on a terminal a bar shows it after a while.

    ``waiting`` is what the bar says before anything is told, ``patience`` the seconds before it.
    """
    console, started = stderr(), time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(waiting, total=None, visible=not patience)
        yield lambda label, done, total: bar.update(
            task,
            description=one_line(label) or waiting,
            completed=done,
            total=total,
            visible=time.monotonic() - started >= patience,
        )


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Write what is warned of as notes, each text once."""
    said: set[str] = set()

    def note(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        text = str(message)
        if issubclass(category, UserWarning) and text not in said:
            said.add(text)
            complain("note", text)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = note
        yield


def list_folder(console: Console, folder: Path) -> None:
    """Say what a folder holds."""
    files = ", ".join(sorted(path.name for path in folder.iterdir()))
    console.print(Text.assemble(("In ", ""), (f"{folder}/", "bold"), f": {files}"), soft_wrap=True)


def percent(share: float) -> str:
    """Return a share as a percentage that never rounds to all or to nothing."""
    if 0 < share < 0.005:
        return "<1%"
    if 0.995 <= share < 1:
        return f"{int(share * 1000) / 10:.1f}%"
    return f"{share:.0%}"


class Run(NamedTuple):
    """One run that has been played."""

    spec: Spec
    initial: InitialState
    goal: Goal
    rounds: list[Round]
    rows: list[Interaction] | None
    """Every interaction, unless there are too many agents to keep them."""
    outcome: Outcome
    shares: dict[str, float]
    """Share of each name of the pool in the last ``window`` rounds."""
    names_held: dict[Hashable, str | None]
    usage: Totals | None = None
    """What calls to live minds came to, None where there was none to call."""
    discarded: int = 0
    """How many interactions were begun beyond the end; they are in no result."""
    skipped: int = 0
    """How many were void: a mind gave no name, and was allowed to."""

    @property
    def agents(self) -> int:
        """How many agents there are."""
        return len(self.initial.neighbors)


def run_object(run: Run, out: Path | None) -> dict[str, Any]:
    """Return what ``run --json`` prints for one run."""
    return {
        "mind": run.spec.mind_label,
        "agents": run.agents,
        "topology": run.spec.topology,
        "interactions": run.outcome.interactions,
        "rounds": run.outcome.rounds,
        "converged": run.outcome.converged,
        "winner": run.outcome.winner,
        "success_rate": run.outcome.success_rate,
        "shares": run.shares,
        "out": str(out) if out is not None else None,
        **_use(run.usage, run.discarded, run.skipped),
    }


def run_sentence(run: Run) -> str:
    """Return how a run ended, in one sentence."""
    outcome, agents = run.outcome, run.agents
    if not run.rounds:
        return "Nothing was played."
    after = f"After {outcome.interactions:,} interactions ({_rounds(outcome.rounds)})"
    held = Counter(run.names_held.values())
    name = outcome.winner
    if outcome.converged and held[name] == agents:
        overturned = outcome.flipped and run.spec.incumbent not in (None, name)
        ending = f": the committed ones have overturned {run.spec.incumbent}" if overturned else ""
        return f"{after} all {agents:,} agents say {name}{ending}."
    if outcome.flipped:
        return (
            f"{after} the committed agents have won: {name} is played "
            f"{percent(outcome.share)} of the time."
        )
    if outcome.converged:
        beside = outcome.success_rate == 1 and len(held.keys() - {None}) > 1
        several = ", with names living side by side" if beside else ""
        return (
            f"{after} {percent(outcome.success_rate)} of the last interactions matched{several}: "
            f"{_listing(run.shares)}."
        )
    return (
        f"No convention after {_rounds(outcome.rounds)} ({outcome.interactions:,} interactions): "
        f"{_listing(run.shares)}."
    )


def used(usage: Totals | None, discarded: int = 0, skipped: int = 0) -> str | None:
    """Return what calls came to, in one line; None where nobody was called.

    ``discarded`` interactions were begun beyond the end, ``skipped`` ones were void.
    """
    if usage is None:
        return None
    trouble = {
        "failed": usage.failed,
        "unusable": usage.unusable,
        "given up": usage.abandoned,
        "lost with a process": usage.lost,
    }
    parts = [
        f"{usage.calls:,} calls",
        *(f"{count:,} {what}" for what, count in trouble.items() if count),
        f"{usage.input_tokens:,} tokens read",
        f"{usage.output_tokens:,} written ({usage.thinking_tokens:,} thinking)",
        f"${usage.cost:,.4f}",
    ]
    notes = {
        "interactions were void, and are in no result": skipped,
        "interactions were begun beyond the end, and are in no result": discarded,
    }
    told = [f"{count:,} {what}" for what, count in notes.items() if count]
    return "; ".join([", ".join(parts), *told])


def _use(usage: Totals | None, discarded: int, skipped: int) -> dict[str, Any]:
    """Return what an object has of calls to live minds, nothing where nobody was called."""
    if usage is None:
        return {}
    return {"voided": skipped, "discarded": discarded, "usage": usage._asdict()}


def counted(ensemble: Ensemble, goal: Goal) -> Any:
    """Return the runs whose interactions and winners count: where converging was the goal, those
    that converged, else all.
    """
    runs = ensemble.runs
    return runs[runs["converged"]] if goal.until == "converged" else runs


def ensemble_object(ensemble: Ensemble, goal: Goal) -> dict[str, Any]:
    """Return what ``run --runs N --json`` prints."""
    done = counted(ensemble, goal)
    return {
        "runs": len(ensemble.runs),
        "converged": int(ensemble.runs["converged"].sum()),
        "interactions_median": float(done["interactions"].median()) if len(done) else None,
        "winners": _winners(done, ensemble.spec.game.pool),
        **_use(ensemble.usage, ensemble.discarded, ensemble.skipped),
    }


def ensemble_table(ensemble: Ensemble, goal: Goal) -> Table:
    """Return an ensemble in numbers."""
    runs, done = ensemble.runs, counted(ensemble, goal)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("runs", f"{len(runs):,}")
    table.add_row("converged", f"{runs['converged'].sum():,} ({percent(runs['converged'].mean())})")
    if ensemble.spec.committed_names:
        flipped = runs["flipped"]
        table.add_row("flipped", f"{flipped.sum():,} ({percent(flipped.mean())})")
    if len(done):
        low, median, high = done["interactions"].quantile([0.1, 0.5, 0.9])
        table.add_row("interactions", f"{median:,.0f} (10 to 90%: {low:,.0f} to {high:,.0f})")
    winners = _winners(done, ensemble.spec.game.pool)
    for place, (name, wins) in enumerate(list(winners.items())[:10]):
        won = f"{percent(wins / len(done)):>5}  {wins:,}"
        table.add_row("" if place else "winners", _escaped(f"{name}  ") + won)
    if len(winners) > 10:
        table.add_row("", f"and {len(winners) - 10} more names")
    return table


def ensemble_sentence(ensemble: Ensemble, goal: Goal) -> str:
    """Return what an ensemble shows, in one sentence."""
    runs, done = ensemble.runs, counted(ensemble, goal)
    winners = _winners(done, ensemble.spec.game.pool)
    many = f"{len(runs):,} runs" if len(runs) > 1 else "1 run"
    if not winners:
        return f"None of {many} reached a convention."
    name, wins = next(iter(winners.items()))
    share = percent(wins / len(done))
    median = f"{done['interactions'].median():,.0f}"
    if goal.until == "flipped":
        flipped = runs["flipped"]
        return (
            f"{flipped.sum():,} of {many} flipped ({percent(flipped.mean())}); at the end {name} "
            f"was played most in {share}."
        )
    if goal.until is None:
        return f"At the end of {many} {name} was played most in {share}."
    return (
        f"{len(done):,} of {many} reached a convention, half of them within {median} interactions; "
        f"{name} won {share} of them."
    )


def _winners(runs: Any, pool: Sequence[str]) -> dict[str, int]:
    counts = Counter(runs["winner"].tolist())
    order = sorted((name for name in pool if counts[name]), key=lambda name: -counts[name])
    return {name: counts[name] for name in order}


def _rounds(number: int) -> str:
    return f"{number:,} round" + ("" if number == 1 else "s")


def _listing(shares: Mapping[str, float]) -> str:
    order = sorted((name for name in shares if shares[name]), key=lambda name: -shares[name])
    first, *rest = (f"{name} {percent(shares[name])}" for name in order[:4])
    name, share = first.rsplit(" ", 1)
    more = f" and {len(order) - 4} more" if len(order) > 4 else ""
    return ", ".join([f"{name} is played {share} of the time", *rest]) + more


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")
