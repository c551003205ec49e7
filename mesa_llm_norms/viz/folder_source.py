"""A population that is shown again: the interactions of a recorded run, from its start."""

from __future__ import annotations

from collections.abc import Generator, Hashable
from typing import Any

import networkx as nx

from mesa_llm_norms.course import MOST
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.game import Interaction
from mesa_llm_norms.memory import remember, score
from mesa_llm_norms.minds import CommittedMind, Policy
from mesa_llm_norms.viz.edits import Edit
from mesa_llm_norms.viz.frame import Card, Choice, Exchange, Partner, Usage
from mesa_llm_norms.viz.record import Record
from mesa_llm_norms.viz.recorded_run import RecordedRun
from mesa_llm_norms.window import Recent, converging


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
