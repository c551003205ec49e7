"""``mind_card``: everything that is known of one mind, from its first choice to its populations.

A card measures little by itself. Individual bias, groups by size and probes are an audit's; the
infinite population is the mean field's; what is left is in ``measures``. Each quantity is an
``Entry``: text for people, a value for programs, and a definition in ``DEFINITIONS``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Any, NamedTuple

from mesa_llm_norms.core.formatting import percent
from mesa_llm_norms.core.limits import seeded_by_rng
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.experiments.audits.populations import Report
from mesa_llm_norms.experiments.audits.probes import Probes
from mesa_llm_norms.experiments.audits.runner import AuditPlan, plan_audit, run_audit
from mesa_llm_norms.experiments.audits.verdict import Audit
from mesa_llm_norms.experiments.cards.measures import (
    Conformity,
    Coverage,
    Persistence,
    Reaction,
    coverage,
    fit_conformity,
    persistence,
    place_shares,
    reaction_alone,
    reaction_in_convention,
)
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.mean_field.critical import CriticalShare, critical_share
from mesa_llm_norms.mean_field.equilibria import Basins, FixedPoint, basins, fixed_points
from mesa_llm_norms.minds.mind import Mind, Policy
from mesa_llm_norms.minds.policies import TableMind
from mesa_llm_norms.minds.recorded import RecordedMind
from mesa_llm_norms.minds.registry import DEFAULT_MIND, load_mind
from mesa_llm_norms.simulation.run_ensemble import run_ensemble

SIZES = (2, 5, 10, 24, 50, 100)
"""The sizes of the groups that are played, by default."""

RUNS, ROUNDS = 200, 300
"""Populations of each size, and for how many rounds they play at most."""

VISITING_RUNS, LASTING_RUNS, FEW_ROUNDS = 20, 100, 30
"""Populations in which memories are counted, those with committed agents, and rounds of both."""

DECISIVE = 0.95
"""The share of populations that the predicted name has to win for a size to be critical."""

NOT_ASKED = "it has to be asked: record it first (mesa-llm-norms record)"
NO_ORDER = "the file holds no orders of names"

DEFINITIONS: Mapping[str, tuple[str, str]] = {
    "first choice": (
        "Alone",
        "The name chosen most on the empty memory, and how often. Equal shares are fair.",
    ),
    "first-choice bias": (
        "Alone",
        "Total variation between the choices on the empty memory and equal shares: what part of "
        "them would have to change.",
    ),
    "bias after one": (
        "Alone",
        "Mean total variation, over all memories of one interaction, between the choices and those "
        "of the mind made symmetric.",
    ),
    "first name shown": (
        "Alone",
        "How often the name that is shown first is chosen on the empty memory, over all orders "
        "alike. Half of the time is fair for two names.",
    ),
    "last name shown": ("Alone", "The same for the name that is shown last."),
    "keep after a miss": (
        "After a miss",
        "The chance to play the same name again for an agent that remembers one miss and nothing "
        "else; the mean over ordered pairs of names.",
    ),
    "copy after a miss": ("After a miss", "The chance to play the partner's name, then."),
    "keep after two": (
        "After a miss",
        "The chance to play the same name a third time for an agent that remembers two misses with "
        "the same two names.",
    ),
    "copy after two": ("After a miss", "The chance to play the partner's name, then."),
    "keep in a convention": (
        "After a miss",
        "The chance to keep the name after one miss, where matches fill the rest of the memory.",
    ),
    "copy in a convention": ("After a miss", "The chance to play the partner's name, then."),
    "keep after two there": ("After a miss", "The same after two misses with the same name."),
    "copy after two there": ("After a miss", "The chance to play the partner's name, then."),
    "conformity": (
        "Infinite population",
        "Beta of the magnet f(m) = (1 + tanh(beta m + h)) / 2 that is closest to the mind's "
        "long-run response to partners who play the first name with probability (1 + m) / 2. "
        "Without a field, conventions are stable above one.",
    ),
    "field": ("Infinite population", "Its h, positive towards the first name of the pool."),
    "misfit": (
        "Infinite population",
        "Root mean squared distance between that magnet and the response: where it is large, beta "
        "and h say little.",
    ),
    "equilibria": (
        "Infinite population",
        "The shares of the first name in all equilibria of infinitely many agents; in parentheses "
        "those that are not stable.",
    ),
    "from nothing": (
        "Infinite population",
        "The name that wins where infinitely many agents begin with empty memories.",
    ),
    "critical mass": (
        "Infinite population",
        "The share of agents committed to this name above which the convention of the other name "
        "falls to it.",
    ),
    "strong name": ("Groups", "The name that won most populations of all sizes together."),
    "its first choices": ("Groups", "How often an individual chooses it on the empty memory."),
    "wins": (
        "Groups",
        "How often it wins the populations of each size that settled on a name, within 300 rounds.",
    ),
    "critical size": (
        "Groups",
        "The smallest size played from which on the name that infinitely many agents would choose "
        f"from nothing wins {DECISIVE:.0%} of populations or more.",
    ),
    "lasts": (
        "Groups",
        "Of 24 agents, twice the critical share is committed until the convention has turned, then "
        "released: the share of turned populations in which this new name is still played most 30 "
        "rounds later.",
    ),
    "memories measured": (
        "What is measured",
        "How many of the memories that an agent can have were measured with these very names.",
    ),
    "decisions measured": (
        "What is measured",
        "The share of decisions of 24 agents, until they agree or for 30 rounds, on a memory that "
        "was measured. The rest is extrapolated.",
    ),
    "comprehension": ("Probes", "Questions about the rules and remembered rounds answered right."),
    "recognition": (
        "Probes",
        "Questions about what this game is and what is known of it answered right.",
    ),
}
"""Every quantity of a card: its section, and what it is."""


class Entry(NamedTuple):
    """One quantity of a card: its name in ``DEFINITIONS``, as text, and as a value for programs.

    ``value`` is None where the quantity does not exist, and ``text`` then says why.
    """

    quantity: str
    text: str
    value: Any

    @property
    def section(self) -> str:
        """The part of the card that it belongs to."""
        return DEFINITIONS[self.quantity][0]

    @property
    def definition(self) -> str:
        """What the quantity is."""
        return DEFINITIONS[self.quantity][1]


class InfinitePopulation(NamedTuple):
    """What the mean field says of a mind with two names."""

    conformity: Conformity
    points: tuple[FixedPoint, ...]
    basins: Basins
    critical: tuple[CriticalShare, CriticalShare]


class Place(NamedTuple):
    """How often the name in each place of the list is chosen, whatever it is."""

    shares: tuple[float, ...]


@dataclass(frozen=True)
class MindCard:
    """What is known of one mind.

    Attributes
    ----------
    audit : Audit
        Individual bias, groups by size, and probes.
    provenance : mapping
        Where the mind is from.
    convention : tuple of two Reaction or None
        Reactions to one and two misses within a convention.
    infinite : InfinitePopulation or str
        The mean field, or why there is none.
    lasting : tuple of Persistence
        Whether changes outlast committed agents, both ways; empty where it was not played.
    place : Place or str
        Preferences for places in the list of names, or why they are not known.
    coverage : Coverage or str
        Which memories were measured, or why that is not known.
    """

    audit: Audit
    provenance: Mapping[str, Any]
    convention: tuple[Reaction | None, Reaction | None]
    infinite: InfinitePopulation | str
    lasting: tuple[Persistence, ...]
    place: Place | str
    coverage: Coverage | str

    @property
    def mind(self) -> str:
        """The label of the mind."""
        return self.audit.mind

    @property
    def pool(self) -> tuple[str, ...]:
        """The names."""
        return self.audit.spec.game.pool

    @property
    def critical_size(self) -> int | None:
        """The smallest size from which on the mean field's name wins; None if there is none."""
        curve = self.audit.sizes
        if isinstance(self.infinite, str) or curve is None:
            return None
        name, found = self.infinite.basins.from_nothing, None
        for point in reversed(curve.points):
            if not name or not point.preference.of(name).share.value >= DECISIVE:
                break  # also where none of them settled
            found = point.played.agents
        return found

    def entries(self) -> tuple[Entry, ...]:
        """Return the quantities of the card, in order.

        Returns
        -------
        tuple of Entry
            One for each of ``DEFINITIONS``, in that order.
        """
        found = {one.quantity: one for part in _PARTS for one in part(self)}
        return tuple(found[quantity] for quantity in DEFINITIONS)

    def as_object(self) -> dict[str, Any]:
        """Return the card as plain data, for JSON.

        Returns
        -------
        dict
            ``mind``, ``names``, ``memory``, ``seed``, ``provenance``; ``quantities``, a list with
            ``quantity``, ``section``, ``definition``, ``text`` and ``value``; and the ``audit``.
        """
        game = self.audit.spec.game
        return {
            "mind": self.mind,
            "names": list(self.pool),
            "memory": game.memory,
            "seed": self.audit.spec.seed,
            "provenance": dict(self.provenance),
            "quantities": [
                {**one._asdict(), "section": one.section, "definition": one.definition}
                for one in self.entries()
            ],
            "audit": self.audit.as_object(),
        }


def _alone(card: MindCard) -> Iterator[Entry]:
    individual = card.audit.individual
    first = individual.first
    share = first.favorite.share
    yield Entry(
        "first choice",
        f"{first.favorite.name} {percent(share.value)}",
        {"name": first.favorite.name, "share": share.value, "low": share.low, "high": share.high},
    )
    yield Entry("first-choice bias", f"{first.variation.value:.3f}", first.variation.value)
    bias = individual.leans[0].bias if individual.leans else None
    yield _number("bias after one", bias, ".3f", "not measured")
    shares = card.place.shares if isinstance(card.place, Place) else (None,)
    why = card.place if isinstance(card.place, str) else ""
    yield _share("first name shown", shares[0], why)
    yield _share("last name shown", shares[-1], why)


def _misses(card: MindCard) -> Iterator[Entry]:
    individual = card.audit.individual
    alone = reaction_alone(individual, 1), reaction_alone(individual, 2)
    words = (("after a miss", "after two"), ("in a convention", "after two there"))
    for reactions, named in zip((alone, card.convention), words, strict=True):
        for reaction, when in zip(reactions, named, strict=True):
            for what in ("keep", "copy"):
                value = None if reaction is None else getattr(reaction, what)
                yield _share(f"{what} {when}", value, "not measured")


def _infinite(card: MindCard) -> Iterator[Entry]:
    found = card.infinite
    if isinstance(found, str):
        for quantity, (section, _) in DEFINITIONS.items():
            if section == "Infinite population":
                yield Entry(quantity, found, None)
        return
    conformity, pool = found.conformity, card.pool
    yield _number("conformity", conformity.beta, ".2f")
    yield _number("field", conformity.field, "+.2f")
    yield _number("misfit", conformity.error, ".3f")
    shares = [(percent(one.shares[pool[0]], 1), one.stable) for one in found.points]
    points = [share if stable else f"({share})" for share, stable in shares]
    yield Entry(
        "equilibria",
        f"{pool[0]}: {', '.join(points)}",
        [{"shares": dict(one.shares), "growth_rate": one.growth_rate} for one in found.points],
    )
    yield Entry("from nothing", found.basins.from_nothing or "level", found.basins.from_nothing)
    yield Entry(
        "critical mass",
        ", ".join(f"{one.challenger} {_critical(one)}" for one in found.critical),
        [vars(one) for one in found.critical],
    )


def _critical(one: CriticalShare) -> str:
    return "never" if one.kind == "never" else percent(one.share, 1)


def _groups(card: MindCard) -> Iterator[Entry]:
    curve = card.audit.sizes
    if curve is None:
        for quantity in ("strong name", "its first choices", "wins", "critical size"):
            yield Entry(quantity, NOT_ASKED, None)
    else:
        shares = {
            point.played.agents: point.preference.of(curve.strong).share for point in curve.points
        }
        yield Entry("strong name", curve.strong, curve.strong)
        yield _share("its first choices", curve.individual)
        yield Entry(
            "wins",
            ", ".join(
                f"{size:,}: {'none settled' if math.isnan(one.value) else percent(one.value)}"
                for size, one in shares.items()
            ),
            [{"agents": size, **one._asdict()} for size, one in shares.items()],
        )
        critical = card.critical_size
        most = max(shares)
        known = isinstance(card.infinite, InfinitePopulation) and not math.isnan(shares[most].value)
        none = f"over {most:,}" if known else "not known"
        yield Entry("critical size", none if critical is None else f"{critical:,}", critical)
    why = NOT_ASKED if curve is None else "not played"
    yield Entry(
        "lasts",
        ", ".join(
            f"{one.challenger} {percent(one.lasted / one.flipped) if one.flipped else 'no change'}"
            for one in card.lasting
        )
        or why,
        [one._asdict() for one in card.lasting] or None,
    )


def _measured(card: MindCard) -> Iterator[Entry]:
    found = card.coverage
    if isinstance(found, str):
        yield Entry("memories measured", found, None)
        yield Entry("decisions measured", found, None)
        return
    yield Entry(
        "memories measured",
        f"{found.measured:,} of {found.memories:,}",
        {"measured": found.measured, "memories": found.memories},
    )
    yield Entry(
        "decisions measured",
        percent(found.visits, 1),
        {"share": found.visits, "otherwise": found.otherwise},
    )


def _probes(card: MindCard) -> Iterator[Entry]:
    probes = card.audit.probes
    for quantity, found in (
        ("comprehension", probes.understood),
        ("recognition", probes.recognized),
    ):
        if found is None:
            yield Entry(quantity, "reads no prompt" if probes.why_not else "not asked", None)
        else:
            yield Entry(quantity, percent(found.value), found._asdict())


_PARTS = (_alone, _misses, _infinite, _groups, _measured, _probes)


def _number(quantity: str, value: float | None, form: str, why: str = "") -> Entry:
    return Entry(quantity, why if value is None else format(value, form), value)


def _share(quantity: str, value: float | None, why: str = "") -> Entry:
    return Entry(quantity, why if value is None else percent(value, 1), value)


@seeded_by_rng
def mind_card(
    mind: Any = DEFAULT_MIND,
    names: Any = None,
    memory: int | None = None,
    *,
    sizes: Any = SIZES,
    runs: int = RUNS,
    workers: int | None = 1,
    progress: Report | None = None,
    llm: LLMSettings | None = None,
    rng: Any = 1,
    **asking: Any,
) -> MindCard:
    """Measure everything that a card of one mind holds.

    A mind that has to be asked gets the part that single agents can answer, and the probes; record
    it for the rest.

    Parameters
    ----------
    mind : str or Mind
        The mind, or its name; default ``"claude-3.5-sonnet"``.
    names : str or sequence of str, optional
        The pool. Default: that of a measured table or a recording, else ``"QM"``.
    memory : int, optional
        Interactions an agent remembers. Default: as in a recording, else 5.
    sizes : sequence of int
        Sizes of the groups that play on complete graphs. Default 2, 5, 10, 24, 50 and 100.
    runs : int
        Populations of each size. Default 200.
    workers : int or None
        Processes to play in (default 1); None for one per processor.
    progress : callable, optional
        Called with what is being done, how much of it, and how much there is.
    llm : LLMSettings, optional
        How a live mind is called, and what may be spent.
    rng : optional
        The seed, as in ``run_ensemble``; default 1. The same seed gives the same card.
    **asking
        For live minds ``times``, ``times_after`` and ``probes``, as in ``audit``.

    Returns
    -------
    MindCard
        The card.

    Raises
    ------
    SpecError, MindError
        For an argument that is not valid, and for a mix of minds.
    BudgetError, CallError, DecisionError
        As live runs do.
    """
    plan = plan_card(mind, names, memory, sizes, runs, rng, **asking)
    return run_card(plan, workers=workers, progress=progress, llm=llm)


def plan_card(
    mind: Any,
    names: Any = None,
    memory: int | None = None,
    sizes: Any = SIZES,
    runs: int = RUNS,
    rng: Any = 1,
    **asking: Any,
) -> AuditPlan:
    """Read and check the arguments of ``mind_card``, before anything is played.

    Returns
    -------
    AuditPlan
        The audit that a card takes its groups and probes from, of individuals alone where the mind
        has to be asked.
    """
    if not isinstance(mind, Mapping):
        mind = load_mind(mind)
    recorded = mind.recordings[:1] if isinstance(mind, RecordedMind) else ()
    if names is None:
        own = mind.names if isinstance(mind, TableMind) else "QM"
        names = list(recorded[0].game.pool if recorded else own)
    if memory is None:
        memory = recorded[0].game.memory if recorded else 5
    return plan_audit(
        mind,
        names,
        memory=memory,
        rng=rng,
        runs=0,
        sizes=sizes if isinstance(mind, Policy) else (),
        size_runs=runs,
        rounds=ROUNDS,
        **asking,
    )


def run_card(
    plan: AuditPlan,
    *,
    workers: int | None = 1,
    progress: Report | None = None,
    llm: LLMSettings | None = None,
) -> MindCard:
    """Measure what ``plan_card`` planned, as ``mind_card`` does."""
    mind, memory = plan.mind, plan.spec.game.memory
    found = run_audit(plan, workers=workers, progress=progress, llm=llm)
    provenance = getattr(mind, "provenance", {})
    place = _place(mind, plan.spec.game.pool, found.probes)
    if not isinstance(mind, Policy):
        return MindCard(found, provenance, (None, None), NOT_ASKED, (), place, NOT_ASKED)
    pool = plan.spec.game.pool
    say = progress or (lambda *_: None)
    say("the infinite population", 0, 1)
    infinite = _infinite_population(mind, pool, memory)
    lasting: tuple[Persistence, ...] = ()
    if not isinstance(infinite, str):
        say("committed agents that leave", 0, 1)
        lasting = tuple(
            persistence(
                plan.spec, one.incumbent, one.challenger, one.share, LASTING_RUNS, FEW_ROUNDS
            )
            for one in infinite.critical
        )
    say("which memories are met", 0, 1)
    convention = tuple(reaction_in_convention(mind, pool, memory, misses) for misses in (1, 2))
    return MindCard(
        found,
        provenance,
        (convention[0], convention[1]),
        infinite,
        lasting,
        place,
        _coverage(mind, pool, memory, plan.spec.seed),
    )


def _infinite_population(
    mind: Policy, pool: tuple[str, ...], memory: int
) -> InfinitePopulation | str:
    if len(pool) != 2:
        return "for two names"
    try:
        ways = [
            critical_share(mind, pool, memory, incumbent=one, challenger=other)
            for one, other in permutations(pool)
        ]
        return InfinitePopulation(
            fit_conformity(mind, pool, memory),
            fixed_points(mind, pool, memory),
            basins(mind, pool, memory, points=3),
            (ways[0], ways[1]),
        )
    except SpecError as error:
        return error.problem


def _place(mind: Mind, pool: tuple[str, ...], probes: Probes) -> Place | str:
    for recording in mind.recordings if isinstance(mind, RecordedMind) else ():
        shares = place_shares(recording) if recording.game.pool == pool else None
        if shares is not None:
            return Place(shares)
    for probe in probes.probes:
        if probe.kind == "place":
            return Place(probe.conditions[0].preference.shares)
    return NO_ORDER if probes.why_not else "not asked"


def _coverage(mind: Mind, pool: tuple[str, ...], memory: int, seed: int) -> Coverage | str:
    played = run_ensemble(
        "complete(n=24)",
        pool,
        mind,
        memory=memory,
        runs=VISITING_RUNS,
        rounds=FEW_ROUNDS,
        rng=seed,
        keep_interactions=True,
    )
    return coverage(mind, pool, memory, played) or "it is defined, not measured"
