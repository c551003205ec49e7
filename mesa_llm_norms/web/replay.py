"""The spec of a run on record, as far as its folder holds it; no mind is called, no file opened.

``spec.json`` is in words: graphs that were given are not in it, and node ids are text. A journal
holds its spec whole.

The interactions of a run on record, and the calls of live minds that they took.

A run that is read from a folder to be looked at: all of it, once, for any number of viewers.

It may be the folder of ``mesa-llm-norms run``, of an ensemble whose interactions were kept, or of
live minds, at its end or not. Nothing in a folder is executed, and no other file is opened.

A population that is shown again: the interactions of a recorded run, from its start.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import networkx as nx
import pyarrow as pa

from mesa_llm_norms.core.files import SPEC, read_json
from mesa_llm_norms.core.game import Game, Interaction, Memory, filled, remember, score
from mesa_llm_norms.core.randomness import MASK, RandomStream
from mesa_llm_norms.core.stopping import MOST, Goal, Recent, check_stopping, converging
from mesa_llm_norms.errors import DecisionError, FileFormatError, SpecError
from mesa_llm_norms.llm.journal.journal import Journal
from mesa_llm_norms.llm.journal.tables import Attempt, read_node, storable
from mesa_llm_norms.llm.settings import JOURNAL
from mesa_llm_norms.minds.mind import Decision, Mind, Policy, Situation
from mesa_llm_norms.minds.policies import CommittedMind
from mesa_llm_norms.minds.registry import load_mind, mind_names
from mesa_llm_norms.networks.adjacency import to_networkx
from mesa_llm_norms.networks.drawing import layout
from mesa_llm_norms.networks.graph_files import names_file
from mesa_llm_norms.networks.placement import PLACEMENTS
from mesa_llm_norms.networks.registry import find_topology
from mesa_llm_norms.simulation.serialization import restore
from mesa_llm_norms.simulation.spec import InitialState, Spec, by_share
from mesa_llm_norms.validation import read_whole
from mesa_llm_norms.web.frames import Card, Choice, Exchange, Partner, Record, Usage
from mesa_llm_norms.web.model_source import MOST_AGENTS, exchange
from mesa_llm_norms.web.setting import MOST_AT, Edit

REMEDY = "Open the folder of a run as mesa-llm-norms run leaves it."


_SIZE = re.compile(r"(\d{1,9}) nodes, \d+ edges")


_ANY_MIND = {"kind": "all", "mind": {"kind": "name", "name": "unbiased"}}


class AbsentMind(Mind):
    """Stands for a mind of which a record holds the label alone."""

    def __init__(self, label: str) -> None:
        self.label = label

    async def decide(self, situation: Situation) -> Decision:  # noqa: ARG002
        """Raise ``DecisionError``."""
        raise DecisionError(self.label, "only its name is on record")


@dataclass(frozen=True)
class RecordedSpec:
    """What a file says of how a run was played.

    ``plain`` is the spec without its graph, its minds and its committed agents. ``graph`` is None
    where the file does not hold it; ``topology`` is it in words, as ``mind_label`` is the minds.
    ``minds`` and ``committed`` are as ``Spec`` takes them, but for nodes, which may be the text
    they are written as.
    """

    path: Path
    plain: Spec
    graph: Any
    topology: str
    minds: Any
    mind_label: str
    committed: Mapping[str, Any]
    goal: Goal

    @property
    def agents(self) -> int:
        """How many agents play by the words for the graph, 0 where these do not say."""
        size = _SIZE.fullmatch(self.topology)
        return int(size[1]) if size else 0

    def initial_state(self, run: int) -> InitialState:
        """Return a run made ready on the graph that is held; ``FileFormatError`` where it fails."""
        with understanding(self.path):
            spec = replace(self.plain, graph=self.graph)
            known = known_as(spec.initial_state(run).neighbors.nodes)
            minds = self.minds
            if isinstance(minds, Mapping) and not by_share(minds):
                minds = {find(node, known): mind for node, mind in minds.items()}
            committed = {name: _where(where, known) for name, where in self.committed.items()}
            return replace(spec, mind=minds, committed=committed).initial_state(run)

    def minds_of(self, nodes: Iterable[Hashable], run: int) -> dict[Hashable, Mind]:
        """Return the minds of nodes where there is no graph to draw shares on."""
        known = known_as(nodes)
        given: dict[Hashable, Mind] = {}
        usual = self.minds
        if isinstance(self.minds, Mapping):
            usual = AbsentMind(self.mind_label)
            if not by_share(self.minds):
                given = {find(node, known): mind for node, mind in self.minds.items()}
        stream = RandomStream(self.plain.seed, run)
        every = {
            id(mind): mind.for_run(self.plain.game, stream) for mind in (*given.values(), usual)
        }
        return {node: every[id(given.get(node, usual))] for node in nodes}


def of_description(content: Mapping[str, Any], path: Path) -> RecordedSpec:
    """Return the spec in the content of a ``spec.json``, at ``path``."""
    with understanding(path):
        described, told = content["spec"], content["run"]
        plain, topology = _plain(described, described["seed"]), described["graph"]
        held = find_topology(topology) is not None and not names_file(topology)
        minds = _described_minds(described["mind"])
        return RecordedSpec(
            path,
            plain,
            topology if held else None,
            topology,
            minds,
            replace(plain, mind=minds).mind_label,
            dict(described["committed"]),
            _goal([told["until"], told["window"], told["threshold"]]),
        )


def of_journal(content: Mapping[str, Any], path: Path) -> RecordedSpec:
    """Return the spec that a journal, at ``path``, was begun with."""
    with understanding(path):
        saved = content["spec"]
        arguments = restore({**saved, "mind": _ANY_MIND}, path, pairing="node")
        plain, graph = _plain(arguments, arguments["rng"]), arguments["graph"]
        minds = _saved_minds(saved["mind"])
        return RecordedSpec(
            path,
            plain,
            graph,
            replace(plain, graph=graph).topology,
            minds,
            replace(plain, mind=minds).mind_label,
            arguments["committed"],
            _goal(content.get("goal", Goal())),
        )


def known_as(nodes: Iterable[Hashable]) -> dict[Hashable, Hashable]:
    """Return nodes by themselves and by the text that tables of a run have for them."""
    every = list(nodes)
    return {_text(node): node for node in every} | {node: node for node in every}


def find(node: Hashable, known: Mapping[Hashable, Hashable]) -> Hashable:
    """Return the node that is meant, of those that are known, or ``node`` itself."""
    return known[node] if node in known else known.get(_text(node), node)


@contextmanager
def understanding(path: Path) -> Iterator[None]:
    """Report what is met with in the block that no run can have written, as ``FileFormatError``."""
    try:
        yield
    except FileFormatError:
        raise
    except SpecError as error:
        _refuse(path, error.problem, error)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        _refuse(path, repr(error), error)
    except RecursionError as error:
        _refuse(path, "it goes too deep", error)


def _refuse(path: Path, problem: str, error: Exception) -> NoReturn:
    raise FileFormatError(path, f"no run is described in it ({problem})", REMEDY) from error


def _plain(arguments: Mapping[str, Any], seed: Any) -> Spec:
    rules = ("names", "memory", "reward", "penalty", "incumbent")
    given = {name: arguments[name] for name in rules}
    plain = Spec(mind="unbiased", seed=read_whole("seed", seed, 0, MASK), **given)
    return replace(plain, names=plain.game.pool)


def _goal(values: Iterable[Any]) -> Goal:
    goal = Goal(*values)
    check_stopping(*goal)
    return goal


def _described_minds(described: Any) -> Any:
    if isinstance(described, str):
        return _labelled(described)
    if all(isinstance(label, str) for label in described.values()):
        return {node: _labelled(label) for node, label in described.items()}
    return {_labelled(label): share for label, share in described.items()}


def _saved_minds(saved: Mapping[str, Any]) -> Any:
    if saved["kind"] == "all":
        return _saved_mind(saved["mind"])
    if saved["kind"] == "shares":
        return {_saved_mind(mind): share for mind, share in saved["pairs"]}
    return {read_node(node): _saved_mind(mind) for node, mind in saved["pairs"]}


def _saved_mind(saved: Mapping[str, Any]) -> Mind:
    if saved["kind"] != "name":
        return AbsentMind(str(saved["label"]))
    name = str(saved["name"])
    return _labelled(name if name in mind_names() else Path(name).name)


def _labelled(label: str) -> Mind:
    """Return the mind that ships under a label; nothing else, for to load that may open a file."""
    return load_mind(label) if label in mind_names() else AbsentMind(label)


def _where(where: Any, known: Mapping[Hashable, Hashable]) -> Any:
    """Return who is committed as ``Spec`` takes it: an amount, one with a placement, or nodes."""
    if not isinstance(where, list):
        return where
    placed = len(where) == 2 and where[1] in PLACEMENTS and where[1] not in known
    return tuple(where) if placed else [find(node, known) for node in where]


def _text(node: Hashable) -> str:
    return storable(str(node))


_ANOTHER = "Put back a copy of it, or play the run again into another folder."


_KINDS = {
    "node_a": (pa.types.is_integer, pa.types.is_string, pa.types.is_large_string),
    "name_a": (pa.types.is_string, pa.types.is_large_string),
    "payoff": (pa.types.is_floating, pa.types.is_integer),
}


_KINDS |= {"node_b": _KINDS["node_a"], "name_b": _KINDS["name_a"]}
"""What a column of a table may hold, where that is not whole numbers."""


class RecordedCalls(NamedTuple):
    """The calls of live minds in a run.

    ``usages`` is what they came to before the first interaction and after each; ``exchanges`` the
    last one of each decision, by the number of the interaction and the seat.
    """

    usages: tuple[Usage, ...]
    exchanges: Mapping[tuple[int, int], Exchange]


class Journalled(NamedTuple):
    """What a journal holds of one run."""

    content: Mapping[str, Any]
    run: int
    rows: tuple[Interaction, ...]
    calls: RecordedCalls


def read_journal(path: Path, run: int | None) -> Journalled:
    """Return what a journal holds of a run, the first where none is named; others may write to it.

    Void interactions are in no result, what they took is. Raises ``JournalError``, or
    ``FileFormatError`` for rows that no run can have.
    """
    with Journal.read(path) as journal, understanding(path):
        content = journal.spec
        run = int(content.get("run", 0)) if run is None else run
        rows: list[Interaction] = []
        total, texts = Usage(0, 0, 0.0), dict[str, str]()
        usages, exchanges = [total], dict[tuple[int, int], Exchange]()
        for number in itertools.count():
            row = journal.interaction(run, number)
            if row is None:
                break
            for call in journal.attempts_of(run, number):
                total = _plus(total, call)
                system = texts.setdefault(call.system, call.system)
                exchanges[number, call.seat] = exchange(call._replace(system=system))
            if isinstance(row, Interaction):
                rows.append(row)
                usages.append(total)
                _check_length(path, len(rows))
    if not rows:
        held = f"run {content['run']}" if "run" in content else f"{content.get('runs', 0):,} runs"
        _refuse_rows(
            path,
            f"it holds no interaction of run {run}",
            f"It is that of {held}: name another, or wait until something has been played.",
        )
    usages[-1] = total
    return Journalled(content, run, tuple(rows), RecordedCalls(tuple(usages), exchanges))


def read_table(path: Path, run: int | None) -> tuple[Interaction, ...]:
    """Return the interactions of a run in a table, of the first one there if none is named.

    Node ids are as they are in the table: whole numbers or text. Raises ``FileFormatError``.
    """
    try:
        rows = list(_rows_of(path, run))
    except FileFormatError:
        raise
    except (OSError, pa.ArrowException, ValueError, TypeError, LookupError) as error:
        _refuse_rows(path, f"it is damaged or no table of interactions ({error})", _ANOTHER, error)
    if not rows:
        named = "" if run is None else f" of run {run}"
        _refuse_rows(
            path, f"it holds no interaction{named}", "Name another run, or another folder."
        )
    return tuple(rows)


def check_rows(rows: Sequence[Interaction], pool: Sequence[str], path: Path) -> None:
    """Raise ``FileFormatError`` for rows that no run of this package can have left."""
    names = set(pool)
    number, round_ = -1, 0
    for row in rows:
        if row.interaction <= number or row.round < round_:
            _refuse_rows(path, f"interaction {row.interaction} is out of order", _ANOTHER)
        if row.name_a not in names or row.name_b not in names:
            _refuse_rows(
                path, f"in interaction {row.interaction} a name is not of the pool", _ANOTHER
            )
        if row.node_a == row.node_b:
            _refuse_rows(
                path,
                f"two agents are both called {str(row.node_a)!r} in it",
                "Give agents ids that stay different as text, and play it again.",
            )
        number, round_ = row.interaction, row.round


def _rows_of(path: Path, run: int | None) -> Iterator[Interaction]:
    import pyarrow.parquet as pq  # late, for it takes a moment

    columns = list(Interaction._fields)
    with path.open("rb") as file:
        table = pq.ParquetFile(file)
        kinds = table.schema_arrow
        for column in columns:
            allowed = _KINDS.get(column, (pa.types.is_integer,))
            if not any(is_of(kinds.field(column).type) for is_of in allowed):
                _refuse_rows(path, f"its {column} cannot be {kinds.field(column).type}", _ANOTHER)
        shown = 0
        for batch in table.iter_batches(columns=columns):
            if any(batch.column(column).null_count for column in columns):
                _refuse_rows(path, "some of it is empty", _ANOTHER)
            values = [batch.column(column).to_pylist() for column in columns]
            for row in map(Interaction._make, zip(*values, strict=True)):
                run = row.run if run is None else run
                if row.run == run:
                    shown += 1
                    _check_length(path, shown)
                    yield row


def _plus(total: Usage, call: Attempt) -> Usage:
    """Return both together; that a price is not known is known of calls with a reply."""
    unpriced = total.usd is None or (call.reply is not None and call.cost is None)
    return Usage(
        total.calls + 1,
        total.tokens + (call.input_tokens or 0) + (call.output_tokens or 0),
        None if unpriced else (total.usd or 0.0) + (call.cost or 0.0),
    )


def _check_length(path: Path, interactions: int) -> None:
    if interactions > MOST_AT:
        _refuse_rows(
            path,
            f"there are over {MOST_AT:,} interactions in it",
            "That is too much to look at one by one; read it with pandas.",
        )


def _refuse_rows(path: Path, problem: str, remedy: str, error: Exception | None = None) -> NoReturn:
    raise FileFormatError(path, problem, remedy) from error


TABLE = "interactions.parquet"


_NAMED = 26


@dataclass(frozen=True)
class RecordedRun:
    """One run on record; nothing of it changes.

    ``heading`` says in a line what was played. ``note`` says in a sentence or two what of the
    network the record does not hold, and is empty as a rule. ``agents`` is how many played, more
    than ``graph`` has where some met nobody and are not on record. Its nodes have the places where
    they are drawn (``pos``), which take long to find. ``minds`` are those of agents that are
    committed to nothing, ``committed`` who was from the start, ``start`` what everybody remembered
    then. ``calls`` is None where no journal was kept.
    """

    folder: Path
    run: int
    heading: str
    note: str
    game: Game
    graph: nx.Graph[Any]
    agents: int
    minds: Mapping[Hashable, Mind]
    committed: Mapping[Hashable, str]
    start: Memory
    goal: Goal
    rows: tuple[Interaction, ...]
    calls: RecordedCalls | None


def read_recorded_run(folder: Path, run: int | None = None) -> RecordedRun:
    """Return a run of a folder, the first of many where none is named.

    Raises ``FileFormatError`` (``JournalError``) where there is none that can be shown.
    """
    journal, table, spec_file = folder / JOURNAL, folder / TABLE, folder / SPEC
    if not folder.is_dir():
        raise FileFormatError(folder, "there is no such folder", REMEDY)
    if journal.exists():
        kept = read_journal(journal, run)
        spec = of_journal(kept.content, journal)
        return _recorded(folder, kept.run, spec, kept.rows, kept.calls, journal)
    if not spec_file.exists():
        raise FileFormatError(folder, "there is no run in it", REMEDY)
    content = read_json(spec_file, REMEDY)
    spec = of_description(content, spec_file)
    if not table.is_file():
        raise FileFormatError(
            folder,
            "its interactions were not kept",
            "Play it again with --keep-interactions, or with 20,000 agents at most.",
        )
    rows = read_table(table, run)
    return _recorded(folder, rows[0].run, spec, rows, None, table)


def _recorded(
    folder: Path,
    run: int,
    spec: RecordedSpec,
    rows: tuple[Interaction, ...],
    calls: RecordedCalls | None,
    path: Path,
) -> RecordedRun:
    check_rows(rows, spec.plain.game.pool, path)
    with understanding(path):
        met = dict.fromkeys(node for row in rows for node in (row.node_a, row.node_b))
    _check_size(folder, len(met))
    network = _network_held(spec, run, met) or _network_met(spec, run, met, rows)
    graph, known = network.graph, known_as(network.graph)
    agents = max(len(graph), spec.agents)
    _check_size(folder, agents)
    rows = tuple(
        row._replace(node_a=find(row.node_a, known), node_b=find(row.node_b, known)) for row in rows
    )
    note = network.note or _add_what_is_missing(graph, rows)
    nx.set_node_attributes(graph, layout(graph), "pos")
    game, incumbent = spec.plain.game, spec.plain.incumbent
    return RecordedRun(
        folder=folder,
        run=run,
        heading=_heading(spec, run, agents),
        note=note,
        game=game,
        graph=nx.freeze(graph),
        agents=agents,
        minds=network.minds,
        committed=network.committed,
        start=filled(incumbent, game.memory) if incumbent is not None else (),
        goal=spec.goal,
        rows=rows,
        calls=calls,
    )


class _Network(NamedTuple):
    graph: nx.Graph[Any]
    minds: Mapping[Hashable, Mind]
    committed: Mapping[Hashable, str]
    note: str = ""


def _network_held(spec: RecordedSpec, run: int, met: Iterable[Hashable]) -> _Network | None:
    """Return the network that a record holds, None where it is not that of those who met."""
    if spec.graph is None:
        return None
    initial = spec.initial_state(run)
    _check_size(spec.path.parent, len(initial.neighbors))
    graph = to_networkx(initial.graph).copy()
    known = known_as(graph)
    if any(find(node, known) not in graph for node in met):
        return None
    committed = {
        node: mind.name
        for node, mind in initial.minds_by_node.items()
        if isinstance(mind, CommittedMind)
    }
    return _Network(graph, initial.uncommitted_by_node, committed)


def _network_met(
    spec: RecordedSpec, run: int, met: Iterable[Hashable], rows: Iterable[Interaction]
) -> _Network:
    """Return what can be told of a network from who met."""
    graph: nx.Graph[Any] = nx.Graph()
    graph.add_nodes_from(sorted(met, key=_in_order))
    graph.add_edges_from((row.node_a, row.node_b) for row in rows)
    note = "The record does not hold the network: only those who met and their ties are shown."
    if spec.committed:
        note += " Who was committed is not known either."
    return _Network(graph, spec.minds_of(graph, run), {}, note)


def _add_what_is_missing(graph: nx.Graph[Any], rows: Iterable[Interaction]) -> str:
    """Add ties that were met and are not in the graph; return what is to be said of it."""
    before = graph.number_of_edges()
    for row in rows:
        if not graph.has_edge(row.node_a, row.node_b) and not graph.has_edge(
            row.node_b, row.node_a
        ):
            graph.add_edge(row.node_a, row.node_b)
    more = graph.number_of_edges() - before
    return f"Ties that were met but are not in the network on record are shown: {more}." * (
        more > 0
    )


def _in_order(node: Hashable) -> tuple[bool, int, str]:
    return (False, node, "") if isinstance(node, int) else (True, 0, str(node))


def _heading(spec: RecordedSpec, run: int, agents: int) -> str:
    pool = spec.plain.game.pool
    names = ", ".join(pool[:_NAMED]) + (" ..." if len(pool) > _NAMED else "")
    return (
        f"{agents:,} agents with {spec.mind_label} on {spec.topology}, names {names}, "
        f"seed {spec.plain.seed}, run {run}"
    )


def _check_size(folder: Path, agents: int) -> None:
    if agents > MOST_AGENTS:
        raise FileFormatError(
            folder,
            f"more than {MOST_AGENTS:,} agents are too many to look at",
            "Read it with pandas, or open a smaller run.",
        )


class FolderSource:
    """A recorded run at its start, for one viewer; to see an earlier moment, begin anew.

    Who is committed is told until they play another name, as agents that were released do.
    """

    rounds = MOST

    def __init__(self, recorded: RecordedRun) -> None:
        self.recorded = recorded
        self.nodes: tuple[Hashable, ...] = tuple(recorded.graph)
        self._place = {node: place for place, node in enumerate(self.nodes)}
        self._name = {name: place for place, name in enumerate(recorded.game.pool)}
        self._memory = dict.fromkeys(self.nodes, recorded.start)
        self._last: dict[Hashable, tuple[Interaction, int]] = {}
        """For each agent that has played, its last interaction and its seat there."""
        self._committed = dict(recorded.committed)
        size = max(1, round(recorded.goal.window * recorded.agents))
        self._recent = Recent(size, len(self._name))
        self._stop = converging(size, recorded.goal.threshold)
        self._shown = 0

    @property
    def graph(self) -> nx.Graph[Any]:
        """The network, as it was at the start."""
        return self.recorded.graph

    @property
    def pool(self) -> tuple[str, ...]:
        """The names that may be played."""
        return self.recorded.game.pool

    @property
    def agents(self) -> int:
        """How many agents play: N."""
        return self.recorded.agents

    @property
    def converged(self) -> bool:
        """Whether the population has converged, by the window that its run was told."""
        return self._recent.reaches(self._stop)

    @property
    def free(self) -> bool:
        """Whether play costs nothing, so that a link may have it played."""
        return True

    @property
    def between_rounds(self) -> bool:
        """Whether the last population round that was begun is over, or the record is."""
        rows, shown = self.recorded.rows, self._shown
        return shown in (0, len(rows)) or rows[shown].round != rows[shown - 1].round

    @property
    def usage(self) -> Usage | None:
        """What the calls for the interactions so far came to, where there is a journal."""
        calls = self.recorded.calls
        return calls.usages[self._shown] if calls is not None else None

    @property
    def length(self) -> int | None:
        """How many interactions there are."""
        return len(self.recorded.rows)

    def committed(self) -> dict[Hashable, str]:
        """Return who is committed now, and to which name."""
        return dict(self._committed)

    def play(self) -> Generator[Interaction, None, None]:
        """Yield one interaction after the other; to stop asking is to stop playing."""
        rows = self.recorded.rows
        while self._shown < len(rows):
            row = rows[self._shown]
            self._take_in(row)
            self._shown += 1
            yield row

    def change(self, edit: Edit) -> bool:
        """Raise ``SpecError``."""
        raise SpecError(
            "edit",
            edit.text,
            "what is on record cannot be changed",
            "Play a population of its kind to change it.",
        )

    def card(self, place: int, record: Record) -> Card:
        """Return all there is to know about the agent in a place now."""
        if not 0 <= place < len(self.nodes):
            raise SpecError(
                "place", place, f"there is no agent {place}", f"Use 0 to {len(self.nodes) - 1}."
            )
        node, game = self.nodes[place], self.recorded.game
        memory, mind = self._memory[node], self.recorded.minds[node]
        committed = self._committed.get(node)
        decides = mind if committed is None else CommittedMind(committed)
        return Card(
            place=place,
            node=str(node),
            mind=mind.label,
            committed=committed,
            name=self._held(node),
            score=score(memory, game),
            memory=tuple((own, partner, game.payoff(own, partner)) for own, partner in memory),
            choices=(
                tuple(map(Choice, game.pool, map(float, decides.distribution(memory, game.pool))))
                if isinstance(decides, Policy)
                else None
            ),
            asked=None,
            exchange=self._exchange(node),
            partners=self._partners(place, record),
        )

    def interrupt(self) -> None:
        """Do nothing: no mind is waited for."""

    def close(self) -> None:
        """Do nothing: nothing is open."""

    def _take_in(self, row: Interaction) -> None:
        memory, length = self._memory, self.recorded.game.memory
        node_a, node_b, name_a, name_b = row.node_a, row.node_b, row.name_a, row.name_b
        memory[node_a] = remember(memory[node_a], name_a, name_b, length)
        memory[node_b] = remember(memory[node_b], name_b, name_a, length)
        self._last[node_a] = row, 0
        self._last[node_b] = row, 1
        self._recent.add(self._name[name_a], self._name[name_b])
        if self._committed:
            for node, name in ((node_a, name_a), (node_b, name_b)):
                if self._committed.get(node, name) != name:
                    del self._committed[node]

    def _held(self, node: Hashable) -> str | None:
        last = self._last.get(node)
        if last is None:
            return None
        row, seat = last
        return row.name_b if seat else row.name_a

    def _exchange(self, node: Hashable) -> Exchange | None:
        calls, last = self.recorded.calls, self._last.get(node)
        if calls is None or last is None:
            return None
        row, seat = last
        return calls.exchanges.get((row.interaction, seat))

    def _partners(self, place: int, record: Record) -> tuple[Partner, ...]:
        found = []
        for node in self.graph.adj[self.nodes[place]]:
            other = self._place[node]
            met, matched = record.meetings.get((min(place, other), max(place, other)), (0, 0))
            found.append(Partner(other, str(node), self._held(node), met, matched))
        return tuple(found)
