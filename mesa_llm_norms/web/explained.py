"""One interaction explained: who met, what each remembered, how it chose, what it remembers now.

A source keeps the ``Encounter`` of an interaction as it is played: minds and memories are those of
that moment, whatever happens later. ``explain`` puts it into words when somebody looks.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

from mesa_llm_norms.core.formatting import percent, signed
from mesa_llm_norms.core.game import Memory, Row, others_of, payoff_of
from mesa_llm_norms.core.referee import Referee
from mesa_llm_norms.llm.journal.journal import Journal
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.minds.policies import CommittedMind
from mesa_llm_norms.simulation.engine import is_plain_policy, probabilities_of

MOST_SEATS = 6
"""Agents told one by one, of those who meet."""

_MOST_PROBABLE = 6
"""Names listed with their chances."""

_MOST_REMEMBERED = 8
"""Interactions listed of a memory, the newest."""

_NOT_KNOWN = "not known"


class Answer(NamedTuple):
    """What a live mind's server said of the chances of names.

    ``probabilities`` are those of the pool, empty where it gave none or they were known from an
    earlier call; ``probability`` is that of the name that was drawn, None if it gave none.
    """

    probabilities: tuple[float, ...] = ()
    probability: float | None = None


class Part(NamedTuple):
    """An agent of an interaction: where it is, what decided, what it remembered before and after.

    ``place`` is the position of the node on the page.
    """

    place: int
    node: Hashable
    mind: Mind
    before: Memory
    after: Memory


class Encounter(NamedTuple):
    """An interaction with its agents, by seat; ``seeing`` if minds are shown attributes too."""

    row: Row
    parts: tuple[Part, ...]
    seeing: bool = False

    @property
    def places(self) -> str:
        """The positions of those who met, by seat, as ``NetworkView`` takes them."""
        return ",".join(str(part.place) for part in self.parts)


def answer_of(journal: Journal, run: int, interaction: int, seat: int) -> Answer | None:
    """Return what is on record of the chances of a decision; None if it was not recorded."""
    recorded = journal.decision(run, interaction, seat)
    if recorded is None:
        return None
    given = None if recorded.attempt is None else journal.distribution_of(recorded.attempt)
    return Answer(given or (), recorded.probability)


def memory_change(before: Memory, after: Memory) -> tuple[Memory, Memory]:
    """Return what is new in a memory, and what is no longer there, both oldest first."""
    gone = next(
        gone for gone in range(len(before) + 1) if after[: len(before) - gone] == before[gone:]
    )
    return after[len(before) - gone :], before[:gone]


def explain(
    encounter: Encounter, referee: Referee, answers: Sequence[Answer | None] = ()
) -> dict[str, Any]:
    """Return an interaction in words, for ``ExplainedView``.

    Parameters
    ----------
    encounter : Encounter
        The interaction.
    referee : Referee
        The rules of its game.
    answers : sequence of Answer or None, default ()
        What live minds answered, by seat, as far as it is known.
    """
    row, parts = encounter.row, encounter.parts[:MOST_SEATS]
    answers = (*answers, *(None for _ in parts))
    return {
        "title": f"Interaction {row.interaction + 1:,}, round {row.round + 1:,}",
        "matched": referee.success(row.names),
        "verb": "Said" if referee.naming else "Chose",
        "summary": _summary(encounter, referee),
        "more": len(encounter.parts) - len(parts),
        "agents": [
            _agent(part, seat, encounter, referee, answers[seat]) for seat, part in enumerate(parts)
        ],
    }


def _summary(encounter: Encounter, referee: Referee) -> str:
    row = encounter.row
    who = [f"agent {part.node}" for part in encounter.parts[:MOST_SEATS]]
    did = "said" if referee.naming else "chose"
    if len(encounter.parts) > MOST_SEATS:
        success = "this counts" if referee.success(row.names) else "this does not count"
        return f"{len(encounter.parts)} agents met; {success} as {referee.game.success_name}."
    met = f"{', '.join(who[:-1])} and {who[-1]} met"
    if len(set(row.names)) == 1:
        everybody = "both" if len(who) == 2 else "all"
        chose = f"{everybody} {did} {row.names[0]}"
    else:
        chose = ", ".join(
            f"{one} {did if place == 0 else ''} {name}".replace("  ", " ")
            for place, (one, name) in enumerate(zip(who, row.names, strict=True))
        )
    if referee.naming:
        result = "a match" if referee.success(row.names) else "no match"
    else:
        result = referee.game.outcome(*row.names)
        result = "" if result == " / ".join(row.names) else result
    payoffs = [signed(payoff) for payoff in row.payoffs]
    each = len(set(payoffs)) == 1
    points = f"{payoffs[0]} points each" if each else f"{', '.join(payoffs)} points"
    said = ": ".join(filter(None, (result, points)))
    return f"{_begun(met)}: {chose}. {_begun(said)}."


def _begun(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _agent(
    part: Part, seat: int, encounter: Encounter, referee: Referee, answer: Answer | None
) -> dict[str, Any]:
    row, game = encounter.row, referee.game
    learned, forgot = memory_change(part.before, part.after)
    earlier = len(part.before) - _MOST_REMEMBERED

    def worded(past: Any) -> str:
        return f"{_words(past, referee)}: {signed(payoff_of(past, game))}"

    change = [f"New: {_words(it, referee)}" for it in learned]
    change += [f"Forgotten: {_words(it, referee)}" for it in forgot]
    return {
        "index": part.place,
        "node": str(part.node),
        "mind": part.mind.label,
        "before": ([f"{earlier} earlier ones"] if earlier > 0 else [])
        + [worded(past) for past in part.before[-_MOST_REMEMBERED:]],
        "said": row.names[seat],
        "payoff": f"{signed(row.payoffs[seat])} points",
        "change": change or ["Nothing"],
        "size": f"{len(part.after)} of {game.memory}",
        **_choice(part, seat, encounter, referee, answer),
    }


def _words(past: Any, referee: Referee) -> str:
    own, others = past[0], ", ".join(others_of(past))
    if referee.naming:
        return f"said {own}, heard {others}"
    return f"chose {own}, {'the other' if len(others_of(past)) == 1 else 'the others'} {others}"


def _choice(
    part: Part, seat: int, encounter: Encounter, referee: Referee, answer: Answer | None
) -> dict[str, Any]:
    """Return ``how`` an agent chose, in words, and ``probabilities`` as far as they are known."""
    mind, pool, said = part.mind, referee.game.pool, encounter.row.names[seat]
    says = "says" if referee.naming else "chooses"
    if isinstance(mind, CommittedMind):
        other = f", another name in {percent(mind.noise)} of its interactions" if mind.noise else ""
        always = "nearly always" if mind.noise else "always"
        return {"how": f"{always} {says} {mind.name}{other}", "probabilities": []}
    if is_plain_policy(mind):
        if encounter.seeing:
            how = f"{_NOT_KNOWN}: depends on what it saw of its neighbors as well"
            return {"how": how, "probabilities": []}
        return _listed(pool, probabilities_of(mind, part.before, referee.game), said)
    if answer is None:
        return {"how": _NOT_KNOWN, "probabilities": []}
    if answer.probabilities:
        return _listed(pool, answer.probabilities, said)
    if answer.probability is not None:
        rest = 1 - answer.probability
        if len(pool) == 2:
            return _listed(pool, [answer.probability if it == said else rest for it in pool], said)
        likely = [[said, percent(answer.probability), answer.probability]]
        return {"how": f"all other names together {percent(rest)}", "probabilities": likely}
    return {"how": f"{_NOT_KNOWN}: the model only gave its answer", "probabilities": []}


def _listed(pool: Sequence[str], probabilities: Sequence[float], said: str) -> dict[str, Any]:
    """List the most probable names, and the one that was chosen."""
    likely = sorted(zip(pool, map(float, probabilities), strict=False), key=lambda it: -it[1])
    shown = [one for place, one in enumerate(likely) if place < _MOST_PROBABLE or one[0] == said]
    rest = 1 - sum(chance for _, chance in shown)
    more = len(likely) - len(shown)
    return {
        "how": f"{more} more names together {percent(max(0.0, rest))}" if more else "",
        "probabilities": [[name, percent(chance), chance] for name, chance in shown],
    }
