"""What of a population is on screen: the names held, the last interactions, the record."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

from mesa_llm_norms.game import Interaction
from mesa_llm_norms.places import layout
from mesa_llm_norms.viz.encoding import drawing_text
from mesa_llm_norms.viz.frame import Frame
from mesa_llm_norms.viz.record import Record
from mesa_llm_norms.viz.source import Source

NOBODY = " "
"""Stands in ``codes`` for an agent that has not played."""
RECENT = 30
"""How many of the last interactions are drawn, at most; of small populations half a round."""


class Stage:
    """Takes in interactions and makes frames of them; for the thread that plays."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.record = Record(source.pool)
        self._names = {name: place for place, name in enumerate(source.pool)}
        self._codes = [chr(48 + place) for place in range(len(source.pool))]
        self._places: dict[Hashable, int] = {node: at for at, node in enumerate(source.graph)}
        self._held = [NOBODY] * len(self._places)
        self._recent: deque[str] = deque(maxlen=max(1, min(RECENT, source.agents // 2)))
        self._converged = False
        self._positions = layout(source.graph)
        self.redraw()

    def redraw(self) -> None:
        """Draw the ties anew; agents stay where they are."""
        self._drawing = drawing_text(self.source.graph, self.source.pool, self._positions)

    def add(self, row: Interaction) -> None:
        """Take in one interaction."""
        place_a, place_b = self._places[row.node_a], self._places[row.node_b]
        name_a, name_b = self._names[row.name_a], self._names[row.name_b]
        self.record.add(row.round, place_a, place_b, name_a, name_b)
        self._held[place_a], self._held[place_b] = self._codes[name_a], self._codes[name_b]
        self._recent.append(f"{place_a},{place_b},{int(name_a == name_b)}")
        self._converged = self.source.converged

    def frame(self, state: str, note: str = "", error: str = "") -> Frame:
        """Return what is on screen now."""
        source, record = self.source, self.record
        codes = "".join(self._held)
        held = {
            name: codes.count(code) for name, code in zip(source.pool, self._codes, strict=True)
        }
        playing = sum(held.values())
        leader = max(held, key=lambda name: held[name]) if playing else None
        return Frame(
            drawing=self._drawing,
            codes=codes,
            marks=self._marks(),
            recent=" ".join(self._recent),
            pool=source.pool,
            successes=record.success_points(),
            shares=record.share_points(),
            rounds=record.rounds,
            interactions=record.interactions,
            success_rate=record.success_rate,
            leader=leader,
            leader_share=held[leader] / playing if leader is not None else 0.0,
            distinct=sum(times > 0 for times in held.values()),
            converged=self._converged,
            state=state,
            note=note,
            error=error,
            usage=source.usage,
            length=source.length,
        )

    def _marks(self) -> str:
        committed = self.source.committed()
        if not committed:
            return ""
        return "".join("c" if node in committed else " " for node in self._places)
