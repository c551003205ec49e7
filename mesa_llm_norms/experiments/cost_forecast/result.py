"""Which recorded mind stands in for a live model, by the model's id alone.

Numbers that are not known yet: between what and what, and about how much.

What one call takes, as far as its server says now; the rest is assumed.

Nothing here asks a server anything.

What a forecast says.

A forecast in words: rows for a table, each a label and a range.

What several forecasts come to, played one after the other.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.errors import MindError
from mesa_llm_norms.llm.mind import LiveMind
from mesa_llm_norms.llm.provider import Provider
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.minds.registry import load_mind
from mesa_llm_norms.simulation.spec import InitialState

CLAUDE = "claude-3.5-sonnet"


LLAMAS = {
    "2": "llama-2-70b-chat",
    "3": "llama-3-70b-instruct",
    "3.x": "llama-3.1-70b-instruct",
}


OTHERS = "llama-3-70b-instruct"
"""Stands in for models of no recorded kind."""


_LLAMA = re.compile(
    r"""llama[\s._-]*v?
        ([23])(?![\d.]*b)                   # the version, and not the size of a "llama-3b"
        (?:[\s._p-]([1-9])(?!\d*\.?\d*b))?  # its second part, and not the size either
        (?!\d)
    """,
    re.IGNORECASE | re.VERBOSE,
)


class StandIn(NamedTuple):
    """The name of a recorded mind, and whether it is of the model's own kind."""

    name: str
    alike: bool

    @property
    def is_llama(self) -> bool:
        """Whether the model itself is one of the recorded Llamas' kind."""
        return self.alike and self.name in LLAMAS.values()


def nearest(model: str) -> StandIn:
    """Return the recorded mind that is nearest to a model.

    Versions of Llama are recognised as the makers of files and servers write them: ``llama3.1:8b``,
    ``Meta-Llama-3-70B-Instruct``, ``llama-v3p3-70b``, ``llama2``.
    """
    if "claude" in model.lower():
        return StandIn(CLAUDE, True)
    found = _LLAMA.search(model)
    if found is None:
        return StandIn(OTHERS, False)
    version, part = found.groups()
    return StandIn(LLAMAS["3.x" if version == "3" and part else version], True)


def offline(initial: InitialState) -> InitialState:
    """Return a run made ready with every live mind stood in for, the others as they are."""

    def put(mind: Mind) -> Mind:
        if not isinstance(mind, LiveMind):
            return mind
        return _recorded(mind.server.model).for_run(initial.game, initial.stream)

    return initial._replace(minds=tuple(put(mind) for mind in initial.minds))


@cache
def _recorded(model: str) -> Mind:
    return load_mind(nearest(model).name)


Values = NDArray[np.float64]


QUANTILES = (0.1, 0.5, 0.9)


RESAMPLES = 999


_SEED = 20251


class Range(NamedTuple):
    """What may be expected, the middle, and how far off it may be on either side.

    Where chance alone decides, one case in ten is below ``low`` and one in ten above ``high``.
    """

    low: float
    expected: float
    high: float

    def plus(self, other: Range) -> Range:
        """Return the sum of both, taken to be low together and high together."""
        return Range(*(a + b for a, b in zip(self, other, strict=True)))

    def times(self, other: Range | float) -> Range:
        """Return the product of both, taken likewise."""
        factor = other if isinstance(other, Range) else exactly(other)
        return Range(*(a * b for a, b in zip(self, factor, strict=True)))

    def at_most(self, most: Range | float) -> Range:
        """Return the range with none of its numbers above that of ``most``."""
        limit = most if isinstance(most, Range) else exactly(most)
        return Range(*map(min, self, limit))

    def at_least(self, least: Range) -> Range:
        """Return the range with none of its numbers below that of ``least``."""
        return Range(*map(max, self, least))


def exactly(number: float) -> Range:
    """Return the range of a number that is known."""
    return Range(number, number, number)


NOTHING = exactly(0.0)


def sum_up(ranges: Iterable[Range]) -> Range:
    """Return the sum of ranges, taken to be low together and high together."""
    total = NOTHING
    for each in ranges:
        total = total.plus(each)
    return total


def next_of(values: Any) -> Range:
    """Return where one more value lies, given independent ones that are like it.

    By Weibull's plotting positions (1939): of n values, the next is below the k-th with probability
    k / (n + 1), whatever they are distributed like.
    """
    return Range(*np.quantile(values, QUANTILES, method="weibull").tolist())


def sum_of(values: Values, number: int) -> Range:
    """Return where the sum of so many more values lies, given independent ones that are like them.

    What they are distributed like is itself uncertain: each resample weighs the values anew, by the
    Bayesian bootstrap (Rubin, Ann. Stat. 9, 130, 1981), before it draws from them.
    """
    if number == 1:
        return next_of(values)
    chance = generator()
    weights = chance.dirichlet(np.ones(len(values)), RESAMPLES)
    return next_of(chance.multinomial(number, weights) @ values)


def generator() -> np.random.Generator:
    """Return a generator for resampling, always the same: a forecast is no matter of luck."""
    return np.random.default_rng(_SEED)


BYTES_PER_TOKEN = Range(3.0, 3.8, 4.5)


ADDED = Range(0, 100, 300)
"""Tokens read beside the prompt: the schema, and the marks of a chat."""


ANSWER = Range(5, 10, 25)
"""Tokens written for a name, bare or as JSON."""


FIRST_TOKEN = Range(1, 1, 25)
"""Where the probabilities of the first token are all that is wanted."""


THINKING = Range(50, 200, 800)
"""Tokens of thinking, where there is any."""


OFF = ("disabled", "between_tools")
"""The values of a server's parameter ``thinking`` that keep a model from it."""


SECONDS = Range(0.5, 1.2, 3.0)


OWN_SECONDS = Range(0.1, 0.5, 2.0)
"""Likewise of a server that costs nothing, which is near nearly always."""


THINKING_SECONDS = Range(2.0, 5.0, 15.0)


class PerCall(NamedTuple):
    """What one call takes: tokens written, for the answer and for thinking before it; seconds.

    Together they are no more than ``max_tokens``.
    """

    answer: Range
    thinking: Range
    max_tokens: int
    seconds: Range

    @property
    def written(self) -> Range:
        """All tokens written."""
        return self.answer.plus(self.thinking).at_most(self.max_tokens)


def assumed(server: Provider, once: bool) -> PerCall:
    """Return what a call to a server takes; ``once`` if its replies are distributions."""
    answer = FIRST_TOKEN if once else ANSWER
    thinking = NOTHING if once else _thinking(server)
    quick = OWN_SECONDS if server.free else SECONDS
    seconds = Range(
        *(
            slow if tokens else plain
            for plain, slow, tokens in zip(quick, THINKING_SECONDS, thinking, strict=True)
        )
    )
    most = server.max_tokens
    return PerCall(answer.at_most(most), thinking.at_most(most), most, seconds)


def tokens_of(size: float) -> Range:
    """Return the tokens read in a call whose prompt has so many bytes."""
    most, middle, least = (size / each for each in BYTES_PER_TOKEN)
    return Range(least, middle, most).plus(ADDED)


def _thinking(server: Provider) -> Range:
    parameters = _parameters(server)
    if parameters.get("thinking") in OFF or nearest(server.model).is_llama:
        return NOTHING
    if "effort" in parameters:
        return THINKING
    # Not known. Who gives a call no room for thoughts expects none.
    middle = THINKING.expected if server.max_tokens >= THINKING.high else 0.0
    return Range(0.0, middle, THINKING.high)


def _parameters(server: Provider) -> Mapping[str, Any]:
    """Return what a server would send along, nothing where it cannot tell without a key."""
    try:
        return server.parameters
    except MindError:
        return {}


@dataclass(frozen=True)
class ServerForecast:
    """What all runs together take of one server; see ``Forecast``.

    ``once`` tells whether it answers each prompt only once, None if that is not known yet. ``call``
    is what a single call takes.
    """

    server: str
    model: str
    stand_in: StandIn
    once: bool | None
    call: PerCall
    calls: Range
    read: Range
    written: Range
    thinking: Range
    usd: Range | None


@dataclass(frozen=True)
class Forecast:
    """What ``runs`` runs will take, after ``simulated`` runs without a call.

    Of one run: ``interactions``, ``rounds``, and ``chain``, the longest series of calls that wait
    for each other; ``missed`` is the share of runs that do not reach their goal. Of all runs
    together: ``calls``, tokens ``read`` and ``written``, of which are ``thinking``, ``usd`` (None
    where a model has no known price) and ``seconds``.

    ``assumptions`` and ``warnings`` are sentences. Ranges of tokens, dollars and seconds are as
    wide as what is assumed; those of interactions leave out one run in ten on either side.
    """

    runs: int
    simulated: int
    missed: float
    interactions: Range
    rounds: Range
    chain: Range
    calls: Range
    read: Range
    written: Range
    thinking: Range
    usd: Range | None
    seconds: Range
    servers: tuple[ServerForecast, ...]
    assumptions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def as_object(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it, a range as ``low``, ``expected`` and ``high``."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}


def _plain(thing: Any) -> Any:
    if isinstance(thing, (Range, StandIn, PerCall)):
        return {name: _plain(part) for name, part in thing._asdict().items()}
    if isinstance(thing, ServerForecast):
        return {field.name: _plain(getattr(thing, field.name)) for field in fields(thing)}
    return [_plain(part) for part in thing] if isinstance(thing, tuple) else thing


Rounding = Callable[[float], int]


Write = Callable[[float, Rounding | None], str]
"""Writes a number, rounded in this direction, or as it is."""


_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def describe(forecast: Forecast) -> list[tuple[str, str]]:
    """Return the rows that say what runs will take: a label, and a range or a number as text."""
    return list(_rows(forecast))


def _rows(found: Forecast) -> Iterator[tuple[str, str]]:
    several = found.servers if len(found.servers) > 1 else ()
    each = " a run" if found.runs > 1 else ""
    if found.runs > 1:
        yield "runs", f"{found.runs:,}"
    yield f"rounds{each}", in_words(found.rounds, count)
    yield f"interactions{each}", in_words(found.interactions, count)
    if found.missed:
        yield "runs that miss their goal", share(found.missed)
    yield "calls", in_words(found.calls, count)
    for part in several:
        yield f"  to {part.server}", in_words(part.calls, count)
    yield "tokens read", in_words(found.read, count)
    yield "tokens written", in_words(found.written, count)
    yield "  of them thinking", in_words(found.thinking, count)
    yield "cost", cost(found.usd)
    for part in several:
        yield f"  of {part.server}", cost(part.usd)
    yield "wall time", in_words(found.seconds, duration)


def in_words(numbers: Range, write: Write) -> str:
    """Return a range as text, ``1,200 to 3,400 (about 2,100)``; a number that is known, alone.

    Ends have two digits and are rounded away from the middle.
    """
    low, expected, high = numbers
    if low == high:
        return write(low, None)
    return f"{write(low, math.floor)} to {write(high, math.ceil)} (about {write(expected, round)})"


def count(number: float, towards: Rounding | None) -> str:
    """Return a number of things."""
    return f"{number if towards is None else _two_digits(number, towards, most=0)[0]:,.0f}"


def dollars(usd: float, towards: Rounding | None) -> str:
    """Return an amount of money, to the cent or to its second digit."""
    rounded, places = _two_digits(usd, towards or round)
    return f"${rounded:,.{max(2, places) if rounded < 10 else 0}f}"


def duration(seconds: float, towards: Rounding | None) -> str:
    """Return a time in the largest unit of which there are two at least."""
    size, unit = next((it for it in _UNITS if seconds >= 2 * it[0]), _UNITS[-1])
    rounded, _ = _two_digits(seconds / size, towards or round)
    return f"{rounded:,g} {unit}{'' if rounded == 1 else 's'}"


def share(part: float) -> str:
    """Return a share as a percentage that never rounds to all or to nothing."""
    return f"{part:.0%}" if part == 1 else f"{min(max(part, 0.01), 0.99):.0%}"


def cost(usd: Range | None) -> str:
    """Return what calls cost."""
    return "not known" if usd is None else in_words(usd, dollars) if usd.high else "nothing"


def _two_digits(number: float, towards: Rounding, most: int = 99) -> tuple[float, int]:
    """Return a number with its first two digits, and ``most`` places behind the point, at most;
    and how many places there are.
    """
    places = min(most, 1 - math.floor(math.log10(number))) if number else 0
    # The inner rounding keeps what is 1.2 but for the last bit from becoming 1.3.
    if places >= 0:
        return towards(round(number * 10**places, 6)) / 10**places, places
    return float(towards(round(number / 10**-places, 6)) * 10**-places), 0


class Part(NamedTuple):
    """Some runs of many, and what they are expected to take, one forecast after the other."""

    label: str
    runs: int
    forecasts: tuple[Forecast, ...]


class Together(NamedTuple):
    """Calls, US dollars (None where a price is not known) and seconds of everything.

    Where a server answers equal prompts once, those that parts have in common are counted in each.
    """

    calls: Range
    usd: Range | None
    seconds: Range

    def as_object(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it."""
        return {
            "calls": self.calls._asdict(),
            "usd": None if self.usd is None else self.usd._asdict(),
            "seconds": self.seconds._asdict(),
        }


def together(found: Sequence[Forecast]) -> Together:
    """Return what these forecasts come to."""
    known = [one.usd for one in found if one.usd is not None]
    return Together(
        sum_up(one.calls for one in found),
        sum_up(known) if len(known) == len(found) else None,
        sum_up(one.seconds for one in found),
    )
