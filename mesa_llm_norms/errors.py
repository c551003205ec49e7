"""Every error and warning of the package: one tree, each message saying what to do.

::

    NormsError
    ├── SpecError            a bad argument           (also a ValueError)
    │   ├── PoolError        the names agents may play
    │   ├── TopologyError    a topology string or a graph file
    │   ├── GraphError       a graph on which the game cannot be played
    │   ├── PairingError     a pairing rule, or a pair it drew
    │   └── MindError        a mind that cannot be found, or that breaks the contract of minds
    ├── FileFormatError      a file that cannot be read as what it should be (also a ValueError)
    │   └── JournalError     the journal of a run that cannot be gone on with
    ├── DecisionError        a mind that gave no usable decision
    │   └── SkippedError     the same, where the interaction is skipped and the run goes on
    ├── CallError            a call to a model's server that brought no reply
    ├── BudgetError          the next call would pass a budget
    ├── WorkerError          processes that play runs are lost time and again
    └── InterruptionError    somebody called interrupt() while minds were waited for
    GraphWarning             a graph the game can be played on, with a caveat (a UserWarning)
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any


class NormsError(Exception):
    """Base of every error this package raises on purpose."""


class SpecError(NormsError, ValueError):
    """An argument that cannot be used.

    ``argument`` names it, ``value`` is what was given, ``remedy`` what to do instead.
    """

    def __init__(self, argument: str, value: Any, problem: str, remedy: str) -> None:
        super().__init__(f"{argument}: {problem}. {remedy}")
        self.argument = argument
        self.value = value
        self.problem = problem
        self.remedy = remedy

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.argument, self.value, self.problem, self.remedy)


class PoolError(SpecError):
    """The pool of names cannot be played with."""


class TopologyError(SpecError):
    """A topology string is not of the known form, or its parameters make no graph."""


class PairingError(SpecError):
    """A pairing rule is unknown, or drew a pair that is not an edge."""


class MindError(SpecError):
    """A mind is unknown, or does not keep the contract of minds."""


class GraphError(SpecError):
    """The game cannot be played on this graph; ``nodes`` are the ones in the way."""

    def __init__(self, problem: str, remedy: str, nodes: Iterable[Hashable] = ()) -> None:
        self.nodes: tuple[Hashable, ...] = tuple(nodes)
        super().__init__("graph", self.nodes, problem, remedy)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problem, self.remedy, self.nodes)


class FileFormatError(NormsError, ValueError):
    """A file, ``path``, cannot be read; ``problem`` and ``remedy`` say why and what to do."""

    def __init__(self, path: str | Path, problem: str, remedy: str) -> None:
        super().__init__(f"{path}: {problem}. {remedy}")
        self.path = Path(path)
        self.problem = problem
        self.remedy = remedy

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.problem, self.remedy)


class JournalError(FileFormatError):
    """The journal of a run cannot be read, or does not belong to what is to be gone on with."""


class DecisionError(NormsError):
    """A mind gave no decision, or a name outside the pool; nothing is ever put in its place."""

    def __init__(self, mind: str, problem: str) -> None:
        super().__init__(
            f"mind {mind!r}: {problem}. The interaction was not played; correct the mind and go on."
        )
        self.mind = mind
        self.problem = problem

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.mind, self.problem)


class SkippedError(DecisionError):
    """A mind gave no decision, and by the caller's choice the run goes on without one.

    The interaction is void: it keeps its number, nobody remembers it, and no name is played.
    """


_REMEDIES = {
    "rate limit": "Ask for less at once (max_concurrency), or later.",
    "refused": "See what the server has against the call.",
    "denied": "Check the key, the model's name and the account.",
    "connection": "Check the address, and that a server is running there.",
    "timeout": "Give calls more time (timeout), or ask for less at once.",
    "garbled": "Check that the address is that of such a server.",
}


class CallError(NormsError):
    """A call to a model's server brought no reply.

    ``server`` is its label, ``kind`` what went wrong: ``rate limit`` (the server asks for fewer
    calls), ``overloaded`` (it has too many from others), ``failed`` (it answered with an error that
    may pass), ``refused`` (with one about the call itself), ``denied`` (with one that no other call
    will be spared: a wrong key, an unknown model), ``connection``, ``timeout`` or ``garbled`` (what
    came back is not the protocol's). ``status`` is the HTTP status where there was one, and
    ``retry_after`` the seconds the server asks to wait.
    """

    def __init__(
        self,
        server: str,
        kind: str,
        problem: str,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        said = f"{kind} ({status})" if status is not None else kind
        remedy = _REMEDIES.get(kind, "Try again later.")
        super().__init__(f"{server}: {said}: {problem.rstrip('.')}. {remedy}")
        self.server = server
        self.kind = kind
        self.problem = problem
        self.status = status
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.server, self.kind, self.problem, self.status, self.retry_after)


class BudgetError(NormsError):
    """The next call could pass a budget, and was not made.

    ``budget`` says which (``calls``, ``tokens`` or ``usd``), ``limit`` how much there is,
    ``used`` what was used, and ``next_call`` what one more call may use at most.
    """

    def __init__(self, budget: str, limit: float, used: float, next_call: float) -> None:
        super().__init__(
            f"budget: {used:,.6g} of {limit:,.6g} {budget} are used, and one more call may take "
            f"{next_call:,.6g}. Everything so far is kept; go on with a larger budget."
        )
        self.budget = budget
        self.limit = limit
        self.used = used
        self.next_call = next_call

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.budget, self.limit, self.used, self.next_call)


class WorkerError(NormsError):
    """What plays the runs is lost; ``problem`` says how. What was finished before is kept."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"workers: {problem}. Look for what ends them, a lack of memory perhaps, and go on."
        )
        self.problem = problem

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problem,)


class InterruptionError(NormsError):
    """Play was interrupted while it waited for minds, by ``NamingGame.interrupt``."""

    def __init__(self) -> None:
        super().__init__("interrupted: play stopped between two interactions. Play on to go on.")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()


class GraphWarning(UserWarning):
    """The game can be played on this graph, but not every question can be answered on it."""


def some(items: Sequence[Any], limit: int = 5) -> str:
    """Name the first ``limit`` items in a message, and how many more there are."""
    named = ", ".join(repr(item) for item in items[:limit])
    more = len(items) - limit
    return f"{named} and {more} more" if more > 0 else named
