"""What commands print: results to standard output; notes, errors and progress to standard error.

How a run or an ensemble ended: one sentence for people, one object for programs.
"""

from __future__ import annotations

import logging
import time
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import typer
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from mesa_llm_norms.analysis.agreement import Edges, name_clusters
from mesa_llm_norms.core.files import write_results
from mesa_llm_norms.core.formatting import count, json_text, percent, plural
from mesa_llm_norms.core.metrics import Round
from mesa_llm_norms.core.stopping import Goal, Outcome
from mesa_llm_norms.errors import ReportError
from mesa_llm_norms.llm.journal.rows import Totals
from mesa_llm_norms.simulation.ensemble import Ensemble
from mesa_llm_norms.simulation.run import mean_left
from mesa_llm_norms.simulation.spec import InitialState, Spec

DELAY = 2.0
"""Seconds before a progress bar appears."""

_OBEYED = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
"""Kinds of characters that steer a terminal, or cannot be encoded."""

NARROWEST = 24
"""Columns below which prose in a table is not squeezed."""

LIBRARIES = frozenset({"matplotlib", "networkx", "numpy", "pandas", "scipy"})
"""What these warn of is for who calls them, and nothing that users of the commands could mend."""

Report = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


class CleanConsole(Console):
    """A console that prints only text: no escape of an input reaches the terminal."""

    def render(self, *arguments: Any, **options: Any) -> Iterable[Segment]:
        """Return what is printed, cleaned; the console's own control codes stay."""
        for segment in super().render(*arguments, **options):
            yield segment if segment.control else segment._replace(text=clean(segment.text))


def stdout() -> Console:
    """Return the console for results."""
    return CleanConsole(highlight=False)


def stderr() -> Console:
    """Return the console for notes, errors and progress."""
    return CleanConsole(stderr=True, highlight=False)


def clean(text: str) -> str:
    """Return a text in which everything that a terminal could obey is replaced.

    That is every control and format character but ends of lines and tabs.
    """
    if text.isprintable():
        return text
    obeyed = {it for it in text if unicodedata.category(it) in _OBEYED} - {"\n", "\t"}
    return text.translate({ord(it): "\N{REPLACEMENT CHARACTER}" for it in obeyed})


def echo(text: str) -> None:
    """Print a text to standard output as it is but clean, however long its lines."""
    typer.echo(clean(text))


def say(text: str | Text, style: str = "", indent: int = 0) -> None:
    """Print a paragraph to standard output, wrapped between words only."""
    console, shown = stdout(), Text(text, style) if isinstance(text, str) else text
    if _longest_word(shown) + indent > console.width:
        console.print(shown, soft_wrap=True)
    else:
        console.print(Padding(shown, (0, 0, 0, indent)) if indent else shown)


def print_json(content: Any) -> None:
    """Print a value as JSON on one line; numbers that are infinite or missing become null."""
    written = json_text(content)
    typer.echo(
        "".join(
            it if it.isprintable() else json_text(it, ensure_ascii=True)[1:-1] for it in written
        )
    )


def finish(
    folder: Path | None,
    write: Callable[[Path], None],
    draw: Callable[[Path], None],
    show: Callable[[], None],
    *,
    live: bool = False,
) -> None:
    """Write results into a folder, if there is one, and print them, also if they cannot be drawn.

    ``write`` and ``draw`` are as for ``write_results``; ``show`` prints.
    """
    try:
        if folder is not None:
            write_results(folder, write, draw, live=live)
    except ReportError:
        show()
        raise
    show()


def complain(kind: str, text: str) -> None:
    """Print one line to standard error, ``kind: text``."""
    style = "yellow" if kind == "note" else "bold red"
    line = Text.assemble((f"{kind}:", style), " ", one_line(text))
    with suppress(OSError):  # a terminal that was closed takes nothing more
        stderr().print(line, soft_wrap=True)


def one_line(text: str) -> str:
    """Return ``text`` on one line, control characters replaced."""
    return clean(" ".join(text.split()))


@contextmanager
def progress(label: str) -> Iterator[Report]:
    """Show a progress bar on a terminal once the work has taken two seconds.

    Parameters
    ----------
    label : str
        What is being done, until the first report.

    Yields
    ------
    callable
        Takes a label, how much is done and how much there is. May be left uncalled: the bar then
        only shows that something happens.
    """
    console = stderr()
    with _DelayedProgress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[done]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task(label, total=None, done="")
        yield lambda text, done, total: bar.update(
            task,
            description=one_line(text) or label,
            completed=done,
            total=total,
            done=f"{done:,} of {total:,}",
        )


class _DelayedProgress(Progress):
    """Progress that stays invisible at first."""

    def __init__(self, *columns: Any, **options: Any) -> None:
        self._appears = time.monotonic() + DELAY
        super().__init__(*columns, **options)

    def get_renderables(self) -> Iterable[RenderableType]:
        if time.monotonic() >= self._appears:
            yield from super().get_renderables()


class _Notes(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        complain("note", record.getMessage())


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Print warnings as notes, each text once, and what is logged of live minds."""
    said: set[str] = set()

    def note(
        message: Warning | str, category: type[Warning], filename: str, *_: object, **__: object
    ) -> None:
        text, theirs = str(message), not LIBRARIES.isdisjoint(Path(filename).parts)
        if issubclass(category, UserWarning) and not theirs and text not in said:
            said.add(text)
            complain("note", text)

    logger, handler = logging.getLogger("mesa_llm_norms.llm"), _Notes(logging.WARNING)
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = note
            yield
    finally:
        logger.removeHandler(handler)


def list_folder(folder: Path) -> None:
    """Print the names of the files in a folder."""
    files = ", ".join(sorted(path.name for path in folder.iterdir()))
    say(Text.assemble("In ", (f"{folder}/", "bold"), f": {files}"))


def print_table(
    head: Sequence[str], rows: Iterable[Sequence[str | Text]], *, prose: int = 0
) -> None:
    """Print a table in which no word is broken; where it is too wide, a paragraph for each row.

    Parameters
    ----------
    head : sequence of str
        The titles of the columns.
    rows : iterable of sequences of str or Text
        The cells.
    prose : int
        The one column whose cells may be wrapped, between words (default 0).
    """
    cells = [[Text(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    titles = [Text(title, "bold") for title in head]
    widths = [max(_width(cell) for cell in column) for column in zip(titles, *cells, strict=True)]
    least = max(min(widths[prose], NARROWEST), *(_longest_word(row[prose]) for row in cells), 0)
    console = stdout()
    excess = sum(widths) + 2 * (len(widths) - 1) - console.width
    widths[prose] -= max(excess, 0)
    if excess > 0 and widths[prose] < least:
        _print_paragraphs(head, cells, prose)
        return
    table = Table(box=None, pad_edge=False)
    for title, width in zip(titles, widths, strict=True):
        table.add_column(title, width=width)
    for row in cells:
        table.add_row(*row)
    console.print(table)


def print_pairs(pairs: Iterable[tuple[str, str]], console: Console | None = None) -> None:
    """Print labels and what belongs to each, side by side; to standard output by default."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for label, text in pairs:
        table.add_row(Text(label, "bold"), Text(text))
    (console or stdout()).print(table)


def _print_paragraphs(head: Sequence[str], cells: Sequence[Sequence[Text]], prose: int) -> None:
    for row in cells:
        say(Text.assemble((row[prose].plain, "bold")))
        others = [
            Text.assemble(f"{title}: " if title else "", cell)
            for place, (title, cell) in enumerate(zip(head, row, strict=True))
            if place != prose and cell.plain
        ]
        say(Text("; ").join(others), indent=2)


def _longest_word(text: Text) -> int:
    return max(map(cell_len, text.plain.split()), default=0)


def _width(cell: Text) -> int:
    return max(map(cell_len, cell.plain.splitlines()), default=0)


class Run(NamedTuple):
    """One run that has been played."""

    spec: Spec
    initial: InitialState
    goal: Goal
    rounds: list[Round]
    outcome: Outcome
    shares: dict[str, float]
    """Share of each name of the pool in the last ``window`` rounds."""
    names_held: dict[Hashable, str | None]
    usage: Totals | None = None
    """The calls to live minds; None without live minds."""
    discarded: int = 0
    """Interactions played speculatively beyond the end; they are in no result."""
    skipped: int = 0
    """Interactions skipped because a mind gave no name (``on_unusable="skip"``)."""

    @property
    def agents(self) -> int:
        """How many agents there are."""
        return len(self.initial.neighbors)


def run_object(run: Run, out: Path | None) -> dict[str, Any]:
    """Return what ``run --json`` prints for one run."""
    clusters = name_clusters(Edges.of_neighbors(run.initial.neighbors), run.names_held)
    return {
        **_of_game(run.spec),
        "mind": run.spec.mind_label,
        "agents": run.agents,
        "topology": run.spec.topology,
        "interactions": run.outcome.interactions,
        "rounds": run.outcome.rounds,
        "converged": run.outcome.converged,
        "agreed": run.outcome.agreed,
        "one_name": run.outcome.one_name,
        "names_left": run.outcome.names_left,
        "clusters": len(clusters),
        "largest_cluster": clusters.largest_share if len(clusters) else None,
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
    played = plural(outcome.rounds, "round")
    after = f"After {outcome.interactions:,} interactions ({played})"
    if run.spec.rules is not None:
        rate, success = percent(outcome.success_rate), run.spec.rules.success_name
        return f"{after} {rate} of the last were: {success}. {_listing(run.shares)}."
    held = Counter(run.names_held.values())
    name = outcome.winner
    if (outcome.converged or outcome.agreed) and held[name] == agents:
        overturned = outcome.flipped and run.spec.incumbent not in (None, name)
        ending = f": the committed agents overturned {run.spec.incumbent}" if overturned else ""
        return f"{after} all {agents:,} agents say {name}{ending}."
    if outcome.flipped:
        return (
            f"{after} the committed agents won: {name} is played "
            f"{percent(outcome.share)} of the time."
        )
    if outcome.agreed:
        share = percent(held[name] / agents)
        return f"{after} the population agreed on {name}: {share} of {agents:,} agents hold it."
    if outcome.converged:
        matched = (
            "the population went quiet"
            if outcome.success_rate == 1
            else f"{percent(outcome.success_rate)} of the last interactions matched"
        )
        return (
            f"{after} {matched}, with {plural(outcome.names_left, 'name')} held: "
            f"{_listing(run.shares)}."
        )
    return (
        f"No convention after {played} ({outcome.interactions:,} interactions): "
        f"{_listing(run.shares)}."
    )


def usage_sentence(usage: Totals | None, discarded: int = 0, skipped: int = 0) -> str | None:
    """Return the calls, tokens and cost of live minds in one line; None without live minds."""
    if usage is None:
        return None
    trouble = {
        "failed": usage.failed,
        "unusable": usage.unusable,
        "abandoned": usage.abandoned,
        "lost with their process": usage.lost,
    }
    parts = [
        f"{usage.calls:,} calls",
        *(f"{number:,} {what}" for what, number in trouble.items() if number),
        f"{usage.input_tokens:,} input tokens",
        f"{usage.output_tokens:,} output tokens ({usage.thinking_tokens:,} thinking)",
        f"${usage.cost:,.4f}",
    ]
    notes = {
        "interactions skipped (no usable reply)": skipped,
        "speculative interactions discarded": discarded,
    }
    return "; ".join(
        [", ".join(parts), *(f"{number:,} {what}" for what, number in notes.items() if number)]
    )


def _use(usage: Totals | None, discarded: int, skipped: int) -> dict[str, Any]:
    if usage is None:
        return {}
    return {"skipped": skipped, "discarded": discarded, "usage": usage._asdict()}


def _counted(ensemble: Ensemble, goal: Goal) -> Any:
    """Return the runs that times and winners are of: those that reached a goal that all can."""
    runs = ensemble.runs
    return runs[runs[goal.until]] if goal.until in ("converged", "agreed") else runs


def ensemble_object(ensemble: Ensemble, goal: Goal) -> dict[str, Any]:
    """Return what ``run --runs N --json`` prints."""
    done = _counted(ensemble, goal)
    return {
        **_of_game(ensemble.spec),
        "runs": len(ensemble.runs),
        **{name: int(ensemble.runs[name].sum()) for name in ("converged", "agreed", "one_name")},
        **mean_left(ensemble.runs),
        "interactions_median": float(done["interactions"].median()) if len(done) else None,
        "winners": _winners(done, ensemble.spec.game.pool),
        **_use(ensemble.usage, ensemble.discarded, ensemble.skipped),
    }


def print_ensemble(ensemble: Ensemble, goal: Goal) -> None:
    """Print the numbers that sum up an ensemble."""
    runs, done = ensemble.runs, _counted(ensemble, goal)
    pairs = [("runs", count(len(runs)))]
    if ensemble.spec.rules is not None:
        label, rate = ensemble.spec.rules.success_name, _last_success(ensemble)
        pairs.append((label, f"{percent(rate)} of each run's last round, on average"))
    flips = ["flipped"] if ensemble.spec.committed_names else []
    for event in ("converged", "agreed", *flips, "one_name"):
        share = f"{runs[event].sum():,} ({percent(runs[event].mean())})"
        pairs.append((event.replace("_", " "), share))
    if runs["names_left"].max() > 1:
        left = mean_left(runs)
        pairs.append(("names left", f"{left['names_left']:.1f} on average"))
        largest = percent(left["largest_cluster"])
        pairs.append(("clusters", f"{left['clusters']:.1f}, the largest {largest} of the agents"))
    if len(done):
        low, median, high = map(count, done["interactions"].quantile([0.1, 0.5, 0.9]))
        pairs.append(("interactions", f"{median} (10 to 90%: {low} to {high})"))
    winners = _winners(done, ensemble.spec.game.pool)
    said = "winners" if goal.until == "agreed" or done["one_name"].all() else "played most"
    for place, (name, wins) in enumerate(list(winners.items())[:10]):
        won = f"{name}  {percent(wins / len(done)):>5}  {wins:,}"
        pairs.append(("" if place else said, won))
    if len(winners) > 10:
        pairs.append(("", f"and {len(winners) - 10} more names"))
    print_pairs(pairs)


def ensemble_sentence(ensemble: Ensemble, goal: Goal) -> str:
    """Return what happened in an ensemble, in one sentence."""
    runs, done = ensemble.runs, _counted(ensemble, goal)
    winners = _winners(done, ensemble.spec.game.pool)
    many = plural(len(runs), "run")
    if ensemble.spec.rules is not None:
        return _game_sentence(ensemble, goal)
    if not winners and goal.until == "agreed":
        return f"None of {many} agreed on a name."
    if not winners:
        agreed = int(runs["agreed"].sum())
        but = f", but {agreed:,} had agreed on a name at the end" if agreed else ""
        return f"None of {many} went quiet{but}."
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
    half = f"half of them within {median} interactions"
    if goal.until == "agreed":
        return f"{len(done):,} of {many} agreed on a name, {half}; {name} won {share} of them."
    one = int(done["one_name"].sum())
    if one == len(done):
        return f"{len(done):,} of {many} reached a convention, {half}; {name} won {share} of them."
    return (
        f"{len(done):,} of {many} went quiet, {half}, {one:,} of them with one name; "
        f"{name} was played most in {share}."
    )


def _game_sentence(ensemble: Ensemble, goal: Goal) -> str:
    """Return what happened in an ensemble of another game than the naming game."""
    runs, success = ensemble.runs, ensemble.spec.rules.success_name  # type: ignore[union-attr]
    rate = percent(_last_success(ensemble))
    last = f"in their last rounds {rate} of the interactions were: {success}"
    if goal.until is None:
        return f"{plural(len(runs), 'run')}: {last}."
    return f"{int(runs[goal.until].sum()):,} of {plural(len(runs), 'run')} {goal.until}; {last}."


def _last_success(ensemble: Ensemble) -> float:
    return float(ensemble.rounds.groupby("run")["success_rate"].last().mean())


def _of_game(spec: Spec) -> dict[str, Any]:
    """Return what is said of another game than the naming game: its name, and its success."""
    if spec.rules is None:
        return {}
    return {"game": type(spec.rules).__name__, "success": spec.rules.success_name}


def _winners(runs: Any, pool: Sequence[str]) -> dict[str, int]:
    counts = Counter(runs["winner"].tolist())
    order = sorted((name for name in pool if counts[name]), key=lambda name: -counts[name])
    return {name: counts[name] for name in order}


def _listing(shares: Mapping[str, float]) -> str:
    order = sorted((name for name in shares if shares[name]), key=lambda name: -shares[name])
    first, *rest = (f"{name} {percent(shares[name])}" for name in order[:4])
    name, share = first.rsplit(" ", 1)
    more = f" and {len(order) - 4} more" if len(order) > 4 else ""
    return ", ".join([f"{name} is played {share} of the time", *rest]) + more
