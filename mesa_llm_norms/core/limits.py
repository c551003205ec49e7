"""Every limit of the package, with its unit and its reason, and the checks that hold to it.

A number, text, list, reply or file that comes from outside is checked against its ``Limit`` before
any work is done with it. The table of ``docs/limits.md`` lists them all. How much an algorithm does
at a time is not a limit in this sense, and stands where the algorithm is.
"""

from __future__ import annotations

import difflib
import os
import random
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from itertools import islice
from typing import Any, Generic, ParamSpec, TypeVar

import numpy as np

from mesa_llm_norms.errors import SpecError, shown, some

Number = TypeVar("Number", int, float)
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_PERCENTAGE = re.compile(r"\s*([+-]?(?:\d{1,20}\.?\d{0,20}|\.\d{1,20})) ?%\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Limit(Generic[Number]):
    """The range of one number, or of the size of one thing.

    Attributes
    ----------
    what : str
        What is limited.
    low, high : int or float
        The smallest and the largest value; whole numbers where only whole numbers are allowed.
    unit : str
        The unit of both.
    reason : str
        Why there is a limit, and why this one.
    above : bool
        Whether ``low`` itself is too small (default False).
    """

    what: str
    low: Number
    high: Number
    unit: str
    reason: str
    above: bool = False

    def __contains__(self, value: Any) -> bool:
        return bool(self.low < value <= self.high if self.above else self.low <= value <= self.high)

    @property
    def range(self) -> str:
        """The range in words: ``1 to 1,000``."""
        low, high = _written(self.low), _written(self.high)
        return f"more than {low}, up to {high}" if self.above else f"{low} to {high}"


def _written(bound: float) -> str:
    if isinstance(bound, int) and bound > 10**15:
        power = bound.bit_length() - (bound & (bound - 1) == 0)
        return f"2**{power}" if bound == 1 << power else f"2**{power} - 1"
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:,.16g}"


# The game

SEED = Limit("seed", 0, (1 << 64) - 1, "", "Random draws are made from 64 bits.")
NAME_LENGTH = Limit("name", 1, 32, "characters", "Names stand in tables, figures and prompts.")
POOL = Limit("names in a pool", 2, 1_000, "names", "The kernel writes a name in 16 bits.")
MEMORY = Limit("memory", 1, 1_000, "interactions", "Every agent holds so many.")
SEATS = Limit("players of one game", 2, 1_000, "agents", "Each of them chooses at the same time.")
POINTS = Limit("reward and penalty", -1e9, 1e9, "points", "A score stays exact in 64 bits.")
MIND_SHARE = Limit("share of a mind", 0.0, 1e9, "", "Shares are divided by their sum.")
RUN_NUMBER = Limit("number of a run", 0, 2**53, "", "It stays exact as JSON.")
ROUNDS = Limit("rounds", 0, 10**9, "population rounds", "More could not be played in years.")
INTERACTIONS = Limit("interactions at once", 0, 10**9, "interactions", "As for rounds.")
WINDOW_ROUNDS = Limit(
    "window", 0.0, 1_000.0, "population rounds", "All its interactions are held.", above=True
)
THRESHOLD = Limit("threshold", 0.0, 1.0, "share of interactions", "It is a share.", above=True)

# Experiments

AUDIT_RUNS = Limit("runs of an audit", 0, 10**9, "runs", "With 0 only the mind is asked.")
RUNS = Limit("runs", 1, 10**9, "runs", "More could not be played in years.")
WORKERS = Limit("workers", 1, 1_000, "processes", "No computer has more cores.")
THREADS = Limit("threads", 1, 512, "threads", "llama.cpp takes no more.")
FLIPPING_ROUNDS = Limit("rounds to flip within", 1, 10**9, "population rounds", "As for rounds.")
REPRODUCED_RUNS = Limit("live runs of a reproduction", 2, 10**9, "runs", "One has no spread.")
SIMULATED_RUNS = Limit("runs of a validation", 10, 10**9, "runs", "Fewer test nothing.")
LISTED = Limit("list of values", 0, 100_000, "values", "Each is checked before the work begins.")
SHARE = Limit("share", 0.0, 1.0, "", "It is a share.")
CELLS = Limit("cells of a sweep", 0, 100_000, "cells", "All are checked before the first plays.")
POPULATION = Limit("size in an audit", 2, 100_000, "agents", "All may meet all.")
RECORDED_MEMORY = Limit(
    "memory of a recording", 1, 5, "interactions", "The fit looks at the last five."
)
ASKS = Limit("questions of an audit", 1, 100_000, "times", "Each is a call.")
FALSE_ALARMS = Limit(
    "level", 0.0, 0.5, "rate of false alarms", "Half would be a coin toss.", above=True
)
COMMITTED = Limit("committed agents", 0, 10**9, "agents", "No graph has more nodes.")
PRICE_OF_CHANGE = Limit(
    "price of an agent or edge", 0.0, 1e12, "", "Costs are added up without overflow."
)
SAMPLES = Limit("samples", 0, 10**9, "samples", "As for runs.")
STRETCH = Limit("stretch of rounds", 1, 10**9, "population rounds", "As for rounds.")
RESAMPLES = Limit("resamples", 1, 1_000_000, "resamples", "More change no interval.")
MEAN_FIELD_ROUNDS = Limit(
    "rounds of the mean field", 1, 100_000, "population rounds", "Each takes a solver step or more."
)
MEAN_FIELD_POINTS = Limit("points of the mean field", 2, 1_000, "shares", "A curve has no more.")

# Networks

FILE_NODES = Limit("nodes of a graph file", 2, 1_000_000, "nodes", "As networkx, 1 KB each.")
CAPACITY = Limit("capacity", 1, 10**9, "agents on a node", "No model has more agents.")
NODES = Limit("nodes of a topology", 0, 100_000, "nodes", "As networkx, 1 KB each.")
EDGES = Limit("edges of a topology", 0, 5_000_000, "edges", "As networkx, 0.5 KB each.")
SPARSE_NODES = Limit("nodes of a sparse topology", 2, 10_000_000, "nodes", "As an array, 1 GB.")
SPARSE_EDGES = Limit("edges of a sparse topology", 0, 100_000_000, "edges", "As an array, 1 GB.")
STEP = Limit("step", 0.0, 1e12, "units of time", "As for times.", above=True)
MISSES = Limit("misses before an edge is dropped", 1, 10**9, "in a row", "As for rounds.")
REWIRING_RATE = Limit("rate of dropping an edge", 0.0, 1.0, "", "It is a probability.", above=True)
SUCCESS = Limit("success of an agreement", 0.0, 1.0, "", "It is a probability.", above=True)
NEIGHBORS = Limit("neighbors in a large topology", 0, 1_000, "nodes", "See sparse edges.")
TOPOLOGY_TEXT = Limit("topology string", 0, 500, "characters", "No valid one is longer.")
TOPOLOGY_LIST = Limit("list in a topology", 1, 100, "numbers", "Each is a part of the graph.")

# Files

TEXT_FILE = Limit(
    "file of a mind, prices, prompt, sweep or scene",
    0,
    20_000_000,
    "bytes",
    "It is read whole.",
)
GRAPH_FILE = Limit(
    "graph file of text, unpacked", 0, 200_000_000, "bytes", "It is parsed in memory."
)
SPARSE_FILE = Limit("sparse graph file", 0, 1_000_000_000, "bytes", "It is read whole, unpacked.")
RECORDINGS = Limit("file of recordings", 0, 200_000_000, "bytes", "Twice the largest published.")
POLICY_TABLE = Limit(
    "published table of a policy", 0, 5_000_000, "bytes", "All memories of 8 interactions fit."
)
WEIGHT = Limit("weight in a mind file", -1e6, 1e6, "", "Exponentials of sums stay finite.")
PRIOR_STRENGTH = Limit("caution in a mind file", 1e-6, 1e6, "decisions", "It is divided by.")
REFITS = Limit("refits", 0, 1_000, "fits", "Each takes a second or two to make.")
COUNT = Limit("count in a mind file", 0, 2**53 - 1, "decisions", "It stays exact as a float.")

# Live minds

API_ADDRESS = Limit("address of an API", 1, 2_000, "characters", "Servers take lines of 8 KB.")
MODEL_NAME = Limit("name of a model", 1, 256, "characters", "It stands in tables and records.")
CONCURRENCY = Limit("max_concurrency", 1, 10_000, "calls", "Each holds a connection.")
CONNECTIONS = Limit("connections", 1, 1_000, "connections", "A process may open 1,024 files.")
ASK_AGAIN = Limit("ask_again", 0, 100, "times", "Each is a call.")
RETRIES = Limit("retries", 0, 1_000, "times", "Each may take a timeout.")
WAIT = Limit("wait", 0.0, 86_400.0, "seconds", "A day.")
BUDGET = Limit("budget", 0.0, 1e15, "calls, tokens or US dollars", "Counts stay exact.")
PRICE = Limit("price", 0.0, 1e9, "US dollars per million tokens", "Costs stay finite.")
TEMPERATURE = Limit("temperature", 0.0, 10.0, "", "Above it all tokens are about as likely.")
CLAUDE_TEMPERATURE = Limit("temperature of claude: minds", 0.0, 1.0, "", "That of the API.")
MAX_TOKENS = Limit("max_tokens", 1, 1_000_000, "tokens", "No model writes more.")
PROMPT = Limit("prompt of an agent", 0, 4_000_000, "characters", "About a million tokens.")
CHOICES = Limit("choices of an agent", 2, 1_000, "choices", "As for names in a pool.")
CHOICE = Limit("choice of an agent", 1, 200, "characters", "Each is listed on a line.")
RESPONSE = Limit("response of a model", 0, 4 << 20, "bytes", "Unpacked; long thoughts take 100 KB.")
RESULTS = Limit("results of a batch", 0, 1 << 30, "bytes", "Of 100,000 replies, 10 KB each.")
RECORDED = Limit("text recorded of a call", 0, 32_768, "characters", "There may be 100,000 calls.")
TOKENS = Limit("tokens a call reports", 0, 10**9, "tokens", "Sums of them stay exact.")
TIMEOUT = Limit("timeout", 0.0, 86_400.0, "seconds", "A day.", above=True)

# The page

SHOWN_AGENTS = Limit("agents on the page", 2, 1_000, "agents", "More cannot be told apart.")
SHOWN_EDGES = Limit(
    "edges on the page", 1, 125_000, "edges", "complete(n=500): 70 MB, a minute in a slow browser."
)
SHOWN_EDGES_TOGETHER = Limit(
    "edges on the pages of all viewers", 1, 1_000_000, "edges", "They take some 600 MB."
)
SHOWN_ROWS = Limit(
    "interactions of recorded runs on the page",
    0,
    4_000_000,
    "interactions",
    "Those of all viewers take some 800 MB.",
)
WRITTEN_EDGES = Limit(
    "edges on a page that plays by itself", 1, 20_000, "edges", "They take 10 bytes each."
)
SHOWN_NAMES = Limit("names on the page", 2, 100, "names", "Charts have a line for each.")
SHOWN_ROUNDS = Limit(
    "rounds after which the page stops", 0, 1_000_000, "population rounds", "As far as charts tell."
)
VIEWERS = Limit("viewers of a page", 1, 1_000, "people", "Each takes threads and a core's time.")
LINK = Limit("link to the page", 0, 60_000, "characters", "Servers take lines of 64 KB.")
SETTING_TEXT = Limit("text in a setting", 0, 5_000, "characters", "100 names fit.")
EDITS = Limit("changes in a link", 0, 1_000, "changes", "All are made again at each step back.")
LINKED_INTERACTIONS = Limit(
    "moment in a link", 0, 2_000_000, "interactions", "They are played before anything is shown."
)
SCENE_ROUNDS = Limit("rounds of a scene", 1, 10_000, "population rounds", "A class sees the end.")
SCENE_ANSWERS = Limit("answers of a scene", 2, 8, "answers", "They fit on a screen.")
CLASS_STUDENTS = Limit("students of a class", 2, 60, "students", "More do not fit in a room.")
CLASS_AGENTS = Limit("agents of a class's game", 2, 200, "agents", "They are drawn on one screen.")
CLASS_NAMES = Limit("names of a class's game", 2, 12, "names", "Each is a button on a phone.")
CLASS_ROUNDS = Limit("rounds of a class's game", 1, 200, "rounds", "A lesson ends.")
CLASS_SECONDS = Limit(
    "time for an answer in class", 3.0, 300.0, "seconds", "To read takes three, to wait is dull."
)
CLASS_MESSAGE = Limit("message from a phone", 0, 1_024, "bytes", "Choices are numbers.")
CLASS_SOCKETS = Limit("phones connected at once", 0, 64, "connections", "A class, and spares.")
MESSAGE = Limit("message to the page", 0, 1 << 17, "bytes", "Clicks and typed text are shorter.")
PAGE_CALLS = Limit("calls of all viewers of the page", 1, 10**15, "calls", "As for a budget.")
PORT = Limit("port", 0, 65_535, "", "That of TCP.")

LIMITS: tuple[Limit[Any], ...] = tuple(
    limit for limit in globals().values() if isinstance(limit, Limit)
)
"""All of them, in order."""


def read_whole(
    argument: str, value: Any, limit: Limit[int], error: type[SpecError] = SpecError
) -> int:
    """Return ``value``, any kind of integer within a limit, as an int.

    Raises ``error`` naming the argument for anything else, truth values included.
    """
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value not in limit:
        problem = f"{shown(value)} is not a whole number in range"
        raise error(argument, value, problem, f"Use {limit.range}.")
    return int(value)


def read_number(
    argument: str, value: Any, limit: Limit[float], error: type[SpecError] = SpecError
) -> float:
    """Return ``value``, any kind of real number within a limit, as it is.

    Raises ``error`` naming the argument for anything else, truth values and nan included.
    """
    kinds = (int, float, np.integer, np.floating)
    number = isinstance(value, kinds) and not isinstance(value, bool)
    if not number or value not in limit:
        problem = f"{shown(value)} is {'out of range' if number else 'not a number'}"
        unit = f" ({limit.unit})" if limit.unit else ""
        raise error(argument, value, problem, f"Use {limit.range}{unit}.")
    return value  # type: ignore[no-any-return]


def read_percentage(value: Any) -> Any:
    """Return the share that a text such as ``"25%"`` stands for, and anything else as it is."""
    found = _PERCENTAGE.fullmatch(value) if isinstance(value, str) else None
    return value if found is None else float(found[1]) / 100


def read_list(argument: str, value: Any, example: str) -> tuple[Any, ...]:
    """Return the items of a list, or of anything like it that ends.

    Raises ``SpecError``, with an example of such a list, for a text, a mapping and what is none.
    """
    listed = isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))
    with suppress(TypeError):  # an array without dimensions says that it can be iterated over
        items = tuple(islice(value, LISTED.high + 1)) if listed else None
        if items is not None and len(items) in LISTED:
            return items
        if items is not None:
            problem = f"it has more than {LISTED.high:,} values"
            raise SpecError(argument, value, problem, f"Give a list such as {example}.")
    raise SpecError(argument, value, f"{shown(value)} is not a list of values", f"Give {example}.")


def read_workers(workers: Any) -> int:
    """Return a number of worker processes; None stands for one per core of this computer."""
    return (os.cpu_count() or 1) if workers is None else read_whole("workers", workers, WORKERS)


def read_seed(rng: Any) -> int:
    """Return the seed that an ``rng=`` argument stands for.

    Parameters
    ----------
    rng : int, numpy Generator, RandomState or SeedSequence, random.Random, or None
        An integer from 0 to 2**64 - 1 stands for itself, a generator for one draw of it, a sequence
        for the first 64 bits of its state, and None for fresh entropy.

    Returns
    -------
    int
        A seed from 0 to 2**64 - 1.

    Raises
    ------
    SpecError
        For anything else.
    """
    if rng is None:
        return secrets.randbits(63)
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(0, SEED.high, dtype=np.uint64, endpoint=True))
    if isinstance(rng, np.random.RandomState):
        return int.from_bytes(rng.bytes(8), "little")
    if isinstance(rng, np.random.SeedSequence):
        return int(rng.generate_state(1, np.uint64)[0])
    if isinstance(rng, random.Random):
        return rng.getrandbits(64)
    if _is_seed(rng):
        return int(rng)
    remedy = "Give a whole number from 0 to 2**64 - 1, or a numpy or random generator."
    if isinstance(rng, str) and rng.strip().isdecimal():
        remedy = f"Write it without quotes: rng={shown(rng.strip())[1:-1]}."
    raise SpecError("rng", rng, f"{shown(rng)} is not a seed", remedy)


def seeded_by_rng(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Return a function that answers ``seed=`` by saying that the argument is ``rng=``."""

    @wraps(function)
    def call(*arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        if "seed" in named:
            seed = named["seed"]
            remedy = f"Write rng={shown(seed)} instead."
            raise SpecError("seed", seed, "the argument is called rng here, as in Mesa", remedy)
        if "calls" in named:
            calls, remedy = named["calls"], 'Write llm={"budget_calls": 500}, or LLMSettings(...).'
            raise SpecError("calls", calls, "the argument is called llm here", remedy)
        return function(*arguments, **named)

    return call


def check_seed(seed: Any) -> None:
    """Raise ``SpecError`` for anything but a whole number from 0 to 2**64 - 1."""
    if not _is_seed(seed):
        raise SpecError("seed", seed, f"{shown(seed)} is not a seed", "Use 0 to 2**64 - 1.")


def _is_seed(value: Any) -> bool:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return whole and int(value) in SEED


def choose(argument: str, wanted: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return those of ``known`` that are wanted, each once; all of them if none is named.

    Raises ``SpecError``, suggesting a similar name, for one that is not known.
    """
    wanted = read_list(argument, wanted, f"[{known[0]!r}]")
    for name in wanted:
        if not isinstance(name, str) or name not in known:
            close = difflib.get_close_matches(shown(name, 99).strip("'"), known, n=1, cutoff=0.4)
            raise SpecError(
                argument,
                name,
                f"there is no {shown(name)}" + (f" (did you mean {close[0]!r}?)" if close else ""),
                f"Known are {some(known, 20)}.",
            )
    return tuple(dict.fromkeys(wanted)) or tuple(known)
