"""What is on screen at one moment, and what there is to know about one agent: immutable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Usage(NamedTuple):
    """What calls of live minds came to; ``usd`` is None where a price is not known."""

    calls: int
    tokens: int
    usd: float | None


@dataclass(frozen=True, slots=True)
class Frame:
    """A population at one moment.

    ``drawing``, ``codes``, ``marks`` and ``recent`` are what the network view takes, ``successes``
    and ``shares`` what the charts take; see ``viz.views``. ``state`` is ``preparing``, ``playing``,
    ``pausing`` (live minds are still answering) or ``paused``. ``note`` says why play stopped by
    itself, ``error`` what went wrong, in one sentence each, empty where there is nothing to say.
    """

    drawing: str = ""
    codes: str = ""
    marks: str = ""
    recent: str = ""
    pool: tuple[str, ...] = ()
    successes: str = ""
    shares: str = ""
    rounds: int = 0
    """How many population rounds were begun."""
    interactions: int = 0
    success_rate: float | None = None
    """Share of the interactions of the last round that matched, as far as it was played."""
    leader: str | None = None
    """The name most agents hold."""
    leader_share: float = 0.0
    distinct: int = 0
    """How many different names are held."""
    converged: bool = False
    state: str = "preparing"
    note: str = ""
    error: str = ""
    usage: Usage | None = None
    length: int | None = None
    """Of a recorded run, how many interactions there are."""


class Choice(NamedTuple):
    """A name and the probability with which an agent would choose it now."""

    name: str
    probability: float


class Partner(NamedTuple):
    """Somebody an agent can meet: who, the name held, how often they met and matched."""

    place: int
    node: str
    name: str | None
    met: int
    matched: int


class Exchange(NamedTuple):
    """A call of a live mind: what was asked, what came back, tokens and seconds.

    ``reply`` is None where none came; ``problem`` then says why. ``tokens`` are those read and
    written.
    """

    system: str
    prompt: str
    reply: str | None
    problem: str
    tokens: tuple[int, int]
    seconds: float


@dataclass(frozen=True, slots=True)
class Card:
    """All there is to know about one agent.

    ``memory`` is its interactions, oldest first: own name, partner's name, payoff. ``choices`` are
    the probabilities with which it would choose now, None for minds that have none to tell;
    ``asked`` is what a live mind would be asked now, and ``exchange`` its last call.
    """

    place: int
    node: str
    mind: str
    committed: str | None
    name: str | None
    score: float
    memory: tuple[tuple[str, str, float], ...]
    choices: tuple[Choice, ...] | None
    asked: str | None
    exchange: Exchange | None
    partners: tuple[Partner, ...]
