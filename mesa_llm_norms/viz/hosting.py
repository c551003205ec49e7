"""What whoever starts the page allows on it; nothing in a link can change that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mesa_llm_norms.recording import RUNS


@dataclass(frozen=True, kw_only=True)
class Hosting:
    """What a page offers beside recorded minds and built-in topologies.

    ``replay`` is the folder of a run to be looked at, ``scenes`` one with scenes of one's own,
    ``minds`` the live minds and mind files that may be chosen, ``topologies`` the graph files.
    Runs with live minds are kept in ``folder``, and each makes at most ``budget_calls`` calls and
    costs at most ``budget_usd`` US dollars, if that is given.
    """

    replay: Path | None = None
    scenes: Path | None = None
    minds: tuple[str, ...] = ()
    topologies: tuple[str, ...] = ()
    folder: Path = RUNS
    budget_calls: int = 2_000
    budget_usd: float | None = None


_current = Hosting()


def hosting() -> Hosting:
    """Return what is allowed in this process."""
    return _current


def host(allowed: Hosting) -> None:
    """Allow this from now on."""
    global _current
    _current = allowed
