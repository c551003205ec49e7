"""Populations of infinitely many agents: their states, and how they are distributed over them.

A *state* is a mind and what it remembers. A population is a distribution over states: the share of
all agents in each, committed agents apart. What an agent plays depends on its state, and its next
state on that and on the name it hears. States with the same mind, the same memory but for the
oldest interaction, and the same name played lead to the same states, so these form a *group*: an
agent's own choice decides which group it moves to, and its partner's which member of the group.

Which states can be reached depends on which names are ever played in each, and not on how likely
they are. So it is worked out once per game and reused while the same names are played; minds are
asked for probabilities every time, because a mind may have been changed in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise, product
from numbers import Real
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import LinearOperator, gcrotmk, splu

from mesa_llm_norms.core.game import Game, Memory, Remembered, filled
from mesa_llm_norms.errors import MindError, SpecError, shown, some
from mesa_llm_norms.minds.mind import Policy
from mesa_llm_norms.minds.mixtures import by_share, read_shares
from mesa_llm_norms.networks.placement import read_committed
from mesa_llm_norms.simulation.engine import TOLERANCE, is_plain_policy, probabilities_of
from mesa_llm_norms.simulation.spec import Spec

INTERACTIONS_PER_ROUND = 2
"""How many of a population round's N interactions an agent takes part in, on average."""

MAX_STATES = 100_000
"""How many states there may be: with more, a trajectory would take minutes."""

MAX_GAMES, MAX_CACHED = 8, 10_000
"""Of how many games the reachable states are cached, and how many states at most of each."""

STATIONARY_TOLERANCE = 1e-13
"""How exactly a stationary distribution is solved for."""

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
State: TypeAlias = tuple[int, Memory]
"""A mind, by its index among the minds, and what it remembers."""


@dataclass(frozen=True)
class Population:
    """Agents with minds in the shares ``weights``, and a share ``committed`` to each name.

    ``weights`` add up to one; ``committed`` holds shares of all agents, in the order of the pool.
    A distribution over states holds shares of all agents too, and adds up to ``free``.
    """

    minds: Sequence[Policy]
    states: States
    weights: Floats
    committed: Floats

    @property
    def pool(self) -> tuple[str, ...]:
        """The names."""
        return self.states.reachable.pool

    @property
    def free(self) -> float:
        """The share of agents that are not committed."""
        return float(1 - self.committed.sum())

    def played(self, distribution: Floats) -> Floats:
        """Return the probability that a random agent plays each name, for one or several rows.

        They are scaled to add up to one; otherwise an error in the number of agents would grow
        like exp(2t), since more agents would be heard more.
        """
        return normalized(self.committed + distribution @ self.states.probabilities)

    def played_by_free(self, distribution: Floats) -> Floats:
        """Return the probability that a random uncommitted agent plays each name."""
        return normalized(distribution @ self.states.probabilities)

    def heard(self, played_by_free: Floats) -> Floats:
        """Return the same of any random agent, given what the uncommitted play."""
        heard: Floats = self.committed + self.free * played_by_free
        return heard

    def change(self, distribution: Floats, heard: Floats) -> Floats:
        """Return the change of a distribution per population round."""
        moved = self.states.interact(distribution, heard)
        change: Floats = INTERACTIONS_PER_ROUND * (moved - distribution)
        return change

    def remembering(self, shares: Mapping[str, float]) -> Floats:
        """Return the distribution in which these shares remember each name, the rest nothing."""
        distribution = np.zeros(len(self.states))
        reachable = self.states.reachable
        parts = {filled(name, reachable.length): share for name, share in shares.items()}
        parts[()] = max(0.0, 1 - sum(shares.values()))
        for (memory, share), (mind, weight) in product(
            parts.items(), enumerate(self.weights.tolist())
        ):
            distribution[reachable.index(mind, memory)] = self.free * weight * share
        return distribution


def read_population(
    mind: Any,
    names: Any,
    memory: int,
    committed: Mapping[str, float] | None = None,
    remembered: Iterable[str] | None = None,
    heard: Iterable[str] = (),
) -> Population:
    """Return the population that these arguments of ``NamingGame`` describe.

    Agents may start remembering nothing, or any one name of ``remembered`` (default: all of the
    pool), and hear the names ``heard`` even if nobody plays them. Raises ``SpecError`` for what
    makes no sense with infinitely many agents: commitment by number, minds by node, and minds that
    are not policies.
    """
    shares = _read_committed(committed)
    spec = Spec(names=names, mind=mind, memory=memory, committed=shares)
    game = spec.naming_game
    remembered = game.pool if remembered is None else tuple(remembered)
    for name in remembered:
        check_name("start", name, game.pool)
    weights = _read_weights(mind)
    minds = [one for one, weight in zip(spec.minds, weights.tolist(), strict=True) if weight > 0]
    for one in minds:
        if not is_plain_policy(one):
            raise MindError(
                "mind",
                one.label,
                f"{shown(one.label)} does not say in advance how likely it is to play each name",
                "Use a recorded mind, a table, or a Policy that does not override decide.",
            )
    policies = cast("list[Policy]", minds)
    starts = ((), *(filled(name, game.memory) for name in remembered))
    always_heard = (*(name for name, share in shares.items() if share > 0), *heard)
    states = _find_states(game, policies, starts, always_heard)
    by_name = np.array([shares.get(name, 0.0) for name in game.pool])
    return Population(policies, states, weights[weights > 0], by_name)


def check_name(argument: str, name: Any, pool: tuple[str, ...]) -> None:
    """Raise ``SpecError`` unless the name is in the pool."""
    if not isinstance(name, str) or name not in pool:
        raise SpecError(
            argument, name, f"{shown(name)} is not in the pool", f"Use one of {some(pool, 26)}."
        )


def is_number(value: Any) -> bool:
    """Return whether this is a real number, and not a truth value."""
    return isinstance(value, Real) and not isinstance(value, bool)


def normalized(amounts: Floats) -> Floats:
    """Return amounts as shares of their sum, in every row."""
    shares: Floats = amounts / amounts.sum(axis=-1, keepdims=True)
    return shares


def _read_weights(mind: Any) -> Floats:
    if not isinstance(mind, Mapping):
        return np.ones(1)
    mind = read_shares(mind)
    if not by_share(mind):
        raise MindError(
            "mind",
            mind,
            "infinitely many agents have no nodes to put minds on",
            'Give shares, such as {"claude-3.5-sonnet": 0.5, "llama-2-70b-chat": 0.5}.',
        )
    return normalized(np.array([float(share) for share in mind.values()]))


def _read_committed(committed: Any) -> dict[str, float]:
    shares = {} if committed is None else committed
    if isinstance(shares, Mapping):
        shares = read_committed(shares)
    if not isinstance(shares, Mapping) or not all(map(_is_share, shares.values())):
        raise SpecError(
            "committed",
            committed,
            f"{shown(committed)} does not map names to shares",
            'Of infinitely many agents a share is committed, such as {"M": 0.1}.',
        )
    if sum(shares.values()) >= 1:
        raise SpecError(
            "committed", committed, "everybody is committed", "Commit less than 1.0 in total."
        )
    return {name: float(share) for name, share in shares.items()}


def _is_share(share: Any) -> bool:
    count = isinstance(share, (int, np.integer)) and share != 0
    return is_number(share) and not count and 0 <= share <= 1


class States:
    """All reachable states with the probability of each name, and how states follow each other.

    ``heard`` is everywhere the probability, by name of the pool, that a partner plays it;
    ``probabilities`` has a row for each state.
    """

    def __init__(self, reachable: Reachable, probabilities: Floats) -> None:
        self.reachable = reachable
        self.probabilities: Floats = normalized(probabilities)
        self.played: NDArray[np.int64] = np.array(reachable.played, np.int64)
        """The indices in the pool of the names that may be played."""
        self.groups: int = reachable.groups
        sources, names, ends = reachable.links
        self._links = sp.csr_array(
            (self.probabilities[sources, names], sources, ends),
            shape=(self.groups, len(reachable)),
        )
        self._in_groups = self.groups * len(self.played)

    def __len__(self) -> int:
        return len(self.reachable)

    @cached_property
    def mind_masks(self) -> Floats:
        """A row for each mind: 1 for its own states, 0 for the others."""
        minds = np.empty(len(self), np.int64)
        minds[self.reachable.order] = [mind for mind, _ in self.reachable.found]
        masks: Floats = (minds == np.arange(self.reachable.minds)[:, None]).astype(float)
        return masks

    def arriving(self, distribution: Floats) -> Floats:
        """Return the share of agents that moves to each group."""
        return np.asarray(self._links @ distribution)

    def hear(self, arriving: Floats, heard: Floats) -> Floats:
        """Return the distribution of those who move to groups, after hearing their partners."""
        after = np.zeros(len(self))
        np.multiply(heard[self.played, None], arriving, out=self.by_partner(after))
        return after

    def by_partner(self, distribution: Floats) -> Floats:
        """Return the part of a distribution within groups: a row for each name heard."""
        return distribution[: self._in_groups].reshape(len(self.played), self.groups)

    def interact(self, distribution: Floats, heard: Floats) -> Floats:
        """Return the distribution after everybody has had one interaction."""
        return self.hear(self.arriving(distribution), heard)

    def stationary(self, heard: Floats, weights: Floats, guess: Floats | None = None) -> Floats:
        """Return the distribution that stays as it is while partners play by ``heard``.

        ``weights`` are the shares of the minds. It is unique unless ``divided``. It is solved for
        by groups, since every agent in it has heard a name drawn by ``heard``.
        """
        moves, size = self._moves(heard), self.groups
        masks = self.mind_masks[:, :size]  # a group has the mind of its first member
        even = masks.T / masks.sum(axis=1)

        def imbalance(arriving: Floats) -> Floats:
            left: Floats = arriving - moves @ arriving + even @ (masks @ arriving)
            return left

        found, failed = gcrotmk(
            LinearOperator((size, size), matvec=imbalance, dtype=float),
            even @ weights,
            x0=None if guess is None else self.arriving(guess),
            rtol=0,
            atol=STATIONARY_TOLERANCE,
            maxiter=5,
            m=min(size, 100),
            k=0,
        )
        if failed:
            found = _solve_directly(moves, masks, weights)
        return self.hear(np.clip(found, 0, None), heard)

    @property
    def divided(self) -> bool:
        """Whether agents of one mind can be confined to different sets of states.

        What they play in the long run then depends on where they started, whatever they hear.
        """
        moves = self._moves(np.ones(self.probabilities.shape[1]))
        moves.sum_duplicates()  # or connected_components may never end
        count, part = connected_components(moves, connection="strong")
        arrival, departure = moves.nonzero()
        left = part[departure[part[arrival] != part[departure]]]
        return count - len(np.unique(left)) > self.reachable.minds

    def _moves(self, heard: Floats) -> sp.csr_array:
        """Return the share of each group (column) that moves to each other group (row)."""
        inner = self._links[:, : self._in_groups]
        partners, groups = np.divmod(inner.indices, self.groups)
        shares = inner.data * heard[self.played][partners]
        return sp.csr_array((shares, groups, inner.indptr), shape=(self.groups, self.groups))


def _solve_directly(moves: sp.csr_array, masks: Floats, weights: Floats) -> Floats:
    """Solve by elimination, with the mass of each mind in place of one equation."""
    system = sp.lil_array(sp.eye_array(moves.shape[0]) - moves)
    wanted = np.zeros(moves.shape[0])
    for mask, weight in zip(masks, weights, strict=True):
        row = int(np.flatnonzero(mask)[-1])
        system[row, :] = mask
        wanted[row] = weight
    found: Floats = splu(system.tocsc()).solve(wanted)
    return found


class _Links(NamedTuple):
    """Which states lead to each group, and by which names; in the form of a sparse array.

    The entries of group g are those from ``ends[g]`` to ``ends[g + 1]``.
    """

    states: Indices
    names: Indices
    ends: Indices


class Reachable:
    """The states that agents can reach from ``starts``, in games with ``pool``.

    ``heard`` are names that are heard even if nobody plays them, and ``plays`` says of some states,
    in rows, which names are ever played in them. States are ordered by partner and group: first
    those in which the first name of ``played`` (indices in the pool of names that may ever be
    played) was heard last, in the order of their groups; then those with the second, and so on;
    last those that no state leads to. ``found`` are all states in the order in which they were
    found, and ``order`` their indices; ``generations`` say where in ``found`` the states begin that
    follow from the ones before them.
    """

    def __init__(
        self,
        pool: tuple[str, ...],
        length: int,
        minds: int,
        starts: Iterable[Memory],
        heard: Iterable[str],
        plays: Callable[[Sequence[State]], NDArray[np.bool_]],
    ) -> None:
        self.pool: tuple[str, ...] = pool
        self.length: int = length
        self.minds: int = minds
        self.found: list[State] = []
        self.played: list[int] = [pool.index(name) for name in dict.fromkeys(heard)]
        self.generations: list[int] = [0]
        self._numbers: dict[State, int] = {}
        self._pairs = [[Remembered(own, partner) for partner in pool] for own in pool]
        self._groups: list[tuple[int, Memory, int]] = []
        self._group_of: dict[State, dict[int, int]] = {}
        self._members: list[tuple[int, int, int]] = []
        links: list[tuple[int, int, int]] = []
        for start, mind in product(starts, range(minds)):
            self._number((mind, start))
        while self.generations[-1] < len(self.found):
            first = self.generations[-1]
            self.generations.append(len(self.found))
            links += self._follow(first, plays(self.found[first:]))
        self.order: Indices = self._sort_states()
        self.links: _Links = self._sort_links(links)

    def __len__(self) -> int:
        return len(self.found)

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return len(self._groups)

    def index(self, mind: int, memory: Memory) -> int:
        """Return the index of a state."""
        return int(self.order[self._numbers[mind, memory]])

    def _follow(self, first: int, plays: NDArray[np.bool_]) -> list[tuple[int, int, int]]:
        """Find what the states from number ``first`` on lead to; return group, state and name."""
        links = []
        for row, own in np.argwhere(plays).tolist():
            mind, memory = self.found[first + row]
            kept = memory if len(memory) < self.length else memory[1:]
            groups = self._group_of.setdefault((mind, kept), {})
            if own not in groups:
                groups[own] = self._add_group(mind, kept, own)
            links.append((groups[own], first + row, own))
        return links

    def _add_group(self, mind: int, kept: Memory, own: int) -> int:
        self._groups.append((mind, kept, own))
        if own not in self.played:
            self.played.append(own)
            for group in range(len(self._groups) - 1):
                self._add_member(group, own)
        for partner in self.played:
            self._add_member(len(self._groups) - 1, partner)
        return len(self._groups) - 1

    def _add_member(self, group: int, partner: int) -> None:
        mind, kept, own = self._groups[group]
        state = self._number((mind, (*kept, self._pairs[own][partner])))
        self._members.append((state, partner, group))

    def _number(self, state: State) -> int:
        number = self._numbers.setdefault(state, len(self.found))
        if number == len(self.found):
            if number == MAX_STATES:
                raise SpecError(
                    "memory",
                    self.length,
                    f"with {len(self.pool)} names and a memory of {self.length}, agents "
                    f"can remember more than {MAX_STATES:,} different things",
                    "Use fewer names or a shorter memory, or play populations with run_ensemble.",
                )
            self.found.append(state)
        return number

    def _sort_states(self) -> Indices:
        """Return the index of each state, in the order in which they were found."""
        found, partners, groups = np.array(self._members, np.int64).T
        ranks = np.zeros(len(self.pool), np.int64)
        ranks[self.played] = np.arange(len(self.played))
        order = np.full(len(self.found), -1)
        order[found] = ranks[partners] * self.groups + groups
        alone = order < 0
        order[alone] = len(found) + np.arange(alone.sum())
        return order

    def _sort_links(self, links: list[tuple[int, int, int]]) -> _Links:
        groups, found, names = np.array(links, np.int64).T
        by_group = np.argsort(groups, kind="stable")
        ends = np.searchsorted(groups[by_group], np.arange(self.groups + 1))
        return _Links(self.order[found[by_group]], names[by_group], ends)


class _Cached(NamedTuple):
    """Reachable states, and which names were played in each, in the order of ``found``."""

    reachable: Reachable
    plays: NDArray[np.bool_]


def _find_states(
    game: Game, minds: Sequence[Policy], starts: tuple[Memory, ...], heard: tuple[str, ...]
) -> States:
    """Return the states agents with these minds can reach; ``MindError`` for no distribution."""
    cached = _cached_states(game.pool, game.memory, len(minds), starts, heard)
    for before in cached[:]:
        asked = _ask_again(game, minds, before)
        if asked is not None:
            return _states(before.reachable, asked)
    blocks: list[Floats] = []

    def plays(states: Sequence[State]) -> NDArray[np.bool_]:
        blocks.append(_ask(game, minds, states))
        return blocks[-1] > 0

    reachable = Reachable(game.pool, game.memory, len(minds), starts, heard, plays)
    asked = np.concatenate(blocks)
    if len(reachable) <= MAX_CACHED:
        cached[:] = [_Cached(reachable, asked > 0)]
    return _states(reachable, asked)


@lru_cache(MAX_GAMES)
def _cached_states(*_: Any) -> list[_Cached]:
    """Return what is cached for these arguments: a list of one entry, or none."""
    return []


def _ask_again(game: Game, minds: Sequence[Policy], before: _Cached) -> Floats | None:
    """Return the probabilities in the order found, or None if other names are played than before.

    Generation by generation, so that no mind is asked about a memory its agents cannot have.
    """
    blocks = []
    for first, last in pairwise(before.reachable.generations):
        block = _ask(game, minds, before.reachable.found[first:last])
        if ((block > 0) != before.plays[first:last]).any():
            return None
        blocks.append(block)
    return np.concatenate(blocks)


def _ask(game: Game, minds: Sequence[Policy], states: Sequence[State]) -> Floats:
    """Return the probability of each name of the pool, in a row for each state."""
    pool = game.pool
    rows = [minds[mind].distribution(memory, pool) for mind, memory in states]
    try:
        found = np.array(rows, float)
    except (TypeError, ValueError):  # rows of different lengths, or not numbers
        found = np.empty(0)
    if (
        found.shape == (len(states), len(pool))
        and (found >= 0).all()
        and (np.abs(found.sum(axis=1) - 1) < TOLERANCE).all()
    ):
        return found
    # raises for the first row that is not a distribution
    return np.array([probabilities_of(minds[mind], memory, game) for mind, memory in states], float)


def _states(reachable: Reachable, asked: Floats) -> States:
    probabilities = np.empty_like(asked)
    probabilities[reachable.order] = asked
    return States(reachable, probabilities)
