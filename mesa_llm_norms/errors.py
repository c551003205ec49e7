"""Every error and warning of the package: one tree, each message saying what to do.

::

    NormsError
    ├── SpecError            an argument that cannot be used (also a ValueError)
    │   ├── PoolError        the names agents may play
    │   ├── TopologyError    a topology string or a graph file
    │   ├── GraphError       a graph on which the game cannot be played
    │   ├── PairingError     a pairing rule, or a pair it drew
    │   └── MindError        a mind that is unknown or breaks the contract of minds
    ├── FileFormatError      a file that cannot be read as what it should be (also a ValueError)
    │   └── JournalError     the journal of a run that cannot be resumed
    ├── DecisionError        a mind that gave no usable decision
    │   └── SkippedError     the same, where the interaction is skipped and the run continues
    ├── CallError            a call to a model provider that brought no reply
    ├── BudgetError          the next call would exceed a budget
    ├── WorkerError          worker processes that keep dying
    ├── ReportError          figures or a report that could not be made of results
    └── InterruptionError    interrupt() was called while waiting for minds
    GraphWarning             a graph the game can be played on, with a caveat (a UserWarning)

Arguments of an error are its attributes of the same names, and all errors can be pickled.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

__all__ = [
    "BudgetError",
    "CallError",
    "DecisionError",
    "FileFormatError",
    "GraphError",
    "GraphWarning",
    "InterruptionError",
    "JournalError",
    "MindError",
    "NormsError",
    "PairingError",
    "PoolError",
    "ReportError",
    "SkippedError",
    "SpecError",
    "TopologyError",
    "WorkerError",
]


class NormsError(Exception):
    """Base of every error this package raises on purpose."""

    _arguments: ClassVar[tuple[str, ...]] = ()
    """The attributes that make an equal error when passed to the class."""

    def __reduce__(self) -> str | tuple[Any, ...]:
        if not self._arguments:
            return super().__reduce__()
        return type(self), tuple(getattr(self, name) for name in self._arguments)


class SpecError(NormsError, ValueError):
    """An argument that cannot be used.

    Attributes
    ----------
    argument : str
        Its name.
    value : object
        What was given.
    problem, remedy : str
        What is wrong with it, and what to do instead.
    """

    _arguments: ClassVar[tuple[str, ...]] = ("argument", "value", "problem", "remedy")

    def __init__(self, argument: str, value: Any, problem: str, remedy: str) -> None:
        problem, remedy = shortened(problem), shortened(remedy)
        super().__init__(f"{argument}: {problem}. {remedy}")
        self.argument = argument
        self.value = value
        self.problem = problem
        self.remedy = remedy


class PoolError(SpecError):
    """A pool of names that cannot be played with. Attributes as in ``SpecError``."""


class TopologyError(SpecError):
    """A topology string of unknown form or unfit parameters. Attributes as in ``SpecError``."""


class PairingError(SpecError):
    """An unknown pairing rule, or a pair that is not an edge. Attributes as in ``SpecError``."""


class MindError(SpecError):
    """A mind that is unknown or breaks the contract of minds. Attributes as in ``SpecError``."""


class GraphError(SpecError):
    """A graph on which the game cannot be played.

    Attributes
    ----------
    nodes : tuple of hashable
        The ids of the nodes concerned.
    argument, value, problem, remedy
        As in ``SpecError``.
    """

    _arguments = ("problem", "remedy", "nodes")

    def __init__(self, problem: str, remedy: str, nodes: Iterable[Hashable] = ()) -> None:
        self.nodes: tuple[Hashable, ...] = tuple(nodes)
        super().__init__("graph", self.nodes, problem, remedy)


class FileFormatError(NormsError, ValueError):
    """A file that cannot be read as what it should be.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    problem, remedy : str
        What is wrong with it, and what to do.
    """

    _arguments = ("path", "problem", "remedy")

    def __init__(self, path: str | Path, problem: str, remedy: str) -> None:
        problem, remedy = shortened(problem), shortened(remedy)
        super().__init__(f"{shortened(str(path))}: {problem}. {remedy}")
        self.path: Path = Path(path)
        self.problem = problem
        self.remedy = remedy


class JournalError(FileFormatError):
    """A journal that cannot be read, or belongs to another run. Attributes as in its base."""


class DecisionError(NormsError):
    """A mind that gave no decision, or a name outside the pool. Nothing is put in its place.

    Attributes
    ----------
    mind : str
        The label of the mind.
    problem : str
        What it did instead.
    remedy : str
        What to do; by default, to fix the mind.
    """

    _arguments = ("mind", "problem", "remedy")

    def __init__(self, mind: str, problem: str, remedy: str = "Fix the mind and continue.") -> None:
        super().__init__(f"mind {shown(mind)}: {problem}. The interaction was not played. {remedy}")
        self.mind = mind
        self.problem = problem
        self.remedy = remedy


class SkippedError(DecisionError):
    """A mind that gave no decision where the caller chose to continue without one.

    The interaction is skipped: it keeps its number, nobody remembers it, and no name is played.
    Attributes as in ``DecisionError``.
    """


_REMEDIES = {
    401: "Check the key.",
    402: "See to the account's credit or limits.",
    403: "Check what the key and the account may use.",
    404: "Check the address and the model's name.",
    405: "Check the address.",
    "rate limit": "Send fewer calls at once (max_concurrency), or try later.",
    "refused": "See what the provider objects to in the call.",
    "denied": "Check the key, the model's name and the account.",
    "connection": "Check the address, and that a server is running there.",
    "timeout": "Allow more time per call (timeout), or send fewer at once.",
    "garbled": "Check that the address is that of such a server.",
}
"""What to do after an error of a status, or else of a kind."""


class CallError(NormsError):
    """A call to a model provider that brought no reply.

    Attributes
    ----------
    provider : str
        The label of the provider.
    kind : str
        ``rate limit`` (the provider asks for fewer calls), ``overloaded`` (by others), ``failed``
        (an error that may pass), ``refused`` (an error about this call), ``denied`` (an error that
        every call will get: a wrong key, an unknown model), ``connection``, ``timeout`` or
        ``garbled`` (the reply does not follow the protocol).
    problem : str
        What the provider said.
    status : int or None
        The HTTP status, if there was one.
    retry_after : float or None
        How many seconds the provider asks to wait.
    remedy : str
        What to do; by default what helps against most errors of this kind.
    said : str or None
        What came back, where the problem quotes only its beginning.
    """

    _arguments = ("provider", "kind", "problem", "status", "retry_after", "remedy", "said")

    def __init__(
        self,
        provider: str,
        kind: str,
        problem: str,
        status: int | None = None,
        retry_after: float | None = None,
        remedy: str | None = None,
        said: str | None = None,
    ) -> None:
        title = f"{kind} ({status})" if status is not None else kind
        default = _REMEDIES.get(status) or _REMEDIES.get(kind, "Try again later.")
        remedy = remedy or default
        super().__init__(f"{provider}: {title}: {problem.rstrip('.')}. {remedy}")
        self.provider = provider
        self.kind = kind
        self.problem = problem
        self.status = status
        self.retry_after = retry_after
        self.remedy = remedy
        self.said = said


class BudgetError(NormsError):
    """The next call could exceed a budget, and was not made.

    Attributes
    ----------
    budget : str
        Which budget: ``calls``, ``tokens`` or ``usd``.
    limit, used, next_call : float
        The budget, how much of it is used, and the most that one more call may use.
    """

    _arguments = ("budget", "limit", "used", "next_call")

    def __init__(self, budget: str, limit: float, used: float, next_call: float) -> None:
        super().__init__(
            f"budget: {used:,.6g} of {limit:,.6g} {budget} are used, and one more call may take "
            f"{next_call:,.6g}. Everything so far is kept; resume with a larger budget."
        )
        self.budget = budget
        self.limit = limit
        self.used = used
        self.next_call = next_call


class WorkerError(NormsError):
    """The processes that play runs keep dying. Finished runs are kept.

    Attributes
    ----------
    problem, remedy : str
        What happened to them, and what to do.
    """

    _arguments = ("problem", "remedy")

    def __init__(
        self, problem: str, remedy: str = "Play with workers=1 to see what ends them."
    ) -> None:
        super().__init__(f"workers: {problem}. {remedy}")
        self.problem = problem
        self.remedy = remedy


class ReportError(NormsError):
    """Figures or a report could not be made. The results are on disk.

    Attributes
    ----------
    folder : str
        Where the results are.
    problem : str
        What went wrong.
    """

    _arguments = ("folder", "problem")

    def __init__(self, folder: str, problem: str) -> None:
        super().__init__(
            f"report: the figures and the report could not be made ({problem}). The tables are in "
            f"{folder}; the same command makes the rest once the cause is gone, live minds with "
            "resume, without a call."
        )
        self.folder = folder
        self.problem = problem


class InterruptionError(NormsError):
    """Play was interrupted by ``NamingGame.interrupt`` while it waited for minds."""

    def __init__(self) -> None:
        super().__init__("interrupted: play stopped between two interactions. Step or run again.")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()


class GraphWarning(UserWarning):
    """The game can be played on this graph, but not every question can be answered on it."""


def some(items: Sequence[Any], limit: int = 5) -> str:
    """Return the first ``limit`` items for a message, and how many more there are."""
    named = ", ".join(shown(item, 100) for item in items[:limit])
    more = len(items) - limit
    return f"{named} and {more} more" if more > 0 else named


def shortened(text: str, most: int = 1_000) -> str:
    """Return a text of at most so many characters, or so many of it and how many it has."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text):,} characters)"


def shown(value: Any, most: int = 200) -> str:
    """Return ``value`` as it would be written, for a message: at most so many characters of it."""
    try:
        text = repr(value)
    except ValueError:  # Python writes out no whole number of more than 4,300 digits
        text = "a number of too many digits"
    except RecursionError:
        text = f"a {type(value).__name__} within many others"
    return shortened(text, most)
