"""A run as one HTML file that plays in any browser: without a server, the internet, or Python.

The file holds the run as data: the network, who sits where, how every mind chooses, and the number
that all draws are made from. ``templates/engine.js`` plays it, with the draws of
``core.randomness`` and so row by row what the Python engine plays. A mind is written as

- a *table*: what it remembers to the cumulative weights of ``core.randomness``, whole numbers, so
  that every choice is the same without any condition; or
- a *logit*, where memories are too many: the weights of ``minds.recorded``. Browsers may differ in
  the last digit of an exponential, which moves a cumulative weight by 1 of 2**32 in about one of a
  million memories, and then changes one choice of 2**32.

Nothing else is written: what cannot be is refused by ``check_playable``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

from markupsafe import Markup

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.formatting import count, json_text
from mesa_llm_norms.core.game import Game, Memory, Remembered
from mesa_llm_norms.core.stopping import (
    Goal,
    Stop,
    agreeing,
    check_goal,
    converging,
    flipping,
    read_rounds,
    window_size,
)
from mesa_llm_norms.errors import SpecError, shown
from mesa_llm_norms.minds.mind import Mind, Policy
from mesa_llm_norms.minds.policies import CommittedMind, TableMind
from mesa_llm_norms.minds.recorded import (
    FAMILIES,
    RecordedMind,
    alone_features,
    pool_key,
)
from mesa_llm_norms.networks.adjacency import Neighbors, to_networkx
from mesa_llm_norms.networks.drawing import drawing_text
from mesa_llm_norms.reports import render
from mesa_llm_norms.simulation.engine import choice_weights, is_plain_policy
from mesa_llm_norms.simulation.memories import memory_depth
from mesa_llm_norms.simulation.pairing import EdgePairing, MatchingPairing, NodePairing
from mesa_llm_norms.simulation.results import versions
from mesa_llm_norms.simulation.spec import InitialState, Spec

MOST_NUMBERS = 8_000
"""Numbers in the table of a mind; ``QM`` with a memory of five takes 1,365."""

_PAIRINGS = (NodePairing, EdgePairing, MatchingPairing)
_REMEDY = "Use mesa-llm-norms app or run for it."


class Population(NamedTuple):
    """A run to be written.

    Parameters
    ----------
    spec : Spec
        What is played. The file plays run 0 of its seed.
    goal : Goal
        What stops it. Default: nothing does but ``rounds``.
    rounds : int, optional
        The most population rounds, 1 to 1,000,000,000. Default: 1,000, for a goal.
    heading : str
        What tells it from the other one. Default: nothing.
    """

    spec: Spec
    goal: Goal = Goal()
    rounds: int | None = None
    heading: str = ""


class Story(NamedTuple):
    """What is read beside a population: a text, a question with its answers, and the outcome."""

    text: str
    question: str
    answers: tuple[str, ...]
    came_true: int | None
    explained: tuple[str, ...]


def playable_page(
    populations: Sequence[Population], title: str, speed: float = 1.0, story: Story | None = None
) -> str:
    """Return an HTML page on which runs play by themselves.

    Parameters
    ----------
    populations : sequence of Population
        One, or two that play side by side.
    title : str
        Heading of the page.
    speed : float, default 1.0
        Population rounds per second, 0.01 to 100, until somebody chooses another.
    story : Story, optional
        A text with a question. Default: none.

    Returns
    -------
    str
        The page, in which everything is that it needs.

    Raises
    ------
    SpecError
        If something cannot be written; see ``check_playable``.
    """
    minds: list[dict[str, Any]] = []
    written = [_population(one, minds) for one in populations]
    content = {"speed": speed, "minds": minds, "populations": written}
    # In a script element only "<" could end it.
    data = json_text(content, separators=(",", ":"), ensure_ascii=True).replace("<", "\\u003c")
    return render(
        "playable.html",
        title=title,
        data=Markup(data),
        story=story,
        about=list(dict.fromkeys(map(_about, populations))),
        measured=list(dict.fromkeys(_measured(populations))),
        version=versions()["mesa_llm_norms"] or "unknown",
    )


def check_playable(spec: Spec) -> InitialState:
    """Return the initial state of a run that can be written as a page that plays by itself.

    Parameters
    ----------
    spec : Spec
        What is played.

    Raises
    ------
    SpecError
        For minds that are no policies, such as live ones; minds with too many memories for a table;
        other games, rules of pairing and sizes; and edges that change.
    """
    if not isinstance(spec.game, Game):
        raise _refusal("game", spec.game, "another game than the naming game")
    if spec.rewire is not None:
        raise _refusal("rewire", spec.rewire, "a network whose edges change")
    if spec.whole_game is not None:
        raise _refusal("mind", spec.mind, f"{spec.whole_game.label}, which is a game of its own,")
    initial = spec.initial_state()
    if type(initial.pairing) not in _PAIRINGS:
        raise _refusal("pairing", spec.pairing, f"the pairing rule {initial.pairing.label}")
    agents, edges = len(initial.neighbors), len(initial.neighbors.tails)
    for number, limit, what in (
        (agents, limits.SHOWN_AGENTS, "agents"),
        (edges, limits.WRITTEN_EDGES, "edges"),
    ):
        if number not in limit:
            problem = f"{number:,} {what} are too many for a page that plays by itself"
            raise SpecError("graph", spec.graph, problem, f"Use up to {limit.high:,}.")
    for mind in initial.minds:
        _check_mind(mind, initial)
    return initial


def _check_mind(mind: Mind, initial: InitialState) -> None:
    if not is_plain_policy(mind):
        raise _refusal("mind", mind.label, f"{shown(mind.label)}, which has to be asked each time,")
    if _is_logit(mind, initial) and type(mind) is not RecordedMind:
        raise _refusal("mind", mind.label, f"{shown(mind.label)}, which has too many memories,")


def _refusal(argument: str, value: Any, what: str) -> SpecError:
    problem = f"a page that plays by itself cannot hold {what.removesuffix(',')}"
    return SpecError(argument, value, problem, _REMEDY)


# What is written


def _population(one: Population, minds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a population; ``minds`` has those of all populations, and each only once."""
    initial = check_playable(one.spec)
    game, neighbors = one.spec.naming_game, initial.neighbors
    check_goal(one.goal, one.spec.committed_names)
    own = [_mind(mind, initial) for mind in initial.minds]
    minds += [mind for mind in own if mind not in minds]
    return {
        "heading": one.heading,
        "names": list(game.pool),
        "memory": game.memory,
        "reward": game.reward,
        "penalty": game.penalty,
        "start": _code(initial.start, game.pool),
        "key": str(initial.stream.key),
        "matching_key": str(initial.stream.of("matching")),
        "pairing": initial.pairing.label,
        "minds": [minds.index(mind) for mind in own],
        "seated": initial.mind_indices.tolist(),
        "uncommitted": initial.uncommitted_indices.tolist(),
        "rounds": read_rounds(one.rounds, one.goal.until),
        "window": window_size(one.goal, len(neighbors)),
        "until": one.goal.until,
        "stop": _stop(one, len(neighbors))._asdict(),
        **_network(neighbors),
        "drawing": drawing_text(to_networkx(initial.graph), game.pool),
    }


def _network(neighbors: Neighbors) -> dict[str, Any]:
    found: dict[str, Any] = {
        "directed": neighbors.directed,
        "neighbors": [list(neighbors.of(node)) for node in range(len(neighbors))],
    }
    if neighbors.edge_weights is not None:
        nodes = range(len(neighbors))
        found["neighbor_weights"] = [list(neighbors.cumulative_weights_of(it)) for it in nodes]
        found["edge_weights"] = neighbors.cumulative_edge_weights.tolist()
        found["weights"] = neighbors.edge_weights.tolist()
    return found


def _stop(one: Population, agents: int) -> Stop:
    size, pool = window_size(one.goal, agents), one.spec.game.pool
    if one.goal.until == "converged":
        return converging(size, one.goal.threshold)
    if one.goal.until == "agreed":
        return agreeing(size, len(pool), agents)
    if one.goal.until == "flipped":
        return flipping(size, [pool.index(name) for name in one.spec.committed_names])
    return Stop()


def _mind(mind: Mind, initial: InitialState) -> dict[str, Any]:
    assert isinstance(mind, Policy)
    depth = memory_depth(mind, initial.game)
    found: dict[str, Any] = {"label": mind.label, "depth": depth}
    if isinstance(mind, CommittedMind):
        found |= {"committed": mind.name, "until": mind.until}
    if _is_logit(mind, initial):
        assert isinstance(mind, RecordedMind)
        return {**found, "logit": _logit(mind, initial.game.pool)}
    return {
        **found,
        "table": {
            _code(memory, initial.game.pool): choice_weights(mind, memory, initial.game)[:-1]
            for memory in _memories(mind, initial)
        },
    }


def _is_logit(mind: Mind, initial: InitialState) -> bool:
    """Return whether a table of all memories would be too large."""
    if type(mind) is TableMind:
        return False
    names = len(initial.game.pool)
    lengths = range(min(memory_depth(mind, initial.game), initial.game.memory) + 1)
    numbers: int = (names - 1) * sum((names * names) ** length for length in lengths)
    return numbers > MOST_NUMBERS


def _memories(mind: Mind, initial: InitialState) -> Iterator[Memory]:
    """Yield all that a mind may remember, as far as it looks back."""
    if type(mind) is TableMind:
        yield from mind.table
        return
    most = min(memory_depth(mind, initial.game), initial.game.memory)
    pairs = [Remembered(*pair) for pair in product(initial.game.pool, repeat=2)]
    for length in range(min(len(initial.start), most), most + 1):
        yield from product(pairs, repeat=length)


def _logit(mind: RecordedMind, pool: Sequence[str]) -> dict[str, Any]:
    key, weights = pool_key(pool), mind.weights

    def alone(name: str, first: bool) -> float:
        return math.fsum(
            weights[family].get(feature, 0.0)
            for family, feature in alone_features(name, key, first)
        )

    return {
        "alone": [[alone(name, first) for name in pool] for first in (False, True)],
        "shared": {
            family: weights[family]
            for family in FAMILIES
            if family in ("met", "lag", "recent", "whole") or family.startswith("many_")
        },
        "own": [
            {
                family: {
                    feature.removeprefix(f"{name} "): weight
                    for feature, weight in weights[f"name_{family}"].items()
                    if feature.startswith(f"{name} ")
                }
                for family in ("recent", "whole")
            }
            for name in pool
        ],
        "counts": {
            _code(memory, pool): [counts.get(name, 0) for name in pool]
            for memory, counts in mind.counts.get(key, {}).items()
        },
        "prior": mind.prior_strength,
        "power": mind.inverse_temperature,
    }


def _code(memory: Memory, pool: Sequence[str]) -> str:
    """Return a memory as two characters for each interaction, oldest first."""
    return "".join(chr(48 + pool.index(name)) for pair in memory for name in pair)


# What is said of it


def _about(one: Population) -> str:
    initial = one.spec.initial_state()
    return one.spec.heading(len(initial.neighbors))


def _measured(populations: Sequence[Population]) -> Iterator[str]:
    for one in populations:
        for mind in one.spec.minds:
            provenance = getattr(mind, "provenance", {})
            decisions, source = provenance.get("decisions"), provenance.get("source")
            if decisions and source:
                fitted = f"a recorded mind, fitted to {count(decisions)} decisions"
                yield f"{mind.label}: {fitted}. {source}."
            elif source:
                yield f"{mind.label}: {source}."
            else:
                yield f"{mind.label}: a rule, not measured."
