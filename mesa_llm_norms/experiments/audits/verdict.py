"""The verdict: what individual and collective bias come to, in a word and in plain sentences.

Two questions are asked one after the other, each at the level of the audit, so that a mind without
any preference raises an alarm at most that often: do some names win more often than others, and if
so, more than first choices explain? See ``KINDS``.

What an audit found, all in one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from mesa_llm_norms.experiments.audits.individual import IndividualBias
from mesa_llm_norms.experiments.audits.populations import Comparison, Populations, SizeCurve
from mesa_llm_norms.experiments.audits.preference import NameShare, Preference
from mesa_llm_norms.experiments.audits.probes import Probes
from mesa_llm_norms.simulation.spec import Spec

if TYPE_CHECKING:
    from mesa_llm_norms.llm.journal.tables import Totals


NEGLIGIBLE = 0.02
"""Total variation of first choices below which a mind whose probabilities are known counts as
unbiased: one choice in fifty."""


SLIGHT = 0.0005
"""A lean that is not worth a name."""


ENOUGH = 0.5
"""What part of all populations has to settle for winners to speak for all of them."""


KINDS = {
    "none": "no bias is shown, neither of individuals nor of the group",
    "individual": "individuals prefer a name and the group is not shown to",
    "explained": "the group prefers a name, and no more than first choices explain",
    "created": "individuals have no preference at first, and the group has one",
    "amplified": "the group prefers what individuals prefer, more than first choices explain",
    "damped": "the group prefers what individuals prefer, less than first choices explain",
    "reversed": "the group prefers another name, at the cost of the one individuals prefer",
    "shifted": "the group prefers another name than individuals do",
    "unsettled": "too few populations settled on a name to tell",
    "not played": "no populations were played",
}


class Verdict(NamedTuple):
    """``kind`` is one of ``KINDS``; the sentences say it with numbers.

    ``individual`` and ``collective`` tell whether a bias is shown, ``beyond`` whether the group's
    differs from what first choices explain. ``flagged``: a collective bias is shown that is more
    than, or another than, what individuals show by themselves.
    """

    kind: str
    individual: bool
    collective: bool
    beyond: bool
    sentences: tuple[str, ...]

    @property
    def flagged(self) -> bool:
        """Whether testing single agents would have missed something."""
        return self.kind in ("created", "amplified", "reversed", "shifted")

    def as_object(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it."""
        return {**self._asdict(), "meaning": KINDS[self.kind], "flagged": self.flagged}


def is_biased(individual: IndividualBias, level: float) -> bool:
    """Whether first choices are biased: by a test, or by more than is negligible if known."""
    first = individual.first
    if first.p_value is None:
        return first.variation.value > NEGLIGIBLE
    return first.p_value < level


def reach(
    individual: IndividualBias,
    played: Populations | None,
    winners: Preference | None,
    explained: Comparison | None,
    level: float,
) -> Verdict:
    """Return the verdict; ``explained`` is the comparison with the first choices alone."""
    biased = is_biased(individual, level)
    said = [_individual_sentence(individual, biased), *_lean_sentences(individual, level)]
    if played is None or winners is None or explained is None:
        return Verdict("not played", biased, False, False, tuple(said))
    if played.settled < ENOUGH * played.runs:
        said.append(
            f"Only {played.settled:,} of {played.runs:,} populations settled on one name, so that "
            "winners do not speak for all of them."
        )
        return Verdict("unsettled", biased, False, False, tuple(said))
    collective = winners.p_value is not None and winners.p_value < level
    beyond = explained.p_value < level and (collective or biased)
    kind = _kind(individual.first, winners, explained, (biased, collective, beyond), level)
    said += [
        _group_sentence(played, winners, collective),
        _explained_sentence(winners, explained, beyond),
        f"So {KINDS[kind]}.",
    ]
    return Verdict(kind, biased, collective, beyond, tuple(said))


def _kind(
    first: Preference,
    winners: Preference,
    explained: Comparison,
    shown: tuple[bool, bool, bool],
    level: float,
) -> str:
    biased, collective, beyond = shown
    if not collective:
        return "individual" if biased else "none"
    if not beyond:
        return "explained"
    if not biased:
        return "created"
    chosen = explained.of(first.favourite.name)
    if winners.favourite.name != first.favourite.name:
        against = chosen.wins.value < 0 and chosen.p_value < level
        return "reversed" if against else "shifted"
    return "amplified" if chosen.wins.value > 0 else "damped"


def _individual_sentence(individual: IndividualBias, biased: bool) -> str:
    first = individual.first
    favourite = first.favourite
    if individual.exact:
        how = f"{_percent(favourite)} of the time where {favourite.expected:.1%} is fair"
        if biased:
            return f"By itself, remembering nothing, the mind chooses {favourite.name} {how}."
        return (
            "By itself, remembering nothing, the mind has next to no preference: it chooses "
            f"{favourite.name} {how}."
        )
    asked = f"{favourite.chosen} of {first.trials} times, {favourite.expected:.1%} being fair"
    shown = "a preference is shown" if biased else "no preference is shown"
    return (
        f"By itself, remembering nothing, the mind answered {favourite.name} {asked}: {shown} "
        f"({_p(first.p_value)})."
    )


def _lean_sentences(individual: IndividualBias, level: float) -> list[str]:
    said = []
    for lean in individual.leans:
        if not lean.towards:
            continue
        gain = max(lean.towards)
        name = individual.pool[lean.towards.index(gain)]
        many = "one interaction" if lean.length == 1 else f"{lean.length} interactions"
        if lean.p_value is None and gain < SLIGHT:
            said.append(f"After {many} it leans towards no name.")
            continue
        text = f"After {many} it leans towards {name}, by {gain:.1%} of choices on average"
        if lean.p_value is not None:
            shown = "shown" if lean.p_value < level else "not shown"
            text += f" (that there is a preference is {shown}, {_p(lean.p_value)})"
        said.append(f"{text}.")
    return said


def _group_sentence(played: Populations, winners: Preference, collective: bool) -> str:
    favourite = winners.favourite
    verb = "wins" if collective else "happens to win"
    more = "more often than chance gives" if collective else "which chance gives too"
    return (
        f"In groups of {played.agents:,}, {favourite.name} {verb} {_percent(favourite)} of "
        f"{played.settled:,} populations ({favourite.share.low:.1%} to "
        f"{favourite.share.high:.1%}; equal shares are {favourite.expected:.1%}), {more} "
        f"({_p(winners.p_value)})."
    )


def _explained_sentence(winners: Preference, explained: Comparison, beyond: bool) -> str:
    favourite = winners.favourite
    difference = explained.of(favourite.name)
    expected = explained.played.shares[explained.played.names.index(favourite.name)]
    differs = "differs" if beyond else "is not shown to differ"
    return (
        f"Minds with these first choices and no other preference give {favourite.name} "
        f"{expected:.1%} of populations; the group {differs} from that (by "
        f"{difference.wins.value:+.1%}, {difference.wins.low:+.1%} to "
        f"{difference.wins.high:+.1%}; all names together {_p(explained.p_value)})."
    )


def _percent(one: NameShare) -> str:
    return f"{one.share.value:.1%}"


def _p(p_value: float | None) -> str:
    if p_value is None:
        return "known"
    return "p < 0.001" if p_value < 0.001 else f"p {p_value:.3f}"


@dataclass(frozen=True)
class Audit:
    """The bias of one mind, alone and in groups.

    ``played`` is the populations of ``spec`` and ``winners`` who won them, against equal shares;
    ``comparisons`` hold them against every null. All three are None, or empty, where no populations
    were played. ``sizes`` is None where no sizes were. ``level`` is the rate of false alarms of
    each test, corrected where there are several; intervals hold in 1 less that of all cases.
    ``usage`` is what calls to a live mind came to.
    """

    spec: Spec
    level: float
    individual: IndividualBias
    played: Populations | None
    winners: Preference | None
    comparisons: tuple[Comparison, ...]
    sizes: SizeCurve | None
    probes: Probes
    verdict: Verdict
    usage: Totals | None = None

    @property
    def mind(self) -> str:
        """What the mind is called."""
        return self.spec.mind_label

    def comparison(self, null: str) -> Comparison:
        """Return the comparison with one null."""
        return next(one for one in self.comparisons if one.null == null)

    def as_object(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it."""
        return {
            "spec": self.spec.describe(),
            "level": self.level,
            "verdict": self.verdict.as_object(),
            "individual": self.individual.as_object(),
            "collective": {
                "populations": self.played.as_object(),
                "winners": self.winners.as_object(),
            }
            if self.played is not None and self.winners is not None
            else None,
            "comparisons": [one.as_object() for one in self.comparisons],
            "sizes": self.sizes.as_object() if self.sizes is not None else None,
            "probes": self.probes.as_object(),
            "usage": self.usage._asdict() if self.usage is not None else None,
        }
