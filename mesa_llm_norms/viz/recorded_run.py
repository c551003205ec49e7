"""A run that is read from a folder to be looked at: all of it, once, for any number of viewers.

It may be the folder of ``mesa-llm-norms run``, of an ensemble whose interactions were kept, or of
live minds, at its end or not. Nothing in a folder is executed, and no other file is opened.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import networkx as nx

from mesa_llm_norms.course import Goal
from mesa_llm_norms.errors import FileFormatError
from mesa_llm_norms.game import Game, Interaction
from mesa_llm_norms.memory import Memory, filled
from mesa_llm_norms.minds import CommittedMind, Mind
from mesa_llm_norms.minds.live.calls import JOURNAL
from mesa_llm_norms.places import layout
from mesa_llm_norms.recording import SPEC
from mesa_llm_norms.text_files import read_json
from mesa_llm_norms.topologies import to_networkx
from mesa_llm_norms.viz.model_source import MOST_AGENTS
from mesa_llm_norms.viz.recorded_rows import RecordedCalls, check_rows, read_journal, read_table
from mesa_llm_norms.viz.recorded_spec import (
    REMEDY,
    RecordedSpec,
    find,
    known_as,
    of_description,
    of_journal,
    understanding,
)

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
    seating = spec.seat(run)
    _check_size(spec.path.parent, len(seating.contacts))
    graph = to_networkx(seating.graph).copy()
    known = known_as(graph)
    if any(find(node, known) not in graph for node in met):
        return None
    committed = {
        node: mind.name for node, mind in seating.minds.items() if isinstance(mind, CommittedMind)
    }
    return _Network(graph, seating.minds_at(seating.uncommitted), committed)


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
