"""A recorded run on the page: read from its folder once, then shown to any number of viewers.

The folder may be that of one run, of an ensemble whose interactions were kept, or of live minds,
whose journal can be read while they still play. Nothing in a folder is executed, no mind is called,
and no file outside of it is opened.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Generator, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import networkx as nx
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.files import SPEC, is_folder, read_json
from mesa_llm_norms.core.game import (
    Game,
    GameInteraction,
    GameRules,
    Interaction,
    Memory,
    Row,
    keep,
)
from mesa_llm_norms.core.stopping import (
    Goal,
    Holders,
    agreeing,
    check_stopping,
    converging,
)
from mesa_llm_norms.errors import FileFormatError, SpecError
from mesa_llm_norms.llm.journal.journal import Journal
from mesa_llm_norms.llm.journal.rows import Attempt, node_text, read_node
from mesa_llm_norms.llm.settings import JOURNAL
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.minds.policies import CommittedMind
from mesa_llm_norms.networks.adjacency import to_networkx
from mesa_llm_norms.networks.drawing import layout
from mesa_llm_norms.simulation.run import interaction_columns, no_interactions
from mesa_llm_norms.simulation.run_record import node_name
from mesa_llm_norms.simulation.serialization import from_json
from mesa_llm_norms.web.explained import Answer, Encounter, Part, answer_of
from mesa_llm_norms.web.frames import AgentDetails, Exchange, History, Source, Usage
from mesa_llm_norms.web.model_source import exchange
from mesa_llm_norms.web.setting import Edit

TABLE = "interactions.parquet"

_OPEN = "Open the folder of a run as mesa-llm-norms run leaves it."
_ANOTHER = "Put back a copy of it, or play the run again into another folder."

_TEXT = (pa.types.is_string, pa.types.is_large_string)
_KINDS = {
    "node": (pa.types.is_integer, *_TEXT),
    "name": _TEXT,
    "payoff": (pa.types.is_floating, pa.types.is_integer),
}
"""What the columns of a table may hold, or lists in them; all others hold whole numbers."""


class RecordedCalls(NamedTuple):
    """The calls of live minds in a run.

    ``usages`` has the usage before the first interaction and after each, ``exchanges`` the last
    exchange of each decision, by the number of the interaction and the seat, and ``answers`` the
    chances that names had there.
    """

    usages: tuple[Usage, ...]
    exchanges: Mapping[tuple[int, int], Exchange]
    answers: Mapping[tuple[int, int], Answer]


@dataclass(frozen=True)
class RecordedRun:
    """One recorded run; nothing in it changes.

    ``heading`` says in a line what was played, and ``note``, usually empty, what of the network is
    not as it was. ``graph`` is frozen and has the positions of the nodes (attribute ``pos``).
    ``minds`` are those that agents have when they are not committed, ``committed`` those of
    the ones that were at the start, and ``start`` what everybody remembered then. ``calls`` is None
    without a journal. ``seeing`` says that minds were shown attributes.
    """

    folder: Path
    run: int
    heading: str
    note: str
    game: GameRules
    graph: nx.Graph[Any]
    minds: Mapping[Hashable, Mind]
    committed: Mapping[Hashable, CommittedMind]
    start: Memory
    goal: Goal
    rows: tuple[Row, ...]
    calls: RecordedCalls | None
    seeing: bool = False

    @property
    def agents(self) -> int:
        """How many agents played."""
        return len(self.graph)


def read_recorded_run(folder: Path, run: int | None = None) -> RecordedRun:
    """Return a run from a folder.

    Parameters
    ----------
    folder : Path
        The folder of a run or an ensemble.
    run : int, optional
        The number of the run in an ensemble. By default the first.

    Raises
    ------
    FileFormatError
        If the folder holds no such run, or one that cannot be shown; ``JournalError`` if that is
        because of its journal.
    """
    journal, file, table = folder / JOURNAL, folder / SPEC, folder / TABLE
    if not is_folder(folder):
        raise FileFormatError(folder, "there is no such folder", _OPEN)
    calls = None
    if journal.exists():
        content, run, rows, calls = _read_journal(journal, run)
        path = rows_in = journal
    elif file.exists():
        content, path, rows_in = read_json(file, _OPEN), file, table
        rows = ()
    else:
        raise FileFormatError(folder, "there is no run in it", _OPEN)
    with _refusing(path):
        spec, goal = from_json(content["spec"], display_only=True), _goal(content, calls)
    if calls is None:
        if not table.is_file():
            remedy = "Play it again with --keep-interactions, or with 20,000 agents at most."
            raise FileFormatError(folder, "its interactions were not kept", remedy)
        rows = _read_table(table, run, spec.game)
        run = rows[0].run
    assert run is not None
    with _refusing(path):
        state = spec.initial_state(run)
    agents = len(state.neighbors)
    if agents > limits.SHOWN_AGENTS.high:
        problem = f"more than {limits.SHOWN_AGENTS.high:,} agents are too many to look at"
        raise FileFormatError(folder, problem, "Read it with pandas, or open a smaller run.")
    rows = _matched(rows, state.neighbors.nodes, spec.game, rows_in)
    graph = to_networkx(state.graph).copy()
    note = _add_missing_edges(graph, rows)
    nx.set_node_attributes(graph, layout(graph), "pos")
    return RecordedRun(
        folder=folder,
        run=run,
        heading=f"{spec.heading(agents)}, run {run}",
        note=note,
        game=spec.game,
        graph=nx.freeze(graph),
        minds=state.uncommitted_by_node,
        committed={
            node: mind
            for node, mind in state.minds_by_node.items()
            if isinstance(mind, CommittedMind)
        },
        start=state.start,
        goal=goal,
        rows=rows,
        calls=calls,
        seeing=bool(spec.sees),
    )


class FolderSource(Source):
    """A recorded run from its start, for one viewer; to show an earlier moment, make another.

    An agent counts as committed until it plays another name, as one that was released does, or,
    where its commitment is noisy, until the round in which that ends.
    """

    def __init__(self, recorded: RecordedRun) -> None:
        super().__init__(recorded.graph, recorded.game, recorded.agents, limits.INTERACTIONS.high)
        self.recorded = recorded
        self.length: int = len(recorded.rows)
        self._name = {name: place for place, name in enumerate(recorded.game.pool)}
        self._memory = dict.fromkeys(self.nodes, recorded.start)
        self._committed = {node: mind.name for node, mind in recorded.committed.items()}
        size = max(1, round(recorded.goal.window * recorded.agents))
        self._recent = no_interactions(size, self.referee)
        self._stop = converging(size, recorded.goal.threshold)
        self._agreement = agreeing(size, len(self._name), recorded.agents)
        nobody = np.full(recorded.agents, -1, np.int16)
        self._holders = Holders(self.nodes, nobody, len(self._name))
        self._shown = 0

    @property
    def converged(self) -> bool:  # type: ignore[override]
        """Whether the population has converged, by the window and threshold of its run."""
        return self._recent.reaches(self._stop)

    @property
    def agreed(self) -> bool:  # type: ignore[override]
        """Whether the population has agreed on a name, by the window of its run."""
        return self._recent.reaches(self._agreement, self._holders.counts)

    @property
    def between_rounds(self) -> bool:  # type: ignore[override]
        """Whether the last population round that was started is complete, or the record ends."""
        rows, shown = self.recorded.rows, self._shown
        return shown in (0, len(rows)) or rows[shown].round != rows[shown - 1].round

    @property
    def usage(self) -> Usage | None:  # type: ignore[override]
        """The usage of live minds up to now; None without a journal."""
        calls = self.recorded.calls
        return calls.usages[self._shown] if calls is not None else None

    def committed(self) -> dict[Hashable, str]:
        """Return the nodes of committed agents and their names."""
        return dict(self._committed)

    def remembered(self) -> dict[Hashable, str]:
        """Return the nodes whose agents have a memory before they play, and their own last name."""
        start = self.recorded.start
        return dict.fromkeys(self.nodes, start[-1][0]) if start else {}

    def play(self) -> Generator[Row, None, None]:
        """Yield one interaction after the other; closing the generator stops play."""
        rows = self.recorded.rows
        while self._shown < len(rows):
            row = rows[self._shown]
            self._take_in(row)
            self._shown += 1
            yield row

    def change(self, edit: Edit) -> bool:
        """Raise ``SpecError``: a recorded run cannot be changed."""
        remedy = "Play a population with the same settings, and change that."
        raise SpecError("edit", edit.text, "a recorded run cannot be changed", remedy)

    def details(self, index: int, history: History) -> AgentDetails:
        """Return what the page shows about an agent now."""
        node, calls = self.node(index), self.recorded.calls
        last_exchange = None
        if calls is not None and node in self._encounters:
            row = self._encounters[node].row
            last_exchange = calls.exchanges.get((row.interaction, row.nodes.index(node)))
        return self.describe(
            index,
            history,
            mind=self.recorded.minds[node],
            committed=self.recorded.committed[node] if node in self._committed else None,
            memory=self._memory[node],
            held=self._held,
            exchange=last_exchange,
        )

    def answers(self, encounter: Encounter) -> Sequence[Answer | None]:
        """Return what live minds answered in an interaction, by seat."""
        calls, number = self.recorded.calls, encounter.row.interaction
        if calls is None:
            return ()
        return [calls.answers.get((number, seat)) for seat in range(len(encounter.parts))]

    def _take_in(self, row: Row) -> None:
        memory, referee = self._memory, self.referee
        before = [memory[node] for node in row.nodes]
        self._recent.add(*(self._name[name] for name in row.names))
        for seat, (node, name) in enumerate(zip(row.nodes, row.names, strict=True)):
            memory[node] = keep(memory[node], referee.experience(row.names, seat), referee.length)
            self._holders.add(node, self._name[name])
            if node in self._committed:
                mind = self.recorded.committed[node]
                over = mind.until is not None and row.round >= mind.until
                if over or (name != mind.name and not mind.noise):
                    del self._committed[node]
        self._note(
            Encounter(
                row,
                tuple(
                    Part(self._index[node], node, self._mind(node), past, memory[node])
                    for node, past in zip(row.nodes, before, strict=True)
                ),
                self.recorded.seeing,
            )
        )

    def _mind(self, node: Hashable) -> Mind:
        of = self.recorded.committed if node in self._committed else self.recorded.minds
        return of[node]

    def _held(self, node: Hashable) -> str | None:
        last = self._encounters.get(node)
        return None if last is None else last.row.names[last.row.nodes.index(node)]


def _goal(content: Mapping[str, Any], calls: RecordedCalls | None) -> Goal:
    """Return the goal in a journal or a ``spec.json``; one started from Python has none."""
    if calls is None:
        goal = Goal(*(content["run"][name] for name in Goal._fields))
    else:
        goal = Goal(*content.get("goal", Goal()))
    check_stopping(*goal)
    return goal


def _read_journal(
    path: Path, run: int | None
) -> tuple[Mapping[str, Any], int, tuple[Row, ...], RecordedCalls]:
    """Return the content, number, rows and calls of a run; others may be writing to the journal.

    Skipped interactions are not among the rows, but their calls count.
    """
    with Journal.read(path) as journal, _refusing(path):
        content = journal.spec
        run = int(content.get("run", 0)) if run is None else run
        rows: list[Row] = []
        total, texts = Usage(0, 0, 0.0), dict[str, str]()
        usages, exchanges = [total], dict[tuple[int, int], Exchange]()
        answers = dict[tuple[int, int], Answer]()
        for number in itertools.count():
            row = journal.interaction(run, number)
            if row is None:
                break
            for call in journal.attempts_of(run, number):
                total = _plus(total, call)
                system = texts.setdefault(call.system, call.system)
                exchanges[number, call.seat] = exchange(call._replace(system=system), journal)
            if isinstance(row, (Interaction, GameInteraction)):
                for seat in range(len(row.nodes)):
                    answer = answer_of(journal, run, number, seat)
                    if answer is not None:
                        answers[number, seat] = answer
                rows.append(row)
                usages.append(total)
                _check_length(path, len(rows))
    if not rows:
        held = f"run {content['run']}" if "run" in content else f"{content.get('runs', 0):,} runs"
        remedy = f"It is that of {held}: name another, or wait until something has been played."
        raise FileFormatError(path, f"it holds no interaction of run {run}", remedy)
    usages[-1] = total
    return content, run, tuple(rows), RecordedCalls(tuple(usages), exchanges, answers)


def _read_table(path: Path, run: int | None, game: GameRules) -> tuple[Row, ...]:
    """Return the interactions of a run in a table, of the first one there if none is named."""
    import pyarrow.parquet as pq  # late: it takes a moment

    columns = list(interaction_columns(game))
    if "outcome" in columns:
        columns.remove("outcome")  # follows from the names
    try:
        with pq.ParquetFile(path) as file:
            kinds = {column: file.schema_arrow.field(column).type for column in columns}
            for column, kind in kinds.items():
                is_list = column in GameInteraction._fields[3:]
                held = kind.value_type if is_list and pa.types.is_list(kind) else kind
                fitting = _KINDS.get(re.sub("(_[ab]|s)$", "", column), (pa.types.is_integer,))
                if is_list != (held is not kind) or not any(fits(held) for fits in fitting):
                    raise FileFormatError(path, f"its {column} cannot be {kind}", _ANOTHER)
            if run is None:
                first = next(file.iter_batches(1, columns=["run"]), None)
                run = first.column("run")[0].as_py() if first else 0
        table = pq.read_table(path, columns=columns, filters=[("run", "==", run)])
    except FileFormatError:
        raise
    except (OSError, pa.ArrowException, ValueError, TypeError, LookupError) as error:
        problem = f"it is damaged or no table of interactions ({error})"
        raise FileFormatError(path, problem, _ANOTHER) from error
    if any(_has_gaps(table.column(column)) for column in columns):
        raise FileFormatError(path, "some of it is empty", _ANOTHER)
    if not table.num_rows:
        problem = f"it holds no interaction of run {run}"
        raise FileFormatError(path, problem, "Name another run, or another folder.")
    _check_length(path, table.num_rows)
    lines: Any = zip(*(table.column(column).to_pylist() for column in columns), strict=True)
    if isinstance(game, Game):
        return tuple(map(Interaction._make, lines))
    if game.seats == 2:
        lines = ((*it[:3], it[3:5], it[5:7], it[7:9]) for it in lines)
    return tuple(GameInteraction._make((*it[:3], *map(tuple, it[3:]))) for it in lines)


def _has_gaps(column: Any) -> bool:
    """Whether a value is missing in a column, or in a list in it."""
    if pa.types.is_list(column.type):
        return bool(column.null_count) or bool(pc.list_flatten(column).null_count)
    return bool(column.null_count)


def _matched(
    rows: Sequence[Row], nodes: Sequence[Hashable], game: GameRules, path: Path
) -> tuple[Row, ...]:
    """Return rows with the nodes of the network for what tables and journals have instead.

    Rows that no run can have left are refused.
    """
    known: dict[Any, Hashable] = {}
    for node in nodes:
        written = read_node(node_text(node)) if path.name == JOURNAL else node_name(node)
        if written in known:
            raise _indistinct(path, written)
        known[written] = node
    known |= {node: node for node in nodes if isinstance(node, int)}
    found: list[Row] = []
    names, number, round_ = set(game.pool), -1, 0
    for row in rows:
        problem = ""
        if row.interaction <= number or row.round < round_:
            problem = "is out of order"
        elif not set(row.names) <= names:
            problem = "has a name that is not in the pool"
        elif not set(row.nodes) <= known.keys():
            problem = "has an agent that is not in the network"
        elif not 2 <= len(row.nodes) == len(row.names) == (game.seats or len(row.nodes)):
            problem = "has not a name for each agent that the game is for"
        elif len(set(row.nodes)) < len(row.nodes):
            raise _indistinct(path, max(row.nodes, key=row.nodes.count))
        if problem:
            raise FileFormatError(path, f"interaction {row.interaction} {problem}", _ANOTHER)
        number, round_ = row.interaction, row.round
        found.append(_with_nodes(row, [known[node] for node in row.nodes]))
    return tuple(found)


def _with_nodes(row: Row, nodes: Sequence[Hashable]) -> Row:
    if isinstance(row, GameInteraction):
        return row._replace(nodes=tuple(nodes))
    return row._replace(node_a=nodes[0], node_b=nodes[1])


def _add_missing_edges(graph: nx.Graph[Any], rows: Sequence[Row]) -> str:
    """Add edges that were played along but are not in the graph; return a note about them."""
    pairs = {(row.nodes[0], other) for row in rows for other in row.nodes[1:]}
    missing = [(u, v) for u, v in pairs if not (graph.has_edge(u, v) or graph.has_edge(v, u))]
    before = graph.number_of_edges()
    graph.add_edges_from(missing)
    more = graph.number_of_edges() - before
    return f"Edges added during the run are shown from its start: {more}." if more else ""


def _plus(total: Usage, call: Attempt) -> Usage:
    """Return a usage with one more call; the cost is unknown once that of a reply is."""
    unpriced = total.usd is None or (call.reply is not None and call.cost is None)
    return Usage(
        total.calls + 1,
        total.tokens + (call.input_tokens or 0) + (call.output_tokens or 0),
        None if unpriced else (total.usd or 0.0) + (call.cost or 0.0),
    )


def _check_length(path: Path, interactions: int) -> None:
    if interactions not in limits.LINKED_INTERACTIONS:
        problem = f"over {limits.LINKED_INTERACTIONS.high:,} interactions are too many to show"
        raise FileFormatError(path, problem, "Read it with pandas.")


def _indistinct(path: Path, node: Hashable) -> FileFormatError:
    return FileFormatError(
        path,
        f"two agents are both called {str(node)!r} in it",
        "Give agents ids that stay different as text, and play it again.",
    )


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Report what no run can have written as ``FileFormatError``."""
    try:
        yield
    except FileFormatError:
        raise
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        problem = getattr(error, "problem", repr(error))
        raise FileFormatError(path, f"no run is described in it ({problem})", _OPEN) from error
